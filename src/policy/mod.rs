//! A Flash socket policy: reading, checking, writing and deciding by it.
//!
//! A policy grants: it names the content ([`DomainPattern`]) that may connect
//! to some ports ([`PortSet`]) of the host that serves it. [`read`] turns a
//! file into a [`Policy`] and a list of [`Finding`]s, [`render()`] writes a
//! policy back as XML, [`decide()`] and [`explain()`] answer as Flash Player
//! would, [`words()`] says in English what a policy means.
//!
//! The rules are Flash Player's. "Rule book 3.1 \[PC\]" in these docs means
//! item 1 of section 3 of `policy-rules.md`, which rests on the source that
//! the rule book calls PC.
//!
//! This room never touches a socket, a file, a terminal or the configuration:
//! bytes and values in, values and text out.

mod decide;
mod domain;
mod elements;
mod explain;
mod findings;
mod malformed;
mod origin;
mod parse;
mod player;
mod ports;
mod render;
mod source;
mod words;

#[cfg(test)]
mod read_tests;
#[cfg(test)]
mod strategies;
#[cfg(test)]
mod verdict_tests;

use std::{error, fmt, str::FromStr};

use crate::text::{nearest, quote};

pub use decide::{decide, decide_as, Decision, Denial, Offer, Refusal};
pub use domain::DomainPattern;
pub use explain::{explain, others_count, Reason, Verdict};
pub use findings::{Code, Finding, Severity};
pub use origin::{Host, Origin};
pub use parse::{read, Reading, MAX_POLICY_BYTES};
pub use player::{Player, Ranges, Rules};
pub use ports::{PortSet, Sample, MAX_ASKED};
pub use render::{render, render_grant};
pub use words::{grant_in_words, words};

/// The port of the master policy: Flash Player asks there first, and only
/// there does a meta-policy count (rule book 1.10 \[SPF, DG\] and 2.6).
pub const MASTER_PORT: u16 = 843;

/// Policies from this port upwards grant nothing below it (rule book 4.1
/// \[DG, FL8\]).
pub const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

/// What a host allows: the meaning of one policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The `site-control` element. Without one, Flash Player applies
    /// [`MetaPolicy::All`] (rule book 2.4 \[SPECcn\]).
    pub meta: Option<MetaPolicy>,
    /// The `allow-access-from` elements, in the order of the file. One that
    /// matches is enough: there is no deny (rule book 4.2 \[FL8\]).
    pub grants: Vec<Grant>,
}

/// One `allow-access-from` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whose content may connect.
    pub domain: DomainPattern,
    /// The ports of this host that it may connect to.
    pub ports: PortSet,
    /// Whether only content loaded over HTTPS may use the grant. In a socket
    /// policy the default is `false` (rule book 2.11 \[SPECcn, LS\]).
    pub secure: bool,
}

/// Which policies of the host count besides the master (rule book 2.4 and 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaPolicy {
    /// Policies from other ports add their grants.
    All,
    /// Only the master's own grants count.
    MasterOnly,
    /// No grant counts, not even the master's (rule book 2.5 \[SPECcn, LS\]).
    None,
}

impl MetaPolicy {
    const NAMES: [(&'static str, MetaPolicy); 3] = [
        ("all", MetaPolicy::All),
        ("master-only", MetaPolicy::MasterOnly),
        ("none", MetaPolicy::None),
    ];
}

impl fmt::Display for MetaPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MetaPolicy::All => "all",
            MetaPolicy::MasterOnly => "master-only",
            MetaPolicy::None => "none",
        })
    }
}

impl FromStr for MetaPolicy {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let known = MetaPolicy::NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, meta)| *meta).ok_or_else(|| {
            let names = MetaPolicy::NAMES.map(|(name, _)| name);
            Fault::new(
                format!("{} is no meta-policy", quote(text)),
                match nearest(text, &names) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => "write `all`, `master-only` or `none`".into(),
                },
            )
        })
    }
}

/// Why a value could not be understood, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, with the value in question; printable on one line.
    pub cause: String,
    /// What to do about it.
    pub cure: String,
}

impl Fault {
    fn new(cause: impl Into<String>, cure: impl Into<String>) -> Self {
        Fault {
            cause: cause.into(),
            cure: cure.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause, self.cure)
    }
}

impl error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meta_policy_is_read_as_it_is_written() {
        for (name, meta) in MetaPolicy::NAMES {
            assert_eq!(name.parse(), Ok(meta));
            assert_eq!(meta.to_string(), name);
        }
    }

    #[test]
    fn a_mistyped_meta_policy_is_named_and_corrected() {
        let fault = "masteronly".parse::<MetaPolicy>().unwrap_err();
        assert_eq!(
            fault.to_string(),
            "`masteronly` is no meta-policy; did you mean `master-only`?"
        );
        let fault = "\u{1b}[2J".parse::<MetaPolicy>().unwrap_err();
        assert!(!fault.to_string().contains('\u{1b}'));
    }
}
