//! The statistics as a file for Prometheus. It counts nothing itself.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use nix::fcntl::OFlag;

use super::{BUCKETS, ENDED, Gauges, Histogram, Snapshot};
use crate::daemon::files::GuardedPath;
use crate::output::text::reason;

const HISTOGRAM: &str = "answer_seconds";

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
        text.process(process);
        for figure in self.counters() {
            if figure.metric == ENDED {
                let help = "Connections by how they ended; end=\"served\" got the whole policy.";
                text.labelled(ENDED, help, "end", figure.words, figure.value);
            } else {
                text.value(figure.metric, figure.help, figure.value);
            }
        }
        text.gauges(&self.gauges);
        let by_listener = |nth| {
            let figures = self
                .listeners
                .iter()
                .map(move |(at, l)| (at, l.figures().nth(nth)));
            figures.filter_map(|(at, figure)| Some((at, figure?)))
        };
        for (at, figure) in by_listener(0).chain(by_listener(1)) {
            text.labelled(figure.metric, figure.help, "listener", at, figure.value);
        }
        text.histogram(&self.stats.answer_time);
        text.text
    }

    /// Writes the file for Prometheus, so that a reader finds the old one or the new one, whole.
    ///
    /// # Errors
    /// What the system says; also when something else than a regular file is in its place, or in
    /// that of the new one beside it.
    pub fn write_file(&self, path: &Path, process: Process) -> io::Result<()> {
        let place = GuardedPath::of(path)?;
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
    let place = GuardedPath::of(path).and_then(|place| {
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
struct Metrics {
    text: String,
    /// The metric of the last line.
    last: String,
}

impl Metrics {
    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "flashpolicyd_{line}");
    }

    /// The lines before the values of a metric; none where its last value has just been written.
    fn head(&mut self, name: &str, help: &str) {
        if self.last == name {
            return;
        }
        self.last = name.into();
        let kind = match name {
            HISTOGRAM => "histogram",
            // By Prometheus' rules, the name of every counter ends like this, and no other.
            name if name.ends_with("_total") => "counter",
            _ => "gauge",
        };
        let _ = writeln!(self.text, "# HELP flashpolicyd_{name} {help}");
        let _ = writeln!(self.text, "# TYPE flashpolicyd_{name} {kind}");
    }

    fn value(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help);
        self.line(format_args!("{name} {value}"));
    }

    /// The value for one value of a label.
    fn labelled(&mut self, name: &str, help: &str, label: &str, of: impl fmt::Display, value: u64) {
        self.head(name, help);
        self.line(format_args!("{name}{{{label}=\"{of}\"}} {value}"));
    }

    fn gauges(&mut self, gauges: &Gauges) {
        for gauge in gauges.figures() {
            if gauge.name == "here" {
                self.value(gauge.metric, gauge.help, gauge.value.now as u64);
            }
            let help = gauge.help.trim_end_matches('.');
            let help = format!("{help}, at the most since the start.");
            let most = format!("{}_most", gauge.metric);
            self.value(&most, &help, gauge.value.most as u64);
        }
        let (waiting, closing) = (gauges.waiting.now, gauges.closing.now);
        let active = gauges.here.now.saturating_sub(waiting + closing);
        let help =
            "Connections that are here now, by what they do: active is being asked and answered.";
        for (state, now) in [
            ("active", active),
            ("waiting", waiting),
            ("closing", closing),
        ] {
            self.labelled("connections", help, "state", state, now as u64);
        }
    }

    fn process(&mut self, process: Process) {
        let seconds = |time: SystemTime| {
            let since = time.duration_since(SystemTime::UNIX_EPOCH);
            since.map_or(0, |since| since.as_secs())
        };
        let version = env!("CARGO_PKG_VERSION");
        let help = "The version of the program; always 1.";
        self.labelled("build_info", help, "version", version, 1);
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
        let name = HISTOGRAM;
        self.head(name, "Time from accept to the policy sent.");
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
