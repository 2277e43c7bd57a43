//! The ports of a grant: `*`, or a list of ports and ranges.
//!
//! Knows the syntax of `to-ports` and membership; never the 1024 rule, which
//! depends on where a policy is served and belongs to `decide`.

use std::{fmt, ops::RangeInclusive};

use super::{source::quote, Fault, FIRST_UNPRIVILEGED_PORT};

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

    proptest! {
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
