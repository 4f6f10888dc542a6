//! Changing the tree in place: a visitor that may rewrite what it comes to.
//!
//! Besides one method per kind of node that nests, as in [`super::visit`], there are hooks for what
//! all nodes have, their numbers and places, and for the names of variables and maps. Each method's
//! default goes on to the node's children, in source order.

use skep_ui::Span;

use super::ast::*;

/// What is done at each node.
pub trait VisitorMut {
    /// The number of a node.
    fn visit_id(&mut self, _id: &mut NodeId) {}

    /// The place of anything.
    fn visit_span(&mut self, _span: &mut Span) {}

    /// The name of a variable wherever one stands. Its place was visited.
    fn visit_var(&mut self, _var: &mut VarName) {}

    /// The name of a map wherever one stands. Its place was visited.
    fn visit_map(&mut self, _map: &mut MapName) {}

    /// At a variable that comes into being: a `let`, or the variable of a loop.
    fn visit_declared(&mut self, var: &mut VarName) {
        walk_var(self, var);
    }

    /// At a block.
    fn visit_block(&mut self, block: &mut Block) {
        walk_block(self, block);
    }

    /// At a statement.
    fn visit_stmt(&mut self, stmt: &mut Stmt) {
        walk_stmt(self, stmt);
    }

    /// At an expression.
    fn visit_expr(&mut self, expr: &mut Expr) {
        walk_expr(self, expr);
    }

    /// At a type.
    fn visit_type(&mut self, ty: &mut TypeExpr) {
        walk_type(self, ty);
    }

    /// At what may be either.
    fn visit_type_or_expr(&mut self, of: &mut TypeOrExpr) {
        walk_type_or_expr(self, of);
    }
}

/// Visits what an item holds of expressions, statements and types; names and places of the item
/// itself are left alone.
pub fn walk_item<V: VisitorMut + ?Sized>(v: &mut V, item: &mut Item) {
    match &mut item.kind {
        ItemKind::C(_) | ItemKind::Config(_) | ItemKind::Import(_) | ItemKind::Error => {}
        ItemKind::MapDecl(decl) => decl.args.iter_mut().for_each(|arg| v.visit_expr(arg)),
        ItemKind::Macro(def) => v.visit_block(&mut def.body),
        ItemKind::Function(def) => {
            def.params.iter_mut().for_each(|param| v.visit_type(&mut param.ty));
            v.visit_type(&mut def.ret);
            v.visit_block(&mut def.body);
        }
        ItemKind::Probe(probe) => {
            if let Some(predicate) = &mut probe.predicate {
                v.visit_expr(&mut predicate.cond);
            }
            v.visit_block(&mut probe.body);
        }
    }
}

/// Visits a variable's place and name.
pub fn walk_var<V: VisitorMut + ?Sized>(v: &mut V, var: &mut VarName) {
    v.visit_span(&mut var.span);
    v.visit_var(var);
}

fn walk_map<V: VisitorMut + ?Sized>(v: &mut V, map: &mut MapName) {
    v.visit_span(&mut map.span);
    v.visit_map(map);
}

/// Visits a block and its children.
pub fn walk_block<V: VisitorMut + ?Sized>(v: &mut V, block: &mut Block) {
    v.visit_id(&mut block.id);
    v.visit_span(&mut block.span);
    block.stmts.iter_mut().for_each(|stmt| v.visit_stmt(stmt));
    if let Some(tail) = &mut block.tail {
        v.visit_expr(tail);
    }
}

/// Visits a statement and its children.
pub fn walk_stmt<V: VisitorMut + ?Sized>(v: &mut V, stmt: &mut Stmt) {
    v.visit_id(&mut stmt.id);
    v.visit_span(&mut stmt.span);
    match &mut stmt.kind {
        StmtKind::Expr(expr) | StmtKind::Discard(expr) | StmtKind::Return(Some(expr)) => v.visit_expr(expr),
        StmtKind::Let { var, ty, init } => {
            // The new variable is not visible in what it starts with.
            if let Some(ty) = ty {
                v.visit_type(ty);
            }
            if let Some(init) = init {
                v.visit_expr(init);
            }
            v.visit_declared(var);
        }
        StmtKind::Assign { target, op, value } => {
            v.visit_expr(value);
            if let Some(op) = op {
                v.visit_span(&mut op.span);
            }
            v.visit_expr(target);
        }
        StmtKind::For(ForLoop { var, over, header, body }) => {
            v.visit_span(header);
            match over {
                ForOver::Map(map) => walk_map(v, map),
                ForOver::Range { start, end } => {
                    v.visit_expr(start);
                    v.visit_expr(end);
                }
                ForOver::Error => {}
            }
            v.visit_declared(var);
            v.visit_block(body);
        }
        StmtKind::While { cond: head, body } | StmtKind::Unroll { count: head, body } => {
            v.visit_expr(head);
            v.visit_block(body);
        }
        StmtKind::Import(import) => v.visit_span(&mut import.path.span),
        StmtKind::Return(None) | StmtKind::Break | StmtKind::Continue | StmtKind::Error => {}
    }
}

