//! The probe on a network of its own, where port 843 and port 80 are free, names have the addresses
//! that the test gives them, and a firewall can stand in the way. It needs root.

#![cfg(target_os = "linux")]

mod support;

#[path = "support/probing.rs"]
mod probing;

use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use probing::{POLICY, Probe, answer, hear, hold, serve, with_nul};
use support::{PATIENCE, Setup, in_a_network_of_its_own};

#[test]
fn each_address_of_a_name_is_asked_on_its_own() {
    let name = "each_address_of_a_name_is_asked_on_its_own";
    if !in_a_network_of_its_own(name) {
        return;
    }
    let hosts = "127.0.0.1 game.example.com\n::1 game.example.com\n";
    // Bound to IPv4 only.
    serve(TcpListener::bind("127.0.0.1:843").unwrap(), |s| {
        answer(s, with_nul(POLICY))
    });
    let game = Probe::of("game.example.com");
    game.clone()
        .hosts(hosts)
        .run()
        .exits(2)
        .says("127.0.0.1:843 (the master policy): connected in")
        .says("[::1]:843 (the master policy): refused")
        .says("warning[one-address]: there is a policy on 127.0.0.1:843, and none on [::1]:843")
        .says("What to change:\n- listen on every address, IPv6 and IPv4 (`listen = [::]:843`), or delete the DNS record of the other\n");

    serve(TcpListener::bind("[::1]:843").unwrap(), |s| {
        answer(s, with_nul(POLICY))
    });
    serve(TcpListener::bind("[::]:2001").unwrap(), hold);
    let connection = game.clone().connection("www.example.com", 2001);
    let told = connection.hosts(hosts).run().exits(0);
    assert_eq!(told.said.matches("ALLOWED: ").count(), 2, "{}", told.said);
    told.says("may connect to [::1]:2001, by ");

    // No route: the fault is here, not there.
    let hosts = "127.0.0.1 game.example.com\n2001:db8::1 game.example.com\n";
    let told = game.clone().hosts(hosts).run().exits(1);
    told.says("error[unreachable]: this host has no route to the address");
    // Eight addresses are asked.
    for (more, told) in [
        (9, "1 more address of game.example.com was not asked."),
        (11, "3 more addresses of game.example.com were not asked."),
    ] {
        let hosts: String = (1..=more)
            .map(|n| format!("127.0.0.{n} game.example.com\n"))
            .collect();
        game.clone().hosts(&hosts).run().says(told);
    }
}

#[test]
fn a_name_without_an_address_is_unreachable() {
    if !in_a_network_of_its_own("a_name_without_an_address_is_unreachable") {
        return;
    }
    // No name server is in this network.
    let told = Probe::of("game.example.com").run().exits(2);
    assert!(told.said.starts_with("POLICY CRITICAL - unresolved: "));
    told.says("correct the name, its DNS record, or the resolver of this host");
}

#[test]
fn crossdomain_xml_on_the_web_server_is_found_where_nothing_is_on_843() {
    let name = "crossdomain_xml_on_the_web_server_is_found_where_nothing_is_on_843";
    if !in_a_network_of_its_own(name) {
        return;
    }
    serve(TcpListener::bind("127.0.0.1:80").unwrap(), |s| {
        let request = hear(s)?;
        assert!(request.starts_with(b"GET /crossdomain.xml HTTP/1.0\r\nHost: 127.0.0.1\r\n"));
        s.write_all(b"HTTP/1.0 200 OK\r\n\r\n<cross-domain-policy><allow-access-from domain='*'/></cross-domain-policy>")
    });
    Probe::of("127.0.0.1")
        .run()
        .exits(2)
        .says("error[refused]")
        .says("warning[crossdomain-http]: http://127.0.0.1:80/crossdomain.xml exists: it is for HTTP and opens no socket")
        .says("start a policy server that listens on every address")
        .says_nothing_of("serve a socket policy on port 843 too");
    // A policy from another port opens none below 1024: one server on port 843 is the cure of both.
    serve(TcpListener::bind("127.0.0.1:10843").unwrap(), |s| {
        answer(s, with_nul(&POLICY.replace("2001", "900")))
    });
    let low = Probe::of("127.0.0.1").with("--load", "127.0.0.1:10843");
    let told = low.connection("www.example.com", 900).run().exits(2);
    assert_eq!(
        told.said.matches("`listen = [::]:843`").count(),
        1,
        "{}",
        told.said
    );
    told.says("- or move the game to port 1024 or above");
}

