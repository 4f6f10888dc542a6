//! When the objects of a function are in use, so that those which are never in use at the same time can share memory.
//!
//! The blocks stand in an order in which every way runs forwards, loops aside. An object is in use from the first
//! instruction in this order that has to do with its address to the last one; what has to do with it in a loop is in
//! use throughout the loop.

use crate::ir::cfg::Cfg;
use crate::ir::{Func, ObjectId, Op, Term, Value, ValueTy};

/// From the first to the last instruction that uses an object, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// The first.
    pub start: u32,
    /// The last.
    pub end: u32,
}

/// The lifetimes of all objects; `None` for one that is not used.
pub fn of(func: &Func) -> Vec<Option<Lifetime>> {
    let cfg = Cfg::of(func);
    let mut objects = Objects::new(func.objects.len());
    let roots = roots(func, &cfg, &mut objects);
    let mut places = vec![(0, 0); func.blocks.len()];
    let mut at = 0;
    for &id in &cfg.order {
        let block = &func.blocks[id.0 as usize];
        let start = at;
        for inst in &block.insts {
            let mut touch = |value: Value| objects.touch(roots[value.0 as usize], at);
            inst.op.for_each_use(&mut touch);
            inst.result.into_iter().for_each(&mut touch);
            match inst.op {
                // Whoever reads the address from there cannot be told from others.
                Op::Store { value, .. } | Op::AtomicAdd { value, .. } => {
                    objects.keep(roots[value.0 as usize])
                }
                _ => {}
            }
            at += 1;
        }
        block.term.for_each_use(|value| objects.touch(roots[value.0 as usize], at));
        places[id.0 as usize] = (start, at);
        at += 1;
    }
    let loops = cfg.order.iter().flat_map(|&from| {
        let end = places[from.0 as usize].1;
        let edges = func.blocks[from.0 as usize].term.edges();
        edges.into_iter().map(move |edge| (edge.to, end)).collect::<Vec<_>>()
    });
    let loops: Vec<Lifetime> = loops
        .map(|(to, end)| Lifetime { start: places[to.0 as usize].0, end })
        .filter(|range| range.start <= range.end)
        .collect();
    objects.finish(&loops, at)
}

/// Which object each value is an address in.
fn roots(func: &Func, cfg: &Cfg, objects: &mut Objects) -> Vec<Option<ObjectId>> {
    let mut roots: Vec<Option<ObjectId>> = vec![None; func.values.len()];
    let is_address = |value: Value| func.values[value.0 as usize].ty != ValueTy::Int;
    let mut changed = true;
    while changed {
        changed = false;
        let mut flow = |roots: &mut Vec<Option<ObjectId>>, from: Option<ObjectId>, to: Value| {
            match (from, roots[to.0 as usize]) {
                (Some(from), None) => (roots[to.0 as usize], changed) = (Some(from), true),
                // An address in one of several objects: they are one from now on.
                (Some(from), Some(to)) => changed |= objects.unite(from, to),
                (None, _) => {}
            }
        };
        for &id in &cfg.order {
            let block = &func.blocks[id.0 as usize];
            for inst in &block.insts {
                let Some(result) = inst.result else { continue };
                match inst.op {
                    Op::ObjectAddr(object, _) => flow(&mut roots, Some(object), result),
                    Op::Bin(_, a, b) if is_address(result) => {
                        for operand in [a, b] {
                            let root = roots[operand.0 as usize];
                            flow(&mut roots, root, result);
                        }
                    }
                    _ => {}
                }
            }
            for edge in block.term.edges() {
                let params = &func.blocks[edge.to.0 as usize].params;
                for (arg, param) in edge.args.iter().zip(params) {
                    let root = roots[arg.0 as usize];
                    flow(&mut roots, root, *param);
                }
            }
            debug_assert!(!matches!(block.term, Term::Return(value) if roots[value.0 as usize].is_some()));
        }
    }
    roots
}

/// What is known of objects; those that cannot be told apart are one.
struct Objects {
    /// One that each is the same as, which may be the same as another one; itself if there is none.
    same: Vec<u32>,
    lifetimes: Vec<Option<Lifetime>>,
    /// Those whose addresses are somewhere in memory.
    kept: Vec<bool>,
}

impl Objects {
    fn new(count: usize) -> Objects {
        Objects { same: (0..count as u32).collect(), lifetimes: vec![None; count], kept: vec![false; count] }
    }

    fn find(&mut self, object: u32) -> u32 {
        let mut at = object;
        while self.same[at as usize] != at {
            // Shortens the way for the next one.
            self.same[at as usize] = self.same[self.same[at as usize] as usize];
            at = self.same[at as usize];
        }
        at
    }

    /// Whether they were two before.
    fn unite(&mut self, a: ObjectId, b: ObjectId) -> bool {
        let (a, b) = (self.find(a.0), self.find(b.0));
        self.same[a as usize] = b;
        a != b
    }

    fn touch(&mut self, object: Option<ObjectId>, at: u32) {
        let Some(object) = object else { return };
        let object = self.find(object.0) as usize;
        let known = self.lifetimes[object].get_or_insert(Lifetime { start: at, end: at });
        known.end = known.end.max(at);
    }

    fn keep(&mut self, object: Option<ObjectId>) {
        let Some(object) = object else { return };
        let object = self.find(object.0) as usize;
        self.kept[object] = true;
    }

    fn finish(mut self, loops: &[Lifetime], end: u32) -> Vec<Option<Lifetime>> {
        for (lifetime, kept) in self.lifetimes.iter_mut().zip(&self.kept) {
            let Some(lifetime) = lifetime else { continue };
            if *kept {
                *lifetime = Lifetime { start: 0, end };
            }
            let mut changed = true;
            while changed {
                changed = false;
                for range in loops {
                    if range.end < lifetime.start || lifetime.end < range.start {
                        continue;
                    }
                    let wider =
                        Lifetime { start: lifetime.start.min(range.start), end: lifetime.end.max(range.end) };
                    changed |= wider != *lifetime;
                    *lifetime = wider;
                }
            }
        }
        (0..self.same.len() as u32)
            .map(|object| {
                let object = self.find(object);
                self.lifetimes[object as usize]
            })
            .collect()
    }
}
