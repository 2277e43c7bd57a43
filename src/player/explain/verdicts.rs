//! The verdicts of `explain`, as sentences and as JSON. `policy` decides; this module prints
//! nothing.

use serde::Serialize;

use crate::config::policies::ConfiguredPolicy;
use crate::output::text::clip;
use crate::player::json;
use crate::policy::{
    self, Denial, MASTER_PORT, Offer, Origin, Player, PortSet, Reason, SECURITY_ERROR, Sample,
    Verdict, render_grant,
};

/// The parsed question.
pub(super) struct Asked {
    pub(super) origin: Origin,
    pub(super) ports: PortSet,
    pub(super) player: Player,
}

/// A policy and a port that serves it.
#[derive(Clone, Copy)]
pub(super) struct OfferedPolicy<'a> {
    pub(super) offer: Offer<'a>,
    pub(super) served: &'a ConfiguredPolicy,
}

impl OfferedPolicy<'_> {
    /// A grant of it as XML.
    fn xml(&self, grant: usize) -> String {
        let grant = self.offer.policy.grants.get(grant);
        clip(&grant.map(render_grant).unwrap_or_default())
    }
}

/// The most grants of one policy whose refusal is listed.
const MAX_REFUSALS: usize = 10;

/// The verdict of one master and the other locations on one port.
pub(super) struct PortVerdict<'a> {
    pub master: Option<&'a OfferedPolicy<'a>>,
    pub port: u16,
    pub verdict: Verdict,
}

#[derive(Serialize)]
pub(super) struct JsonPortVerdict {
    /// The policy on port 843 by which it was judged.
    pub master: Option<String>,
    #[serde(flatten)]
    pub verdict: json::JsonVerdict,
}

/// The policies on port 843.
pub(super) fn masters<'a>(
    all: &'a [OfferedPolicy<'a>],
) -> impl Iterator<Item = &'a OfferedPolicy<'a>> {
    all.iter().filter(|l| l.offer.port == MASTER_PORT)
}

/// The policies on other ports, as they are offered there.
pub(super) fn others<'a>(all: &[OfferedPolicy<'a>]) -> Vec<Offer<'a>> {
    let offers = all.iter().map(|location| location.offer);
    offers.filter(|offer| offer.port != MASTER_PORT).collect()
}

/// One verdict for each port, and for each policy on port 843: listeners may have their own.
pub(super) fn judge<'a>(
    locations: &'a [OfferedPolicy<'a>],
    asked: &Asked,
    sample: &Sample,
) -> Vec<PortVerdict<'a>> {
    let others = others(locations);
    let mut masters: Vec<_> = masters(locations).map(Some).collect();
    if masters.is_empty() {
        masters.push(None);
    }
    let mut verdicts = Vec::new();
    for master in masters {
        for &port in &sample.ports {
            let offer = master.map(|master| &master.offer);
            let verdict = policy::explain(asked.player, offer, &others, &asked.origin, port);
            verdicts.push(PortVerdict {
                master,
                port,
                verdict,
            });
        }
    }
    verdicts
}

