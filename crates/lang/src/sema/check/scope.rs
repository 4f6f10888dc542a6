//! Scratch variables: where they are declared, who sees them, which type they have.

use rustc_hash::FxHashMap;
use skep_ui::{Diagnostic, Span, suggest};

use super::{Checker, node, stmt};
use crate::hir::{Expr, ExprKind, Local, LocalId, Stmt, StmtKind};
use crate::sema::infer;
use crate::syntax::ast::{NodeId, VarName};
use crate::ty::Ty;

/// The variables of one clause or function. They keep their types from pass to pass.
#[derive(Default)]
pub struct Locals {
    list: Vec<LocalInfo>,
    /// The variable that a declaring node declares.
    by_node: FxHashMap<NodeId, LocalId>,
    /// What is visible in this place of this pass, innermost last.
    scopes: Vec<FxHashMap<String, LocalId>>,
    /// Variables without a name in the script, and how many of them are taken in this pass.
    temporaries: (Vec<LocalId>, usize),
}

/// What brought a variable into being.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// `let $x`
    Let,
    /// The first `$x = …`.
    Assignment,
    /// `for ($x : …)`
    Loop,
    /// `fn f($x : type)`
    Parameter,
    /// By nothing in the script: see [`Checker::kept`].
    Kept,
}

struct LocalInfo {
    name: String,
    span: Span,
    ty: Ty,
    declared: Declared,
    /// Its type was written down and is not changed by what is assigned.
    fixed: bool,
    /// Assigned so far in this pass.
    assigned: bool,
}

