//! /proc: names of processes, what their descriptors are, and who holds BPF objects.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RawDir, open, readlinkat_raw};

use crate::bpf::ObjectKind;
use crate::{Error, Result, maps};

/// The name of a process or thread, at most 15 bytes.
pub fn comm(pid: i32) -> Result<String> {
    let bytes = read(&process_file(pid, "comm"))?;
    Ok(String::from_utf8_lossy(bytes.strip_suffix(b"\n").unwrap_or(&bytes)).into_owned())
}

/// The executable of a process.
pub fn exe(pid: i32) -> Result<PathBuf> {
    let path = process_file(pid, "exe");
    std::fs::read_link(&path).map_err(|e| Error::file(&path, e))
}

/// The executable that this process runs, also if its file was deleted or replaced.
pub fn own_executable() -> Result<std::fs::File> {
    let path = Path::new("/proc/self/exe");
    std::fs::File::open(path).map_err(|e| Error::file(path, e))
}

/// The root directory of a process as this process sees it: what it calls /x is below this.
pub fn root(pid: i32) -> PathBuf {
    process_file(pid, "root")
}

/// The files that a process has mapped with the right to execute, as it names them, in the order of their
/// addresses, each once. Files that were deleted are left out.
pub fn mapped_programs(pid: i32) -> Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for mapping in maps::of(pid.unsigned_abs())? {
        let wanted = mapping.executable && mapping.is_of_file() && !mapping.deleted;
        if wanted && !paths.contains(&mapping.path) {
            paths.push(mapping.path);
        }
    }
    Ok(paths)
}

/// Device and inode of this process's namespace of process ids, as the kernel numbers devices.
pub fn pid_namespace() -> Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let path = Path::new("/proc/self/ns/pid");
    let found = std::fs::metadata(path).map_err(|e| Error::file(path, e))?;
    let (major, minor) = (libc::major(found.dev()), libc::minor(found.dev()));
    Ok((u64::from(major) << 20 | u64::from(minor), found.ino()))
}

/// Whether this process counts processes as the kernel itself does, and not as some container.
pub fn in_first_pid_namespace() -> bool {
    // The kernel gives the first namespace of each kind a fixed inode (`PROC_PID_INIT_INO`).
    const FIRST: u64 = 0xeffffffc;
    pid_namespace().is_ok_and(|(_, inode)| inode == FIRST)
}

/// All processes, ascending.
pub fn pids() -> Result<Vec<i32>> {
    numbers(Path::new("/proc"))
}

/// Whether a path leads into /proc.
pub fn is_within(path: &str) -> bool {
    path.starts_with("/proc/")
}

/// The threads that a process has now, ascending.
pub fn threads(pid: i32) -> Result<Vec<i32>> {
    numbers(&process_file(pid, "task"))
}

/// What a descriptor of a process is: a path, or `anon_inode:bpf-map` and its like.
pub fn fd_target(pid: i32, fd: i32) -> Option<String> {
    let target = std::fs::read_link(process_file(pid, &format!("fd/{fd}"))).ok()?;
    Some(target.to_string_lossy().into_owned())
}

