//! What the running kernel can do, found out by trying, once and only when asked.
//!
//! Each feature is one row of a table with a probe; versions are never compared, because distributions add and
//! remove features as they like.

use std::cell::Cell;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use skep_isa::{AluOp, AtomicOp, Imm64, Insn, Operand, Reg, Size, Width};

use crate::bpf::{
    self, AttachType, BatchPage, LoadError, MapSpec, MapType, ProgSpec, ProgType, UpdateFlag, map_flags,
};

/// A feature of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Feature {
    /// Programs on perf events can be told apart by a cookie (Linux 5.15).
    AttachCookie,
    /// Perf events can be attached by a link (Linux 5.15).
    PerfEventLink,
    /// `BPF_MAP_TYPE_RINGBUF` (Linux 5.8).
    RingBuffer,
    /// The helper `bpf_loop` (Linux 5.17).
    BpfLoop,
    /// The helper `bpf_for_each_map_elem` (Linux 5.13).
    ForEachMapElem,
    /// The helper `bpf_ktime_get_boot_ns` (Linux 5.8).
    KtimeGetBootNs,
    /// Many kernel functions in one link (Linux 5.18).
    KprobeMulti,
    /// One program at the call and the return of kernel functions (Linux 6.10).
    KprobeSession,
    /// Functions of the kernel as perf events (Linux 4.17, `CONFIG_KPROBES`).
    Kprobe,
    /// Programs at the entry and exit of functions (Linux 5.5, `CONFIG_FUNCTION_TRACER`).
    Fentry,
    /// Programs on walks over objects of the kernel (Linux 5.8).
    Iter,
    /// Raw tracepoints told apart by a cookie (Linux 6.10).
    RawTracepointCookie,
    /// Many places of a file in one link (Linux 6.6).
    UprobeMulti,
    /// One program at the call and the return of functions of programs (Linux 6.13).
    UprobeSession,
    /// Programs with type information for functions and lines (Linux 5.0).
    ProgBtf,
    /// Many map entries in one call, hash maps at least (Linux 5.6).
    BatchLookup,
    /// Signed division and sign-extending moves, the fourth instruction set (Linux 6.6).
    CpuV4,
    /// Hash maps that allocate as they grow, in programs on perf events (Linux 6.1).
    NoPreallocInPerfEvent,
    /// The helper `bpf_get_func_ip` for kprobes (Linux 5.15).
    GetFuncIp,
    /// Atomic operations that return the old value (Linux 5.12).
    AtomicFetch,
    /// The helper `bpf_map_lookup_percpu_elem` (Linux 5.19).
    LookupPerCpu,
    /// Keys of hash maps above 512 bytes (Linux 5.11).
    LongKeys,
    /// The helper `bpf_task_pt_regs` (Linux 5.15).
    TaskPtRegs,
}

/// One feature: its name for the user, what it is, and how to find out.
struct Row {
    feature: Feature,
    name: &'static str,
    about: &'static str,
    probe: fn() -> bool,
}

