//! What the portable half asks of the operating system: to open a file by name. Linux has its own
//! folder; `other.rs` is for every other system, where nothing is served.

#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

use std::io::{self, Read};
use std::path::Path;

#[cfg(target_os = "linux")]
pub use linux::{open, put_here_by};
#[cfg(not(target_os = "linux"))]
pub use other::{open, put_here_by};

/// Reads a regular file; of one that is larger than `most` bytes, `most` and one more.
///
/// # Errors
/// As [`open`], and what the system says of reading.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.0.take(most + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
