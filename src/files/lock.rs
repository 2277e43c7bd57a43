//! Record locks, as the system takes them. Only who may write a file can take a write lock on it, so
//! no other user can keep the server waiting. It takes none itself.

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
