//! The policies of a configuration: which listener serves which, read, checked and ready for the
//! wire. `serve`, `check`, `policy`, `explain` and the reload all see them through this room. It
//! opens policy files; it serves nothing and decides nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{reason, Config, Listen, DEFAULT_ALLOW};
use crate::diagnostic::{Diagnostic, Place};
use crate::files;
use crate::policy::{self, Policy, Reading, MAX_POLICY_BYTES};

/// One policy and where it is served.
pub struct Served {
    /// Where it comes from.
    pub source: Source,
    /// The listeners that serve it, as indices of [`Config::listen`].
    pub listeners: Vec<usize>,
    /// What was read; none where the file could not be read.
    content: Result<Content, String>,
}

/// Where a policy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A policy file.
    File(PathBuf),
    /// The `allow` and `meta_policy` lines of the configuration.
    Allow,
    /// Nothing was configured.
    BuiltIn,
}

struct Content {
    /// As it stands in the file.
    bytes: Vec<u8>,
    reading: Reading,
}

impl Source {
    /// What messages call it; for a file, its path.
    pub fn name(&self) -> String {
        match self {
            Source::File(path) => path.display().to_string(),
            Source::Allow => "'allow' lines".into(),
            Source::BuiltIn => "built-in policy".into(),
        }
    }

    /// The name as a sentence has it.
    pub fn in_words(&self) -> String {
        match self {
            Source::File(_) => self.name(),
            Source::Allow | Source::BuiltIn => format!("the {}", self.name()),
        }
    }
}

impl Served {
    /// The policy, when it is fit to be served.
    pub fn policy(&self) -> Option<&Policy> {
        self.content.as_ref().ok()?.reading.policy.as_ref()
    }

    /// What clients get, NUL included: byte for byte what the file holds, and a NUL where it does
    /// not end in one. Source: rule book section 1.2 (DG).
    pub fn on_the_wire(&self) -> Option<Arc<[u8]>> {
        self.policy()?;
        let mut bytes = self.content.as_ref().ok()?.bytes.clone();
        if bytes.last() != Some(&0) {
            bytes.push(0);
        }
        Some(bytes.into())
    }

    /// Everything found, in the order of the text.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let name = self.source.name();
        match &self.content {
            Ok(content) => content.reading.diagnostics(&name),
            Err(error) => vec![Diagnostic::error(Place::whole(name), error, "")],
        }
    }

    /// Everything found, a line each, for the log.
    pub fn lines(&self) -> Vec<String> {
        let findings = self.diagnostics();
        findings.iter().map(Diagnostic::one_line).collect()
    }
}

/// Reads every policy of the configuration, each once, in the order of the listeners.
pub fn read_all(config: &Config) -> Vec<Served> {
    let mut sources: Vec<(Source, Vec<usize>)> = Vec::new();
    for (index, listen) in config.listen.iter().enumerate() {
        let source = source_of(listen, config);
        match sources.iter_mut().find(|(known, _)| *known == source) {
            Some((_, listeners)) => listeners.push(index),
            None => sources.push((source, vec![index])),
        }
    }
    sources
        .into_iter()
        .map(|(source, listeners)| {
            let ports: Vec<u16> = listeners
                .iter()
                .filter_map(|&index| config.listen[index].players_port())
                .collect();
            let bytes = match &source {
                Source::File(path) => read_file(path),
                Source::Allow | Source::BuiltIn => Ok(policy::render(&Policy {
                    meta: config.meta_policy,
                    grants: config.allow.clone(),
                })
                .into_bytes()),
            };
            let content = bytes.map(|bytes| Content {
                reading: policy::read(&bytes, &ports),
                bytes,
            });
            Served {
                source,
                listeners,
                content,
            }
        })
        .collect()
}

/// Where a listener's policy comes from: its own file, else what the configuration says for all.
pub fn source_of(listen: &Listen, config: &Config) -> Source {
    match listen.policy_file.as_ref().or(config.policy_file.as_ref()) {
        Some(path) => Source::File(path.clone()),
        None if config.allow == [DEFAULT_ALLOW] && config.meta_policy.is_none() => Source::BuiltIn,
        None => Source::Allow,
    }
}

/// Reads a policy file, and no more of it than it takes to see that it is too large.
///
/// # Errors
/// A sentence for why it cannot be read.
pub fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    files::read(path, MAX_POLICY_BYTES as u64).map_err(|error| {
        format!(
            "cannot read the policy: {}; check the path and the right to read it",
            reason(&error)
        )
    })
}
