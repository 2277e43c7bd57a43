//! A file that is written: an open folder and a name in it. The path is walked part by part, so
//! that a link of another user leads nowhere else. The last part is never followed as a link. It
//! makes no folders.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, FcntlArg, OFlag, fcntl, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::unistd::{AccessFlags, UnlinkatFlags, faccessat, geteuid, unlinkat};

use crate::system::linux::kind::{is, wrong_kind};

/// More links than this on one way are a loop, as for the system itself.
const MOST_LINKS: usize = 40;

/// The rights of a file that is made, as far as the umask allows: everybody may read it.
const FOR_ALL: Mode = Mode::from_bits_truncate(0o644);

/// The same, where only its owner and the group may read it.
const FOR_THE_GROUP: Mode = Mode::from_bits_truncate(0o640);

/// The new owner of a file, or of the process; none leaves the user or the group as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user's number.
    pub uid: Option<u32>,
    /// The group's number.
    pub gid: Option<u32>,
}

/// An open folder and a name in it. Files beside it are named by what follows the name, such as
/// `.new`; the file itself is `""`.
#[derive(Debug)]
pub struct GuardedPath {
    folder: OwnedFd,
    name: OsString,
    /// Only root and this process's user may change the entry of this name.
    private: bool,
    /// The rights of a file that is made here.
    rights: Mode,
}

impl GuardedPath {
    /// Walks to the folder of `path`.
    ///
    /// # Errors
    /// When a part of the way is missing or may not be entered, or is a symbolic link that another
    /// user may have made.
    pub fn of(path: &Path) -> io::Result<GuardedPath> {
        let name = path
            .file_name()
            .ok_or_else(|| io::Error::other("it is a folder, and no regular file"))?;
        let walk = Walk::along(path.parent().unwrap_or(Path::new("")))?;
        let private = walk.private && private_folder(&fstat(&walk.at)?);
        Ok(GuardedPath {
            folder: walk.at,
            name: name.to_owned(),
            private,
            rights: FOR_ALL,
        })
    }

    /// The same place for files that only their owner and the group may read.
    pub fn for_the_group(self) -> GuardedPath {
        GuardedPath {
            rights: FOR_THE_GROUP,
            ..self
        }
    }

    /// The name of a file.
    pub fn name(&self, suffix: &str) -> OsString {
        let mut name = self.name.clone();
        name.push(suffix);
        name
    }

    /// Opens what is there: a regular file with one name, or a character device where `device`
    /// says so.
    ///
    /// # Errors
    /// The system's error, or why the file is refused.
    pub fn open(&self, suffix: &str, flags: OFlag, device: bool) -> io::Result<File> {
        // Before it is opened: opening a device or the end of a FIFO has effects of its own.
        self.require(&self.stat(suffix)?, suffix, device)?;
        let flags =
            flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let name = self.name(suffix);
        let file = openat(&self.folder, &*name, flags, Mode::empty())?;
        // It may be another one by now.
        let stat = fstat(&file)?;
        self.require(&stat, suffix, device)?;
        if is(stat.st_mode, SFlag::S_IFCHR) {
            // A terminal that does not take a line at once is waited for.
            fcntl(&file, FcntlArg::F_SETFL(flags & !OFlag::O_NONBLOCK))?;
        }
        Ok(file.into())
    }

    /// Makes a file that is not there yet.
    ///
    /// # Errors
    /// The system's error; also when the file exists already.
    pub fn create(&self, suffix: &str, flags: OFlag) -> io::Result<File> {
        let flags = flags | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let name = self.name(suffix);
        Ok(openat(&self.folder, &*name, flags, self.rights)?.into())
    }

