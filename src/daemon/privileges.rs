//! The change of user and group once the ports are bound. Names are looked up in `/etc/passwd` and
//! `/etc/group` directly: the C library's look-up loads shared libraries, which a static binary
//! cannot. This module writes no file.

use std::fs;

use nix::unistd::{Gid, Uid, getgroups, setegid, seteuid, setgid, setgroups, setuid};

use crate::config::Config;
use crate::daemon::files::Owner;

/// The owner of the files that the server writes, when it runs as this user; none where the owner does
/// not change.
pub fn owner_of_files(run_as: Owner) -> Option<Owner> {
    let changes = run_as.uid.is_some() || run_as.gid.is_some();
    (changes && Uid::effective().is_root()).then_some(run_as)
}

/// Becomes what the configuration says, for good.
///
/// # Errors
/// The step that failed, and the cure.
pub fn become_user(run_as: Owner) -> Result<(), String> {
    set_ids(run_as).map_err(|error| {
        format!(
            "cannot become the configured user and group: {error}; start as root, or remove \
             'user' and 'group'"
        )
    })?;
    if run_as.uid.is_some_and(|uid| uid != 0) && setuid(Uid::from_raw(0)).is_ok() {
        return Err(
            "root's rights were dropped and could be taken back; a server does not run like that"
                .into(),
        );
    }
    if Uid::effective().is_root() {
        log::warn!(
            "Running as root. Set 'user' to one that no other service has: after 'useradd --system \
             flashpolicyd', 'user = flashpolicyd'."
        );
    }
    Ok(())
}

/// Does something with the rights of the future user, and takes root's back; only for a process
/// with one thread. Without the right to change, it is done as this user.
///
/// # Errors
/// When the rights could not be changed or taken back.
pub fn as_future_user<T>(run_as: Owner, act: impl FnOnce() -> T) -> Result<T, String> {
    let Some(owner) = owner_of_files(run_as) else {
        return Ok(act());
    };
    let failed = |error: nix::Error| {
        format!(
            "cannot try what the configured user may do: {}",
            error.desc()
        )
    };
    let (uid, gid, groups) = (
        Uid::effective(),
        Gid::effective(),
        getgroups().map_err(failed)?,
    );
    let future = owner.gid.map_or(gid, Gid::from_raw);
    setgroups(&[future])
        .and_then(|()| setegid(future))
        .and_then(|()| seteuid(owner.uid.map_or(uid, Uid::from_raw)))
        .map_err(failed)?;
    let outcome = act();
    seteuid(uid)
        .and_then(|()| setegid(gid))
        .and_then(|()| setgroups(&groups))
        .map_err(failed)?;
    Ok(outcome)
}

/// Looks the configured user and group up: what the process is to become.
///
/// # Errors
/// The missing user or group.
pub fn look_up(config: &Config) -> Result<Owner, String> {
    let mut run_as = Owner::default();
    if let Some(user) = &config.startup.user {
        let number = user.parse().ok();
        let known = find("/etc/passwd", [2, 3], |name, _| name == user)
            .or_else(|| find("/etc/passwd", [2, 3], |_, [uid, _]| Some(uid) == number));
        run_as = match (known, number, &config.startup.group) {
            (Some([uid, gid]), _, _) => Owner {
                uid: Some(uid),
                gid: Some(gid),
            },
            (None, Some(_), Some(_)) => Owner {
                uid: number,
                gid: None,
            },
            (None, Some(_), None) => {
                return Err(format!(
                    "user = {user}: /etc/passwd knows no user with this number, and so no group; \
                     set 'group' too"
                ));
            }
            (None, None, _) => {
                return Err(format!(
                    "user = {user}: there is no such user in /etc/passwd; expected one that is, \
                     or a number"
                ));
            }
        };
    }
    if let Some(group) = &config.startup.group {
        let [gid] = find("/etc/group", [2], |name, _| name == group)
            .or_else(|| group.parse().ok().map(|gid| [gid]))
            .ok_or_else(|| {
                format!(
                    "group = {group}: there is no such group in /etc/group; expected one that is, \
                     or a number"
                )
            })?;
        run_as.gid = Some(gid);
    }
    Ok(run_as)
}

/// Whether the password file knows a user of this name.
pub fn is_user(name: &str) -> bool {
    find("/etc/passwd", [2], |known, _| known == name).is_some()
}

/// The numbers in these columns of the first line that is wanted.
fn find<const N: usize>(
    file: &str,
    columns: [usize; N],
    wanted: impl Fn(&str, [u32; N]) -> bool,
) -> Option<[u32; N]> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let mut numbers = [0; N];
        for (number, column) in numbers.iter_mut().zip(columns) {
            *number = fields.get(column)?.parse().ok()?;
        }
        wanted(fields.first()?, numbers).then_some(numbers)
    })
}

/// Supplementary groups first, the user last: after that nothing else is allowed.
fn set_ids(Owner { uid, gid }: Owner) -> Result<(), &'static str> {
    let is =
        |uid: u32, gid: u32| Uid::effective().as_raw() == uid && Gid::effective().as_raw() == gid;
    match (uid, gid) {
        (None, None) => return Ok(()),
        // The starting process has set this already.
        (Some(uid), Some(gid)) if is(uid, gid) && !Uid::effective().is_root() => return Ok(()),
        _ => {}
    }
    let own = gid.map_or_else(Gid::effective, Gid::from_raw);
    setgroups(&[own])
        .and_then(|()| setgid(own))
        .and_then(|()| uid.map_or(Ok(()), |uid| setuid(Uid::from_raw(uid))))
        .map_err(nix::Error::desc)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked_up(user: &str, group: Option<&str>) -> Result<Owner, String> {
        let mut config = Config::default();
        config.startup.user = Some(user.into());
        config.startup.group = group.map(String::from);
        look_up(&config)
    }

    #[test]
    fn a_number_has_the_group_that_the_password_file_gives_it() {
        // games:x:5:60 on Debian; any line with two numbers will do.
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let other = passwd.lines().find_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let both = (fields[2].parse::<u32>().ok()?, fields[3].parse().ok()?);
            (both.0 != both.1).then_some(both)
        });
        let Some((uid, gid)) = other else {
            println!("skipped: every user has the group of its number");
            return;
        };
        let run_as = looked_up(&uid.to_string(), None).unwrap();
        assert_eq!((run_as.uid, run_as.gid), (Some(uid), Some(gid)));
    }

    #[test]
    fn a_number_without_a_line_needs_a_group() {
        let error = looked_up("3999999", None).unwrap_err();
        assert!(error.contains("set 'group' too"), "{error}");
        let run_as = looked_up("3999999", Some("77")).unwrap();
        assert_eq!((run_as.uid, run_as.gid), (Some(3_999_999), Some(77)));
    }
}
