//! Who, where and when: the thread, the CPU, the clock, the probe.

use skep_isa::helpers::id;
use skep_ui::{Span, suggest};

use super::{Action, Arity, Builtin, Call};
use crate::hir::{BinaryOp, CompareOp, Expr, ExprKind, Helper, Operation, ProbeKind, Runtime};
use crate::sema::check::{Checker, node};
use crate::sema::registers;
use crate::sema::uses;
use crate::syntax::ast;
use crate::ty::{Ty, TyKind};

pub(super) const TABLE: &[Builtin] = &[
    Builtin {
        name: "pid",
        aliases: &[],
        args: Arity::range(0, 1),
        action: Action::Value(|checker, call| {
            namespace(checker, call).unwrap_or_else(|| match call.args {
                [] => pid(checker, call.span),
                _ => initial_pid(checker, call.span),
            })
        }),
        doc: "Process id",
    },
    Builtin {
        name: "tid",
        aliases: &[],
        args: Arity::range(0, 1),
        action: Action::Value(|checker, call| {
            namespace(checker, call).unwrap_or_else(|| {
                if call.args.is_empty() && in_namespace(checker) {
                    return namespace_id(true, call.span);
                }
                let both = helper(id::GET_CURRENT_PID_TGID, true, call.span);
                checker.force(both, Ty::U32)
            })
        }),
        doc: "Thread id",
    },
    Builtin {
        name: "uid",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(|_, call| {
            let both = helper(id::GET_CURRENT_UID_GID, true, call.span);
            binary(BinaryOp::And, both, 0xffff_ffff, call.span)
        }),
        doc: "User id",
    },
    Builtin {
        name: "gid",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(|_, call| {
            let both = helper(id::GET_CURRENT_UID_GID, true, call.span);
            binary(BinaryOp::Shr, both, 32, call.span)
        }),
        doc: "Group id",
    },
    Builtin {
        name: "comm",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(|checker, call| {
            let ty = checker.types.str(16);
            node(ExprKind::Comm, ty, call.span)
        }),
        doc: "Name of the current thread",
    },
    Builtin {
        name: "cpu",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(|_, call| helper(id::GET_SMP_PROCESSOR_ID, true, call.span)),
        doc: "Number of the CPU that runs the probe",
    },
    Builtin {
        name: "ncpus",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(|_, call| node(ExprKind::Runtime(Runtime::CpuCount), Ty::U64, call.span)),
        doc: "Number of CPUs there can be",
    },
    Builtin {
        name: "numaid",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(|_, call| helper(id::GET_NUMA_NODE_ID, true, call.span)),
        doc: "Number of the NUMA node that runs the probe",
    },
    Builtin {
        name: "cgroup",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(|_, call| helper(id::GET_CURRENT_CGROUP_ID, true, call.span)),
        doc: "Id of the current process's control group",
    },
    Builtin {
        name: "nsecs",
        aliases: &[],
        args: Arity::range(0, 1),
        action: Action::Value(nsecs),
        doc: "Nanoseconds of a clock: boot (the default), monotonic, tai, or sw_tai where the kernel lacks tai",
    },
    Builtin {
        name: "elapsed",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(|_, call| {
            let span = call.span;
            let now = Box::new(helper(id::KTIME_GET_NS, false, span));
            let start = Box::new(node(ExprKind::Runtime(Runtime::StartTime), Ty::U64, span));
            node(ExprKind::Binary { op: BinaryOp::Sub, lhs: now, rhs: start }, Ty::U64, span)
        }),
        doc: "Nanoseconds since the script was started",
    },
    Builtin {
        name: "jiffies",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(|_, call| helper(id::JIFFIES64, false, call.span)),
        doc: "Ticks of the kernel's clock",
    },
    Builtin {
        name: "rand",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(|_, call| helper(id::GET_PRANDOM_U32, false, call.span)),
        doc: "A random number of 32 bits",
    },
    Builtin {
        name: "cpid",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(|checker, call| {
            if !checker.options.has_command {
                checker.diagnostics.warning(call.span, "No child command (`-c`); cpid is zero");
            }
            node(ExprKind::Runtime(Runtime::CommandPid), Ty::U64, call.span)
        }),
        doc: "Process id of the command of -c",
    },
    Builtin {
        name: "usermode",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(usermode),
        doc: "Whether the CPU ran a process rather than the kernel: 1 or 0",
    },
    Builtin {
        name: "probe",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(|_, call| node(ExprKind::Probe, Ty::PROBE, call.span)),
        doc: "Full name of the probe",
    },
    Builtin {
        name: "args",
        aliases: &[],
        args: Arity::NONE,
        // Only what is left after `args.field` and `str(args)` were looked for.
        action: Action::Value(whole_record),
        doc: "The fields of the probe's record: args.field",
    },
];

/// `args` as a whole: a record of all fields.
fn whole_record(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let shape = &checker.unit_in_hand().shape;
    let fields: Vec<_> =
        shape.whole.iter().filter_map(|name| Some((name.as_str(), shape.field(name)?))).collect();
    if fields.is_empty() {
        // That some probes have no record is complained about already.
        return match checker.unit_in_hand().provider.has_args {
            true => checker.unsupported(call.span, "The record as a whole is"),
            false => checker.broken(call.span),
        };
    }
    let types = fields.iter().map(|(name, access)| ((*name).into(), access.ty)).collect();
    let ty = checker.types.intern(TyKind::Record(types));
    let parts = fields.into_iter().map(|(_, access)| checker.reached(access, call.span)).collect();
    node(ExprKind::Tuple(parts), ty, call.span)
}

