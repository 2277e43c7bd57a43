//! What a client gets for what it sends: a test for each promise of the manual.

#![cfg(target_os = "linux")]

mod support;

use std::io::Write;
use std::time::{Duration, Instant};

use support::{BUILT_IN, Client, REQUEST, Server, Setup, wait_for};

/// The deadline as the issue of being three seconds is tested: widely.
fn about_three_seconds(elapsed: Duration) -> bool {
    (Duration::from_millis(2500)..Duration::from_secs(6)).contains(&elapsed)
}

/// Far less than the deadline: the answer did not wait for it.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Sends the pieces with a pause between them, and gives what comes back.
fn answer_to(server: &Server, pieces: &[&[u8]], pause: Duration) -> Vec<u8> {
    let mut client = server.connect();
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            std::thread::sleep(pause);
        }
        client.send(piece);
    }
    client.rest()
}

#[test]
fn the_players_request_gets_the_policy_and_its_nul() {
    let server = Server::start();
    let answer = server.ask();
    assert_eq!(answer, BUILT_IN);
    assert_eq!((answer.len(), answer.last()), (89, Some(&0)));
}

#[test]
fn the_policy_and_its_nul_come_in_one_write() {
    if !support::have("strace") {
        return;
    }
    let server = Server::start();
    let mut strace = support::trace(&server, "write,sendto,sendmsg,writev");
    assert_eq!(server.ask(), BUILT_IN);
    let calls = strace.until("policy>\\0\"");
    let sent = calls
        .lines()
        .filter(|line| line.contains("cross-domain-policy"));
    assert_eq!(sent.count(), 1, "{calls}");
}

#[test]
fn a_request_without_its_nul_is_answered_at_once() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(b"<policy-file-request/>");
    assert_eq!(client.rest(), BUILT_IN);
    assert!(client.since.elapsed() < AT_ONCE);
}

#[test]
fn a_request_in_two_pieces_is_answered() {
    let server = Server::start();
    let pause = Duration::from_millis(200);
    for cut in [1, 10, 21, 22] {
        let (first, second) = REQUEST.split_at(cut);
        assert_eq!(
            answer_to(&server, &[first, second], pause),
            BUILT_IN,
            "{cut}"
        );
    }
}

#[test]
fn a_request_byte_by_byte_is_answered() {
    let server = Server::start();
    let bytes: Vec<_> = REQUEST[..22].chunks(1).collect();
    assert_eq!(
        answer_to(&server, &bytes, Duration::from_millis(20)),
        BUILT_IN
    );
}

#[test]
fn blanks_before_the_slash_are_allowed() {
    let server = Server::start();
    for request in [
        "<policy-file-request />\0",
        "<policy-file-request \t\r\n />",
    ] {
        let answer = answer_to(&server, &[request.as_bytes()], Duration::ZERO);
        assert_eq!(answer, BUILT_IN, "{request:?}");
    }
}

#[test]
fn whatever_follows_the_request_the_policy_arrives_whole_and_the_end_is_clean() {
    let server = Server::start();
    let five_kilobytes = [b'x'; 5 * 1024];
    let late = Duration::from_millis(100);
    for start in [&REQUEST[..22], REQUEST] {
        for extra in [&b"\n"[..], b"\r\n", b"\0\0", b"more", &five_kilobytes] {
            let together = [start, extra].concat();
            assert_eq!(answer_to(&server, &[&together], late), BUILT_IN);
            assert_eq!(answer_to(&server, &[start, extra], late), BUILT_IN);
            // Bytes that go on coming are no reason for a reset either.
            assert_eq!(answer_to(&server, &[start, extra, extra], late), BUILT_IN);
        }
    }
}

#[test]
fn a_client_that_closes_its_side_after_the_request_is_answered() {
    let server = Server::start();
    for request in [&REQUEST[..22], REQUEST] {
        let mut client = server.connect();
        client.send(request);
        client.half_close();
        assert_eq!(client.rest(), BUILT_IN);
    }
}

