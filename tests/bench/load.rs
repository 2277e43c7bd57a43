//! The load: clients that ask as Flash Player does, from many addresses, and check every byte of
//! what they get. It runs in this process; it never starts or stops a server, and knows none.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use socket2::Socket;

use crate::attack::{Sources, connect};
use crate::outcome::Outcome;
use crate::support::REQUEST;

/// When the next client comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Always so many at a time: each is followed by the next as soon as its connection has ended.
    Clients(usize),
    /// So many a second, whether the server keeps up or not.
    PerSecond(f64),
}

/// A load on one server.
#[derive(Clone, Debug)]
pub struct Load<'a> {
    pub to: SocketAddr,
    pub from: Sources,
    pub pace: Pace,
    /// How long after it has connected a client sends its request: the way to far-away players.
    pub speaks_after: Duration,
    /// How long clients come; less where `stop` is set before.
    pub lasts: Duration,
    pub stop: Option<&'a AtomicBool>,
    /// A client that has not got its whole answer so long after it was meant to speak is lost.
    pub patience: Duration,
    /// The whole answer, with its NUL where the server sends one.
    pub answer: &'a [u8],
}

/// The threads that make the load: one for each core of the machine that the servers are compared
/// on, so that no server has to wait for its clients.
const THREADS: usize = 2;

/// How long Flash Player waits for its policy.
pub const PLAYERS_PATIENCE: Duration = Duration::from_secs(3);

/// The patience of clients where only speed is looked for.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How many clients of a fixed rate may be under way in one thread; further ones come late, and
/// their lateness counts as latency.
const MOST_AT_ONCE: usize = 8192;

/// Runs all of them at the same time, each to its end; what became of each one's clients.
pub fn run_together(loads: &[Load<'_>]) -> Vec<Outcome> {
    thread::scope(|scope| {
        let running: Vec<_> = loads
            .iter()
            .map(|load| scope.spawn(|| load.run()))
            .collect();
        let outcomes = running.into_iter().map(|load| load.join());
        outcomes
            .map(|outcome| outcome.expect("a load ends by itself"))
            .collect()
    })
}

impl Load<'_> {
    /// Runs it to its end.
    pub fn run(&self) -> Outcome {
        let mut sum = Outcome::default();
        thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS.min(self.most_clients()))
                .map(|number| scope.spawn(move || Clients::new(self, number).run()))
                .collect();
            for thread in threads {
                sum.add(&thread.join().expect("a load thread ends by itself"));
            }
        });
        sum
    }

    fn most_clients(&self) -> usize {
        match self.pace {
            Pace::Clients(clients) => clients,
            Pace::PerSecond(_) => usize::MAX,
        }
    }
}

/// The clients of one thread.
struct Clients<'a> {
    load: &'a Load<'a>,
    thread: usize,
    epoll: Epoll,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// Who has to speak, and when; in this order, since all wait equally long.
    to_speak: VecDeque<(Instant, usize)>,
    begun: usize,
    outcome: Outcome,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Slot {
    socket: Option<Socket>,
    /// When it was meant to speak.
    due: Option<Instant>,
    /// Whether its time to speak has come, and whether it has spoken.
    may_ask: bool,
    asked: bool,
    got: usize,
}

/// How a connection ended.
enum End {
    Closed,
    Lost,
    Reset,
    Wrong,
}

