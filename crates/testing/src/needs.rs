//! What a test can need, and how each need is probed: by the kernel's own evidence, or by trying.

use std::fmt;
use std::path::Path;

use crate::bpf;
use crate::btf::{self, Kind};

/// Something that not every machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To be root.
    Root,
    /// To be alone: a guest, where tracing the whole system disturbs nobody.
    Guest,
    /// bpf(2) to load programs.
    Bpf,
    /// The kernel's own types.
    Btf,
    /// The tracing file system: it need not be mounted, but the kernel must have it.
    Tracefs,
    /// Probes on kernel functions.
    Kprobe,
    /// Many kernel functions with one link.
    KprobeMulti,
    /// The same with one program for call and return.
    KprobeSession,
    /// A kernel that tells how many runs of such probes it left out.
    MissedRuns,
    /// Probes on functions of programs.
    Uprobe,
    /// Many places of a program with one link.
    UprobeMulti,
    /// The same with one program for call and return.
    UprobeSession,
    /// Programs at a kernel function's entry and exit by its BTF.
    Fentry,
    /// The kernel's module `tun`, which a guest loads for this, with types.
    TunModule,
    /// Programs on walks over the kernel's objects.
    Iter,
    /// Tracepoints with typed arguments.
    TpBtf,
    /// Programs on security hooks.
    Lsm,
    /// BPF ring buffers.
    RingBuf,
    /// Links that carry a value for their program.
    Cookies,
    /// Programs that read what other CPUs keep in a per-CPU map.
    LookupPerCpu,
    /// Maps with keys of more than 512 bytes.
    LongKeys,
    /// Enums with negative values in programs' types.
    SignedEnums,
    /// Variables of each CPU in the kernel's types.
    CpuVariables,
    /// Programs at functions that ask for a socket's cookie.
    SocketCookie,
    /// Programs that go through a map.
    ForEachMapElem,
    /// Counters of the processor.
    HardwareCounters,
    /// A scratch disk, /dev/vda, in a guest.
    BlockDisk,
    /// A C compiler, for programs to be traced; see [`crate::programs`].
    Gcc,
    /// Streams into which a program writes and which are read by program.
    Streams,
    /// A C++ compiler.
    Gxx,
    /// GraphViz, which draws what we write in its language.
    Graphviz,
    /// The original inspector, to compare with; see [`crate::programs::bpftool`].
    Bpftool,
}

// The kernel's numbers, from include/uapi/linux/bpf.h.
const SOCKET_FILTER: u32 = 1;
const KPROBE: u32 = 2;
const TRACEPOINT: u32 = 5;
const TRACING: u32 = 26;
const LSM: u32 = 29;
const RAW_TP_ATTACH: u32 = 23;
const FENTRY_ATTACH: u32 = 24;
const LSM_MAC_ATTACH: u32 = 27;
const ITER_ATTACH: u32 = 28;
const KPROBE_MULTI_ATTACH: u32 = 42;
const UPROBE_MULTI_ATTACH: u32 = 48;
const KPROBE_SESSION_ATTACH: u32 = 56;
const UPROBE_SESSION_ATTACH: u32 = 57;
const GET_ATTACH_COOKIE: i32 = 174;
const GET_SOCKET_COOKIE: i32 = 46;
const FOR_EACH_MAP_ELEM: i32 = 164;
const MAP_LOOKUP_PERCPU_ELEM: i32 = 195;

