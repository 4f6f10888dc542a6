//! Extensions that change nothing go: of what already has no bits there, and before stores of the low bits.

use super::Replacements;
use crate::ir::cfg::Cfg;
use crate::ir::{BinOp, Func, Op, Value, Width};

pub(super) fn run(func: &mut Func) -> bool {
    let cfg = Cfg::of(func);
    let mut replace = Replacements::new(func);
    let mut ranges =
        Ranges { of: vec![Range::Any; func.values.len()], consts: vec![None; func.values.len()] };
    // What each extension is made of.
    let mut extended: Vec<Option<(Width, Value)>> = vec![None; func.values.len()];
    let mut changed = false;
    for &block in &cfg.order {
        for inst in &mut func.blocks[block.0 as usize].insts {
            changed |= look_through(&mut inst.op, &extended);
            let Some(result) = inst.result else { continue };
            let at = result.0 as usize;
            if let Op::Extend { from, signed, value } = inst.op {
                if ranges.fits(value, from, signed) {
                    replace.set(result, value);
                } else {
                    extended[at] = Some((from, value));
                }
            }
            if let Op::Const(constant) = inst.op {
                ranges.consts[at] = Some(constant);
            }
            ranges.of[at] = ranges.result(&inst.op);
        }
    }
    replace.apply(func) | changed
}

/// Takes the low bits of what was extended, where no others count.
fn look_through(op: &mut Op, extended: &[Option<(Width, Value)>]) -> bool {
    let (width, value) = match op {
        Op::Store { width, value, .. } | Op::Extend { from: width, value, .. } => (*width, value),
        _ => return false,
    };
    match extended[value.0 as usize] {
        Some((from, inner)) if from >= width => {
            *value = inner;
            true
        }
        _ => false,
    }
}

/// What is known of a number.
#[derive(Clone, Copy)]
enum Range {
    /// So many low bits; the others are zero.
    Low(u32),
    /// So many low bits; the others are copies of the highest of them.
    Signed(u32),
    /// Nothing.
    Any,
}

struct Ranges {
    of: Vec<Range>,
    consts: Vec<Option<i64>>,
}

impl Ranges {
    /// Whether extending a value leaves it as it is.
    fn fits(&self, value: Value, from: Width, signed: bool) -> bool {
        match (self.of[value.0 as usize], signed) {
            (Range::Low(bits), false) => bits <= from.bits(),
            (Range::Low(bits), true) => bits < from.bits(),
            (Range::Signed(bits), true) => bits <= from.bits(),
            _ => from == Width::W64,
        }
    }

    fn result(&self, op: &Op) -> Range {
        let low = |value: Value| match self.of[value.0 as usize] {
            Range::Low(bits) => bits,
            _ => 64,
        };
        let bits = match *op {
            Op::Const(value) => 64 - (value as u64).leading_zeros(),
            Op::Cmp(..) => 1,
            Op::Load { width, signed: false, .. } | Op::ByteSwap(width, _) => width.bits(),
            Op::Load { width, signed: true, .. } => return Range::Signed(width.bits()),
            Op::Extend { from, signed: false, value } => low(value).min(from.bits()),
            Op::Extend { from, signed: true, .. } => return Range::Signed(from.bits()),
            Op::Bin(BinOp::And, a, b) => low(a).min(low(b)),
            Op::Bin(BinOp::Or | BinOp::Xor, a, b) => low(a).max(low(b)),
            Op::Bin(BinOp::UDiv | BinOp::UMod, a, _) => low(a),
            Op::Bin(BinOp::LShr, a, by) => match self.consts[by.0 as usize] {
                Some(by) => low(a).saturating_sub((by & 63) as u32),
                None => low(a),
            },
            _ => 64,
        };
        if bits < 64 { Range::Low(bits) } else { Range::Any }
    }
}
