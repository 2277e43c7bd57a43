//! A record lock on a whole file. Taking a write lock needs the right to write the file, so no
//! other user can delay the server with one. This file only describes the lock; callers take it.

use nix::libc;

/// A lock of the whole file, of a kind such as `F_WRLCK`.
pub fn whole_file(kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
