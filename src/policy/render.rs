//! A policy as the XML that is served: one line, as small as possible.
//!
//! Never checks anything: what [`read`](super::read) refuses cannot be
//! written as a [`Policy`] in the first place.

use std::ops::{Range, RangeInclusive};

use super::{Grant, Policy, PortSet};

/// The most bytes that a policy may have, its NUL included, to have its ranges written as lists: so
/// much fits into one packet on every network (1,280 bytes, what IPv6 promises, without headers).
pub const MAX_LISTED_BYTES: usize = 1_200;

/// The same policy, written so that every player reads it alike: a range that is every port becomes
/// `*`, and other ranges become lists of their ports, the shortest first, as long as the policy
/// stays within [`MAX_LISTED_BYTES`].
///
/// Lightspark counts only the first port of a range, Unity Web Player leaves out its last (rule
/// book 7.2, 7.9).
pub fn for_every_player(policy: &Policy) -> Policy {
    let mut written = policy.clone();
    let mut ranges: Vec<(usize, RangeInclusive<u16>)> = Vec::new();
    for (index, grant) in written.grants.iter_mut().enumerate() {
        if grant.ports.is_everything() {
            grant.ports = PortSet::ALL;
        }
        let long = grant.ports.long_ranges();
        ranges.extend(long.map(|range| (index, range.clone())));
    }
    ranges.sort_by_key(|(_, range)| range.len());
    for (index, range) in ranges {
        let mut longer = written.clone();
        let Some(grant) = longer.grants.get_mut(index) else {
            continue;
        };
        grant.ports = grant.ports.listed(&range);
        if render(&longer).len() + 1 > MAX_LISTED_BYTES {
            break;
        }
        written = longer;
    }
    written
}

/// Writes a policy as one line of XML, without a NUL.
///
/// `site-control` comes first, as the DTD wants it (rule book 2.1, 2.7
/// \[DTD\]); `secure` is written only where it is set, its default being
/// `false` (rule book 2.11 \[SPEC, LS\]).
pub fn render(policy: &Policy) -> String {
    Rendered::of(policy).xml
}

/// Writes one grant as its XML element.
pub fn render_grant(grant: &Grant) -> String {
    let mut xml = String::new();
    write_grant(&mut xml, grant);
    xml
}

/// A policy as [`render`] writes it, and where its grants stand.
#[derive(Default)]
pub struct Rendered {
    /// The XML.
    pub xml: String,
    /// Of each grant: the values of its domain, its ports and `secure`, and the whole.
    grants: Vec<[Range<usize>; 4]>,
}

