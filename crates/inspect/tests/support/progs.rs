//! Programs of many types with several functions, source lines, and all forms of instructions.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use skep_btf::ext::{FuncInfo, LineInfo, encode};
use skep_btf::{BtfBuilder, IntEncoding, Linkage, Param, TypeId};
use skep_isa::{AluOp, AtomicOp, Endian, Imm64, Insn, JmpOp, Operand, Reg, Size, Width};
use skep_kernel::bpf::{self, AttachType, LoadError, Map, ProgSpec, ProgType, UpdateFlag, prog_flags};

use super::{World, maps};

/// Types with what they are loaded for.
const TYPES: &[(ProgType, AttachType)] = &[
    (ProgType::SOCKET_FILTER, AttachType(0)),
    (ProgType::KPROBE, AttachType(0)),
    (ProgType::SCHED_CLS, AttachType(0)),
    (ProgType::SCHED_ACT, AttachType(0)),
    (ProgType::TRACEPOINT, AttachType(0)),
    (ProgType::XDP, AttachType(0)),
    (ProgType::PERF_EVENT, AttachType(0)),
    (ProgType::CGROUP_SKB, AttachType(0)),
    (ProgType::CGROUP_SOCK, AttachType::CGROUP_INET_SOCK_CREATE),
    (ProgType::LWT_IN, AttachType(0)),
    (ProgType::LWT_XMIT, AttachType(0)),
    (ProgType::SOCK_OPS, AttachType(0)),
    (ProgType::SK_SKB, AttachType(0)),
    (ProgType::CGROUP_DEVICE, AttachType(0)),
    (ProgType::SK_MSG, AttachType(0)),
    (ProgType::RAW_TRACEPOINT, AttachType(0)),
    (ProgType::CGROUP_SOCK_ADDR, AttachType::CGROUP_INET4_CONNECT),
    (ProgType::FLOW_DISSECTOR, AttachType(0)),
    (ProgType::CGROUP_SYSCTL, AttachType(0)),
    (ProgType::CGROUP_SOCKOPT, AttachType::CGROUP_GETSOCKOPT),
    (ProgType::SK_LOOKUP, AttachType::SK_LOOKUP),
    (ProgType::SK_REUSEPORT, AttachType(0)),
    (ProgType::NETFILTER, AttachType::NETFILTER),
    (ProgType::SYSCALL, AttachType(0)),
];

pub fn make(world: &mut World) {
    for &(kind, attach_type) in TYPES {
        let name = format!("p_{kind}");
        let made = described(world, kind, &name, |spec| {
            spec.expected_attach_type = attach_type;
            if kind == ProgType::SYSCALL {
                spec.flags = prog_flags::SLEEPABLE;
            }
        });
        world.keep(&name, made);
    }
    let insns = isa();
    world.keep("p_isa", bpf::prog_load(&ProgSpec::new(ProgType::SOCKET_FILTER, "isa", &insns)));
    let bare = [Insn::mov64_imm(Reg::R0, 0), Insn::exit()];
    for name in ["p_same0", "p_same1"] {
        world.keep(name, bpf::prog_load(&ProgSpec::new(ProgType::SOCKET_FILTER, "same", &bare)));
    }
    world.keep("p_unnamed", bpf::prog_load(&ProgSpec::new(ProgType::XDP, "", &bare)));
    let proprietary =
        ProgSpec { license: "Proprietary", ..ProgSpec::new(ProgType::SOCKET_FILTER, "closed", &bare) };
    world.keep("p_closed", bpf::prog_load(&proprietary));
    // An array of programs that holds one.
    if let (Ok(array), Ok(prog)) =
        (bpf::obj_get(&world.path("m_prog_array")), bpf::obj_get(&world.path("p_same0")))
    {
        let array = Map::from_fd(array).unwrap();
        array.update(&[0; 4], &maps::descriptor(prog.as_fd()), UpdateFlag::Any).unwrap();
        // It keeps its programs only as long as someone has it open.
        world.events.push(array.into());
    }
}

