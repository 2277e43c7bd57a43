//! What a running server shows of itself, in one definition: the server fills it, and `status`
//! prints it. It counts nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use humantime::{format_duration, format_rfc3339_seconds};
use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::config::policies::ConfiguredPolicy;
use crate::daemon::processes;
use crate::daemon::stats::Snapshot;
use crate::output::text::{clip, count, printable};
use crate::policy;

/// No list of sentences in an answer is longer; the last one says how many are missing.
pub const MOST_LINES: usize = 20;

/// The sentences about all policies, where they are many; each has one at least.
const MOST_SENTENCES: usize = 400;

/// The running server at one moment. A field that another version does not know is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The process.
    pub pid: u32,
    /// The version of the program.
    pub version: String,
    /// The user that it runs as.
    pub user: String,
    /// When it began, RFC 3339, UTC.
    pub since: String,
    /// How long ago that is, in seconds.
    pub running_seconds: u64,
    /// Where it listens.
    pub listeners: Vec<ListenerStatus>,
    /// Its configuration file; none: the built-in defaults.
    pub configuration: Option<String>,
    /// Its log file; none: no file.
    pub log: Option<String>,
    /// Why the log cannot be written now; none: it can.
    pub log_failure: Option<String>,
    /// The policies that it serves.
    pub policies: Vec<ServedPolicy>,
    /// The figures since the start and of this moment, by the names of the statistics.
    pub figures: BTreeMap<String, u64>,
    /// The same as the log's line of statistics.
    pub figures_in_words: String,
    /// The last reload; none: there was none.
    pub last_reload: Option<Reload>,
}

/// A place where the server listens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListenerStatus {
    /// Address and port.
    pub address: String,
    /// Whether a load balancer names the clients there.
    pub proxy: bool,
}

/// A policy that is served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServedPolicy {
    /// Where it comes from, such as the path of a policy file.
    pub source: String,
    /// The listeners, as indices of [`Status::listeners`].
    pub listeners: Vec<usize>,
    /// The meaning.
    pub words: Vec<String>,
}

/// How a reload ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reload {
    /// When, RFC 3339, UTC.
    pub at: String,
    /// Whether the configuration as it was then is in force.
    pub took_effect: bool,
    /// The log's lines about it, at most [`MOST_LINES`] and one line more.
    pub said: Vec<String>,
    /// The same as `at`, for the statistics.
    #[serde(skip)]
    pub ended: Option<SystemTime>,
}

impl Reload {
    /// A reload that ends now.
    pub fn now(took_effect: bool, said: Vec<String>) -> Reload {
        let now = SystemTime::now();
        Reload {
            at: stamp(now),
            ended: Some(now),
            took_effect,
            said: first_lines(said),
        }
    }
}

/// The server since its beginning.
#[derive(Clone, Debug)]
pub struct Running {
    begun: Instant,
    started: SystemTime,
    static_part: Status,
}

impl Running {
    /// A server that begins now. `bound` are the addresses of its listeners, in the order of the
    /// configuration; `file` is the configuration's.
    pub fn begin(config: &Config, bound: &[SocketAddr], file: Option<&Path>) -> Running {
        let listeners = bound
            .iter()
            .zip(&config.startup.listen)
            .map(|(address, listen)| ListenerStatus {
                address: address.to_string(),
                proxy: listen.proxy,
            });
        let started = SystemTime::now();
        Running {
            begun: Instant::now(),
            started,
            static_part: Status {
                pid: std::process::id(),
                version: env!("CARGO_PKG_VERSION").into(),
                user: processes::user_name(Uid::effective().as_raw()),
                since: stamp(started),
                listeners: listeners.collect(),
                configuration: file.map(absolute),
                log: config.startup.log_file.as_deref().map(absolute),
                ..Status::default()
            },
        }
    }

    /// When it began.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    /// The part of the status that never changes, without figures, for the starting process.
    pub fn without_figures(&self) -> Status {
        self.static_part.clone()
    }

    /// The server as it is now.
    pub fn status(
        &self,
        policies: &[ServedPolicy],
        snapshot: &Snapshot<'_>,
        last_reload: Option<&Reload>,
        log_failure: Option<String>,
    ) -> Status {
        Status {
            log_failure,
            running_seconds: self.begun.elapsed().as_secs(),
            policies: policies.to_vec(),
            figures: snapshot.figures(),
            figures_in_words: snapshot.to_string(),
            last_reload: last_reload.cloned(),
            ..self.without_figures()
        }
    }
}

/// The policies in words, as [`Status::policies`] has them: an answer's length has a limit, and a
/// sentence can be as long as a policy.
pub fn describe(all: &[ConfiguredPolicy]) -> Vec<ServedPolicy> {
    let most = (MOST_SENTENCES / all.len().max(1)).clamp(1, MOST_LINES);
    let words = |policy| {
        policy::words(policy)
            .iter()
            .map(|words| clip(words))
            .collect()
    };
    all.iter()
        .map(|served| ServedPolicy {
            source: served.origin.name(),
            listeners: served.listeners.clone(),
            words: at_most(most, served.policy().map(words).unwrap_or_default()),
        })
        .collect()
}

