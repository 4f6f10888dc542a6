//! What a chore needs from Debian: programs it installs when it may, and the archive the machine itself uses.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Context, Result, message};
use crate::process;
use crate::project;

/// A program and the packages that hold it, the likeliest first; some exist in some releases only.
pub struct Tool {
    /// The program's name.
    pub program: &'static str,
    /// The packages' names.
    pub packages: &'static [&'static str],
}

/// Places of programs that no `PATH` names.
const OTHER_PLACES: &[&str] = &["/usr/sbin", "/sbin", "/usr/libexec", "/usr/lib/qemu"];

/// The full path of a program.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(OTHER_PLACES.iter().map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| rustix::fs::access(candidate, rustix::fs::Access::EXEC_OK).is_ok())
}

/// The full path of a program that [`ensure`] has been asked for.
pub fn path_of(program: &str) -> Result<PathBuf> {
    find(program).ok_or_else(|| message(format!("{program} is missing")))
}

/// Installs what is missing, if this is a Debian system and we are root; else names it.
pub fn ensure(tools: &[Tool]) -> Result<()> {
    let missing = |tools: &[Tool]| -> Vec<String> {
        tools
            .iter()
            .filter(|tool| find(tool.program).is_none())
            .map(|tool| format!("{} (package {})", tool.program, tool.packages.join(" or ")))
            .collect()
    };
    let before = missing(tools);
    if before.is_empty() {
        return Ok(());
    }
    if !project::is_root() || find("apt-get").is_none() {
        return Err(message(format!("missing: {}; install them, or run this as root", before.join(", "))));
    }
    eprintln!("xtask: installing {}", before.join(", "));
    update()?;
    let mut packages: Vec<&str> = Vec::new();
    for tool in tools.iter().filter(|tool| find(tool.program).is_none()) {
        packages.extend(tool.packages.iter().copied().filter(|package| is_in_archive(package)));
    }
    process::capture(
        Command::new("apt-get")
            .args(["install", "--yes", "--quiet", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )?;
    let after = missing(tools);
    if after.is_empty() {
        return Ok(());
    }
    Err(message(format!("still missing after the installation: {}", after.join(", "))))
}

/// Where the machine's own apt gets Debian's packages from, and whom it trusts there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The address, for a line of a source list.
    pub address: String,
    /// The key file, where the machine's configuration names one.
    pub signed_by: Option<String>,
}

/// The archive that a suite belongs to: security suites live in one of their own.
pub fn archive_of(suite: &str) -> Result<Archive> {
    let mut targets = targets()?;
    if targets.is_empty() {
        // Nothing is known of an archive before its first update.
        update()?;
        targets = self::targets()?;
    }
    let security = suite.ends_with("-security");
    let target = targets
        .into_iter()
        .find(|target| target.suite.ends_with("-security") == security)
        .ok_or_else(|| message(format!("apt on this machine knows no Debian archive with {suite}")))?;
    let (file, line) = target.entry.rsplit_once(':').unwrap_or((&target.entry, "1"));
    let sources = std::fs::read_to_string(file).unwrap_or_default();
    let signed_by = signed_by(&sources, line.parse().unwrap_or(1), file.ends_with(".sources"));
    Ok(Archive { address: target.address, signed_by })
}

/// One package list of Debian's that apt is configured to get.
struct Target {
    suite: String,
    address: String,
    /// `FILE:LINE` or `FILE:STANZA` where it is configured.
    entry: String,
}

fn targets() -> Result<Vec<Target>> {
    let list = process::capture(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(RELEASE)\t$(REPO_URI)\t$(SOURCESENTRY)\t$(ORIGIN)",
        "Identifier: Packages",
    ]))?;
    Ok(list
        .lines()
        .filter_map(|line| {
            let mut fields = line.split('\t').map(str::to_owned);
            let target = Target { suite: fields.next()?, address: fields.next()?, entry: fields.next()? };
            (fields.next()? == "Debian").then_some(target)
        })
        .collect())
}

/// The key file of an entry: of the n-th stanza in the newer format, of the n-th line in the older one.
fn signed_by(sources: &str, number: usize, stanzas: bool) -> Option<String> {
    let index = number.saturating_sub(1);
    let key = if stanzas {
        let stanza = sources.split("\n\n").filter(|stanza| !stanza.trim().is_empty()).nth(index)?;
        stanza.lines().find_map(|line| line.strip_prefix("Signed-By:"))?.trim()
    } else {
        let line = sources.lines().nth(index)?;
        line.split_once("signed-by=")?.1.split([' ', ']']).next()?
    };
    Path::new(key).is_absolute().then(|| key.to_owned())
}

/// Fetches the archive's package lists, once.
fn update() -> Result<()> {
    static DONE: std::sync::Once = std::sync::Once::new();
    let mut outcome = Ok(String::new());
    DONE.call_once(|| outcome = process::capture(Command::new("apt-get").args(["update", "--quiet"])));
    outcome.map(drop)
}

