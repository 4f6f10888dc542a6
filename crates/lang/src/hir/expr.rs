//! What programs compute: expressions.

use serde::{Deserialize, Serialize};
use skep_ui::Span;

use super::{Block, FunctionId, LocalId, MapId, Operation};
use crate::ty::{Bits, Ty};

/// A typed expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Type of its value.
    pub ty: Ty,
    /// Its text in the script.
    pub span: Span,
}

/// What an expression is.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// An integer or boolean, as the 64 bits of its two's complement.
    Int(u64),
    /// A literal text, without the NUL; shorter than the type's capacity. Escapes can make it something else than
    /// UTF-8.
    Str(Vec<u8>),
    /// `$x`
    Local(LocalId),
    /// `@x[k]`: zero or empty when there is no such key. Not of aggregations.
    MapGet {
        /// Which.
        map: MapId,
        /// The key; `None` for a map without keys.
        key: Option<Box<Expr>>,
    },
    /// `@x[k]` of an aggregation, reduced over the CPUs in user space: only as
    /// the argument of [`StmtKind::PrintValue`].
    AggEntry {
        /// Which.
        map: MapId,
        /// The key; `None` for a map without keys.
        key: Option<Box<Expr>>,
    },
    /// `(int64)@x[k]` of an aggregation that amounts to one number, reduced over
    /// the CPUs where it stands: `int64` or `uint64`, zero without samples.
    AggValue {
        /// Which.
        map: MapId,
        /// The key; `None` for a map without keys.
        key: Option<Box<Expr>>,
    },
    /// `@x[k]++`, `@x[k] += e` and their like on a 64-bit integer or a pointer: an
    /// atomic addition in place, creating the entry where there is none.
    MapAdd {
        /// Which.
        map: MapId,
        /// The key; `None` for a map without keys.
        key: Option<Box<Expr>>,
        /// Added, of the map's value type (a subtraction adds the negative).
        by: Box<Expr>,
        /// The value before (`x++`) instead of the one after.
        old: bool,
    },
    /// `$x++` and its like, as a value.
    LocalAdd {
        /// Which.
        local: LocalId,
        /// Added, of the variable's type.
        by: Box<Expr>,
        /// The value before (`x++`) instead of the one after.
        old: bool,
    },
    /// `delete(@m, k)`: whether there was one.
    Delete {
        /// Which.
        map: MapId,
        /// The key; `None` for a map without keys (its value becomes zero).
        key: Option<Box<Expr>>,
    },
    /// `has_key(@m, k)`
    HasKey {
        /// Which.
        map: MapId,
        /// The key.
        key: Box<Expr>,
    },
    /// `find(@m, k, $v)`: whether there is such a key, whose value is then in the variable.
    Find {
        /// Which.
        map: MapId,
        /// The key.
        key: Box<Expr>,
        /// The variable.
        local: LocalId,
        /// What it gets, of its type: made of [`ExprKind::EntryValue`].
        value: Box<Expr>,
    },
    /// `len(@m)`: how many keys there are.
    MapLen(MapId),
    /// Arithmetic and bits, on operands of the same type as the result. The
    /// second operand of a shift may have another integer type.
    Binary {
        /// Which.
        op: BinaryOp,
        /// Left.
        lhs: Box<Expr>,
        /// Right.
        rhs: Box<Expr>,
    },
    /// A comparison of two integers, pointers, strings, buffers, tuples or
    /// records of one type (strings and buffers may differ in capacity); the
    /// result is `bool`.
    Compare {
        /// Which; what does not fit a register only knows `Eq` and `Ne`.
        op: CompareOp,
        /// Left.
        lhs: Box<Expr>,
        /// Right.
        rhs: Box<Expr>,
    },
    /// `&&` (or `||` when `or`), of `bool`; the right side may not be reached.
    Logic {
        /// `||` instead of `&&`.
        or: bool,
        /// Left.
        lhs: Box<Expr>,
        /// Right.
        rhs: Box<Expr>,
    },
    /// `!e` of `bool`.
    Not(Box<Expr>),
    /// The key of the entry that the innermost [`StmtKind::ForMap`] is at, of the map's key type; only in
    /// its `entry`.
    EntryKey,
    /// The value of that entry, of the map's value type; not of aggregations. In [`ExprKind::Find`], of the
    /// entry that was found.
    EntryValue,
    /// `-e`
    Neg(Box<Expr>),
    /// `~e`
    BitNot(Box<Expr>),
    /// `c ? a : b`
    Cond {
        /// Of type `bool`.
        cond: Box<Expr>,
        /// When true.
        then: Box<Expr>,
        /// When false.
        otherwise: Box<Expr>,
    },
    /// To another integer type (also to and from `bool` and pointers: a `bool`
    /// is whether the value is not zero), or to a string of another capacity.
    Cast(Box<Expr>),
    /// `(a, b)`, or a record's values in the order of the type's fields, or the parts of a user symbol.
    Tuple(Vec<Expr>),
    /// `{ statements; value }`: runs the statements, then evaluates the value.
    Block {
        /// What is done first.
        body: Block,
        /// What the whole is worth.
        value: Box<Expr>,
    },
    /// `t.N`
    Element {
        /// A tuple or record, or another type that has elements (see [`Types::elems`]).
        base: Box<Expr>,
        /// Counted from 0.
        index: u32,
    },
    /// A kernel helper whose arguments are all integers (`bpf_ktime_get_ns`).
    /// Calls with the same arguments within one run of a probe may be merged
    /// when the helper's [`Helper::once`] is set.
    Helper(Helper),
    /// A call of a function of the script; [`Ty::VOID`] if it gives nothing.
    Call {
        /// Which.
        function: FunctionId,
        /// One for each parameter, of its type.
        args: Vec<Expr>,
    },
    /// What a builtin computes of its arguments.
    Op {
        /// Which.
        op: Operation,
        /// In the order of the operation.
        args: Vec<Expr>,
    },
    /// A value that is known when the script is started.
    Runtime(Runtime),
    /// `ctx`: the address of the context.
    Ctx,
    /// `comm`: the current thread's name, a string.
    Comm,
    /// `probe`: of type [`Ty::PROBE`].
    Probe,
    /// `func`, known by the probe: of type [`Ty::FUNC`].
    Func,
    /// An integer, boolean or pointer, or a text or array of the type's size,
    /// directly in the context at this byte offset.
    Context {
        /// From the start of the context.
        offset: u32,
    },
    /// A value in memory whose first eight bytes are in the context at `first`, and those after them at
    /// `second`.
    Registers {
        /// Byte offset from the start of the context.
        first: u32,
        /// The same; `None` if there are no more than eight bytes.
        second: Option<u32>,
    },
    /// A text or array which the 32 bits at `offset` in the context point to
    /// (`__data_loc`, `__rel_loc`).
    DataLoc {
        /// From the start of the context.
        offset: u32,
        /// Whether the place is counted from the end of those 32 bits.
        relative: bool,
    },
    /// What a pointer points to, as a value of this expression's type; zeroes where it cannot be read. The
    /// pointer's space tells how it is read.
    Read {
        /// Of pointer type.
        pointer: Box<Expr>,
        /// Bytes further on (or back) from there.
        offset: i64,
        /// Which bits of it, for a bitfield.
        bits: Option<Bits>,
    },
    /// A part of a value in memory, as a value of this expression's type.
    Part {
        /// A struct, array or text.
        base: Box<Expr>,
        /// Bytes from its start.
        offset: u32,
        /// Which bits of it, for a bitfield.
        bits: Option<Bits>,
    },
    /// The address of an element of an array behind a pointer; null, with a warning, beyond its end.
    ElementAddress {
        /// Of pointer type.
        pointer: Box<Expr>,
        /// Bytes further on from there, where the array begins.
        offset: i64,
        /// Which element, a `uint64`.
        index: Box<Expr>,
        /// How many there are.
        len: u32,
    },
    /// `&$x`, `&@x[k]`: the address of a variable or of a map's value (null where the map has no such
    /// key), or of where any other value is kept for now.
    AddressOf(Box<Expr>),
    /// `str(p, n)`: a text at a pointer; its space tells how it is read. When
    /// it can't be read, it is empty.
    ReadStr {
        /// Of pointer type.
        pointer: Box<Expr>,
        /// At most so many bytes, NUL included; `None`: the type's capacity.
        length: Option<Box<Expr>>,
    },
    /// `buf(p, n)`
    ReadBuf {
        /// Of pointer type.
        pointer: Box<Expr>,
        /// At most so many bytes.
        length: Option<Box<Expr>>,
    },
    /// `kstack`, `ustack`: the frames above this probe, as many and as the type says. No frames where there are
    /// none to be had.
    Stack,
    /// `dw_ustack`: the same, by the tables that programs carry for exceptions instead of by frame pointers.
    Unwound,
    /// `buf(t, n)`: the first bytes of a text or array, zeroes after its end.
    Bytes {
        /// A text or an array.
        value: Box<Expr>,
        /// So many bytes; at most as many as the type holds are taken.
        length: Box<Expr>,
    },
}

