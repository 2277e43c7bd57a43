//! What a connection through a load balancer gets: `listen = ADDRESS:PORT proxy`. The test is the
//! balancer here; `tests/haproxy.rs` asks a real one.

#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::time::{Duration, Instant};

use support::{BUILT_IN, Client, REQUEST, Server, Setup, wait_for};

const LINE: &[u8] = b"PROXY TCP4 203.0.113.9 192.0.2.1 41122 843\r\n";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// Far less than the deadline: the answer did not wait for it.
const AT_ONCE: Duration = Duration::from_secs(2);

fn behind_a_balancer() -> Setup {
    Setup::new().line("listen = 127.0.0.1:0 proxy")
}

/// A line of version 1 for a client at this address.
fn from(address: &str) -> Vec<u8> {
    format!("PROXY TCP4 {address} 192.0.2.1 4711 843\r\n").into_bytes()
}

/// A header of version 2 for 203.0.113.9:41122, with an extension.
fn version_2() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10".to_vec();
    header.extend([203, 0, 113, 9, 192, 0, 2, 1, 0xa0, 0xa2, 3, 75]);
    header.extend([4, 0, 1, 0]);
    header
}

fn headers() -> [Vec<u8>; 2] {
    [LINE.to_vec(), version_2()]
}

/// The log from the line that says where the server listens.
fn after_the_start(server: &Server) -> String {
    let log = server.log();
    let start = log.find("Listening on").unwrap();
    log[start..].to_string()
}

#[test]
fn the_client_that_the_header_names_is_the_one_in_the_log() {
    let server = behind_a_balancer().start();
    for header in headers() {
        let mut client = server.connect();
        client.send(&[&header, REQUEST].concat());
        assert_eq!(client.rest(), BUILT_IN);
    }
    wait_for("both clients in the log", || {
        let log = server.log();
        let times = |text| log.matches(text).count();
        (times("203.0.113.9:41122: Connection accepted.") == 2
            && times("203.0.113.9:41122: Policy sent. Closing connection.") == 2)
            .then_some(())
    });
    let log = after_the_start(&server);
    assert!(!log.contains("] 127.0.0.1:"), "{log}");
}

#[test]
fn header_and_request_may_be_cut_anywhere() {
    let server = behind_a_balancer().start();
    for header in headers() {
        let bytes = [&header, REQUEST].concat();
        let mut clients: Vec<_> = (1..bytes.len()).map(|_| server.connect()).collect();
        for (client, cut) in clients.iter_mut().zip(1..) {
            client.send(&bytes[..cut]);
        }
        // Time for the server to look at the first parts alone. On a slow host some parts are
        // looked at together, which is right for it, too.
        std::thread::sleep(Duration::from_millis(100));
        for (client, cut) in clients.iter_mut().zip(1..) {
            client.send(&bytes[cut..]);
            assert_eq!(client.rest(), BUILT_IN, "cut at {cut}");
        }
    }
}

#[test]
fn header_and_request_byte_by_byte_are_answered() {
    let server = behind_a_balancer().start();
    for header in headers() {
        let mut client = server.connect();
        for byte in [&header, REQUEST].concat().chunks(1) {
            client.send(byte);
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(client.rest(), BUILT_IN);
    }
}

#[test]
fn header_and_request_share_one_deadline() {
    let server = behind_a_balancer().line("timeout = 1").start();
    let wide = Duration::from_millis(800)..Duration::from_secs(4);
    let mut silent = server.connect();
    let mut without_request = server.connect();
    without_request.send(LINE);
    let mut dripping = server.connect();
    dripping.send(&LINE[..20]);
    std::thread::sleep(Duration::from_millis(700));
    dripping.send(&LINE[20..]);
    for client in [&mut silent, &mut without_request, &mut dripping] {
        assert_eq!(client.rest(), b"");
        let elapsed = client.since.elapsed();
        assert!(wide.contains(&elapsed), "{elapsed:?}");
    }
    server.logged(": Timed out before a PROXY header. Closing.");
    server.logged("203.0.113.9:41122: Timed out. Closing.");
}

#[test]
fn a_connection_without_a_header_is_refused_at_once_and_the_log_says_it() {
    let server = behind_a_balancer().start();
    let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 5000]].concat();
    let huge = [&version_2()[..14], &[0xff; 3000]].concat();
    for bytes in [
        REQUEST,
        b"PROXY TCP4 x\r\n",
        b"\x16\x03\x01",
        &endless,
        &huge,
    ] {
        let mut client = server.connect();
        client.send(bytes);
        assert_eq!(client.rest(), b"", "{}", bytes.escape_ascii());
        assert!(client.since.elapsed() < AT_ONCE);
        let peer = client.stream.local_addr().unwrap();
        server.logged(&format!(
            "[INFO] {peer}: No PROXY header. Closing connection."
        ));
    }
}

