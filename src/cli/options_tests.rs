//! The lists of options in the manual and in the completions are made of the tables: this compares the
//! files with what would be made, or with `FLASHPOLICY_WRITE=1` writes them.

use std::fs;
use std::path::Path;

use super::{COMMANDS, CONFIGURATION, Command, Opt, Value};
use crate::cli::help;
use crate::config;
use crate::output::text::Style;
use crate::player::probe::Class;
use crate::policy::{Player, Severity};

/// The lines around what is made.
const BEGIN: &str = "Made of src/cli/options.rs by a test: .github/CONTRIBUTING.md.\n";
const END: &str = "End of what is made.\n";

/// Compares a file with the one that has these lines between its marks, or writes that.
fn compare(file: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("scripts")
        .join(file);
    let is = fs::read_to_string(&path).unwrap();
    let (before, rest) = is.split_once(BEGIN).unwrap();
    let (old, after) = rest.split_once(END).unwrap();
    // The mark has something in front, such as a `#`.
    let (_, sign) = old.rsplit_once('\n').unwrap_or(("", old));
    let should_be = format!("{before}{BEGIN}{made}{sign}{END}{after}");
    if std::env::var_os("FLASHPOLICY_WRITE").is_some() {
        fs::write(&path, should_be).unwrap();
    } else {
        assert!(
            is == should_be,
            "{file} is not what src/cli/options.rs says; write it: \
             FLASHPOLICY_WRITE=1 cargo test --lib options"
        );
    }
}

/// The options of a list that users are told of.
fn shown<'a>(options: impl IntoIterator<Item = &'a Opt>) -> Vec<&'a Opt> {
    options
        .into_iter()
        .filter(|option| option.is_shown())
        .collect()
}

fn short(option: &Opt) -> Option<&'static str> {
    Some(option.label.split_once(", ")?.0)
}

fn long_names(options: &[&Opt]) -> String {
    options
        .iter()
        .map(|option| option.name())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The names of these commands, with `between` them.
fn names<'a>(commands: impl IntoIterator<Item = &'a Command>, between: &str) -> String {
    let names = commands.into_iter().map(|command| command.name);
    names.collect::<Vec<_>>().join(between)
}

/// The commands that take no option of the configuration.
fn alone() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter().filter(|command| command.common.is_empty())
}

/// The beginning of a text, which is all that a completion shows.
fn brief(option: &Opt) -> &'static str {
    let ends = ["; ", ": ", ", ", " ("].map(|end| option.text.find(end));
    let end = ends.into_iter().flatten().min();
    plain(&option.text[..end.unwrap_or(option.text.len())])
}

/// The first line of the page, without the name.
fn summary(command: &Command) -> &'static str {
    let (line, _) = command.page.split_once('\n').unwrap();
    plain(line.split_once(": ").unwrap().1)
}

/// A text that means itself in double quotes, and between the brackets of zsh.
fn plain(text: &str) -> &str {
    assert!(
        !text.contains(['"', '$', '`', '\\', '[', ']', ':']),
        "{text}"
    );
    text
}

fn is_ignore(option: &Opt) -> bool {
    option.name() == "--ignore"
}

/// The commands with that option.
fn ignoring() -> impl Iterator<Item = &'static Command> {
    COMMANDS
        .iter()
        .filter(|command| command.options().any(is_ignore))
}

/// The codes that this command's `--ignore` takes: those of warnings.
fn codes(command: &Command) -> Vec<&'static str> {
    let mut all = config::known_codes();
    if command.name == "probe" {
        all.extend(Class::all().iter().map(|c| (c.as_str(), c.severity())));
    }
    all.retain(|(_, severity)| *severity == Severity::Warning);
    all.into_iter().map(|(code, _)| code).collect()
}

/// The values of each key, in the order in which the keys come.
fn grouped<K: PartialEq, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Vec<(K, Vec<V>)> {
    let mut groups: Vec<(K, Vec<V>)> = Vec::new();
    for (key, value) in pairs {
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, values)) => values.push(value),
            None => groups.push((key, vec![value])),
        }
    }
    groups
}

#[test]
fn the_manual_lists_the_options() {
    let section = |title: String, options: Vec<&Opt>| {
        let items: String = options.into_iter().map(manual_item).collect();
        format!(".Pp\n{title}:\n.Bl -tag -width Ds\n{items}.El\n")
    };
    let title = format!(
        "These are options of every command but\n.Cm {} ;\n\
         all of them but the first stand for lines of the configuration",
        names(alone(), " , ")
    );
    let mut made = section(title, shown(&CONFIGURATION));
    let own = COMMANDS.iter().map(|command| (shown(command.own), command));
    let own = own.filter(|(options, _)| !options.is_empty());
    let own = own.map(|(options, command)| {
        let items: String = options.into_iter().map(manual_item).collect();
        (items, command)
    });
    for (items, commands) in grouped(own) {
        let names = names(commands, " , ");
        made +=
            &format!(".Pp\nThe options of\n.Cm {names}\nare:\n.Bl -tag -width Ds\n{items}.El\n");
    }
    compare("flashpolicyd.8", &made);
}

