//! The log. simplelog formats a line; each destination then has a queue and a thread that writes,
//! so that no worker waits for a disk or a terminal. Only this module writes log files. It does not
//! decide what is logged.

mod console;
mod disk;
mod file;
mod queue;
mod writer;

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use humantime::format_rfc3339_micros;
use log::{Level, LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, WriteLogger};

use crate::daemon::files::{GuardedPath, Owner};
use crate::output::text::reason;
use console::{Console, Stream};
use file::LogFile;
pub use file::Rotation;
use queue::Queue;
use writer::Writer;

/// How long the end of the process waits for the last lines to be written. A stalled terminal or
/// file system costs this much and no more.
const LAST_FLUSH: Duration = Duration::from_secs(2);

/// How long the totals wait for the lines before them, which may be lost and counted.
const LAST_COUNT: Duration = Duration::from_secs(1);

/// Where the log goes and how much of it.
pub struct Settings<'a> {
    /// The shared log file, appended to; none: no file. `/dev/stdout` and `/dev/stderr` are the
    /// open descriptors.
    pub file: Option<&'a Path>,
    /// When the file is rotated, and how many old ones are kept.
    pub rotation: Rotation,
    /// The user that the log file is given to; none: it stays as it is.
    pub owner: Option<Owner>,
    /// Whether lines also go to standard output.
    pub console: bool,
    /// The least important level that is logged.
    pub level: LevelFilter,
    /// Another receiver of each warning, without time and level.
    pub echo: Option<Echo>,
}

