//! Stacks and symbols: where the probe was reached from, and what is at an address.

use skep_ui::Span;

use super::{Action, Arity, Builtin, Call, pid};
use crate::hir::{Expr, ExprKind};
use crate::portable::Question;
use crate::sema::check::{Checker, node};
use crate::syntax::ast;
use crate::ty::{Stack, StackMode, Ty, TyKind};

pub(super) const TABLE: &[Builtin] = &[
    Builtin {
        name: "kstack",
        aliases: &[],
        args: Arity::range(0, 2),
        action: Action::Value(|checker, call| stack(checker, call, Walk::Kernel)),
        doc: "The kernel's stack: kstack(mode, most frames)",
    },
    Builtin {
        name: "ustack",
        aliases: &[],
        args: Arity::range(0, 2),
        action: Action::Value(|checker, call| stack(checker, call, Walk::User)),
        doc: "The current process' stack: ustack(mode, most frames)",
    },
    Builtin {
        name: "dw_ustack",
        aliases: &[],
        args: Arity::range(0, 2),
        action: Action::Value(dw_ustack),
        doc: "The current process' stack without frame pointers: dw_ustack(mode, most frames)",
    },
    Builtin {
        name: "ksym",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(ksym),
        doc: "The name of what is at an address of the kernel",
    },
    Builtin {
        name: "usym",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(usym),
        doc: "The name of what is at an address of the current process",
    },
    Builtin {
        name: "kaddr",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(kaddr),
        doc: "The address of a symbol of the kernel",
    },
    Builtin {
        name: "len",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(len),
        doc: "The number of keys of a map, or of frames of a stack",
    },
];

/// How many frames a stack has at most if nothing is said: what the kernel walks unless it is told otherwise.
const DEFAULT_FRAMES: u32 = 127;

/// How many frames can be asked for.
const MOST_FRAMES: i128 = 1024;

/// How a stack is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    /// The kernel's own.
    Kernel,
    /// The process', by frame pointers.
    User,
    /// The process', by tables.
    Unwind,
}

fn dw_ustack(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    if !checker.may_use("dw_ustack (DWARF stack unwinding)", checker.config.dw_ustack, call.span) {
        return checker.broken(call.span);
    }
    checker.ask_for_user_registers();
    stack(checker, call, Walk::Unwind)
}

fn stack(checker: &mut Checker<'_>, call: &Call<'_>, walk: Walk) -> Expr {
    let (mode, limit) = match call.args {
        [] => (None, None),
        [only] if is_word(only) => (Some(only), None),
        [only] => (None, Some(only)),
        [mode, limit, ..] => (Some(mode), Some(limit)),
    };
    let mode = match mode {
        None => Some(configured(checker, walk, call.span)),
        Some(written) => written_mode(checker, call, written, walk),
    };
    let frames = match limit {
        None => Some(DEFAULT_FRAMES),
        Some(limit) => written_limit(checker, call, limit),
    };
    let (Some(mode), Some(frames)) = (mode, frames) else { return checker.broken(call.span) };
    let user = walk != Walk::Kernel;
    let ty = checker.types.intern(TyKind::Stack(Stack { user, mode, frames }));
    let kind = if walk == Walk::Unwind { ExprKind::Unwound } else { ExprKind::Stack };
    node(kind, ty, call.span)
}

fn is_word(expr: &ast::Expr) -> bool {
    matches!(expr.peel_parens().kind, ast::ExprKind::Ident(_))
}

/// The mode of the settings. Only files have build ids, and the kernel's frames are in none; and only the kernel finds
/// them.
fn configured(checker: &mut Checker<'_>, walk: Walk, span: Span) -> StackMode {
    let mode = checker.config.stack_mode;
    if mode == StackMode::BuildId && walk != Walk::User {
        checker
            .diagnostics
            .warning(span, "'build_id' stack mode can only be used for ustack. Falling back to 'raw' mode.");
        return StackMode::Raw;
    }
    mode
}

