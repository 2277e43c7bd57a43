//! Measures what honest clients notice of an attack, and what the attack costs the server.
//!
//! ```sh
//! cargo bench --bench attack                       # everything but the peers; about 10 minutes
//! cargo bench --bench attack -- one-silent         # what begins so; names: see `SCENES`
//! cargo bench --bench attack -- --seconds 20 many  # longer
//! cargo bench --bench attack -- --peers PYTHON     # a plain pool, and gevent by this Python
//! cargo bench --bench attack -- limit ten million  # few files, ten attacks, a million requests
//! cargo bench --bench attack -- ten --attacks 25
//! cargo bench --bench attack -- million --requests 100000 --only 6   # one kind of request
//! ```
//!
//! Attackers are processes of their own: this one, started once more. All traffic is loopback's.

#[path = "../support/attack.rs"]
mod attack;
#[path = "../support/mod.rs"]
mod support;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use attack::{memory_kib, processor_time, Honest, Kind, Meetings, Plan, Sources};
use support::{Setup, BUILT_IN, REQUEST};

/// The largest attack that one process can make within the usual limit of open files.
const MOST_CONNECTIONS: usize = 15_000;

/// Name, kind, addresses.
const SCENES: &[(&str, Kind, u32)] = &[
    ("one-silent", Kind::Silent, 1),
    ("one-drip", Kind::Drip, 1),
    ("one-junk", Kind::Junk, 1),
    ("one-half", Kind::HalfRequest, 1),
    ("64-silent", Kind::Silent, 64),
    ("64-drip", Kind::Drip, 64),
    ("64-junk", Kind::Junk, 64),
    ("64-half", Kind::HalfRequest, 64),
    ("many-silent", Kind::Silent, 8000),
    ("many-drip", Kind::Drip, 8000),
    ("many-junk", Kind::Junk, 8000),
    ("many-half", Kind::HalfRequest, 8000),
];

struct Options {
    seconds: u64,
    attacks: u32,
    connections: usize,
    requests: u64,
    only: Option<usize>,
    peers: Option<String>,
    scenes: Vec<String>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["attacker", ref rest @ ..] => return be_the_attacker(rest),
        ["plain-pool"] => return be_the_plain_pool(),
        _ => {}
    }
    let Some(options) = options(&arguments) else {
        return;
    };
    println!(
        "{:<24} {:>8} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>5}",
        "", "attack/s", "served", "median", "99 %", "slowest", "connect", "RSS", "peak", "cpu"
    );
    if let Some(python) = &options.peers {
        measure_peers(&options, python);
        return;
    }
    for &(name, kind, addresses) in SCENES {
        if options.wants(name) {
            measure(name, &options, kind, addresses, Setup::new());
        }
    }
    if options.wants("limit") {
        let options = Options {
            connections: 30_000,
            scenes: Vec::new(),
            peers: None,
            ..options
        };
        for &(name, kind, addresses) in &SCENES[..8] {
            let few = Setup::new().through(&["sh", "-c", "ulimit -n 1024 && exec \"$0\" \"$@\""]);
            measure(&format!("limit-{name}"), &options, kind, addresses, few);
        }
    }
    if options.wants("ten") {
        ten_attacks(&options);
    }
    if options.wants("million") {
        a_million_requests(options.requests, options.only);
    }
}

/// None when there is nothing to do: `cargo test --benches` runs this too.
fn options(arguments: &[String]) -> Option<Options> {
    let mut options = Options {
        seconds: 10,
        attacks: 10,
        connections: 8000,
        requests: 1_000_000,
        only: None,
        peers: None,
        scenes: Vec::new(),
    };
    let mut arguments = arguments.iter();
    let mut asked_by_bench = false;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().expect("a value");
        match argument.as_str() {
            "--bench" => asked_by_bench = true,
            "--seconds" => options.seconds = value().parse().expect("seconds"),
            "--attacks" => options.attacks = value().parse().expect("a number"),
            "--connections" => options.connections = value().parse().expect("a number"),
            "--requests" => options.requests = value().parse().expect("a number"),
            "--only" => options.only = Some(value().parse().expect("a number")),
            "--peers" => options.peers = Some(value().clone()),
            name => options.scenes.push(name.into()),
        }
    }
    asked_by_bench.then_some(options)
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.scenes.is_empty() || self.scenes.iter().any(|scene| name.starts_with(scene))
    }
}

