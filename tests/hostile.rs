//! Hostile clients and a failing host: it goes on answering. The attacks are small here;
//! `tests/bench/attack` measures large ones.

#![cfg(target_os = "linux")]

#[path = "support/attack.rs"]
mod attack;
mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use attack::{Attack, Honest, Kind, Plan, Sources, memory_kib, open, open_files, processor_time};
use socket2::{Domain, SockRef, Socket, Type};
use support::{
    BUILT_IN, Client, PATIENCE, REQUEST, Server, Setup, have, in_a_network_of_its_own, wait_for,
};

/// One attack at a time: two at once on two cores say nothing of either.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn one_attacker() -> Sources {
    Sources::v4([127, 66, 0, 1], 1)
}

fn players() -> Sources {
    Sources::v4([127, 99, 0, 1], 10_000)
}

fn far_away(server: &Server) -> Honest {
    Honest {
        meetings: 8,
        ..Honest::at(server.address(), players())
    }
}

fn attack(server: &Server, from: Sources, connections: usize, kind: Kind) -> Attack {
    let plan = Plan {
        to: server.address(),
        from,
        connections,
        kind,
        at_most: 5 * PATIENCE,
    };
    plan.start()
}

fn wait_until_opened(attack: &Attack, connections: u64) {
    wait_for("the attack", || {
        (attack.opened() >= connections).then_some(())
    });
}

/// A number of the totals in the log of a server that was stopped.
fn total(server: &Server, what: &str) -> u64 {
    let log = server.log();
    let totals = log.split("Totals: ").nth(1).expect("totals in the log");
    assert!(totals.contains(" accepted, "), "{totals}");
    let counts = totals.split(['.', ';']).next().unwrap().split(", ");
    let mut found = counts.filter_map(|part| part.strip_suffix(what));
    // What did not happen is left out.
    found
        .next()
        .map_or(0, |count| count.trim().parse().unwrap())
}

/// Honest players far away, while connections from a few addresses and from many attack.
fn players_are_all_served_under(kind: Kind) {
    let _alone = alone();
    for sources in [1, 64, 2000] {
        let server = Server::start();
        let from = Sources::v4([127, 66, 0, 1], sources);
        let attack = attack(&server, from, 2000, kind);
        wait_until_opened(&attack, 2000);
        let meetings = far_away(&server).meet(BUILT_IN);
        assert!(!attack.is_over(), "the attack went on");
        meetings.assert_all_served(&format!("{kind:?} from {sources} addresses"));
    }
}

#[test]
fn players_far_away_are_all_served_under_silent_connections() {
    players_are_all_served_under(Kind::Silent);
}

#[test]
fn players_far_away_are_all_served_under_dripping_connections() {
    players_are_all_served_under(Kind::Drip);
}

#[test]
fn players_far_away_are_all_served_under_junk() {
    players_are_all_served_under(Kind::Junk);
}

#[test]
fn players_far_away_are_all_served_under_half_requests() {
    players_are_all_served_under(Kind::HalfRequest);
}

/// Players that speak late wait here in place of workers.
#[test]
fn hundreds_of_players_that_speak_a_second_late_are_all_served_by_two_workers() {
    let _alone = alone();
    let server = Setup::new().line("workers = 2").start();
    let late = Honest {
        at_once: 400,
        meetings: 800,
        pause: Duration::from_secs(1),
        ..Honest::at(server.address(), players())
    };
    late.meet(BUILT_IN).assert_all_served("speaking late");
}

/// A server with few places, which the attacker fills.
fn with_places(places: usize) -> Setup {
    Setup::new().line(format!("max_connections = {places}"))
}

#[test]
fn clients_that_ask_at_once_are_served_even_from_the_attackers_address() {
    let _alone = alone();
    let mut server = with_places(100).start();
    let plan = Plan {
        to: server.address(),
        from: one_attacker(),
        connections: 200,
        kind: Kind::Silent,
        at_most: 5 * PATIENCE,
    };
    // A place is kept for 50 ms, which is enough to speak in.
    let attack = plan.start_paced(2_000.0);
    wait_until_opened(&attack, 400);
    // From the attacker's own address: whoever is evicted, it is one of these.
    let at_once = Honest {
        meetings: 200,
        pause: Duration::ZERO,
        at_once: 8,
        ..Honest::at(server.address(), one_attacker())
    };
    let meetings = at_once.meet(BUILT_IN);
    attack.stop();
    // Between connect and send, one of these is a silent client of the attacker's like any other.
    assert!(meetings.served() >= 180, "{:?}", meetings.failures());
    assert!(server.stop().success());
    assert_eq!(total(&server, "refused"), 0);
    assert!(total(&server, "evicted") > 100);
}

