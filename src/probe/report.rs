//! The findings of a probe, as data. It connects to nothing and prints nothing.

use std::net::IpAddr;

use super::ask::NoConnection;
use super::classify::{Answer, Remark};
use super::plan::Plan;
use super::step::Step;
use super::verdict::PortVerdict;
use crate::policy::{Finding, Severity};

/// The most findings of one policy that are told.
pub(super) const MAX_FINDINGS: usize = 10;

/// Everything that a probe found out.
#[derive(Clone, Debug)]
pub struct Report {
    /// The question.
    pub plan: Plan,
    /// Findings about no single address: the name, the locations, differences between addresses.
    pub remarks: Vec<Remark>,
    /// Each address that was asked, in the system's order.
    pub addresses: Vec<Address>,
    /// How many more addresses the name has.
    pub left_out: usize,
    /// How many warnings were left out because of `--ignore`.
    pub ignored: usize,
}

impl Report {
    /// Takes the warnings out that make no difference to the player, and those that the plan
    /// ignores; the latter are counted.
    pub(super) fn without_ignored(mut self) -> Report {
        let (ignored, player) = (&self.plan.ignored, self.plan.player);
        let mut count = 0;
        let mut sift = |remarks: &mut Vec<Remark>| {
            let before = remarks.len();
            remarks.retain(|remark| remark.is_error() || !ignored.has(remark.class.as_str()));
            count += before - remarks.len();
        };
        sift(&mut self.remarks);
        let mut answers: Vec<&mut Answer> = Vec::new();
        for address in &mut self.addresses {
            let others = address.loads.iter_mut().chain(&mut address.own);
            let steps = std::iter::once(&mut address.master).chain(others);
            answers.extend(steps.map(|step| &mut step.answer));
        }
        for answer in &mut answers {
            sift(&mut answer.remarks);
        }
        for reading in answers
            .into_iter()
            .filter_map(|answer| answer.reading.as_mut())
        {
            reading
                .findings
                .retain(|finding| finding.code.matters_to(player));
            let before = reading.findings.len();
            let is_error = |finding: &Finding| finding.code.severity() == Severity::Error;
            reading
                .findings
                .retain(|finding| is_error(finding) || !ignored.has(finding.code.as_str()));
            count += before - reading.findings.len();
        }
        self.ignored = count;
        self
    }
}

/// The results for one address of the host.
#[derive(Clone, Debug)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Port 843.
    pub master: Step,
    /// The `--load` locations; none where the master's meta-policy leaves them without effect.
    pub loads: Vec<Step>,
    /// The destination ports that were asked for a policy of their own.
    pub own: Vec<Step>,
    /// A verdict for each destination port that was asked about.
    pub verdicts: Vec<PortVerdict>,
}

impl Address {
    /// Every exchange with this address, in the player's order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        std::iter::once(&self.master)
            .chain(&self.loads)
            .chain(&self.own)
    }

    /// Whether this host has no route to the address, such as to IPv6 on a host without it: then
    /// nothing is known of the server.
    pub fn has_no_route(&self) -> bool {
        matches!(
            self.master.exchange.connected,
            Err(NoConnection::NoRoute(_))
        )
    }
}
