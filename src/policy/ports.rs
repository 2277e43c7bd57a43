//! The ports of a grant: `*`, or a list of ports and ranges.
//!
//! Knows the syntax of `to-ports` and membership; never the 1024 rule, which
//! depends on where a policy is served and belongs to `decide`.

use std::{fmt, ops::RangeInclusive};

use super::ParseError;
use crate::text::quote;

/// The port of the master policy: Flash Player asks there first, and only
/// there does a meta-policy count (rule book 1.10 \[SPF, DG\] and 2.6).
pub const MASTER_PORT: u16 = 843;

/// Policies from this port upwards grant nothing below it (rule book 4.1
/// \[DG, FL8\]).
pub const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

/// The most ports that are asked one by one; of more, a sample is asked.
pub const MAX_ASKED: usize = 16;

/// The ports that are asked, of all that were named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// In the order in which they were named; of a sample, ascending. At most [`MAX_ASKED`].
    pub ports: Vec<u16>,
    /// How many were named.
    pub of: usize,
}

impl Sample {
    /// Whether some were left out.
    pub fn is_partial(&self) -> bool {
        self.ports.len() < self.of
    }
}

const EVERY_PORT: [RangeInclusive<u16>; 1] = [1..=u16::MAX];

/// A set of destination ports, as in `to-ports` (rule book 2.10 \[DG, SPEC\]): the ranges as
/// written, a single port being a range of one; none for `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSet(Option<Vec<RangeInclusive<u16>>>);

impl PortSet {
    /// Every port: `*`.
    pub const ALL: PortSet = PortSet(None);

    /// Reads `*`, or ports (1 to 65535) and inclusive ranges, separated by
    /// commas: `2001,3000-3010`.
    ///
    /// Blanks around numbers are accepted, because players are said to
    /// accept some (rule book 2.10); [`read`](super::read) warns of them.
    ///
    /// # Errors
    /// Says which entry is no port or range, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let trimmed = trim(text);
        if trimmed == "*" {
            return Ok(PortSet::ALL);
        }
        if trimmed.is_empty() {
            return Err(ParseError::new("the list of ports is empty", HOW));
        }
        if trimmed.contains('*') {
            return Err(ParseError::new(
                format!("{} mixes `*` with other ports", quote(trimmed)),
                "write `*` alone for every port, or list ports without it",
            ));
        }
        let entries = trimmed.split(',').map(|entry| range(trim(entry)));
        let entries = entries
            .collect::<Result<_, _>>()
            .map_err(|fault| ParseError {
                cure: digits(trimmed).map_or(fault.cure, |port| {
                    format!("was {port} meant? write `{port}`")
                }),
                ..fault
            })?;
        Ok(PortSet(Some(entries)))
    }

    /// The port that this list seems to have been before a program took it apart into its digits.
    pub(super) fn as_digits(&self) -> Option<u16> {
        digits(&self.to_string())
    }

    /// These ports, from 1, each by itself.
    pub fn of(ports: &[u16]) -> PortSet {
        PortSet(Some(one_by_one(ports.iter().copied())))
    }

    /// Whether a connection to this port is in the set.
    pub fn contains(&self, port: u16) -> bool {
        let listed = self.ranges();
        listed.is_none_or(|ranges| ranges.iter().any(|range| range.contains(&port)))
    }

    /// The ranges as written, a single port being a range of one; `None` for `*`.
    pub fn ranges(&self) -> Option<&[RangeInclusive<u16>]> {
        self.0.as_deref()
    }

    /// The set with this range of it written as a list.
    pub(super) fn listed(&self, range: &RangeInclusive<u16>) -> PortSet {
        let listed = self.ranges().map(|ranges| {
            let ranges = ranges.iter().cloned();
            let ranges = ranges.flat_map(|known| match known == *range {
                true => one_by_one(known),
                false => vec![known],
            });
            ranges.collect()
        });
        PortSet(listed)
    }

    /// The same set as somebody would write it in the configuration: three neighbours or more are a
    /// range.
    pub fn coalesced(&self) -> PortSet {
        let Some(ranges) = self.ranges() else {
            return PortSet::ALL;
        };
        let mut joined: Vec<RangeInclusive<u16>> = Vec::new();
        for range in ranges {
            match joined.last_mut() {
                Some(last) if u32::from(*range.start()) == u32::from(*last.end()) + 1 => {
                    *last = *last.start()..=*range.end();
                }
                _ => joined.push(range.clone()),
            }
        }
        let ranges = joined.into_iter().flat_map(|range| match range.len() {
            2 => one_by_one(range),
            _ => vec![range],
        });
        PortSet(Some(ranges.collect()))
    }

    /// The ranges with more than one port, as written; none for `*`.
    pub fn long_ranges(&self) -> impl Iterator<Item = &RangeInclusive<u16>> {
        let ranges = self.ranges().unwrap_or_default().iter();
        ranges.filter(|range| range.start() < range.end())
    }

    /// The ranges in ascending order, those that touch or overlap as one.
    fn merged(&self) -> Vec<(u16, u16)> {
        let ranges = self.ranges().unwrap_or(&EVERY_PORT).iter();
        let mut ranges: Vec<_> = ranges.map(|r| (*r.start(), *r.end())).collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::new();
        for (first, end) in ranges {
            match merged.last_mut() {
                Some((_, last)) if u32::from(first) <= u32::from(*last) + 1 => {
                    *last = end.max(*last)
                }
                _ => merged.push((first, end)),
            }
        }
        merged
    }

    /// Whether every port is in the set, however it is written.
    pub fn is_everything(&self) -> bool {
        self.merged() == [(1, u16::MAX)]
    }

    /// Every port of the set, each once, in the order in which they are written.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        let ranges = self.ranges().unwrap_or(&EVERY_PORT).iter();
        let mut seen = vec![false; usize::from(u16::MAX) + 1];
        ranges
            .cloned()
            .flatten()
            .filter(move |port| !std::mem::replace(&mut seen[usize::from(*port)], true))
    }

    /// The ports to ask one by one: all of them up to [`MAX_ASKED`]; of more, the first and the
    /// last of each range, and those at the edges of what is granted, on both sides. Where even
    /// these are too many, some of them from one end to the other.
    pub fn sample<'a>(&self, granted: impl IntoIterator<Item = &'a PortSet>) -> Sample {
        let all: Vec<u16> = self.iter().collect();
        let of = all.len();
        if of <= MAX_ASKED {
            return Sample { ports: all, of };
        }
        let mut edges = Vec::new();
        for range in self.ranges().unwrap_or_default().iter().chain(&EVERY_PORT) {
            edges.extend([*range.start(), *range.end()]);
        }
        edges.extend([FIRST_UNPRIVILEGED_PORT - 1, FIRST_UNPRIVILEGED_PORT]);
        for (first, last) in granted.into_iter().flat_map(PortSet::merged) {
            edges.extend([first.saturating_sub(1), first, last, last.saturating_add(1)]);
        }
        edges.retain(|port| *port > 0 && self.contains(*port));
        edges.sort_unstable();
        edges.dedup();
        let (mut ports, last) = (Vec::new(), edges.len().saturating_sub(1));
        let steps = MAX_ASKED.min(edges.len());
        for step in 0..steps {
            let at = step * last / steps.saturating_sub(1).max(1);
            ports.extend(edges.get(at));
        }
        Sample { ports, of }
    }

    /// Whether ports below 1024 are named, as opposed to covered by `*`.
    pub(super) fn names_low_ports(&self) -> bool {
        let mut ranges = self.ranges().unwrap_or_default().iter();
        ranges.any(|range| *range.start() < FIRST_UNPRIVILEGED_PORT)
    }
}

