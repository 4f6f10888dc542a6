//! The decoded view: what an instruction means, for disassembler, CFG, interpreter and other consumers.

use super::{AluOp, AtomicOp, Endian, Insn, JmpOp, Reg, Size, Width, opcode};
use crate::Error;

/// The second operand of an arithmetic operation, comparison or store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operand {
    /// A register.
    Reg(Reg),
    /// A constant, sign-extended to the width of the operation.
    Imm(i32),
}

/// The meaning of an instruction. Jump distances count slots from the next instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the fields of the variants carry the names the variant's formula uses")]
pub enum Op {
    /// `dst = dst op src`
    Alu { width: Width, op: AluOp, dst: Reg, src: Operand },
    /// `dst = (signed from) src`
    MovSx { width: Width, from: Size, dst: Reg, src: Reg },
    /// `dst = -dst`
    Neg { width: Width, dst: Reg },
    /// `dst = order(low size of dst)`
    Endian { order: Endian, size: Size, dst: Reg },
    /// `dst = addr_space_cast(src, to, from)`
    AddrSpaceCast { dst: Reg, src: Reg, to: u16, from: u16 },
    /// `dst = *(size *)(base + off)`
    Load { size: Size, signed: bool, dst: Reg, base: Reg, off: i16 },
    /// `r0 = packet[index + imm]` (legacy)
    LoadPacket { size: Size, index: Option<Reg>, imm: i32 },
    /// `*(size *)(base + off) = src`
    Store { size: Size, base: Reg, off: i16, src: Operand },
    /// `*(size *)(base + off) op= reg`; for [`AtomicOp::LoadAcquire`], `reg = *(size *)(base + off)`
    Atomic { size: Size, op: AtomicOp, base: Reg, off: i16, reg: Reg },
    /// `dst = imm64`; the value is in the two slots, see [`super::Imm64::from_pair`]
    LoadImm64 { dst: Reg },
    /// `goto pc+off`
    Jump { off: i32 },
    /// `goto *dst`
    JumpIndirect { dst: Reg },
    /// `if dst op src goto pc+off`
    Branch { width: Width, op: JmpOp, dst: Reg, src: Operand, off: i16 },
    /// `may_goto pc+off`
    MayGoto { off: i16 },
    /// `call helper#id`
    CallHelper { id: u32 },
    /// `call pc+imm`
    CallRel { imm: i32 },
    /// `call` of a kernel function
    CallKfunc { btf_id: u32, fd_idx: i16 },
    /// `exit`
    Exit,
}

impl Insn {
    /// What the instruction means.
    ///
    /// Reserved fields must be zero, as the kernel demands at load. A program read back from the kernel may
    /// hold internal forms that are undefined here; the disassembler prints them from the raw fields.
    ///
    /// # Errors
    /// [`Error::Undefined`] for an encoding that no instruction has.
    pub fn kind(&self) -> Result<Op, Error> {
        let op = match self.class() {
            opcode::LD => self.kind_ld(),
            opcode::LDX => self.kind_ldx(),
            opcode::ST => self.kind_st(),
            opcode::STX => self.kind_stx(),
            opcode::ALU => self.kind_alu(Width::W32),
            opcode::ALU64 => self.kind_alu(Width::W64),
            opcode::JMP => self.kind_jmp(Width::W64),
            _ => self.kind_jmp(Width::W32),
        };
        op.ok_or(Error::Undefined(*self))
    }

    fn dst_reg(&self) -> Option<Reg> {
        Reg::new(self.dst)
    }

    fn src_reg(&self) -> Option<Reg> {
        Reg::new(self.src)
    }

    /// The second operand of an arithmetic or jump instruction, if the field that does not hold it is zero.
    fn operand(&self) -> Option<Operand> {
        if self.code & opcode::X != 0 {
            (self.imm == 0).then_some(Operand::Reg(self.src_reg()?))
        } else {
            (self.src == 0).then_some(Operand::Imm(self.imm))
        }
    }

    fn kind_ld(&self) -> Option<Op> {
        let size = Size::from_code(self.code);
        if self.is_ld_imm64() {
            let known = self.src <= opcode::PSEUDO_MAP_IDX_VALUE && self.off == 0;
            return known.then_some(Op::LoadImm64 { dst: self.dst_reg()? });
        }
        if self.dst != 0 || self.off != 0 || size == Size::DW {
            return None;
        }
        match self.code & opcode::MODE_MASK {
            opcode::ABS if self.src == 0 => Some(Op::LoadPacket { size, index: None, imm: self.imm }),
            opcode::IND => Some(Op::LoadPacket { size, index: Some(self.src_reg()?), imm: self.imm }),
            _ => None,
        }
    }

    fn kind_ldx(&self) -> Option<Op> {
        let size = Size::from_code(self.code);
        let signed = match self.code & opcode::MODE_MASK {
            opcode::MEM => false,
            opcode::MEMSX if size != Size::DW => true,
            _ => return None,
        };
        let (dst, base) = (self.dst_reg()?, self.src_reg()?);
        (self.imm == 0).then_some(Op::Load { size, signed, dst, base, off: self.off })
    }

    fn kind_st(&self) -> Option<Op> {
        if self.code & opcode::MODE_MASK != opcode::MEM || self.src != 0 {
            return None;
        }
        let size = Size::from_code(self.code);
        Some(Op::Store { size, base: self.dst_reg()?, off: self.off, src: Operand::Imm(self.imm) })
    }

