//! The typed program: every name resolved, every expression typed, every probe
//! matched to what it attaches to. This is what the compiler lowers.
//!
//! Nothing here can be wrong in a way a user could cause: errors were reported
//! on the way. Values are pure except where a node says so; evaluation order is
//! left to right.

mod operation;

pub use operation::{NOT_FOUND, Operation};

use std::fmt;

use skep_ui::Span;

use crate::ty::{Agg, Bits, StackMode, Ty, Types};
use crate::world::user_space::StaticArgument;

/// Index into [`Program::maps`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct MapId(pub u32);

/// Index into [`Probe::locals`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct LocalId(pub u32);

/// Index into [`Program::targets`]. Also the attach cookie.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
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
    /// Whether it can end itself by `exit()`.
    pub exits: bool,
    /// Texts that values refer to by their place here: formats of `strftime`, patterns of `cgroup_path`.
    pub texts: Vec<String>,
    /// What the kernel can do, as far as the script depends on it.
    pub abilities: Abilities,
}

/// What decides about the code that is made for a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// The helper `bpf_loop`. Without it loops are code that the kernel follows round by round.
    pub bpf_loop: bool,
}

impl Default for Abilities {
    fn default() -> Self {
        Abilities { bpf_loop: true }
    }
}

/// Settings that shape the generated code and the output (reference 1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a text read from memory can be; see [`Config::text_capacity`].
    pub max_strlen: u32,
    /// Number of keys a map without a declaration can hold.
    pub max_map_keys: u32,
    /// Whether maps are printed at the end.
    pub print_maps_on_exit: bool,
    /// The programs' licence, as told to the kernel.
    pub license: String,
    /// What is put after a text that did not fit.
    pub str_trunc_trailer: String,
    /// How many programs one script may load.
    pub max_bpf_progs: u32,
    /// How many places one script may attach to.
    pub max_probes: u32,
    /// Size of the ring of printed records in pages of 4 KiB; 0: the runtime decides.
    pub perf_rb_pages: u32,
    /// The map that `tseries` takes its time from instead of the clock, for tests.
    pub dummy_ts_map: Option<String>,
    /// Whether the script is told of keys that are not there and of memory that cannot be read (`-k`).
    pub runtime_warnings: bool,
    /// How many bytes of a file `cat` shows.
    pub max_cat_bytes: u32,
    /// What happens to a probe that cannot be attached.
    pub missing_probes: MissingProbes,
    /// Whether `tseries` may be used.
    pub tseries: Unstable,
    /// Whether `typeinfo` may be used.
    pub typeinfo: Unstable,
    /// How stacks are shown that do not say it themselves.
    pub stack_mode: StackMode,
    /// Whether frames of programs come with file, line and inlined functions, where debug information has them.
    pub show_debug_info: bool,
    /// Whether names of C++ and Rust are shown as their sources spell them.
    pub demangle: bool,
}

/// What happens to a use of a feature that may still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unstable {
    /// It is fine.
    Enable,
    /// A warning tells.
    Warn,
    /// It is refused.
    Error,
}

/// See [`Config::missing_probes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingProbes {
    /// The script fails.
    Error,
    /// A warning names it.
    Warn,
    /// Nothing is said.
    Ignore,
}

impl Config {
    /// Bytes that a text read from memory takes at most, NUL included. The setting counts characters
    /// only up to 1023: so it does in the original.
    pub fn text_capacity(&self) -> u32 {
        if self.max_strlen < 1024 { self.max_strlen + 1 } else { self.max_strlen }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_strlen: 1024,
            max_map_keys: 4096,
            print_maps_on_exit: true,
            license: "GPL".into(),
            str_trunc_trailer: "..".into(),
            max_bpf_progs: 1024,
            max_probes: 1024,
            perf_rb_pages: 0,
            dummy_ts_map: None,
            tseries: Unstable::Warn,
            runtime_warnings: false,
            max_cat_bytes: 10240,
            missing_probes: MissingProbes::Error,
            typeinfo: Unstable::Error,
            stack_mode: StackMode::default(),
            show_debug_info: true,
            demangle: true,
        }
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

/// One place a probe is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The full name, as `probe` prints it: `tracepoint:syscalls:sys_enter_openat`.
    pub name: String,
    /// What to attach to.
    pub attach: Attach,
    /// Whether a wildcard found it rather than the script named it: then the others do without it if it cannot be
    /// attached.
    pub wildcard: bool,
}

