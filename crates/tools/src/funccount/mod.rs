//! `funccount`: how often functions, tracepoints or user probes are reached. It writes its script itself.

use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser};
use jiff::Zoned;
use skep_trace::KernelWorld;
use skep_trace::sink::Data;

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::rounds::{self, FOREVER};
use crate::run::{self, Run};
use crate::spec::Spec;
use crate::table::{Form, Table};
use crate::tops::{Maps, Tops, uint};
use crate::who::Who;

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "funccount",
    summary: "count how often functions, tracepoints or user probes are reached",
    command,
    run: |args| flags::run(command(), args, main),
};

/// Count functions, tracepoints, and USDT probes
#[derive(Parser)]
#[command(name = "funccount", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// Seconds between outputs; without it there is one at the end
    #[arg(short, long, value_parser = clap::value_parser!(u64).range(1..=FOREVER))]
    interval: Option<u64>,
    /// Put the time of day above each output
    #[arg(short = 'T', long)]
    timestamp: bool,
    /// On this CPU only
    #[arg(short, long)]
    cpu: Option<u32>,
    /// What to count: FUNCTION, LIBRARY:FUNCTION, t:CATEGORY:EVENT or u:LIBRARY:PROBE, with * for any text
    pattern: String,
    /// The pattern's last part is a regular expression
    #[arg(short, long)]
    regexp: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    common: CommonFlags,
}

const EXAMPLES: &str = "\
Examples:
  funccount 'vfs_*'             kernel functions that begin with vfs_
  funccount -p 185 'vfs_*'      of process 185
  funccount -r '^vfs_(read|write)$'   by a regular expression
  funccount -i 1 'tcp_send*'    a table each second
  funccount -d 10 c:malloc      malloc() of libc, for 10 seconds
  funccount 't:sched:sched_*'   tracepoints of the scheduler
  funccount 'u:python3:*'       USDT probes of python3";

fn command() -> Command {
    Flags::command()
        .mut_arg("duration", |arg| arg.short('d'))
        .mut_arg("script", |arg| arg.short('D').visible_alias("debug"))
}

fn main(flags: Flags) -> ExitCode {
    let spec = match Spec::parse(&flags.pattern) {
        Ok(spec) if !spec.is_return() => spec,
        Ok(_) => return mistake(&flags.pattern, "returns cannot be counted; count the function instead"),
        Err(problem) => return mistake(&flags.pattern, &problem),
    };
    let world = KernelWorld::new();
    let attach = if flags.regexp {
        match spec.matching(&world) {
            Ok(points) => points.join(",\n"),
            Err(problem) => return mistake(&flags.pattern, &problem),
        }
    } else {
        spec.attach_point()
    };
    let mut filter = flags.who.filter();
    if let Some(cpu) = flags.cpu {
        filter = filter.and(format!("cpu == {cpu}"), "");
    }
    let gather = format!("{attach}\n/ WANTED /\n{{\n\t@calls[probe] = count();\n}}\n");

    let mut table = Table::new(&flags.common);
    table.column("func", "FUNC", -36);
    table.column("count", "COUNT", 8);
    let text = Form::of(&flags.common) == Form::Text;
    let opening = if text && !flags.common.no_header {
        format!("Tracing functions for \"{}\"... Hit Ctrl-C to end.", flags.pattern)
    } else {
        String::new()
    };
    let show = Tops::new(opening, |maps: &Maps, out: &mut dyn std::io::Write| {
        if text {
            writeln!(out)?;
            if flags.timestamp {
                writeln!(out, "{:<8}", Zoned::now().strftime("%H:%M:%S").to_string())?;
            }
        }
        table.write_header(out)?;
        for entry in maps.entries("calls") {
            let Data::Text(probe) = &entry.key else { continue };
            let mut row = table.row();
            row.text(spec.short(probe));
            row.uint(uint(&entry.value));
            row.write(out)?;
        }
        Ok(())
    });
    let script = rounds::script(&gather, &["calls"], &[]);
    run::run(
        Run {
            params: vec![flags.interval.unwrap_or(FOREVER).to_string(), FOREVER.to_string()],
            filter,
            world,
            ..Run::new("funccount", &script, &flags.common)
        },
        show,
    )
}

fn mistake(pattern: &str, problem: &str) -> ExitCode {
    eprintln!("funccount: {pattern}: {problem}");
    ExitCode::FAILURE
}
