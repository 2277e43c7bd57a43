//! The player's side: what runs where the player or the operator sits, on every system. It asks a
//! server ([`probe`]), finds mistakes (`check`), decides (`explain`), and shows what would be served
//! (`policy`). It serves nothing, and knows nothing of the daemon.

mod advice;
pub(crate) mod check;
pub(crate) mod explain;
pub(crate) mod input;
pub(crate) mod json;
pub(crate) mod policy;
pub mod probe;
pub mod protocols;
