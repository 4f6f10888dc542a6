//! Assignments to variables and maps, `++` and `--` included.

use skep_ui::{Diagnostic, Span};

use super::maps::Entry;
use super::scope::Declared;
use super::types::Written;
use super::{Checker, node, stmt};
use crate::hir::{Block, Expr, ExprKind, LocalId, Stmt, StmtKind};
use crate::sema::builtins::{self, Action, Aggregation, Call};
use crate::sema::infer;
use crate::syntax::ast::{self, BinaryOp, NodeId, Spanned, TypeExpr, UnaryOp, VarName};
use crate::ty::{Agg, Series, Ty, TyKind};
use crate::walk;

impl Checker<'_> {
    /// `let $x : type = init;`
    pub fn let_statement(
        &mut self,
        node: NodeId,
        var: &VarName,
        ty: Option<&TypeExpr>,
        init: Option<&ast::Expr>,
        whole: Span,
    ) -> Vec<Stmt> {
        if var.name.is_empty() {
            return Vec::new();
        }
        let start = Span::new(whole.file, whole.start, var.span.end);
        let place = match (init, ty) {
            (Some(init), _) => start.to(init.span),
            (None, Some(ty)) => start.to(ty.span),
            (None, None) => start,
        };
        let value = init.map(|init| self.plain_value(init, place, None));
        self.check_shadowing(var, start);
        let written = ty.and_then(|ty| self.declared_type(ty));
        let id = self.declare(node, var, Declared::Let, start);
        match written {
            Some(Written::Exactly(ty)) => self.fix_type(id, ty),
            Some(Written::AnyString) => {
                let shortest = self.types.str(1);
                self.widen_local(id, shortest);
            }
            None => {}
        }
        value.and_then(|value| self.set_local(id, &var.name, value, place)).into_iter().collect()
    }

    fn declared_type(&mut self, ty: &TypeExpr) -> Option<Written> {
        let written = self.written_type(ty)?;
        if let Written::Exactly(exact) = written
            && matches!(self.types.kind(exact), TyKind::Void | TyKind::Agg(_))
        {
            let name = self.type_name(exact);
            self.diagnostics.error(ty.span, format!("Invalid variable declaration type: {name}"));
            return None;
        }
        Some(written)
    }

    /// `target = value` and `target op= value`
    pub fn assignment(
        &mut self,
        target: &ast::Expr,
        op: Option<Spanned<BinaryOp>>,
        value: &ast::Expr,
    ) -> Vec<Stmt> {
        let place = target.span.to(value.span);
        match &target.peel_parens().kind {
            ast::ExprKind::Var(var) => self.assign_local(target.id, var, op, value, place),
            ast::ExprKind::Map(map) => self.assign_map(map, None, op, target.span, value, place),
            ast::ExprKind::MapAccess { map, keys } => {
                self.assign_map(map, Some(keys), op, target.span, value, place)
            }
            _ => {
                // The parser has complained about the target.
                self.expr(value);
                None
            }
        }
        .into_iter()
        .collect()
    }

    fn assign_local(
        &mut self,
        node_id: NodeId,
        var: &VarName,
        op: Option<Spanned<BinaryOp>>,
        value: &ast::Expr,
        place: Span,
    ) -> Option<Stmt> {
        let Some(op) = op else {
            let value = self.plain_value(value, place, None);
            if var.name.is_empty() {
                return None;
            }
            let id = match self.visible(&var.name) {
                Some(id) => id,
                None => self.declare(node_id, var, Declared::Assignment, place),
            };
            return self.set_local(id, &var.name, value, place);
        };
        let Some(id) = self.read_local(var) else {
            self.expr(value);
            return None;
        };
        let value = self.value(value);
        let old = node(ExprKind::Local(id), self.local_type(id), var.span);
        let result = self.compound(op, old, value, place);
        self.set_local(id, &var.name, result, place)
    }

    /// The right side of `a op= b`.
    fn compound(&mut self, op: Spanned<BinaryOp>, old: Expr, value: Expr, place: Span) -> Expr {
        // A variable that cannot hold numbers is the mistake, rather than the operator.
        let moves = matches!(self.types.kind(old.ty), TyKind::Ptr { .. });
        if self.types.as_int(value.ty).is_some() && !self.is_number(old.ty) && !moves {
            let result = if op.node == BinaryOp::Sub { Ty::I64 } else { self.widen_int(value).ty };
            return node(ExprKind::Int(0), result, place);
        }
        let span = if self.is_number(value.ty) { place } else { op.span.to(value.span) };
        self.binary_of(op.node, old, value, span)
    }

    fn is_number(&self, ty: Ty) -> bool {
        matches!(self.types.kind(ty), TyKind::Int { .. } | TyKind::Enum(_) | TyKind::Bool | TyKind::Error)
    }

    /// A value to be stored. `map` is the name of the map it goes to, if it goes to one.
    fn plain_value(&mut self, value: &ast::Expr, place: Span, map: Option<&str>) -> Expr {
        let value = self.expr(value);
        let name = self.type_name(value.ty);
        match (self.types.kind(value.ty), map) {
            (TyKind::Void, None) => {
                self.error(place, "Value 'void' cannot be assigned to a scratch variable.")
            }
            (TyKind::Void, Some(_)) => self.error(place, "Value 'void' cannot be assigned to a map."),
            (TyKind::Agg(agg), map) => {
                let message = match map {
                    None => format!("Value '{name}' cannot be assigned to a scratch variable."),
                    Some(map) => format!(
                        "Map value '{name}' cannot be assigned from one map to another. The function that returns this type must be called directly e.g. `{map} = {};`.",
                        aggregate_call(*agg)
                    ),
                };
                let mut diagnostic = Diagnostic::error(place, message);
                if let (Some(number), ExprKind::AggEntry { map: from, .. }) = (agg.number(), &value.kind) {
                    let (number, from) = (self.types.name(number), &self.maps[from.0 as usize].name);
                    let example = match map {
                        Some(map) => format!("{map} = ({number}){from};"),
                        None => format!("({number}){from}"),
                    };
                    diagnostic = diagnostic.help(format!(
                        "Add a cast to integer if you want the value of the aggregate, e.g. `{example}`."
                    ));
                }
                self.diagnostics.push(diagnostic);
                self.broken(place)
            }
            _ => value,
        }
    }

    fn set_local(&mut self, id: LocalId, name: &str, value: Expr, place: Span) -> Option<Stmt> {
        self.mark_assigned(id);
        if value.ty == Ty::ERROR {
            return None;
        }
        let given = value.ty;
        let fits = self.widen_local(id, given);
        let has = self.local_type(id);
        match self.convert(value, has) {
            Some(value) if fits => Some(stmt(StmtKind::SetLocal { local: id, value }, place)),
            _ => {
                let message = format!(
                    "Type mismatch for ${name}: trying to assign value of type '{}' when variable already has a type '{}'",
                    self.type_name(given),
                    self.type_name(has)
                );
                self.diagnostics.error(place, message);
                None
            }
        }
    }

    fn assign_map(
        &mut self,
        map: &ast::MapName,
        keys: Option<&[ast::Expr]>,
        op: Option<Spanned<BinaryOp>>,
        target: Span,
        value: &ast::Expr,
        place: Span,
    ) -> Option<Stmt> {
        if op.is_none()
            && let Some((call, action)) = as_aggregation(value)
        {
            let entry = self.entry(map, keys, target);
            return self.aggregate(entry?, &call, action);
        }
        if op.is_none()
            && let ast::ExprKind::Block(block) = &value.peel_parens().kind
            && let Some(tail) = block.tail.as_deref().filter(|tail| ends_in_aggregation(tail))
        {
            self.enter();
            let (mut stmts, _) = self.statements(block);
            stmts.extend(self.assign_map(map, keys, None, target, tail, place));
            self.leave();
            return Some(stmt(StmtKind::Block(Block { stmts }), place));
        }
        let Some(op) = op else {
            let entry = self.entry(map, keys, if keys.is_some() { target } else { map.span });
            let shown = format!("@{}", map.name);
            let value = self.plain_value(value, place, Some(&shown));
            return self.set_map(entry?, value, place);
        };
        let entry = self.entry(map, keys, target);
        let value = self.value(value);
        let (id, key) = entry?;
        if value.ty == Ty::ERROR {
            return None;
        }
        let old = self.map_info(id).value;
        if matches!(op.node, BinaryOp::Add | BinaryOp::Sub) && self.is_number(old) && self.is_number(value.ty)
        {
            let wanted = self.sum_type(op.node == BinaryOp::Sub, old, value.ty);
            if !self.widen_map(id, wanted, place) {
                return None;
            }
            let ty = infer::settle(&mut self.types, self.maps[id.0 as usize].value);
            let value = self.force_bool(value);
            let by = self.convert(value, ty)?;
            let by = if op.node == BinaryOp::Sub { self.negated(by) } else { by };
            let key = key.map(Box::new);
            let kind = ExprKind::MapAdd { map: id, key, by: Box::new(by), old: false };
            return Some(stmt(StmtKind::Expr(node(kind, ty, place)), place));
        }
        // The key is evaluated once.
        let (keep, key) = match key {
            Some(key) if walk::differs_when_repeated(&key) => {
                let (keep, key) = self.kept(key);
                (Some(keep), Some(key))
            }
            key => (None, key),
        };
        // An aggregation is read here as little as elsewhere; that it is no number is the mistake.
        let old = node(ExprKind::MapGet { map: id, key: key.clone().map(Box::new) }, old, target);
        let result = self.compound(op, old, value, place);
        let set = self.set_map((id, key), result, place)?;
        Some(match keep {
            Some(keep) => stmt(StmtKind::Block(Block { stmts: vec![keep, set] }), place),
            None => set,
        })
    }

    fn set_map(&mut self, (id, key): Entry, value: Expr, place: Span) -> Option<Stmt> {
        if value.ty == Ty::ERROR {
            self.map_info(id).pending = true;
            return None;
        }
        if !self.widen_map(id, value.ty, place) {
            return None;
        }
        let (given, has) = (value.ty, self.map_info(id).value);
        match self.convert(value, has) {
            Some(value) => Some(stmt(StmtKind::SetMap { map: id, key, value }, place)),
            None => {
                self.map_mismatch(id, given, has, place);
                None
            }
        }
    }

    /// `@x = count()` and its like.
    fn aggregate(
        &mut self,
        (id, key): Entry,
        call: &Call<'_>,
        check: fn(&mut Checker<'_>, &Call<'_>) -> Option<Aggregation>,
    ) -> Option<Stmt> {
        let builtin = builtins::by_name(call.name)?;
        if let Some(problem) = builtin.args.complaint(builtin.name, call.args.len()) {
            self.diagnostics.error(call.span, problem);
            return None;
        }
        let Some(Aggregation { agg, sample }) = check(self, call) else {
            self.map_info(id).pending = true;
            return None;
        };
        let agg = self.signed_as_samples(id, agg, sample.as_ref());
        let ty = self.types.intern(TyKind::Agg(agg));
        let old = self.map_info(id).value;
        let old_agg = match self.types.kind(old) {
            TyKind::Agg(old) => Some(*old),
            _ => None,
        };
        match (old_agg, agg) {
            _ if old == ty => {}
            _ if old == Ty::ERROR => self.set_map_value(id, ty),
            (Some(Agg::Hist { .. }), Agg::Hist { .. }) => {
                self.diagnostics.error(call.span, "Different bits in a single hist unsupported");
            }
            (Some(Agg::Lhist { .. }), Agg::Lhist { .. }) => {
                self.diagnostics.error(call.span, "Different lhist bounds in a single map unsupported");
            }
            (Some(Agg::Tseries(a)), Agg::Tseries(b)) if a != (Series { signed: a.signed, ..b }) => {
                self.diagnostics.error(call.span, "Different tseries bounds in a single map unsupported");
            }
            (Some(before), _) if same_function(before, agg) => self.set_map_value(id, ty),
            _ => self.map_mismatch(id, ty, old, call.span),
        }
        let sample = match sample {
            Some(sample) => {
                let wide = match agg_sign(agg) {
                    Some(true) => self.force(sample, Ty::I64),
                    Some(false) => self.force(sample, Ty::U64),
                    None => self.widen_int(sample),
                };
                Some(match agg {
                    Agg::Tseries(_) => builtins::with_time(self, wide),
                    _ => wide,
                })
            }
            None => None,
        };
        Some(stmt(StmtKind::Aggregate { map: id, key, sample }, call.span))
    }

    fn set_map_value(&mut self, id: crate::hir::MapId, ty: Ty) {
        self.map_info(id).value = ty;
        self.changed = true;
    }

    /// The aggregation, signed if one of all its samples in the script is.
    fn signed_as_samples(&mut self, id: crate::hir::MapId, agg: Agg, sample: Option<&Expr>) -> Agg {
        let Some(sample) = sample else { return agg };
        let old = self.map_info(id).sample;
        let sample = if sample.ty == Ty::BOOL { Ty::U8 } else { sample.ty };
        let joined = infer::join(&mut self.types, old, sample).unwrap_or(old);
        if joined != old {
            self.map_info(id).sample = joined;
            self.changed = true;
        }
        let settled = infer::settle(&mut self.types, joined);
        let signed = matches!(self.types.as_int(settled), Some((_, true)));
        match agg {
            Agg::Sum { .. } => Agg::Sum { signed },
            Agg::Min { .. } => Agg::Min { signed },
            Agg::Max { .. } => Agg::Max { signed },
            Agg::Avg { .. } => Agg::Avg { signed },
            Agg::Stats { .. } => Agg::Stats { signed },
            Agg::Tseries(series) => Agg::Tseries(Series { signed, ..series }),
            Agg::Count | Agg::Hist { .. } | Agg::Lhist { .. } => agg,
        }
    }

    /// `++e`, `e--` and the like.
    pub fn increment(&mut self, op: UnaryOp, operand: &ast::Expr, span: Span) -> Expr {
        let down = matches!(op, UnaryOp::PreDec | UnaryOp::PostDec);
        let old_value = op.is_postfix();
        match &operand.peel_parens().kind {
            ast::ExprKind::Var(var) => {
                let Some(id) = self.read_local(var) else { return self.broken(span) };
                let old = self.local_type(id);
                if let TyKind::Ptr { .. } = self.types.kind(old) {
                    let by = Box::new(self.step(down, old, span));
                    return node(ExprKind::LocalAdd { local: id, by, old: old_value }, old, span);
                }
                if !self.is_number(old) || old == Ty::BOOL {
                    let message = format!(
                        "Type mismatch for ${}: trying to assign value of type '{}' when variable already has a type '{}'",
                        var.name,
                        if down { "int64" } else { "uint64" },
                        self.type_name(old)
                    );
                    return self.error(span, message);
                }
                let wanted = self.sum_type(down, old, old);
                self.widen_local(id, wanted);
                let ty = infer::settle(&mut self.types, wanted);
                let kept = self.local_type(id);
                let ty =
                    if self.types.as_int(kept).is_some() { infer::settle(&mut self.types, kept) } else { ty };
                let by = Box::new(self.step(down, ty, span));
                node(ExprKind::LocalAdd { local: id, by, old: old_value }, ty, span)
            }
            ast::ExprKind::Map(map) => {
                let entry = self.entry(map, None, operand.span);
                self.increment_map(entry, down, old_value, span)
            }
            ast::ExprKind::MapAccess { map, keys } => {
                let entry = self.entry(map, Some(keys), operand.span);
                self.increment_map(entry, down, old_value, span)
            }
            // The parser has complained.
            _ => self.broken(span),
        }
    }

    fn increment_map(&mut self, entry: Option<Entry>, down: bool, old_value: bool, span: Span) -> Expr {
        let Some((id, key)) = entry else { return self.broken(span) };
        let old = self.map_info(id).value;
        let key = key.map(Box::new);
        if let TyKind::Ptr { .. } = self.types.kind(old) {
            let by = Box::new(self.step(down, old, span));
            return node(ExprKind::MapAdd { map: id, key, by, old: old_value }, old, span);
        }
        let wanted = self.sum_type(down, old, old);
        if !self.is_number(old) || old == Ty::BOOL {
            self.map_mismatch(id, if down { Ty::I64 } else { Ty::U64 }, old, span);
            return self.broken(span);
        }
        if !self.widen_map(id, wanted, span) {
            return self.broken(span);
        }
        let ty = infer::settle(&mut self.types, self.maps[id.0 as usize].value);
        let by = Box::new(self.step(down, ty, span));
        node(ExprKind::MapAdd { map: id, key, by, old: old_value }, ty, span)
    }

    /// What `++` or `--` adds: 1, or the size of what a pointer points to, or the negative.
    fn step(&self, down: bool, ty: Ty, span: Span) -> Expr {
        let step = self.step_of(ty);
        node(ExprKind::Int(if down { step.wrapping_neg() } else { step }), ty, span)
    }

    /// The 64-bit type of a sum.
    fn sum_type(&mut self, down: bool, a: Ty, b: Ty) -> Ty {
        let joined = infer::join(&mut self.types, a, b).unwrap_or(Ty::I64);
        let settled = infer::settle(&mut self.types, joined);
        match self.types.as_int(settled) {
            Some((_, false)) if !down => Ty::U64,
            _ => Ty::I64,
        }
    }

    fn force_bool(&mut self, expr: Expr) -> Expr {
        if expr.ty == Ty::BOOL { self.force(expr, Ty::U8) } else { expr }
    }

    fn negated(&mut self, by: Expr) -> Expr {
        let (ty, span) = (by.ty, by.span);
        match by.kind {
            ExprKind::Int(value) => node(ExprKind::Int(value.wrapping_neg()), ty, span),
            _ => node(ExprKind::Neg(Box::new(by)), ty, span),
        }
    }

    /// Says that a value is thrown away.
    pub fn warn_discarded(&mut self, span: Span) {
        self.diagnostics.push(Diagnostic::warning(span, "Return value discarded."));
    }
}

