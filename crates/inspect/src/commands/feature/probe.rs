//! What the kernel can do, found out by making programs and maps that are thrown away at once.

use std::os::fd::{AsFd, OwnedFd};

use skep_btf::{BtfBuilder, IntEncoding, Member};
use skep_isa::helpers::HELPERS;
use skep_isa::{AluOp, Insn, JmpOp, Operand, Reg, Width};
use skep_kernel::bpf::{
    self, AttachType, LoadError, MapBtf, MapSpec, MapType, ProgSpec, ProgType, map_flags, prog_flags,
};
use skep_kernel::{Errno, limits};

use crate::error::{Error, Result};

/// Helpers whose verification leaves a line in the kernel's log.
const NOISY: [&str; 3] = ["trace_printk", "trace_vprintk", "probe_write_user"];

/// Goes on without the rights that BPF takes; this process does not get them back.
pub(super) fn give_up_privileges() -> Result<()> {
    limits::drop_capabilities().map_err(|error| Error::kernel("failed to drop capabilities", &error))
}

/// A program that does nothing.
fn nothing() -> [Insn; 2] {
    [Insn::mov64_imm(Reg::R0, 0), Insn::exit()]
}

/// Whether bpf(2) is there: it then does not like a program without instructions.
pub(super) fn syscall() -> bool {
    let refused = bpf::prog_load(&ProgSpec::new(ProgType::UNSPEC, "", &[]));
    !matches!(refused, Err(error) if error.errno.name() == Some("ENOSYS"))
}

/// Whether programs of a type can be loaded.
pub(super) fn prog_type(kind: ProgType, ifindex: u32) -> bool {
    if ifindex != 0 {
        return offloaded(kind, ifindex, &nothing());
    }
    let insns = nothing();
    let spec = spec(kind, &insns);
    match kind {
        // These need a function to be attached to; a kernel that knows the type says that type 1 is none.
        ProgType::TRACING | ProgType::EXT | ProgType::LSM => {
            let refused = bpf::prog_load_logged(&ProgSpec { attach_btf_id: 1, log_level: 1, ..spec });
            let log = refused.err().map_or_else(String::new, |error| error.log);
            log.contains("attach_btf_id 1 is not a function")
                || log.contains("Cannot replace kernel functions")
        }
        // Type 1 is no table of functions, which a kernel that knows the type finds out.
        ProgType::STRUCT_OPS => {
            let refused = bpf::prog_load(&ProgSpec { attach_btf_id: 1, ..spec });
            matches!(refused, Err(error) if error.errno == Errno::ENOTSUPP)
        }
        _ => load(&spec).is_ok(),
    }
}

/// A program of a type that only needs to say what it is.
fn spec<'a>(kind: ProgType, insns: &'a [Insn]) -> ProgSpec<'a> {
    let mut spec = ProgSpec::new(kind, "", insns);
    spec.expected_attach_type = match kind {
        ProgType::CGROUP_SOCK_ADDR => AttachType::CGROUP_INET4_CONNECT,
        ProgType::CGROUP_SOCKOPT => AttachType::CGROUP_GETSOCKOPT,
        ProgType::SK_LOOKUP => AttachType::SK_LOOKUP,
        ProgType::LIRC_MODE2 => AttachType::LIRC_MODE2,
        ProgType::TRACING => AttachType::TRACE_FENTRY,
        ProgType::LSM => AttachType::LSM_MAC,
        ProgType::NETFILTER => AttachType::NETFILTER,
        _ => spec.expected_attach_type,
    };
    if kind == ProgType::KPROBE {
        spec.kern_version = limits::kernel_version_code();
    }
    if kind == ProgType::SYSCALL {
        spec.flags = prog_flags::SLEEPABLE;
    }
    spec
}

/// Loads without asking for a log, which an answer of yes or no does not need.
fn load(spec: &ProgSpec<'_>) -> Result<OwnedFd, Errno> {
    bpf::prog_load_quietly(spec)
}

/// Whether a device takes a program of a type.
fn offloaded(kind: ProgType, ifindex: u32, insns: &[Insn]) -> bool {
    const OFFLOADABLE: [ProgType; 2] = [ProgType::SCHED_CLS, ProgType::XDP];
    OFFLOADABLE.contains(&kind) && load(&ProgSpec { ifindex, ..spec(kind, insns) }).is_ok()
}

/// The types whose programs can be offloaded to devices.
pub(super) fn is_offloadable(kind: ProgType) -> bool {
    kind == ProgType::SCHED_CLS || kind == ProgType::XDP
}

