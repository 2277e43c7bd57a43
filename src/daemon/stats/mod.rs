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

/// A figure as the log, the status and Prometheus show it.
struct Figure<Value> {
    name: &'static str,
    /// The log's words for it.
    words: &'static str,
    /// Prometheus' name for it.
    metric: &'static str,
    help: &'static str,
    value: Value,
}

/// Prometheus has the ends of a connection as one metric, by the log's words.
const ENDED: &str = "connections_ended_total";

/// Makes a type with these figures, and the list of what they show. A figure is written as its help,
/// its name, the log's words and Prometheus' name.
macro_rules! figures {
    ($(#[$about:meta])* $Type:ident: $Value:ident => $Shown:ty {
        $(#[doc = $help:literal] $name:ident $words:literal $metric:expr;)*
    } $($(#[$doc:meta])* $field:ident: $field_type:ty)?) => {
        $(#[$about])*
        pub struct $Type {
            $(#[doc = $help] pub $name: $Value,)*
            $($(#[$doc])* pub $field: $field_type,)?
        }

        impl $Type {
            fn figures(&self) -> impl Iterator<Item = Figure<$Shown>> {
                let list = [$(Figure {
                    name: stringify!($name),
                    words: $words,
                    metric: $metric,
                    help: $help.trim_ascii(),
                    value: self.$name.get(),
                }),*];
                list.into_iter()
            }
        }
    };
}

figures! {
    /// Everything that is counted, from the start of the process to its end.
    #[derive(Debug, Default)]
    Stats: Counter => u64 {
        /// Connections that the kernel handed over, without those of a load balancer itself.
        accepted "accepted" "connections_accepted_total";
        /// Clients that got the whole policy.
        served "served" ENDED;
        /// Clients that sent something else than a policy request.
        not_a_request "not a request" ENDED;
        /// Clients whose request was not complete within the deadline.
        timed_out "timed out" ENDED;
        /// Clients that had not completed a request and were evicted for another one.
        evicted "evicted" ENDED;
        /// Clients that left before their request was complete (health checks do).
        gone "gone before the request" ENDED;
        /// Clients that asked and then could not be given the whole policy.
        write_failed "write failed" ENDED;
        /// Connections closed at once because max_connections waited and none could be evicted.
        refused "refused" ENDED;
        /// Connections closed because the system did not let them be waited for.
        cannot_wait "could not wait" ENDED;
        /// Connections lost to a panic in their worker.
        panicked "panicked" ENDED;
        /// Times that accepting a connection failed.
        accept_errors "accept errors" "accept_errors_total";
    }
    /// From accept to the policy sent.
    answer_time: Histogram
}

figures! {
    /// What goes up and down.
    #[derive(Clone, Copy, Debug, Default)]
    Gauges: Gauge => Gauge {
        /// Connections that were accepted and are not closed yet.
        here "here" "connections_here";
        /// Connections that wait for their client to speak.
        waiting "waiting to speak" "connections_waiting";
        /// Connections that are only being closed.
        closing "being closed" "connections_closing";
    }
}

figures! {
    /// What one listener counts for itself, since the start.
    #[derive(Debug, Default)]
    ListenerStats: Counter => u64 {
        /// Connections that the kernel handed over, by listener, without those of a load balancer itself.
        accepted "accepted" "listener_connections_accepted_total";
        /// Clients that got the whole policy, by listener.
        served "served" "listener_policies_served_total";
    }
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
    /// What a figure shows.
    fn get(self) -> Gauge {
        self
    }

    /// Takes a new value.
    pub fn set(&mut self, now: usize) {
        self.now = now;
        self.most = self.most.max(now);
    }
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

/// One line for the log: what did not happen is left out.
impl fmt::Display for Snapshot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for Figure { words, value, .. } in self.counters() {
            // Whether players were served is the first question, also where none was.
            if value > 0 || ["accepted", "served"].contains(&words) {
                write!(f, "{separator}{value} {words}")?;
                separator = ", ";
            }
        }
        for Figure { words, value, .. } in self.gauges.figures() {
            match (value.now, value.most) {
                (_, 0) => {}
                (0, most) => write!(f, "; at most {most} {words}")?,
                (now, most) => write!(f, "; {now} {words} (at most {most})")?,
            }
        }
        let stats = self.stats;
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
    /// The counters, in the order of the log's line.
    fn counters(&self) -> impl Iterator<Item = Figure<u64>> {
        let lost = Figure {
            name: "log_lines_lost",
            words: "log lines lost",
            metric: "log_lines_lost_total",
            help: "Log lines that were dropped because the log did not take them in time.",
            value: self.log_lines_lost,
        };
        self.stats.figures().chain([lost])
    }

    /// The figures by name, such as `not_a_request`.
    pub fn figures(&self) -> BTreeMap<String, u64> {
        let counters = self.counters();
        let counters = counters.map(|counter| (counter.words.replace(' ', "_"), counter.value));
        let gauges = self
            .gauges
            .figures()
            .flat_map(|Figure { name, value, .. }| {
                let most = format!("{name}_most");
                [(name.into(), value.now as u64), (most, value.most as u64)]
            });
        counters.chain(gauges).collect()
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
