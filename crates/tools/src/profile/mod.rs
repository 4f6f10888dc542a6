//! `profile`: what runs on the CPUs, by stack.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Command, CommandFactory, Parser};

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::run::{self, Run};
use crate::stacks::{StackFlags, Stacks};

/// The row in the list of tools.
pub static TOOL: Tool =
    Tool { name: "profile", summary: "sample what runs on the CPUs, by stack", command, run: main };

const SCRIPT: &str = include_str!("profile.bt");

/// Sample what runs on the CPUs, and count stacks.
#[derive(Parser)]
#[command(name = "profile", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// End after this many seconds
    #[arg(value_name = "SECONDS", value_parser = flags::seconds, conflicts_with = "duration")]
    seconds: Option<Duration>,
    /// Sample this process only
    #[arg(short, long)]
    pid: Option<u32>,
    /// Sample this thread only
    #[arg(short = 'L', long)]
    tid: Option<u32>,
    /// Samples a second on each CPU
    #[arg(short = 'F', long, default_value_t = 49, value_parser = clap::value_parser!(u32).range(1..))]
    frequency: u32,
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
    Flags::command()
}

fn main(args: &[OsString]) -> ExitCode {
    let mut flags: Flags = match flags::parse(command(), args) {
        Ok(flags) => flags,
        Err(status) => return status,
    };
    flags.common.duration = flags.common.duration.or(flags.seconds);
    let who = match (flags.pid, flags.tid) {
        (Some(pid), _) => format!("PID {pid}"),
        (None, Some(tid)) => format!("TID {tid}"),
        (None, None) => "all threads".into(),
    };
    let view = Stacks {
        flags: &flags.stacks,
        common: &flags.common,
        header: format!(
            "Sampling at {} Hertz of {who} by {} stack... {}",
            flags.frequency,
            flags.stacks.whose(),
            flags::until(&flags.common)
        ),
        annotations: flags.annotations,
        offsets: false,
        number: "count",
        flame: ("CPU profile", "samples"),
    };
    let [user_frames, kernel_frames] = flags.stacks.params();
    let number = |value: Option<u32>| value.unwrap_or(0).to_string();
    let params = vec![
        flags.frequency.to_string(),
        number(flags.pid),
        number(flags.tid),
        number(flags.cpu.map(|cpu| cpu.saturating_add(1))),
        u32::from(flags.include_idle).to_string(),
        user_frames,
        kernel_frames,
    ];
    run::run(Run { name: "profile", script: SCRIPT, params, named: Vec::new(), flags: &flags.common }, view)
}
