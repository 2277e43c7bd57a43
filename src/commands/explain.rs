//! `flashpolicyd explain`: would a player let a SWF from here connect to there? It asks the
//! configuration, not a server.

use serde::Serialize;

use super::{load, print, read_policies, usage};
use crate::advice;
use crate::cli::{Configured, Question};
use crate::config::{Config, Listen};
use crate::exit::Exit;
use crate::inspect;
use crate::json::{self, Change};
use crate::policy::{
    self, others_count, ports_in_words, render_grant, Host, Offer, Origin, Player, PortSet, Sample,
    Verdict, MASTER_PORT,
};
use crate::served::{Served, Source};
use crate::terminal;
use crate::text::{clip, quote, Colour, Style};

/// The error that a player reports where no policy allows a connection.
const DENIED: &str = "SecurityError #2048";

/// What is asked, understood.
struct Asked {
    origin: Origin,
    ports: PortSet,
    player: Player,
}

/// A policy and a port that serves it.
#[derive(Clone, Copy)]
struct Location<'a> {
    offer: Offer<'a>,
    served: &'a Served,
}

/// What one master and the other locations say of one port.
struct Told<'a> {
    master: Option<&'a Location<'a>>,
    port: u16,
    verdict: Verdict,
}

#[derive(Serialize)]
struct Report {
    exit: u8,
    from: String,
    to: Vec<u16>,
    /// As it was typed.
    ports: String,
    /// How many ports that names.
    ports_in_all: usize,
    player: &'static str,
    verdicts: Vec<OneVerdict>,
    changes: Vec<Change>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct OneVerdict {
    /// The policy on port 843 by which it was judged.
    master: Option<String>,
    #[serde(flatten)]
    verdict: json::Verdict,
}

/// Prints the verdicts; the exit code tells them too.
pub(super) fn run(configured: &Configured, question: &Question, as_json: bool) -> Exit {
    if question.from.to_ascii_lowercase().starts_with("app:") {
        return air(question, as_json);
    }
    let asked = match understand(question) {
        Ok(asked) => asked,
        Err(mistake) => return usage(&mistake),
    };
    let read = load(configured).and_then(|loaded| {
        let all = read_policies(&loaded.config)?;
        Ok((loaded.config, all))
    });
    let (config, all) = match read {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let locations = locations(&config, &all);
    let granted = locations.iter().flat_map(|l| &l.offer.policy.grants);
    let sample = asked.ports.sample(granted.map(|grant| &grant.ports));
    let told = judge(&locations, &asked, &sample);
    let allowed = told.iter().all(Told::is_allowed);
    let exit = if allowed { Exit::Fine } else { Exit::Failed };
    let changes = changes(&config, &locations, &asked, &told, sample.is_partial());
    let notes = notes(&config, &locations, &asked, &sample);
    let text = if as_json {
        json::line(&Report {
            exit: exit as u8,
            from: asked.origin.to_string(),
            to: sample.ports,
            ports: question.to.clone(),
            ports_in_all: sample.of,
            player: asked.player.as_str(),
            verdicts: told.iter().map(|t| t.as_json(&locations, &asked)).collect(),
            changes,
            notes,
        }) + "\n"
    } else {
        story(&told, &locations, &asked, &changes, &notes)
    };
    match print(text) {
        Exit::Fine => exit,
        failed => failed,
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
        return print(style.wrap(&painted(&text, &style), 2) + "\n");
    }
    let verdicts = sample.ports.iter().map(|&port| OneVerdict {
        master: None,
        verdict: json::Verdict {
            port,
            allowed: true,
            uncertain: false,
            answers: None,
            no_answer: None,
            error: None,
            by: None,
            text: text.clone(),
            reasons: Vec::new(),
        },
    });
    print(
        json::line(&Report {
            exit: Exit::Fine as u8,
            from: "app:".into(),
            verdicts: verdicts.collect(),
            to: sample.ports.clone(),
            ports: question.to.clone(),
            ports_in_all: sample.of,
            player: Player::Flash.as_str(),
            changes: Vec::new(),
            notes: Vec::new(),
        }) + "\n",
    )
}

fn understand(question: &Question) -> Result<Asked, String> {
    let player = question.player.as_deref().map(str::parse).transpose();
    Ok(Asked {
        origin: question.from.parse().map_err(|fault| format!("{fault}"))?,
        ports: PortSet::parse(&question.to).map_err(|fault| format!("{fault}"))?,
        player: player
            .map_err(|fault: policy::Fault| format!("--player: {fault}"))?
            .unwrap_or_default(),
    })
}

fn locations<'a>(config: &Config, all: &'a [Served]) -> Vec<Location<'a>> {
    let mut locations = Vec::new();
    for served in all {
        let mut ports: Vec<_> = served
            .listeners
            .iter()
            .filter_map(|&index| config.listen.get(index))
            .filter_map(Listen::players_port)
            .collect();
        ports.sort_unstable();
        ports.dedup();
        for port in ports {
            locations.extend(served.offer(port).map(|offer| Location { offer, served }));
        }
    }
    locations
}

