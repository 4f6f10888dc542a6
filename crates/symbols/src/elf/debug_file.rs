//! Separate debug files: what a distribution strips from its programs and ships apart.
//!
//! A file is found by the build id that both carry, or by the name in the program's debug link; see "Debugging
//! Information in Separate Files" in the manual of GDB.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use object::Object;

use super::Elf;

/// Where separate debug files are looked for.
///
/// An empty entry is the program's own directory, a relative one is below that, an absolute one is searched for
/// the program's path below it and for its build id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugPath {
    directories: Vec<PathBuf>,
    /// Whether a file that is found by name must also have the checksum in the debug link.
    check_sum: bool,
}

impl Default for DebugPath {
    fn default() -> Self {
        DebugPath::parse(":.debug:/usr/lib/debug")
    }
}

impl DebugPath {
    /// Reads `DIR:DIR`. A `+` in front asks for checksums to be compared, a `-` for the opposite.
    pub fn parse(text: &str) -> DebugPath {
        let (check_sum, text) = match text.strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('-').unwrap_or(text)),
        };
        DebugPath { directories: text.split(':').map(PathBuf::from).collect(), check_sum }
    }
}

/// The debug file of a program, if there is one that belongs to it.
pub(super) fn find(elf: &Elf, path: &DebugPath) -> Option<Elf> {
    let parsed = elf.parse().ok()?;
    let build_id = parsed.build_id().ok().flatten();
    let link = parsed.gnu_debuglink().ok().flatten();
    let belongs = |candidate: &Elf, by_name: bool| {
        let Ok(other) = candidate.parse() else { return false };
        let sum_fits = || link.is_none_or(|(_, sum)| sum == crc32(candidate.bytes()));
        match (build_id, other.build_id().ok().flatten()) {
            (Some(own), Some(theirs)) if own != theirs => false,
            (Some(_), Some(_)) => !(by_name && path.check_sum) || sum_fits(),
            // Only the name says that they belong together, which is little.
            _ => sum_fits(),
        }
    };
    let open = |candidate: PathBuf, by_name: bool| {
        let same = candidate == elf.path();
        let found = (!same).then(|| Elf::open(&candidate).ok()).flatten()?;
        belongs(&found, by_name).then_some(found)
    };
    let absolute = path.directories.iter().filter(|directory| directory.is_absolute());
    if let Some((first, rest)) = build_id.and_then(|id| id.split_first()) {
        let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
        let relative = format!(".build-id/{first:02x}/{rest}.debug");
        if let Some(found) = absolute.clone().find_map(|directory| open(directory.join(&relative), false)) {
            return Some(found);
        }
    }
    let name = match link {
        Some((name, _)) => PathBuf::from(std::ffi::OsStr::from_bytes(name)),
        None => {
            let mut name = elf.path().file_name()?.to_os_string();
            name.push(".debug");
            PathBuf::from(name)
        }
    };
    // The name is a file's name; anything else would lead out of the directories.
    let name = Path::new(name.file_name()?);
    let real = std::fs::canonicalize(elf.path()).unwrap_or_else(|_| elf.path().to_path_buf());
    let homes = [elf.path().parent(), real.parent()];
    path.directories.iter().find_map(|directory| {
        homes.into_iter().flatten().find_map(|home| {
            if directory.is_absolute() {
                let below = home.strip_prefix("/").unwrap_or(home);
                open(directory.join(below).join(name), true).or_else(|| open(directory.join(name), true))
            } else {
                open(home.join(directory).join(name), true)
            }
        })
    })
}

/// The checksum of debug links: CRC-32 as in zip archives.
fn crc32(bytes: &[u8]) -> u32 {
    rawzip::crc32(bytes)
}
