//! Without the feature `tls`: nobody is asked inside TLS.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::seen::{Duplex, NoTls, Tls};
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

    pub fn converse(
        &self,
        _: &TcpStream,
        _: Instant,
        _: Duration,
        _: impl FnOnce(&mut dyn Duplex),
    ) -> Result<Tls, NoTls> {
        match *self {}
    }
}
