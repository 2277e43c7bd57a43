//! The command line becomes what is [`Asked`] for. This module prints nothing and opens no file.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use pico_args::Arguments;

use super::help;
use super::options::{COMMANDS, CONFIGURATION, Command, Opt, Value};
use crate::config::{Configured, Override};
use crate::output::text::{clip, did_you_mean, escaped, list, shown};
use crate::player::explain::Question;
use crate::player::probe::Arguments as ProbeArguments;
use crate::player::probe::command::Probe;

/// The longest path, in bytes. Source: PATH_MAX of Linux, which counts the NUL behind it.
const MAX_PATH: usize = 4095;

/// What the user asked for.
#[derive(Debug)]
pub(super) enum Asked {
    /// To print this: a page of the help, or the version.
    Text(String),
    /// This command with its arguments, or what is wrong with them.
    Command(&'static str, Result<Given, String>),
}

/// The arguments of a command.
#[derive(Debug)]
pub(super) struct Given {
    /// Each option of the command with its values; a flag that is given has an empty one.
    options: Vec<(&'static Opt, Vec<String>)>,
    /// The arguments that are no options.
    pub operands: Vec<OsString>,
}

/// Parses the arguments, without the program's name.
///
/// # Errors
/// A sentence that names the command or the topic that is wrong.
pub(super) fn parse(arguments: Vec<OsString>) -> Result<Asked, String> {
    let first = arguments.first().map(|first| first.as_encoded_bytes());
    let has_command = first.is_some_and(|first| !first.starts_with(b"-"));
    let mut arguments = Arguments::from_vec(arguments);
    if arguments.contains(["-h", "--help"]) {
        return help_of(arguments).map(Asked::Text);
    }
    if arguments.contains(["-V", "--version"]) {
        let version = concat!("flashpolicyd ", env!("CARGO_PKG_VERSION"), "\n");
        return Ok(Asked::Text(version.into()));
    }
    // pico-args takes an option that is not UTF-8 for a command.
    let name = match has_command {
        true => arguments.subcommand(),
        false => Ok(None),
    };
    let name = name.map_err(|_| "the command is not UTF-8 text".to_string())?;
    let name = name.as_deref().unwrap_or("serve");
    let command = COMMANDS.iter().find(|command| command.name == name);
    let command = command.ok_or_else(|| no_command(name))?;
    let given = Given::take(command, arguments);
    Ok(Asked::Command(command.name, given))
}

/// `--help` behind a command is that command's page; behind something else it is an overview.
fn help_of(mut arguments: Arguments) -> Result<String, String> {
    let name = arguments.subcommand().ok().flatten();
    let operands = arguments.finish();
    // `help CODE --help` asks for the code.
    if name.as_deref() == Some("help") && !operands.is_empty() {
        return help::topic(&operands);
    }
    let page = name.as_deref().and_then(help::of_command);
    Ok(page.unwrap_or_else(help::overview))
}

/// Why this is no command, and what to write.
fn no_command(name: &str) -> String {
    if Path::new(name).exists() {
        return format!(
            "'{}' is no command; to check a policy file: flashpolicyd check FILE; to serve it: \
             flashpolicyd --policy FILE; to serve a configuration: flashpolicyd --config FILE",
            shown(name)
        );
    }
    let names = COMMANDS.map(|command| command.name);
    let meant = here_called(name).or_else(|| did_you_mean(name, &names, "'"));
    let cure = meant.unwrap_or_else(|| format!("the commands are {}", list(&names)));
    format!("unknown command '{}'; {cure}", shown(name))
}

impl Given {
    /// Takes the options of the command from the arguments.
    fn take(command: &Command, mut arguments: Arguments) -> Result<Given, String> {
        let mut all: Vec<_> = command.options().collect();
        // No flag is the value of an option.
        all.sort_by_key(|option| option.value != Value::Flag);
        require_utf8(&all, arguments.clone().finish())?;
        let mut options = Vec::new();
        for option in all {
            options.push((option, values(&mut arguments, option)?));
        }
        let operands = arguments.finish();
        let left = operands.iter().map(|word| word.to_string_lossy());
        let is_option = |word: &Cow<str>| word.len() > 1 && word.starts_with('-');
        let left: Vec<_> = left
            .filter(|word| !command.operands || is_option(word))
            .collect();
        match left.as_slice() {
            [] => Ok(Given { options, operands }),
            left => Err(not_understood(left, command)),
        }
    }

