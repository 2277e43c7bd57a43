//! The server's side of the control socket. The socket belongs to the server's user alone. Threads
//! of its own serve it, so it never delays a player; a client that does nothing is closed after two
//! seconds.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{AccessFlags, Gid, Uid, access, fchownat};
use socket2::{Domain, SockRef, Socket, Type};

use super::client::{Unreachable, connect};
use super::{MOST_REQUEST_BYTES, Reply, Request, address, bound, path_beside};
use crate::output::text::reason;

/// How long a client has for its request, and then for taking the answer.
const EXCHANGE: Duration = Duration::from_secs(2);

/// How many clients are answered at the same time; one more is turned away.
const MOST_CLIENTS: usize = 8;

/// How many wait for `accept`.
const BACKLOG: i32 = 16;

/// The pause after `accept` failed, such as for want of a descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An exchange needs little; the default of 2 MiB could be refused on a small host.
const STACK: usize = 256 * 1024;

/// How long an existing socket has to take a connection, which shows that a server listens on it.
const LIVENESS_TIMEOUT: Duration = Duration::from_millis(500);

/// A control socket that already takes connections, under a name of its own until
/// [`ControlSocket::put_in_place`]; dropping it before removes it.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    /// Where it is now.
    now: Named,
    /// Where it belongs.
    path: PathBuf,
}

/// A socket that is in place and served; dropping it ends that and removes the file. Where this user
/// may not remove it, it stays, and nobody answers.
#[derive(Debug)]
pub struct InPlace {
    listener: Arc<UnixListener>,
    _named: Named,
}

impl Drop for InPlace {
    fn drop(&mut self) {
        // Wakes the thread that accepts, and has the system refuse whoever connects.
        let _ = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
    }
}

/// The file of a socket, removed when this is dropped, if it is still the same.
#[derive(Debug)]
struct Named {
    path: PathBuf,
    /// Device and inode.
    file: (u64, u64),
}

impl Drop for Named {
    fn drop(&mut self) {
        let there = self.path.symlink_metadata();
        if there.is_ok_and(|there| (there.dev(), there.ino()) == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl ControlSocket {
    /// Makes the socket that belongs beside `pid_file`, mode 0600. What is in its place must be
    /// nothing, or a socket that nobody answers on.
    ///
    /// # Errors
    /// A sentence that says what is in the way, and what to do.
    pub fn bind(pid_file: &Path) -> Result<ControlSocket, String> {
        let path = path_beside(pid_file);
        let path = std::path::absolute(&path).unwrap_or(path);
        let failed =
            |why: &str| format!("cannot make the control socket {}: {why}", path.display());
        let io = |error: io::Error| failed(&reason(&error));
        address(&path).map_err(io)?;
        may_be_replaced(&path).map_err(|why| failed(&why))?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let name = folder.join(format!(".{}.sock", std::process::id()));
        let (listener, now) = listen(&name).map_err(io)?;
        Ok(ControlSocket {
            listener,
            now,
            path,
        })
    }

    /// Gives the socket to another user and group; none leaves that one as it is.
    ///
    /// # Errors
    /// The system's error, or that another file has this name.
    pub fn give_to(&self, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        let file = handle(&self.now.path)?;
        let there = file.metadata()?;
        if (there.dev(), there.ino()) != self.now.file || there.nlink() != 1 {
            return Err(io::Error::other(format!(
                "another file is in the place of {}",
                self.now.path.display()
            )));
        }
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        Ok(fchownat(&file, "", uid, gid, AtFlags::AT_EMPTY_PATH)?)
    }

    /// Puts the socket where it belongs. What was there before is there until then, so at no moment
    /// there is none. To be called while the folder may still be written.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn put_in_place(&mut self) -> Result<(), String> {
        fs::rename(&self.now.path, &self.path).map_err(|error| {
            format!(
                "cannot put the control socket in its place {}: {}",
                self.path.display(),
                reason(&error)
            )
        })?;
        self.now.path.clone_from(&self.path);
        Ok(())
    }

    /// Answers from now on: `answer` is called for each request, by several threads at the same time,
    /// and has to return in bounded time.
    ///
    /// # Errors
    /// When the system refuses the thread.
    pub fn serve(
        self,
        answer: impl Fn(Request) -> Reply + Send + Sync + 'static,
    ) -> io::Result<InPlace> {
        let ControlSocket { listener, now, .. } = self;
        let listener = Arc::new(listener);
        let clients = Clients {
            answer: Arc::new(answer),
            number: Arc::new(AtomicUsize::new(0)),
        };
        let accepting = Arc::clone(&listener);
        thread::Builder::new()
            .name("control".into())
            .stack_size(STACK)
            .spawn(move || clients.accept(&accepting))?;
        Ok(InPlace {
            listener,
            _named: now,
        })
    }
}

/// Whether a server of this user could make its control socket, and remove it at its end.
///
/// # Errors
/// A sentence for why not.
pub fn can_bind(pid_file: &Path) -> Result<(), String> {
    let path = path_beside(pid_file);
    let path = std::path::absolute(&path).unwrap_or(path);
    let folder = path.parent().unwrap_or(Path::new("/"));
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|error| {
        format!(
            "cannot make the control socket {}: its folder may not be written ({}); set another \
             'pid_file'",
            path.display(),
            error.desc()
        )
    })
}

/// Whether what is at the socket's place may go.
fn may_be_replaced(path: &Path) -> Result<(), String> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(reason(&error)),
        Ok(there) if !there.file_type().is_socket() => {
            return Err(
                "something else is in its place, and is left as it is; remove it if \
                        nobody needs it, or set another 'pid_file'"
                    .into(),
            );
        }
        Ok(_) => {}
    }
    match connect(path, LIVENESS_TIMEOUT) {
        Err(Unreachable::Nobody) => Ok(()),
        Ok(answering) => {
            let who = answering
                .pid()
                .map_or_else(|| "another process".into(), |pid| format!("process {pid}"));
            Err(format!(
                "{who} answers on it; stop it first, or set another 'pid_file'"
            ))
        }
        Err(Unreachable::Busy) => Err("another process has it".into()),
        Err(Unreachable::NotAllowed) => {
            Err("it belongs to another user; set another 'pid_file'".into())
        }
        Err(Unreachable::Wrong(why)) => Err(why),
    }
}

