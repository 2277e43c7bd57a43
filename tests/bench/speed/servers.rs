//! The servers that are measured side by side: ours, the bare loop that no server can beat by much,
//! and those that people run for the same purpose. Each is started on a port of its own on the
//! loopback address, as its admin would set it up, and answers the same policy with a NUL.
//!
//! Nothing here measures or sends load, nothing is installed (`scripts/bench.sh --install` does
//! that), and only processes that were started here are ever ended.
#![allow(dead_code)]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{getrlimit, setrlimit, Resource};
use socket2::{Domain, Socket, Type};

use crate::support::{self, REQUEST};

/// Connections that the kernel completes before the server accepts them: enough that no server
/// loses one to its own queue. The kernel's own limit is net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// A server that does not answer within this has not started.
const TO_START: Duration = Duration::from_secs(20);

/// How soon a server that does not answer yet is asked again.
const LOOK_AGAIN: Duration = Duration::from_micros(500);

/// A server that does not end within this after SIGTERM is killed.
const TO_END: Duration = Duration::from_secs(5);

/// A server that can be measured.
pub struct Server {
    /// Short, for the command line and the results file.
    pub key: &'static str,
    /// For the table and the legends.
    pub label: &'static str,
    /// Whether it writes a log line (or two) per client.
    pub logs: bool,
    /// Whether it reads the request before it answers. Those that do not reset the client when its
    /// request comes after their close, mostly after the whole policy.
    pub reads_the_request: bool,
    /// Whether it ends the policy with a NUL.
    pub nul: bool,
    start: fn(Place) -> Result<Running, Missing>,
}

/// Why a server cannot be measured here, as a sentence.
#[derive(Debug)]
pub struct Missing(pub String);

/// A server that answers; it ends with this value.
pub struct Running {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
    log: Option<PathBuf>,
    took: Duration,
}

impl Server {
    /// The floor first, ours second, then the others.
    pub fn all() -> Vec<Server> {
        let server = |key, label, logs, reads_the_request, start| Server {
            key,
            label,
            logs,
            reads_the_request,
            nul: true,
            start,
        };
        vec![
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
        ]
    }

    /// Starts it with this policy, to which it adds the NUL itself, and waits until it answers. Its
    /// files are in a folder of its own below `folder`, and stay there.
    pub fn start(&self, folder: &Path, policy: &[u8]) -> Result<Running, Missing> {
        raise_the_file_limit();
        (self.start)(Place::new(folder, self.key, policy))
    }
}

/// Our own server with other lines in its configuration, such as `("log_file", "none")`; all but
/// `listen` may be replaced.
pub fn ours_with(folder: &Path, policy: &[u8], extra_conf: &[(&str, &str)]) -> Running {
    raise_the_file_limit();
    let place = Place::new(folder, "ours", policy);
    start_ours(place, extra_conf).unwrap_or_else(|missing| panic!("{}", missing.0))
}

impl Running {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All its processes, the first one first.
    pub fn pids(&self) -> Vec<u32> {
        let processes = family(self.child.id());
        processes.into_iter().map(|process| process.pid).collect()
    }

    /// The time from its start to the end of its first answer.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Its configuration, its log and what it said on standard output and standard error.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file with a line (or two) per client.
    pub fn log(&self) -> Option<&Path> {
        self.log.as_deref()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let family = family(self.child.id());
        if matches!(self.child.try_wait(), Ok(None)) {
            kill("TERM", self.child.id());
            let deadline = Instant::now() + TO_END;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A master may end without its workers.
        for process in family.iter().filter(|process| process.is_still_there()) {
            kill("KILL", process.pid);
        }
    }
}

fn kill(signal: &str, pid: u32) {
    let _ = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {pid}")])
        .stderr(Stdio::null())
        .status();
}

/// A process, told from a later one with the same number by the time of its start.
#[derive(Clone, PartialEq)]
struct Process {
    pid: u32,
    parent: u32,
    since: u64,
}

impl Process {
    /// None when it has ended, even if nobody has waited for it yet.
    fn of(pid: u32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name, which stands in brackets, come the fields from the third on.
        let fields: Vec<&str> = stat.rsplit(") ").next()?.split(' ').collect();
        if matches!(fields[0], "Z" | "X") {
            return None;
        }
        Some(Process {
            pid,
            parent: fields[1].parse().ok()?,
            since: fields[19].parse().ok()?,
        })
    }

    fn is_still_there(&self) -> bool {
        Process::of(self.pid).is_some_and(|now| now.since == self.since)
    }
}

/// A process and everything that descends from it.
fn family(root: u32) -> Vec<Process> {
    let Some(root) = Process::of(root) else {
        return Vec::new();
    };
    let all: Vec<Process> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| Process::of(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).map(|process| process.pid) {
        found.extend(all.iter().filter(|p| p.parent == parent).cloned());
        next += 1;
    }
    found
}

/// Some servers keep the limit that they are started with.
fn raise_the_file_limit() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // More is of no use here, and there are hosts where the limit is a thousand million.
    let enough = hard.min(65_536).max(soft);
    setrlimit(Resource::RLIMIT_NOFILE, enough, hard).unwrap();
}

/// Where a server has its files.
struct Place {
    key: &'static str,
    folder: PathBuf,
    policy: Vec<u8>,
    /// The policy without its NUL.
    policy_file: PathBuf,
}

