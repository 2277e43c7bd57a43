//! The files in `scripts/haproxy`, run by the real HAProxy in front of real servers: they are taken
//! as they are, with addresses and ports of this test put in.

#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use support::{
    BUILT_IN, Client, Ends, PATIENCE, REQUEST, Server, Setup, finish, free_port, have, run_in,
    wait_for,
};
use tempfile::TempDir;

/// What Flash Player waits for an answer on 843.
const THE_PLAYERS_PATIENCE: Duration = Duration::from_secs(3);

/// A running HAProxy; it ends with the test.
struct Haproxy {
    _child: Ends,
    _folder: TempDir,
    address: SocketAddr,
}

/// It is seldom in the path of ordinary users.
fn haproxy() -> Command {
    let usual = Path::new("/usr/sbin/haproxy");
    Command::new(if usual.exists() {
        usual
    } else {
        Path::new("haproxy")
    })
}

/// One of the files with other addresses in it; each must occur.
fn adapted(name: &str, replaced: &[(&str, &str)]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/haproxy");
    let mut text = fs::read_to_string(folder.join(name)).unwrap();
    for (from, to) in replaced {
        assert!(text.contains(from), "{name} has no '{from}'");
        text = text.replace(from, to);
    }
    // Only root can become somebody else.
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        text = text.replace("    user haproxy\n    group haproxy\n", "");
    }
    text
}

/// Checks the file as `haproxy -c` does: neither errors nor warnings.
fn check(file: &Path) {
    let output = haproxy().args(["-c", "-f"]).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && !said.contains("[WARNING]") && !said.contains("[ALERT]"),
        "{}: {said}",
        file.display()
    );
}

impl Haproxy {
    /// `bind` is the file's own public address.
    fn start(name: &str, bind: &str, replaced: &[(&str, &str)]) -> Haproxy {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let own = format!("bind {address}");
        let mut all = vec![(bind, own.as_str())];
        all.extend(replaced);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        fs::write(&file, adapted(name, &all)).unwrap();
        check(&file);
        let child = haproxy()
            .args(["-db", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut child = Ends(child);
        wait_for("HAProxy to listen", || {
            if child.0.try_wait().unwrap().is_some() {
                panic!(
                    "{}",
                    fs::read_to_string(folder.path().join("stderr")).unwrap()
                );
            }
            TcpStream::connect(address).ok()
        });
        Haproxy {
            _child: child,
            _folder: folder,
            address,
        }
    }

    fn tcp(servers: [SocketAddr; 3], more: &[(&str, &str)]) -> Haproxy {
        let [a, b, c] = servers.map(|server| server.to_string());
        let mut replaced = vec![
            ("192.0.2.11:8430", a.as_str()),
            ("192.0.2.12:8430", b.as_str()),
            ("192.0.2.13:8430", c.as_str()),
        ];
        replaced.extend(more);
        Haproxy::start("tcp.cfg", "bind :::843 v4v6", &replaced)
    }

    fn shared_port(policy: &Server, game: &Game, more: &[(&str, &str)]) -> Haproxy {
        let (policy, game) = (policy.address().to_string(), game.address.to_string());
        let mut replaced = vec![
            ("127.0.0.1:8430", policy.as_str()),
            ("127.0.0.1:12001", game.as_str()),
        ];
        replaced.extend(more);
        Haproxy::start("shared-port.cfg", "bind :::2001 v4v6", &replaced)
    }

    fn connect_from(&self, last: u8) -> Client {
        Client::connect_from(Ipv4Addr::new(127, 0, 1, last), self.address)
    }

    /// Sends the pieces with a pause between them.
    fn send(&self, pieces: &[&[u8]], pause: Duration) -> Client {
        let mut client = Client::connect(self.address);
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                thread::sleep(pause);
            }
            client.send(piece);
        }
        client
    }
}

fn server_behind(address: SocketAddr) -> Server {
    Setup::new()
        .line(format!("listen = {address} proxy"))
        // All clients have their lines then, however many come.
        .line("log_level = debug")
        .start()
}

fn any_server_behind() -> Server {
    server_behind("127.0.0.1:0".parse().unwrap())
}

/// How many clients from 127.0.1.0/24 got the policy, by a log. Health checks come from elsewhere.
fn served(log: &str) -> u64 {
    let lines = log.lines().filter(|line| line.contains("Policy sent."));
    lines.filter(|line| line.contains("] 127.0.1.")).count() as u64
}

/// Clients that ask for the policy through HAProxy, again and again.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Result<Duration, String>>>,
}

