//! `flashpolicyd stop` sends SIGTERM and waits until the server has ended. After a time it sends a
//! second SIGTERM; where the server still runs, it prints why that may be. It never sends SIGKILL.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::output::{complain, print};
use super::running::{RunningServer, ServerPlace};
use crate::config::Configured;
use crate::control_socket::{self, Unreachable};
use crate::exit::Exit;
use crate::pid_file::{self, PidFile};
use crate::processes::{self, Process};

/// The time of a stop beyond the deadline of the last clients.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// The time after the second SIGTERM, which asks for the end at once: the server ends itself after
/// six seconds, whatever does not answer.
const AT_ONCE: Duration = Duration::from_secs(8);

/// How often it is looked whether it is gone.
const ROUND: Duration = Duration::from_millis(20);

/// A process that ends closes its descriptors one after the other: the lock may be free, and the
/// socket still take a connection.
const LAST_DESCRIPTORS: Duration = Duration::from_millis(500);

/// Stops the server of this configuration, if it runs.
pub(super) fn run(configured: &Configured) -> Result<Exit, Exit> {
    let place = ServerPlace::despite_mistakes(configured)?;
    if let Some(server) = place.find()? {
        return stop(&place, &server);
    }
    place.is_not_elsewhere()?;
    clean_up(&place);
    let note = place.without_pid_file();
    Ok(print(format!("flashpolicyd is already stopped{note}\n")))
}

fn stop(place: &ServerPlace, server: &RunningServer) -> Result<Exit, Exit> {
    let Some(pid) = server.pid else {
        complain(&format!(
            "{} holds the pid file {}: it can only be stopped from there",
            server.name(),
            place.pid_file.display()
        ));
        return Err(Exit::Denied);
    };
    let begun = Instant::now();
    let mut left = Left::of([Some(pid), server.former].into_iter().flatten());
    // One that was taken over has had its signal.
    signal(pid, server)?;
    let mut how = "";
    if !left.wait(place, place.config.startup.timeout + GRACE) {
        how = ", by a second SIGTERM";
        for process in left.0.clone() {
            signal(process.pid, server)?;
        }
        if !left.wait(place, AT_ONCE) {
            let pid = left.0.first().map_or(pid, |process| process.pid);
            complain(&format!(
                "process {pid} is still there after two SIGTERM{}; the last resort is \
                 'kill -KILL {pid}'",
                processes::excuse(pid)
            ));
            return Err(Exit::Failed);
        }
    }
    clean_up(place);
    let took = begun.elapsed().as_secs_f64();
    let stopped = format!("flashpolicyd stopped after {took:.1} s{how} (process {pid})\n");
    Ok(print(stopped))
}

fn signal(pid: u32, server: &RunningServer) -> Result<(), Exit> {
    match processes::send(pid, Signal::SIGTERM) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => {
            complain(&format!(
                "cannot stop {}: {}; root can",
                server.name(),
                error.desc()
            ));
            Err(Exit::Denied)
        }
    }
}

/// The processes that have to end.
pub(super) struct Left(Vec<Process>);

impl Left {
    pub(super) fn of(pids: impl Iterator<Item = u32>) -> Left {
        Left(pids.filter_map(processes::look).collect())
    }

    /// Waits until they are gone and do not hold the pid file; false when the time is over.
    pub(super) fn wait(&mut self, place: &ServerPlace, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let pids: Vec<u32> = self.0.iter().map(|process| process.pid).collect();
        loop {
            self.0.retain(|process| process.again().is_some());
            let holder = pid_file::holder(&place.pid_file).unwrap_or_default();
            if self.0.is_empty() && !holder.is_some_and(|holder| pids.contains(&holder)) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(ROUND);
        }
    }
}

/// A server that became another user could not remove its files; nor could one that was killed.
/// They go while their lock is held, so that nobody else's are taken.
fn clean_up(place: &ServerPlace) {
    if !place.pid_file.exists() {
        return;
    }
    let Ok(locked) = PidFile::write(&place.pid_file) else {
        return;
    };
    let socket = control_socket::path_beside(&place.pid_file);
    let deadline = Instant::now() + LAST_DESCRIPTORS;
    loop {
        match control_socket::connect(&socket, Duration::ZERO) {
            Ok(_) if Instant::now() < deadline => thread::sleep(ROUND),
            Err(Unreachable::Nobody) => {
                let _ = fs::remove_file(&socket);
                break;
            }
            _ => break,
        }
    }
    drop(locked);
}
