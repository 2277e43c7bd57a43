//! What an exchange amounts to: the policy that the player would take from it, or why there is
//! none. Pure: it sees what came and knows no sockets, and it knows no rule of policies either,
//! those are `policy`'s.
//!
//! Whatever came, what goes into a message is printable ASCII or was made so by `policy`.

use super::ask::{End, Exchange, NoConnection, REQUEST};
use super::classes::Class;
use crate::policy::{self, Code, Offer, Policy, Reading, Severity};
use crate::text::{count, time};

/// A policy that comes in one piece where a network allows no more than this in a packet: the
/// smallest that IPv6 promises, without headers. What is longer may come in pieces.
const ONE_PACKET: usize = 1_200;

/// How much of what is no policy is shown, in bytes.
const SHOWN: usize = 48;

/// One thing found about an exchange.
#[derive(Clone, Debug)]
pub struct Remark {
    /// What kind of thing.
    pub class: Class,
    /// What was seen, with numbers; printable, on one line.
    pub cause: String,
    /// What to do about it; printable, on one line.
    pub cure: String,
}

impl Remark {
    /// A remark with the class's own cure for this port.
    pub fn new(class: Class, port: u16, cause: impl Into<String>) -> Remark {
        Remark {
            class,
            cause: cause.into(),
            cure: class.cure().replace("PORT", &port.to_string()),
        }
    }

    fn is_error(&self) -> bool {
        self.class.severity() == Severity::Error
    }
}

/// What an exchange amounts to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was found about the exchange itself.
    pub remarks: Vec<Remark>,
    /// What `policy` read, where what came is a policy at all, also when it does not count.
    pub reading: Option<Reading>,
    /// What that makes of it for the player.
    pub state: State,
}

/// What an exchange is to the player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A policy that counts.
    Counts,
    /// Nothing, or not in time: as if nobody were there. Source: rule book sections 1.9, 4.4.
    Absent,
    /// Something that is no policy: whether the player takes that for absent is not known.
    /// Source: rule book section 1.12.
    Unusable,
}

impl Answer {
    /// The policy as `policy` decides by it, if it counts; `port` serves it, 843 for the master.
    pub fn offer(&self, port: u16) -> Option<Offer<'_>> {
        let policy = self.policy()?;
        let dropped = self.reading.as_ref()?.dropped_by_lightspark.as_deref();
        Some(Offer {
            dropped_by_lightspark: dropped,
            ..Offer::new(port, policy)
        })
    }

    /// The policy, if it counts.
    pub fn policy(&self) -> Option<&Policy> {
        match self.state {
            State::Counts => self.reading.as_ref()?.policy.as_ref(),
            State::Absent | State::Unusable => None,
        }
    }

    /// What makes it no policy that counts.
    pub fn error(&self) -> Option<&Remark> {
        self.remarks.iter().find(|remark| remark.is_error())
    }

    /// How many warnings there are, those of the policy included.
    pub fn warnings(&self) -> usize {
        let of_policy = self.reading.iter().flat_map(|reading| &reading.findings);
        let of_policy = of_policy.filter(|finding| finding.code.severity() == Severity::Warning);
        self.remarks
            .iter()
            .filter(|remark| !remark.is_error())
            .count()
            + of_policy.count()
    }
}

/// Judges an exchange with a port whose policy counts as served from `served_from`.
pub fn classify(exchange: &Exchange, served_from: u16) -> Answer {
    let mut judge = Judge {
        exchange,
        remarks: Vec::new(),
    };
    let reading = judge.reading(served_from);
    let remarks = judge.remarks;
    let error = remarks.iter().find(|remark| remark.is_error());
    let state = match error.map(|remark| remark.class) {
        None => State::Counts,
        Some(Class::NoNulOpen | Class::TooSlow) => State::Absent,
        Some(_) if exchange.bytes.is_empty() => State::Absent,
        Some(_) => State::Unusable,
    };
    Answer {
        remarks,
        reading,
        state,
    }
}

struct Judge<'a> {
    exchange: &'a Exchange,
    remarks: Vec<Remark>,
}