impl Load {
    fn start(haproxy: &Haproxy) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicU64::new(0));
        let clients = (1..=6)
            .map(|last| {
                let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
                let to = haproxy.address;
                thread::spawn(move || {
                    let mut longest = Duration::ZERO;
                    while !stop.load(Relaxed) {
                        let since = Instant::now();
                        let mut client = Client::connect_from(Ipv4Addr::new(127, 0, 1, last), to);
                        client.send(REQUEST);
                        let answer = client.try_rest().map_err(|error| error.to_string())?;
                        if answer != BUILT_IN {
                            return Err(format!("an answer of {} bytes", answer.len()));
                        }
                        asked.fetch_add(1, Relaxed);
                        longest = longest.max(since.elapsed());
                        thread::sleep(Duration::from_millis(2));
                    }
                    Ok(longest)
                })
            })
            .collect();
        Load {
            stop,
            asked,
            clients,
        }
    }

    /// Waits until this number of further clients has been answered.
    fn more(&self, count: u64) {
        let goal = self.asked.load(Relaxed) + count;
        wait_for("clients to be answered", || {
            let failed = self.clients.iter().any(JoinHandle::is_finished);
            assert!(!failed, "a client failed");
            (self.asked.load(Relaxed) >= goal).then_some(())
        });
    }

    /// How many were answered, and how long the slowest waited.
    fn finish(self) -> (u64, Duration) {
        self.stop.store(true, Relaxed);
        let all = self.clients.into_iter();
        let longest = all.map(|client| client.join().unwrap().unwrap()).max();
        (self.asked.load(Relaxed), longest.unwrap())
    }
}

/// A game server: it echoes what it gets, and may speak first.
struct Game {
    address: SocketAddr,
}

impl Game {
    fn start(greeting: &'static [u8]) -> Game {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // It ends with the test's process, and takes nothing from anybody until then.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { break };
                thread::spawn(move || {
                    let mut bytes = [0; 4096];
                    let mut answer = stream.write_all(greeting);
                    while answer.is_ok() {
                        answer = match stream.read(&mut bytes) {
                            Ok(0) | Err(_) => break,
                            Ok(count) => stream.write_all(&bytes[..count]),
                        };
                    }
                });
            }
        });
        Game { address }
    }
}

/// Reads exactly this.
fn expect(client: &mut Client, expected: &[u8]) {
    let mut got = vec![0; expected.len()];
    client.stream.read_exact(&mut got).unwrap();
    assert_eq!(got, expected, "{}", got.escape_ascii());
}

#[test]
fn one_of_three_servers_is_stopped_restarted_and_reloaded_and_no_client_notices() {
    if !have("haproxy") {
        return;
    }
    let addresses = [(); 3].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
    let [a, mut b, c] = addresses.map(server_behind);
    let haproxy = Haproxy::tcp(addresses, &[]);
    let load = Load::start(&haproxy);
    let takes_part = |server: &Server| {
        let before = served(&server.log());
        wait_for("the server to take part", || {
            (served(&server.log()) > before).then_some(())
        });
    };
    [&a, &b, &c].into_iter().for_each(takes_part);

    assert!(b.stop().success());
    let mut logs = vec![b.log()];
    load.more(300);
    b = server_behind(addresses[1]);
    takes_part(&b);

    // And without a pause between.
    assert!(b.stop().success());
    logs.push(b.log());
    b = server_behind(addresses[1]);
    takes_part(&b);

    b.signal("HUP");
    b.logged("Reloaded ");
    takes_part(&b);
    load.more(300);

    let (asked, longest) = load.finish();
    for mut server in [a, b, c] {
        assert!(server.stop().success());
        logs.push(server.log());
    }
    println!("{asked} clients, none failed, the slowest waited {longest:?}");
    assert!(longest < THE_PLAYERS_PATIENCE, "{longest:?}");
    let served: Vec<_> = logs.iter().map(|log| served(log)).collect();
    assert_eq!(served.iter().sum::<u64>(), asked, "{served:?}");
    for log in logs {
        // Health checks leave no line but of the level debug, and nobody came unannounced.
        let others = log
            .lines()
            .filter(|line| line.contains("[INFO] 127.0.0.1:"));
        for line in others {
            let gone = line.ends_with("Closed before a request.");
            assert!(gone || line.ends_with("Connection accepted."), "{line}");
        }
    }
}