/// The process id.
pub fn pid(checker: &mut Checker<'_>, span: Span) -> Expr {
    if in_namespace(checker) {
        return namespace_id(false, span);
    }
    initial_pid(checker, span)
}

/// Whether ids may be others inside the namespace that the script is run in than outside of all.
fn in_namespace(checker: &Checker<'_>) -> bool {
    checker.options.portable || checker.world().in_pid_namespace()
}

/// The process id as the processes outside of all namespaces see it.
fn initial_pid(checker: &mut Checker<'_>, span: Span) -> Expr {
    let both = helper(id::GET_CURRENT_PID_TGID, true, span);
    let high = binary(BinaryOp::Shr, both, 32, span);
    checker.force(high, Ty::U32)
}

/// An id as the processes of the namespace see it that the script is run in.
fn namespace_id(thread: bool, span: Span) -> Expr {
    node(ExprKind::Op { op: Operation::NamespaceId { thread }, args: Vec::new() }, Ty::U32, span)
}

/// What the argument of `pid` and `tid` makes of them; `None` if nothing.
fn namespace(checker: &mut Checker<'_>, call: &Call<'_>) -> Option<Expr> {
    let which = call.args.first()?;
    match &which.peel_parens().kind {
        ast::ExprKind::Ident(name) if name == "init" => None,
        ast::ExprKind::Ident(name) if name == "curr_ns" => Some(namespace_id(call.name == "tid", call.span)),
        ast::ExprKind::Ident(name) => {
            let message = format!("Invalid PID namespace mode: {name} (expects: curr_ns or init)");
            Some(checker.error(which.span, message))
        }
        _ => Some(
            checker
                .error(call.span, format!("{}() only supports curr_ns and init as the argument", call.name)),
        ),
    }
}

/// Where a probe can be in either, the privilege level of the code that was interrupted tells: the low two bits of the
/// code segment.
fn usermode(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let span = call.span;
    let provider = checker.unit_in_hand().provider;
    let user = match provider.kind {
        ProbeKind::PerfEvent if provider.name != "interval" => {
            let Some(offset) = registers::offset("cs") else { return checker.broken(span) };
            let segment = node(ExprKind::Context { offset }, Ty::U64, span);
            let level = binary(BinaryOp::And, segment, 3, span);
            let rhs = Box::new(node(ExprKind::Int(3), Ty::U64, span));
            node(ExprKind::Compare { op: CompareOp::Eq, lhs: Box::new(level), rhs }, Ty::BOOL, span)
        }
        ProbeKind::RawTestRun | ProbeKind::PerfEvent => checker.boolean(true, span),
        _ => checker.boolean(USER_PROBES.contains(&provider.name), span),
    };
    checker.force(user, Ty::U8)
}

/// Probes that are in the code of processes.
const USER_PROBES: &[&str] = &["uprobe", "uretprobe", "usdt"];

fn nsecs(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let Some(clock) = call.args.first() else { return helper(id::KTIME_GET_BOOT_NS, false, call.span) };
    let name = match &clock.peel_parens().kind {
        ast::ExprKind::Ident(name) => name.as_str(),
        _ => {
            let given = checker.expr(clock);
            let sort = checker.sort(given.ty);
            let message = format!("nsecs() only supports timestamp_mode arguments ({sort} provided)");
            let help = "Name the clock without quotes: boot, monotonic, tai or sw_tai";
            return checker.error_with_help(call.span, &message, help);
        }
    };
    match name {
        "boot" => helper(id::KTIME_GET_BOOT_NS, false, call.span),
        "monotonic" => helper(id::KTIME_GET_NS, false, call.span),
        "tai" => helper(id::KTIME_GET_TAI_NS, false, call.span),
        "sw_tai" => {
            let now = Box::new(helper(id::KTIME_GET_BOOT_NS, false, call.span));
            let ahead = Box::new(node(ExprKind::Runtime(Runtime::TaiOffset), Ty::U64, call.span));
            node(ExprKind::Binary { op: BinaryOp::Add, lhs: now, rhs: ahead }, Ty::U64, call.span)
        }
        other => {
            let near = suggest(other, ["boot", "monotonic", "tai", "sw_tai"]);
            let mut diagnostic =
                skep_ui::Diagnostic::error(clock.span, format!("Invalid timestamp mode: {other}"));
            diagnostic = match near {
                Some(near) => diagnostic.help(format!("Did you mean {near}?")),
                None => diagnostic.help("Valid modes: boot, monotonic, tai, sw_tai"),
            };
            checker.diagnostics.push(diagnostic);
            checker.broken(call.span)
        }
    }
}

/// A call of a helper without arguments. `once`: it gives the same answer throughout one run.
fn helper(id: u32, once: bool, span: Span) -> Expr {
    node(ExprKind::Helper(Helper { id, once }), Ty::U64, span)
}

fn binary(op: BinaryOp, lhs: Expr, rhs: u64, span: Span) -> Expr {
    let rhs = Box::new(node(ExprKind::Int(rhs), Ty::U64, span));
    node(ExprKind::Binary { op, lhs: Box::new(lhs), rhs }, Ty::U64, span)
}

/// Whether an expression is the record itself: `args` or `args()`.
pub(super) fn is_record(expr: &ast::Expr) -> bool {
    uses::is_name(expr, "args")
}