#[test]
fn a_slow_client_elsewhere_keeps_its_three_seconds_while_an_attacker_is_evicted() {
    let _alone = alone();
    let mut server = with_places(100).start();
    let mut slow = Client::new(open([127, 99, 0, 1].into(), server.address()).unwrap());
    let attack = attack(&server, one_attacker(), 200, Kind::Silent);
    wait_until_opened(&attack, 1000);
    thread::sleep(Duration::from_millis(2300).saturating_sub(slow.since.elapsed()));
    slow.send(REQUEST);
    assert_eq!(slow.rest(), BUILT_IN);
    attack.stop();
    assert!(server.stop().success());
    assert!(total(&server, "evicted") > 500);
}

#[test]
fn nobody_is_evicted_while_a_place_is_free() {
    let _alone = alone();
    let mut server = with_places(20).line("timeout = 1").start();
    let silent: Vec<_> = (0..7).map(|_| server.connect()).collect();
    while silent[6].since.elapsed() < Duration::from_millis(700) {
        assert_eq!(server.ask(), BUILT_IN);
    }
    for mut client in silent {
        assert_eq!(client.rest(), b"");
        assert!(client.since.elapsed() > Duration::from_millis(900));
    }
    assert!(server.stop().success());
    assert_eq!(total(&server, "evicted"), 0);
    assert_eq!(total(&server, "timed out"), 7);
}

#[test]
fn an_address_that_floods_the_places_keeps_no_other_address_out() {
    let _alone = alone();
    let mut server = with_places(40).start();
    let attack = attack(&server, one_attacker(), 300, Kind::HalfRequest);
    wait_until_opened(&attack, 1000);
    let at_once = Honest {
        meetings: 100,
        pause: Duration::ZERO,
        ..Honest::at(server.address(), players())
    };
    let meetings = at_once.meet(BUILT_IN);
    attack.stop();
    meetings.assert_all_served("a flood of connections");
    assert!(server.stop().success());
    assert!(total(&server, "evicted") > 100);
}

#[test]
fn one_warning_names_the_worst_address_and_the_places() {
    let _alone = alone();
    let server = with_places(40).start();
    let attack = attack(&server, one_attacker(), 80, Kind::Silent);
    let warning = server.logged("were evicted for others: 40 may wait");
    assert!(warning.contains("[WARN]"), "{warning}");
    assert!(
        warning.contains("The largest shares: 127.66.0.1 ("),
        "{warning}"
    );
    let opened = attack.opened();
    wait_until_opened(&attack, opened + 1000);
    // The time in which a second one would come.
    thread::sleep(Duration::from_millis(1200));
    attack.stop();
    let log = server.log();
    assert_eq!(
        log.matches("were evicted for others: 40 may wait").count(),
        1,
        "{log}"
    );
}

#[test]
fn a_request_that_came_in_time_is_answered_though_the_process_was_stopped_meanwhile() {
    let server = Setup::new().line("timeout = 1").start();
    let mut waiting: Vec<_> = (0..20).map(|_| server.connect()).collect();
    server.logged(&waiting[19].stream.local_addr().unwrap().to_string());
    let mut late = server.connect();
    server.logged(&late.stream.local_addr().unwrap().to_string());
    server.signal("STOP");
    for client in &mut waiting {
        client.send(REQUEST);
    }
    // Longer than the deadline, which so passes while nobody can look.
    thread::sleep(Duration::from_millis(1300));
    server.signal("CONT");
    for client in &mut waiting {
        assert_eq!(client.rest(), BUILT_IN);
    }
    assert_eq!(late.rest(), b"", "a deadline is still one");
}

/// Of an attacker that only connects, and of players that ask in a loop.
#[test]
fn no_load_takes_the_start_out_of_the_log_or_the_lines_of_a_client_elsewhere() {
    let _alone = alone();
    let small = Setup::new().line("log_max_size = 20K").line("log_keep = 1");
    let mut server = small.line("timeout = 0.5").start();
    let attack = attack(&server, one_attacker(), 500, Kind::Silent);
    wait_until_opened(&attack, 3000);
    for _ in 0..3000 {
        assert_eq!(server.ask(), BUILT_IN);
    }
    let from = Ipv4Addr::new(127, 77, 0, 1);
    let mut elsewhere = Client::connect_from(from, server.address());
    // It has to be waited for, and still has both of its lines.
    let peer = elsewhere.stream.local_addr().unwrap();
    server.logged(&format!("{peer}: Connection accepted."));
    elsewhere.send(REQUEST);
    assert_eq!(elsewhere.rest(), BUILT_IN);
    attack.stop();
    assert!(server.stop().success());
    let old = fs::read_to_string(server.path("flashpolicy.log.1")).unwrap_or_default();
    let log = old + &server.log();
    assert!(log.contains("Starting server..."), "{log}");
    for line in ["Connection accepted.", "Policy sent."] {
        assert!(log.contains(&format!("{peer}: {line}")), "{line}");
    }
    for source in [" 127.66.0.1:", " 127.0.0.1:"] {
        let lines = log.matches(source).count();
        assert!((60..200).contains(&lines), "{lines} lines of{source}");
    }
    let sum = server.logged("more connections came, too fast for lines of their own");
    assert!(
        sum.contains("127.66.0.1 (") && sum.contains("127.0.0.1 ("),
        "{sum}"
    );
}

