//! Signed division, which BPF only has since Linux 6.6, by unsigned division of the absolute values.
//!
//! With `s` all ones for a negative x and zero otherwise, `(x ^ s) - s` is x's absolute value, and does the
//! same again to give a sign. Division by zero gives what the IR wants by itself: 0, and the left side.

use super::{Rewriter, Rewritten};
use crate::ir::{BinOp, Op, Value, ValueTy};

impl Rewriter<'_> {
    pub(super) fn signed_division(&mut self, a: Value, b: Value) -> Rewritten {
        let (abs_a, sign_a) = self.absolute(a);
        let (abs_b, sign_b) = self.divisor(b);
        let quotient = self.int(BinOp::UDiv, abs_a, abs_b);
        let sign = match sign_b {
            Sign::Plus => sign_a,
            Sign::Minus => {
                let ones = self.push(ValueTy::Int, Op::Const(-1));
                self.int(BinOp::Xor, sign_a, ones)
            }
            Sign::Of(sign_b) => self.int(BinOp::Xor, sign_a, sign_b),
        };
        let flipped = self.int(BinOp::Xor, quotient, sign);
        Rewritten::Op(Op::Bin(BinOp::Sub, flipped, sign))
    }

    pub(super) fn signed_remainder(&mut self, a: Value, b: Value) -> Rewritten {
        let (abs_a, sign_a) = self.absolute(a);
        let (abs_b, _) = self.divisor(b);
        let rest = self.int(BinOp::UMod, abs_a, abs_b);
        let flipped = self.int(BinOp::Xor, rest, sign_a);
        Rewritten::Op(Op::Bin(BinOp::Sub, flipped, sign_a))
    }

    /// The absolute value and the sign of a divisor, which is often a constant.
    fn divisor(&mut self, value: Value) -> (Value, Sign) {
        if let Some(constant) = self.constant(value) {
            let abs = self.push(ValueTy::Int, Op::Const(constant.wrapping_abs()));
            return (abs, if constant < 0 { Sign::Minus } else { Sign::Plus });
        }
        let (abs, sign) = self.absolute(value);
        (abs, Sign::Of(sign))
    }

    fn absolute(&mut self, value: Value) -> (Value, Value) {
        let amount = self.push(ValueTy::Int, Op::Const(63));
        let sign = self.int(BinOp::AShr, value, amount);
        let flipped = self.int(BinOp::Xor, value, sign);
        (self.int(BinOp::Sub, flipped, sign), sign)
    }

    fn int(&mut self, op: BinOp, a: Value, b: Value) -> Value {
        self.push(ValueTy::Int, Op::Bin(op, a, b))
    }
}

/// The sign of a divisor.
enum Sign {
    Plus,
    Minus,
    /// All ones or zero, known at run time.
    Of(Value),
}
