//! What must be known when the script is compiled: `comptime`, `if comptime`.
//!
//! Constants are folded as they are checked, so all that is left to do here is to look.

use skep_ui::Span;

use super::{Checker, stmt};
use crate::c::known;
use crate::hir::{Block, Expr, ExprKind, Stmt, StmtKind};
use crate::syntax::ast;
use crate::ty::Ty;

impl Checker<'_> {
    /// `comptime e`
    pub fn comptime(&mut self, inner: &ast::Expr, span: Span) -> Expr {
        let value = self.value(inner);
        if value.ty == Ty::ERROR || is_literal(&value) {
            return value;
        }
        self.error_with_help(
            span,
            "Unable to resolve comptime expression",
            "It may only be made of literals, parameters of the script, types and what is known of them",
        )
    }

    /// Whether the condition of an `if comptime` holds; `None` if that is not known yet, or was
    /// complained about.
    fn decided(&mut self, cond: &ast::Expr, span: Span) -> Option<bool> {
        let value = self.comptime(cond, span);
        match value.kind {
            _ if value.ty == Ty::ERROR => None,
            ExprKind::Int(value) => Some(value != 0),
            ExprKind::Str(text) => Some(!text.is_empty()),
            _ => None,
        }
    }

    /// `if comptime (c) { } else { }` as a statement: the branch that is not taken has no meaning.
    pub fn comptime_if(&mut self, cond: &ast::Expr, chosen: &ast::IfExpr, span: Span) -> Stmt {
        let taken = match self.decided(cond, chosen.cond.span) {
            Some(true) => self.block(&chosen.then),
            Some(false) => match chosen.otherwise.as_deref() {
                None => Block::default(),
                Some(ast::Expr { kind: ast::ExprKind::Block(block), .. }) => self.block(block),
                Some(other) => Block { stmts: self.expr_statement(other, other.span) },
            },
            None => Block::default(),
        };
        stmt(StmtKind::Block(taken), span)
    }

    /// The same as a value.
    pub fn comptime_if_value(&mut self, cond: &ast::Expr, chosen: &ast::IfExpr, span: Span) -> Expr {
        match self.decided(cond, chosen.cond.span) {
            Some(true) => self.block_value(&chosen.then, chosen.then.span),
            Some(false) => match &chosen.otherwise {
                Some(otherwise) => self.value(otherwise),
                None => self.error(span, "An `if` without `else` has no value"),
            },
            None => self.broken(span),
        }
    }

    /// A constant that a header has: of the script's own headers, or of those that everybody has.
    pub fn header_constant(&mut self, name: &str, span: Span) -> Option<Expr> {
        // An enumerator of the script's own is more than a number.
        if self.c.types().is_some_and(|types| types.find_enumerator(name).is_some()) {
            return None;
        }
        let value = self.c.constant(name).or_else(|| known::value(name))?;
        self.folded(value, span)
    }
}

/// Whether a value is a constant.
fn is_literal(value: &Expr) -> bool {
    match &value.kind {
        ExprKind::Int(_) | ExprKind::Str(_) => true,
        ExprKind::Tuple(parts) => parts.iter().all(is_literal),
        _ => false,
    }
}
