//! Constants that scripts take from headers of the kernel and the C library, so that the scripts run
//! where there are no headers.
//!
//! The numbers stand in `known.txt`. They are part of the kernel's interface to programs, or have not
//! changed since the oldest kernel that is supported. Names of the script's own are looked up first.

use rustc_hash::FxHashMap;
use std::sync::OnceLock;

/// The value of a constant.
pub fn value(name: &str) -> Option<i128> {
    static TABLE: OnceLock<FxHashMap<&str, i128>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let lines = include_str!("known.txt").lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.flat_map(str::split_ascii_whitespace).filter_map(|pair| pair.split_once('='));
        // The text before the first heading has an equals sign, but no number behind it.
        pairs.filter_map(|(name, value)| Some((name, value.parse().ok()?))).collect()
    });
    table.get(name).copied()
}

/// A version of the kernel as one number, as LINUX_VERSION_CODE has it.
pub fn version_code((major, minor, patch): (u32, u32, u32)) -> u32 {
    (major << 16) + (minor << 8) + patch.min(255)
}

/// Macros with arguments that scripts take from headers.
pub const MACROS: &str = "
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#define S_ISREG(m) (((m) & 0170000) == 0100000)
#define S_ISDIR(m) (((m) & 0170000) == 0040000)
#define S_ISCHR(m) (((m) & 0170000) == 0020000)
#define S_ISBLK(m) (((m) & 0170000) == 0060000)
#define S_ISFIFO(m) (((m) & 0170000) == 0010000)
#define S_ISLNK(m) (((m) & 0170000) == 0120000)
#define S_ISSOCK(m) (((m) & 0170000) == 0140000)
#define MAJOR(dev) ((dev) >> 20)
#define MINOR(dev) ((dev) & 0xfffff)
#define MKDEV(ma, mi) (((ma) << 20) | (mi))
#define _IOC(dir, type, nr, size) (((dir) << 30) | ((type) << 8) | (nr) | ((size) << 16))
#define _IO(type, nr) _IOC(0, type, nr, 0)
#define _IOR(type, nr, size) _IOC(2, type, nr, sizeof(size))
#define _IOW(type, nr, size) _IOC(1, type, nr, sizeof(size))
#define _IOWR(type, nr, size) _IOC(3, type, nr, sizeof(size))
#define BIT(nr) (1UL << (nr))
#define IS_ERR_VALUE(x) ((uint64)(x) >= 18446744073709547521)
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_one_value() {
        let mut seen = FxHashMap::default();
        for line in include_str!("known.txt").lines().skip(3).filter(|line| !line.starts_with('#')) {
            for pair in line.split_ascii_whitespace() {
                let (name, value) = pair.split_once('=').unwrap_or_else(|| panic!("{pair}"));
                let value: i128 = value.parse().unwrap_or_else(|_| panic!("{pair}"));
                assert_eq!(seen.insert(name, value), None, "{name} twice");
            }
        }
        assert!(seen.len() > 1_900);
    }

    #[test]
    fn values_are_those_of_the_kernel() {
        let table = [
            ("AF_INET", 2),
            ("AF_INET6", 10),
            ("S_IFDIR", 0o040_000),
            ("O_CREAT", 0o100),
            ("ENOENT", 2),
            ("SIGKILL", 9),
            ("CLONE_NEWNS", 0x2_0000),
            ("NSEC_PER_SEC", 1_000_000_000),
            ("MINORBITS", 20),
            ("INT_MIN", -2_147_483_648),
            ("UINT64_MAX", u64::MAX.into()),
        ];
        for (name, expected) in table {
            assert_eq!(value(name), Some(expected), "{name}");
        }
        assert_eq!(value("NO_SUCH_NAME"), None);
        assert_eq!(version_code((6, 18, 300)), 0x06_12_ff);
    }
}
