//! Runs on Windows too, apart from the tests that start a server.

#![cfg_attr(not(target_os = "linux"), allow(dead_code, unused_imports))]

mod support;

#[path = "support/probing.rs"]
mod probing;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use probing::{
    ALERT, POLICY, Probe, answer, fault, grant, hear, hold, is_tls, pause, reset, utf16, with_nul,
};
use socket2::{Domain, Socket, Type};
use support::{Setup, free_port, have, run_in};

#[test]
fn a_policy_that_comes_when_the_player_has_given_up_is_told_from_silence() {
    let late = fault(|s| {
        hear(s)?;
        pause(3300);
        s.write_all(&with_nul(POLICY))
    });
    Probe::port(late)
        .run()
        .exits(2)
        .says("error[too-slow]: the policy came after 3.")
        .says("the player gives up after 3.0 s")
        .says("- answer from memory, look up no names");
}

#[test]
fn a_time_out_is_the_time_that_the_probe_waits() {
    let port = fault(hold);
    for (seconds, shown) in [(1, "1.0 s"), (3, "3.0 s")] {
        Probe::port(port)
            .timeout(seconds)
            .run()
            .exits(2)
            .says(format!("nothing came within {shown}"))
            .says(format!("still open after {shown}"));
    }
}

#[test]
fn a_port_where_nobody_listens_is_refused_and_what_to_configure_is_said() {
    let port = free_port();
    Probe::port(port)
        .run()
        .exits(2)
        .says("error[refused]: the port refuses connections")
        .says(format!("not on 127.0.0.1 alone: `listen = [::]:{port}`"));
}

#[test]
fn a_full_backlog_looks_like_a_firewall_and_is_bounded_in_time() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address);
            socket
        })
        .collect();
    let port = address.as_socket().unwrap().port();
    let begun = Instant::now();
    let told = Probe::port(port).timeout(0.5).run();
    drop(waiting);
    told.exits(2)
        .says("error[filtered]: nobody answered the connection attempt within")
        .says("let TCP port");
    assert!(begun.elapsed() < Duration::from_secs(8));
}

fn master_only(s: &mut TcpStream) -> io::Result<()> {
    answer(
        s,
        "<cross-domain-policy><site-control permitted-cross-domain-policies='master-only'/><allow-access-from domain='*.example.com' to-ports='2001'/></cross-domain-policy>\0",
    )
}

fn none(s: &mut TcpStream) -> io::Result<()> {
    answer(
        s,
        "<cross-domain-policy><site-control permitted-cross-domain-policies='none'/><allow-access-from domain='*.example.com' to-ports='*'/></cross-domain-policy>\0",
    )
}

fn localhost(s: &mut TcpStream) -> io::Result<()> {
    answer(s, grant("domain='localhost' to-ports='*'"))
}

fn secure(s: &mut TcpStream) -> io::Result<()> {
    answer(s, grant("domain='a.example' to-ports='*' secure='true'"))
}

fn good(s: &mut TcpStream) -> io::Result<()> {
    answer(s, with_nul(POLICY))
}

fn broken(s: &mut TcpStream) -> io::Result<()> {
    answer(s, "<cross-domain-policy>\0")
}

fn open_to_a_example(s: &mut TcpStream) -> io::Result<()> {
    answer(s, grant("domain='a.example' to-ports='*'"))
}

#[test]
fn verdicts_are_in_the_users_words_and_cures_are_lines_of_the_configuration() {
    type Treat = fn(&mut TcpStream) -> io::Result<()>;
    #[rustfmt::skip]
    let cases: [(Treat, &str, u16, &[&str]); 11] = [
        (good, "www.example.com", 3011, &["DENIED, the player reports SecurityError #2048 after 20 s: a SWF from http://www.example.com may not connect to 127.0.0.1:3011.", "grant 1 is for ports 2001 and 3000 to 3010, not for 3011", "`allow = *.example.com 3011`"]),
        (good, "www.example.org", 3010, &["grant 1 is for *.example.com, not for www.example.org", "`allow = www.example.org 3010`"]),
        (localhost, "www.example.com", 2001, &["grant 1 is for localhost, not for www.example.com", "`allow = www.example.com 2001`", "<allow-access-from domain=\"www.example.com\" to-ports=\"2001\" />"]),
        (localhost, "127.0.0.1", 2001, &["names and addresses never match each other", "`allow = 127.0.0.1 2001`"]),
        (localhost, "https://[::1]", 2001, &["`allow = [::1] 2001`"]),
        (good, "file:", 2001, &["only `*` matches local content", "`allow = * 2001`"]),
        (secure, "a.example", 2001, &["for content loaded over HTTPS only", "load the SWF over HTTPS", "`allow = a.example 2001`"]),
        (none, "www.example.com", 2001, &["its meta-policy is `none`, which denies everything", "change `meta_policy = none` to `master-only`: with `none` no grant counts", "no other port was asked"]),
        (none, "www.example.org", 2001, &["change `meta_policy = none` to `master-only`", "`allow = www.example.org 2001`"]),
        (master_only, "www.example.com", 2002, &["no other port was asked: the meta-policy leaves other policies without effect", "`allow = *.example.com 2002`"]),
        (broken, "www.example.com", 2001, &["error[malformed]", "UNCERTAIN: It is not documented what the player does with such an answer on port", "`allow = www.example.com 2001`"]),
    ];
    for (treat, origin, to, expected) in cases {
        let probe = Probe::port(fault(treat)).timeout(1).connection(origin, to);
        let mut told = probe
            .run()
            .exits(2)
            .says("(SecurityError #2048 after 20 s)");
        for part in expected {
            told = told.says(part);
        }
    }
}

