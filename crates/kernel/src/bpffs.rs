//! Pinned objects: every file below every mounted bpffs.

use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::bpf::{self, ObjectKind};
use crate::{Errno, Error, Result, mounts, proc};

/// A pinned object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Where it is pinned.
    pub path: PathBuf,
    /// What it is.
    pub kind: ObjectKind,
    /// Its id.
    pub id: u32,
}

/// All pins that this process can see and open, sorted by path within each mount.
///
/// A pin that disappears meanwhile, or that cannot be opened, is left out.
pub fn pins() -> Result<Vec<Pin>> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for mount in mounts::mounts()? {
        if mount.fs_type != "bpf" {
            continue;
        }
        // A bpffs that is mounted twice at one place shows itself once, the uppermost one.
        if seen.insert(mount.target.clone()) {
            walk(&mount.target, &mut found);
        }
    }
    Ok(found)
}

/// Pins an object under a name in bpffs, or at an absolute path in one.
///
/// # Errors
///
/// `EEXIST` if there is such a file; `EINVAL` and `ENOENT` where no bpffs is mounted.
pub fn pin(fd: impl AsFd, name: &str) -> Result<PathBuf> {
    const MOUNTED_AT: &str = "/sys/fs/bpf";
    let path = Path::new(MOUNTED_AT).join(name);
    bpf::obj_pin(fd.as_fd(), &path).map_err(|error| match error.errno() {
        Some(Errno::EEXIST) => error.with_hint("remove that file first, or choose another name"),
        _ => error.with_hint("is bpffs mounted there? mount -t bpf bpf /sys/fs/bpf"),
    })?;
    Ok(path)
}

/// Opens a pin and tells what kind of object it is.
pub fn open(path: &Path) -> Result<(OwnedFd, Option<ObjectKind>)> {
    let fd = bpf::obj_get(path)?;
    let kind = kind_of(&fd)?;
    Ok((fd, kind))
}

/// The kind of object behind a descriptor; `None` if it is no BPF object with an id.
pub fn kind_of(fd: impl AsFd) -> Result<Option<ObjectKind>> {
    let link = PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()));
    let target = std::fs::read_link(&link).map_err(|e| Error::file(&link, e))?;
    Ok(target.to_str().and_then(proc::object_kind))
}

fn walk(directory: &Path, found: &mut Vec<Pin>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    let device = std::fs::metadata(directory).map(|m| m.dev()).ok();
    for path in paths {
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            // Another file system mounted below has its own line in the list of mounts.
            if Some(metadata.dev()) == device {
                walk(&path, found);
            }
        } else if metadata.is_file()
            && let Some(pin) = look(&path)
        {
            found.push(pin);
        }
    }
}

fn look(path: &Path) -> Option<Pin> {
    let (fd, kind) = open(path).ok()?;
    let kind = kind?;
    let id = match kind {
        ObjectKind::Prog => bpf::prog_info(fd.as_fd()).ok()?.id,
        ObjectKind::Map => bpf::map_info(fd.as_fd()).ok()?.id,
        ObjectKind::Link => bpf::link_info(fd.as_fd()).ok()?.id,
        ObjectKind::Btf => bpf::btf_name(fd.as_fd()).ok()?.0,
    };
    Some(Pin { path: path.to_path_buf(), kind, id })
}
