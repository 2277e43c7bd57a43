//! The Unix socket beside the pid file, on which a running server answers `status` and `reload`. A
//! connection carries one request line and one answer line of JSON. It decides nothing about policies.

mod client;
mod server;

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::daemon::status::{Reload, Status};

pub use client::{ControlConnection, Unreachable, connect};
pub use server::{ControlSocket, InPlace, can_bind};

/// The requests of the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// How the server is.
    Status,
    /// Read the configuration and the policies anew.
    Reload,
}

impl Request {
    const ALL: [Request; 2] = [Request::Status, Request::Reload];

    fn word(self) -> &'static str {
        match self {
            Request::Status => "status",
            Request::Reload => "reload",
        }
    }

    fn parse(line: &[u8]) -> Option<Request> {
        let all = Request::ALL.into_iter();
        let mut matching = all.filter(|request| request.word().as_bytes() == line);
        matching.next()
    }
}

/// The answers of the control socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Reload`], once it is done.
    Reload(Reload),
    /// There is no answer; the sentence says why.
    Refused(String),
}

/// A request that was passed to the thread that answers it.
#[derive(Debug)]
pub struct AskedRequest {
    /// The question.
    pub request: Request,
    until: Instant,
    reply: SyncSender<Reply>,
}

impl AskedRequest {
    /// Whether its client still waits.
    pub fn is_awaited(&self) -> bool {
        Instant::now() < self.until
    }

    /// Answers it. The asking thread may have given up already.
    pub fn answer(self, reply: Reply) {
        let _ = self.reply.try_send(reply);
    }
}

/// How long the server has for a status: its client waits two seconds for all.
const STATUS_TIME: Duration = Duration::from_secs(1);

/// How long the server has for a reload: a file system may be slow.
const RELOAD_TIME: Duration = Duration::from_secs(60);

impl Request {
    /// How long the server has for the answer.
    pub fn time(self) -> Duration {
        match self {
            Request::Status => STATUS_TIME,
            Request::Reload => RELOAD_TIME,
        }
    }
}

/// Passes a request to another thread by `send`, and waits for the answer, in bounded time.
pub fn pass_on(request: Request, send: impl FnOnce(AskedRequest)) -> Reply {
    let (reply, answer) = mpsc::sync_channel(1);
    let until = Instant::now() + request.time();
    send(AskedRequest {
        request,
        until,
        reply,
    });
    match answer.recv_timeout(request.time()) {
        Ok(reply) => reply,
        Err(RecvTimeoutError::Disconnected) => Reply::Refused("the server is about to end".into()),
        Err(RecvTimeoutError::Timeout) => Reply::Refused(format!(
            "the server serves, but its files have kept it busy for more than {} s, as if a file \
             system did not answer; its log tells when that is over",
            request.time().as_secs_f64()
        )),
    }
}

/// The longest request, with its line end, in bytes.
const MOST_REQUEST_BYTES: usize = 32;

/// The longest answer, in bytes; a status has a few thousand.
const MOST_REPLY_BYTES: u64 = 1024 * 1024;

/// Where the socket is of the server with this pid file.
pub fn path_beside(pid_file: &Path) -> PathBuf {
    let mut path = pid_file.as_os_str().to_owned();
    path.push(".sock");
    path.into()
}

/// The path as the system takes it. Relative ones are absolute in messages and at the end.
///
/// # Errors
/// When it is longer than a socket's path can be.
fn address(path: &Path) -> io::Result<socket2::SockAddr> {
    socket2::SockAddr::unix(path).map_err(|_| {
        io::Error::other(format!(
            "the path has {} bytes, and a socket's can have {MOST_PATH_BYTES} at the most; set a \
             'pid_file' with a shorter one",
            path.as_os_str().len()
        ))
    })
}

/// Bounds the next read and write by what is left until the deadline.
fn bound(stream: &UnixStream, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.set_read_timeout(Some(left))?;
    stream.set_write_timeout(Some(left))
}

/// The longest path that fits into `sun_path` with its NUL.
const MOST_PATH_BYTES: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_are_requests() {
        assert_eq!(Request::parse(b"status"), Some(Request::Status));
        assert_eq!(Request::parse(b"reload"), Some(Request::Reload));
        for line in [
            &b""[..],
            b"stat",
            b"status ",
            b"listeners",
            b"RELOAD",
            b"\xff",
        ] {
            assert_eq!(Request::parse(line), None);
        }
    }

    #[test]
    fn a_path_that_is_too_long_is_told_with_its_length() {
        assert!(address(Path::new(&"x".repeat(107))).is_ok());
        let error = address(Path::new(&"x".repeat(108))).unwrap_err();
        assert!(error.to_string().contains("has 108 bytes"), "{error}");
    }
}
