//! What to change so that a denied connection is allowed, as lines of `flashpolicy.conf` where such
//! lines do it. `explain` and `probe` print it. This module decides nothing: it asks `policy`
//! whether a changed policy would allow the connection.

use std::collections::BTreeSet;

use crate::output::text::{clip, each_once, list};
use crate::player::json::Change;
use crate::policy::{
    Denial, DomainPattern, FIRST_UNPRIVILEGED_PORT, Grant, MASTER_PORT, MetaPolicy, Offer, Origin,
    Player, Policy, PortSet, Refusal, decide, render_grant,
};

impl Change {
    /// A cure in words; a line of the configuration in backquotes is found in it.
    pub fn in_words(text: impl Into<String>) -> Change {
        let text = text.into();
        let conf = text
            .split('`')
            .skip(1)
            .step_by(2)
            .find(|code| code.starts_with("listen = "));
        Change {
            conf: conf.map(Into::into),
            text,
        }
    }
}

/// A change that a denied connection needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NeededChange {
    /// A grant.
    Allow {
        /// For content from there.
        domain: DomainPattern,
        /// To this port.
        port: u16,
        /// Over HTTPS only.
        secure: bool,
    },
    /// Another meta-policy than `none`.
    Meta(MetaPolicy),
    /// A policy from a port that may grant ports below 1024.
    LowPort {
        /// The port that serves the one there is.
        served_from: u16,
    },
    /// The SWF over HTTPS, in place of a grant without `secure`.
    Https,
    /// A policy that the player reads to its end.
    Readable {
        /// The player that does not.
        player: Player,
        /// Where it stops and why, to be said behind its name.
        why: String,
    },
}

/// The changes that let content from `origin` connect to `port`.
pub fn needed(
    player: Player,
    master: Option<&Offer>,
    offers: &[Offer],
    origin: &Origin,
    port: u16,
) -> Vec<NeededChange> {
    let denial = |offer: &Offer| decide(player, offer, origin, port).err();
    let mut needed = Vec::new();
    // The first policy that lacks the grant, and what it says. A policy that only lacks the grant
    // is nearer to the cure than a policy that is missing.
    let mut lacking = None;
    for offer in master.map_or(offers, std::slice::from_ref) {
        let found = denial(offer);
        let left = match found {
            Some(Denial::Unread { player, why }) => {
                needed.push(NeededChange::Readable { player, why });
                return needed;
            }
            Some(Denial::MetaPolicyNone) if master.is_some() => {
                needed.push(NeededChange::Meta(MetaPolicy::MasterOnly));
                let reopened = Policy {
                    meta: Some(MetaPolicy::MasterOnly),
                    ..offer.policy.clone()
                };
                denial(&Offer {
                    policy: &reopened,
                    ..*offer
                })
            }
            Some(Denial::LowPort { served_from }) => {
                needed.push(NeededChange::LowPort { served_from });
                denial(&Offer {
                    port: MASTER_PORT,
                    ..*offer
                })
            }
            Some(denial) => Some(denial),
            None => continue,
        };
        match left {
            // The changes so far allow the connection.
            None => return needed,
            Some(denial) => lacking.get_or_insert((offer.policy, denial)),
        };
    }
    needed.extend(needed_grant(player, lacking, origin, port));
    needed
}

/// The grant that is needed: the nearest existing one with this port added, or else a new one.
fn needed_grant(
    player: Player,
    lacking: Option<(&Policy, Denial)>,
    origin: &Origin,
    port: u16,
) -> Vec<NeededChange> {
    let near = lacking
        .as_ref()
        .and_then(|(policy, denial)| nearest(policy, denial));
    let mut needed = Vec::new();
    let (domain, secure) = match near {
        Some((grant, https)) => {
            if https {
                needed.push(NeededChange::Https);
            }
            // A line of the configuration has no scheme.
            let (scheme, domain) = grant.domain.split_scheme();
            let secure = grant.secure || scheme == Some("https");
            (Some(domain), secure && !https)
        }
        None => (own_domain(player, origin), false),
    };
    needed.extend(domain.map(|domain| NeededChange::Allow {
        domain,
        port,
        secure,
    }));
    needed
}