#[test]
fn a_firewall_before_843_costs_three_seconds_and_is_told_from_a_closed_port() {
    let name = "a_firewall_before_843_costs_three_seconds_and_is_told_from_a_closed_port";
    if !in_a_network_of_its_own(name) || !support::have("nft") {
        return;
    }
    let firewall = |rule: &str| {
        let script = format!(
            "nft flush ruleset; nft add table inet f && nft add chain inet f i '{{ type filter hook input priority 0; }}' && nft add rule inet f i {rule}"
        );
        let status = std::process::Command::new("sh")
            .args(["-c", &script])
            .status();
        assert!(status.unwrap().success(), "{rule}");
    };
    // The game serves a policy itself: it works, three seconds late.
    serve(TcpListener::bind("127.0.0.1:2001").unwrap(), |s| {
        answer(s, with_nul(POLICY))
    });
    firewall("tcp dport 843 drop");
    let begun = Instant::now();
    let connection = Probe::of("127.0.0.1").connection("www.example.com", 2001);
    let told = connection.clone().run();
    let took = begun.elapsed();
    assert!(
        (Duration::from_millis(2900)..PATIENCE).contains(&took),
        "{took:?}"
    );
    told.exits(1)
        .says("error[filtered]: nobody answered the connection attempt within 3.")
        .says("let TCP port 843 through every firewall on the way")
        .says("ALLOWED: a SWF from http://www.example.com may connect to 127.0.0.1:2001");

    firewall("tcp dport 843 reject with icmp type admin-prohibited");
    Probe::of("127.0.0.1")
        .run()
        .exits(2)
        .says("error[unreachable]: the address is unreachable, or a firewall on the way rejects the connection (No route to host)")
        .says("let TCP port 843 through every firewall on the way");

    // One that rejects as a host without a server does: both are said, and how to tell.
    for reject in ["tcp reset", "icmpx type port-unreachable"] {
        firewall(&format!("tcp dport 843 reject with {reject}"));
        Probe::of("127.0.0.1")
            .run()
            .exits(2)
            .says("error[refused]: the port refuses connections: nobody listens there on this address, or a firewall rejects them")
            .says("where this same probe gets a policy on the server's own host, a firewall rejects the connection: open TCP port 843 in it");
    }

    // The destination port behind a firewall.
    serve(TcpListener::bind("127.0.0.1:843").unwrap(), |s| {
        answer(s, with_nul(POLICY))
    });
    firewall("tcp dport 2001 drop");
    let told = connection.clone().timeout(1).run().exits(2);
    told.says("SecurityError #2048 after 20 s, because port 2001 does not answer (no answer within 1.0 s)")
        .says("gets no answer from 127.0.0.1, port 2001")
        .says("What to change:\n- on 127.0.0.1: let port 2001 through the firewall, on the server's host");
    firewall("tcp dport 2001 reject with tcp reset");
    let told = connection.timeout(1).run().exits(2);
    told.says("IOError #2031 at once (and SecurityError #2048 after 20 s, unless the SWF closes the socket)")
        .says("where this same probe reaches it on the server's own host, let the port through the firewall");
}

/// Decimal numbers are times, and differ; addresses lose the same digits on both sides.
fn without_times(text: &str) -> String {
    let mut told = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(at);
        let end = number
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(number.len());
        let (number, after) = number.split_at(end);
        told.push_str(before);
        told.push_str(
            if number.matches('.').count() == 1 && !number.ends_with('.') {
                "T"
            } else {
                number
            },
        );
        rest = after;
    }
    told.push_str(rest);
    told.replace("T ms", "T s")
}

#[test]
fn the_readmes_story_is_what_really_happens() {
    let name = "the_readmes_story_is_what_really_happens";
    if !in_a_network_of_its_own(name) {
        return;
    }
    let added = std::process::Command::new("ip")
        .args(["address", "add", "203.0.113.7/32", "dev", "lo"])
        .status();
    assert!(added.unwrap().success());
    for port in [1024, 2001, 3001] {
        serve(TcpListener::bind(("203.0.113.7", port)).unwrap(), hold);
    }
    let readme = include_str!("../README.md");
    let story = readme
        .split("\n## Why does my player say 2048?\n")
        .nth(1)
        .and_then(|rest| rest.split("```console\n").nth(1))
        .and_then(|rest| rest.split("```").next());
    let story = story.expect("the story in the README");
    let mut server = None;
    let mut commands = 0;
    for step in story.split("$ ").skip(1) {
        let (command, shown) = step.split_once('\n').unwrap();
        let words: Vec<&str> = command.split(' ').collect();
        match words.as_slice() {
            ["cat", "flashpolicy.conf"] => {
                drop(server.take());
                let lines = shown.trim_end().lines();
                server = Some(
                    lines
                        .fold(Setup::new(), |setup, line| setup.line(line))
                        .start(),
                );
            }
            ["flashpolicyd", "probe", arguments @ ..] => {
                let (host, options) = arguments.split_first().unwrap();
                let probe = Probe::of(host).hosts("203.0.113.7 game.example.com\n");
                let probe = options
                    .iter()
                    .fold(probe, |probe, option| probe.flag(option));
                let said = probe.run().said;
                assert_eq!(
                    without_times(said.trim_end()),
                    without_times(shown.trim_end()),
                    "{command}\n{said}"
                );
                commands += 1;
            }
            _ => panic!("what is {command}?"),
        }
    }
    assert!(commands >= 1);
    assert!(story.contains("DENIED") && story.contains("What to change:"));
}
