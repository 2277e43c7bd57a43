//! What a probe is to find out: the arguments become a [`Plan`]. It connects to nothing and
//! resolves nothing.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::classes::Class;
use super::secure::Secure;
use super::step::Step;
use crate::config;
use crate::config::ignore::Ignored;
use crate::output::text::shown;
use crate::policy::{Host, MASTER_PORT, Origin, Player, PortSet};

/// How long Flash Player waits for a policy from port 843. Source: rule book section 1.9
/// (PC, ASDOC).
pub const PLAYERS_PATIENCE: Duration = Duration::from_secs(3);

/// How long the probe waits on port 843 by default: longer than the player, to tell a slow server from
/// a silent one.
pub const MASTER_PATIENCE: Duration = Duration::from_secs(6);

/// How long after `connect()` a socket of Flash Player gives up (`Socket.timeout`, unless the SWF sets
/// it): over all policies and the connection together. Source: rule book sections 1.9 and 5 (\[D\],
/// kb405545).
pub const SOCKET_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the probe waits for anything else. `loadPolicyFile` and the destination port have no
/// time-out of their own; no socket waits longer than this for all of them.
pub const OTHER_PATIENCE: Duration = SOCKET_TIMEOUT;

/// The most `--load` locations.
pub const MAX_LOADS: usize = 8;

const TIMEOUTS: std::ops::RangeInclusive<f64> = 0.1..=60.0;

/// The arguments of `probe`, as they were typed.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// The host to ask.
    pub host: String,
    /// `--from`: where the SWF was loaded from.
    pub from: Option<String>,
    /// `--to`: the ports that it wants to connect to.
    pub to: Option<String>,
    /// `--load`: what it names with `loadPolicyFile`.
    pub load: Vec<String>,
    /// `--port`: the port to ask in place of 843.
    pub port: Option<String>,
    /// `--timeout`: seconds.
    pub timeout: Option<String>,
    /// `--player`: whose verdict is asked for.
    pub player: Option<String>,
    /// `--ignore`: codes of warnings that were accepted.
    pub ignore: Vec<String>,
    /// `--errors-only`: no warning is shown or counted.
    pub errors_only: bool,
    /// `--tls`: inside TLS, as a SecureSocket asks.
    pub tls: bool,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The host as the SWF names it.
    pub host: Host,
    /// The port, from 1.
    pub port: u16,
}

/// The task of a probe.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The host that the SWF would connect to.
    pub host: Host,
    /// Where the SWF was loaded from; without one, the server is judged by itself.
    pub from: Option<Origin>,
    /// The application content of AIR, which asks for no policy.
    pub air: bool,
    /// The ports that it would connect to; none without [`Plan::from`] or [`Plan::air`].
    pub to: Option<PortSet>,
    /// The locations that the SWF names with `loadPolicyFile`, in its order.
    pub loads: Vec<HostPort>,
    /// The player whose verdict is asked for.
    pub player: Player,
    /// Warnings that were accepted.
    pub ignored: Ignored,
    /// No warning is shown or counted.
    pub errors_only: bool,
    /// Inside TLS, as a SecureSocket asks.
    pub tls: bool,
    /// The port that stands for 843.
    pub port: u16,
    /// `--timeout`, or the time that Flash Player waits for port 843.
    pub timeout: Duration,
    /// How long the probe listens on that port, the connection included.
    pub patience: Duration,
    /// The time for each exchange anywhere else.
    pub other_patience: Duration,
    /// Whether destination ports that are allowed already are listened to for a second, which tells
    /// whether advice for Lightspark is due.
    pub looks_for_silence: bool,
}

