//! The first line of a report, which monitoring systems show. It connects to nothing.

use super::classes::Class;
use super::classify::AnswerState;
use super::error::Outcome;
use super::report::{Address, Report};
use super::step::{Role, Step};
use super::verdict::PortVerdict;
use crate::output::exit::ProbeExit;
use crate::output::text::{clip, each_once, time};
use crate::player::advice::port_list;
use crate::policy::{Origin, Player};

/// The line that a monitoring plugin prints, without a line end.
pub fn first_line(report: &Report) -> String {
    let level = report.level();
    let mut facts = Vec::new();
    for address in &report.addresses {
        if level == ProbeExit::Critical {
            facts.extend(faults(report, address));
        } else {
            facts.extend(distrusted(report, address));
            facts.extend(answered(address));
            facts.extend(warnings(address).filter(|_| level == ProbeExit::Warnings));
        }
    }
    let remarks = report.remarks.iter();
    facts.extend(remarks.map(|remark| format!("{}: {}", remark.class.as_str(), remark.cause)));
    if level == ProbeExit::Fine {
        facts.extend(allowed(report));
    }
    let facts = clip(&facts.join("; ")).replace('|', "/");
    let mut line = format!("POLICY {} - {facts}", level.as_str());
    let answers = report
        .addresses
        .iter()
        .flat_map(Address::steps)
        .filter(|step| step.answer.state == AnswerState::Counts);
    if let Some(slowest) = answers.map(|step| step.exchange.time).max() {
        let limit = report.plan.timeout.as_secs_f64();
        line.push_str(&format!(" | time={:.4}s;;{limit}", slowest.as_secs_f64()));
    }
    line
}

/// `http://www.example.com may connect to ports 2001 and 3001`.
fn allowed(report: &Report) -> Option<String> {
    let content = content(report)?;
    let to = report.plan.to.as_ref()?;
    let sample = to.sample([]);
    let ports = if sample.is_partial() {
        format!("ports {to}")
    } else {
        port_list(&sample.ports)
    };
    Some(format!("{content} may connect to {ports}"))
}

/// The content that is asked about, as short as it can be said.
fn content(report: &Report) -> Option<String> {
    match &report.plan.from {
        _ if report.plan.air => Some("AIR".into()),
        Some(Origin::Anywhere) => Some("content from anywhere".into()),
        origin => origin.as_ref().map(ToString::to_string),
    }
}

/// `127.0.0.1:843 answered in 0.4 ms`, by the first policy of this address.
fn answered(address: &Address) -> Option<String> {
    let mut steps = address.steps();
    let step = steps.find(|step| step.answer.state == AnswerState::Counts)?;
    Some(format!(
        "{} answered in {}",
        step.exchange.address,
        time(step.exchange.time)
    ))
}

/// `https://www.example.com may connect to 127.0.0.1, port 443, if the player's computer trusts the
/// certificate`.
fn distrusted(report: &Report, address: &Address) -> Option<String> {
    let verdicts = address.verdicts.iter();
    let distrusted = verdicts.filter(|v| v.is_allowed() && v.distrust.is_some());
    let ports: Vec<_> = distrusted.map(|verdict| verdict.port).collect();
    let (who, ip) = (content(report)?, address.ip);
    (!ports.is_empty()).then(|| {
        let ports = port_list(&ports);
        format!(
            "{who} may connect to {ip}, {ports}, if the player's computer trusts the certificate"
        )
    })
}

fn warnings(address: &Address) -> Option<String> {
    let names = |step: &Step| {
        let of_exchange = step.answer.remarks.iter().map(|r| r.class.as_str());
        let reading = step.answer.reading.iter();
        let of_policy = reading.flat_map(|reading| &reading.findings);
        let names = each_once(of_exchange.chain(of_policy.map(|f| f.code.as_str())));
        let place = match step.role {
            Role::Load => place(step),
            Role::Master | Role::Destination => address.ip.to_string(),
        };
        (!names.is_empty()).then(|| format!("{place}: {}", names.join(", ")))
    };
    let warnings: Vec<_> = address.expected().filter_map(names).collect();
    (!warnings.is_empty()).then(|| warnings.join("; "))
}

/// The address of a step, and that the SWF names it.
fn place(step: &Step) -> String {
    let address = step.exchange.address;
    match step.role {
        Role::Load => format!("{address} (loadPolicyFile)"),
        Role::Master | Role::Destination => address.to_string(),
    }
}

/// The player's error, and the faults of the answers.
fn faults(report: &Report, address: &Address) -> Vec<String> {
    let mut faults = Vec::new();
    let player = report.plan.player;
    let failing = address.verdicts.iter().filter(|verdict| !verdict.works());
    for outcome in each_once(failing.map(PortVerdict::outcome)) {
        let same = address.verdicts.iter();
        let same = same.filter(|verdict| verdict.outcome() == outcome);
        let ports: Vec<_> = same.map(|verdict| verdict.port).collect();
        if let (Some(who), Some(what)) = (content(report), outcome.in_short()) {
            let (ip, ports) = (address.ip, port_list(&ports));
            let error = match player {
                Player::Flash => outcome.error_in_short(report.plan.air),
                player => player.to_string(),
            };
            faults.push(format!("{who} {what} {ip}, {ports} ({error})"));
        }
    }
    let doubts = address
        .verdicts
        .iter()
        .filter(|v| v.outcome() == Outcome::Stands);
    let doubts = each_once(doubts.filter_map(|verdict| verdict.doubt.as_ref()));
    faults.extend(doubts.iter().map(|doubt| format!("uncertain: {doubt}")));
    let waits = address.verdicts.iter().filter(|v| v.is_allowed());
    let waits: Vec<_> = waits.filter_map(|verdict| verdict.waits_on).collect();
    if let Some(silent) = waits.iter().map(|(_, silent)| *silent).min() {
        let ports = each_once(waits.iter().map(|(port, _)| *port));
        faults.push(format!(
            "{player} waits on {}, {}: nothing within {}",
            address.ip,
            port_list(&ports),
            time(silent)
        ));
    }
    for step in address.expected() {
        if let Some(error) = step.answer.error() {
            let mut remarks = step.answer.remarks.iter();
            let strict = remarks.find(|remark| remark.class == Class::StrictRequest);
            let strict = strict.map_or("", |remark| &remark.cause);
            let (place, class) = (place(step), error.class.as_str());
            faults.push(match strict {
                "" => format!("{place}: {class}: {}", error.cause),
                cause => format!("{place}: {class}, strict-request: {cause}"),
            });
        }
    }
    faults
}
