//! Whether one policy lets content connect to a port.
//!
//! Knows the rules for a single policy; the order in which Flash Player asks
//! for several belongs to `explain`.

use std::fmt;

use super::{
    DomainPattern, FIRST_UNPRIVILEGED_PORT, MASTER_PORT, MetaPolicy, Origin, Player, Policy,
    PortSet, domain::Pattern, origin::Host, words::ports_in_words,
};

/// A policy of the destination host, and the port that serves it.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The port that serves it; 843 for whatever stands for the master.
    pub port: u16,
    /// The policy itself.
    pub policy: &'a Policy,
    /// Why Lightspark drops the file as it is written, if it does
    /// ([`Reading::dropped_by_lightspark`](super::Reading::dropped_by_lightspark)).
    pub dropped_by_lightspark: Option<&'a str>,
}

impl<'a> Offer<'a> {
    /// A policy that every player reads.
    pub fn new(port: u16, policy: &'a Policy) -> Offer<'a> {
        Offer {
            port,
            policy,
            dropped_by_lightspark: None,
        }
    }

    /// Why this player makes nothing of the file, if it does not.
    fn dropped_by(&self, player: Player) -> Option<String> {
        if player != Player::Lightspark {
            return None;
        }
        if let Some(why) = self.dropped_by_lightspark {
            return Some(why.into());
        }
        let elsewhere = self.port != MASTER_PORT && self.policy.meta.is_some();
        (elsewhere && !player.rules().takes_control_elsewhere)
            .then(|| format!("it has `site-control`, and is not served from port {MASTER_PORT}"))
    }
}

/// The decision of one policy about one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may be made.
    Allowed {
        /// The index of the first grant that allows it, from 0.
        grant: usize,
    },
    /// This policy does not allow it.
    Denied(Denial),
}

/// Why a policy does not allow a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// Port 0 does not exist (rule book 4.3 \[ASDOC\]).
    NoSuchPort,
    /// The player drops the whole file.
    Dropped {
        /// The player.
        player: Player,
        /// Why it does.
        why: String,
    },
    /// The master's meta-policy is `none`, which denies even its own grants
    /// (rule book 2.5 \[SPECcn, LS\]).
    MetaPolicyNone,
    /// A policy from port 1024 or above grants nothing below (rule book 4.1
    /// \[DG, FL8\]).
    LowPort {
        /// The port that serves the policy.
        served_from: u16,
    },
    /// No grant matches: one reason for each, in their order.
    Grants(Vec<Refusal>),
}

/// Why one grant does not match. Where several reasons hold, the first of
/// these is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is for content from elsewhere.
    Domain {
        /// Where the grant wants the content to come from.
        pattern: DomainPattern,
        /// Where it comes from.
        origin: Origin,
        /// The player, where Flash Player would take the content for meant.
        only: Option<Player>,
    },
    /// It is for HTTPS content only (rule book 2.11 \[SPECcn\]).
    NotHttps,
    /// It is for other ports.
    Ports {
        /// The ports that it grants.
        ports: PortSet,
        /// The port that was asked for.
        destination: u16,
        /// The player, where Flash Player would find the port among them.
        only: Option<Player>,
    },
}

/// Asks one policy, served from a port of the destination host, whether Flash
/// Player would let content from `origin` connect to port `destination` there.
///
/// One matching grant is enough (rule book 4.2 \[FL8, LS\]). A meta-policy
/// counts only in the master, on port 843 (2.6).
pub fn decide(policy: &Policy, served_from: u16, origin: &Origin, destination: u16) -> Decision {
    let offer = Offer::new(served_from, policy);
    decide_as(Player::Flash, &offer, origin, destination)
}

