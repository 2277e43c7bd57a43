//! Whether a player would connect, all policies of a host considered.
//!
//! The only place that knows in which order policies count. Never fetches
//! one: whoever asks brings them.

use std::fmt;

use super::{
    MASTER_PORT, MetaPolicy, Origin, Player, Policy,
    decide::{Decision, Denial, Offer, decide_as},
};

/// The decision of the player.
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

/// Goes through the policies of a host as the player does: the master's
/// meta-policy, the master's grants, then the others in the order given
/// (locations named by `loadPolicyFile` first, the destination port last;
/// rule book 1.10 \[SPF, DG\], 4.4).
pub fn explain(
    player: Player,
    master: Option<&Offer<'_>>,
    others: &[Offer<'_>],
    origin: &Origin,
    destination: u16,
) -> Verdict {
    if destination == 0 {
        return Verdict::Denied(vec![Reason::NoSuchPort]);
    }
    let mut reasons = Vec::new();
    if master.is_none() {
        reasons.push(Reason::NoMaster);
    }
    let counting = if others_count(player, master.map(|offer| offer.policy)) {
        others
    } else {
        &[]
    };
    for offer in master.into_iter().chain(counting) {
        let port = offer.port;
        match decide_as(player, offer, origin, destination) {
            Decision::Allowed { grant } => return Verdict::Allowed { port, grant },
            Decision::Denied(denial) => reasons.push(Reason::Policy { port, denial }),
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

/// Whether the player looks at other policies than the master's (rule book
/// 4.4): yes if there is no master, or its meta-policy is `all`, which is
/// also the default.
pub fn others_count(player: Player, master: Option<&Policy>) -> bool {
    let meta = master.and_then(|policy| policy.meta);
    matches!(meta, None | Some(MetaPolicy::All)) || !player.rules().knows_meta_policy
}

impl Verdict {
    /// Whether this is the same verdict, for the same reasons, on another port.
    pub fn is_alike(&self, other: &Verdict) -> bool {
        match (self, other) {
            (Verdict::Denied(a), Verdict::Denied(b)) => {
                let mut pairs = a.iter().zip(b);
                a.len() == b.len() && pairs.all(|(a, b)| a.is_alike(b))
            }
            (a, b) => a == b,
        }
    }
}

impl Reason {
    fn is_alike(&self, other: &Reason) -> bool {
        match (self, other) {
            (
                Reason::Policy { port, denial },
                Reason::Policy {
                    port: other_port,
                    denial: other,
                },
            ) => port == other_port && denial.is_alike(other),
            (a, b) => a == b,
        }
    }

    /// The reason in words; `grant` says what a grant is called, by the port that serves its policy
    /// and its index from 0.
    pub fn in_words(&self, grant: &dyn Fn(u16, usize) -> String) -> String {
        match self {
            Reason::NoSuchPort => "there is no port 0".into(),
            Reason::NoMaster => format!("port {MASTER_PORT} has no policy"),
            Reason::Policy { port, denial } => {
                let denial = denial.in_words(&|index| grant(*port, index));
                format!("the policy on port {port}: {denial}")
            }
            Reason::Ignored { port } => format!(
                "the policy on port {port} does not count: the master's meta-policy is not `all`"
            ),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_words(&|_, index| format!("grant {}", index + 1)))
    }
}
