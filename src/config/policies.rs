//! The policies of a configuration: which listener serves which policy, read, checked and ready to
//! be sent. `serve`, `check`, `policy`, `explain` and the reload use it. It serves nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::allow;
use crate::config::{self, Config, DEFAULT_ALLOW, Listen};
use crate::output::diagnostic::{Diagnostic, Place};
use crate::output::text::{printable, quote, reason};
use crate::policy::{
    self, Code, Grant, MASTER_PORT, MAX_POLICY_BYTES, Offer, Player, Policy, Reading, Rendered,
    grant_number,
};
use crate::system;

/// One policy and where it is served.
pub struct ConfiguredPolicy {
    /// Where it comes from.
    pub origin: PolicyOrigin,
    /// The listeners that serve it, as indices of [`Startup::listen`](config::Startup::listen).
    pub listeners: Vec<usize>,
    /// The findings that [`Live::ignore`](config::Live::ignore) does not accept, in the order of
    /// the text.
    pub findings: Vec<Diagnostic>,
    /// How many warnings are accepted.
    pub ignored: usize,
    /// The lines of the configuration that its grants come from, in their order.
    grant_places: Vec<Place>,
    /// As it stands in the file; empty where it could not be read.
    bytes: Vec<u8>,
    /// What was read; none where it could not be.
    reading: Option<Reading>,
}

/// Where a policy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyOrigin {
    /// A policy file.
    File(PathBuf),
    /// The `allow` and `meta_policy` lines of the configuration.
    Allow,
    /// Nothing was configured.
    BuiltIn,
}

impl PolicyOrigin {
    /// The name in messages; for a file, its path.
    pub fn name(&self) -> String {
        match self {
            PolicyOrigin::File(path) => path.display().to_string(),
            PolicyOrigin::Allow => "'allow' lines".into(),
            PolicyOrigin::BuiltIn => "built-in policy".into(),
        }
    }

    /// The name as a sentence has it.
    pub fn in_words(&self) -> String {
        match self {
            PolicyOrigin::File(_) => self.name(),
            PolicyOrigin::Allow | PolicyOrigin::BuiltIn => format!("the {}", self.name()),
        }
    }
}

impl ConfiguredPolicy {
    /// The policy, when it is fit to be served.
    pub fn policy(&self) -> Option<&Policy> {
        self.reading.as_ref()?.policy.as_ref()
    }

    /// The listeners that serve it.
    pub fn listens<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = &'a Listen> {
        let indices = self.listeners.iter();
        indices.filter_map(|&index| config.startup.listen.get(index))
    }

    /// The policy as it is offered on a port, as this player takes it.
    pub fn offer(&self, player: Player, port: u16) -> Option<Offer<'_>> {
        self.reading.as_ref()?.offer(player, port)
    }

    /// What of its file nobody knows how this player takes: a sentence without its full stop.
    pub fn doubt(&self, player: Player) -> Option<&str> {
        self.reading.as_ref()?.doubt(player)
    }

    /// What clients get, NUL included: byte for byte what the file holds, and a NUL where it does
    /// not end in one. Source: rule book section 1.2 (DG).
    pub fn on_the_wire(&self) -> Option<Arc<[u8]>> {
        self.policy()?;
        let mut bytes = self.bytes.clone();
        if bytes.last() != Some(&0) {
            bytes.push(0);
        }
        Some(bytes.into())
    }

    /// Everything found, a line each, for the log.
    pub fn finding_lines(&self) -> Vec<String> {
        let lines = self.findings.iter().map(|finding| match finding.code {
            Some(_) => finding.to_string(),
            None => format!("{}: error: {}", finding.place, finding.cause),
        });
        lines.collect()
    }

    /// The line of the configuration that a grant comes from, by its index from 0.
    pub fn line_of(&self, grant: usize) -> Option<&Place> {
        self.grant_places.get(grant)
    }

    /// The name of a grant: its line and the place of that, or its number.
    pub fn grant_name(&self, grant: usize) -> String {
        match self.line_of(grant) {
            Some(place) => format!("{} ({place})", quote(place.text.trim())),
            None => grant_number(grant),
        }
    }
}

