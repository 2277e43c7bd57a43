//! The ports that Flash Player itself refuses, whatever a policy grants (rule book 4.3).
//!
//! Knows the list and its words; which player it concerns is known to `player`.

use super::{FIRST_UNPRIVILEGED_PORT, PortSet, words::ports_in_words};

/// The ports that Flash Player 24 and later connects no socket to, ascending. Source: Adobe staff in
/// forum thread 2261853, quoted whole in scratchfoundation/scratch-flash#1261 (rule book 4.3).
pub const BLOCKED_PORTS: [u16; 67] = [
    1, 7, 9, 11, 13, 15, 17, 19, 21, 22, 23, 25, 37, 42, 43, 53, 77, 79, 87, 95, 101, 102, 103,
    104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 139, 143, 179, 389, 465, 512, 513, 514, 515,
    526, 530, 531, 532, 540, 556, 563, 587, 601, 636, 993, 995, 1720, 1723, 2049, 3659, 4045, 5060,
    6000, 6566, 6665, 6666, 6667, 6668, 6669,
];

/// Those that the set names, ascending. `*`, `1-65535` and `1024-65535` name no port: they are
/// written for every port that a policy can grant.
pub(super) fn ports_among(ports: &PortSet) -> Vec<u16> {
    let ranges = ports.ranges().unwrap_or_default();
    let names = |port: &u16| {
        let mut ranges = ranges.iter();
        ranges.any(|range| {
            let is_all = *range.start() <= FIRST_UNPRIVILEGED_PORT && *range.end() == u16::MAX;
            !is_all && range.contains(port)
        })
    };
    BLOCKED_PORTS.into_iter().filter(names).collect()
}

/// The cure.
pub(super) const CURE: &str = "move the game to another port";

/// The sentence on those of these ports that are refused, without its full stop; none where none is.
pub(super) fn cause(ports: &[u16]) -> Option<String> {
    let mut refused = ports.to_vec();
    refused.retain(|port| BLOCKED_PORTS.contains(port));
    refused.sort_unstable();
    (!refused.is_empty()).then(|| {
        let ports = ports_in_words(&PortSet::of(&refused));
        format!(
            "Flash Player version 24 and later refuses {ports} itself, whatever a policy grants"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_list_of_the_rule_book() {
        let rule = include_str!("rules.md");
        let (_, rule) = rule.split_once("refuses 67 ports").unwrap();
        let (list, _) = rule.split_once(':').unwrap().1.split_once('.').unwrap();
        let set = PortSet::parse(
            &list
                .split_whitespace()
                .collect::<String>()
                .replace("to", "-"),
        );
        let set = set.unwrap();
        assert_eq!(set.iter().collect::<Vec<_>>(), BLOCKED_PORTS);
    }

    #[test]
    fn only_ports_that_are_named_are_found() {
        for (ports, expected) in [
            ("*", &[][..]),
            ("1-65535", &[]),
            ("1024-65535", &[]),
            ("25,1-65535", &[25]),
            ("80,843,443,8080,1935,5222,9339,943,20", &[]),
            ("531,6667", &[531, 6667]),
            ("6500-6666,2001", &[6566, 6665, 6666]),
        ] {
            assert_eq!(
                ports_among(&PortSet::parse(ports).unwrap()),
                expected,
                "{ports}"
            );
        }
    }
}
