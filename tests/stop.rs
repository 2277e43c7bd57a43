//! How the server stops: each client that it accepted gets an answer.

#![cfg(target_os = "linux")]

mod support;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::{BUILT_IN, Client, PATIENCE, REQUEST, Server, Setup, wait_for};

#[test]
fn sigterm_and_ctrl_c_end_it_with_exit_code_0_and_totals() {
    for name in ["TERM", "INT"] {
        let mut server = Server::start();
        assert_eq!(server.ask(), BUILT_IN);
        server.signal(name);
        assert_eq!(server.ended().code(), Some(0));
        let log = server.log();
        let last = log.lines().last().unwrap();
        assert!(
            last.contains("[INFO] Totals: 1 accepted, 1 served"),
            "{log}"
        );
        assert!(log.contains("[INFO] Stopping server..."));
    }
}

#[test]
fn a_client_that_has_not_asked_yet_keeps_its_deadline() {
    let mut server = Server::start();
    let mut early = server.connect();
    let mut silent = server.connect();
    server.logged(&silent.stream.local_addr().unwrap().to_string());
    server.signal("TERM");
    server.logged("Stopping server...");
    early.send(REQUEST);
    assert_eq!(early.rest(), BUILT_IN);
    assert_eq!(silent.rest(), b"");
    let waited = silent.since.elapsed();
    assert!(waited > Duration::from_millis(2500), "{waited:?}");
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn clients_that_stand_in_the_queue_are_served() {
    let mut server = Setup::new().line("workers = 1").start();
    // Nobody accepts them before the stop begins.
    server.signal("STOP");
    let mut queued: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for client in &mut queued {
        client.send(REQUEST);
    }
    server.signal("TERM");
    server.signal("CONT");
    for client in &mut queued {
        assert_eq!(client.rest(), BUILT_IN);
    }
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = Setup::new().line("timeout = 60").start();
    let _silent = server.connect();
    server.logged("Connection accepted.");
    server.signal("TERM");
    server.logged("Stopping server...");
    let before = Instant::now();
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(1));
    assert!(before.elapsed() < Duration::from_secs(10));
    server.logged("Stopped at once by a second signal.");
}

#[test]
fn an_idle_server_stops_at_once() {
    let mut server = Server::start();
    let before = Instant::now();
    server.stop();
    // A tenth of a second is what is promised; test machines are slow for moments.
    assert!(before.elapsed() < Duration::from_millis(800));
}

#[test]
fn a_client_that_lingers_does_not_hold_up_the_end() {
    let mut server = Server::start();
    let mut client = server.connect();
    client.send(b"no request");
    assert_eq!(client.rest(), b"");
    // Its side stays open: the server would wait for it for 3 seconds.
    let before = Instant::now();
    server.stop();
    assert!(before.elapsed() < Duration::from_millis(1500));
}

#[test]
fn the_port_is_free_after_the_end() {
    let mut server = Server::start();
    let address = server.address();
    assert_eq!(server.ask(), BUILT_IN);
    server.stop();
    let again = Setup::new().line(format!("listen = {address}")).start();
    assert_eq!(again.ask(), BUILT_IN);
}

#[test]
fn under_full_load_no_accepted_client_goes_without_its_answer() {
    stops_under_full_load(&Setup::new);
}

/// Only root may have the kernel ignore newcomers; others have it refuse them.
#[test]
fn so_it_is_for_a_server_that_is_not_root() {
    if support::is_root() {
        stops_under_full_load(&|| {
            let setup = Setup::new().line("user = nobody");
            let open = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(setup.folder.path(), open).unwrap();
            setup
        });
    }
}

fn stops_under_full_load(setup: &dyn Fn() -> Setup) {
    const STOPS: usize = 5;
    let mut answered = 0;
    for round in 0..STOPS {
        let mut server = setup().start();
        let address = server.address();
        let count = AtomicUsize::new(0);
        let stopped = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    while !stopped.load(Ordering::Relaxed) && ask_unless_refused(address) {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            wait_for("full load", || {
                (count.load(Ordering::Relaxed) > 300 + 20 * round).then_some(())
            });
            let status = server.stop();
            stopped.store(true, Ordering::Relaxed);
            assert_eq!(status.code(), Some(0));
        });
        answered += count.into_inner();
    }
    println!("{answered} clients answered over {STOPS} stops, none lost");
}

#[test]
fn it_ends_also_where_no_descriptor_can_be_had_for_clients_in_the_queue() {
    if !support::have("prlimit") {
        return;
    }
    let mut server = Setup::new().line("timeout = 1").start();
    server.signal("STOP");
    let limit = "--nofile=5:5".to_string();
    let lowered = std::process::Command::new("prlimit")
        .args(["--pid", &server.child.id().to_string(), &limit])
        .status();
    assert!(lowered.unwrap().success());
    let _queued: Vec<_> = (0..30).map(|_| server.connect()).collect();
    server.signal("TERM");
    server.signal("CONT");
    assert_eq!(server.ended().code(), Some(0));
    server.logged("could not be accepted within");
}

/// The kernel takes a descriptor before it checks its queue: without one, `accept` fails also where
/// nobody is there.
#[test]
fn without_a_descriptor_waiting_clients_keep_their_deadline_where_nobody_is_in_the_queue() {
    if !support::have("prlimit") {
        return;
    }
    let mut server = Server::start();
    let mut late = server.connect();
    server.logged("Connection accepted.");
    let lowered = std::process::Command::new("prlimit")
        .args(["--pid", &server.child.id().to_string(), "--nofile=5:5"])
        .status();
    assert!(lowered.unwrap().success());
    let before = Instant::now();
    server.signal("TERM");
    server.logged("Stopping server...");
    late.send(REQUEST);
    assert_eq!(late.rest(), BUILT_IN);
    assert_eq!(server.ended().code(), Some(0));
    assert!(before.elapsed() < Duration::from_millis(2500));
    assert!(!server.log().contains("could not be accepted"));
    assert!(!server.log().contains("Evicted"));
}

/// One request; false when the connection was refused. A client that is connected must be
/// answered.
fn ask_unless_refused(address: SocketAddr) -> bool {
    let stream = match TcpStream::connect_timeout(&address, PATIENCE) {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return false,
        // The port was closed while the handshake was under way: never accepted either.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
        Err(error) => panic!("{error}"),
    };
    let mut client = Client::new(stream);
    client.send(REQUEST);
    assert_eq!(client.rest(), BUILT_IN);
    true
}
