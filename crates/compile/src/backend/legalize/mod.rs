//! Rewrites the IR into the part of it that selection knows: what BPF of the oldest kernel has instructions for.
//!
//! Afterwards there are no `Zero`, `Copy`, `SDiv`, `SMod` and no signed loads; constants stand on the right;
//! constant offsets are part of loads and stores; a branch compares directly what a comparison compared; and
//! every operation without effect has a use.

mod division;
mod memory;

use skep_isa::helpers::id;
use skep_ui::Span;

use crate::ir::{BinOp, CmpOp, Func, Inst, Op, Term, Value, ValueData, ValueTy, Width};

/// See the module.
pub fn legalize(func: &mut Func) {
    let mut rewriter = Rewriter::new(func);
    for block in 0..rewriter.func.blocks.len() {
        for inst in std::mem::take(&mut rewriter.func.blocks[block].insts) {
            rewriter.span = inst.span;
            rewriter.inst(inst);
        }
        let mut term = rewriter.func.blocks[block].term.clone();
        rewriter.branch(&mut term);
        rewriter.func.blocks[block].term = term;
        rewriter.func.blocks[block].insts = std::mem::take(&mut rewriter.out);
    }
    let replaced = rewriter.replaced;
    replace_uses(func, &replaced);
    drop_unused(func);
}

/// One walk over a function: takes each instruction off the old list and puts what stands for it on the new.
struct Rewriter<'a> {
    func: &'a mut Func,
    /// The operation behind each value, as far as it is known.
    defs: Vec<Option<Op>>,
    /// Values that turned out to equal others.
    replaced: Vec<Option<Value>>,
    /// The block being made.
    out: Vec<Inst>,
    /// The place in the script of what is being rewritten.
    span: Span,
}

