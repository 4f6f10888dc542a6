//! What the names in the body of a macro mean where it is expanded.

use rustc_hash::{FxHashMap, FxHashSet};
use skep_ui::FileId;

use super::macros::MacroId;
use crate::syntax::ast::{Expr, ExprKind, MacroDef, MacroParam, TypeOrExpr};

/// One expansion that is under way.
#[derive(Debug, Default)]
pub struct Frame {
    /// The macro; `None` for a constant or macro of C.
    pub of: Option<MacroId>,
    /// Its name.
    pub name: String,
    /// Whether it belongs to the standard library.
    pub stdlib: bool,
    /// The text that stands for this expansion.
    pub file: Option<FileId>,
    /// What was given for the parameters that take anything, expanded already.
    args: FxHashMap<String, Expr>,
    /// The caller's names for the parameters that are variables and maps.
    vars: FxHashMap<String, String>,
    maps: FxHashMap<String, String>,
    /// The macro's own variables.
    own: FxHashSet<String>,
    /// Makes the names of its variables unlike all others.
    number: usize,
}

impl Frame {
    /// The expansion of a macro whose arguments fit.
    pub fn of_macro(
        id: MacroId,
        def: &MacroDef,
        stdlib: bool,
        args: Vec<Expr>,
        file: FileId,
        number: usize,
    ) -> Frame {
        let mut frame = Frame {
            of: Some(id),
            name: def.name.name.clone(),
            stdlib,
            file: Some(file),
            number,
            ..Frame::default()
        };
        for (param, arg) in def.params.iter().zip(args) {
            match (param, arg.kind) {
                (MacroParam::Expr(ident), kind) => {
                    frame.args.insert(ident.name.clone(), Expr { kind, ..arg });
                }
                (MacroParam::Var(param), ExprKind::Var(given)) => {
                    frame.vars.insert(param.name.clone(), given.name);
                }
                (MacroParam::Map(param), ExprKind::Map(given)) => {
                    frame.maps.insert(param.name.clone(), given.name);
                }
                _ => {}
            }
        }
        frame
    }

    /// The expansion of a macro of C, whose parameters are stood for by names.
    pub fn of_c(name: String, args: FxHashMap<String, Expr>, file: FileId) -> Frame {
        Frame { name, file: Some(file), args, ..Frame::default() }
    }

    /// What was given for a parameter.
    pub fn arg(&self, name: &str) -> Option<&Expr> {
        self.args.get(name)
    }

    /// The type that was given for a parameter, if one was.
    pub fn type_arg(&self, name: &str) -> Option<&TypeOrExpr> {
        match &self.args.get(name)?.kind {
            ExprKind::Typeof(of) => Some(of),
            _ => None,
        }
    }

    /// Whether a variable is a parameter.
    pub fn is_param(&self, var: &str) -> bool {
        self.vars.contains_key(var)
    }

    /// Notes that the macro gives a variable its value: it is the macro's own from here on.
    pub fn assigns(&mut self, var: &str) {
        if self.of.is_some() && !self.is_param(var) && !self.own.contains(var) {
            self.own.insert(var.to_owned());
        }
    }

    /// What a variable is called where the macro is expanded. One that is neither a parameter nor the
    /// macro's own is the caller's.
    pub fn var(&self, name: &str) -> Option<String> {
        match self.vars.get(name) {
            Some(given) => Some(given.clone()),
            // No script can write such a name.
            None => self.own.contains(name).then(|| format!("${}_{}_{name}", self.name, self.number)),
        }
    }

    /// What a map is called where the macro is expanded; `None` if it is none that was given.
    pub fn map(&self, name: &str) -> Option<&str> {
        self.maps.get(name).map(String::as_str)
    }
}
