//! `flashpolicyd explain`: how it is asked, whose verdict it gives, what it says to change; and the
//! JSON of `policy` beside it.
//!
//! Runs on Windows too, apart from the tests that start a server.

#![cfg_attr(not(target_os = "linux"), allow(dead_code, unused_imports))]

mod support;

use std::fs;
use std::process::Output;

use serde_json::Value;
use support::{Setup, run_in, stderr};

fn run(config: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("flashpolicy.conf"), config).unwrap();
    let control = "<site-control permitted-cross-domain-policies='all'/>";
    let grant = "<allow-access-from domain='*' to-ports='80'/>";
    let headers = "<allow-http-request-headers-from domain='*' headers='*'/>";
    for (name, elements) in [
        (
            "scheme.xml",
            [&grant.replace('*', "https://a.example"), "", ""],
        ),
        ("last.xml", [grant, control, ""]),
        ("spoiled.xml", [grant, headers, control]),
        ("behind.xml", [control, grant, headers]),
        ("before.xml", [control, headers, grant]),
        (
            "four.xml",
            [&grant.replace("/>", " secure='false' a='b'/>"), "", ""],
        ),
    ] {
        let text = format!(
            "<cross-domain-policy>{}</cross-domain-policy>",
            elements.concat()
        );
        fs::write(folder.path().join(name), text).unwrap();
    }
    run_in(folder.path(), arguments)
}

fn explain(config: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(config, &[&["explain"], arguments].concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
    (output.status.code(), said)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(output)))
}

const GAME: &str = "meta_policy = master-only\nallow = *.example.com 9339,5000-5010\n";

