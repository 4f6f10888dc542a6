//! `opensnoop`: which files are opened, by whom, and with what result.

use std::collections::HashMap;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser};
use serde_json::Value;
use skep_ui::text::escape;

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::lead::{RowFlags, Times};
use crate::row::Row;
use crate::run::{self, Run, View, switch};
use crate::table::Table;
use crate::who::Who;

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "opensnoop",
    summary: "show every open() of a file, with its result",
    command,
    run: |args| flags::run(command(), args, main),
};

const SCRIPT: &str = include_str!("opensnoop.bt");

/// Trace open(), openat(), openat2() and creat().
#[derive(Parser)]
#[command(name = "opensnoop", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// Show the time since the first event, in seconds
    #[arg(short = 'T', long)]
    timestamp: bool,
    /// Show the user's number
    #[arg(short = 'U', long)]
    print_uid: bool,
    /// Show failed calls only
    #[arg(short = 'x', long)]
    failed: bool,
    /// Show flags and mode, too
    #[arg(short, long, alias = "extended_fields")]
    extended_fields: bool,
    /// Show calls only with this flag, as O_WRONLY; may be given several times for any of several
    #[arg(short, long, value_name = "FLAG", value_parser = open_flag, alias = "flag_filter")]
    flag_filter: Vec<u32>,
    /// Show relative paths from the root on
    #[arg(short = 'F', long)]
    full_path: bool,
    /// Show the callers below each row
    #[arg(short, long)]
    callers: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    rows: RowFlags,
    #[command(flatten)]
    common: CommonFlags,
}

const EXAMPLES: &str = "\
Examples:
  opensnoop             all open() calls
  opensnoop -T          with a time in front
  opensnoop -U          with the user
  opensnoop -x          failed ones only
  opensnoop -p 181      of process 181
  opensnoop -t 123      of thread 123
  opensnoop -u 1000     of user 1000
  opensnoop -d 10       for 10 seconds
  opensnoop -n main     of threads whose name contains \"main\"
  opensnoop -e          with flags and mode
  opensnoop -f O_WRONLY -f O_RDWR  for writing
  opensnoop -F          with whole paths
  opensnoop --exec ls   of a command";

fn command() -> Command {
    Flags::command()
        .mut_arg("duration", |arg| arg.short('d'))
        .mut_arg("tid", |arg| arg.short('t'))
        .mut_arg("uid", |arg| arg.short('u'))
        .mut_arg("buffer_pages", |arg| arg.short('b'))
}

fn main(mut flags: Flags) -> ExitCode {
    let by_tid = flags.who.tid.is_some();
    if by_tid {
        // A thread is told apart by its own number, whatever its process.
        flags.who.pid = None;
    }
    let extended = flags.extended_fields;
    let mut table = Table::of_events(&flags.common, &flags.rows);
    table.column_if(flags.timestamp, "time", "TIME(s)", -14);
    table.column_if(flags.print_uid, "uid", "UID", -6);
    if by_tid {
        table.column("tid", "TID", -6);
    } else {
        table.column("pid", "PID", -6);
    }
    table.column("comm", "COMM", -16);
    table.column("fd", "FD", 4);
    table.column("errno", "ERR", 3);
    table.column_if(extended, "flags", "FLAGS", -8);
    table.column_if(extended, "mode", "MODE", -4);
    let columns = flags.callers && !table.is_text();
    table.column("path", if flags.callers && !columns { "PATH/CALLER" } else { "PATH" }, 0);
    table.column_if(columns, "callers", "CALLERS", 0);
    let frames = if flags.callers { "127" } else { "0" };
    run::run(
        Run {
            params: vec![frames.into()],
            named: vec![
                ("failed", switch(flags.failed)),
                ("mask", flags.flag_filter.iter().fold(0, |all, one| all | one).to_string()),
                ("whole", switch(flags.full_path)),
            ],
            filter: flags.who.filter().container(flags.rows.container),
            ..Run::new("opensnoop", SCRIPT, &flags.common)
        },
        Opens { flags: &flags, table, times: Times::default(), parts: HashMap::new() },
    )
}

/// Shows each call.
struct Opens<'a> {
    flags: &'a Flags,
    table: Table,
    times: Times,
    /// Where the relative path of a thread begins, from the innermost directory on.
    parts: HashMap<u64, Vec<String>>,
}

