//! `scripts/flashpolicyd.sh` under the shells of a minimal host, and the static binary of
//! `scripts/build-static.sh`.
#![cfg(target_os = "linux")]

mod support;

use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{chown, symlink, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use support::{stderr, wait_for, Client, BUILT_IN, REQUEST};
use tempfile::TempDir;

/// Some user who is not root.
const NOBODY: u32 = 65534;

/// A shell to run the script with, and the programs that it finds there.
#[derive(Clone, Copy)]
enum Shell {
    Dash,
    /// With busybox's own tools instead of the system's.
    Busybox,
}

/// Runs the test under each shell of this host.
fn under_each_shell(test: impl Fn(Place)) {
    for (program, shell) in [("dash", Shell::Dash), ("busybox", Shell::Busybox)] {
        if support::have(program) {
            println!("under {program}:");
            test(Place::new(shell));
        }
    }
}

/// A folder with a copy of the script, the server and its configuration, where one server is
/// started and stopped. What is still there of it ends with the test.
struct Place {
    shell: Shell,
    root: TempDir,
    environment: Vec<(&'static str, OsString)>,
    path: OsString,
    user: Option<u32>,
}

impl Place {
    fn new(shell: Shell) -> Place {
        let root = tempfile::Builder::new()
            .prefix("with a blank ")
            .tempdir()
            .unwrap();
        let mut place = Place {
            shell,
            root,
            environment: Vec::new(),
            path: std::env::var_os("PATH").unwrap(),
            user: None,
        };
        fs::create_dir(place.at("scripts")).unwrap();
        fs::copy(script("flashpolicyd.sh"), place.script()).unwrap();
        symlink(support::binary_path(), place.at("flashpolicyd")).unwrap();
        place.config("listen = 127.0.0.1:0");
        if let Shell::Busybox = shell {
            place.use_tools_of_busybox();
        }
        for (name, value) in [
            ("FLASHPOLICYD_CONFIG", place.at("flashpolicy.conf")),
            ("FLASHPOLICYD_PIDFILE", place.pid_file()),
            ("FLASHPOLICYD_DEFAULTS", "/dev/null".into()),
        ] {
            place.set(name, value);
        }
        place
    }

    fn use_tools_of_busybox(&mut self) {
        let tools = self.at("tools");
        fs::create_dir(&tools).unwrap();
        let list = Command::new("busybox").arg("--list").output().unwrap();
        let busybox = program("busybox");
        for tool in String::from_utf8(list.stdout).unwrap().lines() {
            symlink(&busybox, tools.join(tool)).unwrap();
        }
        symlink(&busybox, tools.join("busybox")).unwrap();
        self.path = tools.into();
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn script(&self) -> PathBuf {
        self.at("scripts/flashpolicyd.sh")
    }

    fn pid_file(&self) -> PathBuf {
        self.at("the server.pid")
    }

    fn config(&self, text: &str) {
        fs::write(self.at("flashpolicy.conf"), text).unwrap();
    }

    fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.unset(name);
        self.environment.push((name, value.into()));
    }

    fn unset(&mut self, name: &str) {
        self.environment.retain(|(known, _)| *known != name);
    }

    /// Opening its configuration waits for somebody who writes it.
    fn make_the_server_hang(&mut self) {
        let fifo = self.at("fifo");
        let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        self.set("FLASHPOLICYD_CONFIG", fifo);
    }

    /// A server that ends at once and says nothing.
    fn use_dumb_server(&mut self) {
        let dumb = self.at("dumb server");
        fs::write(&dumb, "#!/bin/sh\nexit 3\n").unwrap();
        fs::set_permissions(&dumb, fs::Permissions::from_mode(0o755)).unwrap();
        self.set("FLASHPOLICYD_BIN", dumb);
    }

    /// Everything here belongs to a user who is not root, and so does what is run from now on.
    fn belongs_to_nobody(&mut self) {
        for file in [self.root.path().to_owned(), self.at("flashpolicy.conf")] {
            chown(file, Some(NOBODY), None).unwrap();
        }
        self.user = Some(NOBODY);
    }

    fn command(&self, script: &Path, arguments: &[&str]) -> Command {
        let mut command = match self.shell {
            Shell::Dash => Command::new(program("dash")),
            Shell::Busybox => {
                let mut busybox = Command::new(program("busybox"));
                busybox.arg("sh");
                busybox
            }
        };
        command
            .arg(script)
            .args(arguments)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.root.path())
            .envs(self.environment.iter().cloned())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(user) = self.user {
            command.uid(user);
        }
        command
    }

    /// Calls the script; the end of its output, too, must not wait for the server that it started.
    fn call(&self, arguments: &[&str]) -> Said {
        self.call_as(&self.script(), arguments)
    }

    fn call_as(&self, script: &Path, arguments: &[&str]) -> Said {
        let child = self.command(script, arguments).spawn().unwrap();
        Said::from(&support::finish(child))
    }

    /// Starts the server and gives its process id.
    fn start(&self) -> u32 {
        let said = self.call(&["start"]);
        assert_eq!((said.code, said.errors.as_str()), (0, ""), "{}", said.text);
        let pid = said.pid();
        assert_eq!(said.text, format!("flashpolicyd started (process {pid})\n"));
        pid
    }

    /// The address of the server whose log this is; the log is moved away, so that the next server
    /// has one of its own.
    fn address_in(&self, log: &Path) -> SocketAddr {
        let address = wait_for("the server's address", || {
            support::listening(&fs::read_to_string(log).unwrap_or_default()).pop()
        });
        fs::rename(log, log.with_extension("old")).unwrap();
        address
    }

    fn address(&self) -> SocketAddr {
        self.address_in(&self.at("flashpolicy.log"))
    }

    fn assert_serves(&self) {
        assert_eq!(ask(self.address()), BUILT_IN);
    }

    /// The processes that have this place's folder in their command line, other than shells.
    fn servers(&self) -> Vec<u32> {
        let here = self.root.path().as_os_str().as_encoded_bytes();
        let is_server = |process: &Path| -> Option<u32> {
            let line = fs::read(process.join("cmdline")).ok()?;
            let ours = line.windows(here.len()).any(|window| window == here);
            let serves = line.split(|&byte| byte == 0).any(|word| word == b"serve");
            let pid = process.file_name()?.to_str()?.parse().ok()?;
            (ours && serves).then_some(pid)
        };
        let processes = fs::read_dir("/proc").unwrap();
        processes
            .filter_map(|entry| is_server(&entry.ok()?.path()))
            .collect()
    }

    /// The names of the files here that the script left behind.
    fn leftovers(&self) -> Vec<OsString> {
        let files = fs::read_dir(self.root.path()).unwrap();
        files
            .map(|file| file.unwrap().file_name())
            .filter(|name| name.to_string_lossy().contains(".pid"))
            .collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for pid in self.servers() {
            let _ = Command::new("sh")
                .args(["-c", &format!("kill -KILL {pid}")])
                .status();
        }
    }
}

/// What the script said, and its exit code.
struct Said {
    code: i32,
    text: String,
    errors: String,
}

impl From<&Output> for Said {
    fn from(output: &Output) -> Said {
        Said {
            code: output.status.code().unwrap(),
            text: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: stderr(output),
        }
    }
}

impl Said {
    /// The process id in a sentence that ends in '(process N)'.
    fn pid(&self) -> u32 {
        let number = self.text.rsplit_once("(process ").unwrap().1;
        number.trim_end().trim_end_matches(')').parse().unwrap()
    }
}

/// A process that ends with the test.
struct Ends(Child);

impl Ends {
    fn sleep() -> Ends {
        Ends(Command::new("sleep").arg("600").spawn().unwrap())
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The path of a program, whatever $PATH the script gets.
fn program(name: &str) -> PathBuf {
    std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|folder| folder.join(name))
        .find(|file| file.exists())
        .unwrap()
}

fn ask(address: SocketAddr) -> Vec<u8> {
    let mut client = Client::connect(address);
    client.send(REQUEST);
    client.rest()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("scripts")
        .join(name)
}

/// The id of a process that has ended.
fn dead_pid() -> u32 {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

#[test]
fn start_returns_with_the_ports_bound_and_stop_and_restart_do_what_they_say() {
    under_each_shell(|place| {
        let said = place.call(&["status"]);
        let file = place.pid_file();
        assert_eq!(said.code, 3);
        assert_eq!(
            said.text,
            format!(
                "flashpolicyd is not running (no pid file {})\n",
                file.display()
            )
        );

        let first = place.start();
        place.assert_serves();
        let said = place.call(&["status"]);
        let running = format!("flashpolicyd is running (process {first})\n");
        assert_eq!((said.code, said.text), (0, running));

        let said = place.call(&["restart"]);
        assert_eq!((said.code, said.errors.as_str()), (0, ""));
        let second = said.pid();
        assert_ne!(first, second);
        assert_eq!(place.servers(), [second]);
        let (stopped, started) = said.text.split_once('\n').unwrap();
        assert!(stopped.ends_with(&format!(" s (process {first})")));
        assert_eq!(
            started,
            format!("flashpolicyd started (process {second})\n")
        );
        let log = fs::read_to_string(place.at("flashpolicy.log")).unwrap();
        assert!(log.contains("Stopping server..."), "{log}");
        place.assert_serves();

        assert_eq!(place.call(&["stop"]).code, 0);
        assert_eq!(place.servers(), []);
        assert_eq!(place.call(&["status"]).code, 3);
        let said = place.call(&["stop"]);
        let stopped = "flashpolicyd is already stopped\n".to_string();
        assert_eq!((said.code, said.text), (0, stopped));
        assert!(place.leftovers().is_empty(), "{:?}", place.leftovers());
    });
}

#[test]
fn restart_of_a_stopped_server_starts_it() {
    under_each_shell(|place| {
        assert_eq!(place.call(&["restart"]).code, 0);
        place.assert_serves();
    });
}

#[test]
fn restart_and_reload_with_a_wrong_configuration_leave_the_server_as_it_is() {
    under_each_shell(|place| {
        let pid = place.start();
        place.config("listen = 127.0.0.1:0\nworkers = none");
        for action in ["restart", "reload"] {
            let said = place.call(&[action]);
            assert_eq!((said.code, said.text.as_str()), (2, ""), "{action}");
            assert!(
                said.errors
                    .contains(":2: error: workers = none: not a whole number"),
                "{}",
                said.errors
            );
            assert_eq!(place.servers(), [pid]);
        }
        place.assert_serves();
    });
}

#[test]
fn reload_takes_the_new_policy_over_and_force_reload_is_the_same() {
    under_each_shell(|place| {
        let said = place.call(&["reload"]);
        assert_eq!(said.code, 7, "{}", said.errors);
        let pid = place.start();
        let address = place.address();
        for (action, port) in [("reload", "2001"), ("force-reload", "2002")] {
            place.config(&format!("listen = 127.0.0.1:0\nallow = a.example {port}"));
            let said = place.call(&[action]);
            assert_eq!((said.code, said.errors.as_str()), (0, ""));
            let granted = format!("to-ports=\"{port}\"");
            wait_for("the new policy", || {
                let policy = String::from_utf8(ask(address)).unwrap();
                policy.contains(&granted).then_some(())
            });
            assert_eq!(place.servers(), [pid]);
        }
    });
}

#[test]
fn status_shows_the_figures_where_there_is_a_file_with_them() {
    under_each_shell(|place| {
        place.config("listen = 127.0.0.1:0\nstats_file = fp.prom\n");
        place.start();
        let address = place.address();
        for _ in 0..3 {
            assert_eq!(ask(address), BUILT_IN);
        }
        let pid = place.servers()[0];
        support::signal(pid, "USR1");
        wait_for("the figures", || {
            let said = place.call(&["status"]);
            assert_eq!((said.code, said.errors.as_str()), (0, ""));
            let row = |name: &str| {
                let row = said
                    .text
                    .lines()
                    .find_map(|line| line.trim().strip_prefix(name))?;
                row.split_whitespace().next()?.parse::<u64>().ok()
            };
            let accepted = row("connections accepted");
            let served = row("policies served");
            (accepted == Some(3) && served == Some(3) && row("workers busy") == Some(0))
                .then_some(())
        });
    });
}

#[test]
fn start_twice_is_not_a_second_server() {
    under_each_shell(|place| {
        let pid = place.start();
        let said = place.call(&["start"]);
        let running = format!("flashpolicyd is already running (process {pid})\n");
        assert_eq!((said.code, said.text), (0, running));
        assert_eq!(place.servers(), [pid]);
        place.assert_serves();
    });
}

#[test]
fn the_server_leaves_the_session_and_the_folder_of_whoever_started_it() {
    under_each_shell(|place| {
        let pid = place.start();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let session = stat.split(' ').nth(5).unwrap();
        assert_eq!(session, pid.to_string());
        let folder = fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
        assert_eq!(folder, place.root.path().canonicalize().unwrap());
    });
}

#[test]
fn start_with_a_port_in_use_shows_the_error_and_fails() {
    under_each_shell(|place| {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        place.config(&format!("listen = {address}"));
        let said = place.call(&["start"]);
        assert_eq!((said.code, said.text.as_str()), (1, ""));
        assert!(said.errors.contains(&address.to_string()));
        assert_eq!(place.servers(), []);
        assert!(place.leftovers().is_empty(), "{:?}", place.leftovers());
    });
}

#[test]
fn start_with_a_wrong_configuration_shows_every_mistake_and_fails() {
    under_each_shell(|place| {
        place.config("workers = 0\ntimeoutt = 3\nlisten = nowhere\n");
        let said = place.call(&["start"]);
        assert_eq!((said.code, said.text.as_str()), (2, ""));
        for line in [":1: workers = 0: ", ":2: unknown key", ":3: listen = "] {
            assert!(said.errors.contains(line), "{}", said.errors);
        }
        assert!(place.leftovers().is_empty(), "{:?}", place.leftovers());
    });
}

#[test]
fn start_does_not_wait_for_ever_for_a_server_that_hangs() {
    under_each_shell(|mut place| {
        place.set("FLASHPOLICYD_START_SECONDS", "1");
        place.make_the_server_hang();
        let said = place.call(&["start"]);
        assert_eq!(said.code, 1);
        assert_eq!(
            said.errors,
            "flashpolicyd.sh: the server had not bound its ports after 1 s and was ended\n"
        );
        assert_eq!(place.servers(), []);
    });
}

#[test]
fn start_that_is_interrupted_leaves_no_server_behind() {
    under_each_shell(|mut place| {
        place.make_the_server_hang();
        let script = place.command(&place.script(), &["start"]).spawn().unwrap();
        wait_for("the server", || place.servers().pop());
        support::signal(script.id(), "TERM");
        assert_eq!(Said::from(&support::finish(script)).code, 1);
        wait_for("its end", || place.servers().is_empty().then_some(()));
        assert!(place.leftovers().is_empty(), "{:?}", place.leftovers());
    });
}

#[test]
fn a_server_that_ends_without_a_word_is_a_failure_with_words() {
    under_each_shell(|mut place| {
        place.use_dumb_server();
        let said = place.call(&["start"]);
        assert_eq!((said.code, said.text.as_str()), (1, ""));
        assert!(said.errors.contains("ended with exit code 3"));
    });
}

#[test]
fn a_stale_number_is_gone_before_the_new_server_could_get_the_same() {
    under_each_shell(|mut place| {
        place.use_dumb_server();
        fs::write(place.pid_file(), dead_pid().to_string()).unwrap();
        assert_eq!(place.call(&["start"]).code, 1);
        assert_eq!(fs::read_to_string(place.pid_file()).unwrap(), "");
    });
}

#[test]
fn start_without_a_server_says_what_to_set() {
    under_each_shell(|mut place| {
        let missing = place.at("no server");
        place.set("FLASHPOLICYD_BIN", &missing);
        let said = place.call(&["start"]);
        let expected = format!(
            "flashpolicyd.sh: there is no server {}; set FLASHPOLICYD_BIN\n",
            missing.display()
        );
        assert_eq!((said.code, said.errors), (5, expected));
    });
}

#[test]
fn start_that_cannot_write_its_pid_file_says_what_to_set() {
    under_each_shell(|mut place| {
        place.set("FLASHPOLICYD_PIDFILE", place.at("no folder/pid"));
        let said = place.call(&["start"]);
        assert_eq!(said.code, 1);
        assert!(said.errors.ends_with("pid; set FLASHPOLICYD_PIDFILE\n"));
        assert_eq!(place.servers(), []);
    });
}

#[test]
fn a_stale_pid_file_is_no_obstacle() {
    under_each_shell(|place| {
        let dead = dead_pid().to_string();
        for content in ["", "\n", "garbage\n", "0\n", "-1\n", "1 2\n", dead.as_str()] {
            fs::write(place.pid_file(), content).unwrap();
            let said = place.call(&["status"]);
            assert_eq!(said.code, 1, "{content:?}: {}", said.text);
            let pid = place.start();
            assert_eq!(place.call(&["stop"]).pid(), pid);

            fs::write(place.pid_file(), content).unwrap();
            let said = place.call(&["stop"]);
            assert_eq!(said.code, 0, "{content:?}: {}", said.text);
            assert!(said.text.contains("removed its stale pid file"));
            assert!(!place.pid_file().exists());
        }
    });
}

#[test]
fn a_killed_server_is_dead_but_its_pid_file_exists() {
    under_each_shell(|place| {
        let pid = place.start();
        support::signal(pid, "KILL");
        wait_for("status 1", || {
            (place.call(&["status"]).code == 1).then_some(())
        });
        let again = place.start();
        assert_ne!(pid, again);
    });
}

#[test]
fn another_program_with_the_number_in_the_pid_file_is_left_alone() {
    under_each_shell(|place| {
        let mut sleep = Ends::sleep();
        let number = sleep.0.id().to_string();
        fs::write(place.pid_file(), &number).unwrap();
        assert_eq!(place.call(&["status"]).code, 1);
        assert_eq!(place.call(&["stop"]).code, 0);
        fs::write(place.pid_file(), &number).unwrap();
        let pid = place.start();
        assert_ne!(pid, sleep.0.id());
        place.assert_serves();
        assert!(sleep.is_alive());
    });
}

#[test]
fn a_server_whose_long_name_the_system_cuts_is_recognised() {
    under_each_shell(|mut place| {
        let long = place.at("policy server of game 7");
        symlink(support::binary_path(), &long).unwrap();
        place.set("FLASHPOLICYD_BIN", long);
        let pid = place.start();
        assert_eq!(place.call(&["status"]).pid(), pid);
        assert_eq!(place.call(&["stop"]).pid(), pid);
    });
}

#[test]
fn status_is_unknown_where_the_pid_file_cannot_be_read() {
    under_each_shell(|place| {
        fs::create_dir(place.pid_file()).unwrap();
        for action in ["status", "start", "stop", "restart"] {
            let said = place.call(&[action]);
            assert_eq!(said.code, 4, "{action}");
            assert!(said.errors.contains("cannot read the pid file"), "{action}");
        }
        assert_eq!(place.servers(), []);
    });
}

#[test]
fn stop_waits_for_the_last_client_and_says_how_long() {
    under_each_shell(|place| {
        place.config("listen = 127.0.0.1:0\ntimeout = 1.5\n");
        let pid = place.start();
        let address = place.address();
        let mut silent = Client::connect(address);
        // Whoever connects later is accepted later: the silent client has arrived.
        assert_eq!(ask(address), BUILT_IN);
        let begun = Instant::now();
        let said = place.call(&["stop"]);
        let took = begun.elapsed();
        assert_eq!((said.code, said.pid()), (0, pid));
        assert_eq!(silent.rest(), b"");
        let seconds = said.text.strip_prefix("flashpolicyd stopped after ");
        let seconds = seconds.unwrap().split(' ').next().unwrap();
        let seconds = Duration::from_secs_f64(seconds.parse().unwrap());
        assert!(seconds > Duration::from_millis(800), "{}", said.text);
        assert!(seconds <= took, "{} {took:?}", said.text);
    });
}

#[test]
fn stop_asks_a_second_time_when_clients_take_too_long() {
    under_each_shell(|mut place| {
        place.set("FLASHPOLICYD_STOP_SECONDS", "1");
        place.config("listen = 127.0.0.1:0\ntimeout = 600\n");
        place.start();
        let address = place.address();
        let _silent = Client::connect(address);
        assert_eq!(ask(address), BUILT_IN);
        let said = place.call(&["stop"]);
        assert_eq!(said.code, 0, "{}", said.errors);
        assert!(said.text.contains(" s, by a second SIGTERM (process "));
        assert_eq!(place.servers(), []);
        assert_eq!(place.call(&["status"]).code, 3);
    });
}

#[test]
fn stop_fails_when_the_server_is_still_there() {
    under_each_shell(|mut place| {
        place.set("FLASHPOLICYD_STOP_SECONDS", "1");
        let pid = place.start();
        support::signal(pid, "STOP");
        let said = place.call(&["restart"]);
        assert_eq!((said.code, said.text.as_str()), (1, ""));
        assert!(said.errors.contains(&format!("kill -KILL {pid}")));
        assert_eq!(place.servers(), [pid]);
        support::signal(pid, "CONT");
        wait_for("the server to end", || {
            place.servers().is_empty().then_some(())
        });
    });
}

#[test]
fn stop_removes_the_pid_file_that_the_server_could_not() {
    under_each_shell(|place| {
        let pid = place.start();
        support::signal(pid, "STOP");
        let script = place.command(&place.script(), &["stop"]).spawn().unwrap();
        wait_for("the script's SIGTERM", || {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            let pending = status.split("ShdPnd:\t").nth(1)?.lines().next()?;
            let pending = u64::from_str_radix(pending, 16).unwrap();
            (pending & 1 << (15 - 1) != 0).then_some(())
        });
        assert!(place.pid_file().exists());
        support::signal(pid, "KILL");
        let said = Said::from(&support::finish(script));
        assert_eq!((said.code, said.pid()), (0, pid));
        assert!(!place.pid_file().exists());
    });
}

#[test]
fn a_server_of_another_user_is_seen_and_not_stopped() {
    if !support::is_root() {
        return;
    }
    under_each_shell(|mut place| {
        let pid = place.start();
        fs::set_permissions(place.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        place.user = Some(NOBODY);
        assert_eq!(place.call(&["status"]).pid(), pid);
        let said = place.call(&["stop"]);
        let refused = format!("flashpolicyd.sh: this user may not stop process {pid}\n");
        assert_eq!((said.code, said.errors), (4, refused));
        assert_eq!(place.servers(), [pid]);
    });
}

#[test]
fn a_wrong_call_gets_the_usage() {
    under_each_shell(|place| {
        for arguments in [&[][..], &["begin"], &["start", "now"], &[""]] {
            let said = place.call(arguments);
            assert_eq!((said.code, said.text.as_str()), (2, ""), "{arguments:?}");
            assert!(said
                .errors
                .contains("usage: flashpolicyd.sh start|stop|restart|reload|status"));
        }
        let said = place.call(&["help"]);
        assert_eq!((said.code, said.errors.as_str()), (0, ""));
        assert!(said.text.starts_with("usage: "));
    });
}

#[test]
fn called_through_links_it_finds_what_lies_beside_it() {
    under_each_shell(|mut place| {
        if Path::new("/etc/flashpolicy.conf").exists() {
            println!("skipped: this host has a configuration of its own");
            return;
        }
        place.unset("FLASHPOLICYD_CONFIG");
        fs::create_dir_all(place.at("etc/init.d")).unwrap();
        fs::create_dir_all(place.at("etc/rc2.d")).unwrap();
        let service = place.at("etc/init.d/flashpolicyd");
        symlink(place.script(), &service).unwrap();
        let runlevel = place.at("etc/rc2.d/S01flashpolicyd");
        symlink("../init.d/flashpolicyd", &runlevel).unwrap();
        for link in [&service, &runlevel] {
            let said = place.call_as(link, &["start"]);
            assert_eq!(said.code, 0, "{}", said.errors);
            place.assert_serves();
            assert_eq!(place.call_as(link, &["stop"]).code, 0);
        }
    });
}

#[test]
fn copied_into_init_d_it_does_not_take_itself_for_the_server() {
    under_each_shell(|mut place| {
        fs::create_dir_all(place.at("etc/init.d")).unwrap();
        let service = place.at("etc/init.d/flashpolicyd");
        fs::copy(place.script(), &service).unwrap();
        // The server is where $PATH says.
        let mut path = place.path.clone();
        path.push(":");
        path.push(place.root.path());
        place.path = path;
        let said = place.call_as(&service, &["start"]);
        assert_eq!(said.code, 0, "{}", said.errors);
        place.assert_serves();
    });
}

#[test]
fn who_is_not_root_has_a_pid_file_at_home() {
    if !support::is_root() {
        return;
    }
    under_each_shell(|mut place| {
        place.unset("FLASHPOLICYD_PIDFILE");
        let said = place.call(&["status"]);
        assert!(said.text.contains("/run/flashpolicyd.pid") || said.code == 0);
        place.belongs_to_nobody();
        // The build's folder may be closed to others.
        fs::remove_file(place.at("flashpolicyd")).unwrap();
        fs::copy(support::binary_path(), place.at("flashpolicyd")).unwrap();
        let pid = place.start();
        let file = place.at(".flashpolicyd.pid");
        assert_eq!(
            fs::read_to_string(&file).unwrap().trim_end(),
            pid.to_string()
        );
        place.assert_serves();
        assert_eq!(place.call(&["stop"]).code, 0);
        assert!(!file.exists());
    });
}

#[test]
fn the_file_of_settings_holds_unless_the_environment_says_otherwise() {
    under_each_shell(|mut place| {
        let settings = place.at("default");
        fs::create_dir(place.at("logs")).unwrap();
        fs::write(
            &settings,
            format!(
                "root='{}'\n\
                 FLASHPOLICYD_CONFIG=/nowhere\n\
                 FLASHPOLICYD_DIR=\"$root/logs\"\n\
                 FLASHPOLICYD_ARGS='--log-file other.log --log-level debug'\n\
                 unset_is_no_mistake=$nothing\n",
                place.root.path().display()
            ),
        )
        .unwrap();
        place.set("FLASHPOLICYD_DEFAULTS", settings);
        place.start();
        let address = place.address_in(&place.at("logs/other.log"));
        assert_eq!(ask(address), BUILT_IN);
        assert_eq!(place.call(&["stop"]).code, 0);
        place.unset("FLASHPOLICYD_CONFIG");
        let said = place.call(&["start"]);
        assert_eq!(said.code, 2);
        assert!(said.errors.contains("/nowhere: cannot read"));
    });
}

#[test]
fn fractions_of_a_second_and_setsid_are_not_needed() {
    if !support::have("busybox") {
        return;
    }
    under_each_shell(|mut place| {
        if let Shell::Dash = place.shell {
            place.use_tools_of_busybox();
        }
        fs::remove_file(place.at("tools/setsid")).unwrap();
        fs::remove_file(place.at("tools/sleep")).unwrap();
        let sleep = place.at("tools/sleep");
        fs::write(
            &sleep,
            "#!/bin/sh\n\
             case $1 in *[!0-9]*) echo 'no fractions' >&2; exit 1;; esac\n\
             exec busybox sleep \"$1\"\n",
        )
        .unwrap();
        fs::set_permissions(&sleep, fs::Permissions::from_mode(0o755)).unwrap();
        let pid = place.start();
        place.assert_serves();
        support::signal(pid, "HUP");
        assert_eq!(place.call(&["status"]).pid(), pid);
        let said = place.call(&["stop"]);
        assert_eq!((said.code, said.errors.as_str()), (0, ""));
    });
}

/// The static binary, built in a folder of its own: cheap unless the sources have changed.
fn build_static() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("static-test");
    let output = Command::new(script("build-static.sh"))
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO", env!("CARGO"))
        .current_dir("/")
        .output()
        .unwrap();
    let said = Said::from(&output);
    assert_eq!(said.code, 0, "{}", said.errors);
    let binary = target.join("static/flashpolicyd");
    let bytes = fs::metadata(&binary).unwrap().len();
    let expected = format!("{}: static, {bytes} bytes\n", binary.display());
    assert_eq!(said.text, expected);
    binary
}

#[test]
fn the_static_binary_serves_with_nothing_but_its_configuration_beside_it() {
    if !support::is_root() || !support::have("chroot") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    fs::copy(build_static(), root.path().join("flashpolicyd")).unwrap();
    let config = root.path().join("flashpolicy.conf");
    fs::write(config, "listen = 127.0.0.1:0\n").unwrap();
    let server = Command::new("chroot")
        .arg(root.path())
        .args(["/flashpolicyd", "--config", "/flashpolicy.conf"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut server = Ends(server);
    let address = wait_for("the server's address", || {
        assert!(server.is_alive(), "the server ended");
        let log = fs::read_to_string(root.path().join("flashpolicy.log"));
        support::listening(&log.unwrap_or_default()).pop()
    });
    assert_eq!(ask(address), BUILT_IN);
}
