//! The kernel's types as files: /sys/kernel/btf/vmlinux and one file per module.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::{fmt, ops, slice};

use rustix::mm::{MapFlags, ProtFlags};

use crate::{Error, Result};

const DIRECTORY: &str = "/sys/kernel/btf";

/// Whether the kernel tells its types.
pub fn has_vmlinux() -> bool {
    Path::new(DIRECTORY).join("vmlinux").exists()
}

/// The bytes of a BTF file: mapped where the kernel can (Linux 6.16), else read.
pub enum Bytes {
    /// A mapping of the file.
    Mapped(Mapping),
    /// A copy of the file.
    Read(Vec<u8>),
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if matches!(self, Self::Mapped(_)) { "mapped" } else { "read" };
        write!(f, "{} bytes of BTF, {how}", self.len())
    }
}

impl ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(mapping) => mapping,
            Self::Read(bytes) => bytes,
        }
    }
}

/// A read-only private mapping of a whole file.
pub struct Mapping {
    start: *mut std::ffi::c_void,
    len: usize,
}

// SAFETY: the memory is never written, so any thread may read and unmap it.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl ops::Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is `len` bytes, lives as long as `self`, and sysfs binary attributes of the kernel's
        // types never change.
        unsafe { slice::from_raw_parts(self.start.cast(), self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by mmap with this length, and no slice of it outlives `self`.
        let _ = unsafe { rustix::mm::munmap(self.start, self.len) };
    }
}

/// The file with the kernel's own types.
pub fn vmlinux_path() -> PathBuf {
    Path::new(DIRECTORY).join("vmlinux")
}

/// Whether a path is one under which the kernel shows its types.
pub fn is_below_sysfs(path: &Path) -> bool {
    path.starts_with(DIRECTORY)
}

/// The types of the kernel itself.
///
/// # Errors
///
/// `ENOENT` where the kernel is built without `CONFIG_DEBUG_INFO_BTF`.
pub fn vmlinux() -> Result<Bytes> {
    open(&vmlinux_path()).map_err(|error| {
        error.with_hint("the kernel carries no type information (CONFIG_DEBUG_INFO_BTF); types need it")
    })
}

/// The types of a module; they continue those of [`vmlinux`].
pub fn module(name: &str) -> Result<Bytes> {
    if name.contains('/') {
        return Err(Error::Invalid(format!("{name:?} is no module name")));
    }
    open(&Path::new(DIRECTORY).join(name))
}

/// The modules that carry types, sorted.
pub fn modules() -> Result<Vec<String>> {
    let directory = Path::new(DIRECTORY);
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .map_err(|e| Error::file(directory, e))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name != "vmlinux")
        .collect();
    names.sort();
    Ok(names)
}

/// The bytes of any file. It is not mapped: whoever can write to it could cut it short.
///
/// # Errors
///
/// Those of reading.
pub fn read(path: &Path) -> Result<Bytes> {
    std::fs::read(path).map(Bytes::Read).map_err(|e| Error::file(path, e))
}

fn open(path: &PathBuf) -> Result<Bytes> {
    let file = File::open(path).map_err(|e| Error::file(path, e))?;
    let len = file.metadata().map_err(|e| Error::file(path, e))?.len() as usize;
    if let Some(mapping) = map(&file, len) {
        return Ok(Bytes::Mapped(mapping));
    }
    std::fs::read(path).map(Bytes::Read).map_err(|e| Error::file(path, e))
}

fn map(file: &File, len: usize) -> Option<Mapping> {
    if len == 0 {
        return None;
    }
    // SAFETY: a new mapping at a place the kernel chooses touches no memory of ours.
    let start = unsafe {
        rustix::mm::mmap(std::ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, file.as_fd(), 0)
    }
    .ok()?;
    Some(Mapping { start, len })
}
