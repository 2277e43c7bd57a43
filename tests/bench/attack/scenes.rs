//! The attacks and crowds, each with players beside it, and what is promised of them.

use std::thread;
use std::time::Duration;

use crate::Options;
use crate::attack::Kind;
use crate::attackers::Crowd;
use crate::outcome::Outcome;
use crate::players::{AT_ONCE, LATE, Players, SAME_TWENTY, VERY_LATE, come};
use crate::report::{Cost, Meter, Promise, Report};
use crate::results::number;
use crate::support::{Server, Setup};

/// An attack holds its connections, or fills all places, after this time.
const TO_BUILD_UP: Duration = Duration::from_secs(2);

/// Players elsewhere do not notice the attack.
const UNNOTICED: Promise = Promise {
    within: Some(Duration::from_millis(50)),
    processor: None,
    resident: None,
};

/// All are served, however long it takes.
const SERVED: Promise = Promise {
    within: None,
    processor: None,
    resident: None,
};

/// Players that speak late, more than any number of threads could wait for, and nobody else.
pub fn late_players_alone(options: &Options, report: &mut Report) {
    for per_second in [1000.0, 2000.0, 3000.0] {
        for millis in [200, 1000, 2500] {
            let players = Players {
                per_second,
                late: Duration::from_millis(millis),
                addresses: 2000,
                ..LATE
            };
            let server = Server::start();
            let meter = Meter::start(server.child.id());
            let lasts = Duration::from_secs_f64(options.seconds.min(4.0));
            let outcomes = come(&[players], server.address(), lasts);
            let seconds = players.late.as_secs_f64();
            let name = format!("{} players/s, {seconds} s late", number(per_second, 0));
            report.row(&name, None, &outcomes[0], Some(meter.read()), UNNOTICED);
        }
    }
}

/// Thousands of connections that keep a server waiting.
pub fn held_connections(options: &Options, report: &mut Report) {
    let kinds = [
        ("silent", Kind::Silent),
        ("one byte", Kind::OneByte),
        ("half a request", Kind::HalfRequest),
        ("a byte a second", Kind::SlowDrip),
    ];
    let promise = Promise {
        processor: Some(0.25),
        resident: Some(10.0),
        ..UNNOTICED
    };
    for (what, kind) in kinds {
        for addresses in [1, 8000] {
            let crowd = Crowd {
                kind,
                addresses,
                connections: 8000,
                per_second: None,
            };
            let name = format!("8,000 held, {what}, {}", of_addresses(addresses));
            let server = Server::start();
            run(options, report, &name, (&crowd, &[LATE]), &server, promise);
        }
    }
}

/// One address sends as fast as it can.
pub fn flat_out(options: &Options, report: &mut Report) {
    for (what, kind) in [("junk", Kind::Junk), ("valid requests", Kind::Valid)] {
        let crowd = Crowd {
            kind,
            addresses: 1,
            connections: 1000,
            per_second: None,
        };
        let name = format!("{what}, {}", of_addresses(1));
        let (server, groups) = (Server::start(), [AT_ONCE, LATE]);
        run(
            options,
            report,
            &name,
            (&crowd, &groups),
            &server,
            UNNOTICED,
        );
    }
}

/// Attackers that look like players at first.
pub fn crowds(options: &Options, report: &mut Report) {
    let crowds = [
        (
            Kind::Silent,
            60_000,
            2_000.0,
            &[AT_ONCE, LATE, SAME_TWENTY][..],
        ),
        (
            Kind::EverySecondAsks,
            300,
            4_000.0,
            &[AT_ONCE, LATE, SAME_TWENTY],
        ),
        (
            Kind::Silent,
            60_000,
            10_000.0,
            &[AT_ONCE, LATE, VERY_LATE, SAME_TWENTY],
        ),
    ];
    for (kind, addresses, per_second, groups) in crowds {
        let crowd = Crowd {
            kind,
            addresses,
            // More than the server has places for, where they come that fast.
            connections: if per_second > 5_000.0 { 20_000 } else { 10_000 },
            per_second: Some(per_second),
        };
        let what = match kind {
            Kind::EverySecondAsks => "every second asks",
            _ => "silent",
        };
        let rate = number(per_second, 0);
        let name = format!("{rate}/s, {what}, {}", of_addresses(addresses));
        let server = Server::start();
        run(options, report, &name, (&crowd, groups), &server, SERVED);
    }
}

