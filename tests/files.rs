//! Files in the places of the server's own ones: links, FIFOs, folders and devices that somebody
//! put there change nothing for clients, and nothing behind them is touched.

#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

use support::{BUILT_IN, Server, Setup, run_in, stderr, wait_for};

const NOBODY: u32 = 65534;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn fifo(path: &Path) {
    mkfifo(path, Mode::from_bits_truncate(0o666)).unwrap();
}

/// A folder of the user that the server becomes, and beside it a file that only root may touch.
struct Hostile {
    folder: TempDir,
}

impl Hostile {
    fn new() -> Hostile {
        let folder = tempfile::tempdir().unwrap();
        mode(folder.path(), 0o755);
        fs::create_dir(folder.path().join("theirs")).unwrap();
        chown(folder.path().join("theirs"), Some(NOBODY), Some(NOBODY)).unwrap();
        let hostile = Hostile { folder };
        fs::write(hostile.victim(), "1234\n").unwrap();
        mode(&hostile.victim(), 0o600);
        hostile
    }

    fn victim(&self) -> std::path::PathBuf {
        self.folder.path().join("victim")
    }

    fn put_link(&self, hard: bool) -> std::path::PathBuf {
        let at = self.folder.path().join("theirs/x");
        let _ = fs::remove_file(&at);
        if hard {
            fs::hard_link(self.victim(), &at).unwrap();
        } else {
            symlink(self.victim(), &at).unwrap();
        }
        at
    }

    fn assert_untouched(&self) {
        let victim = fs::metadata(self.victim()).unwrap();
        let found = (victim.uid(), victim.gid(), victim.mode() & 0o7777);
        assert_eq!(found, (0, 0, 0o600));
        assert_eq!(fs::read_to_string(self.victim()).unwrap(), "1234\n");
    }

    fn configure(&self, lines: &str) {
        let config = format!("listen = 127.0.0.1:0\nuser = nobody\n{lines}\n");
        fs::write(self.folder.path().join("flashpolicy.conf"), config).unwrap();
    }
}