impl Judge<'_> {
    fn remark(&mut self, class: Class, cause: impl Into<String>) {
        let port = self.exchange.address.port();
        self.remarks.push(Remark::new(class, port, cause));
    }

    fn reading(&mut self, served_from: u16) -> Option<Reading> {
        let exchange = self.exchange;
        let after = time(exchange.time);
        match &exchange.connected {
            Ok(_) => {}
            Err(NoConnection::Refused) => {
                self.remark(
                    Class::Refused,
                    "the port refuses connections: nobody listens there on this address",
                );
                return None;
            }
            Err(NoConnection::Filtered) => {
                self.remark(Class::Filtered, format!("nobody answered the connection attempt within {after}: a firewall drops it, or the backlog is full"));
                return None;
            }
            Err(NoConnection::Unreachable(reason)) => {
                self.remark(
                    Class::Unreachable,
                    format!("the address is out of reach, or a firewall says so ({reason})"),
                );
                return None;
            }
            Err(NoConnection::NoRoute(reason)) => {
                self.remark(Class::Unreachable, format!("this host has no way to the address ({reason}), which tells nothing of the server"));
                return None;
            }
        }
        if exchange.bytes.is_empty() {
            match exchange.end {
                End::Closed => self.remark(
                    Class::ClosedEmpty,
                    format!("the connection was closed after {after} without a byte"),
                ),
                End::Reset => self.remark(
                    Class::ResetBefore,
                    format!("the connection was reset after {after}, before a policy came"),
                ),
                End::Open | End::TooMuch => self.remark(
                    Class::Silent,
                    format!("the connection was accepted, and nothing came within {after}"),
                ),
            }
            return None;
        }
        if let Some((class, cause)) = foreign(&exchange.bytes) {
            self.remark(class, cause);
            return None;
        }
        Some(self.policy(served_from))
    }

    /// What came looks like a policy.
    fn policy(&mut self, served_from: u16) -> Reading {
        let Exchange { bytes, end, .. } = self.exchange;
        let nul = bytes.iter().position(|&byte| byte == 0);
        let (text, rest) = bytes.split_at(nul.unwrap_or(bytes.len()));
        let more = rest.iter().filter(|&&byte| byte != 0).count();
        // The player reads up to the NUL. Is that no policy, and more follows, then the NUL is the
        // mistake.
        let mut reading = policy::read(text, &[served_from]);
        if reading.policy.is_none() && more > 0 {
            reading = policy::read(bytes, &[served_from]);
        }
        self.how_it_came(nul, more);

        let silverlight = reading
            .findings
            .iter()
            .any(|finding| finding.code == Code::WrongRoot)
            && contains(bytes, b"<access-policy");
        let malformed = reading
            .findings
            .iter()
            .any(|finding| finding.code == Code::Malformed);
        let is_cut = nul.is_none() && malformed && !contains(bytes, b"</cross-domain-policy");
        if silverlight {
            self.remark(
                Class::Silverlight,
                "this is a Silverlight policy (clientaccesspolicy), not one for Flash",
            );
        } else if is_cut && *end != End::Reset {
            self.remark(
                Class::CutOff,
                format!(
                    "the answer ends after {}, in the middle of the policy, without a NUL",
                    count(bytes.len(), "byte")
                ),
            );
        } else if reading.policy.is_none() {
            let errors: Vec<_> = reading
                .findings
                .iter()
                .filter(|f| f.code.severity() == Severity::Error)
                .collect();
            let first = errors
                .first()
                .map(|f| format!(": {} ({})", f.cause, f.code.as_str()));
            let cause = format!(
                "the policy has {}{}",
                count(errors.len(), "error"),
                first.unwrap_or_default()
            );
            self.remark(Class::Invalid, cause);
        }
        reading
    }

    /// The faults of the delivery.
    fn how_it_came(&mut self, nul: Option<usize>, more: usize) {
        let Exchange {
            bytes,
            end,
            time: took,
            deadline,
            pieces,
            first_piece,
            ..
        } = self.exchange;
        let after = time(*took);
        match (nul, end) {
            (None, End::Open) => self.remark(Class::NoNulOpen, format!("{} came without a NUL, and after {after} the connection was still open: the player waits for the NUL", count(bytes.len(), "byte"))),
            (None, End::Closed) => self.remark(Class::NoNul, "the policy ends with the connection, without a NUL"),
            (None, End::Reset) => self.remark(Class::ResetBefore, format!("the connection was reset after {} and {after}, before the NUL", count(bytes.len(), "byte"))),
            (Some(_), End::Reset) => self.remark(Class::ResetAfter, "the connection was reset after the policy; on Windows that can throw the policy away"),
            (Some(_), End::Open) => self.remark(Class::LeftOpen, "the connection was left open after the NUL"),
            // That it is too much, `policy` says.
            (_, End::TooMuch) | (Some(_), End::Closed) => {}
        }
        if took > deadline && *end != End::TooMuch && (nul.is_some() || *end == End::Closed) {
            self.remark(
                Class::TooSlow,
                format!(
                    "the policy came after {after}; the player gives up after {}",
                    time(*deadline)
                ),
            );
        } else if *took > *deadline / 3 && (nul.is_some() || *end == End::Closed) {
            self.remark(
                Class::Slow,
                format!(
                    "the policy took {after} of the {} that the player waits",
                    time(*deadline)
                ),
            );
        }
        if *pieces > 1 && *first_piece < ONE_PACKET {
            self.remark(
                Class::SeveralPieces,
                format!(
                    "the policy came in {pieces} pieces, the first of {}",
                    count(*first_piece, "byte")
                ),
            );
        }
        if nul.is_some() && more > 0 {
            self.remark(
                Class::AfterNul,
                format!(
                    "{} came after the NUL, which players do not read",
                    count(more, "byte")
                ),
            );
        }
    }
}

