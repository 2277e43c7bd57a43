//! The servers that are measured side by side: ours, the bare loop that no server can beat by much,
//! and those that people run for the same purpose, each set up as its admin would. All answer the
//! same policy with a NUL. Nothing here measures, and nothing is installed (`scripts/bench.sh
//! --install` does that).

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::servers::{Missing, Place, Running, Server};
use crate::support::{self, REQUEST};

/// Connections that the kernel completes before the server accepts them: enough that no server
/// loses one to its own queue. The kernel's own limit is net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// The environment variable that names the program of an earlier build, to be measured beside this
/// one.
const BEFORE: &str = "FLASHPOLICY_BEFORE";

/// The threads of the plain pool.
const POOL_THREADS: usize = 256;

/// The bare loop first, ours second, then the others.
pub fn all() -> Vec<Server> {
    let server = |key, label, logs, reads_the_request, start| Server {
        key,
        label,
        logs,
        reads_the_request,
        start,
    };
    let mut all = vec![
        server("floor", "bare loop", false, true, floor),
        server("ours", "flashpolicyd", true, true, ours),
        server("gevent", "gevent", true, true, gevent),
        server("nginx", "nginx", false, false, nginx),
        server(
            "nginx-log",
            "nginx, access log",
            true,
            false,
            nginx_with_a_log,
        ),
        server("haproxy", "HAProxy, Lua", false, true, haproxy),
        server("node", "Node policyfile", false, false, node),
        server("go", "Go", true, true, go),
        server("ruby", "Ruby threads", true, true, ruby),
    ];
    if std::env::var_os(BEFORE).is_some() {
        all.push(server("before", "flashpolicyd before", true, true, before));
    }
    all
}

/// Nobody runs it; it shows what a fixed number of threads that wait can do.
pub fn plain_pool() -> Server {
    Server {
        key: "pool",
        label: "plain pool",
        logs: false,
        reads_the_request: true,
        start: pool,
    }
}

fn a_free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, support::free_port()))
}

/// Where a program is, also outside the PATH of a user who is not root.
fn program(name: &str) -> Result<PathBuf, Missing> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| not_installed(name))
}

fn not_installed(what: &str) -> Missing {
    Missing(format!("{what} is not installed"))
}

/// A file that belongs to a peer.
fn source(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/peers");
    folder.join(name)
}

/// What `scripts/bench.sh --install` has put outside the sources.
fn installed(name: &str) -> PathBuf {
    // Of the build's own folder, `target`, Cargo tells only this one below it.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("bench").join(name)
}

// ---- the bare loop and the plain pool ------------------------------------------------------------

/// The least that a server can do: one thread, no log, no limit on anything.
fn floor(place: Place) -> Result<Running, Missing> {
    start_one_of_these("floor", place)
}

/// The textbook's server: each connection is a job for a pool, and the job waits for its client.
fn pool(place: Place) -> Result<Running, Missing> {
    start_one_of_these("pool", place)
}

fn start_one_of_these(name: &str, place: Place) -> Result<Running, Missing> {
    let said = place.path("said");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(name).arg(&place.policy_file);
    place.start(&mut command, move || {
        let said = fs::read_to_string(&said).ok()?;
        // Only a whole line is a whole address.
        said.strip_suffix('\n')?.parse().ok()
    })
}

/// A listener that has printed its address, and the policy with its NUL.
fn listen(policy_file: &Path) -> (TcpListener, Vec<u8>) {
    let mut policy = fs::read(policy_file).unwrap();
    policy.push(0);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any_port.into()).unwrap();
    socket.listen(BACKLOG).unwrap();
    let listener = TcpListener::from(socket);
    println!("{}", listener.local_addr().unwrap());
    (listener, policy)
}

fn serve(client: &mut TcpStream, policy: &[u8]) {
    let mut received = [0; 128];
    let count = client.read(&mut received).unwrap_or(0);
    if received[..count].starts_with(&REQUEST[..REQUEST.len() - 1]) {
        let _ = client.write_all(policy);
    }
}

/// The process that `floor` starts.
pub fn be_the_floor(policy_file: &Path) -> ! {
    let (listener, policy) = listen(policy_file);
    loop {
        if let Ok((mut client, _)) = listener.accept() {
            serve(&mut client, &policy);
        }
    }
}

