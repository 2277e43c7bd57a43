//! The workers: the fixed pool of threads that accept and serve. It knows nothing of sockets.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use threadpool::ThreadPool;

use crate::daemon::signals::SleepingThread;

/// A thread's stack: address space. A worker touches 10 to 30 KB of it, for what it reads and a log
/// line being formatted.
pub(super) const STACK: usize = 256 * 1024;

/// The pool, and its jobs, of which each runs until the server stops.
pub(super) struct Workers {
    pool: ThreadPool,
    jobs: AtomicUsize,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    threads: Mutex<Vec<SleepingThread>>,
    ended: AtomicUsize,
}

impl Workers {
    /// Starts this many threads, which have no jobs yet; none where the system refuses a thread.
    pub(super) fn start(count: usize) -> Option<Workers> {
        let start = || {
            threadpool::Builder::new()
                .num_threads(count)
                .thread_name("worker".into())
                .thread_stack_size(STACK)
                .build()
        };
        // threadpool panics where the system refuses a thread, which is no fault to log as one.
        let hook = panic::take_hook();
        panic::set_hook(Box::new(|_| ()));
        let pool = panic::catch_unwind(AssertUnwindSafe(start));
        panic::set_hook(hook);
        let pool = pool.ok()?;
        Some(Workers {
            pool,
            jobs: AtomicUsize::new(0),
            shared: Arc::default(),
        })
    }

    /// Gives a thread a job for the rest of the server's life.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) {
        self.jobs.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(&self.shared);
        self.pool.execute(move || {
            shared.lock().push(SleepingThread::current());
            job();
            shared.ended.fetch_add(1, Ordering::Release);
        });
    }

    /// Whether every job has ended, and dropped what it had.
    pub(super) fn have_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire) == self.jobs.load(Ordering::Relaxed)
    }

    /// Ends the system calls in which the threads sleep. To be repeated until the jobs have ended: a
    /// thread may be about to enter one.
    pub(super) fn wake(&self) {
        for thread in self.shared.lock().iter() {
            thread.wake();
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SleepingThread>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