#[test]
fn a_flood_through_the_balancer_evicts_itself_and_nobody_else() {
    if !have("haproxy") {
        return;
    }
    let server = Setup::new()
        .line("listen = 127.0.0.1:0 proxy")
        .line("max_connections = 40")
        .start();
    let haproxy = Haproxy::tcp([server.address(); 3], &[]);
    let flood: Vec<_> = (0..200).map(|_| haproxy.connect_from(66)).collect();
    for last in 1..=50 {
        let mut client = haproxy.connect_from(last);
        // A player from far away speaks late.
        thread::sleep(Duration::from_millis(5));
        client.send(REQUEST);
        assert_eq!(client.rest(), BUILT_IN, "client {last}");
        assert!(client.since.elapsed() < THE_PLAYERS_PATIENCE);
    }
    drop(flood);
    server.logged(" 127.0.1.66:");
    let log = server.log();
    let evicted = log.lines().filter(|line| line.contains(": Evicted"));
    let evicted: Vec<_> = evicted.collect();
    assert!(!evicted.is_empty(), "{log}");
    for line in evicted {
        // One whose header had not come yet has the balancer's name; who it was, the players above
        // have shown.
        assert!(
            line.contains(" 127.0.1.66:") || line.contains(" 127.0.0.1:"),
            "{line}"
        );
    }
}

#[test]
fn the_older_header_works_as_well() {
    if !have("haproxy") {
        return;
    }
    let server = any_server_behind();
    let haproxy = Haproxy::tcp([server.address(); 3], &[("send-proxy-v2", "send-proxy")]);
    let mut client = haproxy.connect_from(7);
    client.send(REQUEST);
    assert_eq!(client.rest(), BUILT_IN);
    server.logged(" 127.0.1.7:");
}

/// A certificate for localhost, with its key, in one file.
fn certificate(folder: &Path) -> String {
    let (key, certificate) = (folder.join("key"), folder.join("certificate"));
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args(["-subj", "/CN=localhost", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let both = folder.join("both.pem");
    let texts = [key, certificate].map(|file| fs::read(file).unwrap());
    fs::write(&both, texts.concat()).unwrap();
    both.display().to_string()
}

/// What a TLS client from 127.0.1.9 gets for the player's request.
fn ask_over_tls(address: SocketAddr, trusted: &str, options: &[&str]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            "-verify_return_error",
            "-bind",
            "127.0.1.9:0",
        ])
        .args(["-connect", &address.to_string(), "-CAfile", trusted])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(REQUEST).unwrap();
    let output = finish(child);
    drop(stdin);
    output.stdout
}

#[test]
fn tls_ends_in_haproxy_and_plain_clients_use_the_same_port() {
    if !have("haproxy") || !have("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = certificate(folder.path());
    let server = any_server_behind();
    let own = server.address().to_string();
    // The socket's name belongs to the whole host.
    let socket = format!("abns@flashpolicyd-test-{}", std::process::id());
    let replaced = [
        ("127.0.0.1:8430", own.as_str()),
        ("/etc/haproxy/flashpolicyd.pem", file.as_str()),
        ("abns@flashpolicyd-tls", socket.as_str()),
    ];
    let haproxy = Haproxy::start("tls.cfg", "bind :::843 v4v6", &replaced);
    assert_eq!(ask_over_tls(haproxy.address, &file, &[]), BUILT_IN);
    server.logged(" 127.0.1.9:");
    let mut plain = haproxy.connect_from(8);
    plain.send(REQUEST);
    assert_eq!(plain.rest(), BUILT_IN);
    server.logged(" 127.0.1.8:");
    // Both kinds are found by the probe, which names the certificate that its host does not trust.
    for (inside, expected) in [
        (&[][..], ["(23 bytes); ", "in all; then closed."]),
        (
            &["--tls"],
            [
                ", TLS 1.3, sent <policy-file-request/>",
                "warning[certificate]: the certificate is its own authority (self-signed), which this computer does not trust",
            ],
        ),
    ] {
        if !inside.is_empty() && !cfg!(feature = "tls") {
            continue;
        }
        let (host, port) = (
            haproxy.address.ip().to_string(),
            haproxy.address.port().to_string(),
        );
        let asked = [
            "probe",
            &host,
            "--port",
            &port,
            "--ignore",
            "allows-everything",
        ];
        let output = run_in(folder.path(), &[&asked[..], inside].concat());
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            output.status.code(),
            Some(i32::from(!inside.is_empty())),
            "{said}"
        );
        assert!(
            said.contains("Any content from anywhere may connect to any port."),
            "{said}"
        );
        assert!(expected.iter().all(|part| said.contains(part)), "{said}");
    }
    drop(haproxy);

    let mut old = replaced.to_vec();
    old.extend([("    #ssl-default", "    ssl-default")]);
    let haproxy = Haproxy::start("tls.cfg", "bind :::843 v4v6", &old);
    let tls_1_0 = ["-tls1", "-cipher", "DEFAULT:@SECLEVEL=0"];
    assert_eq!(ask_over_tls(haproxy.address, &file, &tls_1_0), BUILT_IN);
}

