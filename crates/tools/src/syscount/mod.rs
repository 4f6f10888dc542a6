//! `syscount`: system calls by name or process: how many, how long.

use std::cmp::Reverse;
use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser};
use jiff::Zoned;
use skep_trace::host::names::Table as Names;
use skep_trace::sink::Data;

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::rounds::{self, FOREVER};
use crate::run::{self, Run, number, switch};
use crate::table::{Form, Table};
use crate::tops::{Maps, Tops, uint};
use crate::who::Who;

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "syscount",
    summary: "count system calls, or measure their times, by name or by process",
    command,
    run: |args| flags::run(command(), args, main),
};

const SCRIPT: &str = include_str!("syscount.bt");

/// Count system calls by name or by process
#[derive(Parser)]
#[command(name = "syscount", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// Of the children of this process only
    #[arg(short = 'c', long)]
    ppid: Option<u32>,
    /// Seconds between outputs; without it there is one at the end
    #[arg(short, long, value_parser = clap::value_parser!(u64).range(1..=FOREVER))]
    interval: Option<u64>,
    /// How many rows
    #[arg(short = 'T', long, default_value_t = 10)]
    top: usize,
    /// Failed calls only
    #[arg(short = 'x', long)]
    failures: bool,
    /// Calls that failed with this error only: a name or a number
    #[arg(short, long, value_parser = errno)]
    errno: Option<u32>,
    /// Measure how long they took
    #[arg(short = 'L', long)]
    latency: bool,
    /// Times in milliseconds instead of microseconds
    #[arg(short, long)]
    milliseconds: bool,
    /// By process instead of by call
    #[arg(short = 'P', long)]
    process: bool,
    /// This call only
    #[arg(long, value_parser = syscall)]
    syscall: Option<u32>,
    /// List the names of all calls, and stop
    #[arg(short, long)]
    list: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    common: CommonFlags,
}

const EXAMPLES: &str = "\
Examples:
  syscount              count calls until Ctrl-C
  syscount -i 1         one table a second
  syscount -p 181       of process 181
  syscount -x           failed calls
  syscount -e ENOENT    calls that failed with ENOENT
  syscount -L           with the time spent
  syscount -P           by process
  syscount -d 5 -T 20   for 5 seconds, 20 rows
  syscount --exec ls    of a command";

fn command() -> Command {
    Flags::command().mut_arg("duration", |arg| arg.short('d')).mut_arg("tid", |arg| arg.short('t'))
}

fn main(flags: Flags) -> ExitCode {
    if flags.list {
        for name in (0..Names::Syscalls.rows()).filter_map(name_of) {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    }
    let latency = flags.latency;
    let (unit, nanoseconds) = if flags.milliseconds { ("TIME (ms)", 1e6) } else { ("TIME (us)", 1e3) };
    let mut table = Table::new(&flags.common);
    if flags.process {
        table.column("pid", "PID", -6);
        table.column("comm", "COMM", -15);
    } else {
        table.column("syscall", "SYSCALL", -22);
    }
    table.column("count", "COUNT", 8);
    table.column_if(latency, if flags.milliseconds { "ms" } else { "us" }, unit, 16);

    let text = Form::of(&flags.common) == Form::Text;
    let opening = if !text || flags.common.no_header {
        String::new()
    } else if flags.interval.is_some() {
        format!("Tracing syscalls, printing top {}... Ctrl+C to quit.", flags.top)
    } else {
        "Tracing syscalls... Ctrl+C to print the summary and quit.".to_owned()
    };
    let show = Tops::new(opening, |maps: &Maps, out: &mut dyn std::io::Write| {
        let mut rows: Vec<(&Data, u64, u64)> = maps
            .entries("calls")
            .iter()
            .map(|entry| (&entry.key, uint(&entry.value), maps.uint("time", &entry.key)))
            .collect();
        rows.sort_by_key(|(_, count, time)| Reverse(if latency { *time } else { *count }));
        if text {
            writeln!(out, "[{}]", Zoned::now().strftime("%H:%M:%S"))?;
        }
        table.write_header(out)?;
        for (key, count, time) in rows.into_iter().take(flags.top) {
            let mut row = table.row();
            let number = uint(key);
            if flags.process {
                row.uint(number);
                row.text(maps.text("name", key));
            } else {
                let name = u32::try_from(number).ok().and_then(name_of);
                row.text(&name.map_or_else(|| format!("[unknown: {number}]"), str::to_owned));
            }
            row.uint(count);
            if latency {
                row.float(time as f64 / nanoseconds, 3);
            }
            row.write(out)?;
        }
        if text { writeln!(out) } else { Ok(()) }
    });
    let ppid = flags.ppid.map(|ppid| format!("curtask->real_parent->tgid == {ppid}"));
    let mut filter = flags.who.filter();
    if let Some(parent) = ppid {
        filter = filter.and(parent, "");
    }
    let script = rounds::script(SCRIPT, &["calls", "time", "name"], &["begun"]);
    run::run(
        Run {
            params: vec![flags.interval.unwrap_or(FOREVER).to_string(), FOREVER.to_string()],
            named: vec![
                ("failures", switch(flags.failures)),
                ("errno", number(flags.errno)),
                ("latency", switch(latency)),
                ("process", switch(flags.process)),
                ("syscall", flags.syscall.map_or_else(|| "-1".into(), |number| number.to_string())),
            ],
            filter,
            ..Run::new("syscount", &script, &flags.common)
        },
        show,
    )
}

fn name_of(number: u32) -> Option<&'static str> {
    Some(Names::Syscalls.name(i64::from(number))).filter(|name| *name != Names::Syscalls.unknown())
}

fn syscall(name: &str) -> Result<u32, String> {
    (0..Names::Syscalls.rows())
        .find(|number| name_of(*number) == Some(name))
        .ok_or_else(|| format!("there is no system call '{name}'; --list names all"))
}

fn errno(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().or_else(|| skep_trace::host::errno_by_name(text));
    number.filter(|number| *number > 0).ok_or_else(|| format!("there is no error '{text}'"))
}
