//! Which clients have lines of their own in the log, and how many of whom have none. It logs
//! nothing.
//!
//! A load must not push the log's own history out of the files that are kept. So a source that asks
//! as a person does, and not as a loop, has its lines, and so have all together, up to a rate: the
//! others are counted. A client has two lines of less than 100 bytes each: in the long run all
//! together write less than 200 bytes a second, and 0.8 MB more once after a time of rest.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::source::Source;
use super::tally::Tally;

/// Clients of one source that have lines at once: some pages with several SWFs, or a class of people
/// behind one address.
const BURST: u32 = 60;

/// After that one client of the source has lines in each such time. A client that comes sooner has
/// none, and the time begins anew with it: a loop has lines for its first clients only, and takes
/// nothing from the others.
const ONE_IN: Duration = Duration::from_secs(1);

/// Clients of all sources that have lines at once: about as many as there are sources in the table,
/// so that a source at rest has its lines also when all the others begin a loop.
const BURST_OF_ALL: u32 = 4_096;

/// The part of these that is kept for sources at rest: those that have used nothing of their own.
const FOR_SOURCES_AT_REST: u32 = 2_048;

/// After that one client of all sources has lines in each such time.
const ALL_ONE_IN: Duration = Duration::from_secs(1);

/// Sources that are known one by one; the table takes 300 KB then. All others share what one has.
const MOST_SOURCES: usize = 4_096;

/// The shortest time between two searches for sources at rest, which need no entry in the table.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Permits lines about clients, and counts the clients that have none.
pub(super) struct ClientLines(Mutex<State>);

/// Each `Instant` but the last is the time at which the source has used nothing: each client adds
/// to it.
struct State {
    sources: HashMap<Source, Instant>,
    /// The sources for which there is no room in the table.
    others: Instant,
    all: Instant,
    next_sweep: Instant,
    left_out: Tally,
}

impl ClientLines {
    pub(super) fn new() -> ClientLines {
        let now = Instant::now();
        ClientLines(Mutex::new(State {
            sources: HashMap::new(),
            others: now,
            all: now,
            next_sweep: now,
            left_out: Tally::default(),
        }))
    }

    /// Whether the lines about one client of this source may be written; where not, it is counted.
    /// To be called once for each client. At the level `debug` all are written.
    pub(super) fn admit_or_count(&self, source: Source, now: Instant) -> bool {
        if log::max_level() >= log::LevelFilter::Debug {
            return true;
        }
        let mut state = self.lock();
        let permitted = state.permits(source, now);
        if !permitted {
            state.left_out.add(source);
        }
        permitted
    }

    /// The clients without lines since the last call.
    pub(super) fn take_left_out(&self) -> Tally {
        std::mem::take(&mut self.lock().left_out)
    }

