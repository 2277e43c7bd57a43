//! The statistics as a file for Prometheus. It counts nothing itself.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use nix::fcntl::OFlag;

use super::{BUCKETS, Histogram, Snapshot, ends};
use crate::files::FilePlace;
use crate::text::reason;

/// What the file for Prometheus says of the process itself.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// When it began to serve.
    pub started: SystemTime,
    /// When the configuration was read for the last time.
    pub last_reload: SystemTime,
    /// Whether that took effect.
    pub took_effect: bool,
}

impl Snapshot<'_> {
    /// The figures in Prometheus' text format.
    pub fn prometheus(&self, process: Process) -> String {
        let mut text = Metrics::default();
        let stats = self.stats;
        text.process(process);
        text.value(
            "connections_accepted_total",
            "Connections that the kernel handed over.",
            stats.accepted.get(),
        );
        text.values(
            "connections_ended_total",
            "Connections by how they ended; end=\"served\" got the whole policy.",
            "end",
            ends(stats),
        );
        text.value(
            "accept_errors_total",
            "Times that accepting a connection failed.",
            stats.accept_errors.get(),
        );
        text.value(
            "log_lines_lost_total",
            "Log lines that were dropped because the log did not take them in time.",
            self.log_lines_lost,
        );
        self.of_gauges(&mut text);
        text.values(
            "listener_connections_accepted_total",
            "Connections that the kernel handed over, by listener.",
            "listener",
            self.listeners.iter().map(|(at, l)| (at, l.accepted.get())),
        );
        text.values(
            "listener_policies_served_total",
            "Clients that got the whole policy, by listener.",
            "listener",
            self.listeners.iter().map(|(at, l)| (at, l.served.get())),
        );
        text.histogram(&stats.answer_time);
        text.0
    }

    fn of_gauges(&self, text: &mut Metrics) {
        let gauges = &self.gauges;
        let here = "Connections that were accepted and are not closed yet";
        text.value(
            "connections_here",
            &format!("{here}."),
            gauges.here.now as u64,
        );
        for (name, help, gauge) in [
            ("here", here, gauges.here),
            (
                "waiting",
                "Connections that wait for their client to speak",
                gauges.waiting,
            ),
            (
                "closing",
                "Connections that are only being closed",
                gauges.closing,
            ),
        ] {
            text.value(
                &format!("connections_{name}_most"),
                &format!("{help}, at the most since the start."),
                gauge.most as u64,
            );
        }
        let (here, waiting, closing) = (gauges.here.now, gauges.waiting.now, gauges.closing.now);
        let active = here.saturating_sub(waiting + closing);
        text.values(
            "connections",
            "Connections that are here now, by what they do: active is being asked and answered.",
            "state",
            [
                ("active", active as u64),
                ("waiting", waiting as u64),
                ("closing", closing as u64),
            ],
        );
    }

    /// Writes the file for Prometheus, so that a reader finds the old one or the new one, whole.
    ///
    /// # Errors
    /// What the system says; also when something else than a regular file is in its place, or in
    /// that of the new one beside it.
    pub fn write_file(&self, path: &Path, process: Process) -> io::Result<()> {
        let place = FilePlace::of(path)?;
        place.require_replaceable("")?;
        // node_exporter takes files that end in .prom; this one does not.
        let new = ".new";
        let mut file = place.create_over(new, OFlag::O_WRONLY, || {
            place.require_replaceable(new).map_err(|error| {
                let name = place.name(new);
                io::Error::other(format!(
                    "{} is in the way: {error}",
                    Path::new(&name).display()
                ))
            })
        })?;
        let written = file.write_all(self.prometheus(process).as_bytes());
        let replaced = written.and_then(|()| place.rename(new, ""));
        if replaced.is_err() {
            place.remove(new);
        }
        replaced
    }
}

/// Whether this user could replace a statistics file at this path; where not, a sentence for why.
pub fn cannot_write(path: &Path) -> Option<String> {
    let place = FilePlace::of(path).and_then(|place| {
        place.require_replaceable("")?;
        place.could_rename().then_some(()).ok_or_else(|| {
            io::Error::other("its folder does not allow it to be replaced; give it to that user")
        })
    });
    let error = place.err()?;
    Some(format!(
        "stats_file {}: the statistics cannot be written: {}",
        path.display(),
        reason(&error)
    ))
}

/// Prometheus' text format, line by line.
#[derive(Default)]
struct Metrics(String);

impl Metrics {
    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "flashpolicyd_{line}");
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP flashpolicyd_{name} {help}");
        let _ = writeln!(self.0, "# TYPE flashpolicyd_{name} {kind}");
    }

    /// By Prometheus' rules, the name of every counter ends like this, and no other.
    fn kind(name: &str) -> &'static str {
        if name.ends_with("_total") {
            "counter"
        } else {
            "gauge"
        }
    }

    fn value(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, Metrics::kind(name), help);
        self.line(format_args!("{name} {value}"));
    }

    /// One value for each value of a label.
    fn values(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (impl fmt::Display, u64)>,
    ) {
        self.head(name, Metrics::kind(name), help);
        for (of, value) in values {
            self.line(format_args!("{name}{{{label}=\"{of}\"}} {value}"));
        }
    }

    fn process(&mut self, process: Process) {
        let seconds = |time: SystemTime| {
            let since = time.duration_since(SystemTime::UNIX_EPOCH);
            since.map_or(0, |since| since.as_secs())
        };
        self.values(
            "build_info",
            "The version of the program; always 1.",
            "version",
            [(env!("CARGO_PKG_VERSION"), 1)],
        );
        self.value(
            "start_time_seconds",
            "When the server began, in seconds since 1970.",
            seconds(process.started),
        );
        self.value(
            "config_last_reload_successful",
            "Whether the last reload of the configuration or of a policy took effect; the start is one.",
            u64::from(process.took_effect),
        );
        self.value(
            "config_last_reload_timestamp_seconds",
            "When that was, in seconds since 1970.",
            seconds(process.last_reload),
        );
    }

    fn histogram(&mut self, histogram: &Histogram) {
        let name = "answer_seconds";
        self.head(name, "histogram", "Time from accept to the policy sent.");
        let bounds = BUCKETS.map(|bound| (bound as f64 / 1e6).to_string());
        let bounds = bounds.into_iter().chain(["+Inf".into()]);
        let mut seen = 0;
        for (bound, count) in bounds.zip(&histogram.counts) {
            seen += count.get();
            self.line(format_args!("{name}_bucket{{le=\"{bound}\"}} {seen}"));
        }
        let sum = histogram.total_micros.load(Relaxed) as f64 / 1e6;
        self.line(format_args!("{name}_sum {sum}"));
        self.line(format_args!("{name}_count {seen}"));
    }
}
