//! Clauses, blocks and statements.

use skep_ui::{Diagnostic, Span};

use super::{Checker, node, stmt};
use crate::hir::{self, CompareOp, Expr, ExprKind, Operation, ProbeKind, Runtime, Stmt, StmtKind};
use crate::sema::builtins::{self, Action, Call};
use crate::sema::expand::Unit;
use crate::sema::infer;
use crate::syntax::ast;
use crate::ty::{Ty, TyKind};
use crate::walk;

/// A raw tracepoint's program is one whose types the verifier knows if it calls what takes nothing else.
fn kind(usual: ProbeKind, body: &hir::Block) -> ProbeKind {
    let mut takes_objects = false;
    if usual == ProbeKind::RawTracepoint {
        walk::in_block(body, &mut |expr| {
            takes_objects |= matches!(expr.kind, ExprKind::Op { op: Operation::OfObject { .. }, .. });
        });
    }
    if takes_objects { ProbeKind::TypedTracepoint } else { usual }
}

impl<'a> Checker<'a> {
    /// A clause, for one shape of its context.
    pub fn unit(&mut self, unit: &'a Unit<'a>) -> hir::Probe {
        let functions = self.functions(unit);
        self.reset_scopes();
        self.enter();
        let cond = unit.probe.predicate.as_ref().map(|predicate| {
            let cond = self.value(&predicate.cond);
            self.condition(cond, predicate.span)
        });
        let mut body = self.block(&unit.probe.body);
        let span = unit.probe.header;
        if let Some(cond) = cond {
            body = guarded(cond, body, unit.probe.predicate.as_ref().map_or(span, |p| p.span));
        }
        if self.options.pid_filter && unit.provider.filtered {
            body = guarded(self.is_filtered_process(span), body, span);
        }
        self.leave();
        hir::Probe {
            name: unit.name.clone(),
            kind: kind(unit.provider.kind, &body),
            targets: unit.targets.clone(),
            locals: self.finish_locals(),
            body,
            functions,
            span,
            clause: unit.clause,
        }
    }

    /// `pid == Runtime::FilterPid`
    fn is_filtered_process(&mut self, span: Span) -> Expr {
        let pid = builtins::pid(self, span);
        let lhs = Box::new(self.force(pid, Ty::U64));
        let rhs = Box::new(node(ExprKind::Runtime(Runtime::FilterPid), Ty::U64, span));
        node(ExprKind::Compare { op: CompareOp::Eq, lhs, rhs }, Ty::BOOL, span)
    }

    /// The statements of a block, the last expression as one of them.
    pub fn block(&mut self, block: &ast::Block) -> hir::Block {
        self.enter();
        let (mut stmts, warned) = self.statements(block);
        if let Some(tail) = &block.tail {
            if ends(&stmts) && !warned {
                self.diagnostics.warning(block.span, "Unreachable statement.");
            }
            stmts.extend(self.expr_statement(tail, tail.span));
        }
        self.leave();
        hir::Block { stmts }
    }

    /// The statements of a block without its last expression, in the scope at hand; and whether some
    /// of them were said to be unreachable.
    pub fn statements(&mut self, block: &ast::Block) -> (Vec<Stmt>, bool) {
        let mut stmts = Vec::with_capacity(block.stmts.len() + 1);
        let (mut ended, mut warned) = (false, false);
        for inner in &block.stmts {
            if ended && !std::mem::replace(&mut warned, true) {
                let place = match &inner.kind {
                    ast::StmtKind::Assign { target, value, .. } => target.span.to(value.span),
                    _ => inner.span,
                };
                self.diagnostics.warning(place, "Unreachable statement.");
            }
            let made = self.statement(inner);
            ended |= ends(&made);
            stmts.extend(made);
        }
        (stmts, warned)
    }