#[test]
fn it_is_asked_like_probe_and_ports_are_written_as_in_allow() {
    let (code, words) = explain(GAME, &["www.example.com", "9339,5000-5010"]);
    let (_, options) = explain(
        GAME,
        &["--to", "9339,5000-5010", "--from", "www.example.com"],
    );
    assert_eq!(code, Some(0));
    assert_eq!(words, options);
    assert_eq!(
        words,
        "ALLOWED: a SWF from http://www.example.com may connect to ports 5000 to 5010 and 9339, by \
         `allow = *.example.com 9339,5000-5010` (flashpolicy.conf:2), served on port 843.\n"
    );
    let (code, said) = explain(GAME, &["www.example.com", "9339,9340-9342"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("may connect to port 9339, by"), "{said}");
    assert!(
        said.contains("may not connect to ports 9340 to 9342; the player"),
        "{said}"
    );
    assert!(
        said.contains("is for ports 9339 and 5000 to 5010, not for 9340 to 9342\n"),
        "{said}"
    );
}

#[test]
fn of_more_than_sixteen_ports_a_sample_is_asked_and_it_says_so() {
    let (code, said) = explain(GAME, &["www.example.com", "4990-5020"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("ports 5000 and 5010, by"), "{said}");
    assert!(said.contains("ports 4990, 4999, 5011 and 5020;"), "{said}");
    assert!(said.contains("Note: 6 of 31 ports were asked"), "{said}");
    let (code, said) = explain(GAME, &["b.example", "6000-7000"]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("- allow it: `allow = b.example 6000-7000`\n"),
        "{said}"
    );
}

#[test]
fn denied_ends_with_the_line_to_write_and_that_line_cures() {
    for (config, origin, ports, change) in [
        (
            GAME,
            "b.example",
            "2001",
            "- allow it: `allow = b.example 2001`\n",
        ),
        (
            GAME,
            "www.example.com",
            "2001",
            "- allow it: write `allow = *.example.com 9339,5000-5010,2001` in place of \
             `allow = *.example.com 9339,5000-5010` (flashpolicy.conf:2)\n",
        ),
        (GAME, "file:", "2001", "- allow it: `allow = * 2001`\n"),
        (GAME, "*", "2001", "- allow it: `allow = * 2001`\n"),
        (
            "meta_policy = none\nallow = a.example 80\n",
            "a.example",
            "80",
            "- change `meta_policy = none` to `master-only`: with `none` no grant counts\n",
        ),
        (
            "listen = [::]:10843\nallow = a.example 80\n",
            "a.example",
            "80",
            "- serve the policy from port 843 too (`listen = [::]:843`)",
        ),
    ] {
        let (code, said) = explain(config, &[origin, ports]);
        assert_eq!(code, Some(1), "{said}");
        let (_, changes) = said.split_once("\n\nWhat to change:\n").unwrap();
        assert!(changes.starts_with(change), "{origin}: {said}");
        let object = json(&run(config, &["explain", "--json", origin, ports]));
        let mut cured = config.to_owned();
        for change in object["changes"].as_array().unwrap() {
            let conf = change["conf"].as_str().unwrap();
            let text = change["text"].as_str().unwrap();
            let key = conf.split('=').next().unwrap();
            if text.contains("in place of") || key == "meta_policy " {
                let old = config.lines().find(|line| line.starts_with(key)).unwrap();
                cured = cured.replace(old, conf);
            } else {
                cured.push_str(&format!("{conf}\n"));
            }
        }
        let (code, said) = explain(&cured, &[origin, ports]);
        assert_eq!(code, Some(0), "{cured}: {said}");
    }
}

#[test]
fn the_line_for_a_grant_with_a_scheme_has_none() {
    let (_, said) = explain("policy_file = scheme.xml\n", &["https://a.example", "81"]);
    assert!(
        said.contains("- allow it: `allow = a.example 81 secure`"),
        "{said}"
    );
    let (_, said) = explain("policy_file = scheme.xml\n", &["a.example", "80"]);
    assert!(
        said.contains("is for https://a.example, not for http://a.example"),
        "{said}"
    );
    assert!(
        said.contains("- allow it: `allow = a.example 80`"),
        "{said}"
    );
}

#[test]
fn nothing_is_advised_that_would_change_nothing() {
    for (config, port, expected) in [
        // On port 843 the line that is there suffices.
        (
            "listen = [::]:10843\nallow = * 80\n",
            "80",
            &["listen = [::]:843"][..],
        ),
        (
            "listen = [::]:10843\nallow = *.example.com 2001\n",
            "80",
            &["listen = [::]:843", "allow = *.example.com 2001,80"],
        ),
        (
            "meta_policy = none\nallow = * 80\n",
            "80",
            &["meta_policy = master-only"],
        ),
    ] {
        let object = json(&run(
            config,
            &["explain", "--json", "www.example.com", port],
        ));
        let changes = object["changes"].as_array().unwrap().iter();
        let lines: Vec<_> = changes
            .map(|change| change["conf"].as_str().unwrap())
            .collect();
        assert_eq!(lines, expected, "{config}");
    }
}

#[test]
fn many_lines_that_deny_are_told_one_by_one() {
    let config: String = (0..12)
        .map(|n| format!("allow = a{n}.example 80\n"))
        .collect();
    let (_, said) = explain(&config, &["b.example", "80"]);
    let start = "- the policy on port 843:\n  - `allow = a0.example 80` (flashpolicy.conf:1) is for \
                 a0.example, not for b.example\n";
    assert!(said.contains(start), "{said}");
    assert!(said.contains("  - and 2 more.\n"), "{said}");
}

#[test]
fn unusual_origins_say_what_they_mean() {
    for (origin, code, expected) in [
        (
            "app:/game.swf",
            0,
            "ALLOWED: the application content of AIR (app:) asks for no policy",
        ),
        ("*", 1, "Note: this is about content from anywhere"),
        (
            "203.0.113.7",
            1,
            "Note: 203.0.113.7 stands for content that is loaded by that literal",
        ),
        ("file:", 1, "only `*` matches local content"),
    ] {
        let (exit, said) = explain("allow = a.example 80", &[origin, "80"]);
        assert_eq!(exit, Some(code), "{said}");
        assert!(said.contains(expected), "{origin}: {said}");
    }
    let (code, said) = explain("allow = * 80", &["*", "80"]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_port_that_flash_player_refuses_is_a_condition_for_flash_player_alone() {
    let condition = "Flash Player version 24 and later refuses port 6667 itself, whatever a policy \
                     grants; move the game to another port.";
    let config = "meta_policy = master-only\nallow = * 6667,2001\n";
    for (player, said_so) in [("flash", true), ("lightspark", false), ("unity", false)] {
        let arguments = ["--player", player, "a.example", "6667"];
        let (code, said) = explain(config, &arguments);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said.contains(condition), said_so, "{player}: {said}");
        let object = json(&run(
            config,
            &[&["explain", "--json"], &arguments[..]].concat(),
        ));
        let conditions = &object["verdicts"][0]["conditions"];
        assert_eq!(
            conditions.as_array().unwrap().len(),
            usize::from(said_so),
            "{object:#}"
        );
    }
    // A grant would not help.
    let (code, said) = explain(GAME, &["www.example.com", "6667"]);
    assert_eq!(code, Some(1));
    assert!(said.contains(condition), "{said}");
    let (_, said) = explain(config, &["a.example", "2001"]);
    assert!(!said.contains("version 24"), "{said}");
    let (_, said) = explain("allow = * *", &["a.example", "25,2001,6665-6669"]);
    assert!(
        said.contains("refuses ports 25 and 6665 to 6669 itself"),
        "{said}"
    );
}

#[test]
fn a_swf_on_the_disk_is_in_one_of_three_sandboxes() {
    let config = "meta_policy = master-only\nallow = * 2001\n";
    for origin in [
        "file:",
        "D:\\games\\client.swf",
        "/srv/client.swf",
        "client.swf",
        "Game 2.SWF",
    ] {
        for (port, code) in [("2001", 0), ("2002", 1)] {
            let (exit, said) = explain(config, &["--from", origin, "--to", port]);
            assert_eq!(exit, Some(code), "{origin}: {said}");
            for expected in [
                "a local SWF may",
                "published for network access (local-with-networking)",
                "local files only (local-with-filesystem) gets #2010, whatever a policy grants",
                "trusted on its computer (local-trusted) needs no policy",
            ] {
                assert!(said.contains(expected), "{origin}: {said}");
            }
        }
    }
    let (_, said) = explain(config, &["--player", "lightspark", "file:", "2001"]);
    assert!(
        said.contains("`localhost` and 127.0.0.1") && !said.contains("#2010"),
        "{said}"
    );
    let (_, said) = explain(config, &["--player", "unity", "file:", "2001"]);
    assert!(!said.contains("local-"), "{said}");
    let (exit, said) = explain(config, &["games/client.swf", "2001"]);
    assert_eq!(exit, Some(2), "{said}");
    assert!(
        said.contains("write `file:` for a SWF on the disk, or `http://games`"),
        "{said}"
    );
}

#[test]
fn what_nobody_knows_is_called_uncertain_for_the_player_that_it_concerns() {
    for (player, uncertain) in [("flash", true), ("lightspark", false)] {
        let (code, said) = explain("allow = *.com 80", &["--player", player, "a.com", "80"]);
        assert_eq!(code, Some(0), "{said}");
        let expected = "Uncertain: it is not known whether Flash Player matches `*.com`";
        assert_eq!(said.contains(expected), uncertain, "{said}");
    }
}

#[test]
fn a_listener_that_only_this_host_can_reach_is_named() {
    let config = "listen = 127.0.0.1:843\nallow = * 80\n";
    let (code, said) = explain(config, &["a.example", "80"]);
    assert_eq!(code, Some(0));
    assert!(
        said.contains("Note: 127.0.0.1:843 is a loopback address: only this host"),
        "{said}"
    );
    assert!(said.contains("write `listen = [::]:843`"), "{said}");
    let (_, said) = explain(
        &format!("{config}ignore = loopback-only"),
        &["a.example", "80"],
    );
    assert!(!said.contains("loopback"), "{said}");
}

#[test]
fn that_other_policies_may_count_is_said_where_they_may() {
    let note =
        "a policy on the destination port itself might count as well; `meta_policy = master-only`";
    for (config, said_so) in [
        ("allow = * 80", true),
        ("allow = * 80\nmeta_policy = all", true),
        ("allow = * 80\nmeta_policy = master-only", false),
        ("allow = * 80\nlisten = [::]:10843", false),
    ] {
        let (_, said) = explain(config, &["a.example", "80"]);
        assert_eq!(said.contains(note), said_so, "{config}: {said}");
    }
    let (_, said) = explain(
        "allow = * 80",
        &["--player", "lightspark", "a.example", "80"],
    );
    assert!(
        said.contains("waits there for ever if nothing comes"),
        "{said}"
    );
    let (_, said) = explain("allow = * 80", &["--player", "unity", "a.example", "80"]);
    assert!(!said.contains("Note: "), "{said}");
}

#[test]
fn each_player_has_its_verdict() {
    let long = "allow = * 5000-9000\n";
    let high = "listen = [::]:10843\nallow = * *\n";
    let spoiled = "policy_file = spoiled.xml\n";
    let file = |name: &str| format!("policy_file = {name}.xml\n");
    let (last, behind, before, four) = (file("last"), file("behind"), file("before"), file("four"));
    for (config, player, port, code, expected) in [
        (long, "flash", "6000", 0, "ALLOWED: "),
        (long, "lightspark", "5000", 0, "ALLOWED: "),
        (
            long,
            "lightspark",
            "6000",
            1,
            "Lightspark counts only the first port of a range",
        ),
        (long, "unity", "6000", 0, "ALLOWED: "),
        (
            long,
            "unity",
            "9000",
            1,
            "Unity Web Player leaves out the last port of a range",
        ),
        // Short ranges are served as lists.
        (GAME, "lightspark", "5005", 0, "ALLOWED: "),
        (GAME, "flash", "5010", 0, "ALLOWED: "),
        (
            GAME,
            "unity",
            "5010",
            1,
            "Unity Web Player takes `*` and no other domain",
        ),
        (high, "flash", "80", 1, "it cannot grant ports below 1024"),
        (high, "lightspark", "80", 0, "ALLOWED: "),
        (
            high,
            "unity",
            "2001",
            0,
            "Security.PrefetchSocketPolicy(ADDRESS, 10843)",
        ),
        (spoiled, "flash", "80", 0, "ALLOWED: "),
        (
            spoiled,
            "lightspark",
            "80",
            1,
            "drops the whole file over line 1: `allow-http-request-headers-from` stands there",
        ),
        (
            spoiled,
            "lightspark",
            "80",
            1,
            "- write the policy so that Lightspark reads all of it",
        ),
        (&*last, "lightspark", "80", 0, "ALLOWED: "),
        (&*behind, "lightspark", "80", 0, "ALLOWED: "),
        (
            &*before,
            "lightspark",
            "80",
            1,
            "reads no further than line 1",
        ),
        (
            &*four,
            "lightspark",
            "80",
            1,
            "has more than three attributes",
        ),
        (&*four, "flash", "80", 0, "ALLOWED: "),
        // No site-control there, so that Lightspark does not drop the file.
        (
            "listen = [::]:10843\nmeta_policy = master-only\nallow = * 2001\n",
            "lightspark",
            "2001",
            0,
            "ALLOWED: ",
        ),
    ] {
        let arguments = ["--player", player, "www.example.com", port];
        let (exit, said) = explain(config, &arguments);
        assert_eq!(exit, Some(code), "{config}{player} {port}: {said}");
        assert!(said.contains(expected), "{config}{player} {port}: {said}");
    }
    let (code, said) = explain(GAME, &["--player", "ruffle", "a.example", "80"]);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("--player: `ruffle` is no player; write `flash`"),
        "{said}"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn site_control_is_served_on_843_alone() {
    let config = "listen = [::]:843\nlisten = [::]:10843\nallow = a.example 2001\n\
                  meta_policy = master-only\n";
    let object = json(&run(config, &["policy", "--json"]));
    let policies = object["policies"].as_array().unwrap();
    let told: Vec<_> = policies
        .iter()
        .map(|policy| {
            let xml = policy["xml"].as_str().unwrap();
            (
                policy["listeners"][0]["port"].as_u64(),
                xml.contains("site-control"),
            )
        })
        .collect();
    assert_eq!(told, [(Some(843), true), (Some(10843), false)]);
    // Behind a load balancer players find it on 843.
    let object = json(&run(
        "listen = [::]:10843 proxy\nallow = a.example 2001\nmeta_policy = all\n",
        &["policy", "--json"],
    ));
    assert_eq!(object["policies"][0]["meta_policy"], "all");
    let server = Setup::new().line("allow = * 5000-5003").start();
    let served = String::from_utf8(server.ask()).unwrap();
    assert!(
        served.contains("to-ports=\"5000,5001,5002,5003\""),
        "{served}"
    );
}

#[test]
fn explain_as_json_has_the_keys_of_probe() {
    let arguments = [
        "explain",
        "--json",
        "--from",
        "www.example.com",
        "--to",
        "2001,9339",
    ];
    let output = run(GAME, &arguments);
    assert_eq!(output.status.code(), Some(1));
    let object = json(&output);
    assert_eq!(object["from"], "http://www.example.com");
    assert_eq!(object["to"], serde_json::json!([2001, 9339]));
    assert_eq!(
        (&object["exit"], &object["player"]),
        (&1.into(), &"flash".into())
    );
    let [denied, allowed] = object["verdicts"].as_array().unwrap().as_slice() else {
        panic!("{object:#}");
    };
    assert_eq!(
        (&denied["allowed"], &denied["error"]),
        (&false.into(), &"SecurityError #2048".into())
    );
    assert_eq!(denied["reasons"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&allowed["by"]["step"], &allowed["by"]["port"]),
        (&"master".into(), &843.into())
    );
    let place = serde_json::json!({"name": "flashpolicy.conf", "line": 2, "column": 9});
    assert_eq!(allowed["by"]["place"], place);
    assert_eq!(
        object["changes"][0]["conf"],
        "allow = *.example.com 9339,5000-5010,2001"
    );
}

#[test]
fn policy_as_json_has_each_policy_with_its_meaning() {
    let config = "listen = [::]:843\nallow = *.example.com 80,81 secure\n";
    let output = run(config, &["policy", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let object = json(&output);
    let policy = &object["policies"][0];
    let listener = serde_json::json!({"address": "[::]:843", "port": 843, "proxy": false});
    assert_eq!(policy["listeners"], serde_json::json!([listener]));
    let grant = &policy["grants"][0];
    assert_eq!(
        (&grant["domain"], &grant["ports"]),
        (&"*.example.com".into(), &"80,81".into())
    );
    assert_eq!(
        (&grant["secure"], &grant["place"]["line"]),
        (&true.into(), &2.into())
    );
    assert_eq!(policy["bytes"], policy["xml"].as_str().unwrap().len() + 1);
    assert_eq!(policy["findings"][0]["code"], "secure-grant");
    assert_eq!(
        policy["text"][0],
        "Any content loaded over HTTPS from *.example.com may connect to ports 80 and 81."
    );
}
