//! One BPF instruction: eight bytes, the constructors that write them, the decoded view that reads them.
//!
//! [`Insn`] is the raw form with the kernel's own fields; it can hold any eight bytes. [`Op`], from
//! [`Insn::kind`], is the meaning, and exists for defined encodings only. The encoding follows RFC 9669
//! with the later additions of Linux (load-acquire, store-release, `may_goto`, `gotox`).

mod build;
mod kind;
pub mod opcode;
mod ops;

use serde::{Deserialize, Serialize};

use crate::Error;

pub use kind::{Op, Operand, walk};
pub use ops::{AluOp, AtomicOp, Endian, Imm64, JmpOp, Reg, Size, Width};

/// One instruction as the kernel's `struct bpf_insn` holds it.
///
/// `dst` and `src` are four bits wide in the encoding; the upper bits of these fields are ignored by
/// [`Insn::to_bytes`]. The all-zero value is the second half of a 64-bit load of a small constant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Insn {
    /// Operation code: class in the low three bits, the rest by class (see [`opcode`]).
    pub code: u8,
    /// Destination register number, 0..=15 (a defined program uses 0..=10).
    pub dst: u8,
    /// Source register number, or a marker such as [`opcode::PSEUDO_MAP_FD`].
    pub src: u8,
    /// Signed offset: of a memory access in bytes, of a jump in instructions; a modifier for some ALU codes.
    pub off: i16,
    /// Signed immediate.
    pub imm: i32,
}

impl Insn {
    /// The size of an encoded instruction in bytes.
    pub const SIZE: usize = 8;

    /// Encodes the instruction, little-endian.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::SIZE] {
        let [o0, o1] = self.off.to_le_bytes();
        let [i0, i1, i2, i3] = self.imm.to_le_bytes();
        [self.code, (self.src & 0xf) << 4 | (self.dst & 0xf), o0, o1, i0, i1, i2, i3]
    }

    /// Decodes the instruction, little-endian. Every eight bytes are some instruction, if not a defined one.
    #[must_use]
    pub const fn from_bytes(b: [u8; Self::SIZE]) -> Self {
        Self {
            code: b[0],
            dst: b[1] & 0xf,
            src: b[1] >> 4,
            off: i16::from_le_bytes([b[2], b[3]]),
            imm: i32::from_le_bytes([b[4], b[5], b[6], b[7]]),
        }
    }

    /// The instruction's class, one of [`opcode::LD`] to [`opcode::ALU64`].
    #[must_use]
    pub const fn class(&self) -> u8 {
        self.code & opcode::CLASS_MASK
    }

    /// Whether this is the first half of a 64-bit immediate load, which occupies two slots.
    #[must_use]
    pub const fn is_ld_imm64(&self) -> bool {
        self.code == opcode::LD_IMM64
    }

    /// How many 8-byte slots the instruction that starts here occupies: 1 or 2.
    #[must_use]
    pub const fn slots(&self) -> usize {
        if self.is_ld_imm64() { 2 } else { 1 }
    }
}

/// Encodes a program to the bytes `BPF_PROG_LOAD` takes.
#[must_use]
pub fn encode_all(insns: &[Insn]) -> Vec<u8> {
    insns.iter().flat_map(|insn| insn.to_bytes()).collect()
}

/// Splits a program's bytes into instructions.
///
/// # Errors
/// [`Error::Length`] when the length is not a multiple of eight. Undefined instructions are not an error
/// here; [`Insn::kind`] finds them.
pub fn decode_all(bytes: &[u8]) -> Result<Vec<Insn>, Error> {
    let (chunks, rest) = bytes.as_chunks::<{ Insn::SIZE }>();
    if !rest.is_empty() {
        return Err(Error::Length(bytes.len()));
    }
    Ok(chunks.iter().copied().map(Insn::from_bytes).collect())
}

#[cfg(test)]
mod tests;
