//! The `flashpolicyd` program: arguments become a command, a command becomes an exit code.
//! It decides nothing else.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use flashpolicyd::cli;

fn main() -> ExitCode {
    #[cfg(windows)]
    if std::env::args_os().len() <= 1 {
        return cli::without_arguments();
    }
    match cli::parse(std::env::args_os().skip(1).collect()) {
        Ok(command) => cli::run(command),
        Err(error) => cli::usage(&error).into(),
    }
}
