//! What can be wrong with a program as data.

use crate::Insn;

/// Why bytes, an instruction or a program cannot be read as BPF.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// The byte string is not a whole number of instructions.
    #[error("a program of {0} bytes is not a whole number of 8-byte instructions; is it truncated?")]
    Length(usize),
    /// No instruction of this encoding is defined.
    #[error(
        "undefined instruction: code {:#04x}, dst {}, src {}, off {}, imm {:#x}",
        .0.code, .0.dst, .0.src, .0.off, .0.imm
    )]
    Undefined(Insn),
    /// A 64-bit immediate load that is the last instruction, or whose next slot is not its second half.
    #[error("the 64-bit load of r{} is not followed by its second half", .0.dst)]
    HalfLoad(Insn),
    /// A jump leaves its function or lands inside a 64-bit load.
    #[error("the jump at instruction {at} goes to {to}, which is no instruction of its function")]
    JumpTarget {
        /// Slot of the jump.
        at: usize,
        /// Slot it would go to.
        to: i64,
    },
    /// A call or function reference points outside the program or inside a 64-bit load.
    #[error("instruction {at} refers to a function at {to}, which is no instruction of the program")]
    FunctionTarget {
        /// Slot of the call or load.
        at: usize,
        /// Slot it refers to.
        to: i64,
    },
    /// Control runs past the end of a function.
    #[error("instruction {at} is the last of its function but neither exit nor an unconditional jump")]
    FallsOff {
        /// Slot of the function's last instruction.
        at: usize,
    },
}
