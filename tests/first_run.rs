//! The first start, without a configuration: what a terminal shows, and what inetd gets.

#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use support::{BUILT_IN, Ends, Setup, free_port, run_in, signal, stderr, wait_for};

#[test]
fn a_first_start_tells_on_six_lines_what_it_does_and_what_comes_next() {
    if !support::have("script") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let command = format!(
        "stty cols 80; exec {} --listen 127.0.0.1:{port}",
        support::binary_path()
    );
    let shown = folder.path().join("shown");
    let child = Command::new("script")
        .args(["-qfec", &command])
        .arg(&shown)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let _script = Ends(child);
    let text = || {
        let text = fs::read_to_string(&shown).unwrap_or_default();
        text.replace('\r', "")
    };
    wait_for("the introduction", || {
        text().contains("flashpolicyd help\n").then_some(())
    });
    let listening = std::net::TcpStream::connect(("127.0.0.1", port));
    drop(listening.unwrap());
    let shown = wait_for("the client's line", || {
        Some(text()).filter(|text| text.contains("Connection accepted."))
    });
    let (_, shown) = shown.split_once("\nflashpolicyd ").unwrap();
    let (start, _) = shown.split_once("[INFO]").unwrap();
    // Behind it, the time of the first client's line.
    let (start, _) = start.rsplit_once('\n').unwrap();
    assert!(start.lines().count() <= 6, "{start}");
    for part in [
        format!("127.0.0.1:{port}"),
        format!("flashpolicyd probe 127.0.0.1 --port {port}"),
        "Any content from anywhere may connect to any port.".into(),
        "flashpolicy.log".into(),
        "flashpolicyd help config >flashpolicy.conf".into(),
    ] {
        assert!(
            start.replace("\n  ", " ").contains(&part),
            "{part} in {start}"
        );
    }
    // What the terminal was spared is in the log.
    let log = fs::read_to_string(folder.path().join("flashpolicy.log")).unwrap();
    assert!(log.contains("[WARN] No policy is configured"), "{log}");
    let server = wait_for("the server's process", || {
        fs::read_dir("/proc").unwrap().find_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            (line.starts_with(support::binary_path()) && line.contains(&port.to_string()))
                .then_some(pid)
        })
    });
    signal(server, "TERM");
    wait_for("the end", || text().contains("Totals: ").then_some(()));
}