/// Whether maps of a type can be made.
pub(super) fn map_type(kind: MapType, ifindex: u32) -> bool {
    if ifindex != 0 {
        // Only these two have ever been offloaded, and no driver that is left takes them without a program.
        return false;
    }
    let mut spec = MapSpec::new(kind, "", 4, 4, 1);
    let types;
    match kind {
        MapType::STACK_TRACE => spec.value_size = 8,
        MapType::LPM_TRIE => {
            (spec.key_size, spec.value_size, spec.flags) = (8, 8, map_flags::NO_PREALLOC);
        }
        MapType::CGROUP_STORAGE | MapType::PERCPU_CGROUP_STORAGE => {
            (spec.key_size, spec.value_size, spec.max_entries) = (16, 8, 0);
        }
        MapType::QUEUE | MapType::STACK | MapType::BLOOM_FILTER => spec.key_size = 0,
        MapType::SK_STORAGE | MapType::INODE_STORAGE | MapType::TASK_STORAGE | MapType::CGRP_STORAGE => {
            let Ok(btf) = storage_types() else { return false };
            types = btf;
            (spec.value_size, spec.max_entries, spec.flags) = (8, 0, map_flags::NO_PREALLOC);
            spec.btf = Some(MapBtf { fd: types.as_fd(), key_type_id: 1, value_type_id: 3 });
        }
        MapType::RINGBUF | MapType::USER_RINGBUF => {
            (spec.key_size, spec.value_size, spec.max_entries) = (0, 0, limits::page_size());
        }
        MapType::STRUCT_OPS => {
            spec.kernel_value_type_id = 1;
            let refused = bpf::map_create(&spec);
            return matches!(refused, Err(error) if error.errno() == Some(Errno::ENOTSUPP));
        }
        MapType::ARRAY_OF_MAPS | MapType::HASH_OF_MAPS => {
            let Ok(inner) = bpf::map_create(&MapSpec::new(MapType::HASH, "", 4, 4, 1)) else { return false };
            spec.inner_map = Some(inner.as_fd());
            return bpf::map_create(&spec).is_ok();
        }
        MapType::ARENA => {
            (spec.key_size, spec.value_size, spec.flags) = (0, 0, map_flags::MMAPABLE);
        }
        MapType::INSN_ARRAY => spec.value_size = 16,
        MapType::RHASH => spec.flags = map_flags::NO_PREALLOC,
        MapType::UNSPEC => return false,
        _ => {}
    }
    bpf::map_create(&spec).is_ok()
}

/// Types as storage maps want them: an integer, a lock, and a value that holds one.
fn storage_types() -> Result<OwnedFd, LoadError> {
    let mut types = BtfBuilder::new();
    let member = |name, ty, bit_offset| Member { name, ty, bit_offset, bitfield_size: 0 };
    let int = types.int("int", 4, IntEncoding::SIGNED);
    let lock = types.struct_("bpf_spin_lock", 4, &[member("val", int, 0)]);
    types.struct_("val", 8, &[member("cnt", int, 0), member("l", lock, 32)]);
    bpf::btf_load(&types.finish())
}

/// The helpers that programs of a type may call, by name; `None` if programs of the type cannot be asked.
pub(super) fn helpers(kind: ProgType, full: bool, ifindex: u32) -> Vec<(&'static str, bool)> {
    let askable = !matches!(kind, ProgType::TRACING | ProgType::EXT | ProgType::LSM | ProgType::STRUCT_OPS);
    let wanted = HELPERS.iter().filter(|helper| full || !NOISY.contains(&helper.name));
    wanted.map(|helper| (helper.name, askable && helper_known(kind, helper.id, ifindex))).collect()
}

/// Calls a helper without proper arguments. A verifier that knows it for the type complains about these.
fn helper_known(kind: ProgType, id: u32, ifindex: u32) -> bool {
    let insns = [Insn::call_helper(id), Insn::exit()];
    let spec = ProgSpec { log_level: 1, ifindex, ..spec(kind, &insns) };
    match bpf::prog_load_logged(&spec) {
        Ok(_) => true,
        Err(error) => {
            let unknown = ["invalid func ", "unknown func ", "program of this type cannot use helper "];
            !error.log.is_empty() && !unknown.iter().any(|text| error.log.contains(text))
        }
    }
}

/// Programs of more than 4096 instructions.
pub(super) fn large_programs() -> bool {
    const MORE: usize = 4097;
    let mut insns = vec![Insn::mov64_imm(Reg::R0, 1); MORE];
    insns.push(Insn::exit());
    load(&ProgSpec::new(ProgType::SOCKET_FILTER, "", &insns)).is_ok()
}

/// Loops that the verifier can count.
pub(super) fn bounded_loops() -> bool {
    let insns = [
        Insn::mov64_imm(Reg::R0, 10),
        Insn::alu(Width::W64, AluOp::Sub, Reg::R0, Operand::Imm(1)),
        Insn::jmp(Width::W64, JmpOp::Ne, Reg::R0, Operand::Imm(0), -2),
        Insn::exit(),
    ];
    load(&ProgSpec::new(ProgType::SOCKET_FILTER, "", &insns)).is_ok()
}

/// The second instruction set: jumps on less than.
pub(super) fn isa_v2() -> bool {
    jump(Width::W64)
}

/// The third: jumps that compare 32 bits.
pub(super) fn isa_v3() -> bool {
    jump(Width::W32)
}

fn jump(width: Width) -> bool {
    let insns = [
        Insn::mov64_imm(Reg::R0, 0),
        Insn::jmp(width, JmpOp::Lt, Reg::R0, Operand::Imm(0), 1),
        Insn::mov64_imm(Reg::R0, 1),
        Insn::exit(),
    ];
    load(&ProgSpec::new(ProgType::SOCKET_FILTER, "", &insns)).is_ok()
}

/// The fourth: jumps over more than 32,767 instructions.
pub(super) fn isa_v4() -> bool {
    let insns = [
        Insn::mov64_imm(Reg::R0, 0),
        Insn::jmp(Width::W64, JmpOp::Eq, Reg::R0, Operand::Imm(1), 1),
        Insn { code: skep_isa::insn::opcode::JMP32, dst: 0, src: 0, off: 0, imm: 1 },
        Insn::mov64_imm(Reg::R0, 1),
        Insn::exit(),
    ];
    load(&ProgSpec::new(ProgType::SOCKET_FILTER, "", &insns)).is_ok()
}
