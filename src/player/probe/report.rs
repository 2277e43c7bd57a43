//! The findings of a probe, as data. It connects to nothing and prints nothing.

use std::net::IpAddr;

use super::ask::NoConnection;
use super::classes::Class;
use super::classify::Remark;
use super::plan::Plan;
use super::step::Step;
use super::verdict::PortVerdict;
use crate::policy::Severity;

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
    /// ignores, which are never errors; the latter are counted.
    pub(super) fn without_ignored(mut self) -> Report {
        let (ignored, player) = (&self.plan.ignored, self.plan.player);
        let counts = |severity| severity == Severity::Error || !self.plan.errors_only;
        let remark =
            |remark: &Remark| counts(remark.severity) && !ignored.has(remark.class.as_str());
        let mut count = sift(&mut self.remarks, remark);
        let trusts = !counts(Severity::Warning) || ignored.has(Class::Certificate.as_str());
        for address in &mut self.addresses {
            for verdict in address.verdicts.iter_mut().filter(|_| trusts) {
                count += usize::from(verdict.distrust.take().is_some());
            }
            let own = address.verdicts.iter_mut().filter_map(|v| v.own.as_mut());
            let steps = address.master.iter_mut().chain(&mut address.loads);
            for step in steps.chain(own) {
                count += sift(&mut step.answer.remarks, remark);
                if let Some(reading) = &mut step.answer.reading {
                    reading.retain(|code| code.matters_to(player));
                    count += reading
                        .retain(|code| counts(code.severity()) && !ignored.has(code.as_str()));
                }
            }
        }
        self.ignored = count;
        self
    }
}

/// Keeps some of the items, and says how many went.
fn sift<T>(items: &mut Vec<T>, is_kept: impl Fn(&T) -> bool) -> usize {
    let before = items.len();
    items.retain(is_kept);
    before - items.len()
}

/// The results for one address of the host.
#[derive(Clone, Debug)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Port 843; none where the content asks for no policy.
    pub master: Option<Step>,
    /// The `--load` locations; none where the master's meta-policy leaves them without effect.
    pub loads: Vec<Step>,
    /// A verdict for each destination port that was asked about.
    pub verdicts: Vec<PortVerdict>,
}

impl Address {
    /// Every exchange with this address, in the player's order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.expected().chain(self.own())
    }

    /// The exchanges of which a policy is expected: a destination port may have none of its own.
    pub(super) fn expected(&self) -> impl Iterator<Item = &Step> {
        self.master.iter().chain(&self.loads)
    }

    /// The destination ports that were asked for a policy of their own.
    pub(super) fn own(&self) -> impl Iterator<Item = &Step> {
        self.verdicts.iter().filter_map(|v| v.own.as_ref())
    }

    /// Whether this host has no route to the address, such as to IPv6 on a host without it: then
    /// nothing is known of the server.
    pub fn has_no_route(&self) -> bool {
        let no_route =
            |connected: &Result<_, _>| matches!(connected, Err(NoConnection::NoRoute(_)));
        match &self.master {
            Some(master) => no_route(&master.exchange.connected),
            None => self
                .verdicts
                .iter()
                .all(|v| v.reachable.as_ref().is_some_and(no_route)),
        }
    }
}