#[test]
fn at_the_level_debug_every_connection_has_its_lines() {
    let _alone = alone();
    let mut server = Setup::new()
        .line("timeout = 0.5")
        .line("log_level = debug")
        .start();
    let attack = attack(&server, one_attacker(), 500, Kind::Silent);
    wait_until_opened(&attack, 2000);
    attack.stop();
    assert!(server.stop().success());
    assert!(server.log().matches(": Connection accepted.").count() >= 2000);
    assert!(!server.log().contains("for lines of their own"));
}

#[test]
fn an_ipv6_64_counts_as_one_source() {
    if !in_a_network_of_its_own("an_ipv6_64_counts_as_one_source") {
        return;
    }
    // Every address below fd00::/16 is this network's own, and may be bound.
    let routed = Command::new("ip")
        .args(["-6", "route", "add", "local", "fd00::/16", "dev", "lo"])
        .status();
    let bindable = fs::write("/proc/sys/net/ipv6/ip_nonlocal_bind", "1");
    if !routed.is_ok_and(|status| status.success()) || bindable.is_err() {
        println!("skipped: no IPv6 here");
        return;
    }
    let _alone = alone();
    let mut server = with_places(100).line("listen = [::]:0").start();
    let to = SocketAddr::from((Ipv6Addr::LOCALHOST, server.address().port()));
    // No address of the attacker holds more than one connection; the /64 holds 400.
    let plan = Plan {
        to,
        from: Sources::v6("fd00:0:0:66::1".parse().unwrap(), 4096),
        connections: 400,
        kind: Kind::Silent,
        at_most: PATIENCE,
    };
    let attack = plan.start();
    wait_until_opened(&attack, 1000);
    let players = Honest {
        meetings: 8,
        ..Honest::at(to, Sources::v6("fd00:0:0:99::1".parse().unwrap(), 4096))
    };
    let meetings = players.meet(BUILT_IN);
    attack.stop();
    meetings.assert_all_served("a /64");
    server.logged("The largest shares: fd00:0:0:66::/64 (");
    assert!(server.stop().success());
    assert!(!server.log().contains("fd00:0:0:66::/64 (0)"));
}

#[test]
fn memory_and_descriptors_do_not_grow_from_attack_to_attack() {
    let _alone = alone();
    let server = Setup::new().line("max_connections = 256").start();
    let pid = server.child.id();
    let idle = open_files(pid);
    let round = || {
        for kind in [Kind::Silent, Kind::HalfRequest, Kind::Junk, Kind::Drip] {
            let attack = attack(&server, Sources::v4([127, 66, 0, 1], 500), 500, kind);
            wait_until_opened(&attack, 2000);
            attack.stop();
        }
        wait_for("the descriptors to be free again", || {
            (open_files(pid) <= idle).then_some(())
        });
        memory_kib(pid, "VmRSS")
    };
    let after_one = round();
    let later: Vec<_> = (0..4).map(|_| round()).collect();
    assert_eq!(server.ask(), BUILT_IN);
    assert!(
        later.iter().all(|&kib| kib < after_one + 1024),
        "{after_one} KiB, then {later:?}"
    );
}

