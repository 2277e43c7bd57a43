//! The counters of one run. They only count: what happened is decided elsewhere.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One event counter, shared by all threads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one more.
    pub fn add_one(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Everything that is counted, from the start of the process to its end.
#[derive(Debug, Default)]
pub struct Stats {
    /// Connections that the kernel handed over.
    pub accepted: Counter,
    /// Clients that got the whole policy.
    pub served: Counter,
    /// Clients that sent something else than a policy request.
    pub not_a_request: Counter,
    /// Clients whose request was not complete within the deadline.
    pub timed_out: Counter,
    /// Clients whose wait was ended for somebody else's sake.
    pub evicted: Counter,
    /// Clients that left before their request was complete (health checks do).
    pub gone: Counter,
    /// Clients that asked and then could not be given the whole policy.
    pub write_failed: Counter,
    /// Connections closed unserved because more than `max_pending` were pending.
    pub refused: Counter,
    /// Connections lost to a panic in their worker.
    pub panicked: Counter,
    /// Times that accepting a connection failed.
    pub accept_errors: Counter,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} accepted, {} served, {} not a request, {} timed out, {} evicted, \
             {} gone before the request, \
             {} write failed, {} refused, {} panicked, {} accept errors",
            self.accepted.get(),
            self.served.get(),
            self.not_a_request.get(),
            self.timed_out.get(),
            self.evicted.get(),
            self.gone.get(),
            self.write_failed.get(),
            self.refused.get(),
            self.panicked.get(),
            self.accept_errors.get(),
        )
    }
}