#[test]
fn no_allow_line_is_a_cure_where_only_the_delivery_is_in_the_way() {
    type Treat = fn(&mut TcpStream) -> io::Result<()>;
    let cases: [(Treat, &str); 6] = [
        (
            |s| answer(s, [b"\xEF\xBB\xBF", &with_nul(POLICY)[..]].concat()),
            "bom",
        ),
        (
            |s| {
                let text = format!("{POLICY}\0");
                answer(s, utf16(&text, u16::to_le_bytes))
            },
            "UTF-16",
        ),
        (
            |s| answer(s, [b"\0\x7b", &with_nul(POLICY)[..]].concat()),
            "before the XML",
        ),
        (
            |s| answer(s, format!("220 hello\r\n{POLICY}\0")),
            "junk-before",
        ),
        (
            |s| {
                answer(s, POLICY)?;
                hold(s)
            },
            "no-nul-open",
        ),
        (
            |s| {
                answer(
                    s,
                    [&with_nul(&POLICY[..30]), &with_nul(&POLICY[30..])[..]].concat(),
                )
            },
            "nul-inside",
        ),
    ];
    for (treat, named) in cases {
        let probe = Probe::port(fault(treat)).timeout(1);
        let allowed = probe.clone().connection("www.example.com", 3005);
        let told = allowed.run().exits(2).says(named).says("DENIED");
        told.says_nothing_of("allow it: ");
        // What the policy lacks is told all the same.
        let denied = probe.connection("www.example.org", 3005);
        denied.run().exits(2).says("`allow = www.example.org 3005`");
    }
}

#[test]
fn ports_that_want_the_same_are_one_line() {
    let told = Probe::port(fault(localhost))
        .timeout(1)
        .connection("www.example.com", "1024,3001,2001")
        .run()
        .says("`allow = www.example.com 1024,2001,3001`");
    assert_eq!(told.said.matches("DENIED, ").count(), 3, "{}", told.said);
}

#[test]
fn ports_are_written_as_in_allow_and_of_many_a_sample_is_asked() {
    let port = fault(good);
    let probe = |to: &str| {
        let probe = Probe::port(port).timeout(1);
        probe.connection("www.example.com", to)
    };
    let few = probe("2001,3000-3002").run();
    let few = few.says("127.0.0.1:3002").says_nothing_of("--to names");
    assert_eq!(few.said.matches("ALLOWED").count(), 4, "{}", few.said);

    let many = probe("2001,2990-3100").run().exits(2).says(
        "--to names 112 ports, 2001,2990-3100: the probe asks the first, the last, and those at \
         the edges of the grants.",
    );
    for asked in [2001, 2990, 2999, 3000, 3010, 3011, 3100] {
        assert!(many.said.contains(&format!("127.0.0.1:{asked}")), "{asked}");
    }
    assert!(!many.said.contains("127.0.0.1:3005"), "{}", many.said);
    let many = many.says("may not connect to 127.0.0.1, ports 2990, 2999, 3011 and 3100");
    many.says("`allow = *.example.com 2001,2990-3100`");

    let object = probe("2001,2990-3100").json();
    assert_eq!(
        object["to"],
        serde_json::json!([2001, 2990, 2999, 3000, 3010, 3011, 3100])
    );
    assert_eq!(object["to_named"], "2001,2990-3100");
    assert_eq!(object["to_named_ports"], 112);
    probe("3010-3000")
        .run()
        .exits(3)
        .says("the range `3010-3000` runs backwards");
}

#[test]
fn a_permitted_port_where_nobody_listens_is_what_the_user_sees() {
    let policy = Probe::port(fault(open_to_a_example)).timeout(3);
    let closed = free_port();
    let told = policy.clone().connection("a.example", closed).run();
    told.exits(2)
        .says("is refused by 127.0.0.1, port")
        .says(format!("ALLOWED, and the player reports IOError #2031 at once (and SecurityError #2048 after 20 s, unless the SWF closes the socket), because port {closed} refuses (connection refused)"))
        .says("start the application on port");

    let game = fault(hold);
    let told = policy.connection("a.example", game).run().exits(0);
    told.says(format!("ALLOWED: a SWF from http://a.example may connect to 127.0.0.1:{game}, by <allow-access-from domain=\"a.example\" to-ports=\"*\" />"));
}

#[test]
fn a_game_that_ends_the_connection_before_anything_is_said_is_what_the_player_reports() {
    let ends: [fn(&mut TcpStream) -> io::Result<()>; 2] = [|_| Ok(()), |s| reset(s)];
    for end in ends {
        let policy = Probe::port(fault(open_to_a_example)).timeout(3);
        let game = fault(end);
        let probe = policy.connection("a.example", game);
        probe
            .clone()
            .run()
            .exits(2)
            .says("http://a.example is turned away by 127.0.0.1, port")
            .says("ALLOWED, and the player reports a close, and SecurityError #2048 after 20 s, because the port closed the connection after")
            .says(format!("read the log of the application on port {game}"));
        let object = probe.clone().json();
        let verdict = &object["addresses"][0]["verdicts"][0];
        assert_eq!(verdict["error"], "SecurityError #2048");
        assert_eq!(verdict["error_after"], 20.0);
        assert!(verdict["ended"].is_f64(), "{verdict}");
        // A plugin is to know it, too.
        probe.flag("--quiet").run().exits(2).says("turned away");
    }
    // A game that speaks first and then closes had its say.
    let policy = Probe::port(fault(open_to_a_example)).timeout(3);
    let speaks = fault(|s| s.write_all(b"closed for today\r\n"));
    policy.connection("a.example", speaks).run().exits(0);
}

