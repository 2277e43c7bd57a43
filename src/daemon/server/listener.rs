//! Listening sockets: how they are bound, and how they are closed without losing a client that is
//! in the backlog. It accepts nothing.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::process;
use std::thread;
use std::time::Duration;

use super::socket_activation::Inherited;
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

use crate::config::Listen;
use crate::output::text::reason;

/// Connections that the kernel may hold until they are accepted. The standard library's 128 costs
/// every client of a larger burst a second, until its SYN is sent again.
const BACKLOG: i32 = 4096;

/// How long a worker sleeps in `accept` at the most. A stop wakes it by a signal; this is for a host
/// where that does not work. With a limit, whatever it is, the kernel lets a signal end the call.
const ACCEPT_LIMIT: Duration = Duration::from_secs(600);

/// How often a refused `listen` is tried again.
const LISTEN_RETRIES: usize = 3;

/// The index of a network interface that does not exist: the system counts them from 1.
const NO_INTERFACE: Option<NonZeroU32> = NonZeroU32::new(i32::MAX as u32);

/// Time that the kernel keeps on sending what a client does not take, or does not acknowledge, also
/// after the close. Less would cut off honest readers that are slow; without it, it is minutes.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

/// Why a listener could not be made.
#[derive(Debug)]
pub struct BindError {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// The system's error.
    pub cause: io::Error,
    /// The inherited socket that has this port already.
    pub inherited: Option<SocketAddr>,
}

/// A socket that is bound, and listens from [`Listener::open`] on.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    /// It is systemd's, listens already, and stays open when this process has ended.
    pub(super) inherited: bool,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BindError {
            address,
            cause,
            inherited,
        } = self;
        let port = address.port();
        write!(f, "cannot listen on {address}: {}", reason(cause))?;
        match (cause.kind(), inherited) {
            (io::ErrorKind::PermissionDenied, _) if port < 1024 => write!(
                f,
                "\nPorts below 1024 need a right. One of these gives it:\n\
                 - start as root, with CAP_NET_BIND_SERVICE (a sandbox may take it from root, too);\n\
                 - give the binary the right: setcap cap_net_bind_service=+ep flashpolicyd\n\
                 - lower the limit: sysctl net.ipv4.ip_unprivileged_port_start={port}\n\
                 - let systemd open the port (a .socket unit);\n\
                 - in a container: 'podman run --sysctl net.ipv4.ip_unprivileged_port_start=0', or\n  \
                 '--user 0', which the host's network (--network host) needs in any case;\n\
                 - take a port above 1023, such as 10843, and have the SWF call\n  \
                 Security.loadPolicyFile(\"xmlsocket://HOST:10843\"); such a policy can only\n  \
                 grant ports above 1023."
            ),
            (io::ErrorKind::AddrInUse, Some(inherited)) => write!(
                f,
                ": the inherited socket of {inherited} has this port.\n\
                 Remove the 'listen' line, or give it exactly that address."
            ),
            (io::ErrorKind::AddrInUse, None) => write!(
                f,
                ": something listens there already, maybe another flashpolicyd.\n\
                 'ss -ltnp sport = :{port}' (as root) shows what; stop it, or set another 'listen'."
            ),
            (io::ErrorKind::AddrNotAvailable, _) => write!(
                f,
                ": this host has no such address.\n\
                 'ip address' shows those it has; [::]:{port} listens on all of them."
            ),
            _ if cause.raw_os_error() == Some(nix::libc::EAFNOSUPPORT) => write!(
                f,
                ".\nA sandbox may forbid it: in systemd's, a port is opened by a ListenStream= of \
                 flashpolicyd.socket."
            ),
            _ => Ok(()),
        }
    }
}

