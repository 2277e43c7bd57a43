//! Whether another server uses a listening socket, during a takeover and after one that failed. A
//! stream goes with each socket that is handed over. Nothing is sent on it: it is open as long as
//! both servers use the socket, since the kernel closes it also where one of them dies. It changes no
//! socket.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a stop waits until the server before has left the socket. It usually did so long ago.
const PREDECESSOR: Duration = Duration::from_secs(1);

/// The streams of a listener's other users.
pub(super) struct Users {
    /// The server that handed the socket over.
    before: Option<UnixStream>,
    /// Those to which it was handed over; none once it is withheld.
    after: Mutex<Option<Vec<UnixStream>>>,
    /// It was handed over, whatever became of that.
    was_handed_over: AtomicBool,
}

impl Users {
    pub(super) fn new(before: Option<UnixStream>) -> Users {
        Users {
            before,
            after: Mutex::new(Some(Vec::new())),
            was_handed_over: AtomicBool::new(false),
        }
    }

    /// Adds a user, and gives the stream for it. None where the socket is withheld, or where there is
    /// no descriptor for it.
    pub(super) fn add(&self) -> Option<UnixStream> {
        let mut after = self.lock();
        let after = after.as_mut()?;
        let (ours, theirs) = UnixStream::pair().ok()?;
        ours.set_nonblocking(true).ok()?;
        // Takeovers that failed before.
        after.retain(is_open);
        after.push(ours);
        self.was_handed_over.store(true, Relaxed);
        Some(theirs)
    }

    /// Adds nobody from now on, and gives those that are there. While they are, the socket may not be
    /// changed; they see that this server has left once what is returned is dropped.
    pub(super) fn withhold(&self) -> Others {
        let mut others = self.lock().take().unwrap_or_default();
        if let Some(Ok(mut before)) = self.before.as_ref().map(UnixStream::try_clone) {
            // Where both stop at once, the first one leaves the socket to the second, and not each to
            // the other. That server still sees this one, which has its own end of the stream.
            let left = before.set_read_timeout(Some(PREDECESSOR)).is_ok()
                && matches!(before.read(&mut [0]), Ok(0));
            if !left && before.set_nonblocking(true).is_ok() {
                others.push(before);
            }
        }
        Others {
            streams: others,
            were_there: self.was_handed_over.load(Relaxed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<UnixStream>>> {
        self.after.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The other users of a socket that is about to be closed.
pub(super) struct Others {
    streams: Vec<UnixStream>,
    were_there: bool,
}

impl Others {
    pub(super) fn are_there(&self) -> bool {
        self.streams.iter().any(is_open)
    }

    /// Whether there ever was one. It may have handed the socket over itself before it ended, and no
    /// stream tells of that.
    pub(super) fn were_there(&self) -> bool {
        self.were_there
    }
}

/// Whether the other end is open.
fn is_open(mut stream: &UnixStream) -> bool {
    matches!(stream.read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_there_until_it_drops_its_stream() {
        let users = Users::new(None);
        let (failed, has_it) = (users.add().unwrap(), users.add().unwrap());
        drop(failed);
        let others = users.withhold();
        assert!(others.are_there());
        drop(has_it);
        assert!(!others.are_there());
    }

    #[test]
    fn nobody_is_added_to_a_socket_that_is_withheld() {
        let users = Users::new(None);
        assert!(!users.withhold().are_there());
        assert!(users.add().is_none());
    }

    #[test]
    fn of_two_servers_that_stop_at_once_the_first_leaves_the_socket_to_the_second() {
        let first = Users::new(None);
        let second = Users::new(first.add());
        let left = first.withhold();
        assert!(left.are_there());
        let waits = std::thread::spawn(move || second.withhold().are_there());
        drop(left);
        drop(first);
        assert!(!waits.join().unwrap());
    }

    #[test]
    fn a_predecessor_that_goes_on_is_a_user() {
        let first = Users::new(None);
        let second = Users::new(first.add());
        assert!(second.withhold().are_there());
    }
}
