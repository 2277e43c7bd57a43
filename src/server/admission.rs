//! Who is here: connections that are pending for a worker, workers that are idle, and workers that
//! wait for a client to speak. It decides who is next, who loses its place when too many are
//! pending, and whose wait ends when all workers wait and somebody else is pending. It never
//! touches a socket: callers close and evict what it names.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::pending::Pending;
use super::repute::Repute;
use super::waiting::Waiting;
use crate::stats::Gauges;

/// What counts as one client when places are shared out: an IPv4 address, or the /64 of an IPv6
/// address, since a single host has a /64 to itself. Behind a load balancer it is the address that
/// the balancer names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The upper half of an IPv6 address.
    V6([u16; 4]),
    /// A connection through a load balancer that has not said whose it is, or does not know: the
    /// balancer stands for thousands, so each such connection counts for itself, and nothing of it
    /// is remembered.
    Unnamed(u32),
}

impl Source {
    /// The source that an address belongs to.
    pub fn of(ip: IpAddr) -> Source {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Source::V4(ip),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Source::V6([a, b, c, d])
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Source::V4(ip) => ip.fmt(f),
            Source::V6([a, b, c, d]) => write!(f, "{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)),
            Source::Unnamed(_) => f.write_str("clients that no balancer named"),
        }
    }
}

/// The meeting place of acceptors and workers. `T` is a connection, `H` is what ends the wait of
/// one.
pub struct Admission<T, H> {
    state: Mutex<State<T, H>>,
    max_pending: usize,
    patience: Patience,
}

/// What the caller of [`Admission`] has to do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Orders<T, H> {
    /// Close this pending connection: too many are pending, and it is its source's newest.
    pub refuse: Option<T>,
    /// End this wait.
    pub evict: Option<H>,
    /// Let others have the processor: workers are active, and there is a queue before them.
    pub crowded: bool,
}

/// What ended a worker's wait, as far as its client is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// It said something that decides: a request, or what cannot become one.
    Spoke,
    /// The end of what it sent came first: it left, or its wait was evicted.
    Ended,
    /// Its time was over.
    TimedOut,
}

/// The evictions of a period, for the log.
#[derive(Debug, Default)]
pub struct Evictions {
    /// How many.
    pub total: u64,
    /// The sources with the most of them, the worst first, and how many each had.
    pub worst: Vec<(Source, u64)>,
}

/// When evictions begin and end.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Somebody must have been pending this long before the first wait is ended: a burst of
    /// clients that are about to speak is no attack.
    pub before_the_first: Duration,
    /// As long as the last eviction is no further back, there is no such grace.
    pub alert: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            before_the_first: Duration::from_millis(100),
            alert: Duration::from_secs(1),
        }
    }
}

/// Sources whose evictions are counted one by one between two log lines.
const MAX_COUNTED_SOURCES: usize = 256;

/// Sources that a log line names.
const NAMED_SOURCES: usize = 3;

struct State<T, H> {
    pending: Pending<T>,
    /// Since when the queue has not been empty.
    pending_since: Instant,
    last_eviction: Option<Instant>,
    waiting: Waiting<H>,
    gauges: Gauges,
    /// A wait was ended, and its worker is not back yet.
    evicting: bool,
    repute: Repute,
    evictions: u64,
    evictions_by_source: HashMap<Source, u64>,
    /// Idle workers; the last to become idle is the first to work again, since its stack is still
    /// in the processor's cache.
    idle: Vec<usize>,
    workers: Vec<Worker>,
    /// How many workers are active.
    active: usize,
    closed: bool,
}

#[derive(Default)]
struct Worker {
    thread: Option<Thread>,
    parked: bool,
    busy: bool,
    /// It comes for the next connection by itself, and soon: it is awake and waits for no client.
    active: bool,
    /// Connections it has taken without a pause.
    streak: usize,
}

/// So many pending connections are left to each active worker, which serves them one after the
/// other: waking a worker costs as much as serving a client. They wait well under a millisecond.
/// What came of other values is in `tests/bench/README.md`, as for the next two.
const SHARE: usize = 16;

