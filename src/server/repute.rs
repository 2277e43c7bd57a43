//! A small memory of sources that were evicted, timed out or kept a worker waiting for what is no
//! request, without ever completing one. Thousands of silent connections from thousands of
//! addresses look like far-away players at first; only the second offence tells. It is bounded:
//! what is forgotten is merely treated like a newcomer. It never refuses anybody.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::time::{Duration, Instant};

use super::admission::Source;

/// Sources that are remembered at the most, 8 bytes each.
const SLOTS: usize = 64 * 1024;

/// Places in which one source may stand. With few of them some sources would always push each
/// other out, be newcomers for ever, and hold the workers; with these, 8,000 all find room.
const WAYS: usize = 8;

/// How long an offence is remembered after the last one.
const FORGET: Duration = Duration::from_secs(60);

/// How bad a source's record is: 0 for a newcomer and for a single offence (a player whose
/// connection broke), up to 3.
pub(super) type Level = u8;

/// The offences of sources.
pub(super) struct Repute {
    slots: Box<[Slot]>,
    /// Keyed at random, so that nobody can choose addresses that share a place.
    hasher: RandomState,
    start: Instant,
    /// When the last offence was, in seconds after `start`; none where nothing is remembered, and
    /// nothing has to be looked up.
    last: Option<u64>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// A part of the source's hash.
    tag: u32,
    /// 0 where the slot is free.
    offences: u16,
    /// Seconds after `start`. That they start anew after 18 hours does no harm: what is so old
    /// counts for another minute, unless its place was needed.
    last: u16,
}

impl Repute {
    pub(super) fn new() -> Repute {
        Repute {
            slots: vec![Slot::default(); SLOTS].into(),
            hasher: RandomState::new(),
            start: Instant::now(),
            last: None,
        }
    }

    /// Whether every record is empty or too old to count.
    fn is_blank(&mut self) -> bool {
        if let Some(last) = self.last {
            if self.start.elapsed().as_secs().saturating_sub(last) > FORGET.as_secs() {
                self.last = None;
            }
        }
        self.last.is_none()
    }

    /// How bad the source's record is.
    pub(super) fn level(&mut self, source: Source) -> Level {
        if self.is_blank() || matches!(source, Source::Unnamed(_)) {
            return 0;
        }
        let (tag, places) = self.places(source);
        let now = self.now();
        self.slots[places]
            .iter()
            .find(|slot| slot.tag == tag && !slot.is_old(now))
            .map_or(0, |slot| slot.offences.ilog2().min(3) as Level)
    }

    /// The source was evicted, timed out, or sent what is no request.
    pub(super) fn offended(&mut self, source: Source) {
        if matches!(source, Source::Unnamed(_)) {
            return;
        }
        let (tag, places) = self.places(source);
        let now = self.now();
        self.last = Some(self.start.elapsed().as_secs());
        let places = &mut self.slots[places];
        let own = places
            .iter()
            .position(|slot| slot.tag == tag && !slot.is_old(now));
        let slot = match own {
            Some(index) => places.get_mut(index),
            // The one with the least to remember makes room.
            None => places
                .iter_mut()
                .min_by_key(|slot| if slot.is_old(now) { 0 } else { slot.offences }),
        };
        if let Some(slot) = slot {
            let before = if own.is_some() { slot.offences } else { 0 };
            *slot = Slot {
                tag,
                offences: before.saturating_add(1),
                last: now,
            };
        }
    }

    /// The source completed a request.
    pub(super) fn cleared(&mut self, source: Source) {
        if self.is_blank() {
            return;
        }
        let (tag, places) = self.places(source);
        for slot in &mut self.slots[places] {
            if slot.tag == tag {
                *slot = Slot::default();
            }
        }
    }

    fn now(&self) -> u16 {
        self.start.elapsed().as_secs() as u16
    }

    fn places(&self, source: Source) -> (u32, Range<usize>) {
        let hash = self.hasher.hash_one(source);
        let first = hash as usize % (SLOTS / WAYS) * WAYS;
        ((hash >> 32) as u32, first..first + WAYS)
    }
}

impl Slot {
    fn is_old(&self, now: u16) -> bool {
        self.offences == 0 || u64::from(now.wrapping_sub(self.last)) > FORGET.as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn host(number: u32) -> Source {
        Source::of(IpAddr::from(number.to_be_bytes()))
    }

    #[test]
    fn one_offence_is_forgiven_and_more_count() {
        let mut repute = Repute::new();
        let levels: Vec<_> = (0..9)
            .map(|_| {
                let level = repute.level(host(1));
                repute.offended(host(1));
                level
            })
            .collect();
        assert_eq!(levels, [0, 0, 1, 1, 2, 2, 2, 2, 3]);
        assert_eq!(repute.level(host(2)), 0);
    }

    #[test]
    fn a_completed_request_clears_the_record() {
        let mut repute = Repute::new();
        for _ in 0..8 {
            repute.offended(host(1));
        }
        repute.cleared(host(1));
        assert_eq!(repute.level(host(1)), 0);
    }

    #[test]
    fn offences_are_forgotten_after_a_while() {
        let mut repute = Repute::new();
        repute.offended(host(1));
        repute.offended(host(1));
        assert_eq!(repute.level(host(1)), 1);
        repute.start -= FORGET + Duration::from_secs(2);
        assert_eq!(repute.level(host(1)), 0);
    }

    #[test]
    fn eight_thousand_offenders_are_remembered_and_a_million_take_no_more_memory() {
        let mut repute = Repute::new();
        for _ in 0..2 {
            for number in 0..8000 {
                repute.offended(host(number));
            }
        }
        let known = (0..8000).filter(|&n| repute.level(host(n)) > 0).count();
        assert!(known > 7990, "{known}");
        for number in 0..1_000_000 {
            repute.offended(host(number));
        }
        assert_eq!(repute.slots.len(), SLOTS);
    }
}
