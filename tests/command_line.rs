//! What is typed wrong is named with what to write, and what cannot be printed is said.
//!
//! Runs on Windows too, apart from the tests that need a device, a socket or a name that is not UTF-8.

#![cfg_attr(not(target_os = "linux"), allow(dead_code, unused_imports))]

mod support;

use std::ffi::OsStr;
use std::fs::{self, File};
#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt;
#[cfg(target_os = "linux")]
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Output, Stdio};

use support::{binary, finish, run_in, stderr};

const GOOD: &str = "<cross-domain-policy><allow-access-from domain='a.example' to-ports='80'/>\
                    </cross-domain-policy>";

/// A folder with a configuration and a policy.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = "listen = 127.0.0.1:843\nallow = a.example 80\npid_file = x.pid\n";
    fs::write(folder.path().join("x.conf"), config).unwrap();
    fs::write(folder.path().join("p.xml"), GOOD).unwrap();
    folder
}

/// Both streams, of which the second is for errors; `probe` has the first for them.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(output)
}

/// Runs a line with this as standard output.
fn printing_to(stdout: impl Into<Stdio>, folder: &Path, line: &str) -> Output {
    let child = binary()
        .args(line.split(' '))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn();
    finish(child.unwrap())
}

#[test]
#[cfg(target_os = "linux")]
fn what_cannot_be_printed_is_said_and_is_no_success() {
    let folder = folder();
    let full = "cannot write to standard output: No space left on device";
    for (line, exit) in [
        ("policy -c x.conf", 1),
        ("policy -c x.conf --json", 1),
        ("policy -c x.conf --listen 127.0.0.1:0 --listen [::1]:0", 1),
        ("check -c x.conf", 1),
        ("check p.xml", 1),
        ("check p.xml --json", 1),
        ("status -c x.conf", 1),
        ("help probe", 1),
        ("--help", 1),
        ("--version", 1),
        // Its 1 says that it is denied, and its 2 that there is no verdict.
        ("explain -c x.conf http://a.example 80", 2),
        ("explain -c x.conf http://b.example 80", 2),
        ("explain -c x.conf app: 80 --json", 2),
        // A monitoring plugin's: nobody has seen the verdict.
        ("probe 127.0.0.1 --port 1", 2),
        // What was done is done.
        ("init -c new.conf --from * --to * --by root", 0),
    ] {
        let output = printing_to(File::create("/dev/full").unwrap(), folder.path(), line);
        let errors = stderr(&output);
        assert_eq!(output.status.code(), Some(exit), "{line}: {errors}");
        assert!(errors.contains(full), "{line}: {errors}");
    }
    assert!(folder.path().join("new.conf").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_command_that_is_done_ends_well_where_its_message_cannot_be_printed() {
    let folder = folder();
    let full = || File::create("/dev/full").unwrap();
    for line in [
        "start -c x.conf --listen 127.0.0.1:0",
        "start -c x.conf --listen 127.0.0.1:0",
        "reload -c x.conf",
        "restart -c x.conf --listen 127.0.0.1:0",
    ] {
        let output = printing_to(full(), folder.path(), line);
        let errors = stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{line}: {errors}");
        assert!(
            errors.contains("cannot write to standard output"),
            "{line}: {errors}"
        );
        let status = run_in(folder.path(), &["status", "-c", "x.conf"]);
        assert_eq!(status.status.code(), Some(0), "{line}: {}", said(&status));
    }
    let stopped = printing_to(full(), folder.path(), "stop -c x.conf");
    assert_eq!(stopped.status.code(), Some(0), "{}", stderr(&stopped));
    let status = run_in(folder.path(), &["status", "-c", "x.conf"]);
    assert_eq!(status.status.code(), Some(3), "{}", said(&status));
}

#[test]
#[cfg(target_os = "linux")]
fn a_reader_that_has_gone_is_no_failure() {
    let folder = folder();
    for line in [
        "policy -c x.conf",
        "help codes",
        "explain -c x.conf http://a.example 80",
    ] {
        let (ours, its) = UnixStream::pair().unwrap();
        drop(ours);
        let output = printing_to(OwnedFd::from(its), folder.path(), line);
        assert_eq!(output.status.code(), Some(0), "{line}");
        assert!(
            !stderr(&output).contains("cannot write"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_option_whose_value_is_not_utf8_is_named() {
    let folder = folder();
    for (line, exit, words) in [
        (
            &b"check -c \xff.conf"[..],
            2,
            r"--config '\xff.conf' is not UTF-8 text",
        ),
        (
            b"check --config=\xff.conf",
            2,
            r"--config '\xff.conf' is not UTF-8 text",
        ),
        (
            b"--config=\xff.conf",
            2,
            r"--config '\xff.conf' is not UTF-8 text",
        ),
        (
            b"-c=\xff.conf",
            2,
            r"--config '\xff.conf' is not UTF-8 text",
        ),
        (
            b"--listen 127.0.0.1:0 --policy \xff.xml",
            2,
            r"--policy '\xff.xml' is not UTF-8 text",
        ),
        (
            b"probe a.example --from \xff",
            3,
            r"--from '\xff' is not UTF-8 text",
        ),
        (b"check --strict=\xff", 2, r"not understood: '--strict="),
        (b"\xff", 2, r"the command is not UTF-8 text"),
        // No option: the name of a file.
        (b"check \xff.xml", 2, "cannot read the policy: No such file"),
    ] {
        let words_of = line.split(|byte| *byte == b' ').map(OsStr::from_bytes);
        let child = binary()
            .args(words_of)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let output = finish(child.unwrap());
        let said = said(&output);
        assert_eq!(output.status.code(), Some(exit), "{said}");
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// Runs each line and compares its exit code, and a part of what it says, which is never long.
fn say(cases: &[(&[&str], i32, &str)]) {
    let folder = folder();
    for (line, exit, words) in cases {
        let output = run_in(folder.path(), line);
        let said = said(&output);
        assert!(said.len() < 3000, "{} bytes: {}", said.len(), &said[..300]);
        assert_eq!(output.status.code(), Some(*exit), "{said}");
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn an_option_or_a_word_too_many_is_named() {
    say(&[
        (
            &["check", "--strict", "--strict"],
            2,
            "--strict is given 2 times; expected once",
        ),
        (
            &["probe", "a", "-q", "--quiet", "-q"],
            3,
            "--quiet is given 3 times; expected once",
        ),
        (
            &["check", "-c", "nonexist.conf", "p.xml"],
            2,
            "--config is about the configuration, and policy files are named",
        ),
        (
            &["check", "p.xml", "--listen", "127.0.0.1:1"],
            2,
            "--listen is about the configuration",
        ),
        (
            &["help", "check", "policy"],
            2,
            "help takes one topic; leave 'policy' out",
        ),
        (
            &[&["check"][..], &["--x"; 1000]].concat(),
            2,
            "not understood: '--x', '--x'",
        ),
    ]);
}

#[test]
fn an_empty_file_name_is_refused_with_what_it_is_for() {
    let config = "flashpolicyd: --config is empty; expected a file";
    let policy = "flashpolicyd: POLICY is empty; expected a file";
    say(&[
        (&["check", "-c", ""], 2, config),
        (&["-c", ""], 2, config),
        (&["init", "-c", ""], 2, config),
        (
            &["check", "--policy", ""],
            2,
            "--policy is empty; expected a file",
        ),
        (&["check", ""], 2, policy),
        (&["check", "p.xml", ""], 2, policy),
    ]);
}

#[test]
fn a_zone_behind_an_address_is_named() {
    let zone = "a zone (`%lo`) is not supported";
    say(&[
        (&["probe", "fe80::1%lo"], 3, zone),
        (&["probe", "[fe80::1%lo]"], 3, zone),
        (&["probe", "a", "--load", "[fe80::1%lo]:843"], 3, zone),
        (&["explain", "http://[fe80::1%lo]:80/x.swf", "1"], 2, zone),
    ]);
}

#[test]
fn a_long_argument_is_refused_or_cut_short() {
    // Windows takes no line of more than 32,767 characters.
    let long = "a".repeat(20_000);
    let (load, file) = (format!("{long}:843"), format!("{long}/x.swf"));
    let label = format!("{}.example", "a".repeat(64));
    let ports = (1..10_000).step_by(2).map(|port| port.to_string());
    let ports = Vec::from_iter(ports).join(",");
    let name = "a host name has 253 characters at most, and 63 between two dots";
    let path = "has 20000 bytes; expected a path of 4095 at most";
    say(&[
        (&["probe", &long], 3, name),
        (&["probe", &label], 3, name),
        (&["probe", "a", "--load", &load], 3, name),
        (&["probe", "a", "--from", &long, "--to", "1"], 3, name),
        (&["explain", &long, "1"], 2, name),
        (&["explain", &file, "1"], 2, "may be a host or a folder"),
        (
            &["explain", "-c", "x.conf", "b.example", &ports],
            1,
            "DENIED",
        ),
        (
            &["explain", "-c", "x.conf", "a.example", &ports],
            1,
            "in place of",
        ),
        (&["check", "-c", &long], 2, path),
        (&["check", &long], 2, path),
    ]);
}
