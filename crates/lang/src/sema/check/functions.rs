//! Functions of the script and calls of them, for the program that reaches them.

use skep_ui::{Diagnostic, Span};

use super::scope::Declared;
use super::types::Written;
use super::{Checker, node, stmt};
use crate::hir::{self, Expr, ExprKind, FunctionId, LocalId, Stmt, StmtKind};
use crate::sema::expand::Unit;
use crate::sema::infer;
use crate::syntax::ast::{self, FunctionDef, TypeExpr};
use crate::ty::{Ty, TyKind};

/// What callers of a function see of it. It is kept from pass to pass.
#[derive(Default)]
pub struct Signature {
    params: Vec<Param>,
    ret: Result,
}

struct Param {
    local: LocalId,
    /// `string` without a size: as long as what is given.
    grows: bool,
    /// Whether a call of this pass has said which memory it points to.
    placed: bool,
}

/// What a function gives.
struct Result {
    ty: Ty,
    grows: bool,
    placed: bool,
}

impl Default for Result {
    fn default() -> Self {
        Result { ty: Ty::ERROR, grows: false, placed: false }
    }
}

impl<'a> Checker<'a> {
    /// The functions that a unit reaches, for its shape of the context.
    pub fn functions(&mut self, unit: &'a Unit<'a>) -> Vec<hir::Function> {
        let functions =
            unit.functions.defs.iter().enumerate().map(|(at, def)| self.one_function(at, def)).collect();
        self.function = None;
        functions
    }

    fn one_function(&mut self, at: usize, def: &'a FunctionDef) -> hir::Function {
        self.function = Some(at);
        // A loop of the caller is none here.
        let loops = std::mem::take(&mut self.loops);
        self.reset_scopes();
        self.enter();
        let params: Vec<Param> = def.params.iter().map(|param| self.parameter(param)).collect();
        let locals = params.iter().map(|param| param.local).collect();
        let ret = self.result_type(at, &def.ret);
        self.signatures[self.current][at] = Signature { params, ret };
        let complaints = self.diagnostics.len();
        let body = self.block(&def.body);
        let ret = self.signatures[self.current][at].ret.ty;
        let failed = self.diagnostics.iter().skip(complaints).any(Diagnostic::is_error);
        if ret != Ty::VOID && !failed && !always_leaves(&body) {
            self.missing_return(def);
        }
        self.leave();
        self.loops = loops;
        hir::Function {
            name: def.name.name.clone(),
            params: locals,
            ret,
            locals: self.finish_locals(),
            body,
            span: def.header,
        }
    }

    fn parameter(&mut self, param: &ast::FnParam) -> Param {
        if let Some((first, _)) = self.first_declaration(&param.var.name) {
            let message = format!("Parameter ${} was already declared.", param.var.name);
            let diagnostic = Diagnostic::error(param.span, message).see(first, "This is the first one.");
            self.diagnostics.push(diagnostic);
        }
        let local = self.declare(param.id, &param.var, Declared::Parameter, param.span);
        self.mark_assigned(local);
        let written = self.written_type(&param.ty);
        let grows = matches!(written, Some(Written::AnyString));
        // What an earlier pass found out stays: how long a text is, which memory is pointed to.
        if self.local_type(local) == Ty::ERROR
            && let Some(ty) = self.usable(written, &param.ty, "parameter")
        {
            self.fix_type(local, ty);
        }
        Param { local, grows, placed: false }
    }

    fn result_type(&mut self, at: usize, written: &TypeExpr) -> Result {
        let known = self.signatures[self.current][at].ret.ty;
        let ty = self.written_type(written);
        let grows = matches!(ty, Some(Written::AnyString));
        let ty = match ty {
            Some(Written::Exactly(Ty::VOID)) => Ty::VOID,
            _ if known != Ty::ERROR => known,
            ty => self.usable(ty, written, "return").unwrap_or(Ty::ERROR),
        };
        Result { ty, grows, placed: false }
    }

    /// A type that values of a function can have.
    fn usable(&mut self, written: Option<Written>, expr: &TypeExpr, what: &str) -> Option<Ty> {
        match written? {
            Written::AnyString => Some(self.types.str(1)),
            Written::Exactly(ty) if matches!(self.types.kind(ty), TyKind::Void | TyKind::Agg(_)) => {
                let name = self.type_name(ty);
                self.diagnostics.error(expr.span, format!("Invalid {what} type of a function: {name}"));
                None
            }
            Written::Exactly(ty) => Some(ty),
        }
    }

    fn missing_return(&mut self, def: &FunctionDef) {
        let name = &def.name.name;
        let diagnostic =
            Diagnostic::error(def.header, format!("Not all code paths of function {name}() return a value."));
        let help = match &def.body.tail {
            Some(_) => {
                "The last expression is not the result by itself: write `return` in front of it".to_owned()
            }
            None => "Add a `return` with a value at its end, or make it `: void`".to_owned(),
        };
        self.diagnostics.push(diagnostic.help(help));
    }

