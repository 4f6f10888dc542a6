//! What the program of a pinned walk can say. It runs when somebody reads the file that it is pinned to, mostly after
//! the tracer has ended: the kernel itself makes the texts that the reader sees.

use skep_ui::Diagnostic;

use super::Call;
use crate::hir::{Conversion, Expr, Format, Piece, Spec};
use crate::sema::check::Checker;
use crate::ty::TyKind;

/// Checks that the kernel can print these values by this format; `None` after a complaint.
pub(super) fn check(
    checker: &mut Checker<'_>,
    call: &Call<'_>,
    format: &Format,
    args: &[Expr],
) -> Option<()> {
    let conversions = format.pieces.iter().filter_map(|piece| match piece {
        Piece::Conversion(conversion) => Some(conversion),
        Piece::Text(_) => None,
    });
    for (conversion, arg) in conversions.zip(args) {
        let problem = match checker.types.kind(arg.ty) {
            TyKind::Int { .. } => number(conversion),
            TyKind::Str(_) => text(conversion),
            _ => Some(format!("a value of the type '{}'", checker.type_name(arg.ty))),
        };
        if let Some(problem) = problem {
            checker.diagnostics.push(
                Diagnostic::error(call.span, format!("The kernel cannot print {problem} for a pinned walk"))
                    .help("It prints integers, addresses and texts. A walk that is not pinned prints everything."),
            );
            return None;
        }
    }
    Some(())
}

/// Warns that nobody sees what a call would have the tracer do.
pub(super) fn unheard(checker: &mut Checker<'_>, call: &Call<'_>) {
    if checker.unit_in_hand().shape.pinned {
        let problem =
            format!("Nobody sees what {}() does in a pinned walk: the tracer has ended by then", call.name);
        checker
            .diagnostics
            .push(Diagnostic::warning(call.span, problem).help("printf() writes to whoever reads the file."));
    }
}

/// What the kernel cannot do of a conversion of a number.
fn number(conversion: &Conversion) -> Option<String> {
    let prefixed = conversion.spec == Spec::Pointer && conversion.width.is_some();
    match conversion {
        Conversion { spec: Spec::Octal, .. } => Some("octal numbers".into()),
        Conversion { alternate: true, .. } => Some("numbers with '#'".into()),
        Conversion { precision: Some(_), .. } if conversion.spec != Spec::Str => {
            Some("numbers with a precision".into())
        }
        _ if prefixed => Some("addresses with a width".into()),
        _ => None,
    }
}

/// What the kernel cannot do of a conversion of a text.
fn text(conversion: &Conversion) -> Option<String> {
    (conversion.spec != Spec::Str).then(|| "a text by this conversion".into())
}