#[test]
fn on_the_games_own_port_policy_requests_find_the_policy() {
    if !have("haproxy") {
        return;
    }
    let (server, game) = (any_server_behind(), Game::start(b""));
    let haproxy = Haproxy::shared_port(&server, &game, &[]);
    let mut whole = haproxy.connect_from(3);
    whole.send(REQUEST);
    assert_eq!(whole.rest(), BUILT_IN);
    server.logged(" 127.0.1.3:");
    let pause = Duration::from_millis(200);
    for cut in [1, 10, 19, 20, 22] {
        let (first, second) = REQUEST.split_at(cut);
        let mut client = haproxy.send(&[first, second], pause);
        assert_eq!(client.rest(), BUILT_IN, "cut at {cut}");
    }
    let bytes: Vec<_> = REQUEST.chunks(1).collect();
    let mut client = haproxy.send(&bytes, Duration::from_millis(20));
    assert_eq!(client.rest(), BUILT_IN, "byte by byte");
}

#[test]
fn on_the_games_own_port_a_request_that_is_slower_than_the_delay_still_counts() {
    if !have("haproxy") {
        return;
    }
    let (server, game) = (any_server_behind(), Game::start(b""));
    let shorter = ("inspect-delay 1s", "inspect-delay 200ms");
    let haproxy = Haproxy::shared_port(&server, &game, &[shorter]);
    let slow = (1..20).map(|cut| (haproxy.send(&[&REQUEST[..cut]], Duration::ZERO), cut));
    let slow: Vec<_> = slow.collect();
    wait_for("all of them to be handed to flashpolicyd", || {
        let accepted = server.log().matches("Connection accepted.").count();
        (accepted == slow.len()).then_some(())
    });
    for (mut client, cut) in slow {
        client.send(&REQUEST[cut..]);
        assert_eq!(client.rest(), BUILT_IN, "cut at {cut}");
    }
}

#[test]
fn on_the_games_own_port_everything_else_is_the_games_at_once() {
    if !have("haproxy") {
        return;
    }
    let (server, game) = (any_server_behind(), Game::start(b""));
    // So that "at once" can be told from "after the delay" on the slowest machine.
    let longer = ("inspect-delay 1s", "inspect-delay 60s");
    let haproxy = Haproxy::shared_port(&server, &game, &[longer]);
    let long = [b'<'; 3000];
    let nearly = [b"<policy-file-requesT".as_slice(), b"/>\0"].concat();
    for pieces in [
        &[b"L".as_slice()][..],
        &[b"\0"],
        &[b"<<"],
        &[b"<player/>\0"],
        &[b"<policies/>"],
        &[b"<policy-file-requesT"],
        &[&nearly],
        &[&long],
        &[b"GET / HTTP/1.0\r\n\r\n"],
        &[b"<pol", b"l/>\0"],
        &[b"<policy-file-", b"name/>\0", b"more"],
    ] {
        let mut client = haproxy.send(pieces, Duration::from_millis(100));
        expect(&mut client, &pieces.concat());
        // The game goes on, in both directions.
        client.send(b"<policy-file-request/>\0");
        expect(&mut client, b"<policy-file-request/>\0");
        assert!(client.since.elapsed() < PATIENCE);
    }
    assert!(!server.log().contains("Connection accepted."));
}

#[test]
fn on_the_games_own_port_the_server_may_speak_first_after_the_delay() {
    if !have("haproxy") {
        return;
    }
    let (server, game) = (any_server_behind(), Game::start(b"WELCOME\n"));
    let haproxy = Haproxy::shared_port(&server, &game, &[]);
    let mut silent = haproxy.connect_from(4);
    expect(&mut silent, b"WELCOME\n");
    let elapsed = silent.since.elapsed();
    let delay = Duration::from_millis(900)..Duration::from_secs(10);
    assert!(delay.contains(&elapsed), "{elapsed:?}");
    silent.send(b"HELLO\n");
    expect(&mut silent, b"HELLO\n");
    // A client that says something else than a request does not wait for it.
    let mut client = haproxy.connect_from(5);
    client.send(b"LOGIN\n");
    expect(&mut client, b"WELCOME\nLOGIN\n");
    // And the policy is there beside it.
    let mut player = haproxy.connect_from(6);
    player.send(REQUEST);
    assert_eq!(player.rest(), BUILT_IN);
}
