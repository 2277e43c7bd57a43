//! The workers' job: each accepts on its listener's shared socket and serves what it accepted as far
//! as that goes without waiting. The kernel gives a connection to exactly one of them, and while all
//! of them serve, it keeps the others in its backlog, first come, first served.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use socket2::SockRef;

use super::connection::{Connection, Next};
use super::endpoint::Endpoint;
use super::limits::RateLimit;
use super::listener::Listener;
use super::poller::Poller;
use super::table::Phase;
use crate::text::reason;

/// How long a worker waits before it tries again where the kernel lacks memory, or a descriptor and
/// no connection can be evicted for it.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(10);

/// The same after an error that it does not know.
const PAUSE: Duration = Duration::from_millis(100);

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

    /// Accepts a connection and serves it, or deals with the error. False where nobody is there.
    pub(super) fn accept_one(&self) -> bool {
        let accepted = SockRef::from(&self.listener.socket).accept();
        let accepted = accepted.and_then(|(socket, peer)| match peer.as_socket() {
            Some(peer) => Ok((TcpStream::from(socket), peer)),
            None => Err(io::Error::other("the client has no address")),
        });
        match accepted {
            Ok((stream, peer)) => self.serve(stream, peer),
            Err(error) => match AcceptErrorKind::of(&error) {
                AcceptErrorKind::Nobody => return false,
                AcceptErrorKind::OneClient => self.log(&error, ""),
                AcceptErrorKind::Descriptors => {
                    self.log(&error, shortage(&error));
                    if !self.poller.evict_one() {
                        thread::sleep(SHORTAGE_PAUSE);
                    }
                }
                AcceptErrorKind::Memory => {
                    self.log(&error, shortage(&error));
                    thread::sleep(SHORTAGE_PAUSE);
                }
                AcceptErrorKind::Unknown => {
                    self.log(&error, "");
                    thread::sleep(PAUSE);
                }
            },
        }
        true
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        self.endpoint.context.stats.accepted.add_one();
        self.endpoint.stats.accepted.add_one();
        let since_opening = self.opened.elapsed().as_millis() as u64;
        self.last_accepted.store(since_opening, Relaxed);
        let mut connection = Connection::new(stream, peer, &self.endpoint);
        let mut next = self.poller.proceed(&mut connection);
        if matches!(&next, Ok(Next::Wait(_, wait)) if wait.phase == Phase::Asking) {
            // A request usually follows its connection at once: a second try costs less than the
            // poller.
            thread::yield_now();
            next = self.poller.proceed(&mut connection);
        }
        if let Ok(Next::Wait(awaited, wait)) = next {
            self.poller.wait(connection, awaited, wait);
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

/// The cause of an error of `accept`.
#[derive(Debug, PartialEq, Eq)]
enum AcceptErrorKind {
    /// Nobody came for a while, or a signal wakes the worker for the stop.
    Nobody,
    /// This one client: the next one may be fine.
    OneClient,
    /// This process or the system has no descriptor for another connection.
    Descriptors,
    /// The kernel has no memory at the moment.
    Memory,
    Unknown,
}

impl AcceptErrorKind {
    /// Source: accept(2), "Error handling" and ERRORS.
    fn of(error: &io::Error) -> AcceptErrorKind {
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EINTR | libc::ECONNABORTED | libc::ECONNRESET) => {
                AcceptErrorKind::Nobody
            }
            Some(libc::EMFILE | libc::ENFILE) => AcceptErrorKind::Descriptors,
            Some(libc::ENOBUFS | libc::ENOMEM) => AcceptErrorKind::Memory,
            Some(
                libc::ENETDOWN
                | libc::EPROTO
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH
                | libc::EPERM
                | libc::ETIMEDOUT,
            ) => AcceptErrorKind::OneClient,
            _ => AcceptErrorKind::Unknown,
        }
    }
}

/// The log's words for a shortage.
fn shortage(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EMFILE) => {
            " The limit of open files of this process is reached (ulimit -n, systemd's LimitNOFILE)."
        }
        Some(libc::ENFILE) => " The whole system has no more files (sysctl fs.file-max).",
        _ => " The system has no memory for another connection.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lack_of_descriptors_costs_another_connection_its_place() {
        let kind = |code| AcceptErrorKind::of(&io::Error::from_raw_os_error(code));
        for code in [libc::EMFILE, libc::ENFILE] {
            assert_eq!(kind(code), AcceptErrorKind::Descriptors);
        }
        for code in [libc::ENOBUFS, libc::ENOMEM] {
            assert_eq!(kind(code), AcceptErrorKind::Memory);
        }
        for code in [libc::EPERM, libc::EPROTO, libc::EHOSTUNREACH] {
            assert_eq!(kind(code), AcceptErrorKind::OneClient);
        }
    }
}
