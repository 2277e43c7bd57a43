//! `start`, `stop`, `restart`, `reload` and `status`: what they print, their exit codes, and what
//! they do where files, users and processes are not as they should be.
#![cfg(target_os = "linux")]

mod support;

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{BUILT_IN, Client, PATIENCE, REQUEST, wait_for};
use tempfile::TempDir;

/// Two users who are not root.
const NOBODY: u32 = 65534;
const SOMEBODY: u32 = 65533;

/// A folder with a configuration, whose server is started and stopped. What is still there of it
/// ends with the test.
struct Service {
    folder: TempDir,
    address: SocketAddr,
    binary: PathBuf,
    user: Option<u32>,
}

/// What a command printed, and its exit code.
#[derive(Debug)]
struct Said {
    code: i32,
    text: String,
    errors: String,
}

impl Said {
    /// The process id behind "process ".
    fn pid(&self) -> u32 {
        let rest = self.text.split("process ").nth(1).unwrap();
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    }

    fn assert(&self, code: i32, text: &str) -> &Said {
        assert!(self.code == code && self.text.contains(text), "{self:?}");
        self
    }

    fn assert_error(&self, code: i32, error: &str) -> &Said {
        assert!(self.code == code && self.errors.contains(error), "{self:?}");
        self
    }
}

impl Service {
    fn new() -> Service {
        let folder = tempfile::tempdir().unwrap();
        let service = Service {
            folder,
            address: SocketAddr::from(([127, 0, 0, 1], support::free_port())),
            binary: support::binary_path().into(),
            user: None,
        };
        service.config("");
        service
    }

