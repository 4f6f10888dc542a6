//! What can be asked about texts, and done with them.

use super::{Action, Arity, Builtin, Call};
use crate::hir::{CompareOp, Expr, ExprKind, NOT_FOUND, Operation};
use crate::sema::check::{Checker, node};
use crate::sema::infer;
use crate::sema::uses::Name;
use crate::syntax::ast;
use crate::ty::{Ty, TyKind};

pub(super) const TABLE: &[Builtin] = &[
    Builtin {
        name: "strlen",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(strlen),
        doc: "How many bytes a text has",
    },
    Builtin {
        name: "strcap",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(strcap),
        doc: "How many bytes a text's type can hold, with the closing NUL",
    },
    Builtin {
        name: "strncmp",
        aliases: &[],
        args: Arity::range(3, 3),
        action: Action::Value(strncmp),
        doc: "Whether the first characters of two texts differ: 0 if they are the same",
    },
    Builtin {
        name: "memcmp",
        aliases: &[],
        args: Arity::range(3, 3),
        action: Action::Value(memcmp),
        doc: "How the first bytes of two values differ: 0 if they are the same",
    },
    Builtin {
        name: "strstr",
        aliases: &[],
        args: Arity::range(2, 2),
        action: Action::Value(strstr),
        doc: "Where a text contains another, negative if it does not",
    },
    Builtin {
        name: "strcontains",
        aliases: &[],
        args: Arity::range(2, 2),
        action: Action::Value(strcontains),
        doc: "Whether a text contains another",
    },
    Builtin {
        name: "str_concat",
        aliases: &[],
        args: Arity::range(2, 2),
        action: Action::Value(str_concat),
        doc: "Two texts as one",
    },
];

/// An argument that is a text; `None` after a complaint.
fn text(checker: &mut Checker<'_>, call: &Call<'_>, arg: &ast::Expr) -> Option<Expr> {
    let value = checker.value(arg);
    match checker.types.kind(value.ty) {
        TyKind::Str(_) => Some(value),
        TyKind::Probe | TyKind::Func => {
            let name = if value.ty == Ty::PROBE { Name::Probe } else { Name::Func };
            // A value that went through a variable has no text of its own.
            let text = checker.unit_in_hand().shape.spelled(name).map(str::to_owned);
            let Some(text) = text.filter(|_| Name::of(arg) == Some(name)) else {
                checker.diagnostics.error(call.span, NOT_LIKE_TEXT);
                return None;
            };
            Some(checker.text(text, arg.span))
        }
        TyKind::Error => None,
        TyKind::Ptr { .. } => Some(super::text::at(checker, value, call)),
        // Characters that lie in memory as an array are a text as well.
        TyKind::Array { elem, len } if checker.types.size(*elem) == 1 => {
            let ty = *len;
            let ty = checker.types.str(ty.saturating_add(1));
            Some(node(ExprKind::Cast(Box::new(value)), ty, arg.span))
        }
        _ if call.name == "strncmp" => {
            let name = checker.type_name(value.ty);
            let kind = if matches!(checker.types.kind(value.ty), TyKind::Int { .. }) { "int" } else { &name };
            let problem = format!("strncmp() only supports string arguments ({kind} provided)");
            checker.diagnostics.error(call.span, problem);
            None
        }
        _ => {
            checker.diagnostics.error(call.span, NOT_LIKE_TEXT);
            None
        }
    }
}

/// What is said about an argument that has to be like a text.
pub(super) const NOT_LIKE_TEXT: &str = "string-like values must be either strings, arrays or pointers";

