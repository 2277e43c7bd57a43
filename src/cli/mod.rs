//! The command line becomes a [`Command`]. This module prints nothing and opens no file.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::PathBuf;

use pico_args::Arguments;

use crate::config::ignore::Ignored;
use crate::config::{Configured, Override};
use crate::daemon::commands::Action;
use crate::daemon::commands::init::Answers;
use crate::output::text::{did_you_mean, shown};
use crate::player::explain::Question;
use crate::player::probe::Arguments as ProbeArguments;
use crate::player::probe::command::Probe;
use crate::player::probe::plan::ignored;

#[cfg(windows)]
mod double_click;
mod help;
mod run;

pub use crate::player::print::usage;
#[cfg(windows)]
pub use double_click::run as without_arguments;
pub use run::run;

/// The commands, for "did you mean".
const COMMANDS: [&str; 12] = [
    "init", "serve", "start", "stop", "restart", "reload", "status", "check", "policy", "explain",
    "probe", "help",
];

/// What other servers call what a command does here.
const OTHER_NAMES: [(&str, &str); 10] = [
    ("daemon", "start"),
    ("daemonize", "start"),
    ("background", "start"),
    ("--daemon", "start"),
    ("--daemonize", "start"),
    ("--background", "start"),
    ("-d", "start"),
    ("run", "serve"),
    ("--foreground", "serve"),
    ("--test", "check"),
];