    /// For commands of other users: the folder can be read, and the binary executed, by everybody.
    fn for_everybody(mut self) -> Service {
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.folder.path(), mode).unwrap();
        self.binary = support::copy_for_everybody();
        self
    }

    /// The configuration: an address, a pid file, a log, and these lines.
    fn config(&self, lines: &str) {
        let text = format!(
            "listen = {}\npid_file = x.pid\nlog_file = x.log\nlog_level = info\n{lines}\n",
            self.address
        );
        fs::write(self.path("x.conf"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn pid_file(&self) -> PathBuf {
        self.path("x.pid")
    }

    fn socket(&self) -> PathBuf {
        self.path("x.pid.sock")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// A command without the configuration. The end of its output must not wait for the server.
    fn bare(&self, arguments: &[&str]) -> Said {
        finished(self.command(arguments).spawn().unwrap())
    }

    fn call(&self, action: &str) -> Said {
        self.bare(&[action, "--config", "x.conf"])
    }

    fn start(&self) -> u32 {
        let said = self.call("start");
        said.assert(0, "flashpolicyd started (process ");
        said.pid()
    }

    fn ask(&self) -> Vec<u8> {
        let mut client = Client::connect(self.address);
        client.send(REQUEST);
        client
            .try_rest()
            .unwrap_or_else(|error| panic!("{error}; the log: {}", self.log()))
    }

    fn serves(&self, port: &str) -> bool {
        String::from_utf8(self.ask()).unwrap().contains(port)
    }

    /// The servers of this folder.
    fn servers(&self) -> Vec<u32> {
        let here = self.folder.path().canonicalize().unwrap();
        let is_server = |process: &Path| -> Option<u32> {
            let line = fs::read(process.join("cmdline")).ok()?;
            let serves = line.split(|&byte| byte == 0).any(|word| word == b"serve");
            let ours = serves && fs::read_link(process.join("cwd")).ok()? == here;
            let pid = process.file_name()?.to_str()?.parse().ok()?;
            ours.then_some(pid)
        };
        let processes = fs::read_dir("/proc").unwrap();
        processes
            .filter_map(|entry| is_server(&entry.ok()?.path()))
            .collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("x.log")).unwrap_or_default()
    }

    fn assert_nothing_left(&self) {
        let left = self.leftovers();
        assert!(left.is_empty(), "{left:?}");
    }

    /// The files that a server makes beside its configuration and its log.
    fn leftovers(&self) -> Vec<OsString> {
        let files = fs::read_dir(self.folder.path()).unwrap();
        let names = files.map(|file| file.unwrap().file_name());
        names
            .filter(|name| name != "x.conf" && name != "x.log")
            .collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        support::end(&self.servers());
    }
}

fn finished(child: Child) -> Said {
    let output = support::finish(child);
    Said {
        code: output.status.code().unwrap_or(-1),
        text: String::from_utf8_lossy(&output.stdout).into_owned(),
        errors: support::stderr(&output),
    }
}

/// The number of a process that has ended.
fn dead_pid() -> u32 {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

#[test]
fn start_returns_when_clients_are_served_and_says_where() {
    let service = Service::new();
    let said = service.call("start");
    assert_eq!(service.ask(), BUILT_IN);
    let folder = service.folder.path().canonicalize().unwrap();
    let expected = format!(
        "flashpolicyd started (process {}) on {}; configuration {folder}/x.conf; log \
         {folder}/x.log\n",
        said.pid(),
        service.address,
        folder = folder.display(),
    );
    assert_eq!((said.code, said.text.as_str()), (0, expected.as_str()));
    assert_eq!(service.servers(), [said.pid()]);

    let again = service.call("start");
    let running = format!("flashpolicyd is already running (process {})\n", said.pid());
    assert_eq!((again.code, again.text), (0, running));
    assert_eq!(service.servers(), [said.pid()]);

    let stopped = service.call("stop");
    stopped.assert(0, "flashpolicyd stopped after 0.");
    assert_eq!(stopped.pid(), said.pid());
    assert!(service.servers().is_empty());
    service.assert_nothing_left();
    service
        .call("stop")
        .assert(0, "flashpolicyd is already stopped\n");
    service
        .call("status")
        .assert(3, "flashpolicyd is not running");
    service
        .call("reload")
        .assert_error(7, "flashpolicyd is not running");
}

#[test]
fn the_server_leaves_the_session_and_holds_nothing_of_whoever_started_it() {
    let service = Service::new();
    let pid = service.start();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.split(' ').collect();
    // The session, and the terminal that belongs to it.
    assert_eq!((fields[5], fields[6]), (pid.to_string().as_str(), "0"));
    for descriptor in 0..3 {
        // It lets go of the last one when it has said that it serves.
        wait_for("/dev/null in place of what it was started with", || {
            let file = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).ok()?;
            (file == Path::new("/dev/null")).then_some(())
        });
    }
}

#[test]
fn start_shows_the_warnings_of_the_start() {
    let service = Service::new();
    service.config("allow = 10.0.0.5 2002");
    let said = service.call("start");
    said.assert_error(0, "flashpolicyd: warning: ")
        .assert_error(0, "warning[ip-domain]");
    wait_for("the warning in the log", || {
        service.log().contains("warning[ip-domain]").then_some(())
    });
}

#[test]
fn start_shows_the_whole_error_and_leaves_nothing_behind() {
    let service = Service::new();
    let taken = TcpListener::bind(service.address).unwrap();
    let said = service.call("start");
    said.assert_error(1, &format!("cannot listen on {}", service.address))
        .assert_error(1, "ss -ltnp");
    assert_eq!((said.text.as_str(), service.servers().len()), ("", 0));
    drop(taken);

    service.config("workers = 0\ntimeoutt = 3\nlisten = nowhere");
    let said = service.call("start");
    for line in ["x.conf:5: ", "x.conf:6: ", "x.conf:7: "] {
        said.assert_error(2, line);
    }

    service.config("log_file = /dev/stdout");
    let text = fs::read_to_string(service.path("x.conf")).unwrap();
    fs::write(
        service.path("x.conf"),
        text.replace("log_file = x.log\n", ""),
    )
    .unwrap();
    let said = service.call("start");
    said.assert_error(2, "a server in the background has no output");

    service.config("pid_file = nowhere/x.pid");
    let said = service.bare(&["start", "-c", "x.conf", "--pid-file", "nowhere/x.pid"]);
    said.assert_error(2, "set twice");
    service.config("");
    let said = service.bare(&["start", "-c", "x.conf", "--pid-file", "nowhere/x.pid"]);
    said.assert_error(1, "nowhere/x.pid");

    let said = service.bare(&["start", "-c", "missing.conf"]);
    said.assert_error(6, "missing.conf: there is no such configuration file");
    service
        .bare(&["start", "now"])
        .assert_error(2, "not understood: 'now'");
    assert!(service.servers().is_empty());
    service.assert_nothing_left();
}

#[test]
fn start_shows_the_whole_error_also_where_the_disk_is_full() {
    if !support::is_root() || !support::have("unshare") {
        return;
    }
    let service = Service::new();
    let disk = service.path("disk");
    fs::create_dir(&disk).unwrap();
    let script = "mount -t tmpfs -o size=4k none disk && { cat /dev/zero >disk/big; } 2>/dev/null; \
                  exec \"$0\" start -c x.conf --pid-file disk/x.pid";
    let command = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(&service.binary)
        .current_dir(service.folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let said = finished(command.unwrap());
    said.assert_error(
        1,
        "cannot write the pid file disk/x.pid: No space left on device",
    );
    assert!(service.servers().is_empty());
}

#[test]
fn start_and_status_say_that_the_log_cannot_be_written_and_why() {
    let size = 64 * 1024;
    let Some(disk) = support::Disk::of(size) else {
        return;
    };
    fs::write(disk.path("ballast"), vec![0; size]).unwrap();
    let log = disk.path("x.log").display().to_string();
    let service = Service::new();
    let failure = "cannot be written: No space left on device; its lines wait in memory";
    service
        .bare(&["start", "--config", "x.conf", "--log-file", &log])
        .assert(0, "flashpolicyd started (process ")
        .assert_error(0, &format!("warning: the log {failure}"));
    assert_eq!(service.ask(), BUILT_IN);
    let said = service.call("status");
    said.assert(0, &format!("{log}: {failure}\n"));
    let json = || -> Value {
        let said = service.bare(&["status", "--config", "x.conf", "--json"]);
        serde_json::from_str(&said.text).unwrap()
    };
    let said = json()["log_failure"].clone();
    let why = "No space left on device; its lines wait in memory";
    assert_eq!(said, Value::from(why));
    fs::remove_file(disk.path("ballast")).unwrap();
    wait_for("the log to be written", || {
        json()["log_failure"].is_null().then_some(())
    });
    service
        .call("status")
        .assert(0, &format!("log            {log}\n"));
    let written = fs::read_to_string(&log).unwrap();
    assert!(written.contains("Starting server..."), "{written}");
    service.call("stop").assert(0, "stopped");
}

#[test]
fn start_that_is_interrupted_leaves_no_server_behind() {
    let service = Service::new();
    // Some seconds' work for the server: a large policy, under many names.
    let grants = "<allow-access-from domain=\"*.example.com\" to-ports=\"1-1024\"/>".repeat(950);
    let policy = format!("<cross-domain-policy>{grants}</cross-domain-policy>");
    fs::write(service.path("policy.xml"), policy).unwrap();
    let mut lines = String::new();
    for number in 1..=150 {
        let name = format!("{number}.xml");
        symlink("policy.xml", service.path(&name)).unwrap();
        lines.push_str(&format!("listen = 127.0.0.1:0 proxy policy={name}\n"));
    }
    service.config(&lines);
    let start = service.command(&["start", "-c", "x.conf"]).spawn().unwrap();
    let server = wait_for("the server", || service.servers().pop());
    support::signal(start.id(), "TERM");
    let said = finished(start);
    said.assert_error(1, "flashpolicyd: interrupted; it was ended");
    assert!(!Path::new(&format!("/proc/{server}")).exists(), "{said:?}");
}

#[test]
fn status_tells_what_is_served_and_the_figures_and_json_has_the_same() {
    let service = Service::new();
    service.config("allow = *.example.com 2001");
    let pid = service.start();
    for _ in 0..3 {
        service.ask();
    }
    let said = service.call("status");
    said.assert(0, &format!("flashpolicyd is running (process {pid}"))
        .assert(0, &format!("listening on   {}\n", service.address))
        .assert(
            0,
            "Any content from *.example.com may connect to port 2001.\n",
        )
        .assert(0, "running since  20")
        .assert(0, "3 served");
    let said = service.bare(&["status", "-c", "x.conf", "--json"]);
    let json: Value = serde_json::from_str(&said.text).unwrap();
    assert_eq!(said.code, 0);
    assert_eq!(json["running"], true);
    assert_eq!(json["pid"], pid);
    assert_eq!(json["listeners"][0]["address"], service.address.to_string());
    assert_eq!(json["figures"]["served"], 3);
    assert_eq!(json["last_reload"], Value::Null);
    service.call("stop").assert(0, "stopped");
    let said = service.bare(&["status", "-c", "x.conf", "--json"]);
    let json: Value = serde_json::from_str(&said.text).unwrap();
    assert_eq!((said.code, &json["running"]), (3, &Value::Bool(false)));
}

#[test]
fn status_says_that_a_policy_file_changed_and_has_errors_and_that_it_is_right_again() {
    let service = Service::new();
    let policy = service.folder.path().join("p.xml");
    fs::write(&policy, "<cross-domain-policy/>").unwrap();
    service.config("policy_file = p.xml\npolicy_watch = 0.1");
    service.start();
    for (text, took_effect) in [
        ("<cross-domain-policy", false),
        ("<cross-domain-policy/>", true),
    ] {
        fs::write(&policy, text).unwrap();
        wait_for("the status", || {
            let said = service.bare(&["status", "-c", "x.conf", "--json"]);
            let json: Value = serde_json::from_str(&said.text).ok()?;
            (json["last_reload"]["took_effect"] == took_effect).then_some(())
        });
    }
    // A configuration with a mistake would fail a restart, whatever the policy file holds.
    service.config("policy_file = p.xml\npolicy_watch = 0.1\nworker = 1");
    service.call("reload").assert_error(2, "unknown key");
    fs::write(&policy, "<cross-domain-policy> </cross-domain-policy>").unwrap();
    wait_for("the changed policy", || {
        service.log().contains("Changed: ").then_some(())
    });
    let said = service.bare(&["status", "-c", "x.conf", "--json"]);
    let json: Value = serde_json::from_str(&said.text).unwrap();
    assert_eq!(json["last_reload"]["took_effect"], false);
    service.call("stop").assert(0, "stopped");
}

#[test]
fn reload_succeeds_only_if_it_took_effect_and_else_shows_the_servers_error() {
    let service = Service::new();
    service.config("allow = *.example.com 2001");
    let pid = service.start();
    service.config("allow = *.example.com 2002\ntimeout = 2");
    let said = service.call("reload");
    said.assert(
        0,
        &format!("flashpolicyd reloaded (process {pid}): Reloaded "),
    )
    .assert(0, "the policies changed.\n")
    .assert_error(0, "only with a restart: timeout.");
    assert!(service.serves("2002"));

    service.config("allow = *.example.com");
    let said = service.call("reload");
    said.assert_error(2, "Reload failed; the last good configuration goes on:")
        .assert_error(2, "x.conf:5: ");
    assert_eq!(said.text, "");
    assert!(service.serves("2002"));
    let said = service.call("status");
    said.assert(0, "last reload    20")
        .assert(0, "failed: what was served before");

    fs::write(service.path("policy.xml"), "<cross-domain-policy>").unwrap();
    service.config("policy_file = policy.xml");
    let said = service.call("reload");
    said.assert_error(2, "policy.xml:1:");
    assert!(service.serves("2002"));
    service.config("allow = *.example.com 2003");
    service.call("reload").assert(0, "reloaded");
    assert!(service.serves("2003"));
    assert_eq!(service.servers(), [pid]);
}

#[test]
fn a_configuration_with_mistakes_keeps_nobody_from_the_running_server() {
    let service = Service::new();
    let pid = service.start();
    service.config("workers = none");
    let said = service.call("restart");
    let left = format!("the running server (process {pid}) is left as it is");
    said.assert_error(2, "x.conf:5: ").assert_error(2, &left);
    service.call("start").assert_error(2, "x.conf:5: ");
    let said = service.call("status");
    said.assert(0, &format!("flashpolicyd is running (process {pid}"));
    said.assert_error(0, "x.conf:5: ");
    assert_eq!(service.ask(), BUILT_IN);
    let said = service.call("stop");
    said.assert(0, "stopped after")
        .assert_error(0, "x.conf:5: ");
    assert!(service.servers().is_empty());
    service.call("restart").assert_error(2, "x.conf:5: ");
}

#[test]
fn restart_of_a_stopped_server_starts_it() {
    let service = Service::new();
    let said = service.call("restart");
    said.assert(0, "flashpolicyd started (process ");
    assert_eq!(service.ask(), BUILT_IN);
}

/// Asks again and again until the end of `meanwhile`; whoever is connected has to get the policy.
/// Gives how many were answered, and how many were refused.
fn asking_all_the_time(service: &Service, meanwhile: impl FnOnce()) -> (usize, usize) {
    let over = AtomicBool::new(false);
    let address = service.address;
    thread::scope(|scope| {
        let asking: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let (mut asked, mut refused) = (0, 0);
                    while !over.load(Relaxed) {
                        match TcpStream::connect_timeout(&address, PATIENCE) {
                            Ok(stream) => {
                                let mut client = Client::new(stream);
                                client.send(REQUEST);
                                assert_eq!(client.rest(), BUILT_IN);
                                asked += 1;
                            }
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                                refused += 1;
                            }
                        }
                    }
                    (asked, refused)
                })
            })
            .collect();
        // A check that fails ends the clients, too: the scope waits for them.
        let checked = catch_unwind(AssertUnwindSafe(meanwhile));
        over.store(true, Relaxed);
        checked.unwrap_or_else(|failed| resume_unwind(failed));
        let all = asking.into_iter().map(|asking| asking.join().unwrap());
        all.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    })
}