#[test]
fn the_application_content_of_air_needs_a_port_that_answers_and_no_policy() {
    let game = fault(hold);
    let air = |to: u16| Probe::of("127.0.0.1").timeout(1).connection("app:", to);
    let told = air(game).run().exits(0);
    let told = told.says(format!(
        "POLICY OK - AIR may connect to port {game}\n\nALLOWED: the application content of AIR asks \
         for no policy, and may connect to 127.0.0.1:{game}. The port answers, in "
    ));
    told.says_nothing_of("843").says_nothing_of("2048");
    let object = air(game).json();
    assert_eq!(object["from"], "app:");
    assert_eq!(object["addresses"][0]["steps"], serde_json::json!([]));
    assert_eq!(object["addresses"][0]["verdicts"][0]["allowed"], true);
    air(free_port())
        .run()
        .exits(2)
        .says("AIR is refused by 127.0.0.1, port")
        .says("ALLOWED, and the player reports IOError #2031 at once, because port ")
        .says_nothing_of("2048");
    for (option, value) in [("--load", "a:1"), ("--port", "1"), ("--player", "unity")] {
        let told = air(game).with(option, value).run().exits(3);
        told.says(format!("{option} is about policies"));
    }
}

#[test]
fn inside_tls_whatever_comes_is_bounded_in_time_and_named() {
    if !cfg!(feature = "tls") {
        return;
    }
    type Treat = fn(&mut TcpStream) -> io::Result<()>;
    let cases: [(Treat, &str); 6] = [
        (hold, "no TLS: nothing more came in time"),
        (
            |s| {
                s.write_all(b"\x16\x03\x03\x40\x00")?;
                loop {
                    s.write_all(b"\x02")?;
                    pause(20);
                }
            },
            "no TLS: nothing more came in time",
        ),
        (
            |s| hear(s).map(|_| ()),
            "no TLS: the server closed the connection",
        ),
        (
            |s| answer(s, "<html>\u{1b}[2J"),
            "no TLS: what came is no TLS",
        ),
        (
            |s| answer(s, ALERT),
            "TLS, but no handshake completes: the server refuses what TLS 1.2 and 1.3 offer (HandshakeFailure)",
        ),
        (
            good,
            "no TLS: what came is no TLS; in the clear it has a policy, for Socket and XMLSocket",
        ),
    ];
    for (treat, why) in cases {
        let begun = Instant::now();
        let told = Probe::port(fault(treat)).timeout(1).flag("--tls").run();
        told.exits(2)
            .says(format!(
                "error[no-tls]: the port takes connections, and {why}"
            ))
            .says("serve the policy inside TLS, too: `scripts/haproxy/tls.cfg`")
            .says_nothing_of("\u{1b}");
        assert!(begun.elapsed() < support::PATIENCE);
    }
}

#[test]
fn no_policy_that_came_is_told_to_allow_more() {
    let nothing = Probe::port(free_port()).timeout(1);
    let told = nothing.connection("a.example", free_port()).run().exits(2);
    told.says("start a policy server that listens on every address")
        .says("where this same probe gets a policy on the server's own host, a firewall rejects the connection")
        .says_nothing_of("allow it");
}

#[test]
fn a_location_that_refuses_is_named_with_what_to_do_about_its_call() {
    let location = free_port();
    let load = format!("127.0.0.1:{location}");
    let probe = Probe::port(fault(open_to_a_example)).timeout(1);
    let probe = probe.with("--load", &load);
    let told = probe.clone().run().exits(2);
    told.says(format!(
        "POLICY CRITICAL - {load} (loadPolicyFile): refused: the port refuses"
    ));
    let told = probe.connection("a.example", fault(hold)).run().exits(1);
    let told = told.says(format!("; {load} (loadPolicyFile): refused"));
    let changes = told.changes().join("\n");
    assert!(
        changes.contains(&format!("`listen = [::]:{location}`")),
        "{changes}"
    );
    let call = "; or delete that call of loadPolicyFile in the SWF";
    assert!(changes.contains(call), "{changes}");
}

#[test]
fn a_server_that_waits_for_a_line_end_is_named_in_the_first_line() {
    let lines = fault(|s| match hear(s)?.last() {
        Some(b'\n') => s.write_all(&with_nul(POLICY)),
        _ => hold(s),
    });
    let told = Probe::port(lines).timeout(1).flag("--quiet").run().exits(2);
    told.says(format!(
        "POLICY CRITICAL - 127.0.0.1:{lines}: silent, strict-request: the server sends a policy for a request with a line end in place of the NUL"
    ));
}

#[test]
fn with_errors_only_warnings_are_neither_shown_nor_counted() {
    let doubtful = fault(|s| {
        answer(s, grant("domain='*' to-ports='*'"))?;
        hold(s)
    });
    let told = Probe::port(doubtful).flag("--errors-only").run().exits(0);
    told.says("POLICY OK - ").says_nothing_of("warning[");
    let object = Probe::port(doubtful).flag("--errors-only").json();
    assert_eq!(
        (&object["state"], &object["exit"]),
        (&"OK".into(), &0.into())
    );
    // Errors stay what they are.
    let denied = Probe::port(doubtful).flag("--errors-only").flag("--quiet");
    denied
        .clone()
        .connection("a.example", free_port())
        .run()
        .exits(2)
        .says("is refused by");
    Probe::port(fault(broken))
        .flag("--errors-only")
        .timeout(1)
        .run()
        .exits(2)
        .says("error[malformed]");
}

#[test]
fn on_a_terminal_a_line_says_what_is_waited_for_and_is_gone_at_the_end() {
    if !have("script") || !have("stty") {
        return;
    }
    let port = fault(hold);
    let probe = Probe::port(port).timeout(2);
    let shown = format!("asking 127.0.0.1:{port} for a policy: 1 s of at most 2 s");
    let told = probe.in_a_terminal(72, &[]).exits(2).says(&shown);
    // What a terminal still shows of the line is blank when the report begins.
    let before = told.said.split("POLICY ").next().unwrap();
    let before = before.replace("\u{1b}[1;31m", "");
    let last = before.trim_end_matches('\r').rsplit('\r').next().unwrap();
    assert!(!last.is_empty() && last.trim().is_empty(), "{before:?}");
    assert!(
        before.ends_with('\r') && !before.contains('\n'),
        "{before:?}"
    );
    let silent = probe.flag("--quiet").in_a_terminal(72, &[]);
    silent.exits(2).says_nothing_of("asking ");
}

