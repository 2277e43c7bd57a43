//! What an outlet writes to: the log file, or standard output.
//! A target may block or fail as long as it likes; only its own writer thread waits for it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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
}

impl FileTarget {
    pub(super) fn open(path: &Path) -> io::Result<FileTarget> {
        Ok(FileTarget {
            file: append_to(path)?,
            path: path.to_owned(),
        })
    }

    /// Whether the path still leads to the open file.
    fn is_in_place(&self) -> io::Result<bool> {
        let open = self.file.metadata()?;
        Ok(fs::metadata(&self.path)
            .is_ok_and(|named| (named.dev(), named.ino()) == (open.dev(), open.ino())))
    }
}

impl Target for FileTarget {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn prepare(&mut self) -> io::Result<State> {
        if self.is_in_place()? {
            return Ok(State::Same);
        }
        match append_to(&self.path) {
            Ok(file) => {
                self.file = file;
                Ok(State::Fresh)
            }
            // Moved away, and no right to make a new one: the old file loses nothing.
            Err(_) if self.file.metadata()?.nlink() > 0 => Ok(State::Same),
            Err(error) => Err(error),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
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
