//! `flashpolicy.conf`, and the options of the command line that override it, become a [`Config`].
//! Each key has one place where it is parsed and checked: the table `KEYS`. This room opens the
//! configuration file and no other; it binds nothing and logs nothing.

use std::fs::Metadata;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::LevelFilter;
use nix::unistd::Uid;

use crate::allow;
use crate::diagnostic::{Diagnostic, Place, Severity};
use crate::files::{self, Caller};
use crate::ignore::Ignored;
use crate::policy::{Code, DomainPattern, Fault, Grant, MetaPolicy, PortSet, MASTER_PORT};
use crate::text::{nearest, printable, quote, reason, shown};

/// Where the configuration is looked for when no file is named, first match first.
pub const SEARCH_PATH: [&str; 2] = ["flashpolicy.conf", "/etc/flashpolicy.conf"];

/// All addresses of the host, IPv6 and IPv4; `0.0.0.0` takes its place on a host without IPv6.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::UNSPECIFIED), MASTER_PORT);
/// Content from anywhere, to every port: what Adobe's sample servers and the original server sent.
pub const DEFAULT_ALLOW: Grant = Grant {
    domain: DomainPattern::ANY,
    ports: PortSet::ALL,
    secure: false,
};
/// Soon enough after saving a file to look at the outcome.
pub const DEFAULT_POLICY_WATCH: Duration = Duration::from_secs(2);
/// The fewest workers that are chosen where none are configured: one that is kept from running must
/// not stop the service.
const FEWEST_WORKERS: usize = 2;
/// What Flash Player itself waits for an answer on 843. Source: rule book section 1.9 (PC).
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);
/// What 4,000 silent clients a second fill in 4 seconds, and they are closed after 3; a connection
/// that waits takes less than 1 KB.
pub const DEFAULT_MAX_CONNECTIONS: usize = 16_384;
/// In the current folder.
pub const DEFAULT_LOG_FILE: &str = "flashpolicy.log";
/// Some 70,000 clients' lines; with the old files it makes 60 MB at the most.
pub const DEFAULT_LOG_MAX_SIZE: u64 = 10_000_000;
/// With the file in use, six.
pub const DEFAULT_LOG_KEEP: usize = 5;
/// What the original server did.
pub const DEFAULT_STATS_INTERVAL: Duration = Duration::from_secs(30 * 60);
/// Every connection leaves two lines.
pub const DEFAULT_LOG_LEVEL: LevelFilter = LevelFilter::Info;

/// What can be found wrong with a configuration as a whole: the stable name, how bad it is, and one
/// line on what it means, in Markdown.
pub const CODES: [(&str, Severity, &str); 7] = [
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

/// A larger file is no configuration.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Whether log lines also go to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console {
    /// When standard output is a terminal.
    Auto,
    /// Always.
    Yes,
    /// Never.
    No,
}

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address and port.
    pub address: SocketAddr,
    /// Whether a load balancer stands before it: every connection begins with a PROXY header.
    pub proxy: bool,
    /// A policy file of its own; none: the policy of all listeners.
    pub policy_file: Option<PathBuf>,
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Listen {
            address,
            proxy: false,
            policy_file: None,
        }
    }
}

impl Listen {
    /// The port on which players find its policy; none where the system will choose it, since that
    /// one is nobody's to rely on. Behind a load balancer it is the balancer's port, which is taken
    /// to be 843.
    pub fn players_port(&self) -> Option<u16> {
        match self.address.port() {
            _ if self.proxy => Some(MASTER_PORT),
            0 => None,
            port => Some(port),
        }
    }
}

/// Everything that can be set, with the built-in defaults where nothing was.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The addresses to listen on; never empty once loaded.
    pub listen: Vec<Listen>,
    /// The policy to serve, byte for byte; none: one made of `allow` and `meta_policy`.
    pub policy_file: Option<PathBuf>,
    /// The grants of the policy, when there is no policy file.
    pub allow: Vec<Grant>,
    /// The meta-policy beside `allow`; none: no `site-control` element.
    pub meta_policy: Option<MetaPolicy>,
    /// How often policy files are looked at, 0.1 to 3,600 s; zero: never.
    pub policy_watch: Duration,
    /// Threads that talk to clients, 1 to 4,096. None of them ever waits for a client.
    pub workers: usize,
    /// How long a client has for its whole request, 0.1 to 3,600 s.
    pub timeout: Duration,
    /// Connections that may be here at once, accepted and not closed yet, 1 to 1,000,000.
    pub max_connections: usize,
    /// The shared log file; none: no file.
    pub log_file: Option<PathBuf>,
    /// The most bytes in the log file, 10,000 or more; none: no rotation.
    pub log_max_size: Option<u64>,
    /// How many rotated log files are kept, up to 100.
    pub log_keep: usize,
    /// The least important level that is logged.
    pub log_level: LevelFilter,
    /// Whether log lines also go to standard output.
    pub log_console: Console,
    /// Where the process id is written once the ports are bound; none: nowhere.
    pub pid_file: Option<PathBuf>,
    /// The user to become once the ports are bound; none: no change.
    pub user: Option<String>,
    /// The group to become; none: the user's own.
    pub group: Option<String>,
    /// How often the statistics are logged; zero: only at the end.
    pub stats_interval: Duration,
    /// Where the statistics are written for Prometheus; none: nowhere.
    pub stats_file: Option<PathBuf>,
    /// Warnings that are accepted.
    pub ignore: Ignored,
    /// Where the lines stand.
    pub written: Written,
}

/// Where the lines of the policy stand. It makes no difference between two configurations: they are
/// equal when their values are.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// The value of each [`Config::allow`], in their order; empty where none was written.
    pub allow: Vec<Place>,
    /// The value of `meta_policy`.
    pub meta_policy: Option<Place>,
    /// The value of each `listen`, in their order; those of inherited sockets are missing.
    pub listen: Vec<Place>,
    /// The values of all other keys.
    others: Vec<(&'static str, Place)>,
}

