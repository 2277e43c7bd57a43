//! One exchange in the player's order, and the policy that a player takes from it. It fetches
//! nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ask::Exchange;
use super::classes::Class;
use super::classify::{Answer, classify};
use super::player::offer_for;
use crate::policy::{MASTER_PORT, Offer, Player, Policy};

/// One exchange and what it amounts to.
#[derive(Clone, Debug)]
pub struct Step {
    /// Why this port was asked.
    pub role: Role,
    /// The exchange itself.
    pub exchange: Exchange,
    /// The port that its policy counts as served from.
    served_from: u16,
    /// Its classification.
    pub answer: Answer,
}

/// Why the player asks a port for a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is port 843, where the master policy is.
    Master,
    /// The SWF names it with `loadPolicyFile`.
    Load,
    /// It is the destination port itself.
    Destination,
}

impl Role {
    /// A stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Master => "master",
            Role::Load => "load",
            Role::Destination => "destination",
        }
    }
}

/// Reading and deciding takes many times a policy's size for a moment, and a host with eight
/// addresses is asked in hundreds of threads: one at a time does it.
pub(super) fn one_decision_at_a_time() -> MutexGuard<'static, ()> {
    static DECIDING: Mutex<()> = Mutex::new(());
    DECIDING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Step {
    /// What an exchange in this part amounts to.
    pub(super) fn new(role: Role, exchange: Exchange) -> Step {
        let _deciding = one_decision_at_a_time();
        let served_from = match role {
            Role::Master => MASTER_PORT,
            Role::Load | Role::Destination => exchange.address.port(),
        };
        let mut answer = classify(&exchange, served_from);
        for remark in answer.remarks.iter_mut().filter(|_| role == Role::Load) {
            let class = remark.class;
            if matches!(class, Class::Refused | Class::Filtered | Class::Unreachable) {
                remark.cure += "; or delete that call of loadPolicyFile in the SWF";
            }
        }
        Step {
            role,
            served_from,
            answer,
            exchange,
        }
    }

    /// The policy that the player takes from the answer, if it takes one.
    pub(super) fn policy(&self, player: Player) -> Option<&Policy> {
        self.offer(player).map(|offer| offer.policy)
    }

    /// The same as `policy` decides by it.
    pub(super) fn offer(&self, player: Player) -> Option<Offer<'_>> {
        offer_for(player, &self.answer, self.served_from)
    }

    /// The policy as it would be if nothing were wrong with how it came.
    pub(super) fn intended_offer(&self) -> Option<Offer<'_>> {
        let intended = self.answer.intended()?;
        Some(Offer::new(self.served_from, intended))
    }
}
