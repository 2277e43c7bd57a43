//! The steps of a stop, in their order: nothing more is accepted, and who is here is served or has
//! its deadline. It closes no listener and no connection itself.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::connection::LINGER_AT_THE_END;
use super::service::Service;

/// How often a stopping server looks whether it is done.
const ROUND: Duration = Duration::from_millis(5);

/// How long a stopping server waits for clients while newcomers stand in the queue of an inherited
/// socket: nobody answers those before this process has ended, and Flash Player gives them 3
/// seconds.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everybody who was here was served, or had its deadline.
    Complete,
    /// A second signal asked to end at once.
    AtOnce,
}

/// Stops a service. With an `inherited` socket nobody is waited for beyond [`LAST_WORDS`].
pub(super) fn stop(
    service: &Service,
    acceptors: &[JoinHandle<()>],
    inherited: bool,
    mut stop_at_once: impl FnMut(Duration) -> bool,
) -> Ended {
    service.context.stop();
    // The acceptors first: they take in what has been established until now.
    while !acceptors.iter().all(JoinHandle::is_finished) {
        if stop_at_once(ROUND) {
            return Ended::AtOnce;
        }
    }
    // Those that begin to linger from now on get the short time by themselves.
    service.hasten_closing(LINGER_AT_THE_END);
    let begun = Instant::now();
    // Places, and not the threads of the pool: a connection that waits is with none of them.
    while service.gauges().here.now > 0 {
        if stop_at_once(ROUND) {
            return Ended::AtOnce;
        }
        if inherited && begun.elapsed() >= LAST_WORDS {
            service.evict_all();
        }
    }
    service.end();
    Ended::Complete
}
