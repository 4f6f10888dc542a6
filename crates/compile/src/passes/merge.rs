//! Blocks that always follow one another become one; blocks that only lead on
//! are left out.

use super::Replacements;
use super::unused::drop_unreachable;
use crate::ir::cfg::Cfg;
use crate::ir::{BlockId, Func, Term};

pub(super) fn run(func: &mut Func) -> bool {
    let skipped = skip_empty(func);
    if skipped {
        drop_unreachable(func);
    }
    join(func) | skipped
}

/// Leads past blocks that hold nothing and hand over nothing.
fn skip_empty(func: &mut Func) -> bool {
    let through: Vec<Option<BlockId>> = func
        .blocks
        .iter()
        .map(|block| match &block.term {
            Term::Jump(edge) if block.params.is_empty() && block.insts.is_empty() && edge.args.is_empty() => {
                Some(edge.to)
            }
            _ => None,
        })
        .collect();
    let mut changed = false;
    for block in &mut func.blocks {
        for edge in block.term.edges_mut() {
            // Empty blocks may form a ring: an endless loop, which stays.
            for _ in 0..through.len() {
                match through[edge.to.0 as usize] {
                    Some(next) if next != edge.to => {
                        edge.to = next;
                        changed = true;
                    }
                    _ => break,
                }
            }
        }
    }
    changed
}

/// Joins a block to the only one that leads to it and nowhere else.
fn join(func: &mut Func) -> bool {
    let cfg = Cfg::of(func);
    let mut replace = Replacements::new(func);
    let mut changed = false;
    for &first in &cfg.order {
        while let Term::Jump(edge) = &func.blocks[first.0 as usize].term {
            let (next, args) = (edge.to, edge.args.clone());
            if next == first || next == BlockId(0) || cfg.preds[next.0 as usize].len() != 1 {
                break;
            }
            let taken = &mut func.blocks[next.0 as usize];
            let params = std::mem::take(&mut taken.params);
            let insts = std::mem::take(&mut taken.insts);
            let (term, term_span) = (taken.term.clone(), taken.term_span);
            // What is left of it cannot be reached; `unused` removes it. Until
            // then it is a block that ends at once, in its own right.
            taken.term = Term::Jump(crate::ir::Edge { to: next, args: Vec::new() });
            for (param, arg) in params.into_iter().zip(args) {
                replace.set(param, arg);
            }
            let block = &mut func.blocks[first.0 as usize];
            block.insts.extend(insts);
            block.term = term;
            block.term_span = term_span;
            changed = true;
        }
    }
    replace.apply(func);
    if changed {
        drop_unreachable(func);
    }
    changed
}
