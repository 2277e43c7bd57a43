//! `flashpolicyd restart` checks the new configuration and the program, stops the running server and
//! starts a new one as soon as the ports are free. With a mistake the running server goes on
//! unchanged.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, absolute};
use std::time::{Duration, Instant};

use super::running::RunningServer;
use super::server_files::ServerFiles;
use super::stop::{GRACE, process_of, signal};
use super::{spawn, start};
use crate::config::Configured;
use crate::daemon::control_socket::{self, Reply, Request, path_beside};
use crate::daemon::logging;
use crate::daemon::pid_file;
use crate::daemon::privileges;
use crate::daemon::processes::{self, ProcessHandle};
use crate::daemon::server;
use crate::daemon::status::Status;
use crate::output::exit::Exit;
use crate::output::print::{print, print_error};
use crate::output::text::printable;
use crate::player::input::read_policies;

/// How long the running server has to take a connection, and to say what it serves.
const STATUS_TIME: Duration = Duration::from_secs(1);

/// How often a server that stops is checked.
const RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// Starts a new server in the place of the running one; without one, starts it.
pub fn run(configured: &Configured) -> Result<Exit, Exit> {
    let files = check(configured).inspect_err(|_| {
        // Only to say what it is like: the mistakes have been said.
        let files = ServerFiles::quietly(configured);
        if let Ok(Ok(Some(server))) = files.map(|files| files.running()) {
            print_error(&left_as_it_is(&server));
        }
    })?;
    let Some(server) = files.find()? else {
        files.refuse_if_elsewhere()?;
        return start::start(configured, &files);
    };
    let status = status_of(&server);
    if configured.file.is_none() {
        has_the_same_file(&files, &server, status.as_ref())?;
    }
    replace(configured, &files, &server, status.as_ref())
}

fn check(configured: &Configured) -> Result<ServerFiles, Exit> {
    let files = ServerFiles::of(configured)?;
    start::check_log(&files)?;
    read_policies(&files.config)?;
    let unfit = |why: String| {
        print_error(&why);
        Exit::Usage
    };
    privileges::look_up(&files.config).map_err(unfit)?;
    if let Some(log) = &files.config.startup.log_file {
        logging::can_append(log).map_err(unfit)?;
    }
    server::check_descriptors(&files.config).map_err(|error| {
        print_error(&error.to_string());
        Exit::Failed
    })?;
    control_socket::can_bind(&files.pid_file).map_err(|why| {
        print_error(&why);
        Exit::Denied
    })?;
    spawn::check_program()?;
    Ok(files)
}

/// A restart in another folder finds another configuration, or none: its policies would replace
/// those that are served. A server that does not answer has none that is known.
fn has_the_same_file(
    files: &ServerFiles,
    server: &RunningServer,
    status: Option<&Status>,
) -> Result<(), Exit> {
    let Some(status) = status else {
        return Ok(());
    };
    let Some(used) = status.configuration.as_deref().map(Path::new) else {
        return Ok(());
    };
    let found = files.file.as_deref();
    let is_same = found.is_some_and(|found| match (found.canonicalize(), used.canonicalize()) {
        (Ok(found), Ok(used)) => found == used,
        _ => absolute(found).is_ok_and(|found| found == used),
    });
    if is_same {
        return Ok(());
    }
    let used = printable(&used.to_string_lossy());
    let here = found.map_or_else(
        || "there is none here".into(),
        |found| format!("here {} is found", printable(&found.to_string_lossy())),
    );
    print_error(&format!(
        "the running server ({}) has the configuration {used}, and {here}; name the one that is \
         meant, such as: flashpolicyd restart -c {used}",
        server.name()
    ));
    print_error(&left_as_it_is(server));
    Err(Exit::Usage)
}

fn left_as_it_is(server: &RunningServer) -> String {
    format!("the running server ({}) is left as it is", server.name())
}

