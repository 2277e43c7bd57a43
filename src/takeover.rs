//! A restart without a gap. The running server hands its listening sockets to the new one, which
//! takes its pid file, and sends it SIGTERM once it accepts connections itself. Where no sockets can
//! be had, the new one shares the ports. After an error before the signal, the running server goes
//! on unchanged.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Uid;

use crate::control_socket::{self, ControlConnection, HandedOver, Unreachable};
use crate::pid_file;
use crate::processes::{self, Process};
use crate::text::reason;

/// How long a predecessor may take beyond its clients' deadline before the log complains of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it has for each step of the handover of its sockets.
const HANDOVER: Duration = Duration::from_secs(2);

/// How soon its control socket is looked at again.
const AGAIN: Duration = Duration::from_millis(10);

/// The running server that is to be replaced.
pub struct Predecessor {
    process: Process,
    /// It was asked to stop by somebody else.
    is_stopping: bool,
    /// When the log complains of it; none where it has, or where it was not asked to stop yet.
    complain_at: Option<Instant>,
}

impl Predecessor {
    /// The server that holds this pid file; none where there is none. `becomes` is the user that
    /// this process will be: only root may signal a process of another user's.
    ///
    /// # Errors
    /// When it cannot be told, or this process could not stop it.
    pub fn find(pid_file: &Path, becomes: Option<u32>) -> Result<Option<Predecessor>, String> {
        let failed = |why: String| {
            format!(
                "cannot take over from the server of the pid file {}: {why}",
                pid_file.display()
            )
        };
        let holder = pid_file::holder(pid_file).map_err(|error| failed(reason(&error)))?;
        let Some(holder) = holder else {
            return Ok(None);
        };
        let pid = i32::try_from(holder).unwrap_or(0);
        if pid == 0 {
            let why = "its process is not visible from here, such as one of another container; \
                       stop it first, and then start this one";
            return Err(failed(why.into()));
        }
        let process = processes::look(holder).ok_or_else(|| {
            failed(format!(
                "process {pid} cannot be seen; start this one again"
            ))
        })?;
        let us = becomes.unwrap_or_else(|| Uid::effective().as_raw());
        if us != 0 && us != process.uid {
            return Err(failed(format!(
                "process {pid} is of user {}, and this one will be of user {}, who may not stop \
                 it; stop it first, and then start this one",
                processes::user_name(process.uid),
                processes::user_name(us)
            )));
        }
        Ok(Some(Predecessor {
            process,
            is_stopping: false,
            complain_at: None,
        }))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.pid
    }

    /// Duplicates of its listening sockets, each with the stream that is to be kept as long as the
    /// socket. Where there are none, the log says why.
    pub fn listeners(&mut self, pid_file: &Path) -> Vec<HandedOver> {
        let path = control_socket::path_beside(pid_file);
        let taken = match self.connect(&path) {
            Ok(connection) => connection
                .take_listeners(HANDOVER)
                .map_err(|error| reason(&error))
                .and_then(|sockets| {
                    self.is_stopping = sockets.is_none();
                    sockets.ok_or_else(|| "it is stopping already".into())
                }),
            Err(Unreachable::Nobody) => Err("it has no control socket".into()),
            Err(Unreachable::NotAllowed) => Err("its control socket is another user's".into()),
            Err(Unreachable::Busy) => Err("it does not answer".into()),
            Err(Unreachable::Wrong(why)) => Err(why),
        };
        taken.unwrap_or_else(|why| {
            log::warn!(
                "Process {} does not hand its sockets over: {why}. Its ports are shared; a client \
                 that comes while it stops may have to connect again.",
                self.pid()
            );
            Vec::new()
        })
    }

    /// Connects to its control socket. A server that has just taken over itself puts it in its place a
    /// moment after its pid file: until then, the one before it answers there.
    fn connect(&self, path: &Path) -> Result<ControlConnection, Unreachable> {
        let deadline = Instant::now() + HANDOVER;
        loop {
            let connection = control_socket::connect(path, HANDOVER)?;
            if connection.pid().is_none_or(|pid| pid == self.pid()) {
                return Ok(connection);
            }
            if Instant::now() >= deadline {
                let why = "another process answers on its control socket";
                return Err(Unreachable::Wrong(why.into()));
            }
            thread::sleep(AGAIN);
        }
    }

    /// Asks it to stop, unless it stops already: a second signal would end it at once. It serves the
    /// clients that it has, `timeout` long at the most.
    pub fn stop(&mut self, timeout: Duration) {
        if !self.is_running() {
            return;
        }
        let pid = self.pid();
        let sent = match self.is_stopping {
            true => Ok(()),
            false => processes::send(pid, Signal::SIGTERM),
        };
        match sent {
            Ok(()) | Err(Errno::ESRCH) => {
                self.complain_at = Some(Instant::now() + timeout + PATIENCE);
            }
            Err(error) => log::error!(
                "Cannot stop process {pid}, from which this one takes over: {}. Both serve the same \
                 ports now; stop it: kill {pid}.",
                error.desc()
            ),
        }
    }

    /// Looks whether it has ended; true when there is nothing more to look for.
    pub fn look(&mut self) -> bool {
        if !self.is_running() {
            log::info!(
                "Process {}, from which this one took over, has ended.",
                self.pid()
            );
            return true;
        }
        if self.complain_at.is_some_and(|at| Instant::now() >= at) {
            log::error!(
                "Process {pid}, from which this one took over, has not ended{}. It may still get \
                 some of the clients; end it: kill -9 {pid}.",
                processes::excuse(self.pid()),
                pid = self.pid()
            );
            return true;
        }
        false
    }

    fn is_running(&self) -> bool {
        self.process.again().is_some()
    }
}