/// What came, if it is no policy, not even a broken one.
fn foreign(bytes: &[u8]) -> Option<(Class, String)> {
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
        return Some((
            Class::Http,
            format!("a web server answered: {}", excerpt(status)),
        ));
    }
    if matches!(bytes, [0x15 | 0x16, 0x03, ..]) {
        return Some((Class::Tls, "a TLS server answered".into()));
    }
    if bytes.starts_with(REQUEST.strip_suffix(b"\0").unwrap_or(REQUEST)) {
        return Some((Class::Echo, "the request came back as the answer".into()));
    }
    // A byte-order mark is the policy module's to name.
    if [&b"\xEF\xBB\xBF"[..], b"\xFF\xFE", b"\xFE\xFF"]
        .iter()
        .any(|mark| bytes.starts_with(mark))
    {
        return None;
    }
    let Some(start) = bytes.iter().position(|&byte| byte == b'<') else {
        return Some((
            Class::NotAPolicy,
            format!("what came is no XML: {}", excerpt(bytes)),
        ));
    };
    let (before, xml) = bytes.split_at(start);
    if before.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    let is_policy = [&b"cross-domain-policy"[..], b"access-policy", b"<?xml"];
    if !is_policy.iter().any(|piece| contains(xml, piece)) {
        return Some((
            Class::NotAPolicy,
            format!("what came is no policy: {}", excerpt(bytes)),
        ));
    }
    let shown = excerpt(before);
    let length = count(before.len(), "byte");
    Some(if is_length(before, xml) {
        (
            Class::LengthPrefix,
            format!("a length of {length} stands before the XML: {shown}"),
        )
    } else {
        (
            Class::JunkBefore,
            format!("{length} of something else stand before the XML: {shown}"),
        )
    })
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

fn contains(bytes: &[u8], piece: &[u8]) -> bool {
    bytes.windows(piece.len()).any(|window| window == piece)
}

