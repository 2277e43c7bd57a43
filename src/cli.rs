//! The command line becomes a [`Command`]. It opens no file and prints nothing.

use std::ffi::OsString;
use std::path::PathBuf;

use pico_args::Arguments;

use crate::config::Override;

/// What `--help` prints; it fits one screen.
pub const HELP: &str = "\
flashpolicyd: answers Flash Player's <policy-file-request/> on port 843

usage: flashpolicyd [serve] [options]

  -c, --config FILE     configuration; else ./flashpolicy.conf, else
                        /etc/flashpolicy.conf, else the built-in defaults
      --listen ADDR:PORT  address to listen on, such as 0.0.0.0:843; may repeat
      --policy FILE     policy to serve; else one that allows everything
      --workers N       threads that talk to clients (256)
      --timeout SECONDS time that a client has for its request (3)
      --log-file FILE   the log, or 'none' (flashpolicy.log)
      --log-level LEVEL error, warn, info or debug (info)
      --pid-file FILE   where to write the process id
  -h, --help            this text
  -V, --version         the version

examples:
  flashpolicyd                                  as flashpolicy.conf says
  flashpolicyd --listen 127.0.0.1:8843          try it without root
  printf '<policy-file-request/>\\0' | nc 127.0.0.1 8843     ask it
signals: SIGTERM or ctrl-c stops it after the last client, twice at once
";

/// What the user asked for.
#[derive(Debug)]
pub enum Command {
    /// Serve policies.
    Serve {
        /// The configuration file that was named.
        config: Option<PathBuf>,
        /// Options that win over the file.
        overrides: Vec<Override>,
    },
    /// Print the help.
    Help,
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
        return Ok(Command::Help);
    }
    if arguments.contains(["-V", "--version"]) {
        return Ok(Command::Version);
    }
    let subcommand = arguments
        .subcommand()
        .map_err(|_| "the command is not UTF-8 text".to_string())?;
    match subcommand.as_deref() {
        None | Some("serve") => serve(arguments),
        Some("help") => Ok(Command::Help),
        Some(other) => Err(format!(
            "unknown command '{}'; expected serve",
            other.escape_debug()
        )),
    }
}

fn serve(mut arguments: Arguments) -> Result<Command, String> {
    let config = one(
        "--config",
        values(&mut arguments, ["-c", "--config"].into())?,
    )?;
    let mut overrides = Vec::new();
    for (option, key) in OVERRIDES {
        let given = values(&mut arguments, option.into())?;
        let given = if key == "listen" {
            given
        } else {
            one(option, given)?.into_iter().collect()
        };
        overrides.extend(
            given
                .into_iter()
                .map(|value| Override { option, key, value }),
        );
    }
    nothing_left(arguments)?;
    Ok(Command::Serve {
        config: config.map(PathBuf::from),
        overrides,
    })
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

fn nothing_left(arguments: Arguments) -> Result<(), String> {
    let left: Vec<_> = arguments
        .finish()
        .iter()
        .map(|argument| format!("'{}'", argument.to_string_lossy().escape_debug()))
        .collect();
    if left.is_empty() {
        Ok(())
    } else {
        Err(format!("not understood: {}", left.join(", ")))
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
            config: None,
            overrides,
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
            ("serve --wrokers 4", "not understood: '--wrokers', '4'"),
            ("start", "unknown command 'start'; expected serve"),
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
    fn the_help_fits_one_screen() {
        assert!(HELP.lines().count() <= 24);
        assert!(HELP.lines().all(|line| line.len() < 80));
    }
}
