//! The open connections: the queue for the workers, the connections that wait and their deadlines,
//! and the choice of the connection to evict when the limit is reached. It touches no socket and
//! reads no clock: the caller closes evicted connections and passes the time.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use super::slots::{List, Number, Slots};
use super::source::Source;
use crate::stats::Gauges;

/// The number of connections without a completed request that a source may hold before one of them
/// is evicted for other sources. Several players behind one address are no attack.
pub(super) const FREE_FOR_A_SOURCE: usize = 16;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has not completed a request yet.
    Asking,
    /// The request is complete, and the answer is not yet sent as a whole.
    Answering,
    /// It is only being closed.
    Closing(Rest),
}

/// The bytes that may still come from a client whose connection is being closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// All that Flash Player ever sends has been read.
    Nothing,
    /// There may be unread bytes, or bytes under way: they would turn a close into a reset.
    Possible,
}

/// The table of open connections, of type `C`.
pub(super) struct Places<C> {
    limit: usize,
    slots: Slots<Place<C>, 3>,
    sources: HashMap<Source, Number>,
    holders: Slots<Holder, 1>,
    /// The holders that have connections in the queue, in the order of their turns.
    turns: List,
    /// How many connections are in the queue.
    queued: usize,
    /// The connections that have not completed a request, the oldest first.
    asking: List,
    /// The connections that are only being closed, the oldest first: those with nothing more to
    /// come, and the others.
    closing: [List; 2],
    /// The holders of more than [`FREE_FOR_A_SOURCE`] connections that have not completed a
    /// request, by how many these are.
    crowds: BTreeSet<(usize, Number)>,
    /// The connections that wait, by the end of their time.
    deadlines: BTreeSet<(Instant, Number)>,
    gauges: Gauges,
}

struct Place<C> {
    /// The entry of its source.
    holder: Number,
    phase: Phase,
    stage: Stage,
    /// None while a worker has it.
    connection: Option<C>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It stands in the queue: a worker has to look at it.
    Ready,
    /// A worker has it.
    Working,
    /// There is nothing to do until its client does something, or until this moment.
    Waiting(Instant),
}

/// The links that the lists of connections use. By age, a connection is in one list at a time.
const BY_AGE: usize = 0;
const BY_SOURCE: usize = 1;
const IN_THE_QUEUE: usize = 2;

/// The connections of one source.
struct Holder {
    source: Source,
    /// How many connections.
    here: usize,
    /// Those that have not completed a request, the oldest first.
    asking: List,
    /// Those in the queue, first come, first served.
    ready: List,
}

/// A connection that lost its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Evicted<C> {
    pub(super) connection: C,
    pub(super) source: Source,
    pub(super) phase: Phase,
}

impl<C> Places<C> {
    /// For at most `limit` connections, which is below [`super::slots::MOST_SLOTS`].
    pub(super) fn new(limit: usize) -> Places<C> {
        Places {
            limit,
            slots: Slots::new(),
            sources: HashMap::new(),
            holders: Slots::new(),
            turns: List::new(0),
            queued: 0,
            asking: List::new(BY_AGE),
            closing: [List::new(BY_AGE); 2],
            crowds: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            gauges: Gauges::default(),
        }
    }

    pub(super) fn gauges(&self) -> Gauges {
        self.gauges
    }

    /// How many connections there may be.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// How many connections are in the queue.
    pub(super) fn queued(&self) -> usize {
        self.queued
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
        if self.slots.len() >= self.limit {
            evicted = self.evict();
            if evicted.is_none() {
                return Err(connection);
            }
        }
        let holder = self.holder_of(source);
        let number = self.slots.insert(Place {
            holder,
            phase: Phase::Asking,
            stage: Stage::Ready,
            connection: Some(connection),
        });
        self.list(number, holder, Phase::Asking);
        self.queue(number, holder);
        self.gauges.here.set(self.slots.len());
        Ok(evicted)
    }

