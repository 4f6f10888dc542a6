//! What maps can gather: counts, sums, extremes, averages and histograms.

use super::{Action, Aggregation, Arity, Builtin, Call};
use skep_isa::helpers::id;

use crate::hir::{BinaryOp, Expr, ExprKind, Helper, Runtime};
use crate::sema::check::{Checker, node};
use crate::syntax::ast;
use crate::ty::{Agg, Series, SeriesOf, Ty, TyKind};

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
    Builtin {
        name: "tseries",
        aliases: &[],
        args: Arity::range(3, 4),
        action: Action::Aggregate(tseries),
        doc: "Values over time: tseries(n, interval, number of intervals[, function])",
    },
];

/// `tseries(n, interval, number[, function])`
fn tseries(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<Aggregation> {
    if !checker.may_use("tseries", checker.config.tseries, call.span) {
        return None;
    }
    let sample = series_sample(checker, call)?;
    let [_, interval, number, function @ ..] = call.args else { return None };
    let mut part = |name: &str, arg| {
        literal(checker, arg, &format!("tseries: invalid {name} value (must be non-negative literal)"), call)
    };
    let (interval, number) = (part("interval_ns", interval)?, part("num_intervals", number)?);
    let problem = if interval < 1 {
        Some(format!("tseries() interval_ns must be >= 1 ({interval} provided)"))
    } else if number < 1 {
        Some(format!("tseries() num_intervals must be >= 1 ({number} provided)"))
    } else if number >= MOST_INTERVALS {
        Some(format!("tseries() num_intervals must be < {MOST_INTERVALS} ({number} provided)"))
    } else {
        None
    };
    if let Some(problem) = problem {
        checker.diagnostics.error(call.span, problem);
        return None;
    }
    let of = match function.first() {
        None => SeriesOf::Last,
        Some(function) => {
            let name = super::output::literal_text(checker, call, function)?;
            match name.as_slice() {
                b"avg" => SeriesOf::Avg,
                b"max" => SeriesOf::Max,
                b"min" => SeriesOf::Min,
                b"sum" => SeriesOf::Sum,
                other => {
                    let problem = format!(
                        "tseries() expects one of the following aggregation functions: avg, max, min, sum (\"{}\" provided)",
                        String::from_utf8_lossy(other)
                    );
                    checker.diagnostics.error(call.span, problem);
                    return None;
                }
            }
        }
    };
    let series = Series {
        interval_ns: u64::try_from(interval).unwrap_or(u64::MAX),
        intervals: u32::try_from(number).unwrap_or(u32::MAX),
        of,
        signed: true,
    };
    Some(Aggregation { agg: Agg::Tseries(series), sample: Some(sample) })
}

/// More would take much memory for each key and CPU.
const MOST_INTERVALS: i128 = 1_000_000;

fn series_sample(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<Expr> {
    let value = checker.operand(call.args.first()?);
    match checker.types.kind(value.ty) {
        TyKind::Int { .. } | TyKind::Error => Some(value),
        _ => {
            super::time::only_ints(checker, call, &value);
            None
        }
    }
}

/// A sample of a series with the time it is of.
pub fn with_time(checker: &mut Checker<'_>, sample: Expr) -> Expr {
    let span = sample.span;
    let time = match checker.config.dummy_ts_map.clone() {
        Some(name) => {
            let name = ast::MapName { name: name.trim_start_matches('@').to_owned(), span };
            let time = checker.map_value(&name, None, span);
            checker.force(time, Ty::U64)
        }
        None => {
            // Since 1970, so that intervals begin with the seconds, minutes and hours of the day.
            let helper = Helper { id: id::KTIME_GET_BOOT_NS, once: false };
            let lhs = Box::new(node(ExprKind::Helper(helper), Ty::U64, span));
            let rhs = Box::new(node(ExprKind::Runtime(Runtime::RealOffset), Ty::U64, span));
            node(ExprKind::Binary { op: BinaryOp::Add, lhs, rhs }, Ty::U64, span)
        }
    };
    let ty = checker.types.tuple([sample.ty, Ty::U64]);
    node(ExprKind::Tuple(vec![sample, time]), ty, span)
}

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
                ("hist" | "lhist", TyKind::Stack(stack)) => ("int", stack.builtin().to_owned()),
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
    } else if step > max - min {
        let range = max - min;
        format!("lhist() step is too large for the given range (provided step {step} for range {range})")
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
