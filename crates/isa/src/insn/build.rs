//! Constructors: one per form of instruction. Operands stand in the order the disassembler prints them,
//! destination first.

use super::{AluOp, AtomicOp, Endian, Imm64, Insn, JmpOp, Operand, Reg, Size, Width, opcode};

impl Insn {
    /// `dst = dst op src` at a width given as a value; the named forms below are for fixed widths.
    #[must_use]
    pub fn alu(width: Width, op: AluOp, dst: Reg, src: Operand) -> Self {
        let (code, off) = op.code();
        Self { off, ..src.apply(width.alu_class() | code, dst) }
    }

    /// `dst = dst op imm`, 64 bits; the immediate is sign-extended.
    #[must_use]
    pub fn alu64_imm(op: AluOp, dst: Reg, imm: i32) -> Self {
        Self::alu(Width::W64, op, dst, Operand::Imm(imm))
    }

    /// `dst = dst op src`, 64 bits.
    #[must_use]
    pub fn alu64_reg(op: AluOp, dst: Reg, src: Reg) -> Self {
        Self::alu(Width::W64, op, dst, Operand::Reg(src))
    }

    /// `dst = dst op imm`, 32 bits, zero-extended.
    #[must_use]
    pub fn alu32_imm(op: AluOp, dst: Reg, imm: i32) -> Self {
        Self::alu(Width::W32, op, dst, Operand::Imm(imm))
    }

    /// `dst = dst op src`, 32 bits, zero-extended.
    #[must_use]
    pub fn alu32_reg(op: AluOp, dst: Reg, src: Reg) -> Self {
        Self::alu(Width::W32, op, dst, Operand::Reg(src))
    }

    /// `dst = imm`, sign-extended to 64 bits.
    #[must_use]
    pub fn mov64_imm(dst: Reg, imm: i32) -> Self {
        Self::alu64_imm(AluOp::Mov, dst, imm)
    }

    /// `dst = src`.
    #[must_use]
    pub fn mov64_reg(dst: Reg, src: Reg) -> Self {
        Self::alu64_reg(AluOp::Mov, dst, src)
    }

    /// `dst = imm`, zero-extended.
    #[must_use]
    pub fn mov32_imm(dst: Reg, imm: i32) -> Self {
        Self::alu32_imm(AluOp::Mov, dst, imm)
    }

    /// The low half of `src`, zero-extended.
    #[must_use]
    pub fn mov32_reg(dst: Reg, src: Reg) -> Self {
        Self::alu32_reg(AluOp::Mov, dst, src)
    }

    /// The low 1, 2 or 4 bytes of `src`, sign-extended to 64 bits (cpu v4). At [`Size::DW`] a plain move.
    #[must_use]
    pub fn movsx64(from: Size, dst: Reg, src: Reg) -> Self {
        let off = if from == Size::DW { 0 } else { from.bits() as i16 };
        Self { off, ..Self::mov64_reg(dst, src) }
    }

    /// The low 1 or 2 bytes of `src`, sign-extended to 32 bits and zero-extended to 64 (cpu v4). At larger
    /// sizes a plain 32-bit move.
    #[must_use]
    pub fn movsx32(from: Size, dst: Reg, src: Reg) -> Self {
        let off = if from >= Size::W { 0 } else { from.bits() as i16 };
        Self { off, ..Self::mov32_reg(dst, src) }
    }

    /// `dst = -dst`, 64 bits.
    #[must_use]
    pub fn neg64(dst: Reg) -> Self {
        Operand::Imm(0).apply(opcode::ALU64 | opcode::NEG, dst)
    }

    /// `dst = -dst`, 32 bits, zero-extended.
    #[must_use]
    pub fn neg32(dst: Reg) -> Self {
        Operand::Imm(0).apply(opcode::ALU | opcode::NEG, dst)
    }

