//! The commands of the program, a file for each. This file calls the one that was asked for, and
//! does nothing else.

mod check;
mod explain;
mod first_run;
mod init;
mod input;
mod output;
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

use std::process::ExitCode;

use crate::cli::{Action, Command};
use crate::config::Configured;
use crate::exit::Exit;
use output::print;
pub use output::usage;

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
        Command::Service { action, configured } => service(action, &configured),
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
        Command::Probe(probe) => return ExitCode::from(probe::run(probe) as u8),
        Command::Help(page) => print(page.as_bytes()),
        Command::Version => print(concat!("flashpolicyd ", env!("CARGO_PKG_VERSION"), "\n")),
    };
    exit.into()
}

/// Does something with a server in the background.
fn service(action: Action, configured: &Configured) -> Exit {
    let done = match action {
        Action::Start => start::run(configured),
        Action::Stop => stop::run(configured),
        Action::Restart => restart::run(configured),
        Action::Reload => reload::run(configured),
        Action::Status { json } => status::run(configured, json),
    };
    done.unwrap_or_else(|exit| exit)
}
