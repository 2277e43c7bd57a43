//! What Lightspark takes from a policy file: its own parser, as a model (rule book 7.1 and 7.2).
//!
//! It reads XML that is not well-formed as far as that goes, stops at the first element that it
//! does not take, and then counts what it has read, or nothing. This module knows nothing of what
//! other players do; it never recurses, and its time grows with the length of the text.

use super::{DomainPattern, Grant, MetaPolicy, Policy, PortSet, findings::Code};
use crate::text::printable;

/// The policy by which Lightspark decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EffectivePolicy {
    /// Its grants and its meta-policy.
    pub policy: Policy,
    /// Why it did not read the file to its end, to be said behind "Lightspark".
    pub stop: Option<String>,
}

/// What Lightspark takes from one file, on port 843 and on any other port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LightsparkReading {
    pub master: EffectivePolicy,
    pub elsewhere: EffectivePolicy,
}

/// An element that it does not take.
pub(super) struct Stop {
    /// What `check` calls it.
    pub code: Code,
    /// Where its name stands.
    pub at: std::ops::Range<usize>,
    /// The fault, to be said behind its line.
    why: &'static str,
}

/// Reads a file; `text` is what stands before its final NUL.
pub(super) fn read(text: &str) -> LightsparkReading {
    let elements = elements(text);
    LightsparkReading {
        master: effective_policy(text, &elements, true),
        elsewhere: effective_policy(text, &elements, false),
    }
}

/// Every element of a master at which Lightspark would stop, if it had come so far.
pub(super) fn stops(text: &str) -> Vec<Stop> {
    let elements = elements(text).unwrap_or_default();
    let mut control_seen = false;
    let stops = elements.iter().filter_map(|element| {
        let stop = element.stop(true, control_seen);
        control_seen |= element.name == CONTROL;
        stop
    });
    stops.collect()
}

const ROOT: &str = "cross-domain-policy";
const CONTROL: &str = "site-control";
const META: &str = "permitted-cross-domain-policies";

fn effective_policy(
    text: &str,
    elements: &Option<Vec<Element<'_>>>,
    is_master: bool,
) -> EffectivePolicy {
    let mut policy = Policy {
        meta: None,
        grants: Vec::new(),
    };
    let Some(elements) = elements else {
        let stop = format!("drops the file: its first element is no `{ROOT}`");
        return EffectivePolicy {
            policy,
            stop: Some(stop),
        };
    };
    let mut stop = None;
    for element in elements {
        if let Some(found) = element.stop(is_master, policy.meta.is_some()) {
            stop = Some(found);
            break;
        }
        match element.name {
            CONTROL => policy.meta = Some(meta(element.attribute(META))),
            "allow-access-from" => policy.grants.push(element.grant()),
            _ => {}
        }
    }
    // Where it is `none`, nothing behind it is read, and nothing counts.
    let stop = stop.filter(|_| policy.meta != Some(MetaPolicy::None));
    let stop = stop.map(|Stop { at, why, .. }| {
        let before = text.get(..at.start).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        let what = if policy.meta.is_some() {
            "reads no further than line"
        } else {
            policy.grants.clear();
            "drops the whole file over line"
        };
        format!("{what} {line}: {why}")
    });
    EffectivePolicy { policy, stop }
}

/// What is unknown is `none`. `by-content-type` and `by-ftp-filename` keep it from the destination
/// port, as `master-only` does; that they let `loadPolicyFile` count is not told here.
fn meta(value: String) -> MetaPolicy {
    match value.as_str() {
        "by-content-type" | "by-ftp-filename" => MetaPolicy::MasterOnly,
        value => value.parse().unwrap_or(MetaPolicy::None),
    }
}

