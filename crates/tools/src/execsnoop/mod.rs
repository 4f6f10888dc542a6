//! `execsnoop`: every new program: who, and its arguments.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser};
use jiff::Zoned;
use regex::Regex;

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::row::Row;
use crate::run::{self, Run, View};
use crate::table::Table;

/// The row in the list of tools.
pub static TOOL: Tool =
    Tool { name: "execsnoop", summary: "show every new program with its arguments", command, run: main };

const SCRIPT: &str = include_str!("execsnoop.bt");
/// What shows the calls that fail, too.
const FAILS: &str = include_str!("fails.bt");

/// Trace exec() syscalls
#[derive(Parser)]
#[command(name = "execsnoop", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// Put the time of day in front
    #[arg(short = 'T', long)]
    time: bool,
    /// Put the time since the start in front, in seconds
    #[arg(short, long)]
    timestamp: bool,
    /// Show failed calls, too
    #[arg(short = 'x', long)]
    fails: bool,
    /// Of this user only: a name or a number
    #[arg(short, long, value_name = "USER", value_parser = user)]
    uid: Option<u32>,
    /// Put quotes around arguments
    #[arg(short, long)]
    quote: bool,
    /// Commands only whose name matches this regular expression
    #[arg(short, long)]
    name: Option<Regex>,
    /// Calls only whose arguments match this regular expression
    #[arg(short, long)]
    line: Option<Regex>,
    /// Show the user's number
    #[arg(short = 'U', long)]
    print_uid: bool,
    /// Show the CPU
    #[arg(short = 'C', long)]
    print_cpu: bool,
    /// Show the parent's name
    #[arg(short = 'M', long)]
    print_pcomm: bool,
    /// How many arguments are shown
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    max_args: u32,
    /// Children of this process only
    #[arg(short = 'P', long)]
    ppid: Option<u32>,
    #[command(flatten)]
    common: CommonFlags,
}

const EXAMPLES: &str = "\
Examples:
  execsnoop             all exec() calls that succeed
  execsnoop -x          those that fail, too
  execsnoop -T          with the time of day
  execsnoop -t          with the time since the start
  execsnoop -U          with the user
  execsnoop -u 1000     of user 1000
  execsnoop -q          with quotes around arguments
  execsnoop -n main     of commands whose name contains \"main\"
  execsnoop -l tpkg     whose arguments contain \"tpkg\"
  execsnoop -P 181      of the children of process 181";

fn command() -> Command {
    Flags::command()
}

fn main(args: &[OsString]) -> ExitCode {
    let flags: Flags = match flags::parse(command(), args) {
        Ok(flags) => flags,
        Err(status) => return status,
    };
    let mut table = Table::new(&flags.common);
    table.column_if(flags.time, "time", "TIME", -8);
    table.column_if(flags.timestamp, "timestamp", "TIME(s)", -7);
    table.column_if(flags.print_uid, "uid", "UID", -5);
    table.column("comm", "COMM", -16);
    table.column("pid", "PID", -7);
    table.column_if(flags.print_pcomm, "pcomm", "PCOMM", -16);
    table.column("ppid", "PPID", -7);
    table.column_if(flags.print_cpu, "cpu", "CPU", -4);
    table.column("ret", "RET", 3);
    table.column("args", "ARGS", 0);
    let mut named = vec![
        ("uid", flags.uid.map_or_else(|| u32::MAX.to_string(), |uid| uid.to_string())),
        ("ppid", flags.ppid.unwrap_or(0).to_string()),
    ];
    let script = if flags.fails {
        named.push(("args", flags.max_args.to_string()));
        format!("{SCRIPT}{FAILS}")
    } else {
        SCRIPT.to_owned()
    };
    run::run(
        Run { name: "execsnoop", script: &script, params: Vec::new(), named, flags: &flags.common },
        Execs { flags: &flags, table, begun: None, waiting: HashMap::new(), failing: HashMap::new() },
    )
}

/// A user by name or number.
fn user(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().or_else(|| skep_trace::host::user_by_name(text));
    number.ok_or_else(|| format!("there is no user '{text}'"))
}

/// A call, as far as it is known.
struct Exec {
    time: u64,
    pid: u64,
    ppid: u64,
    uid: u64,
    cpu: u64,
    comm: String,
    pcomm: String,
    result: i64,
    args: Vec<String>,
}

