//! The client side of TLS. The handshake goes on whatever the certificate: the probe sends no secret,
//! and what is wrong with the certificate is a finding.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Error, ProtocolVersion, Stream};

use super::certificate::{Recorder, Trusted};
use super::handshake::{Duplex, NoTls, Tls};
use super::offer::provider;
use crate::output::text::{reason, shown};
use crate::player::probe::patience::read_within;
use crate::policy::Host;

/// The client side of TLS, for one host.
#[derive(Clone, Debug)]
pub struct Secure {
    name: ServerName<'static>,
    provider: Arc<CryptoProvider>,
    trusted: Arc<Trusted>,
}

impl Secure {
    /// Whether TLS has a form for the name of this host.
    pub fn fits(host: &Host) -> bool {
        name_of(host).is_some()
    }

    /// Reads the certificates that this computer trusts.
    pub fn of(host: &Host) -> Option<Secure> {
        let provider = Arc::new(provider());
        let name = name_of(host)?;
        let trusted = Arc::new(Trusted::of_this_computer(&provider));
        Some(Secure {
            name,
            provider,
            trusted,
        })
    }

    /// Shakes hands within `limit` of `start`, and has `talk` speak inside TLS.
    ///
    /// # Errors
    /// Why no handshake came to its end.
    pub fn after_handshake(
        &self,
        socket: &TcpStream,
        start: Instant,
        limit: Duration,
        talk: impl FnOnce(&mut dyn Duplex),
    ) -> Result<Tls, NoTls> {
        let recorder = Arc::new(Recorder::new(&self.provider, &self.trusted));
        let config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| no_tls(&error))?
            .dangerous()
            .with_custom_certificate_verifier(recorder.clone())
            .with_no_client_auth();
        let mut client = ClientConnection::new(config.into(), self.name.clone())
            .map_err(|error| no_tls(&error))?;
        let mut bounded = Bounded {
            socket,
            until: start + limit,
        };
        while client.is_handshaking() {
            let left = bounded.until.saturating_duration_since(Instant::now());
            let _ = read_within(socket, left);
            match client.complete_io(&mut bounded) {
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                    io::ErrorKind::TimedOut if bounded.in_time().is_ok() => {}
                    _ => return Err(why(&error)),
                },
            }
        }
        let version = match client.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS 1.2",
        };
        let tls = Tls {
            version,
            fault: recorder.fault(),
        };
        // What follows has its own bound; this one is for a server that drips.
        bounded.until += limit;
        talk(&mut Stream::new(&mut client, &mut bounded));
        Ok(tls)
    }
}

fn name_of(host: &Host) -> Option<ServerName<'static>> {
    match host {
        Host::Ip(ip) => Some(ServerName::from(*ip)),
        Host::Name(name) => ServerName::try_from(name.clone()).ok(),
    }
}

/// Why a handshake failed.
fn why(error: &io::Error) -> NoTls {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let why = match error.kind() {
        io::ErrorKind::TimedOut => "nothing more came in time".into(),
        io::ErrorKind::UnexpectedEof => "the server closed the connection".into(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "the server reset the connection".into()
        }
        _ => {
            return inner.map_or_else(
                || NoTls {
                    is_tls: false,
                    why: reason(error),
                },
                no_tls,
            );
        }
    };
    NoTls { is_tls: false, why }
}

/// The same by the library's words.
fn no_tls(error: &Error) -> NoTls {
    let (is_tls, why) = match error {
        Error::AlertReceived(alert) => (
            true,
            format!("the server refuses what TLS 1.2 and 1.3 offer ({alert:?})"),
        ),
        Error::PeerIncompatible(what) => (
            true,
            format!("the server has neither TLS 1.2 nor 1.3 as it is asked for ({what:?})"),
        ),
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => {
            (false, "what came is no TLS".into())
        }
        other => (false, shown(&other.to_string())),
    };
    NoTls { is_tls, why }
}

/// A socket that is not read and not written to behind a moment, however little comes at a time.
struct Bounded<'a> {
    socket: &'a TcpStream,
    until: Instant,
}

impl Bounded<'_> {
    fn in_time(&self) -> io::Result<()> {
        if Instant::now() < self.until {
            return Ok(());
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.in_time()?;
        self.socket.read(buffer)
    }
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.in_time()?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
