//! What `/proc` tells of another process, signals to it, and the wait for its end.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

/// How often a process is checked for its end where the kernel has no descriptor for it.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// A process that was seen; its number may be another one's later, its start not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its state.
    pub state: ProcessState,
    /// When it began, in ticks since the system's start.
    began: u64,
}

/// The state of a process, as far as a wait for it depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// It runs, or sleeps until something happens.
    Runs,
    /// It was stopped by a signal or by a debugger.
    Stopped,
    /// It is in a system call that no signal ends.
    Stuck,
    /// It has ended; its parent has not noticed yet.
    Ended,
}

impl ProcessState {
    fn of(letter: char) -> ProcessState {
        match letter {
            'T' | 't' => ProcessState::Stopped,
            'D' => ProcessState::Stuck,
            'Z' | 'X' | 'x' => ProcessState::Ended,
            _ => ProcessState::Runs,
        }
    }

    fn why_unresponsive(self, pid: u32) -> String {
        match self {
            ProcessState::Stopped => {
                format!(": it is stopped (state T); 'kill -CONT {pid}' has it go on")
            }
            ProcessState::Stuck => {
                ": it is stuck in the kernel (state D), in a call that no signal ends, \
                             such as on a file system that does not answer"
                    .into()
            }
            ProcessState::Runs | ProcessState::Ended => String::new(),
        }
    }
}

/// A process that keeps its meaning: a signal never reaches another one that got its number.
#[derive(Debug)]
pub struct ProcessHandle {
    /// Its number.
    pub pid: u32,
    /// None where the kernel has no such descriptors (before Linux 5.3), or forbids them.
    pidfd: Option<OwnedFd>,
    /// When it began, by `/proc`.
    seen: Option<Process>,
}

impl ProcessHandle {
    /// The process that has this number now. Whatever told the number has to be asked once more after
    /// that: only then this is the process that was meant.
    pub fn open(pid: u32) -> ProcessHandle {
        let raw = i32::try_from(pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let pidfd = raw.and_then(|raw| pidfd_open(raw, PidfdFlags::empty()).ok());
        let seen = process_info(pid);
        ProcessHandle { pid, pidfd, seen }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// What the system says; ESRCH where it has ended.
    pub fn send(&self, signal: Signal) -> Result<(), Errno> {
        let Some(pidfd) = &self.pidfd else {
            return match self.has_ended() {
                true => Err(Errno::ESRCH),
                false => send(self.pid, signal),
            };
        };
        let signal = rustix::process::Signal::from_named_raw(signal as i32).ok_or(Errno::EINVAL)?;
        pidfd_send_signal(pidfd, signal).map_err(|error| Errno::from_raw(error.raw_os_error()))
    }

    /// Waits for its end; false when the time is over.
    pub fn wait(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            if self.has_ended() {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            match &self.pidfd {
                Some(pidfd) => {
                    let mut ends = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
                    let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
                    // The result is checked above.
                    let _ = poll(&mut ends, left);
                }
                None => thread::sleep(CHECK_INTERVAL.min(left)),
            }
        }
    }

    /// Whether it has ended; its parent may not have noticed yet.
    pub fn has_ended(&self) -> bool {
        match &self.pidfd {
            Some(pidfd) => {
                let mut ends = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
                poll(&mut ends, PollTimeout::ZERO).is_ok_and(|count| count > 0)
            }
            None => self.seen.and_then(Process::again).is_none(),
        }
    }
}

/// The process of this number; none where there is none, it has ended, or it may not be seen.
pub fn process_info(pid: u32) -> Option<Process> {
    let folder = Path::new("/proc").join(pid.to_string());
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let process = parse(pid, &stat, &status)?;
    (process.state != ProcessState::Ended).then_some(process)
}

/// Why this process does not react, and what to do, as the end of a sentence; empty where the system
/// does not say.
pub fn why_unresponsive(pid: u32) -> String {
    process_info(pid).map_or_else(String::new, |process| process.state.why_unresponsive(pid))
}

/// The name in `stat` may hold blanks and parentheses: what follows the last one counts.
fn parse(pid: u32, stat: &str, status: &str) -> Option<Process> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = ProcessState::of(fields.next()?.chars().next()?);
    // Field 22 of the line is the 19th behind the state.
    let began = fields.nth(18)?.parse().ok()?;
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let uid = uids.split_whitespace().nth(1)?.parse().ok()?;
    Some(Process {
        pid,
        uid,
        state,
        began,
    })
}

impl Process {
    /// The same process as it is now; none when it has ended.
    fn again(self) -> Option<Process> {
        process_info(self.pid).filter(|now| now.began == self.began)
    }
}

/// Sends a signal to this one process, by its number.
///
/// # Errors
/// What the system says; a number that means a group of processes is refused. Number 1 is a process
/// like any other: in a container the server may have it.
pub fn send(pid: u32, signal: Signal) -> Result<(), Errno> {
    match i32::try_from(pid) {
        Ok(raw) if raw > 0 => kill(Pid::from_raw(raw), signal),
        _ => Err(Errno::EINVAL),
    }
}

/// The name of a user, by the password file; else its number.
pub fn user_name(uid: u32) -> String {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let number = uid.to_string();
    let named = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(&number)).then(|| name.to_string())
    });
    named.unwrap_or_else(|| format!("number {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_hides_nothing() {
        let stat = "17 (a) D (b) T 1 17 17 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        let status = "Name:\ta) D (b\nUid:\t0\t65534\t65534\t65534\n";
        let process = parse(17, stat, status).unwrap();
        assert_eq!((process.uid, process.state), (65534, ProcessState::Stopped));
        assert_eq!(process.began, 4711);
    }

    #[test]
    fn a_process_is_seen_until_it_has_ended_also_as_a_zombie() {
        let mut child = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        let seen = process_info(child.id()).unwrap();
        assert_eq!(seen.again().map(|now| now.pid), Some(child.id()));
        child.kill().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while seen.again().is_some() {
            assert!(std::time::Instant::now() < deadline);
        }
        assert_eq!(process_info(child.id()), None);
        child.wait().unwrap();
        assert_eq!(process_info(child.id()), None);
    }

    #[test]
    fn users_have_names_and_unknown_ones_numbers() {
        assert_eq!(user_name(0), "root");
        assert_eq!(user_name(4_000_000_001), "number 4000000001");
    }
}
