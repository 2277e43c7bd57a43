//! The PROXY protocol, versions 1 and 2: a header before the client's own bytes, in which a load
//! balancer names the client. The outcome does not depend on how the bytes are cut. A header only
//! counts on a listener that asks for it (`listen = … proxy`). This module reads no socket and keeps
//! no bytes. Source of all rules: haproxy.org's proxy-protocol.txt.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header of version 2 that is taken, extensions included: every host has to take a
/// segment of this size, and senders keep within it. Source: section 2.
pub const MAX_HEADER_BYTES: usize = 536;

/// The longest line of version 1, with its line end. Source: section 2.1.
const MAX_LINE: usize = 107;

/// The beginning of a line of version 1.
const LINE: &[u8] = b"PROXY ";

/// A line whose sender does not know the client; whatever follows in it is to be ignored.
const UNKNOWN: &[u8] = b"PROXY UNKNOWN";

/// The beginning of a header of version 2. Source: section 2.2, as all numbers below.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2: the signature, version and command, family and transport, and the length of the rest.
const FIXED: usize = 16;

/// Version 2, command LOCAL: the family means nothing.
const LOCAL: u8 = 0x20;

/// Version 2, command PROXY.
const PROXY: u8 = 0x21;

/// The families, in the upper half of their byte.
const UNSPECIFIED: u8 = 0;
const INET: u8 = 1;
const INET6: u8 = 2;
const UNIX: u8 = 3;

/// The largest transport, in the lower half: none, stream or datagram.
const MOST_TRANSPORT: u8 = 2;

/// The bytes of two paths of UNIX sockets.
const UNIX_BYTES: usize = 216;

/// The state after the bytes so far.
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
    /// The client, as the balancer names it.
    pub client: ProxiedClient,
}

/// The client of a connection that a balancer passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxiedClient {
    /// This client's.
    Known(SocketAddr),
    /// A client's whose address the balancer does not know, or that is none of the Internet's.
    Unknown,
    /// The balancer's own: a health check.
    Balancer,
}

/// Parses the first bytes of a connection, all of them each time.
pub fn parse_header(bytes: &[u8]) -> HeaderProgress {
    if starts_alike(bytes, SIGNATURE) {
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
    bytes.starts_with(LINE) || bytes.starts_with(SIGNATURE)
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
    let client = if let Some(rest) = line.strip_prefix(UNKNOWN) {
        let ends = matches!(rest.first(), Some(b' ' | b'\r')) && rest.ends_with(b"\r\n");
        ends.then_some(ProxiedClient::Unknown)
    } else {
        client_of_line(line).map(ProxiedClient::Known)
    };
    complete(line.len(), client)
}

/// The client of `PROXY TCP4 CLIENT BALANCER PORT PORT`; none where anything else stands there.
fn client_of_line(line: &[u8]) -> Option<SocketAddr> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let parts: Vec<&str> = line.split(' ').collect();
    let [_, family, client, balancer, client_port, balancer_port] = *parts.as_slice() else {
        return None;
    };
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => Some(text.parse::<Ipv4Addr>().ok()?.into()),
            "TCP6" => Some(text.parse::<Ipv6Addr>().ok()?.into()),
            _ => None,
        }
    };
    // The balancer's own address is not used, and has to be right all the same.
    let (client, _) = (address(client)?, address(balancer)?);
    let (client_port, _) = (port(client_port)?, port(balancer_port)?);
    Some(canonical(client, client_port))
}

/// A port in digits, without a sign and without leading zeros.
fn port(text: &str) -> Option<u16> {
    let plain = text.starts_with(|c: char| c.is_ascii_digit());
    let plain = plain && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

fn binary(bytes: &[u8]) -> HeaderProgress {
    let Some(fixed) = bytes.first_chunk::<FIXED>() else {
        return HeaderProgress::Incomplete;
    };
    let [.., command, family, high, low] = *fixed;
    let len = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if len > MAX_HEADER_BYTES {
        return HeaderProgress::Never;
    }
    let Some(rest) = bytes.get(FIXED..len) else {
        return HeaderProgress::Incomplete;
    };
    let client = match command {
        LOCAL => Some(ProxiedClient::Balancer),
        PROXY => client_of_binary(family, rest),
        _ => None,
    };
    complete(len, client)
}

/// The client in the addresses of version 2: its address, the balancer's, its port, the balancer's.
/// Extensions may follow.
fn client_of_binary(family: u8, rest: &[u8]) -> Option<ProxiedClient> {
    let (family, transport) = (family >> 4, family & 0x0f);
    if transport > MOST_TRANSPORT {
        return None;
    }
    let client =
        |ip: IpAddr, port: [u8; 2]| ProxiedClient::Known(canonical(ip, u16::from_be_bytes(port)));
    match family {
        UNSPECIFIED => Some(ProxiedClient::Unknown),
        INET => {
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *rest.first_chunk::<12>()?;
            Some(client([a, b, c, d].into(), [high, low]))
        }
        INET6 => {
            let addresses = rest.first_chunk::<36>()?;
            let (ip, after) = addresses.split_first_chunk::<16>()?;
            let [high, low, _, _] = *after.last_chunk::<4>()?;
            Some(client((*ip).into(), [high, low]))
        }
        UNIX => (rest.len() >= UNIX_BYTES).then_some(ProxiedClient::Unknown),
        _ => None,
    }
}

/// An IPv4 client is an IPv4 address, however the balancer wrote it.
fn canonical(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip.to_canonical(), port)
}

fn complete(len: usize, client: Option<ProxiedClient>) -> HeaderProgress {
    client.map_or(HeaderProgress::Never, |client| {
        HeaderProgress::Complete(Header { len, client })
    })
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
