//! The control-flow graph of a function: predecessors, order, dominators.
//!
//! Computed on demand and thrown away; nothing keeps it up to date.

use super::{Block, BlockId, Edge, Func, Inst, Op, Term, Value};

/// The shape of a function's control flow at one moment.
#[derive(Clone, Debug)]
pub struct Cfg {
    /// Where each block is entered from, once per edge.
    pub preds: Vec<Vec<BlockId>>,
    /// The reachable blocks, each before its successors except for back edges.
    pub order: Vec<BlockId>,
    /// Place of each block in [`Cfg::order`]; `None` when unreachable.
    place: Vec<Option<u32>>,
    /// Immediate dominator of each reachable block; the entry's is itself.
    idom: Vec<BlockId>,
    /// The reachable blocks, each before those that it dominates, with all of these right behind it.
    pub tree: Vec<BlockId>,
    /// Of each block, its place in [`Cfg::tree`] and that of the first block behind it that it does not dominate.
    span: Vec<(u32, u32)>,
}

impl Cfg {
    /// Of a function whose edges stay within its blocks.
    pub fn of(func: &Func) -> Cfg {
        let count = func.blocks.len();
        let mut preds = vec![Vec::new(); count];
        let order = reverse_postorder(func);
        let mut place = vec![None; count];
        for (at, &block) in order.iter().enumerate() {
            place[block.0 as usize] = Some(at as u32);
            for edge in func.blocks[block.0 as usize].term.edges() {
                preds[edge.to.0 as usize].push(block);
            }
        }
        let idom = dominators(&order, &place, &preds);
        let (tree, span) = dominator_tree(&order, &idom);
        Cfg { preds, order, place, idom, tree, span }
    }

    /// Whether a block can be reached from the entry.
    pub fn is_reachable(&self, block: BlockId) -> bool {
        self.place.get(block.0 as usize).is_some_and(Option::is_some)
    }

    /// The closest block that every way to a reachable block leads through; `None` for the entry.
    pub fn immediate_dominator(&self, block: BlockId) -> Option<BlockId> {
        self.idom.get(block.0 as usize).copied().filter(|up| *up != block)
    }

    /// The closest block that every way to either of two reachable blocks leads through.
    pub fn common_dominator(&self, a: BlockId, b: BlockId) -> BlockId {
        let mut common = a;
        while !self.dominates(common, b) {
            // The entry dominates everything, so this ends there at the latest.
            common = self.idom[common.0 as usize];
        }
        common
    }

    /// Whether every way to `b` leads through `a`; both reachable. A block dominates itself.
    pub fn dominates(&self, a: BlockId, b: BlockId) -> bool {
        let (start, end) = self.span[a.0 as usize];
        (start..end).contains(&self.span[b.0 as usize].0)
    }
}

fn reverse_postorder(func: &Func) -> Vec<BlockId> {
    let mut seen = vec![false; func.blocks.len()];
    let mut order = Vec::with_capacity(func.blocks.len());
    // Each entry: a block and how many of its successors are done.
    let mut stack = Vec::new();
    if let Some(first) = seen.first_mut() {
        *first = true;
        stack.push((BlockId(0), 0));
    }
    while let Some((block, done)) = stack.last_mut() {
        let edges = func.blocks[block.0 as usize].term.edges();
        // Last successor first, so that the `then` side follows its branch in the final order.
        let next = edges.len().checked_sub(*done + 1).map(|at| edges[at].to);
        *done += 1;
        match next {
            None => {
                order.push(*block);
                stack.pop();
            }
            Some(to) if !seen[to.0 as usize] => {
                seen[to.0 as usize] = true;
                stack.push((to, 0));
            }
            Some(_) => {}
        }
    }
    order.reverse();
    order
}

/// The algorithm of Cooper, Harvey and Kennedy: meet over predecessors until nothing changes.
fn dominators(order: &[BlockId], place: &[Option<u32>], preds: &[Vec<BlockId>]) -> Vec<BlockId> {
    const UNKNOWN: u32 = u32::MAX;
    let mut idom = vec![UNKNOWN; order.len()];
    if let Some(entry) = idom.first_mut() {
        *entry = 0;
    }
    let mut changed = true;
    while changed {
        changed = false;
        for (at, block) in order.iter().enumerate().skip(1) {
            let mut new = UNKNOWN;
            for pred in &preds[block.0 as usize] {
                let Some(pred) = place[pred.0 as usize] else { continue };
                if idom[pred as usize] == UNKNOWN {
                    continue;
                }
                new = if new == UNKNOWN { pred } else { meet(&idom, new, pred) };
            }
            if idom[at] != new {
                idom[at] = new;
                changed = true;
            }
        }
    }
    let mut by_block: Vec<BlockId> = (0..place.len() as u32).map(BlockId).collect();
    for (at, block) in order.iter().enumerate() {
        if let Some(dom) = order.get(idom[at] as usize) {
            by_block[block.0 as usize] = *dom;
        }
    }
    by_block
}

