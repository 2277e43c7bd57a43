//! The thread for all work with files while the server runs: reloads, statistics, reports of attacks,
//! and the check whether the log file was moved. A file system that hangs delays these, and never a
//! stop or a client.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::daemon::control_socket::{self, AskedRequest, Reply, Request};
use crate::daemon::logging::Logging;
use crate::daemon::reload::Reloader;
use crate::daemon::server::{AttackReport, Handle};
use crate::daemon::stats::{Process, Snapshot};
use crate::daemon::status::Running;
use crate::daemon::systemd;
use crate::output::text::reason;

/// How often the file with the statistics is written.
const STATS_FILE_EVERY: Duration = Duration::from_secs(15);

/// How often the thread does what is due. An idle server wakes up no more often than this.
const ROUND: Duration = Duration::from_secs(1);

/// How long the end of the process waits for the last file to be written.
const LAST_FILE: Duration = Duration::from_secs(2);

/// Asks the housekeeping thread for something.
#[derive(Clone, Default)]
pub struct Housekeeping(Arc<Shared>);

#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
    /// The ports are closed: the file with the statistics may be the next server's.
    ports_closed: AtomicBool,
}

/// What the thread is asked for: each thing once, however often it is asked for while a file system
/// hangs.
#[derive(Default)]
struct Pending {
    reload: bool,
    statistics: bool,
    /// Is told when the statistics are written.
    finish: Option<Sender<()>>,
    asked: Vec<AskedRequest>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        !self.reload && !self.statistics && self.finish.is_none() && self.asked.is_empty()
    }
}

impl Housekeeping {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses it; the text says so.
    pub fn start(
        reloader: Reloader,
        running: Running,
        server: Handle,
        logging: Logging,
    ) -> Result<Housekeeping, String> {
        let housekeeping = Housekeeping::default();
        let thread = HousekeepingThread {
            shared: Arc::clone(&housekeeping.0),
            reloader,
            running,
            server,
            logging,
            attack_report: AttackReport::default(),
            line_written: Instant::now(),
            file_written: Instant::now(),
            file_failed: false,
        };
        thread::Builder::new()
            .name("housekeeping".into())
            .spawn(move || thread.run())
            .map_err(|error| format!("cannot start the housekeeping thread: {}", reason(&error)))?;
        Ok(housekeeping)
    }

    fn request(&self, change: impl FnOnce(&mut Pending)) {
        change(&mut self.0.lock());
        self.0.changed.notify_one();
    }

    /// Asks for a reload, and does not wait for it.
    pub fn reload(&self) {
        self.request(|pending| pending.reload = true);
    }

    /// Has a request of the control socket answered, in bounded time.
    pub fn ask(&self, request: Request) -> Reply {
        control_socket::pass_on(request, |asked| {
            self.request(|pending| {
                // The control socket bounds how many wait at a time.
                pending.asked.retain(AskedRequest::is_awaited);
                pending.asked.push(asked);
            });
        })
    }

    /// Asks for the file with the statistics, and does not wait for it.
    pub fn write_statistics(&self) {
        self.request(|pending| pending.statistics = true);
    }

    /// The file with the statistics is written by [`Housekeeping::finish`] alone from now on.
    pub fn ports_closed(&self) {
        self.0.ports_closed.store(true, Relaxed);
    }

    /// Writes the file with the statistics for the last time. It is waited for, but not for ever.
    pub fn finish(&self) {
        let (sender, receiver) = mpsc::channel();
        self.request(|pending| pending.finish = Some(sender));
        if let Err(RecvTimeoutError::Timeout) = receiver.recv_timeout(LAST_FILE) {
            log::warn!(
                "The last statistics were not written in time: the file system does not answer."
            );
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is pending; where nothing is, waits for it until the deadline.
    fn take(&self, deadline: Instant) -> Pending {
        let mut pending = self.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if !pending.is_empty() || left.is_zero() {
                return std::mem::take(&mut pending);
            }
            let waited = self.changed.wait_timeout(pending, left);
            (pending, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The thread's list of things to do.
struct HousekeepingThread {
    shared: Arc<Shared>,
    reloader: Reloader,
    running: Running,
    server: Handle,
    logging: Logging,
    attack_report: AttackReport,
    line_written: Instant,
    file_written: Instant,
    file_failed: bool,
}

impl HousekeepingThread {
    fn run(mut self) {
        self.write_file();
        let mut round = Instant::now();
        loop {
            // Whatever is asked for meanwhile does not delay what is due.
            let every = self
                .reloader
                .watch()
                .map_or(ROUND, |watch| watch.min(ROUND));
            round = (round + every).max(Instant::now());
            loop {
                let pending = self.shared.take(round);
                self.run_pending(pending);
                if Instant::now() >= round {
                    break;
                }
            }
            self.run_due_work();
        }
    }

    fn run_pending(&mut self, pending: Pending) {
        let is_reload = |asked: &AskedRequest| asked.request == Request::Reload;
        if pending.reload || pending.asked.iter().any(is_reload) {
            self.reload();
        }
        for asked in pending.asked {
            self.answer(asked);
        }
        if pending.statistics || pending.finish.is_some() {
            self.write_file();
        }
        if let Some(finished) = pending.finish {
            let _ = finished.send(());
        }
    }

    fn run_due_work(&mut self) {
        self.logging.check_moved();
        self.server.report_attacks(&mut self.attack_report);
        let every = self.reloader.config().live.stats_interval;
        if !every.is_zero() && self.line_written.elapsed() >= every {
            self.line_written = Instant::now();
            log::info!("Statistics: {}.", self.snapshot());
        }
        let is_own = !self.shared.ports_closed.load(Relaxed);
        if is_own && self.file_written.elapsed() >= STATS_FILE_EVERY {
            self.write_file();
        }
        if let Some(policies) = self.reloader.poll_files() {
            self.server.set_policies(&policies);
        }
    }

    fn answer(&mut self, asked: AskedRequest) {
        let reply = match asked.request {
            Request::Status => Reply::Status(Box::new(self.running.status(
                self.reloader.described(),
                &self.snapshot(),
                self.reloader.last_reload(),
                self.logging.failure(),
            ))),
            Request::Reload => {
                Reply::Reload(self.reloader.last_reload().cloned().unwrap_or_default())
            }
        };
        asked.answer(reply);
    }

    fn reload(&mut self) {
        self.logging.check_moved();
        systemd::reloading();
        if let Some(policies) = self.reloader.reload() {
            self.server.set_policies(&policies);
        }
        systemd::ready();
    }

    fn snapshot(&self) -> Snapshot<'_> {
        self.server.snapshot(self.logging.lost_lines())
    }

    /// The process itself, for the file with the statistics: the start is the first reload.
    fn process(&self) -> Process {
        let started = self.running.started();
        let last = self.reloader.last_reload();
        Process {
            started,
            last_reload: last.and_then(|reload| reload.ended).unwrap_or(started),
            took_effect: last.is_none_or(|reload| reload.took_effect),
        }
    }

    fn write_file(&mut self) {
        let Some(path) = self.reloader.config().startup.stats_file.clone() else {
            return;
        };
        self.file_written = Instant::now();
        match self.snapshot().write_file(&path, self.process()) {
            Ok(()) => self.file_failed = false,
            // Once, and not every time.
            Err(error) if !self.file_failed => {
                self.file_failed = true;
                log::warn!(
                    "Cannot write the statistics to {}: {}. Trying again every {} s.",
                    path.display(),
                    reason(&error),
                    STATS_FILE_EVERY.as_secs()
                );
            }
            Err(_) => {}
        }
    }
}
