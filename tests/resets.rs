//! Not one reset, by the kernel's own count. Each test runs in a network of its own.

#![cfg(target_os = "linux")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use support::{BUILT_IN, REQUEST, Server, in_a_network_of_its_own, tcp_counter};

/// Resets sent by either side while `traffic` runs.
fn resets_during(traffic: impl FnOnce(&Server)) -> u64 {
    let server = Server::start();
    let before = tcp_counter("OutRsts");
    traffic(&server);
    tcp_counter("OutRsts") - before
}

#[test]
fn three_hundred_requests_one_after_the_other_cause_no_reset() {
    if in_a_network_of_its_own("three_hundred_requests_one_after_the_other_cause_no_reset") {
        let resets = resets_during(|server| {
            for _ in 0..300 {
                assert_eq!(server.ask(), BUILT_IN);
            }
        });
        assert_eq!(resets, 0);
    }
}

#[test]
fn three_hundred_requests_at_once_cause_no_reset() {
    if in_a_network_of_its_own("three_hundred_requests_at_once_cause_no_reset") {
        let resets = resets_during(|server| {
            let mut clients: Vec<_> = (0..300).map(|_| server.connect()).collect();
            for client in &mut clients {
                client.send(REQUEST);
            }
            for client in &mut clients {
                assert_eq!(client.rest(), BUILT_IN);
            }
        });
        assert_eq!(resets, 0);
    }
}

#[test]
fn bytes_besides_the_request_cause_no_reset() {
    if in_a_network_of_its_own("bytes_besides_the_request_cause_no_reset") {
        let resets = resets_during(|server| {
            let kilobytes = [b'x'; 5 * 1024];
            let megabytes = vec![b'x'; 4 * 1024 * 1024];
            let http = [b"GET / HTTP/1.1\r\n".as_slice(), &kilobytes].concat();
            for (first, late) in [
                (REQUEST, &b"\n"[..]),
                (REQUEST, &kilobytes),
                (REQUEST, &megabytes),
                (&REQUEST[..22], b"\r\n"),
                (&REQUEST[..22], &megabytes),
                (&http, b""),
                (&http, &megabytes),
            ] {
                let mut client = server.connect();
                client.send(first);
                thread::sleep(Duration::from_millis(100));
                client.send(late);
                let answer = client.rest();
                assert!(answer.is_empty() || answer == BUILT_IN);
            }
        });
        assert_eq!(resets, 0);
    }
}

#[test]
fn a_client_that_says_more_gets_its_whole_policy_also_in_a_crowd() {
    let server = Server::start();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..300 {
                    let mut client = TcpStream::connect(server.address()).unwrap();
                    client.set_nodelay(true).unwrap();
                    client.write_all(REQUEST).unwrap();
                    // The policy, and even the end, may have come before this.
                    let _ = client.write_all(b"\n");
                    let mut answer = vec![0; BUILT_IN.len()];
                    client.read_exact(&mut answer).unwrap();
                    assert_eq!(answer, BUILT_IN);
                }
            });
        }
    });
}