/// See [`Cfg::tree`] and [`Cfg::span`].
fn dominator_tree(order: &[BlockId], idom: &[BlockId]) -> (Vec<BlockId>, Vec<(u32, u32)>) {
    let mut size = vec![0u32; idom.len()];
    // Backwards: what a block dominates is counted before the block is added to its own dominator.
    for &block in order.iter().rev() {
        size[block.0 as usize] += 1;
        let above = idom[block.0 as usize];
        if above != block {
            size[above.0 as usize] += size[block.0 as usize];
        }
    }
    let mut span = vec![(0, 0); idom.len()];
    let mut next: Vec<u32> = vec![0; idom.len()];
    let mut tree = order.to_vec();
    for &block in order {
        let above = idom[block.0 as usize];
        let start = if above == block { 0 } else { next[above.0 as usize] };
        next[above.0 as usize] = start + size[block.0 as usize];
        next[block.0 as usize] = start + 1;
        span[block.0 as usize] = (start, start + size[block.0 as usize]);
        tree[start as usize] = block;
    }
    (tree, span)
}

fn meet(idom: &[u32], mut a: u32, mut b: u32) -> u32 {
    while a != b {
        if a > b {
            a = idom[a as usize];
        } else {
            b = idom[b as usize];
        }
    }
    a
}

impl Term {
    /// The ways out, `then` first.
    pub fn edges(&self) -> Vec<&Edge> {
        match self {
            Term::Jump(edge) => vec![edge],
            Term::Branch { then, otherwise, .. } => vec![then, otherwise],
            Term::Return(_) => Vec::new(),
        }
    }

    /// The ways out, `then` first.
    pub fn edges_mut(&mut self) -> Vec<&mut Edge> {
        match self {
            Term::Jump(edge) => vec![edge],
            Term::Branch { then, otherwise, .. } => vec![then, otherwise],
            Term::Return(_) => Vec::new(),
        }
    }

    /// Every value it reads, arguments of edges included.
    pub fn for_each_use(&self, mut f: impl FnMut(Value)) {
        match self {
            Term::Jump(_) => {}
            Term::Branch { lhs, rhs, .. } => {
                f(*lhs);
                f(*rhs);
            }
            Term::Return(value) => f(*value),
        }
        for edge in self.edges() {
            edge.args.iter().copied().for_each(&mut f);
        }
    }

    /// As [`Term::for_each_use`], to replace them.
    pub fn for_each_use_mut(&mut self, mut f: impl FnMut(&mut Value)) {
        match self {
            Term::Jump(_) => {}
            Term::Branch { lhs, rhs, .. } => {
                f(lhs);
                f(rhs);
            }
            Term::Return(value) => f(value),
        }
        for edge in self.edges_mut() {
            edge.args.iter_mut().for_each(&mut f);
        }
    }
}

impl Op {
    /// Every value it reads, in order.
    pub fn for_each_use(&self, mut f: impl FnMut(Value)) {
        // Reading through the mutable walk keeps the list of operands in one place.
        self.clone().for_each_use_mut(|value| f(*value));
    }

    /// As [`Op::for_each_use`], to replace them.
    pub fn for_each_use_mut(&mut self, mut f: impl FnMut(&mut Value)) {
        match self {
            Op::Const(_)
            | Op::Ctx
            | Op::ObjectAddr(..)
            | Op::Map(_)
            | Op::MapValue(..)
            | Op::Runtime(_)
            | Op::FuncAddr(_) => {}
            Op::Cookie(value)
            | Op::Extend { value, .. }
            | Op::ByteSwap(_, value)
            | Op::Load { addr: value, .. }
            | Op::Zero { addr: value, .. } => f(value),
            Op::Bin(_, a, b)
            | Op::Cmp(_, a, b)
            | Op::Store { addr: a, value: b, .. }
            | Op::AtomicAdd { addr: a, value: b, .. }
            | Op::Copy { dst: a, src: b, .. } => {
                f(a);
                f(b);
            }
            Op::Call { args, .. } | Op::CallFunc { args, .. } => args.iter_mut().for_each(f),
        }
    }

    /// Whether it changes anything but its result; what does not may be dropped when the result is unused.
    pub fn has_effect(&self) -> bool {
        match self {
            Op::Store { .. }
            | Op::AtomicAdd { .. }
            | Op::Zero { .. }
            | Op::Copy { .. }
            | Op::CallFunc { .. } => true,
            Op::Call { pure, .. } => !pure,
            _ => false,
        }
    }
}

impl Func {
    /// The block of this index, if there is one.
    pub fn block(&self, id: BlockId) -> Option<&Block> {
        self.blocks.get(id.0 as usize)
    }

    /// The operation that defines each value; `None` for parameters of blocks.
    pub fn definitions(&self) -> Vec<Option<&Inst>> {
        let mut defs = vec![None; self.values.len()];
        for inst in self.blocks.iter().flat_map(|block| &block.insts) {
            if let Some(Value(result)) = inst.result
                && let Some(slot) = defs.get_mut(result as usize)
            {
                *slot = Some(inst);
            }
        }
        defs
    }
}
