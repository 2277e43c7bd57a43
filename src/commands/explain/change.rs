//! What would allow the denied connections, and notes on what the verdicts do not cover. It prints
//! nothing.

use super::told::{Asked, Location, Told};
use crate::advice;
use crate::config::Config;
use crate::inspect;
use crate::json::Change;
use crate::policies::PolicyOrigin;
use crate::policy::{self, Host, MASTER_PORT, Origin, Player, PortSet, Sample, others_count};
use crate::text::quote;

/// The changes that allow the denied connections, each with the line that it replaces.
pub(super) fn changes(
    config: &Config,
    all: &[Location],
    asked: &Asked,
    told: &[Told],
    is_sample: bool,
) -> Vec<Change> {
    let others: Vec<_> = all
        .iter()
        .filter(|location| location.offer.port != MASTER_PORT)
        .map(|location| location.offer)
        .collect();
    let mut wishes = Vec::new();
    for denied in told.iter().filter(|told| !told.is_allowed()) {
        let master = denied.master.map(|master| &master.offer);
        let origin = &asked.origin;
        wishes.extend(advice::wishes(
            asked.player,
            master,
            &others,
            origin,
            denied.port,
        ));
    }
    let mut changes: Vec<Change> = advice::changes(&wishes)
        .into_iter()
        .filter(|change| {
            !change
                .conf
                .as_ref()
                .is_some_and(|c| c.starts_with("allow = "))
        })
        .collect();
    let from_lines = all.iter().all(|l| l.served.origin == PolicyOrigin::Allow);
    for mut grant in advice::grants(wishes.iter()) {
        if is_sample {
            // The ports between those that were asked are meant, too.
            grant.ports = asked.ports.clone();
        }
        let mut change = advice::allow(&grant);
        let extended = config.live.allow.iter().position(|known| {
            known.domain == grant.domain && known.secure == grant.secure && from_lines
        });
        let line = extended
            .and_then(|at| Some((config.live.allow.get(at)?, config.written.allow.get(at)?)));
        if let Some((known, place)) = line {
            let ports = format!("{},{}", known.ports, grant.ports);
            if let Ok(ports) = PortSet::parse(&ports) {
                let conf = advice::line(&policy::Grant { ports, ..grant });
                change.text = format!(
                    "allow it: write `{conf}` in place of {} ({place})",
                    quote(place.text.trim())
                );
                change.conf = Some(conf);
            }
        } else if from_lines {
            change.text = format!("allow it: `{}`", advice::line(&grant));
        }
        changes.push(change);
    }
    changes
}

/// Notes on what the verdicts do not cover.
pub(super) fn notes(
    config: &Config,
    all: &[Location],
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
    let mut masters = all.iter().filter(|l| l.offer.port == MASTER_PORT);
    let open = |master: &Location| {
        asked.player.asks_destination() && others_count(asked.player, Some(master.offer.policy))
    };
    if masters.any(open) {
        let more = match asked.player {
            Player::Lightspark => {
                "Lightspark asks the destination port for a policy, too, also where port 843 \
                 allows it, and waits there for ever if nothing comes; `meta_policy = \
                 master-only` spares it that."
            }
            _ => {
                "a policy on the destination port itself might count as well; `meta_policy = \
                 master-only` rules that out, and spares the player that question."
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
