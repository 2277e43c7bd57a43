//! The steps of a stop, in their order. It closes no listener and no connection itself.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::connection::LINGER_AT_THE_END;
use super::service::Service;

/// How often the steps are checked for their end.
const ROUND: Duration = Duration::from_millis(5);

/// How long a server with an inherited socket waits for its clients. New clients are in that
/// socket's backlog meanwhile: the next process answers them, and Flash Player waits 3 seconds.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every connection was served, or its deadline passed.
    Complete,
    /// A second signal asked to end at once.
    AtOnce,
}

/// Stops a service: it ends the acceptors, shortens the lingering, waits for the connections, and
/// ends the poller. With an `inherited` socket the wait is [`LAST_WORDS`] at the most.
pub(super) fn stop(
    service: &Service,
    acceptors: &[JoinHandle<()>],
    inherited: bool,
    mut stop_at_once: impl FnMut(Duration) -> bool,
) -> Ended {
    service.context.stop();
    // The acceptors end first: they still accept every connection that is established, and these
    // have to be in the table before the table is waited for.
    while !acceptors.iter().all(JoinHandle::is_finished) {
        if stop_at_once(ROUND) {
            return Ended::AtOnce;
        }
    }
    // After the acceptors, and once: a connection that begins to linger from now on sees that the
    // server is stopping, and takes the short time itself.
    service.hasten_closing(LINGER_AT_THE_END);
    let begun = Instant::now();
    // The table is waited for, and not the pool: a waiting connection is with no thread.
    while service.gauges().here.now > 0 {
        if stop_at_once(ROUND) {
            return Ended::AtOnce;
        }
        if inherited && begun.elapsed() >= LAST_WORDS {
            while service.evict_one() {}
        }
    }
    // The poller last: it wakes the connections whose deadline passes during the stop.
    service.end();
    Ended::Complete
}
