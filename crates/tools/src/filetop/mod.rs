//! `filetop`: files by how much is read and written, again and again.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, ValueEnum};
use skep_trace::KernelWorld;
use skep_trace::sink::Data;

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::rounds::{self, Rounds};
use crate::run::{self, Run, switch};
use crate::table::Table;
use crate::tops::{Maps, TopFlags, Tops, uint};
use crate::who::Who;

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "filetop",
    summary: "files by reads and writes, refreshed every second",
    command: Flags::command,
    run: |args| flags::run(Flags::command(), args, main),
};

const SCRIPT: &str = include_str!("filetop.bt");
/// Through the functions of the kernel that all reads and writes of files come by.
const FUNCTIONS: &str = include_str!("functions.bt");
/// Through system calls.
const CALLS: &str = include_str!("calls.bt");

/// File reads and writes by process
#[derive(Parser)]
#[command(name = "filetop", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// Show what are no regular files, too: sockets, pipes, ...
    #[arg(short, long, visible_alias = "all")]
    all_files: bool,
    /// What the busiest has most of
    #[arg(short, long, value_enum, default_value_t = Sort::All)]
    sort: Sort,
    /// Reads only
    #[arg(long, conflicts_with = "write_only")]
    read_only: bool,
    /// Writes only
    #[arg(long)]
    write_only: bool,
    /// Files only that lie in this directory itself
    #[arg(short, long, value_name = "PATH", value_parser = inode)]
    directory: Option<u64>,
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
    /// All together
    All,
    /// Reads
    Reads,
    /// Writes
    Writes,
    /// Bytes read
    Rbytes,
    /// Bytes written
    Wbytes,
}

const EXAMPLES: &str = "\
Examples:
  filetop               each second
  filetop -C 5          every 5 seconds, without clearing the screen
  filetop -p 181 5      of process 181
  filetop -a            sockets and the like, too
  filetop -s wbytes     most written first
  filetop -d /var/log   files in /var/log";

fn main(flags: Flags) -> ExitCode {
    let mut table = Table::new(&flags.common);
    table.column("tid", "TID", -7);
    table.column("comm", "COMM", -16);
    table.column("reads", "READS", -6);
    table.column("writes", "WRITES", -6);
    table.column("read_kb", "R_Kb", -7);
    table.column("written_kb", "W_Kb", -7);
    table.column("type", "T", 1);
    table.column("file", "FILE", 0);
    let every = flags.rounds.interval.unwrap_or(1);
    let opening = if table.shows_text() {
        format!("Tracing... Output every {every} secs. Hit Ctrl-C to end")
    } else {
        String::new()
    };
    let show = Tops::new(opening, |maps: &Maps, out: &mut dyn Write| {
        flags.top.head(&flags.common, out)?;
        table.write_header(out)?;
        for (key, [reads, writes, read, written]) in
            sorted(maps, flags.sort).into_iter().take(flags.top.maxrows)
        {
            let Data::List(parts) = key else { continue };
            let [tid, Data::Text(comm), _, _, kind, Data::Text(name)] = parts.as_slice() else { continue };
            let mut row = table.row();
            row.uint(uint(tid));
            row.text(comm);
            row.uint(reads);
            row.uint(writes);
            row.uint(read / 1024);
            row.uint(written / 1024);
            row.text(match uint(kind) {
                0x8000 => "R",
                0xc000 => "S",
                _ => "O",
            });
            row.text(name);
            row.write(out)?;
        }
        Ok(())
    });
    let world = KernelWorld::new();
    // Only the functions see all; the kernel may have no probes for them.
    let functions = ["vfs_read", "vfs_write"].iter().all(|name| world.probes_function(name));
    let gather = format!("{SCRIPT}{}", if functions { FUNCTIONS } else { CALLS });
    let script = rounds::script(&gather, &["reads", "rbytes", "writes", "wbytes"], &[]);
    run::run(
        Run {
            params: flags.rounds.params_or(1),
            named: vec![
                ("all", switch(flags.all_files)),
                ("directory", flags.directory.unwrap_or(0).to_string()),
                ("reads", switch(!flags.write_only)),
                ("writes", switch(!flags.read_only)),
            ],
            filter: flags.who.filter(),
            world,
            ..Run::new("filetop", &script, &flags.common)
        },
        show,
    )
}

/// Each file and thread with its reads, writes, bytes read and bytes written, the busiest first.
fn sorted(maps: &Maps, sort: Sort) -> Vec<(&Data, [u64; 4])> {
    let mut rows: Vec<(&Data, [u64; 4])> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (column, name) in ["reads", "writes", "rbytes", "wbytes"].iter().enumerate() {
        for entry in maps.entries(name) {
            let place = *places.entry(format!("{:?}", entry.key)).or_insert_with(|| {
                rows.push((&entry.key, [0; 4]));
                rows.len() - 1
            });
            if let Some(cell) = rows.get_mut(place).and_then(|(_, cells)| cells.get_mut(column)) {
                *cell = uint(&entry.value);
            }
        }
    }
    rows.sort_by_key(|&(_, [reads, writes, read, written])| {
        Reverse(match sort {
            Sort::All => reads.saturating_add(writes).saturating_add(read).saturating_add(written),
            Sort::Reads => reads,
            Sort::Writes => writes,
            Sort::Rbytes => read,
            Sort::Wbytes => written,
        })
    });
    rows
}

fn inode(path: &str) -> Result<u64, String> {
    skep_trace::host::inode(Path::new(path)).map_err(|error| error.to_string())
}
