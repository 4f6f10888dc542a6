//! The registers of x86-64 as `struct pt_regs` keeps them, and which of them the kernel's calling convention passes
//! arguments and results in.

/// As messages call it.
pub const ARCHITECTURE: &str = "x86_64";

/// Byte offsets of the registers that the first six arguments are passed in.
pub const ARGUMENTS: [u32; 6] = [112, 104, 96, 88, 72, 64];

/// Where an argument is when its function is entered. Registers go by their byte offsets in the structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// In a register.
    Register(u32),
    /// In two registers, the lower half first.
    Pair(u32, u32),
    /// In memory, so many bytes above the stack pointer.
    Stack(u32),
}

/// Places for one argument after the other, of functions without floating-point numbers, as those of the kernel are.
#[derive(Debug, Default)]
pub struct Arguments {
    registers: usize,
    on_stack: u32,
}

impl Arguments {
    /// The place of the next argument, of so many bytes. What does not fit the registers that are left goes to the stack
    /// as a whole, and leaves them to those that come after it.
    pub fn next(&mut self, size: u32) -> Argument {
        let left = ARGUMENTS.get(self.registers..).unwrap_or_default();
        match (size, left) {
            (0..=8, [only, ..]) => {
                self.registers += 1;
                Argument::Register(*only)
            }
            (9..=16, [low, high, ..]) => {
                self.registers += 2;
                Argument::Pair(*low, *high)
            }
            _ => {
                // The return address lies below the first one.
                let above = self.on_stack.saturating_add(8);
                self.on_stack = self.on_stack.saturating_add(size.next_multiple_of(8).max(8));
                Argument::Stack(above)
            }
        }
    }
}

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
    fn arguments_that_find_no_register_are_on_the_stack() {
        use Argument::{Pair, Register, Stack};
        let mut places = Arguments::default();
        let sizes = [8, 4, 1, 24, 8, 8, 16, 8, 8, 12];
        let [di, si, dx, cx, r8, r9] = ARGUMENTS;
        let found = sizes.map(|size| places.next(size));
        assert_eq!(
            found[..7],
            [Register(di), Register(si), Register(dx), Stack(8), Register(cx), Register(r8), Stack(32)]
        );
        assert_eq!(found[7..], [Register(r9), Stack(48), Stack(56)]);
        assert_eq!([16, 8].map(|size| Arguments::default().next(size)), [Pair(di, si), Register(di)]);
    }

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
