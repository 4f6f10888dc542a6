//! Numbers of the kernel that have names: users, control groups, errors, signals, system calls.

use skep_isa::helpers::id;

use super::output::literal_text;
use super::time::only_ints;
use super::{Action, Arity, Builtin, Call};
use crate::hir::{BinaryOp, Expr, ExprKind, Helper, Operation};
use crate::names::Table;
use crate::portable::Question;
use crate::sema::check::{Checker, node};
use crate::ty::{Shown, Ty, TyKind};

pub(super) const TABLE: &[Builtin] = &[
    Builtin {
        name: "username",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(username),
        doc: "Name of the user that the current thread runs as",
    },
    Builtin {
        name: "cgroupid",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(cgroup_id),
        doc: "Id of the control group at a path",
    },
    Builtin {
        name: "cgroup_path",
        aliases: &[],
        args: Arity::range(1, 2),
        action: Action::Value(cgroup_path),
        doc: "Paths of a control group: cgroup_path(id[, pattern of hierarchies])",
    },
    Builtin {
        name: "strerror",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(|checker, call| named(checker, call, Table::Errors)),
        doc: "What an error number means",
    },
    Builtin {
        name: "signal_name",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(|checker, call| named(checker, call, Table::Signals)),
        doc: "What a signal is called",
    },
    Builtin {
        name: "syscall_name",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(|checker, call| named(checker, call, Table::Syscalls)),
        doc: "The name of a system call's number",
    },
];

fn username(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let span = call.span;
    let helper = Helper { id: id::GET_CURRENT_UID_GID, once: true };
    let lhs = Box::new(node(ExprKind::Helper(helper), Ty::U64, span));
    let rhs = Box::new(node(ExprKind::Int(0xffff_ffff), Ty::U64, span));
    let uid = node(ExprKind::Binary { op: BinaryOp::And, lhs, rhs }, Ty::U64, span);
    let ty = checker.types.intern(TyKind::Shown(Shown::User));
    node(ExprKind::Cast(Box::new(uid)), ty, span)
}

fn cgroup_id(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let [path] = call.args else { return checker.broken(call.span) };
    let Some(path) = literal_text(checker, call, path) else { return checker.broken(call.span) };
    let path = String::from_utf8_lossy(&path).into_owned();
    if let Some(asked) = checker.asked(Question::ControlGroup(path.clone()), call.span) {
        return asked;
    }
    match checker.world().cgroup_id(&path) {
        Ok(id) => node(ExprKind::Int(id), Ty::U64, call.span),
        Err(error) => {
            checker.error(call.span, format!("Failed to get `cgroupid` for path: \"{path}\": {error}"))
        }
    }
}

fn cgroup_path(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let [group, pattern @ ..] = call.args else { return checker.broken(call.span) };
    let group = checker.value(group);
    let pattern = match pattern.first() {
        Some(pattern) => literal_text(checker, call, pattern),
        None => Some(Vec::new()),
    };
    let Some(pattern) = pattern else { return checker.broken(call.span) };
    match checker.types.kind(group.ty) {
        TyKind::Error => return group,
        TyKind::Int { .. } => {}
        _ => return only_ints(checker, call, &group),
    }
    let pattern = checker.kept_text(&String::from_utf8_lossy(&pattern));
    let pattern = node(ExprKind::Int(pattern), Ty::U64, call.span);
    let ty = checker.types.intern(TyKind::Shown(Shown::CgroupPath));
    let parts = vec![checker.force(group, Ty::U64), pattern];
    node(ExprKind::Tuple(parts), ty, call.span)
}

fn named(checker: &mut Checker<'_>, call: &Call<'_>, table: Table) -> Expr {
    let [number] = call.args else { return checker.broken(call.span) };
    let number = checker.value(number);
    match checker.types.kind(number.ty) {
        TyKind::Error => return number,
        TyKind::Int { .. } => {}
        _ => return only_ints(checker, call, &number),
    }
    let ty = checker.types.str(Table::CAPACITY);
    if let Some(number) = checker.constant(&number) {
        let name = i64::try_from(number).map_or(table.unknown(), |number| table.name(number));
        return node(ExprKind::Str(name.into()), ty, call.span);
    }
    // As the original does: numbers of more than 32 bits are cut.
    let number = checker.force(number, Ty::I32);
    node(ExprKind::Op { op: Operation::Lookup(table), args: vec![number] }, ty, call.span)
}
