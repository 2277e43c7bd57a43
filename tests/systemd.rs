//! Inherited sockets, what the service manager is told, and the units of `scripts`.
#![cfg(target_os = "linux")]

mod support;

use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self as unix, UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use support::{BUILT_IN, Client, PATIENCE, REQUEST, Server, Setup, wait_for};

const OWN: &str =
    "<cross-domain-policy><allow-access-from domain=\"own\" to-ports=\"1\"/></cross-domain-policy>";

/// What systemd does: descriptors from 3 on, and their number in the environment of that process.
const ONE_SOCKET: &str = "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\" 3<&0 </dev/null";
const TWO_SOCKETS: &str = "LISTEN_FDS=2 LISTEN_PID=$$ exec \"$@\" 3<&0 4<&1 </dev/null >/dev/null";

/// A server that inherits one socket, whatever that is.
fn inherits(socket: impl Into<OwnedFd>) -> Setup {
    Setup::new()
        .default_listen()
        .stdin(socket.into())
        .through(&["sh", "-c", ONE_SOCKET, "sh"])
}

fn inherits_two(first: &TcpListener, second: &TcpListener) -> Setup {
    inherits(first.try_clone().unwrap())
        .stdout(OwnedFd::from(second.try_clone().unwrap()))
        .through(&["sh", "-c", TWO_SOCKETS, "sh"])
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn ask(address: SocketAddr) -> Vec<u8> {
    let mut client = Client::connect(address);
    client.send(REQUEST);
    client.rest()
}

fn with_nul(policy: &str) -> Vec<u8> {
    [policy.as_bytes(), b"\0"].concat()
}

#[test]
fn an_inherited_socket_takes_the_place_of_the_default_port() {
    let (socket, address) = listener();
    let server = inherits(socket).start();
    assert_eq!(server.addresses, [address]);
    assert_eq!(ask(address), BUILT_IN);
    server.logged(&format!("The socket of {address} is inherited."));
}

#[test]
fn a_line_that_names_an_inherited_address_says_its_policy_and_other_lines_are_bound() {
    let (named, named_address) = listener();
    let (unnamed, unnamed_address) = listener();
    let server = inherits_two(&unnamed, &named)
        .file("own.xml", OWN)
        .line(format!("listen = {named_address} policy=own.xml"))
        .line("listen = 127.0.0.1:0")
        .start();
    assert_eq!(ask(named_address), with_nul(OWN));
    assert_eq!(ask(unnamed_address), BUILT_IN);
    let [first, bound, last] = server.addresses[..] else {
        panic!("{:?}", server.addresses);
    };
    assert_eq!((first, last), (named_address, unnamed_address));
    assert_eq!(ask(bound), BUILT_IN);
}

#[test]
fn a_reload_keeps_inherited_sockets_and_changes_their_policies() {
    let (socket, address) = listener();
    let server = inherits(socket).start();
    assert_eq!(ask(address), BUILT_IN);
    let config = format!("listen = {address} policy=own.xml\n");
    fs::write(server.path("own.xml"), OWN).unwrap();
    fs::write(server.path("flashpolicy.conf"), config).unwrap();
    server.signal("HUP");
    server.logged("the policies changed");
    assert_eq!(ask(address), with_nul(OWN));
    assert!(
        !server.log().contains("only with a restart"),
        "{}",
        server.log()
    );
}

#[test]
fn an_inherited_socket_that_is_no_tcp_listener_is_refused_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, address) = listener();
    let connection = TcpStream::connect(address).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let unix = UnixListener::bind(folder.path().join("socket")).unwrap();
    let file = fs::File::create(folder.path().join("file")).unwrap();
    for (given, why) in [
        (OwnedFd::from(udp), "fd 3 is not a valid tcp socket"),
        (OwnedFd::from(unix), "fd 3 is not a valid tcp socket"),
        (OwnedFd::from(file), "fd 3 is not a socket"),
        (
            OwnedFd::from(connection),
            "it does not listen; a single connection (Accept=yes)",
        ),
    ] {
        let mut server = inherits(given).start_without_waiting();
        let errors = errors_of(&mut server, 1);
        assert!(
            errors.contains("cannot serve on inherited socket 1 of LISTEN_FDS")
                && errors.contains(why)
                && errors.contains("ListenStream="),
            "{errors}"
        );
    }
    drop(socket);
}

