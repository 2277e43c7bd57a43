//! Lines of the configuration file and options of the command line become a [`Config`]. This file
//! checks that a key is set once and that values fit together. It opens no file.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use super::keys::{Config, DEFAULT_ALLOW, DEFAULT_LISTEN, KEYS, Key, REMOVED_KEYS};
use super::mistakes::instead_of;
use crate::output::diagnostic::{Diagnostic, MOST_OF_A_KIND, Place, Severity};
use crate::output::text::{printable, quote, shown};
use crate::policy::ParseError;

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
    let name: Arc<str> = printable(&path.display().to_string()).into();
    draft.name = Arc::clone(&name);
    for (number, whole) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = whole.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let text = whole.into();
        let at = |part: &str| place(&name, number + 1, &text, whole, part);
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

/// The place of a part of a line, whose text is shared.
fn place(name: &Arc<str>, number: usize, text: &Arc<str>, line: &str, part: &str) -> Place {
    // Both are parts of the same text.
    let before = (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
    let before = line.get(..before).unwrap_or_default();
    Place {
        name: Arc::clone(name),
        line: Some(number),
        column: Some(1 + before.chars().count()),
        width: part.chars().count().max(1),
        text: Arc::clone(text),
    }
}

/// A configuration whose lines are still being read.
pub(super) struct Draft {
    config: Config,
    /// The file's.
    name: Arc<str>,
    /// The first [`MOST_OF_A_KIND`].
    mistakes: Vec<Diagnostic>,
    mistakes_left_out: usize,
}

impl Draft {
    fn new() -> Draft {
        let mut config = Config::default();
        // Where no line adds to these, `finish` puts the defaults there.
        config.startup.listen.clear();
        config.live.own_policy_files.clear();
        config.live.allow.clear();
        Draft {
            config,
            name: "".into(),
            mistakes: Vec::new(),
            mistakes_left_out: 0,
        }
    }

    fn mistake(&mut self, place: Place, cause: String, cure: impl Into<String>) {
        if !self.count_if_full() {
            self.mistakes.push(Diagnostic::error(place, cause, cure));
        }
    }

    /// Whether one more mistake is only counted; it is, then.
    fn count_if_full(&mut self) -> bool {
        let count_if_full = self.mistakes.len() >= MOST_OF_A_KIND;
        self.mistakes_left_out += usize::from(count_if_full);
        count_if_full
    }

    fn set(&mut self, name: &str, value: &str, folder: &Path, place: Place, key_place: Place) {
        if let Some((_, instead, cure)) = REMOVED_KEYS.iter().find(|(key, ..)| *key == name) {
            let cause = format!("the key '{name}' does not exist any more: {instead}");
            return self.mistake(key_place, cause, *cure);
        }
        let Some(key) = Key::named(name) else {
            // The search for the key that was meant takes its time.
            if !self.count_if_full() {
                let cause = format!("unknown key '{}'", shown(name));
                let keys: Vec<_> = KEYS.iter().map(|key| key.name).collect();
                self.mistake(key_place, cause, instead_of(name, value, &keys));
            }
            return;
        };
        if let Some(first) = self.config.written.place_of(name) {
            if !key.is_repeatable {
                let cause = format!("key '{name}' is set twice, first at {first}");
                return self.mistake(key_place, cause, "remove one of the two lines");
            }
        }
        let outcome = if value.is_empty() {
            Err(ParseError::new("the value is missing", ""))
        } else {
            (key.set)(&mut self.config, value, folder)
        };
        // Listeners and their places are read side by side: a line without a listener has none.
        if outcome.is_ok() || (name != "listen" && self.mistakes.len() < MOST_OF_A_KIND) {
            self.config.written.0.push((key.name, place.clone()));
        }
        if let Err(ParseError { cause, cure }) = outcome {
            if self.count_if_full() {
                return;
            }
            let cure = match self.without_comment(key, value, folder) {
                Some(line) => line,
                None if cure.is_empty() => format!("expected {}", key.takes),
                None => cure,
            };
            self.mistake(place, format!("{name} = {}: {cause}", shown(value)), cure);
        }
    }

    /// The cure for a value with a comment behind it, if it is right without.
    fn without_comment(&self, key: &Key, value: &str, folder: &Path) -> Option<String> {
        // A tab would be shown as `\t`, which nobody can copy.
        let value = value.replace('\t', " ");
        let (bare, _) = value.split_once(" #")?;
        let bare = bare.trim();
        (key.set)(&mut Draft::new().config, bare, folder).ok()?;
        let line = quote(&format!("{} = {bare}", key.name));
        Some(format!("write {line}; a comment needs a line of its own"))
    }

    /// The command line sets this key: what the file says of it does not count.
    fn forget(&mut self, name: &str) {
        let Config {
            startup,
            live,
            written,
        } = &mut self.config;
        written.0.retain(|(set, _)| *set != name);
        match name {
            "listen" => {
                startup.listen.clear();
                live.own_policy_files.clear();
            }
            // A policy file on the command line takes the place of the file's grants.
            "policy_file" => {
                let of_grants = ["allow", "meta_policy"];
                written.0.retain(|(set, _)| !of_grants.contains(set));
                live.allow.clear();
                live.meta_policy = None;
            }
            _ => {}
        }
    }

    /// A policy file says everything itself: nothing is merged into it.
    fn check_policy_is_said_once(&mut self) {
        let Config { live, written, .. } = &self.config;
        let (Some(_), Some(file)) = (&live.policy_file, written.place_of("policy_file")) else {
            return;
        };
        let file = file.to_string();
        for key in ["allow", "meta_policy"] {
            if let Some(found) = self.config.written.place_of(key) {
                let cure = format!(
                    "remove '{key}' to serve the file as it is, or 'policy_file' to serve the \
                     policy that 'allow' and 'meta_policy' make"
                );
                let cause = format!("'{key}' and 'policy_file' (set at {file}) exclude each other");
                self.mistake(found.clone(), cause, cure);
            }
        }
    }

    /// Two lines that take the same port: the second could not be bound.
    fn check_ports_are_taken_once(&mut self, inherited: &[SocketAddr]) {
        let Config {
            startup, written, ..
        } = &self.config;
        let addresses = startup.listen.iter().map(|listen| listen.address);
        let places = written.places_of("listen").cloned();
        let bound: Vec<_> = addresses.zip(places).collect();
        let v4_everywhere = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        for (narrow, place) in &bound {
            let takes_it = |(wide, _): &&(SocketAddr, Place)| {
                let v4_has_its_own = || bound.iter().any(|(a, _)| *a == v4_everywhere(wide.port()));
                wide.ip().is_unspecified()
                    && !narrow.ip().is_unspecified()
                    && wide.port() == narrow.port()
                    && narrow.port() != 0
                    && (wide.is_ipv4() == narrow.is_ipv4() || (wide.is_ipv6() && !v4_has_its_own()))
            };
            let by = bound.iter().find(takes_it);
            if let (Some((wide, at)), false) = (by, inherited.contains(narrow)) {
                let cause = format!(
                    "listen = {narrow}: {wide} (set at {at}) takes this port on every address"
                );
                let cure = "remove one of the two lines";
                self.mistake(place.clone(), cause, cure);
            }
        }
    }

    /// Every inherited socket is served: by the line that names its address, which says how, and
    /// without one like any listener. The default address is for a server without any other.
    fn add_inherited(&mut self, inherited: &[SocketAddr]) {
        let Config { startup, live, .. } = &mut self.config;
        let mut unmet: Vec<_> = startup.listen.iter().map(|l| l.address).collect();
        for &address in inherited {
            if let Some(at) = unmet.iter().position(|a| *a == address) {
                unmet.remove(at);
                continue;
            }
            // A second socket with the address of the first.
            let named = startup.listen.iter().position(|l| l.address == address);
            let listen = named.map_or_else(|| address.into(), |at| startup.listen[at]);
            let own = named.and_then(|at| live.own_policy_files[at].clone());
            startup.listen.push(listen);
            live.own_policy_files.push(own);
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
            return Ok(self.config);
        }
        if let number @ 1.. = self.mistakes_left_out {
            let left_out = Diagnostic::left_out(None, Severity::Error, number, &self.name);
            self.mistakes.push(left_out);
        }
        Err(self.mistakes)
    }
}
