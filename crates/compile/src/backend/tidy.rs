//! Removes copies between registers that nobody needs.
//!
//! The allocator brings values into the registers it prefers, also where the instruction could read them where
//! they were. Within straight-line code it is plain to see when such a copy is only read before it is
//! overwritten: the readers then take the original.

use skep_isa::insn::opcode;
use skep_isa::{AluOp, AtomicOp, Insn, Op, Operand, Reg, Width};

/// A copy that lives longer than this many instructions is left alone, so that long blocks stay cheap.
const WINDOW: usize = 64;

/// Tidies code without ways in but at its start. Returns the places of the copies that nobody reads any more, in
/// order; they are still there.
pub fn tidy(insns: &mut [Insn], start: usize) -> Vec<usize> {
    let mut needless = Vec::new();
    let mut at = start;
    while let Some(insn) = insns.get(at).copied() {
        if let Ok(Op::Alu { width: Width::W64, op: AluOp::Mov, dst: copy, src: Operand::Reg(of) }) =
            insn.kind()
            && let Some(readers) = readers(&insns[at + 1..], copy, of)
        {
            for reader in readers {
                rename(&mut insns[at + 1 + reader], copy, of);
            }
            needless.push(at);
        }
        at += insn.slots();
    }
    needless
}

/// The instructions that read `copy` until it is overwritten, if all of them could read `of` instead.
fn readers(after: &[Insn], copy: Reg, of: Reg) -> Option<Vec<usize>> {
    let mut readers = Vec::new();
    let mut intact = true;
    let mut at = 0;
    while at < WINDOW {
        let insn = after.get(at)?;
        let (read, written, done) = match insn.kind().ok()? {
            Op::Alu { op: AluOp::Mov, dst, src, .. } => (src == Operand::Reg(copy), Some(dst), false),
            // The others read what they overwrite.
            Op::Alu { dst, .. } | Op::Neg { dst, .. } | Op::Endian { dst, .. } if dst == copy => return None,
            Op::Alu { dst, src, .. } => (src == Operand::Reg(copy), Some(dst), false),
            Op::Neg { dst, .. } | Op::Endian { dst, .. } => (false, Some(dst), false),
            Op::Load { dst, base, .. } => (base == copy, Some(dst), false),
            Op::LoadImm64 { dst } => (false, Some(dst), false),
            Op::Store { base, src, .. } => (base == copy || src == Operand::Reg(copy), None, false),
            Op::Atomic { op: AtomicOp::Add { fetch: false }, base, reg, .. } => {
                (base == copy || reg == copy, None, false)
            }
            // It reads r1 to r5, or as many of them as it has arguments, and destroys r0 to r5.
            Op::CallHelper { .. } if (Reg::R1..=Reg::R5).contains(&copy) => return None,
            Op::CallHelper { .. } => {
                intact &= of > Reg::R5;
                (false, None, copy == Reg::R0)
            }
            Op::Exit if copy == Reg::R0 => return None,
            Op::Exit => (false, None, true),
            // What is behind a jump may read anything.
            _ => return None,
        };
        if read {
            if !intact {
                return None;
            }
            readers.push(at);
        }
        if done || written == Some(copy) {
            return Some(readers);
        }
        intact &= written != Some(of);
        at += insn.slots();
    }
    None
}

fn rename(insn: &mut Insn, copy: Reg, of: Reg) {
    let is_store = matches!(insn.class(), opcode::ST | opcode::STX);
    let src_is_register = match insn.class() {
        opcode::ALU | opcode::ALU64 => insn.code & opcode::X != 0,
        class => class == opcode::LDX || class == opcode::STX,
    };
    if is_store && insn.dst == copy.number() {
        insn.dst = of.number();
    }
    if src_is_register && insn.src == copy.number() {
        insn.src = of.number();
    }
}
