//! Who is here: the connections that are pending for a worker, and the workers that are idle.
//! It decides who is next, and who loses its place when too many are pending. It never touches a
//! socket and never waits for anything but a connection.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

/// What counts as one client when places are shared out: an IPv4 address, or the /64 of an IPv6
/// address, since a single host has a /64 to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The upper half of an IPv6 address.
    V6([u16; 4]),
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

/// The meeting place of acceptors and workers. `T` is a connection.
pub struct Admission<T> {
    state: Mutex<State<T>>,
    max_pending: usize,
}

struct State<T> {
    pending: Pending<T>,
    /// Idle workers; the last to become idle is the first to work again, since its stack is still
    /// in the processor's cache.
    idle: Vec<usize>,
    workers: Vec<Worker>,
    closed: bool,
}

#[derive(Default)]
struct Worker {
    thread: Option<Thread>,
    parked: bool,
}

impl<T> Admission<T> {
    /// For `workers` workers, numbered from 0, and `max_pending` pending connections.
    pub fn new(workers: usize, max_pending: usize) -> Admission<T> {
        let state = State {
            pending: Pending::default(),
            idle: Vec::with_capacity(workers),
            workers: (0..workers).map(|_| Worker::default()).collect(),
            closed: false,
        };
        Admission {
            state: Mutex::new(state),
            max_pending,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over a new connection. Comes back with the one that lost its place for it, which may
    /// be the new one itself.
    pub fn offer(&self, source: Source, connection: T) -> Option<T> {
        let mut state = self.lock();
        state.pending.push(source, connection);
        let refused = if state.pending.len > self.max_pending {
            state.pending.drop_newest_of_the_biggest(source)
        } else {
            None
        };
        let woken = state.wake_one();
        drop(state);
        if let Some(thread) = woken {
            thread.unpark();
        }
        refused
    }

    /// The next connection for this worker, as soon as there is one; none when the server has
    /// stopped and nothing is pending any more.
    pub fn next(&self, worker: usize) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(connection) = state.pending.pop() {
                return Some(connection);
            }
            if state.closed {
                return None;
            }
            state.park(worker);
            while state.is_parked(worker) {
                drop(state);
                thread::park();
                state = self.lock();
            }
        }
    }

    /// Lets the workers end once nothing is pending any more.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let mut woken = Vec::new();
        while let Some(thread) = state.wake_one() {
            woken.push(thread);
        }
        drop(state);
        for thread in woken {
            thread.unpark();
        }
    }

    #[cfg(test)]
    fn pending(&self) -> usize {
        self.lock().pending.len
    }
}

impl<T> State<T> {
    fn park(&mut self, worker: usize) {
        if let Some(slot) = self.workers.get_mut(worker) {
            slot.thread = Some(thread::current());
            slot.parked = true;
            self.idle.push(worker);
        }
    }

    fn is_parked(&self, worker: usize) -> bool {
        self.workers.get(worker).is_some_and(|slot| slot.parked)
    }

    fn wake_one(&mut self) -> Option<Thread> {
        let slot = self.workers.get_mut(self.idle.pop()?)?;
        slot.parked = false;
        slot.thread.clone()
    }
}

/// Pending connections: sources take turns, and each source's own are first come, first served.
struct Pending<T> {
    lines: HashMap<Source, VecDeque<T>>,
    turns: VecDeque<Source>,
    /// Every source with the length of its line, the longest last.
    sizes: BTreeSet<(usize, Source)>,
    len: usize,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Pending {
            lines: HashMap::new(),
            turns: VecDeque::new(),
            sizes: BTreeSet::new(),
            len: 0,
        }
    }
}

impl<T> Pending<T> {
    fn push(&mut self, source: Source, connection: T) {
        let line = self.lines.entry(source).or_default();
        line.push_back(connection);
        let size = line.len();
        if size == 1 {
            self.turns.push_back(source);
        }
        self.resized(source, size - 1, size);
        self.len += 1;
    }

    fn pop(&mut self) -> Option<T> {
        let source = self.turns.pop_front()?;
        let line = self.lines.get_mut(&source)?;
        let connection = line.pop_front()?;
        let size = line.len();
        if size == 0 {
            self.lines.remove(&source);
        } else {
            self.turns.push_back(source);
        }
        self.resized(source, size + 1, size);
        self.len -= 1;
        Some(connection)
    }

    /// Where several are the biggest, the newcomer has to go.
    fn drop_newest_of_the_biggest(&mut self, newcomer: Source) -> Option<T> {
        let &(most, biggest) = self.sizes.last()?;
        let own = self.lines.get(&newcomer).map_or(0, VecDeque::len);
        let source = if own == most { newcomer } else { biggest };
        let line = self.lines.get_mut(&source)?;
        let connection = line.pop_back()?;
        let size = line.len();
        if size == 0 {
            self.lines.remove(&source);
            self.turns.retain(|turn| *turn != source);
        }
        self.resized(source, size + 1, size);
        self.len -= 1;
        Some(connection)
    }

    fn resized(&mut self, source: Source, before: usize, after: usize) {
        self.sizes.remove(&(before, source));
        if after > 0 {
            self.sizes.insert((after, source));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(last: u8) -> Source {
        Source::of(IpAddr::from([127, 0, 0, last]))
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address_and_a_64_is_one_source() {
        let of = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(of("::ffff:127.0.0.1"), host(1));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }

    #[test]
    fn sources_take_turns_and_each_is_first_come_first_served() {
        let admission = Admission::new(1, 10);
        for (source, connection) in [(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (3, "c1")] {
            assert_eq!(admission.offer(host(source), connection), None);
        }
        admission.close();
        let order: Vec<_> = std::iter::from_fn(|| admission.next(0)).collect();
        assert_eq!(order, ["a1", "b1", "c1", "a2", "a3"]);
    }

    #[test]
    fn who_fills_the_queue_loses_its_own_newest() {
        let admission = Admission::new(1, 3);
        for connection in ["a1", "a2", "a3"] {
            assert_eq!(admission.offer(host(1), connection), None);
        }
        assert_eq!(admission.offer(host(1), "a4"), Some("a4"));
        assert_eq!(admission.offer(host(2), "b1"), Some("a3"));
        assert_eq!(admission.offer(host(3), "c1"), Some("a2"));
        assert_eq!(admission.offer(host(4), "d1"), Some("d1"));
        assert_eq!(admission.pending(), 3);
        admission.close();
        let order: Vec<_> = std::iter::from_fn(|| admission.next(0)).collect();
        assert_eq!(order, ["a1", "b1", "c1"]);
    }

    #[test]
    fn an_idle_worker_gets_the_next_connection() {
        let admission = Admission::new(1, 3);
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let mut got = Vec::new();
                while let Some(connection) = admission.next(0) {
                    got.push(connection);
                }
                got
            });
            for number in 0..1000 {
                while admission.pending() == 3 {
                    thread::yield_now();
                }
                assert_eq!(admission.offer(host(1), number), None);
            }
            admission.close();
            assert_eq!(worker.join().unwrap(), (0..1000).collect::<Vec<_>>());
        });
    }
}
