//! What the two sides of an exchange inside TLS have in common.

use std::io::{Read, Write};

use serde::Serialize;

/// What was seen of TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tls {
    /// The version, as `TLS 1.2`.
    pub version: &'static str,
    /// What is wrong with the certificate for this host name, by what this computer trusts;
    /// printable.
    pub fault: Option<String>,
}

/// What is read from and written to.
pub trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}
