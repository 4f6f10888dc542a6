//! Loops: over ranges and maps, while a condition holds, and a fixed number of times.

use skep_ui::{Diagnostic, Span};

use super::scope::Declared;
use super::{Checker, node, stmt};
use crate::hir::{Expr, ExprKind, Stmt, StmtKind};
use crate::sema::infer;
use crate::syntax::ast::{self, ForLoop, ForOver, MapName, NodeId};
use crate::ty::{Ty, TyKind};

/// Most rounds of `unroll`.
const MAX_UNROLL: i128 = 100;

impl Checker<'_> {
    /// `for ($x : …) { … }`
    pub fn for_loop(&mut self, id: NodeId, found: &ForLoop, span: Span) -> Vec<Stmt> {
        match &found.over {
            ForOver::Range { start, end } => self.for_range(id, found, (start, end), span),
            ForOver::Map(map) => self.for_map(id, found, map, span),
            ForOver::Error => Vec::new(),
        }
    }

    fn for_range(
        &mut self,
        id: NodeId,
        found: &ForLoop,
        (start, end): (&ast::Expr, &ast::Expr),
        span: Span,
    ) -> Vec<Stmt> {
        let mut sides = Vec::with_capacity(2);
        for (side, which) in [(start, "start"), (end, "end")] {
            let value = self.value(side);
            let value = if value.ty == Ty::BOOL { self.force(value, Ty::U8) } else { value };
            if !matches!(self.types.kind(value.ty), TyKind::Int { .. } | TyKind::Error) {
                self.diagnostics
                    .error(found.header, format!("Loop range requires an integer for the {which} value"));
                return Vec::new();
            }
            sides.push(value);
        }
        self.enter();
        self.check_loop_shadowing(found);
        let local = self.declare(id, &found.var, Declared::Loop, found.var.span);
        self.mark_assigned(local);
        for side in &sides {
            if side.ty != Ty::ERROR {
                self.widen_local(local, side.ty);
            }
        }
        let ty = self.local_type(local);
        let sides: Vec<Expr> = sides.into_iter().filter_map(|side| self.convert(side, ty)).collect();
        let body = self.loop_body(&found.body);
        self.leave();
        self.ask_for_loops();
        match <[Expr; 2]>::try_from(sides) {
            Ok([start, end]) => vec![stmt(StmtKind::ForRange { local, start, end, body }, span)],
            Err(_) => Vec::new(),
        }
    }

    fn for_map(&mut self, id: NodeId, found: &ForLoop, name: &MapName, span: Span) -> Vec<Stmt> {
        let Some(map) = self.whole_map(name) else { return Vec::new() };
        let info = self.map_info(map);
        let (keyed, key_ty, value_ty, shown) = (info.keyed, info.key, info.value, info.name.clone());
        if keyed == Some(false) {
            self.diagnostics.error(
                name.span,
                format!("{shown} has no explicit keys (scalar map), and cannot be used for iteration"),
            );
            return Vec::new();
        }
        if !self.world.has_for_each() {
            self.diagnostics.push(
                Diagnostic::error(name.span, "This kernel cannot go through a map in a probe")
                    .help("That needs bpf_for_each_map_elem, which Linux has since 5.13. print() shows all of a map without it."),
            );
            return Vec::new();
        }
        let agg = match self.types.kind(value_ty) {
            TyKind::Agg(agg) => Some(*agg),
            _ => None,
        };
        let number = match agg {
            None => value_ty,
            Some(agg) => match agg.number() {
                Some(number) => number,
                None => {
                    let shown = self.type_name(value_ty);
                    let message = format!("Loop expression does not support type: {shown}");
                    self.diagnostics.error(name.span, message);
                    return Vec::new();
                }
            },
        };
        if agg.is_some() && !self.world.reads_other_cpus() {
            self.cannot_read_aggregation(name.span);
            return Vec::new();
        }
        let key = node(ExprKind::EntryKey, infer::settle(&mut self.types, key_ty), name.span);
        let value = match agg {
            None => node(ExprKind::EntryValue, infer::settle(&mut self.types, number), name.span),
            Some(_) => node(ExprKind::AggValue { map, key: Some(Box::new(key.clone())) }, number, name.span),
        };
        self.enter();
        self.check_loop_shadowing(found);
        let local = self.declare(id, &found.var, Declared::Loop, found.var.span);
        self.mark_assigned(local);
        let known = key_ty != Ty::ERROR && value_ty != Ty::ERROR;
        let entry = known.then(|| {
            let ty = self.types.tuple([key.ty, value.ty]);
            node(ExprKind::Tuple(vec![key, value]), ty, name.span)
        });
        let entry = entry.and_then(|entry| {
            self.widen_local(local, entry.ty);
            let ty = self.local_type(local);
            self.convert(entry, ty)
        });
        let body = self.loop_body(&found.body);
        self.leave();
        entry.map(|entry| stmt(StmtKind::ForMap { map, local, entry, body }, span)).into_iter().collect()
    }

    /// `while (c) { … }`
    pub fn while_loop(&mut self, cond: &ast::Expr, body: &ast::Block, span: Span) -> Vec<Stmt> {
        self.diagnostics.push(
            Diagnostic::warning(span, "While loops are deprecated and may be removed in the future.")
                .help("A loop over a range, `for ($i : 0..n) { ... }`, always comes to an end; leave it early with `break`."),
        );
        let place = cond.span;
        let cond = self.value(cond);
        let cond = self.condition(cond, place);
        let body = self.loop_body(body);
        self.ask_for_loops();
        vec![stmt(StmtKind::While { cond, body }, span)]
    }

    /// `unroll (n) { … }`
    pub fn unroll(&mut self, count: &ast::Expr, body: &ast::Block, span: Span) -> Vec<Stmt> {
        let count = self.expr(count);
        let count = self.constant(&count);
        // `break` and `continue` mean the loop around it, if there is one.
        let body = self.block(body);
        let problem = match count {
            None | Some(..0) => "invalid unroll value".to_owned(),
            Some(0) => "unroll minimum value is 1".to_owned(),
            Some(count) if count > MAX_UNROLL => format!("unroll maximum value is {MAX_UNROLL}"),
            // From 1 to 100.
            Some(count) => return vec![stmt(StmtKind::Unroll { count: count as u32, body }, span)],
        };
        self.diagnostics.error(span, problem);
        Vec::new()
    }

    /// `break` or `continue`
    pub fn loop_jump(&mut self, kind: StmtKind, word: &str, span: Span) -> Vec<Stmt> {
        if self.loops == 0 {
            self.diagnostics.error(span, format!("'{word}' statement is not allowed in a probe"));
            return Vec::new();
        }
        vec![stmt(kind, span)]
    }

    fn loop_body(&mut self, body: &ast::Block) -> crate::hir::Block {
        self.loops += 1;
        let body = self.block(body);
        self.loops -= 1;
        body
    }

    /// The code of loops depends on the kernel, which is only asked if there are any.
    fn ask_for_loops(&mut self) {
        self.abilities.bpf_loop = self.world.has_bpf_loop();
    }

    fn check_loop_shadowing(&mut self, found: &ForLoop) {
        let name = &found.var.name;
        if let Some((place, note)) = self.first_declaration(name) {
            let message = format!("Loop declaration shadows existing variable: ${name}");
            self.diagnostics.push(Diagnostic::error(found.var.span, message).note(place, note));
        }
    }
}
