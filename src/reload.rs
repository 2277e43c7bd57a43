//! Reload without a gap: the configuration and its policies are read again on request, the policy
//! files also when they change. Only what is free of errors comes out; otherwise the last good
//! state goes on, and the log says why, once. It serves nothing: the supervisor puts new policies
//! in place.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{self, Config, Configured, Loaded};
use crate::served::{self, Served, Source};
use crate::server::Policies;

/// Knows the configuration that is in force and where it came from.
pub struct Reloader {
    configured: Configured,
    config: Config,
    serving: Policies,
    watched: Vec<Watched>,
    /// The log's last word on the policy files is that they have errors.
    complained: bool,
    last_look: Instant,
}

/// A policy file, and what of it has been dealt with.
struct Watched {
    path: PathBuf,
    /// The state that is served, or that was complained about.
    settled: State,
    /// A state with errors, seen once: the file may be half written.
    doubtful: Option<State>,
}

/// Everything about a file that changes when its content does; none: there is no such file.
type State = Option<(u64, u64, u64, i64, i64, i64, i64)>;

impl Watched {
    fn new(path: &Path) -> Watched {
        Watched {
            path: path.to_owned(),
            settled: state_of(path),
            doubtful: None,
        }
    }
}

fn state_of(path: &Path) -> State {
    let file = fs::metadata(path).ok()?;
    Some((
        file.dev(),
        file.ino(),
        file.size(),
        file.mtime(),
        file.mtime_nsec(),
        file.ctime(),
        file.ctime_nsec(),
    ))
}

/// Reads and checks every policy of `config`.
///
/// # Errors
/// The policies, when one of them cannot be served.
fn policies(config: &Config) -> Result<(Vec<Served>, Policies), Vec<Served>> {
    let all = served::read_all(config);
    let mut policies: Vec<Option<Arc<[u8]>>> = vec![None; config.listen.len()];
    for served in &all {
        let wire = served.on_the_wire();
        for &listener in &served.listeners {
            if let Some(place) = policies.get_mut(listener) {
                *place = wire.clone();
            }
        }
    }
    match policies.into_iter().collect::<Option<Policies>>() {
        Some(policies) => Ok((all, policies)),
        None => Err(all),
    }
}

/// Logs what was found in policies that are served.
pub fn log_warnings(all: &[Served]) {
    for served in all {
        if served.source == Source::BuiltIn {
            log::warn!(
                "No policy is configured: the built-in one lets content from anywhere connect to \
                 every port of this host. Set 'allow' or 'policy_file' to change that."
            );
        } else {
            for line in served.lines() {
                log::warn!("{line}");
            }
        }
    }
}

impl Reloader {
    /// Reads the policies of a configuration for the first time.
    ///
    /// # Errors
    /// The policies, when one of them cannot be served.
    pub fn start(
        configured: &Configured,
        loaded: &Loaded,
    ) -> Result<(Reloader, Vec<Served>), Vec<Served>> {
        let config = &loaded.config;
        let watched = watch_list(config);
        let (all, serving) = policies(config)?;
        let reloader = Reloader {
            // The same file again and no other one: should it be gone, that is an error.
            configured: Configured {
                file: loaded.file.clone(),
                ..configured.clone()
            },
            config: config.clone(),
            serving,
            watched,
            complained: false,
            last_look: Instant::now(),
        };
        Ok((reloader, all))
    }

    /// The configuration that is in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What is served now.
    pub fn serving(&self) -> &Policies {
        &self.serving
    }

    /// The listeners that are bound, each with its policy as the new configuration says; one that
    /// the new configuration does not name keeps what it has.
    fn listeners(&self, new: &Config) -> Vec<config::Listen> {
        let bound = self.config.listen.iter();
        bound
            .map(|bound| {
                let named = new.listen.iter().find(|l| l.address == bound.address);
                config::Listen {
                    proxy: bound.proxy,
                    ..named.unwrap_or(bound).clone()
                }
            })
            .collect()
    }

    fn settle(&mut self, states: &[State]) {
        for (watched, state) in self.watched.iter_mut().zip(states) {
            watched.settled = *state;
            watched.doubtful = None;
        }
    }
}

impl Reloader {
    /// How long until the next [`Reloader::look`].
    pub fn pause(&self) -> Duration {
        match self.config.policy_watch {
            Duration::ZERO => Duration::MAX,
            watch => watch.saturating_sub(self.last_look.elapsed()),
        }
    }

