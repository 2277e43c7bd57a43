//! The workers that wait for a client to speak, and which of these waits has to end first: of the
//! sources with the worst record, the one that holds the most waits, and of these the oldest. An
//! attacker so evicts itself; a slow client elsewhere keeps its time.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use super::admission::Source;
use super::repute::Level;

/// All waits. `H` is what ends a wait.
pub(super) struct Waiting<H> {
    /// By worker: each waits for one client at the most.
    waits: Vec<Option<Wait<H>>>,
    holders: HashMap<Source, Holder>,
    /// Every holder by who has to go first, the first one last.
    ranking: BTreeSet<Rank>,
    next: u64,
}

struct Wait<H> {
    source: Source,
    number: u64,
    handle: H,
}

struct Holder {
    level: Level,
    /// Its waits, the oldest first: number, worker.
    waits: BTreeSet<(u64, usize)>,
}

type Rank = (Level, usize, Reverse<u64>, Source);

impl<H> Waiting<H> {
    pub(super) fn new(workers: usize) -> Waiting<H> {
        Waiting {
            waits: (0..workers).map(|_| None).collect(),
            holders: HashMap::new(),
            ranking: BTreeSet::new(),
            next: 0,
        }
    }

    /// A worker begins to wait.
    pub(super) fn begin(&mut self, worker: usize, source: Source, level: Level, handle: H) {
        let number = self.next;
        self.next += 1;
        if let Some(slot) = self.waits.get_mut(worker) {
            *slot = Some(Wait {
                source,
                number,
                handle,
            });
            self.update(source, |holder| {
                holder.level = level;
                holder.waits.insert((number, worker));
            });
        }
    }

    /// A worker's wait is over; false where it had been ended by [`Waiting::end_worst`].
    pub(super) fn end(&mut self, worker: usize) -> bool {
        self.take(worker).is_some()
    }

    /// Ends the wait that has to go first, and gives whose it was and how to end it.
    pub(super) fn end_worst(&mut self) -> Option<(Source, H)> {
        let &(_, _, _, source) = self.ranking.last()?;
        let &(_, worker) = self.holders.get(&source)?.waits.first()?;
        self.take(worker).map(|wait| (source, wait.handle))
    }

    fn take(&mut self, worker: usize) -> Option<Wait<H>> {
        let wait = self.waits.get_mut(worker)?.take()?;
        self.update(wait.source, |holder| {
            holder.waits.remove(&(wait.number, worker));
        });
        Some(wait)
    }

    /// Changes a holder and its rank with it.
    fn update(&mut self, source: Source, change: impl FnOnce(&mut Holder)) {
        let holder = self.holders.entry(source).or_insert(Holder {
            level: 0,
            waits: BTreeSet::new(),
        });
        if let Some(rank) = holder.rank(source) {
            self.ranking.remove(&rank);
        }
        change(holder);
        match holder.rank(source) {
            Some(rank) => {
                self.ranking.insert(rank);
            }
            None => {
                self.holders.remove(&source);
            }
        }
    }
}

impl Holder {
    /// None for a source that holds nothing.
    fn rank(&self, source: Source) -> Option<Rank> {
        let &(oldest, _) = self.waits.first()?;
        Some((self.level, self.waits.len(), Reverse(oldest), source))
    }
}