    /// The next connection for a worker. Sources take turns, and the connections of one source are
    /// served in the order of arrival: a source that floods the queue delays only itself.
    pub(super) fn next(&mut self) -> Option<(Number, C)> {
        let at_turn = self.turns.first()?;
        // A source goes to the end of the turns after each connection, and leaves them with its last.
        self.holders.unlink(&mut self.turns, at_turn);
        let holder = self.holders.get_mut(at_turn)?;
        let number = holder.ready.first()?;
        self.slots.unlink(&mut holder.ready, number);
        self.queued -= 1;
        if holder.ready.len() > 0 {
            self.holders.append(&mut self.turns, at_turn);
        }
        let place = self.slots.get_mut(number)?;
        place.stage = Stage::Working;
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
        let Some(place) = self.slots.get_mut(number) else {
            return;
        };
        place.stage = Stage::Waiting(until);
        place.connection = Some(connection);
        let (holder, was) = (place.holder, place.phase);
        let same_source = self
            .holders
            .get(holder)
            .is_some_and(|holder| holder.source == source);
        // Its age lists depend on phase and source, so it leaves the old lists before either changes.
        // The new source is looked up after the old one is dropped: the entry may be used again.
        if !same_source || was != phase {
            self.unlist(number, holder, was);
            let new = if same_source {
                holder
            } else {
                self.drop_holder(holder);
                self.holder_of(source)
            };
            if let Some(place) = self.slots.get_mut(number) {
                place.holder = new;
                place.phase = phase;
            }
            self.list(number, new, phase);
        }
        // Last, since the lists above must be right for a connection that can be evicted.
        self.deadlines.insert((until, number));
        self.count_waiting(phase, true);
    }

    /// Puts a waiting connection back into the queue, since an event came for it. Nothing happens
    /// where the connection does not wait any more.
    pub(super) fn wake(&mut self, number: Number) {
        let Some(place) = self.slots.get_mut(number) else {
            return;
        };
        let Stage::Waiting(until) = place.stage else {
            return;
        };
        place.stage = Stage::Ready;
        let (holder, phase) = (place.holder, place.phase);
        self.deadlines.remove(&(until, number));
        self.count_waiting(phase, false);
        self.queue(number, holder);
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
        let slots = &mut self.slots;
        let later = self.deadlines.split_off(&(until, Number::SMALLEST));
        self.deadlines.extend(
            later
                .into_iter()
                .map(|(at, number)| match slots.get_mut(number) {
                    Some(place) if matches!(place.phase, Phase::Closing(_)) => {
                        place.stage = Stage::Waiting(until);
                        (until, number)
                    }
                    _ => (at, number),
                }),
        );
    }

    /// A connection that a worker had is closed.
    pub(super) fn leave(&mut self, number: Number) {
        if let Some(&Place { holder, phase, .. }) = self.slots.get(number) {
            self.unlist(number, holder, phase);
            self.drop_holder(holder);
            self.slots.remove(number);
            self.gauges.here.set(self.slots.len());
        }
    }

    /// Evicts one connection and returns it. The first choice is the oldest connection that is only
    /// being closed. The second is the oldest connection of the source with the most connections
    /// without a request, if it has more than [`FREE_FOR_A_SOURCE`]. The last is the oldest
    /// connection without a request. A connection whose request is complete is never evicted before
    /// its answer is sent, and one that a worker has is passed over.
    pub(super) fn evict(&mut self) -> Option<Evicted<C>> {
        // A worker has at most one connection, so the walk passes over few.
        let oldest = |list: &List| {
            let mut places = self.slots.walk(list);
            let spared = places.find(|(_, place)| place.stage != Stage::Working);
            spared.map(|(number, _)| number)
        };
        let of_the_crowd = || {
            let &(_, holder) = self.crowds.last()?;
            oldest(&self.holders.get(holder)?.asking)
        };
        // Clients with nothing more to send come first: their close makes no reset.
        let [quiet, others] = &self.closing;
        let number = oldest(quiet)
            .or_else(|| oldest(others))
            .or_else(of_the_crowd)
            .or_else(|| oldest(&self.asking))?;
        self.take_out(number)
    }

