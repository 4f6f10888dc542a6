//! Instructions as text, in the syntax of the kernel's own disassembler as `bpftool prog dump xlated` and the
//! verifier log print it.
//!
//! The text is made from the raw fields and not from [`crate::Op`]: the kernel's printer says something about
//! every encoding, including forms that only exist in a program read back (per-CPU addresses, speculation
//! barriers) and undefined ones.

use crate::helpers::helper_by_id;
use crate::insn::{Insn, opcode, walk};
use crate::{AtomicOp, Size};
use std::fmt::{self, Write as _};

/// Names for what instructions refer to by number. Every method may decline; the text then holds the number.
pub trait Names {
    /// What is called. For a call within the program, the whole text after `call pc`, so `+3` or `+3#name`;
    /// for any other call, the function's name. Helpers whose number is in the table are not asked for.
    fn call(&self, _insn: &Insn) -> Option<String> {
        None
    }

    /// The value of a 64-bit load, where it is not the usual `map[id:5]`, `subprog[+3]` or `0x10`.
    fn imm64(&self, _first: &Insn, _second: &Insn) -> Option<String> {
        None
    }
}

/// Knows no names.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNames;

impl Names for NoNames {}

/// The text of one instruction, without its index. `second` is the slot after it, which a 64-bit load needs.
#[must_use]
pub fn text(insn: &Insn, second: Option<&Insn>, names: &dyn Names) -> String {
    match insn.class() {
        opcode::LD => ld(insn, second, names),
        opcode::LDX => ldx(insn),
        opcode::ST => st(insn),
        opcode::STX => stx(insn),
        opcode::ALU | opcode::ALU64 => alu(insn),
        _ => jmp(insn, names),
    }
}

/// The text of a program: slot index and text of each instruction, second slots left out.
pub fn listing<'a>(insns: &'a [Insn], names: &'a dyn Names) -> impl Iterator<Item = (usize, String)> + 'a {
    walk(insns).map(|(at, insn, second)| (at, text(&insn, second.as_ref(), names)))
}

/// A program as `bpftool prog dump xlated` prints it without source: one line each, `{index:4}: text`.
#[must_use]
pub fn dump(insns: &[Insn], names: &dyn Names) -> String {
    listing(insns, names).fold(String::new(), |mut out, (at, text)| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{at:4}: {text}");
        out
    })
}

impl fmt::Display for Insn {
    /// The text of the instruction on its own: names unknown, the upper half of a 64-bit load taken as zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&text(self, None, &NoNames))
    }
}

/// What C's printf makes of the null pointers in the kernel's operator tables.
const NO_OPERATOR: &str = "(null)";

fn alu_operator(bits: u8) -> &'static str {
    match bits & opcode::OP_MASK {
        0x00 => "+=",
        0x10 => "-=",
        0x20 => "*=",
        0x30 => "/=",
        0x40 => "|=",
        0x50 => "&=",
        0x60 => "<<=",
        0x70 => ">>=",
        0x90 => "%=",
        0xa0 => "^=",
        opcode::MOV => "=",
        0xc0 => "s>>=",
        _ => NO_OPERATOR,
    }
}

fn jmp_operator(bits: u8) -> &'static str {
    match bits & opcode::OP_MASK {
        opcode::JA => "jmp",
        0x10 => "==",
        0x20 => ">",
        0x30 => ">=",
        0x40 => "&",
        0x50 => "!=",
        0x60 => "s>",
        0x70 => "s>=",
        opcode::CALL => "call",
        opcode::EXIT => "exit",
        0xa0 => "<",
        0xb0 => "<=",
        0xc0 => "s<",
        0xd0 => "s<=",
        _ => NO_OPERATOR,
    }
}

fn unsigned(size: Size) -> &'static str {
    match size {
        Size::B => "u8",
        Size::H => "u16",
        Size::W => "u32",
        Size::DW => "u64",
    }
}

fn signed(size: Size) -> &'static str {
    match size {
        Size::B => "s8",
        Size::H => "s16",
        Size::W => "s32",
        Size::DW => NO_OPERATOR,
    }
}

