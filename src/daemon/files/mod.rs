//! Opens files in folders where other users may write. Such a user can put a FIFO, a device or a
//! link in the place of a file, also while the server runs. Nothing here waits for the other end of
//! a FIFO. Opening for writing never follows a link that another user may have made. This module
//! knows no configuration and logs nothing.
//!
//! What it buys: a server that root starts may have its log in /var/log and its pid file in /run, where
//! the user that it becomes can make no file, and no other user can turn these into root's files.

mod lock;
mod place;

pub use lock::{one_byte, whole_file};
pub use place::{GuardedPath, Owner, change_owner};
