//! Block devices: their names and the numbers the kernel knows them by.

use std::path::Path;

/// A device's number inside the kernel, as tracepoints tell it: the major number above 20 bits of the minor one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Disk(pub u64);

impl Disk {
    const MINOR_BITS: u32 = 20;

    /// The disk or partition of this name.
    pub fn by_name(name: &str) -> Option<Disk> {
        if name.is_empty() || name.contains('/') {
            return None;
        }
        let text = std::fs::read_to_string(Path::new("/sys/class/block").join(name).join("dev")).ok()?;
        let (major, minor) = text.trim().split_once(':')?;
        let (major, minor): (u64, u64) = (major.parse().ok()?, minor.parse().ok()?);
        Some(Disk(major << Self::MINOR_BITS | minor))
    }

    /// The major number.
    pub fn major(self) -> u64 {
        self.0 >> Self::MINOR_BITS
    }

    /// The minor number.
    pub fn minor(self) -> u64 {
        self.0 & ((1 << Self::MINOR_BITS) - 1)
    }

    /// Its name; `major:minor` when it is gone.
    pub fn name(self) -> String {
        let number = format!("{}:{}", self.major(), self.minor());
        let link = std::fs::read_link(Path::new("/sys/dev/block").join(&number)).ok();
        let name = link.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        name.unwrap_or(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_a_device_is_its_name() {
        assert_eq!(Disk(4095 << 20 | 77).name(), "4095:77");
        assert_eq!(Disk::by_name("no-such-disk"), None);
        assert_eq!(Disk::by_name("../block"), None);
    }
}
