//! `biotop`: block I/O by process, again and again.

use std::cmp::Reverse;
use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, ValueEnum};
use skep_trace::host::Disk;
use skep_trace::sink::Data;
use skep_trace::{KernelWorld, World};

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::rounds::{self, Rounds};
use crate::run::{self, Run};
use crate::table::Table;
use crate::tops::{Maps, TopFlags, Tops, uint};
use crate::who::Who;

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "biotop",
    summary: "block I/O by process, refreshed every second",
    command: Flags::command,
    run: |args| flags::run(Flags::command(), args, main),
};

const SCRIPT: &str = include_str!("biotop.bt");

/// Block device (disk) I/O by process
#[derive(Parser)]
#[command(name = "biotop", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// What the busiest has most of
    #[arg(short, long, value_enum, default_value_t = Sort::All)]
    sort: Sort,
    #[command(flatten)]
    top: TopFlags,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    rounds: Rounds,
    #[command(flatten)]
    common: CommonFlags,
}

/// What tables are sorted by, the most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// Bytes, then operations, then time
    All,
    /// Operations
    Io,
    /// Bytes
    Bytes,
    /// Time
    Time,
}

const EXAMPLES: &str = "\
Examples:
  biotop                each second
  biotop -C 5           every 5 seconds, without clearing the screen
  biotop -p 181 1 10    of process 181, ten times
  biotop -s io -r 5     the five with the most operations";

fn main(flags: Flags) -> ExitCode {
    let mut table = Table::new(&flags.common);
    table.column("pid", "PID", -7);
    table.column("comm", "COMM", -16);
    table.column("direction", "D", 1);
    table.column("major", "MAJ", -3);
    table.column("minor", "MIN", -3);
    table.column("disk", "DISK", -8);
    table.column("io", "I/O", 5);
    table.column("kbytes", "Kbytes", 7);
    table.column("avg_ms", "AVGms", 6);
    let every = flags.rounds.interval.unwrap_or(1);
    let opening = if table.shows_text() {
        format!("Tracing... Output every {every} secs. Hit Ctrl-C to end")
    } else {
        String::new()
    };
    let show = Tops::new(opening, |maps: &Maps, out: &mut dyn Write| {
        flags.top.head(&flags.common, out)?;
        table.write_header(out)?;
        let mut rows: Vec<(&Data, u64, u64, u64)> = maps
            .entries("io")
            .iter()
            .map(|entry| {
                let key = &entry.key;
                (key, uint(&entry.value), maps.uint("bytes", key), maps.uint("us", key))
            })
            .collect();
        rows.sort_by_key(|&(_, io, bytes, us)| {
            Reverse(match flags.sort {
                Sort::All => (bytes, io, us),
                Sort::Io => (io, bytes, us),
                Sort::Bytes => (bytes, us, io),
                Sort::Time => (us, bytes, io),
            })
        });
        for (key, io, bytes, us) in rows.into_iter().take(flags.top.maxrows) {
            let Data::List(parts) = key else { continue };
            let [pid, Data::Text(comm), write, device] = parts.as_slice() else { continue };
            let disk = Disk(uint(device));
            let mut row = table.row();
            row.uint(uint(pid));
            row.text(comm);
            row.text(if uint(write) == 1 { "W" } else { "R" });
            row.uint(disk.major());
            row.uint(disk.minor());
            row.text(&disk.name());
            row.uint(io);
            row.uint(bytes / 1024);
            row.float(us as f64 / 1e3 / io.max(1) as f64, 2);
            row.write(out)?;
        }
        Ok(())
    });
    let filter = flags.who.filter();
    let world = KernelWorld::new();
    // What has no process is nobody's.
    let mut gather = SCRIPT.replace("FILTERED", if filter.is_empty() { "0" } else { "1" });
    if world.has_tracepoint("block", "block_io_start").unwrap_or(false) {
        gather = gather.replace("PLACE", "(args.dev, args.sector)");
    } else {
        // Before Linux 6.5 the request itself is not told of, but what it is made for, whose device may be a
        // partition; its place is that on the whole disk.
        gather = gather.replace("block_io_start", "block_getrq").replace("PLACE", "args.sector");
    }
    let script = rounds::script(&gather, &["io", "bytes", "us"], &["start", "who"]);
    run::run(
        Run {
            params: flags.rounds.params_or(1),
            filter,
            world,
            ..Run::new("biotop", &script, &flags.common)
        },
        show,
    )
}