/// What a [`Target`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attach {
    /// Run once before everything else is attached.
    Begin,
    /// Run once after everything else is detached.
    End,
    /// A kernel tracepoint.
    Tracepoint {
        /// `syscalls`
        category: String,
        /// `sys_enter_openat`
        event: String,
    },
    /// A tracepoint without its record: what the kernel's code handed to it.
    RawTracepoint {
        /// `vmlinux`
        module: String,
        /// `sys_enter`
        event: String,
    },
    /// A kernel function, or a place in one.
    Kprobe(Kprobe),
    /// A function of a program or library, or a place in one.
    Uprobe(Uprobe),
    /// A static probe of a program or library.
    Usdt(Usdt),
    /// A function's entry or exit, by its type.
    Fentry(Fentry),
    /// A walk over objects of the kernel.
    Iter(Iter),
    /// A timer on one CPU.
    Interval(Rate),
    /// A timer on every CPU.
    Profile(Rate),
    /// A counter of the kernel's or the processor's.
    Counter(Counter),
    /// An address that is watched by the processor.
    Watchpoint(Watchpoint),
    /// SIGUSR1 sent to the tracer: run by the tracer itself.
    Signal,
    /// A test: run when the script's tests are.
    Test {
        /// What it is called.
        name: String,
    },
    /// A benchmark: run when the script's benchmarks are.
    Bench {
        /// What it is called.
        name: String,
    },
}

/// What a kprobe or a kretprobe is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kprobe {
    /// Where.
    pub place: KernelPlace,
    /// When the function returns rather than when it is called.
    pub on_return: bool,
}

/// A place in the kernel's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelPlace {
    /// In a function.
    Function {
        /// The module to look in; `None` for everywhere.
        module: Option<String>,
        /// Its name.
        name: String,
        /// Bytes from its start.
        offset: u64,
    },
    /// Anywhere.
    Address(u64),
}

/// What a uprobe or a uretprobe is attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uprobe {
    /// The program or library.
    pub file: String,
    /// The file that the kernel knows it by: the archive if it is in one.
    pub path: String,
    /// Where in `path` the instruction is.
    pub offset: u64,
    /// Its address, as the program is linked; 0 if that is not known.
    pub address: u64,
    /// The function that it is in, as the symbol table has it.
    pub function: Option<String>,
    /// The address of the function, if the instruction is its first.
    pub entry: Option<u64>,
    /// When the function returns rather than when it is called.
    pub on_return: bool,
}

/// One place of a static probe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usdt {
    /// The program or library.
    pub file: String,
    /// The file that the kernel knows it by.
    pub path: String,
    /// Where in it the instruction is.
    pub offset: u64,
    /// Its address, as the program is linked.
    pub address: u64,
    /// Where in it the counter of those who listen is, if there is one.
    pub semaphore: Option<u64>,
    /// The arguments in order, each on its own or why it cannot be read.
    pub args: Vec<Result<StaticArgument, String>>,
    /// Whether it is another place of the probe that the target before is one of.
    pub further: bool,
}

/// What a fentry or fexit probe is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fentry {
    /// Which function.
    pub place: FentryPlace,
    /// When it returns rather than when it is called.
    pub on_return: bool,
}

/// See [`Fentry::place`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FentryPlace {
    /// A function of the kernel.
    Kernel {
        /// `vmlinux` or a module.
        module: String,
        /// The function.
        name: String,
    },
    /// A BPF program.
    Program {
        /// Its id.
        id: u32,
        /// Its function.
        name: String,
    },
}