#[test]
fn a_start_without_a_terminal_says_in_one_line_that_it_serves_and_its_warnings() {
    let mut server = Setup::new().stdout(Stdio::piped()).start();
    let address = server.address();
    assert_eq!(server.ask(), BUILT_IN);
    assert!(server.stop().success());
    let mut said = String::new();
    let mut stdout = server.child.stdout.take().unwrap();
    stdout.read_to_string(&mut said).unwrap();
    let expected = format!(
        "flashpolicyd serves (process {}) on {address}; ",
        server.child.id()
    );
    assert!(said.starts_with(&expected), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let mut warned = String::new();
    let mut stderr = server.child.stderr.take().unwrap();
    stderr.read_to_string(&mut warned).unwrap();
    let expected = "flashpolicyd: warning: No policy is configured: the built-in one lets content";
    assert!(warned.contains(expected), "{warned}");
}

#[test]
fn an_output_that_is_the_log_gets_nothing_besides() {
    let folder = tempfile::tempdir().unwrap();
    for line in ["log_file = /dev/stdout", "log_console = yes"] {
        let log = folder.path().join("log");
        let config = format!("listen = 127.0.0.1:0\n{line}\n");
        fs::write(folder.path().join("flashpolicy.conf"), config).unwrap();
        let child = support::binary()
            .current_dir(folder.path())
            .stdout(fs::File::create(&log).unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut server = Ends(child);
        let text = wait_for("the log", || {
            Some(fs::read_to_string(&log).unwrap()).filter(|text| text.contains("Listening on"))
        });
        assert!(!text.contains("flashpolicyd serves"), "{text}");
        signal(server.0.id(), "TERM");
        assert!(server.0.wait().unwrap().success());
        let mut warned = String::new();
        let mut stderr = server.0.stderr.take().unwrap();
        stderr.read_to_string(&mut warned).unwrap();
        assert_eq!(warned, "");
    }
}

#[test]
fn status_finds_a_server_that_has_no_pid_file() {
    let mut server = Setup::new().start();
    let folder = tempfile::tempdir().unwrap();
    let listen = server.address().to_string();
    let pid_file = folder.path().join("x.pid");
    let arguments = [
        "status",
        "--listen",
        &listen,
        "--pid-file",
        pid_file.to_str().unwrap(),
    ];
    let output = run_in(folder.path(), &arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let begin = format!(
        "flashpolicyd is running (process {} of user ",
        server.child.id()
    );
    assert!(
        said.starts_with(&begin)
            && said.contains("it has no pid file, so `status` cannot show its figures"),
        "{said}"
    );
    server.stop();
    let output = run_in(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(3));
    // A program of another name is none.
    let other = TcpListener::bind(server.address()).unwrap();
    let output = run_in(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(4));
    drop(other);
}

#[test]
fn the_null_device_is_an_empty_configuration() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("flashpolicy.conf"),
        "allow = a.example 1",
    )
    .unwrap();
    let output = run_in(folder.path(), &["policy", "-c", "/dev/null"]);
    let policy = String::from_utf8_lossy(BUILT_IN).replace('\0', "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), policy);
    let other = run_in(folder.path(), &["policy", "-c", "/dev/zero"]);
    assert_eq!(other.status.code(), Some(2));
}

#[test]
fn init_writes_what_was_answered_and_the_next_two_commands() {
    let folder = tempfile::tempdir().unwrap();
    let answers = [
        "init",
        "--from",
        "*.example.com",
        "--to",
        "2001, 3001",
        "--by",
        "nobody",
    ];
    let output = run_in(folder.path(), &answers);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for part in [
        "Any content from *.example.com may connect to ports 2001 and 3001.",
        "flashpolicy.conf is written.",
        "flashpolicyd start\n",
        "flashpolicyd probe 127.0.0.1 --load 127.0.0.1:10843 --from www.example.com --to 2001,3001\n",
        "loadPolicyFile",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let check = run_in(folder.path(), &["check", "--strict"]);
    assert_eq!(
        check.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&check.stdout)
    );
    // Not over a file that is there, and not over a link.
    let written = fs::read(folder.path().join("flashpolicy.conf")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
    for (more, words) in [
        (&[][..], "flashpolicy.conf is there already"),
        (&["-c", "link"], "link is there already"),
    ] {
        let again = run_in(folder.path(), &[&answers[..], more].concat());
        assert_eq!(again.status.code(), Some(1));
        assert!(stderr(&again).contains(words), "{}", stderr(&again));
    }
    assert_eq!(
        fs::read(folder.path().join("flashpolicy.conf")).unwrap(),
        written
    );
    assert!(!folder.path().join("nowhere").exists());
}

#[test]
fn init_without_a_terminal_says_which_answer_is_missing_or_wrong() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, words) in [
        (&["init"][..], "--from is missing"),
        (&["init", "--from", "*"], "--to is missing"),
        (&["init", "--from", "*", "--to", "1"], "--by is missing"),
        (
            &["init", "--from", "http://a.example"],
            "--from http://a.example: `http://a.example` has a scheme; write `a.example`",
        ),
        (&["init", "--from", "*", "--to", "x"], "--to x: "),
        (
            &["init", "--from", "*", "--to", "5-1"],
            "runs backwards; write `1-5`",
        ),
        (
            &["init", "--from", "*", "--to", "a.example:80"],
            "`a.example:80` is no port; write `*`, or ports",
        ),
    ] {
        let output = run_in(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn init_asks_on_a_terminal_until_the_answers_are_right() {
    if !support::have("script") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let answers = folder.path().join("answers");
    fs::write(
        &answers,
        b"http://a.example\na\xffb.example\na.example b.example\n70000\n9339\nsystemd\n",
    )
    .unwrap();
    let command = format!("exec {} init", support::binary_path());
    let output = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .current_dir(folder.path())
        .stdin(fs::File::open(&answers).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    for part in [
        "has a scheme",
        "not UTF-8 text",
        "there is no port",
        "systemctl restart flashpolicyd",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let text = fs::read_to_string(folder.path().join("flashpolicy.conf")).unwrap();
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with(char::is_alphabetic))
        .collect();
    assert_eq!(
        lines,
        [
            "allow = a.example 9339",
            "allow = b.example 9339",
            "meta_policy = master-only"
        ]
    );
}

#[test]
fn init_prints_a_long_list_of_ports_only_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let ports = (2001..6000).step_by(2).map(|port| port.to_string());
    let ports = Vec::from_iter(ports).join(",");
    let line = [
        "init",
        "--from",
        "a.example",
        "--to",
        &ports,
        "--by",
        "root",
    ];
    let output = run_in(folder.path(), &line);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(said.len() < 3000, "{} bytes", said.len());
    // What is to be typed is whole: as many ports as are asked.
    assert!(
        said.contains("--to 2001,2003") && said.contains(",2031\n"),
        "{said}"
    );
    let written = fs::read_to_string(folder.path().join("flashpolicy.conf")).unwrap();
    assert!(written.contains(&format!("allow = a.example {ports}\n")));
}

#[test]
fn init_says_before_it_asks_that_its_file_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    for (file, why) in [
        ("none/x.conf", "No such file or directory"),
        ("file/x.conf", "Not a directory"),
    ] {
        fs::write(folder.path().join("file"), "").unwrap();
        // Where it asked, it would say that an answer is missing.
        let output = run_in(folder.path(), &["init", "-c", file]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let expected = format!("cannot write {file}: {why}");
        assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_start_that_fails_says_so_on_the_terminal() {
    if !support::have("script") {
        return;
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let command = format!("exec {} --listen {address}", support::binary_path());
    let output = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).replace("\r\n", " ");
    assert!(
        text.contains(&format!("cannot listen on {address}")),
        "{text}"
    );
    assert_eq!(text.matches("cannot listen on").count(), 1, "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_socket_on_standard_input_as_inetd_gives_it_is_refused_with_a_sentence() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = support::binary()
        .args(["--listen", &format!("127.0.0.1:{}", free_port())])
        .current_dir(folder.path())
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.contains("standard input is a TCP socket, as inetd"),
        "{said}"
    );
    assert!(output.stdout.is_empty());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_socket_that_is_no_tcp_socket_is_no_inetd() {
    // As ssh gives it to a command.
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut output = support::binary()
        .args(["--listen", "nowhere"])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    output
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    output.wait().unwrap();
    drop(ours);
    assert!(said.contains("not an IP address and a port"), "{said}");
}
