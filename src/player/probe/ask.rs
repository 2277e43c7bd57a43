//! One exchange with one address: connect, send a request, take what comes. It never waits longer
//! than it is told to, never keeps more than [`MAX_BYTES`], and judges nothing.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::patience::{not_zero, read_within};
use super::secure::{Duplex, NoTls, Secure, Tls};
use crate::output::text::reason;
use crate::policy::MAX_POLICY_BYTES;

/// The request of Flash Player. Source: rule book section 1.1 (DG).
pub const REQUEST: &[u8] = b"<policy-file-request/>\0";

/// The most that is kept of an answer: one byte more than the largest policy with its NUL.
pub const MAX_BYTES: usize = MAX_POLICY_BYTES + 2;

/// How long the probe waits for the server to close the connection once the NUL has come.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a refusal may take: Windows asks a port that refuses again and again, for about 2 s (Microsoft
/// Q175523; libuv #2896), and then alone says that it refuses.
const REFUSAL: Duration = match cfg!(windows) {
    true => Duration::from_secs(3),
    false => Duration::ZERO,
};

/// How long the probe waits for a reset behind the end of the stream, beside the way there and back.
const RESET_TIMEOUT: Duration = Duration::from_millis(10);

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
    /// What was seen of TLS, where it was asked inside of it.
    pub tls: Option<Tls>,
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
    /// The port takes connections, and no TLS handshake completed.
    NoTls(NoTls),
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

/// How a port is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    /// What is sent; nothing: the connection and the handshake are all there is.
    pub request: &'a [u8],
    /// Inside TLS.
    pub inside: Option<&'a Secure>,
    /// How long the player waits.
    pub deadline: Duration,
    /// How long the probe waits: longer, where that tells slow from silent.
    pub patience: Duration,
}

/// Connects, sends the request and takes what comes, up to a NUL, the end, or the end of the
/// patience.
pub(super) fn ask(address: SocketAddr, question: Question) -> Exchange {
    let limit = question.deadline.min(question.patience);
    let start = Instant::now();
    let mut exchange = Exchange {
        address,
        connected: Err(NoConnection::Filtered),
        bytes: Vec::new(),
        pieces: 0,
        first_piece: 0,
        end: End::Open,
        time: Duration::ZERO,
        deadline: question.deadline,
        tls: None,
    };
    let connected = connect(address, limit);
    exchange.time = start.elapsed();
    exchange.connected = connected
        .as_ref()
        .map(|_| exchange.time)
        .map_err(Clone::clone);
    let Ok(Some(socket)) = connected else {
        exchange.end = End::Reset;
        return exchange;
    };
    let patience = question.patience;
    let _ = socket.set_nodelay(true);
    let _ = socket.set_write_timeout(Some(not_zero(patience)));
    let mut run_exchange = |stream: &mut dyn Duplex| {
        if question.request.is_empty() {
            return;
        }
        send_and_receive(
            stream,
            &socket,
            question.request,
            start,
            patience,
            &mut exchange,
        );
    };
    match question.inside {
        None => run_exchange(&mut &socket),
        Some(secure) => match secure.after_handshake(&socket, start, patience, run_exchange) {
            Ok(tls) => exchange.tls = Some(tls),
            Err(why) => {
                exchange.connected = Err(NoConnection::NoTls(why));
                exchange.time = start.elapsed();
            }
        },
    }
    exchange
}

/// The same in the clear and within this limit.
pub(super) fn ask_plainly(address: SocketAddr, request: &[u8], limit: Duration) -> Exchange {
    let question = Question {
        request,
        inside: None,
        deadline: limit,
        patience: limit,
    };
    ask(address, question)
}

/// What a port did with a client that says nothing at first.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    /// After what time the connection stood, or why it does not.
    pub connected: Result<Duration, NoConnection>,
    /// After what time the server ended it, before anything was said by either side.
    pub ended: Option<Duration>,
    /// Whether nothing came for the player's request, not even the end.
    pub silent: bool,
}

/// Connects within `limit` and sends nothing for `quiet_time`, to see whether the server ends the
/// connection by itself. Then, where there is an `answer_limit`, sends the player's request and waits
/// that long for an answer.
pub(super) fn watch(
    address: SocketAddr,
    limit: Duration,
    quiet_time: Duration,
    answer_limit: Option<Duration>,
) -> Watched {
    let start = Instant::now();
    let mut watched = Watched {
        connected: Err(NoConnection::Filtered),
        ended: None,
        silent: false,
    };
    let connected = connect(address, limit);
    let after = start.elapsed();
    watched.connected = connected.as_ref().map(|_| after).map_err(Clone::clone);
    let Ok(Some(mut socket)) = connected else {
        watched.ended = watched.connected.is_ok().then_some(after);
        return watched;
    };
    // How many bytes come first within this time; 0 is the end, and none is silence.
    let first = |socket: &mut TcpStream, time| {
        use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
        let _ = socket.set_read_timeout(Some(not_zero(time)));
        let read = socket.read(&mut [0; 64]);
        match read.map_err(|error| error.kind()) {
            Err(WouldBlock | TimedOut | Interrupted) => None,
            read => Some(read.unwrap_or_default()),
        }
    };
    match (first(&mut socket, quiet_time), answer_limit) {
        (Some(0), _) => watched.ended = Some(start.elapsed()),
        (None, Some(limit)) => {
            let _ = socket.set_write_timeout(Some(not_zero(limit)));
            watched.silent =
                socket.write_all(REQUEST).is_ok() && first(&mut socket, limit).is_none();
        }
        _ => {}
    }
    let _ = socket.shutdown(Shutdown::Both);
    watched
}