/// See [`Attach::Iter`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iter {
    /// What is walked over: `task`.
    pub over: String,
    /// The name of the file in bpffs that runs it whenever it is read.
    pub pin: Option<String>,
}

/// See [`Attach::Counter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Counted by the processor rather than the kernel.
    pub hardware: bool,
    /// Its number: `enum perf_sw_ids`, `enum perf_hw_id`.
    pub number: u64,
    /// The probe runs whenever so many more were counted.
    pub period: u64,
}

/// See [`Attach::Watchpoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watchpoint {
    /// The first byte that is watched.
    pub address: u64,
    /// How many: 1, 2, 4 or 8.
    pub length: u8,
    /// Runs when they are read.
    pub read: bool,
    /// Runs when they are written.
    pub write: bool,
    /// Runs when they are executed.
    pub execute: bool,
}

impl TargetId {
    /// The target that stands for the same probe as this one: the first of a static probe's places, itself for
    /// all others. This is the number that `probe` has as a value.
    pub fn identity(self, targets: &[Target]) -> TargetId {
        let mut id = self;
        while id.0 > 0 && targets.get(id.0 as usize).is_some_and(|target| !target.counts()) {
            id = TargetId(id.0 - 1);
        }
        id
    }
}

impl Target {
    /// The function that the probe is in, for `func`.
    pub fn function(&self) -> Option<&str> {
        match &self.attach {
            Attach::Kprobe(Kprobe { place: KernelPlace::Function { name, .. }, .. })
            | Attach::Fentry(Fentry {
                place: FentryPlace::Kernel { name, .. } | FentryPlace::Program { name, .. },
                ..
            }) => Some(name),
            Attach::Uprobe(uprobe) => uprobe.function.as_deref(),
            _ => None,
        }
    }

    /// Whether it counts when probes are counted: all but the further places of a static probe do.
    pub fn counts(&self) -> bool {
        !matches!(self.attach, Attach::Usdt(Usdt { further: true, .. }))
    }
}

/// How often a timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Once every so many nanoseconds, at least 1,000.
    PeriodNs(u64),
    /// So many times a second.
    Hertz(u64),
}

/// The kind of program the kernel runs, which decides what its context is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProbeKind {
    /// `BEGIN` and `END`: a raw tracepoint program, run by BPF_PROG_TEST_RUN.
    RawTestRun,
    /// BPF_PROG_TYPE_TRACEPOINT: the context is the tracepoint's record.
    Tracepoint,
    /// BPF_PROG_TYPE_PERF_EVENT: the context is `struct bpf_perf_event_data`.
    PerfEvent,
    /// BPF_PROG_TYPE_RAW_TRACEPOINT: the context is the arguments, 64 bits each.
    RawTracepoint,
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
    /// What the kernel runs.
    pub kind: ProbeKind,
    /// Where it is attached; never empty.
    pub targets: Vec<TargetId>,
    /// The clause's variables, parameters of blocks included.
    pub locals: Vec<Local>,
    /// What it does. A predicate is an `If` around the rest.
    pub body: Block,
    /// The clause's attach points in the script.
    pub span: Span,
    /// The index of the clause in the script: several probes may share one.
    pub clause: u32,
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

/// Statements in order.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Run from first to last.
    pub stmts: Vec<Stmt>,
}

/// A statement.
#[derive(Clone, Debug)]
pub struct Stmt {
    /// What it does.
    pub kind: StmtKind,
    /// Its text in the script.
    pub span: Span,
}

