//! The commands, a file for each: they put the rooms together and say what went wrong.

mod check;
mod explain;
mod policy;
mod probe;
mod serve;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::cli::{Command, Configured, HELP, PROBE_HELP};
use crate::config::{Config, Loaded};
use crate::diagnostic;
use crate::exit::Exit;
use crate::served::{self, Served};
use crate::terminal;
use crate::text::Colour;

/// Runs a command to its end.
pub fn run(command: Command) -> ExitCode {
    let exit = match command {
        Command::Serve(configured) => serve::run(&configured),
        Command::Check {
            configured,
            files,
            strict,
            ignore,
            json,
        } => check::run(&configured, &files, strict, &ignore, json),
        Command::Policy { configured, json } => policy::run(&configured, json),
        Command::Explain {
            configured,
            question,
            json,
        } => explain::run(&configured, &question, json),
        // Its exit codes are a monitoring plugin's.
        Command::Probe(probe) => return probe::run(&probe).into(),
        Command::ProbeHelp => print(PROBE_HELP),
        Command::HelpOf(help) => print(help),
        Command::Help => print(HELP),
        Command::Version => print(concat!("flashpolicyd ", env!("CARGO_PKG_VERSION"), "\n")),
    };
    exit.into()
}

/// Says what is wrong with the command line.
pub fn usage(error: &str) -> Exit {
    complain(&format!("{error}\ntry: flashpolicyd --help"));
    Exit::Usage
}

/// Prints to standard output; a reader that went away (`| head`) is no failure.
fn print(text: impl AsRef<[u8]>) -> Exit {
    match io::stdout().write_all(text.as_ref()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Failed,
        _ => Exit::Fine,
    }
}

/// Says on standard error what went wrong; where even that fails, the exit code has to do.
fn complain(message: &str) {
    let style = terminal::stderr();
    let program = style.paint(Colour::Bad, "flashpolicyd:");
    let text = format!("{program} {message}");
    for line in text.lines() {
        let _ = writeln!(io::stderr(), "{}", style.wrap(line, 2));
    }
}

/// The configuration; where it is wrong, its mistakes have been said.
fn load(configured: &Configured) -> Result<Loaded, Exit> {
    configured.load().map_err(|mistakes| {
        for mistake in mistakes {
            complain(&mistake.to_string());
        }
        Exit::Usage
    })
}

/// The configuration and its policies, all fit to be served; where something is not, that has been
/// said.
fn load_policies(configured: &Configured) -> Result<(Config, Vec<Served>), Exit> {
    let config = load(configured)?.config;
    let all = served::read_all(&config);
    let unfit: Vec<_> = all.iter().filter(|s| s.policy().is_none()).collect();
    if unfit.is_empty() {
        return Ok((config, all));
    }
    unfit.into_iter().for_each(complain_of);
    Err(Exit::Usage)
}

/// Shows on standard error what was found in a policy.
fn complain_of(served: &Served) {
    let report = diagnostic::report(&served.findings, &terminal::stderr());
    let _ = io::stderr().write_all(report.as_bytes());
}
