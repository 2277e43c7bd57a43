//! The thread for all work with files while the server runs: reloads, statistics, and the check
//! whether the log file was moved. A file system that hangs delays these, and never a stop or a
//! client.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::control_socket::{self, AskedRequest, Reply, Request};
use crate::logging::Logging;
use crate::pid_file::PidFile;
use crate::reload::Reloader;
use crate::server::Handle;
use crate::stats::{Process, Snapshot};
use crate::status::Running;
use crate::systemd;
use crate::text::reason;

/// How often the file with the statistics is written.
const STATS_FILE_EVERY: Duration = Duration::from_secs(15);

/// How often the log file is looked at: it may have been moved away.
const LOG_FILE_EVERY: Duration = Duration::from_millis(500);

/// How long the end of the process waits for the last file to be written.
const LAST_FILE: Duration = Duration::from_secs(2);

/// A task for the thread.
enum Task {
    Reload,
    Answer(AskedRequest),
    WriteStatistics(Option<Sender<()>>),
    Stopping,
}

/// Asks the thread for something.
#[derive(Clone)]
pub struct Upkeep(Sender<Task>);

impl Upkeep {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses it; the text says so.
    pub fn start(
        reloader: Reloader,
        running: Running,
        server: Handle,
        logging: Logging,
        pid_file: Option<Arc<PidFile>>,
    ) -> Result<Upkeep, String> {
        let (sender, tasks) = mpsc::channel();
        let keeper = Keeper {
            reloader,
            running,
            server,
            logging,
            pid_file,
            line_written: Instant::now(),
            file_written: Instant::now(),
            file_failed: false,
            log_looked_at: Instant::now(),
        };
        thread::Builder::new()
            .name("upkeep".into())
            .spawn(move || keeper.run(&tasks))
            .map_err(|error| format!("cannot start the upkeep thread: {}", reason(&error)))?;
        Ok(Upkeep(sender))
    }

    /// Asks for a reload, and does not wait for it.
    pub fn reload(&self) {
        let _ = self.0.send(Task::Reload);
    }

    /// Has a request of the control socket answered, in bounded time.
    pub fn ask(&self, request: Request) -> Reply {
        control_socket::pass_on(request, |asked| self.0.send(Task::Answer(asked)).is_ok())
    }

    /// The server begins to stop.
    pub fn stopping(&self) {
        let _ = self.0.send(Task::Stopping);
    }

    /// Asks for the file with the statistics, and does not wait for it.
    pub fn write_statistics(&self) {
        let _ = self.0.send(Task::WriteStatistics(None));
    }

    /// Writes the file with the statistics for the last time. It is waited for, but not for ever.
    pub fn finish(&self) {
        let (sender, receiver) = mpsc::channel();
        let _ = self.0.send(Task::WriteStatistics(Some(sender)));
        if let Err(RecvTimeoutError::Timeout) = receiver.recv_timeout(LAST_FILE) {
            log::warn!("The last statistics are not written: a file does not answer.");
        }
    }
}

/// The thread's list of things to do.
struct Keeper {
    reloader: Reloader,
    running: Running,
    server: Handle,
    logging: Logging,
    pid_file: Option<Arc<PidFile>>,
    line_written: Instant,
    file_written: Instant,
    file_failed: bool,
    log_looked_at: Instant,
}

impl Keeper {
    fn run(mut self, tasks: &Receiver<Task>) {
        self.write_file();
        loop {
            match tasks.recv_timeout(self.reloader.pause().min(LOG_FILE_EVERY)) {
                Ok(Task::Reload) => self.reload(),
                Ok(Task::Answer(asked)) => self.answer(asked),
                Ok(Task::WriteStatistics(asked)) => {
                    self.write_file();
                    if let Some(asked) = asked {
                        let _ = asked.send(());
                    }
                }
                // The new server rotates the log that both write.
                Ok(Task::Stopping) => {
                    let taken_over = self.pid_file.as_ref().is_some_and(|f| f.was_taken_over());
                    self.logging.rotate_from_now(!taken_over);
                }
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn look(&mut self) {
        if self.log_looked_at.elapsed() >= LOG_FILE_EVERY {
            self.log_looked_at = Instant::now();
            self.logging.look();
        }
        let every = self.reloader.config().live.stats_interval;
        if !every.is_zero() && self.line_written.elapsed() >= every {
            self.line_written = Instant::now();
            log::info!("Statistics: {}.", self.snapshot());
        }
        if self.file_written.elapsed() >= STATS_FILE_EVERY {
            self.write_file();
        }
        if let Some(policies) = self.reloader.look() {
            self.server.set_policies(&policies);
        }
    }

    fn answer(&mut self, asked: AskedRequest) {
        let reply = match asked.request {
            Request::Status => Reply::Status(Box::new(self.running.status(
                self.reloader.described(),
                &self.snapshot(),
                self.reloader.last_reload(),
            ))),
            Request::Reload => {
                self.reload();
                Reply::Reload(self.reloader.last_reload().cloned().unwrap_or_default())
            }
            // The control socket does this itself, also where a file system hangs.
            Request::Listeners => Reply::Listeners(None),
        };
        asked.answer(reply);
    }

    fn reload(&mut self) {
        self.logging.look();
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