    /// Makes a file, also in the place of one that was left behind and may go.
    ///
    /// # Errors
    /// The system's error, or why the other file may not go.
    pub fn create_over(
        &self,
        suffix: &str,
        flags: OFlag,
        may_go: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<File> {
        match self.create(suffix, flags) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                may_go()?;
                self.remove(suffix);
                self.create(suffix, flags)
            }
            made => made,
        }
    }

    /// Opens the file, or makes it; the flag says that it was made.
    ///
    /// # Errors
    /// As [`GuardedPath::open`].
    pub fn open_or_create(&self, flags: OFlag, device: bool) -> io::Result<(File, bool)> {
        let made = match self.open("", flags, device) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create("", flags),
            opened => return Ok((opened?, false)),
        };
        match made {
            // Another process made the file first.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok((self.open("", flags, device)?, false))
            }
            made => Ok((made?, true)),
        }
    }

    /// What is there; a link itself and not what it leads to.
    ///
    /// # Errors
    /// The system's error.
    pub fn stat(&self, suffix: &str) -> io::Result<FileStat> {
        let name = self.name(suffix);
        let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
        Ok(fstatat(&self.folder, &*name, flags)?)
    }

    /// Refuses what may not be written or replaced; there may be nothing.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn require_replaceable(&self, suffix: &str) -> io::Result<()> {
        match self.stat(suffix) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            stat => self.require(&stat?, suffix, false),
        }
    }

    /// Whether the file could be written, or made, with this user's rights; nothing is opened.
    ///
    /// # Errors
    /// Why not.
    pub fn could_write(&self, device: bool) -> io::Result<()> {
        match self.stat("") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.access(OsStr::new(".")),
            stat => {
                self.require(&stat?, "", device)?;
                self.access(&self.name)
            }
        }
    }

    /// Whether this user could rename the file, and make others beside it.
    pub fn could_rename(&self) -> bool {
        let ours = |stat: FileStat| geteuid().is_root() || stat.st_uid == geteuid().as_raw();
        self.access(OsStr::new(".")).is_ok()
            && fstat(&self.folder).is_ok_and(|folder| {
                !mode(&folder).contains(Mode::S_ISVTX)
                    || ours(folder)
                    || self.stat("").map_or(true, ours)
            })
    }

    /// Whether a device is there.
    pub fn is_device(&self) -> bool {
        let stat = self.stat("");
        stat.is_ok_and(|stat| is(stat.st_mode, SFlag::S_IFCHR))
    }

    /// Whether this user may write there.
    fn access(&self, name: &OsStr) -> io::Result<()> {
        let (may, flags) = (AccessFlags::W_OK, AtFlags::AT_EACCESS);
        Ok(faccessat(&self.folder, name, may, flags)?)
    }

    /// Renames; what had the new name is gone.
    ///
    /// # Errors
    /// The system's error.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let [from, to] = [from, to].map(|suffix| self.name(suffix));
        Ok(renameat(&self.folder, &*from, &self.folder, &*to)?)
    }

    /// Renames where nothing has the new name yet.
    ///
    /// # Errors
    /// The system's error; also when the name is taken.
    pub fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        if self.stat(to).is_ok() {
            return Err(Errno::EEXIST.into());
        }
        #[cfg(target_env = "gnu")]
        {
            use nix::fcntl::{RenameFlags, renameat2};
            let [from, to] = [from, to].map(|suffix| self.name(suffix));
            let flags = RenameFlags::RENAME_NOREPLACE;
            match renameat2(&self.folder, &*from, &self.folder, &*to, flags) {
                // Not every file system can do it in one step.
                Err(Errno::EINVAL | Errno::ENOSYS | Errno::ENOTSUP) => {}
                renamed => return Ok(renamed?),
            }
        }
        self.rename(from, to)
    }

    /// Removes a file that nobody needs; where it cannot be removed it stays.
    pub fn remove(&self, suffix: &str) {
        let name = self.name(suffix);
        let _ = unlinkat(&self.folder, &*name, UnlinkatFlags::NoRemoveDir);
    }

    fn require(&self, stat: &FileStat, suffix: &str, device: bool) -> io::Result<()> {
        if is(stat.st_mode, SFlag::S_IFLNK) {
            let target = readlinkat(&self.folder, &*self.name(suffix)).unwrap_or_default();
            return Err(io::Error::other(format!(
                "it is a symbolic link to {}, and the server does not write through links; \
                 name the file itself, or remove the link",
                Path::new(&target).display()
            )));
        }
        if device && is(stat.st_mode, SFlag::S_IFCHR) {
            return Ok(());
        }
        if !is(stat.st_mode, SFlag::S_IFREG) {
            return Err(wrong_kind(stat.st_mode));
        }
        if stat.st_nlink > 1 {
            return Err(io::Error::other(format!(
                "the file has {} names (hard links), and what is written has one; remove the \
                 other names, or this one",
                stat.st_nlink
            )));
        }
        Ok(())
    }
}

