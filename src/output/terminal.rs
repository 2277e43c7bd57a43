//! Whether standard output and standard error show colours, and how wide their lines are. It writes
//! nothing.

use std::env;
use std::io::{self, IsTerminal};

use terminal_size::{Height, Width, terminal_size_of};

use crate::output::text::{DEFAULT_WIDTH, Style};

/// How to write to standard output.
pub fn stdout() -> Style {
    style(io::stdout().is_terminal(), terminal_size_of(io::stdout()))
}

/// How to write to standard error.
pub fn stderr() -> Style {
    style(io::stderr().is_terminal(), terminal_size_of(io::stderr()))
}

/// Windows colours nothing until it is asked to, and an old console not even then.
fn obeys_colours() -> bool {
    #[cfg(windows)]
    return anstyle_query::windows::enable_ansi_colors() == Some(true);
    #[cfg(not(windows))]
    true
}

/// No colour in a file or a pipe, on a dumb terminal, or where `NO_COLOR` is set (no-color.org).
fn style(is_terminal: bool, size: Option<(Width, Height)>) -> Style {
    if !is_terminal {
        return Style::PLAIN;
    }
    let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let width = size.map(|(width, _)| usize::from(width.0));
    Style {
        colour: !is_dumb && !unwanted && obeys_colours(),
        width: width.filter(|width| *width > 0).unwrap_or(DEFAULT_WIDTH),
        wraps: true,
    }
}
