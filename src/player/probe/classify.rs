//! Classifies one exchange: the policy that a player takes from the answer, or why there is none.
//! Pure: it opens no socket, and leaves the rules of policies to `policy`. Text for messages is
//! printable ASCII, or made printable by `policy`.

use serde::Serialize;

use super::ask::{End, Exchange, NoConnection};
use super::bytes::contains;
use super::classes::Class;
use super::service::other_service;
use crate::output::text::{count, time};
use crate::policy::{self, Code, Finding, Policy, Reading, Severity};

/// A policy that comes in one piece where a network allows no more than this in a packet: the
/// smallest that IPv6 promises, without headers. What is longer may come in pieces.
const ONE_PACKET: usize = 1_200;

/// One thing found about an exchange; `--json` shows it as it is.
#[derive(Clone, Debug, Serialize)]
pub struct Remark {
    /// The class.
    pub class: Class,
    /// That of the class.
    pub severity: Severity,
    /// The observation, with numbers; printable, on one line.
    pub cause: String,
    /// The cure; printable, on one line.
    pub cure: String,
}

impl Remark {
    /// A remark with the class's own cure for this port.
    pub fn new(class: Class, port: u16, cause: impl Into<String>) -> Remark {
        Remark {
            class,
            severity: class.severity(),
            cause: cause.into(),
            cure: class.cure_on(port),
        }
    }

    /// Whether it keeps the policy from counting.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The classification of an exchange.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The findings about the exchange itself.
    pub remarks: Vec<Remark>,
    /// What `policy` read, where what came is a policy at all, also when it does not count.
    pub reading: Option<Reading>,
    /// The policy in what came, where it is not what a player reads.
    intended: Option<Policy>,
    /// The meaning for the player.
    pub state: AnswerState,
}

/// The meaning of an exchange for the player.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerState {
    /// A policy that counts.
    Counts,
    /// Nothing, or not in time: as if nobody were there. Source: rule book sections 1.9, 4.4.
    Absent,
    /// Something that is no policy: whether the player takes that for absent is not known.
    /// Source: rule book section 1.12.
    Unusable,
}

impl Answer {
    /// The policy, if it counts.
    pub fn policy(&self) -> Option<&Policy> {
        match self.state {
            AnswerState::Counts => self.reading.as_ref()?.policy.as_ref(),
            AnswerState::Absent | AnswerState::Unusable => None,
        }
    }

    /// What the policy would say if nothing were wrong with how it came: a cure is looked for in it.
    pub(super) fn intended(&self) -> Option<&Policy> {
        let read = self
            .reading
            .as_ref()
            .and_then(|reading| reading.policy.as_ref());
        read.or(self.intended.as_ref())
    }

    /// The reason why it is no policy that counts.
    pub fn error(&self) -> Option<&Remark> {
        self.remarks.iter().find(|remark| remark.is_error())
    }

    /// The class of that reason.
    pub(super) fn fault(&self) -> Option<Class> {
        self.error().map(|error| error.class)
    }
}

/// Judges an exchange with a port whose policy counts as served from `served_from`.
pub fn classify(exchange: &Exchange, served_from: u16) -> Answer {
    let (mut found, reading) = match no_policy(exchange) {
        Some(other) => (vec![other], None),
        None => {
            let (found, reading) = policy(exchange, served_from);
            (found, Some(reading))
        }
    };
    if let Some(fault) = exchange.tls.as_ref().and_then(|tls| tls.fault.as_ref()) {
        found.push((Class::Certificate, format!("the certificate {fault}")));
    }
    let port = exchange.address.port();
    let remarks = found.into_iter();
    let remarks = remarks.map(|(class, cause)| Remark::new(class, port, cause));
    let remarks: Vec<_> = remarks.collect();
    let error = remarks.iter().find(|remark| remark.is_error());
    let state = match error.map(|remark| remark.class) {
        None => AnswerState::Counts,
        Some(Class::NoNulOpen | Class::TooSlow) => AnswerState::Absent,
        Some(_) if exchange.bytes.is_empty() => AnswerState::Absent,
        Some(_) => AnswerState::Unusable,
    };
    let is_read = reading
        .as_ref()
        .is_some_and(|reading| reading.policy.is_some());
    Answer {
        intended: match is_read {
            true => None,
            false => find_intended(&exchange.bytes, served_from),
        },
        remarks,
        reading,
        state,
    }
}

