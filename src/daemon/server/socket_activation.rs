//! Listening sockets that a systemd `.socket` unit opened. It accepts nothing.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use socket2::SockRef;

use crate::output::text::reason;

/// The message where [`is_one_connection`].
pub const NOT_BY_INETD: &str = "standard input is a TCP socket, as inetd and 'systemd-socket-activate --inetd' give it; this \
     server opens its port itself and serves all clients in one process: remove it from inetd and \
     write 'flashpolicyd start', or use scripts/flashpolicyd.socket (without --inetd)";

/// Whether inetd started this process for a client or a port, on standard input. Sockets of other
/// kinds are left alone: ssh gives such to commands.
pub fn is_one_connection() -> bool {
    let address = SockRef::from(&io::stdin()).local_addr();
    address.is_ok_and(|address| address.is_ipv4() || address.is_ipv6())
}

/// The inherited sockets that no listener has claimed yet.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(SocketAddr, TcpListener)>);

impl Inherited {
    /// Takes what this process was started with. To be called before it opens anything itself and
    /// has a second thread; the next call finds nothing.
    ///
    /// # Errors
    /// A sentence about the first one that is no listening TCP socket.
    pub fn take() -> Result<Inherited, String> {
        let mut given = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..given.len() {
            let socket = given
                .take_tcp_listener(index)
                .map_err(|error| unfit(index, &reason(&error)))?;
            let Some(socket) = socket else { continue };
            if !SockRef::from(&socket).is_listener().unwrap_or(false) {
                return Err(unfit(
                    index,
                    "it does not listen; a single connection (Accept=yes) is not enough",
                ));
            }
            let address = socket
                .local_addr()
                .map_err(|error| unfit(index, &reason(&error)))?;
            sockets.push((address, socket));
        }
        Ok(Inherited(sockets))
    }

    /// Where the sockets listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|(address, ..)| *address).collect()
    }

    /// The socket that listens on exactly this address.
    pub(super) fn claim(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let at = self.0.iter().position(|(known, _)| *known == address)?;
        Some(self.0.swap_remove(at).1)
    }
}

fn unfit(index: usize, why: &str) -> String {
    format!(
        "cannot serve on inherited socket {} of LISTEN_FDS: {why}\n\
         Expected are TCP sockets that listen: in the .socket unit, ListenStream= with a port or \
         ADDRESS:PORT, and Accept=no.",
        index + 1
    )
}
