//! The reference that is built into the program: a page for each command, for each code of `check`
//! and `probe`, the configuration, and the keys of `--json`. It prints nothing and decides nothing.

mod codes;

use std::ffi::OsString;

use super::options::{self, CONFIGURATION, Opt};
use crate::config;
use crate::output::text::{Style, did_you_mean, shown};

/// The pages that belong to no command; `codes` is made from the code.
const TEXTS: [(&str, &str); 6] = [
    ("config", include_str!("../../../flashpolicy.conf")),
    ("json", include_str!("json.txt")),
    ("operate", include_str!("operate.txt")),
    ("silent-player", include_str!("silent-player.txt")),
    ("man", include_str!("../../../scripts/flashpolicyd.8")),
    (
        "man-conf",
        include_str!("../../../scripts/flashpolicy.conf.5"),
    ),
];

/// The topic that lists the codes.
const CODES: &str = "codes";

/// What `flashpolicyd --help` and `flashpolicyd help` print; it fits one screen.
pub(super) fn overview() -> String {
    with_options(include_str!("overview.txt"), &[])
}

/// The page of a command, the same as its `--help`.
pub(super) fn of_command(name: &str) -> Option<String> {
    let mut commands = options::COMMANDS.iter();
    let command = commands.find(|command| command.name == name)?;
    Some(with_options(command.page, command.own))
}

/// The page of the topic that is named, or the overview.
///
/// # Errors
/// A sentence, with the topic that was probably meant.
pub(super) fn topic(operands: &[OsString]) -> Result<String, String> {
    match operands {
        [] => Ok(overview()),
        [topic] => page(&topic.to_string_lossy()),
        [_, more, ..] => Err(format!(
            "help takes one topic; leave '{}' out",
            shown(&more.to_string_lossy())
        )),
    }
}

/// The page of a topic.
///
/// # Errors
/// A sentence, with the topic that was probably meant.
fn page(topic: &str) -> Result<String, String> {
    let text = || TEXTS.iter().find(|(name, _)| *name == topic);
    let list = || (topic == CODES).then(codes::list);
    of_command(topic)
        .or_else(|| text().map(|(_, text)| text.to_string()))
        .or_else(list)
        .or_else(|| codes::page(topic))
        .ok_or_else(|| unknown(topic))
}

/// Puts a command's own options, and those of the configuration, where the page has their marks.
fn with_options(page: &str, own: &[Opt]) -> String {
    let page = page.replace("{options}\n", &block(own));
    page.replace("{configuration}\n", &block(&CONFIGURATION))
}

/// The options, with what they are for in a second column.
fn block(options: &[Opt]) -> String {
    let style = Style {
        width: 79,
        wraps: true,
        ..Style::PLAIN
    };
    let shown = options.iter().filter(|option| option.is_shown());
    let lines = shown.map(|option| {
        let line = format!("  {:<20}{}", option.label, option.text);
        style.wrap(&line, 22) + "\n"
    });
    lines.collect()
}

/// Every topic.
pub(super) fn all_topics() -> impl Iterator<Item = &'static str> {
    topics().chain(codes::names())
}

/// Every topic but the codes themselves.
fn topics() -> impl Iterator<Item = &'static str> {
    let commands = options::COMMANDS.iter().map(|command| command.name);
    let texts = TEXTS.iter().map(|(name, _)| *name);
    commands.chain([CODES]).chain(texts)
}

fn unknown(topic: &str) -> String {
    if config::is_key(topic) {
        return format!("'{topic}' is a key of the configuration: see 'flashpolicyd help config'");
    }
    let all: Vec<_> = all_topics().collect();
    let meant = did_you_mean(topic, &all, "'").unwrap_or_else(|| {
        "expected a command, a code ('flashpolicyd help codes' lists them), config, json, operate, \
         silent-player, man or man-conf"
            .into()
    });
    format!("there is no help for '{}'; {meant}", shown(topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_a_page() {
        for topic in all_topics() {
            assert!(page(topic).is_ok_and(|page| page.len() > 100), "{topic}");
        }
    }

    #[test]
    fn an_unknown_topic_is_named_with_the_nearest_one() {
        for (topic, expected) in [
            (
                "allow",
                "'allow' is a key of the configuration: see 'flashpolicyd help config'",
            ),
            (
                "secure-grants",
                "there is no help for 'secure-grants'; did you mean 'secure-grant'?",
            ),
            (
                "porbe",
                "there is no help for 'porbe'; did you mean 'probe'?",
            ),
            (
                "confg",
                "there is no help for 'confg'; did you mean 'config'?",
            ),
        ] {
            assert_eq!(page(topic).unwrap_err(), expected);
        }
        let error = page("qqqqqq\u{1b}").unwrap_err();
        assert!(error.contains("expected a command, a code"), "{error}");
        assert!(!error.contains('\u{1b}'));
    }

    #[test]
    fn a_page_fits_a_terminal() {
        let to_be_pasted = |line: &str| line.starts_with("  $c=") || line.contains("python3 -c");
        let wide = ["config", "codes", "man", "man-conf"];
        let topics = topics().filter(|topic| !wide.contains(topic));
        let pages = topics.map(|topic| (topic, page(topic).unwrap()));
        for (topic, text) in pages.chain([("overview", overview())]) {
            for line in text.lines().filter(|line| !to_be_pasted(line)) {
                assert!(line.chars().count() < 80, "{topic}: {line}");
                // `| more` and a pipe of PowerShell know no UTF-8.
                assert!(line.is_ascii(), "{topic}: {line}");
            }
        }
        assert!(overview().lines().count() <= 24);
    }

    #[test]
    fn the_page_of_a_command_has_its_options_exit_codes_and_two_examples() {
        for command in &options::COMMANDS {
            let name = command.name;
            let text = of_command(name).unwrap();
            assert!(text.starts_with(&format!("flashpolicyd {name}: ")));
            assert!(text.contains("\nExit codes: 0 "), "{name}");
            let (_, examples) = text.split_once("\nExit codes: ").unwrap();
            let examples = examples
                .lines()
                .filter(|line| line.starts_with("  flashpolicyd "));
            assert!(examples.count() >= 2, "{name}");
            for option in command.own.iter().filter(|option| option.is_shown()) {
                let label = format!("\n  {:<19} ", option.label);
                assert_eq!(text.matches(&label).count(), 1, "{name}: {label}");
            }
            assert!(!text.contains('{') || name == "probe", "{name}: {text}");
        }
    }
}
