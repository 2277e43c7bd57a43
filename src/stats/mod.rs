//! What is counted: the counters of one run, a histogram of the time to an answer, and both as a
//! line of the log. They only count: what happened is decided elsewhere.

mod prometheus;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub use prometheus::{Process, cannot_write};

/// One event counter, shared by all threads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one more.
    pub fn add_one(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The upper bounds of the histogram's buckets, in microseconds; the last bucket has none.
const BUCKETS: [u64; 14] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 2_000_000,
    3_000_000,
];

/// How long clients waited for their answer, from accept to the policy sent.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [Counter; BUCKETS.len() + 1],
    total_micros: AtomicU64,
}

impl Histogram {
    /// Counts one answer.
    pub fn record(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.partition_point(|&bound| bound < micros);
        if let Some(count) = self.counts.get(bucket) {
            count.add_one();
        }
        self.total_micros.fetch_add(micros, Relaxed);
    }

    /// The bound below which this share of the answers was given, in microseconds; none where it
    /// is above all bounds.
    fn quantile(&self, share: f64) -> Option<u64> {
        let counts: Vec<u64> = self.counts.iter().map(Counter::get).collect();
        let wanted = (counts.iter().sum::<u64>() as f64 * share).ceil() as u64;
        let mut seen = 0;
        let bucket = counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        BUCKETS.get(bucket).copied()
    }
}

/// Everything that is counted, from the start of the process to its end.
#[derive(Debug, Default)]
pub struct Stats {
    /// Connections that the kernel handed over.
    pub accepted: Counter,
    /// Clients that got the whole policy.
    pub served: Counter,
    /// Clients that sent something else than a policy request.
    pub not_a_request: Counter,
    /// Clients whose request was not complete within the deadline.
    pub timed_out: Counter,
    /// Clients that had not completed a request and lost their place to another one.
    pub evicted: Counter,
    /// Clients that left before their request was complete (health checks do).
    pub gone: Counter,
    /// Clients that asked and then could not be given the whole policy.
    pub write_failed: Counter,
    /// Connections closed at once because all places were taken and none could be spared.
    pub refused: Counter,
    /// Connections closed because the system did not let them be waited for.
    pub cannot_wait: Counter,
    /// Connections lost to a panic in their worker.
    pub panicked: Counter,
    /// Times that accepting a connection failed.
    pub accept_errors: Counter,
    /// From accept to the policy sent.
    pub answer_time: Histogram,
}

/// What one listener counts for itself, since the start.
#[derive(Debug, Default)]
pub struct ListenerStats {
    /// Connections that the kernel handed over.
    pub accepted: Counter,
    /// Clients that got the whole policy.
    pub served: Counter,
}

/// How many there are now, and how many there have been at the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    /// Now.
    pub now: usize,
    /// The most at one time since the start.
    pub most: usize,
}

impl Gauge {
    /// Takes a new value.
    pub fn set(&mut self, now: usize) {
        self.now = now;
        self.most = self.most.max(now);
    }
}

/// What goes up and down.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// Connections that were accepted and are not closed yet.
    pub here: Gauge,
    /// Those of them that wait for their client to speak.
    pub waiting: Gauge,
    /// Those of them that are only being closed.
    pub closing: Gauge,
}

/// All figures at one moment.
pub struct Snapshot<'a> {
    /// The counters.
    pub stats: &'a Stats,
    /// What goes up and down.
    pub gauges: Gauges,
    /// Log lines that were dropped since the start.
    pub log_lines_lost: u64,
    /// The listeners, by the addresses that are bound.
    pub listeners: Vec<(SocketAddr, &'a ListenerStats)>,
}

/// The counters that end a connection, with the word for it.
fn ends(stats: &Stats) -> [(&'static str, u64); 9] {
    [
        ("served", stats.served.get()),
        ("not a request", stats.not_a_request.get()),
        ("timed out", stats.timed_out.get()),
        ("evicted", stats.evicted.get()),
        ("gone before the request", stats.gone.get()),
        ("write failed", stats.write_failed.get()),
        ("refused", stats.refused.get()),
        ("could not wait", stats.cannot_wait.get()),
        ("panicked", stats.panicked.get()),
    ]
}

/// One line for the log: what did not happen is left out.
impl fmt::Display for Snapshot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Snapshot { stats, gauges, .. } = self;
        write!(f, "{} accepted", stats.accepted.get())?;
        let others = [
            ("accept errors", stats.accept_errors.get()),
            ("log lines lost", self.log_lines_lost),
        ];
        for (name, count) in ends(stats).into_iter().chain(others) {
            // Whether players were served is the first question, also where none was.
            if count > 0 || name == "served" {
                write!(f, ", {count} {name}")?;
            }
        }
        for (name, gauge) in [
            ("here", gauges.here),
            ("waiting to speak", gauges.waiting),
            ("being closed", gauges.closing),
        ] {
            match (gauge.now, gauge.most) {
                (_, 0) => {}
                (0, most) => write!(f, "; at most {most} {name}")?,
                (now, most) => write!(f, "; {now} {name} (at most {most})")?,
            }
        }
        if stats.served.get() > 0 {
            f.write_str("; answered within")?;
            for (share, name) in [(0.5, "half"), (0.99, "99 %")] {
                match stats.answer_time.quantile(share) {
                    Some(micros) => write!(f, " {} ms ({name})", micros as f64 / 1e3)?,
                    None => write!(f, " more than 3 s ({name})")?,
                }
            }
        }
        Ok(())
    }
}

