//! Whether one policy lets content connect to a port.
//!
//! Knows the rules for a single policy; the order in which Flash Player asks
//! for several belongs to `explain`.

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
    /// Why the player did not read the file to its end, to be said behind its name; `policy` is what
    /// it has read ([`Reading::offer`](super::Reading::offer)).
    pub stop: Option<&'a str>,
}

impl<'a> Offer<'a> {
    /// A policy that every player reads.
    pub fn new(port: u16, policy: &'a Policy) -> Offer<'a> {
        Offer {
            port,
            policy,
            stop: None,
        }
    }
}

/// Why a policy does not allow a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The player does not read the file to its end, and nothing that it has read allows it.
    Unread {
        /// The player.
        player: Player,
        /// Where it stops and why, to be said behind its name.
        why: String,
    },
    /// The master's meta-policy is `none`, which denies even its own grants
    /// (rule book 2.5 \[SPEC, LS\]).
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
    /// It is for HTTPS content only (rule book 2.11 \[SPEC\]).
    NotHttps,
    /// It is for other ports.
    Ports {
        /// The ports that it grants.
        ports: PortSet,
        /// The player, where Flash Player would find the port among them.
        only: Option<Player>,
    },
}

/// Asks one policy whether the player would let content from `origin` connect to port `destination`
/// (from 1) of the host that serves it. Gives the index, from 0, of the first grant that allows it.
///
/// One matching grant is enough (rule book 4.2 \[FL8, LS\]). A meta-policy
/// counts only in the master, on port 843 (2.6).
///
/// # Errors
/// Why the policy does not allow the connection.
pub fn decide(
    player: Player,
    offer: &Offer<'_>,
    origin: &Origin,
    destination: u16,
) -> Result<usize, Denial> {
    let (policy, served_from) = (offer.policy, offer.port);
    let none = policy.meta == Some(MetaPolicy::None) && player.knows_meta_policy();
    if none && served_from == MASTER_PORT {
        return Err(Denial::MetaPolicyNone);
    }
    let first_high = player.first_high_source();
    let high = first_high.is_some_and(|first| served_from >= first);
    if high && destination < FIRST_UNPRIVILEGED_PORT {
        return Err(Denial::LowPort { served_from });
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
                only: grant.ports.contains(destination).then_some(player),
            });
        } else {
            return Ok(index);
        }
    }
    Err(match offer.stop {
        Some(why) => Denial::Unread {
            player,
            why: why.into(),
        },
        None => Denial::Grants(refusals),
    })
}

impl Denial {
    /// The denial of the ports `asked` in words; `grant` says what a grant is called, by its index
    /// from 0.
    pub fn in_words(&self, asked: &str, grant: &dyn Fn(usize) -> String) -> String {
        match self {
            Denial::Unread { player, why } => format!("{player} {why}"),
            Denial::MetaPolicyNone => "its meta-policy is `none`, which denies everything".into(),
            Denial::LowPort { served_from } => format!(
                "served from port {served_from}, it cannot grant ports below \
                 {FIRST_UNPRIVILEGED_PORT}"
            ),
            Denial::Grants(refusals) if refusals.is_empty() => "it grants nothing".into(),
            Denial::Grants(refusals) => {
                let each = refusals.iter().enumerate();
                let each =
                    each.map(|(at, why)| format!("{} is {}", grant(at), why.in_words(asked)));
                each.collect::<Vec<_>>().join("; ")
            }
        }
    }
}

/// The name of a grant of which no more is known than its index, from 0.
pub fn grant_number(index: usize) -> String {
    format!("grant {}", index + 1)
}

impl Refusal {
    /// Completes "the grant is ...", for the ports `asked`.
    pub fn in_words(&self, asked: &str) -> String {
        match self {
            Refusal::NotHttps => "for content loaded over HTTPS only".into(),
            Refusal::Ports { ports, only } => {
                let why = only.and_then(Player::on_ranges);
                let why = why.map_or_else(String::new, |why| format!(": {why}"));
                format!("for {}, not for {asked}{why}", ports_in_words(ports))
            }
            Refusal::Domain {
                pattern,
                only: Some(player),
                ..
            } => {
                let why = match player {
                    Player::Lightspark => {
                        "compares names letter by letter, a dot at the end and a scheme too"
                    }
                    Player::Flash | Player::Unity => "takes `*` and no other domain",
                };
                format!("for {pattern}, and {player} {why}")
            }
            Refusal::Domain {
                pattern, origin, ..
            } => match origin {
                Origin::Local => format!("for {pattern}, and only `*` matches local content"),
                Origin::Anywhere => format!("for {pattern}, not for content from anywhere"),
                Origin::Web { .. } if pattern.scheme.is_some() => {
                    format!("for {pattern}, not for {origin}")
                }
                Origin::Web { host, .. } => {
                    let is_address = matches!(host, Host::Ip(_));
                    let why = if matches!(pattern.name, Pattern::Ip(_)) == is_address {
                        ""
                    } else {
                        " (names and addresses never match each other)"
                    };
                    format!("for {pattern}, not for {host}{why}")
                }
            },
        }
    }
}
