//! The page of each code of `check` and each class of `probe`, from its definition.

use crate::config::ConfigCode;
use crate::output::code::CodeDefinition;
use crate::output::text::Style;
use crate::player::probe::Class;
use crate::policy::{BLOCKED_PORTS, Code, PortSet, Severity, ports_in_words};

/// Every code with the command whose code it is: those of policies, of configurations, of the probe.
fn all() -> impl Iterator<Item = (&'static str, &'static CodeDefinition)> {
    let of_policies = Code::all().iter().map(|code| code.definition());
    let of_check = of_policies.chain(ConfigCode::all().iter().map(|code| code.definition()));
    let classes = Class::all().iter().map(|class| class.definition());
    let of_check = of_check.map(|code| ("check", code));
    of_check.chain(classes.map(|class| ("probe", class)))
}

/// The names of all codes.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    all().map(|(_, code)| code.name)
}

/// All codes with their meanings, a paragraph for each command.
pub(super) fn list() -> String {
    let mut text = String::from(
        "The codes of 'flashpolicyd check', which the server and 'probe' use, too.\n\
         'flashpolicyd help CODE' has an example, the cure and the source.\n\n",
    );
    let mut last = "check";
    for (command, code) in all() {
        if command != last {
            last = command;
            text.push_str("\nCodes of 'flashpolicyd probe':\n\n");
        }
        let severity = code.severity.as_str();
        let line = format!("{:<27} {severity:<8} {}", code.name, code.meaning);
        text.push_str(&wrapped(&line, 37));
    }
    text
}

/// The page of one code.
pub(super) fn page(name: &str) -> Option<String> {
    let (command, code) = all().find(|(_, code)| code.name == name)?;
    let severity = match code.severity {
        Severity::Error => "an error",
        Severity::Warning => "a warning",
    };
    let mut text = format!("{name}: {severity} of 'flashpolicyd {command}'\n\n");
    text.push_str(&wrapped(code.meaning, 0));
    text.push('\n');
    for (title, value) in [
        ("example", code.example),
        ("cure", code.general_cure),
        ("source", code.source),
    ] {
        text.push_str(&wrapped(&format!("  {title:<9}{value}"), 11));
    }
    if name == Code::BlockedPort.as_str() {
        let ports = ports_in_words(&PortSet::of(&BLOCKED_PORTS));
        text.push_str(&wrapped(&format!("\nThese are {ports}."), 0));
    }
    if code.severity == Severity::Warning {
        let accept = match command {
            "probe" => format!("Where it is meant: --ignore {name}"),
            _ => format!("Where it is meant: --ignore {name}, or the line 'ignore = {name}'"),
        };
        text.push_str(&format!("\n{accept}\n"));
    }
    Some(text)
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
    fn every_code_has_a_name_of_its_own_in_kebab_case() {
        let mut names: Vec<_> = names().collect();
        let kebab = |name: &&str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        assert!(names.iter().all(kebab), "{names:?}");
        let number = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), number);
    }

    #[test]
    fn a_meaning_is_a_sentence_and_the_other_texts_are_not() {
        for (_, code) in all() {
            let others = [code.example, code.general_cure, code.source];
            assert!(code.meaning.ends_with('.'), "{code:?}");
            for text in others {
                assert!(!text.is_empty() && !text.ends_with('.'), "{code:?}");
            }
            let texts = [&others[..], &[code.meaning]].concat();
            assert!(texts.iter().all(|text| !text.contains('\n')), "{code:?}");
        }
    }
}
