//! Which function a probe is in, as a number: that of the first target in it. So the call and the return of a function
//! have the same, and what one clause keeps by function another finds.

use rustc_hash::FxHashMap;
use skep_lang::hir::{Attach, Target, TargetId};
use skep_lang::ty::Ty;

use super::{Lower, Place};
use crate::ir::{BinOp, CmpOp, Value, ValueTy};

impl Lower<'_> {
    /// The number of the function that the probe is in.
    pub fn function_number(&mut self) -> Value {
        let firsts = firsts(&self.program.targets);
        let first = |id: &TargetId| firsts.get(id.0 as usize).copied().unwrap_or(id.0);
        if let [only] = self.targets {
            return self.func.int(i64::from(first(only)));
        }
        let cookie = self.func.cookie();
        if self.targets.iter().all(|id| first(id) == id.0) {
            return cookie;
        }
        let (map, offset) = self.shared.functions(&firsts);
        let (known, unknown) = (self.func.new_block(), self.func.new_block());
        let (after, found) = self.func.new_join(ValueTy::Int);
        // It always is less, but the verifier cannot know that.
        let count = self.func.int(firsts.len() as i64);
        self.func.branch(CmpOp::ULt, cookie, count, known, unknown);
        self.func.enter(known);
        let distance = self.func.bin_imm(BinOp::Mul, cookie, 4);
        let rows = self.func.map_value(map, offset);
        let row = self.func.add_bytes(rows, distance);
        let number = self.load(Ty::U32, Place { base_align: 4, ..row });
        self.func.jump(after, &[number]);
        self.func.enter(unknown);
        self.func.jump(after, &[cookie]);
        self.func.enter(after);
        found
    }
}

/// For each target the number of the first one in the same function, its own if it is in none.
fn firsts(targets: &[Target]) -> Vec<u32> {
    let mut known = FxHashMap::default();
    let numbered = targets.iter().zip(0u32..);
    numbered
        .map(|(target, number)| {
            let file = match &target.attach {
                Attach::Uprobe(uprobe) => uprobe.file.as_str(),
                _ => "",
            };
            target.function().map_or(number, |name| *known.entry((file, name)).or_insert(number))
        })
        .collect()
}
