//! `opensnoop`: which files are opened, by whom, and with what result.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser};

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::lines::Lines;
use crate::row::Row;
use crate::run::{self, Run};
use crate::table::{Cells, Table};

/// The row in the list of tools.
pub static TOOL: Tool =
    Tool { name: "opensnoop", summary: "show every open() of a file, with its result", command, run: main };

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
    /// Show threads only whose name contains this
    #[arg(short, long)]
    name: Option<String>,
    #[command(flatten)]
    common: CommonFlags,
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

fn command() -> Command {
    Flags::command().mut_arg("duration", |arg| arg.short('d'))
}

fn main(args: &[OsString]) -> ExitCode {
    let flags: Flags = match flags::parse(command(), args) {
        Ok(flags) => flags,
        Err(status) => return status,
    };
    let number = |value: Option<u32>| value.unwrap_or(0).to_string();
    let switch = |value: bool| u32::from(value).to_string();
    let by_tid = flags.tid.is_some();

    let mut table = Table::new(&flags.common);
    table.column_if(flags.timestamp, "time", "TIME(s)", -14);
    table.column_if(flags.print_uid, "uid", "UID", -6);
    if by_tid {
        table.column("tid", "TID", -6);
    } else {
        table.column("pid", "PID", -6);
    }
    table.column("comm", "COMM", -16);
    table.column("fd", "FD", 4);
    table.column("errno", "ERR", 3);
    table.column("path", "PATH", 0);

    let mut first = None;
    let lines = Lines::new(table, |row: &Row<'_>, cells: &mut Cells<'_>| {
        let comm = row.text("comm");
        if flags.name.as_ref().is_some_and(|name| !comm.contains(name.as_str())) {
            return;
        }
        let time = row.uint("time");
        let since = time.saturating_sub(*first.get_or_insert(time));
        let result = row.int("result");
        let (fd, error) = if result < 0 { (-1, -result) } else { (result, 0) };
        if flags.timestamp {
            cells.float(since as f64 / 1e9, 9);
        }
        if flags.print_uid {
            cells.uint(row.uint("uid"));
        }
        cells.uint(row.uint(if by_tid { "tid" } else { "pid" }));
        cells.text(comm);
        cells.int(fd);
        cells.int(error);
        cells.text(row.text("path"));
    });
    run::run(
        Run {
            name: "opensnoop",
            script: SCRIPT,
            params: Vec::new(),
            named: vec![
                // A thread is told apart by its own number, whatever its process.
                ("pid", if by_tid { "0".into() } else { number(flags.pid) }),
                ("tid", number(flags.tid)),
                ("uid", flags.uid.map_or_else(|| u32::MAX.to_string(), |uid| uid.to_string())),
                ("failed", switch(flags.failed)),
            ],
            flags: &flags.common,
        },
        lines,
    )
}
