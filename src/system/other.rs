//! Files on a system where nothing is served: no other user's file can become a policy there.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

/// Opens a regular file for reading.
///
/// # Errors
/// The system's error, or that it is no regular file.
pub fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // A folder cannot be opened on Windows, and the system's words for that are about rights.
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::other("it is a folder, and no regular file"));
    }
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    Ok((File::open(path)?, metadata))
}

/// Which other user may have put a file into the current folder: only the daemon on Linux reads one as
/// root.
///
/// # Errors
/// None.
pub fn put_here_by(_file: &Metadata) -> io::Result<Option<String>> {
    Ok(None)
}
