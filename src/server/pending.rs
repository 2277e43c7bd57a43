//! The queue of connections that no worker has taken yet. Sources take turns, and each source's
//! own connections are first come, first served. Who holds the most loses first when there is no
//! more room. Sources with a bad record stand in a line of their own, which moves more slowly.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::admission::Source;

/// While others are pending, this many of them are served before one from a source with a bad
/// record.
const TURNS_BEFORE_AN_OFFENDER: u32 = 7;

/// As long as no more are pending than this part of the places, and nobody among them with a bad
/// record, they are served as they came: whose turn it is matters once there is a queue, and
/// costs more than a lock.
const CALM_PART: usize = 32;

/// Everything that is pending.
pub(super) struct Pending<T> {
    /// Who came when there was no queue; served before all others.
    calm: VecDeque<T>,
    most_calm: usize,
    newcomers: Queue<T>,
    offenders: Queue<T>,
    turns_since_an_offender: u32,
}

impl<T> Pending<T> {
    /// For so many pending connections at the most; to keep to that is the caller's task.
    pub(super) fn new(places: usize) -> Pending<T> {
        Pending {
            calm: VecDeque::new(),
            most_calm: places / CALM_PART,
            newcomers: Queue::default(),
            offenders: Queue::default(),
            turns_since_an_offender: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.calm.len() + self.queued()
    }

    fn queued(&self) -> usize {
        self.newcomers.len + self.offenders.len
    }

    pub(super) fn push(&mut self, source: Source, offender: bool, connection: T) {
        if !offender && self.calm.len() < self.most_calm && self.queued() == 0 {
            self.calm.push_back(connection);
        } else if offender {
            self.offenders.push(source, connection);
        } else {
            self.newcomers.push(source, connection);
        }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        if let Some(connection) = self.calm.pop_front() {
            return Some(connection);
        }
        let offenders_turn = self.turns_since_an_offender >= TURNS_BEFORE_AN_OFFENDER;
        let (first, second) = if offenders_turn {
            (&mut self.offenders, &mut self.newcomers)
        } else {
            (&mut self.newcomers, &mut self.offenders)
        };
        let before = first.len;
        let connection = first.pop().or_else(|| second.pop());
        if offenders_turn || before == 0 {
            self.turns_since_an_offender = 0;
        } else {
            self.turns_since_an_offender += 1;
        }
        connection
    }

    /// Takes out the newest connection of whoever holds the most, offenders first. Where several
    /// hold equally many, the newcomer has to go.
    pub(super) fn drop_one(&mut self, newcomer: Source) -> Option<T> {
        self.offenders
            .drop_newest_of_the_biggest(newcomer)
            .or_else(|| self.newcomers.drop_newest_of_the_biggest(newcomer))
    }
}

struct Queue<T> {
    lines: HashMap<Source, VecDeque<T>>,
    turns: VecDeque<Source>,
    /// Every source with the length of its line, the longest last.
    sizes: BTreeSet<(usize, Source)>,
    len: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue {
            lines: HashMap::new(),
            turns: VecDeque::new(),
            sizes: BTreeSet::new(),
            len: 0,
        }
    }
}

impl<T> Queue<T> {
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

    fn drop_newest_of_the_biggest(&mut self, newcomer: Source) -> Option<T> {
        let &(most, biggest) = self.sizes.last()?;
        let own = self.lines.get(&newcomer).map_or(0, VecDeque::len);
        let source = if own == most { newcomer } else { biggest };
        let line = self.lines.get_mut(&source)?;
        let connection = line.pop_back()?;
        let size = line.len();
        if size == 0 {
            self.lines.remove(&source);
            // The newcomer's turn is the last one, so this finds it at once.
            if let Some(turn) = self.turns.iter().rposition(|turn| *turn == source) {
                self.turns.remove(turn);
            }
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
    use std::net::IpAddr;

    #[test]
    fn turns_begin_where_there_is_a_queue() {
        let source = |last| Source::of(IpAddr::from([127, 0, 0, last]));
        let mut pending = Pending::new(3 * CALM_PART);
        for (last, connection) in [(1, "a1"), (1, "a2"), (1, "a3"), (1, "a4"), (1, "a5")] {
            pending.push(source(last), false, connection);
        }
        pending.push(source(2), false, "b1");
        assert_eq!(pending.pop(), Some("a1"));
        // There is room among the first ones again, but others are in the queue.
        pending.push(source(1), false, "a6");
        pending.push(source(3), false, "c1");
        let order: Vec<_> = std::iter::from_fn(|| pending.pop()).collect();
        assert_eq!(order, ["a2", "a3", "a4", "b1", "c1", "a5", "a6"]);
        assert_eq!(pending.len(), 0);
        pending.push(source(4), true, "offender");
        pending.push(source(1), false, "a7");
        assert_eq!(
            pending.pop(),
            Some("a7"),
            "turns, also among the first ones"
        );
    }
}