#[test]
fn health_checks_are_no_warning_and_leave_no_line() {
    let server = behind_a_balancer().start();
    drop(server.connect());
    let mut check = server.connect();
    check.send(LOCAL);
    check.half_close();
    assert_eq!(check.rest(), b"");
    let mut asking = server.connect();
    asking.send(&[LOCAL, REQUEST].concat());
    assert_eq!(asking.rest(), BUILT_IN);
    let mut client = server.connect();
    client.send(&[LINE, REQUEST].concat());
    assert_eq!(client.rest(), BUILT_IN);
    server.logged("203.0.113.9:41122: Policy sent.");
    let log = after_the_start(&server);
    assert_eq!(log.lines().count(), 3, "{log}");
}

#[test]
fn connections_of_the_balancer_itself_count_as_no_clients() {
    let mut server = behind_a_balancer().line("timeout = 1").start();
    drop(server.connect());
    let mut check = server.connect();
    let own = check.stream.local_addr().unwrap();
    let version_1 = format!("PROXY TCP4 {0} {0} {1} 843\r\n", own.ip(), own.port());
    check.send(&[version_1.as_bytes(), REQUEST].concat());
    assert_eq!(check.rest(), BUILT_IN);
    for header in [LOCAL, LINE, b"PROXY UNKNOWN\r\n"] {
        let mut gone = server.connect();
        gone.send(header);
        gone.half_close();
        assert_eq!(gone.rest(), b"");
        let mut asking = server.connect();
        asking.send(&[header, REQUEST].concat());
        assert_eq!(asking.rest(), BUILT_IN);
    }
    let mut without_header = server.connect();
    without_header.send(REQUEST);
    assert_eq!(without_header.rest(), b"");
    assert_eq!(server.connect().rest(), b"");
    server.stop();
    server.logged(
        "Totals: 6 accepted, 2 served, 1 not a request, 1 timed out, 2 gone before the request; ",
    );
}

/// As HAProxy checks with a header of version 1: it names its own address and port as the client's.
#[test]
fn a_header_that_names_the_balancer_itself_is_a_health_check() {
    let server = behind_a_balancer().start();
    let mut check = server.connect();
    let own = check.stream.local_addr().unwrap();
    let header = format!("PROXY TCP4 {0} {0} {1} 843\r\n", own.ip(), own.port());
    check.send(&[header.as_bytes(), REQUEST].concat());
    assert_eq!(check.rest(), BUILT_IN);
    let mut player = server.connect();
    player.send(&[&from("203.0.113.9")[..], REQUEST].concat());
    assert_eq!(player.rest(), BUILT_IN);
    server.logged("203.0.113.9:4711: Policy sent.");
    let log = after_the_start(&server);
    assert!(!log.contains(&own.to_string()), "{log}");
}

#[test]
fn a_client_that_the_balancer_does_not_know_is_served() {
    let server = behind_a_balancer().start();
    let mut client = server.connect();
    client.send(&[b"PROXY UNKNOWN\r\n", REQUEST].concat());
    assert_eq!(client.rest(), BUILT_IN);
    let peer = client.stream.local_addr().unwrap();
    server.logged(&format!("{peer}: Connection accepted."));
    server.logged(&format!("{peer}: Policy sent."));
}

