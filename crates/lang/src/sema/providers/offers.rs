//! What the builtins about a probe's context find there: registers, numbered arguments, the return value.

use crate::ty::Space;

/// What a kind of probe offers beside named fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offers {
    /// Whether the context begins with the registers (`struct pt_regs`), for `reg()`.
    pub registers: bool,
    /// Where `arg0`, `arg1`, … are.
    pub arguments: Arguments,
    /// Where `retval` is.
    pub return_value: ReturnValue,
    /// Whether the probe is in a function that has a name, for `func`.
    pub function: bool,
}

/// See [`Offers::arguments`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// There are none.
    Nowhere,
    /// In the registers that the calling convention passes them in, and the others on the stack of the program or the
    /// kernel.
    RegistersAndStack(Space),
    /// They are the context, 64 bits each.
    Words,
    /// Where the notes of the program say, for each place its own.
    Notes,
}

/// See [`Offers::return_value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnValue {
    /// There is none.
    Nowhere,
    /// In the register that the calling convention passes it in.
    Register,
    /// Behind the arguments, of the type that the function has.
    Typed,
    /// Behind the arguments, as 64 bits.
    LastWord,
}

impl Offers {
    /// None of it.
    pub const NOTHING: Offers = Offers {
        registers: false,
        arguments: Arguments::Nowhere,
        return_value: ReturnValue::Nowhere,
        function: false,
    };

    /// The registers of whatever was interrupted.
    pub const REGISTERS: Offers = Offers { registers: true, ..Offers::NOTHING };
}
