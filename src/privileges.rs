//! User, group and chroot: what was needed to bind the ports is given away once they are bound.
//! Users and groups are looked up in `/etc/passwd` and `/etc/group` themselves: the C library's
//! look-up loads other libraries, which a static binary cannot. It opens nothing else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::fchown;
use std::path::Path;

use nix::unistd::{chdir, chroot, setgid, setgroups, setuid, Gid, Uid};

use crate::config::{reason, Config};
use crate::pid_file::PidFile;
use crate::root;

/// What the process will be.
pub struct Identity {
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Identity {
    /// The user to become; none: no change.
    pub fn uid(&self) -> Option<u32> {
        self.uid
    }
}

/// Gives away what the configuration says, in the order in which each step is still allowed.
///
/// # Errors
/// What could not be done, and what to do about it.
pub fn give_away(config: &Config, identity: &Identity) -> Result<(), String> {
    if let Some(file) = &config.log_file {
        hand_over(file, identity)
            .map_err(|error| format!("cannot give {} away: {}", file.display(), reason(&error)))?;
    }
    if let Some(folder) = &config.chroot {
        enter(folder)?;
    }
    become_it(identity).map_err(|error| {
        format!(
            "cannot become the configured user and group: {error}; start as root, or remove \
             'user' and 'group'"
        )
    })?;
    if identity.uid.is_some_and(|uid| uid != 0) && setuid(Uid::from_raw(0)).is_ok() {
        return Err("root's rights could be taken back: this system is not to be trusted".into());
    }
    if Uid::effective().is_root() {
        log::warn!("Running as root. Set 'user' (such as 'user = nobody') to change that.");
    }
    for file in unreadable(config) {
        log::warn!("{file} cannot be read any more as this user: a reload will fail.");
    }
    Ok(())
}

/// Gives the pid file to the future user.
///
/// # Errors
/// What the system says.
pub fn give_pid_file(file: &PidFile, identity: &Identity) -> Result<(), String> {
    if identity.uid.is_none() && identity.gid.is_none() || !Uid::effective().is_root() {
        return Ok(());
    }
    file.give_to(identity.uid, identity.gid)
        .map_err(|error| format!("cannot give the pid file away: {}", reason(&error)))
}

/// Looks the configured user and group up, and at the folder for the chroot.
///
/// # Errors
/// What is not there.
pub fn look_up(config: &Config) -> Result<Identity, String> {
    if let Some(folder) = config.chroot.as_ref().filter(|folder| !folder.is_dir()) {
        return Err(format!(
            "chroot = {}: there is no such folder; make it, or set another",
            folder.display()
        ));
    }
    let mut identity = Identity {
        uid: None,
        gid: None,
    };
    if let Some(user) = &config.user {
        let [uid, gid] = entry("/etc/passwd", user, [2, 3])
            .or_else(|| {
                let uid = user.parse().ok()?;
                Some([uid, uid])
            })
            .ok_or_else(|| {
                format!(
                    "user = {user}: there is no such user in /etc/passwd; expected one that is, \
                     or a number"
                )
            })?;
        identity = Identity {
            uid: Some(uid),
            gid: Some(gid),
        };
    }
    if let Some(group) = &config.group {
        let [gid] = entry("/etc/group", group, [2])
            .or_else(|| group.parse().ok().map(|gid| [gid]))
            .ok_or_else(|| {
                format!(
                    "group = {group}: there is no such group in /etc/group; expected one that is, \
                     or a number"
                )
            })?;
        identity.gid = Some(gid);
    }
    Ok(identity)
}

/// The numbers in these columns of the line of `name`.
fn entry<const N: usize>(file: &str, name: &str, columns: [usize; N]) -> Option<[u32; N]> {
    let text = fs::read_to_string(file).ok()?;
    let fields = text
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name))?;
    let mut numbers = [0; N];
    for (number, column) in numbers.iter_mut().zip(columns) {
        *number = fields.get(column)?.parse().ok()?;
    }
    Some(numbers)
}

/// Lets the future user open the file anew.
fn hand_over(file: &Path, identity: &Identity) -> io::Result<()> {
    if identity.uid.is_none() && identity.gid.is_none() || !Uid::effective().is_root() {
        return Ok(());
    }
    fchown(
        OpenOptions::new().append(true).open(file)?,
        identity.uid,
        identity.gid,
    )
}

fn enter(folder: &Path) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| {
        format!(
            "cannot make {} the root folder: {error}; it has to exist, and the server to be \
             started as root",
            folder.display()
        )
    };
    let (before, root) = std::env::current_dir()
        .and_then(|before| Ok((before, std::path::absolute(folder)?)))
        .map_err(|error| failed(&reason(&error)))?;
    chroot(folder)
        .and_then(|()| chdir("/"))
        .map_err(|error| failed(&error.desc()))?;
    root::changed(&root, &before);
    Ok(())
}

/// Supplementary groups first, the user last: after that nothing else is allowed.
fn become_it(identity: &Identity) -> Result<(), &'static str> {
    let is =
        |uid: u32, gid: u32| Uid::effective().as_raw() == uid && Gid::effective().as_raw() == gid;
    match (identity.uid, identity.gid) {
        (None, None) => return Ok(()),
        // Already so, by whoever started it.
        (Some(uid), Some(gid)) if is(uid, gid) && !Uid::effective().is_root() => return Ok(()),
        _ => {}
    }
    let own = identity.gid.map_or_else(Gid::effective, Gid::from_raw);
    setgroups(&[own])
        .and_then(|()| setgid(own))
        .and_then(|()| {
            identity
                .uid
                .map_or(Ok(()), |uid| setuid(Uid::from_raw(uid)))
        })
        .map_err(nix::Error::desc)
}

/// Files that a reload reads and this user may not.
fn unreadable(config: &Config) -> Vec<String> {
    let files = config.policy_files();
    let readable =
        |file: &Path| File::open(root::here(file)).and_then(|mut file| file.read(&mut [0]));
    files
        .into_iter()
        .filter(|file| readable(file).is_err())
        .map(|file| file.display().to_string())
        .collect()
}

/// The files of this configuration that a chroot puts out of reach, each with what that means.
pub fn out_of_reach(config: &Config, file: Option<&Path>) -> Vec<String> {
    let (Some(root), Ok(folder)) = (&config.chroot, std::env::current_dir()) else {
        return Vec::new();
    };
    let root = folder.join(root);
    let reload = "a reload will fail";
    let policies = config.policy_files().into_iter().map(|path| (path, reload));
    let others = [
        (file, reload),
        (
            config.log_file.as_deref(),
            "it cannot be opened anew when it was moved away, and is emptied when it is full",
        ),
        (
            config.stats_file.as_deref(),
            "the statistics cannot be written",
        ),
        (
            config.pid_file.as_deref(),
            "it cannot be removed at the end",
        ),
    ];
    let others = others
        .into_iter()
        .filter_map(|(path, what)| Some((path?, what)));
    policies
        .chain(others)
        .filter(|(path, _)| root::below(&root, &folder.join(path)).is_none())
        .map(|(path, what)| {
            format!(
                "{} lies outside of the chroot {}: {what}",
                path.display(),
                root.display()
            )
        })
        .collect()
}
