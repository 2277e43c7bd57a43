//! The commands that start a server, stop it and ask it, a file for each.

pub mod init;
pub mod serve;

mod elsewhere;
mod first_run;
mod reload;
mod restart;
mod running;
mod server_files;
mod spawn;
mod start;
mod starter;
mod status;
mod stop;

use crate::config::Configured;
use crate::output::exit::Exit;

/// What can be done with a server in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Start a new one in the place of the one that runs.
    Restart,
    /// Have it read the configuration and the policies anew.
    Reload,
    /// Tell how it is.
    Status {
        /// As JSON.
        json: bool,
    },
}

/// Does something with a server in the background.
pub fn run(action: Action, configured: &Configured) -> Exit {
    let done = match action {
        Action::Start => start::run(configured),
        Action::Stop => stop::run(configured),
        Action::Restart => restart::run(configured),
        Action::Reload => reload::run(configured),
        Action::Status { json } => status::run(configured, json),
    };
    done.unwrap_or_else(|exit| exit)
}
