//! The domain of a grant: whose content may connect.
//!
//! Knows the syntax of the `domain` attribute and what it matches; never
//! resolves a name.

use std::{fmt, net::IpAddr};

use super::{
    Origin, ParseError,
    origin::{Host, parse_ip},
};
use crate::text::{is_printable, quote};

/// The `domain` of an `allow-access-from` element (rule book 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainPattern {
    /// `http` or `https` where it is written in front: then the content has to be loaded by it (rule
    /// book 3.4).
    pub(super) scheme: Option<&'static str>,
    pub(super) name: Pattern,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    Any,
    Host(String),
    /// The part after `*.`.
    Subdomains(String),
    Ip(IpAddr),
}

impl DomainPattern {
    /// Content from anywhere: `*`.
    pub const ANY: DomainPattern = DomainPattern {
        scheme: None,
        name: Pattern::Any,
    };

    /// Reads `*`, a host, `*.host` or an IP address, with `http://` or `https://` in front or
    /// without.
    ///
    /// # Errors
    /// A star anywhere else (rule book 3.1), another scheme, a port, a path (3.4: they cannot
    /// match), a blank or an invisible character.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let (scheme, bare) = split_scheme(text);
        let name = match (bare, bare.strip_prefix("*.")) {
            ("*", _) => Pattern::Any,
            (_, Some(suffix)) => Pattern::Subdomains(host_name(text, suffix)?.to_owned()),
            (_, None) => match parse_ip(bare) {
                Some(ip) => Pattern::Ip(ip),
                None => Pattern::Host(host_name(text, bare)?.to_owned()),
            },
        };
        Ok(DomainPattern { scheme, name })
    }

    /// This text, whatever it is, as the name of a host.
    pub(super) fn host(text: String) -> Self {
        DomainPattern {
            scheme: None,
            name: Pattern::Host(text),
        }
    }

    /// Whether content from this origin is meant.
    ///
    /// - `*` is everything, and alone matches local content (rule book 3.1
    ///   \[PC, FL8\], 3.7 \[SB\]).
    /// - A host is that host and none of its subdomains; `*.host` is the
    ///   host and any depth below it (3.1 \[PC, FL8, LS\]).
    /// - Letter case does not count (3.3 \[LS, swfdec\]).
    /// - An address matches content loaded by that literal address; names
    ///   and addresses never stand for each other (3.2 \[PC\]).
    /// - A scheme in front is that of the content (3.4).
    pub fn matches(&self, origin: &Origin) -> bool {
        let Origin::Web { https, host } = origin else {
            return *self == DomainPattern::ANY;
        };
        if self
            .scheme
            .is_some_and(|scheme| (scheme == "https") != *https)
        {
            return false;
        }
        match (&self.name, host) {
            (Pattern::Any, _) => true,
            (Pattern::Host(name), Host::Name(asked)) => same_name(name, asked),
            (Pattern::Subdomains(suffix), Host::Name(asked)) => {
                let below = asked.bytes().enumerate().filter(|(_, byte)| *byte == b'.');
                let mut parents = below.filter_map(|(at, _)| asked.get(at + 1..));
                same_name(suffix, asked) || parents.any(|parent| same_name(suffix, parent))
            }
            (Pattern::Ip(ip), Host::Ip(asked)) => ip == asked,
            _ => false,
        }
    }

    /// Why no host can have this name, though nothing forbids to write it: quotes, commas, a dot too
    /// many. International names are not judged: how they are compared is not documented (rule book
    /// 3.6).
    pub fn reason_it_never_matches(&self) -> Option<ParseError> {
        let name = match &self.name {
            Pattern::Host(name) | Pattern::Subdomains(name) => name,
            Pattern::Ip(ip) if ip.is_unspecified() => {
                return Some(ParseError::new(
                    format!("no content is loaded from {}", quote(&self.to_string())),
                    "write `*` for content from anywhere",
                ));
            }
            Pattern::Ip(_) | Pattern::Any => return None,
        };
        let odd = |c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && !"-_.".contains(c);
        let mut labels = name.strip_suffix('.').unwrap_or(name).split('.');
        let (what, cure) = if name.contains([',', ';']) {
            ("names several domains", "write a grant for each domain")
        } else if name.contains(odd) {
            (
                "holds a character that no host name has",
                "write the bare name, without quotes or brackets",
            )
        } else if labels.any(str::is_empty) {
            (
                "has an empty part",
                "delete the extra dot; `*.example.com` means the domain and all below it",
            )
        } else {
            return None;
        };
        Some(ParseError::new(format!("{} {what}", quote(name)), cure))
    }

    /// The scheme that it wants, and it without that.
    pub fn split_scheme(&self) -> (Option<&'static str>, DomainPattern) {
        let name = self.name.clone();
        (self.scheme, DomainPattern { scheme: None, name })
    }

    /// What of it nobody knows how Flash Player takes: a sentence without its full stop (rule book
    /// 3.1, 3.4).
    pub(super) fn doubt(&self) -> Option<String> {
        let shown = quote(&self.to_string());
        match &self.name {
            _ if self.scheme.is_some() => Some(format!(
                "only other programs show that Flash Player accepts a scheme, as in {shown}"
            )),
            Pattern::Subdomains(suffix) if !suffix.contains('.') => Some(format!(
                "it is not known whether Flash Player matches {shown}: the specification wants a \
                 domain of two parts behind `*.`, such as `example.com`"
            )),
            _ => None,
        }
    }

    /// Whether this is one IP address, or is meant as a group of them:
    /// nothing but an IPv4 address has a last label of digits.
    pub(super) fn is_address_like(&self) -> bool {
        match &self.name {
            Pattern::Any => false,
            Pattern::Ip(_) => true,
            Pattern::Host(name) | Pattern::Subdomains(name) => {
                let last = name.rsplit('.').next().unwrap_or_default();
                !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit())
            }
        }
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{scheme}://")?;
        }
        match &self.name {
            Pattern::Any => f.write_str("*"),
            Pattern::Host(name) => f.write_str(name),
            Pattern::Subdomains(suffix) => write!(f, "*.{suffix}"),
            Pattern::Ip(ip) => write!(f, "{}", Host::Ip(*ip)),
        }
    }
}

