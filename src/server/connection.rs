//! A worker's job: one client, from its first byte to the close. The only room that reads from and
//! writes to a client (what comes after the answer is [`super::linger`]'s to discard).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::linger::Rest;
use super::request::{Matcher, Progress, MAX_REQUEST_BYTES, REQUEST};
use super::{Endpoint, Shared};

/// An accepted connection.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    /// Who it is; an IPv4 client is an IPv4 address, whatever socket it came through.
    pub(super) peer: SocketAddr,
    /// Where it came in.
    pub(super) endpoint: Arc<Endpoint>,
}

/// What became of the wait for a request.
enum Asked {
    /// It is complete.
    Yes(Rest),
    /// It cannot become a request any more; these are its first bytes.
    Never {
        first: [u8; MAX_REQUEST_BYTES],
        len: usize,
    },
    /// The deadline passed.
    TimedOut,
    /// The client closed or reset the connection before.
    Gone,
}

/// Serves one client and closes its connection.
pub(super) fn serve(client: Client, shared: &Shared) {
    let Client {
        mut stream,
        peer,
        endpoint,
    } = client;
    log::info!("{peer}: Connection accepted.");
    let stats = &shared.stats;
    let rest = match wait_for_request(&mut stream, shared.timeout) {
        Asked::Yes(rest) => {
            let policy = endpoint.policy();
            match send(&mut stream, &policy, shared.timeout) {
                Ok(()) => {
                    stats.served.add_one();
                    log::info!("{peer}: Policy sent. Closing connection.");
                }
                Err(error) => {
                    stats.write_failed.add_one();
                    log::info!("{peer}: Could not send the policy: {error}. Closing connection.");
                }
            }
            rest
        }
        Asked::Never { first, len } => {
            stats.not_a_request.add_one();
            log::info!("{peer}: Not a policy request. Closing connection.");
            log::debug!("{peer}: It began with \"{}\".", first[..len].escape_ascii());
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
            return;
        }
    };
    shared.linger.close(stream, rest);
}

/// Reads until the bytes are a request, cannot become one any more, or `timeout` has passed. It is
/// for the whole request: a client that drips bytes gains nothing by it.
fn wait_for_request(stream: &mut TcpStream, timeout: Duration) -> Asked {
    let deadline = Instant::now() + timeout;
    if stream.set_read_timeout(Some(timeout)).is_err()
        || stream.set_write_timeout(Some(timeout)).is_err()
    {
        return Asked::Gone;
    }
    let mut matcher = Matcher::default();
    let mut bytes = [0; MAX_REQUEST_BYTES];
    let mut len = 0;
    loop {
        match stream.read(&mut bytes[len..]) {
            Ok(0) => return Asked::Gone,
            Ok(count) => {
                let piece = &bytes[len..len + count];
                match matcher.feed(piece) {
                    Progress::Complete if piece == REQUEST => return Asked::Yes(Rest::Nothing),
                    Progress::Complete => return Asked::Yes(Rest::Possible),
                    Progress::Never => {
                        return Asked::Never {
                            first: bytes,
                            len: len + count,
                        }
                    }
                    Progress::Incomplete => len += count,
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => return Asked::TimedOut,
            Err(_) => return Asked::Gone,
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return Asked::TimedOut;
        }
    }
}

/// Sends the policy: in one write, unless it is larger than the kernel's send buffer.
fn send(stream: &mut TcpStream, policy: &[u8], timeout: Duration) -> io::Result<()> {
    let mut written = match stream.write(policy) {
        Ok(written) if written == policy.len() => return Ok(()),
        Ok(written) => written,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
        Err(error) => return Err(error),
    };
    let deadline = Instant::now() + timeout;
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

/// A blocking socket whose time is over says "would block".
fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
