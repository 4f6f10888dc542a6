//! Tests and benchmarks as text.

use std::time::Duration;

use super::plural;

/// What there is to say about the tests and benchmarks of a script.
#[derive(Clone, Copy, Debug)]
pub enum Trial<'a> {
    /// Tests are about to be run.
    Begin {
        /// How many.
        count: usize,
    },
    /// One is about to be run.
    Run {
        /// Its name.
        name: &'a str,
    },
    /// One was run.
    Result {
        /// Its name.
        name: &'a str,
        /// How long it took.
        duration: Duration,
        /// Whether all is well.
        passed: bool,
    },
    /// All were run.
    End {
        /// How many passed.
        passed: usize,
        /// The names of the others.
        failed: &'a [String],
    },
    /// Names of benchmarks, the nanoseconds that each takes, and how often it was run to find out.
    Benchmarks(&'a [(String, u64, u64)]),
}

impl Trial<'_> {
    /// In the form that test engines know, with its colours.
    pub(super) fn text(&self) -> String {
        match self {
            Trial::Begin { count } => format!("{}Running {count} tests.\n", good("==========")),
            Trial::Run { name } => format!("{}{name}\n", good(" RUN      ")),
            Trial::Result { name, duration, passed } => {
                let mark = if *passed { good("       OK ") } else { bad("  FAILED  ") };
                format!("{mark}{name} ({})\n", shown(*duration))
            }
            Trial::End { passed, failed } => {
                let tests = |count: usize| format!("{count} test{}", plural(count));
                let mut out = format!("{}{} ran.\n", good("=========="), tests(passed + failed.len()));
                out.push_str(&format!("{}{}.\n", good("  PASSED  "), tests(*passed)));
                if !failed.is_empty() {
                    out.push_str(&format!("{}{}, listed below:\n", bad("  FAILED  "), tests(failed.len())));
                }
                for name in *failed {
                    out.push_str(&format!("{}{name}\n", bad("  FAILED  ")));
                }
                out
            }
            Trial::Benchmarks(results) => {
                let mut out =
                    format!("{:<41}{:<15}{}\n{}\n", "Benchmark", "Time(ns)", "Iterations", "-".repeat(66));
                for (name, nanos, runs) in *results {
                    out.push_str(&format!("{name:<41}{nanos:<15}{runs}\n"));
                }
                out
            }
        }
    }
}

fn good(mark: &str) -> String {
    format!("\x1b[32m[{mark}]\x1b[0m ")
}

fn bad(mark: &str) -> String {
    format!("\x1b[31m[{mark}]\x1b[0m ")
}

fn shown(duration: Duration) -> String {
    match duration.as_nanos() {
        nanos @ ..1000 => format!("{nanos} ns"),
        nanos @ ..1_000_000 => format!("{} μs", nanos / 1000),
        nanos => format!("{} ms", nanos / 1_000_000),
    }
}
