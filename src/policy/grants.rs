//! One `allow-access-from` element: its domain, its ports and `secure`.
//!
//! Judges them as rule book 8.1 says; never stops at the first fault.

use std::ops::Range;

use roxmltree::Node;

use super::{
    DomainPattern, FIRST_UNPRIVILEGED_PORT, Grant, MAX_ASKED, PortSet, blocked,
    elements::PolicyReader, findings::Code,
};
use crate::text::{clip, quote};

impl PolicyReader<'_> {
    pub(super) fn read_grant(&mut self, node: Node<'_, '_>, for_http: bool) -> Option<Grant> {
        self.check_attributes(node, &["domain", "to-ports", "secure"]);
        self.check_no_elements_inside(node);
        let domain = self.read_domain(node);
        let ports = self.read_ports(node, for_http);
        let secure = self.read_secure(node);
        Some(Grant {
            domain: domain?,
            ports: ports?,
            secure: secure?,
        })
    }

    fn read_domain(&mut self, node: Node<'_, '_>) -> Option<DomainPattern> {
        let cure = "write `domain=\"*.example.com\"`, one host, an IP address or `*`";
        let (value, range) = self.required_value(node, "domain", Code::DomainMissing, cure)?;
        let domain = DomainPattern::parse(value)
            .map_err(|fault| self.report_fault(Code::DomainInvalid, range.clone(), fault))
            .ok()?;
        let reason = domain.reason_it_never_matches();
        let is_address = domain.is_address_like() && reason.is_none();
        if let Some(fault) = reason {
            self.report_fault(Code::DomainUnmatchable, range.clone(), fault);
        }
        if let Some(doubt) = domain.doubt() {
            let (code, cause, cure) = match domain.scheme {
                Some(scheme) => (
                    Code::DomainScheme,
                    format!(
                        "the domain has a scheme: {doubt}; then the grant is for content loaded \
                         over {scheme} alone. Lightspark never matches it"
                    ),
                    format!(
                        "write {} alone, unless this is meant",
                        quote(&domain.split_scheme().1.to_string())
                    ),
                ),
                None => (
                    Code::WildcardTld,
                    doubt,
                    "write `*` for content from anywhere, or `*.` and the domain itself".into(),
                ),
            };
            self.report(code, range.clone(), cause, cure);
        }
        if let Some(bare) = value.strip_suffix('.') {
            self.report(
                Code::TrailingDot,
                range.clone(),
                "the domain ends in a dot; Lightspark compares it letter by letter, so that it \
                matches nothing",
                format!("write {}", quote(bare)),
            );
        }
        if is_address {
            self.report(
                Code::IpDomain,
                range,
                "an IP address matches only content that was loaded by that literal address, and \
                there are no patterns for addresses",
                "write the host name by which the content is loaded; where the players are does not \
                count",
            );
        }
        Some(domain)
    }

    fn read_ports(&mut self, node: Node<'_, '_>, for_http: bool) -> Option<PortSet> {
        let cure = "add the ports it may connect to, such as `to-ports=\"2001,3000-3010\"` or \
        `to-ports=\"*\"`";
        if for_http {
            self.report(
                Code::ToPortsMissing,
                self.tag(node),
                "the grant names no ports; this is a policy for HTTP (crossdomain.xml), not \
                for sockets",
                cure,
            );
            return None;
        }
        let (value, range) = self.required_value(node, "to-ports", Code::ToPortsMissing, cure)?;
        let ports = PortSet::parse(value)
            .map_err(|fault| self.report_fault(Code::ToPortsInvalid, range.clone(), fault))
            .ok()?;
        if value.contains(|c: char| c.is_ascii_whitespace()) {
            let lightspark = if ports == PortSet::ALL {
                "; Lightspark does not take it for every port"
            } else {
                ""
            };
            self.report(
                Code::BlanksInPorts,
                range.clone(),
                format!(
                    "there are blanks in `to-ports`, which Flash Player is reported to \
                    dislike{lightspark}"
                ),
                format!("write {}", clip(&format!("`{ports}`"))),
            );
        }
        if let Some(long) = ports.long_ranges().next() {
            self.report(
                Code::PortRange,
                range.clone(),
                format!(
                    "of the range `{}-{}` Lightspark counts only the first port, and Unity Web \
                    Player leaves out the last",
                    long.start(),
                    long.end()
                ),
                listed(&ports),
            );
        }
        if let Some(number) = ports.as_digits() {
            self.report(
                Code::PortDigits,
                range.clone(),
                format!("`{ports}` are ports of one digit each"),
                format!("was {number} meant? write `{number}`"),
            );
        } else if let Some(cause) = blocked::cause(&blocked::ports_among(&ports)) {
            let cure = format!("{}, unless no such player is to connect", blocked::CURE);
            self.report(Code::BlockedPort, range.clone(), clip(&cause), cure);
        }
        self.check_low_ports(&ports, range);
        Some(ports)
    }

    fn check_low_ports(&mut self, ports: &PortSet, range: Range<usize>) {
        let mut served_from = self.served_from.iter();
        let high = served_from.find(|port| **port >= FIRST_UNPRIVILEGED_PORT);
        if let Some(high) = high.filter(|_| ports.names_low_ports()) {
            self.report(
                Code::LowPortFromHigh,
                range,
                format!(
                    "a policy served from port {high} grants nothing below \
                    {FIRST_UNPRIVILEGED_PORT}"
                ),
                "serve it from port 843, or grant ports from 1024 upwards only",
            );
        }
    }

    fn read_secure(&mut self, node: Node<'_, '_>) -> Option<bool> {
        let Some(attribute) = node.attribute_node("secure") else {
            return Some(false);
        };
        let range = self.value_range(&attribute);
        match attribute.value() {
            "false" => Some(false),
            "true" => {
                self.report(
                    Code::SecureGrant,
                    range,
                    "`secure=\"true\"` is for content loaded over HTTPS only, while the socket \
                    itself is plain",
                    "delete it, unless this is meant",
                );
                Some(true)
            }
            other => {
                let cause = format!("`secure` is {}", quote(other));
                self.report(
                    Code::SecureInvalid,
                    range,
                    cause,
                    "write `true` or `false`, or delete it",
                );
                None
            }
        }
    }
}

/// The cure for ranges: as a list where it is not too long to be written.
fn listed(ports: &PortSet) -> String {
    let list: Vec<_> = ports.iter().take(MAX_ASKED + 1).collect();
    if ports.is_everything() {
        return "write `*`".into();
    }
    if list.len() > MAX_ASKED {
        return "where these players matter, write the ports one by one, or `*`".into();
    }
    let list: Vec<_> = list.iter().map(u16::to_string).collect();
    format!("write the ports one by one: `{}`", list.join(","))
}
