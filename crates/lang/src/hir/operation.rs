//! What builtins compute: operations that the language has no syntax for.
//!
//! A builtin that needs one has its name and its checks in `sema/builtins/` and its code in
//! `compile/src/lower/operation.rs`; whatever walks or prints expressions need not know it.

use crate::names::Table;

/// See [`super::ExprKind::Op`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A kernel helper. Arguments that fit a register are passed as they are, others by their address.
    Helper {
        /// Number in the kernel's table (`skep_isa::helpers`).
        id: u32,
        /// Whether the program's context comes before the arguments.
        with_context: bool,
    },
    /// The bytes of an integer in reverse order; of the integer's type.
    ByteSwap,
    /// `inet`: a family and an address, as 4 bytes in an integer or as 4 or 16 bytes in memory.
    Address,
    /// Characters in a text, without the NUL: `uint64`.
    TextLength,
    /// Whether the first bytes of two values differ, and how: the difference of the first two bytes that do.
    /// `int32`; the third argument is a constant number of bytes.
    Difference,
    /// Where in a text another begins, or [`NOT_FOUND`]: `int32`.
    Position,
    /// Two texts, one behind the other.
    Concatenation,
    /// The text with a number in a table; of the table's type.
    Lookup(Table),
    /// A kernel helper that takes the address of an object of the kernel's, whose type the verifier has to know: an
    /// argument of the probe, or a part of what one points to.
    OfObject {
        /// Number in the kernel's table.
        id: u32,
    },
    /// The path of a `struct path` of the kernel's, of which the same holds: a text.
    Path,
    /// The address of a variable of the kernel's that each CPU has its own of, null if there is no such CPU: the
    /// number of the variable's type, and the CPU if it is not the one that the probe runs on. `uint64`.
    PerCpuAddress,
    /// Process or thread id as the process that runs the script sees it: `uint32`.
    NamespaceId {
        /// Of the thread instead of the process.
        thread: bool,
    },
}

/// What [`Operation::Position`] gives for a text that is not there: the kernel's ENOENT.
pub const NOT_FOUND: i32 = -2;

impl Operation {
    /// Whether its result is written where it is wanted, having no place of its own.
    pub fn is_written(self) -> bool {
        matches!(self, Operation::Address)
    }

    /// Whether it does something besides giving a value.
    pub fn has_effects(self) -> bool {
        matches!(self, Operation::Helper { .. })
    }
}
