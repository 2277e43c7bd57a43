//! Closing without a reset. Bytes that a client sent and nobody read turn a close into an RST, and
//! on Windows an RST throws away a policy that already arrived. So a connection whose client may
//! still be sending is half closed (the client sees the end at once), and one thread reads and
//! discards what still comes, bounded in bytes and in time. No worker ever waits for that.

use std::collections::VecDeque;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{recv, MsgFlags};

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

/// Where so many came within a round, who has nothing more to say is not waited for: at such a rate
/// it could linger for some milliseconds only, and players close first.
const CROWD: usize = MAX_LINGERING / 4;

/// How many are looked at in one go, out of everybody's reach.
const GO: usize = 16;

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
    /// Those that have been looked at in this round, oldest first; they are older than the others.
    done: VecDeque<Lingering>,
    /// Those that have not, oldest first.
    waiting: VecDeque<Lingering>,
    /// How many are looked at right now.
    looked_at: usize,
    /// How many came since the last round began.
    fresh: usize,
    closing: bool,
}

struct Lingering {
    stream: Arc<TcpStream>,
    rest: Rest,
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
    /// One with nothing more to come lingers too, in case its client is no Flash Player, but not in
    /// a crowd, and it has to make room before all others.
    pub(super) fn close(&self, stream: &Arc<TcpStream>, rest: Rest) {
        // First of all, so that the policy is under way: a close throws away what has not been sent
        // where the client has sent more than was read. A client that is gone needs no care.
        if stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let mut state = self.lock();
        if rest == Rest::Nothing && state.fresh >= CROWD {
            return;
        }
        state.fresh += 1;
        state.waiting.push_back(Lingering {
            stream: Arc::clone(stream),
            rest,
            since: Instant::now(),
            discarded: 0,
        });
        let wake = state.lingering() == 1;
        let oldest = if state.lingering() > MAX_LINGERING {
            state.make_room()
        } else {
            None
        };
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
        let mut state = self.lock();
        state.fresh = 0;
        let shed = (
            std::mem::take(&mut state.done),
            std::mem::take(&mut state.waiting),
        );
        drop(state);
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
        let mut state = self.lock();
        loop {
            while state.lingering() == 0 {
                if state.closing {
                    return;
                }
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            state = self
                .changed
                .wait_timeout(state, ROUND)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            state.fresh = 0;
            let most = if state.closing {
                MAX_TIME_AT_THE_END
            } else {
                MAX_TIME
            };
            let mut left = state.waiting.len();
            while left > 0 && !state.waiting.is_empty() {
                let count = left.min(GO).min(state.waiting.len());
                left -= count;
                let mut some: Vec<_> = state.waiting.drain(..count).collect();
                state.looked_at = count;
                drop(state);
                some.retain_mut(|lingering| {
                    lingering.discard(&mut bytes) && lingering.since.elapsed() < most
                });
                state = self.lock();
                state.looked_at = 0;
                state.done.extend(some);
            }
            state.begin_anew();
        }
    }
}

impl State {
    fn lingering(&self) -> usize {
        self.done.len() + self.waiting.len() + self.looked_at
    }

    /// Has everybody looked at once more.
    fn begin_anew(&mut self) {
        let mut all = std::mem::take(&mut self.done);
        all.append(&mut self.waiting);
        self.waiting = all;
    }

    /// Takes out the oldest one with nothing more to come, or else the oldest of all.
    fn make_room(&mut self) -> Option<Lingering> {
        let State { done, waiting, .. } = self;
        let quiet = |queue: &VecDeque<Lingering>| {
            let mut rests = queue.iter().map(|lingering| lingering.rest);
            rests.position(|rest| rest == Rest::Nothing)
        };
        if let Some(index) = quiet(done) {
            return done.remove(index);
        }
        if let Some(index) = quiet(waiting) {
            return waiting.remove(index);
        }
        done.pop_front().or_else(|| waiting.pop_front())
    }
}

impl Lingering {
    /// Reads what is there into `bytes`, which nobody looks at; false when the client has closed,
    /// or has sent too much.
    fn discard(&mut self, bytes: &mut [u8]) -> bool {
        // One fast sender must not keep the thread from the others.
        for _ in 0..64 {
            match recv(self.stream.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return false,
                Ok(count) => self.discarded += count,
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
        self.discarded < MAX_BYTES
    }
}
