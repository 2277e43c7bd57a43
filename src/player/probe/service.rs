//! Recognises another service by the bytes that it sent in place of a policy. It opens no socket;
//! its texts are printable ASCII.

use super::ask::REQUEST;
use super::bytes::{contains, excerpt};
use super::classes::Class;
use crate::output::text::count;
use crate::player::protocols::server_of;

/// The byte-order marks, which are `policy`'s to name.
const BYTE_ORDER_MARKS: [&[u8]; 3] = [b"\xEF\xBB\xBF", b"\xFF\xFE", b"\xFE\xFF"];

/// What a MySQL server's greeting begins with, behind its length and its number: version 10 of the
/// protocol. 0xff is an error in its place, such as that this host may not connect.
const MYSQL_GREETING: u8 = 10;
const MYSQL_ERROR: u8 = 0xff;

/// The class of an answer that is no policy, not even a broken one, and a sentence.
pub(super) fn other_service(bytes: &[u8]) -> Option<(Class, String)> {
    let lower: Vec<u8> = bytes.iter().take(256).map(u8::to_ascii_lowercase).collect();
    let start = lower.trim_ascii_start();
    if lower.starts_with(b"http/")
        || start.starts_with(b"<html")
        || start.starts_with(b"<!doctype html")
    {
        let status = bytes
            .split(|&byte| matches!(byte, b'\r' | b'\n'))
            .next()
            .unwrap_or_default();
        let cause = format!("a web server answered: {}", excerpt(status));
        let code = status.split(|&byte| byte == b' ').nth(1);
        let class = match code {
            Some(b"403" | b"407" | b"511") => Class::WebFilter,
            _ => Class::Http,
        };
        return Some((class, cause));
    }
    if matches!(bytes, [0x15 | 0x16, 0x03, ..]) {
        return Some((Class::Tls, "a TLS server answered".into()));
    }
    if bytes.starts_with(REQUEST.strip_suffix(b"\0").unwrap_or(REQUEST)) {
        return Some((Class::Echo, "the request came back as the answer".into()));
    }
    if BYTE_ORDER_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
        return None;
    }
    let is_meant = contains(bytes, b"cross-domain-policy") || contains(bytes, b"access-policy");
    if let Some(service) = known(bytes).filter(|_| !is_meant) {
        return Some((Class::NotAPolicy, service));
    }
    let holds_policy = is_meant || contains(bytes, b"<?xml");
    let Some(start) = bytes.iter().position(|&byte| byte == b'<') else {
        let cause = format!("what came is no XML: {}", excerpt(bytes));
        return Some((Class::NotAPolicy, cause));
    };
    let (before, xml) = bytes.split_at(start);
    if before.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    if !holds_policy {
        let cause = format!("what came is no policy: {}", excerpt(bytes));
        return Some((Class::NotAPolicy, cause));
    }
    Some(before_the_xml(before, xml))
}

/// A service that is known, and what it said.
fn known(bytes: &[u8]) -> Option<String> {
    let (service, said) = match mysql(bytes) {
        Some(said) => ("a MySQL or MariaDB server", said),
        None => (server_of(bytes)?, bytes),
    };
    Some(format!("{service} answered: {}", excerpt(said)))
}

/// The server's version, or its error message, in the first packet of a MySQL server: three bytes
/// of length with the lowest first, a number that is 0, and the packet.
fn mysql(bytes: &[u8]) -> Option<&[u8]> {
    let [low, middle, 0, 0, kind, rest @ ..] = bytes else {
        return None;
    };
    let length = usize::from(*low) | usize::from(*middle) << 8;
    // Behind the greeting comes the error that the player's request is.
    let rest = rest.get(..length.checked_sub(1)?)?;
    let text = match *kind {
        MYSQL_GREETING => rest.split(|&byte| byte == 0).next()?,
        // Behind the two bytes of an error number.
        MYSQL_ERROR => rest.get(2..)?,
        _ => return None,
    };
    let printable = text
        .iter()
        .all(|&byte| byte == b' ' || byte.is_ascii_graphic());
    (printable && !text.is_empty()).then_some(text)
}

