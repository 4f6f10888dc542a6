//! The macros there are, and which of them a call means.

use rustc_hash::{FxHashMap, FxHashSet};
use skep_ui::{Diagnostic, Diagnostics, SourceMap, Span};

use crate::sema::builtins;
use crate::stdlib;
use crate::syntax;
use crate::syntax::ast::{Expr, ExprKind, ItemKind, MacroDef, MacroParam, NodeIds, Script, Stmt, StmtKind};
use crate::syntax::visit::{self, Visitor};

/// A macro.
#[derive(Clone, Debug)]
pub struct Macro {
    /// As it was parsed.
    pub def: MacroDef,
    /// Whether it is of the standard library.
    pub stdlib: bool,
}

/// Names a [`Macro`] of a [`Registry`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MacroId(usize);

/// All macros of a script, and those of the standard library that it came across.
#[derive(Debug, Default)]
pub struct Registry {
    macros: Vec<Macro>,
    by_name: FxHashMap<String, Vec<MacroId>>,
    /// The names of the script's functions, which come before macros of the standard library.
    functions: FxHashSet<String>,
    /// Files of the standard library that were read.
    loaded: FxHashSet<&'static str>,
}

/// What a name with arguments means.
pub enum Found {
    /// This macro.
    Macro(MacroId),
    /// No macro has this name, or none that is meant.
    NoMacro,
    /// Complaints: there are macros of this name, but none that takes these arguments.
    Mismatch(Vec<Diagnostic>),
}

impl Registry {
    /// Takes the macros of a script.
    pub fn new(script: &mut Script, sources: &SourceMap, diagnostics: &mut Diagnostics) -> Registry {
        let mut registry = Registry::default();
        for item in &mut script.items {
            if let ItemKind::Macro(def) = &item.kind {
                let stdlib = sources.name(item.span.file).starts_with(stdlib::PREFIX);
                registry.add(Macro { def: def.clone(), stdlib }, diagnostics);
            }
        }
        for item in &script.items {
            let ItemKind::Function(def) = &item.kind else { continue };
            let name = &def.name.name;
            let same_name = registry.by_name.get(name).into_iter().flatten().map(|id| registry.get(*id));
            if let Some(known) = same_name.into_iter().find(|known| !known.stdlib) {
                let message = format!("Function {name} has the name of a macro");
                diagnostics.push(
                    Diagnostic::error(def.name.span, message).see(head(&known.def), "This is the macro."),
                );
            }
            registry.functions.insert(name.clone());
        }
        registry
    }

    /// The macro.
    pub fn get(&self, id: MacroId) -> &Macro {
        &self.macros[id.0]
    }

    /// Which macro is called. Code of the standard library sees only macros of the standard library,
    /// so that a script cannot change what it does.
    pub fn find(
        &mut self,
        callee: (&str, Span),
        args: &[Expr],
        call: Span,
        from_stdlib: bool,
        sources: &mut SourceMap,
        ids: &mut NodeIds,
    ) -> Found {
        let (name, _) = callee;
        if !from_stdlib && self.functions.contains(name) {
            return Found::NoMacro;
        }
        self.load(name, sources, ids);
        let Some(candidates) = self.by_name.get(name) else { return Found::NoMacro };
        let visible = candidates.iter().copied().filter(|id| !from_stdlib || self.get(*id).stdlib);
        let scored: Vec<(usize, MacroId)> =
            visible.map(|id| (distance(&self.get(id).def, args), id)).collect();
        let exact = |stdlib: bool| {
            scored.iter().find(|(d, id)| *d == 0 && self.get(*id).stdlib == stdlib).map(|(_, id)| *id)
        };
        if let Some(found) = exact(false).or_else(|| exact(true)) {
            return Found::Macro(found);
        }
        // A script may give a builtin a further shape.
        if builtins::by_name(name).is_some() {
            return Found::NoMacro;
        }
        match scored.iter().min_by_key(|(distance, _)| *distance) {
            Some((_, closest)) => Found::Mismatch(mismatch(&self.get(*closest).def, name, args, call)),
            None => Found::NoMacro,
        }
    }

    /// Reads the file of the standard library that defines a name, if there is one.
    fn load(&mut self, name: &str, sources: &mut SourceMap, ids: &mut NodeIds) {
        let Some(file) = stdlib::file_of(name) else { return };
        if !self.loaded.insert(file.name) {
            return;
        }
        let id = sources.add(file.name, file.text);
        let parsed = syntax::parse_script(id, file.text, ids);
        for item in parsed.script.items {
            if let ItemKind::Macro(def) = item.kind {
                // A test says that nothing is wrong with it.
                self.add(Macro { def, stdlib: true }, &mut Diagnostics::new());
            }
        }
    }