#[test]
fn restart_under_load_resets_nobody_and_leaves_one_server() {
    let service = Service::new();
    let mut old = service.start();
    let (asked, refused) = asking_all_the_time(&service, || {
        for _ in 0..5 {
            let said = service.call("restart");
            let expected = format!("in place of process {old}) on {}; ", service.address);
            said.assert(0, "flashpolicyd restarted (process ")
                .assert(0, &expected);
            assert_ne!(said.pid(), old);
            old = said.pid();
            let number = fs::read_to_string(service.pid_file()).unwrap();
            assert_eq!(number.trim(), old.to_string());
            assert_eq!(service.call("status").pid(), old);
            assert_eq!(service.servers(), [old]);
        }
    });
    println!("{asked} clients answered over 5 restarts, {refused} refused, none lost");
    assert!(asked > 4, "{asked}");
    let said = service.call("stop");
    said.assert(0, "stopped after");
    assert_eq!(said.pid(), old);
    service.assert_nothing_left();
}

#[test]
fn restart_lets_the_new_server_begin_while_the_old_ones_last_client_has_its_deadline() {
    let service = Service::new();
    let old = service.start();
    let mut late = Client::connect(service.address);
    let restarting = service
        .command(&["restart", "-c", "x.conf"])
        .spawn()
        .unwrap();
    wait_for("the new server", || {
        let holder = fs::read_to_string(service.pid_file()).unwrap_or_default();
        let holder: u32 = holder.trim().parse().ok()?;
        (holder != old).then_some(())
    });
    assert_eq!(service.ask(), BUILT_IN);
    assert!(service.servers().contains(&old), "it has a client");
    late.send(REQUEST);
    assert_eq!(late.rest(), BUILT_IN);
    finished(restarting).assert(0, "flashpolicyd restarted (process ");
    assert!(!service.servers().contains(&old));
}

