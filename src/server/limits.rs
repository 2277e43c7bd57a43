//! Limits per time: connections that begin to linger, log lines about connections without a
//! request, and repeated messages. It logs nothing itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::source::Source;
use super::tally::Tally;

/// How many of the connections with nothing more to come begin to linger in one span. Players come
/// more slowly than this, and lingering costs a quarter of a policy.
const LINGER_IN_A_SPAN: u64 = 16;

/// In milliseconds.
const SPAN: u128 = 10;

/// Lets a bounded number through in a span of time.
pub(super) struct LingerLimit {
    start: Instant,
    /// The span, counted from the start, in the upper half; how many came in it, in the lower one.
    span_and_count: AtomicU64,
}

impl LingerLimit {
    pub(super) fn new() -> LingerLimit {
        LingerLimit {
            start: Instant::now(),
            span_and_count: AtomicU64::new(0),
        }
    }

    /// Whether one more may begin to linger.
    pub(super) fn permits(&self, now: Instant) -> bool {
        let span = (now.saturating_duration_since(self.start).as_millis() / SPAN) as u64;
        let (span, full) = (span << 32, (span << 32) + LINGER_IN_A_SPAN);
        let one_more = |before: u64| {
            let before = before.max(span);
            (before < full).then_some(before + 1)
        };
        self.span_and_count
            .fetch_update(Relaxed, Relaxed, one_more)
            .is_ok()
    }
}

/// Lets one through in a second, for messages about what happens thousands of times.
#[derive(Default)]
pub(super) struct OnceASecond(Mutex<Option<Instant>>);

impl OnceASecond {
    pub(super) fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= Duration::from_secs(1));
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

/// Lines about connections that asked for nothing: this many a second, over a longer time. An
/// attack must not push the log's own history out of the files that are kept.
const QUIET_LINES_A_SECOND: u32 = 100;

/// And this many at once.
const QUIET_LINES_AT_ONCE: u32 = 1_000;

/// A connection has two lines.
const LINES: u32 = 2;

/// Permits lines about connections that asked for nothing, and counts what is left out.
pub(super) struct LineLimit {
    state: Mutex<LineState>,
}

struct LineState {
    /// How many lines may be written now.
    lines: u32,
    /// Until when that has been reckoned.
    until: Instant,
    left_out: Tally,
}

impl LineLimit {
    pub(super) fn new() -> LineLimit {
        LineLimit {
            state: Mutex::new(LineState {
                lines: QUIET_LINES_AT_ONCE,
                until: Instant::now(),
                left_out: Tally::default(),
            }),
        }
    }

    /// Whether the two lines about one connection may be written. At the level `debug` all are.
    pub(super) fn permits(&self, now: Instant) -> bool {
        log::max_level() >= log::LevelFilter::Debug || self.lock().permits(now)
    }

    /// The lines about a connection of this source are not written.
    pub(super) fn left_out(&self, source: Source) {
        self.lock().left_out.add(source);
    }

    /// The connections that were left out since the last call.
    pub(super) fn take_left_out(&self) -> Tally {
        std::mem::take(&mut self.lock().left_out)
    }

    pub(super) fn has_left_out(&self) -> bool {
        self.lock().left_out.total() > 0
    }

    fn lock(&self) -> MutexGuard<'_, LineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LineState {
    fn permits(&mut self, now: Instant) -> bool {
        const ONE: Duration = Duration::from_micros(1_000_000 / QUIET_LINES_A_SECOND as u64);
        let passed = now.saturating_duration_since(self.until);
        let earned = passed.as_micros() / ONE.as_micros();
        if earned > u128::from(QUIET_LINES_AT_ONCE) {
            self.lines = QUIET_LINES_AT_ONCE;
            self.until = now;
        } else {
            self.lines = QUIET_LINES_AT_ONCE.min(self.lines + earned as u32);
            self.until += ONE * earned as u32;
        }
        let permitted = self.lines >= LINES;
        if permitted {
            self.lines -= LINES;
        }
        permitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_number_begins_to_linger_in_a_span() {
        let limit = LingerLimit::new();
        let begins = |at: u64| {
            let now = limit.start + Duration::from_millis(at);
            (0..100).filter(|_| limit.permits(now)).count() as u64
        };
        assert_eq!(begins(0), LINGER_IN_A_SPAN);
        assert_eq!(begins(9), 0);
        assert_eq!(begins(10), LINGER_IN_A_SPAN);
        assert_eq!(begins(5), 0, "a thread that was late takes nothing of it");
        assert_eq!(begins(86_400_000), LINGER_IN_A_SPAN);
    }

    #[test]
    fn lines_are_permitted_at_once_and_then_by_the_second() {
        let limit = LineLimit::new();
        let start = limit.lock().until;
        let permitted = |at: u64, asked: usize| {
            let now = start + Duration::from_millis(at);
            (0..asked).filter(|_| limit.lock().permits(now)).count()
        };
        assert_eq!(permitted(0, 10_000), 500);
        assert_eq!(permitted(1_000, 10_000), 50);
        let slowly: usize = (0..1_000).map(|step| permitted(1_000 + step * 10, 1)).sum();
        assert_eq!(slowly, 499, "half a line every 5 ms is not lost");
        assert_eq!(permitted(1_000_000, 10_000), 500, "no more is saved up");
    }
}
