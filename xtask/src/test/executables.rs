//! The test executables of the workspace, built by cargo and found in its messages.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Context, Result};
use crate::project;

/// The start of the names of test files whose tests need the kernel.
const KERNEL_PREFIX: &str = "kernel_";

/// One built test executable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executable {
    /// Its name: the package, and behind `::` the test file, if it is not the package's own code.
    pub name: String,
    /// The file to run.
    pub file: PathBuf,
    /// The package's directory, where tests start.
    pub directory: PathBuf,
    /// Whether its tests need the kernel.
    pub kernel: bool,
}

/// Builds all of them, with cargo's own progress and errors on standard error. Returns those that could be
/// built, and whether those were all.
pub fn build() -> Result<(Vec<Executable>, bool)> {
    let mut command = project::cargo();
    // What `cargo test --no-run` builds, except that one broken package does not stop the others.
    command.args(["build", "--tests", "--workspace", "--keep-going", "--profile", "test"]);
    let output = command
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context(|| "run cargo".to_owned())?;
    Ok((from_messages(&String::from_utf8_lossy(&output.stdout)), output.status.success()))
}

/// The executables that cargo's messages, one JSON object a line, report as tests.
fn from_messages(messages: &str) -> Vec<Executable> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|value| value["reason"] == "compiler-artifact" && value["profile"]["test"] == true)
        .filter_map(|value| {
            let file = value["executable"].as_str()?;
            let directory = Path::new(value["manifest_path"].as_str()?).parent()?;
            let package = package_name(value["package_id"].as_str()?);
            let target = value["target"]["name"].as_str()?;
            let is_test_file = value["target"]["kind"][0] == "test";
            let name = if is_test_file { format!("{package}::{target}") } else { package.to_owned() };
            Some(Executable {
                name,
                file: file.into(),
                directory: directory.into(),
                kernel: is_test_file && target.starts_with(KERNEL_PREFIX),
            })
        })
        .collect()
}

/// The package's name in its id: behind `#` unless only the version stands there, before `@`; else the last
/// part of the path.
fn package_name(id: &str) -> &str {
    let (path, fragment) = id.rsplit_once('#').unwrap_or((id, ""));
    match fragment.split_once('@') {
        Some((name, _)) => name,
        None => path.rsplit('/').next().unwrap_or(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tests_are_taken_from_the_messages() {
        let messages = r#"
{"reason":"compiler-artifact","package_id":"path+file:///w/crates/btf#skep-btf@0.1.0","manifest_path":"/w/crates/btf/Cargo.toml","target":{"kind":["test"],"name":"kernel_btf"},"profile":{"test":true},"executable":"/w/t/kernel_btf-1"}
{"reason":"compiler-artifact","package_id":"path+file:///w/xtask#0.1.0","manifest_path":"/w/xtask/Cargo.toml","target":{"kind":["bin"],"name":"xtask"},"profile":{"test":true},"executable":"/w/t/xtask-1"}
{"reason":"compiler-artifact","package_id":"path+file:///w/xtask#0.1.0","manifest_path":"/w/xtask/Cargo.toml","target":{"kind":["bin"],"name":"xtask"},"profile":{"test":false},"executable":"/w/t/xtask"}
{"reason":"build-finished","success":true}"#;
        let found = from_messages(messages);
        let names: Vec<(&str, bool)> =
            found.iter().map(|found| (found.name.as_str(), found.kernel)).collect();
        assert_eq!(names, [("skep-btf::kernel_btf", true), ("xtask", false)]);
        assert_eq!(found.first().map(|found| found.directory.as_path()), Some(Path::new("/w/crates/btf")));
    }
}
