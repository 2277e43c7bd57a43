//! The connections that wait, and the one thread that waits for all of them. A worker hands over a
//! connection whose client has not asked yet, does not take its answer, or is only being closed; the
//! poller serves it when an event comes or its deadline passes, in bounded steps. At the limit of
//! connections another one is evicted.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::connection::{Connection, Next};
use super::context::Context;
use super::rate_limit::RateLimit;
use super::table::{Number, Phase, Table, Wait};
use super::tally::Tally;
use crate::daemon::stats::Gauges;

/// The events that the poller takes from the kernel at once.
const EVENTS: usize = 256;

/// How long the poller waits after the system failed to wait for it.
const PAUSE: Duration = Duration::from_millis(10);

/// The data of the event that wakes the poller. No connection has this number.
const WAKE: Number = 0;

/// The connections that wait.
pub(super) struct Poller {
    context: Arc<Context>,
    state: Mutex<State>,
    epoll: Epoll,
    wake: EventFd,
    complaints: RateLimit,
}

struct State {
    table: Table<Connection>,
    /// Until when the poller sleeps; none: until it is woken.
    sleeps_until: Option<Instant>,
    evictions: Tally,
}

impl Poller {
    /// For at most `limit` connections.
    ///
    /// # Errors
    /// The system's error where it gives this process no `epoll`.
    pub(super) fn new(context: Arc<Context>, limit: usize) -> io::Result<Poller> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        epoll.add(&wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        Ok(Poller {
            context,
            state: Mutex::new(State {
                table: Table::new(limit),
                sleeps_until: None,
                evictions: Tally::default(),
            }),
            epoll,
            wake,
            complaints: RateLimit::once_a_second(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a connection wait. At the limit another one is evicted for it; where none can be, or the
    /// system refuses to wait for it, the connection is closed.
    pub(super) fn wait(&self, mut connection: Connection, wait: Wait) {
        connection.log_waiting();
        connection.register(wait.phase);
        // The lock is held from the registration until the table has the connection. Otherwise its
        // event could come before its entry.
        let mut state = self.lock();
        let evicted = match state.table.is_full() {
            true => match state.table.evict() {
                Some(evicted) => Some(evicted),
                None => {
                    drop(state);
                    // Who is only being closed has had its answer.
                    if wait.phase >= Phase::Asking {
                        connection.refused();
                    }
                    return;
                }
            },
            false => None,
        };
        let event = EpollEvent::new(flags(wait.phase), state.table.next_number());
        let registered = self.epoll.add(&connection, event);
        let mut refused = None;
        match registered {
            Ok(()) => state.table.insert(connection, wait),
            Err(error) => refused = Some((connection, error)),
        }
        // The poller is woken only where it sleeps longer than this: with equal time-outs that is
        // rare.
        let sleeps_too_long = state.sleeps_until.is_none_or(|until| wait.deadline < until);
        if sleeps_too_long {
            state.sleeps_until = Some(wait.deadline);
        }
        drop(state);
        if sleeps_too_long {
            self.wake();
        }
        if let Some((connection, error)) = refused {
            self.log_refusal(error);
            if wait.phase >= Phase::Asking {
                connection.cannot_wait();
            }
        }
        if let Some(evicted) = evicted {
            self.close_evicted(evicted, "Evicted: max_connections wait. Closing.");
        }
    }

    fn log_refusal(&self, error: Errno) {
        if self.complaints.permits(Instant::now()) {
            log::error!(
                "Cannot wait for clients: {}. Connections without a whole request are closed. \
                 The system's limit is fs.epoll.max_user_watches.",
                error.desc()
            );
        }
    }

    /// Closes a connection that lost its place, unless its request has come meanwhile: then it is
    /// answered first.
    fn close_evicted(&self, (wait, mut connection): (Wait, Box<Connection>), why: &str) {
        let next = match wait.phase {
            Phase::ClosingRead => Next::Close,
            // Also what is only being closed: what is unread would make a reset.
            _ => connection.proceed(),
        };
        // Who is only being closed has had its last log line.
        if let Next::Wait(still) = next {
            if still.phase >= Phase::Asking {
                if still.phase == Phase::Asking && !self.context.is_stopping() {
                    self.lock().evictions.add(still.source);
                }
                connection.evicted(why);
            }
        }
    }

    /// Evicts one connection for this reason, which frees a descriptor; false where none waits.
    pub(super) fn evict_one(&self, why: &str) -> bool {
        let evicted = self.lock().table.evict();
        let found = evicted.is_some();
        if let Some(evicted) = evicted {
            self.close_evicted(evicted, why);
        }
        found
    }

    /// The poller's thread.
    pub(super) fn run(&self) {
        let mut events = [EpollEvent::empty(); EVENTS];
        let mut until = None;
        loop {
            let came = match self.epoll.wait(&mut events, pause(until)) {
                Ok(count) => &events[..count],
                // A signal interrupted it, or the system fails: the deadlines are checked all the same.
                Err(error) => {
                    if error != Errno::EINTR {
                        thread::sleep(PAUSE);
                    }
                    &[]
                }
            };
            for event in came {
                match event.data() {
                    WAKE => drop(self.wake.read()),
                    number => self.serve(number),
                }
            }
            // After the events: a request that came in time is not taken for a time-out.
            let now = Instant::now();
            loop {
                let mut state = self.lock();
                if let Some(number) = state.table.expired(now) {
                    drop(state);
                    self.serve(number);
                    continue;
                }
                // Under the same lock as the deadlines, so that an earlier one wakes the poller. A
                // deadline whose connection has left stays: later ones need no wake-up.
                until = match (state.table.next_deadline(), state.sleeps_until) {
                    (Some(next), Some(known)) if known > now => Some(next.min(known)),
                    (None, Some(known)) if known > now => Some(known),
                    (next, _) => next,
                };
                state.sleeps_until = until;
                break;
            }
        }
    }

    /// Serves a connection that waits, unless it was evicted meanwhile.
    fn serve(&self, number: Number) {
        let Some(connection) = self.lock().table.take(number) else {
            return;
        };
        let waits = self
            .context
            .catch_panic(|| self.serve_taken(number, connection));
        if waits != Some(true) {
            self.lock().table.remove(number);
        }
    }

    /// Whether it waits on.
    fn serve_taken(&self, number: Number, mut connection: Box<Connection>) -> bool {
        let Next::Wait(wait) = connection.proceed() else {
            return false;
        };
        // Behind a balancer it may have got its client's name just now.
        connection.log_waiting();
        if connection.registered().map(flags) != Some(flags(wait.phase)) {
            let mut event = EpollEvent::new(flags(wait.phase), number);
            connection.register(wait.phase);
            if let Err(error) = self.epoll.modify(&connection, &mut event) {
                self.log_refusal(error);
                return false;
            }
        }
        self.lock().table.put_back(number, connection, wait);
        true
    }

    fn wake(&self) {
        // It only fails where the poller is about to wake up anyway.
        let _ = self.wake.write(1);
    }

    /// The server is being stopped: connections that are only being closed get no more time than
    /// this.
    pub(super) fn shorten_closing(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.lock();
        state.table.shorten_closing(until);
        state.sleeps_until = None;
        drop(state);
        self.wake();
    }

    /// The connections that are open, and what those that wait do.
    pub(super) fn gauges(&self) -> Gauges {
        let state = self.lock();
        Gauges {
            here: self.context.here(),
            waiting: state.table.asking_gauge,
            closing: state.table.closing_gauge,
        }
    }

    /// How many connections may wait.
    pub(super) fn limit(&self) -> usize {
        self.lock().table.limit()
    }

    /// The evictions since the last call.
    pub(super) fn take_evictions(&self) -> Tally {
        std::mem::take(&mut self.lock().evictions)
    }
}

/// One that is answered waits for room in the kernel's send buffer, the others for bytes.
fn flags(phase: Phase) -> EpollFlags {
    match phase {
        Phase::Answering => EpollFlags::EPOLLOUT,
        _ => EpollFlags::EPOLLIN,
    }
}

/// How long the poller may sleep: to the next whole millisecond, so that it does not wake up before
/// the deadline again and again.
fn pause(until: Option<Instant>) -> EpollTimeout {
    let Some(until) = until else {
        return EpollTimeout::NONE;
    };
    let left = until.saturating_duration_since(Instant::now());
    let millis = left.as_micros().div_ceil(1000);
    EpollTimeout::try_from(millis).unwrap_or(EpollTimeout::MAX)
}
