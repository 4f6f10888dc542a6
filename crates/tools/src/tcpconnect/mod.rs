//! `tcpconnect`: TCP connections that processes open.

mod dns;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser};
use skep_trace::sink::{Data, MapEntry};

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::lead::{RowFlags, Times};
use crate::lines::Lines;
use crate::row::Row;
use crate::run::{self, Run, View, switch};
use crate::table::{Cells, Table};
use crate::tops::uint;
use crate::who::Who;

use dns::Answers;

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "tcpconnect",
    summary: "show every TCP connection that a process opens, or count them",
    command,
    run: |args| flags::run(command(), args, main),
};

const SCRIPT: &str = include_str!("tcpconnect.bt");
/// What tells the answers of name servers.
const ANSWERS: &str = include_str!("dns.bt");

/// Trace TCP connects
#[derive(Parser)]
#[command(name = "tcpconnect", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// Put the time since the first line in front, in seconds
    #[arg(short, long)]
    timestamp: bool,
    /// Trace connections to these ports only
    #[arg(short = 'P', long, value_name = "PORT", value_delimiter = ',')]
    port: Vec<u16>,
    /// IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Show the local port, too: a line waits for the answer
    #[arg(short = 'L', long, visible_aliases = ["source-port"], short_alias = 's')]
    lport: bool,
    /// Show the user's number
    #[arg(short = 'U', long)]
    print_uid: bool,
    /// Count connections by both addresses and the remote port
    #[arg(short, long, conflicts_with = "lport")]
    count: bool,
    /// Show the name that a name server gave this address for, as far as it was seen
    #[arg(short, long, conflicts_with = "count")]
    dns: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    rows: RowFlags,
    #[command(flatten)]
    common: CommonFlags,
}

const EXAMPLES: &str = "\
Examples:
  tcpconnect            all connects
  tcpconnect -t         with a time in front
  tcpconnect -p 181     of process 181
  tcpconnect -P 80,81   to ports 80 and 81
  tcpconnect -4         IPv4 only
  tcpconnect -U         with the user
  tcpconnect -u 1000    of user 1000
  tcpconnect -c         counted
  tcpconnect -L         with the local port
  tcpconnect -d         with the names that were looked up";

fn command() -> Command {
    Flags::command()
        .mut_arg("uid", |arg| arg.short('u'))
        .mut_arg("cgroupmap", |arg| arg.short('C'))
        .mut_arg("mntnsmap", |arg| arg.short('M'))
}

fn main(flags: Flags) -> ExitCode {
    let family = match (flags.ipv4, flags.ipv6) {
        (true, _) => 2,
        (_, true) => 10,
        _ => 0,
    };
    let script = if flags.dns { format!("{SCRIPT}{ANSWERS}") } else { SCRIPT.to_owned() };
    let run = Run {
        named: vec![
            ("family", family.to_string()),
            ("lport", switch(flags.lport)),
            ("count", switch(flags.count)),
        ],
        filter: flags.who.filter().container(flags.rows.container),
        ..Run::new("tcpconnect", &script, &flags.common)
    };
    let wanted = |port: u64| flags.port.is_empty() || flags.port.iter().any(|&one| u64::from(one) == port);
    if flags.count {
        return run::run(run, Counted { table: counts(&flags.common), wanted });
    }
    let mut table = Table::of_events(&flags.common, &flags.rows);
    table.column_if(flags.timestamp, "time", "TIME(s)", -9);
    table.column_if(flags.print_uid, "uid", "UID", -6);
    table.column("pid", "PID", -7);
    table.column("comm", "COMM", -12);
    table.column("ip", "IP", -2);
    table.column("saddr", "SADDR", -16);
    table.column_if(flags.lport, "lport", "LPORT", -6);
    table.column("daddr", "DADDR", -16);
    table.column("dport", "DPORT", if flags.dns { -5 } else { 0 });
    table.column_if(flags.dns, "query", "QUERY", 0);

    let times = Times::default();
    let mut answers = Answers::default();
    let lines = Lines::new(table, |row: &Row<'_>, cells: &mut Cells<'_>| {
        if row.uint("kind") == 1 {
            return answers.take(row.bytes("answer"));
        }
        if !wanted(row.uint("rport")) {
            return;
        }
        let who = row.record("who");
        if flags.timestamp {
            cells.float(times.since_first(row.uint("time")), 3);
        }
        if flags.print_uid {
            cells.uint(who.uint("uid"));
        }
        cells.uint(who.uint("pid"));
        let comm = who.text("comm");
        let shown: String = comm.chars().take(12).collect();
        cells.foreign(comm, &shown);
        cells.uint(if row.uint("family") == 2 { 4u64 } else { 6 });
        cells.text(row.text("laddr"));
        if flags.lport {
            cells.uint(row.uint("lport"));
        }
        cells.text(row.text("raddr"));
        cells.uint(row.uint("rport"));
        if flags.dns {
            cells.text(answers.name_of(row.text("raddr")).unwrap_or("No DNS Query"));
        }
    });
    run::run(run, lines)
}

fn counts(flags: &CommonFlags) -> Table {
    let mut table = Table::new(flags);
    table.column("laddr", "LADDR", -25);
    table.column("raddr", "RADDR", -25);
    table.column("rport", "RPORT", -20);
    table.column("connects", "CONNECTS", 0);
    table
}

/// The table of counts at the end.
struct Counted<W> {
    table: Table,
    wanted: W,
}

impl<W: Fn(u64) -> bool> View for Counted<W> {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.table.is_text() { writeln!(out, "Tracing connect ... Hit Ctrl-C to end") } else { Ok(()) }
    }

    fn map(&mut self, _: &str, entries: Vec<MapEntry>, out: &mut dyn Write) -> io::Result<()> {
        if self.table.is_text() {
            writeln!(out)?;
        }
        self.table.write_header(out)?;
        for entry in entries.iter().rev() {
            let Data::List(key) = &entry.key else { continue };
            let [Data::Text(local), Data::Text(remote), port] = key.as_slice() else { continue };
            if (self.wanted)(uint(port)) {
                let mut row = self.table.row();
                row.text(local);
                row.text(remote);
                row.uint(uint(port));
                row.uint(uint(&entry.value));
                row.write(out)?;
            }
        }
        Ok(())
    }
}
