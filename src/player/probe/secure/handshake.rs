//! The outcome of a TLS handshake.

use std::fmt;
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

/// Why no handshake completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoTls {
    /// Whether a TLS server is there all the same.
    pub is_tls: bool,
    /// The reason, printable.
    pub why: String,
}

/// Behind "the port takes connections, and".
impl fmt::Display for NoTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.is_tls {
            true => "TLS, but no handshake completes",
            false => "no TLS",
        };
        write!(f, "{what}: {}", self.why)
    }
}

/// What is read from and written to.
pub trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}
