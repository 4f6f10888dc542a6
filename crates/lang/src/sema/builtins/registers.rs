//! What a probe interrupted: `reg()`, `arg0` to `argN`, `retval`, `func`.

use skep_ui::{Diagnostic, Span, suggest};

use super::{Action, Arity, Builtin, Call};
use crate::hir::{Expr, ExprKind, ProbeKind};
use crate::sema::check::{Checker, node, word};
use crate::sema::providers::{Arguments, ReturnValue};
use crate::sema::registers;
use crate::sema::uses;
use crate::syntax::ast;
use crate::ty::Ty;

pub(super) const TABLE: &[Builtin] = &[
    Builtin {
        name: "reg",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(reg),
        doc: "The value of a register when the probe ran",
    },
    Builtin {
        name: "retval",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(|checker, call| match checker.unit_in_hand().provider.offers.return_value {
            ReturnValue::Register => match checker.unit_in_hand().shape.retval {
                Some(access) => node(ExprKind::Context { offset: access.offset }, access.ty, call.span),
                None => word(registers::RETURN_VALUE, call.span),
            },
            ReturnValue::Typed | ReturnValue::LastWord => match checker.unit_in_hand().shape.retval {
                Some(access) => node(ExprKind::Context { offset: access.offset }, access.ty, call.span),
                // Expansion has complained.
                None => checker.broken(call.span),
            },
            ReturnValue::Nowhere => checker.error(
                call.span,
                "The retval builtin can only be used with 'kretprobe' and 'uretprobe' and 'fentry' probes",
            ),
        }),
        doc: "What the function returned",
    },
    Builtin {
        name: "func",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(|checker, call| {
            let provider = checker.unit_in_hand().provider;
            if provider.offers.function {
                return node(ExprKind::Func, Ty::FUNC, call.span);
            }
            checker
                .error(call.span, format!("The func builtin can not be used with '{}' probes", provider.name))
        }),
        doc: "Name of the function that the probe is in",
    },
    Builtin {
        name: "uaddr",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(uaddr),
        doc: "Address of a function or variable of the program that the probe is in",
    },
];

fn uaddr(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let unit = checker.unit_in_hand();
    if !unit.provider.in_programs() {
        let problem = format!("uaddr can not be used with \"{}\" probes", unit.provider.name);
        return checker.error(call.span, problem);
    }
    let name = call.args.first().and_then(|arg| uses::constant_text(arg, checker.options));
    let Some(name) = name else {
        return checker.error(call.span, "uaddr() expects a string literal as the first argument");
    };
    // Expansion has complained about symbols that are not there.
    let Some(located) = unit.shape.symbol(&name) else { return checker.broken(call.span) };
    let bits = match located.size {
        1 => 8,
        2 => 16,
        4 => 32,
        _ => 64,
    };
    let to = checker.types.int(bits, true);
    checker.user_address(located, to, call.span)
}

/// The number of an argument that is named by its place: `arg0`.
pub fn numbered(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("arg")?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// `arg0`, `arg1`, …
pub fn argument(checker: &mut Checker<'_>, n: u32, span: Span) -> Expr {
    let unit = checker.unit_in_hand();
    let offset = match unit.provider.offers.arguments {
        Arguments::RegistersAndStack(space) if n as usize >= registers::ARGUMENTS.len() => {
            // Above the return address, in the order of the parameters.
            let further = n.saturating_sub(registers::ARGUMENTS.len() as u32);
            let above = further.saturating_add(1).saturating_mul(8);
            return checker.on_stack(space, above, Ty::U64, span);
        }
        Arguments::Notes => {
            return match unit.shape.argument(n) {
                Some(argument) => checker.static_argument(argument, span),
                // Expansion has told.
                None => node(ExprKind::Int(0), Ty::I64, span),
            };
        }
        Arguments::RegistersAndStack(_) => registers::ARGUMENTS.get(n as usize).copied(),
        // No tracepoint has more than a dozen.
        Arguments::Words => Some(n).filter(|n| *n <= 12).map(|n| n * 8),
        Arguments::Nowhere => {
            return checker.error(
                span,
                format!("The arg{n} builtin can only be used with 'kprobes', 'uprobes' and 'usdt' probes"),
            );
        }
    };
    match offset {
        Some(offset) => word(offset, span),
        None => checker.error(span, format!("{} doesn't support arg{n}", registers::ARCHITECTURE)),
    }
}

/// `ctx.task`: the object that a walk has come to, or what else it hands to its programs.
pub fn walk_field(checker: &mut Checker<'_>, base: &ast::Expr, field: &str, span: Span) -> Option<Expr> {
    let unit = checker.unit_in_hand();
    if !uses::is_name(base, "ctx") || unit.provider.kind != ProbeKind::Iter {
        return None;
    }
    let context = format!("{}{}", crate::sema::providers::WALK_CONTEXT, unit.shape.over);
    let Some(context) = checker.named_ctype(Some(ast::TypeTag::Struct), &context) else {
        return Some(checker.error(span, format!("The kernel's types do not describe struct {context}")));
    };
    let found = checker.struct_field(context, field, span);
    if found.is_some() {
        checker.place_matters(context, field);
    }
    Some(match found {
        Some((ty, offset, None)) => node(ExprKind::Context { offset }, ty, span),
        _ => checker.broken(span),
    })
}

fn reg(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let provider = checker.unit_in_hand().provider;
    let [name] = call.args else { return checker.broken(call.span) };
    let Some(name) = uses::constant_text(name, checker.options) else {
        return checker.error(call.span, "reg() only supports a literal name of a register");
    };
    let mut failed = false;
    if !provider.offers.registers {
        let problem = format!("reg can not be used with \"{}\" probes", provider.name);
        checker.diagnostics.error(call.span, problem);
        failed = true;
    }
    let Some(offset) = registers::offset(&name) else {
        let architecture = registers::ARCHITECTURE;
        let problem = format!("'{name}' is not a valid register on this architecture ({architecture})");
        let names: Vec<&str> = registers::names().collect();
        let near = suggest(&name, names.iter().copied());
        let diagnostic = Diagnostic::error(call.span, problem);
        checker.diagnostics.push(match near {
            Some(near) => diagnostic.help(format!("Did you mean '{near}'?")),
            None => diagnostic.help(format!("Registers: {}", names.join(", "))),
        });
        return checker.broken(call.span);
    };
    if failed { checker.broken(call.span) } else { word(offset, call.span) }
}