impl<'a> Rewriter<'a> {
    fn new(func: &'a mut Func) -> Rewriter<'a> {
        let defs = func.definitions().into_iter().map(|inst| inst.map(|inst| inst.op.clone())).collect();
        let replaced = vec![None; func.values.len()];
        Rewriter { func, defs, replaced, out: Vec::new(), span: Span::GENERATED }
    }

    fn inst(&mut self, mut inst: Inst) {
        inst.op.for_each_use_mut(|value| *value = resolve(&self.replaced, *value));
        let Inst { result, op, span } = inst;
        let keep = |this: &mut Self, op: Op| {
            if let Some(Value(at)) = result {
                this.defs[at as usize] = Some(op.clone());
            }
            this.out.push(Inst { result, op, span });
        };
        match op {
            Op::Zero { addr, offset, len, align } => self.zero(addr, offset, len, align),
            Op::Copy { dst, dst_offset, src, src_offset, len, align } => {
                self.copy((dst, dst_offset), (src, src_offset), len, align);
            }
            Op::Bin(op, a, b) => match self.bin(op, a, b) {
                Rewritten::Op(op) => keep(self, op),
                Rewritten::Value(value) => self.replace(result, value),
            },
            Op::Cmp(op, a, b) => {
                let (op, a, b) = self.constant_right(op, a, b);
                keep(self, Op::Cmp(op, a, b));
            }
            Op::Extend { from: Width::W64, value, .. } => self.replace(result, value),
            Op::Load { width, signed, addr, offset } => {
                let (addr, offset) = self.fold_address(addr, offset);
                if signed && width != Width::W64 {
                    let value = self.push(ValueTy::Int, Op::Load { width, signed: false, addr, offset });
                    keep(self, Op::Extend { from: width, signed, value });
                } else {
                    keep(self, Op::Load { width, signed: false, addr, offset });
                }
            }
            Op::Call { helper, .. } if result.is_some() && returns_int(helper) => {
                let value = self.push(ValueTy::Int, op);
                keep(self, Op::Extend { from: Width::W32, signed: true, value });
            }
            Op::Store { width, addr, offset, value } => {
                let (addr, offset) = self.fold_address(addr, offset);
                keep(self, Op::Store { width, addr, offset, value });
            }
            Op::AtomicAdd { width, addr, offset, value } => {
                let (addr, offset) = self.fold_address(addr, offset);
                keep(self, Op::AtomicAdd { width, addr, offset, value });
            }
            op => keep(self, op),
        }
    }

    /// Arithmetic: constants to the right, addresses to the left, no signed division, no constant zero
    /// divisors (which the kernel refuses), shift amounts below 64 (likewise).
    fn bin(&mut self, op: BinOp, mut a: Value, mut b: Value) -> Rewritten {
        let commutes = matches!(op, BinOp::Add | BinOp::Mul | BinOp::And | BinOp::Or | BinOp::Xor);
        let swap = match (self.ty(a), self.ty(b)) {
            (ValueTy::Int, ValueTy::Int) => self.constant(a).is_some() && self.constant(b).is_none(),
            (ValueTy::Int, _) => true,
            _ => false,
        };
        if commutes && swap {
            std::mem::swap(&mut a, &mut b);
        }
        match (op, self.constant(b)) {
            (BinOp::UDiv | BinOp::SDiv, Some(0)) => Rewritten::Op(Op::Const(0)),
            (BinOp::UMod | BinOp::SMod, Some(0)) => Rewritten::Value(a),
            (BinOp::SDiv, _) => self.signed_division(a, b),
            (BinOp::SMod, _) => self.signed_remainder(a, b),
            (BinOp::Shl | BinOp::LShr | BinOp::AShr, Some(amount)) if !(0..64).contains(&amount) => {
                let amount = self.push(ValueTy::Int, Op::Const(amount & 63));
                Rewritten::Op(Op::Bin(op, a, amount))
            }
            (
                BinOp::Add | BinOp::Sub | BinOp::Shl | BinOp::LShr | BinOp::AShr | BinOp::Or | BinOp::Xor,
                Some(0),
            ) => Rewritten::Value(a),
            _ => Rewritten::Op(Op::Bin(op, a, b)),
        }
    }

    /// A branch on a comparison's result becomes the comparison.
    fn branch(&mut self, term: &mut Term) {
        term.for_each_use_mut(|value| *value = resolve(&self.replaced, *value));
        let Term::Branch { op, lhs, rhs, .. } = term else { return };
        (*op, *lhs, *rhs) = self.constant_right(*op, *lhs, *rhs);
        while let (CmpOp::Eq | CmpOp::Ne, Some(constant @ (0 | 1))) = (*op, self.constant(*rhs)) {
            let Some(Op::Cmp(inner, a, b)) = self.defs[lhs.0 as usize] else { break };
            // The result is 1 when the comparison holds.
            let holds = (*op == CmpOp::Eq) == (constant == 1);
            let inner = if holds { inner } else { inner.negate() };
            (*op, *lhs, *rhs) = self.constant_right(inner, a, b);
        }
    }

    fn constant_right(&self, op: CmpOp, a: Value, b: Value) -> (CmpOp, Value, Value) {
        if self.constant(a).is_some() && self.constant(b).is_none() { (op.swap(), b, a) } else { (op, a, b) }
    }

    /// Takes constants that were added to an address into the offset. The context must stay as it came, and
    /// elsewhere it saves instructions.
    fn fold_address(&self, mut addr: Value, mut offset: i32) -> (Value, i32) {
        while let Some(Op::Bin(op @ (BinOp::Add | BinOp::Sub), base, by)) = self.defs[addr.0 as usize] {
            let Some(by) = self.constant(by) else { break };
            let by = if op == BinOp::Sub { by.checked_neg() } else { Some(by) };
            let Some(sum) = by.and_then(|by| by.checked_add(offset.into())) else { break };
            let Ok(sum) = i16::try_from(sum) else { break };
            (addr, offset) = (base, sum.into());
        }
        (addr, offset)
    }

    /// Appends an operation and names its result.
    fn push(&mut self, ty: ValueTy, op: Op) -> Value {
        let value = Value(self.func.values.len() as u32);
        self.func.values.push(ValueData { ty });
        self.defs.push(Some(op.clone()));
        self.replaced.push(None);
        self.out.push(Inst { result: Some(value), op, span: self.span });
        value
    }

    /// Appends an operation without a result.
    fn push_effect(&mut self, op: Op) {
        self.out.push(Inst { result: None, op, span: self.span });
    }

    fn replace(&mut self, result: Option<Value>, with: Value) {
        if let Some(Value(at)) = result {
            self.replaced[at as usize] = Some(with);
        }
    }

    fn constant(&self, value: Value) -> Option<i64> {
        match self.defs[value.0 as usize] {
            Some(Op::Const(constant)) => Some(constant),
            _ => None,
        }
    }

    fn ty(&self, value: Value) -> ValueTy {
        self.func.values[value.0 as usize].ty
    }
}

/// Helpers whose calls the kernel replaces by calls of the map's own function, which before Linux 6.4 returns a C
/// `int`, and `bpf_loop`, which it writes out: the upper half of r0 is not the sign of an error.
fn returns_int(helper: u32) -> bool {
    matches!(
        helper,
        id::MAP_UPDATE_ELEM
            | id::MAP_DELETE_ELEM
            | id::MAP_PUSH_ELEM
            | id::MAP_POP_ELEM
            | id::MAP_PEEK_ELEM
            | id::LOOP
    )
}

/// What stands for an operation.
enum Rewritten {
    /// Another operation.
    Op(Op),
    /// A value that exists already.
    Value(Value),
}

fn resolve(replaced: &[Option<Value>], mut value: Value) -> Value {
    while let Some(other) = replaced[value.0 as usize] {
        value = other;
    }
    value
}

/// Blocks may stand before the blocks that dominate them, so what was replaced is looked up once more at the end.
fn replace_uses(func: &mut Func, replaced: &[Option<Value>]) {
    for block in &mut func.blocks {
        for inst in &mut block.insts {
            inst.op.for_each_use_mut(|value| *value = resolve(replaced, *value));
        }
        block.term.for_each_use_mut(|value| *value = resolve(replaced, *value));
    }
}

/// Removes what has no effect and no use, and the results of effects that nobody looks at.
pub(super) fn drop_unused(func: &mut Func) {
    let mut uses = vec![0u32; func.values.len()];
    for block in &func.blocks {
        block.insts.iter().for_each(|inst| inst.op.for_each_use(|value| uses[value.0 as usize] += 1));
        block.term.for_each_use(|value| uses[value.0 as usize] += 1);
    }
    let mut changed = true;
    while changed {
        changed = false;
        for block in &mut func.blocks {
            // Backwards, so that a chain within a block goes in one round.
            for at in (0..block.insts.len()).rev() {
                let inst = &block.insts[at];
                let used = inst.result.is_some_and(|result| uses[result.0 as usize] > 0);
                if !used && !inst.op.has_effect() {
                    inst.op.for_each_use(|value| uses[value.0 as usize] -= 1);
                    block.insts.remove(at);
                    changed = true;
                }
            }
        }
    }
    for inst in func.blocks.iter_mut().flat_map(|block| &mut block.insts) {
        if inst.result.is_some_and(|result| uses[result.0 as usize] == 0) {
            inst.result = None;
        }
    }
}

impl CmpOp {
    /// The comparison that holds exactly when this one does not.
    #[must_use]
    pub fn negate(self) -> CmpOp {
        match self {
            CmpOp::Eq => CmpOp::Ne,
            CmpOp::Ne => CmpOp::Eq,
            CmpOp::ULt => CmpOp::UGe,
            CmpOp::ULe => CmpOp::UGt,
            CmpOp::UGt => CmpOp::ULe,
            CmpOp::UGe => CmpOp::ULt,
            CmpOp::SLt => CmpOp::SGe,
            CmpOp::SLe => CmpOp::SGt,
            CmpOp::SGt => CmpOp::SLe,
            CmpOp::SGe => CmpOp::SLt,
        }
    }

    /// The comparison that says the same of exchanged operands.
    #[must_use]
    pub fn swap(self) -> CmpOp {
        match self {
            CmpOp::Eq | CmpOp::Ne => self,
            CmpOp::ULt => CmpOp::UGt,
            CmpOp::ULe => CmpOp::UGe,
            CmpOp::UGt => CmpOp::ULt,
            CmpOp::UGe => CmpOp::ULe,
            CmpOp::SLt => CmpOp::SGt,
            CmpOp::SLe => CmpOp::SGe,
            CmpOp::SGt => CmpOp::SLt,
            CmpOp::SGe => CmpOp::SLe,
        }
    }
}