/// A line may stand for many findings, so the lines are counted as lines.
fn first_lines(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(MOST_LINES);
    if more > 0 {
        lines.truncate(MOST_LINES);
        lines.push(format!(
            "and {}; the log has them",
            count(more, "more line")
        ));
    }
    lines
}

fn at_most(most: usize, mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(most);
    if more > 0 {
        lines.truncate(most);
        lines.push(format!("and {more} more"));
    }
    lines
}

/// An absolute path, since the asking process may be in another folder.
fn absolute(path: &Path) -> String {
    let absolute = std::path::absolute(path);
    absolute.as_deref().unwrap_or(path).display().to_string()
}

/// RFC 3339, UTC.
fn stamp(time: SystemTime) -> String {
    format_rfc3339_seconds(time.max(SystemTime::UNIX_EPOCH)).to_string()
}

impl Status {
    /// Where it listens, for a sentence.
    pub fn addresses(&self) -> String {
        let all: Vec<_> = self
            .listeners
            .iter()
            .map(|l| printable(&l.address))
            .collect();
        all.join(", ")
    }

    /// The files that it uses, for a sentence.
    pub fn files(&self) -> String {
        let (configuration, log) = self.names();
        format!("configuration {configuration}; log {log}")
    }

    fn names(&self) -> (String, String) {
        let name = |file: &Option<String>, none: &str| {
            file.as_deref().map_or_else(|| none.to_string(), printable)
        };
        (
            name(&self.configuration, "built-in defaults"),
            name(&self.log, "none"),
        )
    }
}

/// For a person: a line for each thing. The answer may come from another program: nothing of it
/// moves a terminal's cursor.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, text: String| writeln!(f, "  {name:<14} {text}");
        row(
            "process",
            format!(
                "{}, user {}, version {}",
                self.pid,
                printable(&self.user),
                printable(&self.version)
            ),
        )?;
        let time = format_duration(Duration::from_secs(self.running_seconds));
        row(
            "running since",
            format!("{}, {time}", printable(&self.since)),
        )?;
        for listener in &self.listeners {
            let proxy = if listener.proxy { " proxy" } else { "" };
            row(
                "listening on",
                format!("{}{proxy}", printable(&listener.address)),
            )?;
        }
        for policy in &self.policies {
            let whose = match self.policies.len() {
                1 => String::new(),
                _ => format!("on {}: ", self.listeners_of(policy)),
            };
            for words in &policy.words {
                row("serving", format!("{whose}{}", printable(words)))?;
            }
            row("by", format!("{whose}{}", printable(&policy.source)))?;
        }
        let (configuration, log) = self.names();
        row("configuration", configuration)?;
        let failure = self.log_failure.as_deref().map(printable);
        let failure = failure.map(|why| format!(": cannot be written: {why}"));
        row("log", log + &failure.unwrap_or_default())?;
        if let Some(reload) = &self.last_reload {
            let outcome = match reload.took_effect {
                true => "took effect",
                false => "failed: what was served before is still served",
            };
            row(
                "last reload",
                format!("{}, {outcome}", printable(&reload.at)),
            )?;
            for line in &reload.said {
                row("", printable(line))?;
            }
        }
        for figures in self.figures_in_words.split("; ") {
            row("figures", printable(figures))?;
        }
        Ok(())
    }
}

impl Status {
    fn listeners_of(&self, policy: &ServedPolicy) -> String {
        let named = policy.listeners.iter().filter_map(|&index| {
            let listener = self.listeners.get(index)?;
            Some(printable(&listener.address))
        });
        named.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_program_says_moves_no_cursor() {
        let status = Status {
            user: "\u{1b}[2Jroot\n".into(),
            ..Status::default()
        };
        let text = status.to_string();
        assert!(!text.contains('\u{1b}'));
        assert!(text.contains("\\u{1b}[2Jroot\\n"), "{text}");
    }

    #[test]
    fn an_answer_of_another_version_is_understood() {
        let status: Status = serde_json::from_str(r#"{"pid": 7, "mood": "fine"}"#).unwrap();
        assert_eq!(status.pid, 7);
    }

    #[test]
    fn a_long_list_ends_with_the_number_of_those_left_out() {
        let reload = Reload::now(false, (0..25).map(|n| n.to_string()).collect());
        assert_eq!(reload.said.len(), MOST_LINES + 1);
        assert_eq!(
            reload.said[MOST_LINES],
            "and 5 more lines; the log has them"
        );
    }

    #[test]
    fn times_are_utc() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_361_852);
        assert_eq!(stamp(time), "2026-11-22T15:37:32Z");
    }
}
