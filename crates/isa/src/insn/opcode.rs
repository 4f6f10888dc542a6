//! The numbers an operation code is made of, with the kernel's names (`BPF_` left out).

/// Mask of the class bits.
pub const CLASS_MASK: u8 = 0x07;
/// Class: non-standard loads (64-bit immediate, legacy packet access).
pub const LD: u8 = 0x00;
/// Class: load from memory into a register.
pub const LDX: u8 = 0x01;
/// Class: store an immediate to memory.
pub const ST: u8 = 0x02;
/// Class: store a register to memory, and the atomics.
pub const STX: u8 = 0x03;
/// Class: 32-bit arithmetic.
pub const ALU: u8 = 0x04;
/// Class: 64-bit comparison and jump, call, exit.
pub const JMP: u8 = 0x05;
/// Class: 32-bit comparison and jump.
pub const JMP32: u8 = 0x06;
/// Class: 64-bit arithmetic.
pub const ALU64: u8 = 0x07;

/// Mask of the size bits of a load or store.
pub const SIZE_MASK: u8 = 0x18;
/// Mask of the mode bits of a load or store.
pub const MODE_MASK: u8 = 0xe0;
/// Mode: 64-bit immediate.
pub const IMM: u8 = 0x00;
/// Mode: legacy packet access, absolute.
pub const ABS: u8 = 0x20;
/// Mode: legacy packet access, indirect.
pub const IND: u8 = 0x40;
/// Mode: ordinary memory.
pub const MEM: u8 = 0x60;
/// Mode: sign-extending load.
pub const MEMSX: u8 = 0x80;
/// Mode: atomic operation.
pub const ATOMIC: u8 = 0xc0;
/// Mode of an [`ST`] that the verifier inserts as a speculation barrier; not loadable.
pub const NOSPEC: u8 = 0xc0;

/// Mask of the operation bits of an arithmetic or jump instruction.
pub const OP_MASK: u8 = 0xf0;
/// Source bit of an arithmetic or jump instruction: the second operand is a register.
pub const X: u8 = 0x08;

/// ALU operation: negate.
pub const NEG: u8 = 0x80;
/// ALU operation: move.
pub const MOV: u8 = 0xb0;
/// ALU operation: byte order.
pub const END: u8 = 0xd0;
/// Jump operation: always.
pub const JA: u8 = 0x00;
/// Jump operation: call.
pub const CALL: u8 = 0x80;
/// Jump operation: return from the function.
pub const EXIT: u8 = 0x90;
/// Jump operation: conditional pseudo jump (`may_goto`).
pub const JCOND: u8 = 0xe0;

/// Whole code of the first half of a 64-bit immediate load.
pub const LD_IMM64: u8 = LD | IMM | 0x18;

/// `src` of a 64-bit load: a map's file descriptor.
pub const PSEUDO_MAP_FD: u8 = 1;
/// `src` of a 64-bit load: the address of a map's value.
pub const PSEUDO_MAP_VALUE: u8 = 2;
/// `src` of a 64-bit load: the address of a kernel variable.
pub const PSEUDO_BTF_ID: u8 = 3;
/// `src` of a 64-bit load: a function of this program.
pub const PSEUDO_FUNC: u8 = 4;
/// `src` of a 64-bit load: a map by its index in the load's `fd_array`.
pub const PSEUDO_MAP_IDX: u8 = 5;
/// `src` of a 64-bit load: the address of a map's value, the map by index.
pub const PSEUDO_MAP_IDX_VALUE: u8 = 6;

/// `src` of a call: a function of this program.
pub const PSEUDO_CALL: u8 = 1;
/// `src` of a call: a kernel function by BTF id.
pub const PSEUDO_KFUNC_CALL: u8 = 2;

/// Bit of an atomic's immediate: the old value is returned.
pub const FETCH: i32 = 0x01;
/// Atomic immediate: exchange.
pub const XCHG: i32 = 0xe0 | FETCH;
/// Atomic immediate: compare with r0 and exchange.
pub const CMPXCHG: i32 = 0xf0 | FETCH;
/// Atomic immediate: load with acquire ordering.
pub const LOAD_ACQ: i32 = 0x100;
/// Atomic immediate: store with release ordering.
pub const STORE_REL: i32 = 0x110;

/// `off` of a 64-bit register move: cast between arena address spaces.
pub const ADDR_SPACE_CAST: i16 = 1;
/// `off` of a 64-bit register move that the verifier inserts to resolve a per-CPU address; not loadable.
pub const ADDR_PERCPU: i16 = -1;