#[test]
fn clients_that_send_megabytes_stop_reading_or_vanish_cost_nothing() {
    let _alone = alone();
    let policy = format!("<!--{}--><cross-domain-policy/>", "x".repeat(60_000));
    let whole = [policy.as_bytes(), b"\0"].concat();
    let server = Setup::new()
        .file("large.xml", &policy)
        .line("policy_file = large.xml")
        .start();
    let idle = open_files(server.child.id());
    let megabytes = vec![b'x'; 4 * 1024 * 1024];
    let stopped: Vec<_> = (0..50)
        .map(|_| {
            let mut client = server.connect();
            client.send(REQUEST);
            client
        })
        .collect();
    let meetings = thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..8 {
                let mut client = server.connect();
                client.send(REQUEST);
                // The server may have had enough of it before the end.
                let _ = client.stream.write_all(&megabytes);
            }
        });
        scope.spawn(|| {
            for number in 0..300 {
                let mut client = server.connect();
                client.send(&REQUEST[..number % REQUEST.len()]);
                // A close without a lingering end is a reset.
                SockRef::from(&client.stream)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
            }
        });
        far_away(&server).meet(&whole)
    });
    meetings.assert_all_served("rude clients");
    drop(stopped);
    wait_for("the descriptors to be free again", || {
        (open_files(server.child.id()) <= idle).then_some(())
    });
}

#[test]
fn clients_that_never_read_a_large_policy_hold_no_worker() {
    if !in_a_network_of_its_own("clients_that_never_read_a_large_policy_hold_no_worker") {
        return;
    }
    // Packets as on a real network: send buffers are sized by them.
    let mtu = Command::new("ip")
        .args(["link", "set", "lo", "mtu", "1500"])
        .status();
    assert!(mtu.unwrap().success());
    let policy = format!("<!--{}--><cross-domain-policy/>", "x".repeat(65_000));
    let whole = [policy.as_bytes(), b"\0"].concat();
    let server = Setup::new()
        .file("large.xml", &policy)
        .line("policy_file = large.xml")
        .start();
    let never_reading: Vec<TcpStream> = (0..40)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_recv_buffer_size(2048).unwrap();
            socket
                .connect_timeout(&server.address().into(), PATIENCE)
                .unwrap();
            let mut stream = TcpStream::from(socket);
            stream.write_all(REQUEST).unwrap();
            stream
        })
        .collect();
    let meetings = far_away(&server).meet(&whole);
    meetings.assert_all_served("clients that never read");
    drop(never_reading);
}

#[test]
fn players_are_served_within_a_low_limit_of_files_which_is_warned_of() {
    let _alone = alone();
    for files in [64, 320] {
        let limit = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        let mut server = Setup::new().through(&["sh", "-c", &limit]).start();
        let warning = server.logged(&format!("The limit of open files is {files}: at most"));
        assert!(warning.contains("[WARN]"), "{warning}");
        let attack = attack(&server, one_attacker(), 600, Kind::Silent);
        wait_until_opened(&attack, 2000);
        let at_once = Honest {
            pause: Duration::ZERO,
            ..far_away(&server)
        };
        let meetings = at_once.meet(BUILT_IN);
        attack.stop();
        meetings.assert_all_served(&format!("{files} open files"));
        assert!(server.stop().success());
        assert_eq!(total(&server, "accept errors"), 0);
    }
}

#[test]
fn a_server_out_of_descriptors_evicts_the_silent_does_not_spin_and_says_why() {
    if !have("prlimit") {
        return;
    }
    let _alone = alone();
    let server = Setup::new().line("timeout = 60").start();
    let pid = server.child.id();
    let limit = |files: usize| {
        let changed = Command::new("prlimit")
            .args(["--pid", &pid.to_string()])
            .arg(format!("--nofile={files}:"))
            .status();
        assert!(changed.unwrap().success());
    };
    let own = open_files(pid);
    // Not one connection is possible: there is nobody to evict.
    limit(own);
    let silent: Vec<_> = (0..40).map(|_| server.connect()).collect();
    let why = server.logged("Cannot accept a connection");
    assert!(why.contains("ulimit -n"), "{why}");
    let before = (Instant::now(), processor_time(pid));
    thread::sleep(Duration::from_millis(1500));
    let used = (processor_time(pid) - before.1).as_secs_f64() / before.0.elapsed().as_secs_f64();
    // A twentieth of a core is what is promised; a debug build is slower.
    assert!(used < 0.2, "{used} of a core");
    // Ten are possible: the silent ones that hold them make room.
    limit(own + 10);
    assert_eq!(server.ask(), BUILT_IN);
    drop(silent);
    assert!(server.log().matches("Cannot accept").count() < 10);
}

/// Players who keep asking while something happens to the host.
fn players_are_all_served_while(server: &Server, happening: impl FnOnce()) {
    let asking = Honest {
        meetings: 600,
        pause: Duration::from_millis(2),
        ..Honest::at(server.address(), players())
    };
    let meetings = thread::scope(|scope| {
        let meetings = scope.spawn(|| asking.meet(BUILT_IN));
        happening();
        meetings.join().unwrap()
    });
    meetings.assert_all_served("a failing host");
}

