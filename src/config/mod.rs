//! The configuration: `flashpolicy.conf`, and the options of the command line that override it,
//! become a [`Config`]. `keys.rs` has one entry for each key, `values.rs` parses values, `draft.rs`
//! puts the lines together, `load.rs` opens the configuration file, and `mistakes.rs` has the words
//! for what is wrong. It opens no other file; it binds no port and logs nothing.

mod draft;
mod keys;
mod load;
mod mistakes;
mod values;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::LevelFilter;

use crate::diagnostic::Place;
use crate::ignore::Ignored;
use crate::policy::{DomainPattern, Grant, MASTER_PORT, MetaPolicy, PortSet};

pub use draft::{Override, parse};
pub use keys::is_key;
pub use load::{Configured, EMPTY, Loaded, SEARCH_PATH, looks_like_one};
pub use mistakes::{CODES, known_codes};

/// The default of `listen`: port 843 of all addresses of the host, IPv6 and IPv4. `0.0.0.0` takes
/// its place on a host without IPv6.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), MASTER_PORT);
/// The default of `allow`: content from anywhere, to every port. Adobe's sample servers and the
/// original server sent the same.
pub const DEFAULT_ALLOW: Grant = Grant {
    domain: DomainPattern::ANY,
    ports: PortSet::ALL,
    secure: false,
};
/// The smallest number of workers that `workers = auto` chooses: one worker that does not run must
/// not stop the service.
const FEWEST_WORKERS: usize = 2;

/// Whether log lines also go to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogConsole {
    /// When standard output is a terminal.
    Auto,
    /// Always.
    Yes,
    /// Never.
    No,
}

/// One address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address and port.
    pub address: SocketAddr,
    /// Whether a load balancer stands before it: every connection begins with a PROXY header.
    pub proxy: bool,
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        let proxy = false;
        Listen { address, proxy }
    }
}

impl Listen {
    /// The port on which players find its policy; none where the system will choose it, since
    /// nobody can rely on such a port. Behind a load balancer it is the balancer's port, which is
    /// taken to be 843.
    pub fn players_port(&self) -> Option<u16> {
        match self.address.port() {
            _ if self.proxy => Some(MASTER_PORT),
            0 => None,
            port => Some(port),
        }
    }
}

/// Everything that can be set, with the built-in defaults where nothing was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// The settings that take effect only with a restart.
    pub startup: Startup,
    /// The settings that take effect with a reload.
    pub live: Live,
    /// Where the lines stand.
    pub written: Written,
}

/// The settings that take effect only with a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Startup {
    /// The addresses to listen on; never empty once loaded.
    pub listen: Vec<Listen>,
    /// Threads that serve clients, 1 to 4,096. None of them ever waits for a client.
    pub workers: usize,
    /// How long a client has for its whole request, 0.1 to 3,600 s.
    pub timeout: Duration,
    /// The most connections that are open at once, accepted and not closed yet, 1 to 1,000,000.
    pub max_connections: usize,
    /// The shared log file; none: no file.
    pub log_file: Option<PathBuf>,
    /// The most bytes in the log file, 10,000 or more; none: no rotation.
    pub log_max_size: Option<u64>,
    /// How many rotated log files are kept, up to 100.
    pub log_keep: usize,
    /// Whether log lines also go to standard output.
    pub log_console: LogConsole,
    /// Where the process id is written once the ports are bound; none: nowhere.
    pub pid_file: Option<PathBuf>,
    /// The user to become once the ports are bound; none: no change.
    pub user: Option<String>,
    /// The group to become; none: the user's own.
    pub group: Option<String>,
    /// Where the statistics are written for Prometheus; none: nowhere.
    pub stats_file: Option<PathBuf>,
}

/// The settings that take effect with a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// The policy file of each listener that has one of its own, in the order of
    /// [`Startup::listen`]; as many as there are listeners.
    pub own_policy_files: Vec<Option<PathBuf>>,
    /// The policy file of all other listeners, served byte for byte; none: a policy made of `allow`
    /// and `meta_policy`.
    pub policy_file: Option<PathBuf>,
    /// The grants of the policy, when there is no policy file.
    pub allow: Vec<Grant>,
    /// The meta-policy beside `allow`; none: no `site-control` element.
    pub meta_policy: Option<MetaPolicy>,
    /// How often policy files are looked at, 0.1 to 3,600 s; zero: never.
    pub policy_watch: Duration,
    /// The least important level that is logged.
    pub log_level: LevelFilter,
    /// How often the statistics are logged; zero: only at the end.
    pub stats_interval: Duration,
    /// Warnings that are accepted.
    pub ignore: Ignored,
}

