//! What all parts of the measurement share: the servers that take part, the runs so far, and how
//! they become charts and tables. It decides neither what is varied nor what it means.

use std::collections::BTreeMap;
use std::time::Duration;

use tempfile::TempDir;

use crate::load::Load;
use crate::measure::Measured;
use crate::outcome::Outcome;
use crate::peers;
use crate::results::{Axis, Chart, Figure, Results, Scale, Series, Table, number};
use crate::servers::{Running, Server};

/// What all parts share.
pub struct Bench {
    /// Runs of each load on each server.
    pub rounds: usize,
    /// How long a run lasts.
    pub seconds: f64,
    /// The keys of the servers to measure; none: all.
    pub only: Vec<String>,
    /// What has been measured so far.
    pub results: Results,
    folder: TempDir,
    /// By server: its answers and its failures, over all runs.
    failures: BTreeMap<&'static str, Outcome>,
}

/// A server that takes part.
pub struct Contestant {
    pub server: Server,
    pub running: Running,
}

impl Bench {
    pub fn new() -> Bench {
        crate::attack::raise_file_limit();
        Bench {
            rounds: 5,
            seconds: 0.5,
            only: Vec::new(),
            results: Results::default(),
            folder: tempfile::tempdir().expect("a folder"),
            failures: BTreeMap::new(),
        }
    }

    /// Whether the command line wants this server.
    pub fn wants(&self, server: &Server) -> bool {
        self.only.is_empty() || self.only.iter().any(|key| key == server.key)
    }

    /// All servers that are wanted and installed, started with this policy.
    pub fn start_all(&self, policy: &[u8]) -> Vec<Contestant> {
        let servers = peers::all().into_iter().filter(|server| self.wants(server));
        servers
            .filter_map(|server| {
                let running = self.start(&server, policy)?;
                Some(Contestant { server, running })
            })
            .collect()
    }

    /// None where it is not installed, which is said.
    pub fn start(&self, server: &Server, policy: &[u8]) -> Option<Running> {
        match server.start(self.folder.path(), policy) {
            Ok(running) => Some(running),
            Err(missing) => {
                println!("skipped: {}: {}", server.label, missing.0);
                None
            }
        }
    }

    pub fn lasts(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    pub fn measure(&mut self, label: &'static str, running: &Running, load: &Load<'_>) -> Measured {
        let measured = Measured::of(running, load);
        self.failures
            .entry(label)
            .or_default()
            .add(&measured.outcome);
        measured
    }

    /// What went wrong, over all runs in which nothing was meant to.
    pub fn failures(&self) -> Table {
        let rows = self.failures.iter().map(|(label, outcome)| {
            let counts = [outcome.answered, outcome.lost, outcome.reset, outcome.wrong];
            let counts = counts.map(|count| number(count as f64, 0));
            [vec![(*label).to_owned()], counts.to_vec()].concat()
        });
        Table {
            id: "failures".into(),
            heads: ["server", "answers", "lost", "reset", "wrong"]
                .map(str::to_owned)
                .to_vec(),
            rows: rows.collect(),
        }
    }

    pub fn table(&mut self, id: &str, heads: &[&str], rows: Vec<Vec<String>>) {
        let table = Table {
            id: id.into(),
            heads: heads.iter().map(|&head| head.into()).collect(),
            rows,
        };
        println!("\n{}", table.markdown());
        self.results.put_table(table);
    }

    pub fn chart(&mut self, id: &str, title: &str, x: Axis, y: Axis, curves: Curves) {
        let chart = Chart {
            id: id.into(),
            title: title.into(),
            x,
            y,
            series: curves.into_series(),
        };
        println!("\n{title} ({} by {})", chart.y.label, chart.x.label);
        for series in &chart.series {
            let points = series.points.iter();
            let points: Vec<_> = points.map(|(x, y)| format!("{x}: {y}")).collect();
            println!("  {:<18} {}", series.name, points.join(", "));
        }
        self.results.put_chart(chart);
    }
}

/// The runs of each curve at each place, in the order in which curves and places came up.
#[derive(Default)]
pub struct Curves(Vec<Curve>);

/// Its name, and its runs at each place.
type Curve = (String, Vec<(f64, Vec<f64>)>);

impl Curves {
    pub fn add(&mut self, name: &str, x: f64, y: f64) {
        if !y.is_finite() {
            // Nobody was answered: there is no such figure.
            return;
        }
        let index = match self.0.iter().position(|curve| curve.0 == name) {
            Some(index) => index,
            None => {
                self.0.push((name.into(), Vec::new()));
                self.0.len() - 1
            }
        };
        let points = &mut self.0[index].1;
        match points.iter_mut().find(|point| point.0 == x) {
            Some(point) => point.1.push(y),
            None => points.push((x, vec![y])),
        }
    }

    pub fn figure(&self, name: &str, x: f64) -> Figure {
        let curve = self.0.iter().find(|curve| curve.0 == name);
        let point = curve.and_then(|curve| curve.1.iter().find(|point| point.0 == x));
        Figure {
            runs: point.map(|point| point.1.clone()).unwrap_or_default(),
        }
    }

    fn into_series(self) -> Vec<Series> {
        let series = self.0.into_iter().map(|(name, points)| Series {
            name,
            points: points
                .into_iter()
                .map(|(x, runs)| (x, Figure { runs }))
                .collect(),
        });
        series.collect()
    }
}

pub fn axis(label: &str, scale: Scale) -> Axis {
    Axis {
        label: label.into(),
        scale,
    }
}
