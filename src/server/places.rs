//! The open connections: the queue for the workers, the connections that wait and their deadlines,
//! and the choice of the connection to evict when the limit is reached. It touches no socket and
//! reads no clock: the caller closes evicted connections and passes the time.

use std::collections::BTreeSet;
use std::collections::hash_map::{Entry, HashMap};
use std::mem;
use std::time::Instant;

use super::source::Source;
use crate::stats::{Gauge, Gauges};

/// The number of connections without a completed request that a source may hold before one of them
/// is evicted for other sources. Several players behind one address are no attack.
pub(super) const FREE_FOR_A_SOURCE: usize = 16;

/// Names a connection. A younger connection has a greater number, and none has 0.
pub(super) type Number = u64;

/// How far a connection is. The first phases are evicted first; a connection that is
/// [`Phase::Answering`] is never evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It is only being closed.
    Closing(Rest),
    /// It has not completed a request yet.
    Asking,
    /// The request is complete, and the answer is not yet sent as a whole.
    Answering,
}

/// The bytes that may still come from a client whose connection is being closed. Where none come,
/// an eviction makes no reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rest {
    /// All that Flash Player ever sends has been read.
    Nothing,
    /// There may be unread bytes, or bytes under way: they would turn a close into a reset.
    Possible,
}

/// The table of open connections, of type `C`.
pub(super) struct Places<C> {
    limit: usize,
    /// The number of the youngest connection.
    youngest: Number,
    places: HashMap<Number, Place<C>>,
    sources: HashMap<Source, Held>,
    queue: Queue,
    /// The connections that wait, by the end of their time.
    deadlines: BTreeSet<(Instant, Number)>,
    evictable: Evictable,
    gauges: Gauges,
}

struct Place<C> {
    source: Source,
    phase: Phase,
    stage: Stage,
    /// None while a worker has it.
    connection: Option<C>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is in the queue: a worker has to look at it.
    Ready(Round),
    /// A worker has it.
    Working,
    /// There is nothing to do until its client does something, or until this moment.
    Waiting(Instant),
}

/// What a source holds.
#[derive(Default)]
struct Held {
    /// Its connections, those with a worker included.
    here: usize,
    /// Its entries in [`Evictable::asking`].
    asking: usize,
    /// The round of its last connection that came into the queue.
    round: Round,
}

type Round = u64;

/// The connections for the workers. In a round, each source has one turn.
#[derive(Default)]
struct Queue {
    turns: BTreeSet<(Round, Number)>,
    /// The round of the last turn.
    round: Round,
}

/// The connections that can be evicted. Those with a worker are not here.
#[derive(Default)]
struct Evictable {
    by_phase: BTreeSet<(Phase, Number)>,
    /// Those that are [`Phase::Asking`], by source.
    asking: BTreeSet<(Source, Number)>,
    /// The sources with more than [`FREE_FOR_A_SOURCE`] of these, by how many they have.
    crowds: BTreeSet<(usize, Source)>,
    /// How many are only being closed.
    closing: Gauge,
}

/// A connection that lost its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Evicted<C> {
    pub(super) connection: C,
    pub(super) source: Source,
    pub(super) phase: Phase,
}

impl<C> Places<C> {
    /// For at most `limit` connections.
    pub(super) fn new(limit: usize) -> Places<C> {
        Places {
            limit,
            youngest: 0,
            places: HashMap::new(),
            sources: HashMap::new(),
            queue: Queue::default(),
            deadlines: BTreeSet::new(),
            evictable: Evictable::default(),
            gauges: Gauges::default(),
        }
    }

    pub(super) fn gauges(&self) -> Gauges {
        Gauges {
            closing: self.evictable.closing,
            ..self.gauges
        }
    }

    /// How many connections there may be.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// How many connections are in the queue.
    pub(super) fn queued(&self) -> usize {
        self.queue.turns.len()
    }

