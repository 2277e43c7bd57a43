//! Files that are opened by their names. Whoever may write in a folder can put a FIFO, a device or
//! a link in a file's place, also while the server runs. Nothing here waits for the other end of a
//! FIFO, and what is opened for writing is never reached through a link that another user may have
//! made. It knows no configuration and logs nothing.

mod kind;
mod lock;
mod place;
mod read;
mod trust;

pub use lock::whole_file;
pub use place::{give_away, FilePlace, Owner};
pub use read::{open, read};
pub use trust::{others_may_write, Caller};