/// What the user asked for.
#[derive(Debug)]
pub enum Command {
    /// Write a first configuration.
    Init {
        /// The file.
        file: Option<PathBuf>,
        /// The answers to its questions.
        answers: Answers,
    },
    /// Serve policies.
    Serve {
        /// The configuration.
        configured: Configured,
        /// In the background, for a starter that waits.
        detached: bool,
    },
    /// Do something with a server in the background.
    Service {
        /// What.
        action: Action,
        /// Which one.
        configured: Configured,
    },
    /// Find mistakes.
    Check {
        /// The configuration to check, when no files are named.
        configured: Configured,
        /// The policy files to check in its place.
        files: Vec<PathBuf>,
        /// Whether warnings count as errors.
        strict: bool,
        /// Warnings that are accepted.
        ignore: Ignored,
        /// As JSON.
        json: bool,
    },
    /// Show what would be served.
    Policy {
        /// The configuration.
        configured: Configured,
        /// As JSON.
        json: bool,
    },
    /// Tell whether connections would be allowed.
    Explain {
        /// The configuration that is asked.
        configured: Configured,
        /// What is asked.
        question: Question,
        /// As JSON.
        json: bool,
    },
    /// Ask a server, or what is wrong with the arguments: a monitoring plugin has an exit code of
    /// its own for that.
    Probe(Result<Probe, String>),
    /// Print a page of the help.
    Help(Cow<'static, str>),
    /// Print the version.
    Version,
}

/// The options that set a key of the configuration.
const OVERRIDES: [(&str, &str); 7] = [
    ("--listen", "listen"),
    ("--policy", "policy_file"),
    ("--workers", "workers"),
    ("--timeout", "timeout"),
    ("--log-file", "log_file"),
    ("--log-level", "log_level"),
    ("--pid-file", "pid_file"),
];

/// Parses the arguments, without the program's name.
///
/// # Errors
/// A sentence that names the argument that is wrong.
pub fn parse(arguments: Vec<OsString>) -> Result<Command, String> {
    let mut arguments = Arguments::from_vec(arguments);
    if arguments.contains(["-h", "--help"]) {
        return help(arguments);
    }
    if arguments.contains(["-V", "--version"]) {
        return Ok(Command::Version);
    }
    let subcommand = arguments
        .subcommand()
        .map_err(|_| "the command is not UTF-8 text".to_string())?;
    match subcommand.as_deref() {
        None | Some("serve") => {
            if arguments.contains("--takeover") {
                return Err(
                    "there is no --takeover any more: 'flashpolicyd restart' checks the new \
                            configuration, stops the running server and starts a new one"
                        .into(),
                );
            }
            // For `start` and `restart` alone, and so in no help.
            let detached = arguments.contains("--detached");
            let configured = configured(&mut arguments)?;
            nothing_left(arguments, &[])?;
            Ok(Command::Serve {
                configured,
                detached,
            })
        }
        Some("init") => init(arguments),
        Some("start") => service(arguments, Action::Start),
        Some("stop") => service(arguments, Action::Stop),
        Some("restart") => service(arguments, Action::Restart),
        Some("reload") => service(arguments, Action::Reload),
        Some("status") => {
            let json = arguments.contains("--json");
            service(arguments, Action::Status { json })
        }
        Some("check") => check(arguments),
        Some("policy") => {
            let json = arguments.contains("--json");
            let configured = configured(&mut arguments)?;
            nothing_left(arguments, &["--json"])?;
            Ok(Command::Policy { configured, json })
        }
        Some("explain") => explain(arguments),
        Some("probe") => Ok(Command::Probe(probe(arguments))),
        Some("help") => match arguments.subcommand() {
            Ok(Some(topic)) => help::page(&topic).map(Command::Help),
            _ => Ok(Command::Help(help::OVERVIEW.into())),
        },
        Some(file) if std::path::Path::new(file).exists() => Err(format!(
            "'{}' is no command; to check a policy file: flashpolicyd check FILE; to serve it: \
             flashpolicyd --policy FILE; to serve a configuration: flashpolicyd --config FILE",
            shown(file)
        )),
        Some(other) => {
            let here = here_called(other).or_else(|| did_you_mean(other, &COMMANDS, "'"));
            let cure = here.unwrap_or_else(|| {
                "expected init, serve, start, stop, restart, reload, status, check, policy, explain \
                 or probe"
                    .into()
            });
            Err(format!("unknown command '{}'; {cure}", shown(other)))
        }
    }
}

fn service(mut arguments: Arguments, action: Action) -> Result<Command, String> {
    let configured = configured(&mut arguments)?;
    nothing_left(arguments, &["--json"])?;
    Ok(Command::Service { action, configured })
}

/// `--help` behind a command is that command's page; behind something else it is an overview.
fn help(mut arguments: Arguments) -> Result<Command, String> {
    let command = arguments.subcommand().ok().flatten();
    // `help CODE --help` asks for the code.
    if command.as_deref() == Some("help") {
        if let Ok(Some(topic)) = arguments.subcommand() {
            return help::page(&topic).map(Command::Help);
        }
    }
    let page = command.as_deref().and_then(help::of_command);
    Ok(Command::Help(page.unwrap_or(help::OVERVIEW).into()))
}

fn init(mut arguments: Arguments) -> Result<Command, String> {
    let mut single = |option: &'static str| one(option, values(&mut arguments, option.into())?);
    let (from, to, by) = (single("--from")?, single("--to")?, single("--by")?);
    let file = one(
        "--config",
        values(&mut arguments, ["-c", "--config"].into())?,
    )?;
    nothing_left(arguments, &["--from", "--to", "--by"])?;
    Ok(Command::Init {
        file: file.map(PathBuf::from),
        answers: Answers { from, to, by },
    })
}

fn check(mut arguments: Arguments) -> Result<Command, String> {
    let strict = arguments.contains("--strict");
    let json = arguments.contains("--json");
    let ignore = ignored(&values(&mut arguments, "--ignore".into())?)?;
    let configured = configured(&mut arguments)?;
    let files = free(arguments, &["--strict", "--json", "--ignore"])?;
    Ok(Command::Check {
        configured,
        files: files.into_iter().map(PathBuf::from).collect(),
        strict,
        ignore,
        json,
    })
}

fn explain(mut arguments: Arguments) -> Result<Command, String> {
    const OWN: [&str; 4] = ["--from", "--to", "--player", "--json"];
    let json = arguments.contains("--json");
    let mut single = |option: &'static str| one(option, values(&mut arguments, option.into())?);
    let (from, to, player) = (single("--from")?, single("--to")?, single("--player")?);
    let configured = configured(&mut arguments)?;
    let free = free(arguments, &OWN)?;
    let words: Vec<_> = free.iter().map(|word| word.to_string_lossy()).collect();
    let (from, to) = match (from, to, words.as_slice()) {
        (Some(from), Some(to), []) => (from, to),
        (None, None, [from, to]) => (from.to_string(), to.to_string()),
        _ => {
            return Err(
                "explain takes an origin and ports; write: flashpolicyd explain --from \
                 https://game.example.com --to 2001"
                    .into(),
            );
        }
    };
    Ok(Command::Explain {
        configured,
        question: Question { from, to, player },
        json,
    })
}

const PROBE_OPTIONS: [&str; 11] = [
    "--from",
    "--to",
    "--load",
    "--port",
    "--timeout",
    "--player",
    "--ignore",
    "--errors-only",
    "--tls",
    "--json",
    "--quiet",
];

fn probe(mut arguments: Arguments) -> Result<Probe, String> {
    let json = arguments.contains("--json");
    let quiet = arguments.contains(["-q", "--quiet"]);
    let (errors_only, tls) = (
        arguments.contains("--errors-only"),
        arguments.contains("--tls"),
    );
    let mut single = |option: &'static str| one(option, values(&mut arguments, option.into())?);
    let (from, to) = (single("--from")?, single("--to")?);
    let (port, timeout) = (single("--port")?, single("--timeout")?);
    let player = single("--player")?;
    let load = values(&mut arguments, "--load".into())?;
    let ignore = values(&mut arguments, "--ignore".into())?;
    match free(arguments, &PROBE_OPTIONS)?.as_slice() {
        [host] => Ok(Probe {
            arguments: ProbeArguments {
                host: host.to_string_lossy().into_owned(),
                from,
                to,
                load,
                port,
                timeout,
                player,
                ignore,
                errors_only,
                tls,
            },
            json,
            quiet,
        }),
        _ => Err("probe takes one argument: HOST, the host that the SWF connects to".into()),
    }
}

fn configured(arguments: &mut Arguments) -> Result<Configured, String> {
    let file = one("--config", values(arguments, ["-c", "--config"].into())?)?;
    let mut overrides = Vec::new();
    for (option, key) in OVERRIDES {
        let mut given = values(arguments, option.into())?;
        if key != "listen" {
            given = Vec::from_iter(one(option, given)?);
        }
        let set = |value| Override { option, key, value };
        overrides.extend(given.into_iter().map(set));
    }
    Ok(Configured {
        file: file.map(PathBuf::from),
        overrides,
        inherited: Vec::new(),
    })
}

/// What is left when the options are taken, as long as it is no option itself; `own` are those of
/// the command. A single `-` is standard input.
fn free(arguments: Arguments, own: &[&'static str]) -> Result<Vec<OsString>, String> {
    let left = arguments.finish();
    let is_option =
        |argument: &OsString| argument.len() > 1 && argument.to_string_lossy().starts_with('-');
    if left.iter().any(is_option) {
        return Err(not_understood(left.iter().filter(|a| is_option(a)), own));
    }
    Ok(left)
}

/// Every value of a repeatable option.
fn values(arguments: &mut Arguments, keys: pico_args::Keys) -> Result<Vec<String>, String> {
    arguments
        .values_from_fn(keys, |value| Ok::<_, String>(value.to_owned()))
        .map_err(|error| error.to_string())
}

fn one(option: &str, mut given: Vec<String>) -> Result<Option<String>, String> {
    match given.len() {
        0 | 1 => Ok(given.pop()),
        times => Err(format!("{option} is given {times} times; expected once")),
    }
}

fn nothing_left(arguments: Arguments, own: &[&'static str]) -> Result<(), String> {
    let left = arguments.finish();
    if left.is_empty() {
        Ok(())
    } else {
        Err(not_understood(left.iter(), own))
    }
}

/// The command for a word of other servers.
fn here_called(word: &str) -> Option<String> {
    let (_, command) = OTHER_NAMES.iter().find(|(other, _)| *other == word)?;
    Some(format!("write: flashpolicyd {command}"))
}

/// Names what was not understood, and the option that was probably meant.
fn not_understood<'a>(
    arguments: impl Iterator<Item = &'a OsString>,
    own: &[&'static str],
) -> String {
    let common = OVERRIDES.iter().map(|(option, _)| *option);
    let known: Vec<_> = own
        .iter()
        .copied()
        .chain(common)
        .chain(["--config", "--help"])
        .collect();
    let mut meant = None;
    let mut quoted = Vec::new();
    for argument in arguments {
        let text = argument.to_string_lossy();
        if let Some(command) = COMMANDS.iter().find(|command| **command == text) {
            return format!("'{command}' stands first: flashpolicyd {command} [options]");
        }
        quoted.push(format!("'{}'", shown(&text)));
        meant = meant.or_else(|| here_called(&text));
        let name = text.split('=').next().unwrap_or_default();
        if name.starts_with("--") {
            meant = meant.or_else(|| did_you_mean(name, &known, ""));
        }
    }
    match meant {
        Some(meant) => format!("not understood: {}; {meant}", quoted.join(", ")),
        None => format!("not understood: {}", quoted.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn serve_is_the_command_when_none_is_named() {
        for line in ["", "serve", "serve -c x.conf", "--config=x.conf"] {
            assert!(matches!(parsed(line), Ok(Command::Serve { .. })), "{line}");
        }
    }

    #[test]
    fn options_become_overrides_of_their_keys() {
        let line = "--listen 127.0.0.1:1 --workers=4 --listen [::1]:2 --policy p.xml";
        let Ok(Command::Serve {
            configured:
                Configured {
                    file: None,
                    overrides,
                    ..
                },
            detached: false,
        }) = parsed(line)
        else {
            panic!("not a serve command");
        };
        let given: Vec<_> = overrides
            .iter()
            .map(|o| (o.option, o.key, o.value.as_str()))
            .collect();
        assert_eq!(
            given,
            [
                ("--listen", "listen", "127.0.0.1:1"),
                ("--listen", "listen", "[::1]:2"),
                ("--policy", "policy_file", "p.xml"),
                ("--workers", "workers", "4"),
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, expected) in [
            (
                "serve --wrokers 4",
                "not understood: '--wrokers', '4'; did you mean --workers?",
            ),
            (
                "-c x.conf check",
                "'check' stands first: flashpolicyd check [options]",
            ),
            ("chek", "unknown command 'chek'; did you mean 'check'?"),
            (
                "xyz",
                "unknown command 'xyz'; expected init, serve, start, stop, restart, reload, status, \
                 check, policy, explain or probe",
            ),
            (
                "daemonize",
                "unknown command 'daemonize'; write: flashpolicyd start",
            ),
            (
                "serve --daemon",
                "not understood: '--daemon'; write: flashpolicyd start",
            ),
            (
                "check --strikt x.xml",
                "not understood: '--strikt'; did you mean --strict?",
            ),
            ("check --nothing", "not understood: '--nothing'"),
            (
                "explain --frm a --to 80",
                "not understood: '--frm'; did you mean --from?",
            ),
            (
                "--log_file x",
                "not understood: '--log_file', 'x'; did you mean --log-file?",
            ),
            (
                "check --ignore ip-domains",
                "--ignore `ip-domains` is no code; did you mean `ip-domain`?",
            ),
            (
                "explain game.example.com",
                "explain takes an origin and ports; write: flashpolicyd explain --from https://game.example.com --to 2001",
            ),
            (
                "--workers 1 --workers 2",
                "--workers is given 2 times; expected once",
            ),
            (
                "--workers",
                "the '--workers' option doesn't have an associated value",
            ),
        ] {
            assert_eq!(parsed(line).unwrap_err(), expected, "{line}");
        }
    }

    #[test]
    fn explain_is_asked_like_probe_or_with_two_words() {
        for line in [
            "explain a.example 80,90-95",
            "explain --to 80,90-95 --from a.example",
        ] {
            let Ok(Command::Explain { question, .. }) = parsed(line) else {
                panic!("{line}");
            };
            assert_eq!((&*question.from, &*question.to), ("a.example", "80,90-95"));
        }
        assert!(parsed("explain --from a.example 80").is_err());
    }

    #[test]
    fn each_command_has_its_help() {
        for command in COMMANDS {
            for line in [
                format!("help {command}"),
                format!("{command} --help"),
                format!("{command} -h"),
            ] {
                let Ok(Command::Help(help)) = parsed(&line) else {
                    panic!("{line}");
                };
                assert!(
                    help.starts_with(&format!("flashpolicyd {command}: ")),
                    "{line}"
                );
            }
        }
        assert!(matches!(parsed("probe a -h"), Ok(Command::Help(_))));
        for line in ["help", "--help", "-h", "x --help"] {
            let Ok(Command::Help(help)) = parsed(line) else {
                panic!("{line}");
            };
            assert_eq!(help, help::OVERVIEW, "{line}");
        }
        assert!(
            parsed("help sevre")
                .unwrap_err()
                .ends_with("did you mean 'serve'?")
        );
    }
}
