//! A client's address as the log names it, written once for all its lines. It knows no sockets.

use std::fmt::{self, Write};
use std::net::SocketAddr;

/// The longest address: IPv6 with an IPv4 tail, a scope and a port.
const MOST: usize = "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%4294967295]:65535".len();

/// `IP:PORT`, without an allocation.
pub(super) struct Peer {
    text: [u8; MOST],
    len: usize,
}

impl Peer {
    pub(super) fn new(address: SocketAddr) -> Peer {
        let mut peer = Peer {
            text: [0; MOST],
            len: 0,
        };
        // What does not fit is not written; everything fits.
        let _ = match address {
            SocketAddr::V4(address) => {
                let [a, b, c, d] = address.ip().octets();
                peer.number(a, ".")
                    .and_then(|()| peer.number(b, "."))
                    .and_then(|()| peer.number(c, "."))
                    .and_then(|()| peer.number(d, ":"))
                    .and_then(|()| peer.number(address.port(), ""))
            }
            SocketAddr::V6(address) => write!(peer, "{address}"),
        };
        peer
    }

    fn number(&mut self, number: impl itoa::Integer, then: &str) -> fmt::Result {
        self.write_str(itoa::Buffer::new().format(number))?;
        self.write_str(then)
    }
}

impl Write for Peer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let room = self.text.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text.get(..self.len).unwrap_or_default();
        f.write_str(std::str::from_utf8(text).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{IpAddr, SocketAddrV6};

    proptest! {
        #[test]
        fn it_reads_as_the_address_does(
            ip in any::<IpAddr>(),
            port in any::<u16>(),
            scope in prop_oneof![Just(0), any::<u32>()],
        ) {
            let address = match ip {
                IpAddr::V4(ip) => SocketAddr::from((ip, port)),
                IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, scope).into(),
            };
            prop_assert_eq!(Peer::new(address).to_string(), address.to_string());
        }
    }

    #[test]
    fn the_longest_address_fits() {
        let ip = [0, 0, 0, 0, 0, 0xffff, 0xffff, 0xffff].into();
        let mapped = SocketAddrV6::new(ip, 65535, 0, u32::MAX).into();
        let ip = [0xffff; 8].into();
        let full = SocketAddrV6::new(ip, 65535, 0, u32::MAX).into();
        for address in [mapped, full] {
            let address: SocketAddr = address;
            assert_eq!(Peer::new(address).to_string(), address.to_string());
        }
    }
}
