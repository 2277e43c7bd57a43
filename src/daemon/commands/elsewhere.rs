//! Servers other than the holder of the pid file: the one that is probably meant where no pid file was
//! named, and one without a pid file. Such a server is named and left alone, so that nobody takes "not
//! running" for the truth while its players are served.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::Uid;

use super::running::{RunningServer, running_by};
use super::server_files::{ROOTS_PID_FILE, ServerFiles};
use crate::daemon::listening;
use crate::output::exit::Exit;
use crate::output::print::print_error;

/// The pid file of the server that systemd's unit starts.
const UNITS_PID_FILE: &str = "/run/flashpolicyd/flashpolicyd.pid";

/// The pid file of the server in the container image; the folder is open to every user.
const IMAGES_PID_FILE: &str = "/dev/shm/flashpolicyd.pid";

/// The name of a server's process.
const PROGRAM: &str = "flashpolicyd";

impl ServerFiles {
    /// A server that is not here, but where other servers are by default: another user's, that of
    /// systemd's unit, or that of the container image.
    pub(super) fn find_elsewhere(&self) -> Option<RunningServer> {
        let is_own = |file: &Path| {
            let metadata = file.symlink_metadata();
            metadata.is_ok_and(|file| file.uid() == Uid::effective().as_raw())
        };
        let others = [ROOTS_PID_FILE, UNITS_PID_FILE, IMAGES_PID_FILE].map(Path::new);
        others
            .into_iter()
            .filter(|other| *other != self.pid_file)
            .filter(|other| *other != Path::new(IMAGES_PID_FILE) || is_own(other))
            .find_map(|other| running_by(other).unwrap_or_default())
    }

    /// The same where that server is the one that is meant: nobody named a pid file, and the
    /// addresses are taken.
    pub(super) fn find_default_server(&self) -> Option<RunningServer> {
        if self.by_default && !self.occupied_addresses().is_empty() {
            self.find_elsewhere()
        } else {
            None
        }
    }

    /// Fails where the server that is meant runs elsewhere: it is left alone.
    ///
    /// # Errors
    /// The exit code; what can be done has been said.
    pub(super) fn refuse_if_elsewhere(&self) -> Result<(), Exit> {
        let Some(other) = self.find_default_server() else {
            return Ok(());
        };
        print_error(&format!(
            "nothing was done: {}; its user or root can stop it with that --pid-file; where systemd \
             runs it: 'systemctl stop flashpolicyd.socket flashpolicyd.service'",
            other.as_another()
        ));
        Err(Exit::Denied)
    }

    /// The process that serves on the configured addresses without a pid file.
    pub(super) fn process_without_pid_file(&self) -> Option<u32> {
        let listen: Vec<_> = self
            .config
            .startup
            .listen
            .iter()
            .map(|l| l.address)
            .collect();
        listening::process(PROGRAM, &listen)
    }

    /// What listens on the configured addresses though no server has the pid file, and how to end a
    /// server in the foreground; empty where nothing listens.
    pub(super) fn no_pid_file_note(&self) -> String {
        match (
            self.process_without_pid_file(),
            self.occupied_addresses().as_str(),
        ) {
            (_, "") => String::new(),
            (Some(pid), _) => format!(
                "; process {pid} serves without a pid file: 'kill -HUP {pid}' reloads it, \
                 'kill -TERM {pid}' stops it"
            ),
            (None, taken) => format!(
                "; what listens on {taken} has no pid file here: a server in the foreground stops \
                 on Ctrl-C and reloads on 'kill -HUP PID'"
            ),
        }
    }

    /// The configured addresses on which somebody listens, for a sentence.
    pub(super) fn occupied_addresses(&self) -> String {
        let taken = listening::taken(self.config.startup.listen.iter().map(|l| l.address));
        let taken: Vec<_> = taken.iter().map(ToString::to_string).collect();
        taken.join(", ")
    }
}
