//! Control groups: opened for bpf(2), walked below a root, and what the ids that programs see stand for.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::{Errno, Error, Result, mounts};

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

/// A mounted hierarchy of control groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// `unified` for version 2, otherwise a controller, or the name of a hierarchy without one.
    pub name: String,
    /// Where it is mounted.
    pub root: PathBuf,
}

/// The mounted hierarchies: that of version 2 first, then those of version 1 by name. One that several controllers
/// share is there once for each of them.
pub fn hierarchies() -> Result<Vec<Hierarchy>> {
    let (mut unified, mut named) = (Vec::new(), Vec::new());
    for mount in mounts::mounts()? {
        if mount.fs_type == "cgroup2" {
            unified.push(Hierarchy { name: "unified".into(), root: mount.target });
        } else if mount.fs_type == "cgroup" {
            let options = mount.options.to_string_lossy().into_owned();
            let names = options.split(',').filter_map(|option| match option.strip_prefix("name=") {
                Some(name) => Some(name),
                None if MOUNT_OPTIONS.contains(&option) || option.contains('=') => None,
                None => Some(option),
            });
            named.extend(names.map(|name| Hierarchy { name: name.into(), root: mount.target.clone() }));
        }
    }
    named.sort_by(|a, b| a.name.cmp(&b.name));
    unified.truncate(1);
    unified.extend(named);
    Ok(unified)
}

/// Options of a mount that are no controllers.
const MOUNT_OPTIONS: &[&str] = &[
    "rw",
    "ro",
    "nosuid",
    "nodev",
    "noexec",
    "noatime",
    "nodiratime",
    "relatime",
    "strictatime",
    "sync",
    "dirsync",
    "mand",
    "lazytime",
    "xattr",
    "noprefix",
    "clone_children",
    "none",
    "all",
    "cpuset_v2_mode",
    "favordynmods",
];

/// The path of a control group below the root of its hierarchy, `/` for the root itself; `None` if there is none of
/// this id.
pub fn path_of(root: &Path, id: u64) -> Option<PathBuf> {
    // The id of a group is the inode of its directory.
    let is_it = |group: &Group| std::fs::metadata(&group.path).is_ok_and(|found| found.ino() == id);
    let group = walk(root).ok()?.into_iter().find(is_it)?;
    Some(Path::new("/").join(group.path.strip_prefix(root).unwrap_or(&group.path)))
}

/// The id of the control group that a directory stands for.
pub fn id_of(path: &Path) -> Result<u64> {
    /// `struct file_handle` with room for the 8 bytes that a cgroup file system puts there.
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: i32,
        id: u64,
    }
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::call("name_to_handle_at", Errno(libc::EINVAL)))?;
    let mut handle = Handle { bytes: 8, kind: 0, id: 0 };
    let mut mount = 0i32;
    // SAFETY: the path is a text that ends with NUL, and the handle has the room it says it has.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            name.as_ptr(),
            &raw mut handle,
            &raw mut mount,
            0,
        )
    };
    if result == 0 {
        return Ok(handle.id);
    }
    let errno = Errno::from(std::io::Error::last_os_error());
    // A file system with handles of another size is none of control groups.
    let errno = if errno.0 == libc::EOVERFLOW { Errno(libc::EOPNOTSUPP) } else { errno };
    Err(Error::call("name_to_handle_at", errno))
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

    #[test]
    fn a_group_that_is_not_there_has_no_id() {
        assert!(id_of(Path::new("/does/not/exist")).is_err());
        assert_eq!(path_of(Path::new("/does/not/exist"), 1), None);
    }

    #[test]
    fn the_root_of_a_hierarchy_is_found_by_its_id() {
        for Hierarchy { name, root } in hierarchies().unwrap_or_default() {
            let id = std::fs::metadata(&root).unwrap().ino();
            assert_eq!(path_of(&root, id), Some(PathBuf::from("/")), "{name}");
        }
    }
}
