//! The inspector of BPF objects: collect, model, plain text or JSON.
//!
//! This is the face that behaves as bpftool does: the same words, options, output and exit statuses, so that
//! scripts and habits carry over. [`main`] takes a command line and two writers; [`words`] is what it can begin with.
//!
//! A command line goes through `cli`, which finds the command in its object's table in `commands`. The command
//! collects what the kernel knows (`collect`) into a `model`, and `plain` or `json` write it. Programs' instructions
//! are shown by `code`, values of BTF types by `value`.

pub mod calls;
mod cli;
mod code;
mod collect;
mod colour;
mod commands;
mod error;
mod json;
mod model;
mod netfilter;
mod plain;
mod value;

use std::ffi::OsString;
use std::io::{self, Write};

/// Runs one command line and returns the exit status.
///
/// `args` begins with the name under which the program is called; usage texts use it. What was asked for goes to
/// `out`; errors and usage go to `err`, and in JSON to `out` as `{"error": ...}`.
pub fn main(args: &[OsString], out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    cli::run(args, out, err, false)
}

/// The same with this process's own streams. On a terminal, lists have colours.
pub fn main_here(args: &[OsString]) -> u8 {
    cli::run(args, &mut io::stdout().lock(), &mut io::stderr().lock(), colour::wanted())
}

/// The words a command line can begin with: `prog`, `map`, `batch`, ...
pub fn words() -> impl Iterator<Item = &'static str> {
    commands::TOP.commands.iter().map(|command| command.name)
}
