//! What everything is said with: text for messages, findings, colours, exit codes. It knows no policy
//! and no configuration.

pub(crate) mod exit;
pub(crate) mod print;
pub(crate) mod terminal;

pub use flashpolicy::{diagnostic, text};
