//! One blocking accept loop per listener: it takes connections from the kernel and offers them to
//! the admission. It never waits for a client or a worker.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::admission::Source;
use super::connection::{announced, evict, Client};
use super::listener::{ignore_newcomers, Listener};
use super::{Endpoint, Shared};
use crate::config::reason;

/// The pauses after a failed accept: the first, doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Failed accepts are logged this often at the most.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// How long handshakes that were under way when the server was stopped may take to end.
const LAST_HANDSHAKES: Duration = Duration::from_millis(200);

/// An accept loop and its listener.
pub(super) struct Acceptor {
    pub(super) listener: Listener,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) shared: Arc<Shared>,
}

impl Acceptor {
    /// Accepts until the server stops, and then what has been established until then.
    pub(super) fn run(self) {
        let mut trouble = Trouble::default();
        while !self.shared.stopping.load(Relaxed) {
            match self.listener.socket.accept() {
                Ok((stream, peer)) => {
                    trouble.pause = FIRST_PAUSE;
                    self.admit(stream, peer);
                }
                Err(error) if is_about_one_client(&error) => {
                    // Nobody came for a while: as good an occasion as an arrival.
                    if let Some(stream) = self.shared.admission.look() {
                        evict(&stream);
                    }
                }
                Err(error) => trouble.met(&error, &self),
            }
        }
        if self.listener.inherited {
            // It stays open: who is in its queue, or comes now, is the next server's to serve.
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

    fn admit(&self, stream: std::net::TcpStream, peer: SocketAddr) {
        self.shared.stats.accepted.add_one();
        // IPv4 clients of an IPv6 socket are IPv4 clients everywhere else.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let source = if self.endpoint.proxy {
            // The balancer's words are usually here by now; where they are not, a worker waits.
            match announced(&stream) {
                Some(client) => Source::of(client.ip()),
                None => Source::Unnamed(self.shared.unnamed.fetch_add(1, Relaxed)),
            }
        } else {
            Source::of(peer.ip())
        };
        let client = Client {
            stream: Arc::new(stream),
            peer,
            source,
            since: Instant::now(),
            endpoint: Arc::clone(&self.endpoint),
        };
        let orders = self.shared.admission.offer(source, client);
        if let Some(stream) = orders.evict {
            evict(&stream);
        }
        if orders.crowded {
            // The kernel's queue is as good a place to wait, and then they come many at a time.
            thread::yield_now();
        }
        if let Some(refused) = orders.refuse {
            self.shared.stats.refused.add_one();
            log::debug!("{}: Refused: too many are pending.", refused.peer);
        }
    }

    fn accept_the_rest(&self) -> io::Result<()> {
        let newcomers_are_ignored = ignore_newcomers(&self.listener.socket).is_ok();
        self.listener.socket.set_nonblocking(true)?;
        let end = Instant::now() + LAST_HANDSHAKES;
        loop {
            match self.listener.socket.accept() {
                Ok((stream, peer)) => {
                    stream.set_nonblocking(false)?;
                    self.admit(stream, peer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !newcomers_are_ignored || Instant::now() >= end {
                        return Ok(());
                    }
                    thread::sleep(Duration::from_millis(5));
                }
                Err(error) if is_about_one_client(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Errors that say nothing of the listener: nobody came for a while, or a client left while it
/// was queued.
fn is_about_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::TimedOut
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// Keeps a failing accept loop from spinning and from filling the log.
struct Trouble {
    pause: Duration,
    last_logged: Option<Instant>,
}

impl Default for Trouble {
    fn default() -> Self {
        Trouble {
            pause: FIRST_PAUSE,
            last_logged: None,
        }
    }
}

impl Trouble {
    fn met(&mut self, error: &io::Error, acceptor: &Acceptor) {
        acceptor.shared.stats.accept_errors.add_one();
        if self.last_logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            self.last_logged = Some(Instant::now());
            log::error!(
                "Cannot accept a connection on {}: {}. Trying again.",
                acceptor.endpoint.address,
                reason(error)
            );
        }
        // Where it is descriptors that are short, these are the ones that can be spared.
        acceptor.shared.linger.shed();
        if let Some(stream) = acceptor.shared.admission.evict_one() {
            evict(&stream);
        }
        thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}