/// The scheme in front, where content is loaded by it, and what follows.
fn split_scheme(text: &str) -> (Option<&'static str>, &str) {
    let known = text.split_once("://").and_then(|(scheme, rest)| {
        let known = ["http", "https"].into_iter();
        let mut known = known.filter(|known| known.eq_ignore_ascii_case(scheme));
        Some((known.next()?, rest))
    });
    known.map_or((None, text), |(scheme, rest)| (Some(scheme), rest))
}

/// Whether this is meant as many addresses: a network, a span, or an address with a part that is
/// open, such as `192.168.1.*`.
pub fn is_network(text: &str) -> bool {
    let number = |text: &str| text.parse::<u8>().is_ok();
    let open = |part: &&str| matches!(*part, "" | "*" | "x" | "X");
    if let Some((first, behind)) = text.split_once(['/', '-']) {
        return parse_ip(first).is_some() && (number(behind) || parse_ip(behind).is_some());
    }
    let parts: Vec<_> = text.split('.').collect();
    parts.first().is_some_and(|part| number(part))
        && (2..=4).contains(&parts.len())
        && parts.iter().any(open)
        && parts.iter().all(|part| number(part) || open(part))
}

/// The trailing dot of a fully qualified name means nothing here.
fn same_name(pattern: &str, asked: &str) -> bool {
    let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
    pattern.eq_ignore_ascii_case(asked)
}

/// `name` is `whole` without its leading `*.`, if it has one.
fn host_name<'a>(whole: &str, name: &'a str) -> Result<&'a str, ParseError> {
    let is_visible = |c: char| is_printable(c) && !c.is_whitespace();
    let (what, cure) = if name.is_empty() || name == "." {
        ("names no domain", HOW.into())
    } else if !name.chars().all(is_visible) {
        (
            "holds a blank or an invisible character",
            "delete it; each domain needs a grant of its own".into(),
        )
    } else if let Some((_, rest)) = name.split_once("://") {
        ("has a scheme over which no content is loaded", bare(rest))
    } else if name.contains(['/', '*']) && is_network(name) {
        ("is a network", NO_ADDRESS_PATTERNS.into())
    } else if name.contains('/') {
        ("has a path", bare(name))
    } else if name.contains(':') {
        ("has a port, or is no IPv6 address", bare(name))
    } else if matches!(whole, "*.*" | "**" | "*.*.*") {
        (
            "has one `*` too many",
            "write `*` for content from anywhere".into(),
        )
    } else if !name.contains('*') {
        return Ok(name);
    } else {
        (
            "has a `*` where none is possible",
            "write `*` alone, or in front as in `*.example.com`".into(),
        )
    };
    Err(ParseError::new(format!("{} {what}", quote(whole)), cure))
}

/// A domain is about the content, and never about the players (rule book 3.2).
const NO_ADDRESS_PATTERNS: &str = "a domain is the site that the content is loaded from, and not where the players are: write \
     that site, or `*` for every site; a firewall says which players may connect";

const HOW: &str = "write `*`, a host, `*.example.com` or an IP address";

/// The cure for a domain that is more of a URL than a domain.
fn bare(url: &str) -> String {
    let host = url.split(['/', ':']).next().unwrap_or_default();
    match DomainPattern::parse(host) {
        Ok(host) => format!("write the host alone: {}", quote(&host.to_string())),
        Err(_) => HOW.into(),
    }
}

#[cfg(test)]
#[path = "domain_tests.rs"]
mod tests;
