//! What is known now is not computed later: constants, neutral operands, places within objects,
//! branches that always go one way, parameters that always get the same value.

use super::Replacements;
use crate::ir::interp::{extend, swap_bytes};
use crate::ir::{BinOp, Edge, Func, ObjectId, Op, Term, Value, ValueTy};

pub(super) fn run(func: &mut Func) -> bool {
    let mut changed = false;
    let mut consts: Vec<Option<i64>> = vec![None; func.values.len()];
    let mut places: Vec<Option<(ObjectId, u32)>> = vec![None; func.values.len()];
    let objects = &func.objects;
    let mut replace = Replacements::new(func);
    for block in &func.blocks {
        for inst in &block.insts {
            match (inst.result, &inst.op) {
                (Some(result), Op::Const(value)) => consts[result.0 as usize] = Some(*value),
                (Some(result), Op::ObjectAddr(object, offset)) => {
                    places[result.0 as usize] = Some((*object, *offset));
                }
                _ => {}
            }
        }
    }
    let mut ways_lost = false;
    let values = &func.values;
    // Blocks stand before what they dominate or not, so one walk may miss a
    // chain; the next round finds the rest.
    for block in &mut func.blocks {
        for inst in &mut block.insts {
            let Some(result) = inst.result else { continue };
            let known = |value: Value| consts[replace.get(value).0 as usize];
            let place = |value: Value| places[replace.get(value).0 as usize];
            if let Some((object, offset)) = further(&inst.op, known, place)
                && offset <= objects[object.0 as usize].size
            {
                places[result.0 as usize] = Some((object, offset));
                inst.op = Op::ObjectAddr(object, offset);
                changed = true;
                continue;
            }
            match simplify(&inst.op, known, |value| values[value.0 as usize].ty) {
                Simplified::Const(value) => {
                    inst.op = Op::Const(value);
                    consts[result.0 as usize] = Some(value);
                    changed = true;
                }
                Simplified::Same(value) => replace.set(result, value),
                Simplified::No => {}
            }
        }
        if let Term::Branch { op, lhs, rhs, then, otherwise } = &block.term {
            let known = |value: &Value| consts[replace.get(*value).0 as usize];
            let taken = match (known(lhs), known(rhs)) {
                (Some(lhs), Some(rhs)) => Some(op.holds(lhs as u64, rhs as u64)),
                _ if then == otherwise => Some(true),
                _ => None,
            };
            if let Some(taken) = taken {
                block.term = Term::Jump(if taken { then.clone() } else { otherwise.clone() });
                ways_lost = true;
            }
        }
    }
    if ways_lost {
        super::unused::drop_unreachable(func);
    }
    changed |= same_arguments(func, &mut replace);
    replace.apply(func) | changed | ways_lost
}

/// Parameters that get one value from all ways in (or themselves, in a loop).
fn same_arguments(func: &mut Func, replace: &mut Replacements) -> bool {
    let mut incoming: Vec<Vec<Option<Option<Value>>>> =
        func.blocks.iter().map(|block| vec![None; block.params.len()]).collect();
    for block in &func.blocks {
        for Edge { to, args } in block.term.edges() {
            for (index, arg) in args.iter().enumerate() {
                let arg = replace.get(*arg);
                let param = func.blocks[to.0 as usize].params[index];
                let seen = &mut incoming[to.0 as usize][index];
                *seen = match *seen {
                    _ if arg == param => *seen,
                    None => Some(Some(arg)),
                    Some(Some(other)) if other == arg => Some(Some(arg)),
                    Some(_) => Some(None),
                };
            }
        }
    }
    let mut removed: Vec<Vec<bool>> = Vec::with_capacity(func.blocks.len());
    for (block, incoming) in func.blocks.iter().zip(incoming) {
        let mut flags = Vec::with_capacity(incoming.len());
        for (param, seen) in block.params.iter().zip(incoming) {
            let same = match seen {
                Some(Some(value)) if replace.get(value) != *param => {
                    replace.set(*param, value);
                    true
                }
                _ => false,
            };
            flags.push(same);
        }
        removed.push(flags);
    }
    remove_params(func, &removed)
}

/// Takes away the flagged parameters of blocks, and what is handed to them.
pub(super) fn remove_params(func: &mut Func, removed: &[Vec<bool>]) -> bool {
    if !removed.iter().flatten().any(|flag| *flag) {
        return false;
    }
    for (block, flags) in func.blocks.iter_mut().zip(removed) {
        keep(&mut block.params, flags);
        for edge in block.term.edges_mut() {
            keep(&mut edge.args, &removed[edge.to.0 as usize]);
        }
    }
    true
}

fn keep(list: &mut Vec<Value>, removed: &[bool]) {
    let mut flags = removed.iter();
    list.retain(|_| !flags.next().copied().unwrap_or(false));
}

/// A constant number of bytes on from a place in an object.
fn further(
    op: &Op,
    known: impl Fn(Value) -> Option<i64>,
    place: impl Fn(Value) -> Option<(ObjectId, u32)>,
) -> Option<(ObjectId, u32)> {
    let Op::Bin(BinOp::Add, base, by) = *op else { return None };
    let (object, offset) = place(base)?;
    let moved = i64::from(offset).checked_add(known(by)?)?;
    Some((object, u32::try_from(moved).ok()?))
}

enum Simplified {
    /// The result is this constant.
    Const(i64),
    /// The result is this value.
    Same(Value),
    No,
}

fn simplify(op: &Op, known: impl Fn(Value) -> Option<i64>, ty: impl Fn(Value) -> ValueTy) -> Simplified {
    match *op {
        Op::Bin(op, lhs, rhs) => match (known(lhs), known(rhs)) {
            (Some(lhs), Some(rhs)) => Simplified::Const(op.apply(lhs as u64, rhs as u64) as i64),
            (_, Some(0)) if matches!(op, BinOp::Mul | BinOp::And) => Simplified::Const(0),
            (_, Some(0)) if !matches!(op, BinOp::UDiv | BinOp::SDiv) => Simplified::Same(lhs),
            (_, Some(1)) if matches!(op, BinOp::Mul | BinOp::UDiv | BinOp::SDiv) => Simplified::Same(lhs),
            (_, Some(-1)) if op == BinOp::And => Simplified::Same(lhs),
            (Some(0), _) if matches!(op, BinOp::Add | BinOp::Or | BinOp::Xor) => Simplified::Same(rhs),
            (Some(1), _) if op == BinOp::Mul => Simplified::Same(rhs),
            _ => Simplified::No,
        },
        Op::Cmp(op, lhs, rhs) => match (known(lhs), known(rhs)) {
            (Some(lhs), Some(rhs)) => Simplified::Const(op.holds(lhs as u64, rhs as u64).into()),
            // Addresses compare equal to themselves as well.
            _ if lhs == rhs && ty(lhs) == ValueTy::Int => Simplified::Const(op.holds(0, 0).into()),
            _ => Simplified::No,
        },
        Op::Extend { from, signed, value } => match known(value) {
            Some(value) => Simplified::Const(extend(value as u64, from, signed) as i64),
            None => Simplified::No,
        },
        Op::ByteSwap(width, value) => match known(value) {
            Some(value) => Simplified::Const(swap_bytes(value as u64, width) as i64),
            None => Simplified::No,
        },
        _ => Simplified::No,
    }
}
