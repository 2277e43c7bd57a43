//! The server: bind, run, stop. [`OpenServer::run`] is the supervisor: it waits for control messages,
//! puts new policies in place and does nothing for a single client.

mod acceptor;
mod admission;
mod alarm;
mod connection;
mod inherited;
mod limits;
mod linger;
mod listener;
mod peer;
mod pending;
pub mod proxy;
mod repute;
pub mod request;
mod waiting;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::config::{reason, Config};
use crate::control::Control;
use crate::control_socket::Asked;
use crate::notify;
use crate::stats::{Gauges, Stats};
use acceptor::Acceptor;
use admission::{Admission, Patience};
use alarm::Alarm;
use connection::Client;
pub use inherited::Inherited;
use linger::Linger;
pub use listener::BindError;
use listener::Listener;

/// A worker's stack: address space. A worker touches 10 to 14 KB of it, for a request buffer, a log
/// line being formatted and little else.
const WORKER_STACK: usize = 256 * 1024;

/// So many workers are started before the first client is served, the others while it is: to start
/// 256 takes longer than everything else from exec to the first policy.
const FIRST_WORKERS: usize = 32;

/// How often the supervisor looks around.
const ROUND: Duration = Duration::from_secs(1);

/// How often a stopping server looks whether it is done.
const STOP_ROUND: Duration = Duration::from_millis(5);

/// How long a stopping server waits for clients to speak, and then for clients to leave, while
/// newcomers are in the queue of an inherited socket: nobody answers those until this process has
/// ended, and Flash Player gives them 3 seconds.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Where clients come in, and what they are told there.
pub(crate) struct Endpoint {
    address: SocketAddr,
    /// Whether every connection has to begin with a PROXY header.
    proxy: bool,
    policy: RwLock<Arc<[u8]>>,
}

impl Endpoint {
    /// The whole policy as it is now: a client gets the old one or the new one, never a mixture.
    fn policy(&self) -> Arc<[u8]> {
        let policy = self.policy.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&policy)
    }

    fn set_policy(&self, policy: Arc<[u8]>) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }
}

/// What clients get, NUL included: a policy for each listener.
pub type Policies = Vec<Arc<[u8]>>;

