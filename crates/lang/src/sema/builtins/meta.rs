//! What a script can ask about itself while it is compiled, and what it can insist on.

use skep_btf::Kind;

use super::output::{literal_text, printf_parts};
use super::{Action, Arity, Builtin, Call, MAX_PRINTF_ARGS};
use crate::hir::{
    Block, CompareOp, Config, Expr, ExprKind, MissingProbes, Piece, Runtime, Spec, StmtKind, Unstable,
};
use crate::sema::check::{Checker, node};
use crate::sema::named::{self, Value};
use crate::syntax::ast;
use crate::ty::{Ty, TyKind};

pub(super) const TABLE: &[Builtin] = &[
    Builtin {
        name: "assert_str",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Statement(assert_str),
        doc: "Refuses to compile unless the argument is like a text",
    },
    Builtin {
        name: "fail",
        aliases: &[],
        args: Arity::range(1, MAX_PRINTF_ARGS),
        action: Action::Statement(fail),
        doc: "Refuses to compile, with a message by a format",
    },
    Builtin {
        name: "is_str",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(|checker, call| asked(checker, call, |kind| matches!(kind, TyKind::Str(_)))),
        doc: "Whether the argument is a text",
    },
    Builtin {
        name: "is_ptr",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(|checker, call| {
            asked(checker, call, |kind| matches!(kind, TyKind::Ptr { .. }))
        }),
        doc: "Whether the argument is a pointer",
    },
    Builtin {
        name: "is_array",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(|checker, call| {
            asked(checker, call, |kind| matches!(kind, TyKind::Array { .. }))
        }),
        doc: "Whether the argument is an array",
    },
    Builtin {
        name: "is_integer",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(|checker, call| {
            asked(checker, call, |kind| matches!(kind, TyKind::Int { .. }))
        }),
        doc: "Whether the argument is an integer",
    },
    Builtin {
        name: "is_unsigned_integer",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(|checker, call| {
            // A literal that is not negative becomes whatever is wanted.
            let unsigned =
                |kind: &TyKind| matches!(kind, TyKind::Int { bits: 8 | 16 | 32 | 64, signed: false });
            asked(checker, call, unsigned)
        }),
        doc: "Whether the argument is an integer without a sign",
    },
    Builtin {
        name: "is_literal",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(|checker, call| {
            let Some(arg) = call.args.first() else { return checker.broken(call.span) };
            let value = checker.expr(arg);
            checker.boolean(matches!(value.kind, ExprKind::Int(_) | ExprKind::Str(_)), call.span)
        }),
        doc: "Whether the argument is known while the script is compiled",
    },
    Builtin {
        name: "is_err",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(is_err),
        doc: "Whether a pointer of the kernel is an error number instead",
    },
    Builtin {
        name: "kfunc_exist",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(kfunc),
        doc: "Whether the kernel has a function of this name",
    },
    Builtin {
        name: "kfunc_allowed",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(kfunc),
        doc: "Whether the kernel has a function of this name for programs",
    },
    Builtin {
        name: "default_str_length",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(|checker, call| {
            let capacity = checker.config.text_capacity();
            checker.number(capacity.into(), call.span)
        }),
        doc: "How many bytes a text has room for unless told otherwise",
    },
    Builtin {
        name: "probetype",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(|checker, call| {
            let class = checker.unit_in_hand().provider.class;
            checker.text(class, call.span)
        }),
        doc: "The kind of the probe",
    },
    Builtin {
        name: "has_cpid",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(|_, call| {
            let lhs = Box::new(node(ExprKind::Runtime(Runtime::CommandPid), Ty::U64, call.span));
            let rhs = Box::new(node(ExprKind::Int(0), Ty::U64, call.span));
            node(ExprKind::Compare { op: CompareOp::Ne, lhs, rhs }, Ty::BOOL, call.span)
        }),
        doc: "Whether there is a command of -c",
    },
    Builtin {
        name: "getopt",
        aliases: &[],
        // That there are too many, `named` says itself.
        args: Arity::range(1, usize::MAX),
        action: Action::Value(getopt),
        doc: "An option of the script's own: getopt(\"name\"[, default[, description]])",
    },
    Builtin {
        name: "config",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(config),
        doc: "The settings in force",
    },
];

