//! Calls of macros replaced by what the macros are.
//!
//! The arguments of a call are expanded where they stand, then the macro's body is copied with the
//! arguments in the place of its parameters, and expanded in turn. A copied body keeps clear of the
//! caller's names ([`super::hygiene`]).

use skep_ui::{Diagnostic, Diagnostics, SourceMap, Span};

use super::hygiene::Frame;
use super::macros::{Found, MacroId, Registry};
use crate::c;
use crate::syntax::ast::{
    Block, Expr, ExprKind, Ident, MapName, NodeId, NodeIds, Script, Stmt, StmtKind, TypeExpr, TypeExprKind,
    TypeOrExpr, VarName,
};
use crate::syntax::visit_mut::{self, VisitorMut};
use crate::syntax::{MAX_HEIGHT, parse_expression};

/// After so many nodes made by macros the script is taken to be hostile.
const MAX_NODES: usize = 1_000_000;

const TOO_DEEP: &str = "Macros expand to something that is nested too deeply";

/// Expands a script.
pub struct Expander<'a> {
    sources: &'a mut SourceMap,
    ids: &'a mut NodeIds,
    registry: Registry,
    c: &'a mut c::Definitions,
    diagnostics: &'a mut Diagnostics,
    /// The expansions under way, outermost first.
    frames: Vec<Frame>,
    /// How many expansions there were.
    expansions: usize,
    /// How many nodes they made.
    nodes: usize,
    /// Whether that was too many, which is reported once.
    overflowed: bool,
    /// How deep the node in hand stands.
    depth: u16,
}

