//! What a process holds of the BPF subsystem, by the kernel's own records, and whether it is still there.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::{run, skep, until};

/// The ids of programs, maps and links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    pub programs: BTreeSet<u64>,
    pub maps: BTreeSet<u64>,
    pub links: BTreeSet<u64>,
}

impl Objects {
    /// What a process holds by its descriptors.
    pub fn of(pid: u32) -> Objects {
        let mut objects = Objects::default();
        for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap() {
            let Ok(info) = fs::read_to_string(entry.unwrap().path()) else { continue };
            for (ids, word) in [
                (&mut objects.programs, "prog_id:"),
                (&mut objects.maps, "map_id:"),
                (&mut objects.links, "link_id:"),
            ] {
                let id: Option<u64> =
                    info.lines().find_map(|line| line.strip_prefix(word)?.trim().parse().ok());
                ids.extend(id);
            }
        }
        objects
    }

    /// Waits until the kernel, which takes things down in its own time, has none of them any more.
    pub fn wait_until_gone(&self) {
        until("programs and maps vanish", || {
            ids("prog").is_disjoint(&self.programs) && ids("map").is_disjoint(&self.maps)
        });
    }
}

/// The ids of all objects of a kind.
pub fn ids(kind: &str) -> BTreeSet<u64> {
    let listed = show(&[kind, "show"]);
    listed.as_array().unwrap().iter().map(|object| object["id"].as_u64().unwrap()).collect()
}

/// What `skep -j` shows.
pub fn show(args: &[&str]) -> Value {
    let shown = run(skep(&[&["-j"], args].concat())).success();
    serde_json::from_str(&shown.stdout).unwrap_or_else(|error| panic!("{error}: {}", shown.stdout))
}

/// The mounts that this process sees: where, and of what type.
pub fn mounts() -> Vec<(String, String)> {
    mounts_of("/proc/self/mountinfo")
}

/// The mounts that a file of `/proc` lists.
pub fn mounts_of(file: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).unwrap();
    let mount = |line: &str| {
        let (front, back) = line.split_once(" - ")?;
        Some((front.split(' ').nth(4)?.to_owned(), back.split(' ').next()?.to_owned()))
    };
    text.lines().filter_map(mount).collect()
}
