//! A worker's job: one client, from its first byte to the close. The only room that reads from and
//! writes to a client (what comes after the answer is [`super::linger`]'s to discard).

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;
use nix::errno::Errno;
use nix::sys::socket::{recv, send, MsgFlags};
use socket2::SockRef;

use super::admission::{self, Source};
use super::linger::Rest;
use super::peer::Peer;
use super::proxy::{self, Header, Look, Whose, MAX_HEADER_BYTES};
use super::request::{Matcher, Progress, MAX_REQUEST_BYTES, REQUEST};
use super::{Endpoint, Shared};

/// An accepted connection.
pub(super) struct Client {
    pub(super) stream: Arc<TcpStream>,
    /// Who it is; an IPv4 client is an IPv4 address, whatever socket it came through. Behind a
    /// load balancer it is the balancer, until its PROXY header has been read.
    pub(super) peer: SocketAddr,
    /// Whose share of the places it takes.
    pub(super) source: Source,
    /// When it was accepted.
    pub(super) since: Instant,
    /// Where it came in.
    pub(super) endpoint: Arc<Endpoint>,
}

/// Ends the wait for a client early: its worker's `read` gives what has arrived, and then the end.
pub(super) fn evict(stream: &TcpStream) {
    // A client that is gone has ended the wait itself.
    let _ = stream.shutdown(Shutdown::Read);
}

/// The client that a balancer has announced on a connection so far. It takes no bytes and does not
/// wait.
pub(super) fn announced(stream: &TcpStream) -> Option<SocketAddr> {
    let mut bytes = [0; MAX_HEADER_BYTES];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK;
    let count = recv(stream.as_raw_fd(), &mut bytes, flags).ok()?;
    match proxy::look(bytes.get(..count)?) {
        Look::Complete(Header {
            whose: Whose::Client(client),
            ..
        }) => Some(client),
        _ => None,
    }
}

/// What became of the wait for a client's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// They are complete.
    Yes,
    /// They cannot become what was expected any more.
    Never,
    /// The deadline passed.
    TimedOut,
    /// The client closed or reset the connection before.
    Gone,
    /// The worker was needed for somebody else.
    Evicted,
}

/// Serves one client and closes its connection. True when it completed a request.
pub(super) fn serve(client: &mut Client, worker: usize, shared: &Shared) -> bool {
    let mut turn = Turn {
        worker,
        shared,
        deadline: None,
        evicted: false,
    };
    let mut request = Request::default();
    let mut asked = None;
    let mut level = Level::Info;
    let peer;
    if client.endpoint.proxy {
        let Some(introduction) = turn.introduction(client) else {
            return false;
        };
        asked = request.begin_with(introduction.after_the_header());
        if introduction.is_of_the_balancer() {
            // A health check every second must not fill the log.
            level = Level::Debug;
        }
        peer = Peer::new(client.peer);
    } else {
        peer = Peer::new(client.peer);
        log::info!("{peer}: Connection accepted.");
    }
    let stats = &shared.stats;
    match asked.unwrap_or_else(|| turn.wait(client, &mut request)) {
        Asked::Yes => {
            let policy = client.endpoint.policy();
            match turn.send(&client.stream, &policy) {
                Ok(()) => {
                    stats.served.add_one();
                    stats.answer_time.record(client.since.elapsed());
                    log::log!(level, "{peer}: Policy sent. Closing connection.");
                }
                Err(error) => {
                    stats.write_failed.add_one();
                    log::info!("{peer}: Could not send the policy: {error}. Closing connection.");
                }
            }
            shared.linger.close(&client.stream, request.rest);
            return true;
        }
        Asked::Never => {
            stats.not_a_request.add_one();
            let received = request.received();
            if proxy::looks_like_a_header(received) {
                log::info!(
                    "{peer}: A PROXY header, which this 'listen' does not expect. \
                     Closing connection."
                );
            } else {
                log::info!("{peer}: Not a policy request. Closing connection.");
            }
            log::debug!("{peer}: It began with \"{}\".", received.escape_ascii());
        }
        Asked::TimedOut => {
            stats.timed_out.add_one();
            log::info!("{peer}: Timed out. Closing.");
        }
        Asked::Gone => {
            stats.gone.add_one();
            log::debug!("{peer}: Closed before a request.");
            return false;
        }
        Asked::Evicted => {
            say_evicted(&peer, shared);
            return false;
        }
    };
    shared.linger.close(&client.stream, Rest::Possible);
    false
}