    /// When the first of those that wait has waited long enough.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// Adds a new connection and puts it into the queue. At the limit another connection is evicted
    /// and returned.
    ///
    /// # Errors
    /// The new connection itself, when the limit is reached and none can be evicted.
    pub(super) fn enter(&mut self, source: Source, connection: C) -> Result<Option<Evicted<C>>, C> {
        let mut evicted = None;
        if self.places.len() >= self.limit {
            evicted = self.evict();
            if evicted.is_none() {
                return Err(connection);
            }
        }
        self.youngest += 1;
        let number = self.youngest;
        let held = self.sources.entry(source).or_default();
        held.here += 1;
        let place = Place {
            source,
            phase: Phase::Asking,
            stage: Stage::Ready(self.queue.add(number, held)),
            connection: Some(connection),
        };
        self.evictable.add(number, &place, held);
        self.places.insert(number, place);
        self.gauges.here.set(self.places.len());
        Ok(evicted)
    }

    /// The next connection for a worker. Sources take turns, and the connections of one source are
    /// served in the order of arrival: a source that floods the queue delays only itself.
    pub(super) fn next(&mut self) -> Option<(Number, C)> {
        let number = self.queue.next()?;
        let place = self.places.get_mut(&number)?;
        place.stage = Stage::Working;
        let held = self.sources.get_mut(&place.source)?;
        self.evictable.remove(number, place, held);
        Some((number, place.connection.take()?))
    }

    /// A worker gives a connection back that has to wait, until `until` at the most. Its source may
    /// have changed: a PROXY header names it only after the connection was accepted.
    pub(super) fn wait(
        &mut self,
        number: Number,
        connection: C,
        source: Source,
        phase: Phase,
        until: Instant,
    ) {
        let Some(place) = self.places.get_mut(&number) else {
            return;
        };
        let before = mem::replace(&mut place.source, source);
        place.phase = phase;
        place.stage = Stage::Waiting(until);
        place.connection = Some(connection);
        let held = self.sources.entry(source).or_default();
        self.evictable.add(number, place, held);
        self.deadlines.insert((until, number));
        if before != source {
            held.here += 1;
            self.release(before);
        }
        if phase == Phase::Asking {
            self.gauges.waiting.set(self.gauges.waiting.now + 1);
        }
    }

    /// Puts a waiting connection back into the queue, since an event came for it. Nothing happens
    /// where the connection does not wait any more.
    pub(super) fn wake(&mut self, number: Number) {
        let Some(place) = self.places.get_mut(&number) else {
            return;
        };
        let Stage::Waiting(until) = place.stage else {
            return;
        };
        let held = self.sources.entry(place.source).or_default();
        place.stage = Stage::Ready(self.queue.add(number, held));
        let phase = place.phase;
        self.end_wait(number, phase, until);
    }

    /// Puts the connections whose deadline has passed back into the queue.
    pub(super) fn wake_expired(&mut self, now: Instant) {
        while let Some(&first) = self.deadlines.first().filter(|(until, _)| *until <= now) {
            self.wake(first.1);
            // Every deadline belongs to a waiting connection. Should that be wrong one day, the loop
            // still ends.
            self.deadlines.remove(&first);
        }
    }

    /// Shortens the deadline of every connection that is only being closed to `until`.
    pub(super) fn hasten_closing(&mut self, until: Instant) {
        let places = &mut self.places;
        let later = self.deadlines.split_off(&(until, 0));
        self.deadlines.extend(later.into_iter().map(
            |(at, number)| match places.get_mut(&number) {
                Some(place) if matches!(place.phase, Phase::Closing(_)) => {
                    place.stage = Stage::Waiting(until);
                    (until, number)
                }
                _ => (at, number),
            },
        ));
    }

    /// A connection that a worker had is closed.
    pub(super) fn leave(&mut self, number: Number) {
        if let Some(place) = self.places.remove(&number) {
            self.release(place.source);
            self.gauges.here.set(self.places.len());
        }
    }

