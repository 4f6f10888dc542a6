//! `biolatency`: how long block I/O took, as histograms.

use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser};
use skep_trace::host::{Disk, Host};
use skep_trace::sink::Data;

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::histogram::{Histograms, Round};
use crate::rounds::{self, Rounds};
use crate::run::{self, Run, switch};
use crate::who::Groups;

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "biolatency",
    summary: "how long block I/O took, as a histogram: for all, each disk, or each set of flags",
    command,
    run: |args| flags::run(command(), args, main),
};

/// By disk, or all together: the tracepoints tell the device.
const SCRIPT: &str = include_str!("biolatency.bt");
/// By flags, which only the request itself has.
const BY_FLAGS: &str = include_str!("flags.bt");

/// Summarize block device I/O latency as a histogram
#[derive(Parser)]
#[command(name = "biolatency", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// Put the time of day above each output
    #[arg(short = 'T', long)]
    timestamp: bool,
    /// Count the time in queues of the operating system, too
    #[arg(short = 'Q', long)]
    queued: bool,
    /// Milliseconds instead of microseconds
    #[arg(short, long)]
    milliseconds: bool,
    /// A histogram for each disk
    #[arg(short = 'D', long, conflicts_with = "flags")]
    disks: bool,
    /// A histogram for each set of flags
    #[arg(short = 'F', long, visible_alias = "flag")]
    flags: bool,
    /// Show average, total and count, too
    #[arg(short, long)]
    extension: bool,
    /// This disk only
    #[arg(short, long, value_name = "DISK", conflicts_with = "flags")]
    disk: Option<String>,
    /// A histogram for each control group
    #[arg(long, conflicts_with_all = ["disks", "flags"])]
    cgroups: bool,
    #[command(flatten)]
    groups: Groups,
    #[command(flatten)]
    rounds: Rounds,
    #[command(flatten)]
    common: CommonFlags,
}

const EXAMPLES: &str = "\
Examples:
  biolatency            one histogram at Ctrl-C
  biolatency 1 10       one a second, ten times
  biolatency -mT 1      in milliseconds, with times
  biolatency -Q         with the time in queues
  biolatency -D         for each disk
  biolatency -F         for each set of flags
  biolatency -d sdc     of sdc
  biolatency -e         with average and total
  biolatency --cgroups  for each control group
  biolatency -j         as JSON";

fn command() -> Command {
    Flags::command().mut_arg("json", |arg| arg.short('j')).mut_arg("cgroup", |arg| arg.short('c'))
}

fn main(flags: Flags) -> ExitCode {
    let disk = match flags.disk.as_deref().map(|name| (name, Disk::by_name(name))) {
        None => 0,
        Some((_, Some(disk))) => disk.0,
        Some((name, None)) => {
            eprintln!("biolatency: no such disk '{name}'");
            return ExitCode::FAILURE;
        }
    };
    let section = match () {
        () if flags.disks => Some("disk"),
        () if flags.flags => Some("flags"),
        () if flags.cgroups => Some("cgroup"),
        () => None,
    };
    let (unit, nanoseconds) = if flags.milliseconds { ("msecs", 1_000_000) } else { ("usecs", 1_000) };
    let host = Host::default();
    let view = Histograms {
        unit,
        section,
        heading: Box::new(move |key| match (key, section) {
            (Data::Uint(device), Some("disk")) => Disk(*device).name(),
            (Data::Uint(flags), Some("flags")) => request_flags(*flags),
            (Data::Uint(group), Some("cgroup")) => {
                let paths = host.cgroup_paths(*group, "unified");
                paths.split_once(':').map_or_else(|| group.to_string(), |(_, path)| path.to_owned())
            }
            _ => String::new(),
        }),
        opening: "Tracing block device I/O... Hit Ctrl-C to end.",
        timestamp: flags.timestamp,
        totals: flags.extension,
        flags: &flags.common,
        round: Round::default(),
    };
    let gather = if flags.flags { BY_FLAGS } else { SCRIPT };
    let mut named = vec![
        ("queued", switch(flags.queued)),
        ("unit", nanoseconds.to_string()),
        ("totals", switch(flags.extension)),
    ];
    if !flags.flags {
        let by = if flags.cgroups { 2 } else { u32::from(flags.disks) };
        named.extend([("by", by.to_string()), ("disk", disk.to_string())]);
    }
    let filter = flags.groups.filter();
    named.push(("owned", switch(flags.cgroups || !filter.is_empty())));
    let script = rounds::script(gather, &["hist", "total"], &["start"]);
    run::run(
        Run {
            params: flags.rounds.params(),
            named,
            filter,
            ..Run::new("biolatency", &script, &flags.common)
        },
        view,
    )
}

/// A request's flags as BCC names them: the operation last, the last of the flags first (linux/blk_types.h).
fn request_flags(flags: u64) -> String {
    const FLAGS: [(u32, &str); 9] = [
        (11, "Sync"),
        (12, "Metadata"),
        (17, "ForcedUnitAccess"),
        (13, "Priority"),
        (14, "NoMerge"),
        (15, "Idle"),
        (19, "ReadAhead"),
        (20, "Background"),
        (21, "NoWait"),
    ];
    const PREFLUSH: u64 = 1 << 18;
    let operation = match flags & 0xff {
        0 => "Read",
        1 => "Write",
        2 => "Flush",
        3 => "Discard",
        5 => "SecureErase",
        6 | 13 | 15 | 17 => "ZoneReset",
        7 => "WriteSame",
        9 => "WriteZeros",
        _ => "Unknown",
    };
    let mut name = operation.to_owned();
    for (bit, flag) in FLAGS {
        if flags & (1 << bit) != 0 {
            name = format!("{flag}-{name}");
        }
    }
    if flags & PREFLUSH != 0 {
        name = format!("PreFlush-{name}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::request_flags;

    #[test]
    fn flags_stand_before_the_operation() {
        assert_eq!(request_flags(0), "Read");
        assert_eq!(request_flags(1 | 1 << 11), "Sync-Write");
        assert_eq!(request_flags(1 | 1 << 11 | 1 << 15), "Idle-Sync-Write");
        assert_eq!(request_flags(1 | 1 << 11 | 1 << 12 | 1 << 13), "Priority-Metadata-Sync-Write");
        assert_eq!(request_flags(2 | 1 << 18), "PreFlush-Flush");
    }
}
