//! The server: it binds its ports, serves, and stops. The supervisor decides when it stops, and
//! `upkeep` gives it new policies.

mod acceptor;
mod attack_report;
#[cfg_attr(not(test), expect(dead_code, reason = "no connection asks it yet"))]
mod client_lines;
mod connection;
mod context;
mod endpoint;
mod fd_limit;
mod handover;
mod intake;
mod limits;
mod listener;
mod places;
pub mod proxy;
pub mod request;
mod service;
mod slots;
mod socket_activation;
mod source;
mod stop;
mod tally;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use threadpool::ThreadPool;

use crate::config::Config;
use crate::stats::Snapshot;
use crate::text::reason;
use acceptor::Acceptor;
use attack_report::AttackReport;
use context::Context;
use endpoint::Endpoint;
use listener::Listener;
pub use listener::{BindError, Sharing};
use service::Service;
pub use socket_activation::{Inherited, NOT_BY_INETD, is_one_connection};
pub use stop::Ended;

/// A thread's stack: address space. A worker touches 10 to 30 KB of it, for what it reads and a log
/// line being formatted.
const STACK: usize = 256 * 1024;

/// The bytes that clients get, NUL included: a policy for each listener.
pub type Policies = Vec<Arc<[u8]>>;

/// Why the server could not start.
#[derive(Debug)]
pub enum StartError {
    /// A port could not be bound.
    Bind(BindError),
    /// The system did not give the threads that were asked for.
    Threads(String),
    /// The system did not give the means to wait for clients.
    Poller(io::Error),
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
            StartError::Poller(error) => write!(
                f,
                "cannot wait for clients with epoll: {}; raise the limit of open files (ulimit -n)",
                reason(error)
            ),
        }
    }
}

/// A server whose ports are bound and whose threads run; it accepts from [`Server::open`] on.
pub struct Server {
    handle: Handle,
    acceptors: Vec<JoinHandle<()>>,
    gate: Gate,
    /// Some socket was inherited, and stays open.
    inherited: bool,
}

/// The acceptors wait for it to be opened, which cannot fail.
struct Gate(Vec<Sender<Open>>);

/// The message that opens the gate.
struct Open;

impl Server {
    /// Binds every listener that is not inherited, and starts all threads. `policies` are in the
    /// order of the listeners.
    ///
    /// # Errors
    /// An address that cannot be bound, or threads that the system refuses.
    pub fn start(
        config: &Config,
        inherited: Inherited,
        sharing: Sharing,
        policies: &Policies,
    ) -> Result<Server, StartError> {
        let bound = listener::bind_all(&config.startup.listen, inherited, sharing);
        let bound = bound.map_err(StartError::Bind)?;
        let limit = fd_limit::max_connections(config.startup.max_connections, bound.len());
        let pool = start_pool(config.startup.workers)?;
        let context = Context::new(config.startup.timeout);
        let service = Service::new(context, limit, pool).map_err(StartError::Poller)?;
        let service = Arc::new(service);
        let poller = Arc::clone(&service);
        spawn("poller", move || poller.poll())?;
        let inherited = bound.iter().any(|listener| listener.inherited);
        let mut gate = Gate(Vec::new());
        let (mut acceptors, mut endpoints) = (Vec::new(), Vec::new());
        let bound: Vec<_> = bound.into_iter().map(Arc::new).collect();
        let listeners = bound.iter().map(Arc::downgrade).collect();
        for ((listener, listen), policy) in
            bound.into_iter().zip(&config.startup.listen).zip(policies)
        {
            let address = listener.socket.local_addr().unwrap_or(listen.address);
            let endpoint = Arc::new(Endpoint::new(address, listen.proxy, Arc::clone(policy)));
            endpoints.push(Arc::clone(&endpoint));
            let acceptor = Acceptor::new(listener, endpoint, Arc::clone(&service));
            let (opens, opened) = mpsc::channel();
            gate.0.push(opens);
            acceptors.push(spawn("acceptor", move || {
                // Without the message, the start has failed.
                if let Ok(Open) = opened.recv() {
                    acceptor.run();
                }
            })?);
        }
        Ok(Server {
            handle: Handle {
                service,
                endpoints: endpoints.into(),
                listeners,
            },
            acceptors,
            gate,
            inherited,
        })
    }

