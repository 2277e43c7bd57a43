//! The command line becomes a [`Command`]. It prints nothing.

use std::ffi::OsString;
use std::path::PathBuf;

use pico_args::Arguments;

use crate::config::{Configured, Override};
use crate::probe::Arguments as ProbeArguments;

/// What `--help` prints; it fits one screen.
pub const HELP: &str = "\
flashpolicyd: answers Flash Player's <policy-file-request/> on port 843

  flashpolicyd [serve] [options]          serve until SIGTERM or ctrl-c
  flashpolicyd start|stop|restart|reload|status [--json] [options]
                                          a server in the background
  flashpolicyd check [--strict] [FILE…]   find mistakes in the configuration
                                          and its policies, or in policy files
  flashpolicyd policy                     what would be served, and its meaning
  flashpolicyd explain ORIGIN PORT        may a SWF from ORIGIN use PORT?
  flashpolicyd probe HOST [options]       ask a server what a player asks, and
                                          why it is refused; see probe --help

  -c, --config FILE      else ./flashpolicy.conf, else /etc/flashpolicy.conf
  --listen ADDR:PORT     address to listen on, such as 0.0.0.0:843; may repeat
  --policy FILE          policy to serve
  --workers N            threads that talk to clients (auto: as the processors)
  --timeout SECONDS      time that a client has for its request (3)
  --log-file FILE        the log, or 'none' (flashpolicy.log)
  --log-level LEVEL      error, warn, info or debug (info)
  --pid-file FILE        where to write the process id
  -h, --help; -V, --version

  flashpolicyd --listen 127.0.0.1:8843       try it without root
  printf '<policy-file-request/>\\0' | nc 127.0.0.1 8843     and ask it
";

/// What `probe --help` prints; it fits one screen too.
pub const PROBE_HELP: &str = "\
flashpolicyd probe: asks a server what Flash Player would ask, and says why not

  flashpolicyd probe HOST                            is its policy served well?
  flashpolicyd probe HOST --from ORIGIN --to PORTS   may this SWF connect?

  HOST                the host that the SWF connects to: a name or an address
  --from ORIGIN       where the SWF is loaded from: www.example.com (http),
                      https://www.example.com, an IP address, or file:
  --to PORT[,PORT…]   the ports that it connects to
  --load HOST:PORT    what it loads by loadPolicyFile(\"xmlsocket://HOST:PORT\");
                      may repeat
  --port PORT         ask this port as if it were 843
  --timeout SECONDS   wait this long for each answer (3 on port 843, else 20)
  --json              one JSON object
  --quiet             only the first line, which is a monitoring plugin's

Exit codes: 0 fine; 1 warnings; 2 denied, unreachable or invalid; 3 usage

  flashpolicyd probe game.example.com --from www.example.com --to 2001,3001
";

/// What the user asked for.
#[derive(Debug)]
pub enum Command {
    /// Serve policies.
    Serve {
        /// The configuration.
        configured: Configured,
        /// In place of the server that runs.
        takeover: bool,
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
    },
    /// Show what would be served.
    Policy(Configured),
    /// Tell whether a connection would be allowed.
    Explain {
        /// The configuration that is asked.
        configured: Configured,
        /// Where the SWF comes from, as it was typed.
        origin: String,
        /// The port that it wants to connect to, as it was typed.
        port: String,
    },
    /// Ask a server, or what is wrong with the arguments: a monitoring plugin has an exit code of
    /// its own for that.
    Probe(Result<Probe, String>),
    /// Print the help of the probe.
    ProbeHelp,
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

/// What can be done with a server in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Start a new one in the place of the one that runs.
    Restart,
    /// Have it read the configuration and the policies anew.
    Reload,
    /// Tell how it is.
    Status {
        /// As JSON.
        json: bool,
    },
}

/// A probe, and how to tell what it found.
#[derive(Clone, Debug)]
pub struct Probe {
    /// What it is to find out, as it was typed.
    pub arguments: ProbeArguments,
    /// As JSON.
    pub json: bool,
    /// The first line alone.
    pub quiet: bool,
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
        return Ok(match arguments.subcommand() {
            Ok(Some(command)) if command == "probe" => Command::ProbeHelp,
            _ => Command::Help,
        });
    }
    if arguments.contains(["-V", "--version"]) {
        return Ok(Command::Version);
    }
    let subcommand = arguments
        .subcommand()
        .map_err(|_| "the command is not UTF-8 text".to_string())?;
    match subcommand.as_deref() {
        None | Some("serve") => {
            let takeover = arguments.contains("--takeover");
            // For `start` and `restart` alone, and so in no help.
            let detached = arguments.contains("--detached");
            let configured = configured(&mut arguments)?;
            nothing_left(arguments)?;
            Ok(Command::Serve {
                configured,
                takeover,
                detached,
            })
        }
        Some("start") => service(arguments, Action::Start),
        Some("stop") => service(arguments, Action::Stop),
        Some("restart") => service(arguments, Action::Restart),
        Some("reload") => service(arguments, Action::Reload),
        Some("status") => {
            let json = arguments.contains("--json");
            service(arguments, Action::Status { json })
        }
        Some("check") => {
            let strict = arguments.contains("--strict");
            let configured = configured(&mut arguments)?;
            let files = free(arguments)?;
            Ok(Command::Check {
                configured,
                files: files.into_iter().map(PathBuf::from).collect(),
                strict,
            })
        }
        Some("policy") => {
            let configured = configured(&mut arguments)?;
            nothing_left(arguments)?;
            Ok(Command::Policy(configured))
        }
        Some("explain") => {
            let configured = configured(&mut arguments)?;
            let mut free = free(arguments)?.into_iter();
            match (free.next(), free.next(), free.next()) {
                (Some(origin), Some(port), None) => Ok(Command::Explain {
                    configured,
                    origin: origin.to_string_lossy().into_owned(),
                    port: port.to_string_lossy().into_owned(),
                }),
                _ => Err(
                    "explain takes two arguments, ORIGIN and PORT: flashpolicyd explain \
                          https://game.example.com 2001"
                        .into(),
                ),
            }
        }
        Some("probe") => Ok(Command::Probe(probe(arguments))),
        Some("help") => Ok(Command::Help),
        Some(file) if std::path::Path::new(file).exists() => Err(format!(
            "'{}' is no command; to look at a policy file: flashpolicyd check FILE; to serve it: \
             flashpolicyd --policy FILE; to serve a configuration: flashpolicyd --config FILE",
            file.escape_debug()
        )),
        Some(other) => Err(format!(
            "unknown command '{}'; expected serve, start, stop, restart, reload, \
             status, check, policy, explain or probe",
            other.escape_debug()
        )),
    }
}

