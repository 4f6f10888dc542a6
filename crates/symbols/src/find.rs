//! Which files a name stands for: paths, names of commands, names of libraries, wildcards, and what processes have
//! mapped.

mod ld_cache;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use skep_kernel::proc;

use crate::error::{Error, Result};

/// Finds programs and libraries as this process sees them, or as another one does.
#[derive(Clone, Debug, Default)]
pub struct Finder {
    process: Option<Process>,
}

/// The process whose files are meant.
#[derive(Clone, Debug)]
struct Process {
    /// Its root directory as this process sees it.
    root: PathBuf,
    /// What it has mapped to execute, by its own names.
    mapped: Vec<PathBuf>,
}

impl Finder {
    /// For this process's own view of the files.
    pub fn new() -> Finder {
        Finder::default()
    }

    /// For the view of a process, which may live in another mount namespace.
    ///
    /// # Errors
    ///
    /// There is no such process, or this one may not look into it.
    pub fn of_process(pid: i32) -> Result<Finder> {
        let mapped = proc::mapped_programs(pid)?;
        Ok(Finder { process: Some(Process { root: proc::root(pid), mapped }) })
    }

    /// The files that a target of an attach point stands for, in the order in which they are looked at:
    ///
    /// - a path, which may hold wildcards: those of them that exist;
    /// - a bare name: commands of that name in `$PATH`;
    /// - a bare name that begins with `lib`: the library of that name, version or not, where the dynamic linker
    ///   finds it;
    /// - with a process, `*` or nothing: everything that it has mapped.
    pub fn find(&self, target: &str) -> Vec<PathBuf> {
        if target.is_empty() {
            return self.mapped();
        }
        if target.contains('/') {
            return match (&self.process, target.strip_prefix('/')) {
                // What is written as seen from outside stays.
                (Some(process), Some(below)) if !proc::is_within(target) => {
                    matching(&process.root.join(below))
                }
                _ => matching(Path::new(target)),
            };
        }
        if self.process.is_some() && target == "*" {
            return self.mapped();
        }
        let mut found: Vec<PathBuf> =
            self.directories().iter().flat_map(|at| matching(&at.join(target))).collect();
        if found.is_empty() && target.starts_with("lib") {
            found.extend(self.library(target));
        }
        // The same program may be reached by several directories.
        let mut seen = BTreeSet::new();
        found.retain(|path| seen.insert(std::fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
        found
    }

    /// Everything that the process has mapped.
    fn mapped(&self) -> Vec<PathBuf> {
        let Some(process) = &self.process else { return Vec::new() };
        process.mapped.iter().map(|path| below(&process.root, path)).collect()
    }

    /// The directories of `$PATH`.
    fn directories(&self) -> Vec<PathBuf> {
        let paths =
            std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into());
        let own = std::env::split_paths(&paths).filter(|path| path.is_absolute());
        own.map(|path| self.process.as_ref().map_or(path.clone(), |process| below(&process.root, &path)))
            .collect()
    }

    fn library(&self, name: &str) -> Option<PathBuf> {
        let root = self.process.as_ref().map_or(Path::new("/"), |process| &process.root);
        let fits = |file: &OsStr| is_library(file.as_bytes(), name.as_bytes());
        let mapped = self.process.iter().flat_map(|process| &process.mapped);
        let mapped = mapped.filter(|path| path.file_name().is_some_and(fits)).map(|path| below(root, path));
        let cache = std::fs::read(below(root, Path::new("/etc/ld.so.cache"))).unwrap_or_default();
        let cached: Vec<PathBuf> = ld_cache::entries(&cache)
            .filter(|(soname, _)| is_library(soname, name.as_bytes()))
            .map(|(_, path)| below(root, Path::new(OsStr::from_bytes(path))))
            .collect();
        let first = mapped.chain(cached).find(|path| path.is_file());
        first.or_else(|| {
            LIBRARY_DIRECTORIES.iter().find_map(|directory| {
                let files = std::fs::read_dir(below(root, Path::new(directory))).ok()?;
                let mut files: Vec<PathBuf> = files
                    .filter_map(|entry| Some(entry.ok()?.path()))
                    .filter(|path| path.file_name().is_some_and(fits))
                    .collect();
                files.sort();
                files.into_iter().find(|path| path.is_file())
            })
        })
    }
}

/// Where libraries are when the dynamic linker's list does not tell.
const LIBRARY_DIRECTORIES: [&str; 6] =
    ["/lib64", "/usr/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"];

/// All files that processes have mapped to execute, as this process sees them, each once.
pub fn mapped_by_all() -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    for pid in proc::pids()? {
        // Processes end meanwhile; those of the kernel have nothing mapped.
        let Ok(paths) = proc::mapped_programs(pid) else { continue };
        for path in paths {
            let path = match std::fs::exists(&path) {
                Ok(true) => path,
                _ => below(&proc::root(pid), &path),
            };
            if seen.insert(path.clone()) {
                all.push(path);
            }
        }
    }
    Ok(all)
}

