//! Says in the log that the server is being held up: one line a minute, however many evictions
//! there are. It only reports.

use std::time::{Duration, Instant};

use super::admission::Evictions;

/// The shortest time between two lines.
const EVERY: Duration = Duration::from_secs(60);

/// When the last line was written.
#[derive(Default)]
pub(super) struct Alarm {
    last: Option<Instant>,
}

impl Alarm {
    /// Says what happened since the last line, when it is time for another. `take` gives that, and
    /// starts to count anew.
    pub(super) fn look(&mut self, take: impl FnOnce() -> Evictions) {
        if self.last.is_some_and(|last| last.elapsed() < EVERY) {
            return;
        }
        let evictions = take();
        if evictions.total == 0 {
            return;
        }
        self.last = Some(Instant::now());
        log::warn!("{}", sentence(&evictions));
    }
}

fn sentence(evictions: &Evictions) -> String {
    let worst: Vec<_> = evictions
        .worst
        .iter()
        .map(|(source, count)| format!("{source} ({count})"))
        .collect();
    format!(
        "Every worker was waiting for silent clients: {} of them were evicted for others. Most \
         came from {}. This is logged once a minute at the most.",
        evictions.total,
        worst.join(", ")
    )
}
