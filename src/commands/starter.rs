//! The server's side of a start in the background: it leaves the session of the starting process,
//! and sends that process its warnings and the message that it serves. The pipe is standard error,
//! so errors arrive without further steps. It starts nothing; `spawn.rs` is the starting side.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::unistd::{dup2_stderr, setsid};

use crate::logging::Echo;
use crate::status::Status;

/// The hidden option of `serve` that says that a starter waits.
pub(super) const OPTION: &str = "--detached";

/// The beginning of the last line for the starter.
pub(super) const READY: &str = "flashpolicyd-ready ";

/// The process that started this server and waits until it is ready.
pub(super) struct Starter {
    waits: Arc<AtomicBool>,
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
            nowhere: OpenOptions::new().write(true).open("/dev/null").ok(),
        }
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
        let status = serde_json::to_string(status).unwrap_or_default();
        // In one write: nothing of another thread comes between.
        let _ = io::stderr().write_all(format!("{READY}{status}\n").as_bytes());
        if let Some(nowhere) = &self.nowhere {
            let _ = dup2_stderr(nowhere);
        }
    }
}
