//! The verdict for one destination port: `policy` decides, this room brings it what was fetched and
//! says it in the user's words. It fetches nothing.

use std::time::Duration;

use super::ask::NoConnection;
use super::{Class, Level, Plan, State, Step, What};
use crate::advice::{self, Wish};
use crate::policy::{
    self, others_count, render_grant, Offer, Origin, Player, Policy, Reason, MASTER_PORT,
};
use crate::text::clip;

/// What the player would do for one destination port.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The destination port.
    pub port: u16,
    /// What `policy` says.
    pub decision: policy::Verdict,
    /// The grant that allows it.
    pub by: Option<By>,
    /// Whether something came from port 843 of which nobody knows how the player takes it.
    pub uncertain: bool,
    /// Why it is denied, in the order in which that arises; printable lines.
    pub reasons: Vec<String>,
    /// Whether the port itself takes connections, where that was tried.
    pub reachable: Option<Result<Duration, NoConnection>>,
    /// What would have to change.
    pub(super) wishes: Vec<Wish>,
}

/// The grant that allows a connection.
#[derive(Clone, Debug)]
pub struct By {
    /// The part that its policy plays.
    pub what: What,
    /// The port that serves it.
    pub port: u16,
    /// The grant as XML; printable, on one line.
    pub grant: String,
}

impl Verdict {
    /// Whether the policies allow the connection.
    pub fn is_allowed(&self) -> bool {
        matches!(self.decision, policy::Verdict::Allowed { .. })
    }

    /// How bad it is for the SWF.
    pub(super) fn level(&self) -> Level {
        let works = self.is_allowed() && !matches!(self.reachable, Some(Err(_))) && !self.uncertain;
        if works {
            Level::Fine
        } else {
            Level::Critical
        }
    }

    /// The error that the SWF gets.
    pub fn error(&self) -> Option<&'static str> {
        match (self.is_allowed(), &self.reachable) {
            (false, _) => Some("SecurityError #2048"),
            (true, Some(Err(_))) => Some("IOError #2031"),
            (true, _) => None,
        }
    }
}

/// Has `policy` decide about one port, with what was fetched so far.
pub(super) fn judge(
    plan: &Plan,
    origin: &Origin,
    master: &Step,
    loads: &[Step],
    own: Option<&Step>,
    port: u16,
) -> Verdict {
    let master_policy = master.answer.policy();
    let others: Vec<&Step> = loads.iter().chain(own).collect();
    let offers: Vec<Offer> = others
        .iter()
        .filter_map(|step| step.answer.offer(step.exchange.address.port()))
        .collect();
    let master_offer = master.answer.offer(MASTER_PORT);
    let decision = policy::explain(Player::Flash, master_offer.as_ref(), &offers, origin, port);
    let by = by(plan, &decision, master_policy, &others, origin, port);
    let denied = by.is_none();
    Verdict {
        port,
        by,
        uncertain: master.answer.state == State::Unusable,
        reasons: if denied {
            reasons(plan, &decision, master, loads, own)
        } else {
            Vec::new()
        },
        reachable: None,
        wishes: if denied {
            advice::wishes(Player::Flash, master_offer.as_ref(), &offers, origin, port)
        } else {
            Vec::new()
        },
        decision,
    }
}

fn by(
    plan: &Plan,
    decision: &policy::Verdict,
    master: Option<&Policy>,
    others: &[&Step],
    origin: &Origin,
    destination: u16,
) -> Option<By> {
    let policy::Verdict::Allowed { port, grant } = *decision else {
        return None;
    };
    // The port that stands for 843 may be another, and a location may be on 843.
    let offer = master.map(|policy| Offer::new(MASTER_PORT, policy));
    let alone = policy::explain(Player::Flash, offer.as_ref(), &[], origin, destination);
    let (what, port, policy) = match master {
        Some(policy) if matches!(alone, policy::Verdict::Allowed { .. }) => {
            (What::Master, plan.port, Some(policy))
        }
        _ => {
            let step = others.iter().find(|step| {
                step.exchange.address.port() == port && step.answer.policy().is_some()
            });
            (
                step.map_or(What::Destination, |step| step.what),
                port,
                step.and_then(|step| step.answer.policy()),
            )
        }
    };
    let grant = policy
        .and_then(|policy| policy.grants.get(grant))
        .map(render_grant);
    Some(By {
        what,
        port,
        grant: clip(&grant.unwrap_or_default()),
    })
}

fn reasons(
    plan: &Plan,
    decision: &policy::Verdict,
    master: &Step,
    loads: &[Step],
    own: Option<&Step>,
) -> Vec<String> {
    let policy::Verdict::Denied(found) = decision else {
        return Vec::new();
    };
    let because = |step: &Step| {
        let error = step.answer.error().map(|error| error.cause.as_str());
        error.unwrap_or("no policy").to_string()
    };
    let mut lines = Vec::new();
    for reason in found {
        lines.push(match reason {
            Reason::NoMaster => format!("port {}: {}", plan.port, because(master)),
            Reason::Policy { port, denial }
                if *port == MASTER_PORT && master.answer.policy().is_some() =>
            {
                format!("the policy on port {}: {denial}", plan.port)
            }
            other => other.to_string(),
        });
    }
    for load in loads.iter().filter(|load| load.answer.policy().is_none()) {
        lines.push(format!(
            "port {}, named by --load: {}",
            load.exchange.address.port(),
            because(load)
        ));
    }
    for load in plan.loads.iter().filter(|load| load.host != plan.host) {
        lines.push(format!(
            "{load}, named by --load: a policy speaks only for the host that serves it"
        ));
    }
    if !others_count(Player::Flash, master.answer.policy()) {
        lines.push(
            "no other port was asked: the meta-policy leaves other policies without effect".into(),
        );
    }
    match own {
        Some(own) if own.answer.policy().is_none() => {
            let port = own.exchange.address.port();
            let error = own.answer.error();
            let unreachable = error.is_some_and(|error| {
                matches!(
                    error.class,
                    Class::Refused | Class::Filtered | Class::Unreachable
                )
            });
            let more = if unreachable {
                "; with a policy, the player would report IOError #2031"
            } else {
                ""
            };
            lines.push(format!(
                "port {port} itself has no policy: {}{more}",
                because(own)
            ));
        }
        _ => {}
    }
    lines.iter().map(|line| clip(line)).collect()
}