impl Written {
    /// Where the value of a key stands that is set at most once.
    pub fn place_of(&self, key: &str) -> Option<&Place> {
        let found = self.others.iter().find(|(known, _)| *known == key);
        found.map(|(_, place)| place)
    }
}

impl PartialEq for Written {
    fn eq(&self, _: &Written) -> bool {
        true
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: vec![DEFAULT_LISTEN.into()],
            policy_file: None,
            allow: vec![DEFAULT_ALLOW],
            meta_policy: None,
            policy_watch: DEFAULT_POLICY_WATCH,
            workers: default_workers(),
            timeout: DEFAULT_TIMEOUT,
            max_connections: DEFAULT_MAX_CONNECTIONS,
            log_file: Some(DEFAULT_LOG_FILE.into()),
            log_max_size: Some(DEFAULT_LOG_MAX_SIZE),
            log_keep: DEFAULT_LOG_KEEP,
            log_level: DEFAULT_LOG_LEVEL,
            log_console: Console::Auto,
            pid_file: None,
            user: None,
            group: None,
            stats_interval: DEFAULT_STATS_INTERVAL,
            stats_file: None,
            ignore: Ignored::default(),
            written: Written::default(),
        }
    }
}

/// As many as the machine has processors for this process.
fn default_workers() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    processors.max(FEWEST_WORKERS)
}

/// One key of the configuration: its name, what it takes, and how a value becomes part of a
/// [`Config`].
struct Key {
    name: &'static str,
    expects: &'static str,
    /// May stand more than once; the values add up.
    repeatable: bool,
    /// Puts the value into the configuration; the folder is what relative paths are relative to.
    /// The error says what is wrong with the value; where it has no cure, what the key takes is one.
    set: fn(&mut Config, &str, &Path) -> Result<(), Problem>,
    /// Whether two configurations agree in it.
    same: fn(&Config, &Config) -> bool,
    /// Whether a change takes effect with a reload.
    reloads: bool,
}

/// What is wrong with a value.
struct Problem {
    cause: String,
    /// The cure; none: what the key takes.
    cure: Option<String>,
}

impl From<&str> for Problem {
    fn from(cause: &str) -> Problem {
        Problem {
            cause: cause.into(),
            cure: None,
        }
    }
}

