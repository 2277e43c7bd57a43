//! Calls the command that was asked for, and does nothing else.

use std::process::ExitCode;

use super::Command;
use crate::daemon::commands::{self, init, serve};
use crate::daemon::host_check::host_findings;
use crate::output::print::print;
use crate::player::{check, explain, policy, probe};

/// Runs a command to its end.
pub fn run(command: Command) -> ExitCode {
    let exit = match command {
        Command::Init { file, answers } => {
            init::run(file.as_deref(), &answers).unwrap_or_else(|exit| exit)
        }
        Command::Serve {
            configured,
            detached,
        } => serve::run(&configured, detached),
        Command::Service { action, configured } => commands::run(action, &configured),
        Command::Check {
            configured,
            files,
            strict,
            ignore,
            json,
        } => check::run(&configured, &files, strict, &ignore, json, host_findings),
        Command::Policy { configured, json } => policy::run(&configured, json),
        Command::Explain {
            configured,
            question,
            json,
        } => explain::run(&configured, &question, json),
        // Its exit codes are a monitoring plugin's.
        Command::Probe(probe) => return ExitCode::from(probe::command::run(probe) as u8),
        Command::Help(page) => print(page.as_bytes()),
        Command::Version => print(concat!("flashpolicyd ", env!("CARGO_PKG_VERSION"), "\n")),
    };
    exit.into()
}
