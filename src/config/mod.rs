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
use std::path::Path;

use crate::diagnostic::Place;
use crate::policy::{DomainPattern, Grant, MASTER_PORT, PortSet};

pub use draft::{Override, parse};
pub use keys::{Live, Startup, is_key};
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
/// With more listeners than this, each gets one worker: a long list of addresses does not make
/// hundreds of threads.
const MANY_LISTENERS: usize = 8;

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

impl Startup {
    /// The workers of each listener: those that are configured, else as many as there are processors
    /// that this process may use, two at least, and one where there are more than eight listeners.
    pub fn workers_each(&self) -> usize {
        self.workers.unwrap_or_else(|| {
            if self.listen.len() > MANY_LISTENERS {
                return 1;
            }
            let processors = std::thread::available_parallelism().map_or(1, usize::from);
            processors.max(FEWEST_WORKERS)
        })
    }
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

#[cfg(test)]
mod tests;
