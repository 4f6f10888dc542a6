//! `runqlat`: how long threads that could run waited for a CPU.

use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser};
use skep_trace::sink::Data;

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::histogram::{Histograms, Round};
use crate::rounds::{self, Rounds};
use crate::run::{self, Run};
use crate::who::Who;

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "runqlat",
    summary: "how long threads that could run waited for a CPU, as a histogram",
    command,
    run: |args| flags::run(command(), args, main),
};

const SCRIPT: &str = include_str!("runqlat.bt");

/// Show how long threads that could run waited for a CPU
#[derive(Parser)]
#[command(name = "runqlat", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// Put the time of day above each output
    #[arg(short = 'T', long)]
    timestamp: bool,
    /// Milliseconds instead of microseconds
    #[arg(short, long)]
    milliseconds: bool,
    /// A histogram for each process
    #[arg(short = 'P', long, group = "by")]
    pids: bool,
    /// A histogram for each pid namespace
    #[arg(long, group = "by")]
    pidnss: bool,
    /// A histogram for each thread
    #[arg(short = 'L', long, group = "by")]
    tids: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    rounds: Rounds,
    #[command(flatten)]
    common: CommonFlags,
}

const EXAMPLES: &str = "\
Examples:
  runqlat               one histogram at Ctrl-C
  runqlat 1 10          one a second, ten times
  runqlat -mT 1         in milliseconds, with times
  runqlat -P            for each process
  runqlat -p 185        of process 185
  runqlat --exec make   of the process that is run for it";

fn command() -> Command {
    Flags::command().mut_arg("cgroup", |arg| arg.short('c'))
}

fn main(flags: Flags) -> ExitCode {
    let (by, section) = match () {
        () if flags.pids => (1, Some("pid")),
        () if flags.tids => (2, Some("tid")),
        () if flags.pidnss => (3, Some("pidns")),
        () => (0, None),
    };
    let (unit, nanoseconds) = if flags.milliseconds { ("msecs", 1_000_000) } else { ("usecs", 1_000) };
    let view = Histograms {
        unit,
        section,
        heading: Box::new(|key| match key {
            Data::Uint(id) => {
                // Threads and processes are named while they live.
                let name = section
                    .filter(|section| *section != "pidns")
                    .and_then(|_| i32::try_from(*id).ok().and_then(skep_trace::host::comm));
                name.map_or_else(|| id.to_string(), |name| format!("{id} {name}"))
            }
            _ => String::new(),
        }),
        opening: "Tracing run queue latency... Hit Ctrl-C to end.",
        timestamp: flags.timestamp,
        totals: false,
        flags: &flags.common,
        round: Round::default(),
    };
    let script = rounds::script(SCRIPT, &["hist"], &["start"]);
    run::run(
        Run {
            params: flags.rounds.params(),
            named: vec![("by", by.to_string()), ("unit", nanoseconds.to_string())],
            filter: flags.who.filter(),
            ..Run::new("runqlat", &script, &flags.common)
        },
        view,
    )
}
