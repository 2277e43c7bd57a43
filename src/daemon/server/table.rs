//! The table of the connections that wait: their deadlines, and the choice of the one to evict when
//! the limit is reached. A client that asks at once enters it for its close alone, and under load not at
//! all. It touches no socket and reads no clock: the caller closes evicted connections and passes the
//! time.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use super::source::Source;
use crate::daemon::stats::Gauge;

/// The connections without a complete request that a source may hold before one of them is evicted
/// for other sources. Several players behind one address are no attack.
pub(super) const FREE_FOR_A_SOURCE: u32 = 16;

/// Names a connection for as long as it waits. A number is never used twice, so that an event for a
/// connection that has left the table names no other one. None is 0.
pub(super) type Number = u64;

/// What a connection waits for. Evictions take them in this order, but for a source that holds too
/// many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It is only being closed, and all that Flash Player ever sends has been read.
    ClosingRead,
    /// It is only being closed; unread bytes, or bytes under way, would turn the close into a reset.
    ClosingUnread,
    /// It has not completed a request yet.
    Asking,
    /// The request is complete, and the client does not take the answer.
    Answering,
}

impl Phase {
    const COUNT: usize = 4;
}

/// What orders a connection among others: with equal time-outs the earlier deadline is the older
/// connection.
type Age = (Instant, Number);

/// Until when a connection waits, for what, and for which source it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) source: Source,
    pub(super) phase: Phase,
    pub(super) deadline: Instant,
}

/// The connections that wait, of type `C`.
pub(super) struct Table<C> {
    limit: usize,
    last_number: Number,
    entries: HashMap<Number, Entry<C>>,
    by_age: [BTreeSet<Age>; Phase::COUNT],
    /// The connections without a complete request, by source, the first to wait first.
    asking: BTreeSet<(Source, Number)>,
    /// How many of these a source holds.
    held: HashMap<Source, u32>,
    /// The sources with more than [`FREE_FOR_A_SOURCE`] of them, by how many they hold.
    crowds: BTreeSet<(u32, Source)>,
    pub(super) asking_gauge: Gauge,
    pub(super) closing_gauge: Gauge,
}

struct Entry<C> {
    wait: Wait,
    /// None while the poller serves it: then it is not evicted.
    connection: Option<Box<C>>,
}

impl<C> Table<C> {
    /// For at most `limit` connections.
    pub(super) fn new(limit: usize) -> Table<C> {
        Table {
            limit,
            last_number: 0,
            entries: HashMap::new(),
            by_age: Default::default(),
            asking: BTreeSet::new(),
            held: HashMap::new(),
            crowds: BTreeSet::new(),
            asking_gauge: Gauge::default(),
            closing_gauge: Gauge::default(),
        }
    }

