//! The commands, a file for each: they put the rooms together and say what went wrong.

mod serve;

use std::io::{self, Write};

use crate::cli::{Command, HELP};
use crate::exit::Exit;

/// Runs a command to its end.
pub fn run(command: Command) -> Exit {
    match command {
        Command::Serve { config, overrides } => serve::run(config.as_deref(), &overrides),
        Command::Help => print(HELP),
        Command::Version => print(concat!("flashpolicyd ", env!("CARGO_PKG_VERSION"), "\n")),
    }
}

/// Says what is wrong with the command line.
pub fn usage(error: &str) -> Exit {
    complain(&format!("{error}\ntry: flashpolicyd --help"));
    Exit::Usage
}

/// Prints to standard output; a reader that went away (`| head`) is no failure.
fn print(text: &str) -> Exit {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Failed,
        _ => Exit::Fine,
    }
}

/// Says on standard error what went wrong; where even that fails, the exit code has to do.
fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "flashpolicyd: {message}");
}