/// The bytes before the XML: a length, or others.
fn before_the_xml(before: &[u8], xml: &[u8]) -> (Class, String) {
    let shown = excerpt(before);
    let length = count(before.len(), "byte");
    if is_length(before, xml) {
        let cause = format!("a length of {length} stands before the XML: {shown}");
        (Class::LengthPrefix, cause)
    } else {
        let cause = format!("{length} of something else stand before the XML: {shown}");
        (Class::JunkBefore, cause)
    }
}

/// Whether `before` tells the length of what follows: in binary, or in digits and a separator.
fn is_length(before: &[u8], xml: &[u8]) -> bool {
    let without_nul = xml.strip_suffix(b"\0").unwrap_or(xml).len();
    let all = before.len() + xml.len();
    let lengths = [without_nul, xml.len(), without_nul + before.len(), all].map(|n| n as u64);
    let binary = |bytes: &mut dyn Iterator<Item = &u8>| {
        bytes.fold(0u64, |sum, &byte| sum << 8 | u64::from(byte))
    };
    if matches!(before.len(), 1 | 2 | 4 | 8)
        && (lengths.contains(&binary(&mut before.iter()))
            || lengths.contains(&binary(&mut before.iter().rev())))
    {
        return true;
    }
    let digits = before
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (number, separator) = before.split_at(digits);
    let number = std::str::from_utf8(number)
        .ok()
        .and_then(|text| text.parse().ok());
    number.is_some_and(|number: u64| lengths.contains(&number)) && separator.len() <= 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(bytes: &[u8]) -> String {
        let (class, cause) = other_service(bytes).unwrap();
        assert_eq!(class, Class::NotAPolicy);
        cause
    }

    #[test]
    fn services_that_greet_are_named() {
        for (bytes, expected) in [
            (
                &b"SSH-2.0-OpenSSH_9.2p1\r\n"[..],
                "an SSH server answered: \"SSH-2.0-OpenSSH_9.2p1\\r\\n\"",
            ),
            (
                b"220 mx.example.com ESMTP Postfix\r\n",
                "a mail server (SMTP) answered: \"220 mx.ex",
            ),
            (
                b"220-mx.example.com smtp\r\n",
                "a mail server (SMTP) answered: ",
            ),
            (b"220 (vsFTPd 3.0.3)\r\n", "an FTP server answered: "),
            (
                b"220 hello\r\n",
                "a mail or FTP server answered: \"220 hello\\r\\n\"",
            ),
            (
                b"\x0c\0\0\0\x0a8.0.36\0\x01\0\0\0",
                "a MySQL or MariaDB server answered: \"8.0.36\"",
            ),
            (
                b"\x0a\0\0\0\xff\x6a\x04No <you",
                "a MySQL or MariaDB server answered: \"No <you\"",
            ),
            (
                b"\x09\0\0\0\x0a8.0.36\0\x01\x05\0\0\x01\xff",
                "a MySQL or MariaDB server answered: \"8.0.36\"",
            ),
            (b"\x0d\0\0\0\x0a8.0.36\0\x01\0\0\0", "what came is no XML"),
            (b"\x04\0\0\0\x0a\x1b[m", "what came is no XML"),
            (b"\x02\0\0\0\xff\x6a", "what came is no XML"),
            (b"2201 hello\r\n", "what came is no XML"),
            (
                b"<?xml version='1.0'?><stream:stream id='' xml:lang='en'><stream:error/>",
                "an XMPP server answered: \"<?xml",
            ),
        ] {
            let cause = named(bytes);
            assert!(cause.starts_with(expected), "{cause}");
        }
    }

    #[test]
    fn a_greeting_before_a_policy_is_no_service() {
        let bytes = b"220 hello\r\n<cross-domain-policy/>\0";
        assert_eq!(other_service(bytes).unwrap().0, Class::JunkBefore);
    }
}
