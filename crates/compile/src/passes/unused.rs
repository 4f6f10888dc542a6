//! What nobody needs goes: results that are not used, parameters nobody reads,
//! blocks no way leads to, objects nobody touches.

use super::fold::remove_params;
use crate::ir::cfg::Cfg;
use crate::ir::{BlockId, Func, ObjectId, Op, Value};

pub(super) fn run(func: &mut Func) -> bool {
    let mut changed = drop_unreachable(func);
    let needed = needed(func);
    for block in &mut func.blocks {
        let before = block.insts.len();
        block.insts.retain(|inst| match inst.result {
            Some(result) => needed[result.0 as usize] || inst.op.has_effect(),
            None => true,
        });
        changed |= block.insts.len() != before;
    }
    let removed: Vec<Vec<bool>> = func
        .blocks
        .iter()
        .map(|block| block.params.iter().map(|param| !needed[param.0 as usize]).collect())
        .collect();
    changed | remove_params(func, &removed)
}

/// Which values something with an effect depends on. Arguments of edges count
/// only if the parameter does.
fn needed(func: &Func) -> Vec<bool> {
    let mut needed = vec![false; func.values.len()];
    let mut todo: Vec<Value> = Vec::new();
    // What each value is computed from: the operands, or what ways in hand over.
    let mut sources: Vec<Vec<Value>> = vec![Vec::new(); func.values.len()];
    for block in &func.blocks {
        for inst in &block.insts {
            match inst.result {
                Some(result) => {
                    inst.op.for_each_use(|value| sources[result.0 as usize].push(value));
                    if inst.op.has_effect() {
                        todo.push(result);
                    }
                }
                None => inst.op.for_each_use(|value| todo.push(value)),
            }
        }
        match &block.term {
            crate::ir::Term::Branch { lhs, rhs, .. } => todo.extend([*lhs, *rhs]),
            crate::ir::Term::Return(value) => todo.push(*value),
            crate::ir::Term::Jump(_) => {}
        }
        for edge in block.term.edges() {
            for (param, arg) in func.blocks[edge.to.0 as usize].params.iter().zip(&edge.args) {
                sources[param.0 as usize].push(*arg);
            }
        }
    }
    while let Some(value) = todo.pop() {
        if !std::mem::replace(&mut needed[value.0 as usize], true) {
            todo.extend(sources[value.0 as usize].iter().copied());
        }
    }
    needed
}

/// Removes the blocks that no way leads to.
pub(super) fn drop_unreachable(func: &mut Func) -> bool {
    let cfg = Cfg::of(func);
    if cfg.order.len() == func.blocks.len() {
        return false;
    }
    let mut place = vec![None; func.blocks.len()];
    let mut next = 0;
    for (index, place) in place.iter_mut().enumerate() {
        if cfg.is_reachable(BlockId(index as u32)) {
            *place = Some(BlockId(next));
            next += 1;
        }
    }
    let mut index = 0;
    func.blocks.retain(|_| {
        index += 1;
        place[index - 1].is_some()
    });
    for block in &mut func.blocks {
        for edge in block.term.edges_mut() {
            // A reachable block only leads to reachable ones.
            edge.to = place[edge.to.0 as usize].unwrap_or(edge.to);
        }
    }
    true
}

/// Removes objects that no instruction names, so that they take no room.
pub(super) fn drop_objects(func: &mut Func) {
    let mut used = vec![false; func.objects.len()];
    let insts = || func.blocks.iter().flat_map(|block| &block.insts);
    for inst in insts() {
        if let Op::ObjectAddr(object, _) = inst.op {
            used[object.0 as usize] = true;
        }
    }
    let mut place = Vec::with_capacity(used.len());
    let mut next = 0;
    for used in &used {
        place.push(ObjectId(next));
        next += u32::from(*used);
    }
    let mut flags = used.iter();
    func.objects.retain(|_| flags.next().copied().unwrap_or(true));
    for inst in func.blocks.iter_mut().flat_map(|block| &mut block.insts) {
        if let Op::ObjectAddr(object, _) = &mut inst.op {
            *object = place[object.0 as usize];
        }
    }
}
