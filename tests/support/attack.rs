//! An attacker of our own, and honest clients beside it. Loopback addresses only (or those of a
//! network that the test made), bounded in connections and in time.
#![allow(dead_code)]

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use socket2::{Domain, Socket, Type};

const REQUEST: &[u8] = b"<policy-file-request/>\0";

/// What an attacking connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing at all.
    Silent,
    /// A byte of the request now and then.
    Drip,
    /// Something that is no request.
    Junk,
    /// The first half of a request, and nothing more.
    HalfRequest,
    /// A complete request, and it never reads the answer.
    NeverReads,
}

impl Kind {
    fn opening(self) -> &'static [u8] {
        match self {
            Kind::Silent => b"",
            Kind::Drip => &REQUEST[..1],
            Kind::Junk => b"GET /crossdomain.xml HTTP/1.1\r\n\r\n",
            Kind::HalfRequest => &REQUEST[..11],
            Kind::NeverReads => REQUEST,
        }
    }
}

/// Addresses that connections come from: `count` of them, from `first` on.
#[derive(Clone, Copy, Debug)]
pub struct Sources {
    pub first: IpAddr,
    pub count: u32,
}

impl Sources {
    pub fn v4(first: [u8; 4], count: u32) -> Sources {
        let first = IpAddr::from(first);
        assert!(first.is_loopback(), "{first} is not this host's alone");
        Sources { first, count }
    }

    pub fn v6(first: Ipv6Addr, count: u32) -> Sources {
        let first = first.into();
        Sources { first, count }
    }

    /// The address of the connection with this number.
    pub fn address(&self, number: usize) -> IpAddr {
        let offset = number as u32 % self.count;
        match self.first {
            IpAddr::V4(first) => Ipv4Addr::from_bits(first.to_bits() + offset).into(),
            IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits() + u128::from(offset)).into(),
        }
    }
}

/// An attack: so many connections, each reopened as soon as it is closed.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub to: SocketAddr,
    pub from: Sources,
    pub connections: usize,
    pub kind: Kind,
    /// It ends by itself after this time.
    pub at_most: Duration,
}

/// However fast it goes, an attack ends after this many connections.
const MOST_OPENED: u64 = 50_000_000;

/// The drip: the time between two bytes of a connection, and how often some connections are served.
const DRIP_EVERY: Duration = Duration::from_millis(200);
const DRIP_STEPS: usize = 10;

/// A running attack; it ends when it is dropped.
pub struct Attack {
    thread: Option<JoinHandle<()>>,
    shared: Arc<Progress>,
}

#[derive(Default)]
struct Progress {
    stop: AtomicBool,
    opened: AtomicU64,
    failed: AtomicU64,
    holds: AtomicUsize,
}

impl Plan {
    pub fn start(self) -> Attack {
        raise_file_limit();
        let shared = Arc::new(Progress::default());
        let thread = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || Attacker::new(self, shared).run())
        };
        Attack {
            thread: Some(thread),
            shared,
        }
    }
}

impl Attack {
    /// Connections opened so far.
    pub fn opened(&self) -> u64 {
        self.shared.opened.load(Relaxed)
    }

    /// Connections that could not even be begun (no ports, no descriptors).
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Relaxed)
    }

    /// Connections open (or being opened) now.
    pub fn holds(&self) -> usize {
        self.shared.holds.load(Relaxed)
    }

    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    pub fn stop(mut self) -> u64 {
        self.end();
        self.opened()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.end();
    }
}

struct Attacker {
    plan: Plan,
    shared: Arc<Progress>,
    epoll: Epoll,
    slots: Vec<Slot>,
}

#[derive(Default)]
struct Slot {
    socket: Option<Socket>,
    /// Bytes sent; for a drip.
    sent: usize,
    opened: bool,
}

impl Attacker {
    fn new(plan: Plan, shared: Arc<Progress>) -> Attacker {
        Attacker {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap(),
            slots: (0..plan.connections).map(|_| Slot::default()).collect(),
            plan,
            shared,
        }
    }

