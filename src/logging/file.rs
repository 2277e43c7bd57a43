//! The log file: appended to, opened again after it was moved away, and rotated before it grows too
//! large. When a step of that fails, lines still go into the file that is open. It never empties a
//! file without counting the lines that are lost.

use std::fs::File;
use std::io;
use std::path::Path;

use super::disk::{Disk, FileState, Name, RealDisk, lock, unlock};
use super::writer::{Destination, News, start_of_line};
use crate::files::Owner;
use crate::text::reason;

/// When the log file is replaced by a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The most bytes in one file; none: it grows without end.
    pub max_size: Option<u64>,
    /// How many old files are kept, as `FILE.1` (the newest) and so on; 0: a full file loses its
    /// oldest lines.
    pub keep: usize,
}

/// How much is copied at once where the oldest lines are dropped.
const PIECE: usize = 64 * 1024;

/// How often the file may be replaced by others before the next lines are written to it.
const FOLLOWED: usize = 5;

/// The shared log file.
pub(super) struct LogFile<D> {
    disk: D,
    name: String,
    file: File,
    rotation: Rotation,
    news: News,
    /// It was moved away and cannot be opened anew, which was logged.
    follow_failed: bool,
    /// It cannot be rotated, which was logged.
    rotation_failed: bool,
    /// The oldest lines could not be dropped, and some of them may be gone.
    drop_failed: bool,
    /// The beginning of a line that was cut short is not in this file, or is not any more.
    lacks_beginning: bool,
}

impl LogFile<RealDisk> {
    /// Opens or makes the file, and gives it to the user that the server will be.
    pub(super) fn open(
        path: &Path,
        rotation: Rotation,
        owner: Option<Owner>,
    ) -> io::Result<LogFile<RealDisk>> {
        let disk = RealDisk::new(path, owner);
        let (file, given) = disk.open_and_give()?;
        let mut log = LogFile::new(disk, &path.display().to_string(), file, rotation);
        if !given && log.disk.state(&log.file)?.length.is_some() {
            log.warn(format!(
                "The log {} keeps its owner: another user may have put it there. Give it to the \
                 configured user, or remove it.",
                log.name
            ));
        }
        Ok(log)
    }
}

impl<D: Disk> LogFile<D> {
    fn new(disk: D, name: &str, file: File, rotation: Rotation) -> LogFile<D> {
        LogFile {
            disk,
            name: name.into(),
            file,
            rotation,
            news: News::default(),
            follow_failed: false,
            rotation_failed: false,
            drop_failed: false,
            lacks_beginning: false,
        }
    }

    fn warn(&mut self, warning: String) {
        self.news.warnings.push(warning);
    }

