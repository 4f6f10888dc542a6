//! What `--help` shows, made of the table of options.

use std::fmt::Write;

use super::options::{Group, Opt, Row, TABLE};

/// The first lines: how the program is called.
pub(super) fn usage(name: &str) -> String {
    format!(
        "USAGE:\n       {name} [OPTION]... FILE [ARGUMENT]...\n       \
         {name} [OPTION]... -e PROGRAM [ARGUMENT]...\n       \
         {name} -l [PATTERN]\n\
         Try `{name} --help` for all options.\n"
    )
}

/// Everything.
pub(super) fn full(name: &str) -> String {
    let mut out = format!(
        "Traces the system with a script that is compiled to BPF.\n\n\
         USAGE:\n       \
         {name} [OPTION]... FILE [ARGUMENT]...          run a script (- reads it from standard input)\n       \
         {name} [OPTION]... -e PROGRAM [ARGUMENT]...    run a program given on the command line\n       \
         {name} -l [PATTERN]                            list probes\n\n\
         ARGUMENTs are $1, $2, ... in the script; after -- they may begin with a dash.\n"
    );
    for (group, title) in Group::SHOWN {
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "\n{title}:");
        for row in TABLE.iter().filter(|row| row.group == group) {
            let _ = writeln!(out, "  {:<34} {}", spelling(row), row.help);
        }
    }
    let _ = write!(
        out,
        "\nExamples:\n  \
         {name} -e 'tracepoint:syscalls:sys_enter_open* {{ @[probe] = count(); }}'\n  \
         {name} -e 'tracepoint:syscalls:sys_enter_openat {{ printf(\"%s %s\\n\", comm, str(args.filename)); }}'\n  \
         {name} -e 'profile:hz:99 {{ @[comm] = count(); }}' -c 'make -j2'\n  \
         {name} -lv 'tracepoint:sched:*'\n"
    );
    out
}

/// What an executable that carries a script shows.
pub(super) fn carried(name: &str) -> String {
    format!(
        "Runs the compiled script that it carries.\n\n\
         USAGE:\n       {name} [OPTION]... [ARGUMENT]...\n\n\
         ARGUMENTs are $1, $2, ... in the script, those that were not given when it was compiled: numbers.\n\
         The options are those of `skep trace` that do not change what is compiled, among them:\n\n{}",
        CARRIED.iter().fold(String::new(), |mut out, opt| {
            for row in TABLE.iter().filter(|row| row.opt == *opt) {
                let _ = writeln!(out, "  {:<34} {}", spelling(row), row.help);
            }
            out
        })
    )
}

/// The most useful options of an executable that carries a script.
const CARRIED: &[Opt] = &[
    Opt::Command,
    Opt::Pid,
    Opt::Output,
    Opt::Format,
    Opt::Buffering,
    Opt::Quiet,
    Opt::NoWarnings,
    Opt::ProbeFilter,
    Opt::DryRun,
    Opt::Debug,
    Opt::Verbose,
    Opt::Version,
    Opt::Help,
];

fn spelling(row: &Row) -> String {
    let short = row.short.map(|short| format!("-{short}"));
    let long = row.long.map(|long| format!("--{long}"));
    let names: Vec<_> = short.into_iter().chain(long).collect();
    let mut text = if row.short.is_none() { "    ".to_owned() } else { String::new() };
    text.push_str(&names.join(", "));
    if let Some(argument) = row.argument {
        let _ = write!(text, " {argument}");
    }
    text
}
