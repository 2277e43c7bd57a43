//! Limits per time: connections that begin to linger, and repeated messages. It logs nothing itself.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Permits a number of events at once, and then one in each span of time.
pub(super) struct RateLimit {
    burst: u32,
    one_in: Duration,
    /// When the whole number is permitted again.
    full_at: Mutex<Instant>,
}

impl RateLimit {
    pub(super) fn new(burst: u32, one_in: Duration) -> RateLimit {
        RateLimit {
            burst,
            one_in,
            full_at: Mutex::new(Instant::now()),
        }
    }

    /// For messages about what happens thousands of times.
    pub(super) fn once_a_second() -> RateLimit {
        RateLimit::new(1, Duration::from_secs(1))
    }

    /// For connections with nothing more to come that begin to linger. Players come more slowly than
    /// 100 a second, and a connection that lingers costs twice the processor time of one that does
    /// not.
    pub(super) fn of_lingering() -> RateLimit {
        RateLimit::new(64, Duration::from_millis(10))
    }

    /// Whether one more is permitted.
    pub(super) fn permits(&self, now: Instant) -> bool {
        let mut full_at = lock(&self.full_at);
        let full_again = now.max(*full_at) + self.one_in;
        let permitted = full_again - now <= self.one_in * self.burst;
        if permitted {
            *full_at = full_again;
        }
        permitted
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the `asked` events are permitted `at` milliseconds after the start.
    fn permitted(limit: &RateLimit, start: Instant, at: u64, asked: usize) -> usize {
        let now = start + Duration::from_millis(at);
        (0..asked).filter(|_| limit.permits(now)).count()
    }

    #[test]
    fn a_burst_is_permitted_and_then_one_in_each_span() {
        let limit = RateLimit::new(500, Duration::from_millis(20));
        let start = *lock(&limit.full_at);
        let permitted = |at, asked| permitted(&limit, start, at, asked);
        assert_eq!(permitted(0, 10_000), 500);
        assert_eq!(permitted(1_000, 10_000), 50);
        assert_eq!(
            permitted(990, 10_000),
            0,
            "a thread that was late takes nothing"
        );
        let slowly: usize = (0..1_000).map(|step| permitted(1_000 + step * 10, 1)).sum();
        assert_eq!(slowly, 499, "half of a span is not lost");
        assert_eq!(permitted(1_000_000, 10_000), 500, "no more is saved up");
    }

    #[test]
    fn a_message_is_due_once_a_second() {
        let limit = RateLimit::once_a_second();
        let start = *lock(&limit.full_at);
        let due: Vec<_> = [0, 1, 999, 1_000, 1_500, 86_400_000]
            .into_iter()
            .filter(|&at| permitted(&limit, start, at, 9) == 1)
            .collect();
        assert_eq!(due, [0, 1_000, 86_400_000]);
    }
}