impl Rendered {
    /// Writes a policy.
    pub fn of(policy: &Policy) -> Rendered {
        let mut xml = String::from("<cross-domain-policy>");
        if let Some(meta) = policy.meta {
            xml += &format!(r#"<site-control permitted-cross-domain-policies="{meta}" />"#);
        }
        let grants = policy.grants.iter();
        let grants = grants.map(|grant| write_grant(&mut xml, grant)).collect();
        xml += "</cross-domain-policy>";
        Rendered { xml, grants }
    }

    /// The grant that these bytes are in, and the part of it: 0 is the domain, 1 the ports, 2
    /// `secure`, 3 the whole.
    pub fn part_at(&self, bytes: &Range<usize>) -> Option<(usize, usize)> {
        self.grants.iter().enumerate().find_map(|(grant, spans)| {
            let holds = |span: &Range<usize>| span.start <= bytes.start && bytes.end <= span.end;
            Some((grant, spans.iter().position(holds)?))
        })
    }
}

/// Appends a grant, and gives where its parts stand.
fn write_grant(xml: &mut String, grant: &Grant) -> [Range<usize>; 4] {
    let start = xml.len();
    let mut write = |before: &str, value: &str| {
        *xml += before;
        let from = xml.len();
        *xml += value;
        from..xml.len()
    };
    let domain = escaped(&grant.domain.to_string());
    let domain = write(r#"<allow-access-from domain=""#, &domain);
    let ports = write(r#"" to-ports=""#, &grant.ports.to_string());
    let secure = match grant.secure {
        true => write(r#"" secure=""#, "true"),
        false => write("", ""),
    };
    let end = write(r#"" />"#, "").end;
    [domain, ports, secure, start..end]
}

fn escaped(value: &str) -> String {
    value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{DomainPattern, Grant, MetaPolicy, PortSet, read, strategies};

    #[test]
    fn the_policy_that_allows_everything_has_its_usual_form() {
        let everything = Policy {
            meta: None,
            grants: vec![Grant {
                domain: DomainPattern::ANY,
                ports: PortSet::ALL,
                secure: false,
            }],
        };
        assert_eq!(
            render(&everything),
            r#"<cross-domain-policy><allow-access-from domain="*" to-ports="*" /></cross-domain-policy>"#
        );
    }

    #[test]
    fn site_control_leads_and_secure_is_written_where_set() {
        let policy = Policy {
            meta: Some(MetaPolicy::MasterOnly),
            grants: vec![Grant {
                domain: DomainPattern::parse("*.a&b").unwrap(),
                ports: PortSet::parse("80, 90-95").unwrap(),
                secure: true,
            }],
        };
        assert_eq!(
            render(&policy),
            "<cross-domain-policy><site-control permitted-cross-domain-policies=\"master-only\" />\
             <allow-access-from domain=\"*.a&amp;b\" to-ports=\"80,90-95\" secure=\"true\" /></cross-domain-policy>"
        );
    }

    #[test]
    fn each_part_of_a_grant_is_found_where_it_was_written() {
        let grants = ["a&b.com", "b.com"].map(|domain| Grant {
            domain: DomainPattern::parse(domain).unwrap(),
            ports: PortSet::parse("80").unwrap(),
            secure: domain == "b.com",
        });
        let rendered = Rendered::of(&Policy {
            meta: Some(MetaPolicy::All),
            grants: grants.into(),
        });
        let part_of = |text: &str| {
            let start = rendered.xml.rfind(text).unwrap();
            rendered.part_at(&(start..start + text.len()))
        };
        for (text, part) in [
            ("site-control", None),
            ("a&amp;b.com", Some((0, 0))),
            ("80", Some((1, 1))),
            ("true", Some((1, 2))),
            ("allow-access-from", Some((1, 3))),
            ("cross-domain-policy", None),
        ] {
            assert_eq!(part_of(text), part, "{text}");
        }
        assert_eq!(rendered.part_at(&(0..0)), None);
    }

    fn ports(policy: &Policy) -> Vec<String> {
        policy.grants.iter().map(|g| g.ports.to_string()).collect()
    }

    fn granting(ports: &[&str]) -> Policy {
        let grants = ports.iter().map(|ports| Grant {
            domain: DomainPattern::ANY,
            ports: PortSet::parse(ports).unwrap(),
            secure: false,
        });
        Policy {
            meta: None,
            grants: grants.collect(),
        }
    }

    #[test]
    fn short_ranges_become_lists_and_long_ones_stay() {
        for (written, expected) in [
            (
                &["80", "3000-3003,90"][..],
                &["80", "3000,3001,3002,3003,90"][..],
            ),
            (&["1-65535", "*"], &["*", "*"]),
            (&["5000-9000", "80-81"], &["5000-9000", "80,81"]),
            (&["5000-9000,80-82"], &["5000-9000,80,81,82"]),
        ] {
            assert_eq!(ports(&for_every_player(&granting(written))), expected);
        }
        let full: Vec<_> = (0..15).map(|n| format!("{0}00-{0}19", n + 10)).collect();
        let full: Vec<_> = full.iter().map(String::as_str).collect();
        let written = for_every_player(&granting(&full));
        let lists = ports(&written).iter().filter(|p| !p.contains('-')).count();
        assert!((1..15).contains(&lists), "{lists}");
    }

    proptest! {
        #[test]
        fn written_for_every_player_it_grants_the_same(
            policy in strategies::policy(),
            port in 1u16..,
        ) {
            let written = for_every_player(&policy);
            let short = render(&written).len() < MAX_LISTED_BYTES;
            prop_assert!(short || render(&written).len() <= render(&policy).len());
            for (a, b) in policy.grants.iter().zip(&written.grants) {
                prop_assert_eq!(a.ports.contains(port), b.ports.contains(port));
            }
        }

        #[test]
        fn a_written_policy_reads_back_the_same(policy in strategies::policy()) {
            prop_assert_eq!(read(render(&policy).as_bytes(), &[]).policy, Some(policy));
        }
    }
}
