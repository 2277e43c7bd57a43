//! What whoever starts a server is shown until it serves: its warnings, and the message that it
//! serves. In the background it leaves the session of the starting process; the pipe to that is
//! standard error, so errors arrive without further steps. In the foreground it is for an output that
//! shows no log. It starts nothing; `spawn.rs` is the starting side.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::unistd::{dup2_stderr, setsid};

use crate::config::Config;
use crate::daemon::logging::{self, Echo};
use crate::daemon::startup::logs_to_console;
use crate::daemon::status::Status;
use crate::output::print::print;

/// The hidden option of `serve` that says that a starter waits.
pub(super) const OPTION: &str = "--detached";

/// The beginning of the last line for the starter.
pub(super) const READY: &str = "flashpolicyd-ready ";

/// The process that started this server.
pub(super) struct Starter {
    /// Until the server is ready.
    waits: Arc<AtomicBool>,
    detached: bool,
    /// Opened before the rights to it could be given away.
    nowhere: Option<File>,
}

impl Starter {
    /// Leaves the starter's session: a terminal that is closed does not take the server along.
    pub(super) fn detach() -> Starter {
        // It fails only for who leads a session already.
        let _ = setsid();
        Starter {
            waits: Arc::new(AtomicBool::new(true)),
            detached: true,
            nowhere: OpenOptions::new().write(true).open("/dev/null").ok(),
        }
    }

    /// One that sees the output of a server in the foreground, such as systemd; none where the
    /// output is the log.
    pub(super) fn of_foreground(config: &Config) -> Option<Starter> {
        let log = config.startup.log_file.as_deref();
        let is_log = logs_to_console(config) || log.is_some_and(logging::is_stream);
        (!is_log).then(|| Starter {
            waits: Arc::new(AtomicBool::new(true)),
            detached: false,
            nowhere: None,
        })
    }

    /// Where the log's warnings go besides, until the starter has left.
    pub(super) fn echo(&self) -> Echo {
        let waits = Arc::clone(&self.waits);
        Box::new(move |warning| {
            if waits.load(Relaxed) {
                let _ = writeln!(io::stderr(), "flashpolicyd: warning: {warning}");
            }
        })
    }

    /// The ports are bound and clients are accepted: the starter may leave.
    pub(super) fn ready(&self, status: &Status) {
        self.waits.store(false, Relaxed);
        if !self.detached {
            let (pid, addresses, files) = (status.pid, status.addresses(), status.files());
            print(format!(
                "flashpolicyd serves (process {pid}) on {addresses}; {files}\n"
            ));
            return;
        }
        let status = serde_json::to_string(status).unwrap_or_default();
        // In one write: nothing of another thread comes between.
        let _ = io::stderr().write_all(format!("{READY}{status}\n").as_bytes());
        if let Some(nowhere) = &self.nowhere {
            let _ = dup2_stderr(nowhere);
        }
    }
}
