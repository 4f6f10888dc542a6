//! Control groups: opened for bpf(2), and walked below a root.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::{Error, Result, mounts};

/// Opens a control group's directory.
pub fn open(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(|e| Error::file(path, e))
}

/// Where the second version of control groups is mounted first; `None` if it is not.
pub fn root() -> Result<Option<PathBuf>> {
    Ok(mounts::mounted("cgroup2")?.into_iter().next())
}

/// A control group found below a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its directory: the root's path as given, continued.
    pub path: PathBuf,
    /// How far below the root, which itself has 0.
    pub depth: usize,
}

/// The root and all control groups below it on the same mount, each before those below it, in the order in
/// which the kernel lists them.
///
/// # Errors
///
/// Only for the root; a group that vanishes meanwhile is left out with all below it.
pub fn walk(root: &Path) -> Result<Vec<Group>> {
    let device = std::fs::metadata(root).map_err(|e| Error::file(root, e))?.dev();
    let mut found = Vec::new();
    let mut waiting = vec![Group { path: root.to_path_buf(), depth: 0 }];
    while let Some(group) = waiting.pop() {
        let entries = std::fs::read_dir(&group.path).into_iter().flatten().flatten();
        let below = entries
            .map(|entry| entry.path())
            .filter(|path| std::fs::symlink_metadata(path).is_ok_and(|m| m.is_dir() && m.dev() == device));
        let below: Vec<_> = below.map(|path| Group { path, depth: group.depth + 1 }).collect();
        // The last one waiting is the next one visited.
        waiting.extend(below.into_iter().rev());
        found.push(group);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_walked_from_the_top() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/b")).unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        let found = walk(root.path()).unwrap();
        let depths: Vec<_> = found.iter().map(|group| group.depth).collect();
        assert_eq!(depths, [0, 1, 2]);
        assert_eq!(found[2].path, root.path().join("a/b"));
        assert!(walk(&root.path().join("none")).is_err());
    }
}
