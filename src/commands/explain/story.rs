//! The text that `explain` prints for people: verdicts, reasons, changes and notes. It decides
//! nothing.

use super::told::{Asked, Location, Told};
use crate::json::Change;
use crate::policy::{MASTER_PORT, Player, PortSet, Verdict, ports_in_words};
use crate::terminal;
use crate::text::{Colour, Style};

/// The verdicts, those that are the same for several ports together, and what follows from them.
pub(super) fn story(
    told: &[Told],
    all: &[Location],
    asked: &Asked,
    changes: &[Change],
    notes: &[String],
) -> String {
    let style = terminal::stdout();
    let several_masters = all.iter().filter(|l| l.offer.port == MASTER_PORT).count() > 1;
    let mut groups: Vec<(&Told, Vec<u16>)> = Vec::new();
    for one in told {
        let same = |other: &&mut (&Told, Vec<u16>)| {
            let both = [one, other.0].map(|t| t.master.map(|m| std::ptr::from_ref(m.served)));
            both[0] == both[1] && one.verdict.is_alike(&other.0.verdict)
        };
        match groups.iter_mut().find(same) {
            Some((_, ports)) => ports.push(one.port),
            None => groups.push((one, vec![one.port])),
        }
    }
    let mut lines = Vec::new();
    for (one, mut ports) in groups {
        ports.sort_unstable();
        let ports = ports_in_words(&PortSet::of(&ports));
        let headline = painted(&one.headline(all, asked, &ports), &style);
        lines.push(match one.master {
            Some(master) if several_masters => {
                let name = master.served.origin.in_words();
                format!("By {name} on port {MASTER_PORT}: {headline}")
            }
            _ => headline,
        });
        let ports = ports.strip_prefix("ports ");
        for line in one.reason_lines(all) {
            lines.push(ports.map_or(line.clone(), |ports| for_all(&line, one.port, ports)));
        }
        if let Verdict::Allowed { port, .. } = one.verdict {
            lines.extend(asking(asked.player, port, one.port));
        }
    }
    if !changes.is_empty() {
        lines.push("\nWhat to change:".into());
        lines.extend(changes.iter().map(|change| format!("- {}", change.text)));
    }
    if !notes.is_empty() {
        lines.push(String::new());
        lines.extend(notes.iter().map(|note| format!("Note: {note}")));
    }
    let indent = |line: &str| 2 + line.len() - line.trim_start().len();
    let lines = lines
        .iter()
        .map(|line| style.wrap(line, indent(line)) + "\n");
    lines.collect()
}

/// The reason for one port, as that for all of these.
fn for_all(reason: &str, port: u16, ports: &str) -> String {
    let mut told = String::new();
    let mut rest = reason;
    let of_one = format!(", not for {port}");
    while let Some((before, after)) = rest.split_once(&of_one) {
        told.push_str(before);
        // A host name may begin with the same digits.
        if after.is_empty() || after.starts_with([';', ':']) {
            told.push_str(&format!(", not for {ports}"));
        } else {
            told.push_str(&of_one);
        }
        rest = after;
    }
    told + rest
}

/// The call that makes the SWF's player ask for the policy on this port.
fn asking(player: Player, port: u16, destination: u16) -> Option<String> {
    if port == MASTER_PORT || (port == destination && player.rules().asks_destination) {
        return None;
    }
    Some(match player {
        Player::Unity => format!(
            "The game has to call Security.PrefetchSocketPolicy(ADDRESS, {port}) before it \
             connects."
        ),
        Player::Flash | Player::Lightspark => format!(
            "The SWF has to call Security.loadPolicyFile(\"xmlsocket://HOST:{port}\") before it \
             connects."
        ),
    })
}

pub(super) fn painted(headline: &str, style: &Style) -> String {
    let (word, colour) = match headline.strip_prefix("ALLOWED") {
        Some(_) => ("ALLOWED", Colour::Good),
        None => ("DENIED", Colour::Bad),
    };
    match headline.strip_prefix(word) {
        Some(rest) => style.paint(colour, word) + rest,
        None => headline.into(),
    }
}
