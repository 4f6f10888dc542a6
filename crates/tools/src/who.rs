//! Whom a tool looks at: the flags of all tools that ask for processes, and the condition they make in the script.
//!
//! Scripts say `WANTED` where the current thread must be one that was asked for, `WANTED_OF(task)` where another one
//! must be, and `WHO` for the record that tells of the current thread. What these stand for is written here,
//! once, and put in front of the script ([`Filter::put_before`]): only what is asked for is in it, so
//! a filter that is not used costs nothing.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use skep_trace::KernelWorld;
use skep_trace::host::{self, Group};

/// Flags of tools that look at what processes do. A tool gives them the short forms of its model with
/// [`clap::Command::mut_arg`].
#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "Processes")]
pub struct Who {
    /// Of this process only
    #[arg(short, long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Of this thread only
    #[arg(long, value_name = "TID")]
    pub tid: Option<u32>,
    /// Of this user only: a name or a number
    #[arg(long, value_name = "USER", value_parser = user)]
    pub uid: Option<u32>,
    /// Of threads only whose name contains this
    #[arg(short, long)]
    pub name: Option<String>,
    #[command(flatten)]
    pub groups: Groups,
    /// Run this command and look at its process only; ends with it. All that follows belongs to the command
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true, conflicts_with_all = ["pid", "tid"])]
    pub exec: Vec<OsString>,
}

/// Flags of all tools that ask for parts of the system.
#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "Processes")]
pub struct Groups {
    /// In this control group of version 2, and those below it, only: its directory
    #[arg(long, value_name = "PATH", value_parser = group)]
    pub cgroup: Option<Group>,
    /// In control groups only whose ids are the keys of this pinned BPF map
    #[arg(long, value_name = "MAP")]
    pub cgroupmap: Option<PathBuf>,
    /// In mount namespaces only whose inodes are the keys of this pinned BPF map
    #[arg(long, value_name = "MAP")]
    pub mntnsmap: Option<PathBuf>,
}

impl Who {
    /// What the script makes of it.
    pub fn filter(&self) -> Filter {
        let mut filter = self.groups.filter();
        let mut one = |current: String, of: String| filter.conditions.push((current, of));
        if let Some(pid) = self.pid {
            one(format!("pid == {pid}"), format!("(task)->tgid == {pid}"));
        }
        if let Some(tid) = self.tid {
            one(format!("tid == {tid}"), format!("(task)->pid == {tid}"));
        }
        if let Some(uid) = self.uid {
            one(format!("uid == {uid}"), format!("(task)->cred->uid.val == {uid}"));
        }
        if let Some(name) = &self.name {
            let name = literal(name);
            one(format!("strcontains(comm, {name})"), format!("strcontains((task)->comm, {name})"));
        }
        if !self.exec.is_empty() {
            one("pid == cpid".into(), "(task)->tgid == cpid".into());
            filter.command = Some(self.exec.clone());
        }
        filter
    }

    /// As headers say it: `PID 5`; `others` when no process or thread was asked for.
    pub fn told_or(&self, others: &str) -> String {
        match (self.pid, self.tid) {
            (Some(pid), _) => format!("PID {pid}"),
            (None, Some(tid)) => format!("TID {tid}"),
            (None, None) => others.to_owned(),
        }
    }
}

impl Groups {
    /// What the script makes of it.
    pub fn filter(&self) -> Filter {
        let maps = [("cgroupset", &self.cgroupmap), ("mntnsset", &self.mntnsmap)];
        let maps = maps.into_iter().filter_map(|(name, path)| Some((name, path.clone()?)));
        Filter { cgroup: self.cgroup, maps: maps.collect(), ..Filter::default() }
    }
}

/// What a script looks at.
#[derive(Debug, Default)]
pub struct Filter {
    /// About the current thread, and the same about the `task` of a macro.
    conditions: Vec<(String, String)>,
    cgroup: Option<Group>,
    /// Whether `WHO` tells of the container, too.
    container: bool,
    /// Maps that live elsewhere.
    maps: Vec<(&'static str, PathBuf)>,
    /// What is to be run.
    pub command: Option<Vec<OsString>>,
}

impl Filter {
    /// One more condition: about the current thread, and the same about `(task)`.
    #[must_use]
    pub fn and(mut self, current: impl Into<String>, of_task: impl Into<String>) -> Filter {
        self.conditions.push((current.into(), of_task.into()));
        self
    }

    /// Has `WHO` tell of the container if that is `wanted`.
    #[must_use]
    pub fn container(self, wanted: bool) -> Filter {
        Filter { container: wanted, ..self }
    }

    /// Whether it looks at everybody.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty() && self.cgroup.is_none() && self.maps.is_empty()
    }

    /// The pinned maps that the script takes, with the names it gives them.
    pub fn pinned(&self) -> Vec<(String, PathBuf)> {
        self.maps.iter().map(|(name, path)| (format!("@{name}"), path.clone())).collect()
    }

