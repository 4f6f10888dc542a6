//! Expressions.

use skep_ui::{Diagnostic, Span, suggest};

use super::types::Written;
use super::{Checker, node};
use crate::hir::{self, Expr, ExprKind};
use crate::sema::builtins::{self, Action, Call};
use crate::sema::record::AccessKind;
use crate::sema::{infer, uses};
use crate::syntax::ast::{self, TypeExpr, UnaryOp};
use crate::ty::{Ty, TyKind};

impl Checker<'_> {
    /// An expression whose value is used by the kernel side: of an aggregation, the number it
    /// amounts to.
    pub fn value(&mut self, expr: &ast::Expr) -> Expr {
        let checked = self.operand(expr);
        if let TyKind::Agg(_) = self.types.kind(checked.ty) {
            let name = self.type_name(checked.ty);
            return self.error(checked.span, format!("Value '{name}' cannot be used in an expression"));
        }
        checked
    }

    /// As [`Checker::value`], for places that complain themselves about an aggregation that is no
    /// number.
    pub fn operand(&mut self, expr: &ast::Expr) -> Expr {
        let checked = self.expr(expr);
        self.read_aggregation(checked)
    }

    /// The number that an aggregation amounts to; anything else, and an aggregation that is no one
    /// number, as it is.
    pub fn read_aggregation(&mut self, expr: Expr) -> Expr {
        let number = match self.types.kind(expr.ty) {
            TyKind::Agg(agg) => agg.number(),
            _ => None,
        };
        match (number, expr.kind) {
            (Some(_), ExprKind::AggEntry { .. }) if !self.world.reads_other_cpus() => self.error_with_help(
                expr.span,
                "This kernel cannot read an aggregation in an expression",
                "Linux 5.19 and later can; print() and the printing of maps at the end work on this one too",
            ),
            (Some(ty), ExprKind::AggEntry { map, key }) => {
                node(ExprKind::AggValue { map, key }, ty, expr.span)
            }
            (_, kind) => Expr { kind, ..expr },
        }
    }

    /// An aggregation that is printed: as it is now where the kernel can tell, otherwise as it is
    /// when user space comes to it.
    pub fn printed_aggregation(&mut self, expr: Expr) -> Expr {
        if self.world.reads_other_cpus() { self.read_aggregation(expr) } else { expr }
    }

    /// Any expression. It may give nothing ([`Ty::VOID`]), or be an aggregation, which only user
    /// space can read.
    pub fn expr(&mut self, expr: &ast::Expr) -> Expr {
        let span = expr.span;
        match &expr.kind {
            ast::ExprKind::Int(literal) => self.int_literal(literal, span),
            ast::ExprKind::String(text) => self.text(text.bytes.as_slice(), span),
            ast::ExprKind::Bool(value) => self.boolean(*value, span),
            ast::ExprKind::Ident(name) => self.call(name, &[], true, span),
            ast::ExprKind::Call { callee, args } => self.call(&callee.name, args, false, span),
            ast::ExprKind::Var(var) => match self.read_local(var) {
                Some(id) => node(ExprKind::Local(id), self.local_type(id), span),
                None => self.broken(span),
            },
            ast::ExprKind::Map(map) => self.map_value(map, None, span),
            ast::ExprKind::MapAccess { map, keys } => self.map_value(map, Some(keys), span),
            ast::ExprKind::Param(n) => self.param(*n, span),
            ast::ExprKind::ParamCount => self.number(self.options.params.len() as u64, span),
            ast::ExprKind::Paren(inner) => self.expr(inner),
            ast::ExprKind::Unary { op, operand, .. } => self.unary(*op, operand, expr),
            ast::ExprKind::Binary { op, lhs, rhs, .. } => self.binary(*op, lhs, rhs, span),
            ast::ExprKind::Ternary { cond, then, otherwise } => {
                self.ternary(cond, then.as_deref(), otherwise, span)
            }
            ast::ExprKind::If(chosen) => self.if_value(chosen, span),
            ast::ExprKind::Block(block) => self.block_value(block, span),
            ast::ExprKind::Field { base, field, .. } => self.field(base, field, span),
            ast::ExprKind::TupleField { base, index } => self.element(base, index.node, span),
            ast::ExprKind::Index { base, index } => self.index(base, index, span),
            ast::ExprKind::Cast { ty, header, operand } => self.cast_to(ty, *header, operand, span),
            ast::ExprKind::Tuple(parts) => {
                let parts = parts.iter().map(|part| self.part(part)).collect();
                self.tuple_of(parts, span)
            }
            ast::ExprKind::Sizeof(of) => match self.type_of(of) {
                Some(ty) => {
                    let size = self.types.size(ty);
                    self.number(u64::from(size), span)
                }
                None => self.broken(span),
            },
            ast::ExprKind::Record(fields) => self.record_of(fields, span),
            ast::ExprKind::Offsetof { .. } => self.unsupported(span, "offsetof() is"),
            ast::ExprKind::Typeof(_) => self.unsupported(span, "typeof() as an argument is"),
            ast::ExprKind::Typeinfo(_) => self.unsupported(span, "typeinfo() is"),
            ast::ExprKind::Comptime(_) => self.unsupported(span, "`comptime` is"),
            ast::ExprKind::Error => self.broken(span),
        }
    }

    /// A builtin, with or without parentheses.
    fn call(&mut self, name: &str, args: &[ast::Expr], bare: bool, span: Span) -> Expr {
        if name.is_empty() {
            return self.broken(span);
        }
        if let Some(n) = builtins::numbered(name).filter(|_| args.is_empty()) {
            return builtins::argument(self, n, span);
        }
        let Some(builtin) = builtins::by_name(name) else {
            return self.unknown_name(name, bare, span);
        };
        if let Some(problem) = builtin.args.complaint(builtin.name, args.len()) {
            return self.error(span, problem);
        }
        let call = Call { name: builtin.name, args, span };
        match builtin.action {
            Action::Value(check) => check(self, &call),
            Action::Statement(check) => {
                // What it does is lost here; whoever wanted a value complains.
                let _ = check(self, &call);
                node(ExprKind::Int(0), Ty::VOID, span)
            }
            Action::Aggregate(_) => {
                self.error(span, format!("{}() must be assigned directly to a map", builtin.name))
            }
        }
    }

    fn unknown_name(&mut self, name: &str, bare: bool, span: Span) -> Expr {
        if builtins::MISSING.contains(&name) {
            let parens = if bare { "" } else { "()" };
            return self.unsupported(span, &format!("{name}{parens} is"));
        }
        let kind = if bare { "identifier" } else { "function" };
        let mut diagnostic = Diagnostic::error(span, format!("Unknown {kind}: '{name}'"));
        if let Some(near) = suggest(name, builtins::names()) {
            diagnostic = diagnostic.help(format!("Did you mean '{near}'?"));
        }
        self.diagnostics.push(diagnostic);
        self.broken(span)
    }

    /// `c ? a : b`, or `c ?: b` without `then`.
    fn ternary(
        &mut self,
        cond: &ast::Expr,
        then: Option<&ast::Expr>,
        otherwise: &ast::Expr,
        span: Span,
    ) -> Expr {
        let Some(then) = then else { return self.unsupported(span, "`?:` without a middle is") };
        let cond = self.value(cond);
        let cond = self.condition(cond, span);
        let then = self.value(then);
        let otherwise = self.value(otherwise);
        self.choice(cond, then, otherwise, span)
    }

    /// `if (c) { …; a } else { …; b }`
    fn if_value(&mut self, chosen: &ast::IfExpr, span: Span) -> Expr {
        let cond = self.if_condition(chosen, span);
        let then = self.block_value(&chosen.then, chosen.then.span);
        let Some(otherwise) = &chosen.otherwise else {
            return self.error(span, "An `if` without `else` has no value");
        };
        let otherwise = self.value(otherwise);
        self.choice(cond, then, otherwise, span)
    }

    /// `{ …; e }`
    fn block_value(&mut self, block: &ast::Block, span: Span) -> Expr {
        self.enter();
        let (stmts, _) = self.statements(block);
        let value = block.tail.as_ref().map(|tail| self.value(tail));
        self.leave();
        let Some(value) = value else {
            return self.error_with_help(
                span,
                "This block has no value",
                "The value of a block is its last expression, written without ';'",
            );
        };
        let (ty, body) = (value.ty, hir::Block { stmts });
        match ty {
            Ty::ERROR => value,
            _ if body.stmts.is_empty() => value,
            _ => node(ExprKind::Block { body, value: Box::new(value) }, ty, span),
        }
    }

    /// One of two values.
    fn choice(&mut self, cond: Expr, then: Expr, otherwise: Expr, span: Span) -> Expr {
        let Some(joined) = infer::join(&mut self.types, then.ty, otherwise.ty) else {
            let message = format!(
                "Branches must return the same type or compatible types: have '{}' and '{}'",
                self.type_name(then.ty),
                self.type_name(otherwise.ty)
            );
            return self.error(span, message);
        };
        if joined == Ty::VOID {
            return self.unsupported(span, "A choice between two actions in this place is");
        }
        let (Some(then), Some(otherwise)) = (self.convert(then, joined), self.convert(otherwise, joined))
        else {
            return self.error(span, "A branch does not fit the type of the other");
        };
        let (then, otherwise) = (Box::new(then), Box::new(otherwise));
        node(ExprKind::Cond { cond: Box::new(cond), then, otherwise }, joined, span)
    }

    /// `args.f`, or a field of a value.
    fn field(&mut self, base: &ast::Expr, field: &ast::Ident, span: Span) -> Expr {
        if uses::is_name(base, "args") {
            // Expansion has complained about fields that are not there.
            let access = self.unit_in_hand().shape.field(&field.name);
            return access.map_or_else(
                || self.broken(span),
                |access| {
                    let kind = match access.kind {
                        AccessKind::Direct => ExprKind::Context { offset: access.offset },
                        AccessKind::DataLoc { relative } => {
                            ExprKind::DataLoc { offset: access.offset, relative }
                        }
                    };
                    node(kind, access.ty, span)
                },
            );
        }
        if let Some(setting) = builtins::config_field(self, base, &field.name) {
            return setting;
        }
        let base = self.value(base);
        match self.types.kind(base.ty) {
            TyKind::Error => base,
            TyKind::Record(fields) => {
                let found = fields.iter().enumerate().find(|(_, (name, _))| **name == *field.name);
                match found.map(|(index, (_, ty))| (index, *ty)) {
                    Some((index, ty)) => {
                        let index = u32::try_from(index).unwrap_or(u32::MAX);
                        node(ExprKind::Element { base: Box::new(base), index }, ty, span)
                    }
                    None => {
                        let near = suggest(&field.name, fields.iter().map(|(name, _)| &**name));
                        let message = format!("Record does not contain a field named '{}'", field.name);
                        let mut diagnostic = Diagnostic::error(span, message);
                        if let Some(near) = near {
                            diagnostic = diagnostic.help(format!("Did you mean '{near}'?"));
                        }
                        self.diagnostics.push(diagnostic);
                        self.broken(span)
                    }
                }
            }
            TyKind::Ptr { .. } => self.unsupported(span, "Fields behind pointers are"),
            _ => {
                let name = self.type_name(base.ty);
                self.error(
                    span,
                    format!("Can not access field '{}' on expression of type '{name}'", field.name),
                )
            }
        }
    }

    /// `t.N`
    fn element(&mut self, base: &ast::Expr, index: u64, span: Span) -> Expr {
        let base = self.value(base);
        let elems = self.types.elems(base.ty);
        if !matches!(self.types.kind(base.ty), TyKind::Tuple(_)) {
            if base.ty == Ty::ERROR {
                return base;
            }
            let name = self.type_name(base.ty);
            return self
                .error(span, format!("Can not access index '{index}' on expression of type '{name}'"));
        }
        let Some(ty) = usize::try_from(index).ok().and_then(|index| elems.get(index)) else {
            return self.error(
                span,
                format!("Invalid tuple index: {index}. Found {} elements in tuple.", elems.len()),
            );
        };
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        node(ExprKind::Element { base: Box::new(base), index }, *ty, span)
    }

    /// `e[i]`: only of tuples, with a constant.
    fn index(&mut self, base: &ast::Expr, index: &ast::Expr, span: Span) -> Expr {
        match &index.peel_parens().kind {
            ast::ExprKind::Int(literal) => {
                let value = literal.value;
                let ty = self.value(base).ty;
                match self.types.kind(ty) {
                    TyKind::Tuple(_) => self.element(base, value, span),
                    TyKind::Error => self.broken(span),
                    _ => self.unsupported(span, "Indexing is"),
                }
            }
            _ => self.unsupported(span, "Indexing is"),
        }
    }

    /// `(type)e`
    fn cast_to(&mut self, ty: &TypeExpr, header: Span, operand: &ast::Expr, span: Span) -> Expr {
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
        let to_name = self.types.name(to);
        let refused = format!("Cannot cast from \"{from_name}\" to \"{to_name}\"");
        let number = |kind: &TyKind| matches!(kind, TyKind::Int { .. } | TyKind::Bool | TyKind::Ptr { .. });
        match (self.types.kind(from), self.types.kind(to)) {
            (from_kind, to_kind) if number(from_kind) && number(to_kind) => {
                let needed =
                    matches!(to_kind, TyKind::Ptr { .. }) || matches!(inner.kind, ExprKind::AggValue { .. });
                if from == to && !needed {
                    self.diagnostics.warning(
                        header,
                        format!("Unnecessary cast: expression is already of type {to_name}"),
                    );
                }
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
            _ if self.fits_array(from, to) => {
                self.unsupported(header, &format!("The cast of {from_name} to {to_name} is"))
            }
            _ => self.error(header, refused),
        }
    }

    /// Whether the bytes of a number or text can be taken as an array: of numbers, and as large as
    /// the text, or as the number at least.
    fn fits_array(&self, from: Ty, to: Ty) -> bool {
        let TyKind::Array { elem, .. } = self.types.kind(to) else { return false };
        let (size, given) = (self.types.size(to), self.types.size(from));
        let numbers = matches!(self.types.kind(*elem), TyKind::Int { .. } | TyKind::Bool);
        match self.types.kind(from) {
            TyKind::Int { .. } => numbers && (given..=8).contains(&size),
            TyKind::Str(_) => numbers && size == given,
            _ => false,
        }
    }

    /// `-e`, `!e`, `++e` and the like.
    fn unary(&mut self, op: UnaryOp, operand: &ast::Expr, whole: &ast::Expr) -> Expr {
        match op {
            UnaryOp::Neg | UnaryOp::Not | UnaryOp::BitNot => {
                let operand = self.operand(operand);
                self.unary_operator(op, operand, whole.span)
            }
            UnaryOp::Deref => self.unsupported(whole.span, "Reading through pointers is"),
            UnaryOp::AddressOf => self.unsupported(whole.span, "The address-of operator is"),
            UnaryOp::PreInc | UnaryOp::PreDec | UnaryOp::PostInc | UnaryOp::PostDec => {
                self.increment(op, operand, whole.span)
            }
        }
    }
}
