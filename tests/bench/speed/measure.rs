//! One load on one running server: what its clients met with, and what it cost the server. It
//! neither chooses servers nor loads.

use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

use crate::attack::memory_kib;
use crate::load::{Load, Outcome};
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
        let before = processor_time(server);
        let outcome = load.run();
        Measured {
            outcome,
            cpu: processor_time(server).saturating_sub(before),
        }
    }

    /// Microseconds of the server's processor time for each whole answer.
    pub fn cpu_per_policy(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.outcome.answered as f64
    }
}

/// By the clocks of its processes, which count to the nanosecond and know threads that are gone;
/// the ticks of `/proc` are 10 ms long.
fn processor_time(server: &Running) -> Duration {
    let clocks = server
        .pids()
        .into_iter()
        .filter_map(|pid| clock_getcpuclockid(Pid::from_raw(pid as i32)).ok());
    clocks
        .filter_map(|clock| clock.now().ok())
        .map(Duration::from)
        .sum()
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
