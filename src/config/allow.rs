//! An `allow` line of the configuration becomes a grant. For a line that cannot, the error names
//! the line that was probably meant. This module opens and prints nothing.

use std::net::IpAddr;

use crate::output::text::quote;
use crate::policy::{DomainPattern, Grant, ParseError, PortSet, is_network};

/// The longest line that is guessed at, in bytes: what was meant can be many times as long.
const MAX_GUESSED: usize = 400;

/// Reads `DOMAIN PORTS`, and `secure` behind it.
///
/// # Errors
/// The cause, and the line to write instead.
pub fn parse(value: &str) -> Result<Grant, ParseError> {
    strict(value).map_err(|mut fault| {
        let guessed = Some(value).filter(|value| value.len() <= MAX_GUESSED);
        let lines: Vec<_> = guessed
            .map_or_else(Vec::new, suggested_lines)
            .iter()
            .map(|l| format!("`allow = {l}`"))
            .collect();
        match lines.as_slice() {
            [] => {}
            [line] => fault.cure = format!("write {line}"),
            lines => fault.cure = format!("write a line for each: {}", lines.join(", ")),
        }
        fault
    })
}

fn strict(value: &str) -> Result<Grant, ParseError> {
    let [domain, ports, secure] = parts(value);
    let fault = |cause: &str, cure: String| ParseError {
        cause: cause.into(),
        cure,
    };
    let mut words = value.split([' ', '\t', ',', ';']);
    if let Some(network) = words.clone().find(|word| is_network(word)) {
        let cause = format!(
            "{} is a network, and a domain is the site that the SWF is loaded from",
            quote(network)
        );
        let ports = words
            .find(|word| PortSet::parse(word).is_ok())
            .unwrap_or("9339");
        let cure = format!(
            "write that site, such as `allow = www.example.com {ports}`, or `allow = * {ports}` for \
             every site; a firewall says which players may connect"
        );
        return Err(fault(&cause, cure));
    }
    if ports.is_empty() {
        if PortSet::parse(domain).is_ok() && domain != "*" {
            return Err(fault("the domain is missing", String::new()));
        }
        let domain = DomainPattern::parse(domain)?;
        let cure = format!("add them, such as `allow = {domain} 2001,3000-3010`");
        return Err(fault("the ports are missing", cure));
    }
    if PortSet::parse(domain).is_ok_and(|_| domain != "*") && PortSet::parse(ports).is_err() {
        let cure = "write `allow = DOMAIN PORTS`".into();
        return Err(fault("the domain comes first, then the ports", cure));
    }
    if domain.contains([',', ';']) {
        let cure = "write a line for each domain".into();
        return Err(fault("one line is for one domain", cure));
    }
    if let Some((_, host)) = domain.split_once("://") {
        let cause = format!("{} has a scheme", quote(domain));
        return Err(fault(
            &cause,
            format!("write the host alone: {}", quote(host)),
        ));
    }
    let domain = DomainPattern::parse(domain)?;
    if let Some(reason) = domain.reason_it_never_matches() {
        return Err(reason);
    }
    Ok(Grant {
        domain,
        ports: PortSet::parse(ports)?,
        secure: !secure.is_empty(),
    })
}

/// The domain, the ports, and `secure` behind them, all in `value`; what is missing is empty.
pub fn parts(value: &str) -> [&str; 3] {
    let (rest, secure) = match value.strip_suffix("secure") {
        Some(rest) if rest.ends_with([' ', '\t']) => value.split_at(rest.len()),
        _ => value.split_at(value.len()),
    };
    let rest = rest.trim_end();
    let (domain, ports) = rest
        .split_once([' ', '\t'])
        .unwrap_or(rest.split_at(rest.len()));
    [domain, ports.trim(), secure]
}

/// The lines that were probably meant: domains, ports and `secure` in any order, with URLs, quotes
/// and separators that do not belong there. None where a part of it is neither.
fn suggested_lines(value: &str) -> Vec<String> {
    let value = value
        .replace(
            ['"', '\'', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}'],
            "",
        )
        .replace(['\u{2013}', '\u{2014}'], "-");
    let words: Vec<_> = value
        .split([' ', '\t', ',', ';'])
        .filter(|w| !w.is_empty())
        .collect();
    let (mut domains, mut ports, mut secure) = (Vec::new(), Vec::new(), false);
    let mut take_port = |text: &str| PortSet::parse(text).map(|set| ports.push(set.to_string()));
    for word in join_ranges(&words) {
        if word.eq_ignore_ascii_case("secure") {
            secure = true;
        } else if word == "*" && domains.is_empty() {
            domains.push(word);
        } else if take_port(&word).is_ok() || take_port(&reversed(&word)).is_ok() {
        } else if is_everybody(&word) {
            domains.push("*".into());
        } else {
            if is_network(&word) {
                return Vec::new();
            }
            let (host, port) = host_and_port(&word);
            // A number that is no port is no domain either.
            let is_number = host.bytes().all(|b| b.is_ascii_digit() || b == b'-');
            let domain = DomainPattern::parse(host).ok();
            let Some(domain) =
                domain.filter(|d| d.reason_it_never_matches().is_none() && !is_number)
            else {
                return Vec::new();
            };
            if word.to_ascii_lowercase().starts_with("https://") {
                secure = true;
            }
            // The game's own place is not where its SWF comes from: an address with a port, or what
            // the SWF connects to.
            let is_the_game = (!port.is_empty() && host.parse::<IpAddr>().is_ok())
                || word.to_ascii_lowercase().starts_with("xmlsocket://");
            domains.push(match is_the_game {
                true => "*".into(),
                false => domain.to_string(),
            });
            if !port.is_empty() && take_port(port).is_err() {
                return Vec::new();
            }
        }
    }
    if ports.is_empty() {
        return Vec::new();
    }
    if domains.is_empty() {
        domains.push("*".into());
    }
    ports.dedup();
    let ports = if ports.iter().any(|p| p == "*") {
        "*".into()
    } else {
        ports.join(",")
    };
    let secure = if secure { " secure" } else { "" };
    let lines = domains.iter().map(|d| format!("{d} {ports}{secure}"));
    lines.collect()
}

