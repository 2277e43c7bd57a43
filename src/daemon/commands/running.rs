//! The server that holds a pid file: found by the lock on the file, which names the process, and asked
//! on the control socket beside it. It changes nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Uid;

use super::server_files::ServerFiles;
use crate::daemon::control_socket::{self, ControlConnection, Unreachable};
use crate::daemon::pid_file;
use crate::daemon::processes::{self, ProcessHandle, ProcessState};
use crate::output::exit::Exit;
use crate::output::print::print_error;
use crate::output::text::reason;

/// How long a server has to take a connection.
const CONNECT_TIME: Duration = Duration::from_millis(500);

impl ServerFiles {
    /// The server here, if it runs.
    ///
    /// # Errors
    /// A sentence for why that cannot be told.
    pub(super) fn running(&self) -> Result<Option<RunningServer>, String> {
        running_by(&self.pid_file)
    }

    /// The same for a command that cannot go on without it.
    ///
    /// # Errors
    /// The exit code; what is wrong has been said.
    pub(super) fn find(&self) -> Result<Option<RunningServer>, Exit> {
        self.running().map_err(|why| {
            print_error(&why);
            Exit::Denied
        })
    }
}

/// A server that runs.
pub(super) struct RunningServer {
    /// The process that serves; none where it is in another container.
    pub pid: Option<u32>,
    /// The pid file.
    pub pid_file: PathBuf,
    /// The way to ask it, or a sentence for why there is none.
    pub control: Result<ControlConnection, String>,
}

/// The server that holds this pid file, if there is one. The system names the holder of the lock; what
/// answers on the control socket may be somebody else's, where another user may write the folder.
pub(super) fn running_by(pid_file: &Path) -> Result<Option<RunningServer>, String> {
    let holder = pid_file::holder(pid_file);
    let socket = control_socket::path_beside(pid_file);
    let connection = control_socket::connect(&socket, CONNECT_TIME);
    let server = |pid: Option<u32>, control| {
        Ok(Some(RunningServer {
            pid: pid.filter(|pid| *pid != 0),
            pid_file: pid_file.to_owned(),
            control,
        }))
    };
    match holder {
        Ok(Some(pid)) => {
            let control = connection.map_err(|why_not| sentence(&socket, &why_not, pid));
            let control = control.and_then(|connection| match connection.pid() {
                Some(other) if pid != 0 && other != pid => Err(format!(
                    "process {other} answers on its control socket {}, and is not it",
                    socket.display()
                )),
                _ => Ok(connection),
            });
            server(Some(pid), control)
        }
        Ok(None) => Ok(None),
        Err(error) => Err(format!(
            "cannot read the lock on the pid file {}: {}; so whether flashpolicyd runs cannot be told",
            pid_file.display(),
            reason(&error)
        )),
    }
}

/// Why a server that holds its pid file cannot be asked.
fn sentence(socket: &Path, why_not: &Unreachable, pid: u32) -> String {
    match why_not {
        Unreachable::NotAllowed => "only root and the server's own user may ask it".into(),
        Unreachable::Nobody => format!(
            "it has no control socket {}; 'kill -HUP {pid}' reloads it, 'kill -TERM {pid}' stops \
             it",
            socket.display()
        ),
        Unreachable::Busy => format!("it does not answer{}", processes::why_unresponsive(pid)),
        Unreachable::Wrong(why) => {
            format!(
                "its control socket {} cannot be used: {why}",
                socket.display()
            )
        }
    }
}

impl RunningServer {
    /// Its process, for signals; none where it is in another container, or has ended by now.
    pub(super) fn process(&self) -> Option<ProcessHandle> {
        let handle = ProcessHandle::open(self.pid?);
        // Only now is it known that the number is still this server's.
        let again = running_by(&self.pid_file).unwrap_or_default()?;
        (again.pid == self.pid).then_some(handle)
    }

    /// The process and its user, for a sentence.
    pub(super) fn name(&self) -> String {
        let Some(pid) = self.pid else {
            return "a process of another container".into();
        };
        match processes::process_info(pid) {
            Some(process) if process.uid != Uid::effective().as_raw() => {
                format!(
                    "process {pid} of user {}",
                    processes::user_name(process.uid)
                )
            }
            _ => format!("process {pid}"),
        }
    }

    /// That it is another one than the one that is meant, for a sentence.
    pub(super) fn as_another(&self) -> String {
        format!(
            "{} is another flashpolicyd, with the pid file {}",
            self.name(),
            self.pid_file.display()
        )
    }

    /// Whether its process was stopped, so that it is in vain to ask.
    pub(super) fn is_suspended(&self) -> bool {
        let process = self.pid.and_then(processes::process_info);
        process.is_some_and(|process| process.state == ProcessState::Stopped)
    }

    /// Why it does not react, as far as the system tells.
    pub(super) fn why_unresponsive(&self) -> String {
        self.pid
            .map_or_else(String::new, processes::why_unresponsive)
    }
}
