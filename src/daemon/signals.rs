//! Signals become control messages. No other module handles signals. It opens no file and waits for
//! no thread, so that a signal always arrives; the supervisor acts on the message.

use std::panic::{self, AssertUnwindSafe};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGHUP, SIGTERM, SIGURG, SIGUSR1, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::output::exit::Exit;

/// How long the supervisor has to end the process at the second request to stop. After that the
/// signals' own thread ends it. An orderly end takes 5 s at the most, where nothing that is written
/// to answers: 1 s for the log before the totals, 2 s for the statistics, 2 s for the last lines.
const PATIENCE: Duration = Duration::from_secs(6);

/// How long the signals' thread waits after a failure of its own.
const PAUSE: Duration = Duration::from_millis(100);

/// Wakes a thread that sleeps in a system call. Nobody else sends it, and whoever does changes
/// nothing: by default it is ignored.
const WAKE: Signal = Signal::SIGURG;

/// A task for the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Stop; the second time: at once.
    Shutdown,
    /// Read the configuration and the policies anew, and check where the log file is.
    Reload,
    /// Log the statistics.
    Report,
}

/// Starts to listen to ctrl-c and to the signals of service managers. To be called before anything
/// that takes time, and before other threads: signals that the starting process has blocked are
/// unblocked for this thread and for those that it starts.
///
/// # Errors
/// When the system refuses a handler or a thread; the text says which.
pub fn listen() -> Result<Receiver<Control>, String> {
    let (sender, receiver) = mpsc::channel();
    let stops = Stops {
        sender: sender.clone(),
        requests: Arc::default(),
    };
    let ctrl_c = stops.clone();
    ctrlc::set_handler(move || ctrl_c.request())
        .map_err(|error| format!("cannot handle ctrl-c: {error}"))?;
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGUSR1])
        .map_err(|error| format!("cannot handle signals: {error}"))?;
    // Handlers that do nothing; their flags are for nobody. Without one for SIGURG the kernel does not
    // end a call. A limit on the size of files (ulimit -f) is an error for whoever writes one, and
    // not the end.
    for signal in [SIGURG, SIGXFSZ] {
        signal_hook::flag::register(signal, Arc::default())
            .map_err(|error| format!("cannot handle signals: {error}"))?;
    }
    unblock()?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut pass_on = || {
                for signal in signals.forever() {
                    match signal {
                        SIGHUP => send(&sender, Control::Reload),
                        SIGUSR1 => send(&sender, Control::Report),
                        _ => stops.request(),
                    }
                }
            };
            // signal-hook panics where its own pipe fails: a stop has to work after that, too.
            while panic::catch_unwind(AssertUnwindSafe(&mut pass_on)).is_err() {
                thread::sleep(PAUSE);
            }
        })
        .map_err(|error| format!("cannot start the signal thread: {error}"))?;
    Ok(receiver)
}

fn unblock() -> Result<(), String> {
    let ours = [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        WAKE,
    ];
    SigSet::from_iter(ours)
        .thread_unblock()
        .map_err(|error| format!("cannot unblock signals: {}", error.desc()))
}

/// A thread that may sleep in a system call with a time-out, such as `accept` on a socket with
/// SO_RCVTIMEO: the kernel ends such a call at a signal and does not begin it anew. It has to live
/// as long as this does.
pub struct SleepingThread(Pthread);

impl SleepingThread {
    /// The calling thread.
    pub fn current() -> SleepingThread {
        SleepingThread(pthread_self())
    }

    /// Ends the system call in which it sleeps, if it does.
    pub fn wake(&self) {
        // Where it fails, the call ends by its time-out.
        let _ = pthread_kill(self.0, WAKE);
    }
}

/// Requests to stop, by whatever signal.
#[derive(Clone)]
struct Stops {
    sender: Sender<Control>,
    requests: Arc<AtomicU32>,
}

impl Stops {
    fn request(&self) {
        send(&self.sender, Control::Shutdown);
        if self.requests.fetch_add(1, Relaxed) == 0 {
            return;
        }
        // The second one has to end the process, whatever holds the supervisor up.
        thread::sleep(PATIENCE);
        process::exit(Exit::Failed as i32);
    }
}

/// A supervisor that is gone needs no message.
fn send(sender: &Sender<Control>, message: Control) {
    let _ = sender.send(message);
}
