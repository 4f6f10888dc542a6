//! `trace`: a line for each time that a function, tracepoint or user probe is hit, with a message of one's own. It
//! writes its script itself.

mod expression;
mod format;
mod probe;

use std::collections::HashMap;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser};
use serde_json::Value;
use skep_trace::sink::Data;
use skep_trace::stack::StackFrame;
use skep_ui::text::escape;

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::lead::{RowFlags, Shown, TimeForm, Times};
use crate::row::Row;
use crate::run::{self, Run, View};
use crate::table::Table;
use crate::who::Who;

use probe::Probe;

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "trace",
    summary: "print a line when functions, tracepoints or user probes are hit (skep tools trace)",
    command,
    run: |args| flags::run(command(), args, main),
};

/// Trace functions and probes and print messages about them
#[derive(Parser)]
#[command(name = "trace", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// How many bytes of texts are shown
    #[arg(short = 'Z', long, default_value_t = 80, value_parser = clap::value_parser!(u32).range(1..=4096))]
    string_size: u32,
    /// Trace this process, too
    #[arg(short = 'S', long)]
    include_self: bool,
    /// End after so many messages
    #[arg(short = 'M', long, value_parser = clap::value_parser!(u64).range(1..))]
    max_events: Option<u64>,
    /// Put the seconds since the first message in front
    #[arg(short, long)]
    timestamp: bool,
    /// Put the seconds since 1970 in front, with -t
    #[arg(short, long, requires = "timestamp")]
    unix_timestamp: bool,
    /// Put the time of day in front
    #[arg(short = 'T', long, conflicts_with = "timestamp")]
    time: bool,
    /// Show the CPU
    #[arg(short = 'C', long, alias = "print_cpu")]
    print_cpu: bool,
    /// Messages only that contain this
    #[arg(short = 'f', long, value_name = "TEXT", allow_hyphen_values = true)]
    msg_filter: Option<String>,
    /// Understood; texts are always compared byte by byte
    #[arg(short = 'B', long, alias = "bin_cmp")]
    bin_cmp: bool,
    /// Understood; names are looked up in all files anyway
    #[arg(short = 's', long, value_name = "FILES", alias = "sym_file_list")]
    sym_file_list: Option<String>,
    /// Show the kernel's stack below each message
    #[arg(short = 'K', long)]
    kernel_stack: bool,
    /// Show the process' stack below each message
    #[arg(short = 'U', long)]
    user_stack: bool,
    /// Show addresses in stacks
    #[arg(short, long)]
    address: bool,
    /// Headers to read first: a path, or a name in the directories of headers
    #[arg(short = 'I', long, value_name = "HEADER")]
    include: Vec<String>,
    /// Count equal messages and show them at the end
    #[arg(short = 'A', long, requires = "max_events")]
    aggregate: bool,
    /// What to trace: SPEC[(SIGNATURE)] [(FILTER)] ["MESSAGE", VALUE, ...]
    #[arg(value_name = "PROBE", required = true)]
    probes: Vec<String>,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    rows: RowFlags,
    #[command(flatten)]
    common: CommonFlags,
}

const EXAMPLES: &str = r#"A SPEC is FUNCTION, LIBRARY:FUNCTION, p:LIBRARY:FUNCTION, r:LIBRARY:FUNCTION (its return), t:CATEGORY:EVENT or
u:LIBRARY:PROBE; functions may have an offset. Filters and values are C: arg1 to arg6 (arg1@user: memory of the
process), the names of the signature, retval, args->field, $uid $gid $pid $tgid $cpu $task, STRCMP("text", value).

Examples:
  trace do_sys_openat2                              each call
  trace 'do_sys_openat2 "%s", arg2@user'            with the file
  trace 'r::do_sys_openat2 (retval < 0) "%d", retval'    when it fails
  trace 'c:open (arg2 == 42) "%s %d", arg1, arg2'   open() of libc
  trace 'tcp_sendmsg(struct sock *sk) "%d", sk->__sk_common.skc_num'
  trace 't:block:block_rq_complete "sectors=%d", args->nr_sector'
  trace 'u:python3:gc__start "%d", arg1'            a USDT probe
  trace -K -U 'r::vfs_read'                         with stacks
  trace -M 1 'p::vfs_read'                          one message only"#;

fn command() -> Command {
    let tid = "Of this thread only";
    Flags::command()
        .mut_arg("tid", |arg| arg.short('L').help(tid).conflicts_with("pid"))
        .mut_arg("cgroup", |arg| arg.short('c').visible_alias("cgroup-path"))
        .mut_arg("buffer_pages", |arg| arg.short('b'))
}

fn main(flags: Flags) -> ExitCode {
    let mut probes = Vec::new();
    let mut clauses = Vec::new();
    let extra = extra(&flags);
    for (number, text) in flags.probes.iter().enumerate() {
        let made = Probe::parse(text).and_then(|probe| Ok((probe.clause(number, &extra)?, probe)));
        match made {
            Ok((clause, probe)) => {
                clauses.push(clause);
                probes.push(probe);
            }
            Err(problem) => {
                eprintln!("trace: {text}: {problem}");
                return ExitCode::FAILURE;
            }
        }
    }
    let mut filter = flags.who.filter().container(flags.rows.container);
    if !flags.include_self {
        filter = filter.and(format!("pid != {}", std::process::id()), "");
    }
    let script = format!("{}{}", head(&flags.include), clauses.join("\n"));
    run::run(
        Run {
            config: vec![("max_strlen".into(), flags.string_size.to_string())],
            filter,
            ..Run::new("trace", &script, &flags.common)
        },
        Messages {
            table: table(&flags),
            flags: &flags,
            probes,
            times: Times::default(),
            shown: 0,
            counted: HashMap::new(),
        },
    )
}

