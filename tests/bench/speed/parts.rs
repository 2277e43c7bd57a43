//! What is measured: for each question one part, which runs its servers by turns and leaves charts
//! and tables. It knows what to vary; how a load runs and what it costs is [`crate::load`]'s and
//! [`crate::measure`]'s to say.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::attack::{Attack, Kind, Plan, Sources};
use crate::bench::{Bench, Contestant, Curves, axis};
use crate::load::{Load, PATIENCE, PLAYERS_PATIENCE, Pace, run_together};
use crate::measure::{Measured, resident};
use crate::outcome::Outcome;
use crate::peers;
use crate::results::{Scale, number};
use crate::support::BUILT_IN;

/// A part of the measurement, by the name that the command line knows.
pub type Part = (&'static str, fn(&mut Bench));

/// All parts.
pub const PARTS: &[Part] = &[
    ("summary", summary),
    ("clients", clients),
    ("latency", latency),
    ("late", late),
    ("silent", silent),
    ("sizes", sizes),
    ("start", start),
];

/// The parallel clients of the summary, and of whatever varies something else.
const CLIENTS: usize = 32;

/// Clients come from these; an attack comes from others.
const PLAYERS: [u8; 4] = [127, 100, 0, 1];
const LATE_PLAYERS: [u8; 4] = [127, 101, 0, 1];
const PLAYERS_ADDRESSES: u32 = 1_000;
const ATTACKER: [u8; 4] = [127, 10, 0, 1];

/// A far-away player's request comes so long after its connection.
const FAR_AWAY: Duration = Duration::from_millis(200);

fn built_in() -> &'static [u8] {
    &BUILT_IN[..BUILT_IN.len() - 1]
}

fn load(to: SocketAddr, pace: Pace, lasts: Duration) -> Load<'static> {
    Load {
        to,
        from: Sources::v4(PLAYERS, PLAYERS_ADDRESSES),
        pace,
        speaks_after: Duration::ZERO,
        lasts,
        stop: None,
        patience: PATIENCE,
        answer: BUILT_IN,
    }
}

/// The figures of the README: all servers at 32 parallel clients.
fn summary(bench: &mut Bench) {
    let contestants = bench.start_all(built_in());
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
    let contestants = bench.start_all(built_in());
    let mut curves = Default::default();
    for clients in [1, 4, 16, 32, 128, 256, 1024] {
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
    let contestants = bench.start_all(built_in());
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
                // A server that served nobody is measured at the lowest rate there is.
                let rate = (highest * percent / 100.0).max(1.0);
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

/// Players beside silent connections from one address.
fn silent(bench: &mut Bench) {
    let mut slow = Curves::default();
    let mut rows = Vec::new();
    // The bare loop, and those that answer without reading, are no help to anybody here.
    let mut servers = peers::all();
    servers
        .retain(|server| server.reads_the_request && server.key != "floor" && bench.wants(server));
    for connections in [0, 1000, 4000, 8000, 16_000] {
        for server in &servers {
            // A new server for each: some have not got over the last attack yet.
            let Some(running) = bench.start(server, built_in()) else {
                continue;
            };
            let to = running.address();
            let attack = (connections > 0).then(|| silent_attack(to, connections));
            let load = Load {
                speaks_after: FAR_AWAY,
                patience: PLAYERS_PATIENCE,
                ..load(to, Pace::PerSecond(100.0), Duration::from_secs(4))
            };
            let Measured { outcome, cpu } = Measured::of(&running, &load);
            let lasted = load.lasts + FAR_AWAY;
            let mut row = vec![number(connections as f64, 0), server.label.to_owned()];
            row.push(format!("{:.0} %", outcome.percent_answered()));
            row.extend([0.5, 0.99].map(|part| milliseconds(outcome.micros(part))));
            row.push(format!("{:.0} %", cpu.div_duration_f64(lasted) * 100.0));
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

/// Players of whom half speak a second after they have connected: how many of all are answered as
/// soon as they speak. A server whose threads wait for the late ones keeps the others waiting.
fn late(bench: &mut Bench) {
    const SOON: Duration = Duration::from_millis(100);
    let mut soon = Curves::default();
    let mut rows = Vec::new();
    let mut servers = peers::all();
    servers.retain(|server| ["ours", "gevent"].contains(&server.key));
    servers.push(peers::plain_pool());
    servers.retain(|server| bench.wants(server));
    for per_second in [100.0, 200.0, 500.0, 1000.0, 2000.0, 4000.0] {
        for server in &servers {
            // A new server for each: a pool goes on with those that have left.
            let Some(running) = bench.start(server, built_in()) else {
                continue;
            };
            let pace = Pace::PerSecond(per_second / 2.0);
            let at_once = Load {
                patience: PLAYERS_PATIENCE,
                ..load(running.address(), pace, Duration::from_secs(4))
            };
            let late = Load {
                from: Sources::v4(LATE_PLAYERS, PLAYERS_ADDRESSES),
                speaks_after: Duration::from_secs(1),
                ..at_once.clone()
            };
            let mut outcome = Outcome::default();
            for half in run_together(&[at_once, late]) {
                outcome.add(&half);
            }
            // Not among the failures: those that are not served are what is looked for.
            soon.add(server.label, per_second, outcome.percent_within(SOON));
            let mut row = vec![number(per_second, 0), server.label.to_owned()];
            row.push(format!("{:.0} %", outcome.percent_answered()));
            row.push(format!("{:.0} %", outcome.percent_within(SOON)));
            row.extend([0.5, 0.99].map(|part| milliseconds(outcome.micros(part))));
            rows.push(row);
        }
    }
    let heads = [
        "players a second",
        "server",
        "answered",
        "within 100 ms",
        "half within",
        "99 % within",
    ];
    bench.table("late", &heads, rows);
    let x = axis("players a second", Scale::Log10);
    let y = axis("% answered within 100 ms of speaking", Scale::Linear);
    let title = "Players of whom half speak a second late";
    bench.chart("late", title, x, y, soon);
}

/// An attack that holds nearly all its connections by now, or has had time enough for it.
fn silent_attack(to: SocketAddr, connections: usize) -> Attack {
    let plan = Plan {
        to,
        from: Sources::v4(ATTACKER, 1),
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
    for size in [89, 1024, 4096, 16_384] {
        let answer = policy_of(size);
        let contestants = bench.start_all(&answer[..size - 1]);
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
        for Contestant { server, running } in bench.start_all(built_in()) {
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
