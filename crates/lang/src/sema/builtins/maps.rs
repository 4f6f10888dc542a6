//! What can be done with maps: emptying, removing, asking.

use skep_ui::Span;

use super::{Action, Arity, Builtin, Call};
use crate::hir::{Expr, ExprKind, MapId, StmtKind};
use crate::sema::check::{Checker, node};
use crate::sema::infer;
use crate::syntax::ast;
use crate::ty::{Ty, TyKind};

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
    Builtin {
        name: "find",
        aliases: &[],
        args: Arity::range(3, 3),
        action: Action::Value(find),
        doc: "Whether a map has a key; if so, its value is then in the variable",
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

/// `find(@m, k, $v)`
fn find(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let span = call.span;
    let [map, key, var] = call.args else { return checker.broken(span) };
    let Some((map, key)) = keyed(checker, call, map, key) else { return checker.broken(span) };
    let ast::ExprKind::Var(name) = &var.peel_parens().kind else {
        return checker.error(var.span, "find() expects a variable for the value");
    };
    let Some(local) = checker.visible(&name.name) else {
        checker.undefined(name);
        return checker.broken(span);
    };
    checker.mark_assigned(local);
    let given = checker.map_info(map).value;
    if given == Ty::ERROR {
        return checker.broken(span);
    }
    if matches!(checker.types.kind(given), TyKind::Agg(_)) {
        let name = checker.type_name(given);
        return checker.error(var.span, format!("Value '{name}' cannot be assigned to a scratch variable."));
    }
    let fits = checker.widen_local(local, given);
    let has = checker.local_type(local);
    let settled = infer::settle(&mut checker.types, given);
    let value = checker.convert(node(ExprKind::EntryValue, settled, span), has);
    match value {
        Some(value) if fits => {
            let (key, value) = (Box::new(key), Box::new(value));
            node(ExprKind::Find { map, key, local, value }, Ty::BOOL, span)
        }
        _ => {
            let message = format!(
                "Type mismatch for ${}: trying to assign value of type '{}' when variable already has a type '{}'",
                name.name,
                checker.type_name(given),
                checker.type_name(has)
            );
            checker.error(var.span, message)
        }
    }
}

/// `len(@m)`
pub(super) fn len(checker: &mut Checker<'_>, map: &ast::MapName, span: Span) -> Expr {
    let Some(id) = checker.whole_map(map) else { return checker.broken(span) };
    if checker.map_info(id).keyed == Some(false) {
        return checker.error(span, "call to len() expects a map with explicit keys (non-scalar map)");
    }
    if !checker.world.has_for_each() {
        return checker.error_with_help(
            map.span,
            "This kernel cannot go through a map in a probe",
            "That needs bpf_for_each_map_elem, which Linux has since 5.13",
        );
    }
    node(ExprKind::MapLen(id), Ty::I64, span)
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
        let form = match call.name {
            "delete" => "delete() with two arguments".to_owned(),
            name => format!("{name}()"),
        };
        checker
            .diagnostics
            .error(call.span, format!("call to {form} expects a map with explicit keys (non-scalar map)"));
        return None;
    }
    let key = checker.key_part(key, call.span);
    let key = checker.fit_key(id, key, call.span)?;
    Some((id, key))
}
