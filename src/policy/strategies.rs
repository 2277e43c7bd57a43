//! Random policies for the property tests of `policy`. It checks nothing.

use proptest::prelude::*;

use super::{DomainPattern, Grant, MetaPolicy, Policy, PortSet};

/// Port sets of every form.
pub(super) fn ports() -> impl Strategy<Value = PortSet> {
    let range = (1u16.., 1u16..).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b)));
    let entry = prop_oneof![(1u16..).prop_map(|port| port.to_string()), range];
    let list = prop::collection::vec(entry, 1..6).prop_map(|entries| entries.join(","));
    prop_oneof![Just("*".to_owned()), list]
        .prop_map(|text| PortSet::parse(&text).expect("a well-formed list"))
}

/// Patterns of every form, with characters that XML has to escape.
pub(super) fn domain() -> impl Strategy<Value = DomainPattern> {
    prop_oneof![
        Just("*".to_owned()),
        "(\\*\\.)?[a-zA-Z0-9-]{1,8}(\\.[a-z]{1,4}){0,3}\\.?",
        "(\\*\\.)?[a-z&<>\"'\\[\\]\\\\=\u{e9}\u{4e2d}]{1,8}",
        any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|ip| ip.to_string()),
    ]
    .prop_map(|text| DomainPattern::parse(&text).expect("a well-formed domain"))
}

/// Policies with up to five grants.
pub(super) fn policy() -> impl Strategy<Value = Policy> {
    let meta = prop::sample::select(MetaPolicy::NAMES.map(|(_, meta)| meta).to_vec());
    let grant = (domain(), ports(), any::<bool>()).prop_map(|(domain, ports, secure)| Grant {
        domain,
        ports,
        secure,
    });
    (prop::option::of(meta), prop::collection::vec(grant, 0..6))
        .prop_map(|(meta, grants)| Policy { meta, grants })
}