fn service(mut arguments: Arguments, action: Action) -> Result<Command, String> {
    let configured = configured(&mut arguments)?;
    nothing_left(arguments)?;
    Ok(Command::Service { action, configured })
}

fn probe(mut arguments: Arguments) -> Result<Probe, String> {
    let json = arguments.contains("--json");
    let quiet = arguments.contains(["-q", "--quiet"]);
    let mut single = |option: &'static str| one(option, values(&mut arguments, option.into())?);
    let (from, to) = (single("--from")?, single("--to")?);
    let (port, timeout) = (single("--port")?, single("--timeout")?);
    let load = values(&mut arguments, "--load".into())?;
    match free(arguments)?.as_slice() {
        [host] => Ok(Probe {
            arguments: ProbeArguments {
                host: host.to_string_lossy().into_owned(),
                from,
                to,
                load,
                port,
                timeout,
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
        let given = values(arguments, option.into())?;
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
    Ok(Configured {
        file: file.map(PathBuf::from),
        overrides,
        inherited: Vec::new(),
    })
}

/// What is left when the options are taken, as long as it is no option itself.
fn free(arguments: Arguments) -> Result<Vec<OsString>, String> {
    let left = arguments.finish();
    let is_option = |argument: &OsString| argument.to_string_lossy().starts_with('-');
    if left.iter().any(is_option) {
        return Err(not_understood(left.iter().filter(|a| is_option(a))));
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

fn nothing_left(arguments: Arguments) -> Result<(), String> {
    let left = arguments.finish();
    if left.is_empty() {
        Ok(())
    } else {
        Err(not_understood(left.iter()))
    }
}

fn not_understood<'a>(arguments: impl Iterator<Item = &'a OsString>) -> String {
    let quoted: Vec<_> = arguments
        .map(|argument| format!("'{}'", argument.to_string_lossy().escape_debug()))
        .collect();
    format!("not understood: {}", quoted.join(", "))
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
            takeover: false,
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
            ("serve --wrokers 4", "not understood: '--wrokers', '4'"),
            (
                "begin",
                "unknown command 'begin'; expected serve, start, stop, restart, reload, status, \
                 check, policy, explain or probe",
            ),
            ("check --stricked x.xml", "not understood: '--stricked'"),
            (
                "explain game.example.com",
                "explain takes two arguments, ORIGIN and PORT: flashpolicyd explain https://game.example.com 2001",
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
    fn the_help_fits_one_screen() {
        for help in [HELP, PROBE_HELP] {
            assert!(help.lines().count() <= 24);
            assert!(help.lines().all(|line| line.chars().count() < 80));
        }
    }
}
