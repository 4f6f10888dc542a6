//! How fields, parameters and arguments become expressions: from the context, from registers, from the user's stack.

use skep_ui::Span;

use super::{Checker, node};
use crate::hir::{BinaryOp, Expr, ExprKind};
use crate::sema::expand::Located;
use crate::sema::record::{Access, AccessKind};
use crate::sema::registers;
use crate::ty::{Space, Ty};
use crate::world::user_space::{Operand, StaticArgument};

impl Checker<'_> {
    /// A field or parameter.
    pub fn reached(&mut self, access: Access, span: Span) -> Expr {
        let Access { kind, offset, ty } = access;
        match kind {
            AccessKind::Direct => node(ExprKind::Context { offset }, ty, span),
            AccessKind::DataLoc { relative } => node(ExprKind::DataLoc { offset, relative }, ty, span),
            AccessKind::Stack(space) => self.on_stack(space, offset, ty, span),
            AccessKind::Behind => {
                let address = word(offset, span);
                self.in_memory(Space::User, address, 0, ty, span)
            }
            AccessKind::Registers { second } => node(ExprKind::Registers { first: offset, second }, ty, span),
        }
    }

    /// A value on the stack, so many bytes above its end.
    pub fn on_stack(&mut self, space: Space, above: u32, ty: Ty, span: Span) -> Expr {
        let stack = word(registers::STACK_POINTER, span);
        self.in_memory(space, stack, i64::from(above), ty, span)
    }

    /// An argument of a static probe: 64 bits, extended by the argument's own sign.
    pub fn static_argument(&mut self, argument: &StaticArgument, span: Span) -> Expr {
        let ty = self.types.int(argument.size.saturating_mul(8), argument.signed);
        let value = match argument.operand {
            Operand::Constant(value) => {
                let bits = u32::from(argument.size) * 8;
                let unused = 64u32.saturating_sub(bits);
                // Shifted up and back down, the sign comes along if there is one.
                let value = match argument.signed {
                    true => value.wrapping_shl(unused).wrapping_shr(unused),
                    false => value.cast_unsigned().wrapping_shl(unused).wrapping_shr(unused).cast_signed(),
                };
                return node(ExprKind::Int(value.cast_unsigned()), Ty::I64, span);
            }
            Operand::Register { name, shift } => {
                let Some(offset) = registers::offset(name) else { return self.broken(span) };
                node(ExprKind::Context { offset: offset + u32::from(shift / 8) }, ty, span)
            }
            Operand::Address { base, offset } => match self.sum_of_registers(Some(base), None, span) {
                Some(address) => {
                    let offset = node(ExprKind::Int(offset.cast_unsigned()), Ty::U64, span);
                    sum(address, offset, span)
                }
                None => return self.broken(span),
            },
            Operand::Memory { base, index, offset } => match self.sum_of_registers(base, index, span) {
                Some(address) => self.in_memory(Space::User, address, offset, ty, span),
                None => return self.broken(span),
            },
        };
        self.force(value, Ty::I64)
    }

    /// The address of something in the probe's program, as a pointer.
    pub fn user_address(&mut self, located: Located, to: Ty, span: Span) -> Expr {
        let offset = node(ExprKind::Int(located.offset.cast_unsigned()), Ty::U64, span);
        let address = match located.from_here {
            true => sum(word(registers::INSTRUCTION_POINTER, span), offset, span),
            false => offset,
        };
        let pointer = self.types.ptr(to, Space::User);
        self.force(address, pointer)
    }

    fn sum_of_registers(
        &mut self,
        base: Option<&'static str>,
        index: Option<(&'static str, u8)>,
        span: Span,
    ) -> Option<Expr> {
        let register = |name| registers::offset(name).map(|offset| word(offset, span));
        let base = base.map(register);
        let index = index.map(|(name, scale)| {
            let scale = node(ExprKind::Int(u64::from(scale)), Ty::U64, span);
            let (lhs, rhs) = (Box::new(register(name)?), Box::new(scale));
            Some(node(ExprKind::Binary { op: BinaryOp::Mul, lhs, rhs }, Ty::U64, span))
        });
        match (base, index) {
            (Some(base), Some(index)) => Some(sum(base?, index?, span)),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => Some(node(ExprKind::Int(0), Ty::U64, span)),
        }
    }

    /// A value in memory.
    fn in_memory(&mut self, space: Space, address: Expr, offset: i64, ty: Ty, span: Span) -> Expr {
        let pointer = self.types.ptr(ty, space);
        let pointer = Box::new(self.force(address, pointer));
        node(ExprKind::Read { pointer, offset, bits: None }, ty, span)
    }
}

/// 64 bits of the context.
pub fn word(offset: u32, span: Span) -> Expr {
    node(ExprKind::Context { offset }, Ty::U64, span)
}

fn sum(lhs: Expr, rhs: Expr, span: Span) -> Expr {
    let (lhs, rhs) = (Box::new(lhs), Box::new(rhs));
    node(ExprKind::Binary { op: BinaryOp::Add, lhs, rhs }, Ty::U64, span)
}
