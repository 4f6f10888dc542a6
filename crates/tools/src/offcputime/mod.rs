//! `offcputime`: how long threads were off the CPU, by the stack they left it with.

use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser};

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::run::{self, Run, number};
use crate::stacks::{StackFlags, Stacks};
use crate::who::Who;

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "offcputime",
    summary: "sum the time that threads wait, by stack",
    command,
    run: |args| flags::run(command(), args, main),
};

const SCRIPT: &str = include_str!("offcputime.bt");

/// Sum the time that threads are off the CPU, by the stack they left it with.
#[derive(Parser)]
#[command(name = "offcputime", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// Trace threads of processes only
    #[arg(short, long, conflicts_with = "kernel_threads_only")]
    user_threads_only: bool,
    /// Trace threads of the kernel only
    #[arg(short, long)]
    kernel_threads_only: bool,
    /// Show the place in each function
    #[arg(short = 's', long)]
    offset: bool,
    /// Leave out shorter times, in microseconds
    #[arg(short, long, value_name = "US", default_value_t = 1)]
    min_block_time: u64,
    /// Leave out longer times, in microseconds
    #[arg(short = 'M', long, value_name = "US", default_value_t = u64::MAX >> 1)]
    max_block_time: u64,
    /// Only threads that wait in this state: 0 runnable, 1 interruptible, 2 uninterruptible, ...
    #[arg(long)]
    state: Option<u32>,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    stacks: StackFlags,
    #[command(flatten)]
    common: CommonFlags,
}

const EXAMPLES: &str = "\
Examples:
  offcputime                    until Ctrl-C
  offcputime 5                  for 5 seconds
  offcputime -f 5 > out.folded  a line for each stack
  offcputime --flame x.svg 5    a flame graph
  offcputime -m 1000            waits of 1 ms and more
  offcputime -p 185             of process 185
  offcputime -t 188             of thread 188
  offcputime -u                 without the kernel's threads
  offcputime --state 2          uninterruptible waits";

fn command() -> Command {
    Flags::command().mut_arg("tid", |arg| arg.short('t'))
}

fn main(mut flags: Flags) -> ExitCode {
    flags.common.duration = flags.common.duration.or(flags.stacks.seconds);
    let threads = match (flags.user_threads_only, flags.kernel_threads_only) {
        (true, _) => "user threads",
        (_, true) => "kernel threads",
        _ => "all threads",
    };
    let view = Stacks {
        flags: &flags.stacks,
        common: &flags.common,
        header: format!(
            "Tracing off-CPU time (us) of {} by {} stack... {}",
            flags.who.told_or(threads),
            flags.stacks.whose(),
            flags::until(&flags.common)
        ),
        annotations: false,
        offsets: flags.offset,
        addresses: false,
        number: "us",
        flame: ("Off-CPU time", "us"),
    };
    let mut filter = flags.who.filter();
    if flags.user_threads_only {
        filter = filter.and("curtask->flags & 0x200000 == 0", "");
    }
    if flags.kernel_threads_only {
        filter = filter.and("curtask->flags & 0x200000 != 0", "");
    }
    let mut params = vec![
        number(flags.state.map(|state| state.saturating_add(1))),
        flags.min_block_time.to_string(),
        flags.max_block_time.to_string(),
    ];
    params.extend(flags.stacks.params());
    run::run(
        Run {
            params,
            config: flags.stacks.config(),
            filter,
            ..Run::new("offcputime", SCRIPT, &flags.common)
        },
        view,
    )
}
