//! A small memory of sources that were evicted or timed out without ever completing a request.
//! Thousands of silent connections from thousands of addresses look like far-away players at
//! first; only the second offence tells. It is bounded: what is forgotten is merely treated like a
//! newcomer. It never refuses anybody.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use super::admission::Source;

/// Sources that are remembered at the most, 16 bytes each.
const SLOTS: usize = 16 * 1024;

/// Places in which one source may stand.
const WAYS: usize = 4;

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
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// The source's hash; 0 where the slot is free.
    key: u64,
    offences: u32,
    /// Seconds after `start`.
    last: u32,
}

impl Repute {
    pub(super) fn new() -> Repute {
        Repute {
            slots: vec![Slot::default(); SLOTS].into(),
            hasher: RandomState::new(),
            start: Instant::now(),
        }
    }

    /// How bad the source's record is.
    pub(super) fn level(&self, source: Source) -> Level {
        let (key, places) = self.places(source);
        let now = self.now();
        self.slots[places]
            .iter()
            .find(|slot| slot.key == key && !slot.is_old(now))
            .map_or(0, |slot| slot.offences.max(1).ilog2().min(3) as Level)
    }

    /// The source was evicted or timed out.
    pub(super) fn offended(&mut self, source: Source) {
        let (key, places) = self.places(source);
        let now = self.now();
        let places = &mut self.slots[places];
        let own = places
            .iter()
            .position(|slot| slot.key == key && !slot.is_old(now));
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
                key,
                offences: before.saturating_add(1),
                last: now,
            };
        }
    }

    /// The source completed a request.
    pub(super) fn cleared(&mut self, source: Source) {
        let (key, places) = self.places(source);
        for slot in &mut self.slots[places] {
            if slot.key == key {
                *slot = Slot::default();
            }
        }
    }

    fn now(&self) -> u32 {
        self.start.elapsed().as_secs().min(u64::from(u32::MAX)) as u32
    }

    fn places(&self, source: Source) -> (u64, std::ops::Range<usize>) {
        let key = self.hasher.hash_one(source).max(1);
        let first = key as usize % (SLOTS / WAYS) * WAYS;
        (key, first..first + WAYS)
    }
}

impl Slot {
    fn is_old(&self, now: u32) -> bool {
        self.key == 0 || u64::from(now.saturating_sub(self.last)) > FORGET.as_secs()
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
        assert!(known > 7000, "{known}");
        for number in 0..1_000_000 {
            repute.offended(host(number));
        }
        assert_eq!(repute.slots.len(), SLOTS);
    }
}
