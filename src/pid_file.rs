//! The pid file: written and locked once the ports are bound, removed at the end. A file that an
//! earlier run left behind is no obstacle; one that a live server holds is.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::config::reason;
use crate::root;

/// The process's pid file; dropping it removes the file and the lock.
pub struct PidFile {
    path: PathBuf,
    /// Holds the lock until the end of the process.
    _locked: File,
}

impl PidFile {
    /// Writes this process's id into the file at `path`.
    ///
    /// # Errors
    /// When a live server holds the file, or it cannot be written; the text says what to do.
    pub fn write(path: &Path) -> Result<PidFile, String> {
        let failed = |error: io::Error| {
            format!(
                "cannot write the pid file {}: {}; set another 'pid_file'",
                path.display(),
                reason(&error)
            )
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held_by_another(path, &mut file)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(PidFile {
            path: path.to_owned(),
            _locked: file,
        })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Whoever finds the file afterwards finds it unlocked, which means the same.
        let _ = fs::remove_file(root::here(&self.path));
    }
}

fn held_by_another(path: &Path, file: &mut File) -> String {
    let mut pid = String::new();
    let _ = file.take(20).read_to_string(&mut pid);
    let pid: String = pid.chars().filter(char::is_ascii_digit).collect();
    let process = if pid.is_empty() {
        "another process".into()
    } else {
        format!("process {pid}")
    };
    format!(
        "already running: {process} holds the pid file {}; stop it first, or set another \
         'pid_file'",
        path.display()
    )
}
