//! Whether a player would connect, all policies of a host considered.
//!
//! The only place that knows in which order policies count. It never fetches
//! a policy: the caller brings them.

use super::{
    MASTER_PORT, MetaPolicy, Origin, Player, Policy,
    decide::{Denial, Offer, decide},
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
    /// It does not; Flash Player reports SecurityError #2048 (rule book 5.2).
    Denied(Vec<Reason>),
}

/// One of the reasons for a denial, in the order in which they arise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
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
    let mut reasons = Vec::new();
    if master.is_none() {
        reasons.push(Reason::NoMaster);
    }
    let others_count = others_count(player, master.map(|offer| offer.policy));
    let counting = if others_count { others } else { &[] };
    for offer in master.into_iter().chain(counting) {
        let port = offer.port;
        match decide(player, offer, origin, destination) {
            Ok(grant) => return Verdict::Allowed { port, grant },
            Err(denial) => reasons.push(Reason::Policy { port, denial }),
        }
    }
    if !others_count {
        let ignored = others.iter().map(|offer| offer.port);
        reasons.extend(ignored.map(|port| Reason::Ignored { port }));
    }
    Verdict::Denied(reasons)
}

/// Whether the player looks at other policies than the master's (rule book
/// 4.4): yes if there is no master, or its meta-policy is `all`, which is
/// also the default.
pub fn others_count(player: Player, master: Option<&Policy>) -> bool {
    let meta = master.and_then(|policy| policy.meta);
    matches!(meta, None | Some(MetaPolicy::All)) || !player.knows_meta_policy()
}

impl Reason {
    /// The reason in words, for the ports `asked`; `grant` says what a grant is called, by the port
    /// that serves its policy and its index from 0.
    pub fn in_words(&self, asked: &str, grant: &dyn Fn(u16, usize) -> String) -> String {
        match self {
            Reason::NoMaster => format!("port {MASTER_PORT} has no policy"),
            Reason::Policy { port, denial } => {
                let denial = denial.in_words(asked, &|index| grant(*port, index));
                format!("the policy on port {port}: {denial}")
            }
            Reason::Ignored { port } => format!(
                "the policy on port {port} does not count: the master's meta-policy is not `all`"
            ),
        }
    }
}