/// What each record tells beside its values.
fn extra(flags: &Flags) -> String {
    let mut extra = String::new();
    for (wanted, field) in [
        (flags.print_cpu, ", cpu = cpu"),
        (flags.kernel_stack, ", kernel = kstack"),
        (flags.user_stack, ", user = ustack"),
    ] {
        if wanted {
            extra.push_str(field);
        }
    }
    extra
}

/// What stands before the clauses: headers, and functions that the kernel's macros are in C.
fn head(headers: &[String]) -> String {
    let include = |header: &String| {
        let path = header.starts_with(['.', '/']);
        if path { format!("#include \"{header}\"\n") } else { format!("#include <{header}>\n") }
    };
    let headers: String = headers.iter().map(include).collect();
    format!(
        "#!/usr/bin/env bpftrace\n/*\n * trace - a record for each time that a probe is hit.\n */\n{headers}\
         #define ntohs(x) bswap((uint16)(x))\n#define htons(x) bswap((uint16)(x))\n\
         #define ntohl(x) bswap((uint32)(x))\n#define htonl(x) bswap((uint32)(x))\n\n"
    )
}

fn table(flags: &Flags) -> Table {
    let mut table = Table::of_events(&flags.common, &flags.rows);
    let unix = flags.unix_timestamp;
    table.column_if(flags.timestamp || flags.time, "time", "TIME", if unix { -17 } else { -8 });
    table.column_if(flags.print_cpu, "cpu", "CPU", -3);
    table.column("pid", "PID", -7);
    table.column("tid", "TID", -7);
    table.column("comm", "COMM", -15);
    table.column("func", "FUNC", -16);
    table.column("message", "-", 0);
    let stacks = !table.is_text();
    table.column_if(stacks && flags.kernel_stack, "kernel_stack", "KERNEL", 0);
    table.column_if(stacks && flags.user_stack, "user_stack", "USER", 0);
    table
}

/// Shows each hit.
struct Messages<'a> {
    flags: &'a Flags,
    table: Table,
    probes: Vec<Probe>,
    times: Times,
    shown: u64,
    /// How often each row came.
    counted: HashMap<Vec<u8>, u64>,
}

impl View for Messages<'_> {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.table.write_header(out)
    }

    fn row(&mut self, row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
        let index = usize::try_from(row.uint("probe")).unwrap_or(0);
        let Some(probe) = self.probes.get(index) else { return Ok(()) };
        let names: Vec<String> = (0..probe.values()).map(|at| format!("a{at}")).collect();
        let values: Vec<&Data> = names.iter().filter_map(|name| row.get(name)).collect();
        let message = probe.message.of(&values);
        let flags = self.flags;
        if flags.msg_filter.as_ref().is_some_and(|wanted| !message.contains(wanted.as_str())) {
            return Ok(());
        }
        if flags.aggregate {
            let mut text = Vec::new();
            self.write(row, probe, &message, &mut text)?;
            *self.counted.entry(text).or_default() += 1;
        } else {
            self.write(row, probe, &message, out)?;
        }
        self.shown += 1;
        if flags.max_events.is_some_and(|most| self.shown >= most) {
            // Nobody wants more.
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let mut counted: Vec<(Vec<u8>, u64)> = std::mem::take(&mut self.counted).into_iter().collect();
        counted.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        for (text, count) in counted {
            out.write_all(text.strip_suffix(b"\n").unwrap_or(&text))?;
            writeln!(out, "-->COUNT {count}\n")?;
        }
        Ok(())
    }
}

impl Messages<'_> {
    fn write(&self, row: &Row<'_>, probe: &Probe, message: &str, out: &mut dyn Write) -> io::Result<()> {
        let flags = self.flags;
        let who = row.record("who");
        let mut cells = self.table.row_of(&who);
        if flags.time {
            cells.text(&self.times.of_day(who.uint("time")));
        } else if flags.timestamp {
            let form = if flags.unix_timestamp { TimeForm::Unix } else { TimeForm::First };
            if let Shown::Seconds(seconds, digits) = self.times.shown(&form, who.uint("time")) {
                cells.float(seconds, digits);
            }
        }
        if flags.print_cpu {
            cells.uint(row.uint("cpu"));
        }
        cells.uint(who.uint("pid"));
        cells.uint(who.uint("tid"));
        cells.text(who.text("comm"));
        cells.text(probe.function());
        cells.text(message);
        let stacks = [(flags.kernel_stack, "kernel"), (flags.user_stack, "user")];
        let stacks = stacks.into_iter().filter(|(wanted, _)| *wanted);
        if !self.table.is_text() {
            for (_, name) in stacks {
                let frames: Vec<String> = row.stack(name).iter().map(|frame| self.frame(frame)).collect();
                cells.cell(Value::from(frames), "");
            }
            return cells.write(out);
        }
        cells.write(out)?;
        let mut any = false;
        for (_, name) in stacks {
            any = true;
            for frame in row.stack(name) {
                writeln!(out, "        {}", escape(&self.frame(frame)))?;
            }
        }
        if any { writeln!(out) } else { Ok(()) }
    }

    /// `vfs_read+0x1`
    fn frame(&self, frame: &StackFrame) -> String {
        let address = if self.flags.address { format!("{:x} ", frame.address) } else { String::new() };
        match &frame.frame.name {
            Some(name) => format!("{address}{name}+{:#x}", frame.frame.offset),
            None => format!("{address}[unknown]"),
        }
    }
}