/// Makes a socket of this name that takes connections. It is this process's alone: no name that is
/// there already is used, and it has its mode before it has its name.
fn listen(name: &Path) -> io::Result<(UnixListener, Named)> {
    let to = address(name)?;
    // Left behind by an earlier process of this number.
    if fs::symlink_metadata(name).is_ok_and(|there| there.file_type().is_socket()) {
        fs::remove_file(name)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    socket.bind(&to)?;
    let there = handle(name)?.metadata()?;
    let named = Named {
        path: name.to_owned(),
        file: (there.dev(), there.ino()),
    };
    socket.listen(BACKLOG)?;
    let listener = UnixListener::from(OwnedFd::from(socket));
    Ok((listener, named))
}

/// The file itself, whatever it is, and never what a link leads to.
fn handle(name: &Path) -> io::Result<File> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(name)?;
    if file.metadata()?.file_type().is_socket() {
        Ok(file)
    } else {
        Err(io::Error::other(format!("{} is no socket", name.display())))
    }
}

/// The clients that are being answered.
struct Clients<Answer> {
    answer: Arc<Answer>,
    number: Arc<AtomicUsize>,
}

/// One client; the number counts it as long as this lives.
struct ClientSlot(Arc<AtomicUsize>);

impl Drop for ClientSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<Answer: Fn(Request) -> Reply + Send + Sync + 'static> Clients<Answer> {
    fn accept(&self, listener: &UnixListener) {
        loop {
            match listener.accept() {
                Ok((stream, _)) => self.take(stream),
                // The server has ended this socket.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
                Err(_) => thread::sleep(ACCEPT_PAUSE),
            }
        }
    }

    fn take(&self, stream: UnixStream) {
        let before = self.number.fetch_add(1, Ordering::Relaxed);
        let place = ClientSlot(Arc::clone(&self.number));
        if before >= MOST_CLIENTS {
            return;
        }
        let answer = Arc::clone(&self.answer);
        // A thread that the system refuses closes the connection, and the client is told nothing.
        let _ = thread::Builder::new()
            .name("control client".into())
            .stack_size(STACK)
            .spawn(move || {
                let _place = place;
                if let Err(error) = exchange(stream, &*answer) {
                    log::debug!("A control connection failed: {}.", reason(&error));
                }
            });
    }
}

fn exchange(mut stream: UnixStream, answer: &dyn Fn(Request) -> Reply) -> io::Result<()> {
    let refused = |why: &str| Reply::Refused(why.into());
    let reply = match allowed(&stream)? {
        false => refused("only root and the server's own user may ask"),
        true => match read_request(&mut stream)? {
            Some(request) => answer(request),
            None => refused("expected the line 'status' or 'reload'"),
        },
    };
    let mut bytes = serde_json::to_vec(&reply).map_err(io::Error::other)?;
    bytes.push(b'\n');
    write(&mut stream, &bytes)
}

/// Root, or the user that this process is.
fn allowed(stream: &UnixStream) -> Result<bool, Errno> {
    let peer = getsockopt(stream, PeerCredentials)?;
    Ok(peer.uid() == 0 || peer.uid() == Uid::effective().as_raw())
}

/// The request of one line; none where it is no request.
fn read_request(stream: &mut UnixStream) -> io::Result<Option<Request>> {
    let deadline = Instant::now() + EXCHANGE;
    let mut line = Vec::with_capacity(MOST_REQUEST_BYTES);
    let mut buffer = [0; MOST_REQUEST_BYTES];
    loop {
        bound(stream, deadline)?;
        let read = stream.read(&mut buffer)?;
        line.extend_from_slice(&buffer[..read]);
        if let Some(end) = line.iter().position(|&byte| byte == b'\n') {
            return Ok(Request::parse(&line[..end]));
        }
        if read == 0 || line.len() >= MOST_REQUEST_BYTES {
            return Ok(None);
        }
    }
}

fn write(stream: &mut UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    let deadline = Instant::now() + EXCHANGE;
    while !bytes.is_empty() {
        bound(stream, deadline)?;
        let written = stream.write(bytes)?;
        bytes = &bytes[written..];
    }
    Ok(())
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