/// A listener for every address, or none: an inherited socket where there is one.
///
/// An IPv6 wildcard takes IPv4 too, except where IPv4's wildcard is in the list with the same
/// port; on a host without IPv6, IPv4's wildcard takes its place.
///
/// # Errors
/// The first address that cannot be bound.
pub(super) fn bind_all(
    all: &[Listen],
    mut inherited: Inherited,
) -> Result<Vec<Listener>, BindError> {
    let given = inherited.addresses();
    all.iter()
        .map(|&Listen { address, .. }| {
            if let Some(socket) = inherited.claim(address) {
                return adopt(socket).map_err(|cause| (address, cause));
            }
            let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            let wildcard = address.is_ipv6() && address.ip().is_unspecified();
            let v6_only = !wildcard || all.iter().any(|other| other.address == v4);
            match bind(address, v6_only) {
                Err(error) if wildcard && no_ipv6(&error) => {
                    log::info!("This host has no IPv6: {v4} in place of {address}.");
                    bind(v4, v6_only).map_err(|cause| (v4, cause))
                }
                bound => bound.map_err(|cause| (address, cause)),
            }
        })
        .map(|made| {
            made.map_err(|(address, cause)| BindError {
                address,
                cause,
                inherited: given.iter().find(|g| g.port() == address.port()).copied(),
            })
        })
        .collect()
}

/// A listener of systemd's socket.
fn adopt(socket: TcpListener) -> io::Result<Listener> {
    socket.set_nonblocking(false)?;
    let options = SockRef::from(&socket);
    options.set_read_timeout(Some(ACCEPT_LIMIT))?;
    options.set_tcp_user_timeout(Some(GIVE_UP_AFTER))?;
    Ok(Listener {
        socket,
        inherited: true,
    })
}

fn bind(address: SocketAddr, v6_only: bool) -> io::Result<Listener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(v6_only)?;
    }
    // Connections of an earlier run that are still in TIME_WAIT do not keep the port.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.set_tcp_user_timeout(Some(GIVE_UP_AFTER))?;
    socket.set_read_timeout(Some(ACCEPT_LIMIT))?;
    Ok(Listener {
        socket: socket.into(),
        inherited: false,
    })
}

impl Listener {
    /// Opens the port to clients.
    ///
    /// # Errors
    /// The system's: two programs may bind a port on which neither listens yet, and one of them
    /// finds that out here.
    pub(super) fn open(&self) -> io::Result<()> {
        if self.inherited {
            return Ok(());
        }
        // Of two that call this at the same moment the kernel may refuse both (20 of 100,000 pairs in
        // Linux 6.18): each tries again, after a pause that the other has not.
        let pause = Duration::from_millis(1 + u64::from(process::id() % 8));
        for _ in 0..LISTEN_RETRIES {
            match SockRef::from(&self.socket).listen(BACKLOG) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => thread::sleep(pause),
                done => return done,
            }
        }
        SockRef::from(&self.socket).listen(BACKLOG)
    }

    /// Has the kernel keep new connections away, while those under way can still be accepted. A
    /// connection that is established between the last `accept` and the close would be reset.
    ///
    /// With the filter the first packet is ignored: the client sends it again after a second, and
    /// then finds the next server or a plain "refused". The filter needs CAP_NET_ADMIN (seen in Linux
    /// 6.18). Without it the socket is bound to a network interface that does not exist, which any
    /// process may do once: then a newcomer is refused at once.
    ///
    /// # Errors
    /// The system's, where it permits neither.
    pub(super) fn turn_away_new_clients(&self) -> io::Result<NewClients> {
        // The filter sees a packet from its TCP header on; byte 13 holds the flags.
        const LOAD_BYTE: u16 = 0x30;
        const JUMP_IF_SET: u16 = 0x45;
        const RETURN: u16 = 0x06;
        const SYN: u32 = 0x02;
        let socket = SockRef::from(&self.socket);
        let ignored = socket.attach_filter(&[
            SockFilter::new(LOAD_BYTE, 0, 0, 13),
            SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
            SockFilter::new(RETURN, 0, 0, 0),
            SockFilter::new(RETURN, 0, 0, u32::MAX),
        ]);
        if ignored.is_ok() {
            return Ok(NewClients::Ignored);
        }
        socket.bind_device_by_index_v4(NO_INTERFACE)?;
        Ok(NewClients::Refused)
    }
}

/// What becomes of a newcomer while a stop accepts the last connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NewClients {
    /// Its first packet is ignored.
    Ignored,
    /// It is refused.
    Refused,
}

/// Whether this address could be bound now.
///
/// # Errors
/// Why not.
pub fn try_to_bind(address: SocketAddr) -> Result<(), BindError> {
    bind_all(&[Listen::from(address)], Inherited::default()).map(drop)
}

/// Whether the kernel lacks IPv6, or has it switched off.
fn no_ipv6(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::AddrNotAvailable
    ) || error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT)
}