const TABLE: &[Row] = &[
    Row {
        feature: Feature::AttachCookie,
        name: "attach_cookie",
        about: "programs on perf events told apart by a cookie",
        probe: || perf_event_link() && helper_known(ProgType::TRACEPOINT, GET_ATTACH_COOKIE),
    },
    Row {
        feature: Feature::PerfEventLink,
        name: "perf_event_link",
        about: "perf events attached by a link",
        probe: perf_event_link,
    },
    Row { feature: Feature::RingBuffer, name: "ringbuf", about: "ring buffer maps", probe: ring_buffer },
    Row {
        feature: Feature::BpfLoop,
        name: "bpf_loop",
        about: "the helper bpf_loop",
        probe: || helper_known(ProgType::TRACEPOINT, LOOP),
    },
    Row {
        feature: Feature::ForEachMapElem,
        name: "for_each_map_elem",
        about: "the helper bpf_for_each_map_elem",
        probe: || helper_known(ProgType::TRACEPOINT, FOR_EACH_MAP_ELEM),
    },
    Row {
        feature: Feature::KtimeGetBootNs,
        name: "ktime_get_boot_ns",
        about: "the helper bpf_ktime_get_boot_ns",
        probe: || helper_known(ProgType::TRACEPOINT, KTIME_GET_BOOT_NS),
    },
    Row {
        feature: Feature::KprobeMulti,
        name: "kprobe_multi",
        about: "many kernel functions in one link",
        probe: || multi_link(AttachType::TRACE_KPROBE_MULTI),
    },
    Row {
        feature: Feature::KprobeSession,
        name: "kprobe_session",
        about: "one program at the call and the return of kernel functions",
        probe: || multi_link(AttachType::TRACE_KPROBE_SESSION),
    },
    Row {
        feature: Feature::Kprobe,
        name: "kprobe",
        about: "probes on functions of the kernel",
        probe: crate::perf::has_kprobes,
    },
    Row {
        feature: Feature::Fentry,
        name: "fentry",
        about: "programs at the entry and exit of functions",
        probe: || looks_at_function(AttachType::TRACE_FENTRY),
    },
    Row {
        feature: Feature::Iter,
        name: "iter",
        about: "programs on walks over the kernel's objects",
        probe: || looks_at_function(AttachType::TRACE_ITER),
    },
    Row {
        feature: Feature::RawTracepointCookie,
        name: "raw_tracepoint_cookie",
        about: "raw tracepoints told apart by a cookie",
        probe: || helper_known(ProgType::RAW_TRACEPOINT, GET_ATTACH_COOKIE),
    },
    Row {
        feature: Feature::UprobeMulti,
        name: "uprobe_multi",
        about: "many places of a file in one link",
        probe: || multi_link(AttachType::TRACE_UPROBE_MULTI),
    },
    Row {
        feature: Feature::UprobeSession,
        name: "uprobe_session",
        about: "one program at the call and the return of functions of programs",
        probe: || multi_link(AttachType::TRACE_UPROBE_SESSION),
    },
    Row {
        feature: Feature::ProgBtf,
        name: "prog_btf",
        about: "programs with function and line information",
        probe: prog_btf,
    },
    Row {
        feature: Feature::BatchLookup,
        name: "map_batch",
        about: "many map entries in one call",
        probe: batch_lookup,
    },
    Row {
        feature: Feature::CpuV4,
        name: "cpu_v4",
        about: "signed division and sign-extending moves",
        probe: || loads(ProgType::SOCKET_FILTER, &cpu_v4()),
    },
    Row {
        feature: Feature::NoPreallocInPerfEvent,
        name: "no_prealloc",
        about: "hash maps that grow, in programs on perf events",
        probe: no_prealloc,
    },
    Row {
        feature: Feature::GetFuncIp,
        name: "get_func_ip",
        about: "the helper bpf_get_func_ip for kprobes",
        probe: || helper_known(ProgType::KPROBE, GET_FUNC_IP),
    },
    Row {
        feature: Feature::AtomicFetch,
        name: "atomic_fetch",
        about: "atomic operations that return the old value",
        probe: || loads(ProgType::SOCKET_FILTER, &atomic_fetch()),
    },
    Row {
        feature: Feature::LookupPerCpu,
        name: "lookup_percpu",
        about: "the helper bpf_map_lookup_percpu_elem",
        probe: || helper_known(ProgType::TRACEPOINT, MAP_LOOKUP_PERCPU_ELEM),
    },
    Row {
        feature: Feature::LongKeys,
        name: "long_keys",
        about: "keys of hash maps above 512 bytes",
        probe: || bpf::map_create(&MapSpec::new(MapType::HASH, "", 520, 4, 1)).is_ok(),
    },
    Row {
        feature: Feature::TaskPtRegs,
        name: "task_pt_regs",
        about: "the helper bpf_task_pt_regs",
        probe: || helper_known(ProgType::TRACEPOINT, TASK_PT_REGS),
    },
];

const KTIME_GET_BOOT_NS: u32 = 125;
const GET_FUNC_IP: u32 = 173;
const GET_ATTACH_COOKIE: u32 = 174;
const FOR_EACH_MAP_ELEM: u32 = 164;
const LOOP: u32 = 181;
const TASK_PT_REGS: u32 = 175;
const MAP_LOOKUP_PERCPU_ELEM: u32 = 195;

