//! An exchange inside TLS, as a SWF with a SecureSocket makes it. Source: rule book section 5a.
//!
//! `client` shakes hands with what `offer` has, and `certificate` says what is wrong with the server's
//! certificate. Without the feature `tls` nobody is asked inside TLS.

#[cfg(feature = "tls")]
mod certificate;
#[cfg(feature = "tls")]
mod client;
#[cfg(not(feature = "tls"))]
mod nobody;
#[cfg(feature = "tls")]
mod offer;
mod seen;

#[cfg(feature = "tls")]
pub(super) use client::Secure;
#[cfg(not(feature = "tls"))]
pub(super) use nobody::Secure;
pub(super) use seen::Duplex;
pub use seen::{NoTls, Tls};