impl Snapshot<'_> {
    /// The figures by name, such as `not_a_request`.
    pub fn figures(&self) -> BTreeMap<String, u64> {
        let Snapshot { stats, gauges, .. } = self;
        let ends = ends(stats).map(|(end, count)| (end.replace(' ', "_"), count));
        let others = [
            ("accepted", stats.accepted.get()),
            ("accept_errors", stats.accept_errors.get()),
            ("log_lines_lost", self.log_lines_lost),
            ("here", gauges.here.now as u64),
            ("here_most", gauges.here.most as u64),
            ("waiting", gauges.waiting.now as u64),
            ("waiting_most", gauges.waiting.most as u64),
            ("closing", gauges.closing.now as u64),
            ("closing_most", gauges.closing.most as u64),
        ];
        let others = others.map(|(name, count)| (name.to_string(), count));
        ends.into_iter().chain(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn a_bucket_holds_what_is_at_most_its_bound() {
        let histogram = Histogram::default();
        for micros in [0, 50, 51, 3_000_000, 3_000_001, u64::MAX / 2] {
            histogram.record(Duration::from_micros(micros));
        }
        let counts: Vec<_> = histogram.counts.iter().map(Counter::get).collect();
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn quantiles_are_the_bounds_of_their_buckets() {
        let histogram = Histogram::default();
        for _ in 0..98 {
            histogram.record(Duration::from_micros(60));
        }
        histogram.record(Duration::from_millis(4));
        histogram.record(Duration::from_secs(9));
        assert_eq!(histogram.quantile(0.5), Some(100));
        assert_eq!(histogram.quantile(0.99), Some(5_000));
        assert_eq!(histogram.quantile(1.0), None);
    }

    #[test]
    fn the_line_and_the_file_hold_the_same_figures() {
        let stats = Stats::default();
        stats.accepted.add_one();
        stats.served.add_one();
        stats.answer_time.record(Duration::from_micros(70));
        let mut gauges = Gauges::default();
        gauges.here.set(7);
        gauges.here.set(3);
        gauges.closing.set(2);
        gauges.closing.set(0);
        let listener = ListenerStats::default();
        listener.accepted.add_one();
        listener.accepted.add_one();
        let snapshot = Snapshot {
            stats: &stats,
            gauges,
            log_lines_lost: 5,
            listeners: vec![(SocketAddr::from(([127, 0, 0, 1], 843)), &listener)],
        };
        assert_eq!(
            snapshot.to_string(),
            "1 accepted, 1 served, 5 log lines lost; 3 here (at most 7); at most 2 being closed; \
             answered within 0.1 ms \
             (half) 0.1 ms (99 %)"
        );
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let file = snapshot.prometheus(Process {
            started: began,
            last_reload: began + Duration::from_secs(5),
            took_effect: false,
        });
        let build = format!(
            "flashpolicyd_build_info{{version=\"{}\"}} 1",
            env!("CARGO_PKG_VERSION")
        );
        for line in [
            build.as_str(),
            "flashpolicyd_start_time_seconds 1000",
            "flashpolicyd_config_last_reload_successful 0",
            "flashpolicyd_config_last_reload_timestamp_seconds 1005",
            "flashpolicyd_connections{state=\"active\"} 3",
            "flashpolicyd_connections{state=\"closing\"} 0",
            "flashpolicyd_listener_connections_accepted_total{listener=\"127.0.0.1:843\"} 2",
            "flashpolicyd_listener_policies_served_total{listener=\"127.0.0.1:843\"} 0",
            "flashpolicyd_connections_ended_total{end=\"served\"} 1",
            "flashpolicyd_log_lines_lost_total 5",
            "flashpolicyd_connections_here_most 7",
            "flashpolicyd_answer_seconds_bucket{le=\"0.0001\"} 1",
            "flashpolicyd_answer_seconds_count 1",
        ] {
            assert!(file.lines().any(|found| found == line), "{line} in {file}");
        }
    }

    #[test]
    fn what_did_not_happen_is_left_out_of_the_line() {
        let stats = Stats::default();
        let snapshot = Snapshot {
            stats: &stats,
            gauges: Gauges::default(),
            log_lines_lost: 0,
            listeners: Vec::new(),
        };
        assert_eq!(snapshot.to_string(), "0 accepted, 0 served");
    }
}
