//! Which TCP addresses are listened on already, from the tables in `/proc/net`, or by a connection
//! where there are no tables. It does not find out which program listens.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a try may take.
const TRY_TIME: Duration = Duration::from_millis(300);

/// A socket that listens, in the tables' words.
const LISTENS: &str = "0A";

/// Those of the wanted addresses on which connections are taken, by whomever. Port 0 is none.
pub fn taken(wanted: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let wanted = wanted.filter(|address| address.port() != 0);
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| File::open(table).ok());
    if tables[0].is_none() {
        return wanted.filter(answers).collect();
    }
    // Line by line: a busy host's tables have a line for each of its connections.
    let tables = tables.into_iter().flatten();
    let listening: Vec<_> = tables
        .flat_map(|table| parse(BufReader::new(table)))
        .collect();
    wanted
        .filter(|wanted| listening.iter().any(|found| overlap(wanted, found)))
        .collect()
}

/// The addresses of a table that are listened on.
fn parse(table: impl BufRead) -> Vec<SocketAddr> {
    let lines = table.lines().map_while(Result::ok).skip(1);
    lines
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let local = fields.nth(1)?;
            (fields.nth(1)? == LISTENS).then(|| address(local))?
        })
        .collect()
}

/// `0100007F:034B`: words of four bytes as they lie in memory, and a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let mut bytes = Vec::with_capacity(16);
    for at in (0..ip.len()).step_by(8) {
        let word = u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddr::new(ip.to_canonical(), port))
}

fn overlap(one: &SocketAddr, other: &SocketAddr) -> bool {
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() == other.port() && (a.is_unspecified() || b.is_unspecified() || a == b)
}

fn answers(address: &SocketAddr) -> bool {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    TcpStream::connect_timeout(&SocketAddr::new(ip, address.port()), TRY_TIME).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_of(address: &str) -> bool {
        !taken([address.parse().unwrap()].into_iter()).is_empty()
    }

    #[test]
    fn a_listener_is_seen_at_its_address_and_at_the_wildcards() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for ip in ["127.0.0.1", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]"] {
            assert!(taken_of(&format!("{ip}:{port}")), "{ip}");
        }
        assert!(!taken_of(&format!("127.0.0.9:{port}")));
        assert!(!taken_of("127.0.0.1:0"));
        assert!(answers(&listener.local_addr().unwrap()));
        drop(listener);
        assert!(!taken_of(&format!("127.0.0.1:{port}")));
    }

    #[test]
    fn a_connection_is_no_listener() {
        let table = "  sl  local_address rem_address   st\n   0: 0100007F:034B 00000000:0000 0A 0\n   \
                     1: 0100007F:0050 0100007F:9999 01 0\n";
        #[cfg(target_endian = "little")]
        assert_eq!(parse(table.as_bytes()), ["127.0.0.1:843".parse().unwrap()]);
        assert_eq!(parse(table.as_bytes()).len(), 1);
    }
}
