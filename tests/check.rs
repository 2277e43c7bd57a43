//! `flashpolicyd check`: what it looks at, where it says that a fault is, what it can be told to
//! accept, and what a program reads of it.
//!
//! Runs on Windows too, apart from the tests that start a server.

#![cfg_attr(not(target_os = "linux"), allow(dead_code, unused_imports))]

mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::{Setup, binary, binary_path, finish, is_found_here, run_in, stderr};

const GOOD: &str = "<cross-domain-policy><allow-access-from domain='a.example' to-ports='80'/>\
                    </cross-domain-policy>";

fn folder(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("flashpolicy.conf"), config).unwrap();
    folder
}

fn check(config: &str, more: &[&str]) -> Output {
    run_in(folder(config).path(), &[&["check"], more].concat())
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(output: &Output) -> Value {
    assert!(output.stderr.is_empty(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stdout(output)))
}

#[test]
#[cfg(target_os = "linux")]
fn a_finding_on_an_allow_line_is_shown_at_that_line() {
    let config = "# my conf\nlisten = [::]:843\n\nallow = *.example.com 2001\n\
                  allow = 10.0.0.5 2002\n\tallow = www.example.org   2003 secure\n";
    let said = stdout(&check(config, &[]));
    for expected in [
        "flashpolicy.conf:5:9: warning[ip-domain]: ",
        "\n5 | allow = 10.0.0.5 2002\n  |         ^^^^^^^^\n",
        "flashpolicy.conf:6:33: warning[secure-grant]: `secure` is for content loaded over HTTPS",
        "\n6 |     allow = www.example.org   2003 secure\n  |                                    ^^^^^^\n",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(!said.contains("'allow' lines"), "{said}");
    let server = Setup::new().line("allow = 10.0.0.5 2002").start();
    server.logged("flashpolicy.conf:1:9: warning[ip-domain]");
}

#[test]
fn a_mistake_is_shown_with_its_line_and_a_mark() {
    let said = stdout(&check("workers = 3\nallow = mygame.com:9339\n", &[]));
    assert_eq!(
        said,
        "flashpolicy.conf:2: error: allow = mygame.com:9339: `mygame.com:9339` has a port, or is \
         no IPv6 address\n  |\n2 | allow = mygame.com:9339\n  |         ^^^^^^^^^^^^^^^\n  \
         = cure: write `allow = mygame.com 9339`\n\nThe configuration: 1 error, 0 warnings.\n"
    );
}

/// Configurations with a fault, what is found, and the configuration as the cure says: then the
/// finding is gone. `{DIR}` is a folder that is there.
const CURED: [(&str, &str, &str, &str); 20] = [
    (
        "listen = 127.0.0.1:843",
        "loopback-only",
        "write `listen = [::]:843`",
        "listen = [::]:843",
    ),
    (
        "listen = [::1]:10843",
        "loopback-only",
        "write `listen = [::]:10843`",
        "listen = [::]:10843",
    ),
    (
        "listen = [::]:10843\nmeta_policy = master-only",
        "meta-policy-unused",
        "remove it",
        "listen = [::]:10843",
    ),
    (
        "listen = [::]:10843\nmeta_policy = master-only",
        "meta-policy-unused",
        "add `listen = [::]:843`",
        "listen = [::]:10843\nmeta_policy = master-only\nlisten = [::]:843",
    ),
    (
        "pid_file = {DIR}/none/x.pid",
        "pid-file",
        "set another 'pid_file'",
        "pid_file = {DIR}/x.pid",
    ),
    (
        "pid_file = {DIR}",
        "pid-file",
        "set another 'pid_file'",
        "pid_file = none",
    ),
    (
        "stats_file = {DIR}/none/x.prom",
        "stats-file",
        "set another 'stats_file', or 'none'",
        "stats_file = {DIR}/x.prom",
    ),
    (
        "log_file = {DIR}/none/x.log",
        "log-file",
        "set another 'log_file', or 'none'",
        "log_file = {DIR}/x.log",
    ),
    ("user = nobody-of-that-name", "user", "", "user = none"),
    (
        "user = nobody",
        "shared-user",
        "useradd --system flashpolicyd",
        "user = none",
    ),
    (
        "allow = a.example 80 secure",
        "secure-grant",
        "delete `secure`",
        "allow = a.example 80",
    ),
    (
        "allow = * *",
        "allows-everything",
        "name the domains and the ports",
        "allow = a.example 80",
    ),
    (
        "allow = * 1-65535",
        "allows-everything",
        "name the domains and the ports",
        "allow = a.example 80",
    ),
    (
        "allow = 10.0.0.5 80",
        "ip-domain",
        "write the host name",
        "allow = a.example 80",
    ),
    (
        "allow = * 5000-9000",
        "port-range",
        "write `*` in place of `5000-9000`",
        "allow = a.example *",
    ),
    (
        "allow = a.example 80\nmeta_policy = none",
        "grants-beside-none",
        "write `meta_policy = master-only`",
        "allow = a.example 80\nmeta_policy = master-only",
    ),
    (
        "listen = [::]:10843\nallow = a.example 80",
        "low-port-from-high",
        "serve it from port 843",
        "listen = [::]:843\nallow = a.example 80",
    ),
    (
        "allow = a.example 2001,6660-6670",
        "blocked-port",
        "move the game to another port",
        "allow = a.example 2001,6670",
    ),
    (
        "allow = *.com 2001",
        "wildcard-tld",
        "write `*` for content from anywhere",
        "allow = * 2001",
    ),
    (
        "allow = a.example 9,3,3,9",
        "port-digits",
        "was 9339 meant? write `9339`",
        "allow = a.example 9339",
    ),
];

#[test]
fn every_cure_of_a_configuration_takes_its_finding_away() {
    let there = tempfile::tempdir().unwrap();
    let fill = |config: &str| config.replace("{DIR}", there.path().to_str().unwrap());
    let mut tried: Vec<&str> = Vec::new();
    let here = CURED.iter().filter(|row| is_found_here(row.1));
    for &(fault, code, cure, cured) in here {
        let found = |config: &str| json(&check(&fill(config), &["--json"]));
        let before = found(fault);
        let findings = before["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["code"] == code);
        let finding = finding.unwrap_or_else(|| panic!("{fault}: {before:#}"));
        let told = format!("{} {}", finding["cause"], finding["cure"]);
        assert!(told.contains(cure), "{fault}: {told}");
        let after = found(cured);
        let findings = after["findings"].as_array().unwrap();
        assert!(
            findings.iter().all(|f| f["code"] != code),
            "{cured}: {after:#}"
        );
        assert_eq!(after["errors"], 0, "{cured}: {after:#}");
        println!("| {code} | {cure} | gone |");
        tried.push(code);
    }
    // What root alone can be kept from is tried where privileges are.
    for code in flashpolicyd::config::ConfigCode::all()
        .iter()
        .map(|code| code.as_str())
    {
        assert!(
            tried.contains(&code) || code == "out-of-reach" || !is_found_here(code),
            "{code} is not tried"
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_that_cannot_be_written_is_shown_at_its_line() {
    let said = stdout(&check("\npid_file = /none/x.pid\nlisten = [::]:843\n", &[]));
    assert!(
        said.starts_with(
            "flashpolicy.conf:2:12: error[pid-file]: cannot write the pid file /none/x.pid: No such"
        ),
        "{said}"
    );
}

#[test]
fn one_fault_is_one_finding() {
    for (config, expected) in [
        (
            "policy_file = none.xml",
            "flashpolicy.conf:1: error: policy_file = none.xml: cannot read the policy",
        ),
        (
            "policy_file = /",
            "error: policy_file = /: cannot read the policy",
        ),
        (
            "listen = [::]:843 policy=none.xml\nallow = * 80",
            "flashpolicy.conf:1: error: policy=none.xml: cannot read",
        ),
        ("log_file = /none/x.log", "error[log-file]"),
        ("pid_file = /none/x.pid", "error[pid-file]"),
        ("stats_file = /none/x.prom", "[stats-file]"),
        ("allow = a.example 9,9,9,9", "warning[port-digits]"),
    ] {
        if expected.contains('[') && !is_found_here(expected) {
            continue;
        }
        let config = format!("{config}\nignore = loopback-only,allows-everything,no-grant\n");
        let object = json(&check(&config, &["--json"]));
        let findings = object["findings"].as_array().unwrap();
        assert_eq!(findings.len(), 1, "{config}: {object:#}");
        let said = stdout(&check(&config, &[]));
        assert!(said.contains(expected), "{config}: {said}");
    }
}

#[test]
fn ports_that_flash_player_refuses_are_found_where_they_are_named() {
    for (ports, found) in [
        ("531,6667", Some("refuses ports 531 and 6667 itself")),
        ("6660-6670", Some("refuses ports 6665 to 6669 itself")),
        ("2001,25", Some("refuses port 25 itself")),
        ("*", None),
        ("1024-65535", None),
        ("20,80,443,843,1935,5222,8080,9339", None),
    ] {
        let config = format!("listen = [::]:843\nallow = a.example {ports}\n");
        let said = stdout(&check(&config, &[]));
        assert_eq!(
            said.contains("warning[blocked-port]"),
            found.is_some(),
            "{said}"
        );
        assert!(said.contains(found.unwrap_or_default()), "{said}");
        let policy = format!(
            "<cross-domain-policy><allow-access-from domain='a.example' to-ports='{ports}'/>\
             </cross-domain-policy>"
        );
        let folder = folder("");
        fs::write(folder.path().join("p.xml"), policy).unwrap();
        let said = stdout(&run_in(folder.path(), &["check", "p.xml"]));
        assert_eq!(
            said.contains("warning[blocked-port]"),
            found.is_some(),
            "{said}"
        );
    }
    let accepted = "listen = [::]:843\nallow = a.example 6667\nignore = blocked-port\n";
    assert!(stdout(&check(accepted, &[])).contains("0 warnings (1 ignored)"));
}

#[test]
fn a_network_in_place_of_the_site_is_told_what_a_domain_is() {
    for network in [
        "192.168.1.0/24",
        "10.0.0.0/255.0.0.0",
        "172.16.*",
        "fd00::/8",
    ] {
        let said = stdout(&check(&format!("allow = {network} 9339 secure\n"), &[]));
        for expected in [
            &format!(
                "`{network}` is a network, and a domain is the site that the SWF is loaded from"
            ),
            "write that site, such as `allow = www.example.com 9339`, or `allow = * 9339` for every",
            "a firewall says which players may connect",
        ] {
            assert!(said.contains(expected), "{said}");
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn two_lines_that_take_the_same_port_are_found_before_a_port_is_bound() {
    let config = "listen = [::]:843\nlisten = 127.0.0.1:843";
    let expected = "flashpolicy.conf:2: listen = 127.0.0.1:843: [::]:843 (set at flashpolicy.conf:1) \
                    takes this port on every address; remove one of the two lines\n";
    let output = run_in(folder(config).path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stderr(&output), format!("flashpolicyd: {expected}"));
    assert_eq!(check(config, &[]).status.code(), Some(2));
}

#[test]
#[cfg(target_os = "linux")]
fn an_explicit_open_policy_is_not_called_built_in() {
    let said = stdout(&check("allow = * *", &[]));
    assert!(
        said.contains("flashpolicy.conf:1:9: warning[allows-everything]"),
        "{said}"
    );
    let server = Setup::new().line("allow = * *").start();
    server.logged("flashpolicy.conf:1:9: warning[allows-everything]");
    assert!(!server.log().contains("No policy is configured"));
}

#[test]
#[cfg(target_os = "linux")]
fn that_only_this_host_can_reach_it_is_said_at_the_start_too() {
    let server = Setup::new().line("allow = a.example 80").start();
    server
        .logged("[WARN] flashpolicy.conf:2:10: warning[loopback-only]: 127.0.0.1:0 is a loopback");
    let server = Setup::new()
        .line("listen = [::]:0")
        .line("allow = a.example 80")
        .start();
    assert!(!server.log().contains("loopback"), "{}", server.log());
}

#[test]
#[cfg(target_os = "linux")]
fn accepted_warnings_are_neither_shown_nor_counted_nor_logged() {
    let config = "listen = 127.0.0.1:843\nallow = 10.0.0.5 80 secure\n";
    let strict = |more: &[&str]| check(config, &[&["--strict"], more].concat());
    assert_eq!(strict(&[]).status.code(), Some(2));
    let output = strict(&[
        "--ignore",
        "ip-domain,secure-grant",
        "--ignore",
        "loopback-only",
    ]);
    assert_eq!(output.status.code(), Some(0));
    let counted = "flashpolicy.conf and 1 policy: 0 errors, 0 warnings (3 ignored).\n";
    assert_eq!(stdout(&output), counted);
    let for_good = format!("{config}ignore = ip-domain secure-grant\nignore = loopback-only\n");
    assert_eq!(stdout(&check(&for_good, &["--strict"])), counted);

    let server = Setup::new()
        .line("allow = 10.0.0.5 80 secure")
        .line("ignore = ip-domain,secure-grant,loopback-only")
        .start();
    assert!(!server.log().contains("warning["), "{}", server.log());
    let server = Setup::new()
        .line("ignore = allows-everything,loopback-only")
        .start();
    assert!(
        !server.log().contains("No policy is configured"),
        "{}",
        server.log()
    );
}

#[test]
fn only_warnings_that_exist_can_be_accepted() {
    for (arguments, expected) in [
        (
            ["--ignore", "secure-grants"],
            "`secure-grants` is no code; did you mean `secure-grant`?",
        ),
        (
            ["--ignore", "bom"],
            "`bom` is an error, which keeps players out",
        ),
    ] {
        let output = check("", &arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    // One list for check and probe.
    assert_eq!(check("", &["--ignore", "no-nul"]).status.code(), Some(0));
}

#[test]
fn a_configuration_is_told_from_a_policy() {
    let config = "# mine\nlisten = [::]:843\nallow = a.example 80\n";
    let output = check(config, &["flashpolicy.conf"]);
    assert_eq!(output.status.code(), Some(2));
    let said = stdout(&output);
    assert!(
        said.starts_with("flashpolicy.conf: error: this is a configuration of flashpolicyd"),
        "{said}"
    );
    assert!(
        said.contains("check it with: flashpolicyd check --config flashpolicy.conf"),
        "{said}"
    );
    let output = check(config, &["--policy", "flashpolicy.conf"]);
    assert!(stdout(&output).contains("this is a configuration of flashpolicyd, and no policy"));
    // A policy with an equals sign in it is still one.
    let folder = folder(config);
    fs::write(
        folder.path().join("p.xml"),
        format!("\n{GOOD}\n<!--\nlisten = 1\n-->"),
    )
    .unwrap();
    let output = run_in(folder.path(), &["check", "p.xml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

#[test]
fn a_dash_is_standard_input() {
    for (text, code, expected) in [
        (GOOD, 0, "1 policy: 0 errors, 0 warnings.\n"),
        (
            "<access-policy/>",
            2,
            "standard input:1:2: error[wrong-root]",
        ),
        (
            "listen = [::]:843\n",
            2,
            "standard input: error: this is a configuration",
        ),
    ] {
        let mut child = binary()
            .args(["check", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = finish(child);
        assert_eq!(output.status.code(), Some(code));
        assert!(stdout(&output).contains(expected), "{}", stdout(&output));
    }
}

#[test]
fn json_has_the_findings_with_their_places() {
    let config = "listen = [::]:843\nallow = 10.0.0.5 80\nignore = allows-everything\n";
    let output = check(config, &["--json", "--strict"]);
    assert_eq!(output.status.code(), Some(2));
    let report = json(&output);
    assert_eq!(report["exit"], 2);
    assert_eq!(
        report["line"],
        "flashpolicy.conf and 1 policy: 0 errors, 1 warning."
    );
    assert_eq!(
        (&report["errors"], &report["warnings"]),
        (&0.into(), &1.into())
    );
    let finding = &report["findings"][0];
    assert_eq!(finding["code"], "ip-domain");
    assert_eq!(finding["severity"], "warning");
    assert_eq!(
        finding["cure"],
        "write the host name by which the content is loaded; where the players are does not count"
    );
    let place = serde_json::json!({"name": "flashpolicy.conf", "line": 2, "column": 9});
    assert_eq!(finding["place"], place);
    // A mistake has no code.
    let report = json(&check("x = 1", &["--json"]));
    let finding = &report["findings"][0];
    assert_eq!(
        (&finding["code"], &finding["severity"]),
        (&Value::Null, &"error".into())
    );
    assert_eq!(finding["place"]["line"], 1);
}

/// Runs a command on a terminal of this width.
fn on_a_terminal(folder: &Path, width: u16, variables: &str, arguments: &str) -> Option<String> {
    let line = format!(
        "stty rows 24 cols {width}; {variables} {} {arguments}",
        binary_path()
    );
    let output = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .current_dir(folder)
        .output()
        .ok()?;
    Some(stdout(&output).replace('\r', ""))
}

/// A real terminal, made by `script` of util-linux.
#[test]
fn a_terminal_gets_colours_and_lines_that_fit_and_dumb_ones_no_colours() {
    let config = format!("allow = 10.0.0.5 {}\n", "2001,".repeat(60) + "2002");
    let folder = folder(&config);
    let Some(said) = on_a_terminal(folder.path(), 60, "", "check") else {
        support::missing("script");
        return;
    };
    assert!(
        said.contains("\u{1b}[1;33mwarning[ip-domain]\u{1b}[0m"),
        "{said}"
    );
    let plain = said.replace("\u{1b}[1;33m", "").replace("\u{1b}[0m", "");
    assert!(
        plain.lines().all(|line| line.chars().count() <= 60),
        "{plain}"
    );
    let marked = plain.lines().find(|line| line.contains('^')).unwrap();
    let line = plain.lines().find(|line| line.starts_with("1 | ")).unwrap();
    let from = marked.find('^').unwrap();
    assert_eq!(&line[from..from + 8], "10.0.0.5");
    for variables in ["NO_COLOR=1", "TERM=dumb"] {
        let said = on_a_terminal(folder.path(), 60, variables, "check").unwrap();
        assert!(!said.contains('\u{1b}'), "{variables}: {said}");
    }
    let said = on_a_terminal(folder.path(), 60, "", "explain b.example 80").unwrap();
    assert!(
        said.contains("\u{1b}[1;31mDENIED\u{1b}[0m: a SWF"),
        "{said}"
    );
    assert!(
        said.lines().all(|line| line.chars().count() <= 80),
        "{said}"
    );
}