/// One verdict for each port, and for each policy on port 843: listeners may have their own.
fn judge<'a>(locations: &'a [Location<'a>], asked: &Asked, sample: &Sample) -> Vec<Told<'a>> {
    let (masters, others): (Vec<&Location>, Vec<&Location>) = locations
        .iter()
        .partition(|location| location.offer.port == MASTER_PORT);
    let others: Vec<_> = others.iter().map(|location| location.offer).collect();
    let masters: Vec<Option<&Location>> = match masters.len() {
        0 => vec![None],
        _ => masters.into_iter().map(Some).collect(),
    };
    let mut told = Vec::new();
    for master in masters {
        for &port in &sample.ports {
            let offer = master.map(|master| &master.offer);
            let verdict = policy::explain(asked.player, offer, &others, &asked.origin, port);
            told.push(Told {
                master,
                port,
                verdict,
            });
        }
    }
    told
}

impl Told<'_> {
    fn is_allowed(&self) -> bool {
        matches!(self.verdict, Verdict::Allowed { .. })
    }

    /// The location that serves the policy of this port.
    fn location<'b>(&'b self, all: &'b [Location<'b>], port: u16) -> Option<&'b Location<'b>> {
        match self.master {
            Some(master) if port == MASTER_PORT => Some(master),
            _ => all.iter().find(|location| location.offer.port == port),
        }
    }

    /// The sentence on `ports`, for which the verdict is the same.
    fn headline(&self, all: &[Location], asked: &Asked, ports: &str) -> String {
        let swf = swf(&asked.origin);
        let Verdict::Allowed { port, grant } = self.verdict else {
            let who = match asked.player {
                Player::Flash => format!("the player reports {DENIED}"),
                player => format!("{player} refuses"),
            };
            return format!("DENIED: {swf} may not connect to {ports}; {who}.");
        };
        let by = self.location(all, port).and_then(|location| {
            if location.served.line_of(grant).is_some() {
                return Some(location.served.grant_name(grant));
            }
            let xml = render_grant(location.offer.policy.grants.get(grant)?);
            let name = location.served.source.in_words();
            Some(format!("{} of {name}", clip(&xml)))
        });
        format!(
            "ALLOWED: {swf} may connect to {ports}, by {}, served on port {port}.",
            by.unwrap_or_default()
        )
    }

    fn reasons(&self, all: &[Location]) -> Vec<String> {
        let Verdict::Denied(reasons) = &self.verdict else {
            return Vec::new();
        };
        let name = |port: u16, grant: usize| match self.location(all, port) {
            Some(location) => location.served.grant_name(grant),
            None => format!("grant {}", grant + 1),
        };
        let reasons = reasons.iter();
        reasons
            .map(|reason| clip(&reason.in_words(&name)))
            .collect()
    }

    fn as_json(&self, all: &[Location], asked: &Asked) -> OneVerdict {
        let by = match self.verdict {
            Verdict::Denied(_) => None,
            Verdict::Allowed { port, grant } => self.location(all, port).map(|l| json::By {
                step: match port {
                    MASTER_PORT => "master",
                    port if port == self.port => "destination",
                    _ => "load",
                },
                port,
                grant: clip(
                    &l.offer
                        .policy
                        .grants
                        .get(grant)
                        .map(render_grant)
                        .unwrap_or_default(),
                ),
                place: l.served.line_of(grant).cloned(),
            }),
        };
        OneVerdict {
            master: self.master.map(|master| master.served.source.name()),
            verdict: json::Verdict {
                port: self.port,
                allowed: self.is_allowed(),
                uncertain: false,
                answers: None,
                no_answer: None,
                error: (!self.is_allowed()).then_some(DENIED),
                by,
                text: self.headline(all, asked, &format!("port {}", self.port)),
                reasons: self.reasons(all),
            },
        }
    }
}

fn swf(origin: &Origin) -> String {
    match origin {
        Origin::Anywhere => "a SWF from anywhere".into(),
        origin => format!("a SWF from {origin}"),
    }
}

/// The verdicts, those that are the same for several ports together, and what follows from them.
fn story(
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
                let name = master.served.source.in_words();
                format!("By {name} on port {MASTER_PORT}: {headline}")
            }
            _ => headline,
        });
        let ports = ports.strip_prefix("ports ");
        for reason in one.reasons(all) {
            let reason = ports.map_or(reason.clone(), |ports| for_all(&reason, one.port, ports));
            lines.push(format!("- {reason}"));
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
    let lines = lines.iter().map(|line| style.wrap(line, 2) + "\n");
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

/// What the SWF has to call so that the policy on this port is asked at all.
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

fn painted(headline: &str, style: &Style) -> String {
    let (word, colour) = match headline.strip_prefix("ALLOWED") {
        Some(_) => ("ALLOWED", Colour::Good),
        None => ("DENIED", Colour::Bad),
    };
    match headline.strip_prefix(word) {
        Some(rest) => style.paint(colour, word) + rest,
        None => headline.into(),
    }
}

/// What would let the denied connections through, with the line that it takes the place of.
fn changes(
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
    let from_lines = all.iter().all(|l| l.served.source == Source::Allow);
    for mut grant in advice::grants(wishes.iter()) {
        if is_sample {
            // The ports between those that were asked are meant, too.
            grant.ports = asked.ports.clone();
        }
        let mut change = advice::allow(&grant);
        let extended = config.allow.iter().position(|known| {
            known.domain == grant.domain && known.secure == grant.secure && from_lines
        });
        let line =
            extended.and_then(|at| Some((config.allow.get(at)?, config.written.allow.get(at)?)));
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

/// What the verdicts do not say.
fn notes(config: &Config, all: &[Location], asked: &Asked, sample: &Sample) -> Vec<String> {
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
        let rules = asked.player.rules();
        rules.asks_destination && others_count(asked.player, Some(master.offer.policy))
    };
    if masters.any(open) {
        notes.push(
            "a policy on the destination port itself might count as well; `meta_policy = \
             master-only` rules that out, and spares the player that question."
                .into(),
        );
    }
    if let Some(loopback) = inspect::loopback_only(config) {
        if !config.ignore.has("loopback-only") {
            notes.push(format!("{}; {}.", loopback.cause, loopback.cure));
        }
    }
    notes
}
