//! Conditions: ways through the program instead of values where possible.

use skep_lang::hir::{CompareOp, Expr, ExprKind};
use skep_lang::ty::{Ty, TyKind};

use super::Lower;
use super::func::Place;
use crate::error::Error;
use crate::ir::{BinOp, BlockId, CmpOp, Value, ValueTy, Width};

impl Lower<'_> {
    /// Goes on in one of two blocks by a `bool`.
    pub(super) fn branch_on(&mut self, cond: &Expr, then: BlockId, otherwise: BlockId) -> Result<(), Error> {
        match &cond.kind {
            ExprKind::Int(value) => {
                self.func.jump(if *value != 0 { then } else { otherwise }, &[]);
                Ok(())
            }
            ExprKind::Not(inner) => self.branch_on(inner, otherwise, then),
            ExprKind::Logic { or, lhs, rhs } => {
                let right = self.func.new_block();
                if *or {
                    self.branch_on(lhs, then, right)?;
                } else {
                    self.branch_on(lhs, right, otherwise)?;
                }
                self.func.enter(right);
                self.branch_on(rhs, then, otherwise)
            }
            ExprKind::Cast(inner) if cond.ty == Ty::BOOL && !self.types.is_memory(inner.ty) => {
                let value = self.scalar(inner)?;
                let zero = self.func.int(0);
                self.func.branch(CmpOp::Ne, value, zero, then, otherwise);
                Ok(())
            }
            ExprKind::Compare { op, lhs, rhs } if self.types.is_memory(lhs.ty) => {
                let (same, differ) = if *op == CompareOp::Eq { (then, otherwise) } else { (otherwise, then) };
                self.branch_on_equal(lhs, rhs, same, differ)
            }
            ExprKind::Compare { op, lhs, rhs } => {
                let op = self.compare_op(*op, lhs.ty);
                let lhs = self.scalar(lhs)?;
                let rhs = self.scalar(rhs)?;
                self.func.branch(op, lhs, rhs, then, otherwise);
                Ok(())
            }
            _ => {
                let value = self.scalar(cond)?;
                let zero = self.func.int(0);
                self.func.branch(CmpOp::Ne, value, zero, then, otherwise);
                Ok(())
            }
        }
    }

    /// A condition as 1 or 0.
    pub(super) fn truth_of(&mut self, cond: &Expr) -> Result<Value, Error> {
        let then = self.func.new_block();
        let otherwise = self.func.new_block();
        let (after, value) = self.func.new_join(ValueTy::Int);
        self.branch_on(cond, then, otherwise)?;
        for (block, result) in [(then, 1), (otherwise, 0)] {
            self.func.enter(block);
            let result = self.func.int(result);
            self.func.jump(after, &[result]);
        }
        self.func.enter(after);
        Ok(value)
    }

    fn branch_on_equal(
        &mut self,
        lhs: &Expr,
        rhs: &Expr,
        same: BlockId,
        differ: BlockId,
    ) -> Result<(), Error> {
        match (&lhs.kind, &rhs.kind) {
            (ExprKind::Str(lhs), ExprKind::Str(rhs)) => {
                self.func.jump(if lhs == rhs { same } else { differ }, &[]);
                Ok(())
            }
            (_, ExprKind::Str(text)) => self.branch_on_text(lhs, text, same, differ),
            (ExprKind::Str(text), _) => self.branch_on_text(rhs, text, same, differ),
            _ => {
                let left = self.memory(lhs)?;
                let right = self.memory(rhs)?;
                self.compare_memory((left, lhs.ty), (right, rhs.ty), differ);
                self.func.jump(same, &[]);
                Ok(())
            }
        }
    }

    /// Whether a text in memory is this one. Its NUL is compared too; what
    /// follows it does not matter.
    fn branch_on_text(
        &mut self,
        expr: &Expr,
        text: &[u8],
        same: BlockId,
        differ: BlockId,
    ) -> Result<(), Error> {
        let place = self.memory(expr)?;
        let mut bytes = text.to_vec();
        bytes.push(0);
        if bytes.len() > self.types.size(expr.ty) as usize {
            self.func.jump(differ, &[]);
            return Ok(());
        }
        let mut at = 0;
        while at < bytes.len() {
            let here = place.at(at as u32);
            let width = chunk(here, (bytes.len() - at) as u32);
            let len = width.bytes() as usize;
            let mut word = [0; 8];
            word[..len].copy_from_slice(&bytes[at..at + len]);
            let found = self.func.load(width, false, here);
            let wanted = self.func.int(i64::from_le_bytes(word));
            self.require(CmpOp::Eq, found, wanted, differ);
            at += len;
        }
        self.func.jump(same, &[]);
        Ok(())
    }

    /// Goes on when two values in memory are equal, to `differ` when not.
    fn compare_memory(&mut self, left: (Place, Ty), right: (Place, Ty), differ: BlockId) {
        let ((left, left_ty), (right, right_ty)) = (left, right);
        match (self.types.kind(left_ty).clone(), self.types.kind(right_ty).clone()) {
            (TyKind::Tuple(_) | TyKind::Record(_), TyKind::Tuple(_) | TyKind::Record(_)) => {
                let left_parts = self.types.elems(left_ty).into_iter().zip(self.types.offsets(left_ty));
                let right_parts = self.types.elems(right_ty).into_iter().zip(self.types.offsets(right_ty));
                for ((left_ty, left_at), (right_ty, right_at)) in
                    left_parts.zip(right_parts).collect::<Vec<_>>()
                {
                    let (left, right) = (left.at(left_at), right.at(right_at));
                    if self.types.is_memory(left_ty) {
                        self.compare_memory((left, left_ty), (right, right_ty), differ);
                    } else {
                        let left = self.load(left_ty, left);
                        let right = self.load(right_ty, right);
                        self.require(CmpOp::Eq, left, right, differ);
                    }
                }
            }
            _ => {
                // Texts are filled up with zeroes, so they are equal when their
                // common part is and the longer one ends there.
                let (left_size, right_size) = (self.types.size(left_ty), self.types.size(right_ty));
                let common = left_size.min(right_size);
                let together = if common > LONG { TOGETHER } else { 1 };
                let mut at = 0;
                while at < common {
                    let mut unlike = None;
                    for _ in 0..together {
                        if at >= common {
                            break;
                        }
                        let width = chunk(left.at(at), common - at).min(chunk(right.at(at), common - at));
                        let one = self.func.load(width, false, left.at(at));
                        let other = self.func.load(width, false, right.at(at));
                        at += width.bytes();
                        if together == 1 {
                            self.require(CmpOp::Eq, one, other, differ);
                            continue;
                        }
                        let bits = self.func.bin(BinOp::Xor, one, other);
                        unlike = Some(match unlike {
                            Some(known) => self.func.bin(BinOp::Or, known, bits),
                            None => bits,
                        });
                    }
                    if let Some(bits) = unlike {
                        let zero = self.func.int(0);
                        self.require(CmpOp::Eq, bits, zero, differ);
                    }
                }
                if left_size != right_size {
                    let longer = if left_size > right_size { left } else { right };
                    let next = self.func.load(Width::W8, false, longer.at(common));
                    let zero = self.func.int(0);
                    self.require(CmpOp::Eq, next, zero, differ);
                }
            }
        }
    }

    /// Goes on when the comparison holds, elsewhere when not.
    pub(super) fn require(&mut self, op: CmpOp, lhs: Value, rhs: Value, otherwise: BlockId) {
        let next = self.func.new_block();
        self.func.branch(op, lhs, rhs, next, otherwise);
        self.func.enter(next);
    }
}

/// Of values with more bytes in common, many words are compared with one branch: the kernel follows 8,192 at most.
const LONG: u32 = 2_048;

/// So many.
const TOGETHER: u32 = 32;

/// The widest access at a place that alignment and length permit.
pub(super) fn chunk(place: Place, len: u32) -> Width {
    match place.align().min(len) {
        8.. => Width::W64,
        4.. => Width::W32,
        2.. => Width::W16,
        _ => Width::W8,
    }
}
