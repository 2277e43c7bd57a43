//! `flashpolicyd explain`: would Flash Player let a SWF from here connect to there? It asks the
//! configuration, not a server.

use super::{load, print, read_policies, usage};
use crate::config::{Config, Configured, Listen};
use crate::exit::Exit;
use crate::policy::{self, render_grant, Offer, Origin, Player, Policy, Verdict, MASTER_PORT};
use crate::served::Served;

/// Prints the verdict; the exit code tells it too.
pub(super) fn run(configured: &Configured, origin: &str, port: &str) -> Exit {
    let origin: Origin = match origin.parse() {
        Ok(origin) => origin,
        Err(fault) => return usage(&format!("{fault}")),
    };
    let port = match port.parse::<u16>() {
        Ok(port) if port > 0 => port,
        _ => {
            return usage(&format!(
                "'{}' is no port; expected a number from 1 to 65535",
                port.escape_debug()
            ))
        }
    };
    let read = load(configured).and_then(|loaded| {
        let all = read_policies(&loaded.config)?;
        Ok((loaded.config, all))
    });
    match read {
        Ok((config, all)) => explain(&config, &all, &origin, port),
        Err(exit) => exit,
    }
}

/// A policy and a port that serves it.
struct Location<'a> {
    port: u16,
    policy: &'a Policy,
    served: &'a Served,
}

/// One verdict for each policy that is served on port 843, where listeners there differ.
fn explain(config: &Config, all: &[Served], origin: &Origin, port: u16) -> Exit {
    let locations = locations(config, all);
    let (masters, others): (Vec<_>, Vec<_>) =
        locations.into_iter().partition(|l| l.port == MASTER_PORT);
    let offers: Vec<_> = others
        .iter()
        .map(|&Location { port, policy, .. }| Offer::new(port, policy))
        .collect();
    let mut text = String::new();
    let mut allowed = true;
    let each: Vec<Option<&Location>> = match masters.len() {
        0 => vec![None],
        _ => masters.iter().map(Some).collect(),
    };
    for master in each {
        if let (Some(master), true) = (master, masters.len() > 1) {
            let name = master.served.source.in_words();
            text.push_str(&format!("By {name} on port {MASTER_PORT}: "));
        }
        let offer = master.map(|m| Offer::new(MASTER_PORT, m.policy));
        let verdict = policy::explain(Player::Flash, offer.as_ref(), &offers, origin, port);
        allowed &= matches!(verdict, Verdict::Allowed { .. });
        let asked: Vec<_> = master.into_iter().chain(&others).collect();
        text.push_str(&in_words(&verdict, &asked, origin, port));
    }
    match print(text) {
        Exit::Fine if !allowed => Exit::Failed,
        exit => exit,
    }
}

fn locations<'a>(config: &Config, all: &'a [Served]) -> Vec<Location<'a>> {
    let mut locations = Vec::new();
    for served in all {
        let Some(policy) = served.policy() else {
            continue;
        };
        let mut ports: Vec<_> = served
            .listeners
            .iter()
            .filter_map(|&index| config.listen.get(index))
            .filter_map(Listen::players_port)
            .collect();
        ports.sort_unstable();
        ports.dedup();
        locations.extend(ports.into_iter().map(|port| Location {
            port,
            policy,
            served,
        }));
    }
    locations
}

fn in_words(verdict: &Verdict, asked: &[&Location], origin: &Origin, port: u16) -> String {
    match verdict {
        Verdict::Allowed { port: from, grant } => {
            let location = asked.iter().find(|l| l.port == *from);
            let by = location.and_then(|l| {
                let grant = l.policy.grants.get(*grant)?;
                Some(format!(
                    "{} of {}",
                    render_grant(grant),
                    l.served.source.in_words()
                ))
            });
            let mut text = format!(
                "ALLOWED: a SWF from {origin} may connect to port {port}, by {}, served on port \
                 {from}.\n",
                by.unwrap_or_default()
            );
            if *from != MASTER_PORT && *from != port {
                text.push_str(&format!(
                    "The SWF has to call Security.loadPolicyFile(\"xmlsocket://HOST:{from}\") \
                     before it connects.\n"
                ));
            }
            text
        }
        Verdict::Denied(reasons) => {
            let mut text = format!(
                "DENIED: a SWF from {origin} may not connect to port {port}; the player reports \
                 SecurityError #2048.\n"
            );
            for reason in reasons {
                text.push_str(&format!("- {reason}\n"));
            }
            text
        }
    }
}