    fn statement(&mut self, statement: &ast::Stmt) -> Vec<Stmt> {
        let span = statement.span;
        match &statement.kind {
            ast::StmtKind::Expr(expr) => self.expr_statement(expr, span),
            ast::StmtKind::Let { var, ty, init } => {
                self.let_statement(statement.id, var, ty.as_ref(), init.as_ref(), span)
            }
            ast::StmtKind::Assign { target, op, value } => self.assignment(target, *op, value),
            // What has no value is done all the same.
            ast::StmtKind::Discard(expr) if acts(expr) && !has_tail_value(expr) => {
                self.expr_statement(expr, span)
            }
            ast::StmtKind::Discard(expr) => {
                let value = self.value(expr);
                self.kept_for_effects(value, span)
            }
            ast::StmtKind::Return(value) => self.return_statement(value.as_ref(), span),
            ast::StmtKind::Break => self.loop_jump(StmtKind::Break, "break", span),
            ast::StmtKind::Continue => self.loop_jump(StmtKind::Continue, "continue", span),
            ast::StmtKind::For(found) => self.for_loop(statement.id, found, span),
            ast::StmtKind::While { cond, body } => self.while_loop(cond, body, span),
            ast::StmtKind::Unroll { count, body } => self.unroll(count, body, span),
            ast::StmtKind::Import(_) => {
                let message = "Import statements that are not at the top level are primarily for the standard library. If this is functionality you need, please file an issue to explain why.";
                let help = "Write the import at the top of the script";
                self.diagnostics.push(Diagnostic::error(span, message).help(help));
                Vec::new()
            }
            ast::StmtKind::Error => Vec::new(),
        }
    }

    /// `return;` and `return e;`
    fn return_statement(&mut self, value: Option<&ast::Expr>, span: Span) -> Vec<Stmt> {
        if let Some(function) = self.function {
            return self.function_return(function, value, span).into_iter().collect();
        }
        let Some(value) = value else { return vec![stmt(StmtKind::Return(None), span)] };
        let value = self.value(value);
        if !matches!(
            self.types.kind(value.ty),
            TyKind::Int { .. } | TyKind::Enum(_) | TyKind::Bool | TyKind::Error
        ) {
            let name = self.type_name(value.ty);
            self.diagnostics.error(span, format!("Probe return values can only be integers. Found {name}"));
            return Vec::new();
        }
        let value = self.force(value, Ty::I64);
        vec![stmt(StmtKind::Return(Some(value)), span)]
    }

    fn nothing(&mut self, span: Span, message: &str) -> Vec<Stmt> {
        self.diagnostics.error(span, message);
        Vec::new()
    }

    /// An expression for its effect.
    pub fn expr_statement(&mut self, expr: &ast::Expr, span: Span) -> Vec<Stmt> {
        match &expr.kind {
            ast::ExprKind::If(chosen) => vec![self.if_statement(chosen, expr.span)],
            ast::ExprKind::Block(block) => vec![stmt(StmtKind::Block(self.block(block)), expr.span)],
            ast::ExprKind::Ternary { cond, then: Some(then), otherwise } if acts(then) || acts(otherwise) => {
                let cond = self.value(cond);
                let cond = self.condition(cond, expr.span);
                let then = hir::Block { stmts: self.expr_statement(then, then.span) };
                let otherwise = hir::Block { stmts: self.expr_statement(otherwise, otherwise.span) };
                vec![stmt(StmtKind::If { cond, then, otherwise }, expr.span)]
            }
            ast::ExprKind::Ident(name) => self.call_statement(name, &[], expr, span),
            ast::ExprKind::Call { callee, args } => self.call_statement(&callee.name, args, expr, span),
            ast::ExprKind::Unary { op, .. } if is_increment(*op) => {
                let value = self.expr(expr);
                self.kept_for_effects(value, span)
            }
            _ => self.discarded(expr, span),
        }
    }

    /// A value that nobody asked for.
    fn discarded(&mut self, expr: &ast::Expr, span: Span) -> Vec<Stmt> {
        let value = self.expr(expr);
        // Whether an action worked need not be asked.
        let acted = matches!(value.kind, ExprKind::Op { op: Operation::Helper { .. }, .. });
        if !acted && !matches!(self.types.kind(value.ty), TyKind::Error | TyKind::Void) {
            self.warn_discarded(span);
        }
        self.kept_for_effects(value, span)
    }

