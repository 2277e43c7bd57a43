//! The players that ask for socket policies, and in what they differ from Flash Player.
//!
//! The only place that knows those differences; `decide` and `explain` apply them. It never judges a
//! policy itself.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use super::{
    DomainPattern, FIRST_UNPRIVILEGED_PORT, Fault, Host, Origin, PortSet, domain::Pattern,
    fault::by_name,
};

/// The error that Flash Player reports where no policy allows a connection.
pub const SECURITY_ERROR: &str = "SecurityError #2048";

/// The player whose verdict is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Player {
    /// Adobe Flash Player: the rules of the rule book.
    #[default]
    Flash,
    /// Lightspark (rule book 7 \[LS\], and 193 cases that were run against this server).
    Lightspark,
    /// Unity Web Player (rule book 7 \[UN, UNDOC\]).
    Unity,
}

impl Player {
    /// The clause for a connection that no policy allows.
    pub fn refusal(self) -> String {
        match self {
            Player::Flash => format!("the player reports {SECURITY_ERROR}"),
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
    /// differ.
    ///
    /// Lightspark compares names literally: a trailing dot does not match, and `*.0.0.1` matches
    /// 127.0.0.1. Unity takes `*` and nothing else.
    pub fn matches(self, pattern: &DomainPattern, origin: &Origin) -> bool {
        match (self, &pattern.0, origin) {
            (Player::Unity, pattern, _) => *pattern == Pattern::Any,
            (Player::Lightspark, Pattern::Host(name) | Pattern::Subdomains(name), _)
                if name.ends_with('.') =>
            {
                false
            }
            (
                Player::Lightspark,
                Pattern::Subdomains(suffix),
                Origin::Web {
                    host: Host::Ip(ip), ..
                },
            ) => ip.to_string().ends_with(&format!(".{suffix}")),
            _ => pattern.matches(origin),
        }
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
            Player::Lightspark => Some("of a range Lightspark counts only the first port"),
            Player::Unity => Some("of a range Unity Web Player leaves out the last port"),
        }
    }
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
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let otherwise = "write `flash`, `lightspark` or `unity`; Ruffle asks for no policy";
        by_name(text, &Player::ALL, "player", otherwise)
    }
}
