//! Notes beside the verdict: sandboxes, delays for some players, and players that ask for no policy. A note
//! never changes the severity of a report.

use std::time::Duration;

use super::report::{Address, Report};
use super::step::Role;
use super::verdict::PortVerdict;
use crate::output::exit::ProbeExit;
use crate::output::text::time;
use crate::player::advice::port_list;
use crate::player::json::Change;
use crate::policy::{MASTER_PORT, Player, others_count};

/// The hints, the most useful first; without any where the server itself has to be cured first.
pub(super) fn hints(report: &Report) -> Vec<Change> {
    let mut hints = sandboxes(report);
    hints.extend(master_only(report));
    if report.level() != ProbeExit::Critical && !report.plan.air {
        hints.push(Change::in_words(NO_REQUEST));
        hints.push(Change::in_words(CLOSED_LATER));
    }
    hints
}

/// The sandboxes of local content.
fn sandboxes(report: &Report) -> Vec<Change> {
    let plan = &report.plan;
    let conditions = plan
        .from
        .as_ref()
        .map(|from| plan.player.origin_conditions(from));
    let conditions = conditions.unwrap_or_default().iter();
    conditions
        .map(|sentence| Change::in_words(*sentence))
        .collect()
}

/// Where a policy is fine and a player is refused all the same. Source: rule book 3.7, 4.3, 7.7, 9.
const NO_REQUEST: &str = "if a player is still refused and the policy server's log shows no request from \
     it, the player did not ask this server. Causes: it is Ruffle, which asks for no policy; the SWF is \
     on the disk and not published for the network; the player's sockets are off; it asks another host; \
     a firewall is on the way. `flashpolicyd help silent-player` has all causes in order";

/// Where everything is fine here and the game ends the connection. Source: rule book section 5.
const CLOSED_LATER: &str = "if that log shows the request and the policy, and Flash Player still reports \
     SecurityError #2048 after 20 s, the game closed the connection within that time (it refused the \
     log-in, or is full), or a firewall on the way from that player drops the game's port";

/// Lightspark asks the destination port although port 843 allows the connection, and has no time-out
/// there. Source: rule book section 7.
fn master_only(report: &Report) -> Option<Change> {
    let plan = &report.plan;
    let mut silent: Vec<(u16, Duration)> = Vec::new();
    for address in &report.addresses {
        let master = address.master.as_ref();
        let Some(policy) = master.and_then(|master| master.answer.policy()) else {
            continue;
        };
        // `master-only` is to take no grant away that is needed.
        let mut roles = address.verdicts.iter().filter_map(PortVerdict::role);
        if others_count(Player::Lightspark, Some(policy)) && roles.all(|r| r == Role::Master) {
            silent.extend(silent_ports(address));
        }
    }
    silent.sort_unstable();
    let shortest = silent.iter().map(|(_, silent)| *silent).min();
    silent.dedup_by_key(|(port, _)| *port);
    let ports: Vec<u16> = silent.into_iter().map(|(port, _)| port).collect();
    shortest.map(|shortest| {
        let within = time(shortest);
        let (takes, them) = match ports.len() {
            1 => ("accepts a policy request and does not answer", "it"),
            _ => ("accept a policy request and do not answer", "them"),
        };
        Change {
            text: format!(
                "{} {takes} within {within}, like a game that waits for its client: Lightspark asks {them} even where port \
                 {MASTER_PORT} allows the connection, and waits until the port answers or closes. \
                 `meta_policy = master-only` on port {} prevents that; then no other policy of this host \
                 counts",
                port_list(&ports),
                plan.port
            ),
            conf: Some("meta_policy = master-only".into()),
        }
    })
}

/// The ports that took a policy request, and how long they said nothing.
fn silent_ports(address: &Address) -> impl Iterator<Item = (u16, Duration)> + '_ {
    address.verdicts.iter().filter_map(|verdict| {
        let own = verdict.own.as_ref().map(|own| &own.exchange);
        let own = own.filter(|own| own.is_silent()).map(|own| own.time);
        Some((verdict.port, verdict.silent.or(own)?))
    })
}
