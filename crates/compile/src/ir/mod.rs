//! The intermediate representation: SSA with block parameters, close enough to
//! BPF that selection is local, far enough that passes need not know registers.
//!
//! Every value is one 64-bit register. Integers narrower than that are kept
//! extended to 64 bits according to their type's sign, so comparing, dividing
//! and passing them on needs no further work; lowering extends after whatever
//! may leave the range. Memory is explicit: objects that live for one run of a
//! program, values of maps, records of ring buffers, the context.

pub mod cfg;
pub mod interp;
pub mod parse;
mod print;
pub mod verify;

use serde::{Deserialize, Serialize};
use skep_lang::hir::Runtime;
use skep_ui::Span;

/// A register's worth of data, defined once. Index into [`Func::values`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Value(pub u32);

/// Index into [`Func::blocks`]; block 0 is the entry and has no parameters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct BlockId(pub u32);

/// Index into [`Func::objects`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ObjectId(pub u32);

/// Index into [`Module::maps`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MapRef(pub u32);

/// Index into [`Module::subs`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct FuncId(pub u32);

/// All programs of a script and the maps they share.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// One per [`skep_lang::hir::Probe`], in the same order.
    pub funcs: Vec<Func>,
    /// What programs call, or have called for each round of a loop. Calls never lead in a circle.
    pub subs: Vec<Func>,
    /// The script's maps first, in its order, then ours.
    pub maps: Vec<crate::artifact::MapSpec>,
    /// What may be in the ring buffers. A record's first 32 bits index this.
    pub events: Vec<crate::artifact::EventLayout>,
}

/// One program, or a part of programs that is called.
#[derive(Clone, Debug, Default)]
pub struct Func {
    /// Name the kernel gets to see: at most 127 bytes of `[A-Za-z0-9_]`, of which that of a program shows 15.
    pub name: String,
    /// Whether the kernel checks it by itself, whoever calls it: then parameters are integers of any value.
    pub is_global: bool,
    /// At most five, defined on entry. A program has none: its context is [`Op::Ctx`], which only programs have; to
    /// functions of the script that need it, it is handed as a parameter.
    pub params: Vec<Value>,
    /// All values; parameters, parameters of blocks and results of instructions.
    pub values: Vec<ValueData>,
    /// The entry first; each is reachable.
    pub blocks: Vec<Block>,
    /// Memory for one run.
    pub objects: Vec<Object>,
}

/// What is known of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueData {
    /// An integer, or an address.
    pub ty: ValueTy,
}

/// The two sorts of values: the kernel's verifier tells them apart, so do we.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueTy {
    /// 64 bits of data; also addresses of memory that only helpers may read.
    Int,
    /// An address the program itself may load from or store to, or null.
    Ptr,
    /// The program's context.
    Ctx,
}

/// Memory for one run of a program: on the stack or, when it does not fit, in
/// a per-CPU scratch area. Its bytes are undefined at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// For listings.
    pub name: String,
    /// In bytes, above 0.
    pub size: u32,
    /// 1, 2, 4 or 8.
    pub align: u32,
    /// Where it may be.
    pub home: Home,
}

/// Where an [`Object`] may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Home {
    /// Wherever there is room.
    #[default]
    Any,
    /// On the stack, because the kernel wants it there.
    Stack,
    /// Never on the stack, because it is accessed at offsets that are not
    /// constant, or is large by nature.
    Scratch,
    /// In scratch memory, in the same place for all functions of one program that name this number. It keeps what
    /// it holds from call to call.
    Common(u32),
}

/// Straight-line code.
#[derive(Clone, Debug)]
pub struct Block {
    /// Defined on entry.
    pub params: Vec<Value>,
    /// In order.
    pub insts: Vec<Inst>,
    /// How it ends.
    pub term: Term,
    /// The place in the script the terminator stands for.
    pub term_span: Span,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inst {
    /// `None` exactly when the operation has no result.
    pub result: Option<Value>,
    /// What it does.
    pub op: Op,
    /// The place in the script it stands for.
    pub span: Span,
}

/// Width of a memory access in bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Width {
    W8,
    W16,
    W32,
    W64,
}

impl Width {
    /// In bytes.
    pub fn bytes(self) -> u32 {
        match self {
            Width::W8 => 1,
            Width::W16 => 2,
            Width::W32 => 4,
            Width::W64 => 8,
        }
    }
}

