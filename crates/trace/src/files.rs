//! Files that a script draws in: other scripts by `import`, C headers by `#include`.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use skep_lang::world::{Imported, SourceText};

/// Where files are looked for.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// `-I`, in order.
    pub include_dirs: Vec<PathBuf>,
}

/// Where headers are kept on most machines.
const SYSTEM_DIRS: &[&str] = &[
    "/usr/local/include",
    if cfg!(target_arch = "aarch64") {
        "/usr/include/aarch64-linux-gnu"
    } else {
        "/usr/include/x86_64-linux-gnu"
    },
    "/usr/include",
];

/// Variables with directories of headers, as C compilers know them.
const SYSTEM_VARIABLES: &[&str] = &["CPATH", "C_INCLUDE_PATH"];

/// A header is text; what is larger is something else.
const MAX_FILE: u64 = 16 << 20;

impl Files {
    /// What `import "path"` in the script `from` names: next to that script first, then in the
    /// directories of `-I`.
    pub fn import(&self, path: &str, from: &str) -> Imported {
        let beside = Path::new(from).parent().unwrap_or(Path::new(""));
        let mut looked_at = Vec::new();
        for directory in std::iter::once(beside).chain(self.include_dirs.iter().map(PathBuf::as_path)) {
            let candidate = directory.join(path);
            if !candidate.exists() {
                looked_at.push(candidate.display().to_string());
                continue;
            }
            return import_path(&candidate);
        }
        Imported::Missing { looked_at }
    }

    /// The header that an `#include` in `from` names.
    pub fn header(&self, path: &str, system: bool, from: &str) -> Option<SourceText> {
        let beside = (!system).then(|| Path::new(from).parent().unwrap_or(Path::new("")).to_owned());
        let variables = SYSTEM_VARIABLES.iter().filter_map(std::env::var_os);
        let listed: Vec<PathBuf> =
            variables.flat_map(|list| std::env::split_paths(&list).collect::<Vec<_>>()).collect();
        let directories = beside
            .into_iter()
            .chain(self.include_dirs.iter().cloned())
            .chain(listed)
            .chain(SYSTEM_DIRS.iter().map(PathBuf::from));
        directories.map(|directory| directory.join(path)).find_map(|path| read(&path).ok())
    }
}

/// A script, a header, or a directory of them. Whoever can write to a directory that others import from
/// could give them code to run as root.
fn import_path(path: &Path) -> Imported {
    if let Some(open) = [Some(path), path.parent()].into_iter().flatten().find(|path| is_open_to_all(path)) {
        return Imported::Refused(format!(
            "cowardly refusing to import from a directory with global write permissions: \"{}\"",
            if open.as_os_str().is_empty() { Path::new(".") } else { open }.display()
        ));
    }
    let failed = |path: &Path, error: std::io::Error| {
        let reason = skep_kernel::Errno::from(error).meaning();
        Imported::Refused(format!("error reading import '\"{}\"': {reason}", path.display()))
    };
    if !path.is_dir() {
        return match read(path) {
            Ok(file) => Imported::Files(vec![file]),
            Err(error) => failed(path, error),
        };
    }
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return failed(path, error),
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.is_file() && has_known_kind(path));
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        match read(&path) {
            Ok(file) => files.push(file),
            Err(error) => return failed(&path, error),
        }
    }
    Imported::Files(files)
}

fn has_known_kind(path: &Path) -> bool {
    let name = path.to_string_lossy();
    [".bt", ".h", ".bpf.c", ".bpf.o"].iter().any(|kind| name.ends_with(kind))
}

fn is_open_to_all(path: &Path) -> bool {
    const OTHERS_WRITE: u32 = 0o002;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    path.metadata().is_ok_and(|metadata| metadata.mode() & OTHERS_WRITE != 0)
}

fn read(path: &Path) -> std::io::Result<SourceText> {
    let metadata = path.metadata()?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let bytes = std::fs::read(path)?;
    // Headers have names of people in them, in all encodings.
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Ok(SourceText { name: path.to_string_lossy().into_owned(), text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn imports_are_found_beside_the_script_and_in_directories() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("lib")).unwrap();
        std::fs::write(dir.path().join("a.bt"), "macro a() { 1 }").unwrap();
        std::fs::write(dir.path().join("lib/c.bt"), "macro c() { 1 }").unwrap();
        std::fs::write(dir.path().join("lib/b.bt"), "macro b() { 1 }").unwrap();
        std::fs::write(dir.path().join("lib/notes.txt"), "x").unwrap();
        let from = dir.path().join("main.bt").display().to_string();
        let files = Files::default();
        assert!(matches!(files.import("a.bt", &from), Imported::Files(files) if files.len() == 1));
        let Imported::Files(found) = files.import("lib", &from) else { panic!() };
        let names: Vec<_> = found.iter().map(|file| file.name.rsplit('/').next().unwrap()).collect();
        assert_eq!(names, ["b.bt", "c.bt"]);
        assert!(matches!(files.import("b.bt", &from), Imported::Missing { .. }));
        let files = Files { include_dirs: vec![dir.path().join("lib")] };
        assert!(matches!(files.import("b.bt", &from), Imported::Files(_)));

        std::fs::set_permissions(dir.path().join("lib"), std::fs::Permissions::from_mode(0o777)).unwrap();
        let Imported::Refused(why) = files.import("b.bt", &from) else { panic!() };
        assert!(why.starts_with("cowardly refusing to import"), "{why}");
    }

    #[test]
    fn headers_are_found_where_they_are_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/x.h"), b"// \xff\n#define X 1\n").unwrap();
        let from = dir.path().join("main.bt").display().to_string();
        assert!(Files::default().header("sub/x.h", false, &from).is_some());
        assert!(Files::default().header("sub/x.h", true, &from).is_none());
        let files = Files { include_dirs: vec![dir.path().join("sub")] };
        assert!(files.header("x.h", true, "stdin").unwrap().text.contains("#define X 1"));
        assert!(files.header("sub", true, &from).is_none());
    }
}