/// The process that `pool` starts.
pub fn be_the_pool(policy_file: &Path) -> ! {
    let (listener, policy) = listen(policy_file);
    let policy: Arc<[u8]> = policy.into();
    let pool = threadpool::ThreadPool::new(POOL_THREADS);
    loop {
        let Ok((mut client, _)) = listener.accept() else {
            // It is out of descriptors.
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        let policy = Arc::clone(&policy);
        pool.execute(move || {
            let timeout = Some(Duration::from_secs(3));
            let _ = client.set_read_timeout(timeout);
            let _ = client.set_write_timeout(timeout);
            serve(&mut client, &policy);
        });
    }
}

// ---- ours ----------------------------------------------------------------------------------------

/// With its defaults, but for what belongs to this run.
fn ours(place: Place) -> Result<Running, Missing> {
    flashpolicyd(place, &mut support::binary())
}

/// An earlier build of this server.
fn before(place: Place) -> Result<Running, Missing> {
    let program =
        std::env::var_os(BEFORE).ok_or_else(|| Missing(format!("{BEFORE} is not set")))?;
    flashpolicyd(place, &mut Command::new(program))
}

fn flashpolicyd(place: Place, program: &mut Command) -> Result<Running, Missing> {
    let address = a_free_address();
    let config = format!(
        "listen = {address}\npolicy_file = {}\nlog_file = {}\nlog_console = no\n",
        place.policy_file.display(),
        place.path("log").display()
    );
    place.file("flashpolicy.conf", config);
    place.start_at(address, program)
}

// ---- gevent --------------------------------------------------------------------------------------

fn gevent(place: Place) -> Result<Running, Missing> {
    let of_a_venv = installed("venv/bin/python3");
    let pythons: [&OsStr; 3] = [
        "python3".as_ref(),
        "/usr/bin/python3".as_ref(),
        of_a_venv.as_ref(),
    ];
    let has_gevent = |python: &&&OsStr| {
        let status = Command::new(python)
            .args(["-c", "import gevent"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    };
    let python = pythons
        .iter()
        .find(has_gevent)
        .ok_or_else(|| not_installed("python3 with gevent"))?;
    let address = a_free_address();
    let mut command = Command::new(python);
    command
        .arg(source("gevent_policyd.py"))
        .arg(address.port().to_string())
        .arg(place.path("log"))
        .arg(&place.policy_file);
    place.start_at(address, &mut command)
}

// ---- nginx ---------------------------------------------------------------------------------------

const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

fn nginx(place: Place) -> Result<Running, Missing> {
    start_nginx(place, "")
}

/// As `access_log` works when nothing else is said: one write for each line, without a buffer.
fn nginx_with_a_log(place: Place) -> Result<Running, Missing> {
    let log = place.path("log");
    let format = "log_format policy '$remote_addr [$time_local] $status $bytes_sent';";
    let lines = format!("{format}\n access_log {} policy;", log.display());
    start_nginx(place, &lines)
}

fn start_nginx(place: Place, logging: &str) -> Result<Running, Missing> {
    let nginx = program("nginx")?;
    // Where it is not a module, it may be built in.
    let module = if Path::new(STREAM_MODULE).exists() {
        format!("load_module {STREAM_MODULE};")
    } else {
        String::new()
    };
    let address = a_free_address();
    let Answer { variables, text } = Answer::of(&place.policy);
    let here = place.folder.display();
    let mut config = format!(
        "{module}\ndaemon off;\nworker_processes 1;\npid {here}/nginx.pid;\n\
         error_log {here}/error.log;\nevents {{ worker_connections 20000; }}\n\
         stream {{\n {logging}\n"
    )
    .into_bytes();
    config.extend(variables);
    config.extend(format!(" server {{ listen {address} backlog={BACKLOG}; return ").bytes());
    config.extend(text);
    config.extend(b"; }\n}\n");
    let file = place.file("nginx.conf", config);
    let mut command = Command::new(nginx);
    // Until it has read its configuration, it writes to the log of this host's nginx.
    command.arg("-e").arg(place.path("error.log"));
    command.arg("-c").arg(file);
    place.start_at(address, &mut command)
}

/// How nginx is told the policy and its NUL.
struct Answer {
    variables: Vec<u8>,
    text: Vec<u8>,
}

impl Answer {
    /// nginx reads no word of 4096 bytes or more.
    const LONGEST: usize = 4000;

    /// A policy that fits is one word, as in everybody's example; a longer one is made of variables
    /// that always have the same value. `$` has no escape, so it is a variable too.
    fn of(policy: &[u8]) -> Answer {
        let mut words = vec![Vec::new()];
        let mut dollar = false;
        for &byte in policy.iter().chain(b"\0") {
            let escaped: &[u8] = match byte {
                b'"' => b"\\\"",
                b'\\' => b"\\\\",
                b'$' => b"${dollar}",
                _ => &[byte],
            };
            dollar |= byte == b'$';
            let mut word = words.pop().unwrap();
            if word.len() + escaped.len() > Answer::LONGEST {
                words.push(word);
                word = Vec::new();
            }
            word.extend(escaped);
            words.push(word);
        }
        let mut variables = Vec::new();
        if dollar {
            variables.extend(b" geo $dollar { default \"$\"; }\n");
        }
        if let [word] = &words[..] {
            let text = [b"\"", &word[..], b"\""].concat();
            return Answer { variables, text };
        }
        let mut text = Vec::new();
        for (number, word) in words.iter().enumerate() {
            let map = format!(" map $remote_addr $policy_{number} {{ default \"");
            variables.extend(map.bytes());
            variables.extend(word);
            variables.extend(b"\"; }\n");
            text.extend(format!("${{policy_{number}}}").bytes());
        }
        let text = [b"\"", &text[..], b"\""].concat();
        Answer { variables, text }
    }
}

// ---- HAProxy -------------------------------------------------------------------------------------

/// With the threads that it takes by itself, one for each processor, and a Lua interpreter for each:
/// `lua-load` would have them all wait for one. It logs to syslog only, so it logs nothing here.
fn haproxy(place: Place) -> Result<Running, Missing> {
    let haproxy = program("haproxy")?;
    let address = a_free_address();
    let script = source("haproxy.lua");
    // Each connection counts twice for its limit of files; a lower one must not end it.
    let config = format!(
        "global\n maxconn 20000\n no strict-limits\n lua-load-per-thread {}\n\
         defaults\n mode tcp\n maxconn 20000\n timeout connect 5s\n timeout client 5s\n \
         timeout server 5s\n\
         frontend policy\n bind {address} backlog {BACKLOG}\n \
         tcp-request content use-service lua.policy\n",
        script.display()
    );
    let file = place.file("haproxy.cfg", config);
    let mut command = Command::new(haproxy);
    command.args(["-db", "-f"]).arg(file);
    command.env("POLICY_FILE", &place.policy_file);
    place.start_at(address, &mut command)
}

// ---- Node, Go, Ruby ------------------------------------------------------------------------------

fn node(place: Place) -> Result<Running, Missing> {
    let node = program("node")?;
    let modules = installed("node_modules");
    if !modules.join("policyfile").exists() {
        return Err(not_installed("the npm package policyfile"));
    }
    let address = a_free_address();
    let mut command = Command::new(node);
    command
        .arg(source("node/server.js"))
        .arg(address.port().to_string())
        .arg(&place.policy_file)
        .env("NODE_PATH", modules)
        .env("NODE_ENV", "production");
    place.start_at(address, &mut command)
}

fn go(place: Place) -> Result<Running, Missing> {
    let (binary, source) = (installed("go-policyd"), source("policyd.go"));
    let written = |file: &Path| fs::metadata(file).and_then(|file| file.modified()).ok();
    if written(&binary) < written(&source) {
        match program("go") {
            Ok(go) => compile(&go, &source, &binary)?,
            // An older one is better than none.
            Err(missing) if !binary.exists() => return Err(missing),
            Err(_) => {}
        }
    }
    let address = a_free_address();
    let mut command = Command::new(binary);
    command
        .arg(address.port().to_string())
        .arg(place.path("log"))
        .arg(&place.policy_file);
    place.start_at(address, &mut command)
}

fn compile(go: &Path, source: &Path, binary: &Path) -> Result<(), Missing> {
    let built = Command::new(go)
        .args(["build", "-o"])
        .args([binary, source])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    match built.status.success() {
        true => Ok(()),
        false => Err(Missing(format!("go does not build it: {}", said.trim()))),
    }
}

fn ruby(place: Place) -> Result<Running, Missing> {
    let ruby = program("ruby")?;
    let address = a_free_address();
    let mut command = Command::new(ruby);
    command
        .arg(source("policyd.rb"))
        .arg(address.port().to_string())
        .arg(place.path("log"))
        .arg(&place.policy_file);
    place.start_at(address, &mut command)
}
