//! `tcplife`: TCP sessions that end: who, between what, how much, how long.

use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser};

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::lead::{RowFlags, Times};
use crate::lines::Lines;
use crate::row::Row;
use crate::run::{self, Run};
use crate::table::{Cells, Table};
use crate::who::Who;

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "tcplife",
    summary: "show every TCP session that ends: who, between what, how much, how long",
    command,
    run: |args| flags::run(command(), args, main),
};

const SCRIPT: &str = include_str!("tcplife.bt");

/// Trace the lifespan of TCP sessions and summarize
#[derive(Parser)]
#[command(name = "tcplife", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// Put the time of day in front
    #[arg(short = 'T', long)]
    time: bool,
    /// Put the time since the first line in front, in seconds
    #[arg(short, long)]
    timestamp: bool,
    /// Columns wide enough for IPv6 addresses
    #[arg(short, long)]
    wide: bool,
    /// Trace these local ports only
    #[arg(short = 'L', long, value_name = "PORT", value_delimiter = ',')]
    localport: Vec<u16>,
    /// Trace these remote ports only
    #[arg(short = 'D', long, value_name = "PORT", value_delimiter = ',')]
    remoteport: Vec<u16>,
    /// IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', long)]
    ipv6: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    rows: RowFlags,
    #[command(flatten)]
    common: CommonFlags,
}

const EXAMPLES: &str = "\
Examples:
  tcplife               all sessions, as they end
  tcplife -t            with a time in front
  tcplife -w            with columns wide enough for IPv6
  tcplife -s            as comma-separated values
  tcplife -p 181        of process 181
  tcplife -L 80         of local port 80
  tcplife -L 80,81      of local ports 80 and 81
  tcplife -D 80         to remote port 80
  tcplife -6            IPv6 only";

fn command() -> Command {
    Flags::command().mut_arg("csv", |arg| arg.short('s'))
}

fn main(flags: Flags) -> ExitCode {
    let address = if flags.wide { -26 } else { -15 };
    let mut table = Table::of_events(&flags.common, &flags.rows);
    table.column_if(flags.time, "time", "TIME", -8);
    table.column_if(flags.timestamp, "timestamp", "TIME(s)", -9);
    table.column("pid", "PID", -7);
    table.column("comm", "COMM", if flags.wide { -16 } else { -10 });
    table.column_if(flags.wide || flags.common.csv, "ip", "IP", -2);
    table.column("laddr", "LADDR", address);
    table.column("lport", "LPORT", -5);
    table.column("raddr", "RADDR", address);
    table.column("rport", "RPORT", -5);
    table.column("tx_kb", "TX_KB", 6);
    table.column("rx_kb", "RX_KB", 6);
    table.column("ms", "MS", 0);

    let wanted =
        |ports: &[u16], port: u64| ports.is_empty() || ports.iter().any(|&one| u64::from(one) == port);
    let times = Times::default();
    let lines = Lines::new(table, |row: &Row<'_>, cells: &mut Cells<'_>| {
        let (lport, rport) = (row.uint("lport"), row.uint("rport"));
        if !wanted(&flags.localport, lport) || !wanted(&flags.remoteport, rport) {
            return;
        }
        let who = row.record("who");
        if flags.time {
            cells.text(&times.of_day(row.uint("time")));
        }
        if flags.timestamp {
            cells.float(times.since_first(row.uint("time")), 6);
        }
        cells.uint(who.uint("pid"));
        let comm = who.text("comm");
        let shown: String = comm.chars().take(if flags.wide { 16 } else { 10 }).collect();
        cells.foreign(comm, &shown);
        if flags.wide || flags.common.csv {
            cells.uint(if row.uint("family") == 2 { 4u64 } else { 6 });
        }
        cells.text(row.text("laddr"));
        cells.uint(lport);
        cells.text(row.text("raddr"));
        cells.uint(rport);
        cells.uint(row.uint("sent") / 1024);
        cells.uint(row.uint("received") / 1024);
        cells.float(row.uint("lived") as f64 / 1e6, 2);
    });
    let family = match (flags.ipv4, flags.ipv6) {
        (true, _) => 2,
        (_, true) => 10,
        _ => 0,
    };
    run::run(
        Run {
            named: vec![("family", family.to_string())],
            filter: flags.who.filter().container(flags.rows.container),
            ..Run::new("tcplife", SCRIPT, &flags.common)
        },
        lines,
    )
}