/// What a server that ends by itself says, and the expected exit code.
fn errors_of(server: &mut Server, code: i32) -> String {
    use std::io::Read;
    assert_eq!(server.ended().code(), Some(code));
    let mut errors = String::new();
    let mut stderr = server.child.stderr.take().unwrap();
    stderr.read_to_string(&mut errors).unwrap();
    errors
}

#[test]
fn a_line_that_an_inherited_wildcard_excludes_says_so() {
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut server = inherits(socket)
        .line(format!("listen = 127.0.0.1:{port}"))
        .start_without_waiting();
    let errors = errors_of(&mut server, 1);
    assert!(
        errors.contains(&format!(
            "the inherited socket of 0.0.0.0:{port} has this port"
        )),
        "{errors}"
    );
}

#[test]
fn sockets_that_were_meant_for_another_process_are_left_alone() {
    let (socket, address) = listener();
    let server = inherits(socket)
        .through(&[
            "sh",
            "-c",
            "LISTEN_FDS=1 LISTEN_PID=1 exec \"$@\" 3<&0 </dev/null",
            "sh",
        ])
        .line("listen = 127.0.0.1:0")
        .start();
    assert_eq!(server.addresses.len(), 1);
    assert_ne!(server.address(), address);
}

/// Asks from many threads until told to stop; every client has to get its answer, in time for
/// Flash Player.
fn without_a_failed_client(address: SocketAddr, restarts: impl FnOnce(&AtomicUsize)) {
    let (asked, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    let begun = Instant::now();
                    assert_eq!(ask(address), BUILT_IN);
                    assert!(begun.elapsed() < Duration::from_secs(3));
                    asked.fetch_add(1, Relaxed);
                }
            });
        }
        restarts(&asked);
        over.store(true, Relaxed);
    });
    println!("{} clients, none failed", asked.into_inner());
}

/// Waits for this number of further answers.
fn wait_for_more(asked: &AtomicUsize, count: usize) {
    let target = asked.load(Relaxed) + count;
    wait_for("more clients", || {
        (asked.load(Relaxed) >= target).then_some(())
    });
}

#[test]
fn restarts_under_load_fail_no_client_while_the_socket_is_held_open() {
    let (socket, address) = listener();
    let mut server = inherits(socket.try_clone().unwrap()).start();
    without_a_failed_client(address, |asked| {
        for _ in 0..10 {
            wait_for_more(asked, 300);
            assert_eq!(server.stop().code(), Some(0));
            server = inherits(socket.try_clone().unwrap()).start();
        }
        wait_for_more(asked, 300);
    });
}

#[test]
fn silent_clients_do_not_keep_newcomers_from_the_next_server() {
    let (socket, address) = listener();
    let mut server = inherits(socket.try_clone().unwrap())
        .line("timeout = 60")
        .start();
    let silent: Vec<_> = (0..20).map(|_| Client::connect(address)).collect();
    for client in &silent {
        server.logged(&client.stream.local_addr().unwrap().to_string());
    }
    server.signal("TERM");
    server.logged("Stopping server...");
    let mut newcomer = Client::connect(address);
    newcomer.send(REQUEST);
    assert_eq!(server.ended().code(), Some(0));
    let _next = inherits(socket).start();
    assert_eq!(newcomer.rest(), BUILT_IN);
    let waited = newcomer.since.elapsed();
    assert!(waited < Duration::from_secs(3), "{waited:?}");
}

