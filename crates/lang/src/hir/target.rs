//! What probes attach to.

use serde::{Deserialize, Serialize};

use super::TargetId;
use crate::world::user_space::StaticArgument;

/// One place a probe is attached to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kprobe {
    /// Where.
    pub place: KernelPlace,
    /// When the function returns rather than when it is called.
    pub on_return: bool,
}

/// A place in the kernel's code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The arguments in order, each on its own or why it cannot be read. The code was made of them; attaching needs them
    /// no more, so they are not stored.
    #[serde(skip)]
    pub args: Vec<Result<StaticArgument, String>>,
    /// Whether it is another place of the probe that the target before is one of.
    pub further: bool,
}

/// What a fentry or fexit probe is attached to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fentry {
    /// Which function.
    pub place: FentryPlace,
    /// When it returns rather than when it is called.
    pub on_return: bool,
}

/// See [`Fentry::place`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Iter {
    /// What is walked over: `task`.
    pub over: String,
    /// The name of the file in bpffs that runs it whenever it is read.
    pub pin: Option<String>,
}

/// See [`Attach::Counter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// Counted by the processor rather than the kernel.
    pub hardware: bool,
    /// Its number: `enum perf_sw_ids`, `enum perf_hw_id`.
    pub number: u64,
    /// The probe runs whenever so many more were counted.
    pub period: u64,
}

/// See [`Attach::Watchpoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rate {
    /// Once every so many nanoseconds, at least 1,000.
    PeriodNs(u64),
    /// So many times a second.
    Hertz(u64),
}
