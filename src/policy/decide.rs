//! Whether one policy lets content connect to a port.
//!
//! Knows the rules for a single policy; the order in which Flash Player asks
//! for several belongs to `explain`.

use std::fmt;

use super::{
    domain::Pattern, origin::Host, DomainPattern, MetaPolicy, Origin, Policy, PortSet,
    FIRST_UNPRIVILEGED_PORT, MASTER_PORT,
};

/// What one policy says about one connection.
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
    },
    /// It is for HTTPS content only (rule book 2.11 \[SPECcn\]).
    NotHttps,
    /// It is for other ports.
    Ports {
        /// The ports that it grants.
        ports: PortSet,
        /// The port that was asked for.
        destination: u16,
    },
}

/// Asks one policy, served from a port of the destination host, whether
/// content from `origin` may connect to port `destination` there.
///
/// One matching grant is enough (rule book 4.2 \[FL8, LS\]). A meta-policy
/// counts only in the master, on port 843 (2.6).
pub fn decide(policy: &Policy, served_from: u16, origin: &Origin, destination: u16) -> Decision {
    if destination == 0 {
        return Decision::Denied(Denial::NoSuchPort);
    }
    if served_from == MASTER_PORT && policy.meta == Some(MetaPolicy::None) {
        return Decision::Denied(Denial::MetaPolicyNone);
    }
    if served_from >= FIRST_UNPRIVILEGED_PORT && destination < FIRST_UNPRIVILEGED_PORT {
        return Decision::Denied(Denial::LowPort { served_from });
    }
    let mut refusals = Vec::new();
    for (index, grant) in policy.grants.iter().enumerate() {
        if !grant.domain.matches(origin) {
            let (pattern, origin) = (grant.domain.clone(), origin.clone());
            refusals.push(Refusal::Domain { pattern, origin });
        } else if grant.secure && !matches!(origin, Origin::Web { https: true, .. }) {
            refusals.push(Refusal::NotHttps);
        } else if !grant.ports.contains(destination) {
            let ports = grant.ports.clone();
            refusals.push(Refusal::Ports { ports, destination });
        } else {
            return Decision::Allowed { grant: index };
        }
    }
    Decision::Denied(Denial::Grants(refusals))
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denial::NoSuchPort => f.write_str("there is no port 0"),
            Denial::MetaPolicyNone => f.write_str(
                "its meta-policy is `none`, which denies \
            everything",
            ),
            Denial::LowPort { served_from } => write!(
                f,
                "served from port {served_from}, it cannot grant ports below \
                {FIRST_UNPRIVILEGED_PORT}"
            ),
            Denial::Grants(refusals) if refusals.is_empty() => f.write_str("it grants nothing"),
            Denial::Grants(refusals) => {
                for (index, refusal) in refusals.iter().enumerate() {
                    let separator = if index > 0 { "; " } else { "" };
                    write!(f, "{separator}grant {} is {refusal}", index + 1)?;
                }
                Ok(())
            }
        }
    }
}

/// Completes "the grant is ...".
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pattern, origin) = match self {
            Refusal::NotHttps => return f.write_str("for content loaded over HTTPS only"),
            Refusal::Ports { ports, destination } => {
                return write!(f, "for ports {ports}, not for {destination}")
            }
            Refusal::Domain { pattern, origin } => (pattern, origin),
        };
        match (&pattern.0, origin) {
            (_, Origin::Local) => write!(f, "for {pattern}, and only `*` matches local content"),
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