/// The ports of a list as it reads them: of each entry the number that it begins with. A `*` is
/// every port where it is all of its entry and no `-` follows.
fn ports(list: &str) -> PortSet {
    match PortSet::parse(list) {
        // Its first port is what counts of a range, and `Player` knows that.
        Ok(set) if !list.contains('*') => return set,
        _ => {}
    }
    let mut ports = Vec::new();
    let mut rest = Some(list);
    while let Some(list) = rest {
        let (entry, behind) = list
            .split_once(',')
            .map_or((list, None), |(e, b)| (e, Some(b)));
        if entry == "*" && !behind.is_some_and(|behind| behind.contains('-')) {
            return PortSet::ALL;
        }
        ports.extend(Some(number(entry)).filter(|port| *port > 0));
        rest = behind;
    }
    PortSet::of(&ports)
}

/// The number that the text begins with, and of it the low 16 bits, as C keeps them.
fn number(text: &str) -> u16 {
    let text = text.trim_start();
    let digits = text.trim_start_matches(['-', '+']);
    let behind = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = text.strip_suffix(behind).unwrap_or_default();
    number.parse().map_or(0, |number: i64| number as u16)
}

/// An element below the root.
#[derive(Debug)]
struct Element<'a> {
    name: &'a str,
    at: usize,
    attributes: Vec<(&'a str, String)>,
}

impl Element<'_> {
    /// The value of the first attribute with this name; empty where there is none.
    fn attribute(&self, name: &str) -> String {
        let found = self.attributes.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    fn grant(&self) -> Grant {
        let domain = self.attribute("domain");
        let parsed = DomainPattern::parse(&domain);
        Grant {
            // What no terminal may get is in no host either: escaped, it matches as little.
            domain: parsed.unwrap_or_else(|_| DomainPattern::host(printable(&domain))),
            ports: ports(&self.attribute("to-ports")),
            secure: self.attribute("secure") == "true",
        }
    }

    /// Why Lightspark does not take it.
    fn stop(&self, is_master: bool, control_seen: bool) -> Option<Stop> {
        let (code, why) = match self.name {
            CONTROL if control_seen => (
                Code::SiteControlRepeated,
                "there is more than one `site-control`",
            ),
            CONTROL if self.attributes.len() > 1 => (
                Code::ControlAttributes,
                "`site-control` has more than its one attribute",
            ),
            CONTROL if self.attribute(META).is_empty() => (
                Code::SiteControlMissingValue,
                "`site-control` has no `permitted-cross-domain-policies`",
            ),
            CONTROL if !is_master => (
                Code::SiteControlNotMaster,
                "`site-control` in a policy that is not served from port 843",
            ),
            "allow-access-from" if self.attributes.len() > 3 => (
                Code::GrantAttributes,
                "`allow-access-from` has more than three attributes",
            ),
            "allow-access-from" if self.attribute("domain").is_empty() => {
                (Code::DomainMissing, "`allow-access-from` has no `domain`")
            }
            "allow-access-from" if self.attribute("to-ports").is_empty() => (
                Code::ToPortsMissing,
                "`allow-access-from` has no `to-ports`",
            ),
            "allow-http-request-headers-from" => (
                Code::HttpHeadersElement,
                "`allow-http-request-headers-from` stands there",
            ),
            _ => return None,
        };
        let at = self.at..self.at + self.name.len();
        Some(Stop { code, at, why })
    }
}

/// The elements below the root, up to where the text is no XML any more; none without the right
/// root.
fn elements(text: &str) -> Option<Vec<Element<'_>>> {
    let end = text.find('\0').unwrap_or(text.len());
    let mut scan = Scan {
        text: text.get(..end).unwrap_or_default(),
        at: 0,
        open: Vec::new(),
        roots: Vec::new(),
        found: Vec::new(),
    };
    while scan.markup().is_some() {}
    (scan.roots.first() == Some(&ROOT)).then_some(scan.found)
}

/// The parser: it passes over text, comments, declarations and processing instructions, wherever
/// they stand, and knows no namespaces and no entities but the five of XML.
struct Scan<'a> {
    text: &'a str,
    /// The byte that comes next.
    at: usize,
    /// The names of the elements that are open.
    open: Vec<&'a str>,
    /// What stands on the outermost level; empty for what is no element.
    roots: Vec<&'a str>,
    /// The elements below the first of these.
    found: Vec<Element<'a>>,
}

