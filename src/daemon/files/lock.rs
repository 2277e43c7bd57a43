//! Record locks on a file. Taking a write lock needs the right to write the file, so no
//! other user can delay the server with one. This file only describes the lock; callers take it.

use nix::libc;

/// A lock of the whole file, of a kind such as `F_WRLCK`.
pub fn whole_file(kind: i32) -> libc::flock {
    bytes(kind, 0, 0)
}

/// A lock of one byte of the file, which need not be there.
pub fn one_byte(kind: i32, at: libc::off_t) -> libc::flock {
    bytes(kind, at, 1)
}

fn bytes(kind: i32, l_start: libc::off_t, l_len: libc::off_t) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start,
        l_len,
        l_pid: 0,
    }
}
