//! The main thread of a running server: it takes control messages and stops the server. It opens no
//! file and waits for no other thread without a limit, so that a stop always works. `housekeeping`
//! does the work with files.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::daemon::housekeeping::Housekeeping;
use crate::daemon::logging::Logging;
use crate::daemon::server::{Ended, OpenServer};
use crate::daemon::signals::Control;
use crate::daemon::stats::Stats;
use crate::daemon::systemd;

/// A server that has had no client for this long after its start says how to look for the reason.
const FIRST_MINUTE: Duration = Duration::from_secs(60);

/// Serves until a control message says to stop, then until every connection is served.
/// `ports_closed` is called once another server can have the ports, and `is_replaced` says whether
/// one has taken this one's place by the end.
pub fn run(
    server: OpenServer,
    control: &Receiver<Control>,
    housekeeping: &Housekeeping,
    logging: &Logging,
    ports_closed: impl FnOnce(),
    is_replaced: impl FnOnce() -> bool,
) -> Ended {
    let handle = server.handle().clone();
    let figures = || handle.snapshot(logging.lost_lines());
    let mut hint_at = Some(Instant::now() + FIRST_MINUTE);
    let watchdog = systemd::watchdog().map(|most| most / 3);
    loop {
        let until_hint = hint_at.map(|at| at.saturating_duration_since(Instant::now()));
        let message = match until_hint.into_iter().chain(watchdog).min() {
            Some(pause) => control.recv_timeout(pause),
            None => control.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match message {
            Ok(Control::Shutdown) | Err(RecvTimeoutError::Disconnected) => break,
            Ok(Control::Reload) => housekeeping.reload(),
            Ok(Control::Report) => {
                log::info!("Statistics: {}.", figures());
                housekeeping.write_statistics();
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if watchdog.is_some() {
            systemd::alive();
        }
        if hint_at.take_if(|at| Instant::now() >= *at).is_some() {
            hint_without_clients(figures().stats);
        }
    }
    log::info!("Stopping server...");
    // systemd counts the time of the stop from its message.
    systemd::stopping();
    let ended = server.stop(ports_closed, |time| ends_now(control, time));
    // After the last connection, so that the totals are complete. Lines that are lost on their way
    // to the file count as well.
    logging.wait_until_written();
    log::info!("Totals: {}.", figures());
    // The file with the statistics is the next server's by then.
    if !is_replaced() {
        housekeeping.finish();
    }
    ended
}

fn hint_without_clients(stats: &Stats) {
    if stats.accepted.get() == 0 {
        log::info!(
            "No client has connected in the first minute. 'flashpolicyd probe HOST', run where the \
             player is, shows whether requests can arrive here."
        );
    }
}

/// Waits for a while; true where a second request to stop comes meanwhile.
fn ends_now(control: &Receiver<Control>, time: Duration) -> bool {
    match control.recv_timeout(time) {
        Ok(Control::Shutdown) => true,
        Ok(Control::Reload | Control::Report) | Err(RecvTimeoutError::Timeout) => false,
        Err(RecvTimeoutError::Disconnected) => {
            thread::sleep(time);
            false
        }
    }
}