/// What a statement does.
#[derive(Clone, Debug)]
pub enum StmtKind {
    /// Evaluate for the effects (`$x++`, `delete(@m, 1)`).
    Expr(Expr),
    /// `$x = e`; the types are equal.
    SetLocal {
        /// Which.
        local: LocalId,
        /// The new value.
        value: Expr,
    },
    /// `@x[k] = e`; the types are the map's.
    SetMap {
        /// Which.
        map: MapId,
        /// The key; `None` for a map without keys.
        key: Option<Expr>,
        /// The new value.
        value: Expr,
    },
    /// `@x[k] = count()` and its like.
    Aggregate {
        /// Which; its value type tells the aggregation.
        map: MapId,
        /// The key; `None` for a map without keys.
        key: Option<Expr>,
        /// The sample as a 64-bit integer; `None` for `count()`.
        sample: Option<Expr>,
    },
    /// `if (c) { } else { }`
    If {
        /// Of type `bool`.
        cond: Expr,
        /// When true.
        then: Block,
        /// When false.
        otherwise: Block,
    },
    /// A nested block.
    Block(Block),
    /// `for ($i : a..b) { }`: the ends are evaluated once.
    ForRange {
        /// The variable. What the body makes of it does not change how often the body runs.
        local: LocalId,
        /// The first value, of the variable's type.
        start: Expr,
        /// The first value that is not reached, of the variable's type.
        end: Expr,
        /// What is done for each.
        body: Block,
    },
    /// `for ($kv : @m) { }`
    ForMap {
        /// Which map; it has keys.
        map: MapId,
        /// The variable.
        local: LocalId,
        /// Its value, of its type, made of [`ExprKind::EntryKey`] and [`ExprKind::EntryValue`].
        entry: Expr,
        /// What is done for each.
        body: Block,
    },
    /// `while (c) { }`
    While {
        /// Of type `bool`.
        cond: Expr,
        /// What is done as long as it holds.
        body: Block,
    },
    /// `unroll (n) { }`
    Unroll {
        /// How often, from 1 to 100.
        count: u32,
        /// What is done.
        body: Block,
    },
    /// Leave the loop.
    Break,
    /// On with the next round of the loop.
    Continue,
    /// Leave the probe. The value, an integer, is what the kernel gets from programs that are run by hand.
    Return(Option<Expr>),
    /// `printf`, `errorf`, `warnf`: the values travel, user space formats.
    Printf {
        /// Where the text goes.
        to: PrintTo,
        /// The parsed format.
        format: Format,
        /// One value for each conversion that takes one, of the type that
        /// travels: integers are 64 bits wide here.
        args: Vec<Expr>,
    },
    /// `print(@m)`, `print(@m, top, div)`: user space reads the map.
    PrintMap {
        /// Which.
        map: MapId,
        /// How many entries at most; 0 for all.
        top: u32,
        /// What values are divided by; 0 or 1 for nothing.
        div: u32,
    },
    /// `print(e)`, also of one entry of an aggregating map when the expression is an [`ExprKind::AggEntry`].
    PrintValue(Expr),
    /// `clear(@m)`: user space removes all entries.
    Clear(MapId),
    /// `zero(@m)`: user space sets all values to zero.
    Zero(MapId),
    /// `time(fmt)`: user space prints the wall clock.
    Time {
        /// strftime format.
        format: String,
    },
    /// `exit(code)`: the end, after this run of this probe returned here.
    Exit {
        /// Exit status of the process.
        code: Expr,
    },
}

/// Where a formatted text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrintTo {
    /// Standard output (or `-o`).
    Output,
    /// Standard error, with the place in the script: `errorf`.
    Error,
    /// Standard error, with the place in the script: `warnf`.
    Warning,
    /// Standard error, as a warning under the script's line: something in the script went wrong
    /// when it ran.
    Fault,
    /// The text is the path of a file whose beginning is printed: `cat`.
    Cat,
    /// The text is a command for the shell, whose output is printed: `system`.
    System,
    /// The values are texts up to the first that cannot be read, and the format is what stands between them: `join`.
    Join,
}

/// A `printf` format, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// In order.
    pub pieces: Vec<Piece>,
}

