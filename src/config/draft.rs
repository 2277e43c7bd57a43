//! Lines of the configuration file and options of the command line become a [`Config`]. This file
//! checks that a key is set once and that values fit together. It opens no file.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use super::keys::{KEYS, Key, REMOVED_KEYS};
use super::mistakes::{Problem, instead_of};
use super::{Config, DEFAULT_ALLOW, DEFAULT_LISTEN, Live, Startup};
use crate::diagnostic::{Diagnostic, Place};
use crate::text::{printable, quote, shown};

/// A value from the command line for a key of the configuration.
#[derive(Clone, Debug)]
pub struct Override {
    /// The option as it was typed, for messages.
    pub option: &'static str,
    /// The key it sets.
    pub key: &'static str,
    /// The value as it was typed.
    pub value: String,
}

/// Parses the text of a configuration file, then applies the command line's values.
///
/// `path` is the file's, for messages and for relative paths.
///
/// # Errors
/// Every mistake, in the order of the lines, then of the options.
pub fn parse(text: &str, path: &Path, overrides: &[Override]) -> Result<Config, Vec<Diagnostic>> {
    draft(text, path, overrides).finish(&[])
}

pub(super) fn draft(text: &str, path: &Path, overrides: &[Override]) -> Draft {
    let mut draft = Draft::new();
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = printable(&path.display().to_string());
    for (number, whole) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = whole.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = |part: &str| place(&name, number + 1, whole, part);
        match line.split_once('=') {
            Some((key, value)) => {
                let (key, value) = (key.trim(), value.trim());
                let place = at(if value.is_empty() { line } else { value });
                draft.set(key, value, folder, place, at(key));
            }
            None => draft.mistake(
                at(line),
                format!("'{}' has no '='", shown(line)),
                "expected a line 'key = value'",
            ),
        }
    }
    for (index, value) in overrides.iter().enumerate() {
        if !overrides[..index].iter().any(|o| o.key == value.key) {
            draft.forget(value.key);
        }
        let place = Place::whole(value.option);
        draft.set(value.key, &value.value, Path::new(""), place.clone(), place);
    }
    draft
}

