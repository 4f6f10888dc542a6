//! What is known of this machine alone: the clocks' distance, users, control groups.

use std::cell::{OnceCell, RefCell};
use std::io;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use skep_kernel::cgroup::{self, Hierarchy};
use skep_kernel::clock;
use skep_kernel::users;

pub use skep_kernel::disks::Disk;
pub use skep_kernel::signals::name as signal_name;
pub use skep_lang::names;
pub use skep_lang::ty::Clock;

/// The name of a process that lives.
pub fn comm(pid: i32) -> Option<String> {
    skep_kernel::proc::comm(pid).ok()
}

/// How busy the machine was in the last minutes, as /proc/loadavg says it.
pub fn load_average() -> String {
    skep_kernel::proc::load_average().unwrap_or_default()
}

/// How much memory buffers and cached files take, in bytes.
pub fn cached_memory() -> [u64; 2] {
    skep_kernel::proc::memory(["Buffers", "Cached"]).unwrap_or_default().map(|kib| kib << 10)
}

/// The inode of a directory or file.
pub fn inode(path: &Path) -> io::Result<u64> {
    std::fs::metadata(path).map(|found| std::os::unix::fs::MetadataExt::ino(&found))
}

/// The number of the user of this name.
pub fn user_by_name(name: &str) -> Option<u32> {
    users::users().ok()?.into_iter().find(|(_, known)| known == name).map(|(id, _)| id)
}

/// The number of the error of this name: `ENOENT`.
pub fn errno_by_name(name: &str) -> Option<u32> {
    skep_kernel::Errno::by_name(name).and_then(|errno| u32::try_from(errno.0).ok())
}

/// The time as scripts have it in `nsecs`.
pub fn nsecs() -> u64 {
    u64::try_from(clock::Clock::Boot.now()).unwrap_or(0)
}

/// A control group of the second version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// What `cgroup` gives in scripts.
    pub id: u64,
    /// How far below the root it is.
    pub level: usize,
}

/// The control group that a directory stands for.
///
/// # Errors
///
/// There is no such directory, or it is none of a control group of the second version.
pub fn group(path: &Path) -> io::Result<Group> {
    let path = path.canonicalize()?;
    let roots = cgroup::hierarchies().map_err(io::Error::other)?;
    let below =
        roots.iter().find_map(|root| path.strip_prefix(&root.root).ok().filter(|_| root.name == "unified"));
    let Some(below) = below else {
        return Err(io::Error::other("it is no control group of version 2"));
    };
    let id = cgroup::id_of(&path).map_err(io::Error::other)?;
    Ok(Group { id, level: below.components().count() })
}

/// Answers about the machine that the script runs on; each is looked up once, when it is first needed.
#[derive(Debug, Default)]
pub struct Host {
    boot_to_real: OnceCell<i64>,
    tai_to_real: OnceCell<i64>,
    users: OnceCell<FxHashMap<u32, String>>,
    hierarchies: OnceCell<Vec<Hierarchy>>,
    groups: RefCell<FxHashMap<(u64, String), String>>,
}

impl Host {
    /// A time of a clock as nanoseconds since 1970.
    pub fn since_1970(&self, clock: Clock, time: u64) -> i128 {
        let offset = match clock {
            Clock::Boot => self.boot_to_real.get_or_init(|| clock::Clock::Boot.offset_to(clock::Clock::Real)),
            Clock::Tai => self.tai_to_real.get_or_init(|| clock::Clock::Tai.offset_to(clock::Clock::Real)),
        };
        i128::from(time) + i128::from(*offset)
    }

    /// The name of a user; empty if there is none.
    pub fn user(&self, id: u32) -> &str {
        let users = self.users.get_or_init(|| {
            // Several names for one id: the first counts.
            users::users().unwrap_or_default().into_iter().rev().collect()
        });
        users.get(&id).map_or("", String::as_str)
    }

    /// The paths of a control group in all hierarchies whose name matches a pattern of the shell (an empty one
    /// matches all): `name:path`, separated by commas. Groups of several hierarchies can have the same id.
    pub fn cgroup_paths(&self, id: u64, pattern: &str) -> String {
        let key = (id, pattern.to_owned());
        if let Some(known) = self.groups.borrow().get(&key) {
            return known.clone();
        }
        let mut found: Vec<String> = Vec::new();
        let mut searched: Vec<(&PathBuf, Option<PathBuf>)> = Vec::new();
        for Hierarchy { name, root } in
            self.hierarchies.get_or_init(|| cgroup::hierarchies().unwrap_or_default())
        {
            if !pattern.is_empty() && !matches(pattern.as_bytes(), name.as_bytes()) {
                continue;
            }
            let path = match searched.iter().find(|(known, _)| *known == root) {
                Some((_, path)) => path.clone(),
                None => {
                    let path = cgroup::path_of(root, id);
                    searched.push((root, path.clone()));
                    path
                }
            };
            found.extend(path.map(|path| format!("{name}:{}", path.to_string_lossy())));
        }
        let paths = found.join(",");
        self.groups.borrow_mut().insert(key, paths.clone());
        paths
    }
}

/// Whether a text matches a pattern in which `*` stands for anything and `?` for one byte.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            matches(rest, text) || text.split_first().is_some_and(|(_, text)| matches(pattern, text))
        }
        (Some((one, rest)), Some((byte, text))) if *one == b'?' || one == byte => matches(rest, text),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_the_shell() {
        for (pattern, text, expected) in
            [("*", "cpu", true), ("cpu*", "cpuset", true), ("?pu", "cpu", true), ("cpu", "cpuset", false)]
        {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn root_has_a_name_and_nobody_knows_user_4294967295() {
        let host = Host::default();
        assert_eq!(host.user(0), "root");
        assert_eq!(host.user(u32::MAX), "");
    }
}
