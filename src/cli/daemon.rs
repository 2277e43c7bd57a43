//! The commands about a server, and what `check` finds on its host. Nothing else of the command line
//! names the daemon, which is for Linux alone.

use super::parse::Given;
use crate::daemon::commands::{init, reload, restart, serve, start, status, stop};
pub(super) use crate::daemon::host_check::host_findings;
use crate::output::exit::Exit;

/// Runs a command about a server.
///
/// # Errors
/// A sentence, where this system does not have it.
pub(super) fn run(name: &str, given: &Given) -> Result<Exit, String> {
    let configured = given.configured();
    let exit = match name {
        "init" => init::run(configured.file.as_deref(), |option| given.one(option)),
        "serve" => Ok(serve::run(&configured, given.has("--detached"))),
        "start" => start::run(&configured),
        "stop" => stop::run(&configured),
        "restart" => restart::run(&configured),
        "reload" => reload::run(&configured),
        "status" => status::run(&configured, given.has("--json")),
        _ => return Err(format!("'{name}' is no command on this system")),
    };
    Ok(exit.unwrap_or_else(|exit| exit))
}