    /// Reads the configuration and its policies anew. Comes back with the policies when all of it
    /// is free of errors.
    pub fn reload(&mut self) -> Option<Policies> {
        log::info!("Reloading...");
        let Loaded { mut config, file } = match self.configured.load() {
            Ok(loaded) => loaded,
            Err(mistakes) => {
                log::error!("Reload failed; the last good configuration goes on:");
                for mistake in mistakes {
                    log::error!("{mistake}");
                }
                return None;
            }
        };
        let restart = self.config.needs_restart(&config);
        // The ports stay bound; what can change is what they serve.
        config.listen = self.listeners(&config);
        let watched = watch_list(&config);
        let (all, policies) = match policies(&config) {
            Ok(good) => good,
            Err(bad) => {
                log::error!("Reload failed; the last good policies go on:");
                log_all(&bad);
                return None;
            }
        };
        if is_built_in(&config) && !is_built_in(&self.config) {
            log::error!(
                "Reload failed; the last good policies go on: {} does not say any more whose \
                 content may connect, as if it was half written. Only a restart takes that over.",
                file.map_or("the configuration".into(), |file| file
                    .display()
                    .to_string())
            );
            return None;
        }
        log::set_max_level(config.log_level);
        let changed = policies != self.serving;
        if changed {
            log_warnings(&all);
        }
        if !restart.is_empty() {
            log::warn!(
                "These changes take effect only with a restart: {}.",
                restart.join(", ")
            );
        }
        log::info!(
            "Reloaded {}; the policies {}.",
            file.map_or("the defaults".into(), |file| file.display().to_string()),
            if changed { "changed" } else { "are the same" }
        );
        self.config = Config {
            policy_watch: config.policy_watch,
            stats_interval: config.stats_interval,
            policy_file: config.policy_file,
            allow: config.allow,
            meta_policy: config.meta_policy,
            log_level: config.log_level,
            listen: config.listen,
            ..self.config.clone()
        };
        self.watched = watched;
        self.complained = false;
        self.serving.clone_from(&policies);
        Some(policies)
    }

    /// Looks at the policy files, when it is time. Comes back with the policies when a file changed
    /// and all of them are free of errors.
    pub fn look(&mut self) -> Option<Policies> {
        let watch = self.config.policy_watch;
        if watch.is_zero() || self.last_look.elapsed() < watch {
            return None;
        }
        self.last_look = Instant::now();
        let states: Vec<State> = self.watched.iter().map(|w| state_of(&w.path)).collect();
        let both = self.watched.iter().zip(&states);
        let changed: Vec<_> = both
            .filter(|(watched, state)| watched.settled != **state)
            .map(|(watched, _)| watched.path.display().to_string())
            .collect();
        if changed.is_empty() {
            for watched in &mut self.watched {
                watched.doubtful = None;
            }
            return None;
        }
        match policies(&self.config) {
            Ok((all, policies)) => {
                self.settle(&states);
                let complained = std::mem::take(&mut self.complained);
                if policies == self.serving {
                    if complained {
                        log::info!("The policy files are free of errors again.");
                    }
                    return None;
                }
                log::info!("Changed: {}. The new policy is served.", changed.join(", "));
                log_warnings(&all);
                self.serving.clone_from(&policies);
                Some(policies)
            }
            Err(bad) => {
                let doubtful = self.watched.iter().zip(&states);
                let again = doubtful
                    .filter(|(watched, state)| watched.settled != **state)
                    .all(|(watched, state)| watched.doubtful.as_ref() == Some(state));
                if again {
                    self.settle(&states);
                    self.complained = true;
                    log::error!("A policy file changed and has errors; the last good one goes on:");
                    log_all(&bad);
                } else {
                    for (watched, state) in self.watched.iter_mut().zip(states) {
                        watched.doubtful = Some(state);
                    }
                }
                None
            }
        }
    }
}

/// Whether any listener serves the policy that lets everything in because nothing is configured.
fn is_built_in(config: &Config) -> bool {
    let sources = config.listen.iter().map(|l| served::source_of(l, config));
    sources.into_iter().any(|source| source == Source::BuiltIn)
}

fn log_all(all: &[Served]) {
    for line in all.iter().flat_map(Served::lines) {
        log::error!("{line}");
    }
}

/// To be made before the files are read: a change after that is seen by the next look.
fn watch_list(config: &Config) -> Vec<Watched> {
    config
        .policy_files()
        .into_iter()
        .map(Watched::new)
        .collect()
}
