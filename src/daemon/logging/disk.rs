//! The file system calls of the log file, one function each, so that tests can let each one fail.
//! It decides nothing.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

use crate::daemon::files::{GuardedPath, Owner, change_owner, whole_file};

/// How long another server that writes the same file is waited for. One that holds the lock for
/// longer is stopped, and this one does not wait for it.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The files of a log, by what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// The one that the configuration names.
    Log,
    /// The one that is about to become the log.
    Next,
    /// An old one; 1 is the newest.
    Old(usize),
}

impl Name {
    /// What follows the log's name in it.
    fn suffix(self) -> String {
        match self {
            Name::Log => String::new(),
            Name::Next => ".new".into(),
            Name::Old(number) => format!(".{number}"),
        }
    }
}

/// The state of an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileState {
    /// Device and inode.
    pub(super) inode: (u64, u64),
    /// How many names it has.
    pub(super) names: u64,
    /// Bytes; none: it is a device.
    pub(super) length: Option<u64>,
}

/// The file system as the log file sees it.
pub(super) trait Disk: Send {
    /// Opens the log for appending, or makes it.
    fn open(&self) -> io::Result<File>;
    /// Makes the file that will be the next log, open for appending.
    fn make_next(&self) -> io::Result<File>;
    /// Removes it again.
    fn remove_next(&self);
    /// Whether there is anything of this name.
    fn exists(&self, name: Name) -> bool;
    /// The inode that the log's name leads to; none where there is nothing.
    fn named(&self) -> Option<(u64, u64)>;
    /// Renames; what had the new name is gone.
    fn rename(&self, from: Name, to: Name) -> io::Result<()>;
    /// Renames to the log's name, where nothing has it.
    fn rename_to_log(&self, from: Name) -> io::Result<()>;
    /// The state of an open file.
    fn state(&self, file: &File) -> io::Result<FileState>;
    /// Writes the beginning of `bytes` at the end of the file.
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<usize>;
    /// Fills `bytes` from this place of the file on.
    fn read(&self, file: &File, bytes: &mut [u8], at: u64) -> io::Result<()>;
    /// Cuts the file off behind this many bytes.
    fn cut(&self, file: &File, length: u64) -> io::Result<()>;
}

/// The real one.
pub(super) struct RealDisk {
    path: PathBuf,
    owner: Option<Owner>,
}

impl RealDisk {
    /// Files that are made are given to `owner`, and so is a file that is known to be ours.
    pub(super) fn new(path: &Path, owner: Option<Owner>) -> RealDisk {
        RealDisk {
            path: path.to_owned(),
            owner,
        }
    }

    /// Of a log, which holds the addresses of clients.
    fn place(&self) -> io::Result<GuardedPath> {
        Ok(GuardedPath::of(&self.path)?.for_the_group())
    }

    fn path_of(&self, name: Name) -> PathBuf {
        let mut path = self.path.as_os_str().to_owned();
        path.push(name.suffix());
        path.into()
    }

    /// Gives the file to the user that the server will be; false where it is nobody's to give.
    fn give(&self, file: &File, made_here: bool, place: &GuardedPath) -> io::Result<bool> {
        match self.owner {
            Some(owner) => change_owner(file, made_here, place, owner),
            None => Ok(true),
        }
    }

    /// Opens the log for appending, or makes it; false where it could not be given away.
    pub(super) fn open_and_give(&self) -> io::Result<(File, bool)> {
        let place = self.place()?;
        let opened = match self.open_or_make(&place, OFlag::O_RDWR | OFlag::O_APPEND) {
            // A system that lets logs be appended to only.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.open_or_make(&place, OFlag::O_WRONLY | OFlag::O_APPEND)
            }
            opened => opened,
        };
        let (file, made) = opened?;
        let given = self.give(&file, made, &place)?;
        Ok((file, given))
    }

    /// While another server rotates, nothing has the log's name for a moment; a file that was made
    /// then would be in the way of the next log, which is there before the name goes. So one is made
    /// only after neither was there twice in a row.
    fn open_or_make(&self, place: &GuardedPath, flags: OFlag) -> io::Result<(File, bool)> {
        let until = Instant::now() + LOCK_PATIENCE;
        let mut missing = 0;
        loop {
            match place.open("", flags, true) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => return Ok((opened?, false)),
            }
            if self.exists(Name::Next) && Instant::now() < until {
                missing = 0;
                thread::sleep(LOOK_AGAIN);
                continue;
            }
            missing += 1;
            if missing > 1 {
                return place.open_or_create(flags, true);
            }
        }
    }
}

impl Disk for RealDisk {
    fn open(&self) -> io::Result<File> {
        Ok(self.open_and_give()?.0)
    }

    fn make_next(&self) -> io::Result<File> {
        let place = self.place()?;
        let new = &Name::Next.suffix();
        let flags = OFlag::O_RDWR | OFlag::O_APPEND;
        let made = place.create_over(new, flags, || match place.stat(new) {
            // Left behind by a process that was ended in between: nothing was written to it.
            Ok(stat) if stat.st_size == 0 => Ok(()),
            _ => Err(io::ErrorKind::AlreadyExists.into()),
        });
        let made = made.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => io::Error::other(format!(
                "{} is in the way; remove it",
                self.path_of(Name::Next).display()
            )),
            _ => error,
        })?;
        self.give(&made, true, &place)?;
        Ok(made)
    }

    fn remove_next(&self) {
        if let Ok(place) = GuardedPath::of(&self.path) {
            place.remove(&Name::Next.suffix());
        }
    }

    fn exists(&self, name: Name) -> bool {
        self.path_of(name).symlink_metadata().is_ok()
    }

    fn named(&self) -> Option<(u64, u64)> {
        let found = fs::symlink_metadata(&self.path).ok()?;
        Some((found.dev(), found.ino()))
    }

    fn rename(&self, from: Name, to: Name) -> io::Result<()> {
        GuardedPath::of(&self.path)?.rename(&from.suffix(), &to.suffix())
    }

    fn rename_to_log(&self, from: Name) -> io::Result<()> {
        GuardedPath::of(&self.path)?.rename_new(&from.suffix(), "")
    }

    fn state(&self, file: &File) -> io::Result<FileState> {
        let metadata = file.metadata()?;
        Ok(FileState {
            inode: (metadata.dev(), metadata.ino()),
            names: metadata.nlink(),
            length: metadata.is_file().then_some(metadata.len()),
        })
    }

    fn append(&self, mut file: &File, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match file.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return written,
            }
        }
    }

    fn read(&self, file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
        file.read_exact_at(bytes, at)
    }

    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }
}

/// Takes the lock that servers with one log file have for writing to it and for rotating it. A
/// file that cannot be locked, and one that another process holds for too long, is used without.
///
/// The lock belongs to the open file and ends with it. It takes the right to write the file.
pub(super) fn lock(file: &File) {
    let until = Instant::now() + LOCK_PATIENCE;
    while let Err(Errno::EAGAIN | Errno::EACCES) = set_lock(file, libc::F_WRLCK) {
        if Instant::now() >= until {
            return;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Gives the lock back.
pub(super) fn unlock(file: &File) {
    let _ = set_lock(file, libc::F_UNLCK);
}

fn set_lock(file: &File, kind: i32) -> nix::Result<()> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(kind))).map(drop)
}