/// The policy that is meant by bytes that hold it with something in the way: UTF-16, a byte-order
/// mark, a length, a greeting, NULs.
fn find_intended(bytes: &[u8], served_from: u16) -> Option<Policy> {
    let text = if is_utf16(bytes) {
        let is_low_first = !matches!(bytes, [0xFE, 0xFF, ..] | [0, ..]);
        let units = bytes.chunks_exact(2).map(|pair| {
            let pair = [pair[0], pair[1]];
            if is_low_first {
                u16::from_le_bytes(pair)
            } else {
                u16::from_be_bytes(pair)
            }
        });
        let text =
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
        text.collect::<String>().into_bytes()
    } else {
        bytes.to_vec()
    };
    let start = text.iter().position(|&byte| byte == b'<')?;
    let text = text.get(start..)?.iter().copied();
    let text: Vec<u8> = text.filter(|&byte| byte != 0).collect();
    contains(&text, b"cross-domain-policy")
        .then(|| policy::read(&text, &[served_from]).policy)
        .flatten()
}

/// Whether this is UTF-16: by its mark, or because each second byte of its beginning is 0.
fn is_utf16(bytes: &[u8]) -> bool {
    matches!(bytes, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..])
        || matches!(bytes, [b'<', 0, c, 0, ..] | [0, b'<', 0, c, ..] if *c != 0)
}

/// A class, and what was seen in a sentence.
type Found = (Class, String);

/// What there is to say of an exchange in which nothing came that looks like a policy.
fn no_policy(exchange: &Exchange) -> Option<Found> {
    let after = time(exchange.time);
    let (class, cause) = match (&exchange.connected, exchange.end) {
        (Err(NoConnection::Refused), _) => (
            Class::Refused,
            "the port refuses connections: nobody listens there on this address, or a firewall rejects them".into(),
        ),
        (Err(NoConnection::Filtered), _) => (
            Class::Filtered,
            format!(
                "nobody answered the connection attempt within {after}: a firewall drops it, or the backlog is full"
            ),
        ),
        (Err(NoConnection::Unreachable(reason)), _) => (
            Class::Unreachable,
            format!("the address is unreachable, or a firewall on the way rejects the connection ({reason})"),
        ),
        (Err(NoConnection::NoRoute(reason)), _) => (
            Class::Unreachable,
            format!(
                "this host has no route to the address ({reason}), which says nothing about the server"
            ),
        ),
        (Err(NoConnection::NoTls(why)), _) => (
            Class::NoTls,
            format!("the port takes connections, and {why}"),
        ),
        (Ok(_), _) if !exchange.bytes.is_empty() => {
            return other_service(&exchange.bytes).filter(|_| !is_utf16(&exchange.bytes));
        }
        (Ok(_), End::Closed) => (
            Class::ClosedEmpty,
            format!("the connection was closed after {after} without a byte"),
        ),
        (Ok(_), End::Reset) => (
            Class::ResetBefore,
            format!("the connection was reset after {after}, before a policy came"),
        ),
        (Ok(_), End::Open | End::TooMuch) => (
            Class::Silent,
            format!("the connection was accepted, and nothing came within {after}"),
        ),
    };
    Some((class, cause))
}

