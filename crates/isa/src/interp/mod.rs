//! A checking interpreter of BPF bytecode: the reference that tests hold compilers and kernels against.
//!
//! It computes what the kernel's verified program would compute, and refuses with a [`Fault`] what the
//! verifier exists to refuse: reading a register or stack byte that was never written, memory accesses
//! outside an object, leaving a ring buffer record behind. Memory is simulated ([`Memory`]), so no program
//! can do harm. Maps and helpers come from an [`Env`]; [`TestEnv`] is a ready one.
//!
//! ```
//! use skep_isa::interp::{Interp, Memory, TestEnv};
//! use skep_isa::{AluOp, Insn, Reg};
//!
//! let program = [
//!     Insn::mov64_imm(Reg::R0, 40),
//!     Insn::alu64_imm(AluOp::Add, Reg::R0, 2),
//!     Insn::exit(),
//! ];
//! let result = Interp::new(&program).run(&[], &mut TestEnv::default(), &mut Memory::default());
//! assert_eq!(result, Ok(42));
//! ```

mod alu;
mod env;
mod exec;
mod maps;
mod memory;
mod probe;

pub use alu::{alu, compare};
pub use env::{Env, TestEnv};
pub use exec::Interp;
pub use maps::{Entry, Map, MapDef, MapKind};
pub use memory::{Memory, RegionKind};

use crate::{Error, Reg};

/// A fault and where it happened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("instruction {pc}: {fault}")]
pub struct Trap {
    /// Slot of the instruction.
    pub pc: usize,
    /// What went wrong.
    pub fault: Fault,
}

/// Why the interpreter refuses to go on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// An instruction that cannot be decoded.
    #[error(transparent)]
    Decode(#[from] Error),
    /// Control left the program.
    #[error("control left the program")]
    OutsideProgram,
    /// A register is read that holds nothing.
    #[error("{0} is read but was never written, or a call destroyed it")]
    UninitRegister(Reg),
    /// The frame pointer is written.
    #[error("r10 is read-only")]
    FramePointer,
    /// A memory byte is read that holds nothing.
    #[error("byte {offset} of the {kind} is read but was never written")]
    UninitMemory {
        /// What kind of object it is in.
        kind: RegionKind,
        /// The byte's offset from the object's start.
        offset: usize,
    },
    /// An address that belongs to no object, or to one that is gone.
    #[error("{len} bytes at {addr:#x} are in no live object")]
    NoObject {
        /// The address.
        addr: u64,
        /// Size of the access in bytes.
        len: usize,
    },
    /// An access that leaves its object.
    #[error("{len} bytes at offset {offset} are outside the {kind} of {size} bytes")]
    OutOfBounds {
        /// What kind of object it is.
        kind: RegionKind,
        /// Where the access starts, from the object's start.
        offset: i64,
        /// Size of the access in bytes.
        len: usize,
        /// Size of the object in bytes.
        size: usize,
    },
    /// An object that may not be accessed in this way.
    #[error("the program may not {access} the {kind}")]
    Forbidden {
        /// `read` or `write`.
        access: &'static str,
        /// What kind of object it is.
        kind: RegionKind,
    },
    /// The program ran longer than allowed.
    #[error("the limit of {0} steps is used up")]
    StepLimit(u64),
    /// More nested calls than the kernel allows.
    #[error("calls are nested deeper than {} frames", exec::MAX_FRAMES)]
    CallDepth,
    /// The environment has no such helper.
    #[error("helper {0} is not simulated")]
    UnknownHelper(u32),
    /// The environment has no such kernel function.
    #[error("kernel function {0} is not simulated")]
    UnknownKfunc(u32),
    /// An instruction or 64-bit immediate that the interpreter does not model.
    #[error("{0} is not simulated")]
    Unsupported(&'static str),
    /// A map argument that is no map, or one of the wrong kind.
    #[error("{0:#x} is not a map this helper works on")]
    BadMap(u64),
    /// A function pointer that leads to no function.
    #[error("{0:#x} is not a function of the program")]
    BadFunction(u64),
    /// A helper was called with an argument that the verifier would refuse.
    #[error("bad argument: {0}")]
    BadArgument(&'static str),
    /// The program ended with a ring buffer record neither submitted nor discarded.
    #[error("{0} ring buffer records were neither submitted nor discarded")]
    LeakedRecords(usize),
}

#[cfg(test)]
mod tests;
