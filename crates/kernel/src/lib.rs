//! Every system call and kernel text interface, and nothing else.
//!
//! This crate says *how* to ask the kernel, never *what* to ask: it has no policy, prints nothing and
//! knows neither the language nor the tools. All bpf(2) calls go through [`bpf::gate`], which logs them
//! and which a test can replace for its own thread.
//!
//! | module | the interface behind it |
//! | --- | --- |
//! | [`bpf`] | bpf(2): maps, programs, links, BTF objects, pins, ids, infos |
//! | [`perf`] | perf_event_open(2): tracepoints and software events as attach points |
//! | [`ringbuf`] | the memory of `BPF_MAP_TYPE_RINGBUF`, read in place |
//! | [`tracefs`], [`debugfs`] | tracepoint names, ids and formats, where kprobes are not allowed; mounted or not |
//! | [`mounts`], [`bpffs`] | /proc/PID/mounts, and the pinned objects below each bpffs |
//! | [`kallsyms`], [`btf_file`], [`proc`], [`netdev`] | kernel symbols, kernel types, /proc, network devices |
//! | [`netlink`], [`cgroup`] | network devices and their classifiers, control groups |
//! | [`config`], [`trace_pipe`] | the kernel's configuration and settings, what bpf_printk writes |
//! | [`MappedFile`] | a file's contents, mapped |
//! | [`maps`], [`map_watch`] | what processes have mapped, now and as it happens |
//! | [`child`], [`signals`], [`poll`] | a command that waits for its release, signals and readiness as descriptors |
//! | [`shell`], [`users`] | commands and files that a script names, users and their names |
//! | [`features`], [`limits`], [`clock`] | what this kernel can do, resource limits, clocks |

pub mod bpf;
pub mod bpffs;
pub mod btf_file;
pub mod cgroup;
pub mod child;
pub mod clock;
pub mod config;
pub mod debugfs;
pub mod disks;
mod error;
pub mod features;
pub mod kallsyms;
pub mod limits;
pub mod map_watch;
mod mapped_file;
pub mod maps;
pub mod modules;
pub mod mounts;
pub mod netdev;
pub mod netlink;
pub mod notify;
pub mod perf;
pub mod poll;
pub mod proc;
pub mod ptrace;
pub mod ringbuf;
pub mod shell;
pub mod signals;
pub mod trace_pipe;
pub mod tracefs;
pub mod users;
pub mod walk;

pub use error::{Errno, Error, Result};
pub use mapped_file::MappedFile;