/// The two texts that a call begins with.
fn two_texts(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<(Expr, Expr)> {
    let [first, second, ..] = call.args else { return None };
    let (first, second) = (text(checker, call, first), text(checker, call, second));
    Some((first?, second?))
}

fn strlen(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let [arg] = call.args else { return checker.broken(call.span) };
    let Some(text) = text(checker, call, arg) else { return checker.broken(call.span) };
    if let ExprKind::Str(text) = &text.kind {
        return node(ExprKind::Int(text.len() as u64), Ty::U64, call.span);
    }
    node(ExprKind::Op { op: Operation::TextLength, args: vec![text] }, Ty::U64, call.span)
}

fn strcap(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let [arg] = call.args else { return checker.broken(call.span) };
    match text(checker, call, arg) {
        Some(text) => {
            let size = checker.types.size(text.ty);
            checker.number(size.into(), call.span)
        }
        None => checker.broken(call.span),
    }
}

/// The third argument, a constant number of bytes; `None` after a complaint.
fn count(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<u32> {
    let value = checker.value(call.args.get(2)?);
    if value.ty == Ty::ERROR {
        return None;
    }
    let count = checker.constant(&value).filter(|count| *count >= 0);
    if count.is_none() {
        let problem = format!("Builtin {} requires a non-negative literal", call.name);
        checker.diagnostics.error(call.span, problem);
    }
    Some(u32::try_from(count?).unwrap_or(u32::MAX))
}

fn strncmp(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let texts = two_texts(checker, call);
    let count = count(checker, call);
    let (Some((lhs, rhs)), Some(count)) = (texts, count) else { return checker.broken(call.span) };
    let lhs = Box::new(beginning(checker, lhs, count));
    let rhs = Box::new(beginning(checker, rhs, count));
    let differ = match (&lhs.kind, &rhs.kind) {
        (ExprKind::Str(lhs), ExprKind::Str(rhs)) => checker.boolean(lhs != rhs, call.span),
        _ => node(ExprKind::Compare { op: CompareOp::Ne, lhs, rhs }, Ty::BOOL, call.span),
    };
    checker.force(differ, Ty::U64)
}

/// The first characters of a text.
fn beginning(checker: &mut Checker<'_>, text: Expr, count: u32) -> Expr {
    if let ExprKind::Str(bytes) = &text.kind {
        let bytes = bytes.get(..count as usize).unwrap_or(bytes).to_vec();
        return checker.text(bytes, text.span);
    }
    if checker.types.size(text.ty) <= count.saturating_add(1) {
        return text;
    }
    let (span, ty) = (text.span, checker.types.str(count + 1));
    node(ExprKind::Cast(Box::new(text)), ty, span)
}

fn memcmp(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let [first, second, ..] = call.args else { return checker.broken(call.span) };
    let (first, second) = (in_memory(checker, call, first), in_memory(checker, call, second));
    let count = count(checker, call);
    let (Some(first), Some(second), Some(count)) = (first, second, count) else {
        return checker.broken(call.span);
    };
    let count = node(ExprKind::Int(count.into()), Ty::U64, call.span);
    node(ExprKind::Op { op: Operation::Difference, args: vec![first, second, count] }, Ty::I32, call.span)
}

/// An argument whose bytes can be compared; `None` after a complaint.
fn in_memory(checker: &mut Checker<'_>, call: &Call<'_>, arg: &ast::Expr) -> Option<Expr> {
    let value = checker.value(arg);
    let value = checker.travelling(value);
    if checker.types.is_memory(value.ty) {
        return Some(value);
    }
    match checker.types.kind(value.ty) {
        TyKind::Error => {}
        TyKind::Int { .. } | TyKind::Bool => {
            // As a tuple of one it has a place.
            let (span, ty) = (value.span, checker.types.tuple([value.ty]));
            return Some(node(ExprKind::Tuple(vec![value]), ty, span));
        }
        _ => {
            let name = checker.type_name(value.ty);
            checker
                .diagnostics
                .error(call.span, format!("{}() cannot compare a value of type {name}", call.name));
        }
    }
    None
}

fn strstr(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let Some((hay, needle)) = two_texts(checker, call) else { return checker.broken(call.span) };
    if let (ExprKind::Str(hay), ExprKind::Str(needle)) = (&hay.kind, &needle.kind) {
        // A text ends at its first NUL.
        let (hay, needle) = (up_to_nul(hay), up_to_nul(needle));
        let found = (0..=hay.len()).find(|at| hay.get(*at..).is_some_and(|rest| rest.starts_with(needle)));
        let position = found.map_or(i64::from(NOT_FOUND), |at| i64::try_from(at).unwrap_or(i64::MAX));
        return node(ExprKind::Int(position.cast_unsigned()), Ty::I32, call.span);
    }
    node(ExprKind::Op { op: Operation::Position, args: vec![hay, needle] }, Ty::I32, call.span)
}

fn up_to_nul(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or(text)
}

fn strcontains(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let position = strstr(checker, call);
    if position.ty == Ty::ERROR {
        return position;
    }
    if let Some(position) = checker.constant(&position) {
        return checker.boolean(position >= 0, call.span);
    }
    let zero = Box::new(node(ExprKind::Int(0), Ty::I32, call.span));
    let kind = ExprKind::Compare { op: CompareOp::Ge, lhs: Box::new(position), rhs: zero };
    node(kind, Ty::BOOL, call.span)
}

fn str_concat(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let Some((first, second)) = two_texts(checker, call) else { return checker.broken(call.span) };
    if let (ExprKind::Str(first), ExprKind::Str(second)) = (&first.kind, &second.kind) {
        return checker.text([first.as_slice(), second].concat(), call.span);
    }
    let capacity = checker.config.text_capacity();
    let ty = checker.types.str(capacity);
    let ty = infer::settle(&mut checker.types, ty);
    node(ExprKind::Op { op: Operation::Concatenation, args: vec![first, second] }, ty, call.span)
}
