//! Moves connections between acceptors, workers and the poller. An acceptor adds a connection to
//! the queue; a job of the thread pool serves the connections of the queue, each as far as it goes
//! without waiting, until the queue is empty; the poller holds the others until an event or a
//! deadline. No thread ever waits for a single client.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use threadpool::ThreadPool;

use super::connection::{Awaited, Connection, Next};
use super::context::Context;
use super::limits::RateLimit;
use super::places::{Evicted, Phase, Places};
use super::slots::Number;
use super::tally::Tally;
use crate::stats::Gauges;
use crate::text::reason;

/// The events that the poller takes from the kernel at once.
const EVENTS: usize = 256;

/// The data of the event that wakes the poller. No connection has this number.
const WAKE: u64 = 0;

/// How many connections of the queue are left to each worker that is already at work. Waking
/// another one costs about as much as serving two or three connections.
const LEFT_TO_A_WORKER: usize = 16;

/// With a longer queue than the workers need, an acceptor gives way at every connection of which the
/// queue's length is a multiple of this. At each one, clients would wait longer where the processors
/// are busy.
const ACCEPTED_AT_ONCE: usize = 8;

/// With this many connections in the queue, no thread gives way to others.
const CROWD: usize = 96;

/// The connections, and what is needed to serve them.
pub(super) struct Service {
    pub(super) context: Context,
    state: Mutex<State>,
    pool: ThreadPool,
    epoll: Epoll,
    wake: EventFd,
    complaints: RateLimit,
}

struct State {
    places: Places<Connection>,
    /// How many jobs the pool has.
    jobs: usize,
    /// Until when the poller sleeps; none: until it is woken.
    poller_sleeps_until: Option<Instant>,
    evictions: Tally,
}