/// An option in mdoc: `.It Fl c , Fl -config Ar file`, and a sentence.
fn manual_item(option: &Opt) -> String {
    let words = option.label.replace(',', " ,").replace("[ ,", "[,");
    let words = words.split(' ').map(|word| match word.strip_prefix('-') {
        Some(name) => format!("Fl {name}"),
        None if word == "," => word.into(),
        None => format!("Ar {}", word.to_lowercase()),
    });
    let (first, rest) = option.text.split_at(1);
    let text = format!("{}{rest}.", first.to_uppercase()).replace("--", "\\-\\-");
    let style = Style {
        width: 78,
        wraps: true,
        ..Style::PLAIN
    };
    let lines = style.wrap(&text, 0);
    assert!(
        !lines.lines().any(|line| line.starts_with(['.', '\''])),
        "{lines}"
    );
    format!(".It {}\n{lines}\n", words.collect::<Vec<_>>().join(" "))
}

#[test]
fn the_completion_of_bash_has_the_options() {
    let own = COMMANDS.iter().map(|command| {
        let common = if command.common.is_empty() {
            ""
        } else {
            " $configuration"
        };
        (long_names(&shown(command.own)) + common, command)
    });
    let mut cases = String::new();
    for (options, commands) in grouped(own) {
        let options = options.trim_start();
        cases += &format!(
            "        {}) echo \"{options}\" ;;\n",
            names(commands, " | ")
        );
    }
    let options = COMMANDS.iter().flat_map(|command| shown(command.options()));
    let mut values: Vec<_> = options.filter(|o| o.value != Value::Flag).collect();
    values.sort_by_key(|option| option.name());
    values.dedup_by(|one, other| {
        let same = one.name() == other.name();
        // A name stands for one kind of value, whatever the command.
        assert!(!same || one.value == other.value, "{}", one.label);
        same
    });
    let values = values.into_iter().map(|option| {
        let value = match option.value {
            _ if is_ignore(option) => "CODES".into(),
            Value::File => "FILE".to_string(),
            Value::Word(words) => words.join(" "),
            Value::Flag | Value::Text | Value::Texts => String::new(),
        };
        (
            value,
            option
                .label
                .split([' ', ','])
                .filter(|word| word.starts_with('-')),
        )
    });
    let mut value_cases = String::new();
    for (value, names) in grouped(values) {
        let names: Vec<_> = names.into_iter().flatten().collect();
        value_cases += &format!("        {}) echo '{value}' ;;\n", names.join(" | "));
    }
    let mut code_cases = String::new();
    for command in ignoring() {
        let (name, codes) = (command.name, codes(command).join(" "));
        code_cases += &format!("        {name}) echo '{codes}' ;;\n");
    }
    let made = format!(
        "_flashpolicyd_commands='{}'\n\
         _flashpolicyd_topics='{}'\n\n\
         # The options of a command.\n\
         _flashpolicyd_options() {{\n    local configuration='{}'\n    case $1 in\n{cases}    esac\n}}\n\n\
         # The codes that `--ignore` of a command takes.\n\
         _flashpolicyd_codes() {{\n    case $1 in\n{code_cases}    esac\n}}\n\n\
         # What an option takes: FILE, CODES, one of these words, or anything; it fails for what takes none.\n\
         _flashpolicyd_value() {{\n    case $1 in\n{value_cases}        *) return 1 ;;\n    esac\n}}\n",
        names(&COMMANDS, " "),
        help::all_topics().collect::<Vec<_>>().join(" "),
        long_names(&shown(&CONFIGURATION)),
    );
    compare("completions/flashpolicyd.bash", &made);
}

#[test]
fn the_completion_of_zsh_has_the_options() {
    let block = |options: Vec<&Opt>, codes: &[&str], indent: &str| -> String {
        let lines = options.iter().map(|option| zsh(option, codes));
        lines.map(|line| format!("{indent}{line}\n")).collect()
    };
    let commands = COMMANDS.iter();
    let summaries = commands.map(|c| format!("        \"{}:{}\"\n", c.name, summary(c)));
    let mut made = format!(
        "    commands=(\n{}    )\n    topics=({})\n    options=(\n{}    )\n    case $words[2] in\n",
        summaries.collect::<String>(),
        help::all_topics().collect::<Vec<_>>().join(" "),
        block(shown(&CONFIGURATION), &[], "        "),
    );
    for command in &COMMANDS {
        let own = block(shown(command.own), &codes(command), "                ");
        let sets = if command.common.is_empty() { "=" } else { "+=" };
        if command.common.is_empty() || !own.is_empty() {
            let name = command.name;
            made += &format!(
                "        {name})\n            options{sets}(\n{own}            )\n            ;;\n"
            );
        }
    }
    compare("completions/_flashpolicyd", &(made + "    esac\n"));
}

