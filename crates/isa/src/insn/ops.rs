//! The vocabulary of instructions: registers, widths, operators, 64-bit immediates.

use super::{Insn, opcode};
use crate::Error;
use std::fmt;

/// A BPF register, r0 to r10.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg(u8);

impl Reg {
    /// The return value of calls and of the program.
    pub const R0: Self = Self(0);
    /// First argument.
    pub const R1: Self = Self(1);
    /// Second argument.
    pub const R2: Self = Self(2);
    /// Third argument.
    pub const R3: Self = Self(3);
    /// Fourth argument.
    pub const R4: Self = Self(4);
    /// Fifth argument.
    pub const R5: Self = Self(5);
    /// First register that survives calls.
    pub const R6: Self = Self(6);
    /// Second register that survives calls.
    pub const R7: Self = Self(7);
    /// Third register that survives calls.
    pub const R8: Self = Self(8);
    /// Fourth register that survives calls.
    pub const R9: Self = Self(9);
    /// The frame pointer, read-only: one past the highest byte of the stack frame.
    pub const R10: Self = Self(10);
    /// How many registers there are.
    pub const COUNT: usize = 11;

    /// The register of this number, if there is one.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if (number as usize) < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// The register's number, 0..=10.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The register's number as an index into an array of [`Reg::COUNT`] elements.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl fmt::Debug for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Width of an arithmetic operation or comparison. A 32-bit result is zero-extended into its register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Width {
    /// The low half of the registers.
    W32,
    /// The whole registers.
    W64,
}

impl Width {
    pub(super) const fn alu_class(self) -> u8 {
        match self {
            Self::W32 => opcode::ALU,
            Self::W64 => opcode::ALU64,
        }
    }

    pub(super) const fn jmp_class(self) -> u8 {
        match self {
            Self::W32 => opcode::JMP32,
            Self::W64 => opcode::JMP,
        }
    }
}

/// Size of a memory access.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Size {
    /// Byte.
    B,
    /// Half word, 2 bytes.
    H,
    /// Word, 4 bytes.
    W,
    /// Double word, 8 bytes.
    DW,
}

impl Size {
    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::B => 1,
            Self::H => 2,
            Self::W => 4,
            Self::DW => 8,
        }
    }

    /// The size in bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::B => 8,
            Self::H => 16,
            Self::W => 32,
            Self::DW => 64,
        }
    }

    /// The access size of this many bytes, if there is one.
    #[must_use]
    pub const fn from_bytes(bytes: usize) -> Option<Self> {
        match bytes {
            1 => Some(Self::B),
            2 => Some(Self::H),
            4 => Some(Self::W),
            8 => Some(Self::DW),
            _ => None,
        }
    }

    /// The size bits of an operation code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::W => 0x00,
            Self::H => 0x08,
            Self::B => 0x10,
            Self::DW => 0x18,
        }
    }

    /// Reads the size bits of an operation code.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code & opcode::SIZE_MASK {
            0x00 => Self::W,
            0x08 => Self::H,
            0x10 => Self::B,
            _ => Self::DW,
        }
    }
}

/// A two-operand arithmetic operation: `dst = dst op src`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AluOp {
    /// Addition, wrapping.
    Add,
    /// Subtraction, wrapping.
    Sub,
    /// Multiplication, wrapping.
    Mul,
    /// Unsigned division; by zero gives 0.
    Div,
    /// Signed division; by zero gives 0 (cpu v4).
    SDiv,
    /// Bitwise or.
    Or,
    /// Bitwise and.
    And,
    /// Shift left; the count is taken modulo the width.
    Lsh,
    /// Logical shift right.
    Rsh,
    /// Unsigned remainder; by zero leaves the destination.
    Mod,
    /// Signed remainder; by zero leaves the destination (cpu v4).
    SMod,
    /// Bitwise exclusive or.
    Xor,
    /// Move.
    Mov,
    /// Arithmetic shift right.
    Arsh,
}

impl AluOp {
    /// Every operation.
    pub const ALL: [Self; 14] = [
        Self::Add,
        Self::Sub,
        Self::Mul,
        Self::Div,
        Self::SDiv,
        Self::Or,
        Self::And,
        Self::Lsh,
        Self::Rsh,
        Self::Mod,
        Self::SMod,
        Self::Xor,
        Self::Mov,
        Self::Arsh,
    ];

    /// The operation bits of the code, and the offset that tells signed from unsigned.
    #[must_use]
    pub const fn code(self) -> (u8, i16) {
        match self {
            Self::Add => (0x00, 0),
            Self::Sub => (0x10, 0),
            Self::Mul => (0x20, 0),
            Self::Div => (0x30, 0),
            Self::SDiv => (0x30, 1),
            Self::Or => (0x40, 0),
            Self::And => (0x50, 0),
            Self::Lsh => (0x60, 0),
            Self::Rsh => (0x70, 0),
            Self::Mod => (0x90, 0),
            Self::SMod => (0x90, 1),
            Self::Xor => (0xa0, 0),
            Self::Mov => (opcode::MOV, 0),
            Self::Arsh => (0xc0, 0),
        }
    }

