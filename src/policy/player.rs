//! The players that ask for socket policies, and in what they differ from Flash Player.
//!
//! The only place that knows those differences; `decide` and `explain` apply them. It never judges a
//! policy itself.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use super::{DomainPattern, Fault, Host, Origin, PortSet, domain::Pattern};
use crate::text::{did_you_mean, quote};

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

/// In what a player differs; each field is a rule of Flash Player's that it may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A policy served from a port of 1024 or more grants nothing below (rule book 4.1). Lightspark
    /// has no such rule; Unity's code lets port 1024 itself grant low ports.
    pub first_high_source: Option<u16>,
    /// `site-control` counts in the master (rule book 2.4). Unity does not look at it.
    pub knows_meta_policy: bool,
    /// The destination port is asked last, without being named (rule book 1.10). Unity asks only
    /// port 843 and what `Security.PrefetchSocketPolicy` names.
    pub asks_destination: bool,
    /// `site-control` in a policy from another port than 843 is passed over (rule book 2.6).
    /// Lightspark drops the whole file over it.
    pub takes_control_elsewhere: bool,
    /// Which ports of a range count.
    pub ranges: Ranges,
}

/// Which ports of a range in `to-ports` count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranges {
    /// All of them (rule book 2.10).
    Whole,
    /// The first alone: Lightspark.
    FirstOnly,
    /// All but the last: Unity.
    WithoutLast,
}

impl Player {
    /// Every player, with the name that `--player` takes.
    pub const ALL: [(&'static str, Player); 3] = [
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

    /// In what it differs from Flash Player.
    pub fn rules(self) -> Rules {
        let flash = Rules {
            first_high_source: Some(super::FIRST_UNPRIVILEGED_PORT),
            knows_meta_policy: true,
            asks_destination: true,
            takes_control_elsewhere: true,
            ranges: Ranges::Whole,
        };
        match self {
            Player::Flash => flash,
            Player::Lightspark => Rules {
                first_high_source: None,
                takes_control_elsewhere: false,
                ranges: Ranges::FirstOnly,
                ..flash
            },
            Player::Unity => Rules {
                first_high_source: Some(super::FIRST_UNPRIVILEGED_PORT + 1),
                knows_meta_policy: false,
                asks_destination: false,
                ranges: Ranges::WithoutLast,
                ..flash
            },
        }
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
        let Some(ranges) = ports.ranges() else {
            return true;
        };
        ranges.iter().any(|range| self.in_range(range, port))
    }

    fn in_range(self, range: &RangeInclusive<u16>, port: u16) -> bool {
        let single = range.start() == range.end();
        range.contains(&port)
            && (single
                || match self.rules().ranges {
                    Ranges::Whole => true,
                    Ranges::FirstOnly => port == *range.start(),
                    Ranges::WithoutLast => port != *range.end(),
                })
    }

    /// What makes this player's verdict on ports another one than Flash Player's, to be said behind
    /// "for ports 3000-3010"; none where it is the same.
    pub(super) fn on_ranges(self) -> Option<&'static str> {
        match self.rules().ranges {
            Ranges::Whole => None,
            Ranges::FirstOnly => Some("of a range Lightspark counts only the first port"),
            Ranges::WithoutLast => Some("of a range Unity Web Player leaves out the last port"),
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
        let known = Player::ALL.iter().find(|(name, _)| *name == text);
        known.map(|(_, player)| *player).ok_or_else(|| {
            let names = Player::ALL.map(|(name, _)| name);
            Fault::new(
                format!("{} is no player", quote(text)),
                did_you_mean(text, &names, "`").unwrap_or_else(|| {
                    "write `flash`, `lightspark` or `unity`; Ruffle asks for no policy".into()
                }),
            )
        })
    }
}
