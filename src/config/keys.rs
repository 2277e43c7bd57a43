//! The keys of the configuration, each in one definition: its section, which says whether a reload
//! applies it, its type, its default, its parser, and what it takes. It knows nothing of lines and
//! opens no file.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use log::LevelFilter;

use super::mistakes::known_codes;
use super::values::{
    Listen, LogConsole, bytes, listen, log_console, log_level, seconds, time_with_unit,
    whole_number,
};
use crate::config::allow;
use crate::config::ignore::Ignored;
use crate::output::diagnostic::Place;
use crate::policy::{
    DomainPattern, Grant, MASTER_PORT, MAX_POLICY_BYTES, MetaPolicy, ParseError, PortSet,
};

/// The default of `listen`: port 843 of all addresses of the host, IPv6 and IPv4. `0.0.0.0` takes
/// its place on a host without IPv6.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), MASTER_PORT);
/// The default of `allow`: content from anywhere, to every port. Adobe's sample servers and the
/// original server sent the same.
pub const DEFAULT_ALLOW: Grant = Grant {
    domain: DomainPattern::ANY,
    ports: PortSet::ALL,
    secure: false,
};
/// Everything that can be set, with the built-in defaults where nothing was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// The settings that take effect only with a restart.
    pub startup: Startup,
    /// The settings that take effect with a reload.
    pub live: Live,
    /// Where the lines stand.
    pub written: KeyPositions,
}

/// Where the value of each key stands, in the order of the lines; inherited sockets have no place.
/// It makes no difference between two configurations: they are equal when their values are.
#[derive(Clone, Debug, Default)]
pub struct KeyPositions(pub(super) Vec<(&'static str, Place)>);

impl KeyPositions {
    /// Where the values of a key stand.
    pub fn places_of(&self, key: &str) -> impl Iterator<Item = &Place> {
        let of_key = self.0.iter().filter(move |(known, _)| *known == key);
        of_key.map(|(_, place)| place)
    }

    /// Where the first value of a key stands.
    pub fn place_of(&self, key: &str) -> Option<&Place> {
        self.places_of(key).next()
    }
}

impl PartialEq for KeyPositions {
    fn eq(&self, _: &KeyPositions) -> bool {
        true
    }
}

/// A key, as the lines of a configuration need it.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// Whether it may stand more than once; its values add up.
    pub(super) is_repeatable: bool,
    /// The values that it takes.
    pub(super) takes: &'static str,
    /// Puts a value into the configuration; the folder is what relative paths are relative to. Of an
    /// error without a cure, what the key takes is the cure.
    pub(super) set: fn(&mut Config, &str, &Path) -> Result<(), ParseError>,
}

impl Key {
    /// The key of this name.
    pub(super) fn named(name: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| key.name == name)
    }
}

/// Whether the configuration has a key of this name.
pub fn is_key(name: &str) -> bool {
    Key::named(name).is_some()
}

