//! The BPF instruction set as data: encode, decode, disassemble, helper table, test interpreter.
//!
//! Nothing here touches the kernel. The layers, each using only those above it:
//!
//! - [`insn`]: one instruction, its eight bytes, constructors, and the decoded view [`insn::Op`]
//! - [`helpers`], [`names`]: what the kernel calls its helpers, program types, map types, ...
//! - [`disasm`]: the text `bpftool prog dump xlated` prints
//! - [`mod@cfg`]: functions, basic blocks and edges of a program
//! - [`interp`]: a checking interpreter, the reference that tests compare against
//!
//! Byte order: programs are encoded little-endian, the order of every machine the product runs on.

pub mod cfg;
pub mod disasm;
mod error;
pub mod helpers;
pub mod insn;
pub mod interp;
pub mod names;

pub use error::Error;
pub use insn::{
    AluOp, AtomicOp, Endian, Imm64, Insn, JmpOp, Op, Operand, Reg, Size, Width, decode_all, encode_all,
};
