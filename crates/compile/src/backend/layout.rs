//! The order of blocks in the finished program: what hardly ever runs stands at the end, of long programs at the end
//! of each stretch.
//!
//! An address that helpers did not find and a failure that they answer are the exception. Where a branch asks for
//! one, the blocks behind it leave the straight line to what is usual.

use crate::ir::cfg::Cfg;
use crate::ir::{BlockId, CmpOp, Func, Op, Term, Value, ValueTy};

/// After so many instructions of the IR what was set aside follows, so that jumps to it stay short.
const STRETCH: usize = 4_000;

/// All reachable blocks, each behind those that dominate it. `defs` are the operations behind values.
pub fn order(func: &Func, cfg: &Cfg, defs: &[Option<&Op>]) -> Vec<BlockId> {
    let mut unlikely = vec![false; func.blocks.len()];
    for &block in &cfg.order {
        // Dominators come first in the order, so theirs is known.
        if let Some(above) = cfg.immediate_dominator(block) {
            unlikely[block.0 as usize] |= unlikely[above.0 as usize];
        }
        if let Some(exception) = exception(&func.blocks[block.0 as usize].term, func, defs) {
            // Another way in could be usual.
            if cfg.preds[exception.0 as usize].len() == 1 {
                unlikely[exception.0 as usize] = true;
            }
        }
    }
    let mut order = Vec::with_capacity(cfg.order.len());
    let mut aside = Vec::new();
    let mut length = 0;
    for &block in &cfg.order {
        if unlikely[block.0 as usize] {
            aside.push(block)
        } else {
            order.push(block)
        }
        length += func.blocks[block.0 as usize].insts.len() + 1;
        if length >= STRETCH {
            // Nothing usual is dominated by what is not, so whatever comes later may stand behind it.
            order.append(&mut aside);
            length = 0;
        }
    }
    order.extend(aside);
    order
}

/// Where a branch leads when something was not found or failed.
fn exception(term: &Term, func: &Func, defs: &[Option<&Op>]) -> Option<BlockId> {
    let Term::Branch { op, lhs, rhs, then, otherwise } = term else { return None };
    let is_zero = matches!(defs[rhs.0 as usize], Some(Op::Const(0)));
    if !is_zero {
        return None;
    }
    let is_address = func.values[lhs.0 as usize].ty != ValueTy::Int;
    match op {
        CmpOp::Eq if is_address => Some(then.to),
        CmpOp::Ne if is_address => Some(otherwise.to),
        // Helpers that may fail answer zero or a length when they do not.
        CmpOp::Ne | CmpOp::SLt if is_answer(*lhs, defs) => Some(then.to),
        CmpOp::Eq | CmpOp::SGt if is_answer(*lhs, defs) => Some(otherwise.to),
        _ => None,
    }
}

/// Whether a number is what a helper with effects answered, extended or not.
fn is_answer(value: Value, defs: &[Option<&Op>]) -> bool {
    match defs[value.0 as usize] {
        Some(Op::Extend { value, .. }) => is_answer(*value, defs),
        Some(Op::Call { pure, .. }) => !pure,
        _ => false,
    }
}
