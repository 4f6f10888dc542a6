//! What programs, maps, links and BTF objects have in common: ids, pins, descriptors.

use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::attr::{self, Plain};
use super::types::Cmd;
use super::{gate, owned, raw, refused};
use crate::{Error, Result};

/// The kinds of object that have ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// Programs.
    Prog,
    /// Maps.
    Map,
    /// Links.
    Link,
    /// BTF objects.
    Btf,
}

impl ObjectKind {
    fn next_cmd(self) -> Cmd {
        match self {
            Self::Prog => Cmd::PROG_GET_NEXT_ID,
            Self::Map => Cmd::MAP_GET_NEXT_ID,
            Self::Link => Cmd::LINK_GET_NEXT_ID,
            Self::Btf => Cmd::BTF_GET_NEXT_ID,
        }
    }

    fn fd_cmd(self) -> Cmd {
        match self {
            Self::Prog => Cmd::PROG_GET_FD_BY_ID,
            Self::Map => Cmd::MAP_GET_FD_BY_ID,
            Self::Link => Cmd::LINK_GET_FD_BY_ID,
            Self::Btf => Cmd::BTF_GET_FD_BY_ID,
        }
    }
}

/// The smallest id above `after`; `None` at the end.
pub fn next_id(kind: ObjectKind, after: u32) -> Result<Option<u32>> {
    let mut attr = attr::GetId { id: after, ..Plain::zeroed() };
    // SAFETY: the structure holds numbers only.
    match unsafe { gate(kind.next_cmd(), &mut attr) } {
        Ok(_) => Ok(Some(attr.next_id)),
        Err(errno) if errno.0 == libc::ENOENT => Ok(None),
        Err(errno) => Err(refused(kind.next_cmd(), errno)),
    }
}

/// All ids of a kind, ascending; an error ends the walk.
pub fn ids(kind: ObjectKind) -> IdIter {
    IdIter { kind, last: Some(0) }
}

/// The iterator of [`ids`].
#[derive(Debug)]
pub struct IdIter {
    kind: ObjectKind,
    last: Option<u32>,
}

impl Iterator for IdIter {
    type Item = Result<u32>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = next_id(self.kind, self.last?);
        self.last = next.as_ref().ok().copied().flatten();
        next.transpose()
    }
}

/// Opens an object by its id. `open_flags` are the map flags `RDONLY` and `WRONLY`, for maps only.
///
/// # Errors
///
/// `ENOENT` if it is gone, which may happen between listing and opening.
pub fn get_fd_by_id(kind: ObjectKind, id: u32, open_flags: u32) -> Result<OwnedFd> {
    let mut attr = attr::GetId { id, open_flags, ..Plain::zeroed() };
    // SAFETY: the structure holds numbers only, and the command returns a new descriptor.
    unsafe { gate(kind.fd_cmd(), &mut attr).map(|ret| owned(ret)) }.map_err(|e| refused(kind.fd_cmd(), e))
}

/// Pins an object at a path below a bpffs.
pub fn obj_pin(fd: BorrowedFd<'_>, path: &Path) -> Result<()> {
    let path = c_path(path)?;
    let mut attr = attr::Obj { pathname: path.as_ptr() as u64, bpf_fd: raw(fd), ..Plain::zeroed() };
    // SAFETY: the path is a C string that lives until the call returns.
    unsafe { gate(Cmd::OBJ_PIN, &mut attr) }.map_err(|e| refused(Cmd::OBJ_PIN, e))?;
    Ok(())
}

/// Opens a pinned object.
pub fn obj_get(path: &Path) -> Result<OwnedFd> {
    obj_get_flags(path, 0)
}

/// Opens a pinned map for reading only; programs and links know no such difference and say `EINVAL`.
pub fn obj_get_readonly(path: &Path) -> Result<OwnedFd> {
    obj_get_flags(path, super::map_flags::RDONLY)
}

fn obj_get_flags(path: &Path, file_flags: u32) -> Result<OwnedFd> {
    let path = c_path(path)?;
    let mut attr = attr::Obj { pathname: path.as_ptr() as u64, file_flags, ..Plain::zeroed() };
    // SAFETY: the path is a C string that lives until the call returns; the command returns a new descriptor.
    unsafe { gate(Cmd::OBJ_GET, &mut attr).map(|ret| owned(ret)) }.map_err(|e| refused(Cmd::OBJ_GET, e))
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::Invalid(format!("the path {} holds a zero byte", path.display())))
}

/// Makes the kernel count runs and run time of all programs until the descriptor is closed (Linux 5.8).
pub fn enable_run_time_stats() -> Result<OwnedFd> {
    const RUN_TIME: u32 = 0;
    let mut attr = attr::One { value: RUN_TIME };
    // SAFETY: the structure holds a number only, and the command returns a new descriptor.
    unsafe { gate(Cmd::ENABLE_STATS, &mut attr).map(|ret| owned(ret)) }
        .map_err(|e| refused(Cmd::ENABLE_STATS, e))
}