#[test]
fn restart_replaces_a_server_that_became_another_user() {
    if !support::is_root() {
        return;
    }
    let service = Service::new().for_everybody();
    service.config("user = nobody");
    let old = service.start();
    let (asked, _) = asking_all_the_time(&service, || {
        let said = service.call("restart");
        said.assert(0, &format!("in place of process {old})"));
    });
    assert!(asked > 0);
    service.call("status").assert(0, "user nobody");
    service.call("reload").assert(0, "reloaded");
    service.call("stop").assert(0, "stopped after");
    service.assert_nothing_left();
}

#[test]
fn restart_does_not_stop_the_server_where_the_new_one_would_lack_descriptors() {
    let service = Service::new();
    let pid = service.start();
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 40 && exec \"$0\" restart -c x.conf"])
        .arg(&service.binary)
        .current_dir(service.folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let said = finished(command.spawn().unwrap());
    said.assert_error(1, "the limit of open files is 40")
        .assert_error(1, "is left as it is");
    assert_eq!(service.servers(), [pid]);
}

#[test]
fn restart_leaves_a_suspended_server_as_it_is() {
    let service = Service::new();
    let pid = service.start();
    support::signal(pid, "STOP");
    let said = service.call("restart");
    support::signal(pid, "CONT");
    said.assert_error(1, "it is stopped")
        .assert_error(1, "is left as it is");
    assert_eq!(service.ask(), BUILT_IN);
    assert_eq!(service.servers(), [pid]);
}

