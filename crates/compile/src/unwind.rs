//! The tables by which programs unwind stacks, as their maps hold them: written by the runtime, read by the code of
//! `lower/unwind.rs`.
//!
//! - `unwind_ranges`, a trie: a process and the leading bits of an address lead to a [`Range`]. A process that is known
//!   at all has an entry for the whole of its addresses, whose range is empty.
//! - `unwind_rows`, an array of arrays (banks): the rows of a file lie together in one of them, in order.
//! - `unwind_rules`, an array: a row numbers its [`Rule`]; number 0 is [`Kind::Unknown`].
//!
//! Registers have the numbers of the places in the kernel's `struct pt_regs`. All of that is x86-64; so are the
//! places, and how `struct pt_regs` lies on a thread's kernel stack.

/// Registers that a function saves for its caller, r15, r14, r13, r12, rbp and rbx: the first of `struct pt_regs`.
pub const SAVED: usize = 6;

/// rbp.
pub const FRAME_POINTER: u8 = 4;

/// The instruction pointer.
pub const INSTRUCTION_POINTER: u8 = 16;

/// The code segment, whose lowest two bits are not 0 while a process itself runs.
pub const CODE_SEGMENT: u8 = 17;

/// The stack pointer.
pub const STACK_POINTER: u8 = 19;

/// Registers in `struct pt_regs`.
pub const REGISTERS: u32 = 21;

/// Bytes of the kernel stack of a thread, at whose end its `struct pt_regs` lies.
pub const KERNEL_STACK: u32 = 16 << 10;

/// Where in `struct pt_regs` the register is that DWARF gives a number.
pub fn register(dwarf: u16) -> Option<u8> {
    const OF_DWARF: [u8; 17] = [10, 12, 11, 5, 13, 14, 4, STACK_POINTER, 9, 8, 7, 6, 3, 2, 1, 0, 16];
    OF_DWARF.get(usize::from(dwarf)).copied()
}

/// Bytes of a key of `unwind_ranges`.
pub const RANGE_KEY: u32 = 16;

/// A key of `unwind_ranges`: so many leading bits of an address of a process.
pub fn range_key(pid: u32, address: u64, bits: u32) -> [u8; RANGE_KEY as usize] {
    let mut key = [0; RANGE_KEY as usize];
    key[..4].copy_from_slice(&(32 + bits).to_le_bytes());
    key[4..8].copy_from_slice(&pid.to_le_bytes());
    // The trie compares the highest bits first.
    key[8..].copy_from_slice(&address.to_be_bytes());
    key
}

/// Code that a process has mapped, and where the rows for it are. Without rows it has no tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub start: u64,
    /// Address behind the last byte.
    pub end: u64,
    /// What an address has to lose to be one of the rows'.
    pub bias: u64,
    /// Which bank.
    pub bank: u32,
    /// Index of the first row in the bank.
    pub first: u32,
    /// How many rows there are.
    pub rows: u32,
}

impl Range {
    /// Bytes of a value of `unwind_ranges`.
    pub const SIZE: u32 = 40;

    /// As the map holds it.
    pub fn encode(&self) -> [u8; Self::SIZE as usize] {
        let mut bytes = [0; Self::SIZE as usize];
        for (at, word) in [self.start, self.end, self.bias].into_iter().enumerate() {
            bytes[8 * at..][..8].copy_from_slice(&word.to_le_bytes());
        }
        for (at, half) in [self.bank, self.first, self.rows].into_iter().enumerate() {
            bytes[24 + 4 * at..][..4].copy_from_slice(&half.to_le_bytes());
        }
        bytes
    }
}

/// Bytes of a row: where it begins, less the bias, and the number of its rule, 32 bits each.
pub const ROW: u32 = 8;

/// The most banks there can be.
pub const BANKS: u32 = 1024;

/// The most rules there can be.
pub const RULES: u32 = 1 << 16;

/// The most ranges, each of which takes a few entries.
pub const RANGES: u32 = 1 << 20;

/// What a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Nobody knows; the frame pointer is tried.
    Unknown,
    /// The outermost function.
    End,
    /// The frame address is a register and [`Rule::cfa_offset`].
    Register,
    /// The frame address is in memory there.
    Memory,
}

/// How to get from a function to its caller: what is kept for the caller is read at once, as a window of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it is.
    pub kind: Kind,
    /// The register that the frame address is counted from.
    pub cfa_register: u8,
    /// What is added to it.
    pub cfa_offset: i32,
    /// The register that the window is counted from, or [`Rule::FROM_CFA`].
    pub window_register: u8,
    /// What is added to it.
    pub window_offset: i32,
    /// Bytes of the window, at most [`Rule::LARGEST_WINDOW`].
    pub window: u8,
    /// The word of the window in which each of the [`SAVED`] registers is, or [`Rule::NONE`] where it is as it was.
    pub saved: [u8; SAVED],
    /// That of the return address, or [`Rule::NONE`] if it is not in the window: right below the frame address.
    pub return_address: u8,
    /// Whether the function was interrupted rather than called something.
    pub interrupted: bool,
}

impl Rule {
    /// Bytes of a value of `unwind_rules`.
    pub const SIZE: u32 = 24;

    /// See [`Rule::window_register`].
    pub const FROM_CFA: u8 = 0xff;

    /// See [`Rule::saved`].
    pub const NONE: u8 = 0xff;

    /// In bytes: 15 words.
    pub const LARGEST_WINDOW: u8 = 120;

    /// A rule that is nothing but its kind.
    pub fn bare(kind: Kind) -> Rule {
        Rule {
            kind,
            cfa_register: 0,
            cfa_offset: 0,
            window_register: Self::FROM_CFA,
            window_offset: 0,
            window: 0,
            saved: [Self::NONE; SAVED],
            return_address: Self::NONE,
            interrupted: false,
        }
    }

    /// As the map holds it.
    pub fn encode(&self) -> [u8; Self::SIZE as usize] {
        let mut bytes = [0; Self::SIZE as usize];
        bytes[..4].copy_from_slice(&[
            self.kind as u8,
            self.cfa_register,
            self.window_register,
            self.window.min(Self::LARGEST_WINDOW),
        ]);
        bytes[4..8].copy_from_slice(&self.cfa_offset.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.window_offset.to_le_bytes());
        bytes[12..12 + SAVED].copy_from_slice(&self.saved);
        bytes[18] = self.return_address;
        bytes[19] = self.interrupted.into();
        bytes
    }
}