/// Gives an open file away, by its descriptor: where it was made here, or belongs to that user
/// already, or to root in a folder that only root may write, and has one name. True where it is the
/// owner's now.
///
/// # Errors
/// The system's error.
pub fn change_owner(
    file: &File,
    made_here: bool,
    place: &GuardedPath,
    owner: Owner,
) -> io::Result<bool> {
    let metadata = file.metadata()?;
    let known =
        made_here || Some(metadata.uid()) == owner.uid || (metadata.uid() == 0 && place.private);
    if !metadata.is_file() || metadata.nlink() > 1 || !known {
        return Ok(false);
    }
    fchown(file, owner.uid, owner.gid)?;
    Ok(true)
}

/// A way through folders.
struct Walk {
    at: OwnedFd,
    private: bool,
    links: usize,
}

impl Walk {
    fn along(folder: &Path) -> io::Result<Walk> {
        let start = if folder.has_root() { "/" } else { "." };
        let at = open_folder(AT_FDCWD, start)?;
        let private = folder.has_root() || private_up(&at).unwrap_or(false);
        let mut walk = Walk {
            at,
            private,
            links: 0,
        };
        let mut left: Vec<OsString> = parts(folder).rev().collect();
        while let Some(part) = left.pop() {
            if let Some(target) = walk.enter(&part)? {
                if target.has_root() {
                    walk.at = open_folder(AT_FDCWD, "/")?;
                }
                left.extend(parts(&target).rev());
            }
        }
        Ok(walk)
    }

    /// Enters a folder, or gives where a link leads.
    fn enter(&mut self, part: &OsStr) -> io::Result<Option<PathBuf>> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let entry = openat(&self.at, part, flags, Mode::empty())?;
        let stat = fstat(&entry)?;
        let fixed = only_ours(&fstat(&self.at)?, &stat);
        if !is(stat.st_mode, SFlag::S_IFLNK) {
            self.private &= fixed;
            self.at = entry;
            return Ok(None);
        }
        if !fixed {
            return Err(io::Error::other(format!(
                "'{}' on the way to it is a symbolic link that another user may have made; name \
                 the folder that it leads to",
                Path::new(part).display()
            )));
        }
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Errno::ELOOP.into());
        }
        Ok(Some(readlinkat(&entry, "")?.into()))
    }
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

fn open_folder(at: impl AsFd, path: &str) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(openat(at, path, flags, Mode::empty())?)
}

fn mode(stat: &FileStat) -> Mode {
    Mode::from_bits_truncate(stat.st_mode)
}

