//! The reference that is built into the program: a page for each command, for each code of `check`
//! and `probe`, the configuration, and the keys of `--json`. It prints nothing and decides nothing.

mod codes;

use std::borrow::Cow;

use crate::config;
use crate::output::text::{did_you_mean, shown};

/// What `flashpolicyd --help` and `flashpolicyd help` print; it fits one screen.
pub const OVERVIEW: &str = include_str!("overview.txt");

/// The pages of the commands, in the order of [`OVERVIEW`].
const COMMANDS: [(&str, &str); 12] = [
    ("init", include_str!("init.txt")),
    ("serve", include_str!("serve.txt")),
    ("start", include_str!("start.txt")),
    ("stop", include_str!("stop.txt")),
    ("restart", include_str!("restart.txt")),
    ("reload", include_str!("reload.txt")),
    ("status", include_str!("status.txt")),
    ("check", include_str!("check.txt")),
    ("policy", include_str!("policy.txt")),
    ("explain", include_str!("explain.txt")),
    ("probe", include_str!("probe.txt")),
    ("help", include_str!("help.txt")),
];

/// The other pages that are texts; `codes` is made from the code.
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

/// The page of a command, the same as its `--help`.
pub fn of_command(command: &str) -> Option<&'static str> {
    find(&COMMANDS, command)
}

/// The page of a topic.
///
/// # Errors
/// A sentence, with the topic that was probably meant.
pub fn page(topic: &str) -> Result<Cow<'static, str>, String> {
    if let Some(text) = of_command(topic).or_else(|| find(&TEXTS, topic)) {
        return Ok(text.into());
    }
    if topic == CODES {
        return Ok(codes::list().into());
    }
    codes::page(topic)
        .map(Cow::from)
        .ok_or_else(|| unknown(topic))
}

fn find(pages: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    let found = pages.iter().find(|(topic, _)| *topic == name);
    found.map(|(_, text)| *text)
}

fn unknown(topic: &str) -> String {
    if config::is_key(topic) {
        return format!("'{topic}' is a key of the configuration: see 'flashpolicyd help config'");
    }
    let texts = COMMANDS.iter().chain(&TEXTS).map(|(name, _)| *name);
    let all: Vec<_> = texts.chain([CODES]).chain(codes::names()).collect();
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
        let texts = COMMANDS.iter().chain(&TEXTS).map(|(name, _)| *name);
        for topic in texts.chain([CODES]).chain(codes::names()) {
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
        let texts = COMMANDS.iter().chain(&TEXTS[1..4]);
        let to_be_pasted = |line: &str| line.starts_with("  $c=") || line.contains("python3 -c");
        for (topic, text) in texts.chain([&("overview", OVERVIEW)]) {
            for line in text.lines().filter(|line| !to_be_pasted(line)) {
                assert!(line.chars().count() < 80, "{topic}: {line}");
                // `| more` and a pipe of PowerShell know no UTF-8.
                assert!(line.is_ascii(), "{topic}: {line}");
            }
        }
        assert!(OVERVIEW.lines().count() <= 24);
    }

    #[test]
    fn the_page_of_a_command_has_usage_options_exit_codes_and_two_examples() {
        for (command, text) in COMMANDS {
            assert!(text.starts_with(&format!("flashpolicyd {command}: ")));
            assert!(text.contains("\nExit codes: 0 "), "{command}");
            let (_, examples) = text.split_once("\nExit codes: ").unwrap();
            let examples = examples
                .lines()
                .filter(|line| line.starts_with("  flashpolicyd "));
            assert!(examples.count() >= 2, "{command}");
        }
    }
}
