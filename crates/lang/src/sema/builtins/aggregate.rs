//! What maps can gather: counts, sums, extremes, averages and histograms.

use super::{Action, Aggregation, Arity, Builtin, Call};
use crate::hir::Expr;
use crate::sema::check::Checker;
use crate::syntax::ast;
use crate::ty::{Agg, Ty, TyKind};

pub(super) const TABLE: &[Builtin] = &[
    Builtin {
        name: "count",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Aggregate(|_, _| Some(Aggregation { agg: Agg::Count, sample: None })),
        doc: "How often it was run",
    },
    Builtin {
        name: "sum",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Aggregate(|checker, call| of(checker, call, Agg::Sum { signed: true })),
        doc: "The sum of the arguments",
    },
    Builtin {
        name: "min",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Aggregate(|checker, call| of(checker, call, Agg::Min { signed: true })),
        doc: "The smallest argument",
    },
    Builtin {
        name: "max",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Aggregate(|checker, call| of(checker, call, Agg::Max { signed: true })),
        doc: "The largest argument",
    },
    Builtin {
        name: "avg",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Aggregate(|checker, call| of(checker, call, Agg::Avg { signed: true })),
        doc: "The average of the arguments",
    },
    Builtin {
        name: "stats",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Aggregate(|checker, call| of(checker, call, Agg::Stats { signed: true })),
        doc: "Number, average and sum of the arguments",
    },
    Builtin {
        name: "hist",
        aliases: &[],
        args: Arity::range(1, 2),
        action: Action::Aggregate(hist),
        doc: "A histogram by powers of two, each split into 2^bits buckets",
    },
    Builtin {
        name: "lhist",
        aliases: &[],
        args: Arity::range(4, 4),
        action: Action::Aggregate(lhist),
        doc: "A histogram of equal buckets: lhist(n, min, max, step)",
    },
];

fn of(checker: &mut Checker<'_>, call: &Call<'_>, agg: Agg) -> Option<Aggregation> {
    let sample = sample(checker, call)?;
    match sample.ty {
        Ty::BOOL => {
            checker
                .diagnostics
                .error(call.span, format!("{}() only supports integer arguments (bool provided)", call.name));
            None
        }
        // Whether the result has a sign is not known either.
        Ty::ERROR => None,
        _ => Some(Aggregation { agg, sample: Some(sample) }),
    }
}

/// The first argument, an integer or of a type that is not known; `None` after a complaint.
fn sample(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<Expr> {
    let value = checker.operand(call.args.first()?);
    match checker.types.kind(value.ty) {
        TyKind::Int { .. } | TyKind::Enum(_) | TyKind::Bool | TyKind::Error => Some(value),
        TyKind::Ptr { .. } => Some(checker.force(value, Ty::U64)),
        _ => {
            // The original words it differently for histograms.
            let (wanted, given) = match (call.name, checker.types.kind(value.ty)) {
                ("hist" | "lhist", TyKind::Str(_) | TyKind::Probe | TyKind::Func) => {
                    ("int", "string".to_owned())
                }
                ("hist" | "lhist", TyKind::Tuple(_)) => ("int", "tuple".to_owned()),
                ("hist" | "lhist", _) => ("int", checker.type_name(value.ty)),
                _ => ("integer", checker.type_name(value.ty)),
            };
            checker.diagnostics.error(
                call.span,
                format!("{}() only supports {wanted} arguments ({given} provided)", call.name),
            );
            None
        }
    }
}

/// Each power of two can be split 32 times.
const MAX_BITS: i128 = 5;

fn hist(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<Aggregation> {
    let sample = sample(checker, call);
    let bits = match call.args.get(1) {
        None => 0,
        Some(bits) => {
            literal(checker, bits, "hist: invalid bits value (must be non-negative literal)", call)?
        }
    };
    let small = u8::try_from(bits).ok().filter(|bits| i128::from(*bits) <= MAX_BITS);
    let Some(bits) = small else {
        checker.diagnostics.error(call.span, format!("hist: bits {bits} must be 0..{MAX_BITS}"));
        return None;
    };
    Some(Aggregation { agg: Agg::Hist { bits }, sample: Some(sample?) })
}

/// More would be unreadable, and take much memory for each key and CPU.
const MAX_BUCKETS: i128 = 1000;

fn lhist(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<Aggregation> {
    let sample = sample(checker, call);
    let [_, min, max, step] = call.args else { return None };
    let mut part = |name: &str, arg| {
        literal(checker, arg, &format!("lhist: invalid {name} value (must be non-negative literal)"), call)
    };
    let (min, max, step) = (part("min", min)?, part("max", max)?, part("step", step)?);
    let problem = if step < 1 {
        format!("lhist() step must be >= 1 ({step} provided)")
    } else if min >= max {
        format!("lhist() min must be less than max (provided min {min} and max {max})")
    } else {
        let buckets = (max - min + step - 1) / step;
        if buckets <= MAX_BUCKETS {
            let bound = |value: i128| i64::try_from(value).unwrap_or(i64::MAX);
            let agg = Agg::Lhist { min: bound(min), max: bound(max), step: bound(step) };
            return Some(Aggregation { agg, sample: Some(sample?) });
        }
        format!("lhist() too many buckets, must be <= {MAX_BUCKETS} (would need {buckets})")
    };
    checker.diagnostics.error(call.span, problem);
    None
}

/// A constant that is not negative; `None` after a complaint.
fn literal(checker: &mut Checker<'_>, arg: &ast::Expr, problem: &str, call: &Call<'_>) -> Option<i128> {
    let value = checker.value(arg);
    if value.ty == Ty::ERROR {
        return None;
    }
    let constant = checker.constant(&value).filter(|constant| *constant >= 0);
    if constant.is_none() {
        checker.diagnostics.error(call.span, problem);
    }
    constant
}