/// None: the connection stood, and was reset at once.
fn connect(address: SocketAddr, limit: Duration) -> Result<Option<TcpStream>, NoConnection> {
    let start = Instant::now();
    let limit = not_zero(limit);
    match TcpStream::connect_timeout(&address, limit.max(REFUSAL)) {
        Ok(_) if limit < REFUSAL && start.elapsed() > limit => Err(NoConnection::Filtered),
        Ok(socket) => Ok(Some(socket)),
        Err(error) => why_not(&error),
    }
}

/// Why a connection does not stand; none: it was reset at once.
fn why_not<T>(error: &io::Error) -> Result<Option<T>, NoConnection> {
    use io::ErrorKind::*;
    match error.kind() {
        // A port that is closed is ECONNREFUSED, however it says so.
        ConnectionReset => Ok(None),
        ConnectionRefused => Err(NoConnection::Refused),
        TimedOut | WouldBlock => Err(NoConnection::Filtered),
        AddrNotAvailable | NetworkUnreachable | Unsupported | InvalidInput => {
            Err(NoConnection::NoRoute(reason(error)))
        }
        _ => Err(NoConnection::Unreachable(reason(error))),
    }
}

fn send_and_receive(
    stream: &mut dyn Duplex,
    socket: &TcpStream,
    request: &[u8],
    start: Instant,
    patience: Duration,
    exchange: &mut Exchange,
) {
    // A server may answer and close before it has read anything: what it sent still counts, so a
    // request that cannot be sent is no reason to stop here.
    let _ = stream.write_all(request).and_then(|()| stream.flush());

    let mut buffer = [0; 8 * 1024];
    let (mut nul_seen, mut ended) = (None, None);
    exchange.end = loop {
        let until = nul_seen.map_or(patience, |at: Duration| at + CLOSE_TIMEOUT);
        let left = until.saturating_sub(start.elapsed());
        // Without a time-out a read could take for ever.
        if left.is_zero() || read_within(socket, left).is_err() {
            break End::Open;
        }
        match stream.read(&mut buffer) {
            Ok(0) => {
                ended = Some(start.elapsed());
                break how_it_closed(socket, exchange, until.saturating_sub(start.elapsed()));
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
                // The end of the connection without the end of TLS.
                io::ErrorKind::UnexpectedEof => {
                    ended = Some(start.elapsed());
                    break End::Closed;
                }
                _ => break End::Reset,
            },
        }
    };
    exchange.time = nul_seen.or(ended).unwrap_or_else(|| start.elapsed());
}

/// A server that closes before the request has come answers it with a reset, a way there and back
/// behind its clean end.
fn how_it_closed(socket: &TcpStream, exchange: &Exchange, left: Duration) -> End {
    let way = exchange.connected.clone().unwrap_or_default();
    thread::sleep((way * 2 + RESET_TIMEOUT).min(CLOSE_TIMEOUT).min(left));
    match socket.take_error() {
        Ok(None) if !reader_sees_reset(socket) => End::Closed,
        _ => End::Reset,
    }
}

/// Windows may report it to a reader alone.
fn reader_sees_reset(mut socket: &TcpStream) -> bool {
    if !cfg!(windows) || socket.set_nonblocking(true).is_err() {
        return false;
    }
    let read = socket.read(&mut [0]);
    read.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `connect` gives where a port refuses and so on, by this system's numbers.
    #[test]
    fn a_systems_number_becomes_what_the_player_would_see() {
        type Is = fn(&NoConnection) -> bool;
        let refused: Is = |why| *why == NoConnection::Refused;
        let filtered: Is = |why| *why == NoConnection::Filtered;
        let no_route: Is = |why| matches!(why, NoConnection::NoRoute(_));
        let unreachable: Is = |why| matches!(why, NoConnection::Unreachable(_));
        let numbers: &[(i32, Is)] = match cfg!(windows) {
            true => &[
                (10061, refused),
                (10060, filtered),
                (10049, no_route),
                (10051, no_route),
                (10065, unreachable),
                (10050, unreachable),
                (10013, unreachable),
            ],
            false if cfg!(target_os = "linux") => &[
                (111, refused),
                (110, filtered),
                (99, no_route),
                (101, no_route),
                (113, unreachable),
                (100, unreachable),
                (13, unreachable),
            ],
            false => &[],
        };
        for (number, is) in numbers {
            let why = why_not::<()>(&io::Error::from_raw_os_error(*number)).unwrap_err();
            assert!(is(&why), "{number}: {why:?}");
            if let NoConnection::NoRoute(words) | NoConnection::Unreachable(words) = why {
                assert!(
                    !words.contains("os error") && !words.ends_with('.'),
                    "{words}"
                );
            }
        }
        let reset = if cfg!(windows) { 10054 } else { 104 };
        let reset = why_not::<()>(&io::Error::from_raw_os_error(reset));
        assert!(matches!(reset, Ok(None)) || !cfg!(any(windows, target_os = "linux")));
    }
}
