//! Optimisation: the passes, each in its own file, and the order they run in.
//!
//! A pass takes a function that the verifier accepts and leaves one, with the
//! same effects. In debug builds the verifier looks after each of them.

mod extend;
mod fold;
mod merge;
mod reuse;
mod unused;

use crate::ir::verify::debug_verify;
use crate::ir::{Func, Module, Value};

/// A pass.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// What it is called.
    pub name: &'static str,
    /// Runs it on a function that the verifier accepts. Whether it changed anything.
    pub run: fn(&mut Func) -> bool,
}

/// In this order, again and again until nothing changes.
pub const PASSES: &[Pass] = &[
    Pass { name: "fold", run: fold::run },
    Pass { name: "extend", run: extend::run },
    Pass { name: "reuse", run: reuse::run },
    Pass { name: "unused", run: unused::run },
    Pass { name: "merge", run: merge::run },
];

/// Rounds after which whatever is left to do is not worth the time. Every round
/// is linear in the size of the function.
const MAX_ROUNDS: usize = 6;

/// Makes all programs of a module smaller and faster.
pub fn optimise(module: &mut Module) {
    let maps = module.maps.len();
    for func in module.funcs.iter_mut().chain(&mut module.subs) {
        debug_verify(func, maps, "lower");
        for _ in 0..MAX_ROUNDS {
            let mut changed = false;
            for pass in PASSES {
                changed |= (pass.run)(func);
                debug_verify(func, maps, pass.name);
            }
            if !changed {
                break;
            }
        }
        unused::drop_objects(func);
    }
}

/// What values are to be replaced by which others; found while walking, applied at the end.
struct Replacements {
    to: Vec<Value>,
    any: bool,
}

impl Replacements {
    fn new(func: &Func) -> Self {
        Replacements { to: (0..func.values.len() as u32).map(Value).collect(), any: false }
    }

    /// What stands for a value now.
    fn get(&self, value: Value) -> Value {
        let mut value = value;
        while self.to[value.0 as usize] != value {
            value = self.to[value.0 as usize];
        }
        value
    }

    fn set(&mut self, value: Value, by: Value) {
        let by = self.get(by);
        if by != value {
            self.to[value.0 as usize] = by;
            self.any = true;
        }
    }

    /// Rewrites all uses. Whether there were any to rewrite.
    fn apply(&self, func: &mut Func) -> bool {
        if !self.any {
            return false;
        }
        for block in &mut func.blocks {
            for inst in &mut block.insts {
                inst.op.for_each_use_mut(|value| *value = self.get(*value));
            }
            block.term.for_each_use_mut(|value| *value = self.get(*value));
        }
        true
    }
}