#[test]
fn a_link_to_a_file_of_roots_in_the_place_of_the_log_or_pid_file_is_refused() {
    if !support::is_root() {
        return;
    }
    for (lines, code) in [
        ("log_file = theirs/x", 2),
        ("log_file = none\npid_file = theirs/x", 1),
    ] {
        for hard in [false, true] {
            let hostile = Hostile::new();
            let link = hostile.put_link(hard);
            hostile.configure(lines);
            let output = run_in(hostile.folder.path(), &[]);
            let errors = stderr(&output);
            assert_eq!(output.status.code(), Some(code), "{errors}");
            let why = if hard {
                "the file has 2 names"
            } else {
                "it is a symbolic link to "
            };
            assert!(
                errors.contains("theirs/x: ") && errors.contains(why),
                "{errors}"
            );
            hostile.assert_untouched();
            assert!(link.symlink_metadata().is_ok(), "the link is left");
            let checked = run_in(hostile.folder.path(), &["check"]);
            assert_eq!(checked.status.code(), Some(2));
            assert!(stdout(&checked).contains(why), "{}", stdout(&checked));
        }
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_link_to_a_file_of_roots_in_the_place_of_the_statistics_is_told_and_left() {
    if !support::is_root() {
        return;
    }
    for user in ["user = nobody", "user = none"] {
        for (name, hard) in [("x", false), ("x", true), ("x.new", false), ("x.new", true)] {
            let hostile = Hostile::new();
            let link = hostile.put_link(hard);
            let link = if name == "x" {
                link
            } else {
                let new = link.with_file_name(name);
                fs::rename(&link, &new).unwrap();
                new
            };
            let victim = hostile.victim();
            let mut server = Setup::new()
                .line(user)
                .line(format!(
                    "stats_file = {}",
                    link.with_file_name("x").display()
                ))
                .start();
            server.logged("Cannot write the statistics to ");
            assert!(server.log().contains("theirs/x: "), "{}", server.log());
            assert_eq!(server.ask(), BUILT_IN);
            assert!(server.stop().success());
            assert!(link.symlink_metadata().is_ok());
            assert!(victim.exists());
            hostile.assert_untouched();
        }
    }
}

#[test]
fn root_reads_no_file_of_another_user_through_a_users_link() {
    if !support::is_root() {
        return;
    }
    let hostile = Hostile::new();
    let folder = hostile.folder.path();
    let link = hostile.put_link(false);
    symlink("theirs/x", folder.join("roots-link")).unwrap();
    fs::write(folder.join("theirs/own"), "5678\n").unwrap();
    symlink("own", folder.join("theirs/link-to-own")).unwrap();
    for path in [&link, &folder.join("theirs/link-to-own")] {
        lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let said = |arguments: &[&str], file: &str| {
        let output = run_in(folder, &[arguments, &[file]].concat());
        assert_eq!(output.status.code(), Some(2), "{file}");
        stdout(&output) + &stderr(&output)
    };
    let listen = ["--listen", "127.0.0.1:0", "--log-file", "none"];
    for arguments in [
        &["check"][..],
        &["check", "-c"],
        &["policy", "--policy"],
        &[&listen[..], &["--policy"]].concat(),
        &[&listen[..], &["-c"]].concat(),
    ] {
        for file in ["theirs/x", "roots-link"] {
            let said = said(arguments, file);
            assert!(!said.contains("1234"), "{arguments:?}: {said}");
            let why = "theirs/x is a symbolic link of user 65534 to a file of user 0";
            assert!(said.contains(why), "{arguments:?}: {said}");
            assert!(said.contains("name the file itself"), "{said}");
        }
        // Until the target is that user's own.
        let own = |uid| chown(folder.join("theirs/own"), Some(uid), None).unwrap();
        own(0);
        assert!(!said(arguments, "theirs/link-to-own").contains("5678"));
        own(NOBODY);
        assert!(said(arguments, "theirs/link-to-own").contains("5678"));
    }
    // Root's own link, and its file.
    lchown(&link, Some(0), Some(0)).unwrap();
    assert!(said(&["check"], "roots-link").contains("1234"));
    hostile.assert_untouched();
}

#[test]
fn a_users_link_in_the_place_of_the_policy_while_root_serves_it_shows_nothing() {
    if !support::is_root() {
        return;
    }
    let hostile = Hostile::new();
    let policy = hostile.folder.path().join("theirs/x");
    let good = "<cross-domain-policy><allow-access-from domain=\"a.example\" to-ports=\"1\"/>\
                </cross-domain-policy>";
    fs::write(&policy, good).unwrap();
    let mut server = Setup::new()
        .line("user = none")
        .line(format!("policy_file = {}", policy.display()))
        .line("policy_watch = 0.1")
        .start();
    hostile.put_link(false);
    lchown(&policy, Some(NOBODY), None).unwrap();
    server.logged("a symbolic link of user 65534 to a file of user 0");
    assert!(!server.log().contains("1234"), "{}", server.log());
    assert_all_goes_on(&mut server, format!("{good}\0").as_bytes());
}

#[test]
fn a_folder_that_another_user_may_write_leads_nowhere_else() {
    if !support::is_root() {
        return;
    }
    let hostile = Hostile::new();
    fs::create_dir(hostile.folder.path().join("roots")).unwrap();
    symlink("../roots", hostile.folder.path().join("theirs/logs")).unwrap();
    hostile.configure("log_file = theirs/logs/x.log");
    let output = run_in(hostile.folder.path(), &[]);
    let errors = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    let expected = "'logs' on the way to it is a symbolic link that another user may have made";
    assert!(errors.contains(expected), "{errors}");
    assert!(!hostile.folder.path().join("roots/x.log").exists());
}

#[test]
fn a_log_in_the_users_own_folder_is_made_given_away_and_rotated() {
    if !support::is_root() {
        return;
    }
    let hostile = Hostile::new();
    let log = hostile.folder.path().join("theirs/x.log");
    let start = || {
        Setup::new()
            .line("user = nobody")
            .line("log_max_size = 10K")
            .log_file(log.clone())
            .start()
    };
    for _ in 0..2 {
        let mut server = start();
        for _ in 0..100 {
            assert_eq!(server.ask(), BUILT_IN);
        }
        assert!(server.stop().success());
        assert_eq!(fs::metadata(&log).unwrap().uid(), NOBODY);
        assert!(!server.log().contains("rotate"), "{}", server.log());
    }
    assert!(log.with_extension("log.2").exists());
}

#[test]
fn a_log_that_another_user_may_have_put_there_is_written_and_keeps_its_owner() {
    if !support::is_root() {
        return;
    }
    let hostile = Hostile::new();
    let log = hostile.folder.path().join("theirs/x.log");
    fs::rename(hostile.victim(), &log).unwrap();
    let server = Setup::new()
        .line("user = nobody")
        .log_file(log.clone())
        .start();
    server.logged("keeps its owner: another user may have put it there");
    assert_eq!(server.ask(), BUILT_IN);
    server.logged("Policy sent.");
    let found = fs::metadata(&log).unwrap();
    assert_eq!((found.uid(), found.mode() & 0o7777), (0, 0o600));
}

#[test]
fn a_new_log_is_for_its_owner_and_the_group_and_a_umask_takes_more() {
    for (umask, log, pid) in [
        ("0", 0o640, 0o644),
        ("022", 0o640, 0o644),
        ("077", 0o600, 0o600),
    ] {
        let server = Setup::new()
            .line("log_max_size = 10K")
            .line("pid_file = x.pid")
            .through(&["sh", "-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
            .start();
        let rights = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(rights(&server.path("x.pid")), pid);
        assert_eq!(rights(&server.log), log);
        while !server.path("flashpolicy.log.1").exists() {
            assert_eq!(server.ask(), BUILT_IN);
        }
        server.signal("USR1");
        server.logged("Statistics: ");
        assert_eq!(rights(&server.log), log, "also after it was rotated");
    }
}

/// Runs to the end, which has to come soon.
fn soon(folder: &Path, arguments: &[&str]) -> Output {
    let since = Instant::now();
    let output = run_in(folder, arguments);
    // One second is promised.
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
    output
}

#[test]
fn a_fifo_that_is_read_at_the_start_or_by_check_is_an_error_at_once() {
    let folder = tempfile::tempdir().unwrap();
    fifo(&folder.path().join("fifo"));
    let listen = ["--listen", "127.0.0.1:0"];
    for arguments in [
        &["-c", "fifo"][..],
        &["--policy", "fifo"],
        &["check", "fifo"],
        &["check", "-c", "fifo"],
        &["check", "--policy", "fifo"],
        &["--log-file", "fifo"],
        &["check", "--log-file", "fifo"],
        &["policy", "--policy", "fifo"],
    ] {
        let mut arguments = arguments.to_vec();
        if arguments[0] != "check" {
            arguments.extend(listen);
        }
        let output = soon(folder.path(), &arguments);
        let said = stdout(&output) + &stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains("it is a FIFO, and no regular file"), "{said}");
    }
}

/// Serving, the report, and the end are as ever.
fn assert_all_goes_on(server: &mut Server, answer: &[u8]) {
    let reports = server.log().matches("Statistics:").count();
    server.signal("USR1");
    wait_for("the statistics", || {
        (server.log().matches("Statistics:").count() > reports).then_some(())
    });
    assert_eq!(server.ask(), answer);
    let since = Instant::now();
    assert!(server.stop().success());
    assert!(since.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_fifo_or_folder_in_the_place_of_the_policy_while_it_runs_changes_nothing() {
    for make in [fifo, |path: &Path| fs::create_dir(path).unwrap()] {
        let policy = "<cross-domain-policy><allow-access-from domain=\"a.example\" \
                      to-ports=\"1\"/></cross-domain-policy>";
        let mut server = Setup::new()
            .file("p.xml", policy)
            .line("policy_file = p.xml")
            .line("policy_watch = 0.1")
            .start();
        fs::remove_file(server.path("p.xml")).unwrap();
        make(&server.path("p.xml"));
        server.logged("cannot read the policy: it is a ");
        server.signal("HUP");
        server.logged("Reload failed; the last good policies go on:");
        assert_all_goes_on(&mut server, format!("{policy}\0").as_bytes());
    }
}

#[test]
fn a_fifo_in_the_place_of_the_configuration_while_it_runs_changes_nothing() {
    let mut server = Server::start();
    fs::remove_file(server.path("flashpolicy.conf")).unwrap();
    fifo(&server.path("flashpolicy.conf"));
    server.signal("HUP");
    server.logged("flashpolicy.conf: cannot read the configuration file: it is a FIFO");
    assert_all_goes_on(&mut server, BUILT_IN);
}

#[test]
fn a_fifo_or_folder_in_the_place_of_the_statistics_is_told_once_and_changes_nothing() {
    for name in ["fp.prom", "fp.prom.new"] {
        for make in [fifo, |path: &Path| fs::create_dir(path).unwrap()] {
            let setup = Setup::new().line("stats_file = fp.prom");
            make(&setup.path(name));
            let mut server = setup.start();
            server.logged("Cannot write the statistics to fp.prom: ");
            assert_all_goes_on(&mut server, BUILT_IN);
            let told = server.log().matches("Cannot write the statistics").count();
            assert_eq!(told, 1, "{}", server.log());
            assert!(!server.path(name).is_file());
        }
    }
}

#[test]
fn whatever_takes_the_place_of_the_log_while_it_runs_the_lines_go_on() {
    let link = |path: &Path| symlink("/dev/null", path).unwrap();
    for make in [fifo, |path: &Path| fs::create_dir(path).unwrap(), link] {
        let mut server = Server::start();
        assert_eq!(server.ask(), BUILT_IN);
        fs::rename(server.path("flashpolicy.log"), server.path("old")).unwrap();
        make(&server.path("flashpolicy.log"));
        let old = server.path("old");
        let log = || fs::read_to_string(&old).unwrap();
        wait_for("the warning", || {
            log().contains("was moved away").then_some(())
        });
        assert_eq!(server.ask(), BUILT_IN);
        assert!(server.stop().success());
        assert!(log().contains("Totals: 2 accepted, 2 served"), "{}", log());
        assert_eq!(log().matches("was moved away").count(), 1);
    }
}

/// What a server prints whose log is one of its streams.
fn logs_to(path: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    symlink("/dev/stderr", folder.path().join("link")).unwrap();
    let mut child = support::binary()
        .args(["--listen", "127.0.0.1:0", "--log-file", path])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let mut stream: Box<dyn Read> = if path == "/dev/stdout" {
        Box::new(child.stdout.take().unwrap())
    } else {
        Box::new(child.stderr.take().unwrap())
    };
    let mut said = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&said).contains("Listening on") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "it ended");
        said.push(byte[0]);
    }
    support::signal(pid, "TERM");
    stream.read_to_end(&mut said).unwrap();
    let rest = support::finish(child);
    let other = stdout(&rest) + &stderr(&rest);
    (String::from_utf8(said).unwrap(), other)
}

#[test]
fn a_log_on_standard_output_or_error_is_the_open_descriptor() {
    for path in ["/dev/stdout", "/dev/stderr", "link"] {
        let (said, other) = logs_to(path);
        assert_eq!(said.matches("Starting server...").count(), 1, "{said}");
        assert!(said.contains("Totals: 0 accepted"), "{said}");
        assert_eq!(other, "");
    }
}

#[test]
fn root_takes_no_configuration_that_another_user_may_have_put_there() {
    if !support::is_root() {
        return;
    }
    let check = |folder: &Path, arguments: &[&str], sudo: &[(&str, &str)]| {
        Command::new(support::binary_path())
            .arg("check")
            .args(arguments)
            .current_dir(folder)
            .env_remove("SUDO_UID")
            .env_remove("SUDO_GID")
            .envs(sudo.iter().copied())
            .output()
            .unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flashpolicy.conf");
    fs::write(&file, "allow = a.example 1\nlog_file = none\n").unwrap();
    let root = check(folder.path(), &[], &[]);
    assert!(root.status.success(), "{}", stdout(&root));
    // The file of another user, as in a checkout: with sudo it is taken.
    chown(folder.path(), Some(1000), Some(1000)).unwrap();
    chown(&file, Some(1000), Some(1000)).unwrap();
    mode(folder.path(), 0o775);
    let theirs = check(folder.path(), &[], &[]);
    assert_eq!(theirs.status.code(), Some(2));
    let said = stdout(&theirs);
    assert!(said.contains("the file: user 1000 owns it"), "{said}");
    assert!(said.contains("--config ./flashpolicy.conf"), "{said}");
    let named = check(folder.path(), &["--config", "./flashpolicy.conf"], &[]);
    assert!(named.status.success(), "{}", stdout(&named));
    let sudo = [("SUDO_UID", "1000"), ("SUDO_GID", "1000")];
    let called = check(folder.path(), &[], &sudo);
    assert!(called.status.success(), "{}", stdout(&called));
    let other = [("SUDO_UID", "1001"), ("SUDO_GID", "1001")];
    let called = check(folder.path(), &[], &other);
    assert_eq!(called.status.code(), Some(2));
    // Root's file in a folder in which everybody may replace it.
    chown(&file, Some(0), Some(0)).unwrap();
    mode(folder.path(), 0o777);
    for sudo in [&[][..], &sudo] {
        let planted = check(folder.path(), &[], sudo);
        assert_eq!(planted.status.code(), Some(2));
        assert!(
            stdout(&planted).contains("the folder: "),
            "{}",
            stdout(&planted)
        );
    }
}