fn assert_str(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<StmtKind> {
    let value = checker.expr(call.args.first()?);
    match checker.types.kind(value.ty) {
        TyKind::Str(_) | TyKind::Array { .. } | TyKind::Ptr { .. } => Some(StmtKind::Block(Block::default())),
        TyKind::Error => None,
        _ => {
            checker.diagnostics.error(call.span, super::strings::NOT_LIKE_TEXT);
            None
        }
    }
}

fn fail(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<StmtKind> {
    let (format, args) = printf_parts(checker, call)?;
    let mut args = args.iter();
    let mut message = String::new();
    for piece in &format.pieces {
        match piece {
            Piece::Text(text) => message.push_str(&String::from_utf8_lossy(text)),
            Piece::Conversion(conversion) => match args.next().map(|arg| (&arg.kind, arg)) {
                Some((ExprKind::Str(text), _)) => message.push_str(&String::from_utf8_lossy(text)),
                Some((ExprKind::Int(value), arg)) => match (conversion.spec, checker.constant(arg)) {
                    (Spec::Hex | Spec::Pointer, _) => message.push_str(&format!("{value:x}")),
                    (_, Some(value)) => message.push_str(&value.to_string()),
                    (_, None) => message.push_str(if *value == 0 { "false" } else { "true" }),
                },
                Some((_, arg)) => {
                    checker.diagnostics.error(arg.span, "fail() only takes literals");
                    return None;
                }
                None => {}
            },
        }
    }
    checker.diagnostics.error(call.span, message);
    None
}

/// A question about the type of the argument.
fn asked(checker: &mut Checker<'_>, call: &Call<'_>, holds: fn(&TyKind) -> bool) -> Expr {
    let Some(arg) = call.args.first() else { return checker.broken(call.span) };
    let value = checker.expr(arg);
    if value.ty == Ty::ERROR {
        return value;
    }
    let answer = holds(checker.types.kind(value.ty));
    checker.boolean(answer, call.span)
}

/// Functions that programs may call are found as all others: by their name in the kernel's types.
fn kfunc(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let Some(name) = call.args.first() else { return checker.broken(call.span) };
    let Some(name) = literal_text(checker, call, name) else { return checker.broken(call.span) };
    let name = String::from_utf8_lossy(&name).into_owned();
    let known = checker.world().kernel_btf().is_ok_and(|btf| btf.find(Kind::Func, &name).is_some());
    checker.boolean(known, call.span)
}

/// The kernel gives error numbers as the last 4095 addresses there are.
fn is_err(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let Some(arg) = call.args.first() else { return checker.broken(call.span) };
    let value = checker.value(arg);
    if value.ty == Ty::ERROR {
        return value;
    }
    if !matches!(checker.types.kind(value.ty), TyKind::Ptr { .. } | TyKind::Int { .. }) {
        let name = checker.type_name(value.ty);
        return checker
            .error(call.span, format!("is_err() only supports pointer arguments ({name} provided)"));
    }
    let lhs = Box::new(checker.force(value, Ty::U64));
    let rhs = Box::new(node(ExprKind::Int((-4095i64).cast_unsigned()), Ty::U64, call.span));
    node(ExprKind::Compare { op: CompareOp::Ge, lhs, rhs }, Ty::BOOL, call.span)
}

/// The value is known: it was given when the script was started, and what was wrong about it is told.
fn getopt(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let span = call.span;
    let name = call.args.first().and_then(named::literal_text);
    match name.and_then(|name| checker.named.get(&name)) {
        Some(Value::Bool(value)) => checker.boolean(*value, span),
        Some(Value::Unsigned(value)) => node(ExprKind::Int(*value), Ty::U64, span),
        Some(Value::Signed(value)) => node(ExprKind::Int(value.cast_unsigned()), Ty::I64, span),
        Some(Value::Text(text)) => checker.text(text.clone(), span),
        None => checker.broken(span),
    }
}

/// A setting as a script sees it.
enum Setting {
    Flag(bool),
    Number(u64),
    Word(String),
}

/// All settings by name, in the order of the original.
fn settings(config: &Config) -> Vec<(&'static str, Setting)> {
    use Setting::{Flag, Number, Word};
    let missing = match config.missing_probes {
        MissingProbes::Error => "error",
        MissingProbes::Warn => "warn",
        MissingProbes::Ignore => "ignore",
    };
    let unstable = |of: Unstable| {
        let word = match of {
            Unstable::Enable => "enable",
            Unstable::Warn => "warn",
            Unstable::Error => "error",
        };
        Word(word.into())
    };
    vec![
        ("cpp_demangle", Flag(config.demangle)),
        ("lazy_symbolication", Flag(true)),
        ("print_maps_on_exit", Flag(config.print_maps_on_exit)),
        ("use_blazesym", Flag(false)),
        ("show_debug_info", Flag(config.show_debug_info)),
        ("log_size", Number(1_000_000)),
        ("max_bpf_progs", Number(config.max_bpf_progs.into())),
        ("max_cat_bytes", Number(config.max_cat_bytes.into())),
        ("max_map_keys", Number(config.max_map_keys.into())),
        ("max_probes", Number(config.max_probes.into())),
        ("max_strlen", Number(config.max_strlen.into())),
        ("on_stack_limit", Number(32)),
        ("perf_rb_pages", Number(config.perf_rb_pages.into())),
        ("str_trunc_trailer", Word(config.str_trunc_trailer.clone())),
        ("unstable_import_statement", Word("error".into())),
        ("unstable_tseries", unstable(config.tseries)),
        ("unstable_typeinfo", unstable(config.typeinfo)),
        ("unstable_dw_ustack", unstable(config.dw_ustack)),
        ("missing_probes", Word(missing.into())),
        ("stack_mode", Word(config.stack_mode.name().into())),
        ("license", Word(config.license.clone())),
    ]
}

fn config(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let settings = settings(&checker.config);
    let (mut values, mut fields) = (Vec::new(), Vec::new());
    for (name, setting) in settings {
        let value = match setting {
            Setting::Flag(value) => checker.boolean(value, call.span),
            Setting::Number(value) => checker.number(value, call.span),
            Setting::Word(value) => checker.text(value, call.span),
        };
        fields.push((name.into(), value.ty));
        values.push(value);
    }
    let ty = checker.types.intern(TyKind::Record(fields.into()));
    node(ExprKind::Tuple(values), ty, call.span)
}

/// Whether an expression is `config` or `config()`, of which a field is its value alone.
pub fn config_field(checker: &mut Checker<'_>, base: &ast::Expr, field: &str) -> Option<Expr> {
    crate::sema::uses::is_name(base, "config").then_some(())?;
    let whole = config(checker, &Call { name: "config", args: &[], span: base.span });
    let TyKind::Record(fields) = checker.types.kind(whole.ty) else { return None };
    let index = fields.iter().position(|(name, _)| **name == *field)?;
    match whole.kind {
        ExprKind::Tuple(mut values) if index < values.len() => Some(values.swap_remove(index)),
        _ => None,
    }
}
