//! The BPF instruction set as data: encode, decode, disassemble, helper table, test interpreter.
//!
//! Nothing here touches the kernel. The layers, each using only those above it:
//!
//! - [`insn`]: one instruction, its eight bytes, constructors, and the decoded view [`insn::Op`]
//! - [`helpers`]: the kernel's helper functions
//!
//! Byte order: programs are encoded little-endian, the order of every machine the product runs on.

pub mod helpers;
pub mod insn;

pub use insn::{
    AluOp, AtomicOp, Endian, Error, Imm64, Insn, JmpOp, Op, Operand, Reg, Size, Width, decode_all, encode_all,
};
