//! The steps of a stop, in their order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::acceptor::Acceptor;
use super::connection::LINGER_AT_STOP;
use super::context::Context;
use super::listener::NewClients;
use super::poller::Poller;
use super::workers::Workers;

/// How often the steps are checked for their end.
const CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// How long a stop waits for handshakes that had begun: longer than a packet's way to a distant
/// client and back. A client whose first packet is ignored meanwhile sends it again after a second,
/// and has to find this listener closed by then.
const LAST_HANDSHAKES: Duration = Duration::from_millis(500);

/// The same where newcomers are refused meanwhile: soon there are more of these than of others.
const LAST_HANDSHAKES_WHEN_REFUSING: Duration = Duration::from_millis(150);

/// The same where no connection came for [`IDLE`], so that an idle server stops within 0.1 seconds.
const LAST_HANDSHAKES_WHEN_IDLE: Duration = Duration::from_millis(50);

/// The time without a connection after which a server counts as idle.
const IDLE: Duration = Duration::from_secs(1);

/// How long a server with an inherited socket waits for its clients. New clients are in that
/// socket's backlog meanwhile: the next process answers them, and Flash Player waits 3 seconds.
const INHERITED_STOP_LIMIT: Duration = Duration::from_secs(1);

/// How many connections the stop accepts before it checks for a second signal.
const BATCH: usize = 64;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every connection was served, or its deadline passed.
    Complete,
    /// A second signal asked to end at once.
    AtOnce,
}

/// Stops a server: the kernel turns newcomers away, the workers end, clients still in the kernel's
/// queue are accepted, the ports are closed, and `ports_closed` is called. Then the connections
/// that wait are served, or their deadline passes. With an `inherited` socket that takes
/// [`INHERITED_STOP_LIMIT`] at the most. `ends_now` waits for the given time, and returns whether the
/// stop has to end at once.
pub(super) fn stop(
    acceptors: Vec<Arc<Acceptor>>,
    workers: &Workers,
    poller: &Poller,
    context: &Context,
    ports_closed: impl FnOnce(),
    mut ends_now: impl FnMut(Duration) -> bool,
) -> Ended {
    context.stop();
    let inherited = acceptors.iter().any(|acceptor| acceptor.listener.inherited);
    // An inherited socket stays open: the next server serves the clients in its backlog.
    let mut own = acceptors;
    own.retain(|acceptor| !acceptor.listener.inherited);
    let new_clients = own
        .iter()
        .map(|acceptor| acceptor.listener.turn_away_new_clients());
    // For every listener, also where one permits nothing. What is worse for newcomers counts; none
    // where the system permits nothing.
    let new_clients: Vec<_> = new_clients.map(Result::ok).collect();
    let new_clients = new_clients.into_iter().collect::<Option<Vec<_>>>();
    let new_clients = new_clients.and_then(|all| all.into_iter().max());
    while !workers.have_ended() {
        workers.wake();
        if ends_now(CHECK_INTERVAL) {
            return Ended::AtOnce;
        }
    }
    if accept_the_rest(&own, new_clients, context.timeout, &mut ends_now) == Ended::AtOnce {
        return Ended::AtOnce;
    }
    drop(own);
    ports_closed();
    // Once: a connection that begins to linger from now on sees that the server is stopping, and
    // takes the short time itself.
    poller.shorten_closing(LINGER_AT_STOP);
    let begun = Instant::now();
    while context.here().now > 0 {
        if ends_now(CHECK_INTERVAL) {
            return Ended::AtOnce;
        }
        if inherited && begun.elapsed() >= INHERITED_STOP_LIMIT {
            while poller.evict_one("The server stops, and had waited for a second. Closing.") {}
        }
    }
    Ended::Complete
}

/// Accepts and serves what has been established, and the handshakes that had begun.
fn accept_the_rest(
    acceptors: &[Arc<Acceptor>],
    new_clients: Option<NewClients>,
    timeout: Duration,
    mut ends_now: impl FnMut(Duration) -> bool,
) -> Ended {
    let idle = acceptors.iter().all(|acceptor| acceptor.idle_time() > IDLE);
    let handshakes = match new_clients {
        None => Duration::ZERO,
        Some(_) if idle => LAST_HANDSHAKES_WHEN_IDLE,
        Some(NewClients::Ignored) => LAST_HANDSHAKES,
        Some(NewClients::Refused) => LAST_HANDSHAKES_WHEN_REFUSING,
    };
    let end = Instant::now() + handshakes;
    // By then every connection that waits has been closed, and its descriptor is free.
    let give_up = end + timeout;
    let mut open: Vec<_> = acceptors.iter().collect();
    open.retain(|acceptor| acceptor.listener.socket.set_nonblocking(true).is_ok());
    loop {
        // Before `accept`: where this thread is held up between the two, a handshake may have been
        // completed meanwhile.
        let now = Instant::now();
        let mut anybody = false;
        for acceptor in &open {
            // In bounded steps, so that a second signal is seen.
            anybody |= (0..BATCH).take_while(|_| acceptor.accept_one()).count() > 0;
            anybody |= acceptor.has_queued(0);
        }
        if !anybody && now >= end {
            return Ended::Complete;
        }
        if now >= give_up {
            log::warn!(
                "Clients in the kernel's queue could not be accepted within {:.1} s, and are \
                 closed with the ports.",
                (handshakes + timeout).as_secs_f64()
            );
            return Ended::Complete;
        }
        if ends_now(if anybody {
            Duration::ZERO
        } else {
            CHECK_INTERVAL
        }) {
            return Ended::AtOnce;
        }
    }
}
