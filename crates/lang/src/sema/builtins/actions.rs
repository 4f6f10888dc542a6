//! What changes the system, or runs and shows something outside the script. What is dangerous needs `--unsafe`.

use skep_isa::helpers::id;

use super::output::{literal_text, printf_parts};
use super::{Action, Arity, Builtin, Call, MAX_PRINTF_ARGS};
use crate::hir::{Expr, ExprKind, Format, Operation, Piece, PrintTo, Spec, StmtKind};
use crate::sema::check::{Checker, node};
use crate::syntax::ast;
use crate::ty::{Ty, TyKind};

pub(super) const TABLE: &[Builtin] = &[
    Builtin {
        name: "cat",
        aliases: &[],
        args: Arity::range(1, MAX_PRINTF_ARGS),
        action: Action::Statement(|checker, call| {
            let (format, args) = printf_parts(checker, call)?;
            Some(StmtKind::Printf { to: PrintTo::Cat, format, args })
        }),
        doc: "Prints a file whose path is given by a format",
    },
    Builtin {
        name: "system",
        aliases: &[],
        args: Arity::range(1, MAX_PRINTF_ARGS),
        action: Action::Statement(|checker, call| {
            if !checker.options.unsafe_mode {
                let problem = "system() is an unsafe function being used in safe mode";
                checker.diagnostics.error(call.span, problem);
            }
            let (format, args) = printf_parts(checker, call)?;
            Some(StmtKind::Printf { to: PrintTo::System, format, args })
        }),
        doc: "Runs a command of the shell given by a format, and prints its output",
    },
    Builtin {
        name: "join",
        aliases: &[],
        args: Arity::range(1, 2),
        action: Action::Statement(join),
        doc: "Prints the texts of an array of pointers, as argv is one: join(array[, separator])",
    },
    Builtin {
        name: "debugf",
        aliases: &[],
        args: Arity::range(1, MAX_PRINTF_ARGS),
        action: Action::Statement(debugf),
        doc: "Prints to the kernel's trace pipe",
    },
    Builtin {
        name: "signal",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(|checker, call| signal(checker, call, id::SEND_SIGNAL)),
        doc: "Sends a signal to the current process",
    },
    Builtin {
        name: "signal_thread",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(|checker, call| signal(checker, call, id::SEND_SIGNAL_THREAD)),
        doc: "Sends a signal to the current thread",
    },
    Builtin {
        name: "override",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(override_),
        doc: "Makes the traced kernel function return this at once",
    },
    Builtin {
        name: "write_user",
        aliases: &[],
        args: Arity::range(3, 3),
        action: Action::Value(write_user),
        doc: "Writes to the memory of the current process: write_user(to, from, bytes)",
    },
    Builtin {
        name: "unwatch",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Statement(unwatch),
        doc: "Ends the watchpoints at an address",
    },
];

