//! `profile`: what runs on the CPUs, by stack.

use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser};

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::run::{self, Run};
use crate::stacks::{StackFlags, Stacks};
use crate::who::Who;

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "profile",
    summary: "sample what runs on the CPUs, by stack",
    command,
    run: |args| flags::run(command(), args, main),
};

const SCRIPT: &str = include_str!("profile.bt");

/// Sample what runs on the CPUs, and count stacks.
#[derive(Parser)]
#[command(name = "profile", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// Samples a second on each CPU
    #[arg(short = 'F', long, default_value_t = 49, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "count")]
    frequency: u32,
    /// Sample after so many cycles of the processor instead
    #[arg(short, long, value_name = "CYCLES", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Show the addresses of functions, too
    #[arg(short = 'A', long)]
    address: bool,
    /// Mark the kernel's functions with _[k]
    #[arg(short, long)]
    annotations: bool,
    /// Count what CPUs do that have nothing to do, too
    #[arg(short = 'I', long)]
    include_idle: bool,
    /// Sample this CPU only
    #[arg(short = 'C', long)]
    cpu: Option<u32>,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    stacks: StackFlags,
    #[command(flatten)]
    common: CommonFlags,
}

const EXAMPLES: &str = "\
Examples:
  profile                     49 times a second, until Ctrl-C
  profile -F 99               99 times a second
  profile 5                   for 5 seconds
  profile -f 5 > out.folded   a line for each stack
  profile --flame x.svg 5     a flame graph
  profile -p 185              of process 185
  profile -L 185              of thread 185
  profile -U                  without the kernel's stacks
  profile -K                  the kernel's stacks only";

fn command() -> Command {
    Flags::command().mut_arg("tid", |arg| arg.short('L'))
}

fn main(mut flags: Flags) -> ExitCode {
    flags.common.duration = flags.common.duration.or(flags.stacks.seconds);
    let (probe, rate) = match flags.count {
        Some(count) => (format!("hardware:cycles:{count}"), format!("every {count} cycles")),
        None => (format!("profile:hz:{}", flags.frequency), format!("at {} Hertz", flags.frequency)),
    };
    let view = Stacks {
        flags: &flags.stacks,
        common: &flags.common,
        header: format!(
            "Sampling {rate} of {} by {} stack... {}",
            flags.who.told_or("all threads"),
            flags.stacks.whose(),
            flags::until(&flags.common)
        ),
        annotations: flags.annotations,
        offsets: false,
        addresses: flags.address,
        number: "count",
        flame: ("CPU profile", "samples"),
    };
    let mut filter = flags.who.filter();
    if let Some(cpu) = flags.cpu {
        filter = filter.and(format!("cpu == {cpu}"), "");
    }
    if !flags.include_idle {
        // What the idle thread does is nothing.
        filter = filter.and("pid != 0", "");
    }
    let script = SCRIPT.replace("profile:hz:49", &probe);
    run::run(
        Run {
            params: flags.stacks.params().into(),
            config: flags.stacks.config(),
            filter,
            ..Run::new("profile", &script, &flags.common)
        },
        view,
    )
}
