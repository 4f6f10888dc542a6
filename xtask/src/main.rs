//! The project's chores: `cargo xtask vm` runs a command in a guest, `cargo xtask test` runs every test
//! there is and sums up, `cargo xtask bench` measures.
//!
//! The same executable is also what runs inside a guest: process 1 (`vm::guest`), the runner of the test
//! executables (`test::runner`), and the process that benchmarks trace (`bench::workload`). It is linked
//! statically, so it runs wherever the kernel does.

mod bench;
mod debian;
mod error;
mod process;
mod project;
mod table;
mod test;
mod vm;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's chores.")]
enum Chore {
    /// Run a command as root in a throw-away guest with a stock Debian kernel.
    Vm(vm::Args),
    /// Run every check and test: here, on the running kernel, and in guests.
    Test(test::Args),
    /// Measure skep, and a peer beside it.
    Bench(bench::Args),
    /// The process that a benchmark traces.
    #[command(hide = true)]
    Workload(bench::workload::Args),
    /// Run built test executables and write their results down.
    #[command(hide = true)]
    RunTests(test::runner::Args),
}

fn main() -> ExitCode {
    if vm::guest::is_process_one() {
        vm::guest::init();
    }
    let outcome = match Chore::parse() {
        Chore::Vm(args) => vm::main(args),
        Chore::Test(args) => test::main(&args),
        Chore::Bench(args) => bench::main(&args),
        Chore::Workload(args) => bench::workload::main(&args),
        Chore::RunTests(args) => test::runner::main(&args),
    };
    outcome.unwrap_or_else(|(error, status)| {
        eprintln!("xtask: {error}");
        ExitCode::from(status)
    })
}