/// `'(-q --quiet)'{-q,--quiet}"[only the first line]"`.
fn zsh(option: &Opt, codes: &[&str]) -> String {
    let name = option.name();
    let names = match short(option) {
        Some(short) => format!("'({short} {name})'{{{short},{name}}}\""),
        None if option.value == Value::Texts => format!("\"*{name}"),
        None => format!("\"{name}"),
    };
    let what = option.label.rsplit(' ').next().unwrap().to_lowercase();
    let value = match option.value {
        _ if is_ignore(option) => format!(":code: _values -s , code {}", codes.join(" ")),
        Value::Flag => String::new(),
        Value::File => format!(":{what}:_files"),
        Value::Word(words) => format!(":{what}:({})", words.join(" ")),
        Value::Text | Value::Texts => format!(":{}", what.replace(':', "\\:")),
    };
    format!("{names}[{}]{value}\"", brief(option))
}

#[test]
fn the_completion_of_fish_has_the_options() {
    let mut made = String::new();
    let mut add = |condition: &str, rest: &str| {
        made += &format!("complete -c flashpolicyd -n {condition} {rest}\n");
    };
    for command in &COMMANDS {
        add(
            "$first",
            &format!("-a {} -d \"{}\"", command.name, summary(command)),
        );
    }
    let all = COMMANDS.iter().flat_map(|command| {
        let options = shown(command.options()).into_iter();
        options.map(move |option| (fish(option, &codes(command)), command))
    });
    for (line, commands) in grouped(all) {
        // `serve` is also the command when none is named.
        let others = COMMANDS
            .iter()
            .filter(|c| commands.iter().all(|with| with.name != c.name));
        let condition = if commands.iter().any(|command| command.name == "serve") {
            format!("'not __fish_seen_subcommand_from {}'", names(others, " "))
        } else {
            format!("'__fish_seen_subcommand_from {}'", names(commands, " "))
        };
        add(&condition, &line);
    }
    let topics: Vec<_> = help::all_topics().collect();
    add(
        "'__fish_seen_subcommand_from help'",
        &format!("-xa '{}'", topics.join(" ")),
    );
    compare("completions/flashpolicyd.fish", &made);
}

/// `-s q -l quiet -d "only the first line"`.
fn fish(option: &Opt, codes: &[&str]) -> String {
    let value = match option.value {
        _ if is_ignore(option) => {
            let codes = codes.join(",");
            format!(" -xa '(__fish_complete_list , \"string split , {codes}\")'")
        }
        Value::Flag => String::new(),
        Value::File => " -rF".into(),
        Value::Word(words) => format!(" -xa '{}'", words.join(" ")),
        Value::Text | Value::Texts => " -x".into(),
    };
    let short = short(option).map_or(String::new(), |short| format!("-s {} ", &short[1..]));
    format!(
        "{short}-l {}{value} -d \"{}\"",
        &option.name()[2..],
        brief(option)
    )
}

#[test]
fn an_option_is_well_formed() {
    for command in &COMMANDS {
        let mut names: Vec<_> = command.options().map(Opt::name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "{}", command.name);
        for option in command.options() {
            let label = option.label;
            assert!(option.name().len() > 2 && label.len() < 20, "{label}");
            assert_eq!(
                label.ends_with(option.name()),
                option.value == Value::Flag,
                "{label}"
            );
            let may_repeat = option.text.ends_with("; may repeat");
            assert_eq!(may_repeat, option.value == Value::Texts, "{label}");
            let text = option.text.chars().next();
            assert!(text.is_none_or(char::is_lowercase), "{label}");
        }
    }
}

#[test]
fn an_option_of_the_configuration_has_the_default_of_its_key() {
    let conf = include_str!("../../flashpolicy.conf");
    for option in &CONFIGURATION {
        let Some(key) = option.key else {
            continue;
        };
        let mut lines = conf.lines();
        let default = lines.find_map(|line| line.strip_prefix(&format!("#{key} = ")));
        let default = format!("({})", default.unwrap());
        assert!(
            option.text.contains(&default),
            "{}: {default}",
            option.label
        );
    }
}

#[test]
fn the_words_of_an_option_are_those_that_are_taken() {
    let options = COMMANDS.iter().flat_map(|command| shown(command.options()));
    let (mut players, mut levels) = (0, 0);
    for option in options {
        let Value::Word(words) = option.value else {
            continue;
        };
        for word in words {
            assert!(option.text.contains(word), "{}: {word}", option.label);
            match option.key {
                Some(key) => {
                    let line = format!("{key} = {word}");
                    assert!(config::parse(&line, Path::new("x"), &[]).is_ok(), "{line}");
                    levels += 1;
                }
                None if option.name() == "--player" => {
                    assert!(word.parse::<Player>().is_ok(), "{word}");
                    players += 1;
                }
                None => {}
            }
        }
    }
    assert!(players > 0 && levels > 0);
}