/// Gets the text of a warning. It must not block without a limit.
pub type Echo = Box<dyn Fn(&fmt::Arguments<'_>) + Send + Sync>;

/// Whether a log at this path goes to standard output or standard error, which are open.
pub fn is_stream(path: &Path) -> bool {
    Stream::named(path).is_some()
}

/// Whether a log file at this path could be appended to, without making one.
///
/// # Errors
/// A sentence for why not.
pub fn can_append(path: &Path) -> Result<(), String> {
    if is_stream(path) {
        return Ok(());
    }
    GuardedPath::of(path)
        .and_then(|place| place.could_write(true))
        .map_err(|error| cannot_append(path, &error))
}

/// Whether this user could rotate a log file at this path; where not, a sentence for what happens
/// in its place.
pub fn cannot_rotate(path: &Path, rotation: Rotation) -> Option<String> {
    if rotation.max_size.is_none() || rotation.keep == 0 || Stream::named(path).is_some() {
        return None;
    }
    let place = GuardedPath::of(path).ok()?;
    if place.is_device() || place.could_rename() {
        return None;
    }
    // Not the folder that it is in: that may be /var/log.
    let name = path.file_name().unwrap_or_default();
    let own = path.with_file_name("flashpolicyd").join(name);
    Some(format!(
        "the log {} cannot be rotated, since its folder does not allow it to be renamed: it \
         is emptied when it is full, and there are no old logs. Give the log a folder that \
         belongs to the user that the server runs as (such as 'log_file = {}'), or set \
         'log_max_size = 0' and use logrotate",
        path.display(),
        own.display()
    ))
}

/// Why the log cannot be written, and what to do. A relative path is the current folder's, which the
/// text names.
pub fn cannot_append(path: &Path, error: &io::Error) -> String {
    let folder = match std::env::current_dir() {
        Ok(folder) if path.is_relative() => format!(" (in {})", folder.display()),
        _ => String::new(),
    };
    format!(
        "log_file {}: cannot open the log for appending{folder}: {}; set another 'log_file', or \
         'none'",
        path.display(),
        reason(error)
    )
}

/// The running log. The process has one.
#[derive(Clone)]
pub struct Logging {
    queues: Arc<Queues>,
    /// Whether lines also go to standard output from the start on.
    pub on_console: bool,
}

/// A queue for each destination.
#[derive(Default)]
struct Queues {
    /// That of the log file, which may be moved away.
    file: Option<Arc<Queue>>,
    streams: Vec<Arc<Queue>>,
    /// That of standard output, after [`Logging::greet`].
    greeted: OnceLock<Arc<Queue>>,
}

impl Queues {
    fn iter(&self) -> impl Iterator<Item = &Arc<Queue>> {
        let from_the_start = self.file.iter().chain(&self.streams);
        from_the_start.chain(self.greeted.get())
    }
}

impl Logging {
    /// Opens the log file and becomes the process's logger.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, a writer thread cannot be started, or the
    /// process already has a logger.
    pub fn start(settings: Settings<'_>) -> io::Result<Logging> {
        let mut queues = Queues::default();
        let named = settings.file.and_then(Stream::named);
        if let (Some(path), None) = (settings.file, named) {
            let file = LogFile::open(path, settings.rotation, settings.owner)?;
            queues.file = Some(Writer::start(Box::new(file))?);
        }
        let output = (settings.console && named != Some(Stream::Output)).then_some(Stream::Output);
        for stream in named.into_iter().chain(output) {
            let console = Console::open(stream)?;
            queues.streams.push(Writer::start(Box::new(console))?);
        }
        let queues = Arc::new(queues);
        let logger = Logger::new(Arc::clone(&queues), settings.echo);
        log::set_boxed_logger(Box::new(logger)).map_err(io::Error::other)?;
        log::set_max_level(settings.level);
        let on_console = settings.console || named == Some(Stream::Output);
        Ok(Logging { queues, on_console })
    }

    /// Shows this text on standard output, and from now on every line; nothing where it gets them
    /// already, or has no thread for it.
    pub fn greet(&self, text: &str) {
        if self.on_console {
            return;
        }
        if let Ok(queue) = Console::open(Stream::Output).and_then(|c| Writer::start(Box::new(c))) {
            queue.push(text.as_bytes());
            queue.flush_soon();
            let _ = self.queues.greeted.set(queue);
        }
    }

    /// Log lines that were dropped since the start, over all places that the log goes to.
    pub fn lost_lines(&self) -> u64 {
        self.queues.iter().map(|queue| queue.lost_lines()).sum()
    }

    /// Why the log file cannot be written now, and what becomes of its lines; none where it can.
    pub fn failure(&self) -> Option<String> {
        let queue = self.queues.file.as_ref()?;
        let why = queue.failure()?;
        Some(match queue.lost_lines() {
            0 => format!("{why}; its lines wait in memory"),
            lost => format!("{why}; lines wait in memory, and {lost} were lost"),
        })
    }

    /// Has the log file checked soon: where it was moved away or deleted, a new one is made.
    pub fn check_moved(&self) {
        if let Some(queue) = &self.queues.file {
            queue.check_moved();
        }
    }

    /// Has the lines so far written, waiting one second at most: what is lost of them is counted
    /// then.
    pub fn wait_until_written(&self) {
        let deadline = Instant::now() + LAST_COUNT;
        for queue in self.queues.iter() {
            queue.wait_until_written(deadline);
        }
    }

    /// Writes what is left, waiting two seconds at most, and ends the writers.
    pub fn finish(&self) {
        let deadline = Instant::now() + LAST_FLUSH;
        for queue in self.queues.iter() {
            queue.close();
        }
        for queue in self.queues.iter() {
            queue.wait_until_closed(deadline);
        }
    }
}

/// A thread's longest line whose memory is kept for its next one.
const KEPT_BYTES: usize = 1024;

thread_local! {
    /// Memory for a line. It is taken out while a line is formatted: that may log another one.
    static LINE: Cell<String> = const { Cell::new(String::new()) };
}

/// The logger behind the macros of `log`.
struct Logger {
    formatter: WriteLogger<LineSink>,
    echo: Option<Echo>,
    queues: Arc<Queues>,
}

impl Logger {
    fn new(queues: Arc<Queues>, echo: Option<Echo>) -> Logger {
        let config = ConfigBuilder::new()
            // simplelog's time costs a third of a line, and its level an allocation: they are added
            // around its part, in the same form.
            .set_time_level(LevelFilter::Off)
            .set_max_level(LevelFilter::Off)
            .set_thread_level(LevelFilter::Off)
            .set_target_level(LevelFilter::Off)
            .set_location_level(LevelFilter::Off)
            .build();
        let sink = LineSink {
            line: Vec::new(),
            queues: Arc::clone(&queues),
        };
        Logger {
            // simplelog formats every level; `log`'s own maximum, which can be changed while the
            // process runs, decides which ones get that far.
            formatter: *WriteLogger::new(LevelFilter::Trace, config, sink),
            queues,
            echo,
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.formatter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let (level, message) = (record.level().as_str(), record.args());
        // Not under simplelog's lock: a `Display` that panics would leave it locked for the panic's
        // own line, and poisoned for all threads.
        let mut line = LINE.try_with(Cell::take).unwrap_or_default();
        // Of a value that cannot be formatted, the line has what comes before it.
        let _ = write!(line, "[{level}] {message}");
        self.formatter.log(
            &Record::builder()
                .metadata(record.metadata().clone())
                .args(format_args!("{line}"))
                .build(),
        );
        if line.capacity() <= KEPT_BYTES {
            line.clear();
            let _ = LINE.try_with(|kept| kept.set(line));
        }
        if let (Some(echo), Level::Warn) = (&self.echo, record.level()) {
            echo(message);
        }
        if record.level() <= Level::Warn {
            self.flush();
        }
    }

    /// Has the lines so far written at once, without waiting for it.
    fn flush(&self) {
        for queue in self.queues.iter() {
            queue.flush_soon();
        }
    }
}

/// Puts simplelog's pieces together to whole lines, each with its time, and hands them to every
/// queue.
struct LineSink {
    line: Vec<u8>,
    queues: Arc<Queues>,
}

impl Write for LineSink {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.line.is_empty() {
            // RFC 3339, UTC.
            let now = SystemTime::now().max(SystemTime::UNIX_EPOCH);
            write!(self.line, "{} ", format_rfc3339_micros(now))?;
        }
        self.line.extend_from_slice(piece);
        if self.line.ends_with(b"\n") {
            for queue in self.queues.iter() {
                queue.push(&self.line);
            }
            self.line.clear();
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{self, AssertUnwindSafe};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// Logs, as the hook for panics does while this is being formatted, and panics.
    struct Panics<'a>(&'a Logger);

    impl fmt::Display for Panics<'_> {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            log(self.0, format_args!("a line about the panic"));
            panic!("this value cannot be shown");
        }
    }

    struct Fails;

    impl fmt::Display for Fails {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }

    fn log(logger: &Logger, message: fmt::Arguments<'_>) {
        let mut record = Record::builder();
        logger.log(&record.level(Level::Info).args(message).build());
    }

    #[test]
    fn a_panic_while_a_line_is_formatted_stops_no_thread_that_logs() {
        let queue = Arc::new(Queue::default());
        let queues = Queues {
            streams: vec![Arc::clone(&queue)],
            ..Queues::default()
        };
        let logger = Arc::new(Logger::new(Arc::new(queues), None));
        let (done, is_done) = mpsc::channel();
        let threads = (0..2).map(|number| {
            let (logger, done) = (Arc::clone(&logger), done.clone());
            thread::spawn(move || {
                let panicking = || log(&logger, format_args!("lost: {}", Panics(&logger)));
                panic::catch_unwind(AssertUnwindSafe(panicking)).unwrap_err();
                log(&logger, format_args!("cut: {}", Fails));
                log(&logger, format_args!("thread {number} goes on"));
                done.send(()).unwrap();
            })
        });
        for _ in threads.collect::<Vec<_>>() {
            let waited = is_done.recv_timeout(Duration::from_secs(20));
            waited.expect("no thread waits for the log");
        }
        let mut written = Vec::new();
        queue.next_task(&mut written);
        let written = String::from_utf8(written).unwrap();
        for line in written.lines() {
            let digits = |c: char| if c.is_ascii_digit() { '0' } else { c };
            let time: String = line[..28].chars().map(digits).collect();
            assert_eq!(time, "0000-00-00T00:00:00.000000Z ");
        }
        let mut lines: Vec<_> = written.lines().map(|line| &line[28..]).collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "[INFO] a line about the panic",
                "[INFO] a line about the panic",
                "[INFO] cut: ",
                "[INFO] cut: ",
                "[INFO] thread 0 goes on",
                "[INFO] thread 1 goes on",
            ]
        );
    }
}
