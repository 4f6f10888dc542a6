//! The typed program: every name resolved, every expression typed, every probe
//! matched to what it attaches to. This is what the compiler lowers.
//!
//! Nothing here can be wrong in a way a user could cause: errors were reported
//! on the way. Values are pure except where a node says so; evaluation order is
//! left to right.

mod config;
mod expr;
mod format;
mod function;
mod operation;
mod stmt;
mod target;

pub use config::{Config, MissingProbes, Unstable};
pub use expr::{BinaryOp, CompareOp, Expr, ExprKind, Helper, Runtime};
pub use format::{Conversion, Format, Piece, Spec};
pub use function::{Function, FunctionId};
pub use operation::{NOT_FOUND, Operation};
pub use stmt::{Block, PrintTo, Stmt, StmtKind};
pub use target::{
    Attach, Counter, Fentry, FentryPlace, Iter, KernelPlace, Kprobe, Rate, Target, Uprobe, Usdt, Watchpoint,
};

use serde::{Deserialize, Serialize};
use skep_ui::Span;

use crate::portable::Portable;
use crate::ty::{Agg, Ty, Types};

/// Index into [`Program::maps`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct MapId(pub u32);

/// Index into [`Probe::locals`], within a function into [`Function::locals`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct LocalId(pub u32);

/// Index into [`Program::targets`]. Also the attach cookie.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TargetId(pub u32);

/// A whole script, ready to be compiled.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The types all others refer to.
    pub types: Types,
    /// The script's maps, in order of appearance.
    pub maps: Vec<Map>,
    /// Everything that is attached to, over all probes, in script order.
    pub targets: Vec<Target>,
    /// The programs: one per clause and per shape of context within it.
    pub probes: Vec<Probe>,
    /// Settings, from the defaults, the environment and the script's `config`.
    pub config: Config,
    /// Whether the script is run in a namespace of process ids, whose ids user space knows processes by.
    pub in_pid_namespace: bool,
    /// Texts that values refer to by their place here: formats of `strftime`, patterns of `cgroup_path`.
    pub texts: Vec<String>,
    /// What the kernel can do, as far as the script depends on it.
    pub abilities: Abilities,
    /// What it takes for granted about the machine, if it is to run on others, too.
    pub portable: Portable,
}

/// What decides about the code that is made for a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// The helper `bpf_loop`. Without it loops are code that the kernel follows round by round.
    pub bpf_loop: bool,
    /// How programs get at the registers of the process they run for.
    pub user_registers: UserRegisters,
}

/// How a program that runs in the kernel finds the registers with which the process goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserRegisters {
    /// The helper `bpf_task_pt_regs` knows.
    Helper,
    /// They are at the end of the thread's kernel stack, of which `struct task_struct` holds the address at this
    /// offset.
    OnKernelStack(u32),
}

impl Default for Abilities {
    fn default() -> Self {
        Abilities { bpf_loop: true, user_registers: UserRegisters::Helper }
    }
}

/// A map of the script.
#[derive(Clone, Debug)]
pub struct Map {
    /// With its `@`: `@`, `@start`.
    pub name: String,
    /// [`Ty::VOID`] for a map without keys, the key's type for one, a tuple for several.
    pub key: Ty,
    /// A plain type, or [`crate::ty::TyKind::Agg`].
    pub value: Ty,
    /// How many keys it holds.
    pub max_entries: u32,
    /// Whether a new key takes the place of one that was long not used where there is no room for it.
    pub lru: bool,
    /// Where it was first used.
    pub span: Span,
}

impl Map {
    /// The aggregation, if it is an aggregating map.
    pub fn agg(&self, types: &Types) -> Option<Agg> {
        match types.kind(self.value) {
            crate::ty::TyKind::Agg(agg) => Some(*agg),
            _ => None,
        }
    }
}

/// The kind of program the kernel runs, which decides what its context is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProbeKind {
    /// `BEGIN` and `END`: a raw tracepoint program, run by BPF_PROG_TEST_RUN.
    RawTestRun,
    /// BPF_PROG_TYPE_TRACEPOINT: the context is the tracepoint's record.
    Tracepoint,
    /// BPF_PROG_TYPE_PERF_EVENT: the context is `struct bpf_perf_event_data`.
    PerfEvent,
    /// BPF_PROG_TYPE_RAW_TRACEPOINT: the context is the arguments, 64 bits each.
    RawTracepoint,
    /// BPF_PROG_TYPE_TRACING at a raw tracepoint: the same, and the verifier knows the arguments' types.
    TypedTracepoint,
    /// BPF_PROG_TYPE_TRACING at a function's entry: the context is the arguments, 64 bits each.
    Fentry,
    /// BPF_PROG_TYPE_TRACING at a function's exit: the same, and then the result.
    Fexit,
    /// BPF_PROG_TYPE_TRACING on a walk: the context is a `struct bpf_iter__` of the objects.
    Iter,
    /// BPF_PROG_TYPE_KPROBE, also for user space: the context is `struct pt_regs`.
    Kprobe,
}

/// One program: a clause of the script, for those of its targets whose contexts
/// have the same shape as far as the clause looks at them.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The attach point of its first target in letters, digits and `_`, to name its program by.
    pub name: String,
    /// What the kernel runs.
    pub kind: ProbeKind,
    /// Where it is attached; never empty.
    pub targets: Vec<TargetId>,
    /// The clause's variables, parameters of blocks included.
    pub locals: Vec<Local>,
    /// What it does. A predicate is an `If` around the rest.
    pub body: Block,
    /// The functions of the script that it calls, directly or through others, as they are in its context: each
    /// behind those that it calls itself.
    pub functions: Vec<Function>,
    /// The clause's attach points in the script.
    pub span: Span,
    /// The index of the clause in the script: several probes may share one.
    pub clause: u32,
}

impl Probe {
    /// The variables and the statements of the clause and of each function.
    pub fn bodies_mut(&mut self) -> impl Iterator<Item = (&mut Vec<Local>, &mut Block)> {
        let functions = self.functions.iter_mut().map(|function| (&mut function.locals, &mut function.body));
        std::iter::once((&mut self.locals, &mut self.body)).chain(functions)
    }
}

/// A scratch variable. It is zero (or empty) at the start of its block.
#[derive(Clone, Debug)]
pub struct Local {
    /// With its `$`.
    pub name: String,
    /// Never `VOID`.
    pub ty: Ty,
    /// Where it was first assigned.
    pub span: Span,
}
