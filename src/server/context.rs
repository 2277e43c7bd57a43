//! What all threads of a server share: counters, the deadline for a request, limits, and whether
//! the server is stopping. It decides nothing.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::limits::{LineLimit, LingerLimit};
use crate::stats::Stats;

/// How long a takeover may take from the handover of the sockets to the signal that stops this
/// server. It usually takes milliseconds.
const TAKEOVER: Duration = Duration::from_secs(60);

/// Shared by all threads of a server.
pub(super) struct Context {
    pub(super) stats: Stats,
    /// How long a client has for its whole request, and an answer that is not read for each byte.
    pub(super) timeout: Duration,
    pub(super) lingering: LingerLimit,
    pub(super) quiet_lines: LineLimit,
    handed_over: Mutex<Option<Instant>>,
    stopping: AtomicBool,
    ended: AtomicBool,
}

impl Context {
    pub(super) fn new(timeout: Duration) -> Context {
        Context {
            stats: Stats::default(),
            timeout,
            lingering: LingerLimit::new(),
            quiet_lines: LineLimit::new(),
            handed_over: Mutex::new(None),
            stopping: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    /// Whether the server is being stopped.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// The listening sockets are another server's as well from now on.
    pub(super) fn hand_over(&self) {
        *self.when_handed_over() = Some(Instant::now());
    }

    /// Whether another server has the listening sockets. One that did not stop this one within
    /// [`TAKEOVER`] has failed and is gone.
    pub(super) fn was_handed_over(&self) -> bool {
        self.when_handed_over()
            .is_some_and(|at| at.elapsed() < TAKEOVER)
    }

    fn when_handed_over(&self) -> MutexGuard<'_, Option<Instant>> {
        self.handed_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the last connection of a stop is closed.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Relaxed);
    }
}
