//! The accept loop, one thread for each listener. It takes connections from the kernel and hands
//! them to [`Service`]. It never waits for a client or a worker: when the backlog is full, the
//! kernel drops a client's SYN, and that client waits a second before it tries again.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;

use super::connection::Connection;
use super::endpoint::Endpoint;
use super::limits::RateLimit;
use super::listener::{Listener, admit_newcomers, ignore_newcomers};
use super::service::Service;
use super::source::Source;
use crate::text::reason;

/// How long an acceptor waits before it tries again where no connection can be spared for a
/// descriptor.
const PAUSE_FOR_A_DESCRIPTOR: Duration = Duration::from_millis(10);

/// The same after an error that it does not know.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a stop waits for handshakes that had begun: longer than a packet's way to a distant
/// client and back. A client whose SYN is ignored meanwhile sends it again after a second, and has
/// to find this listener closed by then.
const LAST_HANDSHAKES: Duration = Duration::from_millis(500);

/// The same where no connection came for [`IDLE`], so that an idle server stops within 0.1 seconds;
/// also how long the next server has to keep a socket that was handed over to it.
const LAST_HANDSHAKES_WHEN_IDLE: Duration = Duration::from_millis(50);

/// The time without a connection after which a listener counts as idle. A listener that has just
/// been opened is not idle: its first clients may be under way.
const IDLE: Duration = Duration::from_secs(1);

/// Counts connections through a balancer that has not named a client.
static UNNAMED: AtomicU32 = AtomicU32::new(0);

/// An accept loop and its listener.
pub(super) struct Acceptor {
    listener: Arc<Listener>,
    endpoint: Arc<Endpoint>,
    service: Arc<Service>,
    last_accepted: Instant,
    complaints: RateLimit,
}

impl Acceptor {
    pub(super) fn new(
        listener: Arc<Listener>,
        endpoint: Arc<Endpoint>,
        service: Arc<Service>,
    ) -> Acceptor {
        Acceptor {
            listener,
            endpoint,
            service,
            last_accepted: Instant::now(),
            complaints: RateLimit::once_a_second(),
        }
    }

    /// Accepts until the server stops, and then what has been established until then.
    pub(super) fn run(mut self) {
        while !self.service.context.is_stopping() {
            match self.listener.socket.accept() {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) => self.meet(&error),
            }
        }
        if self.listener.inherited {
            // The socket stays open: the next server serves the clients in its backlog.
            return;
        }
        if let Err(error) = self.accept_the_rest() {
            log::warn!(
                "Connections to {} may have been lost at the end: {}",
                self.endpoint.address,
                reason(&error)
            );
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        self.service.context.stats.accepted.add_one();
        self.endpoint.stats.accepted.add_one();
        // IPv4 clients of an IPv6 socket are IPv4 clients everywhere else.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let mut connection = Connection::new(stream, peer, Arc::clone(&self.endpoint));
        self.last_accepted = connection.accepted();
        if self.endpoint.proxy {
            // The balancer's header is usually here by now. Where it is not, the connection counts
            // for itself until it comes.
            connection.counts_as(match connection.named_by_the_balancer() {
                Some(client) => Source::of(client.ip()),
                None => Source::Unnamed(UNNAMED.fetch_add(1, Relaxed)),
            });
        }
        self.service.enter(connection);
    }

    /// Deals with an accept that failed.
    fn meet(&mut self, error: &io::Error) {
        match kind_of(error) {
            Trouble::None => {}
            Trouble::OneClient => self.log(error, ""),
            Trouble::Descriptors => {
                self.log(error, shortage(error));
                if !self.service.evict_one() {
                    thread::sleep(PAUSE_FOR_A_DESCRIPTOR);
                }
            }
            Trouble::Unknown => {
                self.log(error, "");
                thread::sleep(PAUSE);
            }
        }
    }

    fn log(&self, error: &io::Error, cause: &str) {
        self.service.context.stats.accept_errors.add_one();
        if self.complaints.permits(Instant::now()) {
            log::error!(
                "Cannot accept a connection on {}: {}.{cause} Trying again.",
                self.endpoint.address,
                reason(error)
            );
        }
    }

    fn accept_the_rest(&mut self) -> io::Result<()> {
        let others = self.listener.users.withhold();
        let end = Instant::now() + LAST_HANDSHAKES_WHEN_IDLE;
        while others.are_there() {
            // A socket that another server has is not changed, and that server serves the clients in
            // its backlog. One that has just failed is gone before this time is over.
            if Instant::now() >= end {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        let accepted = self.accept_without_newcomers();
        if others.were_there() {
            // A server that is not known of may have the socket: it must not stay deaf.
            admit_newcomers(&self.listener.socket)?;
        }
        accepted
    }

    fn accept_without_newcomers(&mut self) -> io::Result<()> {
        // Some kernels permit it only to root.
        let newcomers_are_ignored = ignore_newcomers(&self.listener.socket).is_ok();
        self.listener.socket.set_nonblocking(true)?;
        let idle = self.last_accepted.elapsed() > IDLE;
        let handshakes = if idle {
            LAST_HANDSHAKES_WHEN_IDLE
        } else {
            LAST_HANDSHAKES
        };
        let end = Instant::now() + handshakes;
        loop {
            // Before `accept`: where this thread is held up between the two, a handshake may have
            // been completed meanwhile.
            let time_is_up = Instant::now() >= end;
            match self.listener.socket.accept() {
                Ok((stream, peer)) => {
                    stream.set_nonblocking(false)?;
                    self.admit(stream, peer);
                }
                Err(error) => match kind_of(&error) {
                    Trouble::None if time_is_up || !newcomers_are_ignored => return Ok(()),
                    Trouble::None => thread::sleep(Duration::from_millis(5)),
                    Trouble::OneClient => {}
                    Trouble::Descriptors => self.meet(&error),
                    Trouble::Unknown => return Err(error),
                },
            }
        }
    }
}

/// The cause of an error of `accept`.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// Nobody came for a while.
    None,
    /// This one client: the next one may be fine.
    OneClient,
    /// The system has no descriptor, or no memory, for another connection.
    Descriptors,
    Unknown,
}

/// Source: accept(2), "Error handling" and ERRORS.
fn kind_of(error: &io::Error) -> Trouble {
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EINTR | libc::ECONNABORTED | libc::ECONNRESET) => Trouble::None,
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => Trouble::Descriptors,
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
        ) => Trouble::OneClient,
        _ => Trouble::Unknown,
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
    fn only_a_lack_of_descriptors_or_memory_costs_another_connection_its_place() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(kind_of(&error), Trouble::Descriptors, "{error}");
        }
        for code in [
            libc::EPERM,
            libc::EPROTO,
            libc::EHOSTUNREACH,
            libc::ENETDOWN,
        ] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(kind_of(&error), Trouble::OneClient, "{error}");
        }
    }
}
