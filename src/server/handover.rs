//! Whether another server uses a listening socket, during a takeover and after one that failed. A
//! stream goes with each socket that is handed over. Nothing is sent on it: it is open as long as
//! both servers use the socket, since the kernel closes it also where one of them dies. It changes no
//! socket.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a stop waits until the server before has left the socket. It usually did so long ago.
const PREDECESSOR: Duration = Duration::from_secs(1);

/// The other users of a listener's socket; none once it is withheld.
pub(super) struct Users(Mutex<Option<Others>>);

impl Users {
    /// `before` is the stream of the server that handed the socket over.
    pub(super) fn new(before: Option<UnixStream>) -> Users {
        Users(Mutex::new(Some(Others {
            before,
            ..Others::default()
        })))
    }

    /// Adds a user, and gives the stream for it; none where the socket is withheld.
    ///
    /// # Errors
    /// The system's, where it has no descriptor.
    pub(super) fn add(&self) -> io::Result<Option<UnixStream>> {
        let mut others = self.lock();
        let Some(others) = others.as_mut() else {
            return Ok(None);
        };
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        // Takeovers that failed before.
        others.after.retain(is_open);
        others.after.push(ours);
        others.was_handed_over = true;
        Ok(Some(theirs))
    }

    /// Adds nobody from now on, and gives those that are there. While they are, the socket may not be
    /// changed; they see that this server has left once what is returned is dropped.
    pub(super) fn withhold(&self) -> Others {
        let mut others = self.lock().take().unwrap_or_default();
        // Where both stop at once, the first one leaves the socket to the second, and not each to the
        // other. That server still sees this one, which has its own end of the stream.
        others.before = others.before.filter(|before| !leaves(before));
        others
    }

    fn lock(&self) -> MutexGuard<'_, Option<Others>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The other users of a socket.
#[derive(Default)]
pub(super) struct Others {
    /// The server that handed the socket over.
    before: Option<UnixStream>,
    /// Those to which it was handed over.
    after: Vec<UnixStream>,
    /// There was one of these, whatever became of it.
    was_handed_over: bool,
}

impl Others {
    pub(super) fn are_there(&self) -> bool {
        self.before.iter().chain(&self.after).any(is_open)
    }

    /// Whether the socket ever was handed over. The server that got it may have handed it over itself
    /// before it ended, and no stream tells of that.
    pub(super) fn were_there(&self) -> bool {
        self.was_handed_over
    }
}

/// Waits until the server before has closed its end; false where it does not.
fn leaves(mut before: &UnixStream) -> bool {
    let left = before.set_read_timeout(Some(PREDECESSOR)).is_ok()
        && matches!(before.read(&mut [0]), Ok(0));
    left || before.set_nonblocking(true).is_err()
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
        assert!(users.add().unwrap().is_none());
    }

    #[test]
    fn of_two_servers_that_stop_at_once_the_first_leaves_the_socket_to_the_second() {
        let first = Users::new(None);
        let second = Users::new(first.add().unwrap());
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
        let second = Users::new(first.add().unwrap());
        assert!(second.withhold().are_there());
    }
}