    /// How many connections may wait.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether one has to be evicted before the next one is inserted.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= self.limit
    }

    /// The number that the next connection gets.
    pub(super) fn next_number(&self) -> Number {
        self.last_number + 1
    }

    /// Adds a connection, as [`Table::next_number`].
    pub(super) fn insert(&mut self, connection: C, wait: Wait) {
        self.last_number += 1;
        self.enlist(self.last_number, wait);
        let connection = Some(Box::new(connection));
        self.entries
            .insert(self.last_number, Entry { wait, connection });
    }

    /// A connection to serve, which keeps its entry meanwhile; none where it has left.
    pub(super) fn take(&mut self, number: Number) -> Option<Box<C>> {
        self.entries.get_mut(&number)?.connection.take()
    }

    /// Puts a connection back that was taken and waits on.
    pub(super) fn put_back(&mut self, number: Number, connection: Box<C>, wait: Wait) {
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        entry.connection = Some(connection);
        let before = std::mem::replace(&mut entry.wait, wait);
        if before != wait {
            self.delist(number, before);
            self.enlist(number, wait);
        }
    }

    /// Removes the entry of a connection that was taken and is closed.
    pub(super) fn remove(&mut self, number: Number) -> Option<(Wait, Option<Box<C>>)> {
        let Entry { wait, connection } = self.entries.remove(&number)?;
        self.delist(number, wait);
        Some((wait, connection))
    }

    /// The first deadline of all.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let firsts = self.by_age.iter().filter_map(BTreeSet::first);
        firsts.map(|&(deadline, _)| deadline).min()
    }

    /// A connection whose deadline has passed.
    pub(super) fn expired(&self, now: Instant) -> Option<Number> {
        let firsts = self.by_age.iter().filter_map(BTreeSet::first);
        let mut expired = firsts.filter(|(deadline, _)| *deadline <= now);
        expired.next().map(|&(_, number)| number)
    }

    /// Removes one connection for another and returns it. First the oldest of those that are only
    /// being closed; then the oldest of the source that holds the most connections without a complete
    /// request, if these are more than [`FREE_FOR_A_SOURCE`]; then the oldest without one; last the
    /// oldest that does not take its answer. None where there is none but the one that the poller
    /// serves.
    pub(super) fn evict(&mut self) -> Option<(Wait, Box<C>)> {
        // The poller serves one at a time, so that this passes over one at the most.
        let is_here = |number: &Number| {
            let entry = self.entries.get(number);
            entry.is_some_and(|entry| entry.connection.is_some())
        };
        let oldest = |phase: Phase| {
            let mut numbers = self.by_age[phase as usize].iter().map(|(_, number)| number);
            numbers.find(|number| is_here(number))
        };
        let oldest_of_a_crowd = || {
            let &(_, source) = self.crowds.last()?;
            let asking = self.asking.range((source, 0)..=(source, Number::MAX));
            let mut numbers = asking.map(|(_, number)| number);
            numbers.find(|number| is_here(number))
        };
        let &number = oldest(Phase::ClosingRead)
            .or_else(|| oldest(Phase::ClosingUnread))
            .or_else(oldest_of_a_crowd)
            .or_else(|| oldest(Phase::Asking))
            .or_else(|| oldest(Phase::Answering))?;
        let (wait, connection) = self.remove(number)?;
        Some((wait, connection?))
    }

    /// Shortens the deadline of every connection that is only being closed to `until`.
    pub(super) fn shorten_closing(&mut self, until: Instant) {
        for phase in [Phase::ClosingRead, Phase::ClosingUnread] {
            let later = self.by_age[phase as usize].split_off(&(until, 0));
            for (_, number) in later {
                if let Some(entry) = self.entries.get_mut(&number) {
                    entry.wait.deadline = until;
                    self.by_age[phase as usize].insert((until, number));
                }
            }
        }
    }

    fn enlist(&mut self, number: Number, wait: Wait) {
        let age = (wait.deadline, number);
        self.by_age[wait.phase as usize].insert(age);
        if wait.phase == Phase::Asking {
            self.asking.insert((wait.source, number));
            self.change_held(wait.source, |held| held + 1);
        }
        self.measure();
    }

    fn delist(&mut self, number: Number, wait: Wait) {
        let age = (wait.deadline, number);
        self.by_age[wait.phase as usize].remove(&age);
        if wait.phase == Phase::Asking {
            self.asking.remove(&(wait.source, number));
            self.change_held(wait.source, |held| held.saturating_sub(1));
        }
        self.measure();
    }

    fn change_held(&mut self, source: Source, change: impl Fn(u32) -> u32) {
        let held = self.held.entry(source).or_default();
        let before = *held;
        *held = change(before);
        let after = *held;
        if after == 0 {
            self.held.remove(&source);
        }
        if before > FREE_FOR_A_SOURCE {
            self.crowds.remove(&(before, source));
        }
        if after > FREE_FOR_A_SOURCE {
            self.crowds.insert((after, source));
        }
    }

    fn measure(&mut self) {
        let count = |phase: Phase| self.by_age[phase as usize].len();
        self.asking_gauge.set(count(Phase::Asking));
        let closing = count(Phase::ClosingRead) + count(Phase::ClosingUnread);
        self.closing_gauge.set(closing);
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
