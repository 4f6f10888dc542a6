//! What a clause wants to know of the probe it runs for.
//!
//! Read off the tree before anything is typed: matches of a wildcard in which all of this is the
//! same share one program, whatever else is different about them.

use skep_ui::Span;

use super::builtins;
use super::options::{Options, Param};
use crate::hir::Target;
use crate::syntax::ast::{BinaryOp, Expr, ExprKind, FunctionDef, Probe, TypeExpr, UnaryOp};
use crate::syntax::visit::{self, Visitor};

/// See the module.
#[derive(Debug, Default)]
pub struct Uses {
    /// The fields named after `args`, each with the place of its first use.
    pub fields: Vec<(String, Span)>,
    /// The first `str(args)`.
    pub text_pointer: Option<Span>,
    /// The first `args` that stands for the record as a whole.
    pub whole: Option<Span>,
    /// The first `args` of any kind, for complaints about probes without a record.
    pub args: Option<Span>,
    /// The first `retval`.
    pub retval: Option<Span>,
    /// Whether some `retval` is followed as only a pointer with a type can be: `retval->field`, `retval[0]`.
    pub follows_retval: bool,
    /// The texts that the names of the probe are compared with.
    pub names: Vec<(Name, String)>,
    /// The names of the probe that functions take for texts.
    pub spelled: Vec<Name>,
    /// The arguments that are named by their number, each with the place of its first use.
    pub numbered: Vec<(u32, Span)>,
    /// The symbols whose addresses are asked for by `uaddr`, each with the place of the first.
    pub symbols: Vec<(String, Span)>,
    /// Whether types of C may be named.
    pub types: bool,
}

impl Uses {
    /// The last of the arguments that are named by their number.
    pub fn last_numbered(&self) -> Option<(u32, Span)> {
        self.numbered.iter().copied().max_by_key(|(number, _)| *number)
    }
}

/// A name that each probe has, known before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// `probe`
    Probe,
    /// `func`
    Func,
}

impl Name {
    /// The name that an expression stands for.
    pub fn of(expr: &Expr) -> Option<Name> {
        [(Name::Probe, "probe"), (Name::Func, "func")]
            .into_iter()
            .find(|(_, builtin)| is_name(expr, builtin))
            .map(|(name, _)| name)
    }

    /// The name of a target; empty if it has none.
    pub fn in_target(self, target: &Target) -> &str {
        match self {
            Name::Probe => &target.name,
            Name::Func => target.function().unwrap_or_default(),
        }
    }
}

/// Collects the uses of a clause and of the functions that it reaches.
pub fn collect(probe: &Probe, functions: &[&FunctionDef], options: &Options) -> Uses {
    let mut collector = Collector { uses: Uses::default(), options };
    if let Some(predicate) = &probe.predicate {
        collector.visit_expr(&predicate.cond);
    }
    collector.visit_block(&probe.body);
    for function in functions {
        function.params.iter().for_each(|param| collector.visit_type(&param.ty));
        collector.visit_type(&function.ret);
        collector.visit_block(&function.body);
    }
    collector.uses
}

/// The functions that look into texts, for which a name of the probe has to be one: other uses leave it to user space.
const TAKE_TEXTS: &[&str] = &["strcontains", "strncmp", "strstr", "strlen", "strcap", "str_concat"];

/// Whether an expression is the bare name or call without arguments `name`.
pub fn is_name(expr: &Expr, name: &str) -> bool {
    match &expr.peel_parens().kind {
        ExprKind::Ident(ident) => ident == name,
        ExprKind::Call { callee, args } => callee.name == name && args.is_empty(),
        _ => false,
    }
}

/// What an expression takes for a pointer with a type. What a star alone stands before may be any number.
fn followed(expr: &Expr) -> Option<&Expr> {
    let (ExprKind::Field { base, .. } | ExprKind::Index { base, .. }) = &expr.kind else { return None };
    match &base.peel_parens().kind {
        ExprKind::Unary { op: UnaryOp::Deref, operand, .. } => Some(operand),
        _ => Some(base),
    }
}

/// The text of an expression that is a constant text.
pub fn constant_text(expr: &Expr, options: &Options) -> Option<String> {
    match &expr.peel_parens().kind {
        ExprKind::String(text) => Some(text.to_text()),
        ExprKind::Param(n) => match options.param(*n) {
            Param::Text(text) => Some(text.into()),
            Param::Number { .. } | Param::Missing => None,
        },
        ExprKind::Call { callee, args } if callee.name == "str" => match args.as_slice() {
            [arg] => match arg.peel_parens().kind {
                ExprKind::Param(n) => Some(options.param_text(n).into()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

struct Collector<'a> {
    uses: Uses,
    options: &'a Options,
}

impl Collector<'_> {
    fn numbered(&mut self, name: &str, span: Span) {
        if let Some(n) = builtins::numbered(name)
            && !self.uses.numbered.iter().any(|(known, _)| *known == n)
        {
            self.uses.numbered.push((n, span));
        }
    }
}

impl Visitor for Collector<'_> {
    fn visit_type(&mut self, ty: &TypeExpr) {
        self.uses.types = true;
        visit::walk_type(self, ty);
    }

    fn visit_expr(&mut self, expr: &Expr) {
        self.uses.follows_retval |= followed(expr).is_some_and(|pointer| is_name(pointer, "retval"));
        match &expr.kind {
            ExprKind::Field { base, field, .. } if is_name(base, "args") => {
                self.uses.args.get_or_insert(base.span);
                if !field.name.is_empty() && !self.uses.fields.iter().any(|(name, _)| *name == field.name) {
                    self.uses.fields.push((field.name.clone(), expr.span));
                }
                return;
            }
            ExprKind::Call { callee, args } if callee.name == "str" => {
                if let Some(first) = args.first().filter(|arg| is_name(arg, "args")) {
                    self.uses.args.get_or_insert(first.span);
                    self.uses.text_pointer.get_or_insert(expr.span);
                    args.iter().skip(1).for_each(|arg| self.visit_expr(arg));
                    return;
                }
            }
            ExprKind::Binary { op: BinaryOp::Eq | BinaryOp::Ne, lhs, rhs, .. } => {
                let compared = |name: Option<Name>, with: &Expr| {
                    name.and_then(|name| Some((name, constant_text(with, self.options)?)))
                };
                let names = compared(Name::of(lhs), rhs).or_else(|| compared(Name::of(rhs), lhs));
                self.uses.names.extend(names);
            }
            ExprKind::Call { callee, args } if TAKE_TEXTS.contains(&callee.name.as_str()) => {
                self.uses.spelled.extend(args.iter().filter_map(Name::of));
            }
            _ if is_name(expr, "retval") => {
                self.uses.retval.get_or_insert(expr.span);
            }
            _ if is_name(expr, "args") => {
                self.uses.args.get_or_insert(expr.span);
                self.uses.whole.get_or_insert(expr.span);
            }
            ExprKind::Call { callee, args } if callee.name == "uaddr" => {
                let name = args.first().and_then(|arg| constant_text(arg, self.options));
                if let Some(name) = name
                    && !self.uses.symbols.iter().any(|(known, _)| *known == name)
                {
                    self.uses.symbols.push((name, expr.span));
                }
            }
            ExprKind::Ident(name) => self.numbered(name, expr.span),
            ExprKind::Call { callee, args } if args.is_empty() => self.numbered(&callee.name, expr.span),
            _ => {}
        }
        visit::walk_expr(self, expr);
    }
}