impl<'a> Expander<'a> {
    /// Expands by these macros.
    pub fn new(
        sources: &'a mut SourceMap,
        ids: &'a mut NodeIds,
        registry: Registry,
        c: &'a mut c::Definitions,
        diagnostics: &'a mut Diagnostics,
    ) -> Expander<'a> {
        let frames = Vec::new();
        Expander {
            sources,
            ids,
            registry,
            c,
            diagnostics,
            frames,
            expansions: 0,
            nodes: 0,
            overflowed: false,
            depth: 0,
        }
    }

    /// Expands all that runs; macros themselves are left as they are.
    pub fn script(mut self, script: &mut Script) {
        use crate::syntax::ast::ItemKind;
        for item in &mut script.items {
            if !matches!(item.kind, ItemKind::Macro(_)) {
                visit_mut::walk_item(&mut self, item);
            }
        }
    }

    /// A name without parentheses, or a call whose arguments are expanded.
    fn name(&mut self, expr: &mut Expr) {
        let (name, args): (&str, &[Expr]) = match &expr.kind {
            ExprKind::Ident(name) => (name, &[]),
            ExprKind::Call { callee, args } => (&callee.name, args),
            _ => return,
        };
        let bare = matches!(expr.kind, ExprKind::Ident(_));
        if bare && let Some(arg) = self.frames.last().and_then(|frame| frame.arg(name)) {
            let arg = arg.clone();
            self.insert(expr, arg);
            return;
        }
        let from_stdlib = self.frames.last().is_some_and(|frame| frame.stdlib);
        let callee = (name, expr.span);
        match self.registry.find(callee, args, expr.span, from_stdlib, self.sources, self.ids) {
            Found::Macro(id) => self.expand(id, expr),
            Found::Mismatch(complaints) => {
                self.diagnostics.extend(complaints);
                expr.kind = ExprKind::Error;
            }
            Found::NoMacro if from_stdlib => {}
            Found::NoMacro => self.c_macro(expr),
        }
    }

    fn expand(&mut self, id: MacroId, expr: &mut Expr) {
        if let Some(first) = self.frames.iter().position(|frame| frame.of == Some(id)) {
            let chain: Vec<&str> = self.frames.iter().skip(first).map(|frame| frame.name.as_str()).collect();
            let name = &self.registry.get(id).def.name.name;
            let message =
                format!("Recursive macro call detected. Call chain: {} > {name}", chain.join(" > "));
            self.refuse(expr, message);
            return;
        }
        let kind = std::mem::replace(&mut expr.kind, ExprKind::Error);
        let args = match kind {
            ExprKind::Call { args, .. } => args,
            _ => Vec::new(),
        };
        self.expansions += 1;
        let made = self.registry.get(id);
        let file = self.sources.add_expansion(made.def.header.file, expr.span);
        let frame = Frame::of_macro(id, &made.def, made.stdlib, args, file, self.expansions);
        let mut body = made.def.body.clone();
        self.frames.push(frame);
        self.visit_block(&mut body);
        self.frames.pop();
        expr.kind = ExprKind::Block(body);
    }

    /// A constant or macro that the script's C text defines.
    fn c_macro(&mut self, expr: &mut Expr) {
        let (name, args) = match &expr.kind {
            ExprKind::Ident(name) => (name.clone(), None),
            ExprKind::Call { callee, args } => (callee.name.clone(), Some(args)),
            _ => return,
        };
        // A macro does not expand within itself.
        if self.frames.iter().any(|frame| frame.of.is_none() && frame.name == name) {
            return;
        }
        let texts = args.map(|args| args.iter().map(|arg| self.sources.snippet(arg.span)).collect());
        let Some(expanded) = self.c.expand(&name, texts) else { return };
        let expanded = match expanded {
            Ok(expanded) => expanded,
            Err(message) => {
                self.refuse(expr, message);
                return;
            }
        };
        let args = match std::mem::replace(&mut expr.kind, ExprKind::Error) {
            ExprKind::Call { args, .. } => args,
            _ => Vec::new(),
        };
        let text = self.sources.add(name.clone(), expanded.text.clone());
        let file = self.sources.add_expansion(text, expr.span);
        let parsed = parse_expression(file, &expanded.text, self.ids);
        if parsed.diagnostics.iter().any(Diagnostic::is_error) {
            self.refuse(expr, format!("unable to expand macro as an expression: {}", expanded.text));
            return;
        }
        let mut body = parsed.script;
        self.frames.push(Frame::of_c(name, expanded.placeholders.into_iter().zip(args).collect(), file));
        self.visit_expr(&mut body);
        self.frames.pop();
        expr.kind = ExprKind::Paren(Box::new(body));
    }

    /// Puts a copy of an argument in the place of a parameter.
    fn insert(&mut self, place: &mut Expr, mut arg: Expr) {
        if matches!(arg.kind, ExprKind::Typeof(_)) {
            place.kind = arg.kind;
            return;
        }
        // An assignment through a parameter would change the caller's variable behind its back.
        if matches!(arg.kind, ExprKind::Var(_) | ExprKind::Map(_)) {
            let span = arg.span;
            arg = Expr { id: arg.id, span, kind: ExprKind::Paren(Box::new(arg)) };
        }
        let mut copier = Copier { ids: self.ids, nodes: &mut self.nodes, depth: self.depth, highest: 0 };
        copier.visit_expr(&mut arg);
        let too_high = copier.highest > MAX_HEIGHT;
        if too_high {
            self.refuse(place, TOO_DEEP.into());
            return;
        }
        *place = arg;
    }

    fn refuse(&mut self, expr: &mut Expr, message: String) {
        self.diagnostics.error(expr.span, message);
        expr.kind = ExprKind::Error;
    }

    /// Whether there is room for one node more.
    fn spend(&mut self, span: Span) -> bool {
        if self.frames.is_empty() {
            return true;
        }
        self.nodes += 1;
        if self.nodes > MAX_NODES && !std::mem::replace(&mut self.overflowed, true) {
            let message = format!("Macros expand to more than {MAX_NODES} expressions");
            self.diagnostics.error(span, message);
        }
        !self.overflowed
    }

    /// The type that stands for a parameter in a place where a type or an expression may.
    fn type_param(&mut self, of: &TypeOrExpr) -> Option<TypeOrExpr> {
        let frame = self.frames.last()?;
        let name = match of {
            TypeOrExpr::Expr(expr) => match &expr.kind {
                ExprKind::Ident(name) => name,
                _ => return None,
            },
            TypeOrExpr::Type(TypeExpr { kind: TypeExprKind::Name(name), .. }) => name,
            TypeOrExpr::Type(_) => return None,
        };
        let mut given = match frame.type_arg(name) {
            Some(of) => of.clone(),
            None => TypeOrExpr::Expr(Box::new(frame.arg(name)?.clone())),
        };
        let mut copier = Copier { ids: self.ids, nodes: &mut self.nodes, depth: self.depth, highest: 0 };
        copier.visit_type_or_expr(&mut given);
        Some(given)
    }

    /// `struct t` where `t` is a parameter.
    fn tagged_param(&mut self, ty: &mut TypeExpr) {
        let TypeExprKind::Tagged { tag, name } = &mut ty.kind else { return };
        let Some(arg) = self.frames.last().and_then(|frame| frame.arg(&name.name)) else { return };
        let given = match &arg.kind {
            ExprKind::Ident(given) => Some(given.clone()),
            ExprKind::Typeof(TypeOrExpr::Expr(of)) => match &of.kind {
                ExprKind::Ident(given) => Some(given.clone()),
                _ => None,
            },
            ExprKind::Typeof(TypeOrExpr::Type(TypeExpr { kind: TypeExprKind::Name(given), .. })) => {
                Some(given.clone())
            }
            _ => None,
        };
        match given {
            Some(given) => name.name = given,
            None => {
                let of = self.frames.last().map_or("", |frame| frame.name.as_str());
                let message = format!(
                    "Invalid replacement for macro '{of}' type parameter '{0}' which makes up the type '{1} {0}'",
                    name.name,
                    tag.keyword()
                );
                self.diagnostics.error(arg.span, message);
                ty.kind = TypeExprKind::Error;
            }
        }
    }
}

