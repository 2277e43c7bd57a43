//! `flashpolicyd explain`: may a SWF from this origin connect to these ports? The answer comes from
//! the configuration; no server is asked.
//!
//! [`verdicts`] has the verdicts, [`change`] what to change, [`story()`] the text for people.

mod change;
mod story;
mod verdicts;

use serde::Serialize;

use super::input::load_policies;
use crate::config::policies::ConfiguredPolicy;
use crate::config::{Config, Configured, Listen};
use crate::output::exit::Exit;
use crate::output::print::{print, usage};
use crate::output::terminal;
use crate::output::text::clip;
use crate::player::json::{self, Change};
use crate::policy::{self, Origin, Player, PortSet};
use change::{changes, notes};
use story::{painted, story};
use verdicts::{Asked, JsonPortVerdict, OfferedPolicy, PortVerdict, judge};

/// What `explain` is asked, as it was typed.
#[derive(Clone, Debug)]
pub struct Question {
    /// Where the SWF comes from.
    pub from: String,
    /// The ports that it wants to connect to.
    pub to: String,
    /// Whose verdict; none: Flash Player's.
    pub player: Option<String>,
}

/// The result as JSON.
#[derive(Serialize)]
struct ExplainReport {
    exit: u8,
    from: String,
    to: Vec<u16>,
    /// As they were typed, but for the end of a long list.
    ports: String,
    /// How many ports that names.
    ports_in_all: usize,
    player: &'static str,
    verdicts: Vec<JsonPortVerdict>,
    changes: Vec<Change>,
    notes: Vec<String>,
}

/// Prints the verdicts; the exit code tells them too.
pub fn run(configured: &Configured, question: &Question, as_json: bool) -> Exit {
    if Origin::is_air(&question.from) {
        return air(question, as_json);
    }
    let asked = match understand(question) {
        Ok(asked) => asked,
        Err(mistake) => return usage(&mistake),
    };
    let (config, all) = match load_policies(configured) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let locations = locations(&config, &all, asked.player);
    let granted = locations.iter().flat_map(|l| &l.offer.policy.grants);
    let sample = asked.ports.sample(granted.map(|grant| &grant.ports));
    let verdicts = judge(&locations, &asked, &sample);
    let allowed = verdicts.iter().all(PortVerdict::is_allowed);
    let exit = if allowed { Exit::Fine } else { Exit::Failed };
    let changes = changes(&config, &locations, &asked, &verdicts, sample.is_partial());
    let notes = notes(&config, &locations, &asked, &sample);
    let text = if as_json {
        json::line(&ExplainReport {
            exit: exit as u8,
            from: asked.origin.to_string(),
            to: sample.ports,
            ports: clip(&question.to),
            ports_in_all: sample.of,
            player: asked.player.as_str(),
            verdicts: verdicts
                .iter()
                .map(|t| t.as_json(&locations, &asked))
                .collect(),
            changes,
            notes,
        }) + "\n"
    } else {
        story(&verdicts, &locations, &asked, &changes, &notes)
    };
    told(text, exit)
}

/// 1 is for a denial, so a verdict that could not be printed ends like one that there is not.
fn told(text: String, exit: Exit) -> Exit {
    match print(text) {
        Exit::Fine => exit,
        _ => Exit::Usage,
    }
}

/// The application content of AIR asks for no policy (rule book 3.7 \[PC\]).
fn air(question: &Question, as_json: bool) -> Exit {
    const WHY: &str = "the application content of AIR (app:) asks for no policy";
    let ports = match PortSet::parse(&question.to) {
        Ok(ports) => ports,
        Err(fault) => return usage(&format!("--to: {fault}")),
    };
    let sample = ports.sample([]);
    let text = format!("ALLOWED: {WHY}, and may connect to every port.");
    if !as_json {
        let style = terminal::stdout();
        return told(style.wrap(&painted(&text, &style), 2) + "\n", Exit::Fine);
    }
    let verdicts = sample.ports.iter().map(|&port| JsonPortVerdict {
        master: None,
        verdict: json::JsonVerdict {
            port,
            allowed: true,
            text: text.clone(),
            ..json::JsonVerdict::default()
        },
    });
    told(
        json::line(&ExplainReport {
            exit: Exit::Fine as u8,
            from: "app:".into(),
            verdicts: verdicts.collect(),
            to: sample.ports.clone(),
            ports: clip(&question.to),
            ports_in_all: sample.of,
            player: Player::Flash.as_str(),
            changes: Vec::new(),
            notes: Vec::new(),
        }) + "\n",
        Exit::Fine,
    )
}

fn understand(question: &Question) -> Result<Asked, String> {
    let player = question.player.as_deref().map(str::parse).transpose();
    Ok(Asked {
        origin: Origin::parse(&question.from).map_err(|fault| fault.to_string())?,
        ports: PortSet::parse(&question.to).map_err(|fault| fault.to_string())?,
        player: player
            .map_err(|fault: policy::ParseError| format!("--player: {fault}"))?
            .unwrap_or_default(),
    })
}

fn locations<'a>(
    config: &'a Config,
    all: &'a [ConfiguredPolicy],
    player: Player,
) -> Vec<OfferedPolicy<'a>> {
    let mut locations = Vec::new();
    for served in all {
        let mut ports: Vec<_> = served
            .listens(config)
            .filter_map(Listen::players_port)
            .collect();
        ports.sort_unstable();
        ports.dedup();
        for port in ports {
            let offer = served.offer(player, port);
            locations.extend(offer.map(|offer| OfferedPolicy { offer, served }));
        }
    }
    locations
}
