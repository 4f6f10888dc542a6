//! `bpfsnoop`: every bpf(2) call of a command and its children, of processes that run, or of the whole system, as
//! `strace -f -e bpf` shows them. The inspector follows commands and processes, which stand at each call until it is
//! decoded; the whole system is traced by a script that stops nobody ([`everybody`]).

mod everybody;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Command, CommandFactory, Parser};
use skep_inspect::calls::{Detail, Followed, Show, Style, follow};

use crate::Tool;
use crate::flags;
use crate::who::Groups;

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "bpfsnoop",
    summary: "show every bpf(2) call of a command and its children, of a process, or of the whole system",
    command,
    run: |args| flags::run(command(), args, main),
};

/// Show every bpf(2) call of a command and its children, of a process, or of the whole system
#[derive(Parser)]
#[command(name = "bpfsnoop", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// Follow this process (may be repeated)
    #[arg(short, long, value_name = "PID", value_delimiter = ',', conflicts_with = "command")]
    pid: Vec<i32>,
    /// Write to this file instead of standard error
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show instructions, structures and the verifier's log in full
    #[arg(short, long)]
    verbose: bool,
    /// Show what descriptors are
    #[arg(short = 'y', long)]
    decode_fds: bool,
    /// Show this many bytes of a text
    #[arg(short, long, value_name = "BYTES", default_value_t = 32)]
    string_limit: usize,
    /// Count calls, errors and time by command, and show nothing else
    #[arg(short = 'c', long)]
    summary_only: bool,
    /// Put the time of day in front; twice: with microseconds; three times: as seconds since 1970
    #[arg(short = 't', action = clap::ArgAction::Count)]
    time: u8,
    /// Show the time spent in each call
    #[arg(short = 'T', long)]
    syscall_times: bool,
    /// Leave out what is no call: signals, beginnings and ends
    #[arg(short, long)]
    quiet: bool,
    /// Print one JSON object per call
    #[arg(long, conflicts_with = "summary_only")]
    json: bool,
    /// Follow children; they always are
    #[arg(short, long, hide = true, action = clap::ArgAction::Count)]
    follow_forks: u8,
    /// Which calls; it always is bpf
    #[arg(short = 'e', long = "trace", hide = true, value_parser = ["bpf", "trace=bpf"])]
    expr: Vec<String>,
    #[command(flatten)]
    system: System,
    /// The command and its arguments; without it and -p, the whole system is shown
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Flags that are about the whole system only.
#[derive(clap::Args)]
#[command(next_help_heading = "The whole system")]
struct System {
    /// End after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = flags::seconds, conflicts_with_all = ["pid", "command"])]
    duration: Option<Duration>,
    /// Print the script that is run, and stop
    #[arg(long, conflicts_with_all = ["pid", "command"])]
    script: bool,
    /// Pages of 4 KiB that calls may wait in before they are read
    #[arg(long, value_name = "PAGES", value_parser = clap::value_parser!(u32).range(1..=1 << 19))]
    buffer_pages: Option<u32>,
    #[command(flatten)]
    groups: Groups,
}

const EXAMPLES: &str = "\
Examples:
  bpfsnoop -- bpftool prog show       the calls of a command and its children
  bpfsnoop -v -y skep execsnoop       with instructions, logs, and what descriptors are
  bpfsnoop -p 181                     of a process that runs, until Ctrl-C
  bpfsnoop                            of all processes, until Ctrl-C
  bpfsnoop -c bpftrace script.bt      how many of each, and how long they took
  bpfsnoop --json -o calls.json make  for a program to read";

fn command() -> Command {
    Flags::command().mut_group("Groups", |group| group.conflicts_with_all(["pid", "command"]))
}

fn main(flags: Flags) -> ExitCode {
    let shown = show(&flags).and_then(|show| {
        let who = match (flags.command.as_slice(), flags.pid.as_slice()) {
            ([], []) => return Ok(everybody::trace(&flags, show)),
            ([], pids) => Followed::Processes(pids),
            (command, _) => Followed::Command(command),
        };
        follow(who, detail(&flags), show).map(ExitCode::from)
    });
    shown.unwrap_or_else(|message| {
        eprintln!("bpfsnoop: {message}");
        ExitCode::FAILURE
    })
}

/// Where calls are shown, and how.
fn show(flags: &Flags) -> Result<Show, String> {
    let out: Box<dyn Write + Send> = match &flags.output {
        Some(path) => Box::new(
            File::create(path).map_err(|error| format!("cannot write to {}: {error}", path.display()))?,
        ),
        None => Box::new(io::stderr()),
    };
    let style = Style {
        file: flags.output.is_some(),
        quiet: flags.quiet,
        time: flags.time,
        spent: flags.syscall_times,
        json: flags.json,
        summary: flags.summary_only,
    };
    Ok(Show::new(out, style))
}

fn detail(flags: &Flags) -> Detail {
    Detail { verbose: flags.verbose, paths: flags.decode_fds, text: flags.string_limit }
}