    /// `return` in a function.
    pub fn function_return(&mut self, at: usize, value: Option<&ast::Expr>, span: Span) -> Option<Stmt> {
        let ret = self.signatures[self.current][at].ret.ty;
        let name = &self.unit_in_hand().functions.defs[at].name.name;
        let Some(value) = value else {
            if ret != Ty::VOID && ret != Ty::ERROR {
                let wanted = self.type_name(ret);
                self.diagnostics
                    .error(span, format!("Function {name}() is of type {wanted}, it cannot return nothing"));
                return None;
            }
            return Some(stmt(StmtKind::Return(None), span));
        };
        let value = self.value(value);
        if value.ty == Ty::ERROR || ret == Ty::ERROR {
            // It returns, whatever is wrong with what.
            return Some(stmt(StmtKind::Return(None), span));
        }
        let given = value.ty;
        let wanted = self.meet(ret, given, |checker| &mut checker.signatures[checker.current][at].ret.placed);
        let grows = self.signatures[self.current][at].ret.grows;
        let wanted =
            wanted.map(|wanted| match grows.then(|| infer::join(&mut self.types, wanted, given)).flatten() {
                Some(longer) => longer,
                None => wanted,
            });
        if let Some(wanted) = wanted
            && wanted != ret
        {
            self.signatures[self.current][at].ret.ty = wanted;
            self.changed = true;
        }
        match wanted.and_then(|wanted| self.convert(value, wanted)) {
            Some(value) if ret != Ty::VOID => Some(stmt(StmtKind::Return(Some(value)), span)),
            _ => {
                let (given, wanted) = (self.type_name(given), self.type_name(ret));
                self.diagnostics
                    .error(span, format!("Function {name}() is of type {wanted}, it cannot return {given}"));
                None
            }
        }
    }

    /// The place of the function of this name among those that the unit reaches.
    pub fn function_named(&self, name: &str) -> Option<usize> {
        self.unit_in_hand().functions.position(name)
    }

    /// A call of a function.
    pub fn function_call(&mut self, at: usize, args: &[ast::Expr], span: Span) -> Expr {
        let def = self.unit_in_hand().functions.defs[at];
        let name = &def.name.name;
        let values: Vec<Expr> = args.iter().map(|arg| self.value(arg)).collect();
        if args.len() != def.params.len() {
            let count = match def.params.len() {
                0 => "no arguments".to_owned(),
                1 => "one argument".to_owned(),
                n => format!("{n} arguments"),
            };
            let diagnostic =
                Diagnostic::error(span, format!("{name}() requires {count} ({} provided)", args.len()))
                    .see(def.header, "This is the definition.");
            self.diagnostics.push(diagnostic);
            return self.broken(span);
        }
        let ret = self.signatures[self.current][at].ret.ty;
        let mut converted = Vec::with_capacity(values.len());
        let mut failed = false;
        for (index, (value, param)) in values.into_iter().zip(&def.params).enumerate() {
            match self.argument(at, index, value, param) {
                Some(value) => converted.push(value),
                None => failed = true,
            }
        }
        if failed {
            // Its type is known all the same.
            return node(ExprKind::Int(0), ret, span);
        }
        let function = FunctionId(u32::try_from(at).unwrap_or(u32::MAX));
        node(ExprKind::Call { function, args: converted }, ret, span)
    }

    fn argument(&mut self, at: usize, index: usize, value: Expr, param: &ast::FnParam) -> Option<Expr> {
        let current = self.current;
        let (local, grows) = {
            let known = self.signatures[current][at].params.get(index)?;
            (known.local, known.grows)
        };
        // The variables at hand are the caller's.
        let caller = self.function.replace(at);
        let has = self.local_type(local);
        self.function = caller;
        if value.ty == Ty::ERROR || has == Ty::ERROR {
            return None;
        }
        let given = value.ty;
        let span = value.span;
        let wanted =
            self.meet(has, given, |checker| &mut checker.signatures[current][at].params[index].placed);
        let Some(wanted) = wanted else {
            let message = format!(
                "${} points to the kernel's memory in one call and to a process's in another",
                param.var.name
            );
            let help = "Write a function for each, or copy what is needed and pass that";
            self.error_with_help(span, &message, help);
            return None;
        };
        let longer = if grows { infer::join(&mut self.types, wanted, given) } else { None };
        let wanted = longer.unwrap_or(wanted);
        if wanted != has {
            let caller = self.function.replace(at);
            self.fix_type(local, wanted);
            self.function = caller;
            self.changed = true;
        }
        let converted = self.convert(value, wanted);
        if converted.is_none() {
            let (given, wanted) = (self.type_name(given), self.type_name(wanted));
            let message = format!(
                "Type mismatch for ${}: a value of type '{given}' was given for one of type '{wanted}'",
                param.var.name
            );
            self.diagnostics.push(Diagnostic::error(span, message).see(param.span, "This is the parameter."));
        }
        converted
    }

    /// The type of a place that takes a value: of a pointer, the first one of each pass says which memory it
    /// points to. `None` if another one said something else.
    fn meet(&mut self, has: Ty, given: Ty, placed: impl Fn(&mut Self) -> &mut bool) -> Option<Ty> {
        let (TyKind::Ptr { to, space: known }, TyKind::Ptr { space, .. }) =
            (self.types.kind(has), self.types.kind(given))
        else {
            return Some(has);
        };
        let (to, known, space) = (*to, *known, *space);
        let placed = std::mem::replace(placed(self), true);
        match (known == space, placed) {
            (true, _) => Some(has),
            (false, false) => Some(self.types.ptr(to, space)),
            (false, true) => None,
        }
    }
}

/// Whether no way leads to the end of a block.
fn always_leaves(block: &hir::Block) -> bool {
    block.stmts.iter().any(|stmt| match &stmt.kind {
        StmtKind::Return(_) | StmtKind::Exit { .. } => true,
        StmtKind::Block(inner) => always_leaves(inner),
        StmtKind::If { cond: Expr { kind: ExprKind::Int(value), .. }, then, otherwise } => {
            always_leaves(if *value != 0 { then } else { otherwise })
        }
        StmtKind::If { then, otherwise, .. } => always_leaves(then) && always_leaves(otherwise),
        _ => false,
    })
}
