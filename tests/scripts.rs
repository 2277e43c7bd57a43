//! `scripts/flashpolicyd.sh` under the shells of a minimal host, and the static binary of
//! `scripts/build-static.sh`.
#![cfg(target_os = "linux")]

mod support;

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use support::{BUILT_IN, Client, Ends, REQUEST, stderr, wait_for};
use tempfile::TempDir;

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
        };
        fs::create_dir(place.at("scripts")).unwrap();
        fs::copy(script("flashpolicyd.sh"), place.script()).unwrap();
        symlink(support::binary_path(), place.at("flashpolicyd")).unwrap();
        place.config("");
        if let Shell::Busybox = shell {
            place.use_tools_of_busybox();
        }
        for (name, value) in [
            ("FLASHPOLICYD_CONFIG", place.at("flashpolicy.conf")),
            ("FLASHPOLICYD_PIDFILE", place.at("the server.pid")),
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
        let list = String::from_utf8(list.stdout).unwrap();
        let busybox = program("busybox");
        // Some versions list themselves.
        let others = list.lines().filter(|tool| *tool != "busybox");
        for tool in others.chain(["busybox"]) {
            symlink(&busybox, tools.join(tool)).unwrap();
        }
        self.path = tools.into();
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn script(&self) -> PathBuf {
        self.at("scripts/flashpolicyd.sh")
    }

    fn config(&self, lines: &str) {
        let text = format!("listen = 127.0.0.1:0\n{lines}\n");
        fs::write(self.at("flashpolicy.conf"), text).unwrap();
    }

    fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.unset(name);
        self.environment.push((name, value.into()));
    }

    fn unset(&mut self, name: &str) {
        self.environment.retain(|(known, _)| *known != name);
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

    /// The address of the server whose log this is; the log is moved away, so that the next server
    /// has one of its own.
    fn address_in(&self, log: &Path) -> SocketAddr {
        let address = wait_for("the server's address", || {
            support::listening(&fs::read_to_string(log).unwrap_or_default()).pop()
        });
        fs::rename(log, log.with_extension("old")).unwrap();
        address
    }

    fn assert_serves(&self) {
        let address = self.address_in(&self.at("flashpolicy.log"));
        assert_eq!(ask(address), BUILT_IN);
    }

    /// The servers that have this place's folder in their command line.
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
}

impl Drop for Place {
    fn drop(&mut self) {
        support::end(&self.servers());
    }
}

