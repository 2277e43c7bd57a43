//! What is measured: for each question one part, which runs its servers by turns and leaves charts
//! and tables. It knows what to vary; how a load runs and what it costs is [`crate::load`]'s and
//! [`crate::measure`]'s to say.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::attack::{Attack, Kind, Plan, Sources};
use crate::load::{Load, Outcome, Pace};
use crate::measure::{resident, Measured};
use crate::results::{number, Axis, Chart, Figure, Results, Scale, Series, Table};
use crate::servers::{ours_with, Running, Server};
use crate::support::BUILT_IN;

/// A part of the measurement, by the name that the command line knows.
pub type Part = (&'static str, fn(&mut Bench));

/// All parts.
pub const PARTS: &[Part] = &[
    ("summary", summary),
    ("clients", clients),
    ("latency", latency),
    ("workers", workers),
    ("pending", pending),
    ("silent", silent),
    ("sizes", sizes),
    ("start", start),
];

/// The parallel clients of the summary, and of whatever varies something else.
const CLIENTS: usize = 32;

/// Clients come from these; an attack comes from others.
const PLAYERS: [u8; 4] = [127, 100, 0, 1];
const PLAYERS_ADDRESSES: u32 = 1_000;
const ATTACKER: [u8; 4] = [127, 10, 0, 1];

/// A far-away player's request comes so long after its connection.
const FAR_AWAY: Duration = Duration::from_millis(200);

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
struct Contestant {
    server: Server,
    running: Running,
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

    /// All servers that are wanted and installed, started with this policy.
    fn start(&self, policy: &[u8]) -> Vec<Contestant> {
        self.start_some(policy, |_| true)
    }

    fn start_some(&self, policy: &[u8], wanted: impl Fn(&Server) -> bool) -> Vec<Contestant> {
        let named =
            |server: &Server| self.only.is_empty() || self.only.iter().any(|k| k == server.key);
        let servers = Server::all().into_iter().filter(|s| named(s) && wanted(s));
        servers
            .filter_map(|server| match server.start(self.folder.path(), policy) {
                Ok(running) => Some(Contestant { server, running }),
                Err(missing) => {
                    println!("skipped: {}: {}", server.label, missing.0);
                    None
                }
            })
            .collect()
    }

    fn ours(&self, conf: &[(&str, &str)]) -> Running {
        ours_with(self.folder.path(), built_in(), conf)
    }

    fn lasts(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    fn measure(&mut self, label: &'static str, running: &Running, load: &Load<'_>) -> Measured {
        let measured = Measured::of(running, load);
        self.count(label, &measured.outcome);
        measured
    }

    fn count(&mut self, label: &'static str, outcome: &Outcome) {
        self.failures.entry(label).or_default().add(outcome);
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

    fn table(&mut self, id: &str, heads: &[&str], rows: Vec<Vec<String>>) {
        let table = Table {
            id: id.into(),
            heads: heads.iter().map(|&head| head.into()).collect(),
            rows,
        };
        println!("\n{}", table.markdown());
        self.results.put_table(table);
    }

    fn chart(&mut self, id: &str, title: &str, x: Axis, y: Axis, curves: Curves) {
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
struct Curves(Vec<Curve>);

/// Its name, and its runs at each place.
type Curve = (String, Vec<(f64, Vec<f64>)>);

impl Curves {
    fn add(&mut self, name: &str, x: f64, y: f64) {
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

    fn figure(&self, name: &str, x: f64) -> Figure {
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

fn built_in() -> &'static [u8] {
    &BUILT_IN[..BUILT_IN.len() - 1]
}

fn axis(label: &str, scale: Scale) -> Axis {
    Axis {
        label: label.into(),
        scale,
    }
}

fn load(to: SocketAddr, pace: Pace, lasts: Duration) -> Load<'static> {
    Load {
        to,
        from: Sources::v4(PLAYERS, PLAYERS_ADDRESSES),
        pace,
        speaks_after: Duration::ZERO,
        lasts,
        answer: BUILT_IN,
    }
}

/// The figures of the README: all servers at 32 parallel clients.
fn summary(bench: &mut Bench) {
    let contestants = bench.start(built_in());
    let (mut rates, mut cpu, mut ratio) = (Curves::default(), Curves::default(), Curves::default());
    let mut sums: BTreeMap<&str, Outcome> = BTreeMap::new();
    let lasts = bench.lasts().max(Duration::from_secs(1));
    for _ in 0..bench.rounds.max(9) {
        let mut floor = f64::NAN;
        for Contestant { server, running } in &contestants {
            let load = load(running.address(), Pace::Clients(CLIENTS), lasts);
            let measured = bench.measure(server.label, running, &load);
            if server.key == "floor" {
                floor = measured.cpu_per_policy();
            }
            rates.add(server.label, 0.0, measured.outcome.rate());
            cpu.add(server.label, 0.0, measured.cpu_per_policy());
            // Of neighbours in time.
            ratio.add(server.label, 0.0, measured.cpu_per_policy() / floor);
            sums.entry(server.label).or_default().add(&measured.outcome);
        }
    }
    let mut rows = Vec::new();
    for Contestant { server, running } in &contestants {
        let sum = &sums[server.label];
        rows.push(vec![
            server.label.to_owned(),
            if server.logs { "yes" } else { "no" }.to_owned(),
            rates.figure(server.label, 0.0).to_string(),
            cpu.figure(server.label, 0.0).to_string(),
            format!("{:.2}", ratio.figure(server.label, 0.0).median()),
            number(sum.lost as f64, 0),
            number(sum.reset as f64, 0),
            number(sum.wrong as f64, 0),
            format!("{:.1}", resident(running)),
        ]);
    }
    bench.table(
        "summary",
        &[
            "server",
            "logs",
            "policies/s",
            "server CPU per policy, µs",
            "× bare loop",
            "lost",
            "reset",
            "wrong",
            "resident, MB",
        ],
        rows,
    );
}

/// Policies per second and their cost, by the number of parallel clients.
fn clients(bench: &mut Bench) {
    let contestants = bench.start(built_in());
    let mut curves = Default::default();
    for exponent in 0..=10 {
        let clients = 1 << exponent;
        rate_and_cost(
            bench,
            &contestants,
            (clients, BUILT_IN),
            clients as f64,
            &mut curves,
        );
    }
    let (rates, cpu) = curves;
    let x = || axis("parallel clients", Scale::Log2);
    let y = axis("policies/s", Scale::Linear);
    bench.chart("clients-rate", "Policies per second", x(), y, rates);
    let y = axis("µs per policy", Scale::Log10);
    bench.chart("clients-cpu", "Server CPU per policy", x(), y, cpu);
}

/// Measures all of them by turns with so many parallel clients and this answer; what they reach and
/// what it costs are their curves at `x`.
fn rate_and_cost(
    bench: &mut Bench,
    contestants: &[Contestant],
    (clients, answer): (usize, &[u8]),
    x: f64,
    (rates, cpu): &mut (Curves, Curves),
) {
    for _ in 0..bench.rounds {
        for Contestant { server, running } in contestants {
            let load = Load {
                answer,
                ..load(running.address(), Pace::Clients(clients), bench.lasts())
            };
            let measured = bench.measure(server.label, running, &load);
            rates.add(server.label, x, measured.outcome.rate());
            cpu.add(server.label, x, measured.cpu_per_policy());
        }
    }
}

/// Latency at parts of the highest rate that each server reaches.
fn latency(bench: &mut Bench) {
    const PARTS: [f64; 3] = [0.5, 0.99, 0.999];
    let contestants = bench.start(built_in());
    let mut rates = Curves::default();
    let mut within = PARTS.map(|_| Curves::default());
    let lasts = bench.lasts().max(Duration::from_secs(1));
    for _ in 0..bench.rounds {
        for Contestant { server, running } in &contestants {
            let to = running.address();
            let highest = load(to, Pace::Clients(CLIENTS), bench.lasts());
            let highest = bench
                .measure(server.label, running, &highest)
                .outcome
                .rate();
            for percent in [25.0, 50.0, 75.0] {
                let rate = highest * percent / 100.0;
                let load = load(to, Pace::PerSecond(rate), lasts);
                let outcome = bench.measure(server.label, running, &load).outcome;
                rates.add(server.label, percent, rate);
                for (part, curves) in PARTS.into_iter().zip(&mut within) {
                    let micros = outcome.micros(part).unwrap_or(f64::NAN);
                    curves.add(server.label, percent, micros);
                }
            }
        }
    }
    let mut rows = Vec::new();
    for Contestant { server, .. } in &contestants {
        for percent in [25.0, 50.0, 75.0] {
            let mut row = vec![
                server.label.to_owned(),
                format!("{percent} %"),
                number(rates.figure(server.label, percent).median(), 0),
            ];
            row.extend(within.iter().map(|curves| {
                let median = curves.figure(server.label, percent).median();
                milliseconds(Some(median).filter(|median| median.is_finite()))
            }));
            rows.push(row);
        }
    }
    let heads = [
        "server",
        "load",
        "clients/s",
        "half within",
        "99 % within",
        "99.9 % within",
    ];
    bench.table("latency", &heads, rows);
    let x = axis("% of the server's own highest rate", Scale::Linear);
    let y = axis("99 % answered within", Scale::Latency);
    let [_, chart, _] = within;
    bench.chart("latency", "Latency, from the intended start", x, y, chart);
}

fn milliseconds(micros: Option<f64>) -> String {
    micros.map_or("-".into(), |micros| format!("{:.2} ms", micros / 1e3))
}

/// What the number of workers costs, and what it is good for.
fn workers(bench: &mut Bench) {
    let (mut cpu, mut late) = (Curves::default(), Curves::default());
    let mut rows = Vec::new();
    for exponent in 2..=10 {
        let workers = 1 << exponent;
        let x = f64::from(workers);
        let server = bench.ours(&[("workers", &workers.to_string())]);
        let to = server.address();
        let idle = resident(&server);
        for _ in 0..bench.rounds {
            for (name, clients) in [("32 clients", 32), ("256 clients", 256)] {
                let load = load(to, Pace::Clients(clients), bench.lasts());
                let measured = bench.measure("flashpolicyd", &server, &load);
                cpu.add(name, x, measured.cpu_per_policy());
            }
        }
        for (name, rate) in [("500/s", 500.0), ("1,000/s", 1000.0), ("2,000/s", 2000.0)] {
            let load = Load {
                speaks_after: FAR_AWAY,
                ..load(to, Pace::PerSecond(rate), Duration::from_secs(2))
            };
            // Not among the failures: here is where it fails on purpose.
            let outcome = Measured::of(&server, &load).outcome;
            late.add(name, x, percent_answered(&outcome));
        }
        let used = resident(&server);
        rows.push(vec![
            workers.to_string(),
            format!("{idle:.2}"),
            format!("{used:.2}"),
        ]);
    }
    let heads = [
        "workers",
        "resident, idle, MB",
        "resident, after all were used, MB",
    ];
    bench.table("workers", &heads, rows);
    let x = || axis("workers", Scale::Log2);
    let y = axis("µs per policy", Scale::Linear);
    bench.chart(
        "workers-cpu",
        "Server CPU per policy, by workers",
        x(),
        y,
        cpu,
    );
    let title = "Players who speak 200 ms after connecting, by workers";
    let y = axis("% answered", Scale::Linear);
    bench.chart("workers-players", title, x(), y, late);
}

fn percent_answered(outcome: &Outcome) -> f64 {
    let lost = (outcome.lost + outcome.wrong) as f64;
    let answered = outcome.answered as f64;
    100.0 * answered / (answered + lost)
}

/// What becomes of a crowd, and of honest clients under an attack, by the connections that may be
/// pending.
fn pending(bench: &mut Bench) {
    let (mut crowd, mut late) = (Curves::default(), Curves::default());
    let (mut refused, mut memory) = (Curves::default(), Curves::default());
    for exponent in 6..=13 {
        let max_pending = 1 << exponent;
        let x = f64::from(max_pending);
        let server = bench.ours(&[("max_pending", &max_pending.to_string())]);
        let to = server.address();
        for (name, clients) in [
            ("256 at once", 256),
            ("1,024 at once", 1024),
            ("4,096 at once", 4096),
        ] {
            for _ in 0..bench.rounds {
                let load = load(to, Pace::Once(clients), bench.lasts());
                // Not among the failures: who is refused is what is looked for.
                let outcome = Measured::of(&server, &load).outcome;
                refused.add(name, x, 100.0 - percent_answered(&outcome));
                crowd.add(name, x, outcome.micros(0.99).unwrap_or(f64::NAN));
            }
        }
        for (name, addresses) in [("64 addresses", 64), ("8,000 addresses", 8000)] {
            let attack = silent_attack(to, 8000, addresses);
            let load = Load {
                speaks_after: FAR_AWAY,
                ..load(to, Pace::PerSecond(100.0), Duration::from_secs(4))
            };
            let outcome = Measured::of(&server, &load).outcome;
            late.add(name, x, percent_answered(&outcome));
            drop(attack);
        }
        memory.add("flashpolicyd", x, resident(&server));
    }
    let x = || axis("max_pending", Scale::Log2);
    let title = "The time it takes to serve a crowd that comes at once";
    let y = axis("99 % answered within", Scale::Latency);
    bench.chart("pending-crowd", title, x(), y, crowd);
    let title = "Who is refused of a crowd that comes at once";
    let y = axis("% refused", Scale::Linear);
    bench.chart("pending-refused", title, x(), y, refused);
    let title = "100 players a second beside 8,000 silent connections";
    let y = axis("% answered", Scale::Linear);
    bench.chart("pending-attack", title, x(), y, late);
    let title = "Memory after both of these attacks";
    let y = axis("resident, MB", Scale::Linear);
    bench.chart("pending-memory", title, x(), y, memory);
}

/// Honest clients beside silent connections from one address.
fn silent(bench: &mut Bench) {
    let mut slow = Curves::default();
    let mut rows = Vec::new();
    // The bare loop, and who answers without reading, are no help to anybody here.
    let steady = |server: &Server| server.reads_the_request && server.key != "floor";
    let mut contestants = bench.start_some(built_in(), steady);
    for connections in [0, 1000, 2000, 4000, 8000, 16_000] {
        for Contestant { server, running } in &mut contestants {
            // A new server for each: some have not got over the last attack yet.
            match server.start(bench.folder.path(), built_in()) {
                Ok(new) => *running = new,
                Err(missing) => {
                    println!("skipped: {}: {}", server.label, missing.0);
                    continue;
                }
            }
            let to = running.address();
            let attack = (connections > 0).then(|| silent_attack(to, connections, 1));
            let load = Load {
                speaks_after: FAR_AWAY,
                ..load(to, Pace::PerSecond(100.0), Duration::from_secs(4))
            };
            let Measured { outcome, cpu } = Measured::of(running, &load);
            let mut row = vec![number(connections as f64, 0), server.label.to_owned()];
            row.push(format!("{:.0} %", percent_answered(&outcome)));
            row.extend([0.5, 0.99].map(|part| milliseconds(outcome.micros(part))));
            row.push(format!("{:.0} %", cpu.as_secs_f64() / 4.2 * 100.0));
            rows.push(row);
            let micros = outcome.micros(0.99).unwrap_or(f64::NAN);
            slow.add(server.label, connections as f64, micros);
            drop(attack);
        }
    }
    let heads = [
        "silent connections",
        "server",
        "players answered",
        "half within",
        "99 % within",
        "of a core",
    ];
    bench.table("silent", &heads, rows);
    let x = axis("silent connections", Scale::Linear);
    let y = axis("99 % answered within", Scale::Latency);
    let title = "100 players a second beside silent connections";
    bench.chart("silent", title, x, y, slow);
}

/// An attack that holds nearly all its connections by now, or has had time enough for it.
fn silent_attack(to: SocketAddr, connections: usize, addresses: u32) -> Attack {
    let plan = Plan {
        to,
        from: Sources::v4(ATTACKER, addresses),
        connections,
        kind: Kind::Silent,
        at_most: Duration::from_secs(60),
    };
    let attack = plan.start();
    let deadline = Instant::now() + Duration::from_secs(3);
    while attack.holds() < connections * 9 / 10 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    attack
}

/// The cost of a policy, by its size.
fn sizes(bench: &mut Bench) {
    let mut curves = Default::default();
    for size in [89, 256, 1024, 4096, 8192, 16_384] {
        let answer = policy_of(size);
        let contestants = bench.start(&answer[..size - 1]);
        rate_and_cost(
            bench,
            &contestants,
            (CLIENTS, &answer),
            size as f64,
            &mut curves,
        );
    }
    let (rates, cpu) = curves;
    let x = || axis("bytes, NUL included", Scale::Log2);
    let y = axis("policies/s", Scale::Linear);
    bench.chart("sizes-rate", "Policies per second, by size", x(), y, rates);
    let y = axis("µs per policy", Scale::Log10);
    bench.chart("sizes-cpu", "Server CPU per policy, by size", x(), y, cpu);
}

/// A policy of exactly so many bytes, with its NUL: the built-in one with grants, and with blanks
/// for what is left.
fn policy_of(size: usize) -> Vec<u8> {
    const END: &[u8] = b"</cross-domain-policy>\0";
    const GRANT: &[u8] = b"<allow-access-from domain=\"*.example.com\" to-ports=\"2001\" />";
    let mut policy = BUILT_IN[..BUILT_IN.len() - END.len()].to_vec();
    while policy.len() + GRANT.len() + END.len() <= size {
        policy.extend(GRANT);
    }
    policy.resize(size - END.len(), b' ');
    policy.extend(END);
    policy
}

/// From exec to the first policy, and what there is to copy to a host.
fn start(bench: &mut Bench) {
    let mut took = Curves::default();
    let mut labels = Vec::new();
    for round in 0..bench.rounds.max(11) {
        for Contestant { server, running } in bench.start(built_in()) {
            took.add(server.label, 0.0, running.took().as_secs_f64() * 1e3);
            if round == 0 {
                labels.push(server.label);
            }
        }
    }
    let rows = labels.into_iter().map(|label| {
        let figure = took.figure(label, 0.0);
        vec![label.to_owned(), figure.to_string()]
    });
    let rows = rows.collect();
    bench.table("start", &["server", "exec to the first policy, ms"], rows);
    let binaries = [
        ("as cargo builds it", env!("CARGO_BIN_EXE_flashpolicyd")),
        (
            "static (scripts/build-static.sh)",
            "target/static/flashpolicyd",
        ),
    ];
    let rows = binaries.into_iter().filter_map(|(name, path)| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let bytes = fs::metadata(path).ok()?.len();
        Some(vec![name.to_owned(), format!("{:.2}", bytes as f64 / 1e6)])
    });
    let rows = rows.collect();
    bench.table("binary", &["binary", "MB"], rows);
}
