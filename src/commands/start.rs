//! `flashpolicyd start`: a server in the background, and the answer once it serves or has failed.

use super::running::{Found, Place};
use super::{complain, print, spawn};
use crate::config::Configured;
use crate::exit::ServiceExit;

/// Starts the server of this configuration, if it does not run.
pub(super) fn run(configured: &Configured) -> Result<ServiceExit, ServiceExit> {
    let place = Place::of(configured)?;
    match place.find() {
        Found::Server(server) => {
            let name = server.name();
            let excuse = server.excuse();
            print(format!(
                "flashpolicyd is already running ({name}){excuse}\n"
            ));
            Ok(ServiceExit::Fine)
        }
        Found::Unclear(why) => {
            complain(&why);
            Err(ServiceExit::Denied)
        }
        Found::Nobody => start(configured, &place),
    }
}

/// Starts it, where it is known not to run.
pub(super) fn start(configured: &Configured, place: &Place) -> Result<ServiceExit, ServiceExit> {
    let file = place.file.as_deref();
    let arguments = spawn::arguments(configured, file, &place.pid_file, false);
    let status = spawn::start(&arguments).inspect_err(|_| hint(place))?;
    let (pid, addresses, files) = (status.pid, status.addresses(), status.files());
    let started = format!("flashpolicyd started (process {pid}) on {addresses}; {files}\n");
    Ok(print(started).into())
}

/// The ports may be taken by a server that is not this user's.
fn hint(place: &Place) {
    if let Some(other) = place.find_elsewhere() {
        complain(&format!(
            "{} is a flashpolicyd that runs already; its pid file is {}",
            other.name(),
            other.pid_file.display()
        ));
    }
}
