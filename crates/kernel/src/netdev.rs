//! Network devices by number, as offloaded programs and maps name them.

use std::ffi::{CStr, CString};
use std::os::unix::fs::MetadataExt;

/// The name of device `ifindex` in the network namespace with this device number and inode.
///
/// `None` if that is not this process' namespace, where numbers mean other devices, or if there is no such device.
pub fn name(ifindex: u32, netns_dev: u64, netns_ino: u64) -> Option<String> {
    let own = std::fs::metadata("/proc/self/ns/net").ok()?;
    if (own.dev(), own.ino()) != (netns_dev, netns_ino) {
        return None;
    }
    name_here(ifindex)
}

/// The name of device `ifindex` in this thread's network namespace; `None` if there is no such device.
pub fn name_here(ifindex: u32) -> Option<String> {
    let mut buffer = [0u8; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the length that the call demands.
    let found = unsafe { libc::if_indextoname(ifindex, buffer.as_mut_ptr().cast()) };
    if found.is_null() {
        return None;
    }
    CStr::from_bytes_until_nul(&buffer).ok().map(|name| name.to_string_lossy().into_owned())
}

/// The number of the device called `name` in this thread's network namespace; `None` if there is none.
pub fn index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: the name is a C string that lives until the call returns.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_another_namespace_have_no_name_here() {
        assert_eq!(name(1, u64::MAX, u64::MAX), None);
    }
}