    /// The policy files that `check` is to check.
    ///
    /// # Errors
    /// An empty or too long name, or an option about the configuration beside files.
    pub fn policy_files(&self) -> Result<Vec<PathBuf>, String> {
        for name in &self.operands {
            require_file("POLICY", name)?;
        }
        let given = self.options.iter().filter(|(_, values)| !values.is_empty());
        let mut names = given.map(|(option, _)| option.name());
        let of_configuration = |name| CONFIGURATION.iter().any(|option| option.name() == name);
        match names.find(|name| of_configuration(*name)) {
            Some(name) if !self.operands.is_empty() => Err(format!(
                "{name} is about the configuration, and policy files are named, which are checked \
                 without one; leave {name} or the files out"
            )),
            _ => Ok(self.operands.iter().map(PathBuf::from).collect()),
        }
    }

    /// All values of an option.
    pub fn all(&self, name: &str) -> &[String] {
        let mut options = self.options.iter();
        let option = options.find(|(option, _)| option.name() == name);
        debug_assert!(option.is_some(), "the command has no option {name}");
        option.map_or(&[], |(_, values)| values)
    }

    /// The value of an option.
    pub fn one(&self, name: &str) -> Option<String> {
        self.all(name).first().cloned()
    }

    /// Whether a flag is given.
    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// The configuration, and what stands in the place of its lines.
    pub fn configured(&self) -> Configured {
        let mut overrides = Vec::new();
        for (option, values) in &self.options {
            overrides.extend(values.iter().filter_map(|value| {
                Some(Override {
                    option: option.name(),
                    key: option.key?,
                    value: value.clone(),
                })
            }));
        }
        Configured {
            file: self.one("--config").map(PathBuf::from),
            overrides,
            inherited: Vec::new(),
        }
    }

