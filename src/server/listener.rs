//! Listening sockets: how they are bound, and how they are closed without losing a client that is
//! in the backlog. It accepts nothing.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::handover::Users;
use super::socket_activation::Inherited;
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

use crate::config::Listen;
use crate::text::reason;

/// Connections that the kernel may hold until they are accepted. The standard library's 128 costs
/// every client of a larger burst a second, until its SYN is sent again.
const BACKLOG: i32 = 4096;

/// How often a blocked `accept` returns to look whether the server is stopping.
const ACCEPT_PAUSE: Duration = Duration::from_millis(40);

/// Time that the kernel keeps on sending what a client does not take, or does not acknowledge, also
/// after the close. Less would cut off honest readers that are slow; without it, it is minutes.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

/// Whether the ports are to be shared with a server that has them already.
#[derive(Debug)]
pub enum Sharing {
    /// Only this server may have them.
    Exclusive,
    /// A server of the same user has them, and will give them up: a takeover. It has handed these
    /// sockets over; a port that is not among them is shared.
    Takeover(Inherited),
}

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

/// A socket that listens.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    /// It is systemd's, and stays open when this process has ended.
    pub(super) inherited: bool,
    /// The servers that have it as well, during a takeover.
    pub(super) users: Users,
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
    mut sharing: Sharing,
) -> Result<Vec<Listener>, BindError> {
    let given = inherited.addresses();
    all.iter()
        .map(|&Listen { address, .. }| {
            if let Some((socket, _)) = inherited.claim(address) {
                return adopt(socket, None).map_err(|cause| (address, cause));
            }
            let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            let wildcard = address.is_ipv6() && address.ip().is_unspecified();
            let v6_only = !wildcard || all.iter().any(|other| other.address == v4);
            match open(address, v6_only, &mut sharing) {
                Err(error) if wildcard && no_ipv6(&error) => {
                    log::info!("This host has no IPv6: {v4} in place of {address}.");
                    open(v4, v6_only, &mut sharing).map_err(|cause| (v4, cause))
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

/// A listener of systemd's socket, or of one that was handed over with a stream.
fn adopt(socket: TcpListener, sign: Option<UnixStream>) -> io::Result<Listener> {
    socket.set_nonblocking(false)?;
    let options = SockRef::from(&socket);
    options.set_read_timeout(Some(ACCEPT_PAUSE))?;
    options.set_tcp_user_timeout(Some(GIVE_UP_AFTER))?;
    Ok(Listener {
        socket,
        inherited: sign.is_none(),
        users: Users::new(sign),
    })
}

/// The socket of the server that is taken over, or else a new one.
fn open(address: SocketAddr, v6_only: bool, sharing: &mut Sharing) -> io::Result<Listener> {
    if let Sharing::Takeover(handed_over) = sharing {
        // One that does not fit is closed here, and is the other server's alone again.
        if let Some((socket, sign)) = handed_over.claim(address) {
            if address.is_ipv4() || SockRef::from(&socket).only_v6()? == v6_only {
                log::info!("The socket of {address} was handed over.");
                SockRef::from(&socket).listen(BACKLOG)?;
                return adopt(socket, sign);
            }
        }
    }
    bind(address, v6_only, matches!(sharing, Sharing::Takeover(_)))
}

fn bind(address: SocketAddr, v6_only: bool, shared: bool) -> io::Result<Listener> {
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
    // Before `bind`, SO_REUSEPORT joins a server that has the port. After it, it only lets a later
    // takeover do so: an ordinary second start fails as ever.
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    socket.set_reuse_port(true)?;
    socket.set_tcp_user_timeout(Some(GIVE_UP_AFTER))?;
    socket.listen(BACKLOG)?;
    // On Linux this bounds `accept`: the loop can look around without anybody waking it.
    socket.set_read_timeout(Some(ACCEPT_PAUSE))?;
    Ok(Listener {
        socket: socket.into(),
        inherited: false,
        users: Users::new(None),
    })
}

/// Whether the kernel lacks IPv6, or has it switched off.
fn no_ipv6(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::AddrNotAvailable
    ) || error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT)
}

/// Undoes what a stop does to a listening socket.
pub(super) fn admit_newcomers(listener: &TcpListener) -> io::Result<()> {
    listener.set_nonblocking(false)?;
    SockRef::from(listener).detach_filter().or_else(|error| {
        // There is none where the kernel did not permit it.
        match error.raw_os_error() {
            Some(nix::libc::ENOENT | nix::libc::EPERM) => Ok(()),
            _ => Err(error),
        }
    })
}

/// Has the kernel ignore new connections, while those under way can still be accepted.
///
/// A connection that is established between the last `accept` and the close of the listener would
/// be reset. With its first packet ignored, the client asks again after a second, and then finds
/// the next server or a plain "refused".
pub(super) fn ignore_newcomers(listener: &TcpListener) -> io::Result<()> {
    // The filter sees a packet from its TCP header on; byte 13 holds the flags.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const SYN: u32 = 0x02;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}
