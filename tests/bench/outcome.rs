//! What became of the clients of a load: how many were answered, what happened to the others, and
//! how long they waited. It only counts.
#![allow(dead_code)]

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest latency that is told apart, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

/// What became of the clients.
pub struct Outcome {
    /// All that came.
    pub asked: u64,
    /// They got every byte.
    pub answered: u64,
    /// They could not connect, or the end or their patience's end came before the last byte.
    pub lost: u64,
    /// Those of the lost to whom the port was closed.
    pub refused: u64,
    /// Their connection was reset, before the last byte (those are lost as well) or after it.
    pub reset: u64,
    /// They got something else, or more.
    pub wrong: u64,
    /// From the first client's start to the last answer's end.
    pub took: Duration,
    /// Nanoseconds from when a client was meant to speak to its last byte. At a fixed rate that
    /// follows from its place in the schedule, so a server that stalls is charged for all who had
    /// to wait.
    latency: Histogram<u64>,
}

impl Default for Outcome {
    fn default() -> Outcome {
        Outcome {
            asked: 0,
            answered: 0,
            lost: 0,
            refused: 0,
            reset: 0,
            wrong: 0,
            took: Duration::ZERO,
            latency: Histogram::new_with_bounds(1, LONGEST, 3).expect("sensible bounds"),
        }
    }
}

impl Outcome {
    /// Counts a whole answer.
    pub fn record(&mut self, latency: Duration, took: Duration) {
        let nanos = (latency.as_nanos() as u64).clamp(1, LONGEST);
        self.latency.record(nanos).expect("in bounds");
        self.answered += 1;
        self.took = took;
    }

    /// Puts together what became of different clients, at the same time or at others.
    pub fn add(&mut self, other: &Outcome) {
        self.asked += other.asked;
        self.answered += other.answered;
        self.lost += other.lost;
        self.refused += other.refused;
        self.reset += other.reset;
        self.wrong += other.wrong;
        self.took = self.took.max(other.took);
        self.latency.add(&other.latency).expect("the same bounds");
    }

    /// Whole answers per second.
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64()
    }

    /// The latency that this part of the clients did not exceed, in microseconds; none where
    /// nobody was answered.
    pub fn micros(&self, part: f64) -> Option<f64> {
        let nanos = self.latency.value_at_quantile(part) as f64;
        (!self.latency.is_empty()).then_some(nanos / 1e3)
    }

    /// How many of a hundred clients got their answer.
    pub fn percent_answered(&self) -> f64 {
        100.0 * self.answered as f64 / self.asked as f64
    }

    /// How many of a hundred clients got their answer within this time from speaking.
    pub fn percent_within(&self, time: Duration) -> f64 {
        let count = self.latency.count_between(0, time.as_nanos() as u64);
        100.0 * count as f64 / self.asked as f64
    }
}
