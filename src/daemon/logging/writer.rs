//! The thread that takes lines from a queue and writes them to one destination. Only this thread
//! waits for the destination. After an error it keeps the lines and tries again; it counts each
//! line that it drops at last, and logs the number.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::queue::{Queue, WriterTask};
use crate::output::text::reason;

/// How long a failing destination is left alone before the next try.
const RETRY: Duration = Duration::from_millis(500);

/// How much memory is kept for the next batch.
const KEPT_BYTES: usize = 64 * 1024;

/// A destination of lines. A call may block or fail for any time.
pub(super) trait Destination: Send {
    /// The name in messages.
    fn name(&self) -> String;
    /// Checks whether it was moved away, while there is nothing to write.
    fn check_moved(&mut self) {}
    /// Writes some of `batch`, which holds whole lines, from the byte `next` on, and sets `next` to
    /// where the next write goes on. That is before the last one where a line that was cut short is
    /// to be written again as a whole, into another file.
    fn write(&mut self, batch: &[u8], next: &mut usize) -> io::Result<()>;
    /// The news since the last call.
    fn take_news(&mut self) -> News {
        News::default()
    }
}

/// Events at the destination that the operator should know.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Sentences.
    pub(super) warnings: Vec<String>,
    /// Lines that were written and had to go.
    pub(super) dropped: u64,
}

/// A destination with its queue.
pub(super) struct Writer {
    queue: Arc<Queue>,
    destination: Box<dyn Destination>,
    failing: bool,
    /// It failed and works again, and that has not been said.
    recovered: bool,
    lost_when_last_said: u64,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(destination: Box<dyn Destination>) -> io::Result<Arc<Queue>> {
        let queue = Arc::new(Queue::default());
        let writer = Writer::new(Arc::clone(&queue), destination);
        thread::Builder::new()
            .name("log".into())
            .spawn(move || writer.run())?;
        Ok(queue)
    }

    fn new(queue: Arc<Queue>, destination: Box<dyn Destination>) -> Writer {
        Writer {
            queue,
            destination,
            failing: false,
            recovered: false,
            lost_when_last_said: 0,
        }
    }

    fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            match self.queue.next_task(&mut batch) {
                WriterTask::End => break,
                WriterTask::CheckMoved => {
                    self.destination.check_moved();
                    self.pass_on_news();
                    continue;
                }
                WriterTask::Write => {}
            }
            // Before the batch is written: the queue was just emptied, so the report of the batch
            // before finds space in it.
            self.report();
            let goes_on = self.write(&batch);
            batch.clear();
            // The memory of a large batch is given back.
            batch.shrink_to(KEPT_BYTES);
            // With a full queue the report itself would be dropped: it is made with the next batch.
            if self.queue.has_room() {
                self.report();
            }
            // The lines about those that were lost would be lost, too, and so on.
            if !goes_on {
                break;
            }
        }
        // Last: the end of the process waits for this.
        self.queue.closed();
    }

    /// Writes a batch of whole lines, however long the destination takes to recover. False where the
    /// process ends before that.
    fn write(&mut self, batch: &[u8]) -> bool {
        let mut next = 0;
        while next < batch.len() {
            let before = next;
            let written = self.destination.write(batch, &mut next);
            // Also after an error: a rotation that failed is part of the reason.
            self.pass_on_news();
            match written {
                Ok(()) if next != before => continue,
                Ok(()) => self.failed(&io::ErrorKind::WriteZero.into()),
                Err(error) => self.failed(&error),
            }
            if next < batch.len() && self.queue.pause(RETRY) {
                // The process is ending: one last try.
                let _ = self.destination.write(batch, &mut next);
                self.queue.count_lost(count_lines(&batch[next..]));
                return next == batch.len();
            }
        }
        self.recovered = std::mem::take(&mut self.failing);
        if self.recovered {
            self.queue.set_failure(None);
        }
        true
    }

    fn pass_on_news(&mut self) {
        let News { warnings, dropped } = self.destination.take_news();
        // The warnings say so: `report` must not say it again.
        self.queue.count_lost(dropped);
        self.lost_when_last_said += dropped;
        for warning in warnings {
            log::warn!("{warning}");
        }
    }

    fn failed(&mut self, error: &io::Error) {
        if !self.failing {
            self.failing = true;
            // This line goes to the other destination now, and to this one when it works again.
            log::error!(
                "Cannot write the log to {}: {}. Lines are kept in memory while there is room, \
                 then dropped and counted; trying again every {} ms.",
                self.destination.name(),
                reason(error),
                RETRY.as_millis()
            );
        }
        self.queue.set_failure(Some(reason(error)));
    }

    /// Says what became of lines while the destination was slow or failing.
    fn report(&mut self) {
        let lost = self.queue.lost_lines();
        let newly_lost = lost.saturating_sub(self.lost_when_last_said);
        if newly_lost > 0 {
            log::warn!(
                "{newly_lost} log lines were lost: {} did not take them in time.",
                self.destination.name()
            );
        } else if self.recovered {
            log::warn!(
                "Writing the log to {} works again; no line was lost.",
                self.destination.name()
            );
        }
        self.recovered = false;
        self.lost_when_last_said = lost;
    }
}

