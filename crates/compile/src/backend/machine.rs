//! BPF instructions on virtual registers: what selection makes, register allocation reads, emission writes out.

use regalloc2::{InstRange, Operand, PReg, PRegSet, RegClass, VReg};
use skep_isa::{AluOp, JmpOp, Reg, Size, Width};
use skep_lang::hir::Runtime;
use skep_ui::Span;

use crate::ir::{FuncId, MapRef};

/// A program on virtual registers.
#[derive(Clone, Debug, Default)]
pub struct MFunc {
    /// All instructions, block after block.
    pub insts: Vec<MInst>,
    /// The blocks in the order of emission; the entry first.
    pub blocks: Vec<MBlock>,
    /// How many virtual registers there are.
    pub vregs: usize,
}

/// Straight-line code that ends with a jump, branch or return.
#[derive(Clone, Debug)]
pub struct MBlock {
    /// Its instructions.
    pub range: InstRange,
    /// Registers that receive a value on the way in.
    pub params: Vec<VReg>,
    /// What a jump hands to its target's parameters. Branches hand over nothing.
    pub args: Vec<VReg>,
    /// Ways out; of a branch, the side when it holds first.
    pub succs: Vec<regalloc2::Block>,
    /// Ways in.
    pub preds: Vec<regalloc2::Block>,
}

/// One instruction, or a few that belong together.
#[derive(Clone, Debug)]
pub struct MInst {
    /// What it does.
    pub op: MOp,
    /// The registers, in the order [`MOp`] tells.
    pub operands: Vec<Operand>,
    /// Registers it destroys.
    pub clobbers: PRegSet,
    /// The place in the script.
    pub span: Span,
}

/// What an instruction does. `d` is a register it defines, `a b` are registers it reads, in this order.
#[derive(Clone, Debug)]
pub enum MOp {
    /// The start of the function: `d`s are its parameters, of a program the context. No code.
    Entry,
    /// `d = constant`
    Constant(i64),
    /// `d = map`
    Map(MapRef),
    /// `d = &map[0].value[offset]`
    MapValue(MapRef, u32),
    /// `d = what`
    Runtime(Runtime),
    /// `d = function`
    FuncAddr(FuncId),
    /// `d = r10 + offset`
    FrameAddr(i16),
    /// `d = (u32) a`
    Truncate,
    /// `d = a op b`; `d` is `a`.
    Alu(AluOp),
    /// `d = a op constant`; `d` is `a`.
    AluImm(AluOp, i32),
    /// `d = -a`; `d` is `a`.
    Negate,
    /// `d = bytes of a reversed`; `d` is `a`.
    Swap(Size),
    /// `d = (a op b)`
    Compare(JmpOp),
    /// `d = (a op constant)`
    CompareImm(JmpOp, i32),
    /// `d = *(size *)(base + offset)`, where the base is `a` or the frame pointer.
    Load(Size, Base, i16),
    /// `*(size *)(base + offset) = value`: `a` is the base if it is a register, the value follows.
    Store(Size, Base, i16),
    /// `*(size *)(base + offset) = constant`
    StoreImm(Size, Base, i16, i32),
    /// `*(size *)(base + offset) += value`, as [`MOp::Store`].
    AtomicAdd(Size, Base, i16),
    /// `d = *(size *)(base + offset)`, then the addition; `d` is the value, which comes before the base here.
    FetchAdd(Size, Base, i16),
    /// A helper.
    Call {
        /// Its number.
        helper: u32,
        /// Whether this is the question for the attach cookie, which is patched for old kernels.
        cookie: bool,
    },
    /// A function of the program.
    CallFunc(FuncId),
    /// `if a op b`; with a constant, there may be a `d`, which is `a` once it has been compared.
    Branch(JmpOp),
    /// `if a op constant`
    BranchImm(JmpOp, i32),
    /// To the only successor.
    Jump,
    /// The end; `a` is the result.
    Return,
}

/// What an address is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// A virtual register, which is among the operands.
    Register,
    /// r10
    Frame,
}

impl MInst {
    /// Whether it ends a block by going to another.
    pub fn is_branch(&self) -> bool {
        matches!(self.op, MOp::Branch(_) | MOp::BranchImm(..) | MOp::Jump)
    }
}

/// The name register allocation has for a BPF register.
pub fn preg(reg: Reg) -> PReg {
    PReg::new(reg.index(), RegClass::Int)
}

/// r1 to r5, which take the arguments of a call and are lost by it.
pub const ARGUMENTS: [Reg; 5] = [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];

/// The width all computing is done in.
pub const WIDE: Width = Width::W64;
