//! In the place of `daemon.rs` on a system where nothing is served: its commands say where the server runs.

use std::path::Path;

use super::parse::Given;
use crate::config::Config;
use crate::output::diagnostic::Diagnostic;
use crate::output::exit::Exit;

/// Where the server runs, and what is here.
pub(super) const NOT_HERE: &str = "the server runs on Linux, in WSL or in Docker; what this system has is \
     probe, check, explain, policy and help";

/// Does nothing.
///
/// # Errors
/// Always: [`NOT_HERE`].
pub(super) fn run(_: &str, _: &Given) -> Result<Exit, String> {
    Err(NOT_HERE.into())
}

/// Finds nothing: the files of a server are on its host.
pub(super) fn host_findings(_: &Config, _: Option<&Path>) -> Vec<Diagnostic> {
    Vec::new()
}
