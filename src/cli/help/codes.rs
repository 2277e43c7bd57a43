//! The page of each code of `check` and each class of `probe`. What a code means, and the cure of a
//! class, are said where it is defined; the rest is in `codes.txt`, whose head tells its format.

use crate::config;
use crate::output::text::Style;
use crate::player::probe::Class;
use crate::policy::{BLOCKED_PORTS, Code, PortSet, Severity, ports_in_words};

/// Examples, cures and sources.
const TEXTS: &str = include_str!("codes.txt");

/// One code, from wherever it is.
struct Entry {
    name: &'static str,
    severity: Severity,
    meaning: &'static str,
    /// Of a class of the probe; the others have theirs in [`TEXTS`].
    cure: Option<&'static str>,
}

/// Every code: those of policies, of the configuration, of the probe.
fn all() -> impl Iterator<Item = Entry> {
    let of_policies = Code::all().iter().map(|code| Entry {
        name: code.as_str(),
        severity: code.severity(),
        meaning: code.explanation(),
        cure: None,
    });
    let of_configurations = config::CODES
        .iter()
        .map(|&(name, severity, meaning)| Entry {
            name,
            severity,
            meaning,
            cure: None,
        });
    let classes = Class::all().iter().map(|class| Entry {
        name: class.as_str(),
        severity: class.severity(),
        meaning: class.meaning(),
        cure: Some(class.cure()),
    });
    of_policies.chain(of_configurations).chain(classes)
}

/// The names of all codes.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    all().map(|entry| entry.name)
}

/// All codes with their meanings, a paragraph for each command.
pub(super) fn list() -> String {
    let mut text = String::from(
        "The codes of 'flashpolicyd check', which the server and 'probe' use, too.\n\
         'flashpolicyd help CODE' has an example, the cure and the source.\n\n",
    );
    let mut of_the_probe = false;
    for entry in all() {
        if entry.cure.is_some() && !of_the_probe {
            of_the_probe = true;
            text.push_str("\nCodes of 'flashpolicyd probe':\n\n");
        }
        let severity = entry.severity.as_str();
        let line = format!("{:<27} {severity:<8} {}", entry.name, entry.meaning);
        text.push_str(&wrapped(&line, 37));
    }
    text
}

/// The page of one code.
pub(super) fn page(name: &str) -> Option<String> {
    let entry = all().find(|entry| entry.name == name)?;
    let command = match entry.cure {
        Some(_) => "probe",
        None => "check",
    };
    let severity = match entry.severity {
        Severity::Error => "an error",
        Severity::Warning => "a warning",
    };
    let cure = entry.cure.or_else(|| field(name, "cure"));
    let mut text = format!("{name}: {severity} of 'flashpolicyd {command}'\n\n");
    text.push_str(&wrapped(entry.meaning, 0));
    text.push('\n');
    for (title, value) in [
        ("example", field(name, "example")),
        ("cure", cure),
        ("source", field(name, "source")),
    ] {
        let line = format!("  {title:<9}{}", value?);
        text.push_str(&wrapped(&line, 11));
    }
    if name == Code::BlockedPort.as_str() {
        let ports = ports_in_words(&PortSet::of(&BLOCKED_PORTS));
        text.push_str(&wrapped(&format!("\nThese are {ports}."), 0));
    }
    if entry.severity == Severity::Warning {
        let accept = match command {
            "probe" => format!("Where it is meant: --ignore {name}"),
            _ => format!("Where it is meant: --ignore {name}, or the line 'ignore = {name}'"),
        };
        text.push_str(&format!("\n{accept}\n"));
    }
    Some(text)
}

/// The value of a field in the block of this code.
fn field(name: &str, field: &str) -> Option<&'static str> {
    let mut blocks = TEXTS.split("\n\n");
    let block = blocks.find(|block| block.lines().next() == Some(name))?;
    block
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(": "))
}

/// The text in lines of less than 80 characters; all but the first are indented by `indent` columns.
fn wrapped(text: &str, indent: usize) -> String {
    const PAGE: Style = Style {
        width: 79,
        wraps: true,
        ..Style::PLAIN
    };
    PAGE.wrap(text, indent) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_block_and_every_block_is_a_codes() {
        let blocks = TEXTS.trim_end().split("\n\n").skip(1);
        let blocks: Vec<_> = blocks
            .map(|block| block.lines().next().unwrap_or_default())
            .collect();
        assert_eq!(blocks, names().collect::<Vec<_>>());
        for entry in all() {
            assert!(field(entry.name, "example").is_some(), "{}", entry.name);
            assert!(field(entry.name, "source").is_some(), "{}", entry.name);
            let cure = field(entry.name, "cure");
            assert_ne!(cure.is_some(), entry.cure.is_some(), "{}", entry.name);
        }
    }
}
