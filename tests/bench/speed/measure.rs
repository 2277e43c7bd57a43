//! One load on one running server: what its clients met with, and what it cost the server. It
//! neither chooses servers nor loads.

use std::time::Duration;

use crate::attack::{memory_kib, processor_time};
use crate::load::Load;
use crate::outcome::Outcome;
use crate::servers::Running;

/// What a load met with, and what it cost.
pub struct Measured {
    pub outcome: Outcome,
    /// The processor time of all the server's processes, user and system.
    pub cpu: Duration,
}

impl Measured {
    /// Runs the load.
    pub fn of(server: &Running, load: &Load<'_>) -> Measured {
        let before = processor_time_of(server);
        let outcome = load.run();
        Measured {
            outcome,
            cpu: processor_time_of(server).saturating_sub(before),
        }
    }

    /// Microseconds of the server's processor time for each whole answer.
    pub fn cpu_per_policy(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.outcome.answered as f64
    }
}

fn processor_time_of(server: &Running) -> Duration {
    server.pids().into_iter().map(processor_time).sum()
}

/// The resident memory of all its processes, in MB (of a million bytes).
pub fn resident(server: &Running) -> f64 {
    let kib: u64 = server
        .pids()
        .into_iter()
        .map(|pid| memory_kib(pid, "VmRSS"))
        .sum();
    kib as f64 * 1024.0 / 1e6
}
