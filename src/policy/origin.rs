//! Where the content (the SWF) was loaded from: what a policy is asked about.
//!
//! Reads what a person types for it; never resolves or fetches anything.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use super::ParseError;
use crate::text::{quote, shown};

/// The most characters of a host name, and of a label of it. Source: RFC 1035, section 2.3.4, as it is
/// written: without the length of each label and the root.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// Where the content that wants to connect was loaded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// From the local disk (`file:`), in the local-with-networking sandbox
    /// (rule book 3.7 \[SB\]); local-trusted content asks for no policy.
    Local,
    /// From anywhere: `*`. Only what is for everybody lets it in.
    Anywhere,
    /// From a web server.
    Web {
        /// Whether it was loaded over HTTPS.
        https: bool,
        /// The host in its URL.
        host: Host,
    },
}

/// The host of an [`Origin`]. A name and the address it stands for are two
/// different hosts (rule book 3.2 \[PC\]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name in lower case, without a trailing dot.
    Name(String),
    /// A literal address.
    Ip(IpAddr),
}

impl Origin {
    /// The origin behind "a SWF from".
    pub fn in_words(&self) -> String {
        match self {
            Origin::Anywhere => "anywhere".into(),
            origin => origin.to_string(),
        }
    }
    /// Whether this is the application content of AIR, which asks for no policy (rule book 3.7
    /// \[PC\]) and so is no origin.
    pub fn is_air(text: &str) -> bool {
        let scheme = text.as_bytes().get(..4);
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"app:"))
    }

    /// Reads a host, an IP address, a URL, `file:` or the path of a file, or `*` for content from
    /// anywhere; without a scheme, `http` is meant. The port and the path of a URL do not count.
    ///
    /// # Errors
    /// An unknown scheme, a host that no URL can have, or what may be a host or a folder.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let lower = text.to_ascii_lowercase();
        if is_file(&lower) {
            return Ok(Origin::Local);
        }
        if let Some((folder, _)) = lower.split_once('/').filter(|_| is_content(&lower)) {
            if is_host_or_folder(folder) {
                return Err(ParseError::new(
                    format!("{} may be a host or a folder", quote(folder)),
                    format!(
                        "write `file:` for a SWF on the disk, or `http://{}`",
                        shown(folder)
                    ),
                ));
            }
        }
        if text == "*" {
            return Ok(Origin::Anywhere);
        }
        if Origin::is_air(text) {
            return Err(ParseError::new(
                "the application content of AIR (app:) asks for no policy, and may connect to \
                 every port",
                "ask for content that is loaded from a host",
            ));
        }
        let (https, rest) = match lower.split_once("://") {
            None => (false, lower.as_str()),
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some((scheme, _)) => {
                return Err(ParseError::new(
                    format!("content is not loaded over {}", quote(scheme)),
                    "write a `http://` or `https://` URL, a host, or `file:`",
                ));
            }
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host(authority)?;
        Ok(Origin::Web { https, host })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Local => f.write_str("file:"),
            Origin::Anywhere => f.write_str("*"),
            Origin::Web { https: true, host } => write!(f, "https://{host}"),
            Origin::Web { https: false, host } => write!(f, "http://{host}"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

/// Whether this is a URL of local content, or a file as people name it: `D:\game.swf`, `/srv/game.swf`,
/// `\\host\game.swf`, `game.swf`.
fn is_file(lower: &str) -> bool {
    let is_drive = matches!(lower.as_bytes(), [b'a'..=b'z', b':', b'/' | b'\\', ..]);
    let is_path =
        lower.starts_with(['/', '~']) || lower.starts_with("./") || lower.starts_with("../");
    let is_windows_path = lower.contains('\\') && !lower.starts_with("http");
    let is_name = is_content(lower) && !lower.contains('/');
    lower.starts_with("file:") || is_drive || is_path || is_windows_path || is_name
}

/// Whether it ends like the name of a SWF, a projector or a page; no domain does.
fn is_content(lower: &str) -> bool {
    let endings = [".swf", ".exe", ".html", ".htm"];
    endings
        .iter()
        .any(|ending| lower.len() > ending.len() && lower.ends_with(ending))
}

/// A single word that is no address: the name of a host in a local network, or a folder.
fn is_host_or_folder(name: &str) -> bool {
    !name.is_empty() && !name.contains(['.', ':']) && name != "localhost"
}

/// An address as it stands in a URL or alone: IPv6 with or without brackets.
pub(super) fn parse_ip(text: &str) -> Option<IpAddr> {
    let inside = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    match inside {
        Some(inside) => inside.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

fn host(authority: &str) -> Result<Host, ParseError> {
    if let Some(ip) = parse_ip(authority) {
        return Ok(Host::Ip(ip));
    }
    if let Some(zone) = zone(authority) {
        return Err(ParseError::new(
            format!(
                "a zone ({}) is not supported, nor an address that needs one",
                quote(zone)
            ),
            "write the name of the host, or an address without a zone",
        ));
    }
    let host = match authority.rsplit_once(':') {
        None => authority,
        Some((host, "")) => host,
        Some((host, port)) if is_port(port) => host,
        Some((_, port)) => {
            return Err(ParseError::new(
                format!("{} is no port", quote(port)),
                "write the origin as `http://host`, `http://host:8080` or `http://[::1]`",
            ));
        }
    };
    if let Some(ip) = parse_ip(host) {
        return Ok(Host::Ip(ip));
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.is_empty() {
        return Err(ParseError::new(
            "the origin names no host",
            "write a host, an IP address, a `http://` or `https://` URL, or `file:`",
        ));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let (what, cure) = if !name.is_ascii() {
        (
            "is not plain ASCII",
            "write an international name in its punycode form (`xn--...`)",
        )
    } else if !name.bytes().all(allowed) {
        (
            "holds a character that no host name has",
            "use letters, digits, `-` and `.` only; an origin is one host, without `*` or a \
            user name",
        )
    } else if name.split('.').any(str::is_empty) {
        ("has an empty part", "delete the extra dot")
    } else if name.len() > MAX_NAME || name.split('.').any(|label| label.len() > MAX_LABEL) {
        (
            "is too long: a host name has 253 characters at most, and 63 between two dots",
            "write the name that the host has",
        )
    } else {
        return Ok(Host::Name(name.to_owned()));
    };
    let cause = format!("the host {} {what}", quote(authority));
    Err(ParseError::new(cause, cure))
}

/// What stands from the `%` on behind an IPv6 address, such as `%eth0` (RFC 4007, section 11).
fn zone(authority: &str) -> Option<&str> {
    let inside = authority.strip_prefix('[').unwrap_or(authority);
    let inside = inside.split(']').next()?;
    let (address, zone) = inside.split_at(inside.find('%')?);
    address.parse::<Ipv6Addr>().is_ok().then_some(zone)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && !matches!(text.parse(), Err(_) | Ok(0u16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_way_to_write_an_origin_is_understood() {
        for (text, shown) in [
            ("game.example.com", "http://game.example.com"),
            ("Game.Example.COM.", "http://game.example.com"),
            ("game.example.com:8080/x", "http://game.example.com"),
            (
                "HTTP://a.example:80/swf/g.swf?x=http://b",
                "http://a.example",
            ),
            ("https://a.example", "https://a.example"),
            ("https://a.example?x", "https://a.example"),
            ("203.0.113.7", "http://203.0.113.7"),
            ("203.0.113.7:80", "http://203.0.113.7"),
            ("[::1]", "http://[::1]"),
            ("::1", "http://[::1]"),
            ("https://[2001:DB8::1]:443/", "https://[2001:db8::1]"),
            ("file:", "file:"),
            ("FILE:///C:/g.swf", "file:"),
            ("localhost", "http://localhost"),
            ("localhost/game.swf", "http://localhost"),
            ("www.example.com/swf/Game.swf", "http://www.example.com"),
            ("http://intranet/game.swf", "http://intranet"),
            ("C:\\games\\client.swf", "file:"),
            ("d:/games/my client.swf", "file:"),
            ("\\\\host\\share\\client.swf", "file:"),
            ("games\\client.swf", "file:"),
            ("/home/player/client.swf", "file:"),
            ("~/client.swf", "file:"),
            ("./swf/client", "file:"),
            ("client.swf", "file:"),
            ("My Game.SWF", "file:"),
            ("index.html", "file:"),
            ("*", "*"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), shown, "{text}");
        }
        let longest = format!("{}{}", "a.".repeat(95), "a".repeat(63));
        assert_eq!(longest.len(), 253);
        assert!(Origin::parse(&longest).is_ok());
    }

    #[test]
    fn a_written_origin_reads_back_the_same() {
        for text in [
            "file:",
            "http://a.example",
            "https://[::1]",
            "http://10.0.0.1",
        ] {
            let origin = Origin::parse(text).unwrap();
            assert_eq!(Origin::parse(&origin.to_string()), Ok(origin));
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_with_a_cure() {
        for (text, cause) in [
            ("", "names no host"),
            ("http://", "names no host"),
            ("app:/game.swf", "asks for no policy"),
            ("ftp://a.example", "content is not loaded over `ftp`"),
            (
                "m\u{fc}nchen.example",
                "not plain ASCII; write an international name in its punycode",
            ),
            ("http:\\\\a.example\\x", "is no port; write the origin as"),
            (
                "games/client.swf",
                "`games` may be a host or a folder; write `file:`",
            ),
            ("http://a.example:99999", "`99999` is no port"),
            ("http://a.example:0", "`0` is no port"),
            ("*.example.com", "no host name has"),
            ("user@a.example", "no host name has"),
            ("a b", "no host name has"),
            ("a\u{1b}b", "no host name has"),
            ("a..example", "empty part"),
            (&"a".repeat(64), "is too long: a host name has 253"),
            (&"a.".repeat(128), "is too long: a host name has 253"),
            ("fe80::1%lo", "a zone (`%lo`) is not supported, nor"),
            ("http://[fe80::1%25eth0]:80/", "a zone (`%25eth0`) is not"),
            ("a%lo", "no host name has"),
            ("[::1", "`[::1` holds"),
            ("a.example:+80", "`+80` is no port"),
        ] {
            let fault = Origin::parse(text).unwrap_err().to_string();
            assert!(fault.contains(cause), "{text:?}: {fault}");
            assert!(!fault.contains('\u{1b}'));
        }
    }
}
