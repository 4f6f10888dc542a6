//! Visits every expression of a typed body.

use crate::hir::{Block, Expr, ExprKind, StmtKind};

/// Calls `visit` for each expression of a block, outer ones first.
pub fn each_expr(block: &mut Block, visit: &mut impl FnMut(&mut Expr)) {
    for stmt in &mut block.stmts {
        match &mut stmt.kind {
            StmtKind::Expr(expr) | StmtKind::PrintValue(expr) => expr_and_children(expr, visit),
            StmtKind::SetLocal { value, .. } => expr_and_children(value, visit),
            StmtKind::SetMap { key, value, .. } => {
                key.iter_mut().for_each(|key| expr_and_children(key, visit));
                expr_and_children(value, visit);
            }
            StmtKind::Aggregate { key, sample, .. } => {
                key.iter_mut().chain(sample).for_each(|expr| expr_and_children(expr, visit));
            }
            StmtKind::If { cond, then, otherwise } => {
                expr_and_children(cond, visit);
                each_expr(then, visit);
                each_expr(otherwise, visit);
            }
            StmtKind::Block(block) => each_expr(block, visit),
            StmtKind::Printf { args, .. } => {
                args.iter_mut().for_each(|arg| expr_and_children(arg, visit));
            }
            StmtKind::Exit { code } => expr_and_children(code, visit),
            StmtKind::Return
            | StmtKind::PrintMap { .. }
            | StmtKind::Clear(_)
            | StmtKind::Zero(_)
            | StmtKind::Time { .. } => {}
        }
    }
}

/// Calls `visit` for an expression and all within it, outer ones first.
pub fn expr_and_children(expr: &mut Expr, visit: &mut impl FnMut(&mut Expr)) {
    visit(expr);
    if let ExprKind::Block { body, .. } = &mut expr.kind {
        each_expr(body, visit);
    }
    for child in children_mut(expr) {
        expr_and_children(child, visit);
    }
}

fn children_mut(expr: &mut Expr) -> Vec<&mut Expr> {
    match &mut expr.kind {
        ExprKind::Int(_)
        | ExprKind::Str(_)
        | ExprKind::Local(_)
        | ExprKind::Helper(_)
        | ExprKind::Runtime(_)
        | ExprKind::Comm
        | ExprKind::Probe
        | ExprKind::Context { .. }
        | ExprKind::DataLoc { .. } => Vec::new(),
        ExprKind::MapGet { key, .. }
        | ExprKind::AggEntry { key, .. }
        | ExprKind::AggValue { key, .. }
        | ExprKind::Delete { key, .. } => key.iter_mut().map(|key| &mut **key).collect(),
        ExprKind::MapAdd { key, by, .. } => key.iter_mut().map(|key| &mut **key).chain([&mut **by]).collect(),
        ExprKind::LocalAdd { by, .. } => vec![by],
        ExprKind::HasKey { key, .. } => vec![key],
        ExprKind::Binary { lhs, rhs, .. }
        | ExprKind::Compare { lhs, rhs, .. }
        | ExprKind::Logic { lhs, rhs, .. } => vec![lhs, rhs],
        ExprKind::Not(inner) | ExprKind::Neg(inner) | ExprKind::BitNot(inner) | ExprKind::Cast(inner) => {
            vec![inner]
        }
        ExprKind::Cond { cond, then, otherwise } => vec![cond, then, otherwise],
        ExprKind::Tuple(elems) => elems.iter_mut().collect(),
        ExprKind::Element { base, .. } => vec![base],
        // What stands in its statements is visited with them.
        ExprKind::Block { value, .. } => vec![value],
        ExprKind::Bytes { value, length } => vec![value, length],
        ExprKind::ReadStr { pointer, length } | ExprKind::ReadBuf { pointer, length } => {
            [&mut **pointer].into_iter().chain(length.iter_mut().map(|length| &mut **length)).collect()
        }
    }
}

/// Whether evaluating it twice differs from evaluating it once.
pub fn has_effects(expr: &mut Expr) -> bool {
    let mut found = false;
    expr_and_children(expr, &mut |expr| {
        found |= match &expr.kind {
            ExprKind::LocalAdd { .. }
            | ExprKind::MapAdd { .. }
            | ExprKind::Delete { .. }
            | ExprKind::Block { .. } => true,
            ExprKind::Helper(helper) => !helper.once,
            _ => false,
        };
    });
    found
}