/// Attackers as processes of their own; they end with this value.
struct Attackers(Vec<Child>);

impl Attackers {
    fn start(to: SocketAddr, kind: Kind, addresses: u32, connections: usize, seconds: u64) -> Self {
        let parts = connections.div_ceil(MOST_CONNECTIONS);
        let kind = KINDS.iter().find(|(_, known)| *known == kind).unwrap().0;
        let children = (0..parts).map(|part| {
            let first = format!("127.{}.0.1", 64 + part);
            Command::new(std::env::current_exe().unwrap())
                .args(["attacker", &to.to_string(), &first, &addresses.to_string()])
                .args([
                    &(connections / parts).to_string(),
                    kind,
                    &seconds.to_string(),
                ])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        });
        Attackers(children.collect())
    }

    /// Ends them, and gives the connections that they opened.
    fn stop(mut self) -> u64 {
        for child in &mut self.0 {
            drop(child.stdin.take());
        }
        let opened = self.0.iter_mut().map(|child| {
            let mut said = String::new();
            let output = child.stdout.as_mut().unwrap();
            output.read_to_string(&mut said).unwrap();
            child.wait().unwrap();
            said.trim().parse::<u64>().unwrap()
        });
        opened.sum()
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

const KINDS: &[(&str, Kind)] = &[
    ("silent", Kind::Silent),
    ("drip", Kind::Drip),
    ("junk", Kind::Junk),
    ("half", Kind::HalfRequest),
];

fn be_the_attacker(words: &[&str]) {
    let [to, first, addresses, connections, kind, seconds] = words else {
        panic!("six words");
    };
    let IpAddr::V4(first) = first.parse().unwrap() else {
        panic!("IPv4");
    };
    let plan = Plan {
        to: to.parse().unwrap(),
        from: Sources::v4(first.octets(), addresses.parse().unwrap()),
        connections: connections.parse().unwrap(),
        kind: KINDS.iter().find(|(name, _)| name == kind).unwrap().1,
        at_most: Duration::from_secs(seconds.parse().unwrap()),
    };
    let attack = plan.start();
    // Until the other side closes it, or is gone.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    if attack.failed() > 0 {
        eprintln!("{} connections could not be begun", attack.failed());
    }
    println!("{}", attack.stop());
}

/// One attack on one server, with honest clients beside it all the time.
fn attack_with_players(
    to: SocketAddr,
    options: &Options,
    kind: Kind,
    addresses: u32,
) -> (Meetings, f64) {
    let seconds = options.seconds;
    let attackers = Attackers::start(to, kind, addresses, options.connections, seconds + 60);
    let start = Instant::now();
    // The attack stands when it holds its connections.
    thread::sleep(Duration::from_secs(1));
    let honest = Honest {
        meetings: (seconds * 18) as usize,
        ..Honest::at(to, Sources::v4([127, 200, 0, 1], 60_000))
    };
    let meetings = honest.meet(BUILT_IN);
    let lasted = start.elapsed().as_secs_f64();
    (meetings, attackers.stop() as f64 / lasted)
}

fn measure(name: &str, options: &Options, kind: Kind, addresses: u32, setup: Setup) {
    let mut server = setup.start();
    let pid = server.child.id();
    let before = (processor_time(pid), Instant::now());
    let (meetings, rate) = attack_with_players(server.address(), options, kind, addresses);
    let cpu = (processor_time(pid) - before.0).as_secs_f64() / before.1.elapsed().as_secs_f64();
    let memory = (memory_kib(pid, "VmRSS"), memory_kib(pid, "VmHWM"));
    row(name, &meetings, rate, Some(memory), cpu);
    server.stop();
    if let Some(totals) = server.log().split("Totals: ").nth(1) {
        println!("    {}", totals.trim());
    }
}

fn row(name: &str, meetings: &Meetings, rate: f64, memory: Option<(u64, u64)>, cpu: f64) {
    let ms = |part| match meetings.latency(part) {
        Some(time) => format!("{:.1} ms", time.as_secs_f64() * 1000.0),
        None => "-".into(),
    };
    let kib =
        |kib: Option<u64>| kib.map_or("-".into(), |kib| format!("{:.1} MB", kib as f64 / 1024.0));
    println!(
        "{name:<24} {rate:>8.0} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>4.0}%",
        format!("{}/{}", meetings.served(), meetings.0.len()),
        ms(0.5),
        ms(0.99),
        ms(1.0),
        format!(
            "{:.1} ms",
            meetings.connecting(0.99).unwrap_or_default().as_secs_f64() * 1000.0
        ),
        kib(memory.map(|m| m.0)),
        kib(memory.map(|m| m.1)),
        cpu * 100.0
    );
    let last_failure = meetings
        .0
        .iter()
        .filter(|m| m.answered.is_err())
        .map(|m| m.began)
        .max();
    if let Some(last) = last_failure {
        let failures = meetings.failures();
        println!(
            "    the last failure began {:.1} s after the first honest client; such as: {}",
            last.as_secs_f64(),
            failures[0]
        );
    }
    let _ = io::stdout().flush();
}

fn ten_attacks(options: &Options) {
    let server = Setup::new().start();
    let pid = server.child.id();
    let options = Options {
        seconds: 4,
        scenes: Vec::new(),
        peers: None,
        ..*options
    };
    for round in 1..=options.attacks {
        // The kind that costs most memory.
        let (kind, addresses) = (Kind::HalfRequest, 8000);
        let (meetings, rate) = attack_with_players(server.address(), &options, kind, addresses);
        let memory = (memory_kib(pid, "VmRSS"), memory_kib(pid, "VmHWM"));
        let name = format!("many-half, attack {round}");
        row(&name, &meetings, rate, Some(memory), f64::NAN);
    }
}

/// What a client sends, in pieces, and whether it then closes its side; and whether that is a
/// request.
fn wire_table() -> Vec<(Vec<Vec<u8>>, bool, bool)> {
    let kilobytes = vec![b'x'; 5 * 1024];
    let random: Vec<u8> = (0..600u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let whole = REQUEST.to_vec();
    let bare = REQUEST[..22].to_vec();
    let one = |bytes: &[u8]| vec![bytes.to_vec()];
    vec![
        (one(REQUEST), false, true),
        (one(&bare), false, true),
        (
            vec![REQUEST[..9].to_vec(), REQUEST[9..].to_vec()],
            false,
            true,
        ),
        (REQUEST.chunks(1).map(<[u8]>::to_vec).collect(), false, true),
        (one(b"<policy-file-request \t\r\n />\0"), false, true),
        (one(&[REQUEST, b"\n"].concat()), false, true),
        (vec![whole.clone(), b"\r\n".to_vec()], false, true),
        (one(&[REQUEST, &kilobytes].concat()), false, true),
        (vec![bare.clone(), kilobytes], false, true),
        (one(REQUEST), true, true),
        (one(&bare), true, true),
        (one(b"GET /crossdomain.xml HTTP/1.1\r\n\r\n"), false, false),
        (
            one(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
            false,
            false,
        ),
        (one(&random), false, false),
        (one(b"\0"), false, false),
        (one(b"<policy-file-requesT"), false, false),
        (Vec::new(), true, false),
        (one(&REQUEST[..7]), true, false),
    ]
}

fn a_million_requests(requests: u64, only: Option<usize>) {
    let mut server = Setup::new().start();
    let to = server.address();
    let mut table = wire_table();
    if let Some(kind) = only {
        table = vec![table.swap_remove(kind)];
    }
    let (next, wrong) = (AtomicU64::new(0), AtomicU64::new(0));
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| loop {
                let number = next.fetch_add(1, Relaxed);
                if number >= requests {
                    return;
                }
                let (pieces, closes, asks) = &table[number as usize % table.len()];
                let expected = if *asks { BUILT_IN } else { b"" };
                let from = Sources::v4([127, 200, 0, 1], 50).address(number as usize);
                let outcome = meet(from, to, pieces, *closes);
                let right = matches!(&outcome, Ok(answer) if answer == expected);
                if !right && wrong.fetch_add(1, Relaxed) < 10 {
                    println!("    kind {}: {outcome:?}", number as usize % table.len());
                }
            });
        }
    });
    let took = start.elapsed().as_secs_f64();
    let pid = server.child.id();
    println!(
        "{requests} requests of {} kinds, 64 at a time: {} wrong, lost or reset; {:.0} a second; \
         RSS {:.1} MB, peak {:.1} MB",
        table.len(),
        wrong.load(Relaxed),
        requests as f64 / took,
        memory_kib(pid, "VmRSS") as f64 / 1024.0,
        memory_kib(pid, "VmHWM") as f64 / 1024.0
    );
    server.stop();
    if let Some(totals) = server.log().split("Totals: ").nth(1) {
        println!("    {}", totals.trim());
    }
}