    /// What `explain` is asked.
    ///
    /// # Errors
    /// How to ask it.
    pub fn question(&self) -> Result<Question, String> {
        let words = self.operands.iter().map(|word| word.to_string_lossy());
        let words: Vec<_> = words.collect();
        let (from, to) = match (self.one("--from"), self.one("--to"), words.as_slice()) {
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
        let player = self.one("--player");
        Ok(Question { from, to, player })
    }

    /// What `probe` is to find out.
    ///
    /// # Errors
    /// How to ask it.
    pub fn probe(&self) -> Result<Probe, String> {
        let [host] = self.operands.as_slice() else {
            return Err("probe takes one argument: HOST, the host that the SWF connects to".into());
        };
        Ok(Probe {
            arguments: ProbeArguments {
                host: host.to_string_lossy().into_owned(),
                from: self.one("--from"),
                to: self.one("--to"),
                load: self.all("--load").into(),
                port: self.one("--port"),
                timeout: self.one("--timeout"),
                player: self.one("--player"),
                ignore: self.all("--ignore").into(),
                errors_only: self.has("--errors-only"),
                tls: self.has("--tls"),
            },
            json: self.has("--json"),
            quiet: self.has("--quiet"),
        })
    }
}

/// Names an option whose value is not UTF-8: pico-args does not.
fn require_utf8(options: &[&Opt], arguments: Vec<OsString>) -> Result<(), String> {
    let mut before = None;
    for argument in &arguments {
        let bytes = argument.as_encoded_bytes();
        let mut parts = bytes.splitn(2, |byte| *byte == b'=');
        let named = parts.next().and_then(|name| {
            let named = |option: &&&Opt| option.value != Value::Flag && option.is_named(name);
            options.iter().find(named)
        });
        let value = parts.next();
        let of = if value.is_some() { named } else { before };
        if let Some(option) = of.filter(|_| argument.to_str().is_none()) {
            let value = escaped(value.unwrap_or(bytes));
            let cure = match option.value {
                Value::File => "rename the file, or make a link to it",
                _ => "expected UTF-8",
            };
            let (name, value) = (option.name(), shown(&value));
            return Err(format!("{name} '{value}' is not UTF-8 text; {cure}"));
        }
        before = named;
    }
    Ok(())
}

/// Takes the values of an option; a flag has empty ones.
fn values(arguments: &mut Arguments, option: &Opt) -> Result<Vec<String>, String> {
    let name = option.name();
    let given = if option.value == Value::Flag {
        let flags = std::iter::from_fn(|| arguments.contains(option.keys()).then(String::new));
        flags.collect()
    } else {
        let taken =
            arguments.values_from_fn(option.keys(), |value| Ok::<_, String>(value.to_owned()));
        taken.map_err(|error| error.to_string())?
    };
    if given.len() > 1 && option.value != Value::Texts {
        let times = given.len();
        return Err(format!("{name} is given {times} times; expected once"));
    }
    if option.value == Value::File {
        for value in &given {
            require_file(name, OsStr::new(value))?;
        }
    }
    Ok(given)
}

/// Refuses what no file has as its path; messages name paths in full.
fn require_file(what: &str, path: &OsStr) -> Result<(), String> {
    match path.len() {
        0 => Err(format!("{what} is empty; expected a file")),
        1..=MAX_PATH => Ok(()),
        bytes => Err(format!(
            "{what} '{}' has {bytes} bytes; expected a path of {MAX_PATH} at most",
            shown(&path.to_string_lossy())
        )),
    }
}

/// The command for what other servers call so.
fn here_called(word: &str) -> Option<String> {
    let command = match word.trim_start_matches('-') {
        "daemon" | "daemonize" | "background" | "d" => "start",
        "run" | "foreground" => "serve",
        "takeover" => "restart",
        "test" => "check",
        _ => return None,
    };
    Some(format!("write: flashpolicyd {command}"))
}

/// Names what was not understood, and the option that was probably meant.
fn not_understood(left: &[Cow<str>], command: &Command) -> String {
    let is_command = |word: &&Cow<str>| COMMANDS.iter().any(|command| command.name == **word);
    if let Some(name) = left.iter().find(is_command) {
        return format!("'{name}' stands first: flashpolicyd {name} [options]");
    }
    let known = command.options().filter(|option| option.is_shown());
    let known: Vec<_> = known.map(Opt::name).chain(["--help"]).collect();
    let meant = left.iter().find_map(|word| {
        let name = word.split('=').next().filter(|name| name.starts_with("--"));
        here_called(word).or_else(|| did_you_mean(name?, &known, ""))
    });
    let cure = meant.map_or_else(String::new, |meant| format!("; {meant}"));
    let quoted = left.iter().map(|word| format!("'{}'", shown(word)));
    let quoted = Vec::from_iter(quoted).join(", ");
    format!("not understood: {}{cure}", clip(&quoted))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a line asks for, and its arguments.
    fn parsed(line: &str) -> Result<(&'static str, Given), String> {
        match parse(line.split_whitespace().map(OsString::from).collect())? {
            Asked::Command(name, given) => Ok((name, given?)),
            Asked::Text(text) => panic!("{line}: {text}"),
        }
    }

    fn text(line: &str) -> Result<String, String> {
        match parse(line.split_whitespace().map(OsString::from).collect())? {
            Asked::Text(text) => Ok(text),
            Asked::Command("help", given) => help::topic(&given?.operands),
            Asked::Command(..) => panic!("{line}"),
        }
    }

    #[test]
    fn serve_is_the_command_when_none_is_named() {
        for line in ["", "serve", "serve -c x.conf", "--config=x.conf"] {
            assert_eq!(parsed(line).unwrap().0, "serve", "{line}");
        }
    }

    #[test]
    fn options_become_overrides_of_their_keys() {
        let line = "--listen 127.0.0.1:1 --workers=4 --listen [::1]:2 --policy p.xml";
        let (_, given) = parsed(line).unwrap();
        assert!(!given.has("--detached"));
        let Configured {
            file, overrides, ..
        } = given.configured();
        assert_eq!(file, None);
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
                "unknown command 'xyz'; the commands are init, serve, start, stop, restart, reload, \
                 status, check, policy, explain, probe and help",
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
                "serve --takeover -c x",
                "not understood: '--takeover'; write: flashpolicyd restart",
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
            ("probe a.example --log-fil x", "not understood: '--log-fil'"),
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
            let question = parsed(line).unwrap().1.question().unwrap();
            assert_eq!((&*question.from, &*question.to), ("a.example", "80,90-95"));
        }
        for line in ["explain --from a.example 80", "explain a.example"] {
            let error = parsed(line).unwrap().1.question().unwrap_err();
            assert_eq!(
                error,
                "explain takes an origin and ports; write: flashpolicyd explain --from \
                 https://game.example.com --to 2001"
            );
        }
    }

    #[test]
    fn each_command_has_its_help() {
        for command in COMMANDS.map(|command| command.name) {
            for line in [
                format!("help {command}"),
                format!("{command} --help"),
                format!("{command} -h"),
            ] {
                let help = text(&line).unwrap();
                assert!(
                    help.starts_with(&format!("flashpolicyd {command}: ")),
                    "{line}"
                );
            }
        }
        assert!(text("probe a -h").is_ok());
        for line in ["help", "--help", "-h", "x --help"] {
            assert_eq!(text(line).unwrap(), help::overview(), "{line}");
        }
        assert!(
            text("help sevre")
                .unwrap_err()
                .ends_with("did you mean 'serve'?")
        );
    }
}
