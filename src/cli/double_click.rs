//! The program without arguments on Windows, where there is nothing to serve: it shows its help, and
//! keeps the window of a double click open until it is read.

use std::env;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use super::daemon::NOT_HERE;
use super::help;
use crate::output::exit::Exit;
use crate::output::print::{print, print_error};

/// The help, and where the server runs.
pub fn run() -> ExitCode {
    print(help::overview());
    print_error(NOT_HERE);
    if is_own_window() {
        print("\nTo use it, open `cmd` in its folder. Press Enter to close this window.\n");
        let _ = io::stdin().read_line(&mut String::new());
    }
    Exit::Usage.into()
}

/// Whether the window closes with the program. A shell has set a variable: `cmd` PROMPT, Windows Terminal
/// WT_SESSION, a shell of Unix SHELL. PowerShell in a window of the old kind sets none, and takes the key.
fn is_own_window() -> bool {
    const SET_BY_SHELLS: [&str; 3] = ["PROMPT", "WT_SESSION", "SHELL"];
    let is_shell = SET_BY_SHELLS.iter().any(|name| env::var_os(name).is_some());
    !is_shell && io::stdin().is_terminal() && io::stdout().is_terminal()
}
