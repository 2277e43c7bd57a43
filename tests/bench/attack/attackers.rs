//! Attackers as processes of their own, which so have descriptors of their own. They know nothing of
//! the players.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::attack::{Kind, Plan, Sources};

/// An attack on its way from the command line of one process to that of another.
#[derive(Clone, Copy)]
pub struct Crowd {
    pub kind: Kind,
    pub addresses: u32,
    /// How many there are at a time.
    pub connections: usize,
    /// So many new ones a second; none: each is reopened as soon as it is closed.
    pub per_second: Option<f64>,
}

/// The most connections of one process, which fit into usual limits of open files.
const MOST_CONNECTIONS: usize = 10_000;

/// An attacker ends by itself after this time.
const AT_MOST: Duration = Duration::from_secs(120);

const KINDS: &[(&str, Kind)] = &[
    ("silent", Kind::Silent),
    ("one-byte", Kind::OneByte),
    ("slow-drip", Kind::SlowDrip),
    ("half", Kind::HalfRequest),
    ("junk", Kind::Junk),
    ("valid", Kind::Valid),
    ("every-second", Kind::EverySecondAsks),
];

/// Running attackers; they end with this value.
pub struct Attackers {
    children: Vec<Child>,
    since: Instant,
}

impl Crowd {
    pub fn start(&self, to: SocketAddr) -> Attackers {
        let parts = self.connections.div_ceil(MOST_CONNECTIONS);
        let kind = KINDS.iter().find(|known| known.1 == self.kind);
        let kind = kind.expect("a kind that attackers know").0;
        let per_second = self.per_second.unwrap_or(0.0) / parts as f64;
        let children = (0..parts).map(|part| {
            Command::new(std::env::current_exe().unwrap())
                .args([
                    "attacker",
                    &to.to_string(),
                    &format!("127.{}.0.1", 10 + part),
                ])
                .arg((self.addresses / parts as u32).max(1).to_string())
                .arg((self.connections / parts).to_string())
                .args([kind, &per_second.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        });
        Attackers {
            children: children.collect(),
            since: Instant::now(),
        }
    }
}

impl Attackers {
    /// Ends them, and gives the connections that they opened in a second.
    pub fn stop(mut self) -> f64 {
        let lasted = self.since.elapsed();
        for child in &mut self.children {
            drop(child.stdin.take());
        }
        let opened = self.children.iter_mut().map(|child| {
            let mut said = String::new();
            let output = child.stdout.as_mut().unwrap();
            output.read_to_string(&mut said).unwrap();
            said.trim().parse::<f64>().expect("a number of connections")
        });
        opened.sum::<f64>() / lasted.as_secs_f64()
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The process that [`Crowd::start`] starts; it ends with its standard input.
pub fn be_the_attacker(words: &[&str]) {
    let [to, first, addresses, connections, kind, per_second] = words else {
        panic!("expected six words, got {words:?}");
    };
    let IpAddr::V4(first) = first.parse().unwrap() else {
        panic!("{first}: expected an IPv4 address");
    };
    let plan = Plan {
        to: to.parse().unwrap(),
        from: Sources::v4(first.octets(), addresses.parse().unwrap()),
        connections: connections.parse().unwrap(),
        kind: KINDS.iter().find(|known| known.0 == *kind).unwrap().1,
        at_most: AT_MOST,
    };
    let attack = match per_second.parse().unwrap() {
        0.0 => plan.start(),
        per_second => plan.start_paced(per_second),
    };
    let _ = io::stdin().read_to_end(&mut Vec::new());
    if attack.failed() > 0 {
        eprintln!("{} attackers could not be begun", attack.failed());
    }
    println!("{}", attack.stop());
}
