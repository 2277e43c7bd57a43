//! The elements and attributes of a policy that is well-formed XML.
//!
//! Judges them as rule book 8.1 says and builds the policy from
//! the good ones; never stops at the first fault.

use std::ops::Range;

use roxmltree::{Attribute, Document, Node};

use super::{
    DomainPattern, MASTER_PORT, MetaPolicy, ParseError, Policy,
    findings::{Code, Finding, Found},
    lightspark,
};
use crate::text::{did_you_mean, quote};

const ROOT: &str = "cross-domain-policy";
const CONTROL: &str = "site-control";
const GRANT: &str = "allow-access-from";
const HEADERS: &str = "allow-http-request-headers-from";
const IDENTITY: &str = "allow-access-from-identity";
const META: &str = "permitted-cross-domain-policies";

/// What follows from an element that Lightspark does not take (rule book 7.1).
const STOPS: &str = "Lightspark stops reading here. It keeps the earlier part only on port 843 and \
                     only after a `site-control`";

/// Attributes from here tell where the schema is, and are fine (rule book
/// 2.2 \[FP9\]).
const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// The policy that the document holds; what is wrong with it goes to `found`.
pub(super) fn policy(
    document: &Document<'_>,
    served_from: &[u16],
    found: &mut Found,
) -> Option<Policy> {
    let mut reader = PolicyReader {
        text: document.input_text(),
        served_from,
        found,
    };
    reader.check_outside_root(document);
    reader.report_lightspark_stops();
    let root = document.root_element();
    reader.check_root(root).then(|| reader.read_children(root))
}

/// Reads the elements of a document into a policy, and reports what is wrong with them.
pub(super) struct PolicyReader<'a> {
    text: &'a str,
    pub(super) served_from: &'a [u16],
    found: &'a mut Found,
}