/// The answer looks like a policy.
fn policy(exchange: &Exchange, served_from: u16) -> (Vec<Found>, Reading) {
    let Exchange { bytes, end, .. } = exchange;
    let nul = bytes.iter().position(|&byte| byte == 0);
    let (text, rest) = bytes.split_at(nul.unwrap_or(bytes.len()));
    let more = rest.iter().filter(|&&byte| byte != 0).count();
    // The player reads up to the NUL. Where that is no policy and all of it would be one
    // without its NULs, the NUL is the mistake, and not what follows it.
    let mut reading = policy::read(text, &[served_from]);
    let nul_is_the_mistake = reading.policy.is_none()
        && more > 0
        && (is_utf16(bytes) || find_intended(bytes, served_from).is_some());
    if nul_is_the_mistake {
        reading = policy::read(bytes, &[served_from]);
    }
    let has = |code| reading.findings.iter().any(|finding| finding.code == code);
    let silverlight = has(Code::WrongRoot) && contains(bytes, b"<access-policy");
    let malformed = has(Code::Malformed);
    let incomplete = nul.is_none() && malformed && !contains(bytes, b"</cross-domain-policy");
    if incomplete {
        // What is broken where the text ends follows from that.
        reading.retain(|code| code != Code::Malformed);
    }
    let mut found = Vec::new();
    // What follows from such a fault is not told beside it.
    if incomplete && *end == End::Closed {
        let length = count(bytes.len(), "byte");
        let cause =
            format!("the answer ends after {length}, in the middle of the policy, without a NUL");
        found.push((Class::CutOff, cause));
    } else if !is_utf16(bytes) {
        found = how_it_came(exchange, nul, if nul_is_the_mistake { 0 } else { more });
    }
    if silverlight {
        let cause = "this is a Silverlight policy (clientaccesspolicy), not one for Flash";
        found.push((Class::Silverlight, cause.into()));
    } else if reading.policy.is_none() && (!incomplete || *end == End::TooMuch) {
        let is_error = |f: &&Finding| f.code.severity() == Severity::Error;
        let first = reading.findings.iter().find(is_error);
        let first = first.map(|f| format!(": {} ({})", f.cause, f.code.as_str()));
        let number = count(reading.count(Severity::Error), "error");
        let first = first.unwrap_or_default();
        found.push((Class::Invalid, format!("the policy has {number}{first}")));
    }
    (found, reading)
}

/// The faults of the delivery.
fn how_it_came(exchange: &Exchange, nul: Option<usize>, more: usize) -> Vec<Found> {
    let Exchange { end, pieces, .. } = exchange;
    let (after, length) = (time(exchange.time), count(exchange.bytes.len(), "byte"));
    let mut found = Vec::new();
    match (nul, end) {
        (None, End::Open) => found.push((
            Class::NoNulOpen,
            format!("{length} came without a NUL, and after {after} the connection was still open: the player waits for the NUL"),
        )),
        (None, End::Closed) => found.push((
            Class::NoNul,
            "the policy ends with the connection, without a NUL".into(),
        )),
        (None, End::Reset) => found.push((
            Class::ResetBefore,
            format!("the connection was reset after {length} and {after}, before the NUL"),
        )),
        (Some(_), End::Reset) => found.push((
            Class::ResetAfter,
            "the connection was reset after the policy; on Windows that can throw the policy away".into(),
        )),
        (Some(_), End::Open) => found.push((
            Class::LeftOpen,
            "the connection was left open after the NUL".into(),
        )),
        // That it is too much, `policy` says.
        (_, End::TooMuch) | (Some(_), End::Closed) => {}
    }
    let is_all = nul.is_some() || *end == End::Closed;
    let limit = time(exchange.deadline);
    if is_all && exchange.time > exchange.deadline && *end != End::TooMuch {
        let cause = format!("the policy came after {after}; the player gives up after {limit}");
        found.push((Class::TooSlow, cause));
    } else if is_all && exchange.time > exchange.deadline / 3 {
        let cause = format!("the policy took {after} of the {limit} that the player waits");
        found.push((Class::Slow, cause));
    }
    if *pieces > 1 && exchange.first_piece < ONE_PACKET {
        let first = count(exchange.first_piece, "byte");
        let cause = format!("the policy came in {pieces} pieces, the first of {first}");
        found.push((Class::SeveralPieces, cause));
    }
    if nul.is_some() && more > 0 {
        let more = count(more, "byte");
        let cause = format!("{more} came after the NUL, which players do not read");
        found.push((Class::AfterNul, cause));
    }
    found
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