/// `3000 - 3010` is one word.
fn join_ranges(words: &[&str]) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    for word in words {
        match joined.last_mut() {
            Some(last) if last.ends_with('-') || word.starts_with('-') => last.push_str(word),
            _ => joined.push((*word).to_owned()),
        }
    }
    joined
}

/// `3010-3000` the other way round.
fn reversed(word: &str) -> String {
    match word.split_once('-') {
        Some((first, last)) => format!("{last}-{first}"),
        None => String::new(),
    }
}

/// The word for "any domain" in other programs.
fn is_everybody(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let any_address = ["0.0.0.0", "0.0.0.0/0", "[::]", "::", "::/0"];
    let any_name = ["*.*", "**", "any", "all", "everyone"];
    any_address.contains(&word.as_str()) || any_name.contains(&word.as_str())
}

/// A URL's host, and the port behind it.
fn host_and_port(word: &str) -> (&str, &str) {
    let rest = word.split_once("://").map_or(word, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, port),
        _ => (host, ""),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_line_that_was_meant_is_said() {
        for (value, cure) in [
            ("mygame.com:9339", "write `allow = mygame.com 9339`"),
            ("203.0.113.7:9339", "write `allow = * 9339`"),
            (
                "https://a.example 9339",
                "write `allow = a.example 9339 secure`",
            ),
            ("9339,5000-5010", "write `allow = * 9339,5000-5010`"),
            ("0.0.0.0 9339", "write `allow = * 9339`"),
            ("[::] 9339", "write `allow = * 9339`"),
            ("*.* 9339", "write `allow = * 9339`"),
            ("* 9339 Secure", "write `allow = * 9339 secure`"),
            ("80 a.example", "write `allow = a.example 80`"),
            (
                "http://a.example:81/x 80",
                "write `allow = a.example 81,80`",
            ),
            ("\u{201c}*\u{201d} 80", "write `allow = * 80`"),
            ("a.example 80;90", "write `allow = a.example 80,90`"),
            ("* 3010-3000", "write `allow = * 3000-3010`"),
            ("* 3000\u{2013}3010", "write `allow = * 3000-3010`"),
            (
                "*.mygame.com,*.other.com 9339",
                "write a line for each: `allow = *.mygame.com 9339`, `allow = *.other.com 9339`",
            ),
            (
                "a.example, b.example 80, 90 secure",
                "write a line for each: `allow = a.example 80,90 secure`, \
                 `allow = b.example 80,90 secure`",
            ),
            (
                "*.example.com",
                "add them, such as `allow = *.example.com 2001,3000-3010`",
            ),
            (
                "9339 10.0.0.0/8",
                "write that site, such as `allow = www.example.com 9339`, or `allow = * 9339` for \
                 every site; a firewall says which players may connect",
            ),
            (
                "10.0.0.0/8,192.168.1.1-50",
                "write that site, such as `allow = www.example.com 9339`, or `allow = * 9339` for \
                 every site; a firewall says which players may connect",
            ),
            ("0.0.0.0/0 9339", "write `allow = * 9339`"),
            ("xmlSocket://mygame.com:9339/", "write `allow = * 9339`"),
            ("* 8,0,8,0", "was 8080 meant? write `8080`"),
            ("* 70000", "the last port is 65535"),
            ("* 80,70000", "the last port is 65535"),
            (
                "www.*.com 80",
                "write `*` alone, or in front as in `*.example.com`",
            ),
        ] {
            let fault = parse(value).unwrap_err();
            assert_eq!(fault.cure, cure, "{value}: {}", fault.cause);
        }
    }

    proptest! {
        #[test]
        fn a_line_that_is_proposed_is_right(value in "[a-z0-9*.,:;/ -]{0,24}|\\PC{0,24}") {
            for line in suggested_lines(&value) {
                prop_assert!(strict(&line).is_ok(), "{value:?}: {line:?}");
            }
        }

        #[test]
        fn parts_make_up_the_value(value in "[a-z0-9*., ]{0,24}( secure)?") {
            let [domain, ports, _] = parts(&value);
            prop_assert!(value.contains(domain) && value.contains(ports));
        }
    }
}
