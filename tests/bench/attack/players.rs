//! The players of a scenario: groups that come at the same time. What they meet with is
//! [`crate::outcome`]'s to count.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use crate::attack::Sources;
use crate::load::{Load, PLAYERS_PATIENCE, Pace, run_together};
use crate::outcome::Outcome;
use crate::support::BUILT_IN;

/// A group of players.
#[derive(Clone, Copy)]
pub struct Players {
    pub name: &'static str,
    pub per_second: f64,
    /// How long after it has connected each of them speaks.
    pub late: Duration,
    /// How many addresses they come from.
    pub addresses: u32,
}

const fn players(name: &'static str, late_millis: u64, addresses: u32) -> Players {
    Players {
        name,
        per_second: 100.0,
        late: Duration::from_millis(late_millis),
        addresses,
    }
}

pub const AT_ONCE: Players = players("at once", 0, 10_000);
pub const LATE: Players = players("0.2 s late", 200, 10_000);
pub const VERY_LATE: Players = players("1 s late", 1000, 10_000);
pub const SAME_TWENTY: Players = players("0.2 s late, the same 20", 200, 20);

impl Players {
    fn load<'a>(
        &self,
        to: SocketAddr,
        group: u8,
        lasts: Duration,
        stop: Option<&'a AtomicBool>,
    ) -> Load<'a> {
        Load {
            to,
            from: Sources::v4([127, 100 + group, 0, 1], self.addresses),
            pace: Pace::PerSecond(self.per_second),
            speaks_after: self.late,
            lasts,
            stop,
            patience: PLAYERS_PATIENCE,
            answer: BUILT_IN,
        }
    }
}

/// Has all groups come for this time; what each met with.
pub fn come(groups: &[Players], to: SocketAddr, lasts: Duration) -> Vec<Outcome> {
    let loads: Vec<_> = (0..)
        .zip(groups)
        .map(|(group, players)| players.load(to, group, lasts, None))
        .collect();
    run_together(&loads)
}

/// Has all groups come while something happens; what all of them met with.
pub fn come_while(
    groups: &[Players],
    to: SocketAddr,
    at_most: Duration,
    happening: impl FnOnce(&AtomicBool),
) -> Outcome {
    let stop = AtomicBool::new(false);
    let loads: Vec<_> = (0..)
        .zip(groups)
        .map(|(group, players)| players.load(to, group, at_most, Some(&stop)))
        .collect();
    let outcomes = thread::scope(|scope| {
        let running = scope.spawn(|| run_together(&loads));
        happening(&stop);
        stop.store(true, Relaxed);
        running.join().expect("loads end by themselves")
    });
    let mut sum = Outcome::default();
    outcomes.iter().for_each(|outcome| sum.add(outcome));
    sum
}
