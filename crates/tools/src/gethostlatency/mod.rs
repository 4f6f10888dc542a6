//! `gethostlatency`: how long the names of hosts took to be looked up, through the C library's functions.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::lead::{RowFlags, Times};
use crate::lines::Lines;
use crate::row::Row;
use crate::run::{self, Run};
use crate::table::{Cells, Table};
use crate::who::{Who, quoted};

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "gethostlatency",
    summary: "show every lookup of a host's name by the C library, and how long it took",
    command: Flags::command,
    run: |args| flags::run(Flags::command(), args, main),
};

const SCRIPT: &str = include_str!("gethostlatency.bt");

/// Show how long getaddrinfo(), gethostbyname() and gethostbyname2() took
#[derive(Parser)]
#[command(name = "gethostlatency", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// The C library: its file
    #[arg(short, long, value_name = "FILE")]
    libc: Option<String>,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    rows: RowFlags,
    #[command(flatten)]
    common: CommonFlags,
}

const EXAMPLES: &str = "\
Examples:
  gethostlatency              all lookups
  gethostlatency -p 181       of process 181
  gethostlatency -l /lib/ld-musl-x86_64.so.1   through another C library";

fn main(flags: Flags) -> ExitCode {
    let mut table = Table::of_events(&flags.common, &flags.rows);
    table.column("time", "TIME", -9);
    table.column("pid", "PID", -7);
    table.column("comm", "COMM", -16);
    table.column("ms", "LATms", 10);
    table.column("host", "HOST", 0);
    let times = Times::default();
    let lines = Lines::new(table, |row: &Row<'_>, cells: &mut Cells<'_>| {
        let who = row.record("who");
        cells.text(&times.of_day(who.uint("time")));
        cells.uint(who.uint("pid"));
        cells.text(who.text("comm"));
        cells.float(row.uint("took") as f64 / 1e6, 2);
        cells.text(row.text("host"));
    });
    let script = match &flags.libc {
        Some(path) => SCRIPT.replace("probe:libc:", &format!("probe:{}:", quoted(path))),
        None => SCRIPT.to_owned(),
    };
    run::run(
        Run {
            filter: flags.who.filter().container(flags.rows.container),
            ..Run::new("gethostlatency", &script, &flags.common)
        },
        lines,
    )
}