/// Where the line that holds byte `at` begins.
pub(super) fn start_of_line(batch: &[u8], at: usize) -> usize {
    batch[..at]
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |newline| newline + 1)
}

pub(super) fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Takes as many bytes at each write as the plan says; for 0 the write fails.
    struct Planned {
        plan: Vec<usize>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Destination for Planned {
        fn name(&self) -> String {
            "planned".into()
        }

        fn write(&mut self, batch: &[u8], next: &mut usize) -> io::Result<()> {
            let most = self.plan.pop().unwrap_or(usize::MAX);
            let end = next.saturating_add(most).min(batch.len());
            let taken = &batch[*next..end];
            self.taken.lock().unwrap().extend_from_slice(taken);
            *next = end;
            if taken.is_empty() {
                return Err(io::Error::other("planned"));
            }
            Ok(())
        }
    }

    fn written(plan: &[usize], lines: &[u8], closing: bool) -> (Vec<u8>, u64) {
        let queue = Arc::new(Queue::default());
        let taken = Arc::default();
        let destination = Planned {
            plan: plan.iter().rev().copied().collect(),
            taken: Arc::clone(&taken),
        };
        let mut writer = Writer::new(Arc::clone(&queue), Box::new(destination));
        if closing {
            queue.close();
        }
        writer.write(lines);
        let taken = taken.lock().unwrap().clone();
        (taken, queue.lost_lines())
    }

    #[test]
    fn short_writes_and_failures_lose_and_double_nothing() {
        let lines = b"one\ntwo\nthree\n";
        for plan in [&[][..], &[1, 1, 1], &[4, 0, 2, 0], &[0, 0]] {
            assert_eq!(written(plan, lines, false), (lines.to_vec(), 0), "{plan:?}");
        }
    }

    /// Takes nothing, and has a line of the log for each try.
    struct Broken(Arc<Queue>);

    impl Destination for Broken {
        fn name(&self) -> String {
            "broken".into()
        }

        fn write(&mut self, _: &[u8], _: &mut usize) -> io::Result<()> {
            self.0.push(b"a line about it\n");
            Err(io::Error::other("broken"))
        }
    }

    #[test]
    fn the_lines_about_a_failing_destination_do_not_keep_its_writer_from_ending() {
        let queue = Arc::new(Queue::default());
        let writer = Writer::new(Arc::clone(&queue), Box::new(Broken(Arc::clone(&queue))));
        queue.push(b"one\n");
        queue.close();
        let (done, is_done) = std::sync::mpsc::channel();
        thread::spawn(move || {
            writer.run();
            done.send(()).unwrap();
        });
        is_done.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    #[test]
    fn at_the_end_a_failing_destination_has_one_more_try_and_the_rest_is_counted() {
        let lines = b"one\ntwo\nthree\n";
        assert_eq!(written(&[0, 4, 0], lines, true), (b"one\n".to_vec(), 2));
        assert_eq!(written(&[0, 0], lines, true), (Vec::new(), 3));
    }
}
