//! The starting side of a start in the background: it runs the server as a child and waits until
//! the server serves or has failed. The child's errors come through a pipe, so a full disk loses
//! none of them. It serves nothing; `starter.rs` is the server's side.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::starter::{OPTION, READY};
use crate::config::Configured;
use crate::daemon::processes;
use crate::daemon::status::Status;
use crate::output::exit::Exit;
use crate::output::print::print_error;
use crate::output::text::reason;

/// How long a server has to bind its ports and accept.
const START_TIME: Duration = Duration::from_secs(30);

/// How long a server that is not wanted any more has for its end, each time it is told.
const END_TIME: Duration = Duration::from_secs(2);

/// How often a signal of the user is checked for.
const ROUND: Duration = Duration::from_millis(50);

/// The arguments of a server in the background that has this configuration.
pub(super) fn arguments(
    configured: &Configured,
    file: Option<&Path>,
    pid_file: &Path,
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["serve".into(), OPTION.into()];
    if let Some(file) = file {
        arguments.extend(["--config".into(), file.into()]);
    }
    for given in configured.overrides.iter().filter(|o| o.key != "pid_file") {
        arguments.extend([given.option.into(), OsString::from(&given.value)]);
    }
    arguments.extend(["--pid-file".into(), pid_file.into()]);
    arguments
}

/// Whether this program, as it is on disk now, can be executed.
///
/// # Errors
/// The exit code; what is wrong has been said.
pub(super) fn check_program() -> Result<(), Exit> {
    let mut child = spawn(&own_program()?, &["--version".into()])?;
    match wait(&mut child, END_TIME) {
        Some(status) if status.success() => Ok(()),
        status => {
            let how = status.map_or_else(
                || end(&mut child),
                |status| format!("it ended with {status}"),
            );
            print_error(&format!("the program does not answer to --version: {how}"));
            Err(Exit::Failed)
        }
    }
}

fn own_program() -> Result<PathBuf, Exit> {
    std::env::current_exe().map_err(|error| {
        print_error(&format!("cannot find its own program: {}", reason(&error)));
        Exit::Failed
    })
}

/// Starts this program with these arguments, and gives what the server says of itself once it
/// serves.
///
/// # Errors
/// The exit code; what went wrong has been said.
pub(super) fn start(arguments: &[OsString]) -> Result<Status, Exit> {
    start_program(&own_program()?, arguments, START_TIME)
}

fn start_program(program: &Path, arguments: &[OsString], time: Duration) -> Result<Status, Exit> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        // Where it fails, an interrupted start leaves its server behind.
        let _ = signal_hook::flag::register(signal, Arc::clone(&interrupted));
    }
    let mut child = spawn(program, arguments)?;
    let lines = child.stderr.take().map(lines_of);
    let deadline = Instant::now() + time;
    let mut said = false;
    loop {
        let line = match &lines {
            Some(lines) => lines.recv_timeout(ROUND),
            None => Err(RecvTimeoutError::Disconnected),
        };
        match line {
            Ok(line) => match line.strip_prefix(READY.as_bytes()) {
                Some(status) => return Ok(serde_json::from_slice(status).unwrap_or_default()),
                None => {
                    said = true;
                    let _ = io::stderr().write_all(&line);
                }
            },
            Err(RecvTimeoutError::Disconnected) => return Err(ended(&mut child, said)),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let late = Instant::now() >= deadline;
        if late || interrupted.load(Relaxed) {
            let why = if late {
                format!("the server did not serve after {} s", time.as_secs())
            } else {
                "interrupted".to_string()
            };
            print_error(&format!("{why}; {}", end(&mut child)));
            return Err(Exit::Failed);
        }
    }
}

fn spawn(program: &Path, arguments: &[OsString]) -> Result<Child, Exit> {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    child.map_err(|error| {
        print_error(&format!(
            "cannot execute {}: {}",
            program.display(),
            reason(&error)
        ));
        match error.kind() {
            io::ErrorKind::NotFound => Exit::NotInstalled,
            io::ErrorKind::PermissionDenied => Exit::Denied,
            _ => Exit::Failed,
        }
    })
}

/// The lines as they come, each with its line end, by a thread of its own.
fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::sync_channel(64);
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        loop {
            let mut line = Vec::new();
            match pipe.read_until(b'\n', &mut line) {
                Ok(read) if read > 0 && sender.send(line).is_ok() => {}
                _ => return,
            }
        }
    });
    receiver
}

/// The exit code where the server has closed its pipe, and so has ended or is about to.
fn ended(child: &mut Child, said: bool) -> Exit {
    let Some(code) = wait(child, END_TIME) else {
        print_error(&format!(
            "the server has closed its pipe and does not serve; {}",
            end(child)
        ));
        return Exit::Failed;
    };
    if !said {
        print_error(&format!(
            "the server ended with {code} and without a word; its log may say why, and \
             'flashpolicyd serve' shows it"
        ));
    }
    match code.code() {
        Some(2) => Exit::Usage,
        Some(4) => Exit::Denied,
        _ => Exit::Failed,
    }
}

fn wait(child: &mut Child, time: Duration) -> Option<std::process::ExitStatus> {
    let deadline = Instant::now() + time;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(ROUND),
            _ => return None,
        }
    }
}

/// Ends a server that does not serve yet, and says how that went.
fn end(child: &mut Child) -> String {
    let pid = child.id();
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let _ = processes::send(pid, signal);
        if wait(child, END_TIME).is_some() {
            return "it was ended".into();
        }
    }
    let why = processes::why_unresponsive(pid);
    format!("process {pid} is still there{why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str, time: Duration) -> Result<Status, Exit> {
        let arguments = ["-c".into(), OsString::from(text)];
        start_program(Path::new("/bin/sh"), &arguments, time)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_exit_code_is_the_servers_or_one_for_any_failure() {
        for (text, code) in [
            ("echo wrong >&2; exit 2", Exit::Usage),
            ("exit 4", Exit::Denied),
            ("exit 1", Exit::Failed),
            ("exit 77", Exit::Failed),
            ("kill -KILL $$", Exit::Failed),
        ] {
            assert_eq!(script(text, LONG), Err(code), "{text}");
        }
    }

    #[test]
    fn a_program_that_cannot_be_executed_has_its_own_code() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let started = start_program(file.path(), &[], LONG);
        assert_eq!(started, Err(Exit::Denied));
        let missing = file.path().with_extension("missing");
        let started = start_program(&missing, &[], LONG);
        assert_eq!(started, Err(Exit::NotInstalled));
    }

    #[test]
    fn a_server_that_does_not_get_ready_is_ended_also_when_it_ignores_sigterm() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let text = format!(
            "trap '' TERM; echo $$ >'{}'; sleep 600 & wait; wait",
            file.display()
        );
        assert_eq!(script(&text, Duration::from_secs(1)), Err(Exit::Failed));
        let pid = std::fs::read_to_string(file).unwrap();
        assert_eq!(processes::process_info(pid.trim().parse().unwrap()), None);
    }

    #[test]
    fn it_serves_when_it_says_so() {
        let line = format!("echo a warning >&2; echo '{READY}{{\"pid\": 7}}' >&2; sleep 1");
        assert_eq!(script(&line, LONG).unwrap().pid, 7);
    }
}
