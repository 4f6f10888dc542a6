//! Visits the expressions of a typed program, outer ones first, in the order they are evaluated in.
//!
//! One macro writes the walk for those who look and for those who change, so a new kind of
//! statement or expression gets its row once.

use crate::hir::{Block, Expr, ExprKind, Stmt, StmtKind};

macro_rules! walkers {
    ($block:ident, $stmt:ident, $expr:ident $(, $mut:ident)?) => {
        /// Calls `visit` for each expression of a block, those of blocks within it included.
        pub fn $block(block: &$($mut)? Block, visit: &mut dyn FnMut(&$($mut)? Expr)) {
            for stmt in &$($mut)? block.stmts {
                $stmt(stmt, visit);
                match &$($mut)? stmt.kind {
                    StmtKind::If { then, otherwise, .. } => {
                        $block(then, visit);
                        $block(otherwise, visit);
                    }
                    StmtKind::Block(inner) => $block(inner, visit),
                    _ => {}
                }
            }
        }

        /// Calls `visit` for each expression that stands in a statement itself, not in its blocks.
        pub fn $stmt(stmt: &$($mut)? Stmt, visit: &mut dyn FnMut(&$($mut)? Expr)) {
            match &$($mut)? stmt.kind {
                StmtKind::Expr(expr)
                | StmtKind::SetLocal { value: expr, .. }
                | StmtKind::If { cond: expr, .. }
                | StmtKind::PrintValue(expr)
                | StmtKind::Exit { code: expr } => $expr(expr, visit),
                StmtKind::SetMap { key, value, .. } => {
                    if let Some(key) = key {
                        $expr(key, visit);
                    }
                    $expr(value, visit);
                }
                StmtKind::Aggregate { key, sample, .. } => {
                    for expr in [key, sample].into_iter().flatten() {
                        $expr(expr, visit);
                    }
                }
                StmtKind::Printf { args, .. } => {
                    for arg in args {
                        $expr(arg, visit);
                    }
                }
                StmtKind::Block(_)
                | StmtKind::Return
                | StmtKind::PrintMap { .. }
                | StmtKind::Clear(_)
                | StmtKind::Zero(_)
                | StmtKind::Time { .. } => {}
            }
        }

        /// Calls `visit` for an expression and all within it.
        pub fn $expr(expr: &$($mut)? Expr, visit: &mut dyn FnMut(&$($mut)? Expr)) {
            visit(expr);
            match &$($mut)? expr.kind {
                ExprKind::Int(_)
                | ExprKind::Str(_)
                | ExprKind::Local(_)
                | ExprKind::Helper(_)
                | ExprKind::Runtime(_)
                | ExprKind::Comm
                | ExprKind::Probe
                | ExprKind::Func
                | ExprKind::Context { .. }
                | ExprKind::DataLoc { .. } => {}
                ExprKind::MapGet { key, .. }
                | ExprKind::AggEntry { key, .. }
                | ExprKind::AggValue { key, .. }
                | ExprKind::Delete { key, .. } => {
                    if let Some(key) = key {
                        $expr(key, visit);
                    }
                }
                ExprKind::MapAdd { key, by, .. } => {
                    if let Some(key) = key {
                        $expr(key, visit);
                    }
                    $expr(by, visit);
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
                | ExprKind::Element { base: inner, .. } => $expr(inner, visit),
                ExprKind::Binary { lhs, rhs, .. }
                | ExprKind::Compare { lhs, rhs, .. }
                | ExprKind::Logic { lhs, rhs, .. } => {
                    $expr(lhs, visit);
                    $expr(rhs, visit);
                }
                ExprKind::Cond { cond, then, otherwise } => {
                    for part in [cond, then, otherwise] {
                        $expr(part, visit);
                    }
                }
                ExprKind::Tuple(elems) | ExprKind::Op { args: elems, .. } => {
                    for elem in elems {
                        $expr(elem, visit);
                    }
                }
                ExprKind::Block { body, value } => {
                    $block(body, visit);
                    $expr(value, visit);
                }
                ExprKind::ElementAddress { pointer, index, .. } => {
                    $expr(pointer, visit);
                    $expr(index, visit);
                }
                ExprKind::Bytes { value, length } => {
                    $expr(value, visit);
                    $expr(length, visit);
                }
                ExprKind::ReadStr { pointer, length } | ExprKind::ReadBuf { pointer, length } => {
                    $expr(pointer, visit);
                    if let Some(length) = length {
                        $expr(length, visit);
                    }
                }
            }
        }
    };
}

walkers!(in_block, in_stmt, in_expr);
walkers!(in_block_mut, in_stmt_mut, in_expr_mut, mut);

/// Whether evaluating it twice differs from evaluating it once.
pub fn differs_when_repeated(expr: &Expr) -> bool {
    let mut found = false;
    in_expr(expr, &mut |expr| {
        found |= match &expr.kind {
            ExprKind::LocalAdd { .. }
            | ExprKind::MapAdd { .. }
            | ExprKind::Delete { .. }
            | ExprKind::Block { .. } => true,
            ExprKind::Helper(helper) => !helper.once,
            ExprKind::Op { op, .. } => op.has_effects(),
            _ => false,
        };
    });
    found
}
