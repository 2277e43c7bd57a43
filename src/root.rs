//! Where paths lead. After a chroot the same file has another path; every room that opens a file
//! asks here, and messages go on to name the path that stands in the configuration. It changes
//! nothing but what it is told once.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The chroot of this process, and the folder it was in before; a process has one.
static CHANGED: OnceLock<Changed> = OnceLock::new();

struct Changed {
    root: PathBuf,
    former_folder: PathBuf,
}

/// The process's root is `root` from now on; before, it was in `former_folder`. Both absolute.
pub(crate) fn changed(root: &Path, former_folder: &Path) {
    let _ = CHANGED.set(Changed {
        root: root.to_owned(),
        former_folder: former_folder.to_owned(),
    });
}

/// The path under which a file of the configuration is to be opened now. What lies outside the
/// chroot has no path any more: it is the empty one, which leads nowhere.
pub(crate) fn here(path: &Path) -> Cow<'_, Path> {
    match CHANGED.get() {
        None => Cow::Borrowed(path),
        Some(Changed {
            root,
            former_folder,
        }) => {
            let inside = below(root, &former_folder.join(path));
            Cow::Owned(inside.unwrap_or_default())
        }
    }
}

/// The path that a file has inside `root`; none where it lies outside.
pub(crate) fn below(root: &Path, file: &Path) -> Option<PathBuf> {
    // Dots could lead out of it again.
    if file
        .components()
        .any(|c| c == std::path::Component::ParentDir)
    {
        return None;
    }
    file.strip_prefix(root)
        .ok()
        .map(|rest| Path::new("/").join(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_below_the_root_has_a_path_and_another_has_none() {
        let inside = |file: &str| below(Path::new("/srv/fp"), Path::new(file));
        assert_eq!(inside("/srv/fp/etc/x.conf"), Some("/etc/x.conf".into()));
        assert_eq!(inside("/srv/fp/./x"), Some("/x".into()));
        assert_eq!(inside("/srv/fpx/x"), None);
        assert_eq!(inside("/etc/x.conf"), None);
        assert_eq!(inside("/srv/fp/../x"), None);
    }
}
