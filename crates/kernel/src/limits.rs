//! The running kernel's version, and resource limits that stand in the way of BPF.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{Error, Result};

/// The running kernel's name, release and build, as `uname -srv` shows them.
pub fn kernel_name() -> String {
    let uname = rustix::system::uname();
    [uname.sysname(), uname.release(), uname.version()].map(|part| part.to_string_lossy()).join(" ")
}

/// The running kernel's version as major, minor, patch.
pub fn kernel_version() -> (u32, u32, u32) {
    parse_release(&rustix::system::uname().release().to_string_lossy())
}

/// The version as bpf(2) and old kprobe programs want it (`KERNEL_VERSION(a, b, c)`).
pub fn kernel_version_code() -> u32 {
    let (major, minor, patch) = kernel_version();
    (major << 16) | (minor << 8) | patch.min(255)
}

/// Bytes of a page of memory.
pub fn page_size() -> u32 {
    u32::try_from(rustix::param::page_size()).unwrap_or(4096)
}

/// Gives up the capabilities that bpf(2) looks at, for the rest of this process' life.
pub fn drop_capabilities() -> Result<()> {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let refused = |e| Error::call("capset", e);
    let dropped =
        CapabilitySet::BPF | CapabilitySet::PERFMON | CapabilitySet::NET_ADMIN | CapabilitySet::SYS_ADMIN;
    let mut sets = capabilities(None).map_err(refused)?;
    sets.effective.remove(dropped);
    set_capabilities(None, sets).map_err(refused)
}

/// Lifts the limit on locked memory where BPF objects still count against it (before Linux 5.11).
pub fn raise_memlock() -> Result<()> {
    if kernel_version() >= (5, 11, 0) {
        return Ok(());
    }
    let unlimited = Rlimit { current: None, maximum: None };
    setrlimit(Resource::Memlock, unlimited).map_err(|e| {
        Error::call("setrlimit(RLIMIT_MEMLOCK)", e).with_hint("run as root or with CAP_SYS_RESOURCE")
    })
}

/// Raises the number of files this process may open to at least `wanted`, as far as that is allowed.
///
/// Returns the limit that is now in force; `None` is no limit.
pub fn raise_nofile(wanted: u64) -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current?;
    if current >= wanted {
        return Some(current);
    }
    let maximum = limit.maximum.map(|m| m.max(wanted));
    let raised = Rlimit { current: Some(wanted), maximum };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        return Some(wanted);
    }
    // Without the right to go beyond the hard limit, go up to it.
    let reachable = limit.maximum.map_or(wanted, |m| m.min(wanted));
    match setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), maximum: limit.maximum }) {
        Ok(()) => Some(reachable),
        Err(_) => Some(current),
    }
}

fn parse_release(release: &str) -> (u32, u32, u32) {
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_several_makers() {
        assert_eq!(parse_release("6.18.44-fc-v595"), (6, 18, 44));
        assert_eq!(parse_release("5.10.0-28-amd64"), (5, 10, 0));
        assert_eq!(parse_release("7.3-rc1"), (7, 3, 0));
        assert_eq!(parse_release(""), (0, 0, 0));
    }
}