fn meet(from: IpAddr, to: SocketAddr, pieces: &[Vec<u8>], closes: bool) -> io::Result<Vec<u8>> {
    let mut stream = attack::open(from, to)?;
    stream.set_nodelay(true)?;
    for piece in pieces {
        // The answer may be complete, and the server gone, before the last piece.
        match stream.write_all(piece) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            other => other?,
        }
    }
    if closes {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

fn measure_peers(options: &Options, python: &str) {
    let folder = tempfile::tempdir().unwrap();
    let scenes = SCENES.iter().filter(|scene| options.wants(scene.0));
    for &(name, kind, addresses) in scenes {
        measure(name, options, kind, addresses, Setup::new());
        let mut pool = Command::new(std::env::current_exe().unwrap());
        pool.arg("plain-pool");
        let mut child = support::Ends(pool.stdout(Stdio::piped()).spawn().unwrap());
        let mut said = String::new();
        BufReader::new(child.0.stdout.as_mut().unwrap())
            .read_line(&mut said)
            .unwrap();
        let pool_at = said.trim().parse().unwrap();
        measure_peer(
            &format!("{name} plain pool"),
            options,
            kind,
            addresses,
            pool_at,
            &child,
        );
        drop(child);

        let to = SocketAddr::from(([127, 0, 0, 1], support::free_port()));
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/bench/peers/gevent_policyd.py"
        );
        let child = Command::new(python)
            .args([script, &to.port().to_string()])
            .arg(folder.path().join("gevent.log"))
            .spawn();
        let child = support::Ends(child.unwrap());
        support::wait_for("gevent", || TcpStream::connect(to).ok());
        measure_peer(
            &format!("{name} gevent"),
            options,
            kind,
            addresses,
            to,
            &child,
        );
    }
}

