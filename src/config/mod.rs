//! The configuration: `flashpolicy.conf`, and the options of the command line that override it,
//! become a [`Config`]. `keys.rs` has one entry for each key, `values.rs` parses values, `draft.rs`
//! puts the lines together, `load.rs` opens the configuration file, and `mistakes.rs` has the words
//! for what is wrong. `policies.rs` reads the policies that it names, `inspect.rs` finds what is wrong
//! with its listeners, `allow.rs` parses an `allow` line, `ignore.rs` accepts warnings. It binds no port
//! and logs nothing.

pub(crate) mod allow;
mod draft;
pub(crate) mod ignore;
pub(crate) mod inspect;
mod keys;
mod load;
mod mistakes;
pub(crate) mod policies;
mod values;

use std::path::Path;

pub use draft::{Override, parse};
pub use keys::{Config, DEFAULT_ALLOW, DEFAULT_LISTEN, KeyPositions, Live, Startup, is_key};
pub use load::{Configured, EMPTY, Loaded, SEARCH_PATH, looks_like_one};
pub use mistakes::{ConfigCode, known_codes};
pub use values::{Listen, LogConsole};

/// The smallest number of workers that `workers = auto` chooses: one worker that does not run must
/// not stop the service.
const FEWEST_WORKERS: usize = 2;
/// With more listeners than this, each gets one worker: a long list of addresses does not make
/// hundreds of threads.
const MANY_LISTENERS: usize = 8;

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
