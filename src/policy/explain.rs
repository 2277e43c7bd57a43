//! Whether Flash Player would connect, all policies of a host considered.
//!
//! The only place that knows in which order policies count. Never fetches
//! one: whoever asks brings them.

use std::fmt;

use super::{
    decide::{decide, Decision, Denial},
    MetaPolicy, Origin, Policy, MASTER_PORT,
};

/// A policy of the destination host besides the master.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The port that serves it.
    pub port: u16,
    /// What it says.
    pub policy: &'a Policy,
}

/// What Flash Player would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It connects.
    Allowed {
        /// The port whose policy allows it.
        port: u16,
        /// The index of the grant in that policy, from 0.
        grant: usize,
    },
    /// It reports SecurityError #2048.
    Denied(Vec<Reason>),
}

/// One of the reasons for a denial, in the order in which they arise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Port 0 does not exist (rule book 4.3 \[ASDOC\]).
    NoSuchPort,
    /// Nothing was found on port 843.
    NoMaster,
    /// A policy was asked and does not allow it.
    Policy {
        /// The port that serves it.
        port: u16,
        /// Why it does not.
        denial: Denial,
    },
    /// The policy from this port does not count, because the master's
    /// meta-policy is not `all`.
    Ignored {
        /// The port that serves it.
        port: u16,
    },
}

/// Goes through the policies of a host as Flash Player does: the master's
/// meta-policy, the master's grants, then the others in the order given
/// (locations named by `loadPolicyFile` first, the destination port last;
/// rule book 1.10 \[SPF, DG\], 4.4).
pub fn explain(
    master: Option<&Policy>,
    others: &[Offer<'_>],
    origin: &Origin,
    destination: u16,
) -> Verdict {
    if destination == 0 {
        return Verdict::Denied(vec![Reason::NoSuchPort]);
    }
    let mut reasons = Vec::new();
    let master_offer = master.map(|policy| Offer {
        port: MASTER_PORT,
        policy,
    });
    if master_offer.is_none() {
        reasons.push(Reason::NoMaster);
    }
    let counting = if others_count(master) { others } else { &[] };
    for Offer { port, policy } in master_offer.iter().chain(counting) {
        match decide(policy, *port, origin, destination) {
            Decision::Allowed { grant } => return Verdict::Allowed { port: *port, grant },
            Decision::Denied(denial) => reasons.push(Reason::Policy {
                port: *port,
                denial,
            }),
        }
    }
    if counting.len() < others.len() {
        reasons.extend(
            others
                .iter()
                .map(|offer| Reason::Ignored { port: offer.port }),
        );
    }
    Verdict::Denied(reasons)
}

/// Whether Flash Player looks at other policies than the master's (rule book
/// 4.4): yes if there is no master, or its meta-policy is `all`, which is
/// also the default.
pub fn others_count(master: Option<&Policy>) -> bool {
    let meta = master.and_then(|policy| policy.meta);
    matches!(meta, None | Some(MetaPolicy::All))
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Allowed { port, grant } => {
                write!(
                    f,
                    "allowed by grant {} of the policy on port {port}",
                    grant + 1
                )
            }
            Verdict::Denied(reasons) => {
                f.write_str("denied")?;
                for (index, reason) in reasons.iter().enumerate() {
                    write!(f, "{}{reason}", if index == 0 { ": " } else { "; " })?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoSuchPort => f.write_str("there is no port 0"),
            Reason::NoMaster => write!(f, "port {MASTER_PORT} has no policy"),
            Reason::Policy { port, denial } => write!(f, "the policy on port {port}: {denial}"),
            Reason::Ignored { port } => write!(
                f,
                "the policy on port {port} does not count: the master's meta-policy is not `all`"
            ),
        }
    }
}