/// Asks one policy by the rules of a player.
pub fn decide_as(player: Player, offer: &Offer<'_>, origin: &Origin, destination: u16) -> Decision {
    let (policy, served_from) = (offer.policy, offer.port);
    let rules = player.rules();
    if destination == 0 {
        return Decision::Denied(Denial::NoSuchPort);
    }
    if let Some(why) = offer.dropped_by(player) {
        return Decision::Denied(Denial::Dropped { player, why });
    }
    let none = policy.meta == Some(MetaPolicy::None) && rules.knows_meta_policy;
    if none && served_from == MASTER_PORT {
        return Decision::Denied(Denial::MetaPolicyNone);
    }
    let high = rules
        .first_high_source
        .is_some_and(|first| served_from >= first);
    if high && destination < FIRST_UNPRIVILEGED_PORT {
        return Decision::Denied(Denial::LowPort { served_from });
    }
    let mut refusals = Vec::new();
    for (index, grant) in policy.grants.iter().enumerate() {
        if !player.matches(&grant.domain, origin) {
            refusals.push(Refusal::Domain {
                pattern: grant.domain.clone(),
                origin: origin.clone(),
                only: grant.domain.matches(origin).then_some(player),
            });
        } else if grant.secure && !matches!(origin, Origin::Web { https: true, .. }) {
            refusals.push(Refusal::NotHttps);
        } else if !player.grants(&grant.ports, destination) {
            refusals.push(Refusal::Ports {
                ports: grant.ports.clone(),
                destination,
                only: grant.ports.contains(destination).then_some(player),
            });
        } else {
            return Decision::Allowed { grant: index };
        }
    }
    Decision::Denied(Denial::Grants(refusals))
}

impl Denial {
    /// Whether this is the same denial of another port.
    pub(super) fn is_alike(&self, other: &Denial) -> bool {
        let alike = |a: &Refusal, b: &Refusal| match (a, b) {
            (
                Refusal::Ports { ports, only, .. },
                Refusal::Ports {
                    ports: other,
                    only: other_only,
                    ..
                },
            ) => ports == other && only == other_only,
            (a, b) => a == b,
        };
        match (self, other) {
            (Denial::Grants(a), Denial::Grants(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
            }
            (a, b) => a == b,
        }
    }

    /// The denial in words; `grant` says what a grant is called, by its index from 0.
    pub fn in_words(&self, grant: &dyn Fn(usize) -> String) -> String {
        match self {
            Denial::NoSuchPort => "there is no port 0".into(),
            Denial::Dropped { player, why } => format!("{player} drops it: {why}"),
            Denial::MetaPolicyNone => "its meta-policy is `none`, which denies everything".into(),
            Denial::LowPort { served_from } => format!(
                "served from port {served_from}, it cannot grant ports below \
                 {FIRST_UNPRIVILEGED_PORT}"
            ),
            Denial::Grants(refusals) if refusals.is_empty() => "it grants nothing".into(),
            Denial::Grants(refusals) => {
                let each = refusals.iter().enumerate();
                let each = each.map(|(index, refusal)| format!("{} is {refusal}", grant(index)));
                each.collect::<Vec<_>>().join("; ")
            }
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_words(&|index| format!("grant {}", index + 1)))
    }
}

/// Completes "the grant is ...".
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pattern, origin) = match self {
            Refusal::NotHttps => return f.write_str("for content loaded over HTTPS only"),
            Refusal::Ports {
                ports,
                destination,
                only,
            } => {
                let ports = ports_in_words(ports);
                write!(f, "for {ports}, not for {destination}")?;
                return match only.and_then(Player::on_ranges) {
                    Some(why) => write!(f, ": {why}"),
                    None => Ok(()),
                };
            }
            Refusal::Domain {
                pattern,
                only: Some(player),
                ..
            } => {
                let why = match player {
                    Player::Lightspark => "compares names literally, with the dot at their end",
                    Player::Flash | Player::Unity => "takes `*` and no other domain",
                };
                return write!(f, "for {pattern}, and {player} {why}");
            }
            Refusal::Domain {
                pattern, origin, ..
            } => (pattern, origin),
        };
        match (&pattern.0, origin) {
            (_, Origin::Local) => write!(f, "for {pattern}, and only `*` matches local content"),
            (_, Origin::Anywhere) => write!(f, "for {pattern}, not for content from anywhere"),
            (
                Pattern::Host(_) | Pattern::Subdomains(_),
                Origin::Web {
                    host: host @ Host::Ip(_),
                    ..
                },
            )
            | (
                Pattern::Ip(_),
                Origin::Web {
                    host: host @ Host::Name(_),
                    ..
                },
            ) => {
                write!(
                    f,
                    "for {pattern}, not for {host} (names and addresses never match each other)"
                )
            }
            (_, Origin::Web { host, .. }) => write!(f, "for {pattern}, not for {host}"),
        }
    }
}