    /// Converts the byte order of the low 2, 4 or 8 bytes of `dst`. A byte has no order: [`Size::B`] makes an
    /// undefined instruction.
    #[must_use]
    pub fn endian(order: Endian, size: Size, dst: Reg) -> Self {
        let code = match order {
            Endian::Le => opcode::ALU | opcode::END,
            Endian::Be => opcode::ALU | opcode::END | opcode::X,
            Endian::Bswap => opcode::ALU64 | opcode::END,
        };
        Self { code, dst: dst.number(), imm: size.bits() as i32, ..Self::default() }
    }

    /// `dst = *(size *)(src + off)`, zero-extended.
    #[must_use]
    pub fn load(size: Size, dst: Reg, src: Reg, off: i16) -> Self {
        Self {
            code: opcode::LDX | opcode::MEM | size.code(),
            dst: dst.number(),
            src: src.number(),
            off,
            imm: 0,
        }
    }

    /// `dst = *(size *)(src + off)`, sign-extended to 64 bits (cpu v4). At [`Size::DW`] a plain load.
    #[must_use]
    pub fn load_sx(size: Size, dst: Reg, src: Reg, off: i16) -> Self {
        let mode = if size == Size::DW { opcode::MEM } else { opcode::MEMSX };
        Self { code: opcode::LDX | mode | size.code(), ..Self::load(size, dst, src, off) }
    }

    /// `*(size *)(dst + off) = src`.
    #[must_use]
    pub fn store_reg(size: Size, dst: Reg, off: i16, src: Reg) -> Self {
        Self {
            code: opcode::STX | opcode::MEM | size.code(),
            dst: dst.number(),
            src: src.number(),
            off,
            imm: 0,
        }
    }

    /// `*(size *)(dst + off) = imm`; at eight bytes the immediate is sign-extended.
    #[must_use]
    pub fn store_imm(size: Size, dst: Reg, off: i16, imm: i32) -> Self {
        Self { code: opcode::ST | opcode::MEM | size.code(), dst: dst.number(), src: 0, off, imm }
    }

    /// An atomic operation. For all but [`AtomicOp::LoadAcquire`] memory is at `dst + off`; for that one it
    /// is at `src + off` and `dst` receives the value.
    #[must_use]
    pub fn atomic(size: Size, op: AtomicOp, dst: Reg, off: i16, src: Reg) -> Self {
        Self {
            code: opcode::STX | opcode::ATOMIC | size.code(),
            dst: dst.number(),
            src: src.number(),
            off,
            imm: op.imm(),
        }
    }

    /// `if dst op src goto off` at a width given as a value; `off` counts slots from the next instruction.
    #[must_use]
    pub fn jmp(width: Width, op: JmpOp, dst: Reg, src: Operand, off: i16) -> Self {
        Self { off, ..src.apply(width.jmp_class() | op.code(), dst) }
    }

    /// `if dst op imm goto off`, 64 bits; the immediate is sign-extended.
    #[must_use]
    pub fn jmp_imm(op: JmpOp, dst: Reg, imm: i32, off: i16) -> Self {
        Self::jmp(Width::W64, op, dst, Operand::Imm(imm), off)
    }

    /// `if dst op src goto off`, 64 bits.
    #[must_use]
    pub fn jmp_reg(op: JmpOp, dst: Reg, src: Reg, off: i16) -> Self {
        Self::jmp(Width::W64, op, dst, Operand::Reg(src), off)
    }

    /// `if dst op imm goto off` on the low halves.
    #[must_use]
    pub fn jmp32_imm(op: JmpOp, dst: Reg, imm: i32, off: i16) -> Self {
        Self::jmp(Width::W32, op, dst, Operand::Imm(imm), off)
    }

    /// `if dst op src goto off` on the low halves.
    #[must_use]
    pub fn jmp32_reg(op: JmpOp, dst: Reg, src: Reg, off: i16) -> Self {
        Self::jmp(Width::W32, op, dst, Operand::Reg(src), off)
    }