/// Nothing stands for a fault in the XML: what was read before it counts.
impl<'a> Scan<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Passes over `token`, in whatever case it is written.
    fn eat(&mut self, token: &str) -> Option<()> {
        let begin = self.rest().get(..token.len())?;
        begin.eq_ignore_ascii_case(token).then_some(())?;
        self.at += token.len();
        Some(())
    }

    fn quote(&mut self) -> Option<&'static str> {
        let mut quotes = ["\"", "'"].into_iter();
        quotes.find(|quote| self.eat(quote).is_some())
    }

    /// Passes over everything up to the end of `token`.
    fn past(&mut self, token: &str) -> Option<()> {
        self.at += self.rest().find(token)? + token.len();
        Some(())
    }

    fn while_any(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn blanks(&mut self) {
        self.while_any(|c| " \t\r\n".contains(c));
    }

    fn name(&mut self) -> Option<&'a str> {
        let may_begin_name = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
        self.rest().chars().next().filter(|c| may_begin_name(*c))?;
        Some(self.while_any(|c| may_begin_name(c) || c.is_ascii_digit() || ":-.".contains(c)))
    }

    /// The next tag, comment or the like.
    fn markup(&mut self) -> Option<()> {
        self.past("<")?;
        if self.eat("/").is_some() {
            let expected = self.open.pop()?;
            (self.name()? == expected).then_some(())?;
            self.blanks();
            self.eat(">")
        } else if self.eat("?").is_some() {
            self.past("?>")
        } else if self.eat("!--").is_some() {
            self.past("-->")
        } else if self.eat("![CDATA[").is_some() {
            if self.open.is_empty() {
                self.roots.push("");
            }
            self.past("]]>")
        } else if self.eat("!DOCTYPE").is_some() {
            self.open.is_empty().then_some(())?;
            self.doctype()
        } else {
            self.element()
        }
    }

    fn doctype(&mut self) -> Option<()> {
        let mut depth = 0;
        loop {
            self.while_any(|c| !"<>\"'".contains(c));
            if self.eat("<!--").is_some() {
                self.past("-->")?;
            } else if self.eat("<?").is_some() {
                self.past("?>")?;
            } else if self.eat("<![").is_some() {
                self.past("]]>")?;
            } else if self.eat("<!").is_some() {
                depth += 1;
            } else if self.eat(">").is_some() {
                if depth == 0 {
                    return Some(());
                }
                depth -= 1;
            } else {
                let quote = self.quote()?;
                self.past(quote)?;
            }
        }
    }

    fn element(&mut self) -> Option<()> {
        let at = self.at;
        let name = self.name()?;
        let mut element = Element {
            name,
            at,
            attributes: Vec::new(),
        };
        if self.open.is_empty() {
            self.roots.push(name);
        }
        self.open.push(name);
        let is_child = self.open.len() == 2 && self.roots.len() == 1;
        let read = self.attributes(&mut element.attributes);
        if is_child {
            self.found.push(element);
        }
        read
    }

    /// The attributes, and the end of the tag.
    fn attributes(&mut self, found: &mut Vec<(&'a str, String)>) -> Option<()> {
        loop {
            self.blanks();
            if self.eat(">").is_some() {
                return Some(());
            }
            if self.eat("/").is_some() {
                self.open.pop();
                return self.eat(">");
            }
            // It counts, whatever stands behind its name.
            found.push((self.name()?, String::new()));
            self.blanks();
            self.eat("=")?;
            self.blanks();
            let quote = self.quote()?;
            let value = self.rest().split(quote).next().unwrap_or_default();
            if let Some((_, last)) = found.last_mut() {
                *last = unescaped(value);
            }
            self.past(quote)?;
        }
    }
}

fn unescaped(value: &str) -> String {
    let value = value.replace(['\t', '\r', '\n'], " ");
    let named = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ];
    named
        .iter()
        .fold(value, |value, (name, c)| value.replace(name, c))
}

#[cfg(test)]
#[path = "lightspark_tests.rs"]
mod tests;
