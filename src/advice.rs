//! What to change so that a denied connection is allowed, as lines of `flashpolicy.conf` where such
//! lines do it. `explain` and `probe` print it. This module decides nothing: it asks `policy`
//! whether a changed policy would allow the connection.

use crate::json::Change;
use crate::policy::{
    Denial, DomainPattern, FIRST_UNPRIVILEGED_PORT, Grant, MASTER_PORT, MetaPolicy, Offer, Origin,
    Player, Policy, PortSet, Refusal, decide, render_grant,
};
use crate::text::{clip, list};

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
pub enum Wish {
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
    /// A policy that the player does not drop as a whole.
    Readable {
        /// The player that drops it.
        player: Player,
        /// Why it does.
        why: String,
    },
}

/// The changes that let content from `origin` connect to `port`.
pub fn wishes(
    player: Player,
    master: Option<&Offer>,
    offers: &[Offer],
    origin: &Origin,
    port: u16,
) -> Vec<Wish> {
    let denial = |offer: &Offer| decide(player, offer, origin, port).err();
    let Missing {
        mut wishes,
        grant: asked,
        is_all,
    } = match master {
        Some(offer) => of_the_master(offer, &denial),
        None => of_the_others(offers, &denial),
    };
    if is_all {
        return wishes;
    }
    let near = asked
        .as_ref()
        .and_then(|(policy, denial)| nearest(policy, denial));
    let (domain, secure) = match near {
        Some((grant, https)) => {
            if https {
                wishes.push(Wish::Https);
            }
            (Some(grant.domain.clone()), grant.secure && !https)
        }
        None => (own_domain(player, origin), false),
    };
    wishes.extend(domain.map(|domain| Wish::Allow {
        domain,
        port,
        secure,
    }));
    wishes
}

/// The parts that a policy lacks.
#[derive(Default)]
struct Missing<'a> {
    wishes: Vec<Wish>,
    /// The policy that lacks the grant, and what it says.
    grant: Option<(&'a Policy, Denial)>,
    /// The wishes alone allow the connection.
    is_all: bool,
}

impl<'a> Missing<'a> {
    /// Nothing but these.
    fn only(wishes: Vec<Wish>) -> Missing<'a> {
        Missing {
            wishes,
            is_all: true,
            ..Missing::default()
        }
    }
}

/// The parts that the master lacks.
fn of_the_master<'a>(master: &Offer<'a>, denial: &dyn Fn(&Offer) -> Option<Denial>) -> Missing<'a> {
    match denial(master) {
        Some(Denial::MetaPolicyNone) => {
            let wishes = vec![Wish::Meta(MetaPolicy::MasterOnly)];
            let reopened = Policy {
                meta: Some(MetaPolicy::MasterOnly),
                ..master.policy.clone()
            };
            let reopened = Offer {
                policy: &reopened,
                ..*master
            };
            match denial(&reopened) {
                None => Missing::only(wishes),
                Some(denial) => Missing {
                    wishes,
                    grant: Some((master.policy, denial)),
                    is_all: false,
                },
            }
        }
        Some(Denial::Dropped { player, why }) => {
            Missing::only(vec![Wish::Readable { player, why }])
        }
        denial => Missing {
            grant: denial.map(|denial| (master.policy, denial)),
            ..Missing::default()
        },
    }
}

/// The parts that the policies of other ports lack. A policy that only lacks the grant is nearer to
/// the cure than a policy that is missing.
fn of_the_others<'a>(
    offers: &[Offer<'a>],
    denial: &dyn Fn(&Offer) -> Option<Denial>,
) -> Missing<'a> {
    let mut missing = Missing::default();
    for offer in offers {
        match denial(offer) {
            Some(Denial::LowPort { served_from }) => {
                missing.wishes.push(Wish::LowPort { served_from });
                let on_843 = Offer {
                    port: MASTER_PORT,
                    ..*offer
                };
                match denial(&on_843) {
                    None => return Missing::only(missing.wishes),
                    Some(denial) => {
                        missing.grant.get_or_insert((offer.policy, denial));
                    }
                }
            }
            Some(Denial::Dropped { player, why }) => {
                missing.wishes.push(Wish::Readable { player, why });
                return Missing::only(missing.wishes);
            }
            Some(denial) => {
                missing.grant.get_or_insert((offer.policy, denial));
            }
            None => {}
        }
    }
    missing
}