type CheckAggregation = fn(&mut Checker<'_>, &Call<'_>) -> Option<Aggregation>;

/// Whether the right side of an assignment is an aggregating function.
fn as_aggregation(value: &ast::Expr) -> Option<(Call<'_>, CheckAggregation)> {
    let value = value.peel_parens();
    let (name, args): (&str, &[ast::Expr]) = match &value.kind {
        ast::ExprKind::Call { callee, args } => (&callee.name, args),
        _ => return None,
    };
    let builtin = builtins::by_name(name)?;
    match builtin.action {
        Action::Aggregate(check) => Some((Call { name: builtin.name, args, span: value.span }, check)),
        _ => None,
    }
}

/// Whether a value is an aggregating function, or a block that ends in one.
fn ends_in_aggregation(value: &ast::Expr) -> bool {
    match &value.peel_parens().kind {
        ast::ExprKind::Block(block) => block.tail.as_deref().is_some_and(ends_in_aggregation),
        _ => as_aggregation(value).is_some(),
    }
}

fn agg_sign(agg: Agg) -> Option<bool> {
    match agg {
        Agg::Sum { signed }
        | Agg::Min { signed }
        | Agg::Max { signed }
        | Agg::Avg { signed }
        | Agg::Stats { signed }
        | Agg::Tseries(Series { signed, .. }) => Some(signed),
        Agg::Count | Agg::Hist { .. } | Agg::Lhist { .. } => None,
    }
}

fn same_function(a: Agg, b: Agg) -> bool {
    std::mem::discriminant(&a) == std::mem::discriminant(&b)
}

/// How a script spells an aggregation, for hints.
fn aggregate_call(agg: Agg) -> &'static str {
    match agg {
        Agg::Count => "count()",
        Agg::Sum { .. } => "sum(retval)",
        Agg::Min { .. } => "min(retval)",
        Agg::Max { .. } => "max(retval)",
        Agg::Avg { .. } => "avg(retval)",
        Agg::Stats { .. } => "stats(retval)",
        Agg::Hist { .. } => "hist(retval)",
        Agg::Lhist { .. } => "lhist(rand %10, 0, 10, 1)",
        Agg::Tseries(_) => "tseries(rand %10, 1s, 5)",
    }
}
