//! /proc/PID/maps: what a process has mapped where, and the files behind it.

use std::ffi::OsStr;
use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::MemfdFlags;

use crate::{Error, Result};

/// One mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Its addresses.
    pub range: Range<u64>,
    /// Where in the file it begins.
    pub offset: u64,
    /// Whether code can run in it.
    pub executable: bool,
    /// The file.
    pub file: FileId,
    /// The file's path in the process' mount namespace, or a name in brackets as `[vdso]`; empty for memory that
    /// is no file's.
    pub path: PathBuf,
    /// Whether the path led to the file once, and does no more.
    pub deleted: bool,
}

/// A file as mappings name it: the device's numbers and the inode, 0 where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// Major number of the device.
    pub major: u32,
    /// Minor number of the device.
    pub minor: u32,
    /// Inode.
    pub inode: u64,
}

impl Mapping {
    /// Whether there is a file behind it that has a path.
    pub fn is_of_file(&self) -> bool {
        self.file.inode != 0 && self.path.as_os_str().as_bytes().starts_with(b"/")
    }
}

/// The mappings of a process, by ascending address.
///
/// # Errors
///
/// The process is gone, or is not ours to look into.
pub fn of(pid: u32) -> Result<Vec<Mapping>> {
    let path = PathBuf::from(format!("/proc/{pid}/maps"));
    Ok(parse(&std::fs::read(&path).map_err(|e| Error::file(&path, e))?))
}

/// The mappings in the text; lines of another form are left out.
pub fn parse(text: &[u8]) -> Vec<Mapping> {
    text.split(|&byte| byte == b'\n').filter_map(parse_line).collect()
}

/// `start-end perms offset major:minor inode   path`
fn parse_line(line: &[u8]) -> Option<Mapping> {
    let mut fields = line.splitn(6, |&byte| byte == b' ');
    let mut field = || std::str::from_utf8(fields.next()?).ok();
    let (start, end) = field()?.split_once('-')?;
    let permissions = field()?;
    let offset = field()?;
    let (major, minor) = field()?.split_once(':')?;
    let inode = field()?;
    let path = fields.next().unwrap_or_default().trim_ascii_start();
    let kept = path.strip_suffix(DELETED);
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let number = |text| u32::from_str_radix(text, 16).ok();
    Some(Mapping {
        range: hex(start)?..hex(end)?,
        offset: hex(offset)?,
        executable: permissions.as_bytes().get(2) == Some(&b'x'),
        file: FileId { major: number(major)?, minor: number(minor)?, inode: inode.parse().ok()? },
        path: PathBuf::from(OsStr::from_bytes(kept.unwrap_or(path))),
        deleted: kept.is_some(),
    })
}

/// What the kernel writes behind the path of a file that was deleted.
pub(crate) const DELETED: &[u8] = b" (deleted)";

/// Opens the file behind a mapping, even if it was deleted or lies in another mount namespace.
///
/// # Errors
///
/// The process is gone or has unmapped it, or the right to look is missing (CAP_SYS_ADMIN or
/// CAP_CHECKPOINT_RESTORE, without which only the path is tried).
pub fn open(pid: u32, mapping: &Mapping) -> Result<File> {
    let Range { start, end } = mapping.range;
    let through = PathBuf::from(format!("/proc/{pid}/map_files/{start:x}-{end:x}"));
    let error = match File::open(&through) {
        Ok(file) => return Ok(file),
        Err(error) => Error::file(&through, error),
    };
    File::open(in_root(pid, &mapping.path)).map_err(|_| error)
}

/// A path as a process sees it, to be opened from here.
pub fn in_root(pid: u32, path: &Path) -> PathBuf {
    let mut rooted = PathBuf::from(format!("/proc/{pid}/root"));
    rooted.push(path.strip_prefix("/").unwrap_or(path));
    rooted
}