fn say_evicted(peer: &impl fmt::Display, shared: &Shared) {
    shared.stats.evicted.add_one();
    log::debug!("{peer}: Evicted: every worker waits, and others are pending.");
}

/// A worker's turn with one client, up to the client's one deadline.
struct Turn<'a> {
    worker: usize,
    shared: &'a Shared,
    /// For all that the client has to send; set when it is waited for.
    deadline: Option<Instant>,
    /// The wait was ended for somebody else: what has arrived still counts.
    evicted: bool,
}

/// What a worker waits for: the bytes of a client until they are it or cannot become it.
trait Expected {
    /// Where the next bytes go.
    fn room(&mut self) -> &mut [u8];
    /// So many bytes have been put there.
    fn came(&mut self, count: usize) -> Progress;
}

impl Turn<'_> {
    /// Reads the balancer's header: from then on the client is the one that it names. None where
    /// there was none; then the connection is closed.
    fn introduction(&mut self, client: &mut Client) -> Option<Introduction> {
        let Shared { stats, linger, .. } = self.shared;
        let peer = client.peer;
        let mut introduction = Introduction::new();
        match (self.wait(client, &mut introduction), introduction.header) {
            (Asked::Yes, Some(header)) => {
                match header.whose {
                    Whose::Client(address) => {
                        client.peer = address;
                        client.source = Source::of(address.ip());
                        log::debug!("{address}: Through {peer}.");
                    }
                    Whose::Unknown => {}
                    Whose::Balancer => {
                        log::debug!("{peer}: A connection of the load balancer itself.");
                        return Some(introduction);
                    }
                }
                log::info!("{}: Connection accepted.", client.peer);
                return Some(introduction);
            }
            (Asked::Yes | Asked::Never, _) => {
                stats.not_a_request.add_one();
                log::info!("{peer}: No PROXY header. Closing connection.");
                log::debug!(
                    "{peer}: It began with \"{}\".",
                    introduction.received().escape_ascii()
                );
            }
            (Asked::TimedOut, _) => {
                stats.timed_out.add_one();
                log::info!("{peer}: Timed out before a PROXY header. Closing.");
            }
            (Asked::Gone, _) => {
                stats.gone.add_one();
                log::debug!("{peer}: Closed before a PROXY header.");
                return None;
            }
            (Asked::Evicted, _) => {
                say_evicted(&peer, self.shared);
                return None;
            }
        }
        linger.close(&client.stream, Rest::Possible);
        None
    }

    /// Reads until the bytes are what is expected, cannot become it any more, or the deadline has
    /// passed. It is one deadline for all bytes: a client that drips them gains nothing by it.
    fn wait(&mut self, client: &Client, expected: &mut impl Expected) -> Asked {
        let asked = match self.look(client, expected) {
            Some(asked) => asked,
            None => self.wait_among_others(client, expected),
        };
        match asked {
            Asked::Gone if self.evicted => Asked::Evicted,
            Asked::Never => {
                // Who sends junk again and again stands back for others, also where it came at
                // once and held nobody up.
                self.shared.admission.rambled(client.source);
                Asked::Never
            }
            asked => asked,
        }
    }

    /// Most requests are there by now: such a worker is never one of those that wait.
    fn look(&self, client: &Client, expected: &mut impl Expected) -> Option<Asked> {
        let flags = MsgFlags::MSG_DONTWAIT;
        let look = recv(client.stream.as_raw_fd(), expected.room(), flags);
        took(look.map_err(io::Error::from), expected)
    }

    fn wait_among_others(&mut self, client: &Client, expected: &mut impl Expected) -> Asked {
        let admission = &self.shared.admission;
        let (worker, source) = (self.worker, client.source);
        let handle = Arc::clone(&client.stream);
        if let Some(other) = admission.begin_wait(worker, source, handle) {
            evict(&other);
        }
        let asked = self.read(&client.stream, expected);
        let conduct = match asked {
            Asked::Yes | Asked::Never => admission::Client::Spoke,
            Asked::TimedOut => admission::Client::TimedOut,
            Asked::Gone | Asked::Evicted => admission::Client::Ended,
        };
        self.evicted |= admission.end_wait(worker, source, conduct);
        asked
    }

    fn read(&mut self, mut stream: &TcpStream, expected: &mut impl Expected) -> Asked {
        let timeout = self.shared.timeout;
        let deadline = *self
            .deadline
            .get_or_insert_with(|| Instant::now() + timeout);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
                return Asked::TimedOut;
            }
            let read = stream.read(expected.room());
            if let Some(asked) = took(read, expected) {
                return asked;
            }
        }
    }

    /// Sends the policy in one write, and into the kernel's send buffer as a whole: a client that
    /// does not read holds no worker.
    fn send(&self, stream: &TcpStream, policy: &[u8]) -> io::Result<()> {
        if policy.len() > FITS_ANYWAY {
            // As much as the system allows. Where that is too little, the timeout bounds the wait.
            let _ = SockRef::from(stream).set_send_buffer_size(policy.len() * OVERHEAD);
        }
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL | MORE_FOLLOWS;
        let written = match send(stream.as_raw_fd(), policy, flags) {
            Ok(written) if written == policy.len() => return Ok(()),
            Ok(written) => written,
            Err(Errno::EINTR | Errno::EAGAIN) => 0,
            Err(error) => return Err(error.into()),
        };
        let admission = &self.shared.admission;
        admission.begin_to_block(self.worker);
        let sent = send_slowly(stream, &policy[written..], self.shared.timeout);
        admission.end_to_block(self.worker);
        sent
    }
}

