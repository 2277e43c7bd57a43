//! Operating the server: rotation of the log, statistics, privileges.

#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use support::{BUILT_IN, Server, Setup, wait_for};

/// How many clients the log files of this server say were served, over all rotated files.
fn lines_in(files: &[PathBuf], text: &str) -> usize {
    files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .map(|log| log.matches(text).count())
        .sum()
}

fn logs_of(server: &Server) -> Vec<PathBuf> {
    let entries = fs::read_dir(server.folder.path()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.to_string_lossy().contains("flashpolicy.log"))
        .collect()
}

#[test]
fn the_log_is_rotated_by_size_and_the_oldest_goes() {
    let mut server = Setup::new()
        .line("log_level = debug")
        .line("log_max_size = 20K")
        .line("log_keep = 3")
        .start();
    for _ in 0..1500 {
        assert_eq!(server.ask(), BUILT_IN);
    }
    assert!(server.stop().success());
    let mut names: Vec<_> = logs_of(&server)
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let expected: Vec<_> = ["", ".1", ".2", ".3"]
        .map(|n| format!("flashpolicy.log{n}"))
        .into();
    assert_eq!(names, expected);
    for path in logs_of(&server) {
        let log = fs::read_to_string(&path).unwrap();
        assert!(log.len() <= 20_000, "{path:?} has {} bytes", log.len());
        assert!(
            log.ends_with('\n') && log.starts_with("20"),
            "whole lines only"
        );
    }
    assert!(server.log().contains("Totals: 1500 accepted, 1500 served"));
}

#[test]
fn rotation_loses_no_line_and_doubles_none() {
    let mut server = Setup::new()
        .line("log_level = debug")
        .line("log_max_size = 50K")
        .line("log_keep = 100")
        .start();
    for _ in 0..3000 {
        assert_eq!(server.ask(), BUILT_IN);
    }
    assert!(server.stop().success());
    let logs = logs_of(&server);
    assert!(logs.len() > 5, "{logs:?}");
    assert_eq!(lines_in(&logs, "Policy sent."), 3000);
    assert_eq!(lines_in(&logs, "Connection accepted."), 3000);
}

#[test]
fn a_log_that_was_moved_away_is_made_anew_within_a_second_also_without_clients() {
    let server = Server::start();
    fs::rename(server.path("flashpolicy.log"), server.path("old")).unwrap();
    wait_for("a new log", || {
        server.path("flashpolicy.log").exists().then_some(())
    });
}

#[test]
fn a_log_that_may_not_be_moved_is_emptied_when_it_is_full_and_what_goes_is_counted() {
    if !support::is_root() {
        return;
    }
    let mut server = open_to_all(Setup::new().line("log_level = debug"))
        .line("user = nobody")
        .line("log_max_size = 10K")
        .start();
    server.logged("[WARN] the log flashpolicy.log cannot be rotated");
    for _ in 0..500 {
        assert_eq!(server.ask(), BUILT_IN);
    }
    assert!(server.stop().success());
    let log = server.log();
    assert!(log.len() <= 20_000, "{} bytes", log.len());
    assert!(log.starts_with("20") && log.ends_with('\n'), "whole lines");
    assert!(!server.path("flashpolicy.log.1").exists());
    assert!(!server.path("flashpolicy.log.new").exists());
    // What is left is the end, without a gap, and what is not is counted.
    let sent = log.matches("Policy sent.").count();
    let totals = log.lines().rfind(|line| line.contains("Totals: ")).unwrap();
    let lost = totals.split(" log lines lost").next().unwrap();
    let lost: usize = lost.rsplit(' ').next().unwrap().parse().unwrap();
    // Two lines for each client; the start's lines and those about the log go as well.
    let dropped = 500 * 2 - log.matches("Connection accepted").count() - sent;
    assert!(
        lost >= dropped && lost < dropped + 60,
        "{lost} counted, {dropped} of the clients' gone"
    );
}