/// A service manager's socket in the file system or in the abstract namespace, and its variable.
fn managers(folder: &Path) -> [(UnixDatagram, OsString); 2] {
    let path = folder.join("notify");
    let name = folder.display().to_string();
    let address = unix::SocketAddr::from_abstract_name(&name).unwrap();
    let managers = [
        (UnixDatagram::bind(&path).unwrap(), path.into()),
        (
            UnixDatagram::bind_addr(&address).unwrap(),
            format!("@{name}").into(),
        ),
    ];
    for (manager, _) in &managers {
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    managers
}

#[test]
fn the_service_manager_is_told_of_start_reload_and_stop() {
    let folder = tempfile::tempdir().unwrap();
    for (manager, socket) in managers(folder.path()) {
        let told = || {
            let mut bytes = [0; 1000];
            let length = manager.recv(&mut bytes).unwrap();
            String::from_utf8(bytes[..length].to_vec()).unwrap()
        };
        let mut server = Setup::new().environment("NOTIFY_SOCKET", socket).start();
        assert_eq!(told(), "READY=1\n");
        server.signal("HUP");
        let reloading = told();
        let time = reloading
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .and_then(|rest| rest.trim_end().parse::<u64>().ok());
        assert!(time.is_some_and(|time| time > 0), "{reloading}");
        assert_eq!(told(), "READY=1\n");
        server.stop();
        assert_eq!(told(), "STOPPING=1\n");
    }
}

#[test]
fn a_service_manager_that_is_gone_costs_a_warning_only() {
    for socket in ["/nowhere/notify", "@nobody has this name", "", "nowhere"] {
        let mut server = Setup::new().environment("NOTIFY_SOCKET", socket).start();
        assert_eq!(server.ask(), BUILT_IN);
        let manager = format!("the service manager at NOTIFY_SOCKET={socket} ");
        server.logged(&format!("[WARN] Cannot tell {manager}that it serves: "));
        assert!(server.stop().success());
    }
}

#[test]
fn a_service_manager_that_takes_no_messages_holds_up_no_reload_and_no_stop() {
    let folder = tempfile::tempdir().unwrap();
    for (_manager, socket) in managers(folder.path()) {
        let name = socket.to_str().unwrap();
        let address = match name.strip_prefix('@') {
            Some(name) => unix::SocketAddr::from_abstract_name(name).unwrap(),
            None => unix::SocketAddr::from_pathname(name).unwrap(),
        };
        let others = UnixDatagram::unbound().unwrap();
        others.set_nonblocking(true).unwrap();
        while others.send_to_addr(b"STATUS=x", &address).is_ok() {}
        let mut server = Setup::new().environment("NOTIFY_SOCKET", &socket).start();
        server.logged("that it serves: it takes no messages.");
        server.signal("HUP");
        server.logged("the policies are the same.");
        assert_eq!(server.ask(), BUILT_IN);
        assert!(server.stop().success());
    }
}

#[test]
fn systemd_socket_activate_starts_it_for_the_first_client() {
    if !support::have("systemd-socket-activate") {
        return;
    }
    let address = SocketAddr::from(([127, 0, 0, 1], support::free_port()));
    let server = Setup::new()
        .default_listen()
        .through(&["systemd-socket-activate", "-l", &address.to_string()])
        .start_without_waiting();
    wait_for("the socket", || TcpStream::connect(address).ok());
    assert_eq!(ask(address), BUILT_IN);
    server.logged(&format!("The socket of {address} is inherited."));
}

#[test]
fn systemd_socket_activate_holds_the_socket_over_restarts_under_load() {
    if !support::have("systemd-socket-activate") {
        return;
    }
    // The socket is the manager's, here a shell that starts the server anew whenever it ends.
    const MANAGER: &str = "unset LISTEN_PID; while :; do \"$@\"; echo \"ended: $?\" >>ends; done";
    let address = SocketAddr::from(([127, 0, 0, 1], support::free_port()));
    let server = Setup::new()
        .default_listen()
        .line("pid_file = pid")
        .through(&[
            "systemd-socket-activate",
            "-l",
            &address.to_string(),
            "sh",
            "-c",
            MANAGER,
            "sh",
        ])
        .start_without_waiting();
    wait_for("the socket", || TcpStream::connect(address).ok());
    let pid = || {
        let text = fs::read_to_string(server.path("pid")).unwrap_or_default();
        text.trim().parse::<u32>().ok()
    };
    without_a_failed_client(address, |asked| {
        for _ in 0..10 {
            wait_for_more(asked, 300);
            let old = wait_for("the pid file", pid);
            support::signal(old, "TERM");
            wait_for("the next server", || pid().filter(|pid| *pid != old));
        }
        wait_for_more(asked, 300);
    });
    let ends = fs::read_to_string(server.path("ends")).unwrap();
    assert_eq!(ends, "ended: 0\n".repeat(10));
    // The manager first, so that it starts no other.
    let last = wait_for("the pid file", pid);
    drop(server);
    support::signal(last, "TERM");
}

fn scripts() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts")
}

