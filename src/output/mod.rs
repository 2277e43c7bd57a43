//! What everything is said with: text for messages, findings and their codes, colours, exit codes. It knows no policy
//! and no configuration.

pub mod code;
pub mod diagnostic;
pub(crate) mod exit;
pub(crate) mod terminal;
pub mod text;