/// A second signal would end the server at once.
#[test]
fn of_two_stops_at_once_one_signals_and_the_last_client_keeps_its_deadline() {
    let service = Service::new();
    service.start();
    let mut late = Client::connect(service.address);
    let asked = format!(
        "{}: Connection accepted.",
        late.stream.local_addr().unwrap()
    );
    wait_for("the client", || {
        service.log().contains(&asked).then_some(())
    });
    let stop = || service.command(&["stop", "-c", "x.conf"]).spawn().unwrap();
    let first = stop();
    wait_for("the stop", || {
        service.log().contains("Stopping server...").then_some(())
    });
    let second = stop();
    let restart = service.call("restart");
    assert!(restart.code <= 1, "{restart:?}");
    late.send(REQUEST);
    assert_eq!(late.rest(), BUILT_IN);
    for stopped in [first, second] {
        finished(stopped).assert(0, "stopped");
    }
    assert!(
        !service.log().contains("Stopped at once"),
        "{}",
        service.log()
    );
}

/// In a folder that another user may write, anybody can answer there.
#[test]
fn what_answers_on_the_control_socket_and_holds_no_pid_file_is_left_alone() {
    let service = Service::new();
    // This test itself: a signal would end it.
    let socket = UnixListener::bind(service.socket()).unwrap();
    service.call("stop").assert(0, "already stopped");
    service.call("status").assert(3, "not running");
    drop(socket);
}

#[test]
fn restart_does_not_stop_the_server_where_the_program_is_missing() {
    let service = Service::new();
    let pid = service.start();
    fs::copy(&service.binary, service.path("copy")).unwrap();
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "exec 3<copy; rm copy; exec /proc/self/fd/3 restart -c x.conf",
        ])
        .current_dir(service.folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let said = finished(command.spawn().unwrap());
    said.assert_error(5, "cannot execute ");
    assert_eq!(service.servers(), [pid]);
    assert_eq!(service.ask(), BUILT_IN);
}

/// In another folder it would serve the built-in policy in place of the configured one.
#[test]
fn restart_that_finds_another_configuration_is_refused_unless_it_is_named() {
    let service = Service::new();
    service.config("allow = *.example.com 2001");
    fs::rename(service.path("x.conf"), service.path("flashpolicy.conf")).unwrap();
    let pid_file = service.pid_file();
    let pid_file = pid_file.to_str().unwrap();
    let started = service.bare(&["start"]);
    started.assert(0, "flashpolicyd started (process ");
    let elsewhere = tempfile::tempdir().unwrap();
    let restart = |more: &[&str]| {
        let mut command = service.command(&["restart", "--pid-file", pid_file]);
        finished(command.args(more).current_dir(&elsewhere).spawn().unwrap())
    };
    let file = service.path("flashpolicy.conf").canonicalize().unwrap();
    let file = file.to_str().unwrap();
    let refused = restart(&[]);
    refused
        .assert_error(2, &format!("restart -c {file}"))
        .assert_error(2, "is left as it is");
    assert_eq!(service.servers(), [started.pid()]);
    assert!(service.serves("2001"));
    restart(&["-c", file]).assert(0, "flashpolicyd restarted (process ");
    assert!(service.serves("2001"));
    // Where the server is, nothing has to be named.
    service
        .bare(&["restart"])
        .assert(0, "flashpolicyd restarted");
}

#[test]
fn restart_that_fails_leaves_the_running_server_and_its_socket_as_they_are() {
    let service = Service::new();
    let pid = service.start();
    fs::write(service.path("policy.xml"), "<cross-domain-policy>").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    for (lines, code, error) in [
        ("policy_file = policy.xml".to_string(), 2, "policy.xml"),
        (
            "user = nobody-of-this-name".into(),
            2,
            "there is no such user",
        ),
        (format!("listen = {taken}"), 1, "cannot listen on"),
        ("log_level = loud".into(), 2, "x.conf:4"),
    ] {
        service.config(&lines);
        let said = service.call("restart");
        said.assert_error(code, error);
        let left = format!("the running server (process {pid}) is left as it is");
        said.assert_error(code, &left);
        assert_eq!(service.servers(), [pid], "{lines}");
        assert_eq!(service.call("status").pid(), pid, "{lines}");
        assert_eq!(service.ask(), BUILT_IN);
    }
}

