//! `bashreadline`: what is typed into every bash.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use skep_trace::{KernelWorld, World};

use crate::Tool;
use crate::flags::{self, CommonFlags};
use crate::lead::{RowFlags, Times};
use crate::lines::Lines;
use crate::row::Row;
use crate::run::{self, Run};
use crate::table::{Cells, Table};
use crate::who::{Who, quoted};

/// The row in the list of tools.
pub static TOOL: Tool = Tool {
    name: "bashreadline",
    summary: "show every line typed into bash",
    command: Flags::command,
    run: |args| flags::run(Flags::command(), args, main),
};

const SCRIPT: &str = include_str!("bashreadline.bt");

/// Print the lines that are typed into all running shells bash
#[derive(Parser)]
#[command(name = "bashreadline", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// Where readline() is: a shared library, or another bash; else bash itself, or the library that it uses
    #[arg(short, long, value_name = "FILE")]
    shared: Option<String>,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    rows: RowFlags,
    #[command(flatten)]
    common: CommonFlags,
}

const EXAMPLES: &str = "\
Examples:
  bashreadline                                 all shells
  bashreadline -p 181                          of process 181
  bashreadline -s /usr/lib/libreadline.so      through this library";

fn main(flags: Flags) -> ExitCode {
    let world = KernelWorld::new();
    let Some((file, function)) = place(&world, flags.shared.as_deref()) else {
        eprintln!("bashreadline: readline() is not found; --shared says which file has it");
        return ExitCode::FAILURE;
    };
    let mut table = Table::of_events(&flags.common, &flags.rows);
    table.column("time", "TIME", -9);
    table.column("pid", "PID", -7);
    table.column("command", "COMMAND", 0);
    let times = Times::default();
    let lines = Lines::new(table, |row: &Row<'_>, cells: &mut Cells<'_>| {
        let who = row.record("who");
        cells.text(&times.of_day(who.uint("time")));
        cells.uint(who.uint("pid"));
        cells.text(row.text("line"));
    });
    let script = SCRIPT.replace("bash:readline", &format!("{}:{function}", quoted(&file)));
    run::run(
        Run {
            filter: flags.who.filter().container(flags.rows.container),
            world,
            ..Run::new("bashreadline", &script, &flags.common)
        },
        lines,
    )
}

/// The file and the function to probe. Newer versions of readline return the line from within, so that the outer
/// function's return is not one of a call.
fn place(world: &KernelWorld, shared: Option<&str>) -> Option<(String, &'static str)> {
    let candidates: &[&str] = match shared {
        Some(ref file) => std::slice::from_ref(file),
        None => &["/bin/bash", "bash", "libreadline"],
    };
    let files =
        candidates.iter().flat_map(|candidate| world.user_space().files(candidate).unwrap_or_default());
    files.into_iter().find_map(|file| {
        let has = |name| world.user_space().functions_named(&file, name).is_ok_and(|found| !found.is_empty());
        let function = ["readline_internal_teardown", "readline"].into_iter().find(|name| has(name))?;
        Some((file, function))
    })
}
