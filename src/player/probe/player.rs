//! The differences between players in how they take an answer. The rules of policies are in
//! `policy`. Nothing is fetched here.
//!
//! Source: rule book section 7.

use super::ask::Exchange;
use super::classes::Class;
use super::classify::Answer;
use crate::policy::{Code, MASTER_PORT, Offer, Player};

/// The policy that the player takes from this answer of a port whose policy counts as served from
/// `served_from`, if it takes one.
pub(super) fn offer_for(player: Player, answer: &Answer, served_from: u16) -> Option<Offer<'_>> {
    let reading = answer.reading.as_ref()?;
    let mut errors = answer.remarks.iter().filter(|remark| remark.is_error());
    let takes = errors.all(|error| is_no_error(player, answer, error.class));
    let intended = || Some(Offer::new(served_from, answer.intended()?));
    let offer = reading.offer(player, served_from).or_else(intended);
    offer.filter(|_| takes)
}

/// Whether the player takes a policy all the same. Lightspark has no time-out once it is connected,
/// and reads any text in its own way, also UTF-16; neither it nor Unity waits for the NUL.
fn is_no_error(player: Player, answer: &Answer, class: Class) -> bool {
    match (player, class) {
        (Player::Lightspark | Player::Unity, Class::NoNulOpen) => true,
        (Player::Lightspark, Class::TooSlow) => true,
        (Player::Lightspark, Class::Invalid) => {
            let reading = answer.reading.as_ref();
            let mut findings = reading.into_iter().flat_map(|reading| &reading.findings);
            findings.any(|finding| finding.code == Code::Bom)
                || reading.is_some_and(|reading| reading.offer(player, MASTER_PORT).is_some())
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