/// A path under which this process can open again what is open as `fd`.
pub fn path_of_descriptor(fd: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

/// Whether a path leads to a file that is open already.
pub fn is_same_file(path: &Path, file: &File) -> bool {
    match (std::fs::metadata(path), file.metadata()) {
        (Ok(at_path), Ok(open)) => at_path.dev() == open.dev() && at_path.ino() == open.ino(),
        _ => false,
    }
}

/// The id of a process in its own, innermost pid namespace.
///
/// # Errors
///
/// The process is gone.
pub fn innermost_pid(pid: u32) -> Result<u32> {
    let path = PathBuf::from(format!("/proc/{pid}/status"));
    let text = std::fs::read_to_string(&path).map_err(|e| Error::file(&path, e))?;
    let ids = text.lines().find_map(|line| line.strip_prefix("NSpid:"));
    // Kernels without pid namespaces have no such line.
    Ok(ids.and_then(|ids| ids.split_whitespace().last()?.parse().ok()).unwrap_or(pid))
}

/// A file in memory that holds these bytes.
pub fn memory_file(name: &str, bytes: &[u8]) -> Result<OwnedFd> {
    let fd =
        rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC).map_err(|e| Error::call("memfd_create", e))?;
    let file = File::from(fd);
    file.write_all_at(bytes, 0).map_err(|e| Error::call("write", e))?;
    Ok(file.into())
}

/// The code that the kernel maps into every process, an ELF file; `None` where there is none.
///
/// # Errors
///
/// /proc is not mounted.
pub fn vdso() -> Result<Option<Vec<u8>>> {
    let Some(mapping) =
        of(std::process::id())?.into_iter().find(|mapping| mapping.path == Path::new("[vdso]"))
    else {
        return Ok(None);
    };
    let memory = Path::new("/proc/self/mem");
    // A few pages; the kernel says how many.
    let len = usize::try_from(mapping.range.end - mapping.range.start).unwrap_or(0);
    let mut bytes = vec![0; len];
    let file = File::open(memory).map_err(|e| Error::file(memory, e))?;
    file.read_exact_at(&mut bytes, mapping.range.start).map_err(|e| Error::file(memory, e))?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_of_files_and_of_memory() {
        let text = b"55d0-55d8 r-xp 00001000 fe:01 1234      /usr/bin/a b (deleted)\n\
            7ff0-7ff8 rw-p 00000000 00:00 0 \n\
            7ff8-7ffa r-xp 00000000 00:00 0      [vdso]\nnonsense\n";
        let all = parse(text);
        assert_eq!(all.len(), 3);
        assert_eq!(
            all[0],
            Mapping {
                range: 0x55d0..0x55d8,
                offset: 0x1000,
                executable: true,
                file: FileId { major: 0xfe, minor: 1, inode: 1234 },
                path: "/usr/bin/a b".into(),
                deleted: true,
            }
        );
        assert!(all[0].is_of_file());
        assert_eq!((all[1].executable, all[1].path.as_os_str().len()), (false, 0));
        assert!(all[2].executable && !all[2].is_of_file());
    }

    #[test]
    fn this_process() {
        let pid = std::process::id();
        let all = of(pid).unwrap();
        let code = all.iter().find(|mapping| mapping.executable && mapping.is_of_file()).unwrap();
        let file = open(pid, code).unwrap();
        assert!(is_same_file(&code.path, &file));
        assert!(is_same_file(&in_root(pid, &code.path), &file));
        assert!(is_same_file(&path_of_descriptor(&file), &file));
        assert_eq!(innermost_pid(pid).unwrap(), pid);
        if let Some(vdso) = vdso().unwrap() {
            assert_eq!(vdso[..4], *b"\x7fELF");
        }
    }

    #[test]
    fn memory_files_can_be_opened_again() {
        let fd = memory_file("test", b"abc").unwrap();
        assert_eq!(std::fs::read(path_of_descriptor(&fd)).unwrap(), b"abc");
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&text);
        }
    }
}