impl VisitorMut for Expander<'_> {
    fn visit_id(&mut self, id: &mut NodeId) {
        if !self.frames.is_empty() {
            *id = self.ids.fresh();
        }
    }

    fn visit_span(&mut self, span: &mut Span) {
        if let Some(file) = self.frames.last().and_then(|frame| frame.file) {
            span.file = file;
        }
    }

    fn visit_var(&mut self, var: &mut VarName) {
        if let Some(name) = self.frames.last().and_then(|frame| frame.var(&var.name)) {
            var.name = name;
        }
    }

    fn visit_map(&mut self, map: &mut MapName) {
        let Some(frame) = self.frames.last().filter(|frame| frame.of.is_some()) else { return };
        match frame.map(&map.name) {
            Some(given) => map.name = given.to_owned(),
            None => self.diagnostics.push(
                Diagnostic::error(
                    map.span,
                    format!(
                        "Unhygienic access to map: @{}. Maps must be passed into the macro as arguments.",
                        map.name
                    ),
                )
                .help(format!("Give the macro a parameter: macro {}(@{}, …)", frame.name, map.name)),
            ),
        }
    }

    fn visit_declared(&mut self, var: &mut VarName) {
        if let Some(frame) = self.frames.last_mut() {
            if frame.is_param(&var.name) {
                let mut span = var.span;
                span.file = frame.file.unwrap_or(span.file);
                self.diagnostics.error(span, format!("Variable declaration shadows macro arg ${}", var.name));
                return;
            }
            frame.assigns(&var.name);
        }
        visit_mut::walk_var(self, var);
    }

    fn visit_block(&mut self, block: &mut Block) {
        self.depth += 1;
        visit_mut::walk_block(self, block);
        self.depth -= 1;
    }

    fn visit_stmt(&mut self, stmt: &mut Stmt) {
        if let StmtKind::Assign { target: Expr { kind: ExprKind::Var(var), .. }, .. } = &stmt.kind
            && let Some(frame) = self.frames.last_mut()
        {
            frame.assigns(&var.name);
        }
        visit_mut::walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &mut Expr) {
        if !self.spend(expr.span) {
            expr.kind = ExprKind::Error;
            return;
        }
        if self.depth > MAX_HEIGHT && !self.frames.is_empty() {
            self.refuse(expr, TOO_DEEP.into());
            return;
        }
        self.depth += 1;
        visit_mut::walk_expr(self, expr);
        if let ExprKind::Offsetof { path, .. } = &mut expr.kind {
            self.offset_path(path);
        }
        self.name(expr);
        self.depth -= 1;
    }

    fn visit_type(&mut self, ty: &mut TypeExpr) {
        visit_mut::walk_type(self, ty);
        match &ty.kind {
            TypeExprKind::Name(_) => {
                if let Some(given) = self.type_param(&TypeOrExpr::Type(ty.clone())) {
                    ty.kind = TypeExprKind::Typeof(Box::new(given));
                }
            }
            TypeExprKind::Tagged { .. } => self.tagged_param(ty),
            _ => {}
        }
    }

    fn visit_type_or_expr(&mut self, of: &mut TypeOrExpr) {
        if let Some(given) = self.type_param(of) {
            *of = given;
            return;
        }
        // A bare name is a type here before it is a macro; with parentheses it is a macro.
        if let TypeOrExpr::Expr(expr) = of
            && matches!(expr.kind, ExprKind::Ident(_))
        {
            self.visit_id(&mut expr.id);
            self.visit_span(&mut expr.span);
            if matches!(&expr.kind, ExprKind::Ident(name) if self.c.has_constant(name)) {
                self.name(expr);
            }
            return;
        }
        visit_mut::walk_type_or_expr(self, of);
    }
}

impl Expander<'_> {
    /// `offsetof(t, f)` where `f` is a parameter that was given as `a.b.c`.
    fn offset_path(&mut self, path: &mut Vec<Ident>) {
        let [only] = path.as_slice() else { return };
        let Some(arg) = self.frames.last().and_then(|frame| frame.arg(&only.name)) else { return };
        match field_path(arg) {
            Some(given) => *path = given,
            None => self.diagnostics.error(
                arg.span,
                "FieldAccess expressions must be made up entirely of idents (e.g. a.b.c) to replace the second argument in `offsetof`",
            ),
        }
    }
}

/// `a.b.c` as names.
fn field_path(expr: &Expr) -> Option<Vec<Ident>> {
    match &expr.kind {
        ExprKind::Ident(name) => Some(vec![Ident { name: name.clone(), span: expr.span }]),
        ExprKind::Field { base, arrow: false, field } => {
            let mut path = field_path(base)?;
            path.push(field.clone());
            Some(path)
        }
        _ => None,
    }
}

/// Gives the nodes of a copied argument numbers of their own.
struct Copier<'a> {
    ids: &'a mut NodeIds,
    nodes: &'a mut usize,
    depth: u16,
    highest: u16,
}

impl VisitorMut for Copier<'_> {
    fn visit_id(&mut self, id: &mut NodeId) {
        *id = self.ids.fresh();
    }

    fn visit_expr(&mut self, expr: &mut Expr) {
        *self.nodes += 1;
        self.depth += 1;
        self.highest = self.highest.max(self.depth);
        visit_mut::walk_expr(self, expr);
        self.depth -= 1;
    }
}
