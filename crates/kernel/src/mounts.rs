//! /proc/thread-self/mounts: what is mounted where.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use crate::{Error, Result};

/// One mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted; for kernel file systems a word without meaning.
    pub source: OsString,
    /// Where.
    pub target: PathBuf,
    /// The type, e.g. `tracefs`.
    pub fs_type: OsString,
    /// Options, separated by commas.
    pub options: OsString,
}

/// The mounts that this thread sees, in the order in which they were made.
pub fn mounts() -> Result<Vec<Mount>> {
    // A thread may have left the namespace of its process, as those do that make a mount for themselves.
    let path = Path::new("/proc/thread-self/mounts");
    let text = std::fs::read(path).map_err(|e| Error::file(path, e).with_hint("is /proc mounted?"))?;
    Ok(parse(&text))
}

/// The places where a file system of type `fs_type` is mounted.
pub fn mounted(fs_type: &str) -> Result<Vec<PathBuf>> {
    Ok(mounts()?.into_iter().filter(|m| m.fs_type == fs_type).map(|m| m.target).collect())
}

/// Makes a mount that is attached nowhere (Linux 5.2, CAP_SYS_ADMIN): only the descriptor of its root refers to it, and
/// it vanishes with that. The error is the call that failed, and why.
pub fn unattached(fs_type: &str) -> std::result::Result<OwnedFd, (String, rustix::io::Errno)> {
    let failed = |call: &'static str| move |errno| (format!("{call}({fs_type})"), errno);
    let context = fsopen(fs_type, FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed("fsopen"))?;
    fsconfig_create(&context).map_err(failed("fsconfig"))?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).map_err(failed("fsmount"))
}

/// How the root of a mount is opened, for what is below it.
pub(crate) const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Parses the text of /proc/PID/mounts. Lines with fewer than four fields are not mounts and left out.
pub fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|&b| b == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(|&b| b == b' ').map(unescape);
            Some(Mount {
                source: fields.next()?,
                target: fields.next()?.into(),
                fs_type: fields.next()?,
                options: fields.next()?,
            })
        })
        .collect()
}

/// Undoes the kernel's `\ooo` for blanks, tabs, newlines, backslashes and hashes.
fn unescape(field: &[u8]) -> OsString {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        match after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] if byte == b'\\' => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn octal_escapes_are_undone() {
        let text = b"none /mnt/a\\040b\\011c\\134d bpf rw,nosuid 0 0\nproc /proc proc rw 0 0\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].target, Path::new("/mnt/a b\tc\\d"));
        assert_eq!(mounts[0].fs_type, "bpf");
    }

    proptest! {
        /// What the kernel escapes comes back whole, whatever bytes a directory name holds.
        #[test]
        fn targets_round_trip(name in proptest::collection::vec(1u8.., 1..40)) {
            let mut line = b"src ".to_vec();
            for &byte in &name {
                match byte {
                    b' ' | b'\t' | b'\n' | b'\\' | b'#' => line.extend(format!("\\{byte:03o}").bytes()),
                    _ => line.push(byte),
                }
            }
            line.extend(b" bpf rw 0 0\n");
            let mounts = parse(&line);
            prop_assert_eq!(mounts.len(), 1);
            prop_assert_eq!(mounts[0].target.as_os_str().as_bytes(), &name[..]);
        }

        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&text);
        }
    }
}