impl Place {
    /// A new folder, so that nobody finds the log of an earlier run.
    fn new(folder: &Path, key: &'static str, policy: &[u8]) -> Place {
        let folder = (1..)
            .map(|number| folder.join(format!("{key}-{number}")))
            .find(|folder| match fs::create_dir(folder) {
                Ok(()) => true,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
                Err(error) => panic!("{}: {error}", folder.display()),
            })
            .unwrap();
        let folder = fs::canonicalize(folder).unwrap();
        let place = Place {
            key,
            policy: policy.into(),
            policy_file: folder.join("policy.xml"),
            folder,
        };
        place.file("policy.xml", policy);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Starts the program here, and waits until it answers at this address.
    fn start_at(self, address: SocketAddr, command: &mut Command) -> Result<Running, Missing> {
        self.start(command, move || Some(address))
    }

    /// The same where the program chooses the port: `address` is asked until it gives one.
    fn start(
        self,
        command: &mut Command,
        address: impl Fn() -> Option<SocketAddr>,
    ) -> Result<Running, Missing> {
        let said = self.path("said");
        let output = File::create(&said).unwrap();
        let begun = Instant::now();
        let child = command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .map_err(|error| Missing(format!("{} did not start: {error}", self.key)))?;
        let log = self.path("log");
        let mut running = Running {
            child,
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            folder: self.folder,
            log: None,
            took: Duration::ZERO,
        };
        let deadline = Instant::now() + TO_START;
        let why = loop {
            if let Some(address) = address() {
                match ask(address) {
                    Ok(answer) if answer.strip_suffix(b"\0") == Some(&self.policy) => {
                        running.took = begun.elapsed();
                        running.address = address;
                        running.log = log.exists().then_some(log);
                        return Ok(running);
                    }
                    Ok(answer) if !answer.is_empty() && !self.policy.starts_with(&answer) => {
                        break "answers something else".into();
                    }
                    // It does not listen yet, or has reset this client before the policy's end.
                    _ => {}
                }
            }
            if let Some(status) = running.child.try_wait().unwrap() {
                break format!("ended with {status}");
            }
            if Instant::now() >= deadline {
                break "does not answer".into();
            }
            thread::sleep(LOOK_AGAIN);
        };
        let said = fs::read_to_string(said).unwrap_or_default();
        Err(Missing(format!("{} {why}: {}", self.key, said.trim())))
    }
}

/// Sends the player's request, and gives the answer.
fn ask(to: SocketAddr) -> io::Result<Vec<u8>> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // From another address than the server's: as long as nobody listens on that port, the kernel
    // could otherwise connect the socket to itself, and then nobody could.
    socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into())?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.connect_timeout(&to.into(), Duration::from_secs(5))?;
    (&socket).write_all(REQUEST)?;
    let mut answer = Vec::new();
    match (&socket).read_to_end(&mut answer) {
        // A reset after the policy is the way of those that do not read the request.
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
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

// ---- the floor -----------------------------------------------------------------------------------

/// The least that a server can do: one thread, no log, no limit on anything.
fn floor(place: Place) -> Result<Running, Missing> {
    let said = place.path("said");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("floor").arg(&place.policy_file);
    place.start(&mut command, move || {
        let said = fs::read_to_string(&said).ok()?;
        // Only a whole line is a whole address.
        said.strip_suffix('\n')?.parse().ok()
    })
}

/// The process that `floor` starts. It prints its address.
pub fn be_the_floor(policy_file: &Path) -> ! {
    let mut policy = fs::read(policy_file).unwrap();
    policy.push(0);
    let request = &REQUEST[..REQUEST.len() - 1];
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any_port.into()).unwrap();
    socket.listen(BACKLOG).unwrap();
    let listener = TcpListener::from(socket);
    println!("{}", listener.local_addr().unwrap());
    let mut received = [0; 128];
    loop {
        let Ok((mut client, _)) = listener.accept() else {
            continue;
        };
        let count = client.read(&mut received).unwrap_or(0);
        if received[..count].starts_with(request) {
            let _ = client.write_all(&policy);
        }
    }
}

// ---- ours ----------------------------------------------------------------------------------------

fn ours(place: Place) -> Result<Running, Missing> {
    start_ours(place, &[])
}

/// With its defaults, but for what belongs to this run. The port is chosen here and not learned from
/// the log, so that the extra lines may do without one.
fn start_ours(place: Place, extra_conf: &[(&str, &str)]) -> Result<Running, Missing> {
    let address = a_free_address();
    let own = [
        ("listen", &address.to_string()[..]),
        ("policy_file", place.policy_file.to_str().unwrap()),
        ("log_file", place.path("log").to_str().unwrap()),
        ("log_console", "no"),
    ]
    .map(|(key, value)| (key, value.to_string()));
    let is_extra = |key: &str| extra_conf.iter().any(|(extra, _)| *extra == key);
    let mut config = String::new();
    for (key, value) in own.iter().filter(|(key, _)| !is_extra(key)) {
        config.push_str(&format!("{key} = {value}\n"));
    }
    for (key, value) in extra_conf {
        config.push_str(&format!("{key} = {value}\n"));
    }
    place.file("flashpolicy.conf", config);
    place.start_at(address, &mut support::binary())
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
