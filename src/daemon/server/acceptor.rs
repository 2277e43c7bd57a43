//! The workers' job: each accepts on its listener's shared socket and serves what it accepted as far
//! as that goes without waiting. The kernel gives a connection to exactly one of them, and while all
//! of them serve, it keeps the others in its backlog, first come, first served.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, poll};
use socket2::SockRef;

use super::connection::{Connection, Next};
use super::endpoint::Endpoint;
use super::listener::Listener;
use super::poller::Poller;
use super::rate_limit::RateLimit;
use super::table::Phase;
use crate::output::text::reason;

/// How long a worker waits before it tries again after an error.
const PAUSE: Duration = Duration::from_millis(10);

/// How long a worker without a descriptor waits for a client at the most.
const UNTIL_A_CLIENT: u16 = 1000;

/// One listener, for all of its workers.
pub(super) struct Acceptor {
    pub(super) listener: Listener,
    pub(super) endpoint: Arc<Endpoint>,
    poller: Arc<Poller>,
    complaints: RateLimit,
    opened: Instant,
    /// When the last connection was accepted, in milliseconds since it was opened.
    last_accepted: AtomicU64,
}

impl Acceptor {
    pub(super) fn new(
        listener: Listener,
        endpoint: Arc<Endpoint>,
        poller: Arc<Poller>,
    ) -> Acceptor {
        Acceptor {
            listener,
            endpoint,
            poller,
            complaints: RateLimit::once_a_second(),
            opened: Instant::now(),
            last_accepted: AtomicU64::new(0),
        }
    }

    /// How long ago the last connection was accepted; one that has just been opened may have its
    /// first clients under way.
    pub(super) fn idle_time(&self) -> Duration {
        let last = Duration::from_millis(self.last_accepted.load(Relaxed));
        self.opened.elapsed().saturating_sub(last)
    }

    /// A worker's job: accepts and serves until the server stops.
    pub(super) fn run(&self) {
        while !self.endpoint.context.is_stopping() {
            self.accept_one();
        }
    }

    /// Accepts a connection and serves it, or deals with the error. False where it accepted none.
    pub(super) fn accept_one(&self) -> bool {
        let accepted = SockRef::from(&self.listener.socket).accept();
        let accepted = accepted.and_then(|(socket, peer)| match peer.as_socket() {
            Some(peer) => Ok((TcpStream::from(socket), peer)),
            None => Err(io::Error::other("the client has no address")),
        });
        match accepted {
            Ok((stream, peer)) => {
                self.endpoint
                    .context
                    .catch_panic(|| self.serve(stream, peer));
                return true;
            }
            Err(error) => self.recover(&error),
        }
        false
    }

    /// After an error of `accept`. Source: accept(2), ERRORS.
    fn recover(&self, error: &io::Error) {
        let cause = match error.raw_os_error() {
            // Nobody came for a while, or a signal wakes the worker for the stop.
            Some(libc::EAGAIN | libc::EINTR) => return,
            Some(libc::EMFILE) => {
                " The limit of open files of this process is reached (ulimit -n, systemd's \
                 LimitNOFILE)."
            }
            Some(libc::ENFILE) => " The whole system has no more files (sysctl fs.file-max).",
            Some(libc::ENOBUFS | libc::ENOMEM) => {
                " The system has no memory for another connection."
            }
            _ => "",
        };
        let no_descriptor = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
        // The kernel takes the descriptor before it checks its queue: there may be no client.
        if no_descriptor && !self.has_queued(UNTIL_A_CLIENT) {
            return;
        }
        self.log(error, cause);
        let why = "Evicted: the open files are used up. Closing.";
        if !no_descriptor || !self.poller.evict_one(why) {
            thread::sleep(PAUSE);
        }
    }

    /// Whether a client stands in the kernel's queue; it is waited for, but not during a stop.
    pub(super) fn has_queued(&self, millis: u16) -> bool {
        let time = if self.endpoint.context.is_stopping() {
            0
        } else {
            millis
        };
        let mut queue = [PollFd::new(self.listener.socket.as_fd(), PollFlags::POLLIN)];
        poll(&mut queue, time).is_ok_and(|count| count > 0)
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        let since_opening = self.opened.elapsed().as_millis() as u64;
        self.last_accepted.store(since_opening, Relaxed);
        let mut connection = Connection::new(stream, peer, &self.endpoint);
        let mut next = connection.proceed();
        if matches!(&next, Next::Wait(wait) if wait.phase == Phase::Asking) {
            // A request usually follows its connection at once: a second try costs less than the
            // poller.
            thread::yield_now();
            next = connection.proceed();
        }
        if let Next::Wait(wait) = next {
            self.poller.wait(connection, wait);
        }
    }

    fn log(&self, error: &io::Error, cause: &str) {
        self.endpoint.context.stats.accept_errors.add_one();
        if self.complaints.permits(Instant::now()) {
            log::error!(
                "Cannot accept a connection on {}: {}.{cause} Trying again.",
                self.endpoint.address,
                reason(error)
            );
        }
    }
}
