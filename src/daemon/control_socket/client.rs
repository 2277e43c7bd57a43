//! The client's side of the control socket: it asks a running server, within a limited time and for
//! a limited number of bytes. It never follows a link.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use socket2::{Domain, Socket, Type};

use super::{MOST_REPLY_BYTES, Reply, Request, address, bound};
use crate::daemon::processes;
use crate::output::text::reason;

/// How soon another try follows where the server has too many connections to take one more.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// A connection to a server's control socket.
#[derive(Debug)]
pub struct ControlConnection {
    stream: UnixStream,
    pid: Option<u32>,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum Unreachable {
    /// There is no socket, or nobody listens on it.
    Nobody,
    /// This user may not ask.
    NotAllowed,
    /// It has taken no connection for the whole time.
    Busy,
    /// What is in its place is no socket, or something else is wrong with it.
    Wrong(String),
}

/// Connects to the socket at `path` within `time`.
///
/// # Errors
/// Why that is not possible.
pub fn connect(path: &Path, time: Duration) -> Result<ControlConnection, Unreachable> {
    let wrong = |error: io::Error| Unreachable::Wrong(reason(&error));
    let owner = match path.symlink_metadata() {
        Ok(file) if file.file_type().is_socket() => file.uid(),
        Ok(_) => return Err(Unreachable::Wrong("it is no socket".into())),
        Err(error) => {
            return Err(match error.kind() {
                io::ErrorKind::NotFound => Unreachable::Nobody,
                io::ErrorKind::PermissionDenied => Unreachable::NotAllowed,
                _ => wrong(error),
            });
        }
    };
    let to = address(path).map_err(wrong)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(wrong)?;
    // A blocking connect would wait for ever where the queue is full.
    socket.set_nonblocking(true).map_err(wrong)?;
    let deadline = Instant::now() + time;
    while let Err(error) = socket.connect(&to) {
        match error.kind() {
            io::ErrorKind::WouldBlock if Instant::now() < deadline => thread::sleep(RETRY_INTERVAL),
            io::ErrorKind::WouldBlock => return Err(Unreachable::Busy),
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                return Err(Unreachable::Nobody);
            }
            io::ErrorKind::PermissionDenied => return Err(Unreachable::NotAllowed),
            _ => return Err(wrong(error)),
        }
    }
    socket.set_nonblocking(false).map_err(wrong)?;
    let stream = UnixStream::from(OwnedFd::from(socket));
    let pid = listener(&stream, owner);
    Ok(ControlConnection { stream, pid })
}

/// The process that listens. The system remembers its number. A process of that number that does not
/// belong to the socket's owner is another one by now.
fn listener(stream: &UnixStream, owner: u32) -> Option<u32> {
    let peer = getsockopt(stream, PeerCredentials).ok()?;
    let pid = u32::try_from(peer.pid()).ok().filter(|pid| *pid != 0)?;
    let process = processes::process_info(pid)?;
    (process.uid == owner).then_some(pid)
}

impl ControlConnection {
    /// The process that listens; none where the system does not tell.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Asks, and waits for the answer, both within `time`.
    ///
    /// # Errors
    /// When there is none in time, or it is not understood.
    pub fn ask(mut self, request: Request, time: Duration) -> io::Result<Reply> {
        let deadline = Instant::now() + time;
        bound(&self.stream, deadline)?;
        let line = format!("{}\n", request.word());
        self.stream.write_all(line.as_bytes())?;
        self.answer(deadline)
    }

    /// The whole answer.
    fn answer(&mut self, deadline: Instant) -> io::Result<Reply> {
        let mut answer = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            bound(&self.stream, deadline)?;
            match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => answer.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if answer.len() as u64 > MOST_REPLY_BYTES {
                return Err(io::Error::other("its answer is too long"));
            }
        }
        if answer.is_empty() {
            return Err(io::Error::other(
                "it closed the connection without an answer",
            ));
        }
        serde_json::from_slice(&answer)
            .map_err(|error| io::Error::other(format!("its answer is not understood: {error}")))
    }
}