/// What the script said, and its exit code.
#[derive(Debug)]
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
    fn assert(&self, code: i32, text: &str) {
        assert!(self.code == code && self.text.contains(text), "{self:?}");
    }

    fn assert_error(&self, code: i32, error: &str) {
        assert!(self.code == code && self.errors.contains(error), "{self:?}");
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

#[test]
fn every_action_is_the_servers_own_with_its_words_and_exit_codes() {
    under_each_shell(|place| {
        place.call(&["status"]).assert(3, "is not running");
        place.call(&["try-restart"]).assert(0, "");
        place.call(&["reload"]).assert_error(7, "is not running");
        place.call(&["start"]).assert(0, "flashpolicyd started (");
        let log = place.at("flashpolicy.log");
        let address = place.address_in(&log);
        assert_eq!(ask(address), BUILT_IN);
        place.call(&["start"]).assert(0, "is already running");
        place.call(&["status"]).assert(0, "flashpolicyd is running");
        for (action, port) in [("reload", "2001"), ("force-reload", "2002")] {
            place.config(&format!("allow = a.example {port}"));
            place.call(&[action]).assert(0, "flashpolicyd reloaded (");
            let policy = String::from_utf8(ask(address)).unwrap();
            assert!(policy.contains(port), "{policy}");
        }
        place.config("workers = none");
        for action in ["reload", "restart", "try-restart"] {
            place.call(&[action]).assert_error(2, ":2: workers = none");
        }
        assert_eq!(place.servers().len(), 1);
        place.config("");
        place
            .call(&["stop"])
            .assert(0, "flashpolicyd stopped after");
        assert!(place.servers().is_empty());
        place.call(&["stop"]).assert(0, "is already stopped");
        place.call(&["restart"]).assert(0, "flashpolicyd started (");
        place
            .call(&["stop"])
            .assert(0, "flashpolicyd stopped after");
    });
}

#[test]
fn a_server_that_is_not_there_or_cannot_be_executed_is_named_with_what_to_do() {
    under_each_shell(|mut place| {
        let server = place.at("no server");
        place.set("FLASHPOLICYD_BIN", &server);
        let missing = format!(
            "there is no server {}; set FLASHPOLICYD_BIN",
            server.display()
        );
        place.call(&["start"]).assert_error(5, &missing);
        fs::write(&server, "").unwrap();
        let not_executable = format!("{} is not executable; try: chmod +x", server.display());
        place.call(&["start"]).assert_error(5, &not_executable);

        // Also where it was found and not named.
        place.unset("FLASHPOLICYD_BIN");
        let found = place.at("flashpolicyd");
        fs::remove_file(&found).unwrap();
        fs::copy(support::binary_path(), &found).unwrap();
        fs::set_permissions(&found, fs::Permissions::from_mode(0o644)).unwrap();
        if !Path::new("/usr/sbin/flashpolicyd").exists() {
            place
                .call(&["start"])
                .assert_error(5, "is not executable; try: chmod +x");
        }
        place.set("FLASHPOLICYD_BIN", support::binary_path());
        place.set("FLASHPOLICYD_DIR", place.at("no folder"));
        place
            .call(&["start"])
            .assert_error(1, "no folder to run in; set FLASHPOLICYD_DIR");
    });
}

#[test]
fn the_pid_file_of_the_configuration_counts_where_none_is_set() {
    under_each_shell(|mut place| {
        place.unset("FLASHPOLICYD_PIDFILE");
        place.config("pid_file = museum.pid");
        place.call(&["start"]).assert(0, "started");
        let pid = fs::read_to_string(place.at("museum.pid")).unwrap();
        assert_eq!(place.servers(), [pid.trim().parse::<u32>().unwrap()]);
        place.call(&["stop"]).assert(0, "stopped");
    });
}

#[test]
fn a_wrong_call_gets_the_usage() {
    under_each_shell(|place| {
        for arguments in [&[][..], &["begin"], &["start", "now"], &[""]] {
            let said = place.call(arguments);
            said.assert_error(2, "usage: flashpolicyd.sh start|stop|restart|");
            assert_eq!(said.text, "");
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
            place.call_as(link, &["start"]).assert(0, "started");
            place.assert_serves();
            place.call_as(link, &["stop"]).assert(0, "stopped");
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
        place.call_as(&service, &["start"]).assert(0, "started");
        place.assert_serves();
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
        place.call(&["start"]).assert(0, "started");
        let address = place.address_in(&place.at("logs/other.log"));
        assert_eq!(ask(address), BUILT_IN);
        place.call(&["stop"]).assert(0, "stopped");
        place.unset("FLASHPOLICYD_CONFIG");
        place
            .call(&["start"])
            .assert_error(6, "/nowhere: there is no such");
    });
}

#[test]
fn the_openrc_script_has_the_server_do_it() {
    under_each_shell(|place| {
        let (log, pid) = (place.at("x.log"), place.at("x.pid"));
        place.config(&format!(
            "log_file = {}\npid_file = {}",
            log.display(),
            pid.display()
        ));
        // What openrc-run would do, in order.
        let calls = place.at("calls");
        let text = format!(
            "ebegin() {{ :; }}\neend() {{ return \"$1\"; }}\n\
             cfgfile='{}'\n. '{}'\ncommand='{}' own_pidfile='{}'\n\
             try() {{ \"$@\"; echo \"= $?\"; }}\n\
             server start; try start_pre; try start_post; try status; try reload; try checkconfig\n\
             echo 'wrokers = 4' >>\"$cfgfile\"\n\
             try checkconfig; RC_CMD=restart; try stop_pre; RC_CMD=stop; try stop_pre\n\
             server stop; try status\n",
            place.at("flashpolicy.conf").display(),
            script("flashpolicyd.openrc").display(),
            support::binary_path(),
            pid.display(),
        );
        fs::write(&calls, text).unwrap();
        let said = place.call_as(&calls, &[]);
        let outcomes: Vec<_> = said.text.lines().filter(|l| l.starts_with('=')).collect();
        let expected = [
            "= 0", "= 0", "= 0", "= 0", "= 0", "= 1", "= 1", "= 0", "= 3",
        ];
        assert_eq!(outcomes, expected, "{said:?}");
        assert!(said.errors.contains("unknown key 'wrokers'"), "{said:?}");
        let words = [
            "started (",
            "is running (",
            "reloaded (",
            "stopped after",
            "not running",
        ];
        for word in words {
            assert!(said.text.contains(word), "{word}: {said:?}");
        }
    });
}

/// A copy of the sources that `scripts/package.sh` needs, where building is only a copy.
fn sources(place: &Place) -> PathBuf {
    let sources = place.at("sources");
    let mut copy = Command::new("cp");
    copy.arg("-R")
        .args(["Cargo.toml", "LICENSE", "README.md"])
        .args(["flashpolicy.conf", "scripts"])
        .arg(&sources)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    fs::create_dir(&sources).unwrap();
    assert!(copy.status().unwrap().success());
    let build = "#!/bin/sh\nmkdir -p target/static && echo binary >target/static/flashpolicyd\n";
    fs::write(sources.join("scripts/build-static.sh"), build).unwrap();
    sources
}

#[test]
fn the_tarball_is_whole_or_the_script_that_makes_it_fails() {
    under_each_shell(|mut place| {
        let sources = sources(&place);
        place.set("CARGO", "true");
        let package = sources.join("scripts/package.sh");
        let said = place.call_as(&package, &["--tarball-only"]);
        said.assert(0, ".tar.gz");
        let packages = sources.join("target/package");
        let names: Vec<_> = fs::read_dir(&packages)
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|path| path.to_string_lossy().contains(".tar"))
            .collect();
        assert_eq!(names.len(), 1, "{names:?}");
        let listed = Command::new("tar")
            .arg("-tzf")
            .arg(&names[0])
            .output()
            .unwrap();
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        for file in [
            "/flashpolicyd\n",
            "/scripts/flashpolicyd.sh\n",
            "/README.md\n",
        ] {
            assert!(listed.contains(file), "{listed}");
        }
        // A tar and a gzip that fail; busybox takes its own, whatever $PATH says.
        if let Shell::Busybox = place.shell {
            return;
        }
        for tool in ["tar", "gzip"] {
            let broken = place.at("broken");
            fs::create_dir_all(&broken).unwrap();
            fs::write(broken.join(tool), "#!/bin/sh\nexit 1\n").unwrap();
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(broken.join(tool), mode).unwrap();
            let mut path = broken.clone().into_os_string();
            path.push(":");
            path.push(&place.path);
            let good = std::mem::replace(&mut place.path, path);
            assert_ne!(
                place.call_as(&package, &["--tarball-only"]).code,
                0,
                "{tool}"
            );
            place.path = good;
            fs::remove_file(broken.join(tool)).unwrap();
        }
    });
}

#[test]
fn the_zip_has_the_program_for_windows_or_the_error_names_what_makes_it() {
    under_each_shell(|mut place| {
        let sources = sources(&place);
        let build =
            "#!/bin/sh\nmkdir -p target/windows && echo pe >target/windows/flashpolicyd.exe\n";
        fs::write(sources.join("scripts/build-windows.sh"), build).unwrap();
        place.set("CARGO", "true");
        let package = sources.join("scripts/package.sh");
        let said = place.call_as(&package, &["--tarball-only", "--windows"]);
        // busybox has none.
        if let Shell::Busybox = place.shell {
            return said.assert_error(1, "there is no zip");
        }
        if !support::have("zip") {
            return;
        }
        let folder = concat!(
            "flashpolicyd-",
            env!("CARGO_PKG_VERSION"),
            "-windows-x86_64"
        );
        said.assert(0, &format!("/{folder}.zip"));
        let zip = fs::read(sources.join(format!("target/package/{folder}.zip"))).unwrap();
        let zip = String::from_utf8_lossy(&zip);
        // Each name stands before its file and in the directory at the end.
        for file in ["flashpolicyd.exe", "README.md", "LICENSE"] {
            let name = format!("{folder}/{file}");
            assert_eq!(zip.matches(&name).count(), 2, "{file}");
        }
    });
}

#[test]
fn a_version_without_an_entry_gets_one_in_the_changelog() {
    if !support::have("dpkg-deb") {
        return;
    }
    under_each_shell(|mut place| {
        let sources = sources(&place);
        let manifest = fs::read_to_string(sources.join("Cargo.toml")).unwrap();
        let version = concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"");
        let manifest = manifest.replacen(version, "version = \"77.0.0\"", 1);
        fs::write(sources.join("Cargo.toml"), manifest).unwrap();
        place.set("CARGO", "true");
        let mut path = std::env::var_os("PATH").unwrap();
        std::mem::swap(&mut path, &mut place.path);
        let said = place.call_as(
            &sources.join("scripts/package.sh"),
            &["--target=aarch64-x-linux"],
        );
        said.assert(0, "flashpolicyd_77.0.0-1_arm64.deb");
        let deb = sources.join("target/package/flashpolicyd_77.0.0-1_arm64.deb");
        let list = Command::new("sh")
            .args([
                "-c",
                "dpkg-deb -x \"$0\" x && zcat x/usr/share/doc/*/changelog.Debian.gz",
            ])
            .arg(deb)
            .current_dir(place.root.path())
            .output()
            .unwrap();
        let changes = String::from_utf8_lossy(&list.stdout);
        assert!(changes.starts_with("flashpolicyd (77.0.0-1) "), "{changes}");
        let old = concat!("\nflashpolicyd (", env!("CARGO_PKG_VERSION"), "-1) ");
        assert!(changes.contains(old), "{changes}");
    });
}