impl From<String> for Problem {
    fn from(cause: String) -> Problem {
        Problem { cause, cure: None }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Problem {
        Problem {
            cause: fault.cause,
            cure: Some(fault.cure),
        }
    }
}

const KEYS: &[Key] = &[
    Key {
        name: "listen",
        expects: "ADDRESS:PORT such as 0.0.0.0:843 or [::]:843; behind it 'proxy' where a load \
                  balancer sends the PROXY protocol, and then 'policy=FILE' where it has a policy \
                  of its own",
        repeatable: true,
        // Not their policies: these are reloaded like any other.
        same: |a, b| {
            let bound = |c: &Config| -> Vec<_> {
                let listen = c.listen.iter();
                listen.map(|l| (l.address, l.proxy)).collect()
            };
            bound(a) == bound(b)
        },
        reloads: false,
        set: |config, value, folder| {
            let listen = parse_listen(value, folder)?;
            let port = listen.address.port();
            if port != 0 && config.listen.iter().any(|l| l.address == listen.address) {
                return Err("this address is already listed".into());
            }
            config.listen.push(listen);
            Ok(())
        },
    },
    Key {
        name: "policy_file",
        expects: "the path of a policy file, or 'none' for the policy that 'allow' makes",
        repeatable: false,
        same: |a, b| a.policy_file == b.policy_file,
        reloads: true,
        set: |config, value, folder| {
            config.policy_file = path_or_none(value, folder);
            Ok(())
        },
    },
    Key {
        name: "allow",
        expects: "DOMAIN PORTS, such as *.example.com 2001,3000-3010, and 'secure' behind it for \
                  content loaded over HTTPS only",
        repeatable: true,
        same: |a, b| a.allow == b.allow,
        reloads: true,
        set: |config, value, _| {
            config.allow.push(allow::parse(value)?);
            Ok(())
        },
    },
    Key {
        name: "meta_policy",
        expects: "all, master-only, none, or default for no site-control element",
        repeatable: false,
        same: |a, b| a.meta_policy == b.meta_policy,
        reloads: true,
        set: |config, value, _| {
            config.meta_policy = match value {
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
        same: |a, b| a.policy_watch == b.policy_watch,
        reloads: true,
        set: |config, value, _| {
            config.policy_watch = match value {
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
        same: |a, b| a.workers == b.workers,
        reloads: false,
        set: |config, value, _| {
            config.workers = match value {
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
        same: |a, b| a.timeout == b.timeout,
        reloads: false,
        set: |config, value, _| Ok(seconds(value, 0.1..=3600.0).map(|time| config.timeout = time)?),
    },
    Key {
        name: "max_connections",
        expects: "a whole number from 1 to 1000000",
        repeatable: false,
        same: |a, b| a.max_connections == b.max_connections,
        reloads: false,
        set: |config, value, _| {
            config.max_connections = whole_number(value, 1..=1_000_000)?;
            Ok(())
        },
    },
    Key {
        name: "log_file",
        expects: "the path of the log file, or 'none'",
        repeatable: false,
        same: |a, b| a.log_file == b.log_file,
        reloads: false,
        set: |config, value, folder| {
            config.log_file = path_or_none(value, folder);
            Ok(())
        },
    },
    Key {
        name: "log_max_size",
        expects: "bytes from 10K, such as 500K, 10M or 1G, or 0 for no rotation",
        repeatable: false,
        same: |a, b| a.log_max_size == b.log_max_size,
        reloads: false,
        set: |config, value, _| {
            config.log_max_size = match value {
                "0" => None,
                value => Some(bytes(value)?),
            };
            Ok(())
        },
    },
    Key {
        name: "log_keep",
        expects: "a whole number from 0 to 100",
        repeatable: false,
        same: |a, b| a.log_keep == b.log_keep,
        reloads: false,
        set: |config, value, _| Ok(whole_number(value, 0..=100).map(|n| config.log_keep = n)?),
    },
    Key {
        name: "log_level",
        expects: "error, warn, info or debug",
        repeatable: false,
        same: |a, b| a.log_level == b.log_level,
        reloads: true,
        set: |config, value, _| {
            config.log_level = one_of(
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
        same: |a, b| a.log_console == b.log_console,
        reloads: false,
        set: |config, value, _| {
            config.log_console = one_of(
                value,
                &[
                    ("auto", Console::Auto),
                    ("yes", Console::Yes),
                    ("no", Console::No),
                ],
            )?;
            Ok(())
        },
    },
    Key {
        name: "pid_file",
        expects: "the path of the pid file, or 'none'",
        repeatable: false,
        same: |a, b| a.pid_file == b.pid_file,
        reloads: false,
        set: |config, value, folder| {
            config.pid_file = path_or_none(value, folder);
            Ok(())
        },
    },
    Key {
        name: "user",
        expects: "a user's name or number, or 'none'",
        repeatable: false,
        same: |a, b| a.user == b.user,
        reloads: false,
        set: |config, value, _| {
            config.user = (value != "none").then(|| value.into());
            Ok(())
        },
    },
    Key {
        name: "group",
        expects: "a group's name or number, or 'none' for the user's own",
        repeatable: false,
        same: |a, b| a.group == b.group,
        reloads: false,
        set: |config, value, _| {
            config.group = (value != "none").then(|| value.into());
            Ok(())
        },
    },
    Key {
        name: "stats_interval",
        expects: "a time such as 30m, 90s or 1h, or 0 for never",
        repeatable: false,
        same: |a, b| a.stats_interval == b.stats_interval,
        reloads: true,
        set: |config, value, _| {
            config.stats_interval = match value {
                "0" => Duration::ZERO,
                value => time_with_unit(value)?,
            };
            Ok(())
        },
    },
    Key {
        name: "stats_file",
        expects: "the path of a file for Prometheus' textfile collector, or 'none'",
        repeatable: false,
        same: |a, b| a.stats_file == b.stats_file,
        reloads: false,
        set: |config, value, folder| {
            config.stats_file = path_or_none(value, folder);
            Ok(())
        },
    },
    Key {
        name: "ignore",
        expects: "codes of warnings that are accepted, such as secure-grant,ip-domain, or 'none'",
        repeatable: true,
        same: |a, b| a.ignore == b.ignore,
        reloads: true,
        set: |config, value, _| {
            if value != "none" {
                let ignored = Ignored::parse(value, &known_codes());
                config.ignore.add(&ignored.map_err(said)?);
            }
            Ok(())
        },
    },
];

/// Keys of earlier versions, each with what takes its place.
const REMOVED_KEYS: &[(&str, &str)] = &[
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

impl Config {
    /// Every policy file, each once.
    pub fn policy_files(&self) -> Vec<&Path> {
        let own = self.listen.iter().map(|l| l.policy_file.as_deref());
        let common = [self.policy_file.as_deref()];
        let mut files: Vec<_> = own.chain(common).flatten().collect();
        files.sort();
        files.dedup();
        files
    }

    /// The keys that differ and take effect only with a restart.
    pub fn needs_restart(&self, new: &Config) -> Vec<&'static str> {
        KEYS.iter()
            .filter(|key| !key.reloads && !(key.same)(self, new))
            .map(|key| key.name)
            .collect()
    }
}

/// A value from the command line for a key of the configuration.
#[derive(Clone, Debug)]
pub struct Override {
    /// The option as it was typed, for messages.
    pub option: &'static str,
    /// The key it sets.
    pub key: &'static str,
    /// The value as it was typed.
    pub value: String,
}

/// A configuration and where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file that was read; none: there was none, and the built-in defaults hold.
    pub file: Option<PathBuf>,
}

/// Which configuration a command is about.
#[derive(Clone, Debug)]
pub struct Configured {
    /// The file that was named.
    pub file: Option<PathBuf>,
    /// Options that win over the file.
    pub overrides: Vec<Override>,
    /// Where sockets listen that were inherited; the command line knows none.
    pub inherited: Vec<SocketAddr>,
}

impl Configured {
    /// Reads it.
    ///
    /// # Errors
    /// Every mistake.
    pub fn load(&self) -> Result<Loaded, Vec<Diagnostic>> {
        load(self.file.as_deref(), &self.overrides, &self.inherited)
    }
}

/// Reads the configuration: the named file, else the first of [`SEARCH_PATH`] that exists, else the
/// built-in defaults; then the command line's values on top, and the addresses of inherited sockets.
///
/// # Errors
/// Every mistake of the file and of the command line, in their order.
pub fn load(
    named: Option<&Path>,
    overrides: &[Override],
    inherited: &[SocketAddr],
) -> Result<Loaded, Vec<Diagnostic>> {
    let file = match named {
        Some(path) => Some(path.to_owned()),
        // A file that exists and cannot be read is an error, not a reason to look further.
        None => SEARCH_PATH
            .iter()
            .map(PathBuf::from)
            .find(|path| path.symlink_metadata().is_ok()),
    };
    let text = match &file {
        Some(path) => read(path, named.is_none())?,
        None => String::new(),
    };
    let path = file.as_deref().unwrap_or(Path::new(""));
    let config = draft(&text, path, overrides).finish(inherited)?;
    Ok(Loaded { config, file })
}

/// Reads the text of a configuration file; one that was found, and not named, has to be one that
/// root may take.
fn read(path: &Path, found: bool) -> Result<String, Vec<Diagnostic>> {
    let name = path.display().to_string();
    let mistake = |message: String| vec![Diagnostic::error(Place::whole(&name), message, "")];
    let cannot_read = |error: io::Error| {
        mistake(format!(
            "cannot read the configuration file: {}; expected a text file like the \
             flashpolicy.conf that comes with flashpolicyd",
            reason(&error)
        ))
    };
    let (file, metadata) = files::open(path).map_err(cannot_read)?;
    if found && path.is_relative() && Uid::effective().is_root() {
        let folder = Path::new(".").metadata().map_err(cannot_read)?;
        if let Some(why) = planted(&metadata, &folder) {
            return Err(mistake(format!(
                "root does not take the configuration of the current folder where another user \
                 may have put it there: {why}; to take it all the same: --config ./{}",
                path.display()
            )));
        }
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot_read)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(mistake(
            "larger than 1 MiB: this is no configuration file".into(),
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count();
        let place = Place {
            line: Some(line),
            ..Place::whole(&name)
        };
        vec![Diagnostic::error(
            place,
            "not UTF-8 text",
            "save the file as UTF-8",
        )]
    })
}

/// Whether a text is a configuration rather than a policy: it has a line that sets one of our keys,
/// and none that begins like XML.
pub fn looks_like_one(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let lines = || text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let sets_a_key = |line: &str| {
        let key = line.split_once('=').map(|(key, _)| key.trim());
        key.is_some_and(|key| KEYS.iter().any(|known| known.name == key))
    };
    lines().any(sets_a_key) && !lines().any(|line| line.starts_with('<'))
}

/// Whether somebody else than root, or than the user who called `sudo`, may have written this file
/// or put it into this folder; says who.
fn planted(file: &Metadata, folder: &Metadata) -> Option<String> {
    let caller = Caller::of_sudo();
    let of = |what: &str, metadata| {
        files::others_may_write(metadata, caller).map(|why| format!("the {what}: {why}"))
    };
    of("file", file).or_else(|| of("folder", folder))
}

/// Parses the text of a configuration file, then applies the command line's values.
///
/// `path` is the file's, for messages and for relative paths.
///
/// # Errors
/// Every mistake, in the order of the lines, then of the options.
pub fn parse(text: &str, path: &Path, overrides: &[Override]) -> Result<Config, Vec<Diagnostic>> {
    draft(text, path, overrides).finish(&[])
}

fn draft(text: &str, path: &Path, overrides: &[Override]) -> Draft {
    let mut draft = Draft::new();
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = printable(&path.display().to_string());
    for (number, whole) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = whole.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = |part: &str| place(&name, number + 1, whole, part);
        match line.split_once('=') {
            Some((key, value)) => {
                let (key, value) = (key.trim(), value.trim());
                let place = at(if value.is_empty() { line } else { value });
                draft.set(key, value, folder, place, at(key));
            }
            None => draft.mistake(
                at(line),
                format!("'{}' has no '='", shown(line)),
                "expected a line 'key = value'",
            ),
        }
    }
    for (index, value) in overrides.iter().enumerate() {
        if !overrides[..index].iter().any(|o| o.key == value.key) {
            draft.forget(value.key);
        }
        let place = Place::whole(value.option);
        draft.set(value.key, &value.value, Path::new(""), place.clone(), place);
    }
    draft
}

/// The place of a part of a line.
fn place(name: &str, number: usize, line: &str, part: &str) -> Place {
    // Both are parts of the same text.
    let before = (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
    let before = line.get(..before).unwrap_or_default();
    Place {
        name: name.into(),
        line: Some(number),
        column: Some(1 + before.chars().count()),
        width: part.chars().count().max(1),
        text: line.into(),
    }
}

/// A configuration in the making.
struct Draft {
    config: Config,
    /// Which keys were set, and where.
    set: Vec<(&'static str, Place)>,
    mistakes: Vec<Diagnostic>,
}

impl Draft {
    fn new() -> Draft {
        let config = Config {
            listen: Vec::new(),
            allow: Vec::new(),
            ..Config::default()
        };
        Draft {
            config,
            set: Vec::new(),
            mistakes: Vec::new(),
        }
    }

    fn mistake(&mut self, place: Place, cause: String, cure: impl Into<String>) {
        self.mistakes.push(Diagnostic::error(place, cause, cure));
    }

    fn set(&mut self, name: &str, value: &str, folder: &Path, place: Place, key_place: Place) {
        if let Some((_, instead)) = REMOVED_KEYS.iter().find(|(key, _)| *key == name) {
            let told = said(format!(
                "the key '{name}' does not exist any more: {instead}"
            ));
            return self.mistake(key_place, told.cause, told.cure.unwrap_or_default());
        }
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            let cause = format!("unknown key '{}'", shown(name));
            return self.mistake(key_place, cause, known_key(name, value));
        };
        if let Some((_, first)) = self.set.iter().find(|(set, _)| *set == key.name) {
            if !key.repeatable {
                let cause = format!("key '{name}' is set twice, first at {first}");
                return self.mistake(key_place, cause, "remove one of the two lines");
            }
        }
        self.set.push((key.name, place.clone()));
        let outcome = if value.is_empty() {
            Err("the value is missing".into())
        } else {
            (key.set)(&mut self.config, value, folder)
        };
        match outcome {
            Ok(()) => self.remember(key.name, place),
            Err(Problem { cause, cure }) => {
                let cure = cure.filter(|cure| !cure.is_empty());
                let cure = self.without_comment(key, value, folder).or(cure);
                let cure = cure.unwrap_or_else(|| format!("expected {}", key.expects));
                let cause = format!("{name} = {}: {cause}", shown(value));
                self.mistake(place, cause, cure);
            }
        }
    }

    /// The cure for a value with a comment behind it, if it is right without.
    fn without_comment(&self, key: &Key, value: &str, folder: &Path) -> Option<String> {
        let (bare, _) = value.split_once(" #")?;
        let mut config = self.config.clone();
        (key.set)(&mut config, bare.trim(), folder).ok()?;
        let line = format!("{} = {}", key.name, bare.trim());
        Some(format!(
            "write {}; a comment needs a line of its own",
            quote(&line)
        ))
    }

    /// Where a good line stands, for what is found in its value later.
    fn remember(&mut self, key: &'static str, place: Place) {
        let written = &mut self.config.written;
        match key {
            "allow" => written.allow.push(place),
            "meta_policy" => written.meta_policy = Some(place),
            "listen" => written.listen.push(place),
            key => written.others.push((key, place)),
        }
    }

    /// The command line sets this key: what the file says of it does not count.
    fn forget(&mut self, name: &str) {
        self.set.retain(|(set, _)| *set != name);
        self.config.written.others.retain(|(set, _)| *set != name);
        let Config {
            written, listen, ..
        } = &mut self.config;
        match name {
            "listen" => {
                listen.clear();
                written.listen.clear();
            }
            // A policy file on the command line takes the place of the file's grants.
            "policy_file" => {
                self.set
                    .retain(|(set, _)| !matches!(*set, "allow" | "meta_policy"));
                written.allow.clear();
                written.meta_policy = None;
                self.config.allow.clear();
                self.config.meta_policy = None;
            }
            _ => {}
        }
    }

    /// A policy file says everything itself: nothing is merged into it.
    fn check_policy_is_said_once(&mut self) {
        let place = |set: &[(&str, Place)], name| {
            let first = set.iter().find(|(key, _)| *key == name);
            first.map(|(_, place)| place.clone())
        };
        let (Some(_), Some(file)) = (&self.config.policy_file, place(&self.set, "policy_file"))
        else {
            return;
        };
        for key in ["allow", "meta_policy"] {
            if let Some(found) = place(&self.set, key) {
                let cause = format!("'{key}' and 'policy_file' (set at {file}) exclude each other");
                let cure = format!(
                    "remove '{key}' to serve the file as it is, or 'policy_file' to serve the \
                     policy that 'allow' and 'meta_policy' make"
                );
                self.mistake(found, cause, cure);
            }
        }
    }

    /// Two lines that take the same port: the second could not be bound.
    fn check_ports_are_taken_once(&mut self, inherited: &[SocketAddr]) {
        let bound: Vec<(SocketAddr, Place)> = {
            let addresses = self.config.listen.iter().map(|listen| listen.address);
            addresses
                .zip(self.config.written.listen.iter().cloned())
                .collect()
        };
        let v4_everywhere = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        for (narrow, place) in &bound {
            let takes_it = |(wide, _): &&(SocketAddr, Place)| {
                let v4_has_its_own = bound.iter().any(|(a, _)| *a == v4_everywhere(wide.port()));
                wide.ip().is_unspecified()
                    && !narrow.ip().is_unspecified()
                    && wide.port() == narrow.port()
                    && narrow.port() != 0
                    && (wide.is_ipv4() == narrow.is_ipv4() || (wide.is_ipv6() && !v4_has_its_own))
            };
            let by = bound.iter().find(takes_it);
            if let (Some((wide, at)), false) = (by, inherited.contains(narrow)) {
                let cause = format!(
                    "listen = {narrow}: {wide} (set at {at}) takes this port on every address"
                );
                self.mistakes.push(Diagnostic::error(
                    place.clone(),
                    cause,
                    "remove one of the two lines",
                ));
            }
        }
    }

    /// Every inherited socket is served: by the line that names its address, which says how, and
    /// without one like any listener. The default is for those who have nothing else.
    fn add_inherited(&mut self, inherited: &[SocketAddr]) {
        let mut unnamed = inherited.to_vec();
        for listen in &self.config.listen {
            if let Some(at) = unnamed.iter().position(|a| *a == listen.address) {
                unnamed.remove(at);
            }
        }
        for address in unnamed {
            // A second socket with the address of the first.
            let named = self.config.listen.iter().find(|l| l.address == address);
            let listen = named.cloned().unwrap_or_else(|| address.into());
            self.config.listen.push(listen);
        }
    }

    fn finish(mut self, inherited: &[SocketAddr]) -> Result<Config, Vec<Diagnostic>> {
        self.check_ports_are_taken_once(inherited);
        self.add_inherited(inherited);
        if self.config.listen.is_empty() {
            self.config.listen.push(DEFAULT_LISTEN.into());
        }
        self.check_policy_is_said_once();
        if self.config.allow.is_empty() {
            self.config.allow.push(DEFAULT_ALLOW);
        }
        if self.mistakes.is_empty() {
            Ok(self.config)
        } else {
            Err(self.mistakes)
        }
    }
}

/// What other servers call a key of ours.
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

/// What to write in place of a key that does not exist.
fn known_key(name: &str, value: &str) -> String {
    let keys: Vec<_> = KEYS.iter().map(|key| key.name).collect();
    let lower = name.to_ascii_lowercase();
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == lower);
    let key = match (other, nearest(name, &keys)) {
        (Some((_, key)), _) => *key,
        (None, Some(key)) => return format!("did you mean '{key}'?"),
        (None, None) => return format!("expected one of: {}", keys.join(", ")),
    };
    let line = match (key, value.parse::<u16>()) {
        ("listen", Ok(port)) => format!("listen = [::]:{port}"),
        ("listen", _) if value.parse::<SocketAddr>().is_ok() => format!("listen = {value}"),
        ("listen", _) => "listen = ADDRESS:PORT".into(),
        ("allow", _) => "allow = DOMAIN PORTS".into(),
        _ => format!("{key} = {}", shown(value)),
    };
    format!("write {}", quote(&line))
}

/// A sentence that says the cure itself.
fn said(sentence: impl Into<String>) -> Problem {
    let sentence = sentence.into();
    match sentence.split_once("; ") {
        Some((cause, cure)) => Problem {
            cause: cause.into(),
            cure: Some(cure.into()),
        },
        None => sentence.into(),
    }
}

fn parse_listen(value: &str, folder: &Path) -> Result<Listen, Problem> {
    let Some((address, rest)) = value.split_once([' ', '\t']) else {
        return parse_address(value).map(Listen::from);
    };
    let rest = rest.trim();
    let (proxy, rest) = match rest.strip_prefix("proxy") {
        Some("") => (true, None),
        Some(after) if after.starts_with([' ', '\t']) => (true, Some(after.trim_start())),
        _ => (false, Some(rest)),
    };
    let policy_file = match rest.map(|rest| (rest, rest.strip_prefix("policy="))) {
        None => None,
        Some((_, Some(""))) => return Err("the policy's file is missing".into()),
        Some((_, Some(file))) if file.ends_with(" proxy") || file.ends_with("\tproxy") => {
            return Err("'proxy' stands before 'policy=FILE'".into())
        }
        Some((_, Some(file))) => Some(folder.join(file)),
        Some((rest, None)) => return Err(format!("'{}' is not understood", shown(rest)).into()),
    };
    Ok(Listen {
        address: parse_address(address)?,
        proxy,
        policy_file,
    })
}

fn parse_address(value: &str) -> Result<SocketAddr, Problem> {
    if let Ok(address) = value.parse() {
        return Ok(address);
    }
    let port_of = |text: &str| text.parse::<u16>().ok();
    let everywhere = |port: u16| {
        let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        format!("for every address of the host write [::]:{port} or {v4}")
    };
    if let Some(port) = port_of(value) {
        return Err(said(format!(
            "the address is missing; {}",
            everywhere(port)
        )));
    }
    if value.parse::<std::net::IpAddr>().is_ok() {
        let address = match value.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => value.into(),
        };
        return Err(said(format!(
            "the port is missing; write {address}:{MASTER_PORT}"
        )));
    }
    Err(match value.rsplit_once(':') {
        Some(("*", port)) if port_of(port).is_some() => {
            let port = port_of(port).unwrap_or(MASTER_PORT);
            said(format!("`*` is no address; {}", everywhere(port)))
        }
        Some(("localhost", port)) => said(format!(
            "names are not looked up; write 127.0.0.1:{port} or [::1]:{port}"
        )),
        Some((_, port)) if port.bytes().all(|b| b.is_ascii_digit()) && port_of(port).is_none() => {
            said("there is no such port; the last port is 65535")
        }
        _ => "not an IP address and a port".into(),
    })
}

fn path_or_none(value: &str, folder: &Path) -> Option<PathBuf> {
    (value != "none").then(|| folder.join(value))
}

fn whole_number(value: &str, range: std::ops::RangeInclusive<usize>) -> Result<usize, String> {
    let number = value
        .parse()
        .map_err(|_| String::from("not a whole number"))?;
    within(number, range)
}

fn seconds(value: &str, range: std::ops::RangeInclusive<f64>) -> Result<Duration, String> {
    let number = value.parse().map_err(|_| String::from("not a number"))?;
    within(number, range).map(Duration::from_secs_f64)
}

/// Decimal units: a limit of 1M is kept whether somebody counts in MB or in MiB.
fn bytes(value: &str) -> Result<u64, String> {
    let number = unit(
        value,
        &[("K", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)],
    )?;
    within(number, 10_000..=u64::MAX)
}

fn time_with_unit(value: &str) -> Result<Duration, String> {
    let seconds = unit(value, &[("s", 1), ("m", 60), ("h", 3600), ("d", 86400)])?;
    within(seconds, 1..=31_536_000).map(Duration::from_secs)
}

/// A whole number with one of these units behind it, or with none.
fn unit(value: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let found = units
        .iter()
        .find_map(|(name, factor)| Some((value.strip_suffix(name)?, *factor)));
    let (number, factor) = found.unwrap_or((value, 1));
    let number: u64 = number
        .parse()
        .map_err(|_| String::from("not a whole number with a unit"))?;
    number
        .checked_mul(factor)
        .ok_or_else(|| "out of range".into())
}

fn within<T: PartialOrd>(number: T, range: std::ops::RangeInclusive<T>) -> Result<T, String> {
    if range.contains(&number) {
        Ok(number)
    } else {
        Err("out of range".into())
    }
}

fn one_of<T: Copy>(value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    choices
        .iter()
        .find(|(name, _)| *name == value)
        .map(|(_, choice)| *choice)
        .ok_or_else(|| "not one of the choices".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Result<Config, Vec<String>> {
        parse(text, Path::new("/etc/x.conf"), &[])
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    fn listen(address: &str) -> Listen {
        Listen::from(address.parse::<SocketAddr>().unwrap())
    }

    fn mistake(text: &str) -> String {
        let mistakes = parsed(text).expect_err("the text holds a mistake");
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        mistakes.into_iter().next().unwrap()
    }

    #[test]
    fn the_shipped_file_says_exactly_the_defaults() {
        let shipped = include_str!("../flashpolicy.conf");
        assert_eq!(parsed(shipped), Ok(Config::default()));
        let mut keys: Vec<_> = KEYS.iter().map(|key| key.name).collect();
        let live: String = shipped
            .lines()
            .filter_map(|line| {
                let line = line.strip_prefix('#')?;
                let key = line.split_once('=')?.0.trim();
                keys.iter()
                    .position(|known| *known == key)
                    .map(|at| keys.remove(at))?;
                Some(format!("{line}\n"))
            })
            .collect();
        assert_eq!(keys, Vec::<&str>::new(), "keys that the file does not list");
        let relative = parse(&live, Path::new("flashpolicy.conf"), &[]);
        assert_eq!(relative, Ok(Config::default()));
    }

    #[test]
    fn every_key_sets_its_value() {
        let text = "listen = 127.0.0.1:843\nlisten=[::1]:8430 policy=own policy.xml\n\
            allow = *.example.com 2001, 3000-3010\nallow = * * secure\n\
            meta_policy = master-only\npolicy_watch = 0\nworkers = 7\n\
            timeout = 2.5\nmax_connections = 9\nlog_file = none\nlog_max_size = 2M\nlog_keep = 0\nlog_level = debug\nlog_console = yes\n\
            stats_interval = 90s\nstats_file = fp.prom\n\
            ignore = secure-grant, ip-domain\nignore = large\n\
            pid_file = /run/x.pid\nuser = nobody\ngroup = 7";
        let expected = Config {
            listen: vec![
                listen("127.0.0.1:843"),
                Listen {
                    policy_file: Some("/etc/own policy.xml".into()),
                    ..listen("[::1]:8430")
                },
            ],
            policy_file: None,
            allow: vec![
                Grant {
                    domain: DomainPattern::parse("*.example.com").unwrap(),
                    ports: PortSet::parse("2001,3000-3010").unwrap(),
                    secure: false,
                },
                Grant {
                    secure: true,
                    ..DEFAULT_ALLOW
                },
            ],
            meta_policy: Some(MetaPolicy::MasterOnly),
            policy_watch: Duration::ZERO,
            workers: 7,
            timeout: Duration::from_millis(2500),
            max_connections: 9,
            log_file: None,
            log_max_size: Some(2_000_000),
            log_keep: 0,
            log_level: LevelFilter::Debug,
            log_console: Console::Yes,
            pid_file: Some("/run/x.pid".into()),
            user: Some("nobody".into()),
            group: Some("7".into()),
            stats_interval: Duration::from_secs(90),
            stats_file: Some("/etc/fp.prom".into()),
            ignore: Ignored::parse("secure-grant ip-domain large", &known_codes()).unwrap(),
            written: Written::default(),
        };
        assert_eq!(parsed(text), Ok(expected.clone()));
        let windows = format!("\u{feff}{}\r\n", text.replace('\n', "\r\n"));
        assert_eq!(parsed(&windows), Ok(expected));
    }

    #[test]
    fn inherited_sockets_take_the_place_of_the_default_but_not_of_lines() {
        let inherited = ["[::]:843".parse().unwrap(), "127.0.0.1:1".parse().unwrap()];
        let listens = |text: &str| {
            let draft = draft(text, Path::new("x.conf"), &[]);
            draft.finish(&inherited).unwrap().listen
        };
        let (v6, v4) = (listen("[::]:843"), listen("127.0.0.1:1"));
        assert_eq!(listens(""), [v6.clone(), v4.clone()]);
        let own = Listen {
            policy_file: Some("p.xml".into()),
            ..v4
        };
        let other = listen("127.0.0.1:2");
        assert_eq!(
            listens("listen = 127.0.0.1:2\nlisten = 127.0.0.1:1 policy=p.xml"),
            [other, own, v6]
        );
    }

    #[test]
    fn a_mistake_says_where_what_and_what_was_expected() {
        for (text, expected) in [
            ("\nworker = 3", "/etc/x.conf:2: unknown key 'worker'; did you mean 'workers'?"),
            (
                "max_pending = 3",
                "/etc/x.conf:1: the key 'max_pending' does not exist any more: no connection waits \
                 for a worker; remove the line, or set 'max_connections', the connections that may \
                 be here at once",
            ),
            ("loglevel = info", "/etc/x.conf:1: unknown key 'loglevel'; did you mean 'log_level'?"),
            (
                "workers = 1\n#\nworkers = 2",
                "/etc/x.conf:3: key 'workers' is set twice, first at /etc/x.conf:1; \
                 remove one of the two lines",
            ),
            (
                "workers = 0",
                "/etc/x.conf:1: workers = 0: out of range; expected a whole number from 1 to 4096, \
                 or 'auto' for the number of processors",
            ),
            (
                "workers = 4 # four",
                "/etc/x.conf:1: workers = 4 # four: not a whole number; \
                 write `workers = 4`; a comment needs a line of its own",
            ),
            (
                "timeout = NaN",
                "/etc/x.conf:1: timeout = NaN: out of range; \
                 expected seconds from 0.1 to 3600, such as 3 or 2.5",
            ),
            (
                "listen = 843",
                "/etc/x.conf:1: listen = 843: the address is missing; for every address of the host \
                 write [::]:843 or 0.0.0.0:843",
            ),
            ("port = 843", "/etc/x.conf:1: unknown key 'port'; write `listen = [::]:843`"),
            ("port = x", "/etc/x.conf:1: unknown key 'port'; write `listen = ADDRESS:PORT`"),
            ("threads = 4", "/etc/x.conf:1: unknown key 'threads'; write `workers = 4`"),
            (
                "meta_policy = master",
                "/etc/x.conf:1: meta_policy = master: `master` is no meta-policy; did you mean \
                 `master-only`?",
            ),
            (
                "allow = mygame.com:9339",
                "/etc/x.conf:1: allow = mygame.com:9339: `mygame.com:9339` has a port, or is no \
                 IPv6 address; write `allow = mygame.com 9339`",
            ),
            (
                "ignore = secure-grants",
                "/etc/x.conf:1: ignore = secure-grants: `secure-grants` is no code; did you mean \
                 `secure-grant`?",
            ),
            ("listen = 10.0.0.1", "/etc/x.conf:1: listen = 10.0.0.1: the port is missing; write 10.0.0.1:843"),
            (
                "workers 4",
                "/etc/x.conf:1: 'workers 4' has no '='; expected a line 'key = value'",
            ),
            (
                "log_file =",
                "/etc/x.conf:1: log_file = : the value is missing; \
                 expected the path of the log file, or 'none'",
            ),
            (
                "chroot = /srv",
                "/etc/x.conf:1: the key 'chroot' does not exist any more: systemd's \
                 RootDirectory=, a container, or 'user' alone keep the server away from other \
                 files; remove the line",
            ),
            (
                "log_level = \u{1b}[2J",
                "/etc/x.conf:1: log_level = \\u{1b}[2J: not one of the choices; \
                 expected error, warn, info or debug",
            ),
        ] {
            assert_eq!(mistake(text), expected);
        }
    }

    #[test]
    fn a_key_like_no_other_gets_the_list_of_all() {
        let message = mistake("colour = red");
        let known = message
            .split_once("unknown key 'colour'; expected one of: ")
            .unwrap()
            .1;
        assert_eq!(known.split(", ").count(), KEYS.len());
    }

    #[test]
    fn a_listener_behind_a_load_balancer_says_so_before_its_policy() {
        let listen = |value: &str| {
            let parsed = parsed(&format!("listen = {value}"))?;
            Ok::<_, Vec<String>>(parsed.listen.into_iter().next().unwrap())
        };
        let behind = Listen {
            proxy: true,
            ..self::listen("[::]:843")
        };
        assert_eq!(listen("[::]:843 proxy"), Ok(behind.clone()));
        assert_eq!(listen("[::]:8430 proxy").unwrap().players_port(), Some(843));
        let with_policy = Listen {
            policy_file: Some("/etc/proxy policy.xml".into()),
            ..behind
        };
        let value = "[::]:843 \t proxy  policy=proxy policy.xml";
        assert_eq!(listen(value), Ok(with_policy));
        for (value, expected) in [
            ("[::]:843 proxys", "'proxys' is not understood"),
            ("[::]:843 proxy v2", "'v2' is not understood"),
            (
                "[::]:843 policy=p.xml proxy",
                "'proxy' stands before 'policy=FILE'",
            ),
            ("[::]:843 proxy policy=", "the policy's file is missing"),
        ] {
            let mistake = mistake(&format!("listen = {value}"));
            assert!(mistake.contains(expected), "{mistake}");
        }
    }

    #[test]
    fn an_address_twice_is_a_mistake_but_port_0_is_not() {
        assert!(mistake("listen = [::]:843\nlisten = [::]:843").contains(":2: "));
        assert!(parsed("listen = 127.0.0.1:0\nlisten = 127.0.0.1:0").is_ok());
    }

    #[test]
    fn two_lines_that_take_the_same_port_are_a_mistake() {
        for (lines, taken) in [
            (
                "listen = [::]:843\nlisten = 127.0.0.1:843",
                Some(":2: listen = 127.0.0.1:843: [::]:843 (set at /etc/x.conf:1)"),
            ),
            ("listen = [::1]:843\nlisten = [::]:843", Some(":1: ")),
            ("listen = 0.0.0.0:843\nlisten = 127.0.0.1:843", Some(":2: ")),
            ("listen = [::]:843\nlisten = 0.0.0.0:843", None),
            (
                "listen = [::]:843\nlisten = 0.0.0.0:843\nlisten = 127.0.0.1:843",
                Some(":3: listen = 127.0.0.1:843: 0.0.0.0:843"),
            ),
            ("listen = 0.0.0.0:843\nlisten = [::1]:843", None),
            ("listen = [::]:843\nlisten = 127.0.0.1:844", None),
            ("listen = [::]:0\nlisten = 127.0.0.1:0", None),
        ] {
            match taken {
                Some(expected) => assert!(
                    mistake(lines).contains(expected),
                    "{lines}: {}",
                    mistake(lines)
                ),
                None => assert!(parsed(lines).is_ok(), "{lines}"),
            }
        }
        // A socket that is there already was bound by whoever gave it.
        let text = "listen = [::]:843\nlisten = 127.0.0.1:843";
        let draft = draft(text, Path::new("x"), &[]);
        assert!(draft.finish(&["127.0.0.1:843".parse().unwrap()]).is_ok());
    }

    #[test]
    fn a_mistake_marks_its_place_in_the_line() {
        let text = "\n  allow  =  *.example.com 80 secure # x\n worker = 3\n";
        let mistakes = parse(text, Path::new("x"), &[]).unwrap_err();
        let marked: Vec<_> = mistakes
            .iter()
            .map(|mistake| {
                let place = &mistake.place;
                let from = place.text.chars().skip(place.column.unwrap() - 1);
                let part: String = from.take(place.width).collect();
                (place.line.unwrap(), part)
            })
            .collect();
        let value = "*.example.com 80 secure # x".to_string();
        assert_eq!(marked, [(2, value), (3, "worker".into())]);
    }

    #[test]
    fn all_mistakes_are_reported_in_one_go() {
        let mistakes =
            parsed("a\nworkers = x\ntimeout = 0\nlog_consol = no\nlisten = host").unwrap_err();
        assert_eq!(mistakes.len(), 5, "{mistakes:?}");
    }

    #[test]
    fn the_command_line_wins_and_lists_replace_the_files() {
        let text = "listen = 127.0.0.1:1\nlisten = 127.0.0.1:2\nworkers = 3\nlog_file = x.log";
        let option = |option, key, value: &str| Override {
            option,
            key,
            value: value.into(),
        };
        let overrides = [
            option("--listen", "listen", "127.0.0.1:8"),
            option("--listen", "listen", "127.0.0.1:9"),
            option("--workers", "workers", "5"),
            option("--log-file", "log_file", "y.log"),
        ];
        let config = parse(text, Path::new("/etc/x.conf"), &overrides).unwrap();
        assert_eq!(
            config.listen,
            [listen("127.0.0.1:8"), listen("127.0.0.1:9")]
        );
        assert_eq!(config.workers, 5);
        assert_eq!(config.log_file, Some("y.log".into()));
        let wrong = parse("", Path::new(""), &[option("--workers", "workers", "0")]).unwrap_err();
        assert!(wrong[0].to_string().starts_with("--workers: "), "{wrong:?}");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(?s).{0,200}") {
            let _ = parsed(&text);
        }

        #[test]
        fn near_misses_do_not_panic_either(
            lines in proptest::collection::vec(
                ("listen|workers|timeout|max_connections|log_level|nothing", "[ =]{0,3}", "[-+0-9.:\\[\\]eE]{0,12}"),
                0..8,
            )
        ) {
            let text: String = lines.iter().map(|(k, e, v)| format!("{k}{e}{v}\n")).collect();
            let _ = parsed(&text);
        }
    }
}
