//! The PROXY protocol: what a load balancer says of a connection before the client's own bytes, and
//! where it ends. Pure: it reads no socket and keeps no bytes.
//!
//! The frame is found here, since it must not depend on how the bytes are cut; what stands in it
//! is `ppp`'s to read. A header only counts on a listener that asks for it (`listen = … proxy`).

use std::net::SocketAddr;

use ppp::{v1, v2};

/// At most this many bytes are looked at for a header of version 2, extensions included: what the
/// smallest segment holds that every host has to take. Senders keep within it.
/// Source: haproxy.org's proxy-protocol.txt, section 2.
pub const MAX_HEADER_BYTES: usize = 536;

/// The longest line of version 1, with its line end. Source: section 2.1.
const MAX_LINE: usize = 107;

/// What a line of version 1 starts with.
const LINE: &[u8] = b"PROXY ";

/// A line whose sender does not know the client; whatever follows in it is to be ignored.
const UNKNOWN: &[u8] = b"PROXY UNKNOWN";

/// Version 2: a signature, version and command, family, and the length of the rest.
const FIXED: usize = 16;

/// Version 2 with the command LOCAL, in which even the family means nothing.
const LOCAL: u8 = 0x20;

/// What the bytes so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderProgress {
    /// They may still become a header.
    Incomplete,
    /// They begin with a header.
    Complete(Header),
    /// Whatever follows, they cannot become one.
    Never,
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How many bytes it has; what follows is the client's.
    pub len: usize,
    /// Whose connection it is.
    pub whose: Whose,
}

/// Whose connection a balancer hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// This client's.
    Client(SocketAddr),
    /// A client's whose address the balancer does not know, or that is none of the Internet's.
    Unknown,
    /// The balancer's own: a health check.
    Balancer,
}

/// Looks at the first bytes of a connection, all of them each time.
pub fn look(bytes: &[u8]) -> HeaderProgress {
    if starts_alike(bytes, v2::PROTOCOL_PREFIX) {
        binary(bytes)
    } else if starts_alike(bytes, LINE) {
        line(bytes)
    } else {
        HeaderProgress::Never
    }
}

/// Whether these are a balancer's words, by the looks of them. For the log of a listener that does
/// not expect them.
pub fn looks_like_a_header(bytes: &[u8]) -> bool {
    bytes.starts_with(LINE) || bytes.starts_with(v2::PROTOCOL_PREFIX)
}

/// Whether one of the two is the beginning of the other.
fn starts_alike(bytes: &[u8], expected: &[u8]) -> bool {
    bytes.iter().zip(expected).all(|(a, b)| a == b)
}

fn line(bytes: &[u8]) -> HeaderProgress {
    let most = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = most.iter().position(|&byte| byte == b'\n') else {
        return if most.len() < MAX_LINE {
            HeaderProgress::Incomplete
        } else {
            HeaderProgress::Never
        };
    };
    let line = &most[..=end];
    let whose = if let Some(rest) = line.strip_prefix(UNKNOWN) {
        (matches!(rest.first(), Some(b' ' | b'\r')) && rest.ends_with(b"\r\n"))
            .then_some(Whose::Unknown)
    } else {
        v1::Header::try_from(line)
            .ok()
            .map(|header| match header.addresses {
                v1::Addresses::Tcp4(a) => client((a.source_address, a.source_port)),
                v1::Addresses::Tcp6(a) => client((a.source_address, a.source_port)),
                v1::Addresses::Unknown => Whose::Unknown,
            })
    };
    complete(line.len(), whose)
}

fn binary(bytes: &[u8]) -> HeaderProgress {
    let Some(fixed) = bytes.first_chunk::<FIXED>() else {
        return HeaderProgress::Incomplete;
    };
    let [.., command, _, high, low] = *fixed;
    let len = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if len > MAX_HEADER_BYTES {
        return HeaderProgress::Never;
    }
    let Some(header) = bytes.get(..len) else {
        return HeaderProgress::Incomplete;
    };
    let whose = if command == LOCAL {
        Some(Whose::Balancer)
    } else {
        v2::Header::try_from(header)
            .ok()
            .map(|header| match header.addresses {
                v2::Addresses::IPv4(a) => client((a.source_address, a.source_port)),
                v2::Addresses::IPv6(a) => client((a.source_address, a.source_port)),
                v2::Addresses::Unspecified | v2::Addresses::Unix(_) => Whose::Unknown,
            })
    };
    complete(len, whose)
}

/// An IPv4 client is an IPv4 address, however the balancer wrote it.
fn client(address: impl Into<SocketAddr>) -> Whose {
    let address = address.into();
    Whose::Client(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

fn complete(len: usize, whose: Option<Whose>) -> HeaderProgress {
    whose.map_or(HeaderProgress::Never, |whose| {
        HeaderProgress::Complete(Header { len, whose })
    })
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