#[test]
fn a_binary_for_another_processor_is_that_one_or_there_is_an_error() {
    under_each_shell(|mut place| {
        let build = place.at("sources/scripts/build-static.sh");
        sources(&place);
        fs::copy(script("build-static.sh"), &build).unwrap();
        // It builds what it is asked for, as far as the name goes.
        let cargo = place.at("cargo");
        let text = "#!/bin/sh\nwhile [ $# -gt 0 ]; do\n\
                    case $1 in --target) triple=$2 ;; --target-dir) folder=$2 ;; esac\nshift\ndone\n\
                    mkdir -p \"$folder/$triple/release\"\n\
                    echo \"for $triple\" >\"$folder/$triple/release/flashpolicyd\"\n";
        fs::write(&cargo, text).unwrap();
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
        place.set("CARGO", cargo);
        place.set("RUSTC", program("rustc"));
        for home in ["RUSTUP_HOME", "CARGO_HOME"] {
            if let Some(value) = std::env::var_os(home) {
                place.set(home, value);
            }
        }
        let mut path = std::env::var_os("PATH").unwrap();
        std::mem::swap(&mut path, &mut place.path);
        let own_home = std::env::var_os("HOME").unwrap_or_default();
        place.set("HOME", own_home);
        let binary = place.at("sources/target/static/flashpolicyd");
        for arguments in [
            &["--target", "other-unknown-linux-gnu"][..],
            &["--offline", "--target=other-unknown-linux-gnu"],
        ] {
            place
                .call_as(&build, arguments)
                .assert_error(1, "there is no linker for other-unknown-linux-gnu");
            assert!(!binary.exists());
        }
        place.set("CARGO_TARGET_OTHER_UNKNOWN_LINUX_GNU_LINKER", "cc");
        let said = place.call_as(
            &build,
            &["--offline", "--target", "other-unknown-linux-gnu"],
        );
        said.assert(0, ": static, for other-unknown-linux-gnu, ");
        let built = fs::read_to_string(&binary).unwrap();
        assert_eq!(built, "for other-unknown-linux-gnu\n");
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
    let begin = format!("{}: static, for ", binary.display());
    assert!(said.text.starts_with(&begin), "{}", said.text);
    assert!(
        said.text.ends_with(&format!(", {bytes} bytes\n")),
        "{}",
        said.text
    );
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
        assert!(server.0.try_wait().unwrap().is_none(), "the server ended");
        let log = fs::read_to_string(root.path().join("flashpolicy.log"));
        support::listening(&log.unwrap_or_default()).pop()
    });
    assert_eq!(ask(address), BUILT_IN);
}