/// Makes the types of the sections, their defaults and the table of keys. A key is written as
/// `name: type = default, once parser, "what it takes"`; one that may stand several times has
/// `each` and a function that adds a value. A field in brackets is no key: another key sets it.
macro_rules! keys {
    (@set once $parse:expr, $section:ident $key:ident) => {
        |config, value, folder| parsed($parse, value, folder).map(|v| config.$section.$key = v)
    };
    (@set each $add:expr, $section:ident $key:ident) => { $add };
    ($(
        $(#[$about:meta])*
        $section:ident: $Section:ident $([
            $(#[$field_doc:meta])*
            $field:ident: $field_type:ty = $field_default:expr
        ])? {
            $($(#[$doc:meta])*
            $key:ident: $type:ty = $default:expr, $how:ident $parse:expr, $takes:literal;)*
        }
    )*) => {
        $(
            $(#[$about])*
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $Section {
                $($(#[$field_doc])* pub $field: $field_type,)?
                $($(#[$doc])* pub $key: $type,)*
            }

            impl Default for $Section {
                fn default() -> Self {
                    $Section { $($key: $default,)* $($field: $field_default,)? }
                }
            }

            impl $Section {
                /// The keys whose values differ.
                pub fn changed_keys(&self, new: &$Section) -> Vec<&'static str> {
                    let same = [$((stringify!($key), self.$key == new.$key)),*];
                    let changed = same.into_iter().filter(|(_, same)| !same);
                    changed.map(|(key, _)| key).collect()
                }
            }
        )*

        /// Every key.
        pub(super) const KEYS: &[Key] = &[$($(Key {
            name: stringify!($key),
            is_repeatable: matches!(stringify!($how).as_bytes(), b"each"),
            takes: $takes,
            set: keys!(@set $how $parse, $section $key),
        }),*),*];
    };
}

keys! {
    /// The settings that take effect only with a restart.
    startup: Startup {
        /// The addresses to listen on; never empty once loaded.
        listen: Vec<Listen> = vec![DEFAULT_LISTEN.into()],
            each add_listener,
            "ADDRESS:PORT such as 0.0.0.0:843 or [::]:843; behind it 'proxy' where a load balancer \
             sends the PROXY protocol, and then 'policy=FILE' where it has a policy of its own";

        /// Threads that accept and serve the clients of one listener, 1 to 4,096; none: as
        /// [`Startup::workers_each`] chooses. No worker ever waits for a client.
        workers: Option<usize> = None,
            once |value, _| unless("auto", value, |value| whole_number(value, 1..=4096)),
            "a whole number from 1 to 4096 for each listener, or 'auto' for the number of processors";

        /// How long a client has for its whole request, 0.1 to 3,600 s.
        ///
        /// Flash Player itself waits as long as the default for an answer on port 843. Source: rule
        /// book section 1.9 (PC).
        timeout: Duration = Duration::from_secs(3),
            once |value, _| seconds(value),
            "seconds from 0.1 to 3600, such as 3 or 2.5";

        /// The most connections that wait at once, such as for their client's request, 1 to
        /// 1,000,000.
        ///
        /// 4,000 silent clients a second hold 12,000 connections, since each is closed after 3 s. A
        /// connection that waits takes less than 1 KB.
        max_connections: usize = 16_384,
            once |value, _| whole_number(value, 1..=1_000_000),
            "a whole number from 1 to 1000000";

        /// The shared log file; none: no file.
        log_file: Option<PathBuf> = Some("flashpolicy.log".into()),
            once path_or_none,
            "the path of the log file, or 'none'";

        /// The most bytes in the log file, 10,000 or more; none: no rotation.
        ///
        /// By default the lines of about 70,000 clients. With the rotated files, the log takes 60 MB
        /// at the most.
        log_max_size: Option<u64> = Some(10_000_000),
            once |value, _| unless("0", value, bytes),
            "bytes from 10K, such as 500K, 10M or 1G, or 0 for no rotation";

        /// How many rotated log files are kept, up to 100.
        log_keep: usize = 5,
            once |value, _| whole_number(value, 0..=100),
            "a whole number from 0 to 100";

        /// Whether log lines also go to standard output.
        log_console: LogConsole = LogConsole::Auto,
            once |value, _| log_console(value),
            "auto, yes or no";

        /// Where the process id is written once the ports are bound; none: nowhere.
        pid_file: Option<PathBuf> = None,
            once path_or_none,
            "the path of the pid file, or 'none'";

        /// The user to become once the ports are bound; none: no change.
        user: Option<String> = None,
            once text_or_none,
            "a user's name or number, or 'none'";

        /// The group to become; none: the user's own.
        group: Option<String> = None,
            once text_or_none,
            "a group's name or number, or 'none' for the user's own";

        /// Where the statistics are written for Prometheus; none: nowhere.
        stats_file: Option<PathBuf> = None,
            once path_or_none,
            "the path of a file for Prometheus' textfile collector, or 'none'";
    }

    /// The settings that take effect with a reload.
    live: Live [
        /// The policy file of each listener that has one of its own, in the order of
        /// [`Startup::listen`]; as many as there are listeners.
        own_policy_files: Vec<Option<PathBuf>> = vec![None]
    ] {
        /// The policy file of all other listeners, served byte for byte; none: a policy made of
        /// `allow` and `meta_policy`.
        policy_file: Option<PathBuf> = None,
            once path_or_none,
            "the path of a policy file, or 'none' for the policy that 'allow' makes";

        /// The grants of the policy, when there is no policy file.
        allow: Vec<Grant> = vec![DEFAULT_ALLOW],
            each add_grant,
            "DOMAIN PORTS, such as *.example.com 2001,3000-3010, and 'secure' behind it for content \
             loaded over HTTPS only";

        /// The meta-policy beside `allow`; none: no `site-control` element.
        meta_policy: Option<MetaPolicy> = None,
            once |value, _| unless("default", value, MetaPolicy::from_str),
            "all, master-only, none, or default for no site-control element";

        /// The time between checks of the policy files, 0.1 to 3,600 s; zero: never. A changed file is
        /// served a few seconds after it was saved.
        policy_watch: Duration = Duration::from_secs(2),
            once |value, _| unless("0", value, seconds).map(Option::unwrap_or_default),
            "seconds from 0.1 to 3600, or 0 for never";

        /// The least important level that is logged. With the default, every connection leaves two
        /// lines.
        log_level: LevelFilter = LevelFilter::Info,
            once |value, _| log_level(value),
            "error, warn, info or debug";

        /// How often the statistics are logged; zero: only at the end. The original server logged
        /// its statistics as often as the default.
        stats_interval: Duration = Duration::from_secs(30 * 60),
            once |value, _| unless("0", value, time_with_unit).map(Option::unwrap_or_default),
            "a time such as 30m, 90s or 1h, or 0 for never";

        /// Warnings that are accepted.
        ignore: Ignored = Ignored::default(),
            each add_ignored,
            "codes of warnings that are accepted, such as secure-grant,ip-domain, or 'none'";
    }
}

/// The most listeners: each has threads and a descriptor of its own.
const MOST_LISTENERS: usize = 1_000;

/// The most `allow` lines: of the shortest, a policy has more than [`MAX_POLICY_BYTES`] then.
const MOST_GRANTS: usize = 1_500;

fn add_listener(config: &mut Config, value: &str, folder: &Path) -> Result<(), ParseError> {
    let all = &mut config.startup.listen;
    let (listen, own_policy_file) = listen(value, folder)?;
    if listen.address.port() != 0 && all.iter().any(|l| l.address == listen.address) {
        return Err(ParseError::new("this address is already listed", ""));
    }
    if all.len() >= MOST_LISTENERS {
        let cause = format!("there are {MOST_LISTENERS} listeners already");
        return Err(ParseError::new(cause, "remove the line"));
    }
    all.push(listen);
    config.live.own_policy_files.push(own_policy_file);
    Ok(())
}

fn add_grant(config: &mut Config, value: &str, _: &Path) -> Result<(), ParseError> {
    let all = &mut config.live.allow;
    if all.len() >= MOST_GRANTS || value.len() > MAX_POLICY_BYTES {
        let cause =
            format!("a policy cannot hold so many grants: it has {MAX_POLICY_BYTES} bytes at most");
        let cure = "merge lines of the same domain, and those of subdomains into one for \
                    `*.example.com`";
        return Err(ParseError::new(cause, cure));
    }
    all.push(allow::parse(value)?);
    Ok(())
}

fn add_ignored(config: &mut Config, value: &str, _: &Path) -> Result<(), ParseError> {
    if value != "none" {
        let codes = Ignored::parse(value, &known_codes())?;
        config.live.ignore.add(&codes);
    }
    Ok(())
}

/// What `parse` makes of the value.
fn parsed<T>(
    parse: impl FnOnce(&str, &Path) -> Result<T, ParseError>,
    value: &str,
    folder: &Path,
) -> Result<T, ParseError> {
    parse(value, folder)
}

/// None for this word, else what `parse` makes of the value.
fn unless<T>(
    word: &str,
    value: &str,
    parse: impl FnOnce(&str) -> Result<T, ParseError>,
) -> Result<Option<T>, ParseError> {
    (value != word).then(|| parse(value)).transpose()
}

fn text_or_none(value: &str, _: &Path) -> Result<Option<String>, ParseError> {
    Ok((value != "none").then(|| value.into()))
}

fn path_or_none(value: &str, folder: &Path) -> Result<Option<PathBuf>, ParseError> {
    Ok((value != "none").then(|| folder.join(value)))
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
