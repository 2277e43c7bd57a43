//! Starts the real binary on a port of its own with a temporary configuration, and talks bytes to
//! it. Nothing here sleeps to hope: every wait polls for what it waits for, with a deadline.
#![allow(dead_code)]

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
#[cfg(target_os = "linux")]
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

pub const REQUEST: &[u8] = b"<policy-file-request/>\0";
pub const BUILT_IN: &[u8] =
    b"<cross-domain-policy><allow-access-from domain=\"*\" to-ports=\"*\" /></cross-domain-policy>\0";

/// Longer than anything here may take; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn binary() -> Command {
    Command::new(binary_path())
}

pub fn binary_path() -> &'static str {
    env!("CARGO_BIN_EXE_flashpolicyd")
}

/// Polls until `what` gives a value.
pub fn wait_for<T>(what: &str, poll: impl FnMut() -> Option<T>) -> T {
    wait_at_most(PATIENCE, what, poll)
}

/// Polls until `what` gives a value, for longer than usual.
pub fn wait_at_most<T>(time: Duration, what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + time;
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs the binary in `folder` to its end.
pub fn run_in(folder: &Path, arguments: &[&str]) -> Output {
    run_command(&mut binary(), folder, arguments)
}

/// Held while a program starts.
pub static STARTS: Mutex<()> = Mutex::new(());

/// Runs this command with these arguments behind its own in `folder` to its end.
pub fn run_command(command: &mut Command, folder: &Path, arguments: &[&str]) -> Output {
    let starts = STARTS.lock().unwrap_or_else(PoisonError::into_inner);
    let child = command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(starts);
    finish(child)
}

/// The output of a process that ends by itself; one that does not is ended, and the test fails.
pub fn finish(child: Child) -> Output {
    let pid = child.id();
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    match receiver.recv_timeout(PATIENCE) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            signal(pid, "KILL");
            panic!("process {pid} did not end");
        }
    }
}

/// Whether `check` finds this here: what is about the server's host is found on Linux alone.
pub fn is_found_here(code: &str) -> bool {
    const OF_THE_HOST: [&str; 4] = ["log-file", "pid-file", "stats-file", "user"];
    cfg!(target_os = "linux") || !OF_THE_HOST.iter().any(|of_it| code.contains(of_it))
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{name} {pid}")])
        .status();
    assert!(sent.unwrap().success(), "kill -{name} {pid}");
}

/// Ends processes that a test started, as far as they are still there.
pub fn end(pids: &[u32]) {
    for pid in pids {
        let _ = Command::new("sh")
            .args(["-c", &format!("kill -KILL {pid} 2>/dev/null")])
            .status();
    }
}

/// The addresses that a server listens on, by its log.
pub fn listening(log: &str) -> Vec<SocketAddr> {
    log.split("Listening on ")
        .skip(1)
        .filter_map(|rest| rest.lines().next()?.parse().ok())
        .collect()
}

/// A server to be started: its configuration lines, arguments and files.
pub struct Setup {
    pub folder: TempDir,
    lines: Vec<String>,
    through: Vec<String>,
    arguments: Vec<String>,
    stdin: Stdio,
    stdout: Stdio,
    listen: bool,
    log: PathBuf,
    environment: Vec<(String, OsString)>,
}

impl Setup {
    pub fn new() -> Setup {
        Setup::in_folder(tempfile::tempdir().unwrap())
    }

    /// In a folder where another server was before.
    pub fn in_folder(folder: TempDir) -> Setup {
        Setup {
            log: folder.path().join("flashpolicy.log"),
            folder,
            lines: Vec::new(),
            through: Vec::new(),
            arguments: Vec::new(),
            stdin: Stdio::null(),
            stdout: Stdio::null(),
            listen: true,
            environment: Vec::new(),
        }
    }

    /// A line of the configuration file.
    pub fn line(mut self, line: impl Into<String>) -> Setup {
        let line = line.into();
        self.listen &= !line.starts_with("listen");
        self.lines.push(line);
        self
    }

    pub fn argument(mut self, argument: impl Into<String>) -> Setup {
        self.arguments.push(argument.into());
        self
    }

    /// Starts it through a program that ends by executing its arguments, such as `prlimit`.
    pub fn through(mut self, program: &[&str]) -> Setup {
        self.through = program.iter().map(|&word| word.into()).collect();
        self
    }

    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Setup {
        fs::write(self.folder.path().join(name), content).unwrap();
        self
    }

    /// Another log file than the default.
    pub fn log_file(mut self, path: PathBuf) -> Setup {
        self.log = path;
        let line = format!("log_file = {}", self.log.display());
        self.line(line)
    }

    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Setup {
        self.stdin = stdin.into();
        self
    }

    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Setup {
        self.stdout = stdout.into();
        self
    }

