//! What to change after a probe, each change once, the most important first. `advice` finds the
//! changes for a denied connection. It connects to nothing.

use super::ask::NoConnection;
use super::classes::Class;
use super::classify::Remark;
use super::error::Outcome;
use super::report::{Address, MAX_FINDINGS, Report};
use super::step::{Role, Step};
use super::verdict::PortVerdict;
use crate::output::text::each_once;
use crate::player::advice::{self, NeededChange};
use crate::player::json::Change;
use crate::policy::{FIRST_UNPRIVILEGED_PORT, MASTER_PORT, Severity};

/// Everything to change: what keeps a policy from counting, what is missing in it, and then what
/// only some players suffer from, or only at times.
pub(super) fn changes(report: &Report) -> Vec<Change> {
    let several = report.addresses.len() > 1;
    let addresses: Vec<&Address> = report
        .addresses
        .iter()
        .filter(|address| !address.has_no_route() || !several)
        .collect();
    let of_report = report.remarks.iter().map(of_remark);
    let one_address = report.remarks.iter();
    let one_address = one_address.filter(|remark| remark.class == Class::OneAddress);
    let one_address: Vec<Change> = one_address.map(|remark| of_remark(remark).1).collect();
    let of_addresses = addresses.iter().flat_map(|address| cures(address));
    let (errors, warnings): (Vec<_>, Vec<_>) = of_report
        .chain(of_addresses)
        .partition(|(severity, _)| *severity == Severity::Error);
    // One server that listens on every address is what the others lack, too.
    let (first, warnings): (Vec<_>, Vec<_>) = warnings
        .into_iter()
        .partition(|(_, cure)| one_address.contains(cure));
    let errors = first.into_iter().chain(errors);
    let mut changes: Vec<Change> = errors.into_iter().map(|(_, cure)| cure).collect();
    let others = missing(report, &addresses).into_iter();
    let others = others.chain(warnings.into_iter().map(|(_, cure)| cure));
    // A server that is to be started is not to be started once more.
    let listens: Vec<_> = changes.iter().filter_map(|c| c.conf.clone()).collect();
    changes.extend(others.filter(|c| c.conf.as_ref().is_none_or(|conf| !listens.contains(conf))));
    for (address, verdict) in verdicts(&addresses) {
        if verdict.distrust.is_some() {
            changes.push(Change::in_words(Class::Certificate.cure_on(verdict.port)));
        }
        let class = match verdict.outcome() {
            Outcome::Refused => Class::DestinationRefused,
            Outcome::Dropped | Outcome::Unreachable => Class::DestinationFiltered,
            Outcome::NoTls => Class::DestinationNoTls,
            Outcome::Ended => Class::DestinationEnds,
            Outcome::Denied | Outcome::TooLate | Outcome::Stands => continue,
        };
        let cure = match &verdict.reachable {
            Some(Err(NoConnection::NoTls(why))) if why.is_tls => format!(
                "have the server of the game on port {} complete a handshake of TLS 1.2 or 1.3",
                verdict.port
            ),
            _ => class.cure_on(verdict.port),
        };
        changes.push(Change::in_words(format!("on {}: {cure}", address.ip)));
    }
    each_once(changes)
}

/// The cure of something that is wrong with an answer, and how bad that is.
type Cure = (Severity, Change);

fn of_remark(remark: &Remark) -> Cure {
    (remark.severity, Change::in_words(&*remark.cure))
}

/// The cures of what is wrong with the answers of one address.
fn cures(address: &Address) -> Vec<Cure> {
    // A port without a policy of its own is nothing to cure: most have none.
    let own = address.own().filter(|own| own.answer.reading.is_some());
    let inside = address
        .own()
        .filter(|own| own.answer.fault() == Some(Class::Tls));
    let inside = inside.map(|own| {
        let port = own.exchange.address.port();
        let cure = format!(
            "where the SWF connects to port {port} by a SecureSocket, it asks inside TLS: probe \
             with --tls"
        );
        (Severity::Error, Change::in_words(cure))
    });
    let mut cures: Vec<Cure> = inside.collect();
    for step in address.expected().chain(own) {
        let is_needed = step.role == Role::Load || !address.works_without_master();
        if step.answer.fault() == Some(Class::Refused) && !is_needed {
            continue;
        }
        // What is wrong with this policy comes before the advice on any that is wrong.
        let remarks = step.answer.remarks.iter();
        let (general, of_exchange): (Vec<_>, Vec<_>) =
            remarks.partition(|remark| remark.class == Class::Invalid);
        cures.extend(of_exchange.into_iter().map(of_remark));
        cures.extend(of_findings(step));
        cures.extend(general.into_iter().map(of_remark));
    }
    cures
}

/// The cures of the errors in a policy, unless they only follow from its missing end.
fn of_findings(step: &Step) -> Vec<Cure> {
    let place = step.exchange.address;
    let mut remarks = step.answer.remarks.iter();
    let is_whole = remarks.any(|remark| remark.class == Class::Invalid);
    let reading = step.answer.reading.iter().filter(|_| is_whole);
    reading
        .flat_map(|reading| &reading.findings)
        .filter(|finding| finding.code.severity() == Severity::Error)
        .take(MAX_FINDINGS)
        .map(|finding| {
            let cure = format!("in the policy of {place}: {}", finding.cure);
            (Severity::Error, Change::in_words(cure))
        })
        .collect()
}

fn verdicts<'a>(addresses: &'a [&Address]) -> impl Iterator<Item = (&'a Address, &'a PortVerdict)> {
    let each = addresses.iter();
    each.flat_map(|address| address.verdicts.iter().map(|verdict| (*address, verdict)))
}

/// The changes to policies that the denied connections need.
fn missing(report: &Report, addresses: &[&Address]) -> Vec<Change> {
    let denied: Vec<_> = verdicts(addresses)
        .filter(|(_, verdict)| !verdict.is_allowed())
        .collect();
    let needed = denied.iter().flat_map(|(_, verdict)| &verdict.needed);
    let needed: Vec<_> = needed.cloned().collect();
    let named = report.plan.to.as_ref();
    let sampled = named.filter(|_| report.plan.sampled_of().is_some());
    let mut changes = advice::changes(&needed, sampled);
    if needed
        .iter()
        .any(|change| matches!(change, NeededChange::LowPort { .. }))
    {
        let move_it = format!("or move the game to port {FIRST_UNPRIVILEGED_PORT} or above");
        changes.push(Change::in_words(move_it));
    }
    let high = denied.iter().any(|(address, verdict)| {
        let fault = address
            .master
            .as_ref()
            .and_then(|master| master.answer.fault());
        verdict.port >= FIRST_UNPRIVILEGED_PORT
            && matches!(fault, Some(Class::Refused | Class::Filtered))
    });
    if high && report.plan.loads.is_empty() {
        changes.push(Change {
            text: format!(
                "or, where port {MASTER_PORT} cannot be had: `listen = [::]:10843`, and in the SWF, before it connects, \
                 Security.loadPolicyFile(\"xmlsocket://{}:10843\"), which opens ports from {FIRST_UNPRIVILEGED_PORT} upwards",
                report.plan.host
            ),
            conf: None,
        });
    }
    changes
}
