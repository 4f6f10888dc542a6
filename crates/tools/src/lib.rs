//! The ready-made tools: each is a script in our own language and a front that
//! declares its flags and its view, in a folder of its own.
//!
//! A tool uses the public interface of `skep-trace` and nothing else: it
//! compiles its script, attaches it, and receives typed rows.

mod lines;
mod opensnoop;
mod row;
mod run;

use std::ffi::OsString;
use std::process::ExitCode;

/// A ready-made tool.
pub struct Tool {
    /// What it is called by, and the name of its link.
    pub name: &'static str,
    /// What it shows, in a line.
    pub summary: &'static str,
    /// Runs it with its arguments.
    pub run: fn(&[OsString]) -> ExitCode,
}

/// All tools, by name.
pub static TOOLS: &[&Tool] = &[&opensnoop::TOOL];

/// The tool of this name.
pub fn find(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().copied().find(|tool| tool.name == name)
}
