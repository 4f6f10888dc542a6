//! `opensnoop`: which files are opened, by whom, and with what result.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::row::Row;
use crate::run::{self, Run};
use crate::{Tool, lines};

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "opensnoop",
    summary: "show every open() of a file, with its result",
    command: Flags::command,
    run: main,
};

const SCRIPT: &str = include_str!("opensnoop.bt");

/// Trace open(), openat(), openat2() and creat().
#[derive(Parser)]
#[command(name = "opensnoop", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// Show the time since the first event, in seconds
    #[arg(short = 'T', long)]
    timestamp: bool,
    /// Show the user's number
    #[arg(short = 'U', long)]
    print_uid: bool,
    /// Show failed calls only
    #[arg(short = 'x', long)]
    failed: bool,
    /// Trace this process only
    #[arg(short, long)]
    pid: Option<u32>,
    /// Trace this thread only
    #[arg(short, long)]
    tid: Option<u32>,
    /// Trace this user only, by number
    #[arg(short, long)]
    uid: Option<u32>,
    /// End after this many seconds
    #[arg(short, long, value_name = "SECONDS")]
    duration: Option<u64>,
    /// Show threads only whose name contains this
    #[arg(short, long)]
    name: Option<String>,
    #[command(flatten)]
    common: run::CommonFlags,
}

const EXAMPLES: &str = "\
Examples:
  opensnoop             all open() calls
  opensnoop -T          with a time in front
  opensnoop -U          with the user
  opensnoop -x          failed ones only
  opensnoop -p 181      of process 181
  opensnoop -t 123      of thread 123
  opensnoop -u 1000     of user 1000
  opensnoop -d 10       for 10 seconds
  opensnoop -n main     of threads whose name contains \"main\"";

fn main(args: &[OsString]) -> ExitCode {
    let flags: Flags = match run::parse("opensnoop", args) {
        Ok(flags) => flags,
        Err(status) => return status,
    };
    let number = |value: Option<u32>| value.unwrap_or(0).to_string();
    let switch = |value: bool| u32::from(value).to_string();
    let by_tid = flags.tid.is_some();

    let mut view = lines::View::new();
    view.column_if(flags.timestamp, "TIME(s)", -14);
    view.column_if(flags.print_uid, "UID", -6);
    view.column(if by_tid { "TID" } else { "PID" }, -6);
    view.column("COMM", -16);
    view.column("FD", 4);
    view.column("ERR", 3);
    view.column("PATH", 0);

    let mut first = None;
    run::run(
        Run {
            name: "opensnoop",
            script: SCRIPT,
            // A thread is told apart by its own number, whatever its process.
            params: vec![
                if by_tid { "0".into() } else { number(flags.pid) },
                number(flags.tid),
                switch(flags.uid.is_some()),
                number(flags.uid),
                switch(flags.failed),
            ],
            duration: flags.duration,
            flags: &flags.common,
        },
        view,
        |row: &Row<'_>, line| {
            let comm = row.text("comm");
            if flags.name.as_ref().is_some_and(|name| !comm.contains(name.as_str())) {
                return;
            }
            let time = row.uint("time");
            let since = time.saturating_sub(*first.get_or_insert(time));
            let result = row.int("result");
            let (fd, error) = if result < 0 { (-1, -result) } else { (result, 0) };
            if flags.timestamp {
                line.cell(format_args!("{}.{:09}", since / 1_000_000_000, since % 1_000_000_000));
            }
            if flags.print_uid {
                line.cell(row.uint("uid"));
            }
            line.cell(row.uint(if by_tid { "tid" } else { "pid" }));
            line.text(comm);
            line.cell(fd);
            line.cell(error);
            line.text(row.text("path"));
        },
    )
}