impl Need {
    /// What is missing here, in a few words; `None` when the need is met.
    pub fn lack(self) -> Option<String> {
        match self {
            // SAFETY: geteuid takes nothing and cannot fail.
            Need::Root => (unsafe { libc::geteuid() } != 0).then(|| "this user is not root".to_owned()),
            Need::Guest => (std::env::var_os("SKEP_GUEST").is_none_or(|value| value != "1"))
                .then(|| "this is no guest (it would trace the whole machine)".to_owned()),
            Need::Bpf => refused("a program", bpf::Program::new(SOCKET_FILTER).load()),
            Need::Btf => missing("/sys/kernel/btf/vmlinux"),
            Need::Tracefs => listed("/proc/filesystems", "tracefs"),
            Need::Kprobe => missing("/sys/bus/event_source/devices/kprobe"),
            Need::KprobeMulti => refused("a link to many functions", kprobe_multi(KPROBE_MULTI_ATTACH)),
            Need::KprobeSession => {
                refused("a link to calls and returns", kprobe_multi(KPROBE_SESSION_ATTACH))
            }
            Need::MissedRuns => {
                // Links say so since they say what event they are for, and this is a constant of that.
                let types = std::fs::read("/sys/kernel/btf/vmlinux").unwrap_or_default();
                let name = b"BPF_PERF_EVENT_KRETPROBE";
                let told = types.windows(name.len()).any(|bytes| bytes == name);
                (!told).then(|| "the kernel does not count the runs that it leaves out".to_owned())
            }
            Need::Uprobe => missing("/sys/bus/event_source/devices/uprobe"),
            Need::UprobeMulti => refused("a link to many places", uprobe_multi(UPROBE_MULTI_ATTACH)),
            Need::UprobeSession => {
                refused("a link to calls and returns", uprobe_multi(UPROBE_SESSION_ATTACH))
            }
            Need::Fentry => {
                let attach = typed(TRACING, FENTRY_ATTACH, Kind::Function, "bpf_fentry_test1");
                refused("a program at a function's entry", attach)
            }
            Need::TunModule => Need::Guest.lack().or_else(|| {
                let loaded = std::process::Command::new("modprobe").arg("tun").status();
                match loaded {
                    Ok(status) if status.success() => missing("/sys/kernel/btf/tun"),
                    _ => Some("modprobe tun fails".to_owned()),
                }
            }),
            Need::Iter => {
                let program = btf::find(Kind::Function, "bpf_iter_task").and_then(|walk| {
                    bpf::Program::new(TRACING).attached_as(ITER_ATTACH).for_type(walk).load()
                });
                refused("a program on a walk", program)
            }
            Need::TpBtf => {
                let attach = typed(TRACING, RAW_TP_ATTACH, Kind::Typedef, "btf_trace_sys_enter");
                refused("a program at a typed tracepoint", attach)
            }
            Need::Lsm => listed("/sys/kernel/security/lsm", "bpf").or_else(|| {
                let attach = typed(LSM, LSM_MAC_ATTACH, Kind::Function, "bpf_lsm_syslog");
                refused("a program at a security hook", attach)
            }),
            Need::RingBuf => refused("a ring buffer", bpf::ring_buffer()),
            Need::Cookies => refused(
                "the cookie's helper",
                bpf::Program::new(TRACEPOINT).calling(GET_ATTACH_COOKIE).load(),
            ),
            Need::LookupPerCpu => unknown_helper("for other CPUs' values", MAP_LOOKUP_PERCPU_ELEM),
            Need::LongKeys => refused("keys of 1,024 bytes", bpf::hash_map(1024)),
            Need::SignedEnums => refused("enums with a sign", bpf::signed_enum()),
            Need::CpuVariables => btf::find(Kind::Variable, "runqueues").err().map(|error| error.to_string()),
            Need::SocketCookie => {
                let program = btf::find(Kind::Function, "bpf_fentry_test1").and_then(|function| {
                    let program = bpf::Program::new(TRACING).attached_as(FENTRY_ATTACH).for_type(function);
                    program.calling(GET_SOCKET_COOKIE).load()
                });
                // One that knows the helper dislikes the argument, which is no socket.
                let known = |error: &std::io::Error| error.raw_os_error() == Some(libc::EACCES);
                let refusal = program.err().filter(|error| !known(error));
                refusal.map(|error| format!("the kernel refuses the helper for a socket's cookie: {error}"))
            }
            Need::ForEachMapElem => unknown_helper("that goes through a map", FOR_EACH_MAP_ELEM),
            Need::HardwareCounters => missing("/sys/bus/event_source/devices/cpu"),
            Need::Streams => refused("streams", btf::find(Kind::Function, "bpf_stream_vprintk").map(drop)),
            Need::Gcc => command("gcc"),
            Need::Gxx => command("g++"),
            Need::Graphviz => command_with("dot", "-V"),
            Need::Bpftool => crate::programs::bpftool()
                .is_none()
                .then(|| "SKEP_PEER_BPFTOOL names no bpftool to compare with".to_owned()),
            Need::BlockDisk => Need::Guest.lack().or_else(|| missing("/sys/block/vda")),
        }
    }
}

