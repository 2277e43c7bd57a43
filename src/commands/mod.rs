//! The commands, a file for each: they put the rooms together and say what went wrong.

mod check;
mod explain;
mod first_run;
mod policy;
mod probe;
mod reload;
mod restart;
mod running;
mod serve;
mod spawn;
mod start;
mod starter;
mod status;
mod stop;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::cli::{Action, Command};
use crate::config::{Config, Configured, Loaded};
use crate::diagnostic;
use crate::exit::{Exit, ServiceExit};
use crate::logging::{self, Rotation};
use crate::policies::{self, ConfiguredPolicy};
use crate::privileges;
use crate::terminal;
use crate::text::Colour;

/// Runs a command to its end.
pub fn run(command: Command) -> ExitCode {
    let exit = match command {
        Command::Serve {
            configured,
            takeover,
            detached,
        } => serve::run(&configured, takeover, detached),
        // Its exit codes are those of an init script.
        Command::Service { action, configured } => return service(action, &configured).into(),
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
        Command::Help(page) => print(page.as_bytes()),
        Command::Version => print(concat!("flashpolicyd ", env!("CARGO_PKG_VERSION"), "\n")),
    };
    exit.into()
}

/// Does something with a server in the background.
fn service(action: Action, configured: &Configured) -> ServiceExit {
    let done = match action {
        Action::Start => start::run(configured),
        Action::Stop => stop::run(configured),
        Action::Restart => restart::run(configured),
        Action::Reload => reload::run(configured),
        Action::Status { json } => status::run(configured, json),
    };
    done.unwrap_or_else(|exit| exit)
}

/// Says what is wrong with the command line.
pub fn usage(error: &str) -> Exit {
    complain(&format!("{error}\ntry: flashpolicyd help"));
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
fn load_policies(configured: &Configured) -> Result<(Config, Vec<ConfiguredPolicy>), Exit> {
    let config = load(configured)?.config;
    let all = read_policies(&config)?;
    Ok((config, all))
}

/// The policies of the configuration, all fit to be served; where one is not, that has been said.
fn read_policies(config: &Config) -> Result<Vec<ConfiguredPolicy>, Exit> {
    let all = policies::read_all(config);
    let unfit: Vec<_> = all.iter().filter(|s| s.policy().is_none()).collect();
    if unfit.is_empty() {
        return Ok(all);
    }
    unfit.into_iter().for_each(complain_of);
    Err(Exit::Usage)
}

/// When the log of this configuration is rotated.
fn rotation_of(config: &Config) -> Rotation {
    Rotation {
        max_size: config.startup.log_max_size,
        keep: config.startup.log_keep,
    }
}

/// What a server with the rights of this process cannot do later: read its files again, rotate its
/// log. `file` is the configuration.
fn unfit_for_user(config: &Config, file: Option<&Path>) -> Vec<String> {
    let log = config.startup.log_file.as_deref();
    let mut warnings = privileges::unreadable(config, file);
    warnings.extend(log.and_then(|log| logging::cannot_rotate(log, rotation_of(config))));
    warnings
}

/// Shows on standard error what was found in a policy.
fn complain_of(served: &ConfiguredPolicy) {
    let report = diagnostic::report(&served.findings, &terminal::stderr());
    let _ = io::stderr().write_all(report.as_bytes());
}