/// The place of a part of a line.
fn place(name: &str, number: usize, line: &str, part: &str) -> Place {
    // Both are parts of the same text.
    let before = (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
    let before = line.get(..before).unwrap_or_default();
    Place {
        name: name.into(),
        line: Some(number),
        column: Some(1 + before.chars().count()),
        width: part.chars().count().max(1),
        text: line.into(),
    }
}

/// A configuration whose lines are still being read.
pub(super) struct Draft {
    config: Config,
    /// Which keys were set, and where.
    set: Vec<(&'static str, Place)>,
    mistakes: Vec<Diagnostic>,
}

impl Draft {
    fn new() -> Draft {
        let config = Config {
            startup: Startup {
                listen: Vec::new(),
                ..Startup::default()
            },
            live: Live {
                own_policy_files: Vec::new(),
                allow: Vec::new(),
                ..Live::default()
            },
            ..Config::default()
        };
        Draft {
            config,
            set: Vec::new(),
            mistakes: Vec::new(),
        }
    }

    fn mistake(&mut self, place: Place, cause: String, cure: impl Into<String>) {
        self.mistakes.push(Diagnostic::error(place, cause, cure));
    }

    fn set(&mut self, name: &str, value: &str, folder: &Path, place: Place, key_place: Place) {
        if let Some((_, instead)) = REMOVED_KEYS.iter().find(|(key, _)| *key == name) {
            let problem = Problem::with_cure(format!(
                "the key '{name}' does not exist any more: {instead}"
            ));
            let cure = problem.cure.unwrap_or_default();
            return self.mistake(key_place, problem.cause, cure);
        }
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            let cause = format!("unknown key '{}'", shown(name));
            let keys: Vec<_> = KEYS.iter().map(|key| key.name).collect();
            return self.mistake(key_place, cause, instead_of(name, value, &keys));
        };
        if let Some((_, first)) = self.set.iter().find(|(set, _)| *set == key.name) {
            if !key.repeatable {
                let cause = format!("key '{name}' is set twice, first at {first}");
                return self.mistake(key_place, cause, "remove one of the two lines");
            }
        }
        self.set.push((key.name, place.clone()));
        let outcome = if value.is_empty() {
            Err("the value is missing".into())
        } else {
            (key.set)(&mut self.config, value, folder)
        };
        match outcome {
            Ok(()) => self.remember(key.name, place),
            Err(Problem { cause, cure }) => {
                let cure = cure.filter(|cure| !cure.is_empty());
                let cure = self.without_comment(key, value, folder).or(cure);
                let cure = cure.unwrap_or_else(|| format!("expected {}", key.expects));
                let cause = format!("{name} = {}: {cause}", shown(value));
                self.mistake(place, cause, cure);
            }
        }
    }

    /// The cure for a value with a comment behind it, if it is right without.
    fn without_comment(&self, key: &Key, value: &str, folder: &Path) -> Option<String> {
        let (bare, _) = value.split_once(" #")?;
        let mut config = self.config.clone();
        (key.set)(&mut config, bare.trim(), folder).ok()?;
        let line = format!("{} = {}", key.name, bare.trim());
        Some(format!(
            "write {}; a comment needs a line of its own",
            quote(&line)
        ))
    }

    /// Where a good line stands, for what is found in its value later.
    fn remember(&mut self, key: &'static str, place: Place) {
        let written = &mut self.config.written;
        match key {
            "allow" => written.allow.push(place),
            "meta_policy" => written.meta_policy = Some(place),
            "listen" => written.listen.push(place),
            key => written.others.push((key, place)),
        }
    }

    /// The command line sets this key: what the file says of it does not count.
    fn forget(&mut self, name: &str) {
        self.set.retain(|(set, _)| *set != name);
        self.config.written.others.retain(|(set, _)| *set != name);
        let Config {
            startup,
            live,
            written,
        } = &mut self.config;
        match name {
            "listen" => {
                startup.listen.clear();
                live.own_policy_files.clear();
                written.listen.clear();
            }
            // A policy file on the command line takes the place of the file's grants.
            "policy_file" => {
                self.set
                    .retain(|(set, _)| !matches!(*set, "allow" | "meta_policy"));
                written.allow.clear();
                written.meta_policy = None;
                live.allow.clear();
                live.meta_policy = None;
            }
            _ => {}
        }
    }

    /// A policy file says everything itself: nothing is merged into it.
    fn check_policy_is_said_once(&mut self) {
        let place = |set: &[(&str, Place)], name| {
            let first = set.iter().find(|(key, _)| *key == name);
            first.map(|(_, place)| place.clone())
        };
        let (Some(_), Some(file)) = (
            &self.config.live.policy_file,
            place(&self.set, "policy_file"),
        ) else {
            return;
        };
        for key in ["allow", "meta_policy"] {
            if let Some(found) = place(&self.set, key) {
                let cause = format!("'{key}' and 'policy_file' (set at {file}) exclude each other");
                let cure = format!(
                    "remove '{key}' to serve the file as it is, or 'policy_file' to serve the \
                     policy that 'allow' and 'meta_policy' make"
                );
                self.mistake(found, cause, cure);
            }
        }
    }

    /// Two lines that take the same port: the second could not be bound.
    fn check_ports_are_taken_once(&mut self, inherited: &[SocketAddr]) {
        let bound: Vec<(SocketAddr, Place)> = {
            let addresses = self
                .config
                .startup
                .listen
                .iter()
                .map(|listen| listen.address);
            addresses
                .zip(self.config.written.listen.iter().cloned())
                .collect()
        };
        let v4_everywhere = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        for (narrow, place) in &bound {
            let takes_it = |(wide, _): &&(SocketAddr, Place)| {
                let v4_has_its_own = bound.iter().any(|(a, _)| *a == v4_everywhere(wide.port()));
                wide.ip().is_unspecified()
                    && !narrow.ip().is_unspecified()
                    && wide.port() == narrow.port()
                    && narrow.port() != 0
                    && (wide.is_ipv4() == narrow.is_ipv4() || (wide.is_ipv6() && !v4_has_its_own))
            };
            let by = bound.iter().find(takes_it);
            if let (Some((wide, at)), false) = (by, inherited.contains(narrow)) {
                let cause = format!(
                    "listen = {narrow}: {wide} (set at {at}) takes this port on every address"
                );
                self.mistakes.push(Diagnostic::error(
                    place.clone(),
                    cause,
                    "remove one of the two lines",
                ));
            }
        }
    }

    /// Every inherited socket is served: by the line that names its address, which says how, and
    /// without one like any listener. The default is for those who have nothing else.
    fn add_inherited(&mut self, inherited: &[SocketAddr]) {
        let Config { startup, live, .. } = &mut self.config;
        let mut unnamed = inherited.to_vec();
        for listen in &startup.listen {
            if let Some(at) = unnamed.iter().position(|a| *a == listen.address) {
                unnamed.remove(at);
            }
        }
        for address in unnamed {
            // A second socket with the address of the first.
            let named = startup.listen.iter().position(|l| l.address == address);
            let listen = named.and_then(|at| startup.listen.get(at)).copied();
            let own = named.and_then(|at| live.own_policy_files.get(at));
            live.own_policy_files.push(own.cloned().flatten());
            startup
                .listen
                .push(listen.unwrap_or_else(|| address.into()));
        }
    }

    pub(super) fn finish(mut self, inherited: &[SocketAddr]) -> Result<Config, Vec<Diagnostic>> {
        self.check_ports_are_taken_once(inherited);
        self.add_inherited(inherited);
        if self.config.startup.listen.is_empty() {
            self.config.startup.listen.push(DEFAULT_LISTEN.into());
            self.config.live.own_policy_files.push(None);
        }
        self.check_policy_is_said_once();
        if self.config.live.allow.is_empty() {
            self.config.live.allow.push(DEFAULT_ALLOW);
        }
        if self.mistakes.is_empty() {
            Ok(self.config)
        } else {
            Err(self.mistakes)
        }
    }
}
