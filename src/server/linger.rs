//! Closing without a reset. Bytes that a client sent and nobody read turn a close into an RST, and
//! on Windows an RST throws away a policy that already arrived. So a connection whose client may
//! still be sending is half closed (the client sees the end at once), and one thread reads and
//! discards what still comes, bounded in bytes and in time. No worker ever waits for that.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How many connections may linger; the oldest is closed for a new one.
pub(super) const MAX_LINGERING: usize = 256;

/// How long one may linger.
const MAX_TIME: Duration = Duration::from_secs(3);

/// How long one may linger while the server stops.
const MAX_TIME_AT_THE_END: Duration = Duration::from_millis(300);

/// How many bytes of one client are discarded.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// How often lingering connections are looked at.
const ROUND: Duration = Duration::from_millis(10);

/// What the worker knows of the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// All that Flash Player ever sends has been read; nothing more is expected.
    Nothing,
    /// There may be unread bytes, or bytes under way.
    Possible,
}

/// The connections that are half closed.
pub(super) struct Linger {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Oldest first, without those that the thread looks at right now.
    waiting: VecDeque<Lingering>,
    looked_at: usize,
    closing: bool,
}

struct Lingering {
    stream: Arc<TcpStream>,
    since: Instant,
    discarded: usize,
}

impl Linger {
    pub(super) fn new() -> Linger {
        Linger {
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes a connection so that the client sees a clean end.
    ///
    /// One with nothing more to come lingers too while there is ample room, in case its client is
    /// no Flash Player; under load it is closed at once.
    pub(super) fn close(&self, stream: &Arc<TcpStream>, rest: Rest) {
        let lingering = self.lock().lingering();
        if rest == Rest::Nothing && lingering >= MAX_LINGERING / 2 {
            return;
        }
        // A client that is gone needs no care.
        if stream.shutdown(Shutdown::Write).is_err() || stream.set_nonblocking(true).is_err() {
            return;
        }
        let new = Lingering {
            stream: Arc::clone(stream),
            since: Instant::now(),
            discarded: 0,
        };
        let mut state = self.lock();
        state.waiting.push_back(new);
        let oldest = if state.lingering() > MAX_LINGERING {
            state.waiting.pop_front()
        } else {
            None
        };
        let wake = state.waiting.len() == 1;
        drop(state);
        if wake {
            self.changed.notify_all();
        }
        if let Some(mut oldest) = oldest {
            // A small one: it stands on the stack of every worker.
            oldest.discard(&mut [0; 1024]);
        }
    }

    /// Closes all that linger: their descriptors are needed.
    pub(super) fn shed(&self) {
        let shed = std::mem::take(&mut self.lock().waiting);
        drop(shed);
    }

    /// Ends the thread once nobody lingers any more.
    pub(super) fn finish(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    /// The thread: reads and discards until clients close or a bound is reached.
    pub(super) fn run(&self) {
        let mut bytes = [0; 16 * 1024];
        loop {
            let (mut round, closing) = {
                let mut state = self.lock();
                while state.waiting.is_empty() {
                    if state.closing {
                        return;
                    }
                    state = self
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                state.looked_at = state.waiting.len();
                (std::mem::take(&mut state.waiting), state.closing)
            };
            let most = if closing {
                MAX_TIME_AT_THE_END
            } else {
                MAX_TIME
            };
            round.retain_mut(|lingering| {
                lingering.discard(&mut bytes) && lingering.since.elapsed() < most
            });
            let mut state = self.lock();
            round.append(&mut state.waiting);
            state.waiting = round;
            state.looked_at = 0;
            drop(state);
            thread::sleep(ROUND);
        }
    }
}

impl State {
    fn lingering(&self) -> usize {
        self.waiting.len() + self.looked_at
    }
}

impl Lingering {
    /// Reads what is there into `bytes`, which nobody looks at; false when the client has closed,
    /// or has sent too much.
    fn discard(&mut self, bytes: &mut [u8]) -> bool {
        // One fast sender must not keep the thread from the others.
        for _ in 0..64 {
            match (&*self.stream).read(bytes) {
                Ok(0) => return false,
                Ok(count) => self.discarded += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.discarded < MAX_BYTES
    }
}
