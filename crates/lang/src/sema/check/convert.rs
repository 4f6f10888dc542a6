//! From one type to another: the conversions that a script need not write, and conditions.

use skep_ui::Span;

use super::{Checker, node};
use crate::hir::{BinaryOp, Block, Expr, ExprKind};
use crate::sema::infer;
use crate::syntax::ast::{self, RecordField};
use crate::ty::{FUNC_MARK, Ty, TyKind};
use crate::walk;

impl Checker<'_> {
    /// Converts as an assignment does. Warns where values can get lost; `None` where the types have
    /// nothing in common, or a literal does not fit.
    pub fn convert(&mut self, expr: Expr, to: Ty) -> Option<Expr> {
        let to = infer::settle(&mut self.types, to);
        let from = infer::settle(&mut self.types, expr.ty);
        if from == to || from == Ty::ERROR || to == Ty::ERROR {
            return Some(expr);
        }
        if let ExprKind::Block { body, value } = expr.kind {
            let value = Box::new(self.convert(*value, to)?);
            return Some(node(ExprKind::Block { body, value }, to, expr.span));
        }
        match (self.types.kind(from), self.types.kind(to)) {
            (TyKind::Int { .. } | TyKind::Enum(_), TyKind::Int { .. } | TyKind::Enum(_)) => {
                self.convert_int(expr, from, to)
            }
            (TyKind::Str(from), TyKind::Str(capacity)) => match &expr.kind {
                _ if from > capacity => None,
                ExprKind::Str(_) => Some(Expr { ty: to, ..expr }),
                _ => Some(cast(expr, to)),
            },
            // Only types that count as the same meet here: see `infer::join`.
            (TyKind::Ptr { .. }, TyKind::Ptr { .. }) | (TyKind::Struct { .. }, TyKind::Struct { .. }) => {
                infer::join(&mut self.types, to, from).map(|_| cast(expr, to))
            }
            (TyKind::Func, TyKind::KernelSymbol) => {
                let mark = Box::new(node(ExprKind::Int(FUNC_MARK), Ty::U64, expr.span));
                let (span, func) = (expr.span, Box::new(self.force(expr, Ty::U64)));
                let marked = ExprKind::Binary { op: BinaryOp::Or, lhs: func, rhs: mark };
                Some(self.force(node(marked, Ty::U64, span), Ty::KSYM))
            }
            (TyKind::Buf(from), TyKind::Buf(capacity)) if from < capacity => Some(cast(expr, to)),
            (TyKind::Tuple(from), TyKind::Tuple(elems)) if from.len() == elems.len() => {
                let elems = elems.iter().copied().enumerate().collect::<Vec<_>>();
                self.convert_parts(expr, &elems, to)
            }
            (TyKind::Record(from), TyKind::Record(fields)) if from.len() == fields.len() => {
                let place = |name| from.iter().position(|(other, _)| other == name);
                let fields: Option<Vec<_>> =
                    fields.iter().map(|(name, ty)| Some((place(name)?, *ty))).collect();
                self.convert_parts(expr, &fields?, to)
            }
            _ => None,
        }
    }

    fn convert_int(&mut self, expr: Expr, from: Ty, to: Ty) -> Option<Expr> {
        if let Some(value) = self.constant(&expr) {
            return self.in_range(value, to).then_some(Expr { ty: to, ..expr });
        }
        let flexible = infer::is_flexible(&self.types, expr.ty);
        let silent = infer::holds(&self.types, to, from)
            || flexible
                && match (self.types.as_int(to), self.types.as_int(from)) {
                    (Some((to, _)), Some((from, _))) => to >= from,
                    _ => false,
                };
        if !silent {
            let message = format!(
                "Expression of type: {} being cast to type: {}. This may cause unexpected results. Use an explicit cast to suppress this warning.",
                self.type_name(from),
                self.type_name(to),
            );
            self.diagnostics.warning(expr.span, message);
        }
        Some(cast(expr, to))
    }

    /// Converts a tuple or record part by part. `wanted` tells for each part of the result which part
    /// of the expression it is, and its type.
    fn convert_parts(&mut self, expr: Expr, wanted: &[(usize, Ty)], to: Ty) -> Option<Expr> {
        let span = expr.span;
        if let ExprKind::Cond { cond, then, otherwise } = expr.kind {
            let then = Box::new(self.convert(*then, to)?);
            let otherwise = Box::new(self.convert(*otherwise, to)?);
            return Some(node(ExprKind::Cond { cond, then, otherwise }, to, span));
        }
        let in_order = wanted.iter().map(|(part, _)| *part).eq(0..wanted.len());
        let stays = matches!(expr.kind, ExprKind::Tuple(_)) && in_order;
        let effects = !stays && walk::differs_when_repeated(&expr);
        let mut body = Block { stmts: Vec::new() };
        let parts: Vec<Expr> = match expr.kind {
            // The parts are worked out in the order in which they stand; numbers can wait.
            ExprKind::Tuple(parts) if effects => {
                let mut in_turn = |part: Expr| {
                    if self.constant(&part).is_some() {
                        return part;
                    }
                    let (keep, kept) = self.kept(part);
                    body.stmts.push(keep);
                    kept
                };
                parts.into_iter().map(&mut in_turn).collect()
            }
            _ if effects => {
                let (keep, kept) = self.kept(expr);
                let value = Box::new(self.convert_parts(kept, wanted, to)?);
                let body = Block { stmts: vec![keep] };
                return Some(node(ExprKind::Block { body, value }, to, span));
            }
            ExprKind::Tuple(parts) => parts,
            _ => {
                let types = self.types.elems(expr.ty);
                let part = |(index, ty): (usize, Ty)| {
                    let base = Box::new(expr.clone());
                    node(ExprKind::Element { base, index: index as u32 }, ty, span)
                };
                types.into_iter().enumerate().map(part).collect()
            }
        };
        let mut parts: Vec<Option<Expr>> = parts.into_iter().map(Some).collect();
        let mut converted = Vec::with_capacity(parts.len());
        for (part, ty) in wanted {
            let part = parts.get_mut(*part)?.take()?;
            converted.push(self.convert(part, *ty)?);
        }
        let tuple = node(ExprKind::Tuple(converted), to, span);
        if body.stmts.is_empty() {
            return Some(tuple);
        }
        Some(node(ExprKind::Block { body, value: Box::new(tuple) }, to, span))
    }

    /// The value of an integer literal, or of what was folded into one.
    pub fn constant(&self, expr: &Expr) -> Option<i128> {
        let ExprKind::Int(value) = expr.kind else { return None };
        match self.types.kind(expr.ty) {
            TyKind::Int { .. } | TyKind::Enum(_) => match self.types.as_int(expr.ty) {
                Some((_, true)) => Some(i128::from(value as i64)),
                _ => Some(i128::from(value)),
            },
            _ => None,
        }
    }

    fn in_range(&self, value: i128, ty: Ty) -> bool {
        match self.types.as_int(ty) {
            Some((bits, true)) => (-(1i128 << (bits - 1))..1 << (bits - 1)).contains(&value),
            Some((bits, false)) => (0..1i128 << bits).contains(&value),
            None => false,
        }
    }

    /// To `uint64` or `int64`, by the sign of the expression's own type. Booleans count as 0 and 1,
    /// pointers as their address.
    pub fn widen_int(&mut self, expr: Expr) -> Expr {
        let to = match self.types.as_int(expr.ty) {
            Some((_, true)) => Ty::I64,
            Some((_, false)) if infer::is_flexible(&self.types, expr.ty) => Ty::I64,
            Some((_, false)) => Ty::U64,
            None if matches!(self.types.kind(expr.ty), TyKind::Ptr { .. }) => Ty::U64,
            None => return expr,
        };
        self.force(expr, to)
    }

    /// Converts between integers, booleans and pointers without any complaint, as an explicit cast.
    pub fn force(&mut self, expr: Expr, to: Ty) -> Expr {
        let from = infer::settle(&mut self.types, expr.ty);
        if from == to || from == Ty::ERROR {
            return Expr { ty: if from == Ty::ERROR { from } else { to }, ..expr };
        }
        let ExprKind::Int(value) = expr.kind else { return cast(expr, to) };
        let value = match self.types.kind(to) {
            TyKind::Bool => u64::from(value != 0),
            TyKind::Int { .. } | TyKind::Enum(_) => {
                let (bits, signed) = self.types.as_int(to).unwrap_or((64, false));
                let unused = 64 - u32::from(bits);
                let shifted = value << unused;
                if signed { ((shifted as i64) >> unused) as u64 } else { shifted >> unused }
            }
            _ => return cast(expr, to),
        };
        node(ExprKind::Int(value), to, expr.span)
    }

    /// An expression as a condition; `whole` is what messages point to.
    pub fn condition(&mut self, expr: Expr, whole: Span) -> Expr {
        match self.types.kind(expr.ty) {
            TyKind::Bool | TyKind::Error => expr,
            TyKind::Int { .. } | TyKind::Enum(_) | TyKind::Ptr { .. } => self.force(expr, Ty::BOOL),
            _ => {
                // Of a text only a literal is one: it holds if there is something in it.
                if let ExprKind::Str(text) = &expr.kind {
                    return self.boolean(!text.is_empty(), expr.span);
                }
                let sort = self.sort(expr.ty);
                self.error(whole, format!("Invalid condition: {sort}"))
            }
        }
    }

    /// Values side by side. One that is not known makes the whole not known.
    pub fn tuple_of(&mut self, parts: Vec<Expr>, span: Span) -> Expr {
        if parts.iter().any(|part| part.ty == Ty::ERROR) {
            return self.broken(span);
        }
        if let Some(void) = parts.iter().find(|part| part.ty == Ty::VOID) {
            return self.error(void.span, "Value 'void' cannot be part of a tuple");
        }
        if parts.is_empty() {
            return self.error_with_help(
                span,
                "A tuple of nothing is no value",
                "Write (x,) for a tuple of one",
            );
        }
        let ty = self.types.tuple(parts.iter().map(|part| part.ty).collect::<Vec<_>>());
        node(ExprKind::Tuple(parts), ty, span)
    }

    /// Named values side by side.
    pub fn record_of(&mut self, fields: &[RecordField], span: Span) -> Expr {
        let parts: Vec<Expr> = fields.iter().map(|field| self.part(&field.value)).collect();
        let whole = self.tuple_of(parts, span);
        if whole.ty == Ty::ERROR {
            return whole;
        }
        let types = self.types.elems(whole.ty);
        let named = fields.iter().zip(types).map(|(field, ty)| (field.name.name.as_str().into(), ty));
        let ty = TyKind::Record(named.collect());
        Expr { ty: self.types.intern(ty), ..whole }
    }

    /// A value inside a tuple or record.
    pub fn part(&mut self, part: &ast::Expr) -> Expr {
        let part = self.operand(part);
        if let TyKind::Agg(_) = self.types.kind(part.ty) {
            let name = self.type_name(part.ty);
            return self.error(part.span, format!("Map type {name} cannot exist inside a tuple."));
        }
        part
    }
}

/// A conversion the compiler carries out.
pub fn cast(expr: Expr, to: Ty) -> Expr {
    let span = expr.span;
    node(ExprKind::Cast(Box::new(expr)), to, span)
}
