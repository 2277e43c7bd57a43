//! What is printed: messages, findings and their codes, colours, exit codes. It knows no policy and no
//! configuration. What the rules of policies need of it is in their crate.

pub(crate) mod exit;
pub(crate) mod print;
pub(crate) mod terminal;

pub use flashpolicy::{code, diagnostic, text};
