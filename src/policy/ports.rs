//! The ports of a grant: `*`, or a list of ports and ranges.
//!
//! Knows the syntax of `to-ports` and membership; never the 1024 rule, which
//! depends on where a policy is served and belongs to `decide`.

use std::{fmt, ops::RangeInclusive};

use super::{Fault, FIRST_UNPRIVILEGED_PORT};
use crate::text::quote;

/// The most ports that are asked one by one; of more, a sample is asked.
pub const MAX_ASKED: usize = 16;

/// The ports that are asked of all that somebody named.
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

/// A set of destination ports, as in `to-ports` (rule book 2.10 \[DG, SPECcn\]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSet(Ports);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Ports {
    All,
    Listed(Vec<RangeInclusive<u16>>),
}

impl PortSet {
    /// Every port: `*`.
    pub const ALL: PortSet = PortSet(Ports::All);

    /// Reads `*`, or ports (1 to 65535) and inclusive ranges, separated by
    /// commas: `2001,3000-3010`.
    ///
    /// Blanks around numbers are accepted, because players are said to
    /// accept some (rule book 2.10); [`read`](super::read) warns of them.
    ///
    /// # Errors
    /// Says which entry is no port or range, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let trimmed = trim(text);
        if trimmed == "*" {
            return Ok(PortSet::ALL);
        }
        if trimmed.is_empty() {
            return Err(Fault::new("the list of ports is empty", HOW));
        }
        if trimmed.contains('*') {
            return Err(Fault::new(
                format!("{} mixes `*` with other ports", quote(trimmed)),
                "write `*` alone for every port, or list ports without it",
            ));
        }
        let entries = trimmed.split(',').map(|entry| range(trim(entry)));
        Ok(PortSet(Ports::Listed(entries.collect::<Result<_, _>>()?)))
    }

    /// Whether a connection to this port is in the set.
    pub fn contains(&self, port: u16) -> bool {
        match &self.0 {
            Ports::All => true,
            Ports::Listed(ranges) => ranges.iter().any(|range| range.contains(&port)),
        }
    }

    /// The ranges as written, a single port being a range of one; `None` for `*`.
    pub fn ranges(&self) -> Option<&[RangeInclusive<u16>]> {
        match &self.0 {
            Ports::All => None,
            Ports::Listed(ranges) => Some(ranges),
        }
    }

    /// Whether every port is in the set, however it is written.
    pub fn is_everything(&self) -> bool {
        let Some(ranges) = self.ranges() else {
            return true;
        };
        let mut ranges: Vec<_> = ranges.iter().map(|r| (*r.start(), *r.end())).collect();
        ranges.sort_unstable();
        let mut next = 1u32;
        for (first, last) in ranges {
            if u32::from(first) > next {
                return false;
            }
            next = next.max(u32::from(last) + 1);
        }
        next > u32::from(u16::MAX)
    }

    /// Every port of the set, each once, in the order in which they are written.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        let all = [1..=u16::MAX];
        let ranges = self.ranges().map_or(all.to_vec(), <[_]>::to_vec);
        let mut seen = vec![false; usize::from(u16::MAX) + 1];
        ranges
            .into_iter()
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
        let named = self.ranges().unwrap_or(&[]).iter().cloned();
        for range in named.chain([1..=u16::MAX]) {
            edges.extend([*range.start(), *range.end()]);
        }
        edges.extend([FIRST_UNPRIVILEGED_PORT - 1, FIRST_UNPRIVILEGED_PORT]);
        for range in granted.into_iter().filter_map(PortSet::ranges).flatten() {
            let (first, last) = (*range.start(), *range.end());
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

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(ranges) = self.ranges() else {
            return f.write_str("*");
        };
        for (index, range) in ranges.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{}", range.start())?;
            if range.start() != range.end() {
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

fn range(entry: &str) -> Result<RangeInclusive<u16>, Fault> {
    if entry.is_empty() {
        return Err(Fault::new(
            "the list of ports has an empty entry",
            "delete the comma too many",
        ));
    }
    let Some((first, last)) = entry.split_once('-') else {
        let port = port(entry)?;
        return Ok(port..=port);
    };
    let (first, last) = (trim(first), trim(last));
    if first.is_empty() || last.is_empty() {
        return Err(Fault::new(
            format!("the range {} lacks an end", quote(entry)),
            "write both its first and its last port, such as `3000-3010`",
        ));
    }
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(Fault::new(
            format!("the range {} runs backwards", quote(entry)),
            format!("write `{last}-{first}`"),
        ));
    }
    Ok(first..=last)
}

/// Ports are 1 to 65535 (rule book 4.3 \[ASDOC\]: anything else is error #2003).
fn port(text: &str) -> Result<u16, Fault> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::new(format!("{} is no port", quote(text)), HOW));
    }
    match text.parse() {
        Ok(0) => Err(Fault::new("there is no port 0", "begin at port 1")),
        Ok(port) => Ok(port),
        Err(_) => Err(Fault::new(
            format!("there is no port {}", quote(text)),
            "the last port is 65535",
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fault(text: &str) -> String {
        PortSet::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn lists_ranges_and_the_star_are_read() {
        let set = PortSet::parse("80,3000-3010,65535").unwrap();
        for (port, inside) in [
            (80, true),
            (81, false),
            (3000, true),
            (3010, true),
            (3011, false),
        ] {
            assert_eq!(set.contains(port), inside, "port {port}");
        }
        assert!(PortSet::parse("*").unwrap().contains(1));
        assert_eq!(
            PortSet::parse(" 80 , 90 - 95 ").unwrap().to_string(),
            "80,90-95"
        );
        assert_eq!(PortSet::parse("0080").unwrap().to_string(), "80");
    }

    #[test]
    fn what_is_no_port_list_is_refused_with_a_cure() {
        assert_eq!(fault("0-100000"), "there is no port 0; begin at port 1");
        assert_eq!(
            fault("65536"),
            "there is no port `65536`; the last port is 65535"
        );
        assert_eq!(
            fault("90-80"),
            "the range `90-80` runs backwards; write `80-90`"
        );
        assert_eq!(
            fault("80,,90"),
            "the list of ports has an empty entry; delete the comma too many"
        );
        assert!(fault("80-").starts_with("the range `80-` lacks an end"));
        assert!(fault("*,80").starts_with("`*,80` mixes `*`"));
        for bad in [
            "", " ", "+80", "-80", "8 0", "80;90", "80-90-95", "http", "80,", "0x50", "\u{a0}80",
        ] {
            assert!(PortSet::parse(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn only_named_ports_below_1024_are_low() {
        for (text, low) in [
            ("*", false),
            ("1024", false),
            ("1023", true),
            ("20-65535", true),
            ("2000,80", true),
        ] {
            assert_eq!(
                PortSet::parse(text).unwrap().names_low_ports(),
                low,
                "{text}"
            );
        }
    }

    #[test]
    fn every_port_is_every_port_however_it_is_written() {
        for (text, everything) in [
            ("*", true),
            ("1-65535", true),
            ("30-65535,1-29", true),
            ("1-100,50-65535", true),
            ("2-65535", false),
            ("1-65534", false),
            ("1-9,11-65535", false),
        ] {
            let set = PortSet::parse(text).unwrap();
            assert_eq!(set.is_everything(), everything, "{text}");
        }
    }

    #[test]
    fn up_to_sixteen_ports_are_asked_and_of_more_the_edges() {
        let sample = |asked: &str, granted: &[&str]| {
            let granted: Vec<_> = granted.iter().map(|g| PortSet::parse(g).unwrap()).collect();
            PortSet::parse(asked).unwrap().sample(&granted)
        };
        let few = sample("9339,5000-5010,9339", &[]);
        assert_eq!((few.ports[0], few.ports.len(), few.of), (9339, 12, 12));
        assert!(!few.is_partial());
        let many = sample("5000-5100", &["*", "5010-5020", "5090"]);
        assert_eq!(
            many.ports,
            [5000, 5009, 5010, 5020, 5021, 5089, 5090, 5091, 5100]
        );
        assert_eq!((many.of, many.is_partial()), (101, true));
        assert_eq!(sample("*", &[]).ports, [1, 1023, 1024, 65535]);
        let list: Vec<_> = (0..200).map(|n| (1 + 3 * n).to_string()).collect();
        let thinned = sample(&list.join(","), &[]);
        assert_eq!((thinned.ports.len(), thinned.of), (MAX_ASKED, 200));
        assert_eq!((thinned.ports[0], thinned.ports[15]), (1, 598));
    }

    proptest! {
        #[test]
        fn a_sample_is_small_and_from_the_set(
            asked in super::super::strategies::ports(),
            granted in super::super::strategies::ports(),
        ) {
            let sample = asked.sample([&granted]);
            prop_assert!(!sample.ports.is_empty() && sample.ports.len() <= MAX_ASKED);
            prop_assert!(sample.ports.iter().all(|port| asked.contains(*port)));
        }

        #[test]
        fn a_written_set_reads_back_the_same(set in super::super::strategies::ports()) {
            prop_assert_eq!(PortSet::parse(&set.to_string()), Ok(set));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9,* -]{0,12}|\\PC{0,20}") {
            if let Ok(set) = PortSet::parse(&text) {
                prop_assert_eq!(PortSet::parse(&set.to_string()), Ok(set));
            }
        }
    }
}