impl Plan {
    /// Understands the arguments.
    ///
    /// # Errors
    /// A sentence that names the argument, what was expected, and what to write instead.
    pub fn new(arguments: &Arguments) -> Result<Plan, String> {
        let host = host("HOST", &arguments.host)?;
        let text = arguments.from.as_deref();
        let air = text.is_some_and(Origin::is_air);
        let from = text.filter(|_| !air).map(origin).transpose()?;
        let to = arguments.to.as_deref().map(ports).transpose()?;
        match (&text, &to) {
            (Some(_), None) => {
                return Err(
                    "--from needs --to: which port does the SWF connect to? such as --to 2001"
                        .into(),
                );
            }
            (None, Some(_)) => return Err(
                "--to needs --from: where is the SWF loaded from? such as --from www.example.com, \
                 --from https://www.example.com or --from file:"
                    .into(),
            ),
            _ => {}
        }
        if arguments.load.len() > MAX_LOADS {
            return Err(format!(
                "--load is given {} times; {MAX_LOADS} are the most",
                arguments.load.len()
            ));
        }
        let loads = arguments
            .load
            .iter()
            .map(|text| location(text))
            .collect::<Result<_, _>>()?;
        let timeout = arguments.timeout.as_deref().map(seconds).transpose()?;
        let player = arguments.player.as_deref().map(player).transpose()?;
        let player = player.unwrap_or_default();
        check_combination(arguments, player, air)?;
        if arguments.tls && !Secure::fits(&host) {
            let why = "no host name that a certificate can have";
            return Err(wrong("--tls HOST", &arguments.host, why));
        }
        Ok(Plan {
            host,
            from,
            air,
            to,
            loads,
            player,
            ignored: ignored(&arguments.ignore)?,
            errors_only: arguments.errors_only,
            tls: arguments.tls,
            port: arguments
                .port
                .as_deref()
                .map_or(Ok(MASTER_PORT), |text| port("--port", text))?,
            timeout: timeout.unwrap_or(PLAYERS_PATIENCE),
            patience: timeout.unwrap_or(MASTER_PATIENCE),
            other_patience: timeout.unwrap_or(OTHER_PATIENCE),
            looks_for_silence: true,
        })
    }

    /// The content that wants to connect, as in "may connect".
    pub(super) fn content(&self) -> String {
        match &self.from {
            _ if self.air => "the application content of AIR".into(),
            Some(origin) => format!("a SWF from {}", origin.in_words()),
            None => "a SWF".into(),
        }
    }

    /// The destination ports that are asked about: all, or where there are many, some of them.
    /// `steps` are those that have found policies.
    pub(super) fn sample<'a>(&self, steps: impl IntoIterator<Item = &'a Step>) -> Vec<u16> {
        let policies = steps
            .into_iter()
            .filter_map(|step| step.policy(self.player));
        let granted = policies.flat_map(|policy| &policy.grants);
        let granted = granted.map(|grant| &grant.ports);
        self.to
            .as_ref()
            .map_or_else(Vec::new, |named| named.sample(granted).ports)
    }

    /// How many destination ports are named, where these are more than are asked about.
    pub(super) fn sampled_of(&self) -> Option<usize> {
        let sample = self.to.as_ref()?.sample([]);
        sample.is_partial().then_some(sample.of)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// An argument and what is wrong with it; the argument on one line, printable, and cut short.
fn wrong(option: &str, text: &str, why: impl fmt::Display) -> String {
    format!("{option} '{}': {why}", shown(text))
}

fn origin(text: &str) -> Result<Origin, String> {
    Origin::parse(text).map_err(|fault| wrong("--from", text, fault))
}

fn host(what: &str, text: &str) -> Result<Host, String> {
    if text.is_empty() {
        return Err(format!(
            "{what} is empty: write a host name or an address, such as game.example.com or 203.0.113.7"
        ));
    }
    let bare = "write the host name or the address alone, such as game.example.com or 203.0.113.7";
    let inside = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let is_address = inside.unwrap_or(text).parse::<IpAddr>().is_ok();
    let why = match Origin::parse(text) {
        _ if text.contains(['/', '?', '#', '@']) => format!("this is more than a host; {bare}"),
        // A name has no colon.
        Ok(Origin::Web { host, .. }) if !is_address && text.contains(':') => format!(
            "{host} has a port behind it; write {host} alone, and the port as --port PORT \
             (the policy's) or --to PORT (the SWF's)"
        ),
        Ok(Origin::Web { host, .. }) => return Ok(host),
        Ok(Origin::Local | Origin::Anywhere) => format!("this is no host; {bare}"),
        Err(fault) => format!("{}; {bare}", fault.cause),
    };
    Err(wrong(what, text, why))
}

/// Rejects options that exclude each other.
fn check_combination(arguments: &Arguments, player: Player, air: bool) -> Result<(), String> {
    if air {
        let named = [
            (!arguments.load.is_empty(), "--load"),
            (arguments.port.is_some(), "--port"),
            (arguments.player.is_some(), "--player"),
        ];
        if let Some((_, option)) = named.iter().find(|(is_given, _)| *is_given) {
            return Err(format!(
                "{option} is about policies, and the application content of AIR (--from app:) asks \
                 for none: whether the port answers is all there is to ask"
            ));
        }
    }
    if !arguments.tls {
        return Ok(());
    }
    if !cfg!(feature = "tls") {
        return Err(
            "--tls: this flashpolicyd was built without TLS; cargo build --features tls builds it in"
                .into(),
        );
    }
    if player != Player::Flash {
        return Err(format!(
            "--tls asks as a SecureSocket does, and {player} has none: leave --tls or --player out"
        ));
    }
    if !arguments.load.is_empty() {
        return Err(
            "--tls goes without --load: whether a SecureSocket takes a policy that loadPolicyFile \
             names is not known"
                .into(),
        );
    }
    Ok(())
}

/// A location as it stands in the SWF's call, or alone.
fn location(text: &str) -> Result<HostPort, String> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => (String::new(), text),
    };
    let why = match &*scheme {
        "" | "xmlsocket" => None,
        "http" | "https" => Some(
            "a policy that comes over HTTP opens no socket; name the port of a policy server, such \
             as --load xmlsocket://HOST:843",
        ),
        "tls" | "tlssocket" | "ssl" => Some(
            "no location that loadPolicyFile is known to take; write --load HOST:PORT for a policy \
             in the clear, and --tls without --load to ask as a SecureSocket does",
        ),
        _ => Some(
            "expected HOST:PORT, as in loadPolicyFile(\"xmlsocket://HOST:PORT\"), which knows no \
             other scheme",
        ),
    };
    if let Some(why) = why {
        return Err(wrong("--load", text, why));
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    // The last colon of an address in brackets is its own.
    let named = rest
        .rsplit_once(':')
        .filter(|(_, port)| !port.contains(']'));
    let Some((name, number)) = named else {
        let why = "the port is missing; expected HOST:PORT, as in \
                   loadPolicyFile(\"xmlsocket://HOST:PORT\")";
        return Err(wrong("--load", text, why));
    };
    Ok(HostPort {
        host: host("--load", name)?,
        port: port("--load", number)?,
    })
}