/// Visits an expression and its children.
pub fn walk_expr<V: VisitorMut + ?Sized>(v: &mut V, expr: &mut Expr) {
    v.visit_id(&mut expr.id);
    v.visit_span(&mut expr.span);
    match &mut expr.kind {
        ExprKind::Int(_)
        | ExprKind::Bool(_)
        | ExprKind::Ident(_)
        | ExprKind::Param(_)
        | ExprKind::ParamCount
        | ExprKind::Error => {}
        ExprKind::String(text) => v.visit_span(&mut text.span),
        ExprKind::Var(var) => walk_var(v, var),
        ExprKind::Map(map) => walk_map(v, map),
        ExprKind::MapAccess { map, keys } => {
            walk_map(v, map);
            keys.iter_mut().for_each(|key| v.visit_expr(key));
        }
        ExprKind::Paren(inner) | ExprKind::Comptime(inner) => v.visit_expr(inner),
        ExprKind::Unary { op: _, op_span, operand } => {
            v.visit_span(op_span);
            v.visit_expr(operand);
        }
        ExprKind::Binary { op: _, op_span, lhs, rhs } => {
            v.visit_span(op_span);
            v.visit_expr(lhs);
            v.visit_expr(rhs);
        }
        ExprKind::Ternary { cond, then, otherwise } => {
            v.visit_expr(cond);
            then.iter_mut().for_each(|then| v.visit_expr(then));
            v.visit_expr(otherwise);
        }
        ExprKind::If(IfExpr { cond, then, otherwise }) => {
            v.visit_expr(cond);
            v.visit_block(then);
            otherwise.iter_mut().for_each(|otherwise| v.visit_expr(otherwise));
        }
        ExprKind::Block(block) => v.visit_block(block),
        ExprKind::Field { base, arrow: _, field } => {
            v.visit_expr(base);
            v.visit_span(&mut field.span);
        }
        ExprKind::TupleField { base, index } => {
            v.visit_expr(base);
            v.visit_span(&mut index.span);
        }
        ExprKind::Index { base, index } => {
            v.visit_expr(base);
            v.visit_expr(index);
        }
        ExprKind::Call { callee, args } => {
            v.visit_span(&mut callee.span);
            args.iter_mut().for_each(|arg| v.visit_expr(arg));
        }
        ExprKind::Cast { ty, header, operand } => {
            v.visit_type(ty);
            v.visit_span(header);
            v.visit_expr(operand);
        }
        ExprKind::Tuple(elems) => elems.iter_mut().for_each(|elem| v.visit_expr(elem)),
        ExprKind::Record(fields) => {
            for field in fields {
                v.visit_id(&mut field.id);
                v.visit_span(&mut field.span);
                v.visit_span(&mut field.name.span);
                v.visit_expr(&mut field.value);
            }
        }
        ExprKind::Sizeof(of) | ExprKind::Typeof(of) | ExprKind::Typeinfo(of) => v.visit_type_or_expr(of),
        ExprKind::Offsetof { of, path } => {
            v.visit_type_or_expr(of);
            path.iter_mut().for_each(|name| v.visit_span(&mut name.span));
        }
    }
}

/// Visits whichever of the two it is.
pub fn walk_type_or_expr<V: VisitorMut + ?Sized>(v: &mut V, of: &mut TypeOrExpr) {
    match of {
        TypeOrExpr::Type(ty) => v.visit_type(ty),
        TypeOrExpr::Expr(expr) => v.visit_expr(expr),
    }
}

/// Visits a type and its children.
pub fn walk_type<V: VisitorMut + ?Sized>(v: &mut V, ty: &mut TypeExpr) {
    v.visit_id(&mut ty.id);
    v.visit_span(&mut ty.span);
    match &mut ty.kind {
        TypeExprKind::Name(_) | TypeExprKind::Error => {}
        TypeExprKind::Tagged { tag: _, name } => v.visit_span(&mut name.span),
        TypeExprKind::Pointer(inner) => v.visit_type(inner),
        TypeExprKind::Array { elem, len } => {
            v.visit_type(elem);
            if let Some(len) = len {
                v.visit_span(&mut len.span);
            }
        }
        TypeExprKind::Typeof(of) => v.visit_type_or_expr(of),
    }
}