// What is open for writing keeps a file system from becoming read-only, and root from losing its
// right to write: a log that cannot be opened any more is as near as one gets.
#[test]
fn a_log_that_cannot_be_opened_any_more_fails_no_client_and_goes_on_afterwards() {
    let _alone = alone();
    let server = Server::start();
    let log = server.log.clone();
    players_are_all_served_while(&server, || {
        fs::remove_file(&log).unwrap();
        fs::create_dir(&log).unwrap();
        thread::sleep(Duration::from_millis(500));
        fs::remove_dir(&log).unwrap();
    });
    assert_eq!(server.ask(), BUILT_IN);
    let before = fs::metadata(&log).map_or(0, |file| file.len());
    wait_for("the log to go on", || {
        server.ask();
        let now = fs::metadata(&log).ok()?.len();
        (now > before).then_some(())
    });
}

#[test]
fn standard_output_closed_at_the_other_end_fails_no_client() {
    let _alone = alone();
    let mut server = Setup::new()
        .line("log_console = yes")
        .stdout(Stdio::piped())
        .start();
    let console = server.child.stdout.take();
    players_are_all_served_while(&server, || drop(console));
    players_are_all_served_while(&server, || ());
    assert_eq!(server.log().matches("Cannot write the log").count(), 1);
    assert!(server.stop().success());
    assert_eq!(total(&server, "served"), 1200);
}

#[test]
fn standard_output_closed_from_the_start_fails_no_client() {
    let _alone = alone();
    let mut server = Setup::new()
        .line("log_console = yes")
        .through(&["sh", "-c", "exec \"$0\" \"$@\" >&-"])
        .start();
    players_are_all_served_while(&server, || ());
    assert!(server.stop().success());
    // The log's own descriptor has not become standard output, nor a client's.
    assert_eq!(total(&server, "served"), 600);
}

/// The library that gives a process another wall clock.
fn fake_time() -> Option<String> {
    if !have("faketime") {
        return None;
    }
    let folders = fs::read_dir("/usr/lib").unwrap().flatten();
    let found = folders
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists());
    found.map(|library| library.display().to_string())
}

#[test]
fn a_wall_clock_that_jumps_changes_no_deadline() {
    let Some(library) = fake_time() else {
        return;
    };
    let _alone = alone();
    for jump in ["+86400", "-86400"] {
        let folder = tempfile::tempdir().unwrap();
        let clock = folder.path().join("clock");
        fs::write(&clock, "+0\n").unwrap();
        let server = Setup::new()
            .line("timeout = 1")
            .through(&[
                "env",
                &format!("LD_PRELOAD={library}"),
                &format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()),
                "FAKETIME_NO_CACHE=1",
                "FAKETIME_DONT_FAKE_MONOTONIC=1",
            ])
            .start();
        let mut silent = server.connect();
        server.logged("Connection accepted.");
        let before = server.log();
        fs::write(&clock, format!("{jump}\n")).unwrap();
        assert_eq!(server.ask(), BUILT_IN, "clock {jump}");
        assert_eq!(silent.rest(), b"");
        let waited = silent.since.elapsed();
        assert!(
            (Duration::from_millis(900)..Duration::from_secs(3)).contains(&waited),
            "clock {jump}: {waited:?}"
        );
        let after = server.logged("Timed out.");
        // The clock did jump: the line has another day than those before.
        assert_ne!(after[..10], before[..10], "{after}");
    }
}

#[test]
fn no_byte_of_a_client_reaches_the_log_or_the_console_raw() {
    let mut server = Setup::new()
        .line("log_level = debug")
        .line("log_console = yes")
        .stdout(Stdio::piped())
        .start();
    let mut console = server.child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut said = Vec::new();
        console.read_to_end(&mut said).unwrap();
        said
    });
    let bytes: Vec<u8> = (0..=255).collect();
    for first in 0..=255 {
        // Of the request's own first byte the rest decides.
        let mut client = server.connect();
        client.send(&[&[first], &bytes[..64]].concat());
        assert_eq!(client.rest(), b"");
        client = server.connect();
        client.send(&[first, 0x1b, b'[', b'2', b'J', b'\n', b'x']);
        assert_eq!(client.rest(), b"");
    }
    assert!(server.stop().success());
    for said in [fs::read(&server.log).unwrap(), reader.join().unwrap()] {
        let raw = |byte: &u8| *byte != b'\n' && !(b' '..=b'~').contains(byte);
        assert_eq!(said.iter().filter(|byte| raw(byte)).count(), 0);
        let lines = String::from_utf8(said).unwrap();
        assert!(lines.lines().all(|line| line.contains("Z [")));
        assert!(lines.contains(r"\x1b[2J\n"));
    }
}