/// Our capabilities that are in effect, a bit for each.
pub fn effective_capabilities() -> Option<u64> {
    let status = read(Path::new("/proc/self/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

/// The descriptors of a process that may have a tracing program attached: perf events, links and raw tracepoints,
/// in the order in which the kernel lists them. Those of a process that may not be looked into are none.
pub fn tracing_fds(pid: i32) -> Vec<i32> {
    let Ok(directory) = open(process_file(pid, "fd"), OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut entries = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(&directory, &mut entries);
    while let Some(Ok(entry)) = entries.next() {
        let mut target = [MaybeUninit::uninit(); LONGEST_LINK];
        let Ok((target, _)) = readlinkat_raw(&directory, entry.file_name(), &mut target) else { continue };
        let wanted =
            [&b"anon_inode:[perf_event]"[..], b"anon_inode:bpf-raw-tracepoint", b"anon_inode:bpf_link"];
        if wanted.contains(&&*target) || target.starts_with(b"anon_inode:bpf") {
            found.extend(entry.file_name().to_str().ok().and_then(|fd| fd.parse::<i32>().ok()));
        }
    }
    found
}

/// This thread's network namespace, opened.
pub fn network_namespace() -> Option<std::os::fd::OwnedFd> {
    open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// When the kernel booted, in seconds since 1970.
pub fn boot_time() -> Result<i64> {
    let path = Path::new("/proc/stat");
    let bytes = read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|value| value.trim().parse().ok())
        .ok_or_else(|| Error::Format { what: "/proc/stat", text: "no btime line".to_owned() })
}

/// How busy the machine was in the last minutes, as /proc/loadavg says it, a line without its end.
pub fn load_average() -> Result<String> {
    let bytes = read(Path::new("/proc/loadavg"))?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// What memory is used for, in KiB, by the names of /proc/meminfo; 0 for what the kernel does not tell.
pub fn memory<const N: usize>(names: [&str; N]) -> Result<[u64; N]> {
    let bytes = read(Path::new("/proc/meminfo"))?;
    let text = FdInfo::parse(&String::from_utf8_lossy(&bytes));
    Ok(names.map(|name| {
        let value = text.get(name).and_then(|value| value.split_whitespace().next());
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    }))
}

/// What the kernel says about an open file: `key: value` lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FdInfo {
    entries: Vec<(String, String)>,
}

impl FdInfo {
    /// Reads what the kernel says about a descriptor of another process.
    pub fn of_process(pid: i32, fd: i32) -> Result<Self> {
        let bytes = read(&process_file(pid, &format!("fdinfo/{fd}")))?;
        Ok(Self::parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Reads what the kernel says about a descriptor of this process.
    pub fn of(fd: BorrowedFd<'_>) -> Result<Self> {
        let bytes = read(Path::new(&format!("/proc/self/fdinfo/{}", fd.as_raw_fd())))?;
        Ok(Self::parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Parses the lines; those without a colon are left out.
    pub fn parse(text: &str) -> Self {
        let entry = |line: &str| {
            let (key, value) = line.split_once(':')?;
            Some((key.trim().to_owned(), value.trim().to_owned()))
        };
        Self { entries: text.lines().filter_map(entry).collect() }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// The value of a key as a number.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }
}

/// A process that has an object open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// The process.
    pub pid: i32,
    /// Its name.
    pub comm: String,
}

/// Who has BPF objects of one kind open.
#[derive(Clone, Debug, Default)]
pub struct Holders {
    by_id: HashMap<u32, Vec<Holder>>,
}

impl Holders {
    /// Looks through the descriptors of all processes that this one may look into.
    ///
    /// Processes that end meanwhile and those of other users, without the right to see them, are left out.
    pub fn scan(kind: ObjectKind) -> Result<Self> {
        let mut holders = Self::default();
        for pid in pids()? {
            holders.scan_process(kind, pid);
        }
        Ok(holders)
    }

    /// The processes that have an object open, by ascending pid.
    pub fn of(&self, id: u32) -> &[Holder] {
        self.by_id.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Adds a holder. Those of one process come one after the other, so that each is known once.
    pub fn insert(&mut self, id: u32, pid: i32, comm: &str) {
        let of_object = self.by_id.entry(id).or_default();
        if of_object.last().is_none_or(|last| last.pid != pid) {
            of_object.push(Holder { pid, comm: comm.to_owned() });
        }
    }

    fn scan_process(&mut self, kind: ObjectKind, pid: i32) {
        // Some processes have tens of thousands of files, so the descriptors are read without a path or an
        // allocation for each.
        let Ok(directory) = open(process_file(pid, "fd"), OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        else {
            return;
        };
        let mut name: Option<String> = None;
        let mut entries = [MaybeUninit::uninit(); 8192];
        let mut entries = RawDir::new(&directory, &mut entries);
        while let Some(Ok(entry)) = entries.next() {
            // The link tells BPF objects from the many others without the cost of reading their info.
            let mut target = [MaybeUninit::uninit(); LONGEST_LINK];
            let Ok((target, _)) = readlinkat_raw(&directory, entry.file_name(), &mut target) else {
                continue;
            };
            if std::str::from_utf8(target).ok().and_then(object_kind) != Some(kind) {
                continue;
            }
            let fd = entry.file_name().to_str().ok().and_then(|fd| fd.parse().ok());
            let Some(fd) = fd else { continue };
            if let Ok(info) = FdInfo::of_process(pid, fd) {
                tracing::trace!("process {pid} holds a {kind:?} as descriptor {fd}");
                self.add(pid, kind, &info, &mut name);
            }
        }
    }

    fn add(&mut self, pid: i32, kind: ObjectKind, info: &FdInfo, name: &mut Option<String>) {
        let key = match kind {
            ObjectKind::Prog => "prog_id",
            ObjectKind::Map => "map_id",
            ObjectKind::Link => "link_id",
            ObjectKind::Btf => "btf_id",
        };
        let Some(id) = info.number(key).and_then(|id| u32::try_from(id).ok()) else { return };
        let comm = name.get_or_insert_with(|| comm(pid).unwrap_or_default());
        self.insert(id, pid, comm);
    }
}

/// Longer than any link to a BPF object; a longer one is cut and then is none.
const LONGEST_LINK: usize = 32;

/// The kind of BPF object whose descriptor links to `target`.
pub(crate) fn object_kind(target: &str) -> Option<ObjectKind> {
    // Links have an underscore where the older kinds have a dash.
    match target {
        "anon_inode:bpf-prog" => Some(ObjectKind::Prog),
        "anon_inode:bpf-map" => Some(ObjectKind::Map),
        "anon_inode:bpf_link" | "anon_inode:bpf-link" => Some(ObjectKind::Link),
        "anon_inode:btf" => Some(ObjectKind::Btf),
        _ => None,
    }
}

fn process_file(pid: i32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::file(path, e))
}

fn numbers(directory: &Path) -> Result<Vec<i32>> {
    let entries = std::fs::read_dir(directory).map_err(|e| Error::file(directory, e))?;
    let mut numbers: Vec<i32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fdinfo_of_a_program() {
        let info = FdInfo::parse("pos:\t0\nflags:\t02000002\nprog_type:\t1\nmemlock:\t4096\nprog_id:\t77\n");
        assert_eq!(info.number("prog_id"), Some(77));
        assert_eq!(info.get("memlock"), Some("4096"));
        assert_eq!(info.get("map_id"), None);
    }

    #[test]
    fn this_process() {
        let pid = std::process::id() as i32;
        assert!(!comm(pid).unwrap().is_empty());
        assert!(exe(pid).unwrap().is_absolute());
        assert!(pids().unwrap().contains(&pid));
        assert!(mapped_programs(pid).unwrap().contains(&exe(pid).unwrap()));
        assert!(boot_time().unwrap() > 0);
    }

    proptest! {
        #[test]
        fn any_fdinfo_is_survived(text in "\\PC*") {
            FdInfo::parse(&text);
        }
    }
}
