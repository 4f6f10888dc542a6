//! What can be done with maps: emptying, removing, asking.

use super::{Action, Arity, Builtin, Call};
use crate::hir::{Expr, ExprKind, MapId, StmtKind};
use crate::sema::check::{Checker, node};
use crate::syntax::ast;
use crate::ty::Ty;

pub(super) const TABLE: &[Builtin] = &[
    Builtin {
        name: "clear",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Statement(|checker, call| whole(checker, call).map(StmtKind::Clear)),
        doc: "Removes all keys of a map",
    },
    Builtin {
        name: "zero",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Statement(|checker, call| whole(checker, call).map(StmtKind::Zero)),
        doc: "Sets all values of a map to zero",
    },
    Builtin {
        name: "delete",
        aliases: &[],
        args: Arity::range(1, 2),
        action: Action::Value(delete),
        doc: "Removes a key of a map, and tells whether it was there",
    },
    Builtin {
        name: "has_key",
        aliases: &[],
        args: Arity::range(2, 2),
        action: Action::Value(has_key),
        doc: "Whether a map has a key",
    },
];

/// The only argument: a map without a key behind it.
fn whole(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<MapId> {
    let arg = call.args.first()?;
    match &arg.peel_parens().kind {
        ast::ExprKind::Map(map) => checker.whole_map(map),
        _ => {
            checker.diagnostics.error(arg.span, format!("{}() expects a map argument", call.name));
            None
        }
    }
}

fn delete(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let span = call.span;
    let entry = match call.args {
        [only] => match &only.peel_parens().kind {
            ast::ExprKind::Map(map) => {
                let Some(id) = checker.whole_map(map) else { return checker.broken(span) };
                if checker.map_info(id).keyed == Some(true) {
                    return checker.error(
                        span,
                        "call to delete() with a single argument expects a map without explicit keys (scalar map)",
                    );
                }
                Some((id, None))
            }
            ast::ExprKind::MapAccess { map, keys } => {
                if checker.whole_map(map).is_none() {
                    return checker.broken(span);
                }
                checker.entry(map, Some(keys), only.span)
            }
            _ => return checker.error(only.span, "delete() expects a map argument"),
        },
        [map, key] => keyed(checker, call, map, key).map(|(id, key)| (id, Some(key))),
        _ => None,
    };
    let Some((map, key)) = entry else { return checker.broken(span) };
    node(ExprKind::Delete { map, key: key.map(Box::new) }, Ty::BOOL, span)
}

fn has_key(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let [map, key] = call.args else { return checker.broken(call.span) };
    match keyed(checker, call, map, key) {
        Some((map, key)) => node(ExprKind::HasKey { map, key: Box::new(key) }, Ty::BOOL, call.span),
        None => checker.broken(call.span),
    }
}

/// A map with keys and a key for it, given as two arguments.
fn keyed(
    checker: &mut Checker<'_>,
    call: &Call<'_>,
    map: &ast::Expr,
    key: &ast::Expr,
) -> Option<(MapId, Expr)> {
    let ast::ExprKind::Map(name) = &map.peel_parens().kind else {
        checker.diagnostics.error(map.span, format!("{}() expects a map argument", call.name));
        return None;
    };
    let id = checker.whole_map(name)?;
    if checker.map_info(id).keyed == Some(false) {
        let form = if call.name == "delete" { "delete() with two arguments" } else { "has_key()" };
        checker
            .diagnostics
            .error(call.span, format!("call to {form} expects a map with explicit keys (non-scalar map)"));
        return None;
    }
    let key = checker.key_part(key, call.span);
    let key = checker.fit_key(id, key, call.span)?;
    Some((id, key))
}