impl fmt::Display for Need {
    /// The need's name as one writes it for [`need!`](crate::need), in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

fn command(name: &str) -> Option<String> {
    command_with(name, "--version")
}

fn command_with(name: &str, argument: &str) -> Option<String> {
    let found = std::process::Command::new(name).arg(argument).output();
    found.err().map(|error| format!("{name} cannot be run: {error}"))
}

/// Lacking if the kernel does not know a helper; one that does dislikes the arguments, which are none.
fn unknown_helper(what: &str, helper: i32) -> Option<String> {
    let call = bpf::Program::new(TRACEPOINT).calling(helper).load();
    let known = |error: &std::io::Error| error.raw_os_error() == Some(libc::EACCES);
    let refusal = call.err().filter(|error| !known(error));
    refusal.map(|error| format!("the kernel refuses the helper {what}: {error}"))
}

fn missing(path: &str) -> Option<String> {
    (!Path::new(path).exists()).then(|| format!("the kernel has no {path}"))
}

/// Lacking unless a text file has the word, in whatever way its list is separated.
fn listed(path: &str, word: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let found = text.split(|c: char| c.is_whitespace() || c == ',').any(|entry| entry == word);
    (!found).then(|| format!("{path} does not list {word}"))
}

/// Lacking if an attempt failed; what it made is closed at once.
fn refused<T>(what: &str, attempt: std::io::Result<T>) -> Option<String> {
    attempt.err().map(|error| format!("the kernel refuses {what}: {error}"))
}

/// Attaches an empty program by a BTF type.
fn typed(kind: u32, attach: u32, target_kind: Kind, target: &str) -> std::io::Result<bpf::Object> {
    let target = btf::find(target_kind, target)?;
    bpf::attach_typed(&bpf::Program::new(kind).attached_as(attach).for_type(target).load()?)
}

/// Attaches an empty program to one function, in the way meant for many.
fn kprobe_multi(kind: u32) -> std::io::Result<bpf::Object> {
    let program = bpf::Program::new(KPROBE).attached_as(kind).load()?;
    bpf::link_functions(&program, kind, c"bpf_fentry_test1")
}

/// Asks for places in a directory. A kernel that knows the request says that this is no file; one that does
/// not says that the request is wrong.
fn uprobe_multi(kind: u32) -> std::io::Result<bpf::Object> {
    let program = bpf::Program::new(KPROBE).attached_as(kind).load()?;
    match bpf::link_places(&program, kind, c"/") {
        Err(error) if error.raw_os_error() == Some(libc::EBADF) => Ok(program),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words() {
        assert_eq!(Need::KprobeMulti.to_string(), "kprobemulti");
    }

    #[test]
    fn a_lack_names_what_is_not_there() {
        assert_eq!(missing("/nonexistent").as_deref(), Some("the kernel has no /nonexistent"));
        assert_eq!(missing("/proc"), None);
        assert!(listed("/proc/filesystems", "no-such-fs").is_some());
        assert_eq!(listed("/proc/filesystems", "proc"), None);
    }
}