    fn kept_for_effects(&mut self, value: Expr, span: Span) -> Vec<Stmt> {
        if value.ty != Ty::ERROR && walk::differs_when_repeated(&value) {
            vec![stmt(StmtKind::Expr(value), span)]
        } else {
            Vec::new()
        }
    }

    fn call_statement(&mut self, name: &str, args: &[ast::Expr], expr: &ast::Expr, span: Span) -> Vec<Stmt> {
        let builtin = builtins::by_name(name);
        let Some((builtin, Action::Statement(check))) = builtin.map(|builtin| (builtin, &builtin.action))
        else {
            return self.discarded(expr, span);
        };
        if let Some(problem) = builtin.args.complaint(builtin.name, args.len()) {
            return self.nothing(expr.span, &problem);
        }
        let call = Call { name: builtin.name, args, span: expr.span };
        check(self, &call).map(|kind| stmt(kind, expr.span)).into_iter().collect()
    }

    fn if_statement(&mut self, chosen: &ast::IfExpr, span: Span) -> Stmt {
        if let ast::ExprKind::Comptime(cond) = &chosen.cond.kind {
            return self.comptime_if(cond, chosen, span);
        }
        let cond = self.if_condition(chosen, span);
        let then = self.block(&chosen.then);
        let otherwise = match chosen.otherwise.as_deref() {
            None => hir::Block::default(),
            Some(ast::Expr { kind: ast::ExprKind::Block(block), .. }) => self.block(block),
            Some(other) => hir::Block { stmts: self.expr_statement(other, other.span) },
        };
        stmt(StmtKind::If { cond, then, otherwise }, span)
    }

    /// The condition of an `if`; `span` is all of it.
    pub fn if_condition(&mut self, chosen: &ast::IfExpr, span: Span) -> Expr {
        let cond = self.value(&chosen.cond);
        self.condition(cond, span)
    }

    /// A value that travels to user space: settled, so that its layout is known.
    pub fn travelling(&mut self, expr: Expr) -> Expr {
        let ty = infer::settle(&mut self.types, expr.ty);
        self.convert(expr.clone(), ty).unwrap_or(expr)
    }
}

/// Whether one of the statements is the last that can be reached.
fn ends(stmts: &[Stmt]) -> bool {
    stmts.iter().any(|stmt| {
        use StmtKind::{Break, Continue, Exit, Return};
        matches!(stmt.kind, Return(_) | Exit { .. } | Break | Continue)
    })
}

/// `if (cond) { body }`
fn guarded(cond: Expr, body: hir::Block, span: Span) -> hir::Block {
    let kind = StmtKind::If { cond, then: body, otherwise: hir::Block::default() };
    hir::Block { stmts: vec![stmt(kind, span)] }
}

/// Whether an expression is a block that ends in a value.
fn has_tail_value(expr: &ast::Expr) -> bool {
    match &expr.peel_parens().kind {
        ast::ExprKind::Block(block) => block.tail.as_deref().is_some_and(|tail| !acts(tail)),
        _ => false,
    }
}

/// Whether an expression is written for what it does.
fn acts(expr: &ast::Expr) -> bool {
    let name = match &expr.peel_parens().kind {
        ast::ExprKind::Ident(name) => name,
        ast::ExprKind::Call { callee, .. } => &callee.name,
        ast::ExprKind::Block(_) => return true,
        ast::ExprKind::Ternary { then, otherwise, .. } => {
            return then.as_deref().is_some_and(acts) || acts(otherwise);
        }
        ast::ExprKind::Unary { op, .. } => return is_increment(*op),
        _ => return false,
    };
    match builtins::by_name(name) {
        Some(builtin) => matches!(builtin.action, Action::Statement(_)),
        // A function of the script may have no value.
        None => matches!(expr.peel_parens().kind, ast::ExprKind::Call { .. }),
    }
}

fn is_increment(op: ast::UnaryOp) -> bool {
    use ast::UnaryOp::{PostDec, PostInc, PreDec, PreInc};
    matches!(op, PreInc | PreDec | PostInc | PostDec)
}
