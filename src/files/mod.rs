//! Files that are opened by their names. Whoever may write in a folder can put a FIFO, a device or
//! a link in a file's place, also while the server runs. Nothing here waits for the other end of a
//! FIFO, and what is opened for writing is never reached through a link that another user may have
//! made. It knows no configuration and logs nothing.

mod lock;
mod place;
mod read;
mod trust;

pub use lock::whole_file;
pub use place::{give_away, FilePlace, Owner};
pub use read::{open, read};
pub use trust::{others_may_write, Caller};

use std::io;

use nix::libc::mode_t;
use nix::sys::stat::SFlag;

/// What kind of file these mode bits tell of, as a message has it.
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

fn is(mode: mode_t, kind: SFlag) -> bool {
    mode & SFlag::S_IFMT.bits() == kind.bits()
}

/// An error with a text of our own.
fn refused(text: impl Into<String>) -> io::Error {
    io::Error::other(text.into())
}

fn wrong_kind(mode: mode_t) -> io::Error {
    refused(format!("it is {}, and no regular file", kind(mode)))
}
