//! The players that ask for socket policies, and in what they differ from Flash Player.
//!
//! How a player takes a policy is said here, a method for each difference; `decide`, `explain` and
//! `lightspark` apply it. How it takes an answer on the wire is in the probe's `player.rs`. Others name
//! a player only to say what holds for it alone.

use std::{fmt, net::IpAddr, ops::RangeInclusive, str::FromStr};

use super::{
    DomainPattern, FIRST_UNPRIVILEGED_PORT, Grant, Host, Origin, ParseError, PortSet, blocked,
    parse_error::by_name,
};

/// The error that Flash Player reports where no policy allows a connection.
pub const SECURITY_ERROR: &str = "SecurityError #2048";

/// The player whose verdict is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Player {
    /// Adobe Flash Player: the rules of the rule book.
    #[default]
    Flash,
    /// Lightspark (rule book 7.1, 7.2).
    Lightspark,
    /// Unity Web Player (rule book 7.9).
    Unity,
}

impl Player {
    /// The clause for a connection that no policy allows (rule book 5.2, 7.7).
    pub fn refusal(self) -> String {
        match self {
            Player::Flash => format!("the player reports {SECURITY_ERROR} after 20 s"),
            player => format!("{player} refuses"),
        }
    }
}

impl Player {
    /// Every player, with the name that `--player` takes.
    const ALL: [(&'static str, Player); 3] = [
        ("flash", Player::Flash),
        ("lightspark", Player::Lightspark),
        ("unity", Player::Unity),
    ];

    /// The name that `--player` takes.
    pub fn as_str(self) -> &'static str {
        match self {
            Player::Flash => "flash",
            Player::Lightspark => "lightspark",
            Player::Unity => "unity",
        }
    }

    /// The first port whose policies grant nothing below 1024 (rule book 4.1). Lightspark has no such
    /// rule; Unity's code lets port 1024 itself grant low ports.
    pub(super) fn first_high_source(self) -> Option<u16> {
        match self {
            Player::Flash => Some(FIRST_UNPRIVILEGED_PORT),
            Player::Lightspark => None,
            Player::Unity => Some(FIRST_UNPRIVILEGED_PORT + 1),
        }
    }

    /// Whether `site-control` counts in the master (rule book 2.4). Unity does not look at it.
    pub(super) fn knows_meta_policy(self) -> bool {
        self != Player::Unity
    }

    /// Whether the destination port is asked last, without being named (rule book 1.10). Unity asks
    /// only port 843 and what `Security.PrefetchSocketPolicy` names.
    pub fn asks_destination(self) -> bool {
        self != Player::Unity
    }

    /// Whether it takes content from `origin` for what `pattern` means, by its own rules where they
    /// differ: Lightspark's are those of rule book 7.2, and Unity takes `*` alone (7.9).
    pub fn matches(self, pattern: &DomainPattern, origin: &Origin) -> bool {
        match self {
            Player::Flash => pattern.matches(origin),
            Player::Lightspark => lightspark_matches(pattern, origin),
            Player::Unity => *pattern == DomainPattern::ANY,
        }
    }

    /// The conditions under which its verdict on content from there and on these ports holds:
    /// sentences.
    pub fn conditions(self, origin: &Origin, ports: &[u16]) -> Vec<String> {
        let of_the_origin = self.origin_conditions(origin).iter();
        let of_the_origin = of_the_origin.map(|sentence| (*sentence).into());
        let of_the_ports = self.port_condition(ports).into_iter();
        of_the_ports.chain(of_the_origin).collect()
    }

    /// The ports among these that it connects to in no case (rule book 4.3): a sentence.
    pub fn port_condition(self, ports: &[u16]) -> Option<String> {
        let cause = blocked::cause(ports).filter(|_| self == Player::Flash)?;
        Some(format!("{cause}; {}.", blocked::CURE))
    }

    /// Local content is in one of three sandboxes, of which one asks for a policy (rule book 3.7):
    /// sentences.
    pub fn origin_conditions(self, origin: &Origin) -> &'static [&'static str] {
        match (self, origin) {
            (Player::Flash, Origin::Local) => &[
                "This is about a SWF that was published for network access (local-with-networking).",
                "One that was published for local files only (local-with-filesystem) gets #2010, \
                 whatever a policy grants: publish it for network access.",
                "One that is trusted on its computer (local-trusted) needs no policy.",
            ],
            (Player::Lightspark, Origin::Local) => {
                &["A SWF that Lightspark trusts needs no policy for `localhost` and 127.0.0.1."]
            }
            _ => &[],
        }
    }

    /// Why it connects to this host in no case, and what to do (rule book 7.7).
    pub fn refuses(self, host: &Host) -> Option<&'static str> {
        (self == Player::Lightspark && matches!(host, Host::Ip(IpAddr::V6(_)))).then_some(
            "Lightspark refuses every host with a colon, and asks for no policy: let the SWF name \
             this host, or its IPv4 address",
        )
    }

    /// What of this grant nobody knows how the player takes: a sentence without its full stop.
    pub fn doubt(self, grant: &Grant) -> Option<String> {
        grant.domain.doubt().filter(|_| self == Player::Flash)
    }

    /// Whether it takes `port` for one of these.
    pub fn grants(self, ports: &PortSet, port: u16) -> bool {
        let listed = ports.ranges();
        listed.is_none_or(|ranges| ranges.iter().any(|range| self.in_range(range, port)))
    }

    /// Lightspark counts only the first port of a range; Unity leaves out its last.
    fn in_range(self, range: &RangeInclusive<u16>, port: u16) -> bool {
        let counts = match self {
            Player::Flash => true,
            Player::Lightspark => port == *range.start(),
            Player::Unity => port != *range.end() || range.start() == range.end(),
        };
        counts && range.contains(&port)
    }

    /// What makes this player's verdict on ports another one than Flash Player's, to be said behind
    /// "for ports 3000-3010"; none where it is the same.
    pub(super) fn on_ranges(self) -> Option<&'static str> {
        match self {
            Player::Flash => None,
            Player::Lightspark => Some("Lightspark counts only the first port of a range"),
            Player::Unity => Some("Unity Web Player leaves out the last port of a range"),
        }
    }
}

/// Whether Lightspark takes content from `origin` for what `pattern` means: letter by letter but for
/// case, and `*.` in front stands for the name and all that ends in a dot and it. Local content has
/// no host.
fn lightspark_matches(pattern: &DomainPattern, origin: &Origin) -> bool {
    let asked = match origin {
        Origin::Anywhere => return *pattern == DomainPattern::ANY,
        Origin::Local => String::new(),
        Origin::Web { host, .. } => host.to_string(),
    };
    let pattern = pattern.to_string().to_ascii_lowercase();
    pattern == "*"
        || pattern == asked
        || pattern.strip_prefix("*.").is_some_and(|suffix| {
            let before = asked.strip_suffix(suffix);
            before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
        })
}

impl fmt::Display for Player {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Player::Flash => "Flash Player",
            Player::Lightspark => "Lightspark",
            Player::Unity => "Unity Web Player",
        })
    }
}

impl FromStr for Player {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let otherwise = "write `flash`, `lightspark` or `unity`; Ruffle asks for no policy";
        by_name(text, &Player::ALL, "player", otherwise)
    }
}