/// Where the value of each key stands, in the order of the lines; inherited sockets have no place.
/// It makes no difference between two configurations: they are equal when their values are.
#[derive(Clone, Debug, Default)]
pub struct Written(Vec<(&'static str, Place)>);

impl Written {
    /// Where the values of a key stand.
    pub fn places_of(&self, key: &str) -> impl Iterator<Item = &Place> {
        let of_key = self.0.iter().filter(move |(known, _)| *known == key);
        of_key.map(|(_, place)| place)
    }

    /// Where the first value of a key stands.
    pub fn place_of(&self, key: &str) -> Option<&Place> {
        self.places_of(key).next()
    }
}

impl PartialEq for Written {
    fn eq(&self, _: &Written) -> bool {
        true
    }
}

impl Default for Startup {
    fn default() -> Self {
        Startup {
            listen: vec![DEFAULT_LISTEN.into()],
            workers: default_workers(),
            // Flash Player itself waits this long for an answer on port 843. Source: rule book
            // section 1.9 (PC).
            timeout: Duration::from_secs(3),
            // 4,000 silent clients a second hold 12,000 connections, since each is closed after
            // 3 s. A connection that waits takes less than 1 KB.
            max_connections: 16_384,
            log_file: Some("flashpolicy.log".into()),
            // The lines of about 70,000 clients. With the rotated files, the log takes 60 MB at the
            // most.
            log_max_size: Some(10_000_000),
            log_keep: 5,
            log_console: LogConsole::Auto,
            pid_file: None,
            user: None,
            group: None,
            stats_file: None,
        }
    }
}

impl Default for Live {
    fn default() -> Self {
        Live {
            own_policy_files: vec![None],
            policy_file: None,
            allow: vec![DEFAULT_ALLOW],
            meta_policy: None,
            // A changed file is served a few seconds after it was saved.
            policy_watch: Duration::from_secs(2),
            // Every connection leaves two lines.
            log_level: LevelFilter::Info,
            // The original server logged its statistics as often.
            stats_interval: Duration::from_secs(30 * 60),
            ignore: Ignored::default(),
        }
    }
}

/// The number of processors that this process may use.
fn default_workers() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    processors.max(FEWEST_WORKERS)
}

impl Config {
    /// The policy file of a listener, by its index: its own, else that of all listeners.
    pub fn policy_file_of(&self, listener: usize) -> Option<&Path> {
        let own = self.live.own_policy_files.get(listener);
        let own = own.and_then(Option::as_deref);
        own.or(self.live.policy_file.as_deref())
    }

    /// Every policy file, each once.
    pub fn policy_files(&self) -> Vec<&Path> {
        let own = self.live.own_policy_files.iter().map(Option::as_deref);
        let common = [self.live.policy_file.as_deref()];
        let mut files: Vec<_> = own.chain(common).flatten().collect();
        files.sort();
        files.dedup();
        files
    }

    /// The configuration after a reload: the settings that need a restart stay, and so do the
    /// listeners. Each listener gets the policy file that `new` names for its address; one that
    /// `new` does not name keeps what it has.
    pub fn reloaded(&self, new: Config) -> Config {
        let now = self.startup.listen.iter().zip(&self.live.own_policy_files);
        let own_policy_files = now.map(|(bound, own)| {
            let mut named = new.startup.listen.iter().zip(&new.live.own_policy_files);
            let named = named.find(|(listen, _)| listen.address == bound.address);
            named.map_or(own, |(_, own)| own).clone()
        });
        Config {
            startup: self.startup.clone(),
            live: Live {
                own_policy_files: own_policy_files.collect(),
                ..new.live
            },
            written: new.written,
        }
    }
}

impl Startup {
    /// The keys whose values differ, in the order of `flashpolicy.conf`.
    pub fn changed_keys(&self, new: &Startup) -> Vec<&'static str> {
        // All fields by name: the compiler refuses one that is forgotten here.
        let Startup {
            listen,
            workers,
            timeout,
            max_connections,
            log_file,
            log_max_size,
            log_keep,
            log_console,
            pid_file,
            user,
            group,
            stats_file,
        } = self;
        let same = [
            ("listen", *listen == new.listen),
            ("workers", *workers == new.workers),
            ("timeout", *timeout == new.timeout),
            ("max_connections", *max_connections == new.max_connections),
            ("log_file", *log_file == new.log_file),
            ("log_max_size", *log_max_size == new.log_max_size),
            ("log_keep", *log_keep == new.log_keep),
            ("log_console", *log_console == new.log_console),
            ("pid_file", *pid_file == new.pid_file),
            ("user", *user == new.user),
            ("group", *group == new.group),
            ("stats_file", *stats_file == new.stats_file),
        ];
        let changed = same.into_iter().filter(|(_, same)| !same);
        changed.map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests;