#[test]
fn the_readme_shows_what_is_printed() {
    let readme = include_str!("../README.md");
    let shape = |text: &str| -> String {
        let shown = text.replace(|c: char| c.is_ascii_digit(), "0");
        let mut shape = shown;
        while shape.contains("00") {
            shape = shape.replace("00", "0");
        }
        shape
    };
    let service = Service::new();
    let here = format!(
        "{}/",
        service.folder.path().canonicalize().unwrap().display()
    );
    let mut lines = Vec::new();
    for action in ["start", "reload", "restart", "stop"] {
        if action == "reload" {
            service.config("allow = *.example.com 2001");
        }
        let said = service.call(action);
        assert_eq!(said.code, 0, "{said:?}");
        lines.push(format!("$ flashpolicyd {action}"));
        let text = said.text.trim_end();
        lines.push(
            text.replace(&service.address.to_string(), "[::]:843")
                .replace(
                    &format!("configuration {here}x.conf"),
                    "configuration /etc/flashpolicy.conf",
                )
                .replace("Reloaded x.conf", "Reloaded /etc/flashpolicy.conf")
                .replace(&format!("log {here}x.log"), "log /var/log/flashpolicy.log"),
        );
    }
    let shown = lines.join("\n");
    assert!(shape(readme).contains(&shape(&shown)), "{shown}");
}

#[test]
fn the_socket_belongs_to_the_server_alone_and_answers_only_status_and_reload() {
    let service = Service::new();
    service.start();
    let socket = fs::symlink_metadata(service.socket()).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.mode() & 0o7777, 0o600);
    for request in [&b"stop\n"[..], b"\0\xff\n", &[b'x'; 100_000]] {
        let mut stream = UnixStream::connect(service.socket()).unwrap();
        // A long one may be cut off while it is sent.
        let _ = std::io::Write::write_all(&mut stream, request);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = std::io::Read::read_to_string(&mut stream, &mut answer);
        assert!(!answer.contains("\"status\":"), "{answer}");
    }
    // Clients that hang keep nobody from an answer for longer than their own two seconds.
    let _hanging: Vec<_> = (0..30)
        .map(|_| UnixStream::connect(service.socket()).unwrap())
        .collect();
    wait_for("the status", || {
        (service.call("status").code == 0).then_some(())
    });
    assert_eq!(service.ask(), BUILT_IN);
}

#[test]
fn a_server_that_was_suspended_is_named_so_within_two_seconds_and_not_trusted() {
    let service = Service::new();
    service.config("timeout = 0.1");
    let pid = service.start();
    support::signal(pid, "STOP");
    let begun = Instant::now();
    let said = service.call("status");
    // Two seconds and what a busy host takes.
    assert!(begun.elapsed() < Duration::from_secs(6));
    said.assert(4, &format!("it is stopped (state T); 'kill -CONT {pid}'"));
    service.call("reload").assert_error(4, "state T");
    service
        .call("start")
        .assert(0, "already running")
        .assert(0, "state T");
    let said = service.call("stop");
    said.assert_error(
        1,
        &format!("process {pid} is still there after two SIGTERM"),
    )
    .assert_error(1, "state T")
    .assert_error(1, &format!("kill -KILL {pid}"));
    assert_eq!(service.servers(), [pid]);
    support::signal(pid, "CONT");
    wait_for("its end", || service.servers().is_empty().then_some(()));
}

#[test]
fn stop_waits_for_the_last_client() {
    let service = Service::new();
    service.config("timeout = 1.5");
    service.start();
    let mut silent = Client::connect(service.address);
    // Clients are accepted in the order of their connections: the silent client has arrived.
    assert_eq!(service.ask(), BUILT_IN);
    let begun = Instant::now();
    let said = service.call("stop");
    let took = begun.elapsed();
    said.assert(0, "flashpolicyd stopped after ");
    assert_eq!(silent.rest(), b"");
    assert!(took > Duration::from_millis(500), "{took:?}");
}

#[test]
fn a_stale_pid_file_and_a_stale_socket_are_no_obstacle() {
    let service = Service::new();
    for content in ["", "\n", "0\n", dead_pid().to_string().as_str()] {
        fs::write(service.pid_file(), content).unwrap();
        drop(UnixListener::bind(service.socket()).unwrap());
        service.call("status").assert(3, "not running");
        service.call("reload").assert_error(7, "not running");
        let pid = service.start();
        assert_eq!(service.call("status").pid(), pid);
        service.call("stop").assert(0, "stopped after");
        service.assert_nothing_left();
    }
    let pid = service.start();
    support::signal(pid, "KILL");
    // The system takes a process apart piece by piece: its lock may outlive its name.
    wait_for("its end", || {
        (service.call("status").code == 3).then_some(())
    });
    service.call("status").assert(3, "not running");
    service.call("stop").assert(0, "already stopped");
    service.assert_nothing_left();
}