/// So many pending connections are a crowd, which the workers are left to deal with. Where there
/// are more, the kernel's queue is about to run over, and accepting comes first.
const CROWD: Range<usize> = 24..96;

/// A worker that has served so many without a pause looks once more before it sleeps.
const STREAK: usize = 4;

impl<T, H> Admission<T, H> {
    /// For `workers` workers, numbered from 0, and `max_pending` pending connections.
    pub fn new(workers: usize, max_pending: usize, patience: Patience) -> Admission<T, H> {
        let state = State {
            pending: Pending::new(max_pending),
            pending_since: Instant::now(),
            last_eviction: None,
            waiting: Waiting::new(workers),
            gauges: Gauges::default(),
            evicting: false,
            repute: Repute::new(),
            evictions: 0,
            evictions_by_source: HashMap::new(),
            idle: Vec::with_capacity(workers),
            workers: (0..workers).map(|_| Worker::default()).collect(),
            active: 0,
            closed: false,
        };
        Admission {
            state: Mutex::new(state),
            max_pending,
            patience,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T, H>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over a new connection.
    pub fn offer(&self, source: Source, connection: T) -> Orders<T, H> {
        let mut state = self.lock();
        let offender = state.repute.level(source) > 0;
        if state.pending.len() == 0 {
            state.pending_since = Instant::now();
        }
        state.pending.push(source, offender, connection);
        let refuse = if state.pending.len() > self.max_pending {
            state.pending.drop_one(source)
        } else {
            None
        };
        let pending = state.pending.len();
        state.gauges.pending.set(pending);
        let woken = state.wake_if_short();
        let evict = state.evict_if_stuck(self.patience);
        let crowded = CROWD.contains(&pending) && state.active > 0;
        release(state, woken);
        Orders {
            refuse,
            evict,
            crowded,
        }
    }

    /// The next connection for this worker, as soon as there is one; none when the server has
    /// stopped and nothing is pending any more. `asked` is the source whose client, this worker's
    /// last, completed a request: that clears its record.
    pub fn next(&self, worker: usize, asked: Option<Source>) -> Option<T> {
        let mut state = self.lock();
        if let Some(source) = asked {
            state.repute.cleared(source);
        }
        state.set_busy(worker, false);
        state.set_active(worker, true);
        loop {
            if let Some(connection) = state.pending.pop() {
                state.gauges.pending.now -= 1;
                state.set_busy(worker, true);
                return Some(connection);
            }
            if state.closed {
                return None;
            }
            if state.ends_a_streak(worker) {
                // More may be on their way; to sleep and be woken would cost more than to look.
                drop(state);
                thread::yield_now();
                state = self.lock();
                continue;
            }
            state.park(worker);
            while state.is_parked(worker) {
                drop(state);
                thread::park();
                state = self.lock();
            }
        }
    }

    /// This worker waits for a client of `source` to speak; `handle` ends the wait. Comes back with
    /// the wait that has to end, if one has to; it may be this one.
    #[must_use]
    pub fn begin_wait(&self, worker: usize, source: Source, handle: H) -> Option<H> {
        let mut state = self.lock();
        let level = state.repute.level(source);
        state.waiting.begin(worker, source, level, handle);
        let waiting = state.gauges.waiting.now + 1;
        state.gauges.waiting.set(waiting);
        state.set_active(worker, false);
        let woken = state.wake_if_short();
        let evict = state.evict_if_stuck(self.patience);
        release(state, woken);
        evict
    }

    /// This worker's wait for a client of `source` is over. True when it was evicted; whatever the
    /// client had sent until then still counts.
    pub fn end_wait(&self, worker: usize, source: Source, client: Client) -> bool {
        let mut state = self.lock();
        state.set_active(worker, true);
        let evicted = !state.waiting.end(worker);
        if evicted {
            state.evicting = false;
        } else {
            state.gauges.waiting.now -= 1;
        }
        match client {
            Client::TimedOut => state.repute.offended(source),
            Client::Ended if evicted => state.repute.offended(source),
            Client::Spoke | Client::Ended => {}
        }
        evicted
    }

    /// A client of `source` sent junk, whether a worker had to wait for it or not.
    pub fn rambled(&self, source: Source) {
        self.lock().repute.offended(source);
    }

    /// This worker may be held up from now on, by a client that does not read: others must not
    /// count on it.
    pub fn begin_to_block(&self, worker: usize) {
        let mut state = self.lock();
        state.set_active(worker, false);
        let woken = state.wake_if_short();
        release(state, woken);
    }

    /// This worker is not held up any more.
    pub fn end_to_block(&self, worker: usize) {
        self.lock().set_active(worker, true);
    }

    /// A panic ended what this worker did; should it have waited, it does no longer.
    pub fn end_wait_after_panic(&self, worker: usize) {
        let mut state = self.lock();
        let waits = !state.workers.get(worker).is_some_and(|slot| slot.active);
        if state.waiting.end(worker) {
            state.gauges.waiting.now -= 1;
        } else if waits {
            // It had been evicted.
            state.evicting = false;
        }
    }

    /// Has another look, since nobody else may come whose arrival would be the occasion. To be
    /// called a few times a second.
    #[must_use]
    pub fn look(&self) -> Option<H> {
        let mut state = self.lock();
        // An active worker would have been here long ago: whatever holds it up, nobody has to wait
        // for it.
        let woken = if state.pending.len() > 0 {
            state.wake_one()
        } else {
            None
        };
        let evict = state.evict_if_stuck(self.patience);
        release(state, woken);
        evict
    }

    /// Ends a wait without anybody pending: the system is short of descriptors.
    #[must_use]
    pub fn evict_one(&self) -> Option<H> {
        let mut state = self.lock();
        if state.evicting {
            return None;
        }
        state.evict()
    }

    /// How many there are of each.
    pub fn gauges(&self) -> Gauges {
        self.lock().gauges
    }

    /// The evictions since the last call.
    pub fn take_evictions(&self) -> Evictions {
        let mut state = self.lock();
        let mut worst: Vec<_> = state.evictions_by_source.drain().collect();
        let total = std::mem::take(&mut state.evictions);
        drop(state);
        worst.sort_by_key(|&(source, count)| (std::cmp::Reverse(count), source));
        worst.truncate(NAMED_SOURCES);
        Evictions { total, worst }
    }

    /// Lets the workers end once nothing is pending any more.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let woken: Vec<_> = std::iter::from_fn(|| state.wake_one()).collect();
        release(state, woken);
    }
}

/// Wakes workers, none of which then has to wait for the lock.
fn release<T>(lock: MutexGuard<'_, T>, woken: impl IntoIterator<Item = Thread>) {
    drop(lock);
    for thread in woken {
        thread.unpark();
    }
}

impl<T, H> State<T, H> {
    fn park(&mut self, worker: usize) {
        if let Some(slot) = self.workers.get_mut(worker) {
            slot.thread.get_or_insert_with(thread::current);
            slot.parked = true;
            self.idle.push(worker);
        }
        self.set_active(worker, false);
    }