impl View for Opens<'_> {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.table.write_header(out)
    }

    fn row(&mut self, row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
        if row.uint("kind") == 1 {
            self.parts.entry(row.uint("tid")).or_default().push(row.text("part").to_owned());
            return Ok(());
        }
        let flags = self.flags;
        let who = row.record("who");
        let path = match self.parts.remove(&who.uint("tid")) {
            Some(parts) => whole(&parts, row.text("path")),
            None => row.text("path").to_owned(),
        };
        let result = row.int("result");
        let (fd, error) = if result < 0 { (-1, -result) } else { (result, 0) };
        let mut cells = self.table.row_of(&who);
        if flags.timestamp {
            cells.float(self.times.since_first(who.uint("time")), 9);
        }
        if flags.print_uid {
            cells.uint(who.uint("uid"));
        }
        cells.uint(who.uint(if flags.who.tid.is_some() { "tid" } else { "pid" }));
        cells.text(who.text("comm"));
        cells.int(fd);
        cells.int(error);
        if flags.extended_fields {
            let (bits, mode) = (row.uint("flags"), row.uint("mode"));
            cells.cell(bits, format!("{bits:08o}"));
            if bits & MAKES_FILES != 0 {
                cells.cell(mode, format!("{mode:04o}"));
            } else {
                cells.cell(Value::Null, "n/a");
            }
        }
        cells.text(&path);
        let callers = row.stack("callers").iter().map(|caller| {
            caller.frame.name.as_ref().map_or_else(|| format!("{:#x}", caller.address), ToString::to_string)
        });
        if flags.callers && !self.table.is_text() {
            let callers: Vec<String> = callers.collect();
            cells.cell(callers.clone(), "");
            return cells.write(out);
        }
        cells.write(out)?;
        if flags.callers {
            for caller in callers {
                writeln!(out, "        {}", escape(&caller))?;
            }
        }
        Ok(())
    }
}

/// O_CREAT, and the bit of O_TMPFILE that is its own: the mode means something.
const MAKES_FILES: u64 = 0o100 | 0o20_000_000;

/// A relative path from the root on. `parts` lead to where it begins, the innermost first.
fn whole(parts: &[String], path: &str) -> String {
    parts.iter().rev().fold(String::new(), |whole, part| whole + "/" + part) + "/" + path
}

/// A flag by name (asm-generic/fcntl.h).
fn open_flag(name: &str) -> Result<u32, String> {
    const FLAGS: [(&str, u32); 24] = [
        ("O_RDONLY", 0),
        ("O_WRONLY", 0o1),
        ("O_RDWR", 0o2),
        ("O_ACCMODE", 0o3),
        ("O_CREAT", 0o100),
        ("O_EXCL", 0o200),
        ("O_NOCTTY", 0o400),
        ("O_TRUNC", 0o1000),
        ("O_APPEND", 0o2000),
        ("O_NONBLOCK", 0o4000),
        ("O_NDELAY", 0o4000),
        ("O_DSYNC", 0o10_000),
        ("FASYNC", 0o20_000),
        ("O_ASYNC", 0o20_000),
        ("O_DIRECT", 0o40_000),
        ("O_LARGEFILE", 0o100_000),
        ("O_DIRECTORY", 0o200_000),
        ("O_NOFOLLOW", 0o400_000),
        ("O_NOATIME", 0o1_000_000),
        ("O_CLOEXEC", 0o2_000_000),
        ("O_SYNC", 0o4_010_000),
        ("O_RSYNC", 0o4_010_000),
        ("O_PATH", 0o10_000_000),
        ("O_TMPFILE", 0o20_200_000),
    ];
    let found = FLAGS.iter().find(|(known, _)| *known == name);
    found.map(|(_, bits)| *bits).ok_or_else(|| format!("Bad flag: {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_names() {
        assert_eq!(open_flag("O_CREAT"), Ok(0o100));
        assert_eq!(open_flag("O_NONSENSE"), Err("Bad flag: O_NONSENSE".into()));
    }

    #[test]
    fn relative_paths_begin_somewhere() {
        assert_eq!(whole(&["doc".into(), "usr".into()], "a/b"), "/usr/doc/a/b");
        assert_eq!(whole(&[], "a"), "/a");
    }
}