#[test]
fn the_units_are_free_of_mistakes() {
    if !support::have("systemd-analyze") {
        return;
    }
    // The programs and users that the units name are those of an installed package: here the
    // server itself, and a user that every system has.
    let folder = tempfile::tempdir().unwrap();
    for unit in ["flashpolicyd.service", "flashpolicyd.socket"] {
        let text = fs::read_to_string(scripts().join(unit)).unwrap();
        let text = text.replace("/usr/sbin/flashpolicyd", support::binary_path());
        fs::write(folder.path().join(unit), text).unwrap();
    }
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .args([
            folder.path().join("flashpolicyd.service"),
            folder.path().join("flashpolicyd.socket"),
        ])
        .output()
        .unwrap();
    let said = support::stderr(&verified);
    assert!(verified.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_service_is_exposed_less_than_two_by_systemds_count() {
    if !support::have("systemd-analyze") {
        return;
    }
    let analysis = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=20", "--no-pager"])
        .arg(scripts().join("flashpolicyd.service"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&analysis.stdout);
    println!("{}", text.lines().last().unwrap_or_default());
    assert!(analysis.status.success(), "{text}");
}

/// The names of a list of system calls, with those of the groups in it.
fn calls_of(list: &str) -> Vec<String> {
    list.split_whitespace()
        .flat_map(|name| {
            if !name.starts_with('@') {
                return vec![name.to_string()];
            }
            let shown = Command::new("systemd-analyze")
                .args(["syscall-filter", "--no-pager", name])
                .output()
                .unwrap();
            let text = String::from_utf8(shown.stdout).unwrap();
            let members = text.lines().skip(1).map(str::trim);
            let members: Vec<_> = members.filter(|line| !line.starts_with('#')).collect();
            assert!(!members.is_empty(), "{name}");
            calls_of(&members.join(" "))
        })
        .collect()
}

#[test]
fn the_service_allows_every_system_call_that_serving_takes() {
    if !support::have("systemd-analyze") || !support::have("strace") {
        return;
    }
    let service = fs::read_to_string(scripts().join("flashpolicyd.service")).unwrap();
    let mut allowed = Vec::new();
    for list in service
        .lines()
        .filter_map(|line| line.strip_prefix("SystemCallFilter="))
    {
        match list.strip_prefix('~') {
            Some(list) => {
                let denied = calls_of(list);
                allowed.retain(|call| !denied.contains(call));
            }
            None => allowed.extend(calls_of(list)),
        }
    }
    let (socket, address) = listener();
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let traced = format!(
        "LISTEN_FDS=1 exec strace -f -o {} \"$@\" 3<&0 </dev/null",
        trace.display()
    );
    let mut server = inherits(socket)
        .line("stats_file = stats")
        .line("pid_file = pid")
        .through(&["sh", "-c", &traced, "sh"])
        .start();
    assert_eq!(ask(address), BUILT_IN);
    let pid = fs::read_to_string(server.path("pid")).unwrap();
    let pid = pid.trim().parse().unwrap();
    support::signal(pid, "HUP");
    server.logged("Reloaded");
    support::signal(pid, "TERM");
    server.ended();
    let trace = fs::read_to_string(trace).unwrap();
    let mut made: Vec<_> = trace
        .lines()
        .filter_map(|line| {
            let call = line.split_once(' ')?.1.trim_start().split_once('(')?.0;
            let is_name = call.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            is_name.then_some(call)
        })
        .collect();
    made.sort();
    made.dedup();
    assert!(made.contains(&"accept4"), "{made:?}");
    let refused: Vec<_> = made
        .iter()
        .filter(|call| !allowed.iter().any(|allowed| allowed == *call))
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
}