    /// `goto off`.
    #[must_use]
    pub fn ja(off: i16) -> Self {
        Self { code: opcode::JMP | opcode::JA, off, ..Self::default() }
    }

    /// `goto` with a 32-bit distance (cpu v4).
    #[must_use]
    pub fn gotol(imm: i32) -> Self {
        Self { code: opcode::JMP32 | opcode::JA, imm, ..Self::default() }
    }

    /// Jump to the instruction address held in a register, taken from an instruction array map (Linux 6.19).
    #[must_use]
    pub fn gotox(dst: Reg) -> Self {
        Self { code: opcode::JMP | opcode::JA | opcode::X, dst: dst.number(), ..Self::default() }
    }

    /// Jump that the kernel takes once a loop has run too long (Linux 6.9).
    #[must_use]
    pub fn may_goto(off: i16) -> Self {
        Self { code: opcode::JMP | opcode::JCOND, off, ..Self::default() }
    }

    /// Calls a helper by number (see [`crate::helpers::id`]).
    #[must_use]
    pub fn call_helper(id: u32) -> Self {
        Self { code: opcode::JMP | opcode::CALL, imm: id as i32, ..Self::default() }
    }

    /// Calls the function of this program that starts `imm` slots after the next instruction.
    #[must_use]
    pub fn call_rel(imm: i32) -> Self {
        Self { code: opcode::JMP | opcode::CALL, src: opcode::PSEUDO_CALL, imm, ..Self::default() }
    }

    /// Calls a kernel function by the BTF id of its declaration. `fd_idx` is the place of the module's BTF in
    /// the load's `fd_array`, 0 for the kernel itself.
    #[must_use]
    pub fn call_kfunc(btf_id: u32, fd_idx: i16) -> Self {
        Self {
            code: opcode::JMP | opcode::CALL,
            src: opcode::PSEUDO_KFUNC_CALL,
            off: fd_idx,
            imm: btf_id as i32,
            ..Self::default()
        }
    }

    /// Returns from the function with the value of r0.
    #[must_use]
    pub fn exit() -> Self {
        Self { code: opcode::JMP | opcode::EXIT, ..Self::default() }
    }

    /// `dst = imm`, 64 bits, in two slots.
    #[must_use]
    pub fn ld_imm64(dst: Reg, imm: Imm64) -> [Self; 2] {
        let (src, lo, hi) = imm.encode();
        let first = Self { code: opcode::LD_IMM64, dst: dst.number(), src, off: 0, imm: lo };
        [first, Self { imm: hi, ..Self::default() }]
    }

    /// Legacy packet load: `r0 = packet[imm]`, byte-swapped to host order.
    #[must_use]
    pub fn load_abs(size: Size, imm: i32) -> Self {
        Self { code: opcode::LD | opcode::ABS | size.code(), imm, ..Self::default() }
    }

    /// Legacy packet load: `r0 = packet[src + imm]`, byte-swapped to host order.
    #[must_use]
    pub fn load_ind(size: Size, src: Reg, imm: i32) -> Self {
        Self { code: opcode::LD | opcode::IND | size.code(), src: src.number(), imm, ..Self::default() }
    }

    /// `dst = src` cast between arena address spaces; `spaces` holds the target space in its upper half and
    /// the source space in its lower half.
    #[must_use]
    pub fn addr_space_cast(dst: Reg, src: Reg, spaces: u32) -> Self {
        Self { off: opcode::ADDR_SPACE_CAST, imm: spaces as i32, ..Self::mov64_reg(dst, src) }
    }
}

impl Operand {
    fn apply(self, code: u8, dst: Reg) -> Insn {
        let (x, src, imm) = match self {
            Self::Imm(imm) => (0, 0, imm),
            Self::Reg(src) => (opcode::X, src.number(), 0),
        };
        Insn { code: code | x, dst: dst.number(), src, off: 0, imm }
    }
}
