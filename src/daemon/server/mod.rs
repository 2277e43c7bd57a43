//! The server: it binds its ports, serves, and stops. The supervisor decides when it stops, and
//! `housekeeping` gives it new policies.

mod acceptor;
mod attack_report;
mod client_lines;
mod connection;
mod context;
mod endpoint;
mod fd_limit;
mod listener;
mod poller;
pub mod proxy;
mod rate_limit;
pub mod request;
mod socket_activation;
mod source;
mod stop;
mod table;
mod tally;
mod workers;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::config::Config;
use crate::daemon::stats::Snapshot;
use crate::output::text::reason;
use acceptor::Acceptor;
pub use attack_report::AttackReport;
use context::Context;
use endpoint::Endpoint;
use fd_limit::TooFewDescriptors;
pub use listener::{BindError, try_to_bind};
use poller::Poller;
pub use socket_activation::{Inherited, NOT_BY_INETD, is_one_connection};
pub use stop::Ended;
use workers::{STACK, Workers};

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
    /// The limit of open files leaves no room for clients.
    Descriptors(TooFewDescriptors),
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
            StartError::Descriptors(error) => error.fmt(f),
        }
    }
}

/// A server whose threads run and whose ports are bound; clients can connect from
/// [`Server::open`] on.
pub struct Server {
    handle: Handle,
    acceptors: Vec<Arc<Acceptor>>,
    workers: Workers,
    /// The workers of each listener.
    workers_each: usize,
}

/// Whether this process's limit of open files has room for this configuration's clients.
///
/// # Errors
/// Where it has not, which a start would find.
pub fn check_descriptors(config: &Config) -> Result<(), StartError> {
    fd_limit(config).map(drop)
}

fn fd_limit(config: &Config) -> Result<usize, StartError> {
    let startup = &config.startup;
    let (listeners, each) = (startup.listen.len(), startup.workers_each());
    let limit = fd_limit::max_connections(startup.max_connections, listeners, each * listeners);
    limit.map_err(StartError::Descriptors)
}

impl Server {
    /// Starts all threads, and binds every listener that is not inherited. `policies` are in the
    /// order of the listeners.
    ///
    /// # Errors
    /// Threads that the system refuses, a limit of open files that is too low, or an address that
    /// cannot be bound.
    pub fn start(
        config: &Config,
        inherited: Inherited,
        policies: &Policies,
    ) -> Result<Server, StartError> {
        let startup = &config.startup;
        let workers_each = startup.workers_each();
        let count = workers_each * startup.listen.len();
        let limit = fd_limit(config)?;
        let refused = || StartError::Threads(format!("{count} workers"));
        let workers = Workers::start(count).ok_or_else(refused)?;
        let context = Arc::new(Context::new(startup.timeout));
        let poller = Poller::new(Arc::clone(&context), limit).map_err(StartError::Poller)?;
        let poller = Arc::new(poller);
        let polling = Arc::clone(&poller);
        spawn("poller", move || polling.run())?;
        let bound = listener::bind_all(&startup.listen, inherited).map_err(StartError::Bind)?;
        let (mut acceptors, mut endpoints) = (Vec::new(), Vec::new());
        for ((listener, listen), policy) in bound.into_iter().zip(&startup.listen).zip(policies) {
            let address = listener.socket.local_addr().unwrap_or(listen.address);
            let (policy, context) = (Arc::clone(policy), Arc::clone(&context));
            let endpoint = Arc::new(Endpoint::new(address, listen.proxy, policy, context));
            endpoints.push(Arc::clone(&endpoint));
            let acceptor = Acceptor::new(listener, endpoint, Arc::clone(&poller));
            acceptors.push(Arc::new(acceptor));
        }
        Ok(Server {
            handle: Handle {
                context,
                poller,
                endpoints: endpoints.into(),
            },
            acceptors,
            workers,
            workers_each,
        })
    }

    /// The addresses that were really bound: with the port that the system chose where 0 was asked.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.handle.addresses().collect()
    }

    /// A handle for other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Opens the ports, and begins to accept.
    ///
    /// # Errors
    /// An address on which another program began to listen meanwhile.
    pub fn open(self) -> Result<OpenServer, StartError> {
        for acceptor in &self.acceptors {
            acceptor.listener.open().map_err(|cause| {
                StartError::Bind(BindError {
                    address: acceptor.endpoint.address,
                    cause,
                    inherited: None,
                })
            })?;
        }
        for acceptor in &self.acceptors {
            for _ in 0..self.workers_each {
                let acceptor = Arc::clone(acceptor);
                self.workers.run(move || acceptor.run());
            }
        }
        Ok(OpenServer {
            handle: self.handle,
            acceptors: self.acceptors,
            workers: self.workers,
        })
    }
}

/// A server that accepts.
pub struct OpenServer {
    handle: Handle,
    acceptors: Vec<Arc<Acceptor>>,
    workers: Workers,
}

impl OpenServer {
    /// A handle for other threads.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Stops: nothing more is accepted, the ports are closed, of which `ports_closed` is told, and
    /// every connection is served, or its deadline passes. `ends_now` waits for the given time, and
    /// returns whether the stop has to end at once.
    pub fn stop(
        self,
        ports_closed: impl FnOnce(),
        ends_now: impl FnMut(Duration) -> bool,
    ) -> Ended {
        let Handle {
            context, poller, ..
        } = &self.handle;
        let ended = stop::stop(
            self.acceptors,
            &self.workers,
            poller,
            context,
            ports_closed,
            ends_now,
        );
        attack_report::log_left_out(context);
        ended
    }
}

/// A running server for other threads: its figures, and the change of its policies.
#[derive(Clone)]
pub struct Handle {
    context: Arc<Context>,
    poller: Arc<Poller>,
    endpoints: Arc<[Arc<Endpoint>]>,
}

impl Handle {
    /// Serves these policies from now on, in the order of the listeners.
    pub fn set_policies(&self, policies: &Policies) {
        for (endpoint, policy) in self.endpoints.iter().zip(policies) {
            endpoint.set_policy(Arc::clone(policy));
        }
    }

    /// Logs evictions and left-out lines, if it is time for that. To be called about once a second.
    pub fn report_attacks(&self, report: &mut AttackReport) {
        report.report_if_due(&self.poller, &self.context);
    }

    /// The figures at this moment. The log's is the caller's to know.
    pub fn snapshot(&self, log_lines_lost: u64) -> Snapshot<'_> {
        Snapshot {
            stats: &self.context.stats,
            gauges: self.poller.gauges(),
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

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
    thread::Builder::new()
        .name(name.into())
        .stack_size(STACK)
        .spawn(body)
        .map(drop)
        .map_err(|error: io::Error| {
            StartError::Threads(format!("the {name} thread: {}", reason(&error)))
        })
}
