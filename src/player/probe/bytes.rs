//! Bytes that a server sent: what they hold, and how they are shown. Whatever they are, what goes
//! into a message is printable ASCII.

use crate::output::text::escaped;

/// How much of what is no policy is shown, in bytes.
const SHOWN: usize = 48;

/// Whether the bytes hold this piece.
pub(super) fn contains(bytes: &[u8], piece: &[u8]) -> bool {
    bytes.windows(piece.len()).any(|window| window == piece)
}

/// The beginning of some bytes, escaped: printable ASCII, whatever they are.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let shown = escaped(bytes.get(..SHOWN).unwrap_or(bytes));
    let dots = if bytes.len() > SHOWN { "..." } else { "" };
    format!("\"{shown}{dots}\"")
}