    /// The script with what `WANTED`, `WANTED_OF` and `WHO` stand for, below the comment at its head.
    pub fn put_before(&self, script: &str, world: &KernelWorld) -> String {
        let (mut current, mut of_task): (Vec<String>, Vec<String>) = self.conditions.iter().cloned().unzip();
        if let Some(group) = self.cgroup {
            current.push(below(group, "curtask", world));
            of_task.push(below(group, "(task)", world));
        }
        for (name, _) in &self.maps {
            for (conditions, task) in [(&mut current, "curtask"), (&mut of_task, "(task)")] {
                let key = match *name {
                    "mntnsset" => format!("(uint64){task}->nsproxy->mnt_ns->ns.inum"),
                    _ => format!("(uint64){task}->cgroups->dfl_cgrp->kn->id"),
                };
                conditions.push(format!("has_key(@{name}, {key})"));
            }
        }
        let all = |conditions: &[String]| {
            if conditions.is_empty() { "true".to_owned() } else { conditions.join(" && ") }
        };
        let mut text = String::new();
        let mut define = |name: &str, meaning: &str| {
            // Writing to a String cannot fail. What the script does not use is left out.
            if script.contains(name.split('(').next().unwrap_or(name)) {
                let _ = writeln!(text, "#define {name} ({meaning})");
            }
        };
        define("WANTED", &all(&current));
        define("WANTED_OF(task)", &all(&of_task));
        let mut who = "time = nsecs, pid = pid, tid = tid, uid = uid, comm = comm".to_owned();
        if self.container {
            who.push_str(
                ", cgroup = (uint64)cgroup, inner = (int32)curtask->group_leader->thread_pid\
                 ->numbers[curtask->group_leader->thread_pid->level].nr",
            );
        }
        define("WHO", &who);
        let head = script.find("*/\n").map_or(0, |at| at + 3);
        let (head, rest) = script.split_at(head);
        let mut whole = format!("{head}{text}{rest}");
        if !self.maps.is_empty() {
            // Only for their types: the maps are those that are pinned.
            let uses: String =
                self.maps.iter().map(|(name, _)| format!("\t\t@{name}[(uint64)0] = (uint8)1;\n")).collect();
            let _ = write!(whole, "\nBEGIN\n{{\n\tif (false) {{\n{uses}\t}}\n}}\n");
        }
        whole
    }
}

/// Whether a task is in a control group or below it.
fn below(group: Group, task: &str, world: &KernelWorld) -> String {
    let Group { id, level } = group;
    let own = format!("{task}->cgroups->dfl_cgrp");
    // Linux 6.1 keeps the groups above instead of their ids.
    let above = if world.has_field("cgroup", "ancestors") {
        format!("{own}->ancestors[{level}]->kn->id")
    } else {
        format!("{own}->ancestor_ids[{level}]")
    };
    format!("{own}->level >= {level} && {above} == {id}")
}

/// A text as scripts write it.
pub fn literal(text: &str) -> String {
    let mut literal = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            '\n' => literal.push_str("\\n"),
            '\t' => literal.push_str("\\t"),
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

/// A path as a part of an attach point, where colons would end it.
pub fn quoted(path: &str) -> String {
    if path.contains([':', ' ', '"', '*']) { literal(path) } else { path.to_owned() }
}

/// A user by name or number.
fn user(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().or_else(|| host::user_by_name(text));
    number.ok_or_else(|| format!("there is no user '{text}'"))
}

fn group(path: &str) -> Result<Group, String> {
    host::group(Path::new(path)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defined(filter: &Filter, script: &str) -> String {
        filter.put_before(script, &KernelWorld::new())
    }

    #[test]
    fn only_what_is_asked_for_is_in_the_script() {
        let script = "#!/usr/bin/env bpftrace\n/* x */\nBEGIN / WANTED / { print(WHO); }\n";
        let all = defined(&Who::default().filter(), script);
        assert!(
            all.starts_with("#!/usr/bin/env bpftrace\n/* x */\n#define WANTED (true)\n#define WHO (time"),
            "{all}"
        );
        assert!(!all.contains("WANTED_OF") && !all.contains("cgroup"), "{all}");
        let who = Who { pid: Some(5), name: Some("a\"b".into()), ..Who::default() };
        let some = defined(&who.filter().container(true), script);
        assert!(some.contains("#define WANTED (pid == 5 && strcontains(comm, \"a\\\"b\"))\n"), "{some}");
        assert!(some.contains("cgroup = "), "{some}");
    }

    #[test]
    fn tasks_are_asked_the_same() {
        let who = Who { tid: Some(7), uid: Some(0), ..Who::default() };
        let text = defined(&who.filter(), "/ WANTED_OF($t) /");
        assert!(
            text.starts_with("#define WANTED (") // its name is part of the other's
                && text.contains("#define WANTED_OF(task) ((task)->pid == 7 && (task)->cred->uid.val == 0)\n"),
            "{text}"
        );
    }

    #[test]
    fn pinned_maps_have_keys() {
        let groups = Groups { mntnsmap: Some("/sys/fs/bpf/x".into()), ..Groups::default() };
        let filter = groups.filter();
        assert_eq!(filter.pinned(), [("@mntnsset".to_owned(), PathBuf::from("/sys/fs/bpf/x"))]);
        let text = defined(&filter, "BEGIN / WANTED / { }");
        assert!(text.contains("has_key(@mntnsset, (uint64)curtask->nsproxy->mnt_ns->ns.inum)"), "{text}");
        assert!(text.contains("@mntnsset[(uint64)0] = (uint8)1;"), "{text}");
    }
}
