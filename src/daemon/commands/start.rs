//! `flashpolicyd start` starts a server in the background, and ends once that server serves or has
//! failed. It does not serve itself.

use super::running::ServerPlace;
use super::spawn;
use crate::config::Configured;
use crate::daemon::logging;
use crate::output::exit::Exit;
use crate::player::print::{complain, print};

/// Starts the server of this configuration, if it does not run.
pub fn run(configured: &Configured) -> Result<Exit, Exit> {
    let place = ServerPlace::of(configured)?;
    if let Some(server) = place.find()? {
        let (name, why) = (server.name(), server.why_unresponsive());
        print(format!("flashpolicyd is already running ({name}){why}\n"));
        return Ok(Exit::Fine);
    }
    check_log(&place)?;
    start(configured, &place)
}

/// A server in the background has no output where its log could go.
pub(super) fn check_log(place: &ServerPlace) -> Result<(), Exit> {
    let stream = place.config.startup.log_file.as_deref();
    let Some(stream) = stream.filter(|file| logging::is_stream(file)) else {
        return Ok(());
    };
    complain(&format!(
        "log_file = {}: a server in the background has no output; set a file, or 'none', or let \
         'flashpolicyd serve' run in the foreground",
        stream.display()
    ));
    Err(Exit::Usage)
}

/// Starts it, where it is known not to run.
pub(super) fn start(configured: &Configured, place: &ServerPlace) -> Result<Exit, Exit> {
    let file = place.file.as_deref();
    let arguments = spawn::arguments(configured, file, &place.pid_file);
    let status = spawn::start(&arguments).inspect_err(|_| hint(place))?;
    let (pid, addresses, files) = (status.pid, status.addresses(), status.files());
    let started = format!("flashpolicyd started (process {pid}) on {addresses}; {files}\n");
    Ok(print(started))
}

/// The ports may be taken by a server that is not this user's.
fn hint(place: &ServerPlace) {
    if let Some(other) = place.find_elsewhere() {
        complain(&other.is_another());
    }
}