/// Whether a file can be a target: a program or library, whatever its rights.
///
/// # Errors
///
/// It does not exist, or may not be read.
pub fn is_executable(path: &Path) -> Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    let metadata =
        std::fs::metadata(path).map_err(|error| Error::Kernel(skep_kernel::Error::file(path, error)))?;
    Ok(metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// A path of a process as seen from outside.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Files whose path fits one that may hold wildcards.
fn matching(path: &Path) -> Vec<PathBuf> {
    let Some(text) = path.to_str() else { return Vec::new() };
    if !text.contains('*') {
        // A member of an archive exists when its archive does.
        let file = text.split_once("!/").map_or(text, |(archive, _)| archive);
        return if Path::new(file).is_file() { vec![path.to_path_buf()] } else { Vec::new() };
    }
    let Ok(paths) = glob::glob(text) else { return Vec::new() };
    paths
        .filter_map(|found| {
            let found = found.ok()?;
            // The pattern's own `./` in front belongs to the name.
            let found = match text.strip_prefix("./") {
                Some(_) if !found.starts_with(".") => Path::new(".").join(found),
                _ => found,
            };
            found.is_file().then_some(found)
        })
        .collect()
}

/// Whether a file is the library `libc`, `libc.so`, or `libc.so.6`: the whole name, or up to its version.
fn is_library(file: &[u8], name: &[u8]) -> bool {
    let Some(rest) = file.strip_prefix(name) else { return false };
    let has_suffix = name.windows(3).any(|part| part == b".so");
    rest.is_empty() || if has_suffix { rest.starts_with(b".") } else { rest.starts_with(b".so") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_by_any_part_of_its_name() {
        for name in ["libc", "libc.so", "libc.so.6"] {
            assert!(is_library(b"libc.so.6", name.as_bytes()), "{name}");
        }
        assert!(!is_library(b"libcrypt.so.1", b"libc"));
        assert!(!is_library(b"libc.so.6", b"libc.so.5"));
    }

    #[test]
    fn paths_and_wildcards() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["ab", "ac", "b"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let path = |name: &str| directory.path().join(name);
        let find = |name: &str| Finder::new().find(path(name).to_str().unwrap());
        assert_eq!(find("a*"), [path("ab"), path("ac")]);
        assert_eq!(find("b"), [path("b")]);
        assert_eq!(find("c"), [] as [PathBuf; 0]);
        assert_eq!(find("b!/member"), [path("b!/member")]);
    }

    #[test]
    fn a_process_and_what_it_has_mapped() {
        let pid = std::process::id().cast_signed();
        let finder = Finder::of_process(pid).unwrap();
        let own = std::env::current_exe().unwrap();
        let outside = below(&proc::root(pid), &own);
        assert!(finder.find("*").contains(&outside));
        assert_eq!(finder.find(own.to_str().unwrap()), [outside]);
        assert!(mapped_by_all().unwrap().contains(&own));
    }
}
