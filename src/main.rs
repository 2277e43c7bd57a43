//! The `flashpolicyd` program: its arguments go to the command line, which gives an exit code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    flashpolicyd::cli::run(std::env::args_os().skip(1).collect())
}