impl PolicyReader<'_> {
    pub(super) fn report(
        &mut self,
        code: Code,
        range: Range<usize>,
        cause: impl Into<String>,
        cure: impl Into<String>,
    ) {
        self.found.push(Finding::new(code, range, cause, cure));
    }

    pub(super) fn report_fault(&mut self, code: Code, range: Range<usize>, fault: ParseError) {
        self.report(code, range, fault.cause, fault.cure);
    }

    /// roxmltree lets no text or second root pass, but processing
    /// instructions; an XML declaration with a line end in it looks like one.
    fn check_outside_root(&mut self, document: &Document<'_>) {
        for node in document.root().children() {
            let Some(instruction) = node.pi() else {
                continue;
            };
            if instruction.target != "xml" {
                self.report(
                    Code::OutsideRoot,
                    node.range(),
                    format!(
                        "the processing instruction {} stands outside the root element",
                        quote(instruction.target)
                    ),
                    "delete it: with it, Flash Player ignores the whole file",
                );
            } else if node.range().start > 0 {
                self.found
                    .push(super::malformed::misplaced_declaration(node.range()));
            }
        }
    }

    /// What Lightspark alone stops at; the rest is found where it concerns other players, too.
    fn report_lightspark_stops(&mut self) {
        for stop in lightspark::stops(self.text) {
            let (cause, cure) = match stop.code {
                Code::GrantAttributes => (
                    "the grant has more than three attributes",
                    "keep `domain`, `to-ports` and `secure` alone",
                ),
                Code::ControlAttributes => (
                    "`site-control` has more than one attribute",
                    "keep `permitted-cross-domain-policies` alone",
                ),
                _ => continue,
            };
            self.report(stop.code, stop.at, format!("{cause}; {STOPS}"), cure);
        }
    }

    /// Whether the root is one whose children are read.
    fn check_root(&mut self, root: Node<'_, '_>) -> bool {
        let name = root.tag_name().name();
        if name != ROOT {
            let (cause, cure) = match name {
                "access-policy" => (
                    "this is a Silverlight policy (clientaccesspolicy), not one for Flash"
                        .to_owned(),
                    "write a `cross-domain-policy`; Silverlight asks on TCP port 943".to_owned(),
                ),
                _ => (
                    format!(
                        "the root element is {}, so this is no Flash policy",
                        quote(name)
                    ),
                    format!("the root has to be `{ROOT}`"),
                ),
            };
            self.report(Code::WrongRoot, self.tag(root), cause, cure);
            return false;
        }
        if namespace(root).is_some() {
            self.report(
                Code::Namespace,
                self.tag(root),
                format!("`{ROOT}` is in an XML namespace, which Flash Player does not parse"),
                "delete its prefix or its `xmlns=` attribute; `xmlns:xsi=` may stay",
            );
        }
        self.check_attributes(root, &[]);
        true
    }

    fn read_children(&mut self, root: Node<'_, '_>) -> Policy {
        self.check_stray_text(root);
        let elements = || root.children().filter(Node::is_element);
        let mut grants = elements()
            .filter(|node| known_name(*node, root) == GRANT)
            .peekable();
        let first_grant = grants.peek().map(|node| self.tag(*node));
        let for_http = grants.all(|node| node.attribute("to-ports").is_none());

        let mut policy = Policy {
            meta: None,
            grants: Vec::new(),
        };
        let (mut control_seen, mut allow_seen, mut all) = (false, false, Vec::new());
        for node in elements() {
            match known_name(node, root) {
                CONTROL => {
                    if control_seen {
                        self.report(
                            Code::SiteControlRepeated,
                            self.tag(node),
                            format!("there is more than one `{CONTROL}`"),
                            "keep one of them",
                        );
                    }
                    policy.meta = self.read_site_control(node, allow_seen);
                    control_seen = true;
                }
                GRANT => {
                    let grant = self.read_grant(node, for_http);
                    let is_all = grant
                        .as_ref()
                        .is_some_and(|g| g.domain == DomainPattern::ANY && g.ports.is_everything());
                    all.extend(is_all.then(|| self.tag(node)));
                    policy.grants.extend(grant);
                }
                name => self.report_without_effect(node, name),
            }
            allow_seen |= node.tag_name().name().starts_with("allow-");
        }
        self.check_whole_policy(root, &policy, first_grant, all);
        policy
    }

    fn check_stray_text(&mut self, root: Node<'_, '_>) {
        for text in root.children().filter(Node::is_text) {
            let words = text.text().unwrap_or_default();
            let blanks = words.len() - words.trim_start().len();
            if blanks < words.len() {
                let start = text.range().start + blanks;
                self.report(
                    Code::StrayText,
                    start..start + 1,
                    "text stands between the elements, where it has no effect",
                    "delete it, or write the `<` that is missing before an element",
                );
            }
        }
    }

    /// An element that does nothing in a socket policy.
    fn report_without_effect(&mut self, node: Node<'_, '_>, known_name: &str) {
        let written = node.tag_name().name();
        let (code, cause, cure) = match known_name {
            HEADERS => (
                Code::HttpHeadersElement,
                format!("`{HEADERS}` is for HTTP; {STOPS}"),
                "delete it".into(),
            ),
            IDENTITY => (
                Code::IdentityElement,
                format!("`{IDENTITY}` is for signed documents, and not for sockets"),
                "delete it".into(),
            ),
            _ => (
                Code::UnknownElement,
                format!("{} is no element of a policy", quote(written)),
                cure_of_unknown_name(written, &[GRANT, CONTROL]),
            ),
        };
        self.report(code, self.tag(node), cause, cure);
    }

    /// The findings about the policy as a whole.
    fn check_whole_policy(
        &mut self,
        root: Node<'_, '_>,
        policy: &Policy,
        first_grant: Option<Range<usize>>,
        of_everything: Vec<Range<usize>>,
    ) {
        let counts = self.served_from.is_empty() || self.served_from.contains(&MASTER_PORT);
        let denies_all = counts && policy.meta == Some(MetaPolicy::None);
        for grant in of_everything.into_iter().filter(|_| !denies_all) {
            self.report(
                Code::AllowsEverything,
                grant,
                "any content from anywhere may connect to every port of this host",
                "name the domains and the ports, unless this is meant",
            );
        }
        match first_grant {
            None if !denies_all => self.report(
                Code::NoGrant,
                self.tag(root),
                "the policy grants nothing: no content may connect by it",
                format!(
                    "add a grant, such as `<{GRANT} domain=\"*.example.com\" \
                    to-ports=\"2001\" />`, unless this is meant"
                ),
            ),
            Some(first) if denies_all => self.report(
                Code::GrantsBesideNone,
                first,
                "the meta-policy `none` denies everything, so the grants do nothing",
                "write `master-only` or `all`, or delete the grants",
            ),
            // A policy that denies everything needs no grant.
            _ => {}
        }
    }

    fn read_site_control(&mut self, node: Node<'_, '_>, allow_seen: bool) -> Option<MetaPolicy> {
        self.check_attributes(node, &[META]);
        self.check_no_elements_inside(node);
        if allow_seen {
            self.report(
                Code::SiteControlOrder,
                self.tag(node),
                format!("`{CONTROL}` stands after an `allow-` element"),
                "move it to the front, where the DTD wants it",
            );
        }
        if !self.served_from.is_empty() && !self.served_from.contains(&MASTER_PORT) {
            self.report(
                Code::SiteControlNotMaster,
                self.tag(node),
                format!(
                    "`{CONTROL}` counts only in a policy served from port {MASTER_PORT}, \
                and this one is not; Lightspark drops the whole file over it"
                ),
                "delete it, or serve the policy from port 843 too",
            );
        }
        let (value, range) = self.required_value(
            node,
            META,
            Code::SiteControlMissingValue,
            "write `all`, `master-only` or `none`",
        )?;
        if matches!(value, "by-content-type" | "by-ftp-filename") {
            self.report(
                Code::MetaPolicyNotForSockets,
                range,
                format!("the meta-policy `{value}` exists for URL policies only, not for sockets"),
                "write `all`, `master-only` or `none`",
            );
            return None;
        }
        let meta = value.parse();
        meta.map_err(|fault| self.report_fault(Code::SiteControlInvalid, range, fault))
            .ok()
    }

    /// The value of an attribute that has to be there and not to be blank,
    /// with its place.
    pub(super) fn required_value<'n>(
        &mut self,
        node: Node<'n, '_>,
        name: &str,
        missing: Code,
        cure: &str,
    ) -> Option<(&'n str, Range<usize>)> {
        let Some(attribute) = node.attribute_node(name) else {
            let cause = format!("{} has no `{name}`", quote(node.tag_name().name()));
            self.report(missing, self.tag(node), cause, cure);
            return None;
        };
        let value = attribute.value();
        if value.trim().is_empty() {
            self.report(
                missing,
                attribute.range(),
                format!("`{name}` is empty"),
                cure,
            );
            return None;
        }
        Some((value, self.value_range(&attribute)))
    }

    pub(super) fn check_attributes(&mut self, node: Node<'_, '_>, known: &[&str]) {
        for attribute in node.attributes() {
            let is_known = match attribute.namespace() {
                None => known.contains(&attribute.name()),
                Some(namespace) => namespace == SCHEMA_INSTANCE,
            };
            if !is_known {
                self.report(
                    Code::UnknownAttribute,
                    attribute.range_qname(),
                    format!(
                        "{} does not know the attribute {}",
                        quote(node.tag_name().name()),
                        quote(attribute.name())
                    ),
                    cure_of_unknown_name(attribute.name(), known),
                );
            }
        }
    }

    pub(super) fn check_no_elements_inside(&mut self, node: Node<'_, '_>) {
        for child in node.children().filter(Node::is_element) {
            self.report(
                Code::UnknownElement,
                self.tag(child),
                format!(
                    "{} stands inside {}, where it has no effect",
                    quote(child.tag_name().name()),
                    quote(node.tag_name().name())
                ),
                "end the outer element with ` />` before it",
            );
        }
    }

    /// The name of an element where it opens.
    pub(super) fn tag(&self, node: Node<'_, '_>) -> Range<usize> {
        let start = node.range().start + 1;
        let rest = self.text.get(start..).unwrap_or_default();
        let is_end = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>');
        start..start + rest.find(is_end).unwrap_or(rest.len())
    }

    /// The value without its quotes. roxmltree has such a range, but it is
    /// off where long blanks surround the equals sign.
    pub(super) fn value_range(&self, attribute: &Attribute<'_, '_>) -> Range<usize> {
        let Range { start, end } = attribute.range();
        let whole = self.text.get(start..end).unwrap_or_default();
        match whole.find(['"', '\'']) {
            Some(quote) => start + quote + 1..end.saturating_sub(1),
            None => start..end,
        }
    }
}

/// The name of an element; none in another namespace than the root's.
fn known_name<'a>(node: Node<'a, '_>, root: Node<'_, '_>) -> &'a str {
    if namespace(node) == namespace(root) {
        node.tag_name().name()
    } else {
        ""
    }
}

/// `xmlns=""` means no namespace.
fn namespace<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    node.tag_name().namespace().filter(|uri| !uri.is_empty())
}

fn cure_of_unknown_name(name: &str, known: &[&str]) -> String {
    did_you_mean(name, known, "`")
        .unwrap_or_else(|| "delete it: what Flash Player does with it is not known".into())
}
