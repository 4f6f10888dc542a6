//! `execsnoop`: every new program: who, and its arguments.

use std::collections::HashMap;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser};
use regex::Regex;
use skep_trace::sink::Data;

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::lead::{RowFlags, Times};
use crate::row::Row;
use crate::run::{self, Run, View};
use crate::table::Table;
use crate::who::Who;

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "execsnoop",
    summary: "show every new program with its arguments",
    command,
    run: |args| flags::run(command(), args, main),
};

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
    /// Put quotes around arguments
    #[arg(short, long)]
    quote: bool,
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
    who: Who,
    #[command(flatten)]
    rows: RowFlags,
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
    let name = "Commands only whose name matches this regular expression";
    Flags::command()
        .mut_arg("uid", |arg| arg.short('u'))
        .mut_arg("name", |arg| arg.help(name).value_name("REGEX"))
        .mut_arg("cgroup", |arg| arg.short('c'))
}

fn main(mut flags: Flags) -> ExitCode {
    // A program is called by its name when it runs, which the kernel's side of the filter could only search.
    let name = match flags.who.name.take().as_deref().map(Regex::new).transpose() {
        Ok(name) => name,
        Err(error) => {
            eprintln!("execsnoop: --name: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut table = Table::of_events(&flags.common, &flags.rows);
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
    let (mut named, mut script) = (Vec::new(), SCRIPT.to_owned());
    if flags.fails {
        named.push(("args", flags.max_args.to_string()));
        script.push_str(FAILS);
    }
    let mut filter = flags.who.filter().container(flags.rows.container);
    if let Some(parent) = flags.ppid {
        filter = filter.and(format!("curtask->real_parent->tgid == {parent}"), "");
    }
    run::run(
        Run { named, filter, ..Run::new("execsnoop", &script, &flags.common) },
        Execs {
            flags: &flags,
            name,
            table,
            times: Times::default(),
            begun: 0,
            waiting: HashMap::new(),
            failing: HashMap::new(),
        },
    )
}

/// A call, as far as it is known.
struct Exec {
    who: Data,
    ppid: u64,
    cpu: u64,
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
    name: Option<Regex>,
    table: Table,
    times: Times,
    begun: u64,
    waiting: HashMap<u64, Waiting>,
    failing: HashMap<u64, Vec<String>>,
}

impl View for Execs<'_> {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.begun = run::now();
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
                let tid = row.record("who").uint("tid");
                args.extend(self.failing.remove(&tid).unwrap_or_default());
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
    /// Whose call it is.
    fn who(&self) -> Row<'_> {
        Row::of(&self.who)
    }

    fn of(row: &Row<'_>, args: Vec<String>) -> Exec {
        Exec {
            who: row.get("who").cloned().unwrap_or(Data::Void),
            ppid: row.uint("ppid"),
            cpu: row.uint("cpu"),
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
            self.waiting.insert(waiting.exec.who().uint("pid"), waiting);
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
        let who = exec.who();
        if self.name.as_ref().is_some_and(|name| !name.is_match(who.text("comm")))
            || self.flags.line.as_ref().is_some_and(|wanted| !wanted.is_match(&line))
        {
            return Ok(());
        }
        let since = who.uint("time").saturating_sub(self.begun);
        let mut row = self.table.row_of(&who);
        if self.flags.time {
            row.text(&self.times.of_day(who.uint("time")));
        }
        if self.flags.timestamp {
            row.float(since as f64 / 1e9, 3);
        }
        if self.flags.print_uid {
            row.uint(who.uint("uid"));
        }
        row.text(who.text("comm"));
        row.uint(who.uint("pid"));
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
