//! What the supervisor does besides the clients: reload, statistics, a look at the log file. It
//! only passes on what each of these rooms decides.

use std::time::{Duration, Instant};

use crate::config::reason;
use crate::control_socket::{Asked, Reply, Request};
use crate::logging::Logging;
use crate::reload::Reloader;
use crate::server::{Figures, Policies, Upkeep};
use crate::stats::Snapshot;
use crate::status::Running;

/// How often the file with the statistics is written.
const STATS_FILE_EVERY: Duration = Duration::from_secs(15);

/// How often the log file is looked at: it may have been moved away.
const LOG_FILE_EVERY: Duration = Duration::from_millis(500);

/// The supervisor's list of things to do.
pub struct Housekeeper {
    reloader: Reloader,
    running: Running,
    logging: Logging,
    line_written: Instant,
    file_written: Option<Instant>,
    file_failed: bool,
    log_looked_at: Instant,
}

impl Housekeeper {
    /// Begins now.
    pub fn new(reloader: Reloader, running: Running, logging: Logging) -> Housekeeper {
        Housekeeper {
            reloader,
            running,
            logging,
            line_written: Instant::now(),
            file_written: None,
            file_failed: false,
            log_looked_at: Instant::now(),
        }
    }

    fn snapshot<'a>(&self, figures: Figures<'a>) -> Snapshot<'a> {
        Snapshot {
            stats: figures.stats,
            gauges: figures.gauges,
            log_lines_lost: self.logging.lost_lines(),
        }
    }

    fn write_file(&mut self, figures: Figures<'_>) {
        let Some(path) = self.reloader.config().stats_file.clone() else {
            return;
        };
        self.file_written = Some(Instant::now());
        match self.snapshot(figures).write_file(&path) {
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

impl Upkeep for Housekeeper {
    fn pause(&self) -> Duration {
        self.reloader.pause().min(LOG_FILE_EVERY)
    }

    fn look(&mut self, figures: Figures<'_>) -> Option<Policies> {
        if self.log_looked_at.elapsed() >= LOG_FILE_EVERY {
            self.log_looked_at = Instant::now();
            self.logging.look();
        }
        let every = self.reloader.config().stats_interval;
        if !every.is_zero() && self.line_written.elapsed() >= every {
            self.line_written = Instant::now();
            log::info!("Statistics: {}.", self.snapshot(figures));
        }
        let due = |last: Instant| last.elapsed() >= STATS_FILE_EVERY;
        if self.file_written.is_none_or(due) {
            self.write_file(figures);
        }
        self.reloader.look()
    }

    fn reload(&mut self) -> Option<Policies> {
        self.logging.look();
        self.reloader.reload().ok()?.policies
    }

    fn asked(&mut self, asked: Asked, figures: Figures<'_>) -> Option<Policies> {
        match asked.request {
            Request::Status => {
                let status = self.running.status(
                    self.reloader.described(),
                    &self.snapshot(figures),
                    self.reloader.last_reload(),
                );
                asked.answer(Reply::Status(Box::new(status)));
                None
            }
            Request::Reload => {
                let policies = self.reload();
                let outcome = self.reloader.last_reload().cloned().unwrap_or_default();
                asked.answer(Reply::Reload(outcome));
                policies
            }
        }
    }

    fn report(&mut self, figures: Figures<'_>) {
        log::info!("Statistics: {}.", self.snapshot(figures));
        self.write_file(figures);
    }

    fn finish(&mut self, figures: Figures<'_>) {
        log::info!("Totals: {}.", self.snapshot(figures));
        self.write_file(figures);
    }
}
