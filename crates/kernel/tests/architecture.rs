//! Who may touch the kernel: the invariants of ARCHITECTURE.md, held against manifests and sources.
//!
//! Only what is shipped counts: tests may do as they like, and so may the crates that exist for them.

use std::fs;
use std::path::{Path, PathBuf};

/// Crates that work on data alone: whatever they need to know is given to them.
const PURE: [&str; 5] = ["btf", "compile", "isa", "lang", "ui"];

/// Crates that are not shipped.
const FOR_TESTS: [&str; 1] = ["testing"];

/// Ways around this crate.
const SYSTEM_CRATES: [&str; 4] = ["libc", "rustix", "nix", "syscalls"];

/// A member of the workspace.
struct Member {
    name: String,
    /// Of `[dependencies]` only.
    dependencies: Vec<String>,
    /// Each file's path and its text up to its tests.
    sources: Vec<(PathBuf, String)>,
}

fn members() -> Vec<Member> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut members: Vec<Member> = entries(&crates)
        .into_iter()
        .filter(|path| path.join("Cargo.toml").is_file())
        .map(|path| {
            let manifest = fs::read_to_string(path.join("Cargo.toml")).expect("a manifest");
            let mut sources = Vec::new();
            collect(&path.join("src"), &mut sources);
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            Member { name, dependencies: dependencies(&manifest), sources }
        })
        .filter(|member| !FOR_TESTS.contains(&member.name.as_str()))
        .collect();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(PURE.iter().all(|pure| members.iter().any(|member| member.name == *pure)));
    members
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()).collect()
}

fn collect(directory: &Path, sources: &mut Vec<(PathBuf, String)>) {
    for path in entries(directory) {
        let name = path.file_name().expect("a name").to_string_lossy();
        if path.is_dir() && name != "tests" {
            collect(&path, sources);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let text = fs::read_to_string(&path).expect("a source file");
            let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or("").to_owned();
            sources.push((path, shipped));
        }
    }
}

fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest.split("\n[").find_map(|section| section.strip_prefix("dependencies]"));
    let names = section.unwrap_or("").lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| !name.is_empty() && !name.starts_with('#')).map(str::to_owned).collect()
}

/// Lines outside of comments that hold one of some words.
fn lines_with<'a>(member: &'a Member, words: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    member.sources.iter().flat_map(move |(path, text)| {
        let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        code.filter(|(_, line)| words.iter().any(|word| line.contains(word)))
            .map(move |(number, line)| format!("{}:{}: {}", path.display(), number + 1, line.trim()))
    })
}

#[test]
fn only_this_crate_makes_system_calls() {
    for member in members().iter().filter(|member| member.name != "kernel") {
        for name in SYSTEM_CRATES {
            assert!(!member.dependencies.iter().any(|d| d == name), "{} depends on {name}", member.name);
        }
        let found: Vec<_> =
            lines_with(member, &["libc::", "rustix::", "asm!", "\"/proc/", "\"/sys/"]).collect();
        assert!(found.is_empty(), "skep-kernel is the place for this:\n{}", found.join("\n"));
    }
}

#[test]
fn the_compiler_and_its_data_touch_nothing() {
    for member in members().iter().filter(|member| PURE.contains(&member.name.as_str())) {
        assert!(!member.dependencies.iter().any(|d| d == "skep-kernel"), "{} asks the kernel", member.name);
        // Addresses are data; sockets are not.
        let system = [
            "std::fs",
            "std::env",
            "std::process",
            "std::net::Tcp",
            "std::net::Udp",
            "std::os::fd",
            "SystemTime",
            "Instant",
        ];
        let found: Vec<_> = lines_with(member, &system).collect();
        assert!(found.is_empty(), "{} works on data alone:\n{}", member.name, found.join("\n"));
    }
}

#[test]
fn manifests_and_sources_are_understood() {
    let manifest = "[package]\nname = \"x\"\n\n[dependencies]\n# why\na.workspace = true\nb = \"1\"\n\n[dev-dependencies]\nc.workspace = true\n";
    assert_eq!(dependencies(manifest), ["a", "b"]);
    let kernel = members().into_iter().find(|member| member.name == "kernel").unwrap();
    assert!(kernel.dependencies.iter().any(|d| d == "libc"));
    assert!(lines_with(&kernel, &["libc::"]).count() > 10);
}
