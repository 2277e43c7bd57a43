//! What would allow the denied connections, and notes on what the verdicts do not cover. It prints
//! nothing.

use super::verdicts::{Asked, OfferedPolicy, PortVerdict, masters, others};
use crate::config::Config;
use crate::config::inspect;
use crate::config::policies::PolicyOrigin;
use crate::output::text::{clip, quote};
use crate::player::advice;
use crate::player::json::Change;
use crate::policy::{Grant, Host, Origin, Player, PortSet, Sample, others_count};

/// The changes that allow the denied connections, each with the line that it replaces.
pub(super) fn changes(
    config: &Config,
    all: &[OfferedPolicy],
    asked: &Asked,
    verdicts: &[PortVerdict],
    is_sample: bool,
) -> Vec<Change> {
    let others = others(all);
    let mut needed = Vec::new();
    for denied in verdicts.iter().filter(|verdict| !verdict.is_allowed()) {
        let master = denied.master.map(|master| &master.offer);
        let (player, origin) = (asked.player, &asked.origin);
        needed.extend(advice::needed(player, master, &others, origin, denied.port));
    }
    let mut changes = advice::changes_beside_grants(&needed);
    let from_lines = all.iter().all(|l| l.served.origin == PolicyOrigin::Allow);
    // The ports between those that were asked are meant, too.
    let named = is_sample.then_some(&asked.ports);
    for grant in advice::grants(&needed, named) {
        changes.push(match from_lines {
            true => in_a_line(config, grant),
            false => advice::allow(&grant),
        });
    }
    changes
}

/// The line that grants this: one for the same content with more ports, where there is one.
fn in_a_line(config: &Config, grant: Grant) -> Change {
    let mut change = advice::allow(&grant);
    let mut lines = config
        .live
        .allow
        .iter()
        .zip(config.written.places_of("allow"));
    let line =
        lines.find(|(known, _)| known.domain == grant.domain && known.secure == grant.secure);
    let Some((known, place)) = line else {
        change.text = clip(&format!("allow it: `{}`", advice::line(&grant)));
        return change;
    };
    if let Ok(ports) = PortSet::parse(&format!("{},{}", known.ports, grant.ports)) {
        let conf = advice::line(&Grant { ports, ..grant });
        let replaced = quote(place.text.trim());
        let written = clip(&format!("`{conf}`"));
        change.text = format!("allow it: write {written} in place of {replaced} ({place})");
        change.conf = Some(conf);
    }
    change
}

/// Notes on what the verdicts do not cover.
pub(super) fn notes(
    config: &Config,
    all: &[OfferedPolicy],
    asked: &Asked,
    sample: &Sample,
) -> Vec<String> {
    let mut notes = Vec::new();
    if sample.is_partial() {
        notes.push(format!(
            "{} of {} ports were asked: the first, the last, and those at the edges of the grants.",
            sample.ports.len(),
            sample.of
        ));
    }
    match &asked.origin {
        Origin::Anywhere => notes.push(
            "this is about content from anywhere; content from one site may be allowed by more \
             grants."
                .into(),
        ),
        Origin::Web {
            host: host @ Host::Ip(_),
            ..
        } => notes.push(format!(
            "{host} stands for content that is loaded by that literal address; content that is \
             loaded by a host name comes from that name, whatever its address is."
        )),
        _ => {}
    }
    let open = |master: &OfferedPolicy| {
        asked.player.asks_destination() && others_count(asked.player, Some(master.offer.policy))
    };
    if masters(all).any(open) {
        let more = match asked.player {
            Player::Lightspark => {
                "Lightspark also asks the destination port for a policy where port 843 allows the \
                 connection, and waits there for ever if nothing comes; `meta_policy = \
                 master-only` prevents that."
            }
            _ => {
                "a policy on the destination port itself might count as well; `meta_policy = \
                 master-only` rules that out, and saves the player that request."
            }
        };
        notes.push(more.into());
    }
    if let Some(loopback) = inspect::loopback_only(config) {
        if !config.live.ignore.has("loopback-only") {
            notes.push(format!("{}; {}.", loopback.cause, loopback.cure));
        }
    }
    notes
}