    /// Evicts one connection and returns it. The first choice is the oldest connection that is only
    /// being closed. The second is the oldest connection of the source with the most connections
    /// without a request, if it has more than [`FREE_FOR_A_SOURCE`]. The last is the oldest
    /// connection without a request. A connection whose request is complete is never evicted before
    /// its answer is sent, and neither is one that a worker has.
    pub(super) fn evict(&mut self) -> Option<Evicted<C>> {
        let number = self.evictable.first()?;
        let place = self.places.remove(&number)?;
        match place.stage {
            Stage::Ready(round) => self.queue.remove(number, round),
            Stage::Waiting(until) => self.end_wait(number, place.phase, until),
            Stage::Working => {}
        }
        let held = self.sources.get_mut(&place.source)?;
        self.evictable.remove(number, &place, held);
        self.release(place.source);
        self.gauges.here.set(self.places.len());
        Some(Evicted {
            connection: place.connection?,
            source: place.source,
            phase: place.phase,
        })
    }

    /// Counts one connection less for a source, and forgets the source with the last one.
    fn release(&mut self, source: Source) {
        if let Entry::Occupied(mut held) = self.sources.entry(source) {
            held.get_mut().here -= 1;
            if held.get().here == 0 {
                held.remove();
            }
        }
    }

    fn end_wait(&mut self, number: Number, phase: Phase, until: Instant) {
        self.deadlines.remove(&(until, number));
        if phase == Phase::Asking {
            self.gauges.waiting.set(self.gauges.waiting.now - 1);
        }
    }
}

impl Queue {
    /// Adds a connection to the next round in which its source has no turn yet.
    fn add(&mut self, number: Number, held: &mut Held) -> Round {
        // Never to the round that goes on, or new sources could keep it from its end.
        held.round = held.round.max(self.round) + 1;
        self.turns.insert((held.round, number));
        held.round
    }

    fn next(&mut self) -> Option<Number> {
        let (round, number) = self.turns.pop_first()?;
        self.round = round;
        Some(number)
    }

    fn remove(&mut self, number: Number, round: Round) {
        self.turns.remove(&(round, number));
    }
}

impl Evictable {
    /// The connection that has to go first: see [`Places::evict`].
    fn first(&self) -> Option<Number> {
        let &(phase, oldest) = self.by_phase.first()?;
        let of_the_crowd = match phase {
            Phase::Asking => self.oldest_of_the_crowd(),
            Phase::Closing(_) | Phase::Answering => None,
        };
        Some(of_the_crowd.unwrap_or(oldest))
    }

    fn oldest_of_the_crowd(&self) -> Option<Number> {
        let &(_, source) = self.crowds.last()?;
        let mut asking = self.asking.range((source, 0)..);
        asking.next().map(|&(_, number)| number)
    }

    /// Adds a connection, unless its phase forbids an eviction.
    fn add<C>(&mut self, number: Number, place: &Place<C>, held: &mut Held) {
        match place.phase {
            Phase::Answering => return,
            Phase::Closing(_) => self.closing.set(self.closing.now + 1),
            Phase::Asking => {
                self.asking.insert((place.source, number));
                self.rank(place.source, held, held.asking + 1);
            }
        }
        self.by_phase.insert((place.phase, number));
    }

    fn remove<C>(&mut self, number: Number, place: &Place<C>, held: &mut Held) {
        match place.phase {
            Phase::Answering => return,
            Phase::Closing(_) => self.closing.set(self.closing.now - 1),
            Phase::Asking => {
                self.asking.remove(&(place.source, number));
                self.rank(place.source, held, held.asking - 1);
            }
        }
        self.by_phase.remove(&(place.phase, number));
    }

    fn rank(&mut self, source: Source, held: &mut Held, asking: usize) {
        if held.asking > FREE_FOR_A_SOURCE {
            self.crowds.remove(&(held.asking, source));
        }
        if asking > FREE_FOR_A_SOURCE {
            self.crowds.insert((asking, source));
        }
        held.asking = asking;
    }
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
