//! `cachestat`: how often the page cache had what was asked for.

use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser};
use jiff::Zoned;
use skep_trace::host;
use skep_trace::sink::Data;
use skep_trace::{KernelWorld, World};

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::rounds::{self, Rounds};
use crate::run::{self, Run};
use crate::table::Table;
use crate::tops::{Maps, Tops};
use crate::who::Groups;

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "cachestat",
    summary: "how often the page cache had what was asked for, each second",
    command,
    run: |args| flags::run(command(), args, main),
};

/// Count page cache hits and misses
#[derive(Parser)]
#[command(name = "cachestat", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// Put the time of day in front
    #[arg(short = 'T', long)]
    timestamp: bool,
    #[command(flatten)]
    groups: Groups,
    #[command(flatten)]
    rounds: Rounds,
    #[command(flatten)]
    common: CommonFlags,
}

const EXAMPLES: &str = "\
Examples:
  cachestat             each second
  cachestat -T 5        every 5 seconds, with times
  cachestat 1 10        ten times";

fn command() -> Command {
    Flags::command().mut_arg("cgroup", |arg| arg.short('c'))
}

fn main(flags: Flags) -> ExitCode {
    let world = KernelWorld::new();
    let gather = match gather(&world) {
        Some(gather) => gather,
        None => {
            eprintln!(
                "cachestat: the kernel has neither probes for its functions (CONFIG_KPROBES, or BTF and \
                 CONFIG_DYNAMIC_FTRACE) nor the tracepoints filemap:mm_filemap_get_pages (Linux 6.11)"
            );
            return ExitCode::FAILURE;
        }
    };
    let mut table = Table::new(&flags.common);
    table.column_if(flags.timestamp, "time", "TIME", -8);
    table.column("hits", "HITS", 8);
    table.column("misses", "MISSES", 8);
    table.column("dirties", "DIRTIES", 8);
    table.column("hit_ratio", "HITRATIO", 8);
    table.column("buffers_mb", "BUFFERS_MB", 12);
    table.column("cached_mb", "CACHED_MB", 10);
    let mut first = true;
    let show = Tops::new("", |maps: &Maps, out: &mut dyn Write| {
        if std::mem::take(&mut first) {
            table.write_header(out)?;
        }
        let count = |name| maps.uint(name, &Data::Void);
        let counts = Counts {
            accessed: count("accessed"),
            added: count("added"),
            dirtied: count("dirtied"),
            buffers: count("buffers"),
        };
        let (hits, misses) = counts.hits_and_misses();
        let ratio = if hits + misses == 0 { 0.0 } else { 100.0 * hits as f64 / (hits + misses) as f64 };
        let [buffers, cached] = host::cached_memory().map(|bytes| bytes as f64 / f64::from(1 << 20));
        let mut row = table.row();
        if flags.timestamp {
            row.text(&Zoned::now().strftime("%H:%M:%S").to_string());
        }
        row.uint(hits);
        row.uint(misses);
        row.uint(counts.buffers);
        row.cell((ratio * 100.0).round() / 100.0, format!("{ratio:.2}%"));
        row.cell(buffers.round(), format!("{buffers:.0}"));
        row.cell(cached.round(), format!("{cached:.0}"));
        row.write(out)
    });
    let script = rounds::script(&gather, &["accessed", "added", "dirtied", "buffers"], &[]);
    run::run(
        Run {
            params: flags.rounds.params_or(1),
            filter: flags.groups.filter(),
            world,
            ..Run::new("cachestat", &script, &flags.common)
        },
        show,
    )
}

/// What was counted in a round.
#[derive(Clone, Copy, Debug)]
struct Counts {
    /// Pages that were used.
    accessed: u64,
    /// Pages that came into the cache.
    added: u64,
    /// Pages that became dirty: they are added, too.
    dirtied: u64,
    /// Buffers that became dirty: they are used, too.
    buffers: u64,
}

impl Counts {
    fn hits_and_misses(self) -> (u64, u64) {
        let total = self.accessed.saturating_sub(self.buffers);
        let misses = self.added.saturating_sub(self.dirtied);
        match total.checked_sub(misses) {
            Some(hits) => (hits, misses),
            // What is read ahead comes into the cache and is not used yet.
            None => (0, total),
        }
    }
}

/// The script for this kernel, which calls its functions otherwise than the last one did; `None` if it has no way.
fn gather(world: &KernelWorld) -> Option<String> {
    let functions = |names: &[&str]| {
        names.iter().find(|name| world.probes_function(name)).map(|name| format!("kprobe:{name}"))
    };
    let tracepoint = |category: &str, names: &[&str]| {
        let name = names.iter().find(|name| world.has_tracepoint(category, name).unwrap_or(false));
        name.map(|name| format!("tracepoint:{category}:{name}"))
    };
    let dirtied = || tracepoint("writeback", &["writeback_dirty_folio", "writeback_dirty_page"]);
    let of_functions = || {
        Some([
            functions(&["folio_mark_accessed", "mark_page_accessed"])?,
            functions(&["filemap_add_folio", "add_to_page_cache_lru"])?,
            functions(&["folio_account_dirtied", "account_page_dirtied"]).or_else(dirtied)?,
            functions(&["mark_buffer_dirty"])?,
        ])
    };
    let of_tracepoints = || {
        Some([
            tracepoint("filemap", &["mm_filemap_get_pages"])?,
            tracepoint("filemap", &["mm_filemap_add_to_page_cache"])?,
            dirtied()?,
            tracepoint("block", &["block_dirty_buffer"])?,
        ])
    };
    let points = of_functions().or_else(of_tracepoints)?;
    let mut script =
        "#!/usr/bin/env bpftrace\n/*\n * cachestat - what happens to pages of the page cache.\n *\n \
                      * Parameters: $1 seconds between outputs, $2 how many.\n */\n"
            .to_owned();
    for (point, map) in points.iter().zip(["accessed", "added", "dirtied", "buffers"]) {
        // Writing to a String cannot fail. A range of pages is as many uses as it has pages.
        let _ = if point.ends_with("mm_filemap_get_pages") {
            write!(script, "{point}\n/ WANTED /\n{{\n\t@{map} = sum(args.last_index - args.index);\n}}\n\n")
        } else {
            write!(script, "{point}\n/ WANTED /\n{{\n\t@{map} = count();\n}}\n\n")
        };
    }
    Some(script)
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn hits_are_what_was_there() {
        let counts = |accessed, added, dirtied, buffers| {
            Counts { accessed, added, dirtied, buffers }.hits_and_misses()
        };
        assert_eq!(counts(100, 10, 0, 0), (90, 10));
        assert_eq!(counts(100, 10, 4, 20), (74, 6));
        assert_eq!(counts(5, 50, 0, 0), (0, 5));
        assert_eq!(counts(0, 0, 3, 3), (0, 0));
    }
}