impl Service {
    /// For at most `limit` connections, served by the threads of `pool`.
    ///
    /// # Errors
    /// The system's error where it gives this process no `epoll`.
    pub(super) fn new(context: Context, limit: usize, pool: ThreadPool) -> io::Result<Service> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        epoll.add(&wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        Ok(Service {
            context,
            state: Mutex::new(State {
                places: Places::new(limit),
                jobs: 0,
                poller_sleeps_until: None,
                evictions: Tally::default(),
            }),
            pool,
            epoll,
            wake,
            complaints: RateLimit::once_a_second(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a connection that was accepted.
    pub(super) fn enter(self: &Arc<Self>, connection: Connection) {
        let mut state = self.lock();
        let entered = state.places.enter(connection.source(), connection);
        if let Ok(Some(evicted)) = &entered {
            state.count(evicted);
        }
        let queued = state.places.queued();
        self.call_workers(state);
        match entered {
            Ok(Some(evicted)) => self.close_evicted(evicted),
            Ok(None) => {}
            Err(connection) => connection.refused(&self.context),
        }
        // The workers have enough to do. Several clients are in the backlog when the acceptor is back,
        // and it is not woken for each of them.
        if (LEFT_TO_A_WORKER..CROWD).contains(&queued) && queued % ACCEPTED_AT_ONCE == 0 {
            thread::yield_now();
        }
    }

    /// Gives the pool as many jobs as the queue needs. Without the lock: a job may start at once
    /// and needs it.
    fn call_workers(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let needed = state.places.queued().div_ceil(LEFT_TO_A_WORKER);
        let more = needed.min(self.pool.max_count()).saturating_sub(state.jobs);
        state.jobs += more;
        drop(state);
        for _ in 0..more {
            let service = Arc::clone(self);
            self.pool.execute(move || service.work(Connection::proceed));
        }
    }

    /// A worker's job: it serves connections until the queue is empty. A panic costs one connection
    /// and no thread; the panic hook has logged it.
    fn work(&self, proceed: impl Fn(&mut Connection, &Context) -> Next) {
        let mut closed = None;
        while let Some(turn) = self.next(closed) {
            let number = turn.number;
            let serve = || self.serve(turn, &proceed);
            let outcome = panic::catch_unwind(AssertUnwindSafe(serve));
            if outcome.is_err() {
                self.context.stats.panicked.add_one();
            }
            closed = match outcome {
                Ok(Served::Waits) => None,
                Ok(Served::Closed) | Err(_) => Some(number),
            };
        }
    }

    /// The next connection of the queue, after `closed` has left. With none the job is over, and
    /// counted as such under the same lock: a connection that comes later calls a worker.
    fn next(&self, closed: Option<Number>) -> Option<Turn> {
        let mut state = self.lock();
        // Its descriptor is closed: first that, then the place that stands for it.
        if let Some(number) = closed {
            state.places.leave(number);
        }
        if let Some(turn) = state.turn() {
            return Some(turn);
        }
        drop(state);
        // The next connection may be under way: to look again costs less than to be woken.
        thread::yield_now();
        let mut state = self.lock();
        let turn = state.turn();
        if turn.is_none() {
            state.jobs -= 1;
        }
        turn
    }

    /// Serves a connection as far as it goes, and closes it or has it wait.
    fn serve(&self, turn: Turn, proceed: impl Fn(&mut Connection, &Context) -> Next) -> Served {
        let mut connection = turn.connection;
        let mut next = proceed(&mut connection, &self.context);
        // A request usually follows its connection at once. The worker gives way to the threads that
        // wait for a processor and looks again: this costs less than the poller. In a crowd it would
        // keep the others waiting.
        let has_just_come =
            !connection.has_waited() && matches!(next, Next::Wait(_, Phase::Asking, _));
        if has_just_come && turn.queued < CROWD {
            thread::yield_now();
            next = proceed(&mut connection, &self.context);
        }
        match next {
            Next::Close => Served::Closed,
            Next::Wait(what, phase, until) => {
                self.wait(turn.number, connection, what, phase, until)
            }
        }
    }

    /// Registers a connection with the poller, for an event or until a deadline. Where the system
    /// refuses that, the connection is closed.
    fn wait(
        &self,
        number: Number,
        mut connection: Connection,
        what: Awaited,
        phase: Phase,
        until: Instant,
    ) -> Served {
        // One event, and then none until the next registration: two workers must never have the same
        // connection.
        let flags = EpollFlags::EPOLLONESHOT
            | match what {
                Awaited::Input => EpollFlags::EPOLLIN,
                Awaited::Room => EpollFlags::EPOLLOUT,
            };
        let mut event = EpollEvent::new(flags, number.get());
        let prepared = connection.begin_to_wait(&self.context);
        // The lock is held from the registration until the table says that the connection waits.
        // Otherwise the poller could take the one event while the connection does not wait yet, and
        // the event would be lost.
        let mut state = self.lock();
        let registered = prepared.and_then(|is_first| {
            let registered = if is_first {
                self.epoll.add(&connection, event)
            } else {
                self.epoll.modify(&connection, &mut event)
            };
            registered.map_err(io::Error::from)
        });
        if let Err(error) = registered {
            drop(state);
            self.say_why(&error);
            connection.cannot_wait(&self.context);
            return Served::Closed;
        }
        let source = connection.source();
        state.places.wait(number, connection, source, phase, until);
        // The poller sleeps until the first deadline that it knew of. It is woken only for an earlier
        // one: with equal time-outs that is rare.
        let sleeps_too_long = state
            .poller_sleeps_until
            .is_none_or(|sleeps| until < sleeps);
        if sleeps_too_long {
            state.poller_sleeps_until = Some(until);
        }
        // Woken after the lock is free, so that the poller does not block on it at once.
        drop(state);
        if sleeps_too_long {
            self.wake_poller();
        }
        Served::Waits
    }

    fn say_why(&self, error: &io::Error) {
        if self.complaints.permits(Instant::now()) {
            log::error!(
                "Cannot wait for clients: {}. A connection whose request is not here yet is closed. \
                 The system's limit is fs.epoll.max_user_watches.",
                reason(error)
            );
        }
    }

    fn wake_poller(&self) {
        // It only fails where the poller is about to wake up anyway.
        let _ = self.wake.write(1);
    }

    /// The poller's thread. It sleeps until there are events for waiting connections or a deadline
    /// has passed, and puts these connections back into the queue.
    pub(super) fn poll(self: &Arc<Self>) {
        let mut events = [EpollEvent::empty(); EVENTS];
        let mut until = None;
        while !self.context.has_ended() {
            let came = match self.epoll.wait(&mut events, pause(until)) {
                Ok(count) => &events[..count],
                // A signal interrupted it: the deadlines are checked all the same.
                Err(_) => &[],
            };
            let mut state = self.lock();
            for event in came {
                match Number::from(event.data()) {
                    // An event of a connection that was evicted meanwhile wakes nothing.
                    Some(number) => state.places.wake(number),
                    None => drop(self.wake.read()),
                }
            }
            // After the events: a request that came in time is not taken for a time-out.
            state.places.wake_expired(Instant::now());
            // Under the same lock as the deadlines, so that an earlier deadline wakes the poller.
            until = state.places.next_deadline();
            state.poller_sleeps_until = until;
            self.call_workers(state);
        }
    }

    /// Closes a connection that lost its place.
    fn close_evicted(&self, evicted: Evicted<Connection>) {
        match evicted.phase {
            // Its last log line has been written already.
            Phase::Closing(_) => drop(evicted.connection),
            Phase::Asking | Phase::Answering => evicted.connection.evicted(&self.context),
        }
    }

    /// Evicts one connection, which frees a descriptor; false where none can be spared.
    pub(super) fn evict_one(&self) -> bool {
        let mut state = self.lock();
        let Some(evicted) = state.places.evict() else {
            return false;
        };
        state.count(&evicted);
        drop(state);
        self.close_evicted(evicted);
        true
    }

    /// The server is being stopped: connections that are only being closed get no more time than
    /// this.
    pub(super) fn hasten_closing(&self, time: Duration) {
        self.lock().places.hasten_closing(Instant::now() + time);
        self.wake_poller();
    }

    pub(super) fn gauges(&self) -> Gauges {
        self.lock().places.gauges()
    }

    /// How many connections there may be.
    pub(super) fn limit(&self) -> usize {
        self.lock().places.limit()
    }

    /// The evictions since the last call.
    pub(super) fn take_evictions(&self) -> Tally {
        std::mem::take(&mut self.lock().evictions)
    }

    /// Ends the poller.
    pub(super) fn end(&self) {
        self.context.end();
        self.wake_poller();
    }
}

/// A connection for a worker.
struct Turn {
    number: Number,
    connection: Connection,
    /// How many connections are in the queue after it.
    queued: usize,
}

/// The outcome for a connection that a worker had.
enum Served {
    /// It is closed, and its place is to be given back.
    Closed,
    /// It waits, and may be with another worker already.
    Waits,
}

impl State {
    fn turn(&mut self) -> Option<Turn> {
        let (number, connection) = self.places.next()?;
        Some(Turn {
            number,
            connection,
            queued: self.places.queued(),
        })
    }

    fn count(&mut self, evicted: &Evicted<Connection>) {
        if evicted.phase == Phase::Asking {
            self.evictions.add(evicted.source);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::endpoint::Endpoint;
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    #[test]
    fn a_panic_costs_one_connection_and_gives_its_place_back() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let endpoint = Arc::new(Endpoint::new(address, false, Arc::from(&b"policy"[..])));
        let context = Context::new(Duration::from_secs(3));
        // No thread of the pool may be first: the jobs are done here.
        let pool = ThreadPool::new(1);
        let (release, held) = std::sync::mpsc::channel::<()>();
        pool.execute(move || {
            let _ = held.recv();
        });
        let service = Arc::new(Service::new(context, 10, pool).unwrap());
        let clients: Vec<_> = (0..3)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        for _ in &clients {
            let (stream, peer) = listener.accept().unwrap();
            service.enter(Connection::new(stream, peer, Arc::clone(&endpoint)));
        }
        let served = AtomicU32::new(0);
        service.work(|_, _| match served.fetch_add(1, Relaxed) {
            1 => panic!("one connection"),
            _ => Next::Close,
        });
        assert_eq!(served.into_inner(), 3);
        assert_eq!(service.context.stats.panicked.get(), 1);
        assert_eq!(service.gauges().here.now, 0);
        drop(release);
    }
}
