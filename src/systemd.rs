//! Tells the service manager that the server is ready, reloads or stops (systemd's `Type=notify`).
//! Without such a manager it does nothing.

use sd_notify::NotifyState;

use crate::text::reason;

/// The ports are bound, or a reload is over.
pub fn ready() {
    tell(&[NotifyState::Ready], "that it serves");
}

/// A reload begins; [`ready`] tells its end.
pub fn reloading() {
    // Which of several reloads a message is about, systemd knows by its time.
    let now = NotifyState::monotonic_usec_now().ok();
    let states: Vec<_> = [NotifyState::Reloading].into_iter().chain(now).collect();
    tell(&states, "that it reloads");
}

/// The end begins: nothing more is accepted.
pub fn stopping() {
    tell(&[NotifyState::Stopping], "that it stops");
}

/// The main thread goes round. The unit's `WatchdogSec=` has to be several times as long as the
/// pauses between the calls.
pub fn alive() {
    if sd_notify::watchdog_enabled().is_some() {
        tell(&[NotifyState::Watchdog], "that it is alive");
    }
}

fn tell(states: &[NotifyState], what: &str) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!(
            "Cannot tell the service manager {what}: {}.",
            reason(&error)
        );
    }
}