#[test]
fn another_process_whose_number_is_in_the_pid_file_is_left_alone() {
    let service = Service::new();
    let mut sleep = support::Ends(Command::new("sleep").arg("600").spawn().unwrap());
    fs::write(service.pid_file(), sleep.0.id().to_string()).unwrap();
    service.call("status").assert(3, "not running");
    service.call("stop").assert(0, "already stopped");
    fs::write(service.pid_file(), sleep.0.id().to_string()).unwrap();
    assert_ne!(service.start(), sleep.0.id());
    service.call("stop").assert(0, "stopped");
    assert!(sleep.0.try_wait().unwrap().is_none());
}

#[test]
fn a_file_that_is_no_pid_file_or_no_socket_is_refused_by_name_and_left_as_it_is() {
    let service = Service::new();
    let victim = service.path("victim");
    fs::write(&victim, "1\n").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
    let before = fs::metadata(&victim).unwrap();
    let put = |kind: &str, at: &Path| match kind {
        "link" => symlink(&victim, at).unwrap(),
        "folder" => fs::create_dir(at).unwrap(),
        "text" => fs::write(at, "not a number").unwrap(),
        "fifo" => {
            let made = Command::new("mkfifo").arg(at).status().unwrap();
            assert!(made.success());
        }
        _ => unreachable!(),
    };
    for kind in ["link", "folder", "text", "fifo"] {
        for (at, name) in [
            (service.pid_file(), "x.pid"),
            (service.socket(), "x.pid.sock"),
        ] {
            put(kind, &at);
            let said = service.call("start");
            let failed = said.code == 1 || said.code == 4;
            assert!(
                failed && said.errors.contains(name),
                "{kind} {name}: {said:?}"
            );
            assert!(service.servers().is_empty(), "{kind} {name}");
            let status = service.call("status");
            assert!([3, 4].contains(&status.code), "{kind} {name}: {status:?}");
            let stop = service.call("stop");
            assert!([0, 4].contains(&stop.code), "{kind} {name}: {stop:?}");
            assert!(fs::symlink_metadata(&at).is_ok(), "{kind} {name}");
            let _ = fs::remove_file(&at).or_else(|_| fs::remove_dir(&at));
        }
    }
    let after = fs::metadata(&victim).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "1\n");
    assert_eq!((before.mode(), before.uid()), (after.mode(), after.uid()));
    let long = format!("{}.pid", "x".repeat(200));
    let said = service.bare(&["start", "-c", "x.conf", "--pid-file", &long]);
    said.assert_error(1, "a socket's can have 107 at the most");
}

#[test]
fn of_several_starts_at_once_one_serves_and_the_others_say_that_it_runs() {
    let service = Service::new();
    for _ in 0..8 {
        let start = || service.command(&["start", "-c", "x.conf"]).spawn().unwrap();
        let all: Vec<_> = (0..5).map(|_| start()).collect();
        let all: Vec<_> = all.into_iter().map(finished).collect();
        let started = |said: &&Said| said.text.contains("flashpolicyd started (process ");
        assert_eq!(all.iter().filter(started).count(), 1, "{all:?}");
        for said in all.iter().filter(|said| !started(said)) {
            said.assert(0, "flashpolicyd is already running (process ");
        }
        service.call("stop").assert(0, "stopped after");
    }
}

#[test]
fn a_server_whose_pid_file_was_removed_is_not_called_stopped() {
    let service = Service::new();
    let pid = service.start();
    fs::remove_file(service.pid_file()).unwrap();
    let said = service.call("stop");
    said.assert_error(1, &format!("process {pid} was not stopped; "))
        .assert_error(1, &format!("'kill -TERM {pid}' stops it"));
    assert_eq!(service.ask(), BUILT_IN);
    support::signal(pid, "TERM");
    wait_for("its end", || service.servers().is_empty().then_some(()));
}

#[test]
fn a_listener_without_a_pid_file_is_not_called_stopped() {
    let service = Service::new();
    let _listener = TcpListener::bind(service.address).unwrap();
    let said = service.call("status");
    said.assert(4, &format!("something listens on {}", service.address));
    service.call("stop").assert(0, "has no pid file here");
    service.call("reload").assert_error(7, "stops on Ctrl-C");
}

#[test]
fn the_server_of_root_is_seen_by_others_and_not_stopped() {
    if !support::is_root() {
        return;
    }
    let mut service = Service::new().for_everybody();
    let pid = service.start();
    service.user = Some(SOMEBODY);
    let said = service.call("status");
    said.assert(4, &format!("process {pid} of user root"))
        .assert(4, "only root and the server's own user may ask it");
    let said = service.call("reload");
    said.assert_error(4, "only root and the server's own user may ask it");
    let said = service.call("stop");
    said.assert_error(4, &format!("cannot stop process {pid} of user root"));
    service.call("start").assert(0, "already running");
    assert_eq!(service.servers(), [pid]);
    service.user = None;
    service.call("stop").assert(0, "stopped");
}

