//! What all threads of a server share: counters, the deadline for a request, limits, and whether
//! the server is stopping. It decides nothing.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::client_lines::ClientLines;
use super::rate_limit::RateLimit;
use crate::daemon::stats::{Gauge, Stats};

/// Shared by all threads of a server.
pub(super) struct Context {
    pub(super) stats: Stats,
    /// How long a client has for its whole request, and an answer that is not read for each byte.
    pub(super) timeout: Duration,
    pub(super) lingering: RateLimit,
    pub(super) client_lines: ClientLines,
    here: AtomicUsize,
    most_here: AtomicUsize,
    stopping: AtomicBool,
}

impl Context {
    pub(super) fn new(timeout: Duration) -> Context {
        Context {
            stats: Stats::default(),
            timeout,
            lingering: RateLimit::of_lingering(),
            client_lines: ClientLines::new(),
            here: AtomicUsize::new(0),
            most_here: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    /// Does this for a connection. A panic costs the connection and no thread; the panic hook has
    /// logged it.
    pub(super) fn catch_panic<T>(&self, serve: impl FnOnce() -> T) -> Option<T> {
        let outcome = panic::catch_unwind(AssertUnwindSafe(serve));
        if outcome.is_err() {
            self.stats.panicked.add_one();
        }
        outcome.ok()
    }

    /// Counts one more open connection.
    pub(super) fn opened(&self) {
        let here = self.here.fetch_add(1, Relaxed) + 1;
        if here > self.most_here.load(Relaxed) {
            self.most_here.fetch_max(here, Relaxed);
        }
    }

    /// Counts one open connection less.
    pub(super) fn closed(&self) {
        self.here.fetch_sub(1, Relaxed);
    }

    /// The connections that were accepted and are not closed yet.
    pub(super) fn here(&self) -> Gauge {
        Gauge {
            now: self.here.load(Relaxed),
            most: self.most_here.load(Relaxed),
        }
    }

    /// Whether the server is being stopped.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_what_was_done_for_one_connection_and_is_counted() {
        let context = Context::new(Duration::from_secs(3));
        assert_eq!(context.catch_panic(|| 7), Some(7));
        let panics = || -> u32 { panic!("on purpose") };
        assert_eq!(context.catch_panic(panics), None);
        assert_eq!(context.stats.panicked.get(), 1);
    }
}
