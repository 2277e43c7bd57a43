//! An exchange inside TLS, as a SWF with a SecureSocket makes it. Source: rule book section 5a.
//!
//! `client` shakes hands with what `offer` has, and `certificate` says what is wrong with the server's
//! certificate. Without the feature `tls` the probe has no TLS client.

#[cfg(feature = "tls")]
mod certificate;
#[cfg(feature = "tls")]
mod client;
mod handshake;
#[cfg(feature = "tls")]
mod offer;
#[cfg(not(feature = "tls"))]
mod unsupported;

#[cfg(feature = "tls")]
pub(super) use client::Secure;
pub(super) use handshake::Duplex;
pub use handshake::{NoTls, Tls};
#[cfg(not(feature = "tls"))]
pub(super) use unsupported::Secure;
