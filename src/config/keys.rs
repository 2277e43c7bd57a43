//! The keys of the configuration. Each has one entry: its name, the values that it takes, and how a
//! value is put into a [`Config`]. It knows nothing of lines and opens no file.

use std::path::Path;
use std::time::Duration;

use log::LevelFilter;

use super::mistakes::{Problem, known_codes};
use super::values::{self, path_or_none, seconds, whole_number};
use super::{Config, LogConsole, default_workers};
use crate::allow;
use crate::ignore::Ignored;
use crate::policy::MetaPolicy;

/// One key of the configuration: its name, what it takes, and how a value becomes part of a
/// [`Config`].
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) expects: &'static str,
    /// May stand more than once; the values add up.
    pub(super) repeatable: bool,
    /// Puts the value into the configuration; the folder is what relative paths are relative to.
    /// The error says what is wrong with the value; where it has no cure, what the key takes is one.
    pub(super) set: fn(&mut Config, &str, &Path) -> Result<(), Problem>,
}

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "listen",
        expects: "ADDRESS:PORT such as 0.0.0.0:843 or [::]:843; behind it 'proxy' where a load \
                  balancer sends the PROXY protocol, and then 'policy=FILE' where it has a policy \
                  of its own",
        repeatable: true,
        set: |config, value, folder| {
            let (listen, own_policy_file) = values::listen(value, folder)?;
            let known = &mut config.startup.listen;
            let port = listen.address.port();
            if port != 0 && known.iter().any(|l| l.address == listen.address) {
                return Err("this address is already listed".into());
            }
            known.push(listen);
            config.live.own_policy_files.push(own_policy_file);
            Ok(())
        },
    },
    Key {
        name: "policy_file",
        expects: "the path of a policy file, or 'none' for the policy that 'allow' makes",
        repeatable: false,
        set: |config, value, folder| {
            config.live.policy_file = path_or_none(value, folder);
            Ok(())
        },
    },
    Key {
        name: "allow",
        expects: "DOMAIN PORTS, such as *.example.com 2001,3000-3010, and 'secure' behind it for \
                  content loaded over HTTPS only",
        repeatable: true,
        set: |config, value, _| {
            config.live.allow.push(allow::parse(value)?);
            Ok(())
        },
    },
    Key {
        name: "meta_policy",
        expects: "all, master-only, none, or default for no site-control element",
        repeatable: false,
        set: |config, value, _| {
            config.live.meta_policy = match value {
                "default" => None,
                value => Some(value.parse::<MetaPolicy>()?),
            };
            Ok(())
        },
    },
    Key {
        name: "policy_watch",
        expects: "seconds from 0.1 to 3600, or 0 for never",
        repeatable: false,
        set: |config, value, _| {
            config.live.policy_watch = match value {
                "0" => Duration::ZERO,
                value => seconds(value, 0.1..=3600.0)?,
            };
            Ok(())
        },
    },
    Key {
        name: "workers",
        expects: "a whole number from 1 to 4096, or 'auto' for the number of processors",
        repeatable: false,
        set: |config, value, _| {
            config.startup.workers = match value {
                "auto" => default_workers(),
                value => whole_number(value, 1..=4096)?,
            };
            Ok(())
        },
    },
    Key {
        name: "timeout",
        expects: "seconds from 0.1 to 3600, such as 3 or 2.5",
        repeatable: false,
        set: |config, value, _| {
            Ok(seconds(value, 0.1..=3600.0).map(|time| config.startup.timeout = time)?)
        },
    },
    Key {
        name: "max_connections",
        expects: "a whole number from 1 to 1000000",
        repeatable: false,
        set: |config, value, _| {
            config.startup.max_connections = whole_number(value, 1..=1_000_000)?;
            Ok(())
        },
    },
    Key {
        name: "log_file",
        expects: "the path of the log file, or 'none'",
        repeatable: false,
        set: |config, value, folder| {
            config.startup.log_file = path_or_none(value, folder);
            Ok(())
        },
    },
    Key {
        name: "log_max_size",
        expects: "bytes from 10K, such as 500K, 10M or 1G, or 0 for no rotation",
        repeatable: false,
        set: |config, value, _| {
            config.startup.log_max_size = match value {
                "0" => None,
                value => Some(values::bytes(value)?),
            };
            Ok(())
        },
    },
    Key {
        name: "log_keep",
        expects: "a whole number from 0 to 100",
        repeatable: false,
        set: |config, value, _| {
            Ok(whole_number(value, 0..=100).map(|n| config.startup.log_keep = n)?)
        },
    },
    Key {
        name: "log_level",
        expects: "error, warn, info or debug",
        repeatable: false,
        set: |config, value, _| {
            config.live.log_level = values::one_of(
                value,
                &[
                    ("error", LevelFilter::Error),
                    ("warn", LevelFilter::Warn),
                    ("info", LevelFilter::Info),
                    ("debug", LevelFilter::Debug),
                ],
            )?;
            Ok(())
        },
    },
    Key {
        name: "log_console",
        expects: "auto, yes or no",
        repeatable: false,
        set: |config, value, _| {
            config.startup.log_console = values::one_of(
                value,
                &[
                    ("auto", LogConsole::Auto),
                    ("yes", LogConsole::Yes),
                    ("no", LogConsole::No),
                ],
            )?;
            Ok(())
        },
    },
    Key {
        name: "pid_file",
        expects: "the path of the pid file, or 'none'",
        repeatable: false,
        set: |config, value, folder| {
            config.startup.pid_file = path_or_none(value, folder);
            Ok(())
        },
    },
    Key {
        name: "user",
        expects: "a user's name or number, or 'none'",
        repeatable: false,
        set: |config, value, _| {
            config.startup.user = (value != "none").then(|| value.into());
            Ok(())
        },
    },
    Key {
        name: "group",
        expects: "a group's name or number, or 'none' for the user's own",
        repeatable: false,
        set: |config, value, _| {
            config.startup.group = (value != "none").then(|| value.into());
            Ok(())
        },
    },
    Key {
        name: "stats_interval",
        expects: "a time such as 30m, 90s or 1h, or 0 for never",
        repeatable: false,
        set: |config, value, _| {
            config.live.stats_interval = match value {
                "0" => Duration::ZERO,
                value => values::time_with_unit(value)?,
            };
            Ok(())
        },
    },
    Key {
        name: "stats_file",
        expects: "the path of a file for Prometheus' textfile collector, or 'none'",
        repeatable: false,
        set: |config, value, folder| {
            config.startup.stats_file = path_or_none(value, folder);
            Ok(())
        },
    },
    Key {
        name: "ignore",
        expects: "codes of warnings that are accepted, such as secure-grant,ip-domain, or 'none'",
        repeatable: true,
        set: |config, value, _| {
            if value != "none" {
                let ignored = Ignored::parse(value, &known_codes());
                config
                    .live
                    .ignore
                    .add(&ignored.map_err(Problem::with_cure)?);
            }
            Ok(())
        },
    },
];

/// Whether the configuration has a key of this name.
pub fn is_key(name: &str) -> bool {
    KEYS.iter().any(|key| key.name == name)
}

/// Keys of earlier versions, each with what takes its place.
pub(super) const REMOVED_KEYS: &[(&str, &str)] = &[
    (
        "chroot",
        "systemd's RootDirectory=, a container, or 'user' alone keep the server away from other \
         files; remove the line",
    ),
    (
        "max_pending",
        "no connection waits for a worker; remove the line, or set 'max_connections', the \
         connections that may be here at once",
    ),
];
