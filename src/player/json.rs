//! What `check`, `policy`, `explain` and `probe` show as JSON: one set of types, so that the same
//! thing has the same keys in all of them. Keys are added, never renamed or given another meaning;
//! `flashpolicyd help json` documents them. It finds out nothing.
//!
//! A finding is a [`Diagnostic`](crate::output::diagnostic::Diagnostic).

use serde::Serialize;

use crate::output::diagnostic::Place;
use crate::output::text::clip;
use crate::policy::{self, render_grant};

/// One grant of a policy.
#[derive(Debug, Clone, Serialize)]
pub struct JsonGrant {
    /// As in `allow`: `*`, a host, `*.host`, an address.
    pub domain: String,
    /// As in `allow`: `*`, or ports and ranges.
    pub ports: String,
    /// Whether it is for content loaded over HTTPS only.
    pub secure: bool,
    /// As an XML element, cut at 400 characters.
    pub xml: String,
    /// In words.
    pub text: String,
    /// The line of the configuration that it comes from.
    pub place: Option<Place>,
}

impl JsonGrant {
    /// The grant, which comes from that line.
    pub fn new(grant: &policy::Grant, place: Option<Place>) -> JsonGrant {
        JsonGrant {
            domain: grant.domain.to_string(),
            ports: clip(&grant.ports.to_string()),
            secure: grant.secure,
            xml: clip(&render_grant(grant)),
            text: clip(&policy::grant_in_words(grant)),
            place,
        }
    }
}

/// The grant that allows a connection.
#[derive(Debug, Clone, Serialize)]
pub struct JsonGrantSource {
    /// The part that its policy plays: `master`, `load` or `destination`.
    pub step: &'static str,
    /// The port that serves it.
    pub port: u16,
    /// The grant as XML.
    pub grant: String,
    /// The line of the configuration that it comes from, where that is known.
    pub place: Option<Place>,
}

/// Whether a connection to one port is allowed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct JsonVerdict {
    /// The destination port.
    pub port: u16,
    /// Whether policies allow it.
    pub allowed: bool,
    /// Whether it rests on an answer of which nobody knows how players take it.
    pub uncertain: bool,
    /// Whether the port takes connections; null: not tried.
    pub answers: Option<bool>,
    /// Why it does not: `refused`, `filtered`, `unreachable`.
    pub no_answer: Option<&'static str>,
    /// The error that the player reports.
    pub error: Option<&'static str>,
    /// The grant that allows it.
    pub by: Option<JsonGrantSource>,
    /// The verdict in words.
    pub text: String,
    /// Why it is denied.
    pub reasons: Vec<String>,
    /// The conditions under which it holds.
    pub conditions: Vec<String>,
}

/// One thing to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The change; printable, on one line.
    pub text: String,
    /// The line of `flashpolicy.conf` that does it, if one does.
    pub conf: Option<String>,
}

/// The value on one line, without a line end.
pub fn line<T: Serialize>(value: &T) -> String {
    // Only keys that are no strings could fail, and no type here has such.
    serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}