/// What the supervisor does besides: it is asked now and then, and on request, for new policies,
/// and gets the figures to report.
pub trait Upkeep {
    /// How long until the next [`Upkeep::look`] at the most.
    fn pause(&self) -> Duration;
    /// Periodic work; new policies where they changed.
    fn look(&mut self, figures: Figures<'_>) -> Option<Policies>;
    /// A reload was asked for; new policies where it succeeded.
    fn reload(&mut self) -> Option<Policies>;
    /// A client of the control socket asks; new policies where that was a reload that succeeded.
    fn asked(&mut self, asked: Asked, figures: Figures<'_>) -> Option<Policies>;
    /// The figures were asked for.
    fn report(&mut self, figures: Figures<'_>);
    /// The last client is gone.
    fn finish(&mut self, figures: Figures<'_>);
}

/// The server's figures at this moment.
#[derive(Clone, Copy)]
pub struct Figures<'a> {
    /// The counters.
    pub stats: &'a Stats,
    /// What goes up and down.
    pub gauges: Gauges,
}

/// What acceptors, workers and the supervisor share.
pub(crate) struct Shared {
    admission: Admission<Client, Arc<TcpStream>>,
    linger: Linger,
    stats: Stats,
    timeout: Duration,
    stopping: AtomicBool,
    /// Counts connections through a balancer that has not named a client.
    unnamed: AtomicU32,
}

impl Shared {
    fn figures(&self) -> Figures<'_> {
        Figures {
            stats: &self.stats,
            gauges: self.admission.gauges(),
        }
    }
}

/// Why the server could not start.
#[derive(Debug)]
pub enum StartError {
    /// A port could not be bound.
    Bind(BindError),
    /// The system did not give the threads that were asked for.
    Threads(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Bind(error) => error.fmt(f),
            StartError::Threads(what) => write!(
                f,
                "cannot start {what}; set fewer 'workers', or raise the limit of threads \
                 (ulimit -u, systemd's TasksMax)"
            ),
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everybody who was here was served, or had its deadline.
    Complete,
    /// A second signal asked to end at once.
    AtOnce,
}

/// A server whose ports are bound; it accepts from [`Server::open`] on.
pub struct Server {
    listeners: Vec<(Listener, Arc<Endpoint>)>,
    shared: Arc<Shared>,
    pool: threadpool::ThreadPool,
    workers: usize,
}

impl Server {
    /// Binds every listener that is not inherited, and starts the first workers. `policies` are in
    /// the order of the listeners.
    ///
    /// # Errors
    /// An address that cannot be bound, or threads that the system refuses.
    pub fn start(
        config: &Config,
        inherited: Inherited,
        policies: &Policies,
    ) -> Result<Server, StartError> {
        let mut listeners = Vec::new();
        let bound = listener::bind_all(&config.listen, inherited).map_err(StartError::Bind)?;
        for ((listener, listen), policy) in bound.into_iter().zip(&config.listen).zip(policies) {
            let endpoint = Endpoint {
                address: listener.socket.local_addr().unwrap_or(listen.address),
                proxy: listen.proxy,
                policy: RwLock::new(Arc::clone(policy)),
            };
            listeners.push((listener, Arc::new(endpoint)));
        }
        let shared = Arc::new(Shared {
            admission: Admission::new(
                config.workers,
                limits::max_pending(config),
                Patience::default(),
            ),
            linger: Linger::new(),
            stats: Stats::default(),
            timeout: config.timeout,
            stopping: AtomicBool::new(false),
            unnamed: AtomicU32::new(0),
        });
        let first = config.workers.min(FIRST_WORKERS);
        let pool = start_pool(first)?;
        give_work(&pool, 0..first, &shared);
        Ok(Server {
            listeners,
            shared,
            pool,
            workers: config.workers,
        })
    }

    /// The addresses that were really bound: with the port that the system chose where 0 was asked.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.listeners.iter().map(|(_, endpoint)| endpoint.address)
    }

    /// Begins to accept, and starts the other workers.
    ///
    /// # Errors
    /// Threads that the system refuses.
    pub fn open(self) -> Result<OpenServer, StartError> {
        let Server {
            listeners,
            shared,
            mut pool,
            workers,
        } = self;
        let linger = {
            let shared = Arc::clone(&shared);
            spawn("linger", move || shared.linger.run())?
        };
        let mut acceptors = Vec::new();
        let mut endpoints = Vec::new();
        let inherited = listeners.iter().any(|(listener, _)| listener.inherited);
        for (listener, endpoint) in listeners {
            endpoints.push(Arc::clone(&endpoint));
            let acceptor = Acceptor {
                listener,
                endpoint,
                shared: Arc::clone(&shared),
            };
            acceptors.push(spawn("acceptor", move || acceptor.run())?);
        }
        let first = pool.max_count();
        no_panic(workers, || pool.set_num_threads(workers))?;
        give_work(&pool, first..workers, &shared);
        Ok(OpenServer {
            shared,
            pool,
            linger,
            acceptors,
            endpoints,
            inherited,
        })
    }
}

/// A server that accepts, and has all its threads.
pub struct OpenServer {
    shared: Arc<Shared>,
    pool: threadpool::ThreadPool,
    linger: JoinHandle<()>,
    acceptors: Vec<JoinHandle<()>>,
    endpoints: Vec<Arc<Endpoint>>,
    inherited: bool,
}

impl OpenServer {
    /// Serves until a control message says to stop, then until everybody who is here is served.
    pub fn run(self, control: &Receiver<Control>, upkeep: &mut dyn Upkeep) -> Ended {
        let OpenServer {
            shared,
            pool,
            linger,
            acceptors,
            endpoints,
            inherited,
        } = self;
        let mut alarm = Alarm::default();
        loop {
            let mut reloaded = false;
            let policies = match control.recv_timeout(ROUND.min(upkeep.pause())) {
                Ok(Control::Shutdown) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(Control::Reload) => {
                    notify::reloading();
                    reloaded = true;
                    upkeep.reload()
                }
                Ok(Control::Report) => {
                    upkeep.report(shared.figures());
                    None
                }
                Ok(Control::Asked(asked)) => upkeep.asked(asked, shared.figures()),
                Err(RecvTimeoutError::Timeout) => upkeep.look(shared.figures()),
            };
            for (endpoint, policy) in endpoints.iter().zip(policies.into_iter().flatten()) {
                endpoint.set_policy(policy);
            }
            if reloaded {
                notify::ready();
            }
            alarm.look(|| shared.admission.take_evictions());
        }
        log::info!("Stopping server...");
        notify::stopping();
        shared.stopping.store(true, Relaxed);
        let ended = wait_for_the_last(&shared, &acceptors, inherited, &pool, &linger, control);
        upkeep.finish(shared.figures());
        ended
    }
}

fn start_pool(workers: usize) -> Result<threadpool::ThreadPool, StartError> {
    no_panic(workers, || {
        threadpool::Builder::new()
            .num_threads(workers)
            .thread_name("worker".into())
            .thread_stack_size(WORKER_STACK)
            .build()
    })
}

/// threadpool panics where the system refuses a thread.
fn no_panic<T>(workers: usize, start: impl FnOnce() -> T) -> Result<T, StartError> {
    panic::catch_unwind(AssertUnwindSafe(start))
        .map_err(|_| StartError::Threads(format!("{workers} workers")))
}

/// One job a thread, which lasts as long as the server: who is next is the admission's decision, so
/// no connection ever waits in the pool's own queue.
fn give_work(pool: &threadpool::ThreadPool, workers: Range<usize>, shared: &Arc<Shared>) {
    for worker in workers {
        let shared = Arc::clone(shared);
        pool.execute(move || work(worker, &shared, connection::serve));
    }
}

fn work(worker: usize, shared: &Shared, serve: impl Fn(&mut Client, usize, &Shared) -> bool) {
    let mut asked = None;
    while let Some(mut client) = shared.admission.next(worker, asked) {
        // A panic costs one connection, not the worker; the panic hook has logged it.
        let served = panic::catch_unwind(AssertUnwindSafe(|| serve(&mut client, worker, shared)));
        let completed = served.unwrap_or_else(|_| {
            shared.stats.panicked.add_one();
            shared.admission.end_wait_after_panic(worker);
            false
        });
        asked = completed.then_some(client.source);
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    thread::Builder::new()
        .name(name.into())
        .stack_size(WORKER_STACK)
        .spawn(body)
        .map_err(|error: io::Error| {
            StartError::Threads(format!("the {name} thread: {}", reason(&error)))
        })
}

/// The steps of a stop, in their order: nothing more is accepted, what is pending is served, the
/// last clients take their leave. A second signal ends it at any step. Where a socket is inherited,
/// nobody is waited for beyond [`LAST_WORDS`].
fn wait_for_the_last(
    shared: &Shared,
    acceptors: &[JoinHandle<()>],
    inherited: bool,
    pool: &threadpool::ThreadPool,
    linger: &JoinHandle<()>,
    control: &Receiver<Control>,
) -> Ended {
    let wait_until = |done: &dyn Fn() -> bool| -> Result<(), Ended> {
        while !done() {
            // The acceptors, who have an eye on this else, end first.
            if let Some(stream) = shared.admission.look() {
                connection::evict(&stream);
            }
            match control.recv_timeout(STOP_ROUND) {
                Ok(Control::Shutdown) => return Err(Ended::AtOnce),
                Ok(Control::Reload | Control::Report | Control::Asked(_))
                | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => thread::sleep(STOP_ROUND),
            }
        }
        Ok(())
    };
    let steps = || -> Result<(), Ended> {
        wait_until(&|| acceptors.iter().all(JoinHandle::is_finished))?;
        shared.admission.close();
        let begun = Instant::now();
        wait_until(&|| {
            if inherited && begun.elapsed() >= LAST_WORDS {
                if let Some(stream) = shared.admission.evict_one() {
                    connection::evict(&stream);
                }
            }
            pool.active_count() + pool.queued_count() == 0
        })?;
        shared.linger.finish();
        let begun = Instant::now();
        wait_until(&|| linger.is_finished() || (inherited && begun.elapsed() >= LAST_WORDS))
    };
    steps().err().unwrap_or(Ended::Complete)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_panic_costs_one_connection_and_no_worker() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Arc::new(Endpoint {
            address: listener.local_addr().unwrap(),
            proxy: false,
            policy: RwLock::new(Arc::new(*b"policy")),
        });
        let shared = Shared {
            admission: Admission::new(1, 10, Patience::default()),
            linger: Linger::new(),
            stats: Stats::default(),
            timeout: Duration::from_secs(3),
            stopping: AtomicBool::new(false),
            unnamed: AtomicU32::new(0),
        };
        let clients: Vec<_> = (0..3)
            .map(|_| TcpStream::connect(endpoint.address).unwrap())
            .collect();
        for _ in &clients {
            let (stream, peer) = listener.accept().unwrap();
            let client = Client {
                stream: Arc::new(stream),
                peer,
                source: admission::Source::of(peer.ip()),
                since: std::time::Instant::now(),
                endpoint: Arc::clone(&endpoint),
            };
            assert!(shared
                .admission
                .offer(client.source, client)
                .refuse
                .is_none());
        }
        shared.admission.close();
        let seen = std::cell::RefCell::new(Vec::new());
        work(0, &shared, |client, worker, shared| {
            seen.borrow_mut().push(client.peer);
            let handle = Arc::clone(&client.stream);
            let evicted = shared.admission.begin_wait(worker, client.source, handle);
            assert!(evicted.is_none(), "there is patience");
            match seen.borrow().len() {
                1 => panic!("in the middle of a wait"),
                2 => {
                    shared
                        .admission
                        .end_wait(worker, client.source, admission::Client::Spoke);
                    panic!("after a wait");
                }
                _ => shared
                    .admission
                    .end_wait(worker, client.source, admission::Client::Ended),
            }
        });
        let peers: Vec<_> = clients.iter().map(|c| c.local_addr().unwrap()).collect();
        assert_eq!(seen.into_inner(), peers);
        assert_eq!(shared.stats.panicked.get(), 2);
    }
}