fn alu(insn: &Insn) -> String {
    let Insn { code, dst, src, off, imm } = *insn;
    let wide = insn.class() == opcode::ALU64;
    let r = if wide { 'r' } else { 'w' };
    let op = code & opcode::OP_MASK;
    let by_register = code & opcode::X != 0;

    let wide_move = wide && by_register && op == opcode::MOV;
    match op {
        opcode::END => {
            let order = match (wide, by_register) {
                (true, _) => "bswap",
                (false, true) => "be",
                (false, false) => "le",
            };
            return format!("({code:02x}) r{dst} = {order}{imm} r{dst}");
        }
        opcode::NEG => return format!("({code:02x}) {r}{dst} = -{r}{dst}"),
        _ if wide_move && off == opcode::ADDR_SPACE_CAST => {
            let (to, from) = (imm as u32 >> 16, imm as u32 & 0xffff);
            return format!("({code:02x}) r{dst} = addr_space_cast(r{src}, {to}, {from})");
        }
        _ if wide_move && off == opcode::ADDR_PERCPU => {
            return format!("({code:02x}) r{dst} = &(void __percpu *)(r{src})");
        }
        _ => {}
    }

    let operator = match (op, off) {
        (0x30, 1) => "s/=",
        (0x90, 1) => "s%=",
        _ => alu_operator(op),
    };
    if !by_register {
        return format!("({code:02x}) {r}{dst} {operator} {imm}");
    }
    let extension = match (op, off) {
        (opcode::MOV, 8) => "(s8)",
        (opcode::MOV, 16) => "(s16)",
        (opcode::MOV, 32) => "(s32)",
        _ => "",
    };
    format!("({code:02x}) {r}{dst} {operator} {extension}{r}{src}")
}

fn ld(insn: &Insn, second: Option<&Insn>, names: &dyn Names) -> String {
    let Insn { code, dst, src, imm, .. } = *insn;
    let size = unsigned(Size::from_code(code));
    match code & opcode::MODE_MASK {
        opcode::ABS => format!("({code:02x}) r0 = *({size} *)skb[{imm}]"),
        opcode::IND => format!("({code:02x}) r0 = *({size} *)skb[r{src} + {imm}]"),
        _ if insn.is_ld_imm64() => {
            let second = second.copied().unwrap_or_default();
            let value = names.imm64(insn, &second).unwrap_or_else(|| imm64(insn, &second));
            format!("({code:02x}) r{dst} = {value}")
        }
        _ => format!("BUG_ld_{code:02x}"),
    }
}

fn imm64(first: &Insn, second: &Insn) -> String {
    let (lo, hi) = (first.imm, second.imm);
    match first.src {
        opcode::PSEUDO_MAP_FD => format!("map[id:{lo}]"),
        opcode::PSEUDO_MAP_VALUE => format!("map[id:{lo}][0]+{hi}"),
        opcode::PSEUDO_MAP_IDX_VALUE => format!("map[idx:{lo}]+{hi}"),
        opcode::PSEUDO_FUNC => format!("subprog[{lo:+}]"),
        _ => format!("{:#x}", u64::from(hi as u32) << 32 | u64::from(lo as u32)),
    }
}

fn ldx(insn: &Insn) -> String {
    let Insn { code, dst, src, off, .. } = *insn;
    let size = Size::from_code(code);
    let ty = match code & opcode::MODE_MASK {
        opcode::MEM => unsigned(size),
        opcode::MEMSX => signed(size),
        _ => return format!("BUG_ldx_{code:02x}"),
    };
    format!("({code:02x}) r{dst} = *({ty} *)(r{src} {off:+})")
}

fn st(insn: &Insn) -> String {
    let Insn { code, dst, off, imm, .. } = *insn;
    match code & opcode::MODE_MASK {
        opcode::MEM => {
            format!("({code:02x}) *({} *)(r{dst} {off:+}) = {imm}", unsigned(Size::from_code(code)))
        }
        opcode::NOSPEC => format!("({code:02x}) nospec"),
        _ => format!("BUG_st_{code:02x}"),
    }
}

