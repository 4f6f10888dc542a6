//! Expressions.

use skep_ui::{Diagnostic, Span, suggest};

use super::{Checker, node};
use crate::hir::{self, Expr, ExprKind};
use crate::sema::builtins::{self, Action, Call};
use crate::sema::infer;
use crate::stdlib;
use crate::syntax::ast::{self, UnaryOp};
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
            (Some(_), ExprKind::AggEntry { .. }) if !self.world.reads_other_cpus() => {
                self.cannot_read_aggregation(expr.span)
            }
            (Some(ty), ExprKind::AggEntry { map, key }) => {
                node(ExprKind::AggValue { map, key }, ty, expr.span)
            }
            (_, kind) => Expr { kind, ..expr },
        }
    }

    /// Says that the kernel does not let programs see what other CPUs keep.
    pub fn cannot_read_aggregation(&mut self, span: Span) -> Expr {
        self.error_with_help(
            span,
            "This kernel cannot read an aggregation in an expression",
            "Linux 5.19 and later can; print() and the printing of maps at the end work on this one too",
        )
    }

    /// An aggregation that is printed: as it is now where the kernel can tell, otherwise as it is
    /// when user space comes to it.
    pub fn printed_aggregation(&mut self, expr: Expr) -> Expr {
        if self.world.reads_other_cpus() { self.read_aggregation(expr) } else { expr }
    }

    /// Any expression. It may give nothing ([`Ty::VOID`]), or be an aggregation, which only user
    /// space can read.
    pub fn expr(&mut self, expr: &ast::Expr) -> Expr {
        let span = expr.told_span();
        match &expr.kind {
            ast::ExprKind::Int(literal) => self.int_literal(literal, span),
            ast::ExprKind::String(text) => self.text(text.bytes.as_slice(), span),
            ast::ExprKind::Bool(value) => self.boolean(*value, span),
            ast::ExprKind::Ident(name) => self.name(name, span),
            ast::ExprKind::Call { callee, args } => self.call(&callee.name, args, false, span),
            ast::ExprKind::Var(var) => match self.read_local(var) {
                Some(id) => node(ExprKind::Local(id), self.local_type(id), span),
                None => self.broken(span),
            },
            ast::ExprKind::Map(map) => self.map_value(map, None, span),
            ast::ExprKind::MapAccess { map, keys } => self.map_value(map, Some(keys), span),
            ast::ExprKind::Param(n) => self.param(*n, span),
            ast::ExprKind::ParamCount => self.param_count(span),
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
            ast::ExprKind::Sizeof(of) => self.size_of(of, span),
            ast::ExprKind::Record(fields) => self.record_of(fields, span),
            ast::ExprKind::Offsetof { of, path } => self.offset_of(of, path, span),
            ast::ExprKind::Typeof(_) => self.error(
                span,
                "When used as a call argument, `typeof` builtin only valid for macro calls that are expecting a type parameter",
            ),
            ast::ExprKind::Typeinfo(of) => self.type_info(of, span),
            ast::ExprKind::Comptime(inner) => self.comptime(inner, span),
            ast::ExprKind::Error => self.broken(span),
        }
    }

    /// A bare name: a builtin, or a value of an enum.
    fn name(&mut self, name: &str, span: Span) -> Expr {
        if !builtins::is_name(name)
            && let Some((ty, value)) = self.enumerator(name)
        {
            self.enumerator_matters(ty, name, value);
            return node(ExprKind::Int(value as u64), ty, span);
        }
        self.call(name, &[], true, span)
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
            if let Some(function) = self.function_named(name).filter(|_| !bare) {
                return self.function_call(function, args, span);
            }
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
        if bare && let Some(constant) = self.header_constant(name, span) {
            return constant;
        }
        let kind = if bare { "identifier" } else { "function" };
        let mut diagnostic = Diagnostic::error(span, format!("Unknown {kind}: '{name}'"));
        let own: Vec<&str> =
            self.unit_in_hand().functions.defs.iter().map(|def| def.name.name.as_str()).collect();
        let mut known: Vec<&str> = builtins::names().chain(stdlib::macros()).collect();
        known.extend(&own);
        if bare && own.contains(&name) {
            diagnostic = diagnostic.help(format!("Call the function: {name}()"));
        } else if let Some(near) = suggest(name, known) {
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
        let Some(then) = then else { return self.otherwise(cond, otherwise, span) };
        let cond = self.value(cond);
        let cond = self.condition(cond, span);
        let then = self.value(then);
        let otherwise = self.value(otherwise);
        self.choice(cond, then, otherwise, span)
    }

    /// `c ?: b`: the condition itself if it holds, evaluated once.
    fn otherwise(&mut self, cond: &ast::Expr, otherwise: &ast::Expr, span: Span) -> Expr {
        let cond = self.value(cond);
        let otherwise = self.value(otherwise);
        if cond.ty == Ty::ERROR {
            return cond;
        }
        if matches!(cond.kind, ExprKind::Int(_) | ExprKind::Local(_)) {
            let then = cond.clone();
            let cond = self.condition(cond, span);
            return self.choice(cond, then, otherwise, span);
        }
        let (keep, kept) = self.kept(cond);
        let cond = self.condition(kept.clone(), span);
        let value = self.choice(cond, kept, otherwise, span);
        match value.ty {
            Ty::ERROR => value,
            ty => node(
                ExprKind::Block { body: hir::Block { stmts: vec![keep] }, value: Box::new(value) },
                ty,
                span,
            ),
        }
    }

    /// `if (c) { …; a } else { …; b }`
    fn if_value(&mut self, chosen: &ast::IfExpr, span: Span) -> Expr {
        if let ast::ExprKind::Comptime(cond) = &chosen.cond.kind {
            return self.comptime_if_value(cond, chosen, span);
        }
        let cond = self.if_condition(chosen, span);
        let then = self.block_value(&chosen.then, chosen.then.span);
        let Some(otherwise) = &chosen.otherwise else {
            return self.error(span, "An `if` without `else` has no value");
        };
        let otherwise = self.value(otherwise);
        self.choice(cond, then, otherwise, span)
    }

    /// `{ …; e }`
    pub fn block_value(&mut self, block: &ast::Block, span: Span) -> Expr {
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
        // What is decided already need not agree with what is not taken.
        if let (ExprKind::Int(holds), false) = (&cond.kind, then.ty == Ty::ERROR || otherwise.ty == Ty::ERROR)
        {
            return if *holds != 0 { then } else { otherwise };
        }
        let Some(joined) = infer::join(&mut self.types, then.ty, otherwise.ty) else {
            let message = format!(
                "Branches must return the same type or compatible types: have '{}' and '{}'",
                self.type_name(then.ty),
                self.type_name(otherwise.ty)
            );
            return self.error(span, message);
        };
        if joined == Ty::VOID {
            // As with one action: whoever wanted a value complains.
            return node(ExprKind::Int(0), Ty::VOID, span);
        }
        let (Some(then), Some(otherwise)) = (self.convert(then, joined), self.convert(otherwise, joined))
        else {
            return self.error(span, "A branch does not fit the type of the other");
        };
        let (then, otherwise) = (Box::new(then), Box::new(otherwise));
        node(ExprKind::Cond { cond: Box::new(cond), then, otherwise }, joined, span)
    }

    /// `-e`, `!e`, `++e` and the like.
    fn unary(&mut self, op: UnaryOp, operand: &ast::Expr, whole: &ast::Expr) -> Expr {
        match op {
            UnaryOp::Neg | UnaryOp::Not | UnaryOp::BitNot => {
                let operand = self.operand(operand);
                self.unary_operator(op, operand, whole.span)
            }
            UnaryOp::Deref => self.deref(operand, whole.span),
            UnaryOp::AddressOf => self.address_of(operand, whole.span),
            UnaryOp::PreInc | UnaryOp::PreDec | UnaryOp::PostInc | UnaryOp::PostDec => {
                self.increment(op, operand, whole.span)
            }
        }
    }
}