/// Reads every policy of the configuration, each once, in the order of the listeners.
pub fn read_all(config: &Config) -> Vec<ConfiguredPolicy> {
    let mut parts: Vec<(PolicyOrigin, bool, Vec<usize>)> = Vec::new();
    for (index, listen) in config.startup.listen.iter().enumerate() {
        let origin = origin_of(index, config);
        let controls = origin == PolicyOrigin::Allow && controls(config, listen);
        let known = parts
            .iter_mut()
            .find(|(known, with, _)| *known == origin && *with == controls);
        match known {
            Some((_, _, listeners)) => listeners.push(index),
            None => parts.push((origin, controls, vec![index])),
        }
    }
    let parts = parts.into_iter();
    parts
        .map(|(origin, controls, listeners)| read_one(config, origin, controls, listeners))
        .collect()
}

/// Whether a listener's policy says the meta-policy: only where players find it on port 843. In any
/// other policy it counts for nothing, and Lightspark drops the whole file over it (rule book 7.1).
fn controls(config: &Config, listen: &Listen) -> bool {
    let master = matches!(listen.players_port(), None | Some(MASTER_PORT));
    config.live.meta_policy.is_some() && master
}

fn read_one(
    config: &Config,
    origin: PolicyOrigin,
    controls: bool,
    listeners: Vec<usize>,
) -> ConfiguredPolicy {
    let mut served = ConfiguredPolicy {
        origin,
        listeners,
        findings: Vec::new(),
        ignored: 0,
        grant_places: Vec::new(),
        bytes: Vec::new(),
        reading: None,
    };
    let name = served.origin.name();
    let mut rendered = Rendered::default();
    let bytes = match &served.origin {
        PolicyOrigin::File(path) => read_file(path),
        PolicyOrigin::Allow | PolicyOrigin::BuiltIn => {
            served.grant_places = config.written.places_of("allow").cloned().collect();
            let policy = Policy {
                meta: config.live.meta_policy.filter(|_| controls),
                grants: config.live.allow.clone(),
            };
            rendered = Rendered::of(&policy::for_every_player(&policy));
            Ok(rendered.xml.clone().into_bytes())
        }
    };
    let findings = match bytes {
        Err(error) => vec![unreadable(&served.origin, error, config)],
        Ok(bytes) if !bytes.starts_with(b"<") && config::looks_like_one(&bytes) => {
            vec![a_configuration(&name)]
        }
        Ok(bytes) => {
            let ports: Vec<_> = served
                .listens(config)
                .filter_map(Listen::players_port)
                .collect();
            let reading = policy::read(&bytes, &ports);
            let found = match (&served.origin, &reading.policy) {
                (PolicyOrigin::Allow, Some(_)) => in_the_lines(&reading, &rendered, config),
                _ => reading.diagnostics(&name).collect(),
            };
            (served.bytes, served.reading) = (bytes, Some(reading));
            found
        }
    };
    (served.findings, served.ignored) = config.live.ignore.sift(findings);
    served
}

/// The name of standard input in messages.
pub const STANDARD_INPUT: &str = "standard input";

/// A policy that cannot be read, at the line that names its file.
fn unreadable(origin: &PolicyOrigin, error: String, config: &Config) -> Diagnostic {
    let name = origin.name();
    let PolicyOrigin::File(path) = origin else {
        return Diagnostic::error(Place::whole(name), error, "");
    };
    let common = config.live.policy_file.as_ref() == Some(path);
    let key = if common { "policy_file" } else { "listen" };
    let names_it = |place: &&Place| {
        let own = place.text.rsplit_once("policy=");
        common || own.is_some_and(|(_, file)| path.ends_with(file.trim()))
    };
    let place = config.written.places_of(key).find(names_it);
    match place.filter(|place| place.line.is_some()) {
        Some(place) => {
            let key = if common { "policy_file = " } else { "policy=" };
            let cause = format!("{key}{}: {error}", printable(&name));
            Diagnostic::error(place.clone(), cause, "")
        }
        None => Diagnostic::error(Place::whole(name), error, ""),
    }
}