    /// Removes a connection that no worker has from the table and from every list.
    fn take_out(&mut self, number: Number) -> Option<Evicted<C>> {
        let place = self.slots.get(number)?;
        let (at, phase, stage) = (place.holder, place.phase, place.stage);
        let holder = self.holders.get_mut(at)?;
        let source = holder.source;
        match stage {
            // A source without a ready connection has no turn.
            Stage::Ready => {
                self.slots.unlink(&mut holder.ready, number);
                self.queued -= 1;
                if holder.ready.len() == 0 {
                    self.holders.unlink(&mut self.turns, at);
                }
            }
            Stage::Waiting(until) => {
                self.deadlines.remove(&(until, number));
                self.count_waiting(phase, false);
            }
            Stage::Working => {}
        }
        // The lists first: they run through the slot and the source's entry, which go next.
        self.unlist(number, at, phase);
        self.drop_holder(at);
        let place = self.slots.remove(number)?;
        self.gauges.here.set(self.slots.len());
        Some(Evicted {
            connection: place.connection?,
            source,
            phase,
        })
    }

    /// The entry of this source, counted for one connection more.
    fn holder_of(&mut self, source: Source) -> Number {
        let number = *self.sources.entry(source).or_insert_with(|| {
            self.holders.insert(Holder {
                source,
                here: 0,
                asking: List::new(BY_SOURCE),
                ready: List::new(IN_THE_QUEUE),
            })
        });
        if let Some(holder) = self.holders.get_mut(number) {
            holder.here += 1;
        }
        number
    }

    /// Counts one connection less for a source, and removes the source's entry with the last one.
    fn drop_holder(&mut self, number: Number) {
        let Some(holder) = self.holders.get_mut(number) else {
            return;
        };
        holder.here -= 1;
        if holder.here == 0 {
            self.sources.remove(&holder.source);
            self.holders.remove(number);
        }
    }

    fn queue(&mut self, number: Number, holder: Number) {
        if let Some(entry) = self.holders.get_mut(holder) {
            self.slots.append(&mut entry.ready, number);
            self.queued += 1;
            if entry.ready.len() == 1 {
                self.holders.append(&mut self.turns, holder);
            }
        }
    }

    /// Puts a connection into the lists of its phase.
    fn list(&mut self, number: Number, at: Number, phase: Phase) {
        match phase {
            Phase::Asking => {
                // A connection whose source was named late is older than others in the list.
                self.slots.insert_by_age(&mut self.asking, number);
                if let Some(holder) = self.holders.get_mut(at) {
                    let held = holder.asking.len();
                    self.slots.insert_by_age(&mut holder.asking, number);
                    self.rank(at, held, held + 1);
                }
            }
            Phase::Answering => {}
            Phase::Closing(rest) => {
                self.slots.append(&mut self.closing[rest as usize], number);
                self.count_closing();
            }
        }
    }

    /// Takes a connection out of these lists.
    fn unlist(&mut self, number: Number, at: Number, phase: Phase) {
        match phase {
            Phase::Asking => {
                self.slots.unlink(&mut self.asking, number);
                if let Some(holder) = self.holders.get_mut(at) {
                    let held = holder.asking.len();
                    self.slots.unlink(&mut holder.asking, number);
                    self.rank(at, held, held - 1);
                }
            }
            Phase::Answering => {}
            Phase::Closing(rest) => {
                self.slots.unlink(&mut self.closing[rest as usize], number);
                self.count_closing();
            }
        }
    }

    /// A holder held `before` connections that have not completed a request, and now holds `after`.
    fn rank(&mut self, holder: Number, before: usize, after: usize) {
        if before > FREE_FOR_A_SOURCE {
            self.crowds.remove(&(before, holder));
        }
        if after > FREE_FOR_A_SOURCE {
            self.crowds.insert((after, holder));
        }
    }

    fn count_waiting(&mut self, phase: Phase, one_more: bool) {
        if phase == Phase::Asking {
            let now = self.gauges.waiting.now;
            let now = if one_more {
                now + 1
            } else {
                now.saturating_sub(1)
            };
            self.gauges.waiting.set(now);
        }
    }

    fn count_closing(&mut self) {
        let [quiet, others] = &self.closing;
        self.gauges.closing.set(quiet.len() + others.len());
    }
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
