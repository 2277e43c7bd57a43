//! Signals become control messages. Only this room knows signals; what a message means is the
//! supervisor's to know.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::control_socket::Asked;

/// What the supervisor is asked to do.
#[derive(Debug)]
pub enum Control {
    /// Stop; the second time: at once.
    Shutdown,
    /// Read the configuration and the policies anew, and reopen the log file.
    Reload,
    /// Log the statistics.
    Report,
    /// Answer a client of the control socket.
    Asked(Asked),
}

/// Starts to listen to ctrl-c and to the signals of service managers.
///
/// # Errors
/// When the system refuses a handler or a thread; the text says which.
pub fn listen() -> Result<(Sender<Control>, Receiver<Control>), String> {
    let (sender, receiver) = mpsc::channel();
    let others = sender.clone();
    let ctrl_c = sender.clone();
    ctrlc::set_handler(move || {
        let _ = ctrl_c.send(Control::Shutdown);
    })
    .map_err(|error| format!("cannot handle ctrl-c: {error}"))?;
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGUSR1])
        .map_err(|error| format!("cannot handle signals: {error}"))?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                let message = match signal {
                    SIGHUP => Control::Reload,
                    SIGUSR1 => Control::Report,
                    _ => Control::Shutdown,
                };
                let _ = sender.send(message);
            }
        })
        .map_err(|error| format!("cannot start the signal thread: {error}"))?;
    Ok((others, receiver))
}