    fn add(&mut self, new: Macro, diagnostics: &mut Diagnostics) {
        if let Some(complaint) = repeated_parameter(&new.def) {
            diagnostics.push(complaint);
            return;
        }
        let mut returns = Returns(None);
        returns.visit_block(&new.def.body);
        if let Some(place) = returns.0 {
            diagnostics.push(
                Diagnostic::error(place, "'return' statement is not allowed in a macro")
                    .help("The value of a macro is its last expression, written without ';'."),
            );
        }
        let same_name = self.by_name.entry(new.def.name.name.clone()).or_default();
        let as_args = |def: &MacroDef| -> Vec<bool> {
            def.params.iter().map(|param| matches!(param, MacroParam::Expr(_))).collect()
        };
        // A later definition may be less exact than an earlier one, but must not be met by it.
        let earlier = same_name.iter().map(|id| &self.macros[id.0]).find(|earlier| {
            earlier.stdlib == new.stdlib
                && earlier.def.params.len() == new.def.params.len()
                && earlier.def.params.iter().zip(&new.def.params).zip(as_args(&earlier.def)).all(
                    |((earlier, new), any)| {
                        any || std::mem::discriminant(earlier) == std::mem::discriminant(new)
                    },
                )
        });
        if let Some(earlier) = earlier {
            diagnostics.push(
                Diagnostic::error(head(&new.def), format!("Redefinition of macro: {}", new.def.name.name))
                    .note(head(&earlier.def), "This is the original definition."),
            );
            return;
        }
        same_name.push(MacroId(self.macros.len()));
        self.macros.push(new);
    }
}

/// Finds the first `return`.
struct Returns(Option<Span>);

impl Visitor for Returns {
    fn visit_stmt(&mut self, stmt: &Stmt) {
        if let StmtKind::Return(_) = stmt.kind {
            self.0.get_or_insert(stmt.span);
        }
        visit::walk_stmt(self, stmt);
    }
}

/// `macro name`, as the original marks a definition.
fn head(def: &MacroDef) -> Span {
    Span::new(def.header.file, def.header.start, def.name.span.end)
}

fn repeated_parameter(def: &MacroDef) -> Option<Diagnostic> {
    for (index, param) in def.params.iter().enumerate() {
        let earlier = def.params.get(..index).unwrap_or_default();
        let (kind, name) = match param {
            MacroParam::Var(var) => ("Variable", format!("${}", var.name)),
            MacroParam::Map(map) => ("Map", format!("@{}", map.name)),
            MacroParam::Expr(ident) => ("Ident", ident.name.clone()),
        };
        let same = |other: &MacroParam| match (other, param) {
            (MacroParam::Var(a), MacroParam::Var(b)) => a.name == b.name,
            (MacroParam::Map(a), MacroParam::Map(b)) => a.name == b.name,
            (MacroParam::Expr(a), MacroParam::Expr(b)) => a.name == b.name,
            _ => false,
        };
        if earlier.iter().any(same) {
            let message = format!("{kind} for macro argument has already been used: {name}");
            return Some(Diagnostic::error(param.span(), message));
        }
    }
    None
}

/// How far arguments are from what a macro takes; 0 when they fit.
fn distance(def: &MacroDef, args: &[Expr]) -> usize {
    const PER_MISSING: usize = 1024;
    let unlike = def.params.iter().zip(args).filter(|(param, arg)| !fits(param, arg)).count();
    PER_MISSING * def.params.len().abs_diff(args.len()) + unlike
}

fn fits(param: &MacroParam, arg: &Expr) -> bool {
    match param {
        MacroParam::Var(_) => matches!(arg.kind, ExprKind::Var(_)),
        MacroParam::Map(_) => matches!(arg.kind, ExprKind::Map(_)),
        MacroParam::Expr(_) => true,
    }
}

fn mismatch(closest: &MacroDef, name: &str, args: &[Expr], call: Span) -> Vec<Diagnostic> {
    let mut error =
        Diagnostic::error(call, format!("Call to {name}() has arguments that do not match any definition."));
    if closest.params.len() != args.len() {
        error = error.note(
            head(closest),
            format!(
                "The closest definition of {name}() has a different number of arguments. Expected: {} but got {}",
                closest.params.len(),
                args.len()
            ),
        );
        return vec![error];
    }
    let mut all = vec![error];
    for (param, arg) in closest.params.iter().zip(args).filter(|(param, arg)| !fits(param, arg)) {
        let (wanted, param_name) = match param {
            MacroParam::Map(map) => ("a map", format!("@{}", map.name)),
            MacroParam::Var(var) => ("a variable", format!("${}", var.name)),
            MacroParam::Expr(_) => continue,
        };
        let got = match arg.kind {
            ExprKind::Var(_) => "a variable",
            ExprKind::Map(_) => "a map",
            _ => "an expression",
        };
        all.push(
            Diagnostic::error(
                arg.span,
                format!("Mismatched arg. {name}() expects {wanted} for arg {param_name} but got {got}."),
            )
            .note(param.span(), "This is the argument in the closest definition."),
        );
    }
    all
}
