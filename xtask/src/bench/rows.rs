//! The table of benchmarks: one row each.

/// A benchmark.
pub struct Bench {
    /// The name, for choosing it.
    pub name: &'static str,
    /// What is measured and how. In scripts, `PID` stands for the number of the process that is traced.
    pub measure: Measure,
}

/// A way of measuring, with what it measures.
pub enum Measure {
    /// The whole process from start to end: CPU time, time, memory.
    Startup {
        /// Ends by itself.
        script: &'static str,
    },
    /// The compiler, from the text to the artifact, and the whole process around it.
    Compile {
        /// How many lines the script has.
        lines: usize,
    },
    /// The kernel's time in our programs for each event, and the programs' size.
    PerEvent {
        /// Has an event for each getppid().
        script: &'static str,
    },
    /// Events printed and lost, when they are made as fast as one processor can.
    Delivery {
        /// Prints a line that begins with `comm` for each getppid().
        script: &'static str,
        /// How many events are made.
        events: u64,
    },
}

/// Every benchmark. Each script is valid for bpftrace too.
pub const BENCHES: &[Bench] = &[
    Bench {
        name: "startup",
        measure: Measure::Startup { script: r#"BEGIN { printf("hello\n"); exit(); }"# },
    },
    Bench { name: "compile-10-lines", measure: Measure::Compile { lines: 10 } },
    Bench { name: "compile-5000-lines", measure: Measure::Compile { lines: 5_000 } },
    Bench {
        name: "count",
        measure: Measure::PerEvent {
            script: "tracepoint:syscalls:sys_enter_getppid /pid == PID/ { @ = count(); }",
        },
    },
    Bench {
        name: "count-by-comm",
        measure: Measure::PerEvent {
            script: "tracepoint:syscalls:sys_enter_getppid /pid == PID/ { @[comm] = count(); }",
        },
    },
    Bench {
        name: "hist",
        measure: Measure::PerEvent {
            script: "tracepoint:syscalls:sys_enter_getppid /pid == PID/ { @ = hist(nsecs); }",
        },
    },
    Bench {
        name: "latency",
        measure: Measure::PerEvent {
            script: "tracepoint:syscalls:sys_enter_getppid /pid == PID/ { @start[tid] = nsecs; } \
                     tracepoint:syscalls:sys_exit_getppid /@start[tid]/ { \
                     @ = hist(nsecs - @start[tid]); delete(@start[tid]); }",
        },
    },
    Bench {
        name: "filter-by-comm",
        measure: Measure::PerEvent {
            script: r#"tracepoint:syscalls:sys_enter_getppid /comm == "skep-load"/ { @ = count(); }"#,
        },
    },
    Bench {
        name: "printf",
        measure: Measure::Delivery {
            script: r#"tracepoint:syscalls:sys_enter_getppid /pid == PID/ { printf("%s %d\n", comm, pid); }"#,
            events: 1_000_000,
        },
    },
];