    pub(super) fn has_left_out(&self) -> bool {
        self.lock().left_out.total() > 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn permits(&mut self, source: Source, now: Instant) -> bool {
        let all = self.all.saturating_duration_since(now) + ALL_ONE_IN;
        let own = self.own(source, now);
        let after = own.saturating_duration_since(now) + ONE_IN;
        let for_all = if after == ONE_IN {
            BURST_OF_ALL
        } else {
            BURST_OF_ALL - FOR_SOURCES_AT_REST
        };
        let used_up = ONE_IN * BURST;
        *own = now + after.min(used_up);
        let permitted = after <= used_up && all <= ALL_ONE_IN * for_all;
        if permitted {
            self.all = now + all;
        }
        permitted
    }

    /// When the source has used nothing.
    fn own(&mut self, source: Source, now: Instant) -> &mut Instant {
        if self.sources.len() >= MOST_SOURCES && !self.sources.contains_key(&source) {
            if now >= self.next_sweep {
                self.next_sweep = now + SWEEP_EVERY;
                self.sources.retain(|_, at_rest| *at_rest > now);
            }
            if self.sources.len() >= MOST_SOURCES {
                return &mut self.others;
            }
        }
        self.sources.entry(source).or_insert(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn source(number: u32) -> Source {
        Source::V4(number.into())
    }

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_source_that_asks_as_a_person_does_has_all_its_lines_for_days() {
        let lines = ClientLines::new();
        let start = Instant::now();
        for page in 0..20_000 {
            let opened = start + ms(page * 12_000);
            for swf in 0..4 {
                assert!(
                    lines.admit_or_count(source(1), opened + ms(swf * 50)),
                    "{page}"
                );
            }
        }
        assert!(!lines.has_left_out());
    }

    #[test]
    fn a_loop_has_lines_for_its_first_clients_and_then_after_a_pause() {
        let lines = ClientLines::new();
        let start = Instant::now();
        let permitted = |from: u64, to| {
            let asked = (from..to).filter(|&at| lines.admit_or_count(source(1), start + ms(at)));
            asked.count()
        };
        assert_eq!(permitted(0, 60_000), 60, "a client in each millisecond");
        assert_eq!(lines.take_left_out().total(), 59_940);
        assert_eq!(permitted(60_998, 60_999), 0, "not yet 1 s");
        assert_eq!(permitted(61_998, 66_000), 1, "1 s after the last one");
        let after_a_minute = permitted(130_000, 140_000);
        assert_eq!(
            after_a_minute, 60,
            "as in the beginning, and no more is saved up"
        );
    }

    #[test]
    fn two_thousand_loops_leave_a_person_his_lines_and_the_log_its_history() {
        let lines = ClientLines::new();
        let start = Instant::now();
        let person = source(1 << 31);
        let (mut asked, mut permitted) = (0, 0);
        // 10,000 clients a second for a minute, and one person every 7 s.
        for step in 0..600_000_u64 {
            let now = start + Duration::from_micros(step * 100);
            if step % 70_000 == 30_000 {
                assert!(lines.admit_or_count(person, now), "after {step}");
            }
            asked += 1;
            permitted += u64::from(lines.admit_or_count(source((step % 2_000) as u32), now));
        }
        assert!(permitted < 4_200, "{permitted} of {asked}");
        let left_out = lines.take_left_out();
        assert_eq!(left_out.total(), asked - permitted);
        assert!(!left_out.to_string().contains("128.0.0.0"), "{left_out}");
        assert!(!lines.has_left_out());
    }

    #[test]
    fn any_number_of_sources_takes_bounded_memory_and_bounded_lines() {
        let lines = ClientLines::new();
        let start = Instant::now();
        let permitted = (0..300_000_u32).filter(|&number| {
            let now = start + Duration::from_micros(u64::from(number) * 100);
            lines.admit_or_count(source(number), now)
        });
        // 30 s long.
        assert!(permitted.count() <= 4_096 + 30);
        let state = lines.lock();
        assert!(state.sources.len() <= MOST_SOURCES);
        assert!(state.sources.capacity() < 2 * MOST_SOURCES);
        drop(state);
        let later = start + Duration::from_secs(200);
        assert!(
            lines.admit_or_count(source(7), later),
            "the table has room again"
        );
    }

    proptest! {
        /// Over any stretch of any history: bounds for one source and for all, and nobody is lost.
        #[test]
        fn lines_are_bounded_in_every_stretch_and_every_client_is_counted(
            history in prop::collection::vec((0..6_u32, prop_oneof![Just(0), 0..200_u64, 0..9_000_u64]), 1..400),
        ) {
            let lines = ClientLines::new();
            let start = Instant::now();
            let mut clock = 0;
            let mut written: Vec<(u32, u64)> = Vec::new();
            let mut last = [None; 6];
            for &(number, pause) in &history {
                clock += pause;
                let permitted = lines.admit_or_count(source(number), start + ms(clock));
                let before = last[number as usize].replace(clock);
                let rested = before.is_none_or(|before| clock - before >= 60_000);
                prop_assert!(permitted || !rested, "it was at rest");
                if permitted {
                    written.push((number, clock));
                }
            }
            let left_out = lines.take_left_out().total();
            prop_assert_eq!(left_out + written.len() as u64, history.len() as u64);
            for (index, &(number, from)) in written.iter().enumerate() {
                let own = written[index..].iter().filter(|line| line.0 == number);
                for (count, &(_, to)) in own.enumerate() {
                    prop_assert!(count as u64 <= 60 + (to - from) / 1_000);
                }
            }
        }
    }
}
