//! The pid file: written and locked once the ports are bound, removed at the end. A file that an
//! earlier run left behind is replaced; a file that a running server holds is an error. The lock is
//! a POSIX record lock: the system names the process that holds it, so the number in the file need
//! not be trusted. A server locks the first byte; `stop` and `restart` lock the second one, so that of
//! two at once only one signals. This module follows no link, never waits, and never empties a file
//! that holds other text.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

use crate::daemon::files::{GuardedPath, Owner, change_owner, one_byte};
use crate::output::text::reason;

/// A pid file holds no more than this: a number and a line end.
const MOST_BYTES: u64 = 20;

/// The byte that the server locks.
const SERVER: libc::off_t = 0;

/// The byte that a command locks which stops the server.
const COMMAND: libc::off_t = 1;

/// How often the file may be replaced by others while it is being locked.
const ATTEMPTS: usize = 50;

/// The process's pid file; dropping it removes the file and ends the lock.
///
/// A record lock ends with the first descriptor of the file that the process closes, so nothing
/// else in this process may open the file.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    place: GuardedPath,
    /// Holds the lock until the end of the process.
    locked: File,
    /// There was no such file before.
    created: bool,
}

impl PidFile {
    /// Locks the file at `path` and writes this process's id into it.
    ///
    /// # Errors
    /// When a live process holds the file, or it cannot be written: it is a link or no regular
    /// file, it has further names, or it holds something else than a process id.
    pub fn write(path: &Path) -> Result<PidFile, String> {
        let failed = |error: io::Error| cannot_write(path, &error);
        for _ in 0..ATTEMPTS {
            let place = GuardedPath::of(path).map_err(failed)?;
            let (locked, created) = place.open_or_create(OFlag::O_RDWR, false).map_err(failed)?;
            if !lock(&locked).map_err(failed)? {
                let holder = match holder_of(&locked).map_err(failed)? {
                    // Such as one of another container.
                    None | Some(0) => "another process".into(),
                    Some(pid) => format!("process {pid}"),
                };
                return Err(format!(
                    "already running: {holder} holds the pid file {}; stop it first, or set \
                     another 'pid_file'",
                    path.display()
                ));
            }
            // The holder before may have removed the file after it was opened here: then this lock
            // is on a file without a name, and the next process would lock another one.
            if !leads_to(path, &locked) {
                continue;
            }
            if let Err(error) = fill(&locked) {
                if created {
                    place.remove("");
                }
                return Err(failed(error));
            }
            return Ok(PidFile {
                path: path.to_owned(),
                place,
                locked,
                created,
            });
        }
        Err(failed(io::Error::other(
            "other processes replace it again and again",
        )))
    }

    /// Removes the file, unless another server has its own one there by now.
    fn remove(&self) {
        if leads_to(&self.path, &self.locked) {
            self.place.remove("");
        }
    }