/// The beginning of some bytes, escaped: printable ASCII, whatever they are.
pub fn excerpt(bytes: &[u8]) -> String {
    let shown = bytes.get(..SHOWN).unwrap_or(bytes).escape_ascii();
    let dots = if bytes.len() > SHOWN { "..." } else { "" };
    format!("\"{shown}{dots}\"")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const POLICY: &str = "<cross-domain-policy><allow-access-from domain=\"a.example\" to-ports=\"80\"/></cross-domain-policy>";

    fn came(bytes: &[u8], end: End) -> Exchange {
        Exchange {
            address: ([127, 0, 0, 1], 843).into(),
            connected: Ok(Duration::from_micros(100)),
            bytes: bytes.to_vec(),
            pieces: 1,
            first_piece: bytes.len(),
            end,
            time: Duration::from_millis(1),
            deadline: Duration::from_secs(3),
        }
    }

    fn classes(exchange: &Exchange) -> Vec<Class> {
        classify(exchange, 843)
            .remarks
            .iter()
            .map(|remark| remark.class)
            .collect()
    }

    #[test]
    fn what_came_has_its_class() {
        use Class::*;
        let length = |prefix: &[u8]| [prefix, POLICY.as_bytes(), b"\0"].concat();
        let size = POLICY.len() as u8;
        let with_nul = format!("{POLICY}\0");
        for (bytes, end, expected) in [
            (with_nul.as_bytes(), End::Closed, &[][..]),
            (b"", End::Closed, &[ClosedEmpty]),
            (b"", End::Reset, &[ResetBefore]),
            (b"", End::Open, &[Silent]),
            (POLICY.as_bytes(), End::Closed, &[NoNul]),
            (POLICY.as_bytes(), End::Open, &[NoNulOpen]),
            (POLICY.as_bytes(), End::Reset, &[ResetBefore]),
            (with_nul.as_bytes(), End::Open, &[LeftOpen]),
            (with_nul.as_bytes(), End::Reset, &[ResetAfter]),
            (&length(&[0, size]), End::Closed, &[LengthPrefix]),
            (&length(&[size, 0, 0, 0]), End::Closed, &[LengthPrefix]),
            (&length(&[0, 0, 0, size + 1]), End::Closed, &[LengthPrefix]),
            (
                &length(format!("{size}\r\n").as_bytes()),
                End::Closed,
                &[LengthPrefix],
            ),
            (&length(b"220 hello\r\n"), End::Closed, &[JunkBefore]),
            (&length(b"\0\0\0\0"), End::Closed, &[JunkBefore]),
            (b"SSH-2.0-OpenSSH_9.2\r\n", End::Open, &[NotAPolicy]),
            (b"hello <b>world</b>", End::Closed, &[NotAPolicy]),
            (
                b"HTTP/1.1 400 Bad Request\r\n\r\n<html>",
                End::Closed,
                &[Http],
            ),
            (b"\r\n<!DOCTYPE HTML>", End::Closed, &[Http]),
            (b"\x15\x03\x01\0\x02\x02\x0a", End::Closed, &[Tls]),
            (REQUEST, End::Open, &[Echo]),
            (b"<access-policy/>\0", End::Closed, &[Silverlight]),
            (&with_nul.as_bytes()[..60], End::Closed, &[NoNul, CutOff]),
            (
                &[with_nul.as_bytes(), b"\r\n"].concat(),
                End::Closed,
                &[AfterNul],
            ),
            (&[with_nul.as_bytes(), b"\0\0"].concat(), End::Closed, &[]),
            (b"<cross-domain-policy>\0", End::Closed, &[Invalid]),
            (b"\0", End::Closed, &[NotAPolicy]),
            (
                b"\xEF\xBB\xBF<cross-domain-policy/>\0",
                End::Closed,
                &[Invalid],
            ),
            (b"\xFF\xFE<\0c\0", End::Closed, &[Invalid]),
        ] {
            let found = classes(&came(bytes, end));
            let mut expected = expected.to_vec();
            // A UTF-16 answer holds NULs, so more than the mark is wrong with it.
            if bytes.starts_with(b"\xFF") {
                expected.insert(0, AfterNul);
            }
            assert_eq!(found, expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_policy_that_is_late_or_in_pieces_is_named() {
        let with_nul = format!("{POLICY}\0");
        let mut exchange = came(with_nul.as_bytes(), End::Closed);
        exchange.time = Duration::from_millis(1100);
        assert_eq!(classes(&exchange), [Class::Slow]);
        exchange.time = Duration::from_millis(3100);
        assert_eq!(classes(&exchange), [Class::TooSlow]);
        assert_eq!(classify(&exchange, 843).state, State::Absent);
        assert!(classify(&exchange, 843).policy().is_none());
        exchange.time = Duration::from_millis(1);
        (exchange.pieces, exchange.first_piece) = (2, 1_199);
        assert_eq!(classes(&exchange), [Class::SeveralPieces]);
        // Networks cut what is longer.
        exchange.first_piece = 1_200;
        assert_eq!(classes(&exchange), []);
    }

    #[test]
    fn a_nul_inside_is_the_policy_modules_to_name() {
        let answer = classify(
            &came(
                b"<cross-domain-policy>\0</cross-domain-policy>\0",
                End::Closed,
            ),
            843,
        );
        assert_eq!(answer.state, State::Unusable);
        let findings = answer.reading.unwrap().findings;
        assert_eq!(findings[0].code, Code::NulInside);
    }

    #[test]
    fn whatever_came_is_shown_escaped() {
        let exchange = came(b"\x1b]0;owned\x07\x9b31m \xe2\x80\xae", End::Closed);
        let cause = &classify(&exchange, 843).remarks[0].cause;
        assert_eq!(
            cause,
            "what came is no XML: \"\\x1b]0;owned\\x07\\x9b31m \\xe2\\x80\\xae\""
        );
    }
}
