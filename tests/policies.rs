//! The policy in the configuration, and the commands that judge it: check, policy, explain.
//!
//! Runs on Windows too, apart from the tests that start a server.

#![cfg_attr(not(target_os = "linux"), allow(dead_code, unused_imports))]

mod support;

use std::path::Path;
use std::process::Output;

use support::{Client, REQUEST, Setup, run_in, stderr};

/// Runs a command beside this configuration and these files.
fn run(config: &str, files: &[(&str, &str)], arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "flashpolicy.conf", config);
    for (name, content) in files {
        write(folder.path(), name, content);
    }
    run_in(folder.path(), arguments)
}

fn write(folder: &Path, name: &str, content: &str) {
    std::fs::write(folder.join(name), content).unwrap();
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const GAME: &str = "allow = *.example.com 2001,3000-3010\n";
/// Its range as a list: players do not agree on ranges.
const RENDERED: &str = "<cross-domain-policy><allow-access-from domain=\"*.example.com\" \
                        to-ports=\"2001,3000,3001,3002,3003,3004,3005,3006,3007,3008,3009,3010\" \
                        /></cross-domain-policy>";

#[test]
#[cfg(target_os = "linux")]
fn allow_lines_are_served_as_one_line_of_xml() {
    let server = Setup::new()
        .line("allow = *.example.com 2001, 3000 - 3002")
        .line("allow = game.example.net * secure")
        .line("meta_policy = master-only")
        .start();
    let expected = "<cross-domain-policy>\
        <site-control permitted-cross-domain-policies=\"master-only\" />\
        <allow-access-from domain=\"*.example.com\" to-ports=\"2001,3000,3001,3002\" />\
        <allow-access-from domain=\"game.example.net\" to-ports=\"*\" secure=\"true\" />\
        </cross-domain-policy>\0";
    assert_eq!(String::from_utf8(server.ask()).unwrap(), expected);
}

#[test]
#[cfg(target_os = "linux")]
fn a_listener_may_have_a_policy_of_its_own() {
    let staging = "<cross-domain-policy>\
        <allow-access-from domain=\"staging.example.com\" to-ports=\"9000\"/></cross-domain-policy>\n";
    let server = Setup::new()
        .file("staging policy.xml", staging)
        .line(GAME)
        .line("listen = 127.0.0.1:0")
        .line("listen = 127.0.0.2:0 policy=staging policy.xml")
        .start();
    let mut client = Client::connect(server.addresses[1]);
    client.send(REQUEST);
    assert_eq!(client.rest(), [staging.as_bytes(), b"\0"].concat());
    assert_eq!(server.ask(), [RENDERED.as_bytes(), b"\0"].concat());
}

#[test]
#[cfg(target_os = "linux")]
fn a_policy_of_which_nobody_knows_how_it_is_taken_is_served_with_a_warning() {
    for (policy, code) in [
        ("\n\t<?xml version='1.0'?>\n{}", "late-declaration"),
        (
            "<!-- ours -->\n<?xml version=\"1.0\"?>{}",
            "late-declaration",
        ),
        ("{}", "domain-scheme"),
    ] {
        let policy = policy.replace(
            "{}",
            "<cross-domain-policy><allow-access-from domain='https://www.example.net' \
             to-ports='2001'/></cross-domain-policy>",
        );
        let server = Setup::new()
            .file("p.xml", &policy)
            .line("policy_file = p.xml")
            .start();
        assert_eq!(server.ask(), [policy.as_bytes(), b"\0"].concat());
        server.logged(&format!("warning[{code}]"));
        let output = run(
            "policy_file = p.xml\n",
            &[("p.xml", &policy)],
            &["explain", "--json", "https://www.example.net", "2001"],
        );
        let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let verdict = &object["verdicts"][0];
        assert_eq!(
            (&verdict["allowed"], &verdict["uncertain"]),
            (&true.into(), &true.into())
        );
        assert!(
            verdict["conditions"][0]
                .as_str()
                .unwrap()
                .starts_with("Uncertain: ")
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn allow_beside_policy_file_is_an_error_that_says_which_to_remove() {
    let output = run(
        "allow = * 80\nmeta_policy = all\npolicy_file = p.xml\n",
        &[("p.xml", RENDERED)],
        &[],
    );
    assert_eq!(output.status.code(), Some(2));
    let errors = stderr(&output);
    assert_eq!(errors.lines().count(), 2, "{errors}");
    assert!(errors.contains(
        "flashpolicy.conf:1: 'allow' and 'policy_file' (set at flashpolicy.conf:3) exclude each \
         other; remove 'allow'"
    ));
    assert!(errors.contains("flashpolicy.conf:2: 'meta_policy' and 'policy_file'"));
}

#[test]
#[cfg(target_os = "linux")]
fn a_wrong_grant_is_refused_with_its_line_and_a_cure() {
    for (line, expected) in [
        (
            "allow = *.example.com",
            "the ports are missing; add them, such as `allow = *.example.com 2001,3000-3010`\n",
        ),
        (
            "allow = www.*.com 80",
            "`www.*.com` has a `*` where none is possible",
        ),
        (
            "allow = http://a.example 80",
            "`http://a.example` has a scheme; write `allow = a.example 80`\n",
        ),
        ("allow = * 0", "there is no port 0"),
        ("allow = * 3010-3000", "write `allow = * 3000-3010`\n"),
        ("allow = * 70000", "70000"),
        ("meta_policy = masteronly", "did you mean `master-only`?"),
        ("listen = [::]:843 proxi", "'proxi' is not understood"),
        ("listen = [::]:843 policy=", "the policy's file is missing"),
    ] {
        let output = run(&format!("\n{line}\n"), &[], &[]);
        let errors = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{line}: {errors}");
        assert!(
            errors.starts_with("flashpolicyd: flashpolicy.conf:2: "),
            "{errors}"
        );
        assert!(errors.contains(expected), "{line}: {errors}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_policy_with_errors_refuses_the_start_and_is_shown_like_a_compiler_does() {
    let broken = "<cross-domain-policy>\n  <allow-access-from domain=\"*.example.com\"/>\n\
                  </cross-domain-policy>";
    let output = run(
        "listen = 127.0.0.1:0\npolicy_file = p.xml",
        &[("p.xml", broken)],
        &[],
    );
    assert_eq!(output.status.code(), Some(2));
    let errors = stderr(&output);
    assert!(
        errors.starts_with("p.xml:2:4: error[to-ports-missing]: "),
        "{errors}"
    );
    assert!(
        errors.contains("\n2 |   <allow-access-from domain=\"*.example.com\"/>\n"),
        "{errors}"
    );
    assert!(errors.contains("\n  |    ^^^^"), "{errors}");
    assert!(errors.contains("  = cure: "), "{errors}");
}

#[test]
#[cfg(target_os = "linux")]
fn warnings_go_to_the_log_once_and_the_policy_is_served() {
    let policy = "<cross-domain-policy><allow-access-from domain=\"a.example\" \
                  to-ports=\"80, 81\"/></cross-domain-policy>";
    let server = Setup::new()
        .file("p.xml", policy)
        .line("policy_file = p.xml")
        .line("policy_watch = 0.1")
        .start();
    assert_eq!(server.ask(), [policy.as_bytes(), b"\0"].concat());
    let warning = server.logged("warning[blanks-in-ports]");
    assert!(warning.contains("[WARN] p.xml:1:"), "{warning}");
    assert_eq!(server.log().matches("blanks-in-ports").count(), 1);
}

#[test]
fn check_counts_and_its_exit_code_tells() {
    let warned = "<cross-domain-policy/>";
    let broken = "<access-policy/>";
    for (config, files, arguments, code, expected) in [
        (
            GAME,
            &[][..],
            &["check"][..],
            0,
            "flashpolicy.conf and 1 policy: 0 errors, 0 warnings.",
        ),
        (
            GAME,
            &[],
            &["check", "--strict"],
            0,
            "0 errors, 0 warnings.",
        ),
        ("", &[], &["check"], 0, "warning[allows-everything]"),
        ("", &[], &["check", "--strict"], 2, "0 errors, 1 warning."),
        (
            "x = 1\ny = 2",
            &[],
            &["check"],
            2,
            "The configuration: 2 errors, 0 warnings.",
        ),
        (
            "policy_file = p.xml",
            &[("p.xml", warned)],
            &["check"],
            0,
            "p.xml:1:2: warning[no-grant]",
        ),
        (
            "policy_file = p.xml",
            &[("p.xml", broken)],
            &["check"],
            2,
            "p.xml:1:2: error[wrong-root]",
        ),
        (
            "policy_file = p.xml",
            &[],
            &["check"],
            2,
            "flashpolicy.conf:1: error: policy_file = p.xml: cannot read the policy",
        ),
        (
            "x",
            &[("p.xml", warned)],
            &["check", "p.xml"],
            0,
            "1 policy: 0 errors, 1 warning.",
        ),
        (
            "x",
            &[("p.xml", broken)],
            &["check", "p.xml", "none.xml"],
            2,
            "2 policies: 2 errors",
        ),
        (
            GAME,
            &[],
            &["check", "--policy", "none.xml"],
            2,
            "none.xml: error: cannot read",
        ),
    ] {
        let output = run(config, files, arguments);
        let said = stdout(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

#[test]
fn check_knows_from_which_ports_a_policy_is_served() {
    let policy = "<cross-domain-policy><site-control permitted-cross-domain-policies=\"all\"/>\
        <allow-access-from domain=\"a.example\" to-ports=\"80,2001\"/></cross-domain-policy>";
    let config = |port: u16| format!("listen = [::]:{port}\npolicy_file = p.xml");
    let high = stdout(&run(&config(8430), &[("p.xml", policy)], &["check"]));
    assert!(high.contains("warning[low-port-from-high]"), "{high}");
    assert!(high.contains("warning[site-control-not-master]"), "{high}");
    let master = stdout(&run(&config(843), &[("p.xml", policy)], &["check"]));
    assert!(master.contains("0 errors, 0 warnings"), "{master}");
}

#[test]
fn what_check_shows_is_coloured_on_terminals_only_and_never_raw() {
    let policy = "<cross-domain-policy>\x1b[2J</cross-domain-policy>";
    let output = run("", &[("p.xml", policy)], &["check", "p.xml"]);
    assert!(!output.stdout.contains(&0x1b));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn policy_prints_the_bytes_without_the_nul_and_their_meaning_in_words() {
    let output = run(GAME, &[], &["policy"]);
    assert_eq!(stdout(&output), RENDERED);
    assert_eq!(
        stderr(&output),
        "Any content from *.example.com may connect to ports 2001 and 3000 to 3010.\n"
    );
    let file = "<cross-domain-policy>\n<allow-access-from domain='*' to-ports='80'/>\n\
                </cross-domain-policy>\n\0\0";
    let output = run("policy_file = p.xml", &[("p.xml", file)], &["policy"]);
    assert_eq!(stdout(&output), file.trim_end_matches('\0'));
}

#[test]
fn policy_prints_one_for_each_listener_where_they_differ() {
    let config = format!("{GAME}listen = [::]:843\nlisten = 127.0.0.1:8430 policy=p.xml");
    let output = run(&config, &[("p.xml", "<cross-domain-policy/>")], &["policy"]);
    assert_eq!(
        stdout(&output),
        format!("{RENDERED}\n<cross-domain-policy/>\n")
    );
    let said = stderr(&output);
    assert!(said.contains("# [::]:843 ('allow' lines)\n"), "{said}");
    assert!(
        said.contains("# 127.0.0.1:8430 (p.xml)\nIt lets no content connect.\n"),
        "{said}"
    );
}

#[test]
fn explain_says_by_which_grant_or_why_by_none() {
    let staging = "<cross-domain-policy><allow-access-from domain='*' to-ports='80,2001'/>\
                   </cross-domain-policy>";
    let two = format!("{GAME}listen = [::]:843\nlisten = [::]:8430 policy=p.xml");
    let only_high = format!("{GAME}listen = [::]:10843");
    let master_only = format!("{two}\nmeta_policy = master-only");
    for (config, origin, port, code, expected) in [
        (
            GAME,
            "game.example.com",
            "2001",
            0,
            "ALLOWED: a SWF from http://game.example.com may connect to port 2001, by `allow = *.example.com 2001,3000-3010` (flashpolicy.conf:1), served on port 843.",
        ),
        (
            GAME,
            "game.example.com",
            "2002",
            1,
            "`allow = *.example.com 2001,3000-3010` (flashpolicy.conf:1) is for ports 2001 and 3000 to 3010, not for 2002",
        ),
        (
            GAME,
            "https://example.com",
            "3005",
            0,
            "ALLOWED: a SWF from https://example.com",
        ),
        (
            GAME,
            "badexample.com",
            "2001",
            1,
            "(flashpolicy.conf:1) is for *.example.com, not for badexample.com",
        ),
        (GAME, "file:", "2001", 1, "only `*` matches local content"),
        ("", "file:", "1", 0, "of the built-in policy"),
        (
            "allow = * 80 secure",
            "a.example",
            "80",
            1,
            "for content loaded over HTTPS only",
        ),
        (
            "allow = * 80 secure",
            "https://a.example",
            "80",
            0,
            "ALLOWED",
        ),
        (
            &two,
            "other.example",
            "2001",
            0,
            "of p.xml, served on port 8430.",
        ),
        (
            &two,
            "other.example",
            "2001",
            0,
            "loadPolicyFile(\"xmlsocket://HOST:8430\")",
        ),
        (
            &two,
            "other.example",
            "80",
            1,
            "served from port 8430, it cannot grant ports below 1024",
        ),
        (
            &master_only,
            "other.example",
            "2001",
            1,
            "the policy on port 8430 does not count",
        ),
        (
            &only_high,
            "game.example.com",
            "2001",
            0,
            "served on port 10843",
        ),
        (
            &only_high,
            "game.example.com",
            "2002",
            1,
            "port 843 has no policy",
        ),
        (
            "meta_policy = none",
            "a.example",
            "80",
            1,
            "its meta-policy is `none`",
        ),
    ] {
        let output = run(config, &[("p.xml", staging)], &["explain", origin, port]);
        let said = stdout(&output);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{origin} {port}: {said}{}",
            stderr(&output)
        );
        assert!(said.contains(expected), "{origin} {port}: {said}");
        let verdict = if code == 0 { "ALLOWED: " } else { "DENIED: " };
        assert!(said.starts_with(verdict), "{said}");
    }
}

#[test]
fn explain_refuses_what_is_no_origin_or_port() {
    for (arguments, expected) in [
        (
            &["explain", "ftp://a.example", "80"][..],
            "content is not loaded over `ftp`",
        ),
        (
            &["explain", "a.example", "0"],
            "there is no port 0; begin at port 1",
        ),
        (
            &["explain", "a.example"],
            "explain takes an origin and ports",
        ),
    ] {
        let output = run("", &[], arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}
