//! What the user sees: printing, the clock, and the end.

use super::{Action, Arity, Builtin, Call, MAX_PRINTF_ARGS, pinned};
use crate::hir::{Conversion, Expr, ExprKind, Format, Piece, PrintTo, Spec, StmtKind};
use crate::sema::check::{Checker, node};
use crate::sema::format;
use crate::syntax::ast;
use crate::ty::{Ty, TyKind};

pub(super) const TABLE: &[Builtin] = &[
    Builtin {
        name: "printf",
        aliases: &[],
        args: Arity::range(1, MAX_PRINTF_ARGS),
        action: Action::Statement(|checker, call| printf(checker, call, PrintTo::Output)),
        doc: "Prints values by a format",
    },
    Builtin {
        name: "errorf",
        aliases: &[],
        args: Arity::range(1, MAX_PRINTF_ARGS),
        action: Action::Statement(|checker, call| printf(checker, call, PrintTo::Error)),
        doc: "Prints an error with its place in the script",
    },
    Builtin {
        name: "warnf",
        aliases: &[],
        args: Arity::range(1, MAX_PRINTF_ARGS),
        action: Action::Statement(|checker, call| printf(checker, call, PrintTo::Warning)),
        doc: "Prints a warning with its place in the script",
    },
    Builtin {
        name: "print",
        aliases: &[],
        args: Arity::range(1, 3),
        action: Action::Statement(print),
        doc: "Prints a value or a map: print(@map, top, divisor)",
    },
    Builtin {
        name: "time",
        aliases: &[],
        args: Arity::range(0, 1),
        action: Action::Statement(time),
        doc: "Prints the wall clock by a format of strftime",
    },
    Builtin {
        name: "exit",
        aliases: &[],
        args: Arity::range(0, 1),
        action: Action::Statement(exit),
        doc: "Ends the script with a status",
    },
];

/// What `time()` prints by.
const DEFAULT_TIME: &str = "%H:%M:%S\n";

fn printf(checker: &mut Checker<'_>, call: &Call<'_>, to: PrintTo) -> Option<StmtKind> {
    let (format, args) = printf_parts(checker, call)?;
    let to = match to {
        PrintTo::Output if checker.unit_in_hand().shape.pinned => {
            pinned::check(checker, call, &format, &args)?;
            PrintTo::Reader
        }
        PrintTo::Output => to,
        _ => {
            pinned::unheard(checker, call);
            to
        }
    };
    Some(StmtKind::Printf { to, format, args })
}