#[test]
fn check_says_that_the_configured_user_cannot_rotate_or_reload() {
    if !support::is_root() {
        return;
    }
    let server = open_to_all(Setup::new()).line("user = nobody").start();
    let path = |name: &str| server.path(name);
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(path("flashpolicy.conf"), private).unwrap();
    let output = support::run_in(server.folder.path(), &["check"]);
    let said = String::from_utf8_lossy(&output.stdout);
    for expected in [
        "warning[out-of-reach]: flashpolicy.conf cannot be read as the configured user: a reload will fail",
        "warning[out-of-reach]: the log flashpolicy.log cannot be rotated",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    std::os::unix::fs::chown(server.folder.path(), Some(65534), None).unwrap();
    std::os::unix::fs::chown(path("flashpolicy.conf"), Some(65534), None).unwrap();
    let output = support::run_in(server.folder.path(), &["check", "-c", "./flashpolicy.conf"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!said.contains("cannot be r"), "{said}");
}

/// Runs the real logrotate five times over a server's log, a hundred clients each time.
fn rotated_by_logrotate(config: impl Fn(&Server) -> String) {
    let mut server = Setup::new()
        .line("log_level = debug")
        .line("log_max_size = 0")
        .start();
    let file = server.path("logrotate.conf");
    fs::write(&file, config(&server)).unwrap();
    for round in 1..=5 {
        for _ in 0..100 {
            assert_eq!(server.ask(), BUILT_IN);
        }
        // With copytruncate, what is written between copy and truncation is lost by logrotate's
        // own doing: there is nothing to be written then.
        wait_for("the last lines", || {
            let sent = lines_in(&logs_of(&server), "Policy sent.");
            (sent == 100 * round).then_some(())
        });
        let rotated = Command::new("logrotate")
            .args(["--force", "--state"])
            .arg(server.path("state"))
            .arg(&file)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&rotated.stderr).into_owned();
        assert!(rotated.status.success(), "{errors}");
    }
    assert!(server.stop().success());
    let logs = logs_of(&server);
    assert_eq!(logs.len(), 6, "{logs:?}");
    assert_eq!(lines_in(&logs, "Policy sent."), 500);
    assert_eq!(lines_in(&logs, "Connection accepted."), 500);
}

#[test]
fn the_shipped_logrotate_file_takes_the_log_away_and_no_line_is_lost() {
    if support::have("logrotate") {
        let shipped = include_str!("../scripts/flashpolicyd.logrotate");
        // The second part is for a user that this host need not have.
        let (shipped, _) = shipped.split_once("\n# The log of systemd's unit").unwrap();
        rotated_by_logrotate(|server| {
            let text = shipped.replace("/var/log/flashpolicy.log", &server.log.to_string_lossy());
            let plain = text.replace("compress\n", "\n").replace("delay\n", "\n");
            format!("su root root\n{plain}")
        });
    }
}

#[test]
fn logrotate_with_sighup_loses_no_line() {
    if support::have("logrotate") {
        rotated_by_logrotate(|server| {
            format!(
                "{} {{\n rotate 50\n su root root\n postrotate\n  kill -HUP {}\n endscript\n}}\n",
                server.log.display(),
                server.child.id()
            )
        });
    }
}

#[test]
fn logrotate_with_copytruncate_loses_no_line() {
    if support::have("logrotate") {
        rotated_by_logrotate(|server| {
            let log = server.log.display();
            format!("{log} {{\n rotate 50\n copytruncate\n su root root\n}}\n")
        });
    }
}

#[test]
fn the_statistics_are_logged_on_sigusr1_and_every_interval() {
    let server = Setup::new().line("stats_interval = 1s").start();
    assert_eq!(server.ask(), BUILT_IN);
    server.logged("[INFO] Statistics: 1 accepted, 1 served");
    let on_request = Setup::new().line("stats_interval = 0").start();
    assert_eq!(on_request.ask(), BUILT_IN);
    on_request.signal("USR1");
    let line = on_request.logged("[INFO] Statistics: 1 accepted, 1 served");
    assert!(line.contains(" here"), "{line}");
    assert_eq!(on_request.log().matches("Statistics:").count(), 1);
}

/// The value of a metric in the file.
fn metric(file: &str, name: &str) -> Option<f64> {
    let line = file.lines().find(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(' '))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn the_statistics_file_agrees_with_the_clients_own_count() {
    let mut server = Setup::new().line("stats_file = fp.prom").start();
    for _ in 0..20 {
        assert_eq!(server.ask(), BUILT_IN);
    }
    for _ in 0..3 {
        let mut client = server.connect();
        client.send(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(client.rest(), b"");
    }
    let file = server.path("fp.prom");
    server.signal("USR1");
    let text = wait_for("the figures", || {
        let text = fs::read_to_string(&file).ok()?;
        let all = metric(&text, "flashpolicyd_connections_accepted_total") == Some(23.0)
            && metric(&text, "flashpolicyd_connections_here") == Some(0.0);
        if !all {
            // A connection that is only being closed is still here for a moment.
            server.signal("USR1");
        }
        all.then_some(text)
    });
    for (name, value) in [
        ("flashpolicyd_connections_ended_total{end=\"served\"}", 20.0),
        (
            "flashpolicyd_connections_ended_total{end=\"not a request\"}",
            3.0,
        ),
        ("flashpolicyd_answer_seconds_count", 20.0),
        ("flashpolicyd_log_lines_lost_total", 0.0),
        ("flashpolicyd_connections_here", 0.0),
    ] {
        assert_eq!(metric(&text, name), Some(value), "{name} in {text}");
    }
    assert!(!server.path("fp.prom.new").exists());
    assert!(server.stop().success());
    let last = fs::read_to_string(&file).unwrap();
    assert_eq!(
        metric(&last, "flashpolicyd_connections_here"),
        Some(0.0),
        "{last}"
    );
}

#[test]
fn the_statistics_file_is_valid_for_prometheus() {
    let parser = "import sys\n\
        from prometheus_client.parser import text_string_to_metric_families as parse\n\
        families = list(parse(sys.stdin.read()))\n\
        assert len(families) == 16, [family.name for family in families]\n\
        kinds = {family.type for family in families}\n\
        assert kinds == {'counter', 'gauge', 'histogram'}, kinds\n";
    let python = ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        let found = Command::new(python)
            .args(["-c", "import prometheus_client"])
            .output();
        found.is_ok_and(|output| output.status.success())
    });
    let Some(python) = python else {
        support::missing("python3 with prometheus_client");
        return;
    };
    let mut server = Setup::new().line("stats_file = fp.prom").start();
    assert_eq!(server.ask(), BUILT_IN);
    assert!(server.stop().success());
    let file = fs::File::open(server.path("fp.prom")).unwrap();
    let checked = Command::new(python)
        .args(["-c", parser])
        .stdin(file)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{errors}");
}

#[test]
fn a_statistics_file_that_cannot_be_written_is_a_warning_and_no_more() {
    let server = Setup::new()
        .line("stats_file = no/such/folder.prom")
        .start();
    server.logged("[WARN] Cannot write the statistics to no/such/folder.prom: No such file");
    assert_eq!(server.ask(), BUILT_IN);
    assert_eq!(
        server.log().matches("Cannot write the statistics").count(),
        1
    );
}

/// A folder that every user may enter, with a configuration that every user may read.
fn open_to_all(setup: Setup) -> Setup {
    let open = |mode| <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(mode);
    fs::set_permissions(setup.folder.path(), open(0o755)).unwrap();
    setup
}

/// The fields of /proc/PID/status.
fn status_of(server: &Server, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap();
    line.trim_start_matches(':')
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn as_nobody_nothing_of_root_is_left_and_reload_and_restart_work() {
    if !support::is_root() {
        return;
    }
    let mut server = open_to_all(Setup::new())
        .line("user = nobody")
        .line("pid_file = x.pid")
        .line("allow = a.example 2001")
        .start();
    for thread in fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap() {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap()
                .split_whitespace()
                .map(String::from)
                .collect::<Vec<_>>()
        };
        assert_eq!(field("Uid:"), ["65534"; 4]);
        assert_eq!(field("Gid:"), ["65534"; 4]);
        assert_eq!(field("Groups:"), ["65534"]);
        assert_eq!(field("CapEff:"), ["0000000000000000"]);
        assert_eq!(field("CapPrm:"), ["0000000000000000"]);
    }
    assert!(!server.log().contains("Running as root"));
    let config = format!("listen = {}\nallow = a.example 2002", server.address());
    fs::write(server.path("flashpolicy.conf"), config).unwrap();
    server.signal("HUP");
    server.logged("the policies changed");
    assert!(
        server
            .ask()
            .ends_with(b"to-ports=\"2002\" /></cross-domain-policy>\0")
    );
    // The log belongs to the new user, so a new one of its own can follow where it may create one.
    assert_eq!(
        fs::metadata(&server.log)
            .map(|m| std::os::unix::fs::MetadataExt::uid(&m))
            .unwrap(),
        65534
    );
    assert!(server.stop().success());
    fs::remove_file(&server.log).unwrap();
    let folder = std::mem::replace(&mut server.folder, tempfile::tempdir().unwrap());
    let again = Setup::in_folder(folder);
    let again = again.line("user = nobody").line("pid_file = x.pid").start();
    assert_eq!(again.ask(), BUILT_IN);
    assert_eq!(status_of(&again, "Uid"), "65534 65534 65534 65534");
}

#[test]
fn as_nobody_it_cannot_read_what_only_root_may() {
    if !support::is_root() {
        return;
    }
    let server = open_to_all(Setup::new())
        .line("user = nobody")
        .line("group = 65534")
        .start();
    let config = format!("listen = {}\npolicy_file = /etc/shadow", server.address());
    fs::write(server.path("flashpolicy.conf"), config).unwrap();
    server.signal("HUP");
    server.logged("cannot read the policy: Permission denied");
    assert_eq!(server.ask(), BUILT_IN);
}

#[test]
fn running_on_as_root_is_a_warning() {
    if support::is_root() {
        Server::start().logged("[WARN] Running as root. Set 'user'");
    }
}

#[test]
fn an_unknown_user_or_group_is_an_error_before_a_port_is_bound() {
    for (lines, expected) in [
        (
            "user = nosuchuser",
            "user = nosuchuser: there is no such user in /etc/passwd",
        ),
        (
            "group = nosuchgroup",
            "group = nosuchgroup: there is no such group in /etc/group",
        ),
        (
            "user = 3999999",
            "user = 3999999: /etc/passwd knows no user with this number",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let config = format!("listen = 127.0.0.1:0\n{lines}\n");
        fs::write(folder.path().join("flashpolicy.conf"), config).unwrap();
        let output = support::run_in(folder.path(), &[]);
        assert_eq!(output.status.code(), Some(2));
        let errors = support::stderr(&output);
        assert!(errors.contains(expected), "{errors}");
        let checked = support::run_in(folder.path(), &["check"]);
        assert_eq!(checked.status.code(), Some(2));
        let said = String::from_utf8_lossy(&checked.stdout);
        assert!(said.contains(expected), "{said}");
    }
}