#[test]
fn the_destination_port_and_named_locations_are_asked_in_the_players_order() {
    let silent_game = fault(hold);
    let with_policy = fault(|s| answer(s, grant("domain='a.example' to-ports='1024-65535'")));
    let low = fault(open_to_a_example);
    let (no_master, closed) = (free_port(), free_port());
    let to = |port: u16| {
        let probe = Probe::port(no_master).timeout(1);
        probe.connection("a.example", port)
    };
    let told = to(with_policy).run().exits(0);
    told.says(format!("in the policy of port {with_policy} itself"));

    to(silent_game)
        .run()
        .exits(2)
        .says(format!(
            "port {silent_game} itself has no policy: the connection was accepted, and nothing came"
        ))
        .says("loadPolicyFile(\"xmlsocket://127.0.0.1:10843\")");

    let load = format!("xmlsocket://127.0.0.1:{low}");
    let told = to(silent_game).with("--load", &load).run().exits(0);
    told.says(format!(
        "once it has called Security.loadPolicyFile(\"xmlsocket://127.0.0.1:{low}\")"
    ));

    // The server alone: nothing has to change where the SWF names its policy.
    let told = Probe::port(no_master).with("--load", &load).run();
    let started = format!("POLICY OK - 127.0.0.1:{low} answered in ");
    assert!(told.said.starts_with(&started), "{}", told.said);
    told.says_nothing_of("start a policy server");

    // From there it opens no port below 1024.
    to(79)
        .with("--load", &load)
        .run()
        .exits(2)
        .says("it cannot grant ports below 1024")
        .says("serve the policy from port 843 too (`listen = [::]:843`)")
        .says("- or move the game to port 1024 or above");

    // A location on another host opens nothing here, and one that fails is named.
    let other = format!("127.0.0.2:{low}");
    to(silent_game)
        .with("--load", &other)
        .with("--load", format!("127.0.0.1:{closed}"))
        .run()
        .exits(2)
        .says(format!("warning[wrong-host]: --load {other} was not asked: a policy of 127.0.0.2 lets nobody connect to 127.0.0.1"))
        .says("name it in `loadPolicyFile` as in `connect`")
        .says(format!("port {closed}, named by --load: the port refuses connections"));
}

#[test]
fn what_port_843_answers_is_uncertain_where_it_is_no_policy() {
    let game = fault(open_to_a_example);
    let told = Probe::port(fault(broken))
        .connection("a.example", game)
        .run();
    told.exits(2).says("ALLOWED: ").says(" UNCERTAIN: ");
}

#[test]
fn a_named_policy_is_uncertain_where_port_843_ends_without_a_byte() {
    let (load, game) = (fault(open_to_a_example), fault(hold));
    let ends: [fn(&mut TcpStream) -> io::Result<()>; 2] = [
        |s| hear(s).map(|_| ()),
        |s| {
            hear(s)?;
            reset(s)
        },
    ];
    for end in ends {
        let port = fault(end);
        let probe = Probe::port(port).timeout(1).connection("a.example", game);
        let probe = probe.with("--load", format!("127.0.0.1:{load}"));
        let told = probe.clone().run().exits(2).says("ALLOWED: ");
        told.says(format!(
            " UNCERTAIN: port {port} ends the connection without a byte. How Flash Player takes \
             that is not documented; Lightspark then asks the destination port alone"
        ));
        assert_eq!(
            probe.clone().json()["addresses"][0]["verdicts"][0]["uncertain"],
            true
        );
        // Lightspark's own verdict is certain.
        let told = probe.with("--player", "lightspark").run().exits(2);
        told.says("DENIED")
            .says("Lightspark then asks the destination port alone");
    }
}