    fn kind_stx(&self) -> Option<Op> {
        let size = Size::from_code(self.code);
        let (dst, src, off) = (self.dst_reg()?, self.src_reg()?, self.off);
        match self.code & opcode::MODE_MASK {
            opcode::MEM if self.imm == 0 => Some(Op::Store { size, base: dst, off, src: Operand::Reg(src) }),
            opcode::ATOMIC => {
                let op = AtomicOp::from_imm(self.imm).filter(|op| op.allows(size))?;
                let (base, reg) = if op == AtomicOp::LoadAcquire { (src, dst) } else { (dst, src) };
                Some(Op::Atomic { size, op, base, off, reg })
            }
            _ => None,
        }
    }

    fn kind_alu(&self, width: Width) -> Option<Op> {
        let dst = self.dst_reg()?;
        match self.code & opcode::OP_MASK {
            opcode::NEG => {
                let plain = self.code & opcode::X == 0 && self.src == 0 && self.off == 0 && self.imm == 0;
                plain.then_some(Op::Neg { width, dst })
            }
            opcode::END => self.kind_endian(width, dst),
            opcode::MOV if self.code & opcode::X != 0 && self.off != 0 => self.kind_mov(width, dst),
            _ => {
                let op = AluOp::from_code(self.code, self.off)?;
                let src = self.operand()?;
                let shift = matches!(op, AluOp::Lsh | AluOp::Rsh | AluOp::Arsh);
                let bits = if width == Width::W32 { 32 } else { 64 };
                match src {
                    // The kernel refuses constants that cannot be meant.
                    Operand::Imm(count) if shift && !(0..bits).contains(&count) => None,
                    Operand::Imm(0) if matches!(op, AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod) => {
                        None
                    }
                    _ => Some(Op::Alu { width, op, dst, src }),
                }
            }
        }
    }

    fn kind_endian(&self, width: Width, dst: Reg) -> Option<Op> {
        let order = match (width, self.code & opcode::X != 0) {
            (Width::W32, false) => Endian::Le,
            (Width::W32, true) => Endian::Be,
            (Width::W64, false) => Endian::Bswap,
            (Width::W64, true) => return None,
        };
        let size = match self.imm {
            16 => Size::H,
            32 => Size::W,
            64 => Size::DW,
            _ => return None,
        };
        (self.src == 0 && self.off == 0).then_some(Op::Endian { order, size, dst })
    }

    /// Register moves whose offset modifies them.
    fn kind_mov(&self, width: Width, dst: Reg) -> Option<Op> {
        let src = self.src_reg()?;
        let from = match (self.off, width) {
            (8, _) => Size::B,
            (16, _) => Size::H,
            (32, Width::W64) => Size::W,
            (opcode::ADDR_SPACE_CAST, Width::W64) => {
                let spaces = self.imm as u32;
                return Some(Op::AddrSpaceCast { dst, src, to: (spaces >> 16) as u16, from: spaces as u16 });
            }
            _ => return None,
        };
        (self.imm == 0).then_some(Op::MovSx { width, from, dst, src })
    }

    fn kind_jmp(&self, width: Width) -> Option<Op> {
        let Self { dst, src, off, imm, .. } = *self;
        if let Some(op) = JmpOp::from_code(self.code) {
            return Some(Op::Branch { width, op, dst: self.dst_reg()?, src: self.operand()?, off });
        }
        let by_register = self.code & opcode::X != 0;
        match (self.code & opcode::OP_MASK, width, by_register) {
            (opcode::JA, Width::W64, false) if (dst, src, imm) == (0, 0, 0) => {
                Some(Op::Jump { off: off.into() })
            }
            (opcode::JA, Width::W32, false) if (dst, src, off) == (0, 0, 0) => Some(Op::Jump { off: imm }),
            (opcode::JA, Width::W64, true) if (src, off, imm) == (0, 0, 0) => {
                Some(Op::JumpIndirect { dst: self.dst_reg()? })
            }
            (opcode::JCOND, Width::W64, false) if (dst, src, imm) == (0, 0, 0) => Some(Op::MayGoto { off }),
            (opcode::CALL, Width::W64, false) if dst == 0 => match (src, off) {
                (0, 0) => Some(Op::CallHelper { id: imm as u32 }),
                (opcode::PSEUDO_CALL, 0) => Some(Op::CallRel { imm }),
                (opcode::PSEUDO_KFUNC_CALL, _) => Some(Op::CallKfunc { btf_id: imm as u32, fd_idx: off }),
                _ => None,
            },
            (opcode::EXIT, Width::W64, false) if (dst, src, off, imm) == (0, 0, 0, 0) => Some(Op::Exit),
            _ => None,
        }
    }
}

/// Walks a program instruction by instruction, stepping over the second slots of 64-bit immediate loads.
///
/// Yields the slot index, the instruction, and for a 64-bit load its second slot (`None` if the program ends
/// before it).
pub fn walk(insns: &[Insn]) -> impl Iterator<Item = (usize, Insn, Option<Insn>)> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let at = next;
        let insn = *insns.get(at)?;
        next += insn.slots();
        let second = if insn.is_ld_imm64() { insns.get(at + 1).copied() } else { None };
        Some((at, insn, second))
    })
}
