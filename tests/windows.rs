//! What Windows alone has: its paths, its line ends, its sockets, and no server.
//!
//! Runs on Windows too: there alone it has tests.

#![cfg(windows)]

mod support;

#[path = "support/probing.rs"]
mod probing;

use std::fs;
use std::process::Output;
use std::time::{Duration, Instant};

use probing::{POLICY, Probe, answer, fault, grant, hear, hold, reset, with_nul};
use support::{binary_path, free_port, run_command, run_in, stderr};

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_commands_of_a_server_say_where_it_runs_and_what_is_here() {
    let folder = folder(&[("flashpolicy.conf", "allow = a.example 80\n")]);
    for command in [
        &["serve"][..],
        &["--listen", "127.0.0.1:0"],
        &["init", "-c", "new.conf"],
        &["start"],
        &["stop"],
        &["restart"],
        &["reload"],
        &["status"],
        &["status", "--json"],
        &[],
    ] {
        let output = run_in(folder.path(), command);
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        let said = stderr(&output);
        assert!(
            said.contains("the server runs on Linux, in WSL or in Docker"),
            "{said}"
        );
        assert!(
            said.contains("probe, check, explain, policy and help"),
            "{said}"
        );
        // The help, where nothing is asked for: a double click.
        assert_eq!(stdout(&output).contains("probe HOST"), command.is_empty());
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_port_is_judged_as_on_linux() {
    let port = fault(|s| answer(s, with_nul(POLICY)));
    let probe = Probe::port(port);
    probe.run().exits(0).says("POLICY OK - 127.0.0.1:");
    let game = fault(hold);
    let to = |from: &str| {
        let port = fault(|s| answer(s, grant("domain='www.example.com' to-ports='1024-65535'")));
        Probe::port(port).timeout(1).connection(from, game).run()
    };
    to("www.example.com")
        .exits(0)
        .says("ALLOWED: a SWF from http://www.example.com");
    to(r"D:\games\client.swf")
        .exits(2)
        .says("DENIED")
        .says("a SWF from file:");
    let silent = Probe::port(fault(hold)).timeout(1).run();
    silent
        .exits(2)
        .says("error[silent]: the connection was accepted, and nothing came");
    let resets = fault(|s| {
        hear(s)?;
        reset(s)
    });
    let resets = Probe::port(resets).timeout(1).run();
    resets
        .exits(2)
        .says("error[reset-before]: the connection was reset");
}

/// Windows itself takes 2 s to say so.
#[test]
fn a_port_that_refuses_is_refused_also_where_the_time_out_is_short() {
    let refused = Probe::port(free_port()).timeout(0.5).run();
    refused
        .exits(2)
        .says("error[refused]: the port refuses connections");
}

#[test]
fn a_silent_port_takes_the_time_that_was_asked_for() {
    let (port, begun) = (fault(hold), Instant::now());
    let json = Probe::port(port).timeout(1.5).json();
    let time = json["addresses"][0]["master"]["seconds"].as_f64();
    assert!(
        time.is_none_or(|time| (1.5..4.0).contains(&time)),
        "{json:#}"
    );
    assert!(begun.elapsed() >= Duration::from_millis(1500));
}

#[test]
fn a_name_that_does_not_exist_is_told_in_the_words_of_the_system() {
    let told = Probe::of("no-such-host.invalid").run().exits(2);
    assert!(
        told.said.starts_with("POLICY CRITICAL - unresolved: "),
        "{}",
        told.said
    );
    told.says_nothing_of("os error")
        .says_nothing_of(".;")
        .says_nothing_of("\\r");
}

#[test]
fn a_swf_on_the_disk_is_named_as_windows_names_it() {
    let folder = folder(&[("flashpolicy.conf", "allow = * 2001\r\n")]);
    let json = |from: &str| {
        let output = run_in(
            folder.path(),
            &["explain", "--from", from, "--to", "2001", "--json"],
        );
        let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        (output.status.code(), report)
    };
    let file = json("file:");
    for path in [
        r"D:\games\client.swf",
        r"d:\My Games\the client.swf",
        "D:/games/client.swf",
        "file:///D:/games/client.swf",
        r"\\server\share\client.swf",
        r"games\client.swf",
        r".\client.swf",
        r"..\client.swf",
        "client.exe",
    ] {
        assert_eq!(json(path), file, "{path}");
    }
}

#[test]
fn files_with_line_ends_of_windows_are_checked_and_shown_like_others() {
    let policy = "<cross-domain-policy>\r\n  <allow-access-from domain=\"a.example\"\r\n    \
                  to-ports=\"80, 81\"/>\r\n</cross-domain-policy>\r\n";
    let lines = "# ours\r\n\r\nallow = 10.0.0.5 2001\r\nmeta_policy = master-only\r\n";
    let files = [
        ("p.xml", policy),
        ("flashpolicy.conf", lines),
        ("file.conf", "policy_file = p.xml\r\n"),
        ("wrong.conf", "\u{feff}allow = a.example\r\n"),
    ];
    let (windows, unix) = (folder(&files), tempfile::tempdir().unwrap());
    for (name, content) in files {
        fs::write(unix.path().join(name), content.replace('\r', "")).unwrap();
    }
    for command in [
        &["check"][..],
        &["check", "--json"],
        &["check", "p.xml"],
        &["check", "-c", "wrong.conf"],
        &["policy"],
        &["explain", "a.example", "81", "-c", "file.conf"],
    ] {
        let (there, here) = (
            run_in(unix.path(), command),
            run_in(windows.path(), command),
        );
        assert_eq!(here.status.code(), there.status.code(), "{command:?}");
        assert_eq!(stdout(&here), stdout(&there), "{command:?}");
        assert_eq!(stderr(&here), stderr(&there), "{command:?}");
        assert!(!stdout(&here).contains('\r'), "{command:?}");
    }
    let served = run_in(windows.path(), &["policy", "-c", "file.conf"]);
    assert_eq!(stdout(&served), policy);
}

#[test]
fn paths_with_backslashes_blanks_and_foreign_letters_are_files() {
    let folder = folder(&[]);
    let inner = folder.path().join("Meine Spiele \u{fc}\u{4e16}");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("the policy.xml"), POLICY).unwrap();
    let whole = inner.join("the policy.xml").display().to_string();
    for (name, value) in [
        ("whole.conf", &*whole),
        ("part.conf", "the policy.xml"),
        ("dot.conf", r".\the policy.xml"),
    ] {
        let lines = format!(
            "listen = [::]:843\r\npolicy_file = {value}\r\nlisten = [::]:1843 policy={value}\r\n"
        );
        fs::write(inner.join(name), lines).unwrap();
        let conf = inner.join(name).display().to_string();
        let output = run_in(folder.path(), &["policy", "-c", &conf, "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(report["policies"][0]["xml"], POLICY);
    }
    let output = run_in(&inner, &["check", "the policy.xml", &whole]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).contains("\n2 policies: 0 errors, "));
}

#[test]
fn what_cannot_be_read_is_told_in_one_sentence() {
    let folder = folder(&[("flashpolicy.conf", "policy_file = D:\\none\\p.xml\r\n")]);
    for (arguments, expected) in [
        (
            &["check"][..],
            "flashpolicy.conf:1: error: policy_file = D:\\none\\p.xml: cannot read the policy: ",
        ),
        (
            &["check", "."],
            ".: error: cannot read the policy: it is a folder, and no regular file; ",
        ),
        (
            &["check", "none.xml"],
            "none.xml: error: cannot read the policy: ",
        ),
        (&["check", "NUL"], "NUL: error: cannot read the policy: "),
    ] {
        let output = run_in(folder.path(), arguments);
        let said = stdout(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with(expected), "{said}");
        assert!(!said.contains("os error") && !said.contains(".;"), "{said}");
    }
}

/// Whoever takes the output gets UTF-8, whatever the code page of the console.
#[test]
fn output_into_a_pipe_is_utf_8_without_colours() {
    let folder = folder(&[("\u{4e16}.conf", "allow = m\u{fc}nchen.example 80\n")]);
    let output = run_in(folder.path(), &["check", "-c", "\u{4e16}.conf"]);
    let said = stdout(&output);
    assert!(said.starts_with("\u{4e16}.conf:1:"), "{said}");
    assert!(
        said.contains("m\u{fc}nchen.example") && !said.contains('\u{1b}'),
        "{said}"
    );
}

#[test]
fn cmd_has_the_exit_code_and_a_pipe() {
    let folder = folder(&[("flashpolicy.conf", "allow = a.example 80\r\n")]);
    for (arguments, code) in [
        ("explain a.example 80", 0),
        ("explain b.example 80", 1),
        ("serve", 2),
    ] {
        let line = format!("{} {arguments} & call exit %^errorlevel%", binary_path());
        let output = run_command(
            &mut std::process::Command::new("cmd"),
            folder.path(),
            &["/d", "/c", &line],
        );
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments}: {}",
            stderr(&output)
        );
    }
}
