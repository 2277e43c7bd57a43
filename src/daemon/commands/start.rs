//! `flashpolicyd start` starts a server in the background, and ends once that server serves or has
//! failed. It does not serve itself.

use std::thread;
use std::time::{Duration, Instant};

use super::running::RunningServer;
use super::server_files::ServerFiles;
use super::spawn;
use crate::config::Configured;
use crate::daemon::logging;
use crate::output::exit::Exit;
use crate::output::print::{print, print_error};

/// How long a server whose start was at the same moment has for its pid file, once it has the ports.
const OTHER_START: Duration = Duration::from_millis(300);

/// How soon the pid file is checked again.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// Starts the server of this configuration, if it does not run.
pub fn run(configured: &Configured) -> Result<Exit, Exit> {
    let files = ServerFiles::of(configured)?;
    if let Some(server) = files.find()? {
        return Ok(already_running(&server));
    }
    check_log(&files)?;
    start(configured, &files)
}

fn already_running(server: &RunningServer) -> Exit {
    let (name, why) = (server.name(), server.why_unresponsive());
    print(format!("flashpolicyd is already running ({name}){why}\n"));
    Exit::Fine
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
    let status = match spawn::start(&arguments) {
        Ok(status) => status,
        Err(exit) => {
            // Its configuration is right, so the ports may be another's.
            let other = (exit == Exit::Failed).then(|| started_meanwhile(files));
            if let Some(server) = other.flatten() {
                return Ok(already_running(&server));
            }
            hint(files);
            return Err(exit);
        }
    };
    let (pid, addresses, files) = (status.pid, status.addresses(), status.files());
    let started = format!("flashpolicyd started (process {pid}) on {addresses}; {files}\n");
    print(started);
    Ok(Exit::Fine)
}

/// The server of another start at the same moment, which was the first to have the ports.
fn started_meanwhile(files: &ServerFiles) -> Option<RunningServer> {
    let deadline = Instant::now() + OTHER_START;
    loop {
        let server = files.running().unwrap_or_default();
        if server.is_some() || Instant::now() >= deadline {
            return server;
        }
        thread::sleep(RETRY_INTERVAL);
    }
}

/// The ports may be taken by a server that is not this user's.
fn hint(files: &ServerFiles) {
    if let Some(other) = files.find_elsewhere() {
        print_error(&other.as_another());
    }
}
