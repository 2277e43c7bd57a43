//! The players of a scenario: groups that come at the same time. What they meet with is
//! [`crate::outcome`]'s to count.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use crate::attack::Sources;
use crate::load::{Load, Pace};
use crate::outcome::Outcome;
use crate::support::BUILT_IN;

/// How long Flash Player waits for its policy.
const PATIENCE: Duration = Duration::from_secs(3);

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
        group: usize,
        lasts: Duration,
        stop: Option<&'a AtomicBool>,
    ) -> Load<'a> {
        Load {
            to,
            from: Sources::v4([127, 100 + group as u8, 0, 1], self.addresses),
            pace: Pace::PerSecond(self.per_second),
            speaks_after: self.late,
            lasts,
            stop,
            patience: PATIENCE,
            answer: BUILT_IN,
        }
    }
}

/// Has all groups come for this time; what each met with.
pub fn come(groups: &[Players], to: SocketAddr, lasts: Duration) -> Vec<Outcome> {
    thread::scope(|scope| {
        let loads: Vec<_> = groups
            .iter()
            .enumerate()
            .map(|(group, players)| scope.spawn(move || players.load(to, group, lasts, None).run()))
            .collect();
        let outcomes = loads.into_iter().map(|load| load.join());
        outcomes
            .map(|outcome| outcome.expect("a load ends by itself"))
            .collect()
    })
}

/// Has all groups come while something happens; what all of them met with.
pub fn come_while(
    groups: &[Players],
    to: SocketAddr,
    at_most: Duration,
    happening: impl FnOnce(&AtomicBool),
) -> Outcome {
    let stop = AtomicBool::new(false);
    let mut sum = Outcome::default();
    thread::scope(|scope| {
        let loads: Vec<_> = groups
            .iter()
            .enumerate()
            .map(|(group, players)| {
                let load = players.load(to, group, at_most, Some(&stop));
                scope.spawn(move || load.run())
            })
            .collect();
        happening(&stop);
        stop.store(true, Relaxed);
        for load in loads {
            sum.add(&load.join().expect("a load ends by itself"));
        }
    });
    sum
}