/// A part of a format.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Piece {
    /// Printed as it is (escapes and `%%` are already resolved). Escapes can make it something else than UTF-8.
    Text(Vec<u8>),
    /// One value.
    Conversion(Conversion),
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Piece::Text(text) => write!(f, "Text({})", crate::dump::quoted(text)),
            Piece::Conversion(conversion) => write!(f, "Conversion({conversion:?})"),
        }
    }
}

/// `%-5lld` and its like.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Conversion {
    /// `-`: to the left.
    pub left: bool,
    /// `+`: a sign always.
    pub plus: bool,
    /// A space where a plus would stand.
    pub space: bool,
    /// `0`: filled with zeroes.
    pub zero: bool,
    /// `#`: with 0x or 0.
    pub alternate: bool,
    /// At least so many characters.
    pub width: Option<u32>,
    /// At most so many characters, at least so many digits.
    pub precision: Option<u32>,
    /// `h hh l ll z j t` narrow the value to 8, 16, 32 or 64 bits.
    pub bits: Option<u8>,
    /// The letter: one of `d i u o x X c s p r`, or `h`/`x` variants of `r`.
    pub spec: Spec,
}

/// The letter of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Spec {
    /// `%d %i`
    #[default]
    Signed,
    /// `%u`
    Unsigned,
    /// `%o`
    Octal,
    /// `%x`
    Hex,
    /// `%X`
    HexUpper,
    /// `%c`
    Char,
    /// `%s`
    Str,
    /// `%p`
    Pointer,
    /// `%r`: bytes, those that cannot be printed as `\x00`
    Raw,
    /// `%rx`: bytes in hex with spaces
    RawHex,
    /// `%rh`: bytes in hex without `\x`
    RawHexPlain,
    /// `%gr`: names of the flags of a memory allocation
    GfpFlags,
}

/// A typed expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Type of its value.
    pub ty: Ty,
    /// Its text in the script.
    pub span: Span,
}

