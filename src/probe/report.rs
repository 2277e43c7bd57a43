//! What a probe found out, as data. It finds out nothing itself and tells nothing.

use std::net::IpAddr;

use super::ask::{Exchange, NoConnection};
use super::classify::{classify, Answer, Remark};
use super::player::policy_for;
use super::verdict::{judge, PortVerdict};
use super::Plan;
use crate::policy::{Finding, Offer, Player, Policy, Severity, MASTER_PORT};

/// Everything that a probe found out.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was asked.
    pub plan: Plan,
    /// What concerns no single address: the name, the locations, differences between addresses.
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

/// What one address of the host did.
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

/// One exchange and what it amounts to.
#[derive(Clone, Debug)]
pub struct Step {
    /// Why this port was asked.
    pub role: Role,
    /// What was seen.
    pub exchange: Exchange,
    /// What that is.
    pub answer: Answer,
}

/// Why the player asks a port for a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is port 843, where the master policy is.
    Master,
    /// The SWF names it with `loadPolicyFile`.
    Load,
    /// It is the destination port itself.
    Destination,
}

impl Role {
    /// A stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Master => "master",
            Role::Load => "load",
            Role::Destination => "destination",
        }
    }
}

impl Step {
    /// The port that the policy counts as served from.
    fn served_from(&self) -> u16 {
        match self.role {
            Role::Master => MASTER_PORT,
            Role::Load | Role::Destination => self.exchange.address.port(),
        }
    }

    /// The policy that the player takes from the answer, if it takes one.
    pub(super) fn policy(&self, player: Player) -> Option<&Policy> {
        policy_for(player, &self.answer)
    }

    /// The same as `policy` decides by it.
    pub(super) fn offer(&self, player: Player) -> Option<Offer<'_>> {
        let dropped = self
            .answer
            .reading
            .as_ref()?
            .dropped_by_lightspark
            .as_deref();
        Some(Offer {
            dropped_by_lightspark: dropped,
            ..Offer::new(self.served_from(), self.policy(player)?)
        })
    }

    /// The policy as it would be if nothing were wrong with how it came.
    pub(super) fn intended_offer(&self) -> Option<Offer<'_>> {
        let intended = self.answer.intended.as_ref()?;
        Some(Offer::new(self.served_from(), intended))
    }
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

/// The report on one exchange with port 843 where nothing else answers: it asks nobody, so
/// fuzzing and benchmarks can use it without a network.
pub fn report_of(plan: Plan, master: Exchange) -> Report {
    let answer = classify(&master, MASTER_PORT);
    let ip = master.address.ip();
    let master = Step {
        role: Role::Master,
        exchange: master,
        answer,
    };
    let verdicts = match &plan.from {
        Some(origin) => plan
            .sample(std::slice::from_ref(&master))
            .into_iter()
            .map(|port| judge(&plan, origin, &master, &[], None, port))
            .collect(),
        None => Vec::new(),
    };
    let address = Address {
        ip,
        master,
        loads: Vec::new(),
        own: Vec::new(),
        verdicts,
    };
    Report {
        plan,
        remarks: Vec::new(),
        addresses: vec![address],
        left_out: 0,
        ignored: 0,
    }
    .without_ignored()
}