    /// Nothing is added to the configuration, not even a port of its own.
    pub fn default_listen(mut self) -> Setup {
        self.listen = false;
        self
    }

    pub fn environment(mut self, name: &str, value: impl Into<OsString>) -> Setup {
        self.environment.push((name.into(), value.into()));
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the server and waits until its log says where it listens.
    pub fn start(self) -> Server {
        let mut server = self.start_without_waiting();
        wait_for("the server to listen", || {
            if let Some(status) = server.child.try_wait().unwrap() {
                let mut errors = String::new();
                server
                    .child
                    .stderr
                    .take()?
                    .read_to_string(&mut errors)
                    .unwrap();
                panic!("the server ended with {status}: {errors}");
            }
            // Written in one go with everything before it.
            server.addresses = listening(&server.log());
            (!server.addresses.is_empty()).then_some(())
        });
        server
    }

    /// For a server whose log does not say where it listens.
    pub fn start_without_waiting(self) -> Server {
        let mut config = self.lines.join("\n");
        if self.listen {
            config.push_str("\nlisten = 127.0.0.1:0\n");
        }
        fs::write(self.path("flashpolicy.conf"), config).unwrap();
        let mut command = match &self.through[..] {
            [] => binary(),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(binary_path());
                command
            }
        };
        let child = command
            .args(&self.arguments)
            .envs(self.environment)
            .current_dir(self.folder.path())
            .stdin(self.stdin)
            .stdout(self.stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Server {
            child,
            folder: self.folder,
            log: self.log,
            addresses: Vec::new(),
        }
    }
}

/// A running server; it ends with the test.
pub struct Server {
    pub child: Child,
    pub folder: TempDir,
    pub log: PathBuf,
    pub addresses: Vec<SocketAddr>,
}

impl Server {
    pub fn start() -> Server {
        Setup::new().start()
    }

    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits for a log line that holds `text`, and gives the line.
    pub fn logged(&self, text: &str) -> String {
        wait_for(&format!("'{text}' in the log"), || {
            let log = self.log();
            let line = log.lines().find(|line| line.contains(text));
            line.map(String::from)
        })
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// Sends the player's request and gives the answer.
    pub fn ask(&self) -> Vec<u8> {
        let mut client = self.connect();
        client.send(REQUEST);
        client.rest()
    }

    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits for the end of the process.
    pub fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        wait_for("the server to end", || child.try_wait().unwrap())
    }

    /// SIGTERM, and the wait for the end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The client's side of a connection.
pub struct Client {
    pub stream: TcpStream,
    pub since: Instant,
}

impl Client {
    pub fn connect(to: SocketAddr) -> Client {
        Client::new(TcpStream::connect_timeout(&to, PATIENCE).unwrap())
    }

    /// Connects from an address of its own, such as 127.0.0.9.
    pub fn connect_from(from: Ipv4Addr, to: SocketAddr) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect_timeout(&to.into(), PATIENCE).unwrap();
        Client::new(socket.into())
    }

    pub fn new(stream: TcpStream) -> Client {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client {
            stream,
            since: Instant::now(),
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Everything up to a clean end of the stream; a reset fails the test.
    pub fn rest(&mut self) -> Vec<u8> {
        self.try_rest().unwrap()
    }

    pub fn try_rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Says that a program is missing; see [`skipped`].
pub fn missing(program: &str) {
    skipped(&format!("{program} is not installed"));
}

/// Says why a test does nothing; with `FLASHPOLICY_INTEROP=1` it fails.
pub fn skipped(why: &str) {
    assert!(
        std::env::var_os("FLASHPOLICY_INTEROP").is_none_or(|value| value != "1"),
        "{why}, and FLASHPOLICY_INTEROP=1 asks for it"
    );
    println!("skipped: {why}");
}

/// Whether a program is installed. Where it is not, the test says so and passes; with
/// `FLASHPOLICY_INTEROP=1` it fails.
pub fn have(program: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path)
            .chain(["/usr/sbin".into(), "/sbin".into()])
            .any(|folder| folder.join(program).exists())
    });
    have_it(found, program)
}

/// The same for what is no program of its own, such as a module.
pub fn have_it(found: bool, program: &str) -> bool {
    if !found {
        missing(program);
    }
    found
}

/// A port of 127.0.0.1 that refuses connections until the test or its program listens there.
///
/// It is held by a socket that is bound and does not listen. The kernel then gives the port to no
/// other socket that asks for any port, and a program that names the port may have it, since both
/// set SO_REUSEADDR.
pub fn free_port() -> u16 {
    static HELD: Mutex<Vec<Socket>> = Mutex::new(Vec::new());
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    held.push(socket);
    address.port()
}

/// Runs the test of this name once more, alone in a network of its own, where the kernel's counters
/// count nothing else. True inside that run; false outside, where it has passed or was skipped.
#[cfg(target_os = "linux")]
pub fn in_a_network_of_its_own(test: &str) -> bool {
    if std::env::var_os("FLASHPOLICY_OWN_NETWORK").is_some() {
        return true;
    }
    if !have("unshare") || !have("ip") || !is_root() {
        return false;
    }
    let inner = Command::new("unshare")
        .args(["--net", "sh", "-c"])
        .arg("ip link set lo up && exec \"$0\" --exact \"$1\" --nocapture")
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env("FLASHPOLICY_OWN_NETWORK", "1")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&inner.stdout);
    let errors = String::from_utf8_lossy(&inner.stderr);
    assert!(
        inner.status.success() && output.contains("1 passed"),
        "{output}{errors}"
    );
    print!("{output}");
    false
}