impl PortVerdict<'_> {
    pub fn is_allowed(&self) -> bool {
        matches!(self.verdict, Verdict::Allowed { .. })
    }

    /// The location that serves the policy of this port.
    fn location<'b>(
        &'b self,
        all: &'b [OfferedPolicy<'b>],
        port: u16,
    ) -> Option<&'b OfferedPolicy<'b>> {
        match self.master {
            Some(master) if port == MASTER_PORT => Some(master),
            _ => all.iter().find(|location| location.offer.port == port),
        }
    }

    /// The sentence on `ports`, for which the verdict is the same.
    pub fn headline(&self, all: &[OfferedPolicy], asked: &Asked, ports: &str) -> String {
        let swf = match &asked.origin {
            Origin::Local => "a local SWF".into(),
            origin => format!("a SWF from {}", origin.in_words()),
        };
        let Verdict::Allowed { port, grant } = self.verdict else {
            let refusal = asked.player.refusal();
            return format!("DENIED: {swf} may not connect to {ports}; {refusal}.");
        };
        let by = self.location(all, port).map(|location| {
            let served = location.served;
            match served.line_of(grant) {
                Some(_) => served.grant_name(grant),
                None => format!("{} of {}", location.xml(grant), served.origin.in_words()),
            }
        });
        format!(
            "ALLOWED: {swf} may connect to {ports}, by {}, served on port {port}.",
            by.unwrap_or_default()
        )
    }

    /// What nobody knows of how the player takes the policy that allows it: sentences.
    fn doubts(&self, all: &[OfferedPolicy], asked: &Asked) -> Vec<String> {
        let Verdict::Allowed { port, grant } = self.verdict else {
            return Vec::new();
        };
        let location = self.location(all, port);
        let grant = location.and_then(|location| location.offer.policy.grants.get(grant));
        let of_the_grant = grant.and_then(|grant| asked.player.doubt(grant));
        let of_the_file = location.and_then(|location| location.served.doubt(asked.player));
        let doubts = of_the_file
            .map(String::from)
            .into_iter()
            .chain(of_the_grant);
        doubts.map(|doubt| format!("Uncertain: {doubt}.")).collect()
    }

    /// The conditions under which the verdict on these ports holds: sentences.
    pub fn conditions(&self, all: &[OfferedPolicy], asked: &Asked, ports: &[u16]) -> Vec<String> {
        let mut conditions = self.doubts(all, asked);
        conditions.extend(asked.player.conditions(&asked.origin, ports));
        conditions
    }

    /// The reason in words, for the ports `asked`.
    fn in_words(&self, all: &[OfferedPolicy], reason: &Reason, asked: &str) -> String {
        let name = |port: u16, grant: usize| self.grant_name(all, port, grant);
        clip(&reason.in_words(asked, &name))
    }

    fn grant_name(&self, all: &[OfferedPolicy], port: u16, grant: usize) -> String {
        let location = self.location(all, port);
        location.map_or_else(String::new, |location| location.served.grant_name(grant))
    }

    fn reasons(&self) -> &[Reason] {
        match &self.verdict {
            Verdict::Denied(reasons) => reasons,
            Verdict::Allowed { .. } => &[],
        }
    }

    /// The reasons as a list, for the ports `asked`; where several grants refuse, each has a line of
    /// its own.
    pub fn reason_lines(&self, all: &[OfferedPolicy], asked: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for reason in self.reasons() {
            match reason {
                Reason::Policy {
                    port,
                    denial: Denial::Grants(refusals),
                } if refusals.len() > 1 => {
                    lines.push(format!("- the policy on port {port}:"));
                    for (index, refusal) in refusals.iter().enumerate().take(MAX_REFUSALS) {
                        let name = self.grant_name(all, *port, index);
                        let why = refusal.in_words(asked);
                        lines.push(clip(&format!("  - {name} is {why}")));
                    }
                    if refusals.len() > MAX_REFUSALS {
                        lines.push(format!("  - and {} more.", refusals.len() - MAX_REFUSALS));
                    }
                }
                _ => lines.push(format!("- {}", self.in_words(all, reason, asked))),
            }
        }
        lines
    }

    pub fn as_json(&self, all: &[OfferedPolicy], asked: &Asked) -> JsonPortVerdict {
        let by = match self.verdict {
            Verdict::Denied(_) => None,
            Verdict::Allowed { port, grant } => {
                self.location(all, port).map(|l| json::JsonGrantSource {
                    step: match port {
                        MASTER_PORT => "master",
                        port if port == self.port => "destination",
                        _ => "load",
                    },
                    port,
                    grant: l.xml(grant),
                    place: l.served.line_of(grant).cloned(),
                })
            }
        };
        let port = self.port.to_string();
        let reasons = self.reasons().iter();
        let reasons = reasons.map(|reason| self.in_words(all, reason, &port));
        JsonPortVerdict {
            master: self.master.map(|master| master.served.origin.name()),
            verdict: json::JsonVerdict {
                port: self.port,
                allowed: self.is_allowed(),
                error: (!self.is_allowed()).then_some(SECURITY_ERROR),
                by,
                text: self.headline(all, asked, &format!("port {port}")),
                reasons: reasons.collect(),
                conditions: self.conditions(all, asked, &[self.port]),
                uncertain: !self.doubts(all, asked).is_empty(),
                ..json::JsonVerdict::default()
            },
        }
    }
}
