//! A policy as the XML that is served: one line, as small as possible.
//!
//! Never checks anything: what [`read`](super::read) refuses cannot be
//! written as a [`Policy`] in the first place.

use super::{Grant, Policy};

/// Writes a policy as one line of XML, without a NUL.
///
/// `site-control` comes first, as the DTD wants it (rule book 2.1, 2.7
/// \[DTD\]); `secure` is written only where it is set, its default being
/// `false` (rule book 2.11 \[SPECcn, LS\]).
pub fn render(policy: &Policy) -> String {
    let meta = policy.meta.map_or_else(String::new, |meta| {
        format!(r#"<site-control permitted-cross-domain-policies="{meta}" />"#)
    });
    let grants: String = policy.grants.iter().map(render_grant).collect();
    format!("<cross-domain-policy>{meta}{grants}</cross-domain-policy>")
}

/// Writes one grant as its XML element.
pub fn render_grant(grant: &Grant) -> String {
    let domain = escaped(&grant.domain.to_string());
    let ports = &grant.ports;
    let secure = if grant.secure {
        r#" secure="true""#
    } else {
        ""
    };
    format!(r#"<allow-access-from domain="{domain}" to-ports="{ports}"{secure} />"#)
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
    use crate::policy::{read, strategies, DomainPattern, Grant, MetaPolicy, PortSet};

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

    proptest! {
        #[test]
        fn a_written_policy_reads_back_the_same(policy in strategies::policy()) {
            prop_assert_eq!(read(render(&policy).as_bytes(), &[]).policy, Some(policy));
        }
    }
}