/// A call whose arguments are still coming.
struct Waiting {
    exec: Exec,
    len: usize,
    bytes: Vec<u8>,
}

/// Puts arguments together and shows each call.
struct Execs<'a> {
    flags: &'a Flags,
    table: Table,
    begun: Option<u64>,
    waiting: HashMap<u64, Waiting>,
    failing: HashMap<u64, Vec<String>>,
}

impl View for Execs<'_> {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.begun = Some(run::now());
        self.table.write_header(out)
    }

    fn row(&mut self, row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
        match row.uint("kind") {
            0 => {
                let exec = Exec::of(row, vec![row.text("file").to_owned()]);
                let len = usize::try_from(row.uint("len")).unwrap_or(0).min(MOST);
                let waiting = Waiting { exec, len, bytes: row.bytes("args").to_vec() };
                self.whole(waiting, out)
            }
            1 => match self.waiting.remove(&row.uint("pid")) {
                Some(mut waiting) => {
                    waiting.bytes.extend_from_slice(row.bytes("args"));
                    self.whole(waiting, out)
                }
                None => Ok(()),
            },
            2 => {
                self.failing.entry(row.uint("pid")).or_default().push(row.text("arg").to_owned());
                Ok(())
            }
            _ => {
                let mut args = vec![row.text("file").to_owned()];
                args.extend(self.failing.remove(&row.uint("tid")).unwrap_or_default());
                self.show(Exec::of(row, args), out)
            }
        }
    }

    /// What never came was lost, as is told; the rest is shown.
    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            let len = waiting.bytes.len();
            self.whole(Waiting { len, ..waiting }, out)?;
        }
        Ok(())
    }
}

/// Bytes of arguments that the script reads at most.
const MOST: usize = 128 << 10;

impl Exec {
    fn of(row: &Row<'_>, args: Vec<String>) -> Exec {
        Exec {
            time: row.uint("time"),
            pid: row.uint("pid"),
            ppid: row.uint("ppid"),
            uid: row.uint("uid"),
            cpu: row.uint("cpu"),
            comm: row.text("comm").to_owned(),
            pcomm: row.text("pcomm").to_owned(),
            result: row.int("result"),
            args,
        }
    }
}

impl Execs<'_> {
    /// Shows a call if all its arguments are there, else waits for more.
    fn whole(&mut self, mut waiting: Waiting, out: &mut dyn Write) -> io::Result<()> {
        if waiting.bytes.len() < waiting.len {
            self.waiting.insert(waiting.exec.pid, waiting);
            return Ok(());
        }
        let bytes = waiting.bytes.strip_suffix(b"\0").unwrap_or(&waiting.bytes);
        // The file stands for the name the program was called by.
        let args = bytes.split(|byte| *byte == 0).skip(1);
        waiting.exec.args.extend(args.map(|arg| String::from_utf8_lossy(arg).into_owned()));
        self.show(waiting.exec, out)
    }

    fn show(&mut self, mut exec: Exec, out: &mut dyn Write) -> io::Result<()> {
        let max = self.flags.max_args as usize;
        if exec.args.len() > max {
            exec.args.truncate(max);
            exec.args.push("...".into());
        }
        if self.flags.quote {
            for arg in &mut exec.args {
                *arg = format!("\"{}\"", arg.replace('"', "\\\""));
            }
        }
        let line = exec.args.join(" ");
        if self.flags.name.as_ref().is_some_and(|name| !name.is_match(&exec.comm))
            || self.flags.line.as_ref().is_some_and(|wanted| !wanted.is_match(&line))
        {
            return Ok(());
        }
        let since = exec.time.saturating_sub(self.begun.unwrap_or(exec.time));
        let mut row = self.table.row();
        if self.flags.time {
            let now = Zoned::now().strftime("%H:%M:%S").to_string();
            row.cell(now.clone(), now);
        }
        if self.flags.timestamp {
            row.float(since as f64 / 1e9, 3);
        }
        if self.flags.print_uid {
            row.uint(exec.uid);
        }
        row.text(&exec.comm);
        row.uint(exec.pid);
        if self.flags.print_pcomm {
            row.text(&exec.pcomm);
        }
        row.uint(exec.ppid);
        if self.flags.print_cpu {
            row.uint(exec.cpu);
        }
        row.int(exec.result);
        row.foreign(&line, &line.replace('\n', "\\n"));
        row.write(out)
    }
}