/// A configuration where a policy was expected.
pub fn a_configuration(name: &str) -> Diagnostic {
    Diagnostic::error(
        Place::whole(name),
        "this is a configuration of flashpolicyd, and no policy",
        match name {
            STANDARD_INPUT => "check its file with: flashpolicyd check --config FILE".into(),
            name => format!("check it with: flashpolicyd check --config {name}"),
        },
    )
}

/// Where the policy of a listener comes from, by the listener's index: its own file, else what the
/// configuration says for all.
pub fn origin_of(listener: usize, config: &Config) -> PolicyOrigin {
    let live = &config.live;
    let nothing_said = config.written.place_of("allow").is_none() && live.meta_policy.is_none();
    match config.policy_file_of(listener) {
        Some(path) => PolicyOrigin::File(path.to_owned()),
        None if nothing_said && live.allow == [DEFAULT_ALLOW] => PolicyOrigin::BuiltIn,
        None => PolicyOrigin::Allow,
    }
}

/// The findings of a policy that was made of `allow` lines, at the lines that they are about.
fn in_the_lines(reading: &Reading, rendered: &Rendered, config: &Config) -> Vec<Diagnostic> {
    let lines: Vec<_> = config.written.places_of("allow").collect();
    let name = lines.first().map_or("'allow' lines", |line| &*line.name);
    let mut shown = Vec::new();
    for finding in &reading.findings {
        let part = rendered.part_at(&finding.range);
        let place = match (finding.code, part) {
            (Code::GrantsBesideNone, _) => config.written.place_of("meta_policy").cloned(),
            (_, Some((grant, part))) => lines.get(grant).map(|line| part_of(line, part)),
            _ => None,
        };
        let mut found = finding.at(place.unwrap_or_else(|| Place::whole(name)));
        let grant = part.and_then(|(grant, _)| config.live.allow.get(grant));
        in_words_of_lines(&mut found, finding.code, grant);
        shown.push(found);
    }
    shown.sort_by_key(|finding| finding.place.line);
    shown.extend(reading.numbers_left_out(name));
    shown
}

/// The place of a part of an `allow` line, by [`Rendered::part_at`]'s numbers.
fn part_of(line: &Place, part: usize) -> Place {
    let column = line.column.unwrap_or(1);
    let from = line.text.char_indices().nth(column - 1);
    let value = line.text[from.map_or(0, |(at, _)| at)..].trim_end();
    let (Some(part), Some(_)) = (allow::parts(value).get(part).copied(), line.column) else {
        return line.clone();
    };
    let before = part.as_ptr() as usize - value.as_ptr() as usize;
    Place {
        column: Some(column + value[..before].chars().count()),
        width: part.chars().count().max(1),
        ..line.clone()
    }
}

/// Gives a finding the words of the configuration, where the policy's are those of XML.
fn in_words_of_lines(shown: &mut Diagnostic, code: Code, grant: Option<&Grant>) {
    match code {
        Code::SecureGrant => {
            shown.cause =
                "`secure` is for content loaded over HTTPS only, while the socket itself \
                           is plain"
                    .into();
            shown.cure = "delete `secure`, unless this is meant".into();
        }
        Code::GrantsBesideNone => {
            shown.cause =
                "the meta-policy `none` denies everything, so the `allow` lines do nothing".into();
            shown.cure = "write `meta_policy = master-only`, unless this is meant".into();
        }
        Code::Large | Code::VeryLarge => {
            shown.cure = "merge lines of the same domain, and those of subdomains into one for \
                          `*.example.com`"
                .into();
        }
        Code::PortRange => {
            let ports = grant.map_or_else(String::new, |grant| grant.ports.to_string());
            shown.cure = format!(
                "where these players matter, write `*` in place of {}",
                quote(&ports)
            );
        }
        _ => {}
    }
}

/// Reads a policy file, and no more of it than it takes to see that it is too large.
///
/// # Errors
/// A sentence for why it cannot be read.
pub fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    system::read(path, MAX_POLICY_BYTES as u64).map_err(|error| {
        format!(
            "cannot read the policy: {}; check the path and the right to read it",
            reason(&error)
        )
    })
}