fn is_in_archive(package: &str) -> bool {
    process::capture(Command::new("apt-cache").args(["show", "--quiet=2", package])).is_ok()
}

/// Fetches and unpacks the newest package of a suite whose name `wanted` accepts, and the packages that
/// `also` derives from that name. Reads none of the system's package lists and changes none.
///
/// Returns the names of the packages, or `None` when the suite has none such.
pub fn unpack_newest(
    suite: &str,
    wanted: impl Fn(&str) -> bool,
    also: impl Fn(&str) -> Vec<String>,
    into: &Path,
) -> Result<Option<Vec<String>>> {
    let own = Private::new(suite)?;
    own.run("apt-get", &["update"])?;
    let names = own.run("apt-cache", &["pkgnames", "linux-"])?;
    let Some(newest) = names.lines().filter(|name| wanted(name)).max_by_key(|name| numbers(name)) else {
        return Ok(None);
    };
    let mut packages = vec![newest.to_owned()];
    packages.extend(also(newest));
    let mut download = vec!["download"];
    download.extend(packages.iter().map(String::as_str));
    own.run("apt-get", &download)?;
    unpack_all(own.directory.path(), into)?;
    Ok(Some(packages))
}

/// Unpacks a package of a suite and everything it needs to run, the C library included.
pub fn unpack_with_libraries(suite: &str, package: &str, into: &Path) -> Result<()> {
    let own = Private::new(suite)?;
    own.run("apt-get", &["update"])?;
    // Nothing counts as installed, so all it depends on is fetched.
    own.run("apt-get", &["install", "--yes", "--download-only", "--no-install-recommends", package])?;
    unpack_all(&own.directory.path().join("cache/archives"), into)
}

/// Unpacks all packages in a directory.
fn unpack_all(directory: &Path, into: &Path) -> Result<()> {
    for entry in std::fs::read_dir(directory).context(|| "list the packages".to_owned())? {
        let file = entry.context(|| "list the packages".to_owned())?.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            process::capture(Command::new("dpkg-deb").arg("-x").arg(&file).arg(into))?;
        }
    }
    Ok(())
}

/// apt with a source list and a state of its own; the keys and the connection are the system's.
struct Private {
    directory: tempfile::TempDir,
}

impl Private {
    fn new(suite: &str) -> Result<Private> {
        let archive = archive_of(suite)?;
        let directory = tempfile::tempdir().context(|| "make a directory for apt".to_owned())?;
        for place in ["state/lists/partial", "cache/archives/partial"] {
            let place = directory.path().join(place);
            std::fs::create_dir_all(&place).context(|| format!("create {}", place.display()))?;
        }
        let options = archive.signed_by.map(|key| format!("[signed-by={key}] ")).unwrap_or_default();
        let sources = format!("deb {options}{} {suite} main\n", archive.address);
        let settings = settings(&directory.path().display().to_string());
        for (file, text) in [("sources.list", sources), ("apt.conf", settings)] {
            std::fs::write(directory.path().join(file), text).context(|| format!("write {file}"))?;
        }
        Ok(Private { directory })
    }

    fn run(&self, tool: &str, arguments: &[&str]) -> Result<String> {
        let settings = self.directory.path().join("apt.conf");
        let mut command = Command::new(tool);
        command.current_dir(self.directory.path()).arg("--quiet").arg("--config-file").arg(settings);
        process::capture(command.args(arguments))
    }
}

/// Settings that replace the system's: what is there is read and written in `directory` only, and the hooks
/// of the system's own updates do not run.
fn settings(directory: &str) -> String {
    format!(
        r#"
Dir::Etc::SourceList "{directory}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "{directory}/state";
Dir::State::status "/dev/null";
Dir::Cache "{directory}/cache";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "root";
Debug::NoLocking "true";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
"#
    )
}

/// The numbers in a package's name, for its order among others of the same form.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(numbers("linux-image-6.1.0-9-cloud-amd64") < numbers("linux-image-6.1.0-37-cloud-amd64"));
        assert!(numbers("linux-image-6.12.9+deb13-cloud") < numbers("linux-image-6.12.41+deb13-cloud"));
    }

    #[test]
    fn the_key_is_read_from_either_format() {
        let stanzas = "Types: deb\nSigned-By: /a.gpg\n\nTypes: deb\nSigned-By: /b.gpg\n";
        assert_eq!(signed_by(stanzas, 2, true).as_deref(), Some("/b.gpg"));
        assert_eq!(signed_by("Types: deb\nSigned-By:\n -----BEGIN\n", 1, true), None);
        let lines = "# main\ndeb [arch=amd64 signed-by=/c.gpg] http://a b main\n";
        assert_eq!(signed_by(lines, 2, false).as_deref(), Some("/c.gpg"));
        assert_eq!(signed_by(lines, 9, false), None);
    }
}
