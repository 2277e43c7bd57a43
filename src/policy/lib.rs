//! A Flash socket policy: reading, checking, writing and deciding by it.
//!
//! A policy grants: it names the content ([`DomainPattern`]) that may connect
//! to some ports ([`PortSet`]) of the host that serves it. [`read`] turns a
//! file into a [`Policy`] and a list of [`Finding`]s, [`render()`] writes a
//! policy back as XML, [`decide()`] and [`explain()`] answer as Flash Player
//! would, [`words()`] says in English what a policy means.
//!
//! This crate never touches a socket, a file, a terminal or the configuration:
//! bytes and values in, values and text out.
//!
//! The rules are the players'; they follow, each with its number, which the code cites.
//!
#![doc = include_str!("rules.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

mod blocked;
pub mod code;
mod decide;
pub mod diagnostic;
mod domain;
mod elements;
mod explain;
mod findings;
mod grants;
mod lightspark;
mod malformed;
mod model;
mod origin;
mod parse;
mod parse_error;
mod player;
mod ports;
mod render;
mod source;
pub mod text;
mod words;

#[cfg(test)]
mod cure_tests;
#[cfg(test)]
mod read_tests;
#[cfg(test)]
mod strategies;
#[cfg(test)]
mod verdict_tests;

pub use blocked::BLOCKED_PORTS;
pub use decide::{Denial, Offer, Refusal, decide, grant_number};
pub use domain::{DomainPattern, is_network};
pub use explain::{Reason, Verdict, explain, others_count};
pub use findings::{Code, Finding, Severity};
pub use model::{Grant, MetaPolicy, Policy};
pub use origin::{Host, Origin};
pub use parse::{MAX_POLICY_BYTES, Reading, read, without_nuls};
pub use parse_error::ParseError;
pub use player::{Player, SECURITY_ERROR};
pub use ports::{FIRST_UNPRIVILEGED_PORT, MASTER_PORT, MAX_ASKED, PortSet, Sample};
pub use render::{MAX_LISTED_BYTES, Rendered, for_every_player, render, render_grant};
pub use words::{grant_in_words, ports_in_words, words};