/// What follows is the end of the stream, at once: the kernel puts it into the policy's own packet,
/// which saves both sides a packet and the client a wake-up.
const MORE_FOLLOWS: MsgFlags = MsgFlags::from_bits_retain(nix::libc::MSG_MORE);

fn send_slowly(mut stream: &TcpStream, mut rest: &[u8], timeout: Duration) -> io::Result<()> {
    let deadline = Instant::now() + timeout;
    while !rest.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        match stream.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What the outcome of a read means; none when it is time to read again.
fn took(read: io::Result<usize>, expected: &mut impl Expected) -> Option<Asked> {
    let count = match read {
        Ok(0) => return Some(Asked::Gone),
        Ok(count) => count,
        // Nothing yet, or the deadline: that is for the clock to tell.
        Err(error) if is_no_data(&error) => return None,
        Err(_) => return Some(Asked::Gone),
    };
    decided(expected.came(count))
}

fn decided(progress: Progress) -> Option<Asked> {
    match progress {
        Progress::Complete => Some(Asked::Yes),
        Progress::Never => Some(Asked::Never),
        Progress::Incomplete => None,
    }
}

/// A client's request.
struct Request {
    matcher: Matcher,
    bytes: [u8; MAX_REQUEST_BYTES],
    len: usize,
    rest: Rest,
}

impl Default for Request {
    fn default() -> Self {
        Request {
            matcher: Matcher::default(),
            bytes: [0; MAX_REQUEST_BYTES],
            len: 0,
            rest: Rest::Possible,
        }
    }
}

impl Request {
    fn received(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Takes bytes that came with the balancer's header.
    fn begin_with(&mut self, bytes: &[u8]) -> Option<Asked> {
        // More than that is never looked at.
        let count = bytes.len().min(MAX_REQUEST_BYTES);
        self.bytes[..count].copy_from_slice(&bytes[..count]);
        decided(self.came(count))
    }
}

impl Expected for Request {
    fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.len..]
    }

    fn came(&mut self, count: usize) -> Progress {
        let piece = self.len..self.len + count;
        self.len = piece.end;
        let piece = &self.bytes[piece];
        let progress = self.matcher.feed(piece);
        if progress == Progress::Complete && piece == REQUEST {
            self.rest = Rest::Nothing;
        }
        progress
    }
}

/// A balancer's header, and what came with it.
struct Introduction {
    bytes: [u8; MAX_HEADER_BYTES],
    len: usize,
    header: Option<Header>,
}

impl Introduction {
    fn new() -> Introduction {
        Introduction {
            bytes: [0; MAX_HEADER_BYTES],
            len: 0,
            header: None,
        }
    }

