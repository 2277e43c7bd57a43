//! Reads the configuration and its policies again: on request, and policy files also after a
//! change. When something has an error, the last good state stays in force and the log says why,
//! once. It serves nothing: `housekeeping` hands the new policies to the server.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::inspect;
use crate::config::policies::{self, ConfiguredPolicy, PolicyOrigin};
use crate::config::{Config, Configured, Loaded};
use crate::daemon::server::Policies;
use crate::daemon::status::{self, Reload, ServedPolicy};
use crate::output::diagnostic::{self, Diagnostic};

/// The most findings of one policy, or of the configuration, that are logged: a file can hold
/// thousands of them, and each reload or change would log them all.
const MOST_FINDINGS: usize = 20;

/// By how much a check may be early, so that one that is due with the caller's round is not left to
/// the round after it.
const EARLY: Duration = Duration::from_millis(50);

/// The configuration and the policies in force, and where they came from.
pub struct Reloader {
    configured: Configured,
    config: Config,
    serving: Policies,
    /// The policy files that are served, or that were complained about.
    settled: PolicyFiles,
    /// As the last check saw them: new ones may be half written.
    seen: PolicyFiles,
    /// The log's last line about the policy files says that they have errors.
    complained: bool,
    last_check: Instant,
    described: Vec<ServedPolicy>,
    last_reload: Option<Reload>,
    /// The last reload of the configuration, where it failed: until one takes effect, the file would
    /// fail a restart, too.
    failed: Option<Reload>,
}

/// The path of each policy file, and everything about the file that changes when its content does;
/// none: there is no such file.
type PolicyFiles = Vec<(PathBuf, Option<(u64, u64, u64, i64, i64, i64, i64)>)>;

/// How a reload ended: a sentence and the warnings, or the errors.
type Outcome = Result<(String, Vec<String>), Vec<String>>;

/// To be made before the files are read: a change after that is seen by the next check.
fn policy_files(config: &Config) -> PolicyFiles {
    let paths = config.policy_files().into_iter();
    let with_stamp = paths.map(|path| {
        let stamp = fs::metadata(path).ok().map(|file| {
            (
                file.dev(),
                file.ino(),
                file.size(),
                file.mtime(),
                file.mtime_nsec(),
                file.ctime(),
                file.ctime_nsec(),
            )
        });
        (path.to_owned(), stamp)
    });
    with_stamp.collect()
}