fn replace(
    configured: &Configured,
    files: &ServerFiles,
    old: &RunningServer,
    status: Option<&Status>,
) -> Result<Exit, Exit> {
    check_new_ports(files, old, status)?;
    let process = process_of(old).inspect_err(|_| print_error(&left_as_it_is(old)))?;
    if old.is_suspended() {
        print_error(&format!(
            "it does not answer{}",
            processes::why_unresponsive(process.pid)
        ));
        print_error(&left_as_it_is(old));
        return Err(Exit::Failed);
    }
    let _lock = match pid_file::lock_for_stop(&files.pid_file, process.pid) {
        Ok(None) => {
            print_error(&format!(
                "another command stops process {} already; nothing was done",
                process.pid
            ));
            return Err(Exit::Failed);
        }
        locked => locked,
    };
    signal(&process, old)?;
    // Its ports are free from then on; its last clients have their deadline.
    if !releases(
        &process,
        &files.pid_file,
        files.config.startup.timeout + GRACE,
    ) {
        print_error(&format!(
            "process {} was told to stop, and keeps its pid file {}{}; nothing was started",
            process.pid,
            files.pid_file.display(),
            processes::why_unresponsive(process.pid)
        ));
        return Err(Exit::Failed);
    }
    let file = files.file.as_deref();
    let arguments = spawn::arguments(configured, file, &files.pid_file);
    let new = spawn::start(&arguments).inspect_err(|_| {
        let others = pid_file::holder(&files.pid_file).unwrap_or_default();
        print_error(&match others {
            Some(other) => format!(
                "process {} has stopped, and process {other} serves",
                process.pid
            ),
            None => format!(
                "process {} has stopped, and no server runs now: mend it, then run \
                 'flashpolicyd start'",
                process.pid
            ),
        });
    })?;
    let rest = match process.wait(files.config.startup.timeout + GRACE) {
        true => String::new(),
        false => {
            let why = processes::why_unresponsive(process.pid);
            format!(", which is still there{why}")
        }
    };
    let (pid, addresses, files) = (new.pid, new.addresses(), new.files());
    print(format!(
        "flashpolicyd restarted (process {pid} in place of process {}{rest}) on {addresses}; \
         {files}\n",
        process.pid
    ));
    Ok(Exit::Fine)
}

/// Waits until a process that stops has left its pid file.
fn releases(process: &ProcessHandle, pid_file: &Path, time: Duration) -> bool {
    let deadline = Instant::now() + time;
    loop {
        let holder = pid_file::holder(pid_file).unwrap_or_default();
        if holder != Some(process.pid) || process.has_ended() {
            return true;
        }
        if process.wait(RETRY_INTERVAL) || Instant::now() >= deadline {
            return process.has_ended();
        }
    }
}

/// A port may be out of reach for this user, or another program's: that is found before the server
/// stops.
fn check_new_ports(
    files: &ServerFiles,
    old: &RunningServer,
    status: Option<&Status>,
) -> Result<(), Exit> {
    let Some(status) = status else {
        return Ok(());
    };
    let addresses = status
        .listeners
        .iter()
        .filter_map(|l| l.address.parse::<SocketAddr>().ok());
    let has: Vec<u16> = addresses.map(|address| address.port()).collect();
    for listen in &files.config.startup.listen {
        if let Err(error) = server::try_to_bind(listen.address) {
            // The old server has it, and leaves it.
            let in_use = error.cause.kind() == io::ErrorKind::AddrInUse;
            if in_use && has.contains(&listen.address.port()) {
                continue;
            }
            print_error(&error.to_string());
            print_error(&left_as_it_is(old));
            return Err(match error.cause.kind() {
                io::ErrorKind::PermissionDenied => Exit::Denied,
                _ => Exit::Failed,
            });
        }
    }
    Ok(())
}

/// What the running server says of itself; none where it does not answer.
fn status_of(server: &RunningServer) -> Option<Status> {
    let connection = control_socket::connect(&path_beside(&server.pid_file), STATUS_TIME).ok()?;
    match connection.ask(Request::Status, STATUS_TIME) {
        Ok(Reply::Status(status)) => Some(*status),
        _ => None,
    }
}
