//! The severity of a report, in the levels of monitoring plugins. It connects to nothing.

use super::classes::Class;
use super::classify::{Answer, AnswerState};
use super::report::{Address, Report};
use super::step::{Role, Step};
use super::verdict::PortVerdict;
use crate::output::exit::ProbeExit;
use crate::policy::Severity;

impl Report {
    /// How bad it is, all in all.
    pub fn level(&self) -> ProbeExit {
        let unresolved = self
            .remarks
            .iter()
            .any(|remark| remark.class == Class::Unresolved);
        if unresolved || self.addresses.iter().all(Address::has_no_route) {
            return ProbeExit::Critical;
        }
        let of_addresses = self.addresses.iter().map(Address::level).max();
        let of_remarks = if self.remarks.is_empty() {
            ProbeExit::Fine
        } else {
            ProbeExit::Warnings
        };
        match of_addresses.unwrap_or(ProbeExit::Critical).max(of_remarks) {
            ProbeExit::Warnings if self.plan.errors_only => ProbeExit::Fine,
            level => level,
        }
    }
}

impl Address {
    /// How bad it is for players that use this address.
    pub fn level(&self) -> ProbeExit {
        if self.has_no_route() {
            return ProbeExit::Warnings;
        }
        let failing = self.verdicts.iter().filter(|verdict| !verdict.works());
        let failing = failing.map(|_| ProbeExit::Critical);
        let loads = self.loads.iter().map(|load| match load.answer.state {
            AnswerState::Counts => load.answer.level(),
            // The SWF names it, and it fails; it may not be needed.
            _ if self.verdicts.is_empty() => ProbeExit::Critical,
            _ => ProbeExit::Warnings,
        });
        let own = self.verdicts.iter();
        let own = own.filter(|verdict| verdict.role() == Some(Role::Destination));
        let own = own.filter_map(|verdict| Some(verdict.own.as_ref()?.answer.level()));
        let distrust = self.verdicts.iter().filter(|v| v.distrust.is_some());
        let failing = failing.chain(distrust.map(|_| ProbeExit::Warnings));
        let others = failing.chain(loads).chain(own);
        let master = self
            .master
            .as_ref()
            .map_or(ProbeExit::Fine, |m| self.master_level(m));
        others.fold(master, ProbeExit::max)
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

    fn master_level(&self, master: &Step) -> ProbeExit {
        let answer = &master.answer;
        match answer.state {
            AnswerState::Counts => answer.level(),
            AnswerState::Unusable => ProbeExit::Critical,
            AnswerState::Absent => {
                let mut loads = self.loads.iter();
                let works = loads.any(|load| load.answer.state == AnswerState::Counts);
                if self.verdicts.is_empty() && !works {
                    ProbeExit::Critical
                } else if answer.fault() == Some(Class::Refused) {
                    // The player goes on at once.
                    ProbeExit::Fine
                } else {
                    ProbeExit::Warnings
                }
            }
        }
    }
}

impl Answer {
    /// How bad an answer is that counts.
    fn level(&self) -> ProbeExit {
        let mut findings = self.reading.iter().flat_map(|reading| &reading.findings);
        let of_policy = findings.any(|finding| finding.code.severity() == Severity::Warning);
        if of_policy || self.remarks.iter().any(|remark| !remark.is_error()) {
            ProbeExit::Warnings
        } else {
            ProbeExit::Fine
        }
    }
}
