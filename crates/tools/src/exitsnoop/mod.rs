//! `exitsnoop`: processes that end, how old they were, and how.

use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser};
use jiff::Zoned;
use jiff::tz::TimeZone;

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::lead::{RowFlags, Times};
use crate::lines::Lines;
use crate::row::Row;
use crate::run::{self, Run, switch};
use crate::table::{Cells, Table};
use crate::who::Who;

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "exitsnoop",
    summary: "show every process that ends: its age, its exit status or signal",
    command,
    run: |args| flags::run(command(), args, main),
};

const SCRIPT: &str = include_str!("exitsnoop.bt");

/// Trace the ends of processes
#[derive(Parser)]
#[command(name = "exitsnoop", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// Put the time of day in front
    #[arg(short, long)]
    timestamp: bool,
    /// Times in UTC
    #[arg(long)]
    utc: bool,
    /// Put this text in front of each line
    #[arg(long, num_args = 0..=1, default_missing_value = "exit", require_equals = true)]
    label: Option<String>,
    /// Only those that did not exit with 0
    #[arg(short = 'x', long)]
    failed: bool,
    /// Each thread, not only the last one of a process
    #[arg(short = 'T', long, visible_alias = "threaded")]
    per_thread: bool,
    /// Understood; ages are always measured by the clock that began with the process
    #[arg(long, hide = true)]
    timespec: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    rows: RowFlags,
    #[command(flatten)]
    common: CommonFlags,
}

const EXAMPLES: &str = "\
Examples:
  exitsnoop                  all processes that end
  exitsnoop -x               those that failed or were killed
  exitsnoop -t --utc         with times, in UTC
  exitsnoop -p 180           process 180 only
  exitsnoop --per-thread     threads, too
  exitsnoop --label=build    with a label in front";

fn command() -> Command {
    Flags::command().mut_arg("cgroup", |arg| arg.short('c'))
}

fn main(flags: Flags) -> ExitCode {
    let zone = if flags.utc { TimeZone::UTC } else { TimeZone::system() };
    let times = Times::default();
    let time_header = format!("TIME-{}", Zoned::now().with_time_zone(zone.clone()).strftime("%Z"));
    let mut table = Table::of_events(&flags.common, &flags.rows);
    table.column_if(flags.timestamp, "time", time_header, -13);
    table.column_if(flags.label.is_some(), "label", "LABEL", -6);
    table.column("comm", "PCOMM", -16);
    table.column("pid", "PID", -7);
    table.column("ppid", "PPID", -7);
    table.column("tid", "TID", -7);
    table.column("age", "AGE(s)", -7);
    table.column("exit", "EXIT_CODE", 0);

    let lines = Lines::new(table, |row: &Row<'_>, cells: &mut Cells<'_>| {
        let who = row.record("who");
        if flags.timestamp {
            let time = times.zoned(who.uint("time")).with_time_zone(zone.clone());
            cells.text(&time.strftime("%H:%M:%S%.3f").to_string());
        }
        if let Some(label) = &flags.label {
            cells.text(label);
        }
        cells.text(who.text("comm"));
        cells.uint(who.uint("pid"));
        cells.uint(row.uint("ppid"));
        cells.uint(who.uint("tid"));
        cells.float(row.uint("age") as f64 / 1e9, 2);
        cells.text(&ending(row.uint("code")));
    });
    run::run(
        Run {
            named: vec![("failed", switch(flags.failed)), ("threads", switch(flags.per_thread))],
            filter: flags.who.filter().container(flags.rows.container),
            ..Run::new("exitsnoop", SCRIPT, &flags.common)
        },
        lines,
    )
}

/// What a status as wait(2) gives it tells.
fn ending(status: u64) -> String {
    let (code, signal, core) = (status >> 8 & 0xff, status & 0x7f, status & 0x80 != 0);
    if signal == 0 {
        return if code == 0 { "0".into() } else { format!("code {code}") };
    }
    let name = i32::try_from(signal).ok().and_then(skep_trace::host::signal_name).unwrap_or("?");
    let core = if core { ", core dumped" } else { "" };
    format!("signal {signal} ({}){core}", name.trim_start_matches("SIG"))
}

#[cfg(test)]
mod tests {
    use super::ending;

    #[test]
    fn statuses_read_as_bcc_writes_them() {
        assert_eq!(ending(0), "0");
        assert_eq!(ending(3 << 8), "code 3");
        assert_eq!(ending(9), "signal 9 (KILL)");
        assert_eq!(ending(0x80 | 11), "signal 11 (SEGV), core dumped");
    }
}