impl<'a> Clients<'a> {
    fn new(load: &'a Load<'a>, thread: usize) -> Clients<'a> {
        let slots = match load.pace {
            // The first thread takes what does not divide.
            Pace::Clients(clients) => clients / THREADS + usize::from(thread < clients % THREADS),
            Pace::PerSecond(_) => MOST_AT_ONCE,
        };
        Clients {
            load,
            thread,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("an epoll"),
            slots: (0..slots).map(|_| Slot::default()).collect(),
            free: (0..slots).rev().collect(),
            to_speak: VecDeque::new(),
            begun: 0,
            outcome: Outcome::default(),
            bytes: vec![0; load.answer.len() + 1],
        }
    }

    fn run(mut self) -> Outcome {
        let start = Instant::now();
        let mut end = start + self.load.lasts;
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK).expect("a timer");
        let timers_event = EpollEvent::new(EpollFlags::EPOLLIN, u64::MAX);
        self.epoll.add(&timer, timers_event).expect("room for it");
        let mut events = vec![EpollEvent::empty(); 256];
        let mut last_look = start;
        loop {
            let now = Instant::now();
            if self.load.stop.is_some_and(|stop| stop.load(Relaxed)) {
                end = end.min(now);
            }
            let next = self.start_those_due(start, end, now.min(end));
            let next = [next, self.have_speak(now)];
            if now >= end && self.free.len() == self.slots.len() {
                return self.outcome;
            }
            if let Some(next) = next.into_iter().flatten().min() {
                // Never zero, which would stop the timer.
                let left = next.saturating_duration_since(Instant::now());
                let left = TimeSpec::from_duration(left.max(Duration::from_nanos(1)));
                let flags = TimerSetTimeFlags::empty();
                timer.set(Expiration::OneShot(left), flags).expect("a time");
            }
            let count = self.epoll.wait(&mut events, 100u8).unwrap_or(0);
            for event in &events[..count] {
                // Setting the timer anew also takes back that it has fired.
                if event.data() != u64::MAX {
                    self.look_at(event.data() as usize, event.events(), start);
                }
            }
            if last_look.elapsed() >= Duration::from_secs(1) {
                last_look = Instant::now();
                self.give_up_the_late();
            }
        }
    }

    /// Has everybody speak whose time has come; when that of the next one comes.
    fn have_speak(&mut self, now: Instant) -> Option<Instant> {
        while let Some(&(when, index)) = self.to_speak.front() {
            if when > now {
                return Some(when);
            }
            self.to_speak.pop_front();
            let slot = &mut self.slots[index];
            // It may have ended, and another one may have its place.
            if slot.due == Some(when) && !slot.may_ask {
                slot.may_ask = true;
                self.ask(index);
            }
        }
        None
    }

    /// Starts everybody who is due at `now`; the time of the next one, where there is a schedule.
    fn start_those_due(&mut self, start: Instant, end: Instant, now: Instant) -> Option<Instant> {
        match self.load.pace {
            Pace::Clients(_) => {
                // One takes the place of another, also of one that could not connect.
                let free = if now < end { self.free.len() } else { 0 };
                for _ in 0..free {
                    let index = self.free.pop()?;
                    self.begin(index, Instant::now());
                }
                None
            }
            Pace::PerSecond(rate) => loop {
                // The threads take turns.
                let number = self.begun * THREADS + self.thread;
                let due = start + Duration::from_secs_f64(number as f64 / rate);
                if due >= end {
                    return None;
                }
                if due > now {
                    return Some(due);
                }
                let index = self.free.pop()?;
                self.begin(index, due);
            },
        }
    }

    fn begin(&mut self, index: usize, start: Instant) {
        let from = self.load.from.address(self.begun * THREADS + self.thread);
        self.begun += 1;
        self.outcome.asked += 1;
        let speaks_after = self.load.speaks_after;
        let due = start + speaks_after;
        self.slots[index] = Slot {
            due: Some(due),
            may_ask: speaks_after.is_zero(),
            ..Slot::default()
        };
        let interest = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        let connected = connect(from, self.load.to).and_then(|socket| {
            let event = EpollEvent::new(interest, index as u64);
            self.epoll.add(&socket, event)?;
            Ok(socket)
        });
        match connected {
            Ok(socket) => {
                self.slots[index].socket = Some(socket);
                if speaks_after.is_zero() {
                    // On loopback the handshake is over by now.
                    self.ask(index);
                } else {
                    self.to_speak.push_back((due, index));
                }
            }
            Err(error) => self.failed(index, &error),
        }
    }

    /// Sends the request, unless the connection is still being made.
    fn ask(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let Some(socket) = &mut slot.socket else {
            return;
        };
        match socket.write(REQUEST) {
            Ok(count) => slot.asked = count == REQUEST.len(),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected => {}
                // The answer may be there all the same, of a server that does not read.
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => slot.asked = true,
                _ => self.failed(index, &error),
            },
        }
    }

    fn look_at(&mut self, index: usize, events: EpollFlags, start: Instant) {
        if self.slots[index].may_ask && !self.slots[index].asked {
            self.ask(index);
        }
        let slot = &mut self.slots[index];
        let Some(socket) = &mut slot.socket else {
            return;
        };
        let answer = self.load.answer;
        loop {
            match socket.read(&mut self.bytes) {
                Ok(0) => return self.ended(index, End::Closed),
                Ok(count) => {
                    let right = answer.get(slot.got..slot.got + count);
                    if right != Some(&self.bytes[..count]) {
                        return self.ended(index, End::Wrong);
                    }
                    slot.got += count;
                    if slot.got == answer.len() {
                        let now = Instant::now();
                        let latency = slot.due.map_or(Duration::ZERO, |due| now - due);
                        self.outcome.record(latency, now - start);
                        // Its end had come before the last read, which found nothing behind the
                        // answer: one system call less for each client.
                        if events.contains(EpollFlags::EPOLLRDHUP) && count < self.bytes.len() {
                            return self.ended(index, End::Closed);
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return self.failed(index, &error),
            }
        }
    }

    fn failed(&mut self, index: usize, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                self.ended(index, End::Reset)
            }
            io::ErrorKind::ConnectionRefused => {
                self.outcome.refused += 1;
                self.ended(index, End::Lost)
            }
            _ => self.ended(index, End::Lost),
        }
    }

    fn ended(&mut self, index: usize, end: End) {
        let slot = std::mem::take(&mut self.slots[index]);
        let whole = slot.got == self.load.answer.len();
        self.outcome.lost += u64::from(!whole && !matches!(end, End::Wrong));
        match end {
            End::Closed | End::Lost => {}
            End::Reset => self.outcome.reset += 1,
            End::Wrong => self.outcome.wrong += 1,
        }
        self.free.push(index);
    }

    fn give_up_the_late(&mut self) {
        for index in 0..self.slots.len() {
            let due = self.slots[index].due;
            if due.is_some_and(|due| due.elapsed() > self.load.patience) {
                self.ended(index, End::Lost);
            }
        }
    }
}
