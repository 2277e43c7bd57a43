//! The text that `explain` prints for people: verdicts, reasons, changes and notes. It decides
//! nothing.

use super::verdicts::{Asked, OfferedPolicy, PortVerdict, masters};
use crate::output::terminal;
use crate::output::text::{Colour, Style};
use crate::player::json::Change;
use crate::policy::{MASTER_PORT, Player, PortSet, Verdict, ports_in_words};

/// The verdicts, those that are the same for several ports together, and what follows from them.
pub(super) fn story(
    verdicts: &[PortVerdict],
    all: &[OfferedPolicy],
    asked: &Asked,
    changes: &[Change],
    notes: &[String],
) -> String {
    let style = terminal::stdout();
    let several_masters = masters(all).count() > 1;
    let mut groups: Vec<(&PortVerdict, Vec<u16>)> = Vec::new();
    for one in verdicts {
        let same = |other: &&mut (&PortVerdict, Vec<u16>)| {
            let both = [one, other.0].map(|t| t.master.map(|m| std::ptr::from_ref(m.served)));
            both[0] == both[1] && one.verdict == other.0.verdict
        };
        match groups.iter_mut().find(same) {
            Some((_, ports)) => ports.push(one.port),
            None => groups.push((one, vec![one.port])),
        }
    }
    let mut lines = Vec::new();
    for (one, mut ports) in groups {
        ports.sort_unstable();
        let conditions = one.conditions(all, asked, &ports);
        let ports = ports_in_words(&PortSet::of(&ports));
        let headline = painted(&one.headline(all, asked, &ports), &style);
        lines.push(match one.master {
            Some(master) if several_masters => {
                let name = master.served.origin.in_words();
                format!("By {name} on port {MASTER_PORT}: {headline}")
            }
            _ => headline,
        });
        let (_, numbers) = ports.split_once(' ').unwrap_or_default();
        lines.extend(one.reason_lines(all, numbers));
        lines.extend(conditions.iter().map(|condition| format!("- {condition}")));
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

/// The call that makes the SWF's player ask for the policy on this port.
fn asking(player: Player, port: u16, destination: u16) -> Option<String> {
    if port == MASTER_PORT || (port == destination && player.asks_destination()) {
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
    let (word, colour) = match headline.starts_with("ALLOWED") {
        true => ("ALLOWED", Colour::Good),
        false => ("DENIED", Colour::Bad),
    };
    headline.replacen(word, &style.paint(colour, word), 1)
}