/// Whether this user's files are root's or our own.
fn trusted(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

/// A folder in which only root and this process's user may make, rename and remove files.
fn private_folder(folder: &FileStat) -> bool {
    let by_group = mode(folder).contains(Mode::S_IWGRP) && folder.st_gid != 0;
    trusted(folder.st_uid) && !by_group && !mode(folder).contains(Mode::S_IWOTH)
}

/// Whether nobody else may have put this entry into this folder, or may replace it. In a folder
/// with the sticky bit, such as /tmp, that is each entry's owner.
fn only_ours(folder: &FileStat, entry: &FileStat) -> bool {
    let sticky = mode(folder).contains(Mode::S_ISVTX);
    private_folder(folder) || sticky && trusted(folder.st_uid) && trusted(entry.st_uid)
}

/// Whether only root and this process's user decide which folder this is, up to the root folder.
fn private_up(folder: &OwnedFd) -> io::Result<bool> {
    let mut entry = fstat(folder)?;
    let mut at = open_folder(folder, "..")?;
    loop {
        let stat = fstat(&at)?;
        if (stat.st_dev, stat.st_ino) == (entry.st_dev, entry.st_ino) {
            return Ok(true);
        }
        if !only_ours(&stat, &entry) {
            return Ok(false);
        }
        entry = stat;
        at = open_folder(&at, "..")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    fn is_root() -> bool {
        geteuid().is_root()
    }

    fn opened(path: &Path) -> io::Result<(File, bool)> {
        GuardedPath::of(path)?.open_or_create(OFlag::O_WRONLY, false)
    }

    #[test]
    fn a_link_in_ones_own_folder_is_followed_on_the_way_and_not_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("a/b")).unwrap();
        symlink("a", path("relative")).unwrap();
        symlink(path("a/b"), path("absolute")).unwrap();
        symlink("loop", path("loop")).unwrap();
        assert!(opened(&path("relative/b/x")).unwrap().1);
        assert!(!opened(&path("absolute/x")).unwrap().1);
        assert!(!opened(&path("absolute/../b/x")).unwrap().1);
        assert!(opened(&path("loop/x")).is_err());
        symlink("x", path("a/b/last")).unwrap();
        let error = opened(&path("a/b/last")).unwrap_err().to_string();
        assert!(
            error.starts_with("it is a symbolic link to x, and"),
            "{error}"
        );
    }

    #[test]
    fn a_link_of_another_user_is_not_followed_on_the_way_either() {
        if !is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("theirs")).unwrap();
        fs::create_dir_all(path("root")).unwrap();
        symlink(path("root"), path("theirs/way")).unwrap();
        chown(path("theirs"), Some(65534), Some(65534)).unwrap();
        let error = opened(&path("theirs/way/x")).unwrap_err().to_string();
        assert!(
            error.starts_with("'way' on the way to it is a symbolic link"),
            "{error}"
        );
        assert!(!path("root/x").exists());
    }

    #[test]
    fn a_file_is_given_away_only_where_nobody_else_can_have_chosen_it() {
        if !is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let nobody = Owner {
            uid: Some(65534),
            gid: Some(65534),
        };
        let given = |path: &Path| {
            let place = GuardedPath::of(path).unwrap();
            let (file, made) = place.open_or_create(OFlag::O_WRONLY, false).unwrap();
            change_owner(&file, made, &place, nobody).unwrap()
        };
        fs::create_dir(path("theirs")).unwrap();
        fs::write(path("theirs/roots"), "").unwrap();
        chown(path("theirs"), Some(65534), None).unwrap();
        fs::write(path("roots"), "").unwrap();
        fs::write(path("sevens"), "").unwrap();
        chown(path("sevens"), Some(7), None).unwrap();
        assert!(given(&path("theirs/made")));
        assert!(given(&path("theirs/made")));
        assert!(!given(&path("theirs/roots")));
        assert_eq!(fs::metadata(path("theirs/roots")).unwrap().uid(), 0);
        assert!(given(&path("roots")));
        assert!(!given(&path("sevens")));
        // Whoever may write in the folder may have moved it there.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(path("other"), "").unwrap();
        assert!(!given(&path("other")));
    }

    #[test]
    fn a_relative_place_is_in_the_current_folder() {
        let place = GuardedPath::of(Path::new("Cargo.toml")).unwrap();
        assert!(place.stat("").is_ok());
        assert!(GuardedPath::of(Path::new("..")).is_err());
        assert!(GuardedPath::of(Path::new("")).is_err());
    }

    #[test]
    fn a_new_name_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["x.a", "x.b"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let place = GuardedPath::of(&folder.path().join("x")).unwrap();
        let renamed = |to: &str| place.rename_new(".a", to);
        assert_eq!(
            renamed(".b").unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        renamed(".c").unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join("x.b")).unwrap(),
            "x.b"
        );
        assert_eq!(
            fs::read_to_string(folder.path().join("x.c")).unwrap(),
            "x.a"
        );
    }
}