/// Reads and checks every policy of `config`.
///
/// # Errors
/// The policies, when one of them cannot be served.
fn read_policies(
    config: &Config,
) -> Result<(Vec<ConfiguredPolicy>, Policies), Vec<ConfiguredPolicy>> {
    let all = policies::read_all(config);
    let mut policies: Vec<Option<Arc<[u8]>>> = vec![None; config.startup.listen.len()];
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

/// Logs what was found in a configuration and in the policies that are served.
pub fn log_warnings(config: &Config, all: &[ConfiguredPolicy]) {
    for line in warnings_of(config, all) {
        log::warn!("{line}");
    }
}

fn warnings_of(config: &Config, all: &[ConfiguredPolicy]) -> Vec<String> {
    let (found, _) = config.live.ignore.sift(inspect::listeners(config));
    let found = found.iter().map(ToString::to_string);
    found.chain(findings_of(all)).collect()
}

/// The findings about served policies.
fn findings_of(all: &[ConfiguredPolicy]) -> Vec<String> {
    let warnings = all.iter().map(|served| {
        if served.origin == PolicyOrigin::BuiltIn && served.ignored == 0 {
            vec![
                "No policy is configured: the built-in one lets content from anywhere connect to \
                 every port of this host. Set 'allow' or 'policy_file' to change that."
                    .into(),
            ]
        } else {
            first(served.finding_lines(), &served.findings)
        }
    });
    warnings.flatten().collect()
}

impl Reloader {
    /// Reads the policies of a configuration for the first time.
    ///
    /// # Errors
    /// The policies, when one of them cannot be served.
    pub fn start(
        configured: &Configured,
        loaded: &Loaded,
    ) -> Result<(Reloader, Vec<ConfiguredPolicy>), Vec<ConfiguredPolicy>> {
        let config = &loaded.config;
        let settled = policy_files(config);
        let (all, serving) = read_policies(config)?;
        let reloader = Reloader {
            // The same file again and no other one: should it be gone, that is an error.
            configured: Configured {
                file: loaded.file.clone(),
                ..configured.clone()
            },
            config: config.clone(),
            serving,
            seen: settled.clone(),
            settled,
            complained: false,
            last_check: Instant::now(),
            described: status::describe(&all),
            last_reload: None,
            failed: None,
        };
        Ok((reloader, all))
    }

    /// The configuration that is in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The policies that are served now.
    pub fn serving(&self) -> &Policies {
        &self.serving
    }

    /// The same in words.
    pub fn described(&self) -> &[ServedPolicy] {
        &self.described
    }

    /// How the last reload ended; none: there was none.
    pub fn last_reload(&self) -> Option<&Reload> {
        self.last_reload.as_ref()
    }

    /// How often policy files are to be polled; none: never.
    pub fn watch(&self) -> Option<Duration> {
        let watch = self.config.live.policy_watch;
        (!watch.is_zero()).then_some(watch)
    }

    /// Reads the configuration and its policies anew, and takes them over when all of it is free of
    /// errors; else the last good state goes on. The log has the outcome. Gives the policies when
    /// they changed.
    pub fn reload(&mut self) -> Option<Policies> {
        log::info!("Reloading...");
        let before = self.serving.clone();
        let outcome = self.read_anew();
        let reload = logged(outcome);
        self.failed = (!reload.took_effect).then(|| reload.clone());
        self.last_reload = Some(reload);
        (self.serving != before).then(|| self.serving.clone())
    }

    fn read_anew(&mut self) -> Outcome {
        let Loaded { config: new, file } = self.configured.load().map_err(|mistakes| {
            let lines = mistakes.iter().map(ToString::to_string).collect();
            let mut lines = first(lines, &mistakes);
            lines.insert(
                0,
                "Reload failed; the last good configuration goes on:".into(),
            );
            lines
        })?;
        let name = file.map(|file| file.display().to_string());
        let restart = self.config.startup.changed_keys(&new.startup);
        let config = self.config.reloaded(new);
        let files = policy_files(&config);
        let (all, policies) = read_policies(&config).map_err(|bad| {
            let mut lines = vec!["Reload failed; the last good policies go on:".to_string()];
            lines.extend(findings(&bad));
            lines
        })?;
        if is_built_in(&config) && !is_built_in(&self.config) {
            return Err(vec![format!(
                "Reload failed; the last good policies go on: {} has no `allow` or `policy_file` \
                 line any more (truncated?). A reload does not fall back to the allow-all policy; a \
                 restart does.",
                name.as_deref().unwrap_or("the configuration")
            )]);
        }
        log::set_max_level(config.live.log_level);
        let changed = policies != self.serving;
        let mut warnings = Vec::new();
        if changed {
            warnings.extend(warnings_of(&config, &all));
        }
        if !restart.is_empty() {
            warnings.push(format!(
                "These changes take effect only with a restart: {}.",
                restart.join(", ")
            ));
        }
        self.config = config;
        self.seen.clone_from(&files);
        self.settled = files;
        self.complained = false;
        self.described = status::describe(&all);
        self.serving = policies;
        let outcome = format!(
            "Reloaded {}; the policies {}.",
            name.as_deref().unwrap_or("the defaults"),
            if changed { "changed" } else { "are the same" }
        );
        Ok((outcome, warnings))
    }

    /// Checks the policy files, when it is time. Gives the policies when a file changed and all
    /// of them are free of errors. A changed file counts once two checks in a row saw the same of
    /// it, and reading it did not overlap with a change: before that it may be half written.
    pub fn poll_files(&mut self) -> Option<Policies> {
        if self.last_check.elapsed() + EARLY < self.watch()? {
            return None;
        }
        self.last_check = Instant::now();
        let files = policy_files(&self.config);
        let seen = std::mem::replace(&mut self.seen, files.clone());
        let changed: Vec<_> = files.iter().filter(|f| !self.settled.contains(f)).collect();
        if changed.is_empty() || !changed.iter().all(|file| seen.contains(file)) {
            return None;
        }
        let read = read_policies(&self.config);
        if policy_files(&self.config) != files {
            return None;
        }
        let changed: Vec<_> = changed.iter().map(|f| f.0.display().to_string()).collect();
        self.settled = files;
        let before = self.complained;
        self.complained = read.is_err();
        let (outcome, policies) = match read {
            Err(bad) => {
                let mut lines =
                    vec!["A policy file changed and has errors; the last good one goes on:".into()];
                lines.extend(findings(&bad));
                (Err(lines), None)
            }
            Ok((_, policies)) if policies == self.serving => {
                if !before {
                    return None;
                }
                let outcome = "The policy files are free of errors again.";
                (Ok((outcome.into(), Vec::new())), None)
            }
            Ok((all, policies)) => {
                self.described = status::describe(&all);
                self.serving.clone_from(&policies);
                let outcome = format!("Changed: {}. The new policy is served.", changed.join(", "));
                (Ok((outcome, findings_of(&all))), Some(policies))
            }
        };
        let reload = logged(outcome);
        let failed = self.failed.clone().filter(|_| reload.took_effect);
        self.last_reload = Some(failed.unwrap_or(reload));
        policies
    }
}

/// Logs how a reload ended, for the status.
fn logged(outcome: Outcome) -> Reload {
    let took_effect = outcome.is_ok();
    let said = match outcome {
        Ok((outcome, mut said)) => {
            log::info!("{outcome}");
            for warning in &said {
                log::warn!("{warning}");
            }
            // First, since lines at the end may be left out.
            said.insert(0, outcome);
            said
        }
        Err(said) => {
            for line in &said {
                log::error!("{line}");
            }
            said
        }
    };
    Reload::now(took_effect, said)
}

/// Whether any listener serves the policy that lets everything in because nothing is configured.
fn is_built_in(config: &Config) -> bool {
    let mut listeners = 0..config.startup.listen.len();
    listeners.any(|listener| policies::origin_of(listener, config) == PolicyOrigin::BuiltIn)
}

/// The findings about policies, a limited number for each.
fn findings(all: &[ConfiguredPolicy]) -> Vec<String> {
    all.iter()
        .flat_map(|served| first(served.finding_lines(), &served.findings))
        .collect()
}

/// The first lines about these findings, and how many more there are.
fn first(mut lines: Vec<String>, findings: &[Diagnostic]) -> Vec<String> {
    if lines.len() > MOST_FINDINGS {
        lines.truncate(MOST_FINDINGS);
        let more = diagnostic::number(findings) - MOST_FINDINGS;
        lines.push(format!("and {more} more; see 'flashpolicyd check'"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_gives_its_outcome_to_the_caller() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.conf");
        let configure = |text: &str| fs::write(&file, text).unwrap();
        configure("allow = a.example 1");
        let configured = Configured {
            file: Some(file.clone()),
            overrides: Vec::new(),
            inherited: Vec::new(),
        };
        let loaded = configured.load().unwrap();
        let (mut reloader, _) = Reloader::start(&configured, &loaded).ok().unwrap();
        let name = file.display();

        assert_eq!(reloader.reload(), None);
        let outcome = format!("Reloaded {name}; the policies are the same.");
        assert_eq!(reloader.last_reload().unwrap().said, [outcome]);

        configure("allow = a.example 2\nworkers = 3");
        let changed = reloader.reload();
        assert_eq!(changed.as_ref(), Some(reloader.serving()));
        let restart = "These changes take effect only with a restart: workers.".to_string();
        let reload = reloader.last_reload().unwrap();
        assert!(reload.said.contains(&restart), "{reload:?}");

        configure("worker = 3");
        assert_eq!(reloader.reload(), None);
        assert_eq!(
            reloader.last_reload().unwrap().said,
            [
                "Reload failed; the last good configuration goes on:".to_string(),
                format!("{name}:1: unknown key 'worker'; did you mean 'workers'?"),
            ]
        );
        assert_eq!(changed.as_ref(), Some(reloader.serving()));
    }
}
