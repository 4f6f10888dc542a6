//! The registers of x86-64 as `struct pt_regs` keeps them, and which of them the kernel's calling convention passes
//! arguments and results in.

/// As messages call it.
pub const ARCHITECTURE: &str = "x86_64";

/// Byte offsets of the registers that the first six arguments are passed in.
pub const ARGUMENTS: [u32; 6] = [112, 104, 96, 88, 72, 64];

/// Byte offset of the register that a result is passed in.
pub const RETURN_VALUE: u32 = 80;

/// Byte offset of the instruction pointer: in a uprobe, the address of the instruction that it is at.
pub const INSTRUCTION_POINTER: u32 = 128;

/// Byte offset of the stack pointer.
pub const STACK_POINTER: u32 = 152;

/// In the order of the structure, 64 bits each, with their other names.
const REGISTERS: [(&str, &str); 21] = [
    ("r15", ""),
    ("r14", ""),
    ("r13", ""),
    ("r12", ""),
    ("bp", ""),
    ("bx", ""),
    ("r11", ""),
    ("r10", ""),
    ("r9", ""),
    ("r8", ""),
    ("ax", ""),
    ("cx", ""),
    ("dx", ""),
    ("si", ""),
    ("di", ""),
    ("orig_rax", ""),
    ("ip", "pc"),
    ("cs", ""),
    ("flags", ""),
    ("sp", ""),
    ("ss", ""),
];

/// Byte offset of a register in the structure.
pub fn offset(name: &str) -> Option<u32> {
    let at =
        REGISTERS.iter().position(|(known, other)| *known == name || !other.is_empty() && *other == name);
    at.and_then(|at| u32::try_from(at * 8).ok())
}

/// The names of all registers.
pub fn names() -> impl Iterator<Item = &'static str> {
    REGISTERS.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calling_convention_is_that_of_the_names() {
        let args = ["di", "si", "dx", "cx", "r8", "r9"];
        assert_eq!(args.map(offset), ARGUMENTS.map(Some));
        assert_eq!(offset("ax"), Some(RETURN_VALUE));
        assert_eq!(offset("sp"), Some(STACK_POINTER));
        assert_eq!(offset("ip"), Some(INSTRUCTION_POINTER));
        assert_eq!(
            (offset("ip"), offset("pc"), offset("ss"), offset("")),
            (Some(128), Some(128), Some(160), None)
        );
    }
}
