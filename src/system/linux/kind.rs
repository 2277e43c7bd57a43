//! What kind of file something is, and the words for one of the wrong kind. It opens nothing.

use std::io;

use nix::libc::mode_t;
use nix::sys::stat::SFlag;

/// The kind of file that these mode bits have, for a message.
fn kind(mode: mode_t) -> &'static str {
    match SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => "a regular file",
        SFlag::S_IFDIR => "a folder",
        SFlag::S_IFLNK => "a symbolic link",
        SFlag::S_IFIFO => "a FIFO",
        SFlag::S_IFSOCK => "a socket",
        SFlag::S_IFCHR => "a character device",
        SFlag::S_IFBLK => "a block device",
        _ => "no file of a known kind",
    }
}

pub fn is(mode: mode_t, kind: SFlag) -> bool {
    mode & SFlag::S_IFMT.bits() == kind.bits()
}

pub fn wrong_kind(mode: mode_t) -> io::Error {
    io::Error::other(format!("it is {}, and no regular file", kind(mode)))
}