/// The format and the values of a call that prints by a format; `None` after a complaint.
pub(super) fn printf_parts(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<(Format, Vec<Expr>)> {
    let [format, values @ ..] = call.args else { return None };
    let values: Vec<Expr> = values.iter().map(|value| checker.expr(value)).collect();
    let text = literal_text(checker, call, format)?;
    let format = match format::parse(&text) {
        Ok(format) => format,
        Err(problem) => {
            checker.diagnostics.error(call.span, problem);
            return None;
        }
    };
    let wanted = conversions(&format).count();
    if wanted != values.len() {
        let few = if values.len() < wanted { "not enough" } else { "too many" };
        checker.diagnostics.error(
            call.span,
            format!("{few} arguments for format string ({} supplied, {wanted} expected)", values.len()),
        );
        return None;
    }
    let mut args = Vec::with_capacity(values.len());
    for (conversion, value) in conversions(&format).zip(values) {
        args.extend(argument(checker, call, conversion, value));
    }
    (args.len() == wanted).then_some((format, args))
}

fn conversions(format: &Format) -> impl Iterator<Item = &Conversion> {
    format.pieces.iter().filter_map(|piece| match piece {
        Piece::Conversion(conversion) => Some(conversion),
        Piece::Text(_) => None,
    })
}

/// A value in the type it travels in; `None` after a complaint.
fn argument(
    checker: &mut Checker<'_>,
    call: &Call<'_>,
    conversion: &Conversion,
    value: Expr,
) -> Option<Expr> {
    let value = checker.read_aggregation(value);
    let numeric = match conversion.spec {
        Spec::Str => false,
        Spec::Raw | Spec::RawHex | Spec::RawHexPlain => match checker.types.kind(value.ty) {
            TyKind::Buf(_) => return Some(value),
            TyKind::Error => return None,
            _ => return unsupported_specifier(checker, call, conversion, &value),
        },
        _ => true,
    };
    match checker.types.kind(value.ty) {
        TyKind::Error => None,
        TyKind::Void | TyKind::Agg(_) => unsupported_specifier(checker, call, conversion, &value),
        TyKind::Bool if numeric => Some(checker.widen_int(value)),
        TyKind::Enum(_) if !numeric => Some(value),
        TyKind::Int { .. } | TyKind::Enum(_) => Some(checker.widen_int(value)),
        TyKind::Ptr { .. } if numeric => Some(checker.force(value, Ty::U64)),
        _ if numeric => unsupported_specifier(checker, call, conversion, &value),
        _ => Some(checker.travelling(value)),
    }
}

fn unsupported_specifier(
    checker: &mut Checker<'_>,
    call: &Call<'_>,
    conversion: &Conversion,
    value: &Expr,
) -> Option<Expr> {
    let name = checker.type_name(value.ty);
    let letters = format::letters(conversion.spec);
    checker
        .diagnostics
        .error(call.span, format!("unsupported format specifier for type '{name}': {letters}"));
    None
}

/// An argument that has to be written as a text.
pub(super) fn literal_text(checker: &mut Checker<'_>, call: &Call<'_>, arg: &ast::Expr) -> Option<Vec<u8>> {
    let value = checker.expr(arg);
    let kind = match (value.kind, checker.types.kind(value.ty)) {
        (ExprKind::Str(text), _) => return Some(text),
        (_, TyKind::Error) => return None,
        (_, TyKind::Int { .. } | TyKind::Enum(_)) => "int".to_owned(),
        (_, TyKind::Str(_) | TyKind::Probe | TyKind::Func) => "string".to_owned(),
        _ => checker.type_name(value.ty),
    };
    checker
        .diagnostics
        .error(call.span, format!("{}() expects a string literal ({kind} provided)", call.name));
    None
}

fn print(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<StmtKind> {
    let [what, numbers @ ..] = call.args else { return None };
    pinned::unheard(checker, call);
    if let ast::ExprKind::Map(map) = &what.peel_parens().kind {
        let map = checker.whole_map(map)?;
        let mut numbers = numbers.iter().map(|number| small_literal(checker, call, number));
        let (top, div) = (numbers.next(), numbers.next());
        return Some(StmtKind::PrintMap { map, top: top.unwrap_or(Some(0))?, div: div.unwrap_or(Some(0))? });
    }
    let value = checker.expr(what);
    let value = checker.printed_aggregation(value);
    if !numbers.is_empty() {
        checker
            .diagnostics
            .error(call.span, format!("Non-map print() only takes 1 argument, {} found", call.args.len()));
        return None;
    }
    match checker.types.kind(value.ty) {
        TyKind::Error => None,
        TyKind::Void => {
            checker.diagnostics.error(call.span, "void type passed to print() is not printable");
            None
        }
        _ => Some(StmtKind::PrintValue(checker.travelling(value))),
    }
}

/// A constant of 32 bits; `None` after a complaint.
fn small_literal(checker: &mut Checker<'_>, call: &Call<'_>, arg: &ast::Expr) -> Option<u32> {
    let value = checker.expr(arg);
    let kind = match checker.types.kind(value.ty) {
        TyKind::Error => return None,
        TyKind::Str(_) => "string".to_owned(),
        TyKind::Int { .. } | TyKind::Enum(_) => match checker.constant(&value).map(u32::try_from) {
            Some(Ok(number)) => return Some(number),
            Some(Err(_)) => "number out of range".to_owned(),
            None => "int".to_owned(),
        },
        _ => checker.type_name(value.ty),
    };
    checker.diagnostics.error(call.span, format!("{}() expects a int literal ({kind} provided)", call.name));
    None
}

fn time(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<StmtKind> {
    let format = match call.args.first() {
        Some(format) => String::from_utf8_lossy(&literal_text(checker, call, format)?).into_owned(),
        None => DEFAULT_TIME.into(),
    };
    pinned::unheard(checker, call);
    Some(StmtKind::Time { format })
}

fn exit(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<StmtKind> {
    let code = match call.args.first() {
        None => node(ExprKind::Int(0), Ty::I64, call.span),
        Some(code) => {
            let code = checker.value(code);
            match checker.types.kind(code.ty) {
                TyKind::Int { .. } | TyKind::Enum(_) => checker.force(code, Ty::I64),
                TyKind::Error => return None,
                kind => {
                    let kind = if matches!(kind, TyKind::Str(_)) {
                        "string".to_owned()
                    } else {
                        checker.type_name(code.ty)
                    };
                    checker
                        .diagnostics
                        .error(call.span, format!("exit() only supports int arguments ({kind} provided)"));
                    return None;
                }
            }
        }
    };
    Some(StmtKind::Exit { code })
}
