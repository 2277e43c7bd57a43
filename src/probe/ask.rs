//! One exchange with one address: connect, send a request, take what comes. It never waits longer
//! than it is told to, never keeps more than [`MAX_BYTES`], and judges nothing.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::policy::MAX_POLICY_BYTES;
use crate::text::reason;

/// The request of Flash Player. Source: rule book section 1.1 (DG).
pub const REQUEST: &[u8] = b"<policy-file-request/>\0";

/// The most that is kept of an answer: one byte more than the largest policy with its NUL.
pub const MAX_BYTES: usize = MAX_POLICY_BYTES + 2;

/// How long the connection is watched once the NUL is here: does the server close it, cleanly?
const AFTERWARDS: Duration = Duration::from_millis(500);

/// How long one read waits: a kernel may take an eighth more than it is told to.
const SLICE: Duration = Duration::from_millis(200);

/// How long a reset may take that follows the end, beside the way there and back.
const AFTER_THE_END: Duration = Duration::from_millis(10);

/// Everything that was seen of one connection.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The address that was asked.
    pub address: SocketAddr,
    /// After what time the connection stood, or why it does not.
    pub connected: Result<Duration, NoConnection>,
    /// The received bytes, at most [`MAX_BYTES`].
    pub bytes: Vec<u8>,
    /// How many reads it took up to the NUL.
    pub pieces: usize,
    /// How many bytes the first of them brought.
    pub first_piece: usize,
    /// How the connection ended.
    pub end: End,
    /// From the first packet to the NUL; without one, to the end.
    pub time: Duration,
    /// How long Flash Player waits for this answer.
    pub deadline: Duration,
}

impl Exchange {
    /// Whether the connection stood and nothing came, not even its end.
    pub fn is_silent(&self) -> bool {
        self.connected.is_ok() && self.bytes.is_empty() && self.end == End::Open
    }

    /// Whether the server ended the connection without a byte.
    pub fn ended_empty(&self) -> bool {
        self.connected.is_ok()
            && self.bytes.is_empty()
            && matches!(self.end, End::Closed | End::Reset)
    }
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoConnection {
    /// The port is closed.
    Refused,
    /// Nothing came back in time.
    Filtered,
    /// The way ends somewhere: no such host, or a firewall that says so; the system's words.
    Unreachable(String),
    /// This host itself has no way there, such as one without IPv6; the system's words.
    NoRoute(String),
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The server closed it.
    Closed,
    /// The server, or something on the way, reset it.
    Reset,
    /// It was still open when the time was over.
    Open,
    /// More came than the probe keeps.
    TooMuch,
}

/// Connects, sends the request and takes what comes, up to a NUL, the end, or the end of `patience`:
/// longer than the player waits, which is `deadline`, where that tells slow from silent.
pub fn ask(
    address: SocketAddr,
    request: &[u8],
    deadline: Duration,
    patience: Duration,
) -> Exchange {
    let connect = deadline.min(patience);
    exchange(address, request, deadline, connect, |_| patience)
}

/// Connects within `limit`, sends the player's request and listens for `listen` from then on: says
/// whether a port is silent, however long the way to it is.
pub fn ask_briefly(address: SocketAddr, limit: Duration, listen: Duration) -> Exchange {
    exchange(address, REQUEST, limit, limit, |connected| {
        connected + listen
    })
}

/// One exchange. `until` gives its end, counted from its start, by the time of the connection.
fn exchange(
    address: SocketAddr,
    request: &[u8],
    deadline: Duration,
    limit: Duration,
    until: impl Fn(Duration) -> Duration,
) -> Exchange {
    let start = Instant::now();
    let mut exchange = Exchange {
        address,
        connected: Err(NoConnection::Filtered),
        bytes: Vec::new(),
        pieces: 0,
        first_piece: 0,
        end: End::Open,
        time: Duration::ZERO,
        deadline,
    };
    match connect(address, limit) {
        Ok(stream) => {
            let connected = start.elapsed();
            exchange.connected = Ok(connected);
            converse(stream, request, start, until(connected), &mut exchange);
        }
        Err(reason) => {
            exchange.connected = Err(reason);
            exchange.time = start.elapsed();
        }
    }
    exchange
}

/// Connects and says nothing: after what time, or why not.
pub fn connect_only(address: SocketAddr, limit: Duration) -> Result<Duration, NoConnection> {
    let start = Instant::now();
    connect(address, limit).map(|stream| {
        let time = start.elapsed();
        let _ = stream.shutdown(Shutdown::Both);
        time
    })
}

fn connect(address: SocketAddr, limit: Duration) -> Result<TcpStream, NoConnection> {
    TcpStream::connect_timeout(&address, at_least_a_moment(limit)).map_err(|error| {
        use io::ErrorKind::*;
        match error.kind() {
            ConnectionRefused | ConnectionReset => NoConnection::Refused,
            TimedOut | WouldBlock => NoConnection::Filtered,
            AddrNotAvailable | NetworkUnreachable | Unsupported | InvalidInput => {
                NoConnection::NoRoute(reason(&error))
            }
            _ => NoConnection::Unreachable(reason(&error)),
        }
    })
}

/// A time of zero would mean for ever to a socket.
fn at_least_a_moment(time: Duration) -> Duration {
    time.max(Duration::from_millis(1))
}

fn converse(
    mut stream: TcpStream,
    request: &[u8],
    start: Instant,
    patience: Duration,
    exchange: &mut Exchange,
) {
    // A server may answer and close before it has read anything: what it sent still counts, so a
    // request that cannot be sent is no reason to stop here.
    let _ = stream.set_nodelay(true);
    let _ = stream.set_write_timeout(Some(at_least_a_moment(patience)));
    let _ = stream.write_all(request);

    let mut buffer = [0; 8 * 1024];
    let (mut nul_seen, mut ended) = (None, None);
    exchange.end = loop {
        let until = nul_seen.map_or(patience, |at: Duration| at + AFTERWARDS);
        let left = until.saturating_sub(start.elapsed());
        let slice = at_least_a_moment(left.min(SLICE));
        // Without a time-out a read could take for ever.
        if left.is_zero() || stream.set_read_timeout(Some(slice)).is_err() {
            break End::Open;
        }
        match stream.read(&mut buffer) {
            Ok(0) => {
                ended = Some(start.elapsed());
                break how_it_closed(&stream, exchange, until.saturating_sub(start.elapsed()));
            }
            Ok(count) => {
                let room = MAX_BYTES.saturating_sub(exchange.bytes.len());
                let kept = buffer.get(..count.min(room)).unwrap_or_default();
                exchange.bytes.extend_from_slice(kept);
                if nul_seen.is_none() {
                    exchange.pieces += 1;
                    if exchange.pieces == 1 {
                        exchange.first_piece = count;
                    }
                    nul_seen = kept.contains(&0).then(|| start.elapsed());
                }
                if count >= room {
                    break End::TooMuch;
                }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted
                | io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut => {}
                _ => break End::Reset,
            },
        }
    };
    exchange.time = nul_seen.or(ended).unwrap_or_else(|| start.elapsed());
}

/// A server that closes before the request has come answers it with a reset, a way there and back
/// behind its clean end.
fn how_it_closed(stream: &TcpStream, exchange: &Exchange, left: Duration) -> End {
    let way = exchange.connected.clone().unwrap_or_default();
    thread::sleep((way * 2 + AFTER_THE_END).min(AFTERWARDS).min(left));
    match stream.take_error() {
        Ok(None) => End::Closed,
        Ok(Some(_)) | Err(_) => End::Reset,
    }
}
