//! Honest clients beside an attack: blocking ones, each with a player's patience, for tests. The
//! benchmarks use `tests/bench/load.rs`, which makes more of them and tells smaller times apart.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use socket2::{Domain, Socket, Type};

use super::{REQUEST, Sources};

/// Players that are far away: they connect, and their request comes a round trip later.
#[derive(Clone, Copy, Debug)]
pub struct Honest {
    pub to: SocketAddr,
    /// Each meeting comes from the next of these.
    pub from: Sources,
    pub at_once: usize,
    pub meetings: usize,
    pub pause: Duration,
}

/// One client's experience.
#[derive(Clone, Debug)]
pub struct Meeting {
    /// When it began, after the first of them.
    pub began: Duration,
    /// The time until the connection stood.
    pub connected: Duration,
    /// The time from sending the request to the end of the whole answer.
    pub answered: Result<Duration, String>,
}

/// How long a player waits.
const PLAYERS_PATIENCE: Duration = Duration::from_secs(3);

impl Honest {
    pub fn at(to: SocketAddr, from: Sources) -> Honest {
        Honest {
            to,
            from,
            at_once: 4,
            meetings: 40,
            pause: Duration::from_millis(200),
        }
    }

    /// All meetings, each checked byte by byte against `expected`.
    pub fn meet(&self, expected: &[u8]) -> Meetings {
        let next = AtomicUsize::new(0);
        let meetings = Mutex::new(Vec::new());
        let start = Instant::now();
        thread::scope(|scope| {
            for _ in 0..self.at_once {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Relaxed);
                        if number >= self.meetings {
                            return;
                        }
                        let meeting = self.one(number, start, expected);
                        meetings.lock().unwrap().push(meeting);
                    }
                });
            }
        });
        Meetings(meetings.into_inner().unwrap())
    }

    fn one(&self, number: usize, start: Instant, expected: &[u8]) -> Meeting {
        let begin = Instant::now();
        let began = begin - start;
        let mut stream = match open(self.from.address(number), self.to) {
            Ok(stream) => stream,
            Err(error) => {
                return Meeting {
                    began,
                    connected: begin.elapsed(),
                    answered: Err(format!("connect: {error}")),
                };
            }
        };
        let connected = begin.elapsed();
        thread::sleep(self.pause);
        let sent = Instant::now();
        let mut answer = Vec::new();
        let outcome = stream
            .write_all(REQUEST)
            .and_then(|()| stream.read_to_end(&mut answer));
        let answered = match outcome {
            Err(error) => Err(format!("{error} after {} bytes", answer.len())),
            Ok(_) if answer != expected => Err(format!("\"{}\"", answer.escape_ascii())),
            Ok(_) => Ok(sent.elapsed()),
        };
        Meeting {
            began,
            connected,
            answered,
        }
    }
}

/// A blocking connection from this address, with a player's patience.
pub fn open(from: IpAddr, to: SocketAddr) -> io::Result<std::net::TcpStream> {
    let from = SocketAddr::new(from, 0);
    let socket = Socket::new(Domain::for_address(from), Type::STREAM, None)?;
    setsockopt(&socket, IpBindAddressNoPort, &true)?;
    socket.bind(&from.into())?;
    socket.connect_timeout(&to.into(), PLAYERS_PATIENCE)?;
    let stream = std::net::TcpStream::from(socket);
    stream.set_read_timeout(Some(PLAYERS_PATIENCE))?;
    stream.set_write_timeout(Some(PLAYERS_PATIENCE))?;
    Ok(stream)
}

/// What the honest clients met with.
pub struct Meetings(pub Vec<Meeting>);

impl Meetings {
    pub fn served(&self) -> usize {
        self.0.iter().filter(|m| m.answered.is_ok()).count()
    }

    /// The failures, for a message.
    pub fn failures(&self) -> Vec<&str> {
        let failures = self.0.iter().filter_map(|m| m.answered.as_ref().err());
        failures.map(String::as_str).collect()
    }

    pub fn assert_all_served(&self, when: &str) {
        let failures = self.failures();
        assert!(
            failures.is_empty(),
            "{when}: {} of {} failed: {:?}",
            failures.len(),
            self.0.len(),
            &failures[..failures.len().min(5)]
        );
    }

    /// The time from sending to the whole answer that this part of the served did not exceed.
    pub fn latency(&self, part: f64) -> Option<Duration> {
        let served = self.0.iter().filter_map(|m| m.answered.as_ref().ok());
        at(served.copied().collect(), part)
    }

    /// The same for the time that connecting took, all clients.
    pub fn connecting(&self, part: f64) -> Option<Duration> {
        at(self.0.iter().map(|m| m.connected).collect(), part)
    }
}

fn at(mut times: Vec<Duration>, part: f64) -> Option<Duration> {
    times.sort();
    let index = (times.len() as f64 * part).ceil() as usize;
    times.get(index.clamp(1, times.len().max(1)) - 1).copied()
}
