//! What to change, each thing once. What a denied connection needs, `advice` says.

use super::classes::Class;
use super::{Report, State};
use crate::advice;
use crate::json::Change;
use crate::policy::{Severity, FIRST_UNPRIVILEGED_PORT, MASTER_PORT};

/// Everything to change, each thing once: what is broken first, then what is missing.
pub(super) fn changes(report: &Report) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let mut add = |change: Change| {
        if !changes.contains(&change) {
            changes.push(change);
        }
    };
    for remark in &report.remarks {
        add(Change::in_words(&*remark.cure));
    }
    let addresses = || {
        report
            .addresses
            .iter()
            .filter(|a| !a.is_out_of_the_question() || report.addresses.len() == 1)
    };
    for address in addresses() {
        // A port without a policy of its own is nothing to cure: most have none.
        let used = address
            .own
            .iter()
            .filter(|own| own.answer.state != State::Absent && own.answer.reading.is_some());
        for step in std::iter::once(&address.master)
            .chain(&address.loads)
            .chain(used)
        {
            let error = step.answer.error().map(|error| error.class);
            let unneeded = error == Some(Class::Refused) && address.does_without_it();
            for remark in step.answer.remarks.iter().filter(|_| !unneeded) {
                add(Change::in_words(&*remark.cure));
            }
            let findings = step
                .answer
                .reading
                .iter()
                .flat_map(|reading| &reading.findings);
            let place = step.exchange.address;
            let shown = findings
                .filter(|f| f.code.severity() == Severity::Error)
                .take(super::story::MAX_FINDINGS);
            for finding in shown {
                add(Change::in_words(format!(
                    "in the policy of {place}: {}",
                    finding.cure
                )));
            }
        }
    }
    let denied = || {
        addresses()
            .flat_map(|a| a.verdicts.iter().map(move |v| (a, v)))
            .filter(|(_, v)| !v.is_allowed())
    };
    let wishes: Vec<_> = denied().flat_map(|(_, v)| v.wishes.clone()).collect();
    advice::changes(&wishes).into_iter().for_each(&mut add);
    let high: Vec<_> = denied()
        .filter(|(address, verdict)| {
            let error = address.master.answer.error().map(|error| error.class);
            verdict.port >= FIRST_UNPRIVILEGED_PORT
                && matches!(error, Some(Class::Refused | Class::Filtered))
        })
        .collect();
    if !high.is_empty() && report.plan.loads.is_empty() {
        add(Change {
            text: format!(
                "or, where port {MASTER_PORT} cannot be had: `listen = [::]:10843`, and in the SWF, before it connects, \
                 Security.loadPolicyFile(\"xmlsocket://{}:10843\"), which opens ports from {FIRST_UNPRIVILEGED_PORT} upwards",
                report.plan.host
            ),
            conf: None,
        });
    }
    for (address, verdict) in addresses().flat_map(|a| a.verdicts.iter().map(move |v| (a, v))) {
        if verdict.is_allowed() && matches!(verdict.reachable, Some(Err(_))) {
            let cure = Class::DestinationUnreachable
                .cure()
                .replace("PORT", &verdict.port.to_string());
            add(Change::in_words(format!("on {}: {cure}", address.ip)));
        }
    }
    changes
}
