//! Which TCP addresses are listened on already, from the tables in `/proc/net`, or by a connection
//! where there are no tables; and which process of a name listens, as far as `/proc` shows it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a try may take.
const TRY_TIME: Duration = Duration::from_millis(300);

/// A socket that listens, in the tables' words.
const LISTENS: &str = "0A";

/// Those of the wanted addresses on which connections are taken, by whomever. Port 0 is none.
pub fn taken(wanted: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let wanted = wanted.filter(|address| address.port() != 0);
    let Some(listening) = listening() else {
        return wanted.filter(answers).collect();
    };
    wanted
        .filter(|wanted| listening.iter().any(|(found, _)| overlap(wanted, found)))
        .collect()
}

/// The process of this name that listens on one of the addresses, where this user may see that.
pub fn process(name: &str, wanted: &[SocketAddr]) -> Option<u32> {
    let listening = listening()?;
    let is_wanted = |found: &SocketAddr| wanted.iter().any(|wanted| overlap(wanted, found));
    let sockets: Vec<_> = listening
        .into_iter()
        .filter(|(found, _)| is_wanted(found))
        .map(|(_, inode)| PathBuf::from(format!("socket:[{inode}]")))
        .collect();
    let has_one = |process: &Path| {
        let mut open = fs::read_dir(process.join("fd")).ok()?.flatten();
        open.find(|file| fs::read_link(file.path()).is_ok_and(|to| sockets.contains(&to)))
    };
    let mut processes = fs::read_dir("/proc").ok()?.flatten();
    processes.find_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let called = fs::read_to_string(process.path().join("comm")).ok()?;
        (called.trim_end() == name && has_one(&process.path()).is_some()).then_some(pid)
    })
}

/// What is listened on, each with the number of its socket; none without the tables.
fn listening() -> Option<Vec<(SocketAddr, u64)>> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| File::open(table).ok());
    tables[0].as_ref()?;
    // Line by line: a busy host's tables have a line for each of its connections.
    let tables = tables.into_iter().flatten();
    Some(
        tables
            .flat_map(|table| parse(BufReader::new(table)))
            .collect(),
    )
}

/// The lines of a table that are listeners: address and number.
fn parse(table: impl BufRead) -> Vec<(SocketAddr, u64)> {
    let lines = table.lines().map_while(Result::ok).skip(1);
    lines
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let inode = fields.get(9)?.parse().ok()?;
            (*fields.get(3)? == LISTENS).then(|| Some((address(fields[1])?, inode)))?
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
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n   \
                     0: 0100007F:034B 00000000:0000 0A 0:0 00:0 0 0 0 4711 1 0\n   \
                     1: 0100007F:0050 0100007F:9999 01 0:0 00:0 0 0 0 4712 1 0\n";
        #[cfg(target_endian = "little")]
        assert_eq!(
            parse(table.as_bytes()),
            [("127.0.0.1:843".parse().unwrap(), 4711)]
        );
        assert_eq!(parse(table.as_bytes()).len(), 1);
    }
}