    fn set_busy(&mut self, worker: usize, busy: bool) {
        let Some(slot) = self.workers.get_mut(worker) else {
            return;
        };
        if busy {
            slot.streak += 1;
        }
        if std::mem::replace(&mut slot.busy, busy) != busy {
            let now = self.gauges.busy.now;
            self.gauges.busy.set(if busy { now + 1 } else { now - 1 });
        }
    }

    fn set_active(&mut self, worker: usize, active: bool) {
        let Some(slot) = self.workers.get_mut(worker) else {
            return;
        };
        if std::mem::replace(&mut slot.active, active) != active {
            if active {
                self.active += 1;
            } else {
                self.active -= 1;
            }
        }
    }

    /// Whether this worker has served many without a pause; that starts anew.
    fn ends_a_streak(&mut self, worker: usize) -> bool {
        let slot = self.workers.get_mut(worker);
        slot.is_some_and(|slot| std::mem::take(&mut slot.streak) >= STREAK)
    }

    fn is_parked(&self, worker: usize) -> bool {
        self.workers.get(worker).is_some_and(|slot| slot.parked)
    }

    fn wake_one(&mut self) -> Option<Thread> {
        let worker = self.idle.pop()?;
        // From now on, so that nobody else is woken for the same connection.
        self.set_active(worker, true);
        let slot = self.workers.get_mut(worker)?;
        slot.parked = false;
        slot.thread.clone()
    }

