//! Without the feature `tls` the probe has no TLS client.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::handshake::{Duplex, NoTls, Tls};
use crate::policy::Host;

/// There is none.
#[derive(Clone, Debug)]
pub enum Secure {}

impl Secure {
    pub fn fits(_: &Host) -> bool {
        true
    }

    pub fn of(_: &Host) -> Option<Secure> {
        None
    }

    pub fn after_handshake(
        &self,
        _: &TcpStream,
        _: Instant,
        _: Duration,
        _: impl FnOnce(&mut dyn Duplex),
    ) -> Result<Tls, NoTls> {
        match *self {}
    }
}