    /// Reads the operation bits of `code` and the offset; `None` if they define no such operation.
    #[must_use]
    pub fn from_code(code: u8, off: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.code() == (code & opcode::OP_MASK, off))
    }
}

/// The comparison of a conditional jump: jump if `dst op src`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum JmpOp {
    /// Equal.
    Eq,
    /// Unsigned greater.
    Gt,
    /// Unsigned greater or equal.
    Ge,
    /// Any common bit set (`dst & src`).
    Set,
    /// Not equal.
    Ne,
    /// Signed greater.
    SGt,
    /// Signed greater or equal.
    SGe,
    /// Unsigned less.
    Lt,
    /// Unsigned less or equal.
    Le,
    /// Signed less.
    SLt,
    /// Signed less or equal.
    SLe,
}

impl JmpOp {
    /// Every comparison.
    pub const ALL: [Self; 11] = [
        Self::Eq,
        Self::Gt,
        Self::Ge,
        Self::Set,
        Self::Ne,
        Self::SGt,
        Self::SGe,
        Self::Lt,
        Self::Le,
        Self::SLt,
        Self::SLe,
    ];

    /// The operation bits of the code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Eq => 0x10,
            Self::Gt => 0x20,
            Self::Ge => 0x30,
            Self::Set => 0x40,
            Self::Ne => 0x50,
            Self::SGt => 0x60,
            Self::SGe => 0x70,
            Self::Lt => 0xa0,
            Self::Le => 0xb0,
            Self::SLt => 0xc0,
            Self::SLe => 0xd0,
        }
    }

    /// Reads the operation bits of `code`; `None` if they are no comparison.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.code() == code & opcode::OP_MASK)
    }

    /// The comparison that holds exactly when this one does not; [`JmpOp::Set`] has none.
    #[must_use]
    pub const fn negate(self) -> Option<Self> {
        Some(match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Gt => Self::Le,
            Self::Le => Self::Gt,
            Self::Ge => Self::Lt,
            Self::Lt => Self::Ge,
            Self::SGt => Self::SLe,
            Self::SLe => Self::SGt,
            Self::SGe => Self::SLt,
            Self::SLt => Self::SGe,
            Self::Set => return None,
        })
    }

    /// The comparison that says the same with its operands exchanged.
    #[must_use]
    pub const fn swap(self) -> Self {
        match self {
            Self::Gt => Self::Lt,
            Self::Lt => Self::Gt,
            Self::Ge => Self::Le,
            Self::Le => Self::Ge,
            Self::SGt => Self::SLt,
            Self::SLt => Self::SGt,
            Self::SGe => Self::SLe,
            Self::SLe => Self::SGe,
            Self::Eq | Self::Ne | Self::Set => self,
        }
    }
}

/// An atomic memory operation on `*(base + off)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AtomicOp {
    /// Add; with `fetch`, the source register receives the old value.
    Add {
        /// Whether the old value is returned.
        fetch: bool,
    },
    /// Bitwise or.
    Or {
        /// Whether the old value is returned.
        fetch: bool,
    },
    /// Bitwise and.
    And {
        /// Whether the old value is returned.
        fetch: bool,
    },
    /// Bitwise exclusive or.
    Xor {
        /// Whether the old value is returned.
        fetch: bool,
    },
    /// Exchange: the source register receives the old value.
    Xchg,
    /// If memory equals r0, store the source register; r0 receives the old value either way.
    CmpXchg,
    /// Load with acquire ordering into the destination register; here the source register is the base.
    LoadAcquire,
    /// Store the source register with release ordering.
    StoreRelease,
}

impl AtomicOp {
    /// Every operation.
    pub const ALL: [Self; 12] = [
        Self::Add { fetch: false },
        Self::Add { fetch: true },
        Self::Or { fetch: false },
        Self::Or { fetch: true },
        Self::And { fetch: false },
        Self::And { fetch: true },
        Self::Xor { fetch: false },
        Self::Xor { fetch: true },
        Self::Xchg,
        Self::CmpXchg,
        Self::LoadAcquire,
        Self::StoreRelease,
    ];

