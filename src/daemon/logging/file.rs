//! The log file: appended to, opened again after it was moved away, and rotated before it grows too
//! large. When a step of that fails, lines still go into the file that is open. It never empties a
//! file without counting the lines that are lost.

use std::fs::File;
use std::io;
use std::path::Path;

use super::disk::{Disk, Name, RealDisk, lock, unlock};
use super::writer::{Destination, News, count_lines, start_of_line};
use crate::config::Config;
use crate::daemon::files::Owner;
use crate::output::text::reason;

/// When the log file is replaced by a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The most bytes in one file; none: it grows without end.
    pub max_size: Option<u64>,
    /// How many old files are kept, as `FILE.1` (the newest) and so on; 0: a full file is emptied.
    pub keep: usize,
}

impl Rotation {
    /// That of a configuration.
    pub fn of(config: &Config) -> Rotation {
        Rotation {
            max_size: config.startup.log_max_size,
            keep: config.startup.log_keep,
        }
    }
}

/// How much is read at once to count lines.
const PIECE: usize = 64 * 1024;

/// How often the file may be replaced by others before the next lines are written to it.
const FOLLOWED: usize = 5;

/// What stands in the way of a new file; each is logged once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing.
    Sound,
    /// It was moved away and cannot be opened anew: the lines go on into the file that was moved.
    MovedAway,
    /// It cannot be rotated: it is emptied when it has twice its size.
    Unrotatable,
}

/// The shared log file.
pub(super) struct LogFile<D> {
    disk: D,
    name: String,
    file: File,
    rotation: Rotation,
    news: News,
    state: State,
    /// No line was begun in this file: one that was cut short before is not in it.
    is_new: bool,
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
            state: State::Sound,
            is_new: false,
        }
    }

    fn warn(&mut self, warning: String) {
        self.news.warnings.push(warning);
    }

    /// Opens the file anew where its name leads elsewhere by now. True when it did.
    fn follow(&mut self) -> io::Result<bool> {
        let open = self.disk.state(&self.file)?;
        if self.disk.named() == Some(open.inode) {
            self.has_its_name();
            return Ok(false);
        }
        match self.disk.open() {
            Ok(file) => {
                self.has_its_name();
                (self.file, self.is_new) = (file, true);
                Ok(true)
            }
            // The file was moved, and the lines go on into it: nothing is lost.
            Err(error) if open.names > 0 => {
                self.enter(State::MovedAway, |log| {
                    format!(
                        "The log {log} was moved away and cannot be opened anew: {}. The lines go \
                         on into the file that was moved.",
                        reason(&error)
                    )
                });
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn has_its_name(&mut self) {
        if self.state == State::MovedAway {
            self.state = State::Sound;
        }
    }

    /// Enters a state, with a warning where it is another one.
    fn enter(&mut self, state: State, warning: impl FnOnce(&str) -> String) {
        if std::mem::replace(&mut self.state, state) != state {
            self.warn(warning(&self.name));
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
        if std::mem::take(&mut self.is_new) {
            // The old file may end in the middle of this line: the new file gets the whole line.
            *next = start_of_line(batch, *next);
        }
        let end = *next + whole_lines(&batch[*next..], limit.saturating_sub(length));
        self.append(&batch[..end], next, length)
    }

    /// Rotates or empties the file where a line of this length does not fit any more. Gives the
    /// bytes of the open file, and how many it may have.
    fn make_room(&mut self, is_followed: bool, line: u64) -> io::Result<(u64, u64)> {
        let length = self.disk.state(&self.file)?.length;
        let (Some(length), Some(most), true) = (length, self.rotation.max_size, is_followed) else {
            return Ok((length.unwrap_or(0), u64::MAX));
        };
        // A line that is longer than the limit gets a file of its own: splitting it would not help.
        let fits = |limit| length == 0 || length + line <= limit;
        if fits(most) {
            return Ok((length, most));
        }
        if self.rotation.keep == 0 {
            self.empty(length, "'log_keep = 0' keeps no old one")?;
            return Ok((0, most));
        }
        // What stands in the way may go away: twice the size is a bound until then.
        let limit = 2 * most;
        if self.rotated(limit) {
            let rotated = self.disk.state(&self.file)?.length;
            return Ok((rotated.unwrap_or(0), most));
        }
        if fits(limit) {
            return Ok((length, limit));
        }
        self.news.dropped += self.empty(length, "it cannot be rotated")?;
        Ok((0, limit))
    }

    /// Rotates the file, or says why that cannot be done.
    fn rotated(&mut self, limit: u64) -> bool {
        // Which was said.
        if self.state == State::MovedAway {
            return false;
        }
        let Err(error) = self.rotate() else {
            self.state = State::Sound;
            return true;
        };
        let advice = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                " Give its folder to the user that the server runs as."
            }
            _ => "",
        };
        self.enter(State::Unrotatable, |log| {
            format!(
                "Cannot rotate the log {log}: {}. Lines still go into this file; it is \
                 emptied before it is larger than {limit} bytes.{advice}",
                reason(&error)
            )
        });
        false
    }

    /// Empties the full file. Gives the number of lines that went.
    fn empty(&mut self, length: u64, why: &str) -> io::Result<u64> {
        let (mut lines, mut at) = (0, 0);
        let mut piece = vec![0; PIECE];
        while at < length {
            let bytes = &mut piece[..PIECE.min((length - at) as usize)];
            self.disk.read(&self.file, bytes, at)?;
            lines += count_lines(bytes);
            at += bytes.len() as u64;
        }
        self.disk.cut(&self.file, 0)?;
        self.is_new = true;
        self.warn(format!(
            "The log {} was full and was emptied, since {why}: {lines} lines ({length} bytes) are \
             gone.",
            self.name
        ));
        Ok(lines)
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
        self.is_new = true;
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

    fn check_moved(&mut self) {
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
