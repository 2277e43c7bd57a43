//! `flashpolicyd start` starts a server in the background, and ends once that server serves or has
//! failed. It does not serve itself.

use super::server_files::ServerFiles;
use super::spawn;
use crate::config::Configured;
use crate::daemon::logging;
use crate::output::exit::Exit;
use crate::output::print::{print, print_error};

/// Starts the server of this configuration, if it does not run.
pub fn run(configured: &Configured) -> Result<Exit, Exit> {
    let files = ServerFiles::of(configured)?;
    if let Some(server) = files.find()? {
        let (name, why) = (server.name(), server.why_unresponsive());
        print(format!("flashpolicyd is already running ({name}){why}\n"));
        return Ok(Exit::Fine);
    }
    check_log(&files)?;
    start(configured, &files)
}

/// A server in the background has no output where its log could go.
pub(super) fn check_log(files: &ServerFiles) -> Result<(), Exit> {
    let stream = files.config.startup.log_file.as_deref();
    let Some(stream) = stream.filter(|file| logging::is_stream(file)) else {
        return Ok(());
    };
    print_error(&format!(
        "log_file = {}: a server in the background has no output; set a file, or 'none', or let \
         'flashpolicyd serve' run in the foreground",
        stream.display()
    ));
    Err(Exit::Usage)
}

/// Starts it, where it is known not to run.
pub(super) fn start(configured: &Configured, files: &ServerFiles) -> Result<Exit, Exit> {
    let file = files.file.as_deref();
    let arguments = spawn::arguments(configured, file, &files.pid_file);
    let status = spawn::start(&arguments).inspect_err(|_| hint(files))?;
    let (pid, addresses, files) = (status.pid, status.addresses(), status.files());
    let started = format!("flashpolicyd started (process {pid}) on {addresses}; {files}\n");
    print(started);
    Ok(Exit::Fine)
}

/// The ports may be taken by a server that is not this user's.
fn hint(files: &ServerFiles) {
    if let Some(other) = files.find_elsewhere() {
        print_error(&other.as_another());
    }
}
