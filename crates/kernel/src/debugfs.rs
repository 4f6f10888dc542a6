//! debugfs, of which only one list is read: the places that kprobes are kept off.
//!
//! Like tracefs it need not be mounted: then a mount of our own is made that is attached nowhere.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, openat};

use crate::{Error, Result, mounts};

/// The functions that the kernel lets no kprobe near, as their own or a part of them is needed to run one. Sorted.
///
/// # Errors
///
/// The kernel has no debugfs, or is locked down and shows the list to nobody.
pub fn kprobe_blacklist() -> Result<Vec<String>> {
    let path = std::path::Path::new("kprobes/blacklist");
    let fd = openat(open()?, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| Error::file(path, e))?;
    let mut bytes = Vec::new();
    File::from(fd).read_to_end(&mut bytes).map_err(|e| Error::file(path, e))?;
    Ok(names(&String::from_utf8_lossy(&bytes)))
}

fn open() -> Result<OwnedFd> {
    for path in mounts::mounted("debugfs")? {
        if let Ok(root) = rustix::fs::open(&path, mounts::DIRECTORY, Mode::empty()) {
            return Ok(root);
        }
    }
    mounts::unattached("debugfs").map_err(|(call, errno)| Error::call(&call, errno))
}

/// The names of lines such as `0xffffffff81000000-0xffffffff81000010<tab>native_load_idt`.
fn names(text: &str) -> Vec<String> {
    let mut names: Vec<String> =
        text.lines().filter_map(|line| line.split_ascii_whitespace().nth(1)).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn names_follow_addresses() {
        let text =
            "0xffffffff81001000-0xffffffff81001010\tdo_int3\n0x10-0x20\tasm_exc\n\n0x30-0x40\tdo_int3\n";
        assert_eq!(names(text), ["asm_exc", "do_int3"]);
    }
}