/// Source lines by the instruction they begin at.
const LINES: &[(u32, &str, u32, u32)] = &[
    (0, "int entry_function(struct context *ctx)", 10, 0),
    (1, "\tlong n = helper(5, \"a {b} <c> | d\");", 12, 11),
    // Code that the compiler made up has no line.
    (3, "", 0, 0),
    (6, "  if (n > 3 && m[0])", 13, 6),
    (9, "  return 0;", 14, 3),
    (11, "static int called_function(int n)", 3, 0),
    (12, "    return n + 1;", 4, 12),
];

/// The file of all lines: longer than what a graph shows of it.
const FILE: &str = "/home/somebody/src/a directory with blanks/program.bpf.c";

/// A program of two functions with types and lines, which reads a map and calls a helper.
pub fn described(
    world: &World,
    kind: ProgType,
    name: &str,
    change: impl FnOnce(&mut ProgSpec<'_>),
) -> Result<OwnedFd, LoadError> {
    let mut types = BtfBuilder::new();
    let int = types.int("int", 4, IntEncoding::SIGNED);
    let context = types.struct_("context", 0, &[]);
    let context = types.ptr(context);
    let entry = types.func_proto(int, &[Param { name: "ctx", ty: context }]);
    let called = types.func_proto(int, &[Param { name: "n", ty: int }]);
    let entry = types.func(name, entry, Linkage::Global);
    let called = types.func("called_function", called, Linkage::Static);
    let file = types.add_string(FILE);
    let lines: Vec<LineInfo> = LINES
        .iter()
        .map(|&(insn_off, text, line, column)| LineInfo {
            insn_off,
            file_name_off: file,
            line_off: types.add_string(text),
            line_col: LineInfo::pack(line, column),
        })
        .collect();
    let btf = bpf::btf_load(&types.finish())?;
    let function = |insn_off, type_id: TypeId| FuncInfo { insn_off, type_id };
    let functions = encode(&[function(0, entry), function(11, called)]);
    let lines = encode(&lines);
    let map = bpf::obj_get(&world.path("m_short")).unwrap();
    let insns = two_functions(map.as_raw_fd());
    let mut spec = ProgSpec {
        btf: Some(btf.as_fd()),
        func_info: &functions,
        line_info: &lines,
        ..ProgSpec::new(kind, name, &insns)
    };
    change(&mut spec);
    bpf::prog_load(&spec)
}

fn two_functions(map: i32) -> Vec<Insn> {
    const KTIME_GET_NS: u32 = 5;
    let [low, high] = Insn::ld_imm64(Reg::R1, Imm64::MapFd(map));
    let [big, bigger] = Insn::ld_imm64(Reg::R2, Imm64::Value(0x1122_3344_5566_7788));
    vec![
        Insn::mov64_imm(Reg::R6, 7),
        low,
        high,
        big,
        bigger,
        Insn::call_helper(KTIME_GET_NS),
        Insn::jmp_imm(JmpOp::SGt, Reg::R0, 3, 2),
        Insn::mov64_imm(Reg::R1, 5),
        Insn::call_rel(2),
        Insn::mov64_imm(Reg::R0, 0),
        Insn::exit(),
        Insn::mov64_reg(Reg::R0, Reg::R1),
        Insn::alu64_imm(AluOp::Add, Reg::R0, 1),
        Insn::exit(),
    ]
}

/// Every form of instruction that can be loaded, versions 1 to 4.
pub fn isa() -> Vec<Insn> {
    let mut insns =
        vec![Insn::mov64_imm(Reg::R0, 1), Insn::mov64_imm(Reg::R1, 2), Insn::mov64_imm(Reg::R5, 3)];
    let operations = [
        AluOp::Add,
        AluOp::Sub,
        AluOp::Mul,
        AluOp::Div,
        AluOp::SDiv,
        AluOp::Or,
        AluOp::And,
        AluOp::Lsh,
        AluOp::Rsh,
        AluOp::Mod,
        AluOp::SMod,
        AluOp::Xor,
        AluOp::Mov,
        AluOp::Arsh,
    ];
    for operation in operations {
        for width in [Width::W64, Width::W32] {
            insns.push(Insn::alu(width, operation, Reg::R0, Operand::Imm(3)));
            insns.push(Insn::alu(width, operation, Reg::R0, Operand::Reg(Reg::R5)));
        }
    }
    insns.extend([Insn::neg64(Reg::R0), Insn::neg32(Reg::R0)]);
    for size in [Size::B, Size::H, Size::W] {
        insns.push(Insn::movsx64(size, Reg::R0, Reg::R1));
    }
    for size in [Size::B, Size::H] {
        insns.push(Insn::movsx32(size, Reg::R0, Reg::R1));
    }
    for order in [Endian::Le, Endian::Be, Endian::Bswap] {
        for size in [Size::H, Size::W, Size::DW] {
            insns.push(Insn::endian(order, size, Reg::R0));
        }
    }
    for size in [Size::DW, Size::W, Size::H, Size::B] {
        insns.push(Insn::store_imm(Size::DW, Reg::R10, -8, 77));
        insns.push(Insn::store_reg(size, Reg::R10, -8, Reg::R1));
        insns.push(Insn::store_imm(size, Reg::R10, -8, -5));
        insns.push(Insn::load(size, Reg::R3, Reg::R10, -8));
        if size != Size::DW {
            insns.push(Insn::load_sx(size, Reg::R3, Reg::R10, -8));
        }
    }
    insns.push(Insn::store_imm(Size::DW, Reg::R10, -8, 1));
    let fetches = [false, true];
    let atomics = fetches
        .into_iter()
        .flat_map(|fetch| {
            [
                AtomicOp::Add { fetch },
                AtomicOp::Or { fetch },
                AtomicOp::And { fetch },
                AtomicOp::Xor { fetch },
            ]
        })
        .chain([AtomicOp::Xchg, AtomicOp::CmpXchg]);
    for operation in atomics {
        for size in [Size::DW, Size::W] {
            insns.push(Insn::mov64_imm(Reg::R2, 1));
            insns.push(Insn::atomic(size, operation, Reg::R10, -8, Reg::R2));
        }
    }
    let comparisons = [
        JmpOp::Eq,
        JmpOp::Gt,
        JmpOp::Ge,
        JmpOp::Set,
        JmpOp::Ne,
        JmpOp::SGt,
        JmpOp::SGe,
        JmpOp::Lt,
        JmpOp::Le,
        JmpOp::SLt,
        JmpOp::SLe,
    ];
    const GET_PRANDOM_U32: u32 = 7;
    insns.push(Insn::call_helper(GET_PRANDOM_U32));
    insns.push(Insn::mov64_reg(Reg::R7, Reg::R0));
    insns.push(Insn::call_helper(GET_PRANDOM_U32));
    for comparison in comparisons {
        for width in [Width::W64, Width::W32] {
            insns.push(Insn::jmp(width, comparison, Reg::R0, Operand::Imm(9), 1));
            insns.push(Insn::mov64_reg(Reg::R3, Reg::R0));
            insns.push(Insn::jmp(width, comparison, Reg::R0, Operand::Reg(Reg::R7), 1));
            insns.push(Insn::mov64_reg(Reg::R4, Reg::R0));
        }
    }
    let [low, high] = Insn::ld_imm64(Reg::R4, Imm64::Value(0xffff_ffff_0000_0001));
    insns.extend([
        low,
        high,
        Insn::jmp_imm(JmpOp::Eq, Reg::R0, 1, 1),
        Insn::ja(1),
        Insn::mov64_imm(Reg::R3, 1),
        Insn::mov64_imm(Reg::R0, 0),
        Insn::exit(),
    ]);
    insns
}