/// What an expression is.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// An integer or boolean, as the 64 bits of its two's complement.
    Int(u64),
    /// A literal text, without the NUL; shorter than the type's capacity. Escapes can make it something else than
    /// UTF-8.
    Str(Vec<u8>),
    /// `$x`
    Local(LocalId),
    /// `@x[k]`: zero or empty when there is no such key. Not of aggregations.
    MapGet {
        /// Which.
        map: MapId,
        /// The key; `None` for a map without keys.
        key: Option<Box<Expr>>,
    },
    /// `@x[k]` of an aggregation, reduced over the CPUs in user space: only as
    /// the argument of [`StmtKind::PrintValue`].
    AggEntry {
        /// Which.
        map: MapId,
        /// The key; `None` for a map without keys.
        key: Option<Box<Expr>>,
    },
    /// `(int64)@x[k]` of an aggregation that amounts to one number, reduced over
    /// the CPUs where it stands: `int64` or `uint64`, zero without samples.
    AggValue {
        /// Which.
        map: MapId,
        /// The key; `None` for a map without keys.
        key: Option<Box<Expr>>,
    },
    /// `@x[k]++`, `@x[k] += e` and their like on a 64-bit integer or a pointer: an
    /// atomic addition in place, creating the entry where there is none.
    MapAdd {
        /// Which.
        map: MapId,
        /// The key; `None` for a map without keys.
        key: Option<Box<Expr>>,
        /// Added, of the map's value type (a subtraction adds the negative).
        by: Box<Expr>,
        /// The value before (`x++`) instead of the one after.
        old: bool,
    },
    /// `$x++` and its like, as a value.
    LocalAdd {
        /// Which.
        local: LocalId,
        /// Added, of the variable's type.
        by: Box<Expr>,
        /// The value before (`x++`) instead of the one after.
        old: bool,
    },
    /// `delete(@m, k)`: whether there was one.
    Delete {
        /// Which.
        map: MapId,
        /// The key; `None` for a map without keys (its value becomes zero).
        key: Option<Box<Expr>>,
    },
    /// `has_key(@m, k)`
    HasKey {
        /// Which.
        map: MapId,
        /// The key.
        key: Box<Expr>,
    },
    /// `find(@m, k, $v)`: whether there is such a key, whose value is then in the variable.
    Find {
        /// Which.
        map: MapId,
        /// The key.
        key: Box<Expr>,
        /// The variable.
        local: LocalId,
        /// What it gets, of its type: made of [`ExprKind::EntryValue`].
        value: Box<Expr>,
    },
    /// `len(@m)`: how many keys there are.
    MapLen(MapId),
    /// Arithmetic and bits, on operands of the same type as the result. The
    /// second operand of a shift may have another integer type.
    Binary {
        /// Which.
        op: BinaryOp,
        /// Left.
        lhs: Box<Expr>,
        /// Right.
        rhs: Box<Expr>,
    },
    /// A comparison of two integers, pointers, strings, buffers, tuples or
    /// records of one type (strings and buffers may differ in capacity); the
    /// result is `bool`.
    Compare {
        /// Which; what does not fit a register only knows `Eq` and `Ne`.
        op: CompareOp,
        /// Left.
        lhs: Box<Expr>,
        /// Right.
        rhs: Box<Expr>,
    },
    /// `&&` (or `||` when `or`), of `bool`; the right side may not be reached.
    Logic {
        /// `||` instead of `&&`.
        or: bool,
        /// Left.
        lhs: Box<Expr>,
        /// Right.
        rhs: Box<Expr>,
    },
    /// `!e` of `bool`.
    Not(Box<Expr>),
    /// The key of the entry that the innermost [`StmtKind::ForMap`] is at, of the map's key type; only in
    /// its `entry`.
    EntryKey,
    /// The value of that entry, of the map's value type; not of aggregations. In [`ExprKind::Find`], of the
    /// entry that was found.
    EntryValue,
    /// `-e`
    Neg(Box<Expr>),
    /// `~e`
    BitNot(Box<Expr>),
    /// `c ? a : b`
    Cond {
        /// Of type `bool`.
        cond: Box<Expr>,
        /// When true.
        then: Box<Expr>,
        /// When false.
        otherwise: Box<Expr>,
    },
    /// To another integer type (also to and from `bool` and pointers: a `bool`
    /// is whether the value is not zero), or to a string of another capacity.
    Cast(Box<Expr>),
    /// `(a, b)`, or a record's values in the order of the type's fields, or the parts of a user symbol.
    Tuple(Vec<Expr>),
    /// `{ statements; value }`: runs the statements, then evaluates the value.
    Block {
        /// What is done first.
        body: Block,
        /// What the whole is worth.
        value: Box<Expr>,
    },
    /// `t.N`
    Element {
        /// A tuple or record, or another type that has elements (see [`Types::elems`]).
        base: Box<Expr>,
        /// Counted from 0.
        index: u32,
    },
    /// A kernel helper whose arguments are all integers (`bpf_ktime_get_ns`).
    /// Calls with the same arguments within one run of a probe may be merged
    /// when the helper's [`Helper::once`] is set.
    Helper(Helper),
    /// What a builtin computes of its arguments.
    Op {
        /// Which.
        op: Operation,
        /// In the order of the operation.
        args: Vec<Expr>,
    },
    /// A value that is known when the script is started.
    Runtime(Runtime),
    /// `ctx`: the address of the context.
    Ctx,
    /// `comm`: the current thread's name, a string.
    Comm,
    /// `probe`: of type [`Ty::PROBE`].
    Probe,
    /// `func`, known by the probe: of type [`Ty::FUNC`].
    Func,
    /// An integer, boolean or pointer, or a text or array of the type's size,
    /// directly in the context at this byte offset.
    Context {
        /// From the start of the context.
        offset: u32,
    },
    /// A value in memory whose first eight bytes are in the context at `first`, and those after them at
    /// `second`.
    Registers {
        /// Byte offset from the start of the context.
        first: u32,
        /// The same; `None` if there are no more than eight bytes.
        second: Option<u32>,
    },
    /// A text or array which the 32 bits at `offset` in the context point to
    /// (`__data_loc`, `__rel_loc`).
    DataLoc {
        /// From the start of the context.
        offset: u32,
        /// Whether the place is counted from the end of those 32 bits.
        relative: bool,
    },
    /// What a pointer points to, as a value of this expression's type; zeroes where it cannot be read. The
    /// pointer's space tells how it is read.
    Read {
        /// Of pointer type.
        pointer: Box<Expr>,
        /// Bytes further on (or back) from there.
        offset: i64,
        /// Which bits of it, for a bitfield.
        bits: Option<Bits>,
    },
    /// A part of a value in memory, as a value of this expression's type.
    Part {
        /// A struct, array or text.
        base: Box<Expr>,
        /// Bytes from its start.
        offset: u32,
        /// Which bits of it, for a bitfield.
        bits: Option<Bits>,
    },
    /// The address of an element of an array behind a pointer; null, with a warning, beyond its end.
    ElementAddress {
        /// Of pointer type.
        pointer: Box<Expr>,
        /// Bytes further on from there, where the array begins.
        offset: i64,
        /// Which element, a `uint64`.
        index: Box<Expr>,
        /// How many there are.
        len: u32,
    },
    /// `&$x`, `&@x[k]`: the address of a variable or of a map's value (null where the map has no such
    /// key), or of where any other value is kept for now.
    AddressOf(Box<Expr>),
    /// `str(p, n)`: a text at a pointer; its space tells how it is read. When
    /// it can't be read, it is empty.
    ReadStr {
        /// Of pointer type.
        pointer: Box<Expr>,
        /// At most so many bytes, NUL included; `None`: the type's capacity.
        length: Option<Box<Expr>>,
    },
    /// `buf(p, n)`
    ReadBuf {
        /// Of pointer type.
        pointer: Box<Expr>,
        /// At most so many bytes.
        length: Option<Box<Expr>>,
    },
    /// `kstack`, `ustack`: the frames above this probe, as many and as the type says. No frames where there are
    /// none to be had.
    Stack,
    /// `buf(t, n)`: the first bytes of a text or array, zeroes after its end.
    Bytes {
        /// A text or an array.
        value: Box<Expr>,
        /// So many bytes; at most as many as the type holds are taken.
        length: Box<Expr>,
    },
}

