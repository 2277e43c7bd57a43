//! The `flashpolicyd` program: arguments become a command, a command becomes an exit code.
//! It decides nothing else.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use flashpolicyd::{cli, commands};

fn main() -> ExitCode {
    match cli::parse(std::env::args_os().skip(1).collect()) {
        Ok(command) => commands::run(command),
        Err(error) => commands::usage(&error).into(),
    }
}