fn unwatch(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<StmtKind> {
    let address = checker.value(call.args.first()?);
    match checker.types.kind(address.ty) {
        TyKind::Error => return None,
        TyKind::Int { .. } | TyKind::Ptr { .. } => {}
        kind => {
            let given = match kind {
                TyKind::Str(_) => "string".to_owned(),
                _ => checker.type_name(address.ty),
            };
            let problem = format!("unwatch() only supports int arguments ({given} provided)");
            checker.diagnostics.error(call.span, problem);
            return None;
        }
    }
    let address = checker.force(address, Ty::U64);
    Some(StmtKind::Printf {
        to: PrintTo::Unwatch,
        format: Format { pieces: Vec::new() },
        args: vec![address],
    })
}

/// How many texts are joined at most.
const MOST_JOINED: i64 = 16;

fn join(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<StmtKind> {
    let [array, separator @ ..] = call.args else { return None };
    let array = checker.value(array);
    let separator = match separator.first() {
        Some(separator) => literal_text(checker, call, separator)?,
        None => b" ".to_vec(),
    };
    let array = match checker.types.kind(array.ty) {
        TyKind::Error => return None,
        TyKind::Int { .. } | TyKind::Ptr { .. } => super::text::as_pointer(checker, array),
        kind => {
            let kind = if matches!(kind, TyKind::Str(_)) {
                "string".to_owned()
            } else {
                checker.type_name(array.ty)
            };
            let problem = format!("join() only supports int or pointer arguments ({kind} provided)");
            checker.diagnostics.error(call.span, problem);
            return None;
        }
    };
    let TyKind::Ptr { space, .. } = *checker.types.kind(array.ty) else { return None };
    let (element, capacity) = (checker.types.ptr(Ty::I8, space), checker.config.text_capacity());
    let text = checker.types.str(capacity);
    let args = (0..MOST_JOINED).map(|index| {
        let kind = ExprKind::Read { pointer: Box::new(array.clone()), offset: index * 8, bits: None };
        let pointer = Box::new(node(kind, element, call.span));
        node(ExprKind::ReadStr { pointer, length: None }, text, call.span)
    });
    let args = args.collect();
    let format = Format { pieces: vec![Piece::Text(separator)] };
    Some(StmtKind::Printf { to: PrintTo::Join, format, args })
}

fn debugf(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<StmtKind> {
    checker.diagnostics.warning(
        call.span,
        "The debugf() builtin is not recommended for production use. For more information see bpf_trace_printk in bpf-helpers(7).",
    );
    let text = literal_text(checker, call, call.args.first()?)?;
    let (format, values) = printf_parts(checker, call)?;
    let conversions = format.pieces.iter().filter_map(|piece| match piece {
        Piece::Conversion(conversion) => Some(conversion),
        Piece::Text(_) => None,
    });
    for conversion in conversions {
        let known = matches!(
            conversion.spec,
            Spec::Signed | Spec::Unsigned | Spec::Hex | Spec::HexUpper | Spec::Pointer | Spec::Str
        );
        if !known {
            let letters = crate::sema::format::letters(conversion.spec);
            checker.diagnostics.error(call.span, format!("Invalid format specifier for `debugf`: {letters}"));
            return None;
        }
    }
    if values.len() > 3 {
        checker.diagnostics.error(call.span, "cannot use more than 3 conversion specifiers");
        return None;
    }
    if let Some(value) = values.iter().find(|value| {
        checker.types.is_memory(value.ty) && !matches!(checker.types.kind(value.ty), TyKind::Str(_))
    }) {
        checker.diagnostics.error(value.span, "Type does not match format specifier: s");
        return None;
    }
    let size = u32::try_from(text.len()).unwrap_or(u32::MAX).saturating_add(1);
    let format = node(ExprKind::Str(text), checker.types.str(size), call.span);
    let size = node(ExprKind::Int(size.into()), Ty::U32, call.span);
    let args = [format, size].into_iter().chain(values).collect();
    let op = Operation::Helper { id: id::TRACE_PRINTK, with_context: false };
    Some(StmtKind::Expr(node(ExprKind::Op { op, args }, Ty::I32, call.span)))
}

/// Whether dangerous things are allowed; else a complaint is made.
fn allowed(checker: &mut Checker<'_>, call: &Call<'_>) -> bool {
    if !checker.options.unsafe_mode {
        let problem = format!("{}() is unsafe. To use you need the --unsafe flag", call.name);
        checker.diagnostics.error(call.span, problem);
    }
    checker.options.unsafe_mode
}

/// Probes that do not run in the process they happen in have nobody to send a signal to.
const NOT_IN_A_PROCESS: &[&str] =
    &["begin", "end", "interval", "self", "test", "bench", "software", "hardware", "iter", "watchpoint"];

fn signal(checker: &mut Checker<'_>, call: &Call<'_>, helper: u32) -> Expr {
    let [which] = call.args else { return checker.broken(call.span) };
    let provider = checker.unit_in_hand().provider;
    if NOT_IN_A_PROCESS.contains(&provider.name) {
        let problem = format!("{}() can not be used for this probetype {}", call.name, provider.class);
        return checker.error(call.span, problem);
    }
    if !allowed(checker, call) {
        return checker.broken(call.span);
    }
    let wanted =
        || format!("{}() accepts a string literal or an integer between 1 and 64 (inclusive)", call.name);
    let number = match &which.peel_parens().kind {
        ast::ExprKind::String(name) => {
            let name = String::from_utf8_lossy(&name.bytes).into_owned();
            match number_of_signal(&name) {
                Some(number) => node(ExprKind::Int(number), Ty::U32, call.span),
                None => return checker.error(call.span, format!("Invalid string for signal: {name}")),
            }
        }
        _ => {
            let number = checker.value(which);
            match (checker.types.kind(number.ty), checker.constant(&number)) {
                (TyKind::Error, _) => return number,
                (_, Some(1..=64)) | (TyKind::Int { .. }, None) => checker.force(number, Ty::U32),
                _ => return checker.error(call.span, wanted()),
            }
        }
    };
    helper_call(helper, false, vec![number], call)
}

/// The number of a signal on x86-64, named with or without `SIG`, in any case.
fn number_of_signal(name: &str) -> Option<u64> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    NAMES.iter().zip(1..).find(|(known, _)| **known == name).map(|(_, number)| number)
}

fn override_(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let [value] = call.args else { return checker.broken(call.span) };
    let value = checker.value(value);
    let provider = checker.unit_in_hand().provider;
    if provider.name != "kprobe" {
        return checker
            .error(call.span, format!("override() can not be used with '{}' probes", provider.name));
    }
    if !allowed(checker, call) || value.ty == Ty::ERROR {
        return checker.broken(call.span);
    }
    if !matches!(checker.types.kind(value.ty), TyKind::Int { .. }) {
        return super::time::only_ints(checker, call, &value);
    }
    let value = checker.force(value, Ty::U64);
    helper_call(id::OVERRIDE_RETURN, true, vec![value], call)
}

fn write_user(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let [to, from, count] = call.args else { return checker.broken(call.span) };
    let (to, from, count) = (checker.value(to), checker.value(from), checker.value(count));
    if !allowed(checker, call) {
        return checker.broken(call.span);
    }
    let is_address = |kind: &TyKind| matches!(kind, TyKind::Int { .. } | TyKind::Ptr { .. } | TyKind::Error);
    if !is_address(checker.types.kind(to.ty)) || !is_address(checker.types.kind(count.ty)) {
        return checker.error(call.span, "write_user() expects an address, a value and a number of bytes");
    }
    let memory = checker.types.is_memory(from.ty);
    if !memory {
        return checker.error_with_help(
            call.span,
            "write_user() expects the bytes to write as its second argument",
            "Read them first, for example with str() or buf().",
        );
    }
    let count = match checker.constant(&count) {
        Some(count) => u64::try_from(count).unwrap_or(0).min(checker.types.size(from.ty).into()),
        None => return checker.error(call.span, "write_user() expects a constant number of bytes"),
    };
    let (to, count) = (checker.force(to, Ty::U64), node(ExprKind::Int(count), Ty::U32, call.span));
    helper_call(id::PROBE_WRITE_USER, false, vec![to, from, count], call)
}

/// A call of a helper that gives 0 when it worked, as a value of `int32`.
fn helper_call(id: u32, with_context: bool, args: Vec<Expr>, call: &Call<'_>) -> Expr {
    let op = Operation::Helper { id, with_context };
    node(ExprKind::Op { op, args }, Ty::I32, call.span)
}

#[cfg(test)]
mod tests {
    use super::number_of_signal;

    #[test]
    fn signals_are_found_by_any_spelling() {
        assert_eq!(number_of_signal("KILL"), Some(9));
        assert_eq!(number_of_signal("sigterm"), Some(15));
        assert_eq!(number_of_signal("SIGSYS"), Some(31));
        assert_eq!(number_of_signal("FOO"), None);
    }
}
