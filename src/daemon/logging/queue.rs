//! The bounded buffer between the threads that log and the thread that writes. Adding a line never
//! waits: a line that does not fit is dropped and counted. It knows nothing of files.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most that is kept in memory for one destination, in bytes; the batch being written comes on
/// top.
pub(super) const BUFFER_BYTES: usize = 512 * 1024;

/// How late a line may be written, so that many go out in one system call.
const LATENCY: Duration = Duration::from_millis(200);

/// Whole lines on their way to one destination.
#[derive(Default)]
pub(super) struct Queue {
    buffer: Mutex<Buffer>,
    changed: Condvar,
    lost: AtomicU64,
}

#[derive(Default)]
struct Buffer {
    lines: Vec<u8>,
    flush_soon: bool,
    check_moved: bool,
    closing: bool,
    closed: bool,
    /// The writer has a batch that it has not dealt with yet.
    writing: bool,
    /// Why the destination takes nothing now.
    failure: Option<String>,
}

impl Buffer {
    /// Whether there is nothing to write, and the end has not come either.
    fn is_idle(&self) -> bool {
        self.lines.is_empty() && !self.closing
    }
}

/// The next step of the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriterTask {
    /// Write the batch.
    Write,
    /// Check whether the destination was moved away: nothing is to be written.
    CheckMoved,
    /// End: nothing will come any more.
    End,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as this holds, but not longer than `at_most`.
    fn wait_while<'a>(
        &self,
        buffer: MutexGuard<'a, Buffer>,
        at_most: Duration,
        holds: impl FnMut(&mut Buffer) -> bool,
    ) -> MutexGuard<'a, Buffer> {
        self.changed
            .wait_timeout_while(buffer, at_most, holds)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    fn change(&self, change: impl FnOnce(&mut Buffer)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Takes a whole line, or counts it as lost.
    pub(super) fn push(&self, line: &[u8]) {
        let mut buffer = self.lock();
        if buffer.closed || buffer.lines.len() + line.len() > BUFFER_BYTES {
            drop(buffer);
            self.count_lost(1);
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
    pub(super) fn flush_soon(&self) {
        self.change(|buffer| buffer.flush_soon = true);
    }

    /// Has the destination checked, also when there is nothing to write.
    pub(super) fn check_moved(&self) {
        self.change(|buffer| buffer.check_moved = true);
    }

    /// Has what is buffered written now, as far as the destination still takes it, and ends the
    /// writer.
    pub(super) fn close(&self) {
        self.change(|buffer| buffer.closing = true);
    }

    /// The writer has ended; lines that come now are lost.
    pub(super) fn closed(&self) {
        self.change(|buffer| buffer.closed = true);
    }

    /// Waits for the end of the writer, but not past `deadline`.
    pub(super) fn wait_until_closed(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        drop(self.wait_while(self.lock(), left, |buffer| !buffer.closed));
    }

    /// Has what is buffered written now, and waits for that, but not past `deadline`, nor for a
    /// destination that fails.
    pub(super) fn wait_until_written(&self, deadline: Instant) {
        self.flush_soon();
        let left = deadline.saturating_duration_since(Instant::now());
        drop(self.wait_while(self.lock(), left, |buffer| {
            let goes_on = !buffer.closed && buffer.failure.is_none();
            goes_on && (buffer.writing || !buffer.lines.is_empty())
        }));
    }

    /// Whether the destination takes lines from now on, or why not.
    pub(super) fn set_failure(&self, failure: Option<String>) {
        self.change(|buffer| buffer.failure = failure);
    }

    /// Why the destination takes nothing now.
    pub(super) fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    /// Counts lines that are in no log.
    pub(super) fn count_lost(&self, lines: u64) {
        self.lost.fetch_add(lines, Relaxed);
    }

    /// Lines that are in no log, since the start.
    pub(super) fn lost_lines(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Waits for something to do; swaps the next batch into `batch`, which is empty.
    pub(super) fn next_task(&self, batch: &mut Vec<u8>) -> WriterTask {
        let mut buffer = self.lock();
        if std::mem::take(&mut buffer.writing) {
            // Somebody may wait for it.
            self.changed.notify_all();
        }
        let nothing_to_do = |buffer: &mut Buffer| {
            let is_idle = buffer.is_idle();
            // It was about the lines before.
            buffer.flush_soon &= !is_idle;
            is_idle && !buffer.check_moved
        };
        let waited = self.changed.wait_while(buffer, nothing_to_do);
        let mut buffer = waited.unwrap_or_else(PoisonError::into_inner);
        if buffer.is_idle() {
            buffer.check_moved = false;
            return WriterTask::CheckMoved;
        }
        let mut buffer = self.wait_while(buffer, LATENCY, |buffer| {
            !buffer.flush_soon && !buffer.closing && buffer.lines.len() < BUFFER_BYTES / 2
        });
        buffer.flush_soon = false;
        buffer.writing = true;
        std::mem::swap(&mut buffer.lines, batch);
        if batch.is_empty() {
            WriterTask::End
        } else {
            WriterTask::Write
        }
    }

    /// Whether there is space for a line about the log itself.
    pub(super) fn has_room(&self) -> bool {
        self.lock().lines.len() < BUFFER_BYTES / 2
    }

    /// Waits before the next try of a failing destination. True, and earlier, when the process is
    /// ending.
    pub(super) fn pause(&self, time: Duration) -> bool {
        self.wait_while(self.lock(), time, |buffer| !buffer.closing)
            .closing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn what_does_not_fit_is_counted_and_the_rest_stays_in_order() {
        let queue = Queue::default();
        let line = [b'x'; 1023];
        let line = [&line[..], b"\n"].concat();
        for _ in 0..BUFFER_BYTES / 1024 + 7 {
            queue.push(&line);
        }
        assert_eq!(queue.lost_lines(), 7);
        assert!(!queue.has_room());
        let mut batch = Vec::new();
        assert_eq!(queue.next_task(&mut batch), WriterTask::Write);
        assert_eq!(batch.len(), BUFFER_BYTES);
        assert!(queue.has_room());
        queue.push(b"next\n");
        queue.flush_soon();
        batch.clear();
        assert_eq!(queue.next_task(&mut batch), WriterTask::Write);
        assert_eq!(batch, b"next\n");
        assert_eq!(queue.lost_lines(), 7);
    }

    #[test]
    fn a_line_in_a_hurry_does_not_wait_for_others() {
        let queue = Queue::default();
        queue.push(b"a\n");
        let since = Instant::now();
        let mut batch = Vec::new();
        queue.next_task(&mut batch);
        assert!(since.elapsed() >= LATENCY);
        batch.clear();
        queue.push(b"b\n");
        queue.flush_soon();
        let since = Instant::now();
        queue.next_task(&mut batch);
        assert!(since.elapsed() < LATENCY);
    }

    #[test]
    fn a_check_comes_without_lines_and_the_end_after_the_last_ones() {
        let queue = Queue::default();
        let mut batch = Vec::new();
        queue.check_moved();
        assert_eq!(queue.next_task(&mut batch), WriterTask::CheckMoved);
        queue.push(b"last\n");
        queue.close();
        assert_eq!(queue.next_task(&mut batch), WriterTask::Write);
        assert_eq!(batch, b"last\n");
        batch.clear();
        assert_eq!(queue.next_task(&mut batch), WriterTask::End);
        queue.closed();
        queue.push(b"too late\n");
        assert_eq!(queue.lost_lines(), 1);
    }

    #[test]
    fn a_pause_ends_with_the_process() {
        let queue = Arc::new(Queue::default());
        assert!(!queue.pause(Duration::from_millis(1)));
        let other = Arc::clone(&queue);
        let closer = thread::spawn(move || other.close());
        assert!(queue.pause(Duration::from_secs(600)));
        closer.join().unwrap();
        // Nobody writes: the wait for the end has an end of its own.
        queue.wait_until_closed(Instant::now() + Duration::from_millis(1));
    }
}
