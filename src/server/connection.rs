//! A worker's job: one client, from its first byte to the close. The only room that reads from and
//! writes to a client (what comes after the answer is [`super::linger`]'s to discard).

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{recv, MsgFlags};
use socket2::SockRef;

use super::admission::{self, Source};
use super::linger::Rest;
use super::request::{Matcher, Progress, MAX_REQUEST_BYTES, REQUEST};
use super::{Endpoint, Shared};

/// An accepted connection.
pub(super) struct Client {
    pub(super) stream: Arc<TcpStream>,
    /// Who it is; an IPv4 client is an IPv4 address, whatever socket it came through.
    pub(super) peer: SocketAddr,
    /// When it was accepted.
    pub(super) since: Instant,
    /// Where it came in.
    pub(super) endpoint: Arc<Endpoint>,
}

impl Client {
    pub(super) fn source(&self) -> Source {
        Source::of(self.peer.ip())
    }
}

/// Ends the wait for a client early: its worker's `read` gives what has arrived, and then the end.
pub(super) fn evict(stream: &TcpStream) {
    // A client that is gone has ended the wait itself.
    let _ = stream.shutdown(Shutdown::Read);
}

/// What became of the wait for a request.
enum Asked {
    /// It is complete.
    Yes(Rest),
    /// It cannot become a request any more.
    Never,
    /// The deadline passed.
    TimedOut,
    /// The client closed or reset the connection before.
    Gone,
    /// The worker was needed for somebody else.
    Evicted,
}

/// Serves one client and closes its connection. True when it completed a request.
pub(super) fn serve(client: &Client, worker: usize, shared: &Shared) -> bool {
    let peer = client.peer;
    log::info!("{peer}: Connection accepted.");
    let stats = &shared.stats;
    let mut request = Request::new(client);
    let rest = match request.wait(worker, shared) {
        Asked::Yes(rest) => {
            let policy = client.endpoint.policy();
            match send(&client.stream, &policy, shared.timeout) {
                Ok(()) => {
                    stats.served.add_one();
                    stats.answer_time.record(client.since.elapsed());
                    log::info!("{peer}: Policy sent. Closing connection.");
                }
                Err(error) => {
                    stats.write_failed.add_one();
                    log::info!("{peer}: Could not send the policy: {error}. Closing connection.");
                }
            }
            shared.linger.close(&client.stream, rest);
            return true;
        }
        Asked::Never => {
            stats.not_a_request.add_one();
            log::info!("{peer}: Not a policy request. Closing connection.");
            log::debug!(
                "{peer}: It began with \"{}\".",
                request.received().escape_ascii()
            );
            Rest::Possible
        }
        Asked::TimedOut => {
            stats.timed_out.add_one();
            log::info!("{peer}: Timed out. Closing.");
            Rest::Possible
        }
        Asked::Gone => {
            stats.gone.add_one();
            log::debug!("{peer}: Closed before a request.");
            return false;
        }
        Asked::Evicted => {
            stats.evicted.add_one();
            log::debug!("{peer}: Evicted: every worker waits, and others are pending.");
            return false;
        }
    };
    shared.linger.close(&client.stream, rest);
    false
}

/// The bytes of a client until they are a request or cannot become one.
struct Request<'a> {
    client: &'a Client,
    matcher: Matcher,
    bytes: [u8; MAX_REQUEST_BYTES],
    len: usize,
}

impl<'a> Request<'a> {
    fn new(client: &'a Client) -> Self {
        Request {
            client,
            matcher: Matcher::default(),
            bytes: [0; MAX_REQUEST_BYTES],
            len: 0,
        }
    }

    fn received(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Reads until the bytes are a request, cannot become one any more, or the deadline has passed.
    /// It is for the whole request: a client that drips bytes gains nothing by it.
    fn wait(&mut self, worker: usize, shared: &Shared) -> Asked {
        let stream = &self.client.stream;
        let deadline = Instant::now() + shared.timeout;
        if stream.set_read_timeout(Some(shared.timeout)).is_err()
            || stream.set_write_timeout(Some(shared.timeout)).is_err()
        {
            return Asked::Gone;
        }
        // Most requests are there by now: such a worker is never one of those that wait.
        let look = recv(stream.as_raw_fd(), &mut self.bytes, MsgFlags::MSG_DONTWAIT);
        if let Some(asked) = self.took(look.map_err(io::Error::from)) {
            return asked;
        }
        let source = self.client.source();
        let handle = Arc::clone(stream);
        if let Some(other) = shared.admission.begin_wait(worker, source, handle) {
            evict(&other);
        }
        let asked = self.wait_until(deadline);
        let conduct = match asked {
            Asked::Yes(_) => admission::Client::Asked,
            Asked::Never => admission::Client::Rambled,
            Asked::TimedOut => admission::Client::TimedOut,
            Asked::Gone | Asked::Evicted => admission::Client::Ended,
        };
        let evicted = shared.admission.end_wait(worker, source, conduct);
        match asked {
            Asked::Gone if evicted => Asked::Evicted,
            asked => asked,
        }
    }

    fn wait_until(&mut self, deadline: Instant) -> Asked {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.client.stream.set_read_timeout(Some(left)).is_err() {
                return Asked::TimedOut;
            }
            let mut stream = &*self.client.stream;
            let read = stream.read(&mut self.bytes[self.len..]);
            if let Some(asked) = self.took(read) {
                return asked;
            }
        }
    }

    /// What the outcome of a read, which was put behind the bytes so far, means; none when it is
    /// time to read again.
    fn took(&mut self, read: io::Result<usize>) -> Option<Asked> {
        let piece = match read {
            Ok(0) => return Some(Asked::Gone),
            Ok(count) => self.len..self.len + count,
            // Nothing yet, or the deadline: that is for the clock to tell.
            Err(error) if is_no_data(&error) => return None,
            Err(_) => return Some(Asked::Gone),
        };
        self.len = piece.end;
        let piece = &self.bytes[piece];
        match self.matcher.feed(piece) {
            Progress::Complete if piece == REQUEST => Some(Asked::Yes(Rest::Nothing)),
            Progress::Complete => Some(Asked::Yes(Rest::Possible)),
            Progress::Never => Some(Asked::Never),
            Progress::Incomplete => None,
        }
    }
}

/// A policy of this size fits into the kernel's send buffer, however small the client's packets.
const FITS_ANYWAY: usize = 512;

/// What the kernel may need for a byte that waits to be sent, where the client asks for the
/// smallest packets.
const OVERHEAD: usize = 16;

/// Sends the policy in one write, and into the kernel's send buffer as a whole: a client that does
/// not read holds no worker.
fn send(mut stream: &TcpStream, policy: &[u8], timeout: Duration) -> io::Result<()> {
    if policy.len() > FITS_ANYWAY {
        // As much as the system allows. Where that is too little, the timeout bounds the wait.
        let _ = SockRef::from(stream).set_send_buffer_size(policy.len() * OVERHEAD);
    }
    let deadline = Instant::now() + timeout;
    let mut written = match stream.write(policy) {
        Ok(written) if written == policy.len() => return Ok(()),
        Ok(written) => written,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
        Err(error) => return Err(error),
    };
    while written < policy.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        match stream.write(&policy[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A socket that has nothing to read; a blocking one says so when its time is over.
fn is_no_data(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
