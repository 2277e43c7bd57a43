//! A restart without a gap: a new server takes the ports over from the running one.

mod support;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use support::{
    BUILT_IN, Client, PATIENCE, REQUEST, Server, Setup, binary, copy_for_everybody, finish,
    free_port, have, is_root, stderr, wait_for,
};

/// A server with a pid file, on a port that its configuration names from now on.
fn running() -> Server {
    let server = Setup::new().line("pid_file = x.pid").start();
    configure(&server, "");
    server
}

/// The configuration of the next start.
fn configure(server: &Server, more: &str) {
    let text = format!("pid_file = x.pid\nlisten = {}\n{more}\n", server.address());
    fs::write(server.path("flashpolicy.conf"), text).unwrap();
}

fn successor(server: &Server) -> Child {
    binary()
        .args(["serve", "--takeover"])
        .current_dir(server.folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn holder(server: &Server) -> Option<u32> {
    flashpolicyd::pid_file::holder(&server.path("x.pid")).unwrap()
}

/// Starts a successor, waits until the server has ended by it, and puts it in its place.
fn take_over(server: &mut Server) {
    let next = successor(server);
    assert!(server.ended().success());
    server.child = next;
    assert_eq!(holder(server), Some(server.child.id()));
}

/// One request, of a client that speaks after a while. A client whose first packet is ignored sends
/// it again after a second: none may be.
fn ask(to: SocketAddr, late: Duration) {
    let begun = Instant::now();
    let mut client = Client::connect(to);
    thread::sleep(late);
    client.send(REQUEST);
    assert_eq!(client.rest(), BUILT_IN);
    let took = begun.elapsed();
    assert!(took < late + Duration::from_millis(900), "{took:?}");
}

#[test]
fn takeovers_under_load_lose_nobody_and_let_nobody_connect_twice() {
    let mut server = running();
    let address = server.address();
    let stop = AtomicBool::new(false);
    let served = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..12 {
            let (stop, served) = (&stop, &served);
            scope.spawn(move || {
                let late = Duration::from_millis(if number < 6 { 0 } else { 300 });
                while !stop.load(Relaxed) {
                    ask(address, late);
                    served.fetch_add(1, Relaxed);
                }
            });
        }
        for _ in 0..3 {
            let before = served.load(Relaxed);
            take_over(&mut server);
            wait_for("clients of the new server", || {
                (served.load(Relaxed) > before + 50).then_some(())
            });
        }
        stop.store(true, Relaxed);
    });
    let log = server.log();
    assert_eq!(log.matches("Taking over from process").count(), 3, "{log}");
    assert_eq!(log.matches("was handed over").count(), 3, "{log}");
    assert_eq!(log.matches("Listening on").count(), 4, "both use one log");
    assert_eq!(log.matches("Totals: ").count(), 3);
}

#[test]
fn a_server_whose_control_socket_is_gone_is_taken_over_all_the_same() {
    let mut server = running();
    fs::remove_file(server.path("x.pid.sock")).unwrap();
    take_over(&mut server);
    assert_eq!(server.ask(), BUILT_IN);
    server.logged("does not hand its sockets over: it has no control socket.");
    // And once more in the usual way.
    take_over(&mut server);
    server.logged("was handed over");
    assert_eq!(server.ask(), BUILT_IN);
}

#[test]
fn a_server_that_is_short_of_descriptors_hands_over_all_its_sockets_or_none() {
    if !have("prlimit") {
        return;
    }
    let mut server = Setup::new()
        .line("pid_file = x.pid")
        .line("listen = 127.0.0.1:0")
        .start();
    let addresses = server.addresses.clone();
    let listen: Vec<_> = addresses.iter().map(|a| format!("listen = {a}")).collect();
    let text = format!("pid_file = x.pid\n{}\n", listen.join("\n"));
    fs::write(server.path("flashpolicy.conf"), text).unwrap();
    // The connection, and the first of two sockets with its stream.
    let pid = server.child.id();
    let own = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let limit = own + 4;
    let changed = Command::new("prlimit")
        .args(["--pid", &pid.to_string()])
        .arg(format!("--nofile={limit}:"))
        .status();
    assert!(changed.unwrap().success());
    take_over(&mut server);
    server.logged("does not hand its sockets over: Too many open files");
    assert!(!server.log().contains("was handed over"));
    for address in addresses {
        ask(address, Duration::ZERO);
    }
}