/// The grant that is for this content and refuses for another reason, and whether that is HTTPS:
/// one for other ports first.
fn nearest<'a>(policy: &'a Policy, denial: &Denial) -> Option<(&'a Grant, bool)> {
    let Denial::Grants(refusals) = denial else {
        return None;
    };
    let grant = |wanted: fn(&Refusal) -> bool| {
        let at = refusals.iter().position(wanted)?;
        policy.grants.get(at)
    };
    let ports =
        grant(|refusal| matches!(refusal, Refusal::Ports { .. })).map(|grant| (grant, false));
    ports.or_else(|| {
        grant(|refusal| matches!(refusal, Refusal::NotHttps)).map(|grant| (grant, true))
    })
}

/// The domain that is for content from this origin, and no wider than it has to be.
fn own_domain(player: Player, origin: &Origin) -> Option<DomainPattern> {
    match origin {
        _ if player == Player::Unity => Some(DomainPattern::ANY),
        Origin::Local | Origin::Anywhere => Some(DomainPattern::ANY),
        Origin::Web { host, .. } => DomainPattern::parse(&host.to_string()).ok(),
    }
}

/// What the wishes of all denied connections come to, each thing once: what is in the way first,
/// then the grants.
pub fn changes(wishes: &[Wish]) -> Vec<Change> {
    changes_with(grants(wishes.iter()), wishes)
}

/// The same where only a sample of the `named` ports was asked about: a grant is for all of them.
pub fn changes_of_sample(wishes: &[Wish], named: &PortSet) -> Vec<Change> {
    let mut grants = grants(wishes.iter());
    for grant in &mut grants {
        grant.ports = named.clone();
    }
    changes_with(grants, wishes)
}

/// What is in the way, each thing once, and these grants.
pub fn changes_with(grants: Vec<Grant>, wishes: &[Wish]) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let mut add = |change: Change| {
        if !changes.contains(&change) {
            changes.push(change);
        }
    };
    for wish in wishes {
        match wish {
            Wish::Meta(meta) => add(Change {
                text: format!("let the master's grants count: `meta_policy = {meta}`"),
                conf: Some(format!("meta_policy = {meta}")),
            }),
            Wish::LowPort { served_from } => add(Change::in_words(format!(
                "serve the policy from port {MASTER_PORT} too (`listen = [::]:{MASTER_PORT}`): from \
                 port {served_from} it grants nothing below {FIRST_UNPRIVILEGED_PORT}"
            ))),
            Wish::Https => add(Change::in_words(
                "load the SWF over HTTPS; or, to allow it over HTTP too, the next line",
            )),
            Wish::Readable { player, why } => add(Change::in_words(format!(
                "write the policy so that {player} reads it: {why}"
            ))),
            Wish::Allow { .. } => {}
        }
    }
    grants.iter().for_each(|grant| add(allow(grant)));
    changes
}

/// The grants that are wished for, the ports of each domain together.
pub fn grants<'a>(wishes: impl Iterator<Item = &'a Wish>) -> Vec<Grant> {
    let mut found: Vec<(&DomainPattern, bool, Vec<u16>)> = Vec::new();
    for wish in wishes {
        let Wish::Allow {
            domain,
            port,
            secure,
        } = wish
        else {
            continue;
        };
        match found
            .iter_mut()
            .find(|(d, s, _)| *d == domain && s == secure)
        {
            Some((_, _, ports)) if ports.contains(port) => {}
            Some((_, _, ports)) => ports.push(*port),
            None => found.push((domain, *secure, vec![*port])),
        }
    }
    found
        .into_iter()
        .filter_map(|(domain, secure, mut ports)| {
            ports.sort_unstable();
            let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
            Some(Grant {
                domain: domain.clone(),
                ports: PortSet::parse(&ports.join(",")).ok()?,
                secure,
            })
        })
        .collect()
}

/// The line of the configuration that grants this.
pub fn line(grant: &Grant) -> String {
    let secure = if grant.secure { " secure" } else { "" };
    let ports = grant.ports.as_written_by_hand();
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
pub fn ports_in_words(ports: &[u16]) -> String {
    match ports {
        [port] => format!("port {port}"),
        ports => format!("ports {}", list(ports)),
    }
}
