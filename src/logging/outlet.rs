//! One place the log goes to, with a bounded buffer in front of it and a thread behind it.
//! Handing it a line never waits for the place itself: what does not fit is dropped and counted.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::target::Target;
use super::LostLines;

/// The most that is kept in memory for one outlet, in bytes; the batch being written comes on top.
const BUFFER_BYTES: usize = 512 * 1024;

/// How much of that memory is kept for the next lines.
const KEPT_BYTES: usize = 64 * 1024;

/// How late a line may be written, so that many go out in one system call.
const LATENCY: Duration = Duration::from_millis(200);

/// How long a failing target is left alone before the next try.
const RETRY: Duration = Duration::from_millis(500);

/// A bounded buffer and its writer thread.
pub(super) struct Outlet {
    buffer: Mutex<Buffer>,
    changed: Condvar,
    lost: LostLines,
}

#[derive(Default)]
struct Buffer {
    lines: Vec<u8>,
    hurry: bool,
    look: bool,
    closing: bool,
    closed: bool,
}

impl Outlet {
    /// Starts the writer thread of `target`.
    pub(super) fn start(target: Box<dyn Target>) -> io::Result<Arc<Outlet>> {
        let outlet = Arc::new(Outlet {
            buffer: Mutex::default(),
            changed: Condvar::new(),
            lost: LostLines::default(),
        });
        let writer = Writer {
            outlet: Arc::clone(&outlet),
            target,
            failing: false,
            recovered: false,
            lost_when_last_said: 0,
        };
        thread::Builder::new()
            .name("log".into())
            .spawn(move || writer.run())?;
        Ok(outlet)
    }

    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a whole line, or counts it as lost.
    pub(super) fn push(&self, line: &[u8]) {
        let mut buffer = self.lock();
        if buffer.lines.len() + line.len() > BUFFER_BYTES {
            drop(buffer);
            self.lost.add(1);
            return;
        }
        let before = buffer.lines.len();
        buffer.lines.extend_from_slice(line);
        let half = BUFFER_BYTES / 2;
        // The writer sleeps until there is a first line, and then until its latency is over.
        let wake = before == 0 || (before < half && buffer.lines.len() >= half);
        drop(buffer);
        if wake {
            self.changed.notify_all();
        }
    }

    /// Has what is buffered written now.
    pub(super) fn hurry(&self) {
        self.lock().hurry = true;
        self.changed.notify_all();
    }

    /// Has the target looked at, also when there is nothing to write.
    pub(super) fn look(&self) {
        self.lock().look = true;
        self.changed.notify_all();
    }

    /// Has what is buffered written now, as far as the target still takes it, and ends the thread.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    /// Waits for the end of the thread, but not past `deadline`.
    pub(super) fn wait_until_closed(&self, deadline: Instant) {
        let mut buffer = self.lock();
        while !buffer.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            buffer = self.wait(buffer, left);
        }
    }

    /// Lines dropped since the start.
    pub(super) fn lost_lines(&self) -> u64 {
        self.lost.get()
    }

    fn wait<'a>(
        &self,
        buffer: MutexGuard<'a, Buffer>,
        at_most: Duration,
    ) -> MutexGuard<'a, Buffer> {
        self.changed
            .wait_timeout(buffer, at_most)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    /// Swaps the next batch into `batch`, which is empty, and stays so when only a look was asked
    /// for; false when there will be none any more.
    fn next_batch(&self, batch: &mut Vec<u8>) -> bool {
        let mut buffer = self.lock();
        while buffer.lines.is_empty() && !buffer.closing {
            buffer.hurry = false;
            if std::mem::take(&mut buffer.look) {
                return true;
            }
            buffer = self
                .changed
                .wait(buffer)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let since = Instant::now();
        while !buffer.hurry && !buffer.closing && buffer.lines.len() < BUFFER_BYTES / 2 {
            let left = LATENCY.saturating_sub(since.elapsed());
            if left.is_zero() {
                break;
            }
            buffer = self.wait(buffer, left);
        }
        buffer.hurry = false;
        std::mem::swap(&mut buffer.lines, batch);
        !batch.is_empty()
    }

    fn has_room(&self) -> bool {
        self.lock().lines.len() < BUFFER_BYTES / 2
    }

    /// Leaves a failing target alone for a while; true when the process is ending.
    fn pause(&self) -> bool {
        let until = Instant::now() + RETRY;
        let mut buffer = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if buffer.closing || left.is_zero() {
                return buffer.closing;
            }
            buffer = self.wait(buffer, left);
        }
    }
}

/// The thread behind an outlet.
struct Writer {
    outlet: Arc<Outlet>,
    target: Box<dyn Target>,
    failing: bool,
    /// It failed and works again, and that has not been said.
    recovered: bool,
    lost_when_last_said: u64,
}

impl Writer {
    fn run(mut self) {
        let mut batch = Vec::new();
        while self.outlet.next_batch(&mut batch) {
            if batch.is_empty() {
                // A failure is for the next write to find, and to say.
                let _ = self.target.prepare();
                continue;
            }
            // The buffer has just been emptied: a line about the batch before it finds room.
            self.report();
            self.write(&batch);
            batch.clear();
            // What one busy moment took is not kept for ever.
            batch.shrink_to(KEPT_BYTES);
            if self.outlet.has_room() {
                self.report();
            }
        }
        self.outlet.lock().closed = true;
        self.outlet.changed.notify_all();
    }

    /// Writes a batch of whole lines, however long the target takes to recover.
    fn write(&mut self, batch: &[u8]) {
        let mut done = 0;
        while done < batch.len() {
            let written = self.target.prepare().and_then(|state| {
                if state == super::target::State::Fresh {
                    // A line that was cut short stands in the old file; the new one gets it whole.
                    done = start_of_line(batch, done);
                }
                self.target.write(&batch[done..])
            });
            match written {
                Ok(bytes) if bytes > 0 => done += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) => self.failed(&io::Error::from(io::ErrorKind::WriteZero)),
                Err(error) => self.failed(&error),
            }
            if self.failing && done < batch.len() && self.outlet.pause() {
                // The process is ending: one last try.
                let left = &batch[done..];
                let taken = self.target.write(left).unwrap_or(0);
                self.outlet.lost.add(count_lines(&left[taken..]));
                return;
            }
        }
        self.recovered = std::mem::take(&mut self.failing);
    }

    fn failed(&mut self, error: &io::Error) {
        if !self.failing {
            self.failing = true;
            // This line goes to the other outlet now, and to this one when it works again.
            log::error!(
                "Cannot write the log to {}: {error}. Lines are kept in memory while there is \
                 room, then dropped and counted; trying again every {} ms.",
                self.target.name(),
                RETRY.as_millis()
            );
        }
    }

    /// Says what became of lines while the target was slow or failing.
    fn report(&mut self) {
        let lost = self.outlet.lost.get();
        let newly_lost = lost - self.lost_when_last_said;
        if newly_lost > 0 {
            log::warn!(
                "{newly_lost} log lines were lost: {} did not take them in time.",
                self.target.name()
            );
        } else if self.recovered {
            log::warn!(
                "Writing the log to {} works again; no line was lost.",
                self.target.name()
            );
        }
        self.recovered = false;
        self.lost_when_last_said = lost;
    }
}

/// Where the line that holds byte `at` begins.
fn start_of_line(batch: &[u8], at: usize) -> usize {
    batch[..at]
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |newline| newline + 1)
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}
