//! The severity of a report, in the levels of monitoring plugins. It connects to nothing.

use super::classes::Class;
use super::classify::{Answer, AnswerState};
use super::report::{Address, Report};
use super::step::Role;
use super::verdict::PortVerdict;
use crate::exit::ProbeExit;

/// How bad it is: a monitoring plugin's states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// All is well.
    Fine,
    /// It works, and something should be changed.
    Warning,
    /// Denied, unreachable or invalid.
    Critical,
}

impl Level {
    /// The word that monitoring plugins have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Fine => "OK",
            Level::Warning => "WARNING",
            Level::Critical => "CRITICAL",
        }
    }
}

impl From<Level> for ProbeExit {
    fn from(level: Level) -> Self {
        match level {
            Level::Fine => ProbeExit::Fine,
            Level::Warning => ProbeExit::Warnings,
            Level::Critical => ProbeExit::Critical,
        }
    }
}

impl Report {
    /// How bad it is, all in all.
    pub fn level(&self) -> Level {
        let unresolved = self
            .remarks
            .iter()
            .any(|remark| remark.class == Class::Unresolved);
        if unresolved || self.addresses.iter().all(Address::has_no_route) {
            return Level::Critical;
        }
        let of_addresses = self.addresses.iter().map(Address::level).max();
        let of_remarks = if self.remarks.is_empty() {
            Level::Fine
        } else {
            Level::Warning
        };
        of_addresses.unwrap_or(Level::Critical).max(of_remarks)
    }
}

impl Address {
    /// How bad it is for players that use this address.
    pub fn level(&self) -> Level {
        if self.has_no_route() {
            return Level::Warning;
        }
        let verdicts = self.verdicts.iter().map(PortVerdict::level);
        let loads = self.loads.iter().map(|load| match load.answer.state {
            AnswerState::Counts => load.answer.level(),
            // The SWF names it, and it fails; it may not be needed.
            _ if self.verdicts.is_empty() => Level::Critical,
            _ => Level::Warning,
        });
        let own = self.own.iter().filter(|own| {
            let port = own.exchange.address.port();
            self.verdicts.iter().any(|v| {
                v.port == port && v.by.as_ref().is_some_and(|by| by.role == Role::Destination)
            })
        });
        let own = own.map(|own| own.answer.level());
        verdicts
            .chain(loads)
            .chain(own)
            .chain([self.master_level()])
            .max()
            .unwrap_or(Level::Fine)
    }

    /// Whether players get everything that was asked for although port 843 refuses connections.
    pub(super) fn works_without_master(&self) -> bool {
        if self.verdicts.is_empty() {
            let mut loads = self.loads.iter();
            return !self.loads.is_empty()
                && loads.all(|load| load.answer.state == AnswerState::Counts);
        }
        self.verdicts.iter().all(PortVerdict::is_allowed)
    }

    fn master_level(&self) -> Level {
        let answer = &self.master.answer;
        match answer.state {
            AnswerState::Counts => answer.level(),
            AnswerState::Unusable => Level::Critical,
            AnswerState::Absent => {
                let mut loads = self.loads.iter();
                let works = loads.any(|load| load.answer.state == AnswerState::Counts);
                let refused = answer
                    .error()
                    .is_some_and(|error| error.class == Class::Refused);
                if self.verdicts.is_empty() && !works {
                    Level::Critical
                } else if refused {
                    // The player goes on at once.
                    Level::Fine
                } else {
                    Level::Warning
                }
            }
        }
    }
}

impl PortVerdict {
    /// How bad it is for the SWF.
    fn level(&self) -> Level {
        if self.works() {
            Level::Fine
        } else {
            Level::Critical
        }
    }
}

impl Answer {
    /// How bad an answer is that counts.
    fn level(&self) -> Level {
        if self.warnings() > 0 {
            Level::Warning
        } else {
            Level::Fine
        }
    }
}