#[test]
fn an_address_that_is_kept_is_handed_over_a_new_one_bound_and_another_one_given_up() {
    let [removed, new] = [(), ()].map(|()| format!("127.0.0.1:{}", free_port()));
    let mut server = running();
    configure(&server, &format!("listen = {removed}"));
    take_over(&mut server);
    let [removed, new] = [removed, new].map(|address| address.parse().unwrap());
    ask(removed, Duration::ZERO);
    configure(&server, &format!("listen = {new}"));
    take_over(&mut server);
    ask(server.address(), Duration::ZERO);
    ask(new, Duration::ZERO);
    assert!(TcpStream::connect(removed).is_err());
    let kept = server.address();
    assert!(server.stop().success());
    for closed in [kept, new] {
        assert!(TcpStream::connect(closed).is_err(), "{closed}");
    }
}

#[test]
fn a_dual_stack_address_that_is_split_in_two_loses_nobody() {
    let mut server = Setup::new()
        .line("pid_file = x.pid")
        .line("listen = [::]:0")
        .start();
    let port = server.address().port();
    let stop = AtomicBool::new(false);
    let served = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..8 {
            let (stop, served) = (&stop, &served);
            let ip = match number % 2 {
                0 => IpAddr::from(Ipv4Addr::LOCALHOST),
                _ => IpAddr::from(Ipv6Addr::LOCALHOST),
            };
            scope.spawn(move || {
                while !stop.load(Relaxed) {
                    let mut client = Client::connect((ip, port).into());
                    client.send(REQUEST);
                    assert_eq!(client.rest(), BUILT_IN);
                    served.fetch_add(1, Relaxed);
                }
            });
        }
        for listen in ["listen = [::]:P\nlisten = 0.0.0.0:P", "listen = [::]:P"].repeat(2) {
            let listen = listen.replace('P', &port.to_string());
            let text = format!("pid_file = x.pid\n{listen}\n");
            fs::write(server.path("flashpolicy.conf"), text).unwrap();
            let before = served.load(Relaxed);
            take_over(&mut server);
            wait_for("clients of the new server", || {
                (served.load(Relaxed) > before + 50).then_some(())
            });
        }
        stop.store(true, Relaxed);
    });
}

#[test]
fn a_socket_that_another_server_has_is_left_as_it_is_by_a_stop() {
    let mut server = running();
    let (socket, _stream) = server.hand_over();
    assert!(server.stop().success());
    let client = TcpStream::connect_timeout(&server.address(), PATIENCE).unwrap();
    let (_, peer) = socket.accept().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
}

/// A server that took over, handed the socket over again, and ended.
#[test]
fn a_socket_that_was_passed_on_is_not_left_deaf_by_a_stop() {
    let mut server = running();
    let (passed_on, stream) = server.hand_over();
    drop(stream);
    assert!(server.stop().success());
    let client = TcpStream::connect_timeout(&server.address(), PATIENCE / 4).unwrap();
    let (_, peer) = passed_on.accept().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
}

#[test]
fn a_server_that_is_stopping_already_still_serves_its_clients_when_it_is_taken_over() {
    let server = running();
    let late = server.connect();
    server.logged("Connection accepted.");
    server.signal("TERM");
    server.logged("Stopping server...");
    let next = successor(&server);
    server.logged("it is stopping already");
    served_by_the_old_one(late, server, next);
}

/// The old server answers this client and ends, and the new one is there.
fn served_by_the_old_one(mut late: Client, mut old: Server, next: Child) {
    late.send(REQUEST);
    assert_eq!(late.rest(), BUILT_IN);
    assert!(old.ended().success());
    old.child = next;
    assert_eq!(old.ask(), BUILT_IN);
}

#[test]
fn a_client_of_the_old_server_keeps_its_deadline() {
    let server = running();
    let late = server.connect();
    server.logged("Connection accepted.");
    let next = successor(&server);
    server.logged("Stopping server...");
    thread::sleep(Duration::from_millis(800));
    served_by_the_old_one(late, server, next);
}

