//! What was computed on every way here is not computed again. This is also what
//! makes `pid`, `comm`'s length or the time cost one helper call in a probe that
//! names them many times.

use rustc_hash::FxHashMap;

use super::Replacements;
use crate::ir::cfg::Cfg;
use crate::ir::{BlockId, Func, Op, Value, ValueTy};

pub(super) fn run(func: &mut Func) -> bool {
    let cfg = Cfg::of(func);
    let mut replace = Replacements::new(func);
    // Where each operation was computed. The innermost place is last; places that are left behind on the walk
    // down the tree of dominators dominate nothing that is still to come.
    let mut known: FxHashMap<(Op, ValueTy), Vec<(BlockId, Value)>> = FxHashMap::default();
    for &block in &cfg.tree {
        for inst in &func.blocks[block.0 as usize].insts {
            let Some(result) = inst.result else { continue };
            if !can_be_reused(&inst.op) {
                continue;
            }
            let mut op = inst.op.clone();
            op.for_each_use_mut(|value| *value = replace.get(*value));
            let places = known.entry((op, func.values[result.0 as usize].ty)).or_default();
            while places.pop_if(|(place, _)| !cfg.dominates(*place, block)).is_some() {}
            match places.last() {
                Some((_, earlier)) => replace.set(result, *earlier),
                None => places.push((block, result)),
            }
        }
    }
    replace.apply(func)
}

/// Whether the result depends on nothing but the operands.
fn can_be_reused(op: &Op) -> bool {
    match op {
        Op::Const(_)
        | Op::Ctx
        | Op::ObjectAddr(..)
        | Op::Map(_)
        | Op::MapValue(..)
        | Op::Runtime(_)
        | Op::FuncAddr(_)
        | Op::Cookie(_)
        | Op::Bin(..)
        | Op::Cmp(..)
        | Op::Extend { .. }
        | Op::ByteSwap(..) => true,
        Op::Call { pure, .. } => *pure,
        Op::Load { .. }
        | Op::Store { .. }
        | Op::AtomicAdd { .. }
        | Op::Zero { .. }
        | Op::Copy { .. }
        | Op::CallFunc { .. } => false,
    }
}