/// See [`ExprKind::Helper`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Helper {
    /// Number in the kernel's table (`skep_isa::helpers`).
    pub id: u32,
    /// Whether all calls in one run of a probe give the same answer.
    pub once: bool,
}

/// Values that are known when the script is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// `bpf_ktime_get_ns` at the start, for `elapsed`.
    StartTime,
    /// Process id of the command of `-c`, or 0.
    CommandPid,
    /// The process `-p` or `-c` narrows the script to.
    FilterPid,
    /// How many CPUs there can be, numbered from 0: `ncpus`.
    CpuCount,
    /// What CLOCK_TAI is ahead of CLOCK_BOOTTIME, in nanoseconds, for `nsecs(sw_tai)`.
    TaiOffset,
    /// What CLOCK_REALTIME is ahead of CLOCK_BOOTTIME, in nanoseconds, for `tseries`.
    RealOffset,
    /// The device of the process id namespace that the script is run in, for `pid(curr_ns)`.
    NamespaceDevice,
    /// The inode of that namespace.
    NamespaceInode,
}

/// Arithmetic and bit operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// Wraps.
    Add,
    /// Wraps.
    Sub,
    /// Wraps.
    Mul,
    /// Signed or not by the type, towards zero; by zero gives 1 and a warning.
    Div,
    /// The sign of the left side; by zero gives 1 and a warning.
    Mod,
    /// Bits.
    And,
    /// Bits.
    Or,
    /// Bits.
    Xor,
    /// The amount is taken modulo the width of the type.
    Shl,
    /// Arithmetic when the type is signed; the amount is taken modulo the width.
    Shr,
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
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
