//! What an outlet writes to: the log file, or standard output.
//! A target may block or fail as long as it likes; only its own writer thread waits for it.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Rotation;
use crate::root;

/// Whether the next bytes go where the last ones went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The same place as before.
    Same,
    /// A new file: the old one was moved away or deleted.
    Fresh,
}

/// A place for bytes.
pub(super) trait Target: Send {
    /// What messages call it.
    fn name(&self) -> String;
    /// Makes ready for a write.
    fn prepare(&mut self) -> io::Result<State>;
    /// Writes the beginning of `bytes` and says how many.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
}

/// The shared log file.
pub(super) struct FileTarget {
    path: PathBuf,
    file: File,
    rotation: Rotation,
    /// What the file may still take before it is rotated.
    room: u64,
    /// The next line does not fit any more.
    full: bool,
}

impl FileTarget {
    pub(super) fn open(path: &Path, rotation: Rotation) -> io::Result<FileTarget> {
        Ok(FileTarget {
            file: append_to(path)?,
            path: path.to_owned(),
            rotation,
            room: u64::MAX,
            full: false,
        })
    }

    /// Opens the file anew where the path leads elsewhere by now. True when it did.
    fn follow(&mut self, open: &Metadata) -> io::Result<bool> {
        let in_place = fs::metadata(root::here(&self.path))
            .is_ok_and(|named| (named.dev(), named.ino()) == (open.dev(), open.ino()));
        if in_place {
            return Ok(false);
        }
        match append_to(&self.path) {
            Ok(file) => {
                self.file = file;
                Ok(true)
            }
            // Moved away, and no right to make a new one: the old file loses nothing.
            Err(_) if open.nlink() > 0 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Moves the full file to `FILE.1`, and those before it one further.
    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |number: usize| {
            let mut name = root::here(&self.path).as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        let keep = self.rotation.keep;
        for number in (1..keep).rev() {
            move_if_there(&numbered(number), &numbered(number + 1))?;
        }
        if keep == 0 {
            return self.file.set_len(0);
        }
        move_if_there(&root::here(&self.path), &numbered(1))?;
        self.file = append_to(&self.path)?;
        Ok(())
    }
}

fn move_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved,
    }
}

impl Target for FileTarget {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn prepare(&mut self) -> io::Result<State> {
        let mut open = self.file.metadata()?;
        let mut state = State::Same;
        if self.follow(&open)? {
            state = State::Fresh;
            open = self.file.metadata()?;
        }
        let Some(most) = self.rotation.max_size else {
            self.room = u64::MAX;
            return Ok(state);
        };
        self.room = most.saturating_sub(open.len());
        if self.room == 0 || (std::mem::take(&mut self.full) && open.len() > 0) {
            state = State::Fresh;
            // Without the right to rename, a full file is emptied: the disk's room comes first.
            self.rotate().or_else(|_| self.file.set_len(0))?;
            self.room = most;
        }
        Ok(state)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = usize::try_from(self.room).unwrap_or(usize::MAX);
        if bytes.len() <= room {
            return self.file.write(bytes);
        }
        // Whole lines only; the next one begins the next file.
        let fitting = bytes.get(..room).unwrap_or(bytes);
        match fitting.iter().rposition(|&byte| byte == b'\n') {
            Some(newline) => self.file.write(&bytes[..=newline]),
            None => {
                self.full = true;
                Err(io::ErrorKind::Interrupted.into())
            }
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(root::here(path))
}

/// Standard output, through a descriptor of its own: no buffer of the library's is in between.
pub(super) struct ConsoleTarget(File);

impl ConsoleTarget {
    pub(super) fn open() -> io::Result<ConsoleTarget> {
        let own = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(ConsoleTarget(File::from(own)))
    }
}

impl Target for ConsoleTarget {
    fn name(&self) -> String {
        "standard output".into()
    }

    fn prepare(&mut self) -> io::Result<State> {
        Ok(State::Same)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
}