#[test]
fn a_server_that_became_another_user_is_asked_and_stopped_by_root_and_leaves_nothing() {
    if !support::is_root() {
        return;
    }
    let mut service = Service::new().for_everybody();
    service.config("user = nobody\nallow = *.example.com 2001");
    let pid = service.start();
    let socket = fs::symlink_metadata(service.socket()).unwrap();
    assert_eq!((socket.uid(), socket.mode() & 0o7777), (NOBODY, 0o600));
    service.call("status").assert(0, "user nobody");
    service.config("user = nobody\nallow = *.example.com 2002");
    service.call("reload").assert(0, "the policies changed");
    assert!(service.serves("2002"));
    // Its own user may ask too.
    service.user = Some(NOBODY);
    service.call("status").assert(0, "user nobody");
    service.user = None;
    let said = service.call("stop");
    said.assert(0, "stopped after");
    assert_eq!(said.pid(), pid);
    service.assert_nothing_left();
}

#[test]
fn the_default_server_of_root_is_named_to_another_user_who_asks_for_none_in_particular() {
    // It takes the place that root's server has by default, in a /run of its own.
    if !support::is_root() || !support::have("unshare") {
        return;
    }
    let service = Service::new().for_everybody();
    let script = format!(
        "mount -t tmpfs none /run && \"$0\" start --listen {address} --log-file none && \
         setpriv --reuid={SOMEBODY} --regid={SOMEBODY} --clear-groups sh -c '\
         HOME=/nowhere; export HOME; \
         \"$0\" status --listen {address}; echo \"= $?\"; \
         \"$0\" stop --listen {address}; echo \"= $?\"; \
         \"$0\" status --listen 127.0.0.1:{free}; echo \"= $?\"' \"$0\"; \
         \"$0\" stop",
        address = service.address,
        free = support::free_port(),
    );
    let command = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .arg(&service.binary)
        .current_dir(service.folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let said = finished(command.unwrap());
    let codes: Vec<_> = said
        .text
        .lines()
        .filter(|line| line.starts_with('='))
        .collect();
    assert_eq!(codes, ["= 4", "= 4", "= 3"], "{said:?}");
    said.assert(0, "of user root, pid file /run/flashpolicyd.pid")
        .assert(
            0,
            "of user root is another flashpolicyd, with the pid file /run/",
        )
        .assert_error(0, "nothing was done: process ")
        .assert(0, "flashpolicyd stopped after");
}

#[test]
fn a_user_who_is_not_root_has_a_pid_file_at_home_and_needs_a_home() {
    if !support::is_root() {
        return;
    }
    let mut service = Service::new().for_everybody();
    chown(service.folder.path(), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    service.user = Some(SOMEBODY);
    let listen = service.address.to_string();
    let said = service.bare(&["start", "--listen", &listen]);
    said.assert(0, "started");
    let pid = said.pid();
    let file = service.path(".flashpolicyd.pid");
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{pid}\n"));
    let said = service.bare(&["status", "--listen", &listen]);
    said.assert(0, &format!("process {pid}"));
    service
        .bare(&["stop", "--listen", &listen])
        .assert(0, "stopped");
    assert!(!file.exists());

    let mut homeless = service.command(&["start", "--listen", &listen]);
    homeless.env_remove("HOME").env_remove("XDG_RUNTIME_DIR");
    let said = finished(homeless.spawn().unwrap());
    said.assert_error(6, "--pid-file");
    let mut elsewhere = service.command(&["start", "--listen", &listen]);
    elsewhere.env_remove("HOME");
    elsewhere.env("XDG_RUNTIME_DIR", service.folder.path());
    finished(elsewhere.spawn().unwrap()).assert(0, "started");
    assert!(service.path("flashpolicyd.pid").exists());
}

#[test]
fn a_port_that_needs_root_has_the_exit_code_for_that() {
    let allowed = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if !support::is_root() || allowed.unwrap_or_default().trim() != "1024" {
        return;
    }
    let mut service = Service::new().for_everybody();
    chown(service.folder.path(), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    service.user = Some(SOMEBODY);
    let said = service.bare(&["start", "--listen", "127.0.0.1:1"]);
    said.assert_error(4, "cannot listen on 127.0.0.1:1: Permission denied");
    // The server in the foreground has its own codes.
    let said = service.bare(&["serve", "--listen", "127.0.0.1:1"]);
    said.assert_error(1, "cannot listen on 127.0.0.1:1: Permission denied");
}

#[test]
fn a_plain_serve_writes_no_pid_file_that_nobody_configured() {
    let service = Service::new();
    let listen = service.address.to_string();
    let mut server = service.command(&["serve", "--listen", &listen]);
    let mut server = support::Ends(server.env_remove("HOME").spawn().unwrap());
    wait_for("the server", || {
        std::net::TcpStream::connect(service.address).ok()
    });
    let names = service.leftovers();
    assert!(
        names.iter().all(|name| name == "flashpolicy.log"),
        "{names:?}"
    );
    assert!(server.0.try_wait().unwrap().is_none());
}
