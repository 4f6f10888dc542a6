//! The originals that tests compare with, for the variables by which tests find them: those that are named already,
//! else Debian's, unpacked into the target directory with all that they need. The system's own packages stay as they
//! are. Programs that only try what we write are installed as any other.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian::{self, Tool};
use crate::error::{Context, Result, message};
use crate::process;
use crate::project;

/// An original.
struct Peer {
    /// The variable that names it to the tests.
    variable: &'static str,
    program: &'static str,
    package: &'static str,
    /// Debian's suites that may have it, and what it says of itself in the version that ours stands for: suites go on
    /// to other versions, which print other things.
    suites: &'static [&'static str],
    version: &'static str,
}

const PEERS: &[Peer] = &[Peer {
    variable: "SKEP_PEER_BPFTOOL",
    program: "bpftool",
    package: "bpftool",
    suites: &["sid", "testing"],
    version: "bpftool v7.8.",
}];

/// Programs that read what we write, of whatever version.
const READERS: &[Tool] = &[Tool { program: "dot", packages: &["graphviz"] }];

/// The variables for tests. What cannot be had is told, and the tests that need it say that they were skipped.
///
/// With `fetch` those that are not there yet are got from the archive.
pub fn variables(fetch: bool) -> Vec<(String, String)> {
    if let Some(error) = fetch.then(|| debian::ensure(READERS)).and_then(Result::err) {
        eprintln!("xtask: nobody to try what is written: {error}");
    }
    let mut variables = Vec::new();
    for peer in PEERS {
        match peer.path(fetch) {
            Ok(Some(path)) => variables.push((peer.variable.to_owned(), path.display().to_string())),
            Ok(None) => {}
            Err(error) => eprintln!("xtask: nothing to compare with: {error}"),
        }
    }
    variables
}

impl Peer {
    fn path(&self, fetch: bool) -> Result<Option<PathBuf>> {
        if let Some(named) = env::var_os(self.variable) {
            return Ok(Some(named.into()));
        }
        let directory = project::target().join("peers").join(self.program);
        let program = directory.join(self.program);
        if program.exists() {
            return Ok(Some(program));
        }
        if !fetch || debian::find("apt-get").is_none() {
            return Ok(None);
        }
        eprintln!("xtask: fetching {} to compare with", self.program);
        let failures: Vec<String> = self
            .suites
            .iter()
            .map_while(|suite| self.fetch(suite, &directory).err())
            .map(|error| error.to_string())
            .collect();
        if program.exists() { Ok(Some(program)) } else { Err(message(failures.join("; "))) }
    }

    /// Unpacks the program and its libraries, and puts a script beside them that starts it with those.
    fn fetch(&self, suite: &str, directory: &Path) -> Result<()> {
        let root = directory.join(suite);
        fs::create_dir_all(&root).context(|| format!("create {}", root.display()))?;
        debian::unpack_with_libraries(suite, self.package, &root)?;
        let program = existing(&root, &["usr/sbin", "sbin", "usr/bin", "bin"], self.program)?;
        let loader = existing(&root, &["usr/lib64", "lib64", LIBRARIES, "lib/x86_64-linux-gnu"], LOADER)?;
        let script = format!(
            "#!/bin/sh\nexec '{}' --argv0 {} --library-path '{}:{}' '{}' \"$@\"\n",
            loader.display(),
            self.program,
            root.join(LIBRARIES).display(),
            root.join("lib/x86_64-linux-gnu").display(),
            program.display(),
        );
        // Under its name only once it is known to be the right one.
        let trial = root.join("run");
        fs::write(&trial, script).context(|| format!("write {}", trial.display()))?;
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&trial, executable).context(|| format!("make {} a program", trial.display()))?;
        let version = process::capture(Command::new(&trial).arg("version"))?;
        if !version.starts_with(self.version) {
            let line = version.lines().next().unwrap_or_default();
            return Err(message(format!("{suite} has {line}, and not {}", self.version)));
        }
        let place = directory.join(self.program);
        fs::rename(&trial, &place).context(|| format!("write {}", place.display()))
    }
}

const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const LOADER: &str = "ld-linux-x86-64.so.2";

/// The file of this name in one of some directories; not a link, which might lead into the system.
fn existing(root: &Path, directories: &[&str], name: &str) -> Result<PathBuf> {
    let candidates = directories.iter().map(|directory| root.join(directory).join(name));
    let is_file = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    candidates.into_iter().find(is_file).ok_or_else(|| message(format!("the packages hold no {name}")))
}
