//! The differences between players in how they take an answer. The rules of policies are in
//! `policy`. Nothing is fetched here.
//!
//! Source: rule book section 7.

use super::ask::Exchange;
use super::classes::Class;
use super::classify::Answer;
use crate::policy::{Code, Player, Policy, Severity};

/// The policy that the player takes from this answer, if it takes one.
pub(super) fn policy_for(player: Player, answer: &Answer) -> Option<&Policy> {
    let taken = answer.policy();
    if taken.is_some() {
        return taken;
    }
    let mut errors = answer.remarks.iter().filter(|remark| remark.is_error());
    let takes =
        answer.reading.is_some() && errors.all(|error| is_no_error(player, answer, error.class));
    answer.intended().filter(|_| takes)
}

/// Whether the player takes a policy all the same. Lightspark has no time-out once it is connected,
/// and reads over a byte-order mark; neither it nor Unity waits for the NUL.
fn is_no_error(player: Player, answer: &Answer, class: Class) -> bool {
    match (player, class) {
        (Player::Lightspark | Player::Unity, Class::NoNulOpen) => true,
        (Player::Lightspark, Class::TooSlow) => true,
        (Player::Lightspark, Class::Invalid) => {
            let findings = answer.reading.iter().flat_map(|reading| &reading.findings);
            let mut errors = findings.filter(|f| f.code.severity() == Severity::Error);
            errors.all(|finding| finding.code == Code::Bom)
        }
        _ => false,
    }
}

/// Whether the player asks the destination port alone: Lightspark does where port 843 ends the
/// connection without a byte.
pub(super) fn passes_over_loads(player: Player, master: &Exchange) -> bool {
    player == Player::Lightspark && master.ended_empty()
}

/// Whether the player waits without end on a port that takes the connection and says nothing:
/// Lightspark has no time-out then. It asks the destination port, too, although port 843 has allowed
/// the connection.
pub(super) fn waits_for_silence(player: Player) -> bool {
    player == Player::Lightspark
}

/// Whether the player may have read only the beginning of this answer: Lightspark and Unity read
/// once, and some came later.
pub(super) fn may_miss_the_rest(player: Player, answer: &Answer) -> bool {
    let mut remarks = answer.remarks.iter();
    player != Player::Flash && remarks.any(|remark| remark.class == Class::SeveralPieces)
}
