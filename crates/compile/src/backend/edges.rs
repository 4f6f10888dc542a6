//! Gives every conditional branch two targets of its own.
//!
//! Register allocation puts the moves for block parameters on edges; where an edge leaves a branch and enters
//! a block with other ways in, there is no place for them. Afterwards only jumps carry arguments, so a
//! constant argument is also made on the one way that needs it.

use crate::ir::cfg::Cfg;
use crate::ir::{Block, BlockId, Edge, Func, Term};

/// Puts an empty block on each edge of a branch that carries arguments or enters a block with other ways in.
pub fn split(func: &mut Func) {
    let cfg = Cfg::of(func);
    for &id in &cfg.order {
        let index = id.0 as usize;
        let fresh = func.blocks.len() as u32;
        let span = func.blocks[index].term_span;
        let Term::Branch { then, otherwise, .. } = &mut func.blocks[index].term else { continue };
        let mut added = Vec::new();
        for edge in [then, otherwise] {
            if edge.args.is_empty() && cfg.preds[edge.to.0 as usize].len() == 1 {
                continue;
            }
            let between = BlockId(fresh + added.len() as u32);
            let onward = std::mem::replace(edge, Edge { to: between, args: Vec::new() });
            added.push(Block {
                params: Vec::new(),
                insts: Vec::new(),
                term: Term::Jump(onward),
                term_span: span,
            });
        }
        func.blocks.extend(added);
    }
}
