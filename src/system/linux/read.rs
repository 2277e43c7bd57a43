//! Reads a regular file: a configuration or a policy. Links to regular files are followed. It reads
//! no more bytes than the caller allows, and never waits for a FIFO.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

use super::kind::wrong_kind;

/// Opens a regular file for reading, without waiting for anything.
///
/// # Errors
/// The system's error, or which kind of file it is.
pub fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Before it is opened: opening a device or the end of a FIFO has effects of its own.
    require_regular(&fs::metadata(path)?)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY).bits())
        .open(path)?;
    // It may be another one by now.
    let metadata = file.metadata()?;
    require_regular(&metadata)?;
    Ok((file, metadata))
}

fn require_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        Ok(())
    } else {
        Err(wrong_kind(metadata.mode()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::read;

    #[test]
    fn only_regular_files_are_read_and_the_others_are_named_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("x"), "1234").unwrap();
        std::os::unix::fs::symlink("x", path("link")).unwrap();
        nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        assert_eq!(read(&path("x"), 4).unwrap(), b"1234");
        assert_eq!(read(&path("link"), 2).unwrap(), b"123");
        for (name, expected) in [
            (path("fifo"), "it is a FIFO, and no regular file"),
            (path("socket"), "it is a socket, and no regular file"),
            (path(""), "it is a folder, and no regular file"),
            (
                "/dev/zero".into(),
                "it is a character device, and no regular file",
            ),
        ] {
            assert_eq!(read(&name, 9).unwrap_err().to_string(), expected);
        }
        let missing = read(&path("missing"), 9).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