fn measure_peer(
    name: &str,
    options: &Options,
    kind: Kind,
    addresses: u32,
    to: SocketAddr,
    child: &support::Ends,
) {
    let pid = child.0.id();
    let before = (processor_time(pid), Instant::now());
    let (meetings, rate) = attack_with_players(to, options, kind, addresses);
    let cpu = (processor_time(pid) - before.0).as_secs_f64() / before.1.elapsed().as_secs_f64();
    let memory = (memory_kib(pid, "VmRSS"), memory_kib(pid, "VmHWM"));
    row(name, &meetings, rate, Some(memory), cpu);
}

/// The textbook's pool: accept, queue, 256 threads, 3-second timeouts.
fn be_the_plain_pool() {
    attack::raise_file_limit();
    let listener = listener_with_a_long_backlog();
    println!("{}", listener.local_addr().unwrap());
    let pool = threadpool::Builder::new()
        .num_threads(256)
        .thread_stack_size(256 * 1024)
        .build();
    loop {
        let Ok((mut stream, _)) = listener.accept() else {
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        pool.execute(move || {
            let timeout = Some(Duration::from_secs(3));
            let _ = stream.set_read_timeout(timeout);
            let _ = stream.set_write_timeout(timeout);
            let mut bytes = [0; 128];
            let count = stream.read(&mut bytes).unwrap_or(0);
            if bytes[..count].starts_with(&REQUEST[..22]) {
                let _ = stream.write_all(BUILT_IN);
            }
        });
    }
}

fn listener_with_a_long_backlog() -> TcpListener {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    socket.listen(4096).unwrap();
    socket.into()
}
