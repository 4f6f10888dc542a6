//! Points in time as text.

use skep_isa::helpers::id;

use super::output::literal_text;
use super::{Action, Arity, Builtin, Call};
use crate::hir::{Expr, ExprKind, Runtime};
use crate::sema::check::{Checker, node};
use crate::ty::{Clock, Shown, Ty, TyKind};
use crate::walk;

pub(super) const TABLE: &[Builtin] = &[Builtin {
    name: "strftime",
    aliases: &[],
    args: Arity::range(2, 2),
    action: Action::Value(strftime),
    doc: "A time of nsecs as text: strftime(format, nsecs)",
}];

fn strftime(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let [format, time] = call.args else { return checker.broken(call.span) };
    let format = literal_text(checker, call, format);
    let time = checker.value(time);
    let Some(format) = format else { return checker.broken(call.span) };
    match checker.types.kind(time.ty) {
        TyKind::Error => return time,
        TyKind::Int { .. } => {}
        _ => return only_ints(checker, call, &time),
    }
    if checker.constant(&time).is_some_and(|time| time < 0) {
        return checker.error(call.span, "strftime() does not accept negative timestamps");
    }
    let Some(clock) = clock_of(&time) else {
        return checker.error(call.span, "strftime() can not take a monotonic timestamp");
    };
    let format = checker.kept_text(&String::from_utf8_lossy(&format));
    let constant = |value: u64| node(ExprKind::Int(value), Ty::U32, call.span);
    let parts = vec![checker.force(time, Ty::U64), constant(format), constant(clock as u64)];
    let ty = checker.types.intern(TyKind::Shown(Shown::Time));
    node(ExprKind::Tuple(parts), ty, call.span)
}

/// The clock that a time was read from where it stands, boot time if it was read elsewhere; `None` for the clock
/// that says nothing about the time of day.
fn clock_of(time: &Expr) -> Option<Clock> {
    let mut clock = Some(Clock::Boot);
    walk::in_expr(time, &mut |part| match &part.kind {
        ExprKind::Helper(helper) if helper.id == id::KTIME_GET_TAI_NS => clock = Some(Clock::Tai),
        ExprKind::Runtime(Runtime::TaiOffset) => clock = Some(Clock::Tai),
        ExprKind::Helper(helper) if helper.id == id::KTIME_GET_NS => clock = None,
        _ => {}
    });
    clock
}

/// Complains about an argument that has to be an integer.
pub(super) fn only_ints(checker: &mut Checker<'_>, call: &Call<'_>, given: &Expr) -> Expr {
    let kind = match checker.types.kind(given.ty) {
        TyKind::Str(_) | TyKind::Probe => "string".to_owned(),
        _ => checker.type_name(given.ty),
    };
    checker.error(call.span, format!("{}() only supports int arguments ({kind} provided)", call.name))
}