/// See [`ExprKind::Helper`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Helper {
    /// Number in the kernel's table (`skep_isa::helpers`).
    pub id: u32,
    /// Whether all calls in one run of a probe give the same answer.
    pub once: bool,
}

/// Values that are known when the script is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Runtime {
    /// `bpf_ktime_get_ns` at the start, for `elapsed`.
    StartTime,
    /// Process id of the command of `-c`, or 0.
    CommandPid,
    /// The process `-p` or `-c` narrows the script to.
    FilterPid,
    /// How many CPUs there can be, numbered from 0: `ncpus`.
    CpuCount,
    /// What CLOCK_TAI is ahead of CLOCK_BOOTTIME, in nanoseconds, for `nsecs(sw_tai)`.
    TaiOffset,
    /// What CLOCK_REALTIME is ahead of CLOCK_BOOTTIME, in nanoseconds, for `tseries`.
    RealOffset,
    /// The device of the process id namespace that the script is run in, for `pid(curr_ns)`.
    NamespaceDevice,
    /// The inode of that namespace.
    NamespaceInode,
    /// A variable of the kernel's, by the number of its type: not its value nor its address, but what helpers take for
    /// it.
    KernelVariable(u32),
    /// The answer to one of [`Portable::questions`](crate::portable::Portable::questions).
    Asked(u32),
}

/// Arithmetic and bit operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// Wraps.
    Add,
    /// Wraps.
    Sub,
    /// Wraps.
    Mul,
    /// Signed or not by the type, towards zero; by zero gives 1 and a warning.
    Div,
    /// The sign of the left side; by zero gives 1 and a warning.
    Mod,
    /// Bits.
    And,
    /// Bits.
    Or,
    /// Bits.
    Xor,
    /// The amount is taken modulo the width of the type.
    Shl,
    /// Arithmetic when the type is signed; the amount is taken modulo the width.
    Shr,
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}
