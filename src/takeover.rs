//! A restart without a gap: the new server shares the ports of the running one, its predecessor,
//! takes its pid file, and sends it SIGTERM once it accepts itself. Whatever goes wrong before that
//! leaves the predecessor as it is.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{kill, Signal};
use nix::unistd::{Pid, Uid};

use crate::config::reason;
use crate::pid_file;

/// How long a predecessor may take beyond its clients' deadline before the log complains of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The running server that is to be replaced.
pub struct Predecessor {
    pid: Pid,
    /// When it started: another process may get its number.
    started: u64,
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
        let gone = |error: io::Error| failed(format!("process {pid}: {}", reason(&error)));
        let owner = fs::metadata(format!("/proc/{pid}")).map_err(gone)?.uid();
        let us = becomes.unwrap_or_else(|| Uid::effective().as_raw());
        if us != 0 && us != owner {
            return Err(failed(format!(
                "process {pid} is of user {owner}, and this one will be of user {us}, who may not \
                 stop it; stop it first, and then start this one"
            )));
        }
        Ok(Some(Predecessor {
            pid: Pid::from_raw(pid),
            started: start_time(pid).map_err(gone)?,
            complain_at: None,
        }))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Asks it to stop. It serves those who are with it, `timeout` long at the most.
    pub fn stop(&mut self, timeout: Duration) {
        if !self.is_running() {
            return;
        }
        match kill(self.pid, Signal::SIGTERM) {
            Ok(()) | Err(Errno::ESRCH) => {
                self.complain_at = Some(Instant::now() + timeout + PATIENCE);
            }
            Err(error) => log::error!(
                "Cannot stop process {}, from which this one takes over: {}. Both serve the same \
                 ports now; stop it: kill {}.",
                self.pid,
                error.desc(),
                self.pid
            ),
        }
    }

    /// Looks whether it has ended; true when there is nothing more to look for.
    pub fn look(&mut self) -> bool {
        if !self.is_running() {
            log::info!(
                "Process {}, from which this one took over, has ended.",
                self.pid
            );
            return true;
        }
        if self.complain_at.is_some_and(|at| Instant::now() >= at) {
            log::error!(
                "Process {}, from which this one took over, has not ended. It may still get some \
                 of the clients; end it: kill -9 {}.",
                self.pid,
                self.pid
            );
            return true;
        }
        false
    }

    fn is_running(&self) -> bool {
        start_time(self.pid.as_raw()).is_ok_and(|started| started == self.started)
    }
}

/// When a process started, in clock ticks since the system did; an error where it has ended.
/// Source: proc_pid_stat(5), fields 3 and 22.
fn start_time(pid: i32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in brackets may hold anything.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next();
    let started = fields.nth(18).and_then(|field| field.parse().ok());
    match (state, started) {
        (Some("Z" | "X"), _) => Err(io::ErrorKind::NotFound.into()),
        (_, Some(started)) => Ok(started),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_has_a_start_time_and_one_that_does_not_has_none() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(start_time(own).unwrap(), start_time(own).unwrap());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        child.wait().unwrap();
        assert!(start_time(pid).is_err());
    }
}