/// Hosts with few descriptors.
pub fn few_descriptors(options: &Options, report: &mut Report) {
    let crowd = Crowd {
        kind: Kind::Silent,
        addresses: 8000,
        connections: 4000,
        per_second: Some(1000.0),
    };
    // It does not spin.
    let promise = Promise {
        processor: Some(0.25),
        ..SERVED
    };
    for files in [64, 300, 1024] {
        let limit = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        let server = Setup::new().through(&["sh", "-c", &limit]).start();
        let name = format!("{files} descriptors, 1,000 silent/s");
        run(
            options,
            report,
            &name,
            (&crowd, &[AT_ONCE]),
            &server,
            promise,
        );
        let log = server.log();
        for cause in [
            format!("The limit of open files is {files}"),
            "were evicted for others".into(),
        ] {
            if !log.contains(&cause) {
                report.breaks(&name, &format!("the log does not say '{cause}'"));
            }
        }
    }
}

/// Memory does not grow from attack to attack.
pub fn ten_attacks(options: &Options, report: &mut Report) {
    const ATTACKS: usize = 10;
    let server = Server::start();
    // The kind that costs most memory.
    let crowd = Crowd {
        kind: Kind::HalfRequest,
        addresses: 8000,
        connections: 8000,
        per_second: None,
    };
    let lasts = Duration::from_secs_f64(options.seconds.min(2.0));
    let mut first = None;
    for round in 1..=ATTACKS {
        let (outcomes, rate, cost) = attack(&crowd, &[LATE], &server, lasts);
        let first = *first.get_or_insert(cost.resident);
        if [1, ATTACKS].contains(&round) {
            let name = format!("8,000 held, half a request, attack {round} of {ATTACKS}");
            report.row(&name, Some(rate), &outcomes[0], Some(cost), UNNOTICED);
            if cost.resident > first + 2.0 {
                report.breaks(&name, &format!("{first:.1} MB after the first attack"));
            }
        }
    }
}

fn of_addresses(count: u32) -> String {
    match count {
        1 => "1 address".into(),
        count => format!("{} addresses", number(f64::from(count), 0)),
    }
}

/// One attack on one server, with groups of players from elsewhere: a row for each group.
fn run(
    options: &Options,
    report: &mut Report,
    name: &str,
    (crowd, groups): (&Crowd, &[Players]),
    server: &Server,
    promise: Promise,
) {
    let lasts = Duration::from_secs_f64(options.seconds);
    let (outcomes, rate, cost) = attack(crowd, groups, server, lasts);
    for (players, outcome) in groups.iter().zip(&outcomes) {
        let name = format!("{name}; players {}", players.name);
        report.row(&name, Some(rate), outcome, Some(cost), promise);
    }
    // What was not measured is not kept.
    if let Some(meant) = crowd.per_second.filter(|meant| rate < meant * 0.9) {
        let rate = number(rate, 0);
        let how = format!("the attackers reached {rate} of {meant}/s: the machine is too slow");
        report.breaks(name, &how);
    }
}

/// What each group met with, the attack's connections a second, and the cost while players came.
fn attack(
    crowd: &Crowd,
    groups: &[Players],
    server: &Server,
    lasts: Duration,
) -> (Vec<Outcome>, f64, Cost) {
    let attackers = crowd.start(server.address());
    thread::sleep(TO_BUILD_UP);
    let meter = Meter::start(server.child.id());
    let outcomes = come(groups, server.address(), lasts);
    let cost = meter.read();
    (outcomes, attackers.stop(), cost)
}
