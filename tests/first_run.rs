//! The first start, without a configuration: what a terminal shows, and what inetd gets.

mod support;

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use support::{Ends, free_port, signal, stderr, wait_for};

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
