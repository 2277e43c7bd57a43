//! How long a socket waits, in one call. What is waited for in all is the caller's to know.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

/// How long one read waits: Linux may take an eighth more than it is told to. On Windows it waits for
/// all of the time: of a read that has timed out nothing says how much it took. Source: Microsoft's
/// documentation of SO_RCVTIMEO.
const READ_TIMEOUT: Duration = match cfg!(windows) {
    true => Duration::MAX,
    false => Duration::from_millis(200),
};

/// Has a read of the socket give up within this time, or earlier: then there is time for another one.
pub(super) fn read_within(socket: &TcpStream, time: Duration) -> io::Result<()> {
    socket.set_read_timeout(Some(not_zero(time.min(READ_TIMEOUT))))
}

/// A socket rejects a time-out of zero.
pub(super) fn not_zero(time: Duration) -> Duration {
    time.max(Duration::from_millis(1))
}