    /// Opens the file anew where its name leads elsewhere by now. True when it did.
    fn follow(&mut self) -> io::Result<bool> {
        let open = self.disk.state(&self.file)?;
        if self.disk.named() == Some(open.inode) {
            self.follow_failed = false;
            return Ok(false);
        }
        match self.disk.open() {
            Ok(file) => {
                self.file = file;
                self.lacks_beginning = true;
                (self.follow_failed, self.drop_failed) = (false, false);
                Ok(true)
            }
            // The file was moved, and the lines go on into it: nothing is lost.
            Err(error) if open.names > 0 => {
                if !std::mem::replace(&mut self.follow_failed, true) {
                    self.warn(format!(
                        "The log {} was moved away and cannot be opened anew: {}. The lines go on \
                         into the file that was moved.",
                        self.name,
                        reason(&error)
                    ));
                }
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Follows the file and locks it. Another server may rotate the file between the two steps, so
    /// the name is checked again under the lock. False where others rotate faster than they can be
    /// followed: their files are not to be touched.
    fn follow_and_lock(&mut self) -> io::Result<bool> {
        lock(&self.file);
        for _ in 0..FOLLOWED {
            // Opening another file ends the lock of the one before.
            if !self.follow()? {
                return Ok(true);
            }
            lock(&self.file);
        }
        Ok(false)
    }

    fn write_locked(&mut self, batch: &[u8], next: &mut usize) -> io::Result<()> {
        let first = first_line(&batch[*next..]) as u64;
        let is_followed = self.follow_and_lock()?;
        let (length, limit) = self.make_room(is_followed, first)?;
        // Only now, since all of the above may fail after the file has changed.
        if std::mem::take(&mut self.lacks_beginning) {
            // The old file may end in the middle of this line: the new file gets the whole line.
            *next = start_of_line(batch, *next);
        }
        let end = *next + whole_lines(&batch[*next..], limit.saturating_sub(length));
        self.append(&batch[..end], next, length)
    }

    /// Rotates, or drops the oldest lines, where a line of this length does not fit any more. Gives
    /// the bytes of the open file, and how many it may have.
    fn make_room(&mut self, is_followed: bool, line: u64) -> io::Result<(u64, u64)> {
        let FileState { length, .. } = self.disk.state(&self.file)?;
        let (Some(length), Some(most)) = (length, self.rotation.max_size) else {
            return Ok((0, u64::MAX));
        };
        if !is_followed {
            return Ok((length, u64::MAX));
        }
        // A line that is longer than the limit gets a file of its own: splitting it would not help.
        if length == 0 || length + line <= most {
            return Ok((length, most));
        }
        if self.rotation.keep == 0 {
            return Ok((self.drop_oldest(length, most, line)?.1, most));
        }
        let rotated = match self.follow_failed {
            true => Err(io::Error::other("it was moved away")),
            false => self.rotate(),
        };
        let Err(error) = rotated else {
            (self.rotation_failed, self.drop_failed) = (false, false);
            let FileState { length, .. } = self.disk.state(&self.file)?;
            return Ok((length.unwrap_or(0), most));
        };
        // A missing right will stay missing, so the limit holds at once. Another obstacle may go
        // away: twice the size is a bound until then.
        let limit = if is_forbidden(&error) { most } else { 2 * most };
        self.tell_that_rotation_failed(&error, limit);
        if length + line <= limit {
            return Ok((length, limit));
        }
        let (dropped, left) = self.drop_oldest(length, limit, line)?;
        self.news.dropped += dropped;
        self.warn(format!(
            "The {dropped} oldest lines of {} were dropped: it may not grow any further, and \
             cannot be rotated.",
            self.name
        ));
        Ok((left, limit))
    }

    fn tell_that_rotation_failed(&mut self, error: &io::Error, limit: u64) {
        if std::mem::replace(&mut self.rotation_failed, true) {
            return;
        }
        let advice = if is_forbidden(error) {
            " Give its folder to the user that the server runs as."
        } else {
            ""
        };
        self.warn(format!(
            "Cannot rotate the log {}: {}. The file goes on; before it is larger than {limit} \
             bytes its oldest lines are dropped and counted.{advice}",
            self.name,
            reason(error)
        ));
    }

    /// Opens the next file, then moves the full one to `FILE.1` and those before it one further.
    /// After an error the open file is the one before.
    fn rotate(&mut self) -> io::Result<()> {
        let next = self.disk.make_next()?;
        let renamed = self
            .free_first_place()
            .and_then(|()| self.disk.rename(Name::Log, Name::Old(1)))
            .and_then(|()| {
                self.disk.rename_to_log(Name::Next).inspect_err(|_| {
                    // Nothing has the log's name, unless another program was faster: then that file
                    // is the log, and is found by its name.
                    let _ = self.disk.rename_to_log(Name::Old(1));
                })
            });
        if renamed.is_err() {
            self.disk.remove_next();
            return renamed;
        }
        self.file = next;
        self.lacks_beginning = true;
        // Another server that does not know of this rotation may have put its own file there. Where
        // that cannot be seen now, the next line finds it.
        let _ = self.follow_and_lock();
        Ok(())
    }

    /// Moves old files one further, so that none has the number 1. The oldest goes only where no
    /// number is free.
    fn free_first_place(&self) -> io::Result<()> {
        let keep = self.rotation.keep;
        let free = (1..=keep).find(|&number| !self.disk.exists(Name::Old(number)));
        for number in (1..free.unwrap_or(keep)).rev() {
            self.disk.rename(Name::Old(number), Name::Old(number + 1))?;
        }
        Ok(())
    }

    /// Drops the oldest lines, so that at least half of what is allowed is free, and room for this
    /// line. Gives the number of lines that went and the bytes that are left. What is kept is
    /// copied over what goes, never over itself: a failure in between loses none of it.
    fn drop_oldest(&mut self, length: u64, most: u64, line: u64) -> io::Result<(u64, u64)> {
        let mut keep = (most / 2).min(length / 2);
        if line <= most {
            keep = keep.min(most - line);
        }
        let (dropped, from) = self.lines_before(length - keep, length)?;
        let moved = self.move_to_front(from, length);
        if moved.is_err() && !self.drop_failed && self.rotation.keep > 0 {
            self.news.dropped += dropped;
        }
        self.drop_failed = moved.is_err();
        moved?;
        // With all lines went the beginning of one that was cut short.
        self.lacks_beginning |= from == length;
        Ok((dropped, length - from))
    }

    /// Copies what begins at `from` to the beginning of the file, and cuts off what is behind it.
    fn move_to_front(&self, from: u64, length: u64) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        let mut at = from;
        while at < length {
            let bytes = &mut piece[..PIECE.min((length - at) as usize)];
            self.disk.read(&self.file, bytes, at)?;
            self.disk.overwrite(&self.file, bytes, at - from)?;
            at += bytes.len() as u64;
        }
        self.disk.cut(&self.file, length - from)
    }

    /// Where the first line begins that begins at `place` or later, and how many lines are before
    /// it.
    fn lines_before(&self, place: u64, length: u64) -> io::Result<(u64, u64)> {
        let mut piece = vec![0; PIECE];
        let (mut lines, mut at) = (0, 0);
        while at < length {
            let bytes = &mut piece[..PIECE.min((length - at) as usize)];
            self.disk.read(&self.file, bytes, at)?;
            for (index, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
                lines += 1;
                let next = at + index as u64 + 1;
                if next >= place {
                    return Ok((lines, next));
                }
            }
            at += bytes.len() as u64;
        }
        Ok((lines, length))
    }

    /// Appends what is in `lines` from the byte `next` on, to a file of this length. Half a line is
    /// taken back where that is possible: another server's line would stand in the middle of it.
    fn append(&mut self, lines: &[u8], next: &mut usize, length: u64) -> io::Result<()> {
        let from = *next;
        while *next < lines.len() {
            let error = match self.disk.append(&self.file, &lines[*next..]) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(bytes) => {
                    *next += bytes;
                    continue;
                }
                Err(error) => error,
            };
            let whole = start_of_line(lines, *next).max(from);
            let length_with = |end: usize| length + (end - from) as u64;
            let state = self.disk.state(&self.file);
            if whole < *next
                && state.is_ok_and(|state| state.length == Some(length_with(*next)))
                && self.disk.cut(&self.file, length_with(whole)).is_ok()
            {
                *next = whole;
            }
            return Err(error);
        }
        Ok(())
    }
}

/// Whether this user may not rename here, which will not change by itself.
fn is_forbidden(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// How long the first line is, with its end.
fn first_line(lines: &[u8]) -> usize {
    let end = lines.iter().position(|&byte| byte == b'\n');
    end.map_or(lines.len(), |end| end + 1)
}

/// The bytes of the whole lines that fit into `room` bytes; at least the first line.
fn whole_lines(lines: &[u8], room: u64) -> usize {
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    match lines.get(..room) {
        None => lines.len(),
        Some(fitting) => match start_of_line(fitting, fitting.len()) {
            0 => first_line(lines),
            whole => whole,
        },
    }
}

impl<D: Disk> Destination for LogFile<D> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn look(&mut self) {
        // A failure is for the next write to find, and to say.
        let _ = self.follow();
    }

    fn write(&mut self, batch: &[u8], next: &mut usize) -> io::Result<()> {
        let written = self.write_locked(batch, next);
        unlock(&self.file);
        written
    }

    fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