#[test]
fn a_takeover_that_fails_leaves_the_old_server_as_it_is() {
    let mut server = running();
    let pid = server.child.id();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other_port = format!("listen = {}", taken.local_addr().unwrap());
    for (more, code, expected) in [
        ("nonsense = 1", 2, "unknown key"),
        ("policy_file = nowhere.xml", 2, "nowhere.xml"),
        (&other_port, 1, "cannot listen on"),
        ("user = nosuchuser", 2, "no such user"),
        ("log_file = /nowhere/x.log", 2, "/nowhere/x.log"),
    ] {
        configure(&server, more);
        let output = finish(successor(&server));
        let errors = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{more}: {errors}");
        assert!(errors.contains(expected), "{more}: {errors}");
        assert_eq!(holder(&server), Some(pid), "{more}");
        assert_eq!(server.ask(), BUILT_IN, "{more}");
    }
    assert!(!server.log().contains("Stopping server"));
    assert!(server.stop().success());
    assert!(TcpStream::connect(server.address()).is_err());
}

#[test]
fn of_two_takeovers_at_once_one_succeeds_and_one_leaves_everything_as_it_is() {
    let mut server = running();
    let mut both = [successor(&server), successor(&server)];
    assert!(server.ended().success());
    let ended = wait_for("one of them to end", || {
        let mut both = both.iter_mut();
        both.position(|next| next.try_wait().unwrap().is_some())
    });
    // It gave up, or the other one came a moment later and took over from it.
    let code = both[ended].wait().unwrap().code();
    assert!(matches!(code, Some(0 | 1)), "{code:?}");
    let at = 1 - ended;
    wait_for("the holder", || {
        (holder(&server)? == both[at].id()).then_some(())
    });
    assert_eq!(server.ask(), BUILT_IN);
    let left: Vec<_> = fs::read_dir(server.folder.path()).unwrap().collect();
    // Configuration, log, pid file and control socket.
    assert_eq!(left.len(), 4, "{left:?}");
    let [first, second] = both;
    server.child = if at == 0 { first } else { second };
}

#[test]
fn a_file_that_a_failed_takeover_left_behind_is_no_obstacle() {
    let mut server = running();
    fs::write(server.path("x.pid.new"), "1\n").unwrap();
    take_over(&mut server);
    assert_eq!(server.ask(), BUILT_IN);
    assert!(!server.path("x.pid.new").exists());
}

#[test]
fn an_ordinary_second_start_still_fails() {
    let mut server = running();
    take_over(&mut server);
    let output = support::run_in(server.folder.path(), &["--pid-file", "none"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("Address already in use"),
        "{}",
        stderr(&output)
    );
    assert_eq!(server.ask(), BUILT_IN);
}

#[test]
fn without_a_running_server_it_is_an_ordinary_start_and_without_a_pid_file_an_error() {
    let mut server = Setup::new()
        .argument("serve")
        .argument("--takeover")
        .line("pid_file = x.pid")
        .start();
    assert_eq!(server.ask(), BUILT_IN);
    assert!(server.stop().success());
    let output = support::run_in(server.folder.path(), &["--takeover", "--pid-file", "none"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("set 'pid_file'"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn another_user_cannot_take_the_ports_over() {
    if !is_root() {
        return;
    }
    let server = running();
    let pid_file = server.path("x.pid");
    fs::set_permissions(server.folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let child = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(copy_for_everybody())
        .args(["--takeover", "--log-file", "none", "--pid-file"])
        .arg(&pid_file)
        .args(["--listen", &server.address().to_string()])
        .current_dir("/")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    let Ok(child) = child else {
        support::missing("setpriv");
        return;
    };
    let output = finish(child);
    assert_eq!(output.status.code(), Some(1));
    let errors = stderr(&output);
    assert!(errors.contains("may not stop it"), "{errors}");
    assert_eq!(holder(&server), Some(server.child.id()));
    assert_eq!(server.ask(), BUILT_IN);
}

#[test]
fn a_predecessor_that_does_not_end_is_named() {
    let server = running();
    // Stopped, it cannot take the signal.
    let pid = server.child.id();
    server.signal("STOP");
    fs::write(
        server.path("flashpolicy.conf"),
        format!(
            "pid_file = x.pid\ntimeout = 0.1\nlisten = {}\n",
            server.address()
        ),
    )
    .unwrap();
    let _next = support::Ends(successor(&server));
    let line = server.logged("has not ended");
    assert!(line.contains(&format!("kill -9 {pid}")), "{line}");
}