/// 64-bit arithmetic. Division by zero gives 0, a remainder by zero the left
/// side, a shift uses the low 6 bits of its amount.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum BinOp {
    Add,
    Sub,
    Mul,
    UDiv,
    SDiv,
    UMod,
    SMod,
    And,
    Or,
    Xor,
    Shl,
    LShr,
    AShr,
}

/// Comparison of two 64-bit values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum CmpOp {
    Eq,
    Ne,
    ULt,
    ULe,
    UGt,
    UGe,
    SLt,
    SLe,
    SGt,
    SGe,
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// A constant integer (also the null address).
    Const(i64),
    /// The context. Result: `Ctx`.
    Ctx,
    /// Address of a byte of an object. Result: `Ptr`.
    ObjectAddr(ObjectId, u32),
    /// A map, as helpers take it. Result: `Ptr`.
    Map(MapRef),
    /// Address of a byte of the first value of an array map (`.rodata` and the
    /// like). Result: `Ptr`.
    MapValue(MapRef, u32),
    /// A constant known when the script starts.
    Runtime(Runtime),
    /// The attach cookie: which [`skep_lang::hir::TargetId`] this run is for.
    /// Takes the context.
    Cookie(Value),
    /// Arithmetic. `Add` and `Sub` also move a `Ptr` or `Ctx` by an integer.
    Bin(BinOp, Value, Value),
    /// 1 or 0.
    Cmp(CmpOp, Value, Value),
    /// The low 8, 16 or 32 bits, extended to 64.
    Extend {
        /// Which bits.
        from: Width,
        /// Copies the sign bit if set, else fills with zeroes.
        signed: bool,
        /// Of what.
        value: Value,
    },
    /// Reverses the bytes of the low 16, 32 or 64 bits; the rest becomes 0.
    ByteSwap(Width, Value),
    /// Reads memory, extended to 64 bits.
    Load {
        /// How much.
        width: Width,
        /// Copies the sign bit if set, else fills with zeroes.
        signed: bool,
        /// `Ptr` or `Ctx`.
        addr: Value,
        /// Added to the address.
        offset: i32,
    },
    /// Writes memory. No result.
    Store {
        /// How much.
        width: Width,
        /// `Ptr`
        addr: Value,
        /// Added to the address.
        offset: i32,
        /// The low bits of this.
        value: Value,
    },
    /// Adds to memory at once for all CPUs; 32 or 64 bits. The result, if any, is
    /// the value before (needs a kernel with fetching atomics).
    AtomicAdd {
        /// How much.
        width: Width,
        /// `Ptr`
        addr: Value,
        /// Added to the address.
        offset: i32,
        /// Added to the memory.
        value: Value,
    },
    /// Writes zeroes. No result. Expanded before selection.
    Zero {
        /// `Ptr`
        addr: Value,
        /// Added to the address.
        offset: i32,
        /// How many bytes.
        len: u32,
        /// Alignment of the place: 1, 2, 4 or 8.
        align: u32,
    },
    /// Copies between memory the program may access itself, which do not
    /// overlap. No result. Expanded before selection.
    Copy {
        /// `Ptr`
        dst: Value,
        /// Added to the destination.
        dst_offset: i32,
        /// `Ptr` or `Ctx`
        src: Value,
        /// Added to the source.
        src_offset: i32,
        /// How many bytes.
        len: u32,
        /// Alignment of both: 1, 2, 4 or 8.
        align: u32,
    },
    /// The address of a function, as helpers take it that call it. Result: `Ptr`.
    FuncAddr(FuncId),
    /// A function of the module. Result: `Int`.
    CallFunc {
        /// Which.
        func: FuncId,
        /// One for each of its parameters.
        args: Vec<Value>,
    },
    /// A kernel helper; at most five arguments.
    Call {
        /// Number in the kernel's table (`skep_isa::helpers`).
        helper: u32,
        /// In order.
        args: Vec<Value>,
        /// What the helper gives back.
        returns: ValueTy,
        /// Whether calls with equal arguments give equal results within one run
        /// and have no effects, so that they can be merged or dropped.
        pure: bool,
    },
}

/// The end of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// To a block.
    Jump(Edge),
    /// To one of two blocks.
    Branch {
        /// Compared...
        op: CmpOp,
        /// ...this...
        lhs: Value,
        /// ...with this.
        rhs: Value,
        /// When it holds.
        then: Edge,
        /// When not.
        otherwise: Edge,
    },
    /// The program's result.
    Return(Value),
}

/// A way into a block, with a value for each of its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Where to.
    pub to: BlockId,
    /// One for each parameter.
    pub args: Vec<Value>,
}

#[cfg(test)]
mod tests;
