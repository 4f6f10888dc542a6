//! Instructions of a program being loaded: field by field, and disassembled.

use skep_isa::disasm::{self, NoNames};
use skep_isa::insn::decode_all;

use super::attr::Caller;
use super::node::Node;

/// Instructions that the kernel takes at most.
const MAX: usize = 1_000_000;

/// Each instruction's fields.
pub(super) fn list(caller: &dyn Caller, address: u64, count: usize) -> Node {
    let bytes = read(caller, address, count);
    if bytes.is_empty() && count > 0 {
        return Node::Address(address);
    }
    let insns = bytes.chunks_exact(8).map(fields).collect();
    Node::List(insns, bytes.len() / 8 < count)
}

/// The instructions as a listing of lines.
pub(super) fn disassembled(caller: &dyn Caller, address: u64, count: usize) -> Vec<String> {
    let bytes = read(caller, address, count);
    // What follows the last whole instruction is not there.
    let insns = decode_all(&bytes[..bytes.len() & !7]).unwrap_or_default();
    disasm::listing(&insns, &NoNames).map(|(index, text)| format!("{index:4}: {text}")).collect()
}

fn read(caller: &dyn Caller, address: u64, count: usize) -> Vec<u8> {
    caller.read(address, count.min(MAX) * 8)
}

fn fields(bytes: &[u8]) -> Node {
    let at = |index: usize| bytes.get(index).copied().unwrap_or(0);
    let register = |number: u8| Node::Name {
        value: u64::from(number),
        name: (number <= 10).then(|| format!("BPF_REG_{number}")),
        set: "BPF_REG_",
    };
    let off = i16::from_ne_bytes([at(2), at(3)]);
    let imm = u32::from_ne_bytes([at(4), at(5), at(6), at(7)]);
    Node::Struct(vec![
        ("code", code(at(0))),
        ("dst_reg", register(at(1) & 15)),
        ("src_reg", register(at(1) >> 4)),
        ("off", Node::Int(i64::from(off))),
        ("imm", Node::Hex(u64::from(imm))),
    ])
}

/// The parts of an opcode by name.
fn code(code: u8) -> Node {
    const CLASSES: [&str; 8] =
        ["BPF_LD", "BPF_LDX", "BPF_ST", "BPF_STX", "BPF_ALU", "BPF_JMP", "BPF_JMP32", "BPF_ALU64"];
    const SIZES: [&str; 4] = ["BPF_W", "BPF_H", "BPF_B", "BPF_DW"];
    const MODES: [&str; 7] = ["BPF_IMM", "BPF_ABS", "BPF_IND", "BPF_MEM", "BPF_MEMSX", "", "BPF_ATOMIC"];
    const OPERATIONS: [&str; 14] = [
        "BPF_ADD", "BPF_SUB", "BPF_MUL", "BPF_DIV", "BPF_OR", "BPF_AND", "BPF_LSH", "BPF_RSH", "BPF_NEG",
        "BPF_MOD", "BPF_XOR", "BPF_MOV", "BPF_ARSH", "BPF_END",
    ];
    const JUMPS: [&str; 15] = [
        "BPF_JA",
        "BPF_JEQ",
        "BPF_JGT",
        "BPF_JGE",
        "BPF_JSET",
        "BPF_JNE",
        "BPF_JSGT",
        "BPF_JSGE",
        "BPF_CALL",
        "BPF_EXIT",
        "BPF_JLT",
        "BPF_JLE",
        "BPF_JSLT",
        "BPF_JSLE",
        "BPF_JCOND",
    ];
    let part = |table: &[&'static str], index: u8, mask: u8| {
        let name = table.get(usize::from(index)).filter(|name| !name.is_empty());
        Node::Name { value: u64::from(code & mask), name: name.map(|name| (*name).to_owned()), set: "BPF_" }
    };
    let source = part(&["BPF_K", "BPF_X"], code >> 3 & 1, 8);
    let class = part(&CLASSES, code & 7, 7);
    Node::Bits(match code & 7 {
        0..=3 => vec![class, part(&SIZES, code >> 3 & 3, 0x18), part(&MODES, code >> 5, 0xe0)],
        4 | 7 => vec![class, source, part(&OPERATIONS, code >> 4, 0xf0)],
        _ => vec![class, source, part(&JUMPS, code >> 4, 0xf0)],
    })
}
