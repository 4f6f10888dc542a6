//! Files mapped into memory to be read, so that of a large one only the pages that are looked at are read.

use std::fs::File;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::{Error, Result};

/// The contents of a regular file.
///
/// Whoever cuts the file short while it is mapped ends this process with SIGBUS; whoever writes to it changes what
/// is read. Linkers and package managers replace programs and libraries instead, which leaves the mapped one whole.
#[derive(Debug)]
pub struct MappedFile {
    start: *mut std::ffi::c_void,
    len: usize,
}

// SAFETY: the memory is only ever read, and the mapping belongs to this value alone.
unsafe impl Send for MappedFile {}
// SAFETY: as above.
unsafe impl Sync for MappedFile {}

impl MappedFile {
    /// Maps a file.
    ///
    /// # Errors
    ///
    /// The file does not exist, may not be read, or is no regular file.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::file(path, error);
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(Error::Invalid(format!("{} is no regular file", path.display())));
        }
        let len = usize::try_from(metadata.len())
            .map_err(|_| Error::Invalid(format!("{} does not fit into memory", path.display())))?;
        if len == 0 {
            // The kernel maps no empty file.
            return Ok(Self { start: std::ptr::null_mut(), len });
        }
        // SAFETY: a new mapping at a place that the kernel chooses.
        let start =
            unsafe { mmap(std::ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, file.as_fd(), 0) }
                .map_err(|errno| Error::file(path, errno))?;
        Ok(Self { start, len })
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: `len` bytes are mapped at `start` as long as this value lives.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.len) }
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: made by mmap with this length; nothing borrows from it any more.
            let _ = unsafe { munmap(self.start, self.len) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_in_place() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(&*MappedFile::open(file.path()).unwrap(), b"");
        std::fs::write(file.path(), "hello").unwrap();
        assert_eq!(&*MappedFile::open(file.path()).unwrap(), b"hello");
        assert!(MappedFile::open(Path::new("/")).is_err());
        assert!(MappedFile::open(Path::new("/no such file")).is_err());
    }
}