    fn run(mut self) {
        let end = Instant::now() + self.plan.at_most;
        let tick = DRIP_EVERY / DRIP_STEPS as u32;
        let mut next_tick = Instant::now();
        let mut step = 0;
        let mut events = vec![EpollEvent::empty(); 512];
        let mut unopened = 0;
        loop {
            let now = Instant::now();
            let opened = self.shared.opened.load(Relaxed);
            if self.shared.stop.load(Relaxed) || now >= end || opened >= MOST_OPENED {
                return;
            }
            // The first connections, a few at a time beside the ones that are closed already.
            for _ in 0..256 {
                if unopened < self.slots.len() {
                    self.open(unopened);
                    unopened += 1;
                }
            }
            let wait = if unopened < self.slots.len() { 0u8 } else { 10 };
            let count = self.epoll.wait(&mut events, wait).unwrap_or(0);
            for event in &events[..count] {
                self.happened(event.data() as usize, event.events());
            }
            if now >= next_tick {
                next_tick = now + tick;
                step = (step + 1) % DRIP_STEPS;
                for index in (step..unopened).step_by(DRIP_STEPS) {
                    self.tick(index);
                }
            }
        }
    }

    fn open(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        *slot = Slot::default();
        match connect(self.plan.from.address(index), self.plan.to) {
            Ok(socket) => {
                let interest = EpollFlags::EPOLLIN
                    | EpollFlags::EPOLLOUT
                    | EpollFlags::EPOLLRDHUP
                    | EpollFlags::EPOLLET;
                let event = EpollEvent::new(interest, index as u64);
                if self.epoll.add(&socket, event).is_ok() {
                    slot.socket = Some(socket);
                    self.shared.holds.fetch_add(1, Relaxed);
                    return;
                }
                self.shared.failed.fetch_add(1, Relaxed);
            }
            Err(_) => {
                self.shared.failed.fetch_add(1, Relaxed);
            }
        }
    }

    fn happened(&mut self, index: usize, events: EpollFlags) {
        let slot = &mut self.slots[index];
        let Some(socket) = &mut slot.socket else {
            return;
        };
        let over = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        let mut closed = events.intersects(over);
        if !closed && events.contains(EpollFlags::EPOLLIN) && self.plan.kind != Kind::NeverReads {
            let mut bytes = [0; 4096];
            closed = match socket.read(&mut bytes) {
                Ok(0) => true,
                Ok(_) => false,
                Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            };
        }
        if !closed && events.contains(EpollFlags::EPOLLOUT) && !slot.opened {
            slot.opened = true;
            self.shared.opened.fetch_add(1, Relaxed);
            let opening = self.plan.kind.opening();
            if !opening.is_empty() {
                let _ = socket.write(opening);
                slot.sent = opening.len();
            }
        }
        if closed {
            self.close(index);
            self.open(index);
        }
    }

    fn close(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        if slot.socket.take().is_some() {
            self.shared.holds.fetch_sub(1, Relaxed);
            if !slot.opened {
                self.shared.opened.fetch_add(1, Relaxed);
            }
        }
    }

    fn tick(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        match &mut slot.socket {
            None => self.open(index),
            Some(socket) if self.plan.kind == Kind::Drip && slot.opened => {
                let next = REQUEST[slot.sent % REQUEST.len()];
                if socket.write(&[next]).is_ok() {
                    slot.sent += 1;
                }
            }
            Some(_) => {}
        }
    }
}

/// Begins a connection from this address; many addresses have ports for many connections.
pub fn connect(from: IpAddr, to: SocketAddr) -> io::Result<Socket> {
    let from = SocketAddr::new(from, 0);
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(Domain::for_address(from), kind, None)?;
    setsockopt(&socket, IpBindAddressNoPort, &true)?;
    socket.bind(&from.into())?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() == Some(EINPROGRESS) => Ok(socket),
        other => other.map(|()| socket),
    }
}

const EINPROGRESS: i32 = 115;

/// As many descriptors as this process may have.
pub fn raise_file_limit() -> u64 {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    hard
}

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
                scope.spawn(|| loop {
                    let number = next.fetch_add(1, Relaxed);
                    if number >= self.meetings {
                        return;
                    }
                    let meeting = self.one(number, start, expected);
                    meetings.lock().unwrap().push(meeting);
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
                }
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

/// A line of `/proc/PID/status`, such as `VmRSS`, in KiB.
pub fn memory_kib(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap().trim_start_matches(':').trim();
    value.trim_end_matches(" kB").parse().unwrap()
}

/// The descriptors that a process has open.
pub fn open_files(pid: u32) -> usize {
    let folder = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    folder.count()
}

/// The processor time that a process has used.
pub fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // After the name, which stands in brackets, come the fields from the third on.
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11..=12]
        .iter()
        .map(|f| f.parse::<u64>().unwrap())
        .sum();
    // A tick is 10 ms to user space on every Linux.
    Duration::from_millis(ticks * 10)
}
