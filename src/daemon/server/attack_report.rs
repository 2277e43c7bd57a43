//! Reports evictions and left-out log lines in the log, with one line of each kind a minute at the
//! most. It only reports.

use std::time::{Duration, Instant};

use super::context::Context;
use super::poller::Poller;
use super::tally::Tally;

/// The shortest time between two lines.
const EVERY: Duration = Duration::from_secs(60);

/// When the last lines were written.
#[derive(Default)]
pub struct AttackReport {
    evictions: Option<Instant>,
    left_out: Option<Instant>,
}

impl AttackReport {
    /// Says what happened since the last lines, when it is time for others. To be called about once
    /// a second.
    pub(super) fn report_if_due(&mut self, poller: &Poller, context: &Context) {
        if let Some(evictions) = due(&mut self.evictions, || poller.take_evictions()) {
            log::warn!("{}", evicted(&evictions, poller.limit()));
        }
        // What was left out is summed up when a minute of it is over.
        if let Some(at) = self.left_out {
            if at.elapsed() >= EVERY {
                self.left_out = None;
                log_left_out(context);
            }
        } else if context.client_lines.has_left_out() {
            self.left_out = Some(Instant::now());
        }
    }
}

/// The sum of what was left out until now, where there is any.
pub(super) fn log_left_out(context: &Context) {
    let left_out = context.client_lines.take_left_out();
    if left_out.total() > 0 {
        log::warn!("{}", not_logged(&left_out));
    }
}

fn due(last: &mut Option<Instant>, take: impl FnOnce() -> Tally) -> Option<Tally> {
    if last.is_some_and(|last| last.elapsed() < EVERY) {
        return None;
    }
    let tally = take();
    if tally.total() == 0 {
        return None;
    }
    *last = Some(Instant::now());
    Some(tally)
}

fn evicted(evictions: &Tally, limit: usize) -> String {
    format!(
        "{} connections whose request had not come were evicted for others: {limit} may wait, and \
         no more than the open files allow. The largest shares: {evictions}. This is logged once a \
         minute at the most.",
        evictions.total(),
    )
}

fn not_logged(left_out: &Tally) -> String {
    format!(
        "{} more connections came, too fast for lines of their own. The largest shares: {left_out}. \
         This is logged once a minute at the most; log_level = debug has all lines.",
        left_out.total(),
    )
}