    /// Gives the file to another user and group. One that somebody else may have put there keeps its
    /// owner: that changes nothing for this process.
    ///
    /// # Errors
    /// The system's error.
    pub fn give_to(&self, owner: Owner) -> io::Result<()> {
        change_owner(&self.locked, self.created, &self.place, owner).map(drop)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Puts the process id in the place of the one of an earlier run.
fn fill(mut file: &File) -> io::Result<()> {
    let mut content = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut content)?;
    let is_pid = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_whitespace();
    if content.len() as u64 > MOST_BYTES || !content.iter().all(is_pid) {
        return Err(io::Error::other(
            "it holds something else than a process id, and is left as it is; remove it if nobody \
             needs it",
        ));
    }
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

/// Whether a pid file at this path could be written, without making one.
///
/// # Errors
/// A sentence for why not.
pub fn can_write(path: &Path) -> Result<(), String> {
    GuardedPath::of(path)
        .and_then(|place| place.could_write(false))
        .map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> String {
    format!(
        "cannot write the pid file {}: {}; set another 'pid_file'",
        path.display(),
        reason(error)
    )
}

/// The process that holds the pid file at `path`: none where nobody does or there is no such file,
/// 0 where the system does not tell which. This waits for nothing and takes nothing.
///
/// Not for the process that holds the file itself: closing it here would end its lock.
///
/// # Errors
/// When the file cannot be read, or is none.
pub fn holder(path: &Path) -> io::Result<Option<u32>> {
    let opened = GuardedPath::of(path).and_then(|place| place.open("", OFlag::O_RDONLY, false));
    match opened {
        Ok(file) => holder_of(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn holder_of(file: &File) -> io::Result<Option<u32>> {
    holder_at(file, SERVER)
}

/// Of several commands, one stops the server at a time: a second signal would end it at once, and cut
/// off its clients. It ends with this value.
#[derive(Debug)]
pub struct StopLock {
    _file: File,
}

/// Takes the lock for a command that stops the server `server`; none where another command has it.
///
/// # Errors
/// When the file cannot be opened or locked.
pub fn lock_for_stop(path: &Path, server: u32) -> io::Result<Option<StopLock>> {
    let file = GuardedPath::of(path)?.open("", OFlag::O_RDWR, false)?;
    // It belongs to the open file: other descriptors of the pid file come and go meanwhile.
    match fcntl(
        &file,
        FcntlArg::F_OFD_SETLK(&one_byte(libc::F_WRLCK, COMMAND)),
    ) {
        Ok(_) => Ok(Some(StopLock { _file: file })),
        // A server of an earlier version locks the whole file.
        Err(Errno::EACCES | Errno::EAGAIN) => match holder_at(&file, COMMAND)? {
            Some(holder) if holder == server => Ok(Some(StopLock { _file: file })),
            _ => Ok(None),
        },
        Err(error) => Err(error.into()),
    }
}

/// Whether the path leads to this open file.
fn leads_to(path: &Path, file: &File) -> bool {
    let (Ok(named), Ok(open)) = (path.symlink_metadata(), file.metadata()) else {
        return false;
    };
    (named.dev(), named.ino()) == (open.dev(), open.ino())
}

/// False where another process has it.
fn lock(file: &File) -> io::Result<bool> {
    match fcntl(file, FcntlArg::F_SETLK(&one_byte(libc::F_WRLCK, SERVER))) {
        Ok(_) => Ok(true),
        Err(Errno::EACCES | Errno::EAGAIN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Who holds this byte.
fn holder_at(file: &File, at: libc::off_t) -> io::Result<Option<u32>> {
    let mut found = one_byte(libc::F_WRLCK, at);
    fcntl(file, FcntlArg::F_GETLK(&mut found))?;
    if found.l_type == libc::F_UNLCK as libc::c_short {
        return Ok(None);
    }
    Ok(Some(u32::try_from(found.l_pid).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_that_holds_no_process_id_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.pid");
        for content in ["root:x:0:0::/:\n", "123456789012345678901", "12 x"] {
            fs::write(&file, content).unwrap();
            let error = PidFile::write(&file).unwrap_err();
            assert!(
                error.contains("x.pid: it holds something else than a process id"),
                "{error}"
            );
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
        for content in ["", "\n", "4194303\n", "1 2"] {
            fs::write(&file, content).unwrap();
            let held = PidFile::write(&file).unwrap();
            let pid = format!("{}\n", std::process::id());
            assert_eq!(fs::read_to_string(&file).unwrap(), pid);
            drop(held);
            assert!(!file.exists());
        }
    }

    #[test]
    fn links_and_other_kinds_are_refused_and_their_targets_left_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("victim"), "1").unwrap();
        std::os::unix::fs::symlink(path("victim"), path("link")).unwrap();
        fs::hard_link(path("victim"), path("hard")).unwrap();
        fs::create_dir(path("folder")).unwrap();
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
        nix::unistd::mkfifo(&path("fifo"), mode).unwrap();
        for (name, expected) in [
            ("link", "it is a symbolic link"),
            ("hard", "the file has 2 names"),
            ("folder", "it is a folder"),
            ("fifo", "it is a FIFO"),
        ] {
            let error = PidFile::write(&path(name)).unwrap_err();
            assert!(error.contains(expected), "{name}: {error}");
            assert!(path(name).symlink_metadata().is_ok(), "{name}");
        }
        assert_eq!(fs::read_to_string(path("victim")).unwrap(), "1");
    }

    #[test]
    fn the_end_removes_only_the_file_that_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.pid");
        let held = PidFile::write(&file).unwrap();
        fs::rename(&file, folder.path().join("moved")).unwrap();
        fs::write(&file, "7\n").unwrap();
        drop(held);
        assert_eq!(fs::read_to_string(&file).unwrap(), "7\n");
    }

    #[test]
    fn nobody_holds_a_file_that_is_not_there_or_not_locked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.pid");
        assert_eq!(holder(&file).unwrap(), None);
        fs::write(&file, "1\n").unwrap();
        assert_eq!(holder(&file).unwrap(), None);
        assert!(holder(folder.path()).is_err());
    }
}