fn stx(insn: &Insn) -> String {
    let Insn { code, dst, src, off, imm } = *insn;
    let size = Size::from_code(code);
    let ty = unsigned(size);
    let memory = format!("({ty} *)(r{dst} {off:+})");
    let op = match code & opcode::MODE_MASK {
        opcode::MEM => return format!("({code:02x}) *{memory} = r{src}"),
        opcode::ATOMIC => AtomicOp::from_imm(imm),
        _ => None,
    };
    let Some(op) = op else {
        return format!("BUG_{code:02x}");
    };

    let width = if size == Size::DW { "64" } else { "" };
    let fetch = |name| format!("({code:02x}) r{src} = atomic{width}_{name}({memory}, r{src})");
    match op {
        AtomicOp::Add { fetch: true } => fetch("fetch_add"),
        AtomicOp::Or { fetch: true } => fetch("fetch_or"),
        AtomicOp::And { fetch: true } => fetch("fetch_and"),
        AtomicOp::Xor { fetch: true } => fetch("fetch_xor"),
        AtomicOp::Xchg => fetch("xchg"),
        AtomicOp::CmpXchg => format!("({code:02x}) r0 = atomic{width}_cmpxchg({memory}, r0, r{src})"),
        AtomicOp::LoadAcquire => format!("({code:02x}) r{dst} = load_acquire(({ty} *)(r{src} {off:+}))"),
        AtomicOp::StoreRelease => format!("({code:02x}) store_release({memory}, r{src})"),
        AtomicOp::Add { .. } | AtomicOp::Or { .. } | AtomicOp::And { .. } | AtomicOp::Xor { .. } => {
            // The operation bits of the immediate are those of an ALU code.
            format!("({code:02x}) lock *{memory} {} r{src}", alu_operator(imm as u8))
        }
    }
}

fn jmp(insn: &Insn, names: &dyn Names) -> String {
    const GOTO: u8 = opcode::JMP | opcode::JA;
    const GOTOX: u8 = opcode::JMP | opcode::JA | opcode::X;
    const GOTOL: u8 = opcode::JMP32 | opcode::JA;
    const JCOND: u8 = opcode::JMP | opcode::JCOND;
    const EXIT: u8 = opcode::JMP | opcode::EXIT;

    let Insn { code, dst, src, off, imm } = *insn;
    if code & opcode::OP_MASK == opcode::CALL {
        return call(insn, names);
    }
    match code {
        GOTO => return format!("({code:02x}) goto pc{off:+}"),
        GOTOX => return format!("({code:02x}) gotox r{dst}"),
        // The source field of a conditional pseudo jump says which; 0 is the only one yet.
        JCOND if src == 0 => return format!("({code:02x}) may_goto pc{off:+}"),
        GOTOL => return format!("({code:02x}) gotol pc{imm:+}"),
        EXIT => return format!("({code:02x}) exit"),
        _ => {}
    }

    let r = if insn.class() == opcode::JMP32 { 'w' } else { 'r' };
    let operator = jmp_operator(code);
    if code & opcode::X != 0 {
        format!("({code:02x}) if {r}{dst} {operator} {r}{src} goto pc{off:+}")
    } else {
        format!("({code:02x}) if {r}{dst} {operator} {:#x} goto pc{off:+}", imm as u32)
    }
}

fn call(insn: &Insn, names: &dyn Names) -> String {
    let Insn { code, src, imm, .. } = *insn;
    if src == opcode::PSEUDO_CALL {
        let target = names.call(insn).unwrap_or_else(|| format!("{imm:+}"));
        return format!("({code:02x}) call pc{target}");
    }
    let known = match (src, imm) {
        (0, 0) => Some("unspec"),
        (0, 1..) => helper_by_id(imm as u32).map(|helper| helper.name),
        _ => None,
    };
    let name = match known {
        Some(name) => format!("bpf_{name}"),
        None => names.call(insn).unwrap_or_else(|| {
            let unnamed = if src == opcode::PSEUDO_KFUNC_CALL { "kernel-function" } else { "unknown" };
            unnamed.to_owned()
        }),
    };
    format!("({code:02x}) call {name}#{imm}")
}

#[cfg(test)]
mod tests;
