//! The ready-made tools: each is a script in our own language and a front that
//! declares its flags and its view, in a folder of its own.
//!
//! A tool uses the public interface of `skep-trace` and nothing else: it
//! compiles its script, attaches it, and receives typed rows. Only `bpfsnoop`
//! has what it sees decoded by the inspector, which also follows processes for
//! it.

mod bashreadline;
mod biolatency;
mod biotop;
mod bpfsnoop;
mod cachestat;
mod execsnoop;
mod exitsnoop;
mod filetop;
mod flags;
mod funccount;
mod gethostlatency;
mod histogram;
mod lead;
mod lines;
mod offcputime;
mod opensnoop;
mod profile;
mod rounds;
mod row;
mod run;
mod runqlat;
mod spec;
mod stacks;
mod syscount;
mod table;
mod tcpconnect;
mod tcplife;
mod tops;
mod trace;
mod who;

use std::ffi::OsString;
use std::process::ExitCode;

/// A ready-made tool.
pub struct Tool {
    /// What it is called by, and the name of its link.
    pub name: &'static str,
    /// What it shows, in a line.
    pub summary: &'static str,
    /// Its command line.
    pub command: fn() -> clap::Command,
    /// Runs it with its arguments.
    pub run: fn(&[OsString]) -> ExitCode,
}

/// All tools, by name.
pub static TOOLS: &[&Tool] = &[
    &bashreadline::TOOL,
    &biolatency::TOOL,
    &biotop::TOOL,
    &bpfsnoop::TOOL,
    &cachestat::TOOL,
    &execsnoop::TOOL,
    &exitsnoop::TOOL,
    &filetop::TOOL,
    &funccount::TOOL,
    &gethostlatency::TOOL,
    &offcputime::TOOL,
    &opensnoop::TOOL,
    &profile::TOOL,
    &runqlat::TOOL,
    &syscount::TOOL,
    &tcpconnect::TOOL,
    &tcplife::TOOL,
    &trace::TOOL,
];

/// The tool of this name.
pub fn find(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().copied().find(|tool| tool.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_contradict_nothing_and_are_called_as_their_tool() {
        for tool in TOOLS {
            let command = (tool.command)();
            assert_eq!(command.get_name(), tool.name);
            command.debug_assert();
        }
    }

    #[test]
    fn tools_are_listed_by_name_each_once() {
        assert!(TOOLS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}
