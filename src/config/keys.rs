//! The keys of the configuration: which there are, the values that they take, and how a value is put
//! into a [`Config`]. It knows nothing of lines and opens no file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Config;
use super::mistakes::known_codes;
use super::values::{bytes, listen, log_console, log_level, seconds, time_with_unit, whole_number};
use crate::allow;
use crate::ignore::Ignored;
use crate::policy::{Fault, MAX_POLICY_BYTES};

/// Each key, and the values that it takes.
pub(super) const KEYS: [(&str, &str); 19] = [
    (
        "listen",
        "ADDRESS:PORT such as 0.0.0.0:843 or [::]:843; behind it 'proxy' where a load balancer \
         sends the PROXY protocol, and then 'policy=FILE' where it has a policy of its own",
    ),
    (
        "policy_file",
        "the path of a policy file, or 'none' for the policy that 'allow' makes",
    ),
    (
        "allow",
        "DOMAIN PORTS, such as *.example.com 2001,3000-3010, and 'secure' behind it for content \
         loaded over HTTPS only",
    ),
    (
        "meta_policy",
        "all, master-only, none, or default for no site-control element",
    ),
    ("policy_watch", "seconds from 0.1 to 3600, or 0 for never"),
    (
        "workers",
        "a whole number from 1 to 4096 for each listener, or 'auto' for the number of processors",
    ),
    ("timeout", "seconds from 0.1 to 3600, such as 3 or 2.5"),
    ("max_connections", "a whole number from 1 to 1000000"),
    ("log_file", "the path of the log file, or 'none'"),
    (
        "log_max_size",
        "bytes from 10K, such as 500K, 10M or 1G, or 0 for no rotation",
    ),
    ("log_keep", "a whole number from 0 to 100"),
    ("log_level", "error, warn, info or debug"),
    ("log_console", "auto, yes or no"),
    ("pid_file", "the path of the pid file, or 'none'"),
    ("user", "a user's name or number, or 'none'"),
    (
        "group",
        "a group's name or number, or 'none' for the user's own",
    ),
    (
        "stats_interval",
        "a time such as 30m, 90s or 1h, or 0 for never",
    ),
    (
        "stats_file",
        "the path of a file for Prometheus' textfile collector, or 'none'",
    ),
    (
        "ignore",
        "codes of warnings that are accepted, such as secure-grant,ip-domain, or 'none'",
    ),
];

/// The keys that may stand more than once; their values add up.
pub(super) const REPEATABLE: [&str; 3] = ["listen", "allow", "ignore"];

/// Whether the configuration has a key of this name.
pub fn is_key(name: &str) -> bool {
    KEYS.iter().any(|(key, _)| *key == name)
}

/// The most listeners: each has threads and a descriptor of its own.
const MOST_LISTENERS: usize = 1_000;

/// The most `allow` lines: of the shortest, a policy has more than [`MAX_POLICY_BYTES`] then.
const MOST_GRANTS: usize = 1_500;

/// Puts the value of a key into the configuration; the folder is what relative paths are relative
/// to.
///
/// # Errors
/// What is wrong with the value; where there is no cure, what the key takes is one.
pub(super) fn set(config: &mut Config, key: &str, value: &str, folder: &Path) -> Result<(), Fault> {
    let Config { startup, live, .. } = config;
    match key {
        "listen" => {
            let (listen, own_policy_file) = listen(value, folder)?;
            let is_listed = startup.listen.iter().any(|l| l.address == listen.address);
            if is_listed && listen.address.port() != 0 {
                return Err(Fault::new("this address is already listed", ""));
            }
            if startup.listen.len() >= MOST_LISTENERS {
                let cause = format!("there are {MOST_LISTENERS} listeners already");
                return Err(Fault::new(cause, "remove the line"));
            }
            startup.listen.push(listen);
            live.own_policy_files.push(own_policy_file);
        }
        "policy_file" => live.policy_file = path_or_none(value, folder),
        "allow" if live.allow.len() >= MOST_GRANTS || value.len() > MAX_POLICY_BYTES => {
            let cause =
                format!("no policy can hold so much: it has {MAX_POLICY_BYTES} bytes at most");
            let cure = "merge lines of the same domain, and those of subdomains into one for \
                        `*.example.com`";
            return Err(Fault::new(cause, cure));
        }
        "allow" => live.allow.push(allow::parse(value)?),
        "meta_policy" if value == "default" => live.meta_policy = None,
        "meta_policy" => live.meta_policy = Some(value.parse()?),
        "policy_watch" if value == "0" => live.policy_watch = Duration::ZERO,
        "policy_watch" => live.policy_watch = seconds(value)?,
        "workers" if value == "auto" => startup.workers = None,
        "workers" => startup.workers = Some(whole_number(value, 1..=4096)?),
        "timeout" => startup.timeout = seconds(value)?,
        "max_connections" => startup.max_connections = whole_number(value, 1..=1_000_000)?,
        "log_file" => startup.log_file = path_or_none(value, folder),
        "log_max_size" if value == "0" => startup.log_max_size = None,
        "log_max_size" => startup.log_max_size = Some(bytes(value)?),
        "log_keep" => startup.log_keep = whole_number(value, 0..=100)?,
        "log_level" => live.log_level = log_level(value)?,
        "log_console" => startup.log_console = log_console(value)?,
        "pid_file" => startup.pid_file = path_or_none(value, folder),
        "user" => startup.user = text_or_none(value),
        "group" => startup.group = text_or_none(value),
        "stats_interval" if value == "0" => live.stats_interval = Duration::ZERO,
        "stats_interval" => live.stats_interval = time_with_unit(value)?,
        "stats_file" => startup.stats_file = path_or_none(value, folder),
        "ignore" if value == "none" => {}
        "ignore" => live.ignore.add(&Ignored::parse(value, &known_codes())?),
        // No key: the caller has refused it.
        _ => {}
    }
    Ok(())
}

fn text_or_none(value: &str) -> Option<String> {
    (value != "none").then(|| value.into())
}

fn path_or_none(value: &str, folder: &Path) -> Option<PathBuf> {
    text_or_none(value).map(|path| folder.join(path))
}

/// Keys of earlier versions, each with what takes its place, and the cure.
pub(super) const REMOVED_KEYS: [(&str, &str, &str); 2] = [
    (
        "chroot",
        "systemd's RootDirectory=, a container, or 'user' alone keep the server away from other \
         files",
        "remove the line",
    ),
    (
        "max_pending",
        "no connection waits for a worker",
        "remove the line, or set 'max_connections', the connections that may wait at once",
    ),
];