fn port(option: &str, text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port > 0 && !text.starts_with('+') => Ok(port),
        _ => {
            let why = "no port; expected a number from 1 to 65535";
            Err(wrong(option, text, why))
        }
    }
}

fn ports(text: &str) -> Result<PortSet, String> {
    PortSet::parse(text).map_err(|fault| wrong("--to", text, fault))
}

fn player(text: &str) -> Result<Player, String> {
    text.parse().map_err(|fault| format!("--player {fault}"))
}

/// The warnings that `--ignore` accepts, in `check` as in `probe`: the codes of configurations and
/// policies, and the classes of exchanges.
///
/// # Errors
/// A name that does not exist, or an error's.
pub fn ignored(given: &[String]) -> Result<Ignored, String> {
    let classes = Class::all().iter();
    let classes = classes.map(|class| (class.as_str(), class.severity()));
    let known: Vec<_> = config::known_codes().into_iter().chain(classes).collect();
    let mut all = Ignored::default();
    for text in given {
        let ignored = Ignored::parse(text, &known).map_err(|why| format!("--ignore {why}"))?;
        all.add(&ignored);
    }
    Ok(all)
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if TIMEOUTS.contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => {
            let (least, most) = (TIMEOUTS.start(), TIMEOUTS.end());
            let why = format!("expected seconds from {least} to {most}, such as 3 or 2.5");
            Err(wrong("--timeout", text, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(host: &str, change: impl FnOnce(&mut Arguments)) -> Result<Plan, String> {
        let mut arguments = Arguments {
            host: host.into(),
            ..Arguments::default()
        };
        change(&mut arguments);
        Plan::new(&arguments)
    }

    #[test]
    fn a_host_alone_is_asked_as_the_player_asks() {
        let plan = plan("Game.Example.com.", |_| ()).unwrap();
        assert_eq!(plan.host.to_string(), "game.example.com");
        assert_eq!(
            (plan.port, plan.timeout, plan.other_patience),
            (843, PLAYERS_PATIENCE, OTHER_PATIENCE)
        );
        assert_eq!(plan.patience, MASTER_PATIENCE);
        assert!(plan.from.is_none() && plan.to.is_none() && plan.loads.is_empty());
    }

    #[test]
    fn every_argument_is_understood() {
        let plan = plan("::1", |a| {
            a.from = Some("https://www.example.com/game.swf".into());
            a.to = Some("2001,80-81,2001".into());
            a.load = vec![
                "xmlsocket://game.example.com:10843".into(),
                "[::1]:8430".into(),
            ];
            a.port = Some("8843".into());
            a.timeout = Some("0.5".into());
        })
        .unwrap();
        assert_eq!(plan.host.to_string(), "[::1]");
        assert_eq!(plan.sample([]), [2001, 80, 81]);
        let loads: Vec<_> = plan.loads.iter().map(ToString::to_string).collect();
        assert_eq!(loads, ["game.example.com:10843", "[::1]:8430"]);
        assert_eq!(
            (plan.port, plan.patience, plan.other_patience),
            (8843, Duration::from_millis(500), Duration::from_millis(500))
        );
    }

    #[test]
    fn a_location_is_understood_as_it_stands_in_a_swf_or_in_a_log() {
        let load = |text: &str| {
            let plan = plan("a", |a| a.load = vec![text.into()])?;
            Ok::<_, String>(plan.loads[0].to_string())
        };
        for (text, expected) in [
            ("xmlSocket://game.example.com:4000", "game.example.com:4000"),
            ("XMLSOCKET://10.0.0.1:5591/", "10.0.0.1:5591"),
            ("xmlsocket://[::1]:843/", "[::1]:843"),
            ("game.example.com:843/", "game.example.com:843"),
        ] {
            assert_eq!(load(text).as_deref(), Ok(expected));
        }
        for (text, expected) in [
            (
                "http://a.example/crossdomain.xml",
                "a policy that comes over HTTP opens no socket",
            ),
            (
                "HTTPS://a.example:8443/policy",
                "name the port of a policy server, such as --load",
            ),
            ("tlssocket://a.example:443", "--tls without --load"),
            (
                "tls://a.example:443/",
                "no location that loadPolicyFile is known to take",
            ),
            ("ftp://a.example:21", "which knows no other scheme"),
            (
                "xmlsocket://a.example",
                "the port is missing; expected HOST:PORT",
            ),
            (
                "xmlsocket://[::1]",
                "the port is missing; expected HOST:PORT",
            ),
            ("xmlsocket://a.example/x:80", "this is more than a host"),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_to_write() {
        type Change = fn(&mut Arguments);
        let cases: [(&str, Change, &str); 15] = [
            ("", |_| (), "HOST is empty: write a host name or an address"),
            (
                "http://a.example/",
                |_| (),
                "this is more than a host; write the host name",
            ),
            (
                "a.example:843",
                |_| (),
                "a.example has a port behind it; write a.example alone",
            ),
            (
                "10.0.0.1:843",
                |_| (),
                "10.0.0.1 has a port behind it; write 10.0.0.1 alone",
            ),
            ("[::1]:843", |_| (), "has a port behind it"),
            ("file:", |_| (), "this is no host"),
            ("a\u{1b}b", |_| (), "HOST 'a\\u{1b}b'"),
            ("a", |a| a.from = Some("b".into()), "--from needs --to"),
            ("a", |a| a.to = Some("1".into()), "--to needs --from"),
            (
                "a",
                |a| (a.from, a.to) = (Some("ftp://b".into()), Some("1".into())),
                "content is not loaded over `ftp`",
            ),
            (
                "a",
                |a| (a.from, a.to) = (Some("b".into()), Some("90-80".into())),
                "--to '90-80': the range `90-80` runs backwards; write `80-90`",
            ),
            ("a", |a| a.port = Some("0".into()), "--port '0': no port"),
            (
                "a",
                |a| a.timeout = Some("soon".into()),
                "expected seconds from 0.1 to 60, such as 3 or 2.5",
            ),
            (
                "a",
                |a| a.load = vec!["b".into()],
                "the port is missing; expected HOST:PORT",
            ),
            (
                "a",
                |a| a.load = vec!["b:1".into(); 9],
                "--load is given 9 times; 8 are the most",
            ),
        ];
        for (host, change, expected) in cases {
            let error = plan(host, change).unwrap_err();
            assert!(error.contains(expected), "{host}: {error}");
            assert!(!error.contains('\u{1b}'));
        }
    }
}
