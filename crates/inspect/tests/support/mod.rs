//! Objects to look at, and the original to compare with.

pub mod functions;
pub mod links;
pub mod maps;
pub mod peer;
pub mod pieces;
pub mod progs;

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use skep_kernel::bpf;

/// Objects of every kind, each pinned below a bpffs that only this test's thread and its children see, and that
/// vanishes with them. Nobody holds them, so that no list of holders differs.
pub struct World {
    pins: tempfile::TempDir,
    pub cgroups: tempfile::TempDir,
    /// What is delegated is mounted here.
    tokens: tempfile::TempDir,
    /// Ordinary files.
    pub files: tempfile::TempDir,
    /// Descriptors of events, which cannot be pinned.
    pub events: Vec<OwnedFd>,
    /// What could not be made here, and why.
    pub missing: Vec<String>,
}

impl World {
    pub fn new() -> Self {
        skep_kernel::limits::raise_memlock().unwrap();
        // SAFETY: the thread gets mounts and devices of its own; nothing else of it is unshared.
        unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::NEWNET) }.unwrap();
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        let pins = tempfile::tempdir().unwrap();
        mount("bpf", pins.path(), "bpf", MountFlags::empty(), None).unwrap();
        let cgroups = tempfile::tempdir().unwrap();
        mount("cgroup2", cgroups.path(), "cgroup2", MountFlags::empty(), None).unwrap();
        let (files, tokens) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        pieces::make(files.path());
        let mut world = Self { pins, cgroups, tokens, files, events: Vec::new(), missing: Vec::new() };
        world.delegate();
        maps::make(&mut world);
        progs::make(&mut world);
        links::make(&mut world);
        functions::make(&mut world);
        world
    }

    /// Mounts a bpffs that lets unprivileged processes do some things; kernels before 6.9 cannot.
    fn delegate(&mut self) {
        let options = c"delegate_cmds=map_create:prog_load,delegate_maps=array:hash:queue:stack:ringbuf,\
                        delegate_progs=kprobe,delegate_attachs=any";
        if let Err(error) = mount("bpf", self.tokens.path(), "bpf", MountFlags::empty(), Some(options)) {
            self.missing.push(format!("token: {error}"));
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.pins.path().join(name)
    }

    pub fn pin(&self, name: &str, fd: impl AsFd) {
        bpf::obj_pin(fd.as_fd(), &self.path(name)).unwrap();
    }

    /// Pins what was made; what this kernel refuses is noted.
    pub fn keep<T: AsFd, E: std::fmt::Display>(&mut self, name: &str, made: Result<T, E>) -> Option<T> {
        match made {
            Ok(object) => {
                self.pin(name, &object);
                Some(object)
            }
            Err(error) => {
                self.missing.push(format!("{name}: {error}"));
                None
            }
        }
    }

    /// A control group of this test's own: all mounts show the same groups, so its name is no other test's.
    pub fn cgroup(&self, name: &str) -> PathBuf {
        let own = self.pins.path().file_name().unwrap_or_default().to_string_lossy();
        self.cgroups.path().join(format!("skep-{}-{own}", std::process::id())).join(name)
    }

    /// Whether this kernel compiles programs.
    pub fn is_compiled(&self) -> bool {
        let prog = bpf::obj_get(&self.path("p_isa")).unwrap();
        bpf::prog_info(prog.as_fd()).unwrap().jited_len > 0
    }

    /// Makes the list of the kernel's symbols short, as long as the result lives: those of BPF and what its programs
    /// call are left. Reading all of them is most of what a dump costs.
    pub fn few_symbols(&self) -> FewSymbols {
        let all = std::fs::read_to_string(KALLSYMS).unwrap();
        let wanted = |line: &&str| ["bpf", "_elem", "map_", "sk_"].iter().any(|part| line.contains(part));
        let few: String = all.lines().filter(wanted).flat_map(|line| [line, "\n"]).collect();
        let file = self.files.path().join("symbols");
        std::fs::write(&file, few).unwrap();
        mount_bind(file, KALLSYMS).unwrap();
        FewSymbols
    }

    /// The names of all pins that begin so.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.pins.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name.starts_with(prefix));
        names.sort();
        names
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Links keep their places until the pins are gone; only then can the groups go.
        for name in self.names("") {
            let _ = std::fs::remove_file(self.path(&name));
        }
        let own = self.cgroup("");
        let _ = std::fs::remove_dir(own.join("child"));
        let _ = std::fs::remove_dir(own);
        for mounted in [self.cgroups.path(), self.pins.path(), self.tokens.path()] {
            unmount(mounted);
        }
    }
}

const KALLSYMS: &str = "/proc/kallsyms";

/// As long as it lives, this thread sees some of the kernel's symbols only.
#[must_use]
pub struct FewSymbols;

impl Drop for FewSymbols {
    fn drop(&mut self) {
        unmount(Path::new(KALLSYMS));
    }
}

fn unmount(path: &Path) {
    let _ = rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH);
}
