//! The main thread of a running server: it takes control messages and stops the server. It opens no
//! file and waits for no other thread without a limit, so that a stop always works. `upkeep` does
//! the work with files.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::logging::Logging;
use crate::server::{Ended, OpenServer};
use crate::signals::Control;
use crate::stats::Stats;
use crate::systemd;
use crate::takeover::Predecessor;
use crate::upkeep::Upkeep;

/// How often attacks are reported and the predecessor is checked.
const ROUND: Duration = Duration::from_secs(1);

/// A server that has had no client for this long after its start says how to look for the reason.
const FIRST_MINUTE: Duration = Duration::from_secs(60);

/// Serves until a control message says to stop, then until every connection is served.
pub fn run(
    mut server: OpenServer,
    control: &Receiver<Control>,
    upkeep: &Upkeep,
    logging: &Logging,
    mut predecessor: Option<Predecessor>,
) -> Ended {
    let handle = server.handle();
    let figures = || handle.snapshot(logging.lost_lines());
    let mut hint_at = Some(Instant::now() + FIRST_MINUTE);
    loop {
        match control.recv_timeout(ROUND) {
            Ok(Control::Shutdown) | Err(RecvTimeoutError::Disconnected) => break,
            Ok(Control::Reload) => upkeep.reload(),
            Ok(Control::Report) => {
                log::info!("Statistics: {}.", figures());
                upkeep.write_statistics();
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        server.report_attacks();
        if hint_at.take_if(|at| Instant::now() >= *at).is_some() {
            hint_without_clients(figures().stats);
        }
        predecessor.take_if(Predecessor::look);
    }
    log::info!("Stopping server...");
    // Before the clients are waited for: a new server that took over rotates the log from now on,
    // and systemd counts the time of the stop from its message.
    upkeep.stopping();
    systemd::stopping();
    let ended = server.stop(|time| stop_at_once(control, time));
    // After the last connection, so that the totals are complete. Lines that are lost on their way
    // to the file count as well.
    logging.wait_until_written();
    log::info!("Totals: {}.", figures());
    upkeep.finish();
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
fn stop_at_once(control: &Receiver<Control>, time: Duration) -> bool {
    match control.recv_timeout(time) {
        Ok(Control::Shutdown) => true,
        Ok(Control::Reload | Control::Report) | Err(RecvTimeoutError::Timeout) => false,
        Err(RecvTimeoutError::Disconnected) => {
            thread::sleep(time);
            false
        }
    }
}