#[test]
fn each_player_has_its_own_verdict() {
    let port = fault(|s| answer(s, grant("domain='*' to-ports='2000-2002'")));
    let probe = |player: &str| {
        let probe = Probe::port(port).timeout(1).with("--player", player);
        let object = probe.connection("a.example", "2000-2002").json();
        assert_eq!(object["player"], player);
        let verdicts = object["addresses"][0]["verdicts"].as_array().unwrap();
        verdicts
            .iter()
            .map(|verdict| verdict["allowed"].as_bool().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(probe("flash"), [true, true, true]);
    assert_eq!(probe("lightspark"), [true, false, false]);
    assert_eq!(probe("unity"), [true, true, false]);

    let told = Probe::of("a").with("--player", "lightsprak").run();
    told.exits(3)
        .says("--player `lightsprak` is no player; did you mean `lightspark`?");
}

#[test]
fn each_player_takes_what_comes_in_its_own_way() {
    const OPEN: &str = "<cross-domain-policy><allow-access-from domain='*' to-ports='2001'/></cross-domain-policy>";
    let left_open = fault(|s| {
        answer(s, OPEN)?;
        hold(s)
    });
    let marked = fault(|s| answer(s, format!("\u{feff}{OPEN}\0")));
    let late = fault(|s| {
        hear(s)?;
        pause(3300);
        s.write_all(&with_nul(OPEN))
    });
    let pieces = fault(|s| {
        answer(s, &OPEN[..21])?;
        pause(200);
        s.write_all(&with_nul(&OPEN[21..]))
    });
    let probe = |port: u16, player: &str| {
        let probe = Probe::port(port).timeout(if port == late { 6 } else { 1 });
        let probe = probe.connection("www.example.com", 2001);
        let told = probe.with("--player", player).run();
        let verdict = [
            "DENIED",
            "UNCERTAIN: Lightspark reads an answer once",
            "UNCERTAIN: Unity Web Player reads an answer once",
        ];
        let said = verdict.iter().find(|verdict| told.said.contains(**verdict));
        *said.unwrap_or(&"ALLOWED")
    };
    thread::scope(|scope| {
        for (port, expected) in [
            (left_open, ["DENIED", "ALLOWED", "ALLOWED"]),
            (marked, ["DENIED", "ALLOWED", "DENIED"]),
            (late, ["DENIED", "ALLOWED", "DENIED"]),
            (
                pieces,
                [
                    "ALLOWED",
                    "UNCERTAIN: Lightspark reads an answer once",
                    "UNCERTAIN: Unity Web Player reads an answer once",
                ],
            ),
        ] {
            for (player, expected) in ["flash", "lightspark", "unity"].into_iter().zip(expected) {
                scope.spawn(move || assert_eq!(probe(port, player), expected, "{port} {player}"));
            }
        }
    });
}

#[test]
fn lightspark_waits_on_a_silent_port_843() {
    let (silent, load) = (fault(hold), fault(open_to_a_example));
    let probe = Probe::port(silent)
        .timeout(1)
        .connection("a.example", fault(hold));
    let probe = probe.with("--load", format!("127.0.0.1:{load}"));
    probe.clone().run().exits(1).says("ALLOWED: ");
    let told = probe.with("--player", "lightspark").run().exits(2);
    told.says(format!(
        "ALLOWED, and Lightspark waits on port {silent}, which did not answer its policy request within 1.0 s: "
    ));
}

#[test]
fn each_player_is_told_in_its_own_words() {
    let anywhere = fault(|s| answer(s, grant("domain='*' to-ports='*'")));
    let nobody = free_port();
    let probe = |player: &str| {
        let probe = Probe::port(free_port()).timeout(1);
        let probe = probe.with("--load", format!("127.0.0.1:{anywhere}"));
        probe.connection("*", nobody).with("--player", player).run()
    };
    let told = probe("flash").says("ALLOWED, and the player reports IOError #2031 at once");
    told.says(format!(
        "loadPolicyFile(\"xmlsocket://127.0.0.1:{anywhere}\")"
    ))
    .says("content from anywhere is refused by 127.0.0.1")
    .says("a SWF from anywhere may connect");
    let told = probe("unity").says(format!(
        "ALLOWED, and port {nobody} refuses (connection refused)"
    ));
    told.says(format!(
        "Security.PrefetchSocketPolicy(\"127.0.0.1\", {anywhere})"
    ));
    let denied = Probe::port(fault(localhost))
        .timeout(1)
        .connection("a.example", nobody);
    let told = denied.with("--player", "unity").run().exits(2);
    told.says("(Unity Web Player)")
        .says("DENIED, Unity Web Player refuses: ");
}

#[test]
fn a_location_that_speaks_tls_is_named() {
    if !cfg!(feature = "tls") {
        return;
    }
    let tls = fault(|s| {
        if is_tls(s)? {
            s.write_all(ALERT)
        } else {
            Ok(())
        }
    });
    let probe = Probe::port(free_port()).timeout(1);
    let told = probe
        .with("--load", format!("127.0.0.1:{tls}"))
        .run()
        .exits(2);
    told.says("error[tls]: a TLS server listens here")
        .says(format!("serve the policy without TLS on port {tls}"))
        .says("for SecureSocket, leave TLS there, and probe with `--tls`");
    // On the game's own port, too.
    let game = Probe::port(free_port())
        .timeout(1)
        .connection("a.example", tls);
    game.run()
        .exits(2)
        .says(format!("port {tls} itself has no policy: a TLS server listens here"))
        .says(format!("where the SWF connects to port {tls} by a SecureSocket, it asks inside TLS: probe with --tls"));
}

#[test]
fn unity_asks_no_destination_port() {
    let game = fault(open_to_a_example);
    let probe = Probe::port(free_port())
        .timeout(1)
        .connection("a.example", game);
    probe.clone().run().says("in the policy of port ");
    probe
        .with("--player", "unity")
        .run()
        .exits(2)
        .says("The verdicts are those of Unity Web Player.")
        .says("DENIED");
}

#[test]
fn where_a_destination_port_is_silent_master_only_is_advised() {
    let (game, speaks) = (fault(hold), fault(|s| answer(s, "HELLO\n")));
    let advice = "`meta_policy = master-only` on port";
    let probe = |treat: fn(&mut TcpStream) -> io::Result<()>, to: u16| {
        Probe::port(fault(treat))
            .timeout(1)
            .connection("a.example", to)
    };
    let told = probe(open_to_a_example, game).run().exits(0).says(advice);
    told.says(format!(
        "- port {game} accepts a policy request and does not answer within 1.0 s, "
    ));
    let object = probe(open_to_a_example, game).json();
    assert_eq!(object["hints"][0]["conf"], "meta_policy = master-only");
    assert_eq!(object["addresses"][0]["verdicts"][0]["silent"], true);
    assert_eq!(object["state"], "OK");
    let lightspark = probe(open_to_a_example, game).with("--player", "lightspark");
    let waits = format!(
        "ALLOWED, and Lightspark waits on port {game}, which did not answer its policy request within 1.0 s: "
    );
    lightspark.run().exits(2).says(waits);
    lightspark.flag("--quiet").run().exits(2).says(format!(
        "Lightspark waits on 127.0.0.1, port {game}: nothing within 1.0 s"
    ));
    probe(open_to_a_example, speaks)
        .run()
        .exits(0)
        .says_nothing_of(advice);
    let only = |s: &mut TcpStream| {
        answer(
            s,
            "<cross-domain-policy><site-control permitted-cross-domain-policies='master-only'/><allow-access-from domain='a.example' to-ports='*'/></cross-domain-policy>\0",
        )
    };
    let cured = probe(only, game);
    cured.clone().run().exits(0).says_nothing_of(advice);
    cured.with("--player", "lightspark").run().exits(0);
    // Denied: the game stays as silent for a client that is allowed later.
    probe(localhost, game).run().exits(2).says(advice);
    // A policy from elsewhere that is needed is not to be cut off.
    let load = format!("127.0.0.1:{}", fault(open_to_a_example));
    probe(localhost, game)
        .with("--load", load)
        .run()
        .exits(0)
        .says_nothing_of(advice);
    // A plugin does not ask for what it would not tell.
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let asked = fault(|s| {
        let request = hear(s)?;
        ASKED.fetch_add(request.len(), Ordering::Relaxed);
        hold(s)
    });
    let probe = probe(open_to_a_example, asked);
    probe.clone().flag("--quiet").run().exits(0);
    assert_eq!(ASKED.load(Ordering::Relaxed), 0);
    probe.run().exits(0);
    assert_eq!(ASKED.load(Ordering::Relaxed), support::REQUEST.len());
}

#[test]
fn who_asks_for_no_policy_is_told_where_the_policy_is_fine() {
    let ruffle = "`flashpolicyd help silent-player` has all causes in order";
    Probe::port(fault(good))
        .run()
        .exits(0)
        .says("Good to know:")
        .says(ruffle);
    Probe::port(fault(hold))
        .timeout(1)
        .run()
        .exits(2)
        .says_nothing_of(ruffle);
}

#[test]
fn what_a_verdict_depends_on_is_said_with_it() {
    let open = fault(|s| answer(s, grant("domain='*' to-ports='*'")));
    let refused = "Flash Player version 24 and later refuses port 6667 itself";
    let probe = |origin| Probe::port(open).timeout(1).connection(origin, 6667);
    probe("a.example").run().says(refused);
    let lightspark = probe("a.example").with("--player", "lightspark");
    lightspark.run().says_nothing_of("version 24");
    let told = probe("client.swf").run().says("a SWF from file:");
    told.says("local files only (local-with-filesystem) gets #2010");
    let object = probe("a.example").json();
    let condition = &object["addresses"][0]["verdicts"][0]["conditions"][0];
    assert!(condition.as_str().unwrap().starts_with(refused));
}

#[test]
fn lightspark_connects_to_no_host_with_a_colon() {
    let colon = "Lightspark refuses every host with a colon";
    let probe = || Probe::of("::1").with("--port", free_port()).timeout(1);
    let probe = || probe().connection("a.example", free_port());
    let told = probe().with("--player", "lightspark").run();
    told.exits(2).says(colon);
    probe().run().says_nothing_of(colon);
    let told = Probe::port(fault(open_to_a_example)).timeout(1);
    let told = told.connection("a.example", fault(hold));
    told.with("--player", "lightspark")
        .run()
        .says_nothing_of(colon);
}

#[test]
fn a_policy_of_which_it_is_not_known_how_it_is_taken_is_uncertain() {
    let late = |s: &mut _| {
        let policy = grant("domain='*' to-ports='*'");
        answer(s, [b"\n<?xml version='1.0'?>", &*policy].concat())
    };
    let (late, game) = (fault(late), fault(hold));
    let probe = || Probe::port(late).timeout(1).connection("a.example", game);
    probe()
        .run()
        .says("UNCERTAIN: the XML declaration is not at the very start");
    let lightspark = probe().with("--player", "lightspark");
    lightspark.run().says_nothing_of("UNCERTAIN");
}

#[test]
fn accepted_warnings_are_not_counted() {
    let open = fault(|s| {
        answer(s, grant("domain='*' to-ports='*'"))?;
        hold(s)
    });
    let probe = |ignore: &[&str]| {
        let probe = Probe::port(open);
        ignore
            .iter()
            .fold(probe, |probe, codes| probe.with("--ignore", codes))
    };
    probe(&[])
        .run()
        .exits(1)
        .says("127.0.0.1: left-open, allows-everything | ");
    let told = probe(&["allows-everything"]).run().exits(1);
    told.says("127.0.0.1: left-open | ")
        .says("Ignored: 1 warning.")
        .says_nothing_of("allows-everything");
    for ignore in [
        &["allows-everything,left-open"][..],
        &["allows-everything", "left-open"],
    ] {
        let told = probe(ignore).run().exits(0);
        told.says("POLICY OK")
            .says("Ignored: 2 warnings.")
            .says_nothing_of("left-open");
    }
    assert_eq!(probe(&["left-open"]).json()["ignored"], 1);
    for (codes, expected) in [
        (
            "allow-everything",
            "--ignore `allow-everything` is no code; did you mean `allows-everything`?",
        ),
        (
            "refused",
            "--ignore `refused` is an error, which keeps players out; only warnings can be ignored",
        ),
        ("", "--ignore no code is named"),
    ] {
        probe(&[codes]).run().exits(3).says(expected);
    }
}

#[test]
fn quiet_is_the_plugins_line_alone_and_json_one_object() {
    let port = fault(good);
    let told = Probe::port(port).flag("--quiet").run();
    let said = told.said;
    let pattern = format!("POLICY OK - 127.0.0.1:{port} answered in ");
    assert!(
        said.starts_with(&pattern) && said.ends_with("s;;3\n"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1);

    let object = Probe::port(port)
        .timeout(1)
        .connection("b.example", 2001)
        .json();
    assert_eq!(object["exit"], 2);
    assert_eq!(object["state"], "CRITICAL");
    let address = &object["addresses"][0];
    assert_eq!(address["address"], "127.0.0.1");
    assert_eq!(address["steps"][0]["step"], "master");
    assert_eq!(address["steps"][0]["nul"], true);
    assert_eq!(address["steps"][1]["step"], "destination");
    let verdict = &address["verdicts"][0];
    assert_eq!(verdict["allowed"], false);
    assert_eq!(verdict["error"], "SecurityError #2048");
    assert_eq!(object["changes"][0]["conf"], "allow = b.example 2001");
}

/// The keys of every object in `value`, sorted, by the path to it.
fn keys(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (key, value) in object {
                found.push(format!("{path}{key}"));
                keys(value, &format!("{path}{key}."), found);
            }
        }
        serde_json::Value::Array(list) => list.iter().for_each(|value| keys(value, path, found)),
        _ => {}
    }
}

#[test]
fn help_json_documents_every_key() {
    let port = fault(|s| {
        answer(
            s,
            [&grant("domain='a.example' to-ports='80, 2001'")[..], b"\n"].concat(),
        )
    });
    let probe = Probe::port(port)
        .timeout(1)
        .connection("a.example", "80,90");
    let mut found = Vec::new();
    keys(&probe.json(), "", &mut found);
    found.sort_unstable();
    found.dedup();
    assert!(found.len() > 40, "{found:?}");
    let page = include_str!("../src/cli/help/json.txt");
    let words: Vec<_> = page
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    for path in found {
        let key = path.rsplit('.').next().unwrap();
        assert!(words.contains(&key), "{path} is not in `help json`");
    }
}

#[test]
fn a_hostile_answer_is_tame_in_json_too() {
    let port = fault(|s| {
        answer(
            s,
            "<cross-domain-policy>\u{1b}\u{9b}\u{202e}|</cross-domain-policy>",
        )
    });
    for style in ["--json", "--quiet"] {
        let said = Probe::port(port).flag(style).run().said;
        let tame = |c: char| !c.is_control() && c != '\u{202e}';
        assert!(said.trim_end().chars().all(tame), "{said:?}");
        let bars = said.matches('|').count();
        assert!(bars <= 1 || style == "--json", "{said}");
    }
}

#[test]
fn a_policy_of_ten_thousand_findings_makes_a_short_story() {
    let port = fault(|s| {
        let filling = "<a/>".repeat(15_000);
        answer(
            s,
            with_nul(&format!(
                "<cross-domain-policy>{filling}</cross-domain-policy>"
            )),
        )
    });
    let told = Probe::port(port).run().exits(1).says("more findings.");
    assert!(told.said.len() < 10_000, "{}", told.said.len());
}

#[test]
fn a_terminal_gets_colours_and_lines_of_its_width() {
    if !have("script") || !have("stty") {
        return;
    }
    let probe = Probe::port(fault(localhost))
        .timeout(1)
        .connection("www.example.com", 2001);
    let (red, yellow) = ("\u{1b}[1;31m", "\u{1b}[1;33m");
    let wide = probe
        .in_a_terminal(72, &[])
        .exits(2)
        .says(format!("{red}DENIED\u{1b}[0m"));
    let columns = |line: &str| {
        line.replace(red, "")
            .replace(yellow, "")
            .replace("\u{1b}[0m", "")
            .chars()
            .count()
    };
    for line in wide.said.lines() {
        // A quoted line of the configuration and XML stay whole.
        let is_code = line.contains('<') || line.contains('`');
        assert!(columns(line) <= 72 || is_code, "{line}");
    }
    wide.says("reports SecurityError #2048 after 20 s: a SWF from\n  http://www.example.com may not connect");
    for plain in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        probe.in_a_terminal(72, &[plain]).says_nothing_of("\u{1b}");
    }
    // A pipe gets whole lines without colour.
    let piped = probe.run().says_nothing_of("\u{1b}");
    piped.says("a SWF from http://www.example.com may not connect to 127.0.0.1:2001.");
}

