//! Visits the expressions of a typed program, outer ones first, in the order they are evaluated in.
//!
//! One macro writes the walk for those who look and for those who change, so a new kind of
//! statement or expression gets its row once.

use crate::hir::{Block, Expr, ExprKind, Stmt, StmtKind};

macro_rules! walkers {
    ($block:ident, $within:ident, $stmt:ident, $expr:ident, $children:ident $(, $mut:ident)?) => {
        /// Calls `visit` for each expression of a block, those of blocks within it included.
        pub fn $block(block: &$($mut)? Block, visit: &mut dyn FnMut(&$($mut)? Expr)) {
            for stmt in &$($mut)? block.stmts {
                $within(stmt, visit);
            }
        }

        /// Calls `visit` for each expression of a statement, those of its blocks included.
        pub fn $within(stmt: &$($mut)? Stmt, visit: &mut dyn FnMut(&$($mut)? Expr)) {
            $stmt(stmt, &mut |expr| $expr(expr, visit));
            match &$($mut)? stmt.kind {
                StmtKind::If { then, otherwise, .. } => {
                    $block(then, visit);
                    $block(otherwise, visit);
                }
                StmtKind::Block(inner)
                | StmtKind::Part(inner)
                | StmtKind::ForRange { body: inner, .. }
                | StmtKind::ForMap { body: inner, .. }
                | StmtKind::While { body: inner, .. }
                | StmtKind::Unroll { body: inner, .. } => $block(inner, visit),
                _ => {}
            }
        }

        /// Calls `visit` for each expression that a statement is directly made of, not for those within them
        /// or in its blocks.
        pub fn $stmt(stmt: &$($mut)? Stmt, visit: &mut dyn FnMut(&$($mut)? Expr)) {
            match &$($mut)? stmt.kind {
                StmtKind::Expr(expr)
                | StmtKind::SetLocal { value: expr, .. }
                | StmtKind::If { cond: expr, .. }
                | StmtKind::While { cond: expr, .. }
                | StmtKind::ForMap { entry: expr, .. }
                | StmtKind::Return(Some(expr))
                | StmtKind::PrintValue(expr)
                | StmtKind::Exit { code: expr } => visit(expr),
                StmtKind::SetMap { key, value, .. } => {
                    if let Some(key) = key {
                        visit(key);
                    }
                    visit(value);
                }
                StmtKind::Aggregate { key, sample, .. } => {
                    for expr in [key, sample].into_iter().flatten() {
                        visit(expr);
                    }
                }
                StmtKind::ForRange { start, end, .. } => {
                    visit(start);
                    visit(end);
                }
                StmtKind::Printf { args, .. } => {
                    for arg in args {
                        visit(arg);
                    }
                }
                StmtKind::Block(_)
                | StmtKind::Part(_)
                | StmtKind::Unroll { .. }
                | StmtKind::Break
                | StmtKind::Continue
                | StmtKind::Return(None)
                | StmtKind::PrintMap { .. }
                | StmtKind::Clear(_)
                | StmtKind::Zero(_)
                | StmtKind::Time { .. } => {}
            }
        }

        /// Calls `visit` for an expression and all within it.
        pub fn $expr(expr: &$($mut)? Expr, visit: &mut dyn FnMut(&$($mut)? Expr)) {
            visit(expr);
            if let ExprKind::Block { body, .. } = &$($mut)? expr.kind {
                $block(body, visit);
            }
            $children(expr, &mut |child| $expr(child, visit));
        }

        /// Calls `visit` for each expression that an expression is directly made of: of a block its value,
        /// not what stands in its statements.
        pub fn $children(expr: &$($mut)? Expr, visit: &mut dyn FnMut(&$($mut)? Expr)) {
            match &$($mut)? expr.kind {
                ExprKind::Int(_)
                | ExprKind::Str(_)
                | ExprKind::Local(_)
                | ExprKind::Helper(_)
                | ExprKind::Runtime(_)
                | ExprKind::Ctx
                | ExprKind::Comm
                | ExprKind::Probe
                | ExprKind::Func
                | ExprKind::EntryKey
                | ExprKind::MapLen(_)
                | ExprKind::EntryValue
                | ExprKind::Stack
                | ExprKind::Unwound
                | ExprKind::Context { .. }
                | ExprKind::Registers { .. }
                | ExprKind::DataLoc { .. } => {}
                ExprKind::MapGet { key, .. }
                | ExprKind::AggEntry { key, .. }
                | ExprKind::AggValue { key, .. }
                | ExprKind::Delete { key, .. } => {
                    if let Some(key) = key {
                        visit(key);
                    }
                }
                ExprKind::MapAdd { key, by, .. } => {
                    if let Some(key) = key {
                        visit(key);
                    }
                    visit(by);
                }
                ExprKind::Find { key, value, .. } => {
                    visit(key);
                    visit(value);
                }
                ExprKind::HasKey { key: inner, .. }
                | ExprKind::LocalAdd { by: inner, .. }
                | ExprKind::Not(inner)
                | ExprKind::Neg(inner)
                | ExprKind::BitNot(inner)
                | ExprKind::Cast(inner)
                | ExprKind::AddressOf(inner)
                | ExprKind::Read { pointer: inner, .. }
                | ExprKind::Part { base: inner, .. }
                | ExprKind::Element { base: inner, .. } => visit(inner),
                ExprKind::Binary { lhs, rhs, .. }
                | ExprKind::Compare { lhs, rhs, .. }
                | ExprKind::Logic { lhs, rhs, .. } => {
                    visit(lhs);
                    visit(rhs);
                }
                ExprKind::Cond { cond, then, otherwise } => {
                    for part in [cond, then, otherwise] {
                        visit(part);
                    }
                }
                ExprKind::Tuple(elems)
                | ExprKind::Call { args: elems, .. }
                | ExprKind::Op { args: elems, .. } => {
                    for elem in elems {
                        visit(elem);
                    }
                }
                ExprKind::Block { value, .. } => {
                    visit(value);
                }
                ExprKind::ElementAddress { pointer, index, .. } => {
                    visit(pointer);
                    visit(index);
                }
                ExprKind::Bytes { value, length } => {
                    visit(value);
                    visit(length);
                }
                ExprKind::ReadStr { pointer, length } | ExprKind::ReadBuf { pointer, length } => {
                    visit(pointer);
                    if let Some(length) = length {
                        visit(length);
                    }
                }
            }
        }
    };
}

walkers!(in_block, within_stmt, in_stmt, in_expr, children);
walkers!(in_block_mut, within_stmt_mut, in_stmt_mut, in_expr_mut, children_mut, mut);

/// Whether evaluating it twice differs from evaluating it once.
pub fn differs_when_repeated(expr: &Expr) -> bool {
    let mut found = false;
    in_expr(expr, &mut |expr| {
        found |= match &expr.kind {
            ExprKind::LocalAdd { .. }
            | ExprKind::MapAdd { .. }
            | ExprKind::Delete { .. }
            | ExprKind::Find { .. }
            | ExprKind::Call { .. }
            | ExprKind::Block { .. } => true,
            ExprKind::Helper(helper) => !helper.once,
            ExprKind::Op { op, .. } => op.has_effects(),
            _ => false,
        };
    });
    found
}
