//! Walking the tree: a visitor with one method per kind of node that nests.
//!
//! Each method's default goes on to the node's children, in source order. Override one, and call
//! the matching `walk_` function in it to go on.

use super::ast::*;

/// What is done at each node.
pub trait Visitor {
    /// At an item of the outer level.
    fn visit_item(&mut self, item: &Item) {
        walk_item(self, item);
    }

    /// At an attach point. It has no children.
    fn visit_attach_point(&mut self, _attach_point: &AttachPoint) {}

    /// At a block.
    fn visit_block(&mut self, block: &Block) {
        walk_block(self, block);
    }

    /// At a statement.
    fn visit_stmt(&mut self, stmt: &Stmt) {
        walk_stmt(self, stmt);
    }

    /// At an expression.
    fn visit_expr(&mut self, expr: &Expr) {
        walk_expr(self, expr);
    }

    /// At a type.
    fn visit_type(&mut self, ty: &TypeExpr) {
        walk_type(self, ty);
    }
}

/// Visits all items of a script.
pub fn walk_script<V: Visitor + ?Sized>(v: &mut V, script: &Script) {
    script.items.iter().for_each(|item| v.visit_item(item));
}

/// Visits the children of an item.
pub fn walk_item<V: Visitor + ?Sized>(v: &mut V, item: &Item) {
    match &item.kind {
        ItemKind::C(_) | ItemKind::Config(_) | ItemKind::Import(_) | ItemKind::Error => {}
        ItemKind::MapDecl(decl) => decl.args.iter().for_each(|arg| v.visit_expr(arg)),
        ItemKind::Macro(def) => v.visit_block(&def.body),
        ItemKind::Function(def) => {
            def.params.iter().for_each(|param| v.visit_type(&param.ty));
            v.visit_type(&def.ret);
            v.visit_block(&def.body);
        }
        ItemKind::Probe(probe) => {
            probe.attach_points.iter().for_each(|ap| v.visit_attach_point(ap));
            if let Some(predicate) = &probe.predicate {
                v.visit_expr(&predicate.cond);
            }
            v.visit_block(&probe.body);
        }
    }
}

/// Visits the children of a block.
pub fn walk_block<V: Visitor + ?Sized>(v: &mut V, block: &Block) {
    block.stmts.iter().for_each(|stmt| v.visit_stmt(stmt));
    if let Some(tail) = &block.tail {
        v.visit_expr(tail);
    }
}

/// Visits the children of a statement.
pub fn walk_stmt<V: Visitor + ?Sized>(v: &mut V, stmt: &Stmt) {
    match &stmt.kind {
        StmtKind::Expr(expr) | StmtKind::Discard(expr) | StmtKind::Return(Some(expr)) => v.visit_expr(expr),
        StmtKind::Let { var: _, ty, init } => {
            ty.iter().for_each(|ty| v.visit_type(ty));
            init.iter().for_each(|init| v.visit_expr(init));
        }
        StmtKind::Assign { target, op: _, value } => {
            v.visit_expr(target);
            v.visit_expr(value);
        }
        StmtKind::For(ForLoop { var: _, over, header: _, body }) => {
            if let ForOver::Range { start, end } = over {
                v.visit_expr(start);
                v.visit_expr(end);
            }
            v.visit_block(body);
        }
        StmtKind::While { cond: head, body } | StmtKind::Unroll { count: head, body } => {
            v.visit_expr(head);
            v.visit_block(body);
        }
        StmtKind::Return(None)
        | StmtKind::Break
        | StmtKind::Continue
        | StmtKind::Import(_)
        | StmtKind::Error => {}
    }
}

/// Visits the children of an expression.
pub fn walk_expr<V: Visitor + ?Sized>(v: &mut V, expr: &Expr) {
    match &expr.kind {
        ExprKind::Int(_)
        | ExprKind::String(_)
        | ExprKind::Bool(_)
        | ExprKind::Ident(_)
        | ExprKind::Var(_)
        | ExprKind::Map(_)
        | ExprKind::Param(_)
        | ExprKind::ParamCount
        | ExprKind::Error => {}
        ExprKind::MapAccess { map: _, keys } => keys.iter().for_each(|key| v.visit_expr(key)),
        ExprKind::Paren(inner) | ExprKind::Comptime(inner) => v.visit_expr(inner),
        ExprKind::Unary { operand, .. } => v.visit_expr(operand),
        ExprKind::Binary { lhs, rhs, .. } => {
            v.visit_expr(lhs);
            v.visit_expr(rhs);
        }
        ExprKind::Ternary { cond, then, otherwise } => {
            v.visit_expr(cond);
            then.iter().for_each(|then| v.visit_expr(then));
            v.visit_expr(otherwise);
        }
        ExprKind::If(IfExpr { cond, then, otherwise }) => {
            v.visit_expr(cond);
            v.visit_block(then);
            otherwise.iter().for_each(|otherwise| v.visit_expr(otherwise));
        }
        ExprKind::Block(block) => v.visit_block(block),
        ExprKind::Field { base, .. } | ExprKind::TupleField { base, .. } => v.visit_expr(base),
        ExprKind::Index { base, index } => {
            v.visit_expr(base);
            v.visit_expr(index);
        }
        ExprKind::Call { callee: _, args } => args.iter().for_each(|arg| v.visit_expr(arg)),
        ExprKind::Cast { ty, header: _, operand } => {
            v.visit_type(ty);
            v.visit_expr(operand);
        }
        ExprKind::Tuple(elems) => elems.iter().for_each(|elem| v.visit_expr(elem)),
        ExprKind::Record(fields) => fields.iter().for_each(|field| v.visit_expr(&field.value)),
        ExprKind::Sizeof(of)
        | ExprKind::Typeof(of)
        | ExprKind::Typeinfo(of)
        | ExprKind::Offsetof { of, path: _ } => walk_type_or_expr(v, of),
    }
}

/// Visits whichever of the two it is.
pub fn walk_type_or_expr<V: Visitor + ?Sized>(v: &mut V, of: &TypeOrExpr) {
    match of {
        TypeOrExpr::Type(ty) => v.visit_type(ty),
        TypeOrExpr::Expr(expr) => v.visit_expr(expr),
    }
}

/// Visits the children of a type.
pub fn walk_type<V: Visitor + ?Sized>(v: &mut V, ty: &TypeExpr) {
    match &ty.kind {
        TypeExprKind::Name(_) | TypeExprKind::Tagged { .. } | TypeExprKind::Error => {}
        TypeExprKind::Pointer(inner) | TypeExprKind::Array { elem: inner, len: _ } => v.visit_type(inner),
        TypeExprKind::Typeof(of) => walk_type_or_expr(v, of),
    }
}