    fn received(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn is_of_the_balancer(&self) -> bool {
        matches!(self.header, Some(header) if header.whose == Whose::Balancer)
    }

    /// The first bytes of the client itself.
    fn after_the_header(&self) -> &[u8] {
        let header = self.header.map_or(0, |header| header.len);
        self.received().get(header..).unwrap_or_default()
    }
}

impl Expected for Introduction {
    fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.len..]
    }

    fn came(&mut self, count: usize) -> Progress {
        self.len += count;
        match proxy::look(self.received()) {
            Look::Complete(header) => {
                self.header = Some(header);
                Progress::Complete
            }
            Look::Never => Progress::Never,
            Look::Incomplete => Progress::Incomplete,
        }
    }
}

/// A policy of this size fits into the kernel's send buffer, however small the client's packets.
const FITS_ANYWAY: usize = 512;

/// What the kernel may need for a byte that waits to be sent, where the client asks for the
/// smallest packets.
const OVERHEAD: usize = 16;

/// A socket that has nothing to read; a blocking one says so when its time is over.
fn is_no_data(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a worker makes of the pieces of a connection through a balancer: whose it is, and
    /// whether it asked.
    fn outcome(pieces: &[&[u8]]) -> (Option<Whose>, Option<Asked>) {
        let mut introduction = Introduction::new();
        let mut request = Request::default();
        let mut pieces = pieces.iter().copied().filter(|piece| !piece.is_empty());
        let mut hear = |expected: &mut dyn Expected| loop {
            let mut rest = pieces.next()?;
            // What does not fit is read later.
            while !rest.is_empty() {
                let room = expected.room();
                let (now, later) = rest.split_at(rest.len().min(room.len()));
                room[..now.len()].copy_from_slice(now);
                rest = later;
                if let Some(asked) = decided(expected.came(now.len())) {
                    return Some((asked, rest));
                }
            }
        };
        let Some((Asked::Yes, unread)) = hear(&mut introduction) else {
            return (None, None);
        };
        let whose = introduction.header.map(|header| header.whose);
        let asked = request
            .begin_with(introduction.after_the_header())
            .or_else(|| match unread {
                [] => None,
                unread => request.begin_with_more(unread),
            })
            .or_else(|| hear(&mut request).map(|(asked, _)| asked));
        (whose, asked)
    }

    impl Request {
        fn begin_with_more(&mut self, bytes: &[u8]) -> Option<Asked> {
            let room = self.room();
            let count = bytes.len().min(room.len());
            room[..count].copy_from_slice(&bytes[..count]);
            decided(self.came(count))
        }
    }

    fn first_bytes() -> impl Strategy<Value = Vec<u8>> {
        let header = proptest::sample::select(vec![
            b"PROXY TCP4 192.0.2.7 198.51.100.1 41122 843\r\n".to_vec(),
            b"PROXY TCP6 2001:db8::7 ::1 41122 843\r\n".to_vec(),
            b"PROXY UNKNOWN x y\r\n".to_vec(),
            b"PROXY TCP5 x y\r\n".to_vec(),
            b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(),
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xc0\0\x02\x07\xc6\x33\x64\x01\x12\x34\x03\x4b\x04\0\0"
                .to_vec(),
            [b"\r\n\r\n\0\r\nQUIT\n\x21\0\x02\x08".to_vec(), vec![0; 520]].concat(),
            Vec::new(),
        ]);
        let request = proptest::sample::select(vec![
            REQUEST.to_vec(),
            b"<policy-file-request />".to_vec(),
            b"<policy-file-requesT/>".to_vec(),
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            vec![b'x'; 700],
            Vec::new(),
        ]);
        (header, request).prop_map(|(header, request)| [header, request].concat())
    }

    proptest! {
        #[test]
        fn header_and_request_may_be_cut_anywhere(
            bytes in first_bytes(),
            cuts in proptest::collection::vec(1usize..60, 0..60),
        ) {
            let mut pieces = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            prop_assert_eq!(outcome(&pieces), outcome(&[&bytes]));
        }
    }

    #[test]
    fn the_client_is_named_and_its_request_counts() {
        let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 41122 843\r\n";
        let client = Some(Whose::Client("192.0.2.7:41122".parse().unwrap()));
        let together = [&header[..], REQUEST].concat();
        assert_eq!(outcome(&[&together]), (client, Some(Asked::Yes)));
        assert_eq!(outcome(&[header, b"GET /"]), (client, Some(Asked::Never)));
        assert_eq!(outcome(&[header]), (client, None));
        assert_eq!(outcome(&[REQUEST]), (None, None));
    }
}