#[test]
fn evicted_is_the_client_that_holds_the_most_and_not_the_balancer() {
    let server = behind_a_balancer()
        .line("max_connections = 30")
        .line("timeout = 20")
        .start();
    let send = |bytes: &[u8]| {
        let mut client = server.connect();
        client.send(bytes);
        client
    };
    let accepted = |address: &str, times: usize| {
        wait_for("a connection to be accepted", || {
            let line = format!(" {address}:4711: Connection accepted.");
            (server.log().matches(&line).count() == times).then_some(())
        });
    };
    // The oldest of all, of a far-away player.
    let mut slow = send(&from("198.51.100.1"));
    accepted("198.51.100.1", 1);
    // One whose header is still on its way.
    let mut unnamed = send(b"PROXY TC");
    let _silent: Vec<_> = (0..28).map(|_| send(&from("203.0.113.66"))).collect();
    accepted("203.0.113.66", 28);
    let newcomers: Vec<_> = (2..5)
        .map(|n| send(&[&from(&format!("198.51.100.{n}"))[..], REQUEST].concat()))
        .collect();
    for mut newcomer in newcomers {
        assert_eq!(newcomer.rest(), BUILT_IN);
    }
    server.logged("203.0.113.66:4711: Evicted");
    slow.send(REQUEST);
    assert_eq!(slow.rest(), BUILT_IN);
    unnamed.send(&[b"P4 198.51.100.9 192.0.2.1 4711 843\r\n", REQUEST].concat());
    assert_eq!(unnamed.rest(), BUILT_IN);
    server.logged("198.51.100.9:4711: Policy sent.");
    let log = server.log();
    let evicted = log.lines().filter(|line| line.contains(": Evicted"));
    let others: Vec<_> = evicted
        .filter(|line| !line.contains(" 203.0.113.66:"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn of_the_clients_behind_one_balancer_the_one_that_floods_is_evicted() {
    let server = behind_a_balancer().line("max_connections = 20").start();
    // A client that comes while the server sleeps has been announced when it wakes up.
    server.signal("STOP");
    let mut silent: Vec<_> = (0..40).map(|_| server.connect()).collect();
    for client in &mut silent {
        client.send(&from("203.0.113.66"));
    }
    let mut honest: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for (client, n) in honest.iter_mut().zip(1..) {
        client.send(&[&from(&format!("198.51.100.{n}"))[..], REQUEST].concat());
    }
    server.signal("CONT");
    for client in &mut honest {
        assert_eq!(client.rest(), BUILT_IN);
        assert!(client.since.elapsed() < AT_ONCE * 2);
    }
}

#[test]
fn an_ordinary_listener_beside_it_has_its_own_policy_and_takes_no_header() {
    let server = Setup::new()
        .file("p.xml", "<cross-domain-policy/>")
        .line("listen = 127.0.0.1:0 proxy policy=p.xml")
        .line("listen = 127.0.0.1:0")
        .start();
    let ask = |listener: usize, bytes: &[u8]| {
        let mut client = Client::connect(server.addresses[listener]);
        client.send(bytes);
        client.rest()
    };
    let with_header = [LINE, REQUEST].concat();
    assert_eq!(ask(0, &with_header), b"<cross-domain-policy/>\0");
    assert_eq!(ask(0, REQUEST), b"");
    assert_eq!(ask(1, REQUEST), BUILT_IN);
    assert_eq!(ask(1, &with_header), b"");
    server.logged(": A PROXY header, which this 'listen' does not expect. Closing connection.");
}

#[test]
fn a_reload_that_would_change_it_says_that_it_takes_a_restart() {
    let port = support::free_port();
    let server = Setup::new()
        .line(format!("listen = 127.0.0.1:{port} proxy"))
        .start();
    let config = server.path("flashpolicy.conf");
    fs::write(&config, format!("listen = 127.0.0.1:{port}")).unwrap();
    for times in 1..3 {
        server.signal("HUP");
        wait_for("the reload", || {
            let said = "These changes take effect only with a restart: listen.";
            (server.log().matches(said).count() == times).then_some(())
        });
    }
    let before = Instant::now();
    let mut client = server.connect();
    client.send(&[LINE, REQUEST].concat());
    assert_eq!(client.rest(), BUILT_IN);
    assert!(before.elapsed() < AT_ONCE);
}