impl Checker<'_> {
    fn locals(&mut self) -> &mut Locals {
        // Those of the clause come first.
        let at = self.function.map_or(0, |function| function + 1);
        &mut self.locals[self.current][at]
    }

    fn local(&mut self, id: LocalId) -> Option<&mut LocalInfo> {
        self.locals().list.get_mut(id.0 as usize)
    }

    /// Starts a pass over a clause or function.
    pub fn reset_scopes(&mut self) {
        let locals = self.locals();
        locals.scopes.clear();
        locals.temporaries.1 = 0;
        for local in &mut locals.list {
            local.assigned = false;
        }
    }

    /// Opens a block.
    pub fn enter(&mut self) {
        self.locals().scopes.push(FxHashMap::default());
    }

    /// Closes a block.
    pub fn leave(&mut self) {
        self.locals().scopes.pop();
    }

    /// The variable of this name that is visible here.
    pub fn visible(&mut self, name: &str) -> Option<LocalId> {
        self.locals().scopes.iter().rev().find_map(|scope| scope.get(name).copied())
    }

    /// Declares a variable at a node. `place` is what messages point to.
    pub fn declare(&mut self, node: NodeId, var: &VarName, declared: Declared, place: Span) -> LocalId {
        let locals = self.locals();
        let id = match locals.by_node.get(&node) {
            Some(id) => *id,
            None => {
                let id = LocalId(u32::try_from(locals.list.len()).unwrap_or(u32::MAX));
                let name = format!("${}", var.name);
                let info =
                    LocalInfo { name, span: place, ty: Ty::ERROR, declared, fixed: false, assigned: false };
                locals.list.push(info);
                locals.by_node.insert(node, id);
                id
            }
        };
        if let Some(scope) = locals.scopes.last_mut() {
            scope.insert(var.name.clone(), id);
        }
        id
    }

    /// Complains about a `let` of a name that is visible already.
    pub fn check_shadowing(&mut self, var: &VarName, place: Span) {
        let Some((first, note)) = self.first_declaration(&var.name) else { return };
        let diagnostic = Diagnostic::error(
            place,
            format!("Variable ${} was already declared. Variable shadowing is not allowed.", var.name),
        )
        .note(first, note);
        self.diagnostics.push(diagnostic);
    }

    /// Where the visible variable of this name was declared, and what to say about that place.
    pub fn first_declaration(&mut self, name: &str) -> Option<(Span, &'static str)> {
        let id = self.visible(name)?;
        let local = self.local(id)?;
        let note = match local.declared {
            Declared::Let => "This is the initial declaration.",
            Declared::Assignment => "This is the initial assignment.",
            Declared::Loop => "This is the loop variable.",
            Declared::Parameter => "This is the parameter.",
            // No name leads to it.
            Declared::Kept => return None,
        };
        Some((local.span, note))
    }

    /// Gives a variable the type that was written down for it.
    pub fn fix_type(&mut self, id: LocalId, ty: Ty) {
        if let Some(local) = self.local(id) {
            local.ty = ty;
            local.fixed = true;
        }
    }

    /// The type of a variable so far.
    pub fn local_type(&mut self, id: LocalId) -> Ty {
        self.local(id).map_or(Ty::ERROR, |local| local.ty)
    }

    /// Marks a variable as assigned.
    pub fn mark_assigned(&mut self, id: LocalId) {
        if let Some(local) = self.local(id) {
            local.assigned = true;
        }
    }

    /// Widens a variable so that it holds a type; `false` if that cannot be.
    pub fn widen_local(&mut self, id: LocalId, ty: Ty) -> bool {
        let Some(local) = self.local(id) else { return true };
        if local.fixed {
            return true;
        }
        let old = local.ty;
        let Some(joined) = infer::join(&mut self.types, old, ty) else { return false };
        if joined != old {
            self.changed = true;
            if let Some(local) = self.local(id) {
                local.ty = joined;
            }
        }
        true
    }

    /// The variable that an expression reads, with complaints if there is none.
    pub fn read_local(&mut self, var: &VarName) -> Option<LocalId> {
        if var.name.is_empty() {
            return None;
        }
        let Some(id) = self.visible(&var.name) else {
            self.undefined(var);
            return None;
        };
        let unassigned = self.local(id).is_some_and(|local| !local.assigned);
        if unassigned {
            self.diagnostics
                .warning(var.span, format!("Variable used before it was assigned: ${}", var.name));
            if self.local_type(id) == Ty::ERROR {
                self.diagnostics.error(var.span, "Could not resolve the type of this variable");
            }
        }
        Some(id)
    }

    /// Complains about a variable that is not there.
    pub fn undefined(&mut self, var: &VarName) {
        let mut diagnostic =
            Diagnostic::error(var.span, format!("Undefined or undeclared variable: ${}", var.name));
        let locals = self.locals();
        let visible = locals.scopes.iter().rev().flat_map(|scope| scope.keys().map(String::as_str));
        let mut visible: Vec<&str> = visible.collect();
        visible.sort_unstable();
        visible.dedup();
        if let Some(near) = suggest(&var.name, visible) {
            diagnostic = diagnostic.help(format!("Did you mean ${near}?"));
        } else if locals.list.iter().any(|local| local.name.strip_prefix('$') == Some(&var.name)) {
            diagnostic = diagnostic.help(format!(
                "${} lives in another block. Declare it outside with `let ${};`.",
                var.name, var.name
            ));
        }
        self.diagnostics.push(diagnostic);
    }

    /// Puts a value away that is needed several times: the statement that does, and the value from then on.
    pub fn kept(&mut self, value: Expr) -> (Stmt, Expr) {
        let ty = infer::settle(&mut self.types, value.ty);
        let span = value.span;
        let value = self.convert(value.clone(), ty).unwrap_or(value);
        let locals = self.locals();
        let (known, taken) = &mut locals.temporaries;
        let id = match known.get(*taken) {
            Some(id) => *id,
            None => {
                let id = LocalId(u32::try_from(locals.list.len()).unwrap_or(u32::MAX));
                let (name, declared) = (format!("${}", known.len()), Declared::Kept);
                locals.list.push(LocalInfo { name, span, ty, declared, fixed: true, assigned: true });
                known.push(id);
                id
            }
        };
        *taken += 1;
        if let Some(local) = self.local(id) {
            // What is kept here may be another value than in the pass before.
            (local.ty, local.assigned) = (ty, true);
        }
        (stmt(StmtKind::SetLocal { local: id, value }, span), node(ExprKind::Local(id), ty, span))
    }

    /// Ends a pass over a clause or function: warns about what was never assigned, and gives the variables.
    pub fn finish_locals(&mut self) -> Vec<Local> {
        let mut warnings = Vec::new();
        let locals = self.locals();
        let finished = locals
            .list
            .iter()
            .map(|local| {
                if !local.assigned && local.declared != Declared::Kept {
                    let text = format!("Variable {} was never assigned to.", local.name);
                    warnings.push(Diagnostic::warning(local.span, text));
                }
                // Nobody reads a variable without a type.
                let ty = if local.ty == Ty::ERROR { Ty::I64 } else { local.ty };
                Local { name: local.name.clone(), ty, span: local.span }
            })
            .collect();
        self.diagnostics.extend(warnings);
        finished
    }
}
