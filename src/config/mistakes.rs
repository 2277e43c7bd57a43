//! The codes for what is wrong with a configuration as a whole, and the cure for an unknown key: the
//! key that was probably meant. It finds no mistakes.

use std::net::SocketAddr;

use crate::output::diagnostic::Severity;
use crate::output::text::{did_you_mean, quote, shown};
use crate::policy::Code;

/// The findings about a configuration as a whole: the stable name, the severity, and one
/// line on what it means, in Markdown.
pub const CODES: [(&str, Severity, &str); 8] = [
    (
        "log-file",
        Severity::Error,
        "The log file cannot be opened.",
    ),
    (
        "pid-file",
        Severity::Error,
        "The pid file cannot be written.",
    ),
    (
        "user",
        Severity::Error,
        "The user or the group does not exist, or cannot be taken on.",
    ),
    (
        "loopback-only",
        Severity::Warning,
        "Every listener is on a loopback address: only this host can reach it.",
    ),
    (
        "meta-policy-unused",
        Severity::Warning,
        "`meta_policy` is set, and no listener is on port 843, where alone it counts.",
    ),
    (
        "stats-file",
        Severity::Warning,
        "The file for the statistics cannot be written.",
    ),
    (
        "shared-user",
        Severity::Warning,
        "`user` is one that other services have, too.",
    ),
    (
        "out-of-reach",
        Severity::Warning,
        "A file cannot be read again once the rights are given up: a reload will fail.",
    ),
];

/// Every code that `ignore` and `--ignore` know, with its severity.
pub fn known_codes() -> Vec<(&'static str, Severity)> {
    let of_policies = Code::all().iter().map(|c| (c.as_str(), c.severity()));
    let own = CODES.iter().map(|(code, severity, _)| (*code, *severity));
    of_policies.chain(own).collect()
}

/// The names of our keys in other servers.
const OTHER_NAMES: [(&str, &str); 16] = [
    ("port", "listen"),
    ("address", "listen"),
    ("bind", "listen"),
    ("host", "listen"),
    ("ip", "listen"),
    ("domain", "allow"),
    ("grant", "allow"),
    ("ports", "allow"),
    ("to-ports", "allow"),
    ("allow-access-from", "allow"),
    ("policy", "policy_file"),
    ("file", "policy_file"),
    ("site-control", "meta_policy"),
    ("log", "log_file"),
    ("threads", "workers"),
    ("pid", "pid_file"),
];

/// The cure for a key that does not exist.
pub(super) fn instead_of(name: &str, value: &str, keys: &[&str]) -> String {
    let lower = name.to_ascii_lowercase();
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == lower);
    let Some((_, key)) = other else {
        return did_you_mean(name, keys, "'")
            .unwrap_or_else(|| format!("expected one of: {}", keys.join(", ")));
    };
    let line = match (*key, value.parse::<u16>()) {
        ("listen", Ok(port)) => format!("listen = [::]:{port}"),
        ("listen", _) if value.parse::<SocketAddr>().is_ok() => format!("listen = {value}"),
        ("listen", _) => "listen = ADDRESS:PORT".into(),
        ("allow", _) => "allow = DOMAIN PORTS".into(),
        _ => format!("{key} = {}", shown(value)),
    };
    format!("write {}", quote(&line))
}
