//! Reads a regular file: a configuration or a policy. Links to regular files are followed, by
//! root with care. It never waits for a FIFO.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, readlinkat};
use nix::unistd::Uid;

use super::kind::wrong_kind;

/// More links than this on one way are a loop, as for the system itself.
const MOST_LINKS: usize = 40;

/// Opens a regular file for reading, without waiting for anything. Where this process is root, a
/// symbolic link of another user leads to that user's own files alone, as the kernel's
/// `protected_symlinks` has it in sticky folders: the log and the status show lines of a bad file.
///
/// # Errors
/// The system's error, which kind of file it is, or whose link leads to whose file.
pub fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Before it is opened: opening a device or the end of a FIFO has effects of its own.
    require_regular(&fs::metadata(path)?)?;
    match Uid::effective().is_root() {
        true => open_as_root(path, MOST_LINKS),
        false => open_regular(path, OFlag::empty()),
    }
}

fn open_regular(path: &Path, flags: OFlag) -> io::Result<(File, Metadata)> {
    let file = open_with(path, flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?;
    // It may be another one by now.
    let metadata = file.metadata()?;
    require_regular(&metadata)?;
    Ok((file, metadata))
}

fn open_with(path: &Path, flags: OFlag) -> io::Result<File> {
    let flags = (flags | OFlag::O_CLOEXEC).bits();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Follows one link after the other: whose it is and where it leads are read of the same open link,
/// since its folder's owner may exchange it at any time.
fn open_as_root(path: &Path, links: usize) -> io::Result<(File, Metadata)> {
    let entry = open_with(path, OFlag::O_PATH | OFlag::O_NOFOLLOW)?;
    let link = entry.metadata()?;
    if !link.is_symlink() {
        return open_regular(path, OFlag::O_NOFOLLOW);
    }
    let opened = if is_in_proc(&link) {
        // As `/dev/stdin` leads there: an open file, which need not have a name.
        open_regular(path, OFlag::empty())?
    } else if links == 0 {
        return Err(Errno::ELOOP.into());
    } else {
        let target = path.with_file_name(readlinkat(&entry, "")?);
        open_as_root(&target, links - 1)?
    };
    let owner = opened.1.uid();
    if ![0, owner].contains(&link.uid()) {
        return Err(io::Error::other(format!(
            "{} is a symbolic link of user {} to a file of user {owner}, and root follows a user's \
             link to that user's own files alone; name the file itself, or make the link as root",
            path.display(),
            link.uid(),
        )));
    }
    Ok(opened)
}

fn is_in_proc(link: &Metadata) -> bool {
    fs::symlink_metadata("/proc/self").is_ok_and(|proc| proc.dev() == link.dev())
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