    /// The addresses that were really bound: with the port that the system chose where 0 was asked.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.handle.addresses().collect()
    }

    /// Begins to accept.
    pub fn open(self) -> OpenServer {
        for acceptor in &self.gate.0 {
            // It waits for nothing else.
            let _ = acceptor.send(Open);
        }
        OpenServer {
            handle: self.handle,
            acceptors: self.acceptors,
            inherited: self.inherited,
            attack_report: AttackReport::default(),
        }
    }
}

/// A server that accepts.
pub struct OpenServer {
    handle: Handle,
    acceptors: Vec<JoinHandle<()>>,
    /// Some socket was inherited, and stays open.
    inherited: bool,
    attack_report: AttackReport,
}

impl OpenServer {
    /// A handle for other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Logs evictions and left-out lines, if there are any. To be called about once a second.
    pub fn report_attacks(&mut self) {
        self.attack_report.look(&self.handle.service);
    }

    /// Stops: nothing more is accepted, and every connection is served, or its deadline passes.
    /// `stop_at_once` waits for the given time, and returns whether the stop has to end now.
    pub fn stop(self, stop_at_once: impl FnMut(Duration) -> bool) -> Ended {
        let service = &self.handle.service;
        let ended = stop::stop(service, &self.acceptors, self.inherited, stop_at_once);
        attack_report::say_left_out(service);
        ended
    }
}

/// A running server for other threads: its figures, and the change of its policies.
#[derive(Clone)]
pub struct Handle {
    service: Arc<Service>,
    endpoints: Arc<[Arc<Endpoint>]>,
    /// A stop closes them, also while there is a handle.
    listeners: Arc<[Weak<Listener>]>,
}

impl Handle {
    /// Serves these policies from now on, in the order of the listeners.
    pub fn set_policies(&self, policies: &Policies) {
        for (endpoint, policy) in self.endpoints.iter().zip(policies) {
            endpoint.set_policy(Arc::clone(policy));
        }
    }

    /// Duplicates of the listening sockets, for a server that takes over; not of inherited ones, which
    /// it inherits itself. With each comes a stream, which that server keeps as long as it uses the
    /// socket. None while this server is stopping.
    ///
    /// # Errors
    /// The system's, where it has no descriptors for all of them: then none is handed over.
    pub fn hand_over(&self) -> io::Result<Option<Vec<(TcpListener, UnixStream)>>> {
        let open = self.listeners.iter().filter_map(Weak::upgrade);
        let mut sockets = Vec::new();
        for listener in open.filter(|listener| !listener.inherited) {
            if let Some(stream) = listener.users.add()? {
                sockets.push((listener.socket.try_clone()?, stream));
            }
        }
        // At the end: a stop that has begun may have withheld some.
        Ok((!self.service.context.is_stopping()).then_some(sockets))
    }

    /// The figures at this moment. The log's is the caller's to know.
    pub fn snapshot(&self, log_lines_lost: u64) -> Snapshot<'_> {
        Snapshot {
            stats: &self.service.context.stats,
            gauges: self.service.gauges(),
            log_lines_lost,
            listeners: self
                .endpoints
                .iter()
                .map(|endpoint| (endpoint.address, &endpoint.stats))
                .collect(),
        }
    }

    /// Where it listens.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.endpoints.iter().map(|endpoint| endpoint.address)
    }
}

fn start_pool(workers: usize) -> Result<ThreadPool, StartError> {
    let start = || {
        threadpool::Builder::new()
            .num_threads(workers)
            .thread_name("worker".into())
            .thread_stack_size(STACK)
            .build()
    };
    // threadpool panics where the system refuses a thread.
    panic::catch_unwind(AssertUnwindSafe(start))
        .map_err(|_| StartError::Threads(format!("{workers} workers")))
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    thread::Builder::new()
        .name(name.into())
        .stack_size(STACK)
        .spawn(body)
        .map_err(|error: io::Error| {
            StartError::Threads(format!("the {name} thread: {}", reason(&error)))
        })
}