impl Feature {
    /// The name by which a user disables it.
    pub fn name(self) -> &'static str {
        self.row().map_or("", |(_, row)| row.name)
    }

    /// What it is, in a few words.
    pub fn about(self) -> &'static str {
        self.row().map_or("", |(_, row)| row.about)
    }

    /// All features, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.feature)
    }

    /// The feature with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.feature)
    }

    fn row(self) -> Option<(usize, &'static Row)> {
        TABLE.iter().enumerate().find(|(_, row)| row.feature == self)
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The features of the running kernel; a probe runs when its feature is first asked for.
///
/// Call [`crate::limits::raise_memlock`] before: where locked memory is short, probes fail that should not.
#[derive(Clone, Debug, Default)]
pub struct Features {
    known: [Cell<Option<bool>>; TABLE.len()],
}

impl Features {
    /// Nothing is probed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the kernel has it, and nobody disabled it.
    pub fn has(&self, feature: Feature) -> bool {
        let Some((index, row)) = feature.row() else { return false };
        let cell = &self.known[index];
        if let Some(known) = cell.get() {
            return known;
        }
        let found = (row.probe)();
        tracing::debug!(target: "skep::features", "{}: {found}", row.name);
        cell.set(Some(found));
        found
    }

    /// Makes the feature look as if the kernel did not have it; false if no feature has this name.
    pub fn disable(&self, name: &str) -> bool {
        self.set(name, false)
    }

    /// Fixes the answer without a probe, for tests and for plans made for another kernel; false for unknown names.
    pub fn set(&self, name: &str, present: bool) -> bool {
        let row = TABLE.iter().position(|row| row.name == name);
        if let Some(index) = row {
            self.known[index].set(Some(present));
        }
        row.is_some()
    }
}

/// Whether programs of a type may call a helper.
///
/// A program that only calls it is loaded; the helper is there unless the verifier says that it does not know the
/// function. That it also dislikes the arguments does not matter.
pub fn helper_known(kind: ProgType, helper: u32) -> bool {
    let insns = [Insn::call_helper(helper), Insn::exit()];
    match load(kind, &insns) {
        Ok(_) => true,
        Err(error) => {
            let unknown = ["invalid func ", "unknown func ", "cannot use helper "];
            !error.log.is_empty() && !unknown.iter().any(|text| error.log.contains(text))
        }
    }
}

/// How many instructions the verifier looks at before it gives up: a million, or 4096 as long ago (before Linux 5.2).
pub fn instruction_limit() -> u32 {
    const FORMERLY: usize = 4096;
    let [set, exit] = return_zero();
    let mut insns = vec![set; FORMERLY];
    insns.push(exit);
    if loads(ProgType::TRACEPOINT, &insns) { 1_000_000 } else { FORMERLY as u32 }
}

fn load(kind: ProgType, insns: &[Insn]) -> Result<OwnedFd, LoadError> {
    let spec =
        ProgSpec { kern_version: crate::limits::kernel_version_code(), ..ProgSpec::new(kind, "", insns) };
    bpf::prog_load(&spec)
}

fn loads(kind: ProgType, insns: &[Insn]) -> bool {
    load(kind, insns).is_ok()
}

fn return_zero() -> [Insn; 2] {
    [Insn::mov64_imm(Reg::R0, 0), Insn::exit()]
}

fn perf_event_link() -> bool {
    load(ProgType::TRACEPOINT, &return_zero()).is_ok_and(|prog| bpf::has_perf_event_link(prog.as_fd()))
}

/// Whether a tracing program gets so far that the kernel looks at what it is for: type 1 of its types, which is no
/// function, and on some kernels does not even have a name.
fn looks_at_function(kind: AttachType) -> bool {
    let insns = return_zero();
    let spec = ProgSpec {
        expected_attach_type: kind,
        attach_btf_id: 1,
        ..ProgSpec::new(ProgType::TRACING, "", &insns)
    };
    bpf::prog_load(&spec).is_err_and(|error| error.log.contains("attach_btf_id 1 "))
}

fn multi_link(kind: AttachType) -> bool {
    let insns = return_zero();
    let spec = ProgSpec {
        expected_attach_type: kind,
        kern_version: crate::limits::kernel_version_code(),
        ..ProgSpec::new(ProgType::KPROBE, "", &insns)
    };
    bpf::prog_load(&spec).is_ok_and(|prog| bpf::has_multi_link(prog.as_fd(), kind))
}

fn ring_buffer() -> bool {
    let page = rustix::param::page_size() as u32;
    bpf::map_create(&MapSpec::ring_buffer("", page)).is_ok()
}

fn batch_lookup() -> bool {
    let Ok(map) = bpf::map_create(&MapSpec::new(MapType::HASH, "", 4, 4, 1)) else { return false };
    let Ok(mut page) = BatchPage::new(&map, 1) else { return false };
    map.update(&[0; 4], &[0; 4], UpdateFlag::Any).is_ok() && map.lookup_batch(&mut page).is_ok()
}

fn no_prealloc() -> bool {
    let spec = MapSpec::new(MapType::HASH, "", 4, 4, 1).flags(map_flags::NO_PREALLOC);
    let Ok(map) = bpf::map_create(&spec) else { return false };
    let [low, high] = Insn::ld_imm64(Reg::R1, Imm64::MapFd(map.as_fd().as_raw_fd()));
    loads(ProgType::PERF_EVENT, &[low, high, Insn::mov64_imm(Reg::R0, 0), Insn::exit()])
}

fn cpu_v4() -> [Insn; 5] {
    [
        Insn::mov64_imm(Reg::R0, 7),
        Insn::mov64_imm(Reg::R1, 2),
        Insn::alu(Width::W64, AluOp::SDiv, Reg::R0, Operand::Reg(Reg::R1)),
        Insn::movsx64(Size::B, Reg::R0, Reg::R0),
        Insn::exit(),
    ]
}

fn atomic_fetch() -> [Insn; 5] {
    [
        Insn::store_imm(Size::DW, Reg::R10, -8, 0),
        Insn::mov64_imm(Reg::R1, 1),
        Insn::atomic(Size::DW, AtomicOp::Add { fetch: true }, Reg::R10, -8, Reg::R1),
        Insn::mov64_reg(Reg::R0, Reg::R1),
        Insn::exit(),
    ]
}

fn prog_btf() -> bool {
    let Ok(btf) = bpf::btf_load(&one_function_btf()) else { return false };
    let insns = return_zero();
    // The function of type 2 begins at instruction 0.
    let func_info = [0u32, 2].map(u32::to_le_bytes).concat();
    let spec = ProgSpec {
        btf: Some(btf.as_fd()),
        func_info: &func_info,
        ..ProgSpec::new(ProgType::SOCKET_FILTER, "", &insns)
    };
    bpf::prog_load(&spec).is_ok()
}

/// The smallest type data with a function: `void f(void)`.
fn one_function_btf() -> Vec<u8> {
    const FUNC_PROTO: u32 = 13 << 24;
    const FUNC: u32 = 12 << 24;
    const TYPES: u32 = 24;
    const STRINGS: &[u8] = b"\0f\0";
    // Magic, version 1, no flags; header length; then where types and strings begin and how long they are.
    let header = [0x0001_eb9fu32, 24, 0, TYPES, TYPES, STRINGS.len() as u32];
    // Each type: offset of its name, kind, and what it refers to.
    let types = [0, FUNC_PROTO, 0, 1, FUNC, 1];
    header.iter().chain(&types).flat_map(|word| word.to_le_bytes()).chain(STRINGS.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_has_one_row_and_a_name_of_its_own() {
        let mut names: Vec<_> = Feature::all().map(Feature::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
        for feature in Feature::all() {
            assert_eq!(Feature::from_name(feature.name()), Some(feature));
        }
    }

    #[test]
    fn a_disabled_feature_is_not_probed() {
        let features = Features::new();
        let _fake = bpf::install_fake(Box::new(|cmd, _| panic!("{cmd} was called")));
        assert!(features.disable("ringbuf"));
        assert!(!features.has(Feature::RingBuffer));
        assert!(!features.disable("no such feature"));
    }

    #[test]
    fn a_probe_runs_once() {
        use std::rc::Rc;
        let calls = Rc::new(Cell::new(0));
        let seen = Rc::clone(&calls);
        let _fake = bpf::install_fake(Box::new(move |_, _| {
            seen.set(seen.get() + 1);
            Err(crate::Errno(libc::EPERM))
        }));
        let features = Features::new();
        assert!(!features.has(Feature::RingBuffer));
        assert!(!features.has(Feature::RingBuffer));
        assert_eq!(calls.get(), 1);
    }
}