/// One of the kernel's TCP counters, such as `OutRsts`, of this network.
pub fn tcp_counter(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/net/snmp").unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let names = lines.next().unwrap().split(' ');
    let values = lines.next().unwrap().split(' ');
    let value = names
        .zip(values)
        .find(|(found, _)| *found == name)
        .unwrap()
        .1;
    value.parse().unwrap()
}

/// A process that is ended with the test.
pub struct Ends(pub Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether this test may do what only root may; where not, it says so and passes.
#[cfg(target_os = "linux")]
pub fn is_root() -> bool {
    let root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    if !root {
        println!("skipped: needs root");
    }
    root
}

/// The folder of a test process's copy; its number follows.
const COPY_OF: &str = "flashpolicyd-test-";

/// Nothing runs at the end of a test process: the next one removes its copy.
fn remove_copies_of_ended_tests() {
    for entry in fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(COPY_OF));
        let Some(pid) = pid.and_then(|pid| pid.parse::<u32>().ok()) else {
            continue;
        };
        if !Path::new(&format!("/proc/{pid}")).exists() {
            // Another user's stays.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The binary where any user can execute it.
#[cfg(target_os = "linux")]
pub fn copy_for_everybody() -> PathBuf {
    static COPY: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let copy = COPY.get_or_init(|| {
        remove_copies_of_ended_tests();
        let folder = std::env::temp_dir().join(format!("{COPY_OF}{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let copy = folder.join("flashpolicyd");
        // By a process of its own: a file that another test's child has open for writing, if only
        // for a moment, cannot be executed.
        let copied = Command::new("cp").arg(binary_path()).arg(&copy).status();
        assert!(copied.unwrap().success());
        copy
    });
    copy.clone()
}

/// A running `strace` of a server.
pub struct Trace {
    child: Child,
    file: PathBuf,
}

/// Traces some system calls of all threads of the server, from now on.
pub fn trace(server: &Server, calls: &str) -> Trace {
    let file = server.path("strace");
    let mut child = Command::new("strace")
        .args(["-f", "-s", "4096", "-e", &format!("trace={calls}"), "-o"])
        .arg(&file)
        .args(["-p", &server.child.id().to_string()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It says "Process … attached with N threads" once it sees everything.
    let mut errors = child.stderr.take().unwrap();
    let mut said = Vec::new();
    let mut byte = [0];
    while !said.ends_with(b"attached") {
        assert_eq!(errors.read(&mut byte).unwrap(), 1, "strace cannot attach");
        said.push(byte[0]);
    }
    thread::spawn(move || io::copy(&mut errors, &mut io::sink()));
    Trace { child, file }
}

impl Trace {
    /// The calls so far, once they hold `text`.
    pub fn until(&mut self, text: &str) -> String {
        let file = &self.file;
        wait_for(text, || {
            let calls = fs::read_to_string(file).unwrap_or_default();
            calls.contains(text).then_some(calls)
        })
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        signal(self.child.id(), "TERM");
        let _ = self.child.wait();
    }
}

/// A file system of its own, too small for what is to be written; gone with the test.
#[cfg(target_os = "linux")]
pub struct Disk(TempDir);

#[cfg(target_os = "linux")]
impl Disk {
    /// None where this process may not mount.
    pub fn of(bytes: usize) -> Option<Disk> {
        if !is_root() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(folder.path())
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            println!("skipped: cannot mount a tmpfs here");
            return None;
        }
        Some(Disk(folder))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// There are as many files as there may be from now on.
    pub fn take_no_more_files(&self) {
        let used = nix::sys::statvfs::statvfs(self.0.path()).unwrap();
        let used = used.files() - used.files_free();
        let remounted = Command::new("mount")
            .args(["-o", &format!("remount,nr_inodes={used}")])
            .arg(self.0.path())
            .status();
        assert!(remounted.unwrap().success());
    }
}

#[cfg(target_os = "linux")]
impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}
