//! What to change after a probe, each change once, the most important first. `advice` finds the
//! changes for a denied connection. It connects to nothing.

use super::classes::Class;
use super::classify::Remark;
use super::report::{Address, MAX_FINDINGS, Report};
use super::step::Step;
use super::verdict::PortVerdict;
use crate::advice;
use crate::json::Change;
use crate::policy::{FIRST_UNPRIVILEGED_PORT, MASTER_PORT, Severity};

/// Everything to change: what keeps a policy from counting, what is missing in it, and then what
/// only some players suffer from, or only at times.
pub(super) fn changes(report: &Report) -> Vec<Change> {
    let mut changes = Changes(Vec::new());
    let several = report.addresses.len() > 1;
    let addresses: Vec<&Address> = report
        .addresses
        .iter()
        .filter(|address| !address.has_no_route() || !several)
        .collect();
    let of_report = report.remarks.iter().map(Cure::of_remark);
    let of_addresses = addresses.iter().flat_map(|address| cures(address));
    let cures: Vec<Cure> = of_report.chain(of_addresses).collect();
    for cure in cures.iter().filter(|cure| cure.is_error) {
        changes.add(cure.change.clone());
    }
    missing(report, &addresses, &mut changes);
    for cure in cures.iter().filter(|cure| !cure.is_error) {
        changes.add(cure.change.clone());
    }
    for (address, verdict) in verdicts(&addresses) {
        if verdict.is_allowed() && matches!(verdict.reachable, Some(Err(_))) {
            let cure = Class::DestinationUnreachable.cure_on(verdict.port);
            changes.add(Change::in_words(format!("on {}: {cure}", address.ip)));
        }
    }
    changes.0
}

/// Changes, each once.
struct Changes(Vec<Change>);

impl Changes {
    fn add(&mut self, change: Change) {
        if !self.0.contains(&change) {
            self.0.push(change);
        }
    }
}

/// The cure of something that is wrong with an answer.
struct Cure {
    change: Change,
    is_error: bool,
}

impl Cure {
    fn of_remark(remark: &Remark) -> Cure {
        Cure {
            change: Change::in_words(&*remark.cure),
            is_error: remark.is_error(),
        }
    }
}

/// The cures of what is wrong with the answers of one address.
fn cures(address: &Address) -> Vec<Cure> {
    // A port without a policy of its own is nothing to cure: most have none.
    let own = address.own.iter();
    let own = own.filter(|own| own.answer.reading.is_some());
    let steps = std::iter::once(&address.master)
        .chain(&address.loads)
        .chain(own);
    let mut cures = Vec::new();
    for step in steps {
        let class = step.answer.error().map(|error| error.class);
        if class == Some(Class::Refused) && address.works_without_master() {
            continue;
        }
        // What is wrong with this policy comes before the advice on any that is wrong.
        let remarks = step.answer.remarks.iter();
        let (general, of_exchange): (Vec<_>, Vec<_>) =
            remarks.partition(|remark| remark.class == Class::Invalid);
        cures.extend(of_exchange.into_iter().map(Cure::of_remark));
        cures.extend(of_findings(step));
        cures.extend(general.into_iter().map(Cure::of_remark));
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
        .map(|finding| Cure {
            change: Change::in_words(format!("in the policy of {place}: {}", finding.cure)),
            is_error: true,
        })
        .collect()
}

fn verdicts<'a>(addresses: &'a [&Address]) -> impl Iterator<Item = (&'a Address, &'a PortVerdict)> {
    let each = addresses.iter();
    each.flat_map(|address| address.verdicts.iter().map(|verdict| (*address, verdict)))
}

/// The changes to policies that the denied connections need.
fn missing(report: &Report, addresses: &[&Address], changes: &mut Changes) {
    let denied: Vec<_> = verdicts(addresses)
        .filter(|(_, verdict)| !verdict.is_allowed())
        .collect();
    let wishes = denied.iter().flat_map(|(_, verdict)| &verdict.wishes);
    let wishes: Vec<_> = wishes.cloned().collect();
    let of_policies = match (&report.plan.to, report.plan.sampled_of()) {
        (Some(named), Some(_)) => advice::changes_of_sample(&wishes, named),
        _ => advice::changes(&wishes),
    };
    for change in of_policies {
        changes.add(change);
    }
    let high = denied.iter().any(|(address, verdict)| {
        let error = address.master.answer.error().map(|error| error.class);
        verdict.port >= FIRST_UNPRIVILEGED_PORT
            && matches!(error, Some(Class::Refused | Class::Filtered))
    });
    if high && report.plan.loads.is_empty() {
        changes.add(Change {
            text: format!(
                "or, where port {MASTER_PORT} cannot be had: `listen = [::]:10843`, and in the SWF, before it connects, \
                 Security.loadPolicyFile(\"xmlsocket://{}:10843\"), which opens ports from {FIRST_UNPRIVILEGED_PORT} upwards",
                report.plan.host
            ),
            conf: None,
        });
    }
}