/// The grant that is for this content and refuses for another reason, and whether that is HTTPS:
/// one for other ports first.
fn nearest<'a>(policy: &'a Policy, denial: &Denial) -> Option<(&'a Grant, bool)> {
    let Denial::Grants(refusals) = denial else {
        return None;
    };
    let first = |wanted: fn(&Refusal) -> bool| {
        let at = refusals.iter().position(wanted)?;
        policy.grants.get(at)
    };
    let for_other_ports = first(|refusal| matches!(refusal, Refusal::Ports { .. }));
    let for_https = first(|refusal| matches!(refusal, Refusal::NotHttps));
    for_other_ports
        .map(|grant| (grant, false))
        .or(for_https.map(|grant| (grant, true)))
}

/// The domain that is for content from this origin, and no wider than it has to be.
fn own_domain(player: Player, origin: &Origin) -> Option<DomainPattern> {
    match origin {
        _ if player == Player::Unity => Some(DomainPattern::ANY),
        Origin::Local | Origin::Anywhere => Some(DomainPattern::ANY),
        Origin::Web { host, .. } => DomainPattern::parse(&host.to_string()).ok(),
    }
}

/// The changes that all denied connections need, each once: the [`grants`] come last.
pub fn changes(needed: &[NeededChange], named: Option<&PortSet>) -> Vec<Change> {
    let mut changes = changes_beside_grants(needed);
    changes.extend(grants(needed, named).iter().map(allow));
    changes
}

/// The changes beside the grants, each once.
pub fn changes_beside_grants(needed: &[NeededChange]) -> Vec<Change> {
    each_once(needed.iter().filter_map(|change| match change {
        NeededChange::Meta(meta) => Some(Change {
            text: format!("change `meta_policy = none` to `{meta}`: with `none` no grant counts"),
            conf: Some(format!("meta_policy = {meta}")),
        }),
        NeededChange::LowPort { served_from } => Some(Change::in_words(format!(
            "serve the policy from port {MASTER_PORT} too (`listen = [::]:{MASTER_PORT}`): from \
             port {served_from} it grants nothing below {FIRST_UNPRIVILEGED_PORT}"
        ))),
        NeededChange::Https => Some(Change::in_words(
            "load the SWF over HTTPS; or, to allow it over HTTP too, the next line",
        )),
        NeededChange::Readable { player, why } => Some(Change::in_words(format!(
            "write the policy so that {player} reads all of it: now it {why}"
        ))),
        NeededChange::Allow { .. } => None,
    }))
}

/// The grants that are needed, the ports of each domain together. Where only a sample of the
/// ports `named` was asked about, a grant is for all of these.
pub fn grants(needed: &[NeededChange], named: Option<&PortSet>) -> Vec<Grant> {
    let mut found: Vec<(&DomainPattern, bool, BTreeSet<u16>)> = Vec::new();
    for change in needed {
        let NeededChange::Allow {
            domain,
            port,
            secure,
        } = change
        else {
            continue;
        };
        match found
            .iter_mut()
            .find(|(d, s, _)| *d == domain && s == secure)
        {
            Some((_, _, ports)) => _ = ports.insert(*port),
            None => found.push((domain, *secure, BTreeSet::from([*port]))),
        }
    }
    let grants = found.into_iter().map(|(domain, secure, ports)| Grant {
        domain: domain.clone(),
        ports: match named {
            Some(named) => named.clone(),
            None => PortSet::of(&Vec::from_iter(ports)),
        },
        secure,
    });
    grants.collect()
}

/// The line of the configuration that grants this.
pub fn line(grant: &Grant) -> String {
    let secure = if grant.secure { " secure" } else { "" };
    let ports = grant.ports.coalesced();
    format!("allow = {} {ports}{secure}", grant.domain)
}

/// The change that grants this, by any server.
pub fn allow(grant: &Grant) -> Change {
    let conf = line(grant);
    Change {
        text: clip(&format!(
            "allow it: `{conf}` (in the policy file of another server: {})",
            render_grant(grant)
        )),
        conf: Some(conf),
    }
}

/// A sentence on which ports the denied ones are.
pub fn port_list(ports: &[u16]) -> String {
    match ports {
        [port] => format!("port {port}"),
        ports => format!("ports {}", list(ports)),
    }
}