    /// The immediate that encodes the operation.
    #[must_use]
    pub const fn imm(self) -> i32 {
        let (base, fetch) = match self {
            Self::Add { fetch } => (0x00, fetch),
            Self::Or { fetch } => (0x40, fetch),
            Self::And { fetch } => (0x50, fetch),
            Self::Xor { fetch } => (0xa0, fetch),
            Self::Xchg => (opcode::XCHG, false),
            Self::CmpXchg => (opcode::CMPXCHG, false),
            Self::LoadAcquire => (opcode::LOAD_ACQ, false),
            Self::StoreRelease => (opcode::STORE_REL, false),
        };
        if fetch { base | opcode::FETCH } else { base }
    }

    /// Reads the immediate of an atomic instruction; `None` if it defines no operation.
    #[must_use]
    pub fn from_imm(imm: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.imm() == imm)
    }

    /// Whether the operation exists at this size: read-modify-write needs 4 or 8 bytes, the others any.
    #[must_use]
    pub const fn allows(self, size: Size) -> bool {
        matches!(self, Self::LoadAcquire | Self::StoreRelease) || matches!(size, Size::W | Size::DW)
    }
}

/// A byte order conversion of the low bits of a register; the bits above become zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Endian {
    /// Between host order and little-endian: only truncates on a little-endian machine.
    Le,
    /// Between host order and big-endian.
    Be,
    /// Unconditional swap (cpu v4).
    Bswap,
}

/// What a two-slot immediate load puts into its register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Imm64 {
    /// A constant.
    Value(u64),
    /// A map, by file descriptor (by map id in a program read back from the kernel).
    MapFd(i32),
    /// The address `off` bytes into the value of a map with one element.
    MapValue {
        /// The map's file descriptor (its id in a program read back).
        fd: i32,
        /// Bytes into the value.
        off: u32,
    },
    /// The address of a kernel variable.
    BtfId {
        /// The BTF id of the variable.
        id: u32,
        /// File descriptor of the module's BTF, 0 for the kernel's own.
        btf_fd: i32,
    },
    /// The address of a function of this program: the one that starts at slot `index + 1 + rel`, where
    /// `index` is the load's first slot.
    Func(i32),
    /// A map, by its index in the `fd_array` of the load.
    MapIdx(i32),
    /// The address `off` bytes into the value of a map given by index.
    MapIdxValue {
        /// Index in `fd_array`.
        idx: i32,
        /// Bytes into the value.
        off: u32,
    },
}

impl Imm64 {
    /// The `src` marker and the two immediates.
    #[must_use]
    pub const fn encode(self) -> (u8, i32, i32) {
        match self {
            Self::Value(v) => (0, v as u32 as i32, (v >> 32) as u32 as i32),
            Self::MapFd(fd) => (opcode::PSEUDO_MAP_FD, fd, 0),
            Self::MapValue { fd, off } => (opcode::PSEUDO_MAP_VALUE, fd, off as i32),
            Self::BtfId { id, btf_fd } => (opcode::PSEUDO_BTF_ID, id as i32, btf_fd),
            Self::Func(rel) => (opcode::PSEUDO_FUNC, rel, 0),
            Self::MapIdx(idx) => (opcode::PSEUDO_MAP_IDX, idx, 0),
            Self::MapIdxValue { idx, off } => (opcode::PSEUDO_MAP_IDX_VALUE, idx, off as i32),
        }
    }

    /// Reads the two slots of a 64-bit immediate load.
    ///
    /// # Errors
    /// [`Error::Undefined`] when `first` is no such load or has an unknown marker, [`Error::HalfLoad`] when
    /// `second` is missing or not a second half.
    pub fn from_pair(first: Insn, second: Option<Insn>) -> Result<Self, Error> {
        if !first.is_ld_imm64() || first.off != 0 {
            return Err(Error::Undefined(first));
        }
        let second = second.ok_or(Error::HalfLoad(first))?;
        if (second.code, second.dst, second.src, second.off) != (0, 0, 0, 0) {
            return Err(Error::HalfLoad(first));
        }
        let (lo, hi) = (first.imm, second.imm);
        Ok(match (first.src, hi) {
            (0, _) => Self::Value(u64::from(hi as u32) << 32 | u64::from(lo as u32)),
            (opcode::PSEUDO_MAP_FD, 0) => Self::MapFd(lo),
            (opcode::PSEUDO_MAP_VALUE, _) => Self::MapValue { fd: lo, off: hi as u32 },
            (opcode::PSEUDO_BTF_ID, _) => Self::BtfId { id: lo as u32, btf_fd: hi },
            // A program read back holds the function's number in the second half.
            (opcode::PSEUDO_FUNC, _) => Self::Func(lo),
            (opcode::PSEUDO_MAP_IDX, 0) => Self::MapIdx(lo),
            (opcode::PSEUDO_MAP_IDX_VALUE, _) => Self::MapIdxValue { idx: lo, off: hi as u32 },
            _ => return Err(Error::Undefined(first)),
        })
    }
}