#[test]
fn bytes_that_cannot_become_a_request_are_closed_at_once_and_get_nothing() {
    let server = Server::start();
    let http = b"GET /crossdomain.xml HTTP/1.1\r\nHost: game.example.com\r\n\r\n";
    let tls_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let random: Vec<u8> = (0..4096u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let blanks = [b"<policy-file-request".as_slice(), &[b' '; 200], b"/>"].concat();
    for bytes in [
        http.as_slice(),
        tls_hello,
        &random,
        b"\0",
        b"<policy-file-requesT",
        &blanks,
    ] {
        let mut client = server.connect();
        client.send(bytes);
        assert_eq!(client.rest(), b"", "{}", bytes.escape_ascii());
        assert!(client.since.elapsed() < AT_ONCE);
    }
}

#[test]
fn a_silent_client_is_closed_after_three_seconds() {
    let server = Server::start();
    let mut client = server.connect();
    assert_eq!(client.rest(), b"");
    let elapsed = client.since.elapsed();
    assert!(about_three_seconds(elapsed), "{elapsed:?}");
}

#[test]
fn a_client_that_drips_bytes_is_closed_after_three_seconds() {
    let server = Server::start();
    let mut client = server.connect();
    let mut drip = client.stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for byte in REQUEST.chunks(1) {
                if drip.write_all(byte).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_secs(2));
                if drip.peer_addr().is_err() {
                    break;
                }
            }
        });
        let mut answer = Vec::new();
        let read = std::io::Read::read_to_end(&mut client.stream, &mut answer);
        let elapsed = client.since.elapsed();
        let _ = client.stream.shutdown(std::net::Shutdown::Both);
        assert_eq!((read.unwrap(), answer), (0, Vec::new()));
        assert!(about_three_seconds(elapsed), "{elapsed:?}");
    });
}

#[test]
fn the_deadline_is_the_configured_one() {
    let server = Setup::new().line("timeout = 0.5").start();
    let mut client = server.connect();
    assert_eq!(client.rest(), b"");
    let elapsed = client.since.elapsed();
    assert!(
        (Duration::from_millis(400)..AT_ONCE).contains(&elapsed),
        "{elapsed:?}"
    );
}

#[test]
fn a_connection_that_is_only_opened_and_closed_is_no_warning() {
    let server = Server::start();
    drop(server.connect());
    server.logged("Connection accepted.");
    assert_eq!(server.ask(), BUILT_IN);
    server.logged("Policy sent.");
    let log = server.log();
    let after = &log[log.find("Connection accepted.").unwrap()..];
    assert!(
        !after.contains("[WARN]") && !after.contains("[ERROR]"),
        "{log}"
    );
}

#[test]
fn sixty_four_clients_at_once_are_all_answered() {
    let server = Server::start();
    let mut clients: Vec<_> = (0..64).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(REQUEST);
    }
    for client in &mut clients {
        assert_eq!(client.rest(), BUILT_IN);
    }
}

#[test]
fn a_silent_client_does_not_hold_up_another() {
    let server = Setup::new().line("workers = 2").start();
    let _silent = server.connect();
    let before = Instant::now();
    assert_eq!(server.ask(), BUILT_IN);
    assert!(before.elapsed() < AT_ONCE);
}

#[test]
fn more_clients_than_workers_are_served_one_after_the_other() {
    let server = Setup::new().line("workers = 1").start();
    let mut clients: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(REQUEST);
    }
    for client in &mut clients {
        assert_eq!(client.rest(), BUILT_IN);
    }
}

#[test]
fn a_policy_file_is_served_byte_for_byte_with_one_nul() {
    for (file, served) in [
        ("<cross-domain-policy/>", "<cross-domain-policy/>\0"),
        ("<cross-domain-policy/>\r\n", "<cross-domain-policy/>\r\n\0"),
        (
            "<cross-domain-policy/>\n\0\0",
            "<cross-domain-policy/>\n\0\0",
        ),
    ] {
        let server = Setup::new()
            .file("own.xml", file)
            .line("policy_file = own.xml")
            .start();
        assert_eq!(server.ask(), served.as_bytes());
    }
}

#[test]
fn a_large_policy_arrives_whole_even_when_the_client_reads_late() {
    let policy = format!("<!--{}--><cross-domain-policy/>", "x".repeat(60_000));
    let server = Setup::new()
        .file("large.xml", &policy)
        .line("policy_file = large.xml")
        .start();
    let mut client = server.connect();
    client.send(REQUEST);
    server.logged("Connection accepted.");
    // The client is late: the policy does not fit the buffers meanwhile.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(client.rest(), [policy.as_bytes(), b"\0"].concat());
}

#[test]
fn a_client_on_ipv6_and_one_on_ipv4_are_answered_by_the_same_listener() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: this host has no IPv6");
        return;
    }
    let server = Setup::new().line("listen = [::]:0").start();
    let port = server.address().port();
    for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        let mut client = Client::connect(address.parse().unwrap());
        client.send(REQUEST);
        assert_eq!(client.rest(), BUILT_IN, "{address}");
    }
    wait_for("both addresses in the log", || {
        let log = server.log();
        let v4 = log.contains(" 127.0.0.1:") && !log.contains("::ffff:");
        (v4 && log.contains(" [::1]:")).then_some(())
    });
}

#[test]
fn every_listener_answers() {
    let server = Setup::new()
        .line("listen = 127.0.0.1:0")
        .line("listen = 127.0.0.2:0")
        .start();
    assert_eq!(server.addresses.len(), 2);
    for address in &server.addresses {
        let mut client = Client::connect(*address);
        client.send(REQUEST);
        assert_eq!(client.rest(), BUILT_IN);
    }
}