fn one_by_one(ports: impl Iterator<Item = u16>) -> Vec<RangeInclusive<u16>> {
    ports.map(|port| port..=port).collect()
}

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(ranges) = self.ranges() else {
            return f.write_str("*");
        };
        for (index, range) in ranges.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}", range.start())?;
            if range.len() > 1 {
                write!(f, "-{}", range.end())?;
            }
        }
        Ok(())
    }
}

const HOW: &str = "write `*`, or ports and ranges such as `2001,3000-3010`";

fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace())
}

fn range(entry: &str) -> Result<RangeInclusive<u16>, ParseError> {
    if entry.is_empty() {
        return Err(ParseError::new(
            "the list of ports has an empty entry",
            "delete the extra comma",
        ));
    }
    let Some((first, last)) = entry.split_once('-') else {
        let port = port(entry)?;
        return Ok(port..=port);
    };
    let (first, last) = (trim(first), trim(last));
    if first.is_empty() || last.is_empty() {
        return Err(ParseError::new(
            format!("the range {} lacks an end", quote(entry)),
            "write both its first and its last port, such as `3000-3010`",
        ));
    }
    let outside = |mut fault: ParseError| {
        if let (Some(from), Some(to)) = (nearest(first), nearest(last)) {
            if from < to {
                fault.cure = format!("the first port is 1, the last 65535; write `{from}-{to}`");
            }
        }
        fault
    };
    let (first, last) = (port(first).map_err(outside)?, port(last).map_err(outside)?);
    if first > last {
        return Err(ParseError::new(
            format!("the range {} runs backwards", quote(entry)),
            format!("write `{last}-{first}`"),
        ));
    }
    Ok(first..=last)
}

/// The number that these ports make up, where all have one digit, and they are three or more, or one
/// stands there twice.
fn digits(list: &str) -> Option<u16> {
    // A longer list makes up no port.
    let digits: Vec<_> = list.split(',').map(trim).take(6).collect();
    let is_digit = |entry: &&str| entry.len() == 1 && entry.bytes().all(|b| b.is_ascii_digit());
    let repeats = || (1..digits.len()).any(|at| digits[..at].contains(&digits[at]));
    let taken_apart = digits.iter().all(is_digit) && (digits.len() >= 3 || repeats());
    let number = taken_apart.then(|| digits.concat().parse().ok())?;
    number.filter(|port| *port > 0)
}

/// The port that is nearest to this number; none where it is no number.
fn nearest(number: &str) -> Option<u64> {
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| digits)?;
    Some(number.clamp(1, u16::MAX.into()))
}

/// Ports are 1 to 65535 (rule book 4.3 \[ASDOC\]: anything else is error #2003).
fn port(text: &str) -> Result<u16, ParseError> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseError::new(format!("{} is no port", quote(text)), HOW));
    }
    match text.parse() {
        Ok(0) => Err(ParseError::new("there is no port 0", "begin at port 1")),
        Ok(port) => Ok(port),
        Err(_) => Err(ParseError::new(
            format!("there is no port {}", quote(text)),
            "the last port is 65535",
        )),
    }
}

#[cfg(test)]
#[path = "ports_tests.rs"]
mod tests;
