//! `flashpolicyd stop` sends SIGTERM and waits until the server has ended. After a time it sends a
//! second SIGTERM; where the server still runs, it prints why that may be. It never sends SIGKILL.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::running::RunningServer;
use super::server_files::ServerFiles;
use crate::config::Configured;
use crate::daemon::control_socket::{self, Unreachable};
use crate::daemon::pid_file::{self, PidFile};
use crate::daemon::processes::{self, ProcessHandle};
use crate::output::exit::Exit;
use crate::output::print::{print, print_error};

/// The time of a stop beyond the deadline of the last clients.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// The time after the second SIGTERM, which asks for the end at once: the server ends itself after
/// six seconds, whatever does not answer.
const AT_ONCE: Duration = Duration::from_secs(8);

/// How soon the socket is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// A process that ends closes its descriptors one after the other: the lock may be free, and the
/// socket still take a connection.
const LAST_DESCRIPTORS: Duration = Duration::from_millis(500);

/// Stops the server of this configuration, if it runs.
pub fn run(configured: &Configured) -> Result<Exit, Exit> {
    let files = ServerFiles::despite_mistakes(configured)?;
    if let Some(server) = files.find()? {
        return stop(&files, &server);
    }
    files.refuse_if_elsewhere()?;
    clean_up(&files);
    let note = files.no_pid_file_note();
    if let Some(pid) = files.process_without_pid_file() {
        print_error(&format!("process {pid} was not stopped{note}"));
        return Err(Exit::Failed);
    }
    print(format!("flashpolicyd is already stopped{note}\n"));
    Ok(Exit::Fine)
}

fn stop(files: &ServerFiles, server: &RunningServer) -> Result<Exit, Exit> {
    let begun = Instant::now();
    let process = match process_of(server) {
        // It ended while it was found.
        Err(Exit::Failed) => {
            clean_up(files);
            print("flashpolicyd stopped by itself\n");
            return Ok(Exit::Fine);
        }
        process => process?,
    };
    let pid = process.pid;
    let locked = pid_file::lock_for_stop(&files.pid_file, pid);
    // Where another command stops it already, its end is all that is wanted.
    if !matches!(locked, Ok(None)) {
        signal(&process, server)?;
    }
    let mut how = "";
    if !process.wait(files.config.startup.timeout + GRACE) {
        how = ", by a second SIGTERM";
        signal(&process, server)?;
        if !process.wait(AT_ONCE) {
            print_error(&format!(
                "process {pid} is still there after two SIGTERM{}; the last resort is \
                 'kill -KILL {pid}'",
                processes::why_unresponsive(pid)
            ));
            return Err(Exit::Failed);
        }
    }
    clean_up(files);
    let took = begun.elapsed().as_secs_f64();
    let stopped = format!("flashpolicyd stopped after {took:.1} s{how} (process {pid})\n");
    print(stopped);
    Ok(Exit::Fine)
}

/// The process of a running server.
///
/// # Errors
/// The exit code where it is not to be had; what is wrong has been said.
pub(super) fn process_of(server: &RunningServer) -> Result<ProcessHandle, Exit> {
    server.process().ok_or_else(|| match server.pid {
        None => {
            print_error(&format!(
                "{} holds the pid file {}: it can only be stopped from there",
                server.name(),
                server.pid_file.display()
            ));
            Exit::Denied
        }
        Some(pid) => {
            print_error(&format!(
                "process {pid} has just ended, or another one took its place"
            ));
            Exit::Failed
        }
    })
}

/// Sends SIGTERM; a process that has ended needs none.
///
/// # Errors
/// The exit code; what is wrong has been said.
pub(super) fn signal(process: &ProcessHandle, server: &RunningServer) -> Result<(), Exit> {
    match process.send(Signal::SIGTERM) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => {
            print_error(&format!(
                "cannot stop {}: {}; root can",
                server.name(),
                error.desc()
            ));
            Err(Exit::Denied)
        }
    }
}

/// A server that became another user could not remove its files; nor could one that was killed.
/// They go while their lock is held, so that nobody else's are taken.
fn clean_up(files: &ServerFiles) {
    if !files.pid_file.exists() {
        return;
    }
    let Ok(locked) = PidFile::write(&files.pid_file) else {
        return;
    };
    let socket = control_socket::path_beside(&files.pid_file);
    let deadline = Instant::now() + LAST_DESCRIPTORS;
    loop {
        match control_socket::connect(&socket, Duration::ZERO) {
            Ok(_) if Instant::now() < deadline => thread::sleep(RETRY_INTERVAL),
            Err(Unreachable::Nobody) => {
                let _ = fs::remove_file(&socket);
                break;
            }
            _ => break,
        }
    }
    drop(locked);
}
