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
//! This module never touches a socket, a file, a terminal or the configuration:
//! bytes and values in, values and text out.

mod decide;
mod domain;
mod elements;
mod explain;
mod fault;
mod findings;
mod grants;
mod malformed;
mod model;
mod note;
mod origin;
mod parse;
mod player;
mod ports;
mod render;
mod source;
mod words;

#[cfg(test)]
mod cure_tests;
#[cfg(test)]
mod read_tests;
#[cfg(test)]
mod strategies;
#[cfg(test)]
mod verdict_tests;

pub use decide::{decide, decide_as, Decision, Denial, Offer, Refusal};
pub use domain::DomainPattern;
pub use explain::{explain, others_count, Reason, Verdict};
pub use fault::Fault;
pub use findings::{Code, Finding, Severity};
pub use model::{Grant, MetaPolicy, Policy};
pub use origin::{Host, Origin};
pub use parse::{read, Reading, MAX_POLICY_BYTES};
pub use player::{Player, Ranges, Rules, SECURITY_ERROR};
pub use ports::{PortSet, Sample, FIRST_UNPRIVILEGED_PORT, MASTER_PORT, MAX_ASKED};
pub use render::{for_every_player, render, render_grant, MAX_LISTED_BYTES};
pub use words::{grant_in_words, ports_in_words, words};
