//! An attacker of our own. Loopback addresses only (or those of a network that the test made),
//! bounded in connections and in time. It never judges what it gets.
#![allow(dead_code)]

mod honest;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};

#[allow(unused_imports)]
pub use honest::{Honest, Meeting, Meetings, open};

const REQUEST: &[u8] = b"<policy-file-request/>\0";

/// What an attacking connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing at all.
    Silent,
    /// One byte of the request, and nothing more.
    OneByte,
    /// A byte of the request, five times a second.
    Drip,
    /// A byte of the request, once a second.
    SlowDrip,
    /// Something that is no request.
    Junk,
    /// The first half of a request, and nothing more.
    HalfRequest,
    /// A complete request, and it never reads the answer.
    NeverReads,
    /// A complete request, and it reads the answer.
    Valid,
    /// The same for every second connection of an address; the others are silent.
    EverySecondAsks,
}

impl Kind {
    /// What a connection sends first. `turn` counts the connections of its address.
    fn opening(self, turn: usize) -> &'static [u8] {
        match self {
            Kind::Silent => b"",
            Kind::OneByte | Kind::Drip | Kind::SlowDrip => &REQUEST[..1],
            Kind::Junk => b"GET /crossdomain.xml HTTP/1.1\r\n\r\n",
            Kind::HalfRequest => &REQUEST[..11],
            Kind::NeverReads | Kind::Valid => REQUEST,
            Kind::EverySecondAsks if turn % 2 == 1 => REQUEST,
            Kind::EverySecondAsks => b"",
        }
    }

    /// The time between two bytes of a connection that goes on sending.
    fn drips_every(self) -> Option<Duration> {
        match self {
            Kind::Drip => Some(Duration::from_millis(200)),
            Kind::SlowDrip => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// Whether it takes its answer before it closes.
    fn takes_its_answer(self) -> bool {
        matches!(self, Kind::Valid | Kind::EverySecondAsks)
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

/// An attack.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub to: SocketAddr,
    pub from: Sources,
    /// How many there are at a time.
    pub connections: usize,
    pub kind: Kind,
    /// It ends by itself after this time.
    pub at_most: Duration,
}

/// However fast it goes, an attack ends after this many connections.
const MOST_OPENED: u64 = 50_000_000;

/// How often the connections are looked after that drip or that could not be opened, and in how many
/// parts a second they are.
const TICK: Duration = Duration::from_millis(20);
const TICKS_A_SECOND: usize = 50;

/// How many connections are begun before what has happened to the others is looked at.
const AT_ONE_GO: usize = 256;

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
    /// All connections at once, each reopened from the same address as soon as it is closed.
    pub fn start(self) -> Attack {
        self.run_at(None)
    }

    /// So many new ones a second, each from the next address. One that is closed is not reopened;
    /// nobody comes while there are `connections` of them.
    pub fn start_paced(self, per_second: f64) -> Attack {
        self.run_at(Some(per_second))
    }

    fn run_at(self, per_second: Option<f64>) -> Attack {
        raise_file_limit();
        let shared = Arc::new(Progress::default());
        let thread = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || Attacker::new(self, per_second, shared).run())
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
    per_second: Option<f64>,
    shared: Arc<Progress>,
    epoll: Epoll,
    slots: Vec<Slot>,
    /// The slots that nobody has: at first all, and later those of a paced attack.
    free: Vec<usize>,
    begun: usize,
}

#[derive(Default)]
struct Slot {
    socket: Option<Socket>,
    /// Which one of its address it is.
    turn: usize,
    /// Bytes sent; for a drip.
    sent: usize,
    opened: bool,
}

impl Attacker {
    fn new(plan: Plan, per_second: Option<f64>, shared: Arc<Progress>) -> Attacker {
        Attacker {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap(),
            slots: (0..plan.connections).map(|_| Slot::default()).collect(),
            free: (0..plan.connections).rev().collect(),
            begun: 0,
            plan,
            per_second,
            shared,
        }
    }

    fn run(mut self) {
        let start = Instant::now();
        let end = start + self.plan.at_most;
        let mut next_tick = start;
        let mut tick = 0;
        let mut events = vec![EpollEvent::empty(); 512];
        loop {
            let now = Instant::now();
            let opened = self.shared.opened.load(Relaxed);
            if self.shared.stop.load(Relaxed) || now >= end || opened >= MOST_OPENED {
                return;
            }
            let more_are_due = self.open_those_due(now - start);
            let wait: u8 = match self.per_second {
                _ if more_are_due => 0,
                Some(_) => 1,
                None => 10,
            };
            let count = self.epoll.wait(&mut events, wait).unwrap_or(0);
            for event in &events[..count] {
                self.happened(event.data() as usize, event.events());
            }
            if now >= next_tick {
                next_tick = now + TICK;
                self.tick(tick);
                tick += 1;
            }
        }
    }

    /// Opens some of those that are due; whether there are more.
    fn open_those_due(&mut self, passed: Duration) -> bool {
        let due = match self.per_second {
            Some(rate) => (passed.as_secs_f64() * rate) as usize,
            None => usize::MAX,
        };
        for _ in 0..AT_ONE_GO {
            if self.begun >= due {
                return false;
            }
            let Some(index) = self.free.pop() else {
                return false;
            };
            self.open(index);
        }
        true
    }

    fn open(&mut self, index: usize) {
        let number = match self.per_second {
            Some(_) => self.begun,
            None => index,
        };
        let slot = &mut self.slots[index];
        *slot = Slot {
            turn: self.begun / self.plan.from.count as usize,
            ..Slot::default()
        };
        self.begun += 1;
        let interest = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        let event = EpollEvent::new(interest, index as u64);
        let socket = connect(self.plan.from.address(number), self.plan.to);
        match socket.and_then(|socket| Ok(self.epoll.add(&socket, event).map(|()| socket)?)) {
            Ok(socket) => {
                slot.socket = Some(socket);
                self.shared.holds.fetch_add(1, Relaxed);
            }
            Err(_) => {
                self.shared.failed.fetch_add(1, Relaxed);
                // A connection that is held is tried again later, in its own slot.
                if self.per_second.is_some() {
                    self.free.push(index);
                }
            }
        }
    }

    fn happened(&mut self, index: usize, events: EpollFlags) {
        let kind = self.plan.kind;
        let slot = &mut self.slots[index];
        let Some(socket) = &mut slot.socket else {
            return;
        };
        let over = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        let mut closed = events.intersects(over);
        let reads = kind.takes_its_answer() || (!closed && kind != Kind::NeverReads);
        if reads && events.contains(EpollFlags::EPOLLIN) {
            let mut bytes = [0; 4096];
            closed |= match socket.read(&mut bytes) {
                Ok(0) => true,
                Ok(_) => false,
                Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            };
        }
        if !closed && events.contains(EpollFlags::EPOLLOUT) && !slot.opened {
            slot.opened = true;
            self.shared.opened.fetch_add(1, Relaxed);
            let opening = kind.opening(slot.turn);
            if !opening.is_empty() {
                let _ = socket.write(opening);
                slot.sent = opening.len();
            }
        }
        if closed {
            self.close(index);
            match self.per_second {
                Some(_) => self.free.push(index),
                None => self.open(index),
            }
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

    /// Looks after those whose turn it is: those that drip, and those that are to be tried again.
    fn tick(&mut self, tick: usize) {
        let drips_every = self.plan.kind.drips_every();
        let every = drips_every.unwrap_or(Duration::from_millis(200));
        let step = (every.as_millis() as usize * TICKS_A_SECOND / 1000).max(1);
        let begun = match self.per_second {
            Some(_) => self.slots.len(),
            None => self.slots.len() - self.free.len(),
        };
        for index in (tick % step..begun).step_by(step) {
            let slot = &mut self.slots[index];
            match &mut slot.socket {
                None if self.per_second.is_none() => self.open(index),
                Some(socket) if drips_every.is_some() && slot.opened => {
                    let next = REQUEST[slot.sent % REQUEST.len()];
                    if socket.write(&[next]).is_ok() {
                        slot.sent += 1;
                    }
                }
                _ => {}
            }
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

/// The processor time that a process has used, by its clock: that counts to the nanosecond and knows
/// threads that are gone. The ticks of `/proc` are 10 ms long.
pub fn processor_time(pid: u32) -> Duration {
    let clock = clock_getcpuclockid(Pid::from_raw(pid as i32)).unwrap();
    clock.now().unwrap().into()
}
