//! Whether a configuration file that was found by the search path may be used: root takes none from
//! a folder where another user may put one. It looks at owners and rights, and reads no file.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::unistd::Uid;

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// The user on whose behalf root acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Caller {
    uid: u32,
    /// The group that is this user's alone, as distributions make it.
    own_group: Option<u32>,
}

impl Caller {
    /// The user who called `sudo`, from the variables that it sets.
    fn of_sudo() -> Option<Caller> {
        let number = |name| std::env::var(name).ok()?.parse().ok();
        let uid = number("SUDO_UID")?;
        Some(Caller {
            uid,
            own_group: number("SUDO_GID").filter(|gid| *gid == uid),
        })
    }
}

/// Which other user than root and the caller of `sudo` may have written this file of the current
/// folder, or put it there; none where no other user may, or this is not root.
///
/// # Errors
/// The system's error.
pub fn put_here_by(file: &Metadata) -> io::Result<Option<String>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let caller = Caller::of_sudo();
    let of = |what: &str, metadata| {
        others_may_write(metadata, caller).map(|why| format!("the {what}: {why}"))
    };
    let folder = Path::new(".").metadata()?;
    Ok(of("file", file).or_else(|| of("folder", &folder)))
}

/// Which other users than root and `caller` may write to a file or folder; none: no other user.
fn others_may_write(file: &Metadata, caller: Option<Caller>) -> Option<String> {
    let mode = file.permissions().mode();
    let own_group = caller.and_then(|caller| caller.own_group);
    if file.uid() != 0 && Some(file.uid()) != caller.map(|caller| caller.uid) {
        Some(format!("user {} owns it", file.uid()))
    } else if mode & OTHERS_WRITE != 0 {
        Some("every user may write it".into())
    } else if mode & GROUP_WRITES != 0 && file.gid() != 0 && Some(file.gid()) != own_group {
        Some(format!("group {} may write it", file.gid()))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// The test's own file, with the group that the folder gives it.
    #[test]
    fn the_owner_and_the_rights_decide() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        fs::write(&file, "").unwrap();
        let metadata = |mode| {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            fs::metadata(&file).unwrap()
        };
        let own = metadata(0o644);
        let caller = Some(Caller {
            uid: own.uid(),
            own_group: Some(own.gid()),
        });
        assert_eq!(others_may_write(&own, caller), None);
        assert_eq!(others_may_write(&metadata(0o664), caller), None);
        let all = others_may_write(&metadata(0o666), caller);
        assert_eq!(all.as_deref(), Some("every user may write it"));
        if own.uid() != 0 {
            let found = others_may_write(&metadata(0o644), None);
            assert_eq!(found, Some(format!("user {} owns it", own.uid())));
        } else {
            std::os::unix::fs::chown(&file, Some(7), Some(8)).unwrap();
            let caller = |uid, own_group| Some(Caller { uid, own_group });
            let seven = metadata(0o664);
            assert_eq!(others_may_write(&seven, caller(7, Some(8))), None);
            let group = others_may_write(&seven, caller(7, None));
            assert_eq!(group.as_deref(), Some("group 8 may write it"));
            let owner = others_may_write(&seven, caller(9, None));
            assert_eq!(owner.as_deref(), Some("user 7 owns it"));
        }
    }
}