/// A mode that is written out; `None` after a complaint.
fn written_mode(
    checker: &mut Checker<'_>,
    call: &Call<'_>,
    written: &ast::Expr,
    walk: Walk,
) -> Option<StackMode> {
    let ast::ExprKind::Ident(name) = &written.peel_parens().kind else {
        checker.diagnostics.error(call.span, "Expected stack mode as first argument");
        return None;
    };
    match StackMode::ALL.into_iter().find(|mode| mode.name() == name) {
        Some(StackMode::BuildId) if walk != Walk::User => {
            checker.diagnostics.error(call.span, "'build_id' stack mode can only be used for ustack");
            None
        }
        Some(mode) => Some(mode),
        None => {
            let valid = StackMode::ALL.map(StackMode::name);
            let (last, front) = valid.split_last().unwrap_or((&"", &[]));
            checker.diagnostics.error(
                written.span,
                format!(
                    "Error parsing stack mode: {}: Invalid value for stack_mode: valid values are {}, and {last}.",
                    call.name,
                    front.join(", ")
                ),
            );
            None
        }
    }
}

/// How many frames; `None` after a complaint.
fn written_limit(checker: &mut Checker<'_>, call: &Call<'_>, written: &ast::Expr) -> Option<u32> {
    let value = if is_word(written) { checker.broken(written.span) } else { checker.value(written) };
    let name = call.name;
    match checker.constant(&value) {
        Some(frames @ 0..=MOST_FRAMES) => u32::try_from(frames).ok(),
        Some(frames) if frames > MOST_FRAMES => {
            let message =
                format!("{name}([int limit]): limit shouldn't exceed {MOST_FRAMES}, {frames} given");
            checker.diagnostics.error(call.span, message);
            None
        }
        _ => {
            if value.ty != Ty::ERROR || is_word(written) {
                checker.diagnostics.error(call.span, format!("{name}: invalid limit value"));
            }
            None
        }
    }
}

/// The argument as an address; `None` after a complaint.
fn address(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<Expr> {
    let value = checker.value(call.args.first()?);
    match checker.types.kind(value.ty) {
        TyKind::Error => None,
        TyKind::Int { .. } | TyKind::Ptr { .. } => {
            let wide = checker.widen_int(value);
            Some(checker.force(wide, Ty::U64))
        }
        _ => {
            let message = format!("{}() expects an integer or pointer argument", call.name);
            checker.diagnostics.error(call.span, message);
            None
        }
    }
}

fn ksym(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    match address(checker, call) {
        Some(address) => node(ExprKind::Cast(Box::new(address)), Ty::KSYM, call.span),
        None => checker.broken(call.span),
    }
}

fn usym(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let Some(address) = address(checker, call) else { return checker.broken(call.span) };
    let pid = pid(checker, call.span);
    let pid = checker.force(pid, Ty::U64);
    node(ExprKind::Tuple(vec![address, pid]), Ty::USYM, call.span)
}

fn kaddr(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let Some(arg) = call.args.first() else { return checker.broken(call.span) };
    let Some(name) = super::output::literal_text(checker, call, arg) else {
        return checker.broken(call.span);
    };
    let name = String::from_utf8_lossy(&name);
    if let Some(asked) = checker.asked(Question::KernelSymbol(name.clone().into_owned()), call.span) {
        return asked;
    }
    match checker.world.kernel_address(&name) {
        Ok(Some(address)) => node(ExprKind::Int(address), Ty::U64, call.span),
        Ok(None) => checker.error(call.span, format!("Failed to resolve kernel symbol: {name}")),
        Err(error) => {
            checker.error_with_help(call.span, &format!("Failed to resolve kernel symbol: {name}"), &error.0)
        }
    }
}

fn len(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let Some(arg) = call.args.first() else { return checker.broken(call.span) };
    if let ast::ExprKind::Map(map) = &arg.peel_parens().kind {
        return super::maps::len(checker, map, call.span);
    }
    let value = checker.value(arg);
    match checker.types.kind(value.ty) {
        TyKind::Error => value,
        TyKind::Stack(_) => {
            let count = ExprKind::Element { base: Box::new(value), index: 0 };
            let count = node(count, Ty::U32, call.span);
            checker.force(count, Ty::I64)
        }
        _ => checker.error(call.span, "call to len() expects a map, ustack, or kstack"),
    }
}