    /// An idle worker, where the active ones have more than their share.
    fn wake_if_short(&mut self) -> Option<Thread> {
        if self.pending.len() > self.active * SHARE {
            self.wake_one()
        } else {
            None
        }
    }

    /// Only this evicts: every worker waits for a silent client, and another connection is pending.
    /// One wait at a time: the worker that it frees takes the next connection before anybody
    /// else has to go.
    fn evict_if_stuck(&mut self, patience: Patience) -> Option<H> {
        if self.gauges.waiting.now < self.workers.len() || self.pending.len() == 0 {
            return None;
        }
        let now = Instant::now();
        let alert = self
            .last_eviction
            .is_some_and(|last| now.duration_since(last) <= patience.alert);
        if !alert && now.duration_since(self.pending_since) < patience.before_the_first {
            return None;
        }
        self.last_eviction = Some(now);
        self.evict()
    }

    fn evict(&mut self) -> Option<H> {
        let (source, handle) = self.waiting.end_worst()?;
        let source = match source {
            // In the log they are one.
            Source::Unnamed(_) => Source::Unnamed(0),
            source => source,
        };
        self.gauges.waiting.now -= 1;
        self.evicting = true;
        self.evictions += 1;
        if self.evictions_by_source.len() < MAX_COUNTED_SOURCES
            || self.evictions_by_source.contains_key(&source)
        {
            *self.evictions_by_source.entry(source).or_default() += 1;
        }
        Some(handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    /// Evicts at the first occasion.
    const NONE: Patience = Patience {
        before_the_first: Duration::ZERO,
        alert: Duration::ZERO,
    };

    fn host(last: u8) -> Source {
        Source::of(IpAddr::from([127, 0, 0, last]))
    }

    /// Everything that is pending, in the order in which it is served.
    fn served<T, H>(admission: &Admission<T, H>) -> Vec<T> {
        admission.close();
        std::iter::from_fn(|| admission.next(0, None)).collect()
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address_and_a_64_is_one_source() {
        let of = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(of("::ffff:127.0.0.1"), host(1));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("2001:db8::1").to_string(), "2001:db8::/64");
    }

    #[test]
    fn sources_take_turns_and_each_is_first_come_first_served() {
        let admission = Admission::<_, ()>::new(1, 10, NONE);
        for (source, connection) in [(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (3, "c1")] {
            assert_eq!(admission.offer(host(source), connection).refuse, None);
        }
        assert_eq!(served(&admission), ["a1", "b1", "c1", "a2", "a3"]);
    }

    #[test]
    fn who_fills_the_queue_loses_its_own_newest() {
        let admission = Admission::<_, ()>::new(1, 3, NONE);
        let refused = |source, connection| admission.offer(host(source), connection).refuse;
        for connection in ["a1", "a2", "a3"] {
            assert_eq!(refused(1, connection), None);
        }
        assert_eq!(refused(1, "a4"), Some("a4"));
        assert_eq!(refused(2, "b1"), Some("a3"));
        assert_eq!(refused(3, "c1"), Some("a2"));
        assert_eq!(refused(4, "d1"), Some("d1"));
        assert_eq!(served(&admission), ["a1", "b1", "c1"]);
    }

    #[test]
    fn a_source_with_a_bad_record_stands_back_for_newcomers_but_not_for_ever() {
        let admission = Admission::<_, ()>::new(1, 100, NONE);
        for _ in 0..2 {
            assert_eq!(admission.begin_wait(0, host(9), ()), None);
            assert!(!admission.end_wait(0, host(9), Client::TimedOut));
        }
        let _ = admission.offer(host(9), 0);
        for connection in 1..=20 {
            let _ = admission.offer(host(connection), connection);
        }
        let order = served(&admission);
        assert_eq!(
            order.iter().position(|&connection| connection == 0),
            Some(7)
        );
    }

    #[test]
    fn a_completed_request_clears_a_bad_record() {
        let admission = Admission::<_, ()>::new(1, 100, NONE);
        for _ in 0..2 {
            assert_eq!(admission.begin_wait(0, host(9), ()), None);
            admission.end_wait(0, host(9), Client::TimedOut);
        }
        let _ = admission.offer(host(9), 1);
        assert_eq!(admission.next(0, None), Some(1));
        let _ = admission.offer(host(9), 2);
        let _ = admission.offer(host(1), 3);
        assert_eq!(
            admission.next(0, Some(host(9))),
            Some(3),
            "it was still pending as an offender"
        );
        assert_eq!(admission.next(0, None), Some(2));
        let _ = admission.offer(host(9), 4);
        let _ = admission.offer(host(1), 5);
        assert_eq!(served(&admission), [4, 5]);
    }

    #[test]
    fn connections_that_no_balancer_named_count_each_for_itself_and_are_not_remembered() {
        let admission = Admission::new(3, 3, NONE);
        let _ = admission.begin_wait(0, Source::Unnamed(1), "u1");
        let _ = admission.begin_wait(1, host(1), "a1");
        let _ = admission.begin_wait(2, host(1), "a2");
        for number in 2..9 {
            let _ = admission.offer(Source::Unnamed(number), "u");
            assert!(!admission.end_wait(0, Source::Unnamed(1), Client::TimedOut));
            let _ = admission.begin_wait(0, Source::Unnamed(1), "u1");
        }
        assert_eq!(admission.lock().repute.level(Source::Unnamed(1)), 0);
        assert!(
            admission.end_wait(1, host(1), Client::Ended),
            "a1, whose address holds two"
        );
        assert_eq!(admission.take_evictions().worst, [(host(1), 1)]);
    }

    #[test]
    fn a_wait_ends_only_when_every_worker_waits_and_somebody_is_pending() {
        let admission = Admission::new(2, 10, NONE);
        assert_eq!(admission.begin_wait(0, host(1), "a"), None);
        assert_eq!(
            admission.offer(host(2), "x").evict,
            None,
            "a worker is free"
        );
        assert_eq!(admission.next(1, None), Some("x"));
        assert_eq!(
            admission.begin_wait(1, host(2), "b"),
            None,
            "nobody is pending"
        );
        assert_eq!(admission.offer(host(3), "y").evict, Some("a"), "the oldest");
        assert_eq!(
            admission.offer(host(4), "z").evict,
            None,
            "one worker is on its way"
        );
        assert!(admission.end_wait(0, host(1), Client::Ended));
        assert_eq!(admission.next(0, None), Some("y"));
        assert_eq!(
            admission.begin_wait(0, host(3), "c"),
            Some("b"),
            "z is still pending"
        );
        let evictions = admission.take_evictions();
        assert_eq!((evictions.total, evictions.worst.len()), (2, 2));
        assert_eq!(admission.take_evictions().total, 0);
    }

    #[test]
    fn a_burst_of_clients_that_are_about_to_speak_evicts_nobody() {
        let patience = Patience {
            before_the_first: Duration::from_millis(20),
            alert: Duration::from_secs(60),
        };
        let admission = Admission::new(1, 10, patience);
        assert_eq!(admission.begin_wait(0, host(1), "a"), None);
        assert_eq!(admission.offer(host(2), "x").evict, None);
        let since = Instant::now();
        let evicted = loop {
            if let Some(evicted) = admission.look() {
                break evicted;
            }
            thread::yield_now();
        };
        assert!(since.elapsed() >= Duration::from_millis(15));
        assert_eq!(evicted, "a");
        admission.end_wait(0, host(1), Client::Ended);
        assert_eq!(admission.next(0, None), Some("x"));
        assert_eq!(admission.begin_wait(0, host(2), "x"), None);
        let orders = admission.offer(host(3), "y");
        assert_eq!(orders.evict, Some("x"), "from then on without delay");
    }

    #[test]
    fn an_idle_worker_gets_the_next_connection() {
        let admission = Admission::<_, ()>::new(1, 3, NONE);
        std::thread::scope(|scope| {
            let worker = scope
                .spawn(|| std::iter::from_fn(|| admission.next(0, None)).collect::<Vec<u32>>());
            for number in 0..1000 {
                while admission.lock().pending.len() == 3 {
                    thread::yield_now();
                }
                assert_eq!(admission.offer(host(1), number).refuse, None);
            }
            admission.close();
            assert_eq!(worker.join().unwrap(), (0..1000).collect::<Vec<_>>());
        });
    }

    #[test]
    fn a_worker_is_woken_only_where_the_active_ones_have_their_share() {
        let admission = Arc::new(Admission::<usize, ()>::new(3, 1000, NONE));
        let idle = || admission.lock().idle.len();
        let (taken, takes) = std::sync::mpsc::channel();
        let workers: Vec<_> = (0..3)
            .map(|worker| {
                let (admission, taken) = (Arc::clone(&admission), taken.clone());
                thread::spawn(move || {
                    // The first one each is a client that does not speak.
                    let first = admission.next(worker, None);
                    taken.send(first).unwrap();
                    let _ = admission.begin_wait(worker, host(1), ());
                    taken.send(None).unwrap();
                    while !admission.lock().closed {
                        thread::yield_now();
                    }
                    admission.end_wait(worker, host(1), Client::Spoke);
                    std::iter::from_fn(|| admission.next(worker, None)).count()
                })
            })
            .collect();
        while idle() < 3 {
            thread::yield_now();
        }
        // As if another one were at work already.
        admission.lock().active += 1;
        for number in 0..SHARE {
            let _ = admission.offer(host(1), number);
        }
        assert_eq!(idle(), 3, "they are the active one's share");
        let _ = admission.offer(host(1), SHARE);
        assert_eq!(takes.recv().unwrap(), Some(0), "one more is too many");
        takes.recv().unwrap();
        // It waits for its client now, so the rest is once more the other one's share.
        assert_eq!(idle(), 2);
        let _ = admission.look();
        assert_eq!(
            takes.recv().unwrap(),
            Some(1),
            "it does not come for its share"
        );
        takes.recv().unwrap();
        assert_eq!(idle(), 1);
        admission.lock().active -= 1;
        let _ = admission.offer(host(1), SHARE + 1);
        assert_eq!(takes.recv().unwrap(), Some(2), "nobody is active");
        takes.recv().unwrap();
        assert_eq!(idle(), 0);
        admission.close();
        let rest: usize = workers.into_iter().map(|w| w.join().unwrap()).sum();
        assert_eq!(rest, SHARE + 2 - 3);
    }

    const WORKERS: usize = 3;
    const MAX_PENDING: usize = 5;

    #[derive(Clone, Debug)]
    enum Step {
        Offer(u8),
        Next(usize),
        BeginWait(usize),
        EndWait(usize, bool),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (1u8..5).prop_map(Step::Offer),
            3 => (0..WORKERS).prop_map(Step::Next),
            3 => (0..WORKERS).prop_map(Step::BeginWait),
            1 => (0..WORKERS, any::<bool>()).prop_map(|(worker, late)| Step::EndWait(worker, late)),
        ];
        proptest::collection::vec(step, 0..200)
    }

    /// The same promises, kept the simple way: lists, searched from end to end.
    #[derive(Default)]
    struct Model {
        /// Connection, source, whether it stands with the offenders.
        pending: Vec<(u32, u8, bool)>,
        /// Worker, connection, source, level when the last wait of that source began.
        waits: Vec<(usize, u32, u8)>,
        levels: HashMap<u8, u8>,
        evicted: Vec<usize>,
        offences: HashMap<u8, u32>,
    }

    impl Model {
        fn level(&self, source: u8) -> u8 {
            let offences = self.offences.get(&source).copied().unwrap_or(0);
            offences.max(1).ilog2().min(3) as u8
        }

        /// Whose newest has to go when there are too many.
        fn to_refuse(&self, newcomer: u8) -> u32 {
            let offenders = self.pending.iter().any(|p| p.2);
            let tier: Vec<_> = self.pending.iter().filter(|p| p.2 == offenders).collect();
            let held = |source| tier.iter().filter(|p| p.1 == source).count();
            let most = tier.iter().map(|p| held(p.1)).max().unwrap();
            let newest = tier.iter().rev();
            let mut of_the_biggest = newest.filter(|p| held(p.1) == most);
            let own = of_the_biggest.clone().find(|p| p.1 == newcomer);
            own.or_else(|| {
                // Which of several is not promised; the last one by address it is.
                let last = of_the_biggest.clone().map(|p| p.1).max();
                of_the_biggest.find(|p| Some(p.1) == last)
            })
            .unwrap()
            .0
        }

        /// The wait that has to end, if one has to.
        fn evict(&mut self) -> Option<u32> {
            if self.waits.len() < WORKERS || self.pending.is_empty() {
                return None;
            }
            let held = |source| self.waits.iter().filter(|w| w.2 == source).count();
            let worst = self
                .waits
                .iter()
                .map(|w| (self.levels[&w.2], held(w.2)))
                .max()
                .unwrap();
            // The list is in the order of age.
            let index = self
                .waits
                .iter()
                .position(|w| (self.levels[&w.2], held(w.2)) == worst)
                .unwrap();
            let (worker, connection, _) = self.waits.remove(index);
            self.evicted.push(worker);
            Some(connection)
        }
    }

    proptest! {
        #[test]
        fn it_keeps_the_models_promises_and_loses_nothing(steps in steps()) {
            let admission = Admission::new(WORKERS, MAX_PENDING, NONE);
            let mut model = Model::default();
            let mut busy: [Option<(u32, u8)>; WORKERS] = [None; WORKERS];
            let mut waits = [false; WORKERS];
            let (mut offered, mut refused, mut taken) = (0u32, 0, 0);
            for step in steps {
                match step {
                    Step::Offer(source) => {
                        let offender = model.level(source) > 0;
                        model.pending.push((offered, source, offender));
                        let orders = admission.offer(host(source), offered);
                        offered += 1;
                        if model.pending.len() > MAX_PENDING {
                            let expected = model.to_refuse(source);
                            model.pending.retain(|p| p.0 != expected);
                            prop_assert_eq!(orders.refuse, Some(expected));
                            refused += 1;
                        } else {
                            prop_assert_eq!(orders.refuse, None);
                        }
                        prop_assert_eq!(orders.evict, model.evict());
                    }
                    Step::Next(worker) if busy[worker].is_none() && !model.pending.is_empty() => {
                        let got = admission.next(worker, None).unwrap();
                        let at = model.pending.iter().position(|p| p.0 == got).unwrap();
                        let (_, source, offender) = model.pending.remove(at);
                        let earlier = model.pending[..at]
                            .iter()
                            .any(|p| (p.1, p.2) == (source, offender));
                        prop_assert!(!earlier, "a source's own are first come, first served");
                        busy[worker] = Some((got, source));
                        taken += 1;
                    }
                    Step::BeginWait(worker) if !waits[worker] => {
                        if let Some((connection, source)) = busy[worker] {
                            waits[worker] = true;
                            model.waits.push((worker, connection, source));
                            model.levels.insert(source, model.level(source));
                            let evict = admission.begin_wait(worker, host(source), connection);
                            prop_assert_eq!(evict, model.evict());
                        }
                    }
                    Step::EndWait(worker, late) if waits[worker] => {
                        if let Some((_, source)) = busy[worker].take() {
                            waits[worker] = false;
                            let evicted = model.evicted.contains(&worker);
                            model.evicted.retain(|&w| w != worker);
                            model.waits.retain(|w| w.0 != worker);
                            let client = if late { Client::TimedOut } else { Client::Ended };
                            if late || evicted {
                                *model.offences.entry(source).or_default() += 1;
                            }
                            prop_assert_eq!(
                                admission.end_wait(worker, host(source), client),
                                evicted
                            );
                        }
                    }
                    _ => {}
                }
            }
            let left = served(&admission).len() as u32;
            prop_assert_eq!(offered, refused + taken + left);
        }
    }
}
