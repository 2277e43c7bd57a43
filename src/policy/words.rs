//! What a policy means, in plain words: for the person who wrote it.
//!
//! Says what each part means by itself; whether a connection is allowed in
//! the end is for `decide` and `explain`.

use super::{Grant, MASTER_PORT, MetaPolicy, Policy, PortSet, domain::Pattern};
use crate::text::list;

/// A policy in plain words: a sentence for the meta-policy, if it has one,
/// and one for each grant, or that there is none.
pub fn words(policy: &Policy) -> Vec<String> {
    let grants = policy.grants.iter().map(grant_in_words);
    let mut sentences: Vec<_> = policy
        .meta
        .map(meta_in_words)
        .into_iter()
        .chain(grants)
        .collect();
    if policy.grants.is_empty() {
        sentences.push("It lets no content connect.".into());
    }
    sentences
}

fn meta_in_words(meta: MetaPolicy) -> String {
    let rule = match meta {
        MetaPolicy::All => "policies from other ports of this host count too",
        MetaPolicy::MasterOnly => "no policy from another port of this host counts",
        MetaPolicy::None => "no content may connect to this host, whatever any policy grants",
    };
    format!("When served from port {MASTER_PORT}, {rule}.")
}

/// The meaning of one grant.
pub fn grant_in_words(grant: &Grant) -> String {
    let domain = &grant.domain;
    let loaded = if grant.secure {
        "loaded over HTTPS "
    } else {
        ""
    };
    let whose = match &domain.name {
        Pattern::Any => format!("{loaded}from anywhere"),
        Pattern::Host(_) | Pattern::Subdomains(_) => format!("{loaded}from {domain}"),
        Pattern::Ip(_) if grant.secure => format!("{loaded}by the literal address {domain}"),
        Pattern::Ip(_) => format!("loaded by the literal address {domain}"),
    };
    let ports = ports_in_words(&grant.ports);
    format!("Any content {whose} may connect to {ports}.")
}

/// `any port`, `port 80`, `ports 2001 and 3000 to 3010`: neighbours in a list are told as a range.
pub fn ports_in_words(ports: &PortSet) -> String {
    let written = ports.coalesced();
    let Some(ranges) = written.ranges() else {
        return "any port".into();
    };
    let told = ranges.iter().map(|range| match range.len() {
        1 => range.start().to_string(),
        _ => format!("{} to {}", range.start(), range.end()),
    });
    let told: Vec<_> = told.collect();
    match (told.as_slice(), ranges) {
        ([one], [range]) if range.len() == 1 => format!("port {one}"),
        _ => format!("ports {}", list(&told)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read;

    fn grant(attributes: &str) -> String {
        let xml =
            format!("<cross-domain-policy><allow-access-from {attributes}/></cross-domain-policy>");
        words(&read(xml.as_bytes(), &[]).policy.unwrap()).join(" ")
    }

    #[test]
    fn each_kind_of_grant_has_its_sentence() {
        for (attributes, sentence) in [
            (
                "domain='*.example.com' to-ports='2001,3000-3010'",
                "Any content from *.example.com may connect to ports 2001 and 3000 to 3010.",
            ),
            (
                "domain='*' to-ports='*'",
                "Any content from anywhere may connect to any port.",
            ),
            (
                "domain='a.example' to-ports='80'",
                "Any content from a.example may connect to port 80.",
            ),
            (
                "domain='a.example' to-ports='80,81'",
                "Any content from a.example may connect to ports 80 and 81.",
            ),
            (
                "domain='a.example' to-ports='79,80,81,82-84'",
                "Any content from a.example may connect to ports 79 to 84.",
            ),
            (
                "domain='a.example' to-ports='80-90'",
                "Any content from a.example may connect to ports 80 to 90.",
            ),
            (
                "domain='a.example' to-ports='80,81,90-95'",
                "Any content from a.example may connect to ports 80, 81 and 90 to 95.",
            ),
            (
                "domain='a.example' to-ports='80' secure='true'",
                "Any content loaded over HTTPS from a.example may connect to port 80.",
            ),
            (
                "domain='*' to-ports='80' secure='true'",
                "Any content loaded over HTTPS from anywhere may connect to port 80.",
            ),
            (
                "domain='203.0.113.7' to-ports='*'",
                "Any content loaded by the literal address 203.0.113.7 may connect to any port.",
            ),
            (
                "domain='::1' to-ports='*' secure='true'",
                "Any content loaded over HTTPS by the literal address [::1] may connect to any port.",
            ),
        ] {
            assert_eq!(grant(attributes), sentence);
        }
    }

    #[test]
    fn each_meta_policy_and_the_empty_policy_have_their_sentence() {
        for (meta, sentence) in [
            (None, "It lets no content connect."),
            (
                Some(MetaPolicy::All),
                "When served from port 843, policies from other ports of this host count too. It lets no content connect.",
            ),
            (
                Some(MetaPolicy::MasterOnly),
                "When served from port 843, no policy from another port of this host counts. It lets no content connect.",
            ),
            (
                Some(MetaPolicy::None),
                "When served from port 843, no content may connect to this host, whatever any policy grants. It lets no content connect.",
            ),
        ] {
            assert_eq!(
                words(&Policy {
                    meta,
                    grants: Vec::new()
                })
                .join(" "),
                sentence
            );
        }
    }
}
