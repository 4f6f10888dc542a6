//! `(type)e`

use skep_ui::Span;

use super::types::Written;
use super::{Checker, node};
use crate::hir::{CompareOp, Expr, ExprKind};
use crate::sema::infer;
use crate::syntax::ast::{self, TypeExpr, TypeExprKind};
use crate::ty::{Space, Ty, TyKind};

impl Checker<'_> {
    /// `(type)e`; `header` is what stands in front of the operand.
    pub fn cast_to(&mut self, ty: &TypeExpr, header: Span, operand: &ast::Expr, span: Span) -> Expr {
        if let TypeExprKind::Array { elem, len: None } = &ty.kind {
            return self.cast_to_fitting_array(elem, header, operand);
        }
        let written = self.written_type(ty);
        let inner = self.operand(operand);
        let Some(written) = written else { return self.broken(span) };
        if inner.ty == Ty::ERROR {
            return self.broken(span);
        }
        let from = infer::settle(&mut self.types, inner.ty);
        let from_name = self.types.name(from);
        let to = match written {
            Written::Exactly(ty) => ty,
            Written::AnyString if matches!(self.types.kind(from), TyKind::Str(_)) => from,
            Written::AnyString => {
                return self.error(header, format!("Cannot cast from \"{from_name}\" to \"string\""));
            }
        };
        self.cast_between(inner, from, to, header, span)
    }

    /// `(int8[])e`: as many elements as the value has room for.
    fn cast_to_fitting_array(&mut self, elem: &TypeExpr, header: Span, operand: &ast::Expr) -> Expr {
        let elem = self.exact_type(elem);
        let inner = self.operand(operand);
        let (Some(elem), true) = (elem, inner.ty != Ty::ERROR) else { return self.broken(header) };
        let from = infer::settle(&mut self.types, inner.ty);
        let len = self.types.size(from).checked_div(self.types.size(elem)).unwrap_or(0);
        let to = self.types.intern(TyKind::Array { elem, len });
        self.cast_between(inner, from, to, header, header)
    }

    fn cast_between(&mut self, inner: Expr, from: Ty, to: Ty, header: Span, span: Span) -> Expr {
        let to_name = self.types.name(to);
        let number = |kind: &TyKind| {
            matches!(kind, TyKind::Int { .. } | TyKind::Enum(_) | TyKind::Bool | TyKind::Ptr { .. })
        };
        match (self.types.kind(from), self.types.kind(to)) {
            (from_kind, to_kind) if number(from_kind) && number(to_kind) => {
                let to_kind_is_pointer = matches!(to_kind, TyKind::Ptr { .. });
                let needed =
                    matches!(to_kind, TyKind::Enum(_)) || matches!(inner.kind, ExprKind::AggValue { .. });
                if from == to && !needed {
                    self.diagnostics.warning(
                        header,
                        format!("Unnecessary cast: expression is already of type {to_name}"),
                    );
                }
                if let (Some(known), Some(value)) = (self.types.enum_of(to), self.constant(&inner)) {
                    if known.name_of(value).is_none() {
                        let name = to_name.trim_start_matches("enum ");
                        let message = format!("Enum: {name} doesn't contain a variant value of {value}");
                        return self.error(header, message);
                    }
                    return Expr { span: header, ..self.force(inner, to) };
                }
                // What the context is taken for is still the context.
                if let (TyKind::Ptr { space: Space::Context, .. }, TyKind::Ptr { to, .. }) =
                    (from_kind, to_kind)
                {
                    let to = *to;
                    let ty = self.types.ptr(to, Space::Context);
                    return Expr { span: header, ..self.force(inner, ty) };
                }
                // The bits of a number become the address, without its sign: `(int8 *)-1` is 0xff.
                let inner = match (self.types.as_int(from), to_kind_is_pointer) {
                    (Some((bits, true)), true) => {
                        let unsigned = self.types.int(bits, false);
                        self.force(inner, unsigned)
                    }
                    _ => inner,
                };
                // Messages about a cast value point to the cast. What was cast is no literal any more: it
                // has the type that was written, and is computed with in that type.
                match inner.kind {
                    ExprKind::Int(_) => node(ExprKind::Cast(Box::new(inner)), to, header),
                    _ => Expr { span: header, ..self.force(inner, to) },
                }
            }
            (TyKind::Str(_), TyKind::Str(capacity)) => match inner.kind {
                _ if from == to => Expr { span: header, ..inner },
                ExprKind::Str(text) if (text.len() as u64) < u64::from(*capacity) => {
                    node(ExprKind::Str(text), to, span)
                }
                _ => node(ExprKind::Cast(Box::new(inner)), to, span),
            },
            // It holds if there is something in it.
            (TyKind::Str(_), TyKind::Bool) => {
                if let ExprKind::Str(text) = &inner.kind {
                    return self.boolean(!text.is_empty(), header);
                }
                let nothing = Box::new(self.text(Vec::new(), header));
                let kind = ExprKind::Compare { op: CompareOp::Ne, lhs: Box::new(inner), rhs: nothing };
                node(kind, Ty::BOOL, header)
            }
            // A text as a pointer is its address, as in C.
            (TyKind::Str(_), TyKind::Ptr { .. }) => {
                let address = self.address(inner, header);
                let ty = self.types.in_space(to, Space::Kernel);
                self.force(address, ty)
            }
            _ if from == to => Expr { span: header, ..inner },
            _ if self.same_bytes(&inner, from, to) => {
                // A literal fills the array, whatever its own size.
                let inner = match (self.types.kind(from), self.types.size(to)) {
                    (TyKind::Int { signed, .. }, bytes @ (1 | 2 | 4 | 8)) => {
                        let wide = self.types.int(bytes as u8 * 8, *signed);
                        self.force(inner, wide)
                    }
                    (TyKind::Int { .. }, _) => self.force(inner, Ty::U64),
                    _ => inner,
                };
                node(ExprKind::Cast(Box::new(inner)), to, header)
            }
            _ => {
                let from_name = self.types.name(from);
                self.error(header, format!("Cannot cast from \"{from_name}\" to \"{to_name}\""))
            }
        }
    }

    /// Whether the bytes of a value can be taken as another type: a number or text as an array of
    /// numbers that is as large (or, of a number, larger), and an array as a number that is as large.
    fn same_bytes(&self, inner: &Expr, from: Ty, to: Ty) -> bool {
        let (given, size) = (self.types.size(from), self.types.size(to));
        let numbers = |ty: Ty| match self.types.kind(ty) {
            TyKind::Array { elem, .. } => matches!(self.types.kind(*elem), TyKind::Int { .. } | TyKind::Bool),
            _ => false,
        };
        match (self.types.kind(from), self.types.kind(to)) {
            (TyKind::Int { .. }, TyKind::Array { .. }) => {
                let literal = matches!(inner.kind, ExprKind::Int(_));
                numbers(to) && (size == given || literal && (given..=8).contains(&size))
            }
            (TyKind::Str(_) | TyKind::Array { .. }, TyKind::Array { .. }) => numbers(to) && size == given,
            (TyKind::Array { .. }, TyKind::Int { .. }) => numbers(from) && size == given,
            _ => false,
        }
    }
}