#[test]
fn a_wrong_command_line_is_exit_code_3_and_unknown_to_the_monitor() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (&[][..], "probe takes one argument: HOST"),
        (&["a", "b"], "probe takes one argument: HOST"),
        (&["a", "--wrong"], "not understood: '--wrong'"),
        (&["http://a/"], "HOST 'http://a/': this is more than a host"),
        (&["a", "--to", "80"], "--to needs --from"),
        (&["a", "--port", "0"], "--port '0': no port"),
        (
            &["a", "--port", "1", "--port", "2"],
            "--port is given 2 times",
        ),
    ] {
        let output = run_in(folder.path(), &[&["probe"], arguments].concat());
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(
            said.starts_with("POLICY UNKNOWN - ") && said.contains(expected),
            "{said}"
        );
        assert!(said.contains("try: flashpolicyd probe --help"), "{said}");
    }
}

/// The page that `probe --help` prints.
fn help() -> String {
    let folder = tempfile::tempdir().unwrap();
    let pages = [&["probe", "--help"], &["help", "probe"]].map(|arguments| {
        let output = run_in(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    });
    assert_eq!(pages[0], pages[1]);
    pages[0].clone()
}

#[test]
fn help_probe_is_the_probes_own_page() {
    let page = help();
    for word in [
        "--from ORIGIN",
        "--player PLAYER",
        "--ignore CODE",
        "Exit codes: 0 fine",
    ] {
        assert!(page.contains(word), "{word}");
    }
}

/// The line of the help page that begins with this, without what stands before it.
fn one_liner(start: &str) -> String {
    let page = help();
    let line = page
        .lines()
        .map(str::trim_start)
        .find(|line| line.starts_with(start));
    line.unwrap().to_string()
}

#[test]
fn the_one_liners_stand_in_the_help() {
    for start in ["$c=New-Object System.Net.Sockets.TcpClient(", "python3 -c "] {
        let line = one_liner(start);
        assert!(line.contains("('HOST',843)"), "{line}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_one_liner_for_python_shows_the_answer_of_our_server() {
    if !have("python3") {
        return;
    }
    let server = Setup::new().line("allow = *.example.com 2001").start();
    let line = one_liner("python3 -c ");
    let line = line.replace(
        "('HOST',843)",
        &format!("('127.0.0.1',{})", server.address().port()),
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &line])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let answer = String::from_utf8(server.ask())
        .unwrap()
        .replace('\0', "\\x00");
    assert_eq!(said, format!("b'{answer}'\n"));
}

/// Policies, some with another that is named by loadPolicyFile; origins; ports.
const MASTERS: [&str; 10] = [
    "",
    "allow = *.example.com 2001,3000-3010",
    "allow = *.example.com 2001 secure\nallow = localhost *",
    "allow = * 80,2001",
    "allow = 203.0.113.7 *\nallow = game.example.com 3000-65535",
    "allow = *.example.com 2001\nmeta_policy = none",
    "allow = *.example.com 2001\nmeta_policy = master-only",
    "allow = *.example.org 2001\nmeta_policy = all",
    "allow = * * secure\nmeta_policy = master-only",
    "allow = example.com 1-1023",
];
const ORIGINS: [&str; 6] = [
    "game.example.com",
    "https://www.example.com",
    "example.com",
    "203.0.113.7",
    "file:",
    "badexample.com",
];
const PORTS: [u16; 4] = [80, 2001, 3005, 65535];

#[test]
#[cfg(target_os = "linux")]
fn for_200_combinations_the_probe_says_what_explain_says_and_its_cure_cures() {
    let mut compared = 0;
    let mut cured = 0;
    for (index, master) in MASTERS.iter().enumerate() {
        let second = free_port();
        let location = format!("listen = 127.0.0.1:{second} policy=second.xml");
        // Every other policy has a second one beside it.
        let has_second = index % 2 == 1;
        let mut setup = Setup::new()
            .file(
                "second.xml",
                grant("domain='*.example.com' to-ports='80,3005'"),
            )
            .line(*master);
        if has_second {
            setup = setup.line("listen = 127.0.0.1:0").line(&*location);
        }
        let server = setup.start();
        let port = server.address().port().to_string();
        let second_line = if has_second { location.as_str() } else { "" };
        let config = format!("{master}\nlisten = 127.0.0.1:843\n{second_line}\n");
        let explained = |config: &str, origin: &str, to: u16| {
            std::fs::write(server.path("explain.conf"), config).unwrap();
            let output = run_in(
                server.folder.path(),
                &[
                    "explain",
                    "--config",
                    "explain.conf",
                    "--json",
                    origin,
                    &to.to_string(),
                ],
            );
            let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            (output.status.code(), object["verdicts"][0].clone())
        };
        let mut probe = Probe::port(server.address().port()).timeout(1);
        if has_second {
            probe = probe.with("--load", format!("127.0.0.1:{second}"));
        }
        for origin in ORIGINS {
            let to = PORTS.map(|port| port.to_string()).join(",");
            let object = probe.clone().connection(origin, to).json();
            let verdicts = object["addresses"][0]["verdicts"].as_array().unwrap();
            assert_eq!(verdicts.len(), PORTS.len());
            for (verdict, to) in verdicts.iter().zip(PORTS) {
                let (code, said) = explained(&config, origin, to);
                let case = format!("{master}: {origin} to {to}: {said}{verdict:#}");
                assert_eq!(verdict["allowed"], code == Some(0), "{case}");
                if verdict["allowed"] == true {
                    assert_eq!(verdict["by"]["grant"], said["by"]["grant"], "{case}");
                    let by = verdict["by"]["port"].to_string();
                    let by = if by == port { "843" } else { &by };
                    assert_eq!(said["by"]["port"].to_string(), by, "{case}");
                } else {
                    // One calls a grant by its number, the other by its line.
                    let refusals = |verdict: &serde_json::Value| -> Vec<String> {
                        let master = |reason: &&str| !reason.contains(&format!("port {second}"));
                        let reasons = verdict["reasons"].as_array().unwrap().iter();
                        let first = reasons.filter_map(|r| r.as_str()).find(master).unwrap();
                        let each = first.split("; ").filter_map(|part| part.split_once(" is "));
                        each.map(|(_, refusal)| refusal.into()).collect()
                    };
                    assert_eq!(refusals(verdict), refusals(&said), "{case}");
                }
                compared += 1;
            }
            // What the probe wants to have changed makes every one of them allowed.
            if verdicts.iter().any(|verdict| verdict["allowed"] == false) {
                let mut changed = config.clone();
                for change in object["changes"].as_array().unwrap() {
                    let Some(line) = change["conf"].as_str() else {
                        continue;
                    };
                    if line.starts_with("meta_policy") {
                        changed = changed.replace("meta_policy = none", line);
                    } else if line.starts_with("allow") {
                        changed = format!("{changed}{line}\n");
                    }
                }
                for to in PORTS {
                    let (code, said) = explained(&changed, origin, to);
                    assert_eq!(code, Some(0), "{changed}: {origin} to {to}: {said}");
                }
                cured += 1;
            }
        }
    }
    assert!(compared >= 200 && cured >= 20, "{compared} {cured}");
}

#[test]
#[cfg(target_os = "linux")]
fn the_built_in_policy_is_served_well_by_our_own_server() {
    let server = Setup::new().line("allow = *.example.com 2001").start();
    let told = Probe::port(server.address().port()).run().exits(0);
    told.says("; then closed.");
}

#[test]
fn the_icinga_definitions_name_options_that_exist() {
    let text = include_str!("../scripts/check_flashpolicy.cfg");
    let help = help();
    for word in text
        .split_whitespace()
        .filter(|word| word.starts_with("--"))
    {
        assert!(help.contains(word), "{word}");
    }
    assert!(text.contains("flashpolicyd probe"), "{text}");
}
