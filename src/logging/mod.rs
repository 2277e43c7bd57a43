//! The log: simplelog's formatting in front of outlets that never make a worker wait.
//! Only this room knows log files and terminals; it never decides what is worth a line.

mod clock;
mod outlet;
mod target;

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::unistd::{access, AccessFlags};
use simplelog::{ConfigBuilder, WriteLogger};

use crate::config::reason;
use clock::Clock;
use outlet::Outlet;
use target::{ConsoleTarget, FileTarget};

/// How long the end of the process waits for the last lines to be written. A stalled terminal or
/// file system costs this much and no more.
const LAST_FLUSH: Duration = Duration::from_secs(2);

/// Where the log goes and how much of it.
pub struct Settings<'a> {
    /// The shared log file, appended to; none: no file.
    pub file: Option<&'a Path>,
    /// When the file is rotated, and how many old ones are kept.
    pub rotation: Rotation,
    /// Whether lines also go to standard output.
    pub console: bool,
    /// The least important level that is logged.
    pub level: LevelFilter,
    /// Who gets each warning besides, without time and level.
    pub echo: Option<Echo>,
}

/// Gets the text of a warning; it must not wait for anybody who may never come.
pub type Echo = Box<dyn Fn(&fmt::Arguments<'_>) + Send + Sync>;

/// Whether a log file at this path could be appended to, without making one.
///
/// # Errors
/// A sentence for why not.
pub fn can_append(path: &Path) -> Result<(), String> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let usable = if path.exists() {
        OpenOptions::new().append(true).open(path).map(|_| ())
    } else {
        access(folder, AccessFlags::W_OK).map_err(io::Error::from)
    };
    usable.map_err(|error| cannot_append(path, &error))
}

/// Why the log cannot be written, and what to do.
pub fn cannot_append(path: &Path, error: &io::Error) -> String {
    format!(
        "log_file {}: cannot open the log for appending: {}; set another 'log_file', or 'none'",
        path.display(),
        reason(error)
    )
}

/// When the log file is replaced by a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The most bytes in one file; none: it grows without end.
    pub max_size: Option<u64>,
    /// How many old files are kept, as `FILE.1` (the newest) and so on.
    pub keep: usize,
}

/// The running log. The process has one.
#[derive(Clone)]
pub struct Logging {
    outlets: Arc<[Arc<Outlet>]>,
    console: bool,
}

impl Logging {
    /// Opens the log file and becomes the process's logger.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, a writer thread cannot be started, or the
    /// process already has a logger.
    pub fn start(settings: Settings<'_>) -> io::Result<Logging> {
        let mut outlets = Vec::new();
        if let Some(path) = settings.file {
            outlets.push(Outlet::start(Box::new(FileTarget::open(
                path,
                settings.rotation,
            )?))?);
        }
        if settings.console {
            outlets.push(Outlet::start(Box::new(ConsoleTarget::open()?))?);
        }
        let outlets: Arc<[Arc<Outlet>]> = outlets.into();
        let config = ConfigBuilder::new()
            // The time alone was a third of a line's cost, the level is allocated for each: they are
            // added around simplelog's part, in the same form.
            .set_time_level(LevelFilter::Off)
            .set_max_level(LevelFilter::Off)
            .set_thread_level(LevelFilter::Off)
            .set_target_level(LevelFilter::Off)
            .set_location_level(LevelFilter::Off)
            .build();
        let sink = LineSink {
            clock: Clock::default(),
            line: Vec::new(),
            outlets: Arc::clone(&outlets),
        };
        // simplelog formats every level; `log`'s own maximum, which can be changed while the
        // process runs, decides which ones get that far.
        let logger = Logger {
            formatter: *WriteLogger::new(LevelFilter::Trace, config, sink),
            outlets: Arc::clone(&outlets),
            echo: settings.echo,
        };
        log::set_boxed_logger(Box::new(logger)).map_err(io::Error::other)?;
        log::set_max_level(settings.level);
        Ok(Logging {
            outlets,
            console: settings.console,
        })
    }

    /// Whether lines also go to standard output.
    pub fn on_console(&self) -> bool {
        self.console
    }

    /// Log lines that were dropped since the start, over all outlets.
    pub fn lost_lines(&self) -> u64 {
        self.outlets.iter().map(|outlet| outlet.lost_lines()).sum()
    }

    /// Has the log file looked at soon: where it was moved away or deleted, a new one is made.
    pub fn look(&self) {
        for outlet in self.outlets.iter() {
            outlet.look();
        }
    }

    /// Writes what is left, waiting two seconds at most, and closes the outlets.
    pub fn finish(&self) {
        let deadline = Instant::now() + LAST_FLUSH;
        for outlet in self.outlets.iter() {
            outlet.close();
        }
        for outlet in self.outlets.iter() {
            outlet.wait_until_closed(deadline);
        }
    }
}

/// What `log`'s macros call.
struct Logger {
    formatter: WriteLogger<LineSink>,
    echo: Option<Echo>,
    outlets: Arc<[Arc<Outlet>]>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.formatter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let (level, message) = (record.level().as_str(), record.args());
        self.formatter.log(
            &Record::builder()
                .metadata(record.metadata().clone())
                .args(format_args!("[{level}] {message}"))
                .build(),
        );
        if let (Some(echo), Level::Warn) = (&self.echo, record.level()) {
            echo(message);
        }
        if record.level() <= Level::Warn {
            self.flush();
        }
    }

    /// Has the lines so far written at once, without waiting for it.
    fn flush(&self) {
        for outlet in self.outlets.iter() {
            outlet.hurry();
        }
    }
}

/// Puts simplelog's pieces together to whole lines, each with its time, and hands them to every
/// outlet.
struct LineSink {
    clock: Clock,
    line: Vec<u8>,
    outlets: Arc<[Arc<Outlet>]>,
}

impl Write for LineSink {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.line.is_empty() {
            self.clock.begin_line(&mut self.line);
        }
        self.line.extend_from_slice(piece);
        if self.line.ends_with(b"\n") {
            for outlet in self.outlets.iter() {
                outlet.push(&self.line);
            }
            self.line.clear();
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines lost by an outlet; its own type so that it is never mixed up with bytes.
#[derive(Debug, Default)]
struct LostLines(AtomicU64);

impl LostLines {
    fn add(&self, lines: usize) {
        self.0.fetch_add(lines as u64, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
