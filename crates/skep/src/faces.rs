//! The faces: which words and link names lead where.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// Something skep can be.
pub struct Face {
    /// The word after `skep`.
    pub name: &'static str,
    /// The program it stands in for when called through a link of that name.
    pub link: Option<&'static str>,
    /// What it does, for `skep help`.
    pub summary: &'static str,
    /// Does it. It gets how it was called, for messages, and the words after that.
    pub run: fn(&str, &[OsString]) -> ExitCode,
}

/// All faces but the objects of the inspector and the tools, which have their
/// own tables.
pub static FACES: &[Face] = &[
    Face {
        name: "trace",
        link: Some("bpftrace"),
        summary: "run a script: skep trace -e 'PROGRAM', FILE, -l [PATTERN]",
        run: trace,
    },
    Face {
        name: "check",
        link: None,
        summary: "compile scripts without loading them and report what is wrong",
        run: |name, args| skep_trace::cli::check(&with_name(name, args)),
    },
    Face {
        name: "bpftool",
        link: Some("bpftool"),
        summary: "show BPF objects: skep prog show, skep map show, ...",
        run: inspect,
    },
    Face {
        name: "tools",
        link: None,
        summary: "list the ready-made tools, or run one: skep tools NAME, skep NAME",
        run: |_, args| tools(args),
    },
    Face {
        name: "links",
        link: None,
        summary: "make links named after the programs skep stands in for: skep links DIR",
        run: |_, args| crate::links::main(args),
    },
    Face { name: "help", link: None, summary: "this text", run: |_, _| help() },
    Face { name: "version", link: None, summary: "the version", run: |_, _| version() },
];

/// What a link of this name does, if it is one of ours.
pub fn run_link(name: &str, args: &[OsString]) -> Option<ExitCode> {
    if let Some(face) = FACES.iter().find(|face| face.link == Some(name)) {
        return Some((face.run)(name, args));
    }
    skep_tools::find(name).map(|tool| (tool.run)(args))
}

/// `skep WORD ...`
pub fn skep(args: &[OsString]) -> ExitCode {
    let Some(word) = args.first() else {
        let _ = write_help(&mut io::stderr());
        return ExitCode::FAILURE;
    };
    let rest = &args[1..];
    let word = word.to_string_lossy();
    match &*word {
        "-h" | "--help" => return help(),
        "-V" | "--version" => return version(),
        _ => {}
    }
    if let Some(face) = FACES.iter().find(|face| face.name == word) {
        return (face.run)(&format!("skep {word}"), rest);
    }
    if let Some(tool) = skep_tools::find(&word) {
        return (tool.run)(rest);
    }
    // The inspector's objects and options go to it whole: `skep prog show`, `skep -j map show`.
    if skep_inspect::words().any(|object| object == word) || word.starts_with('-') {
        return inspect("skep", args);
    }
    let mut names: Vec<&str> = FACES.iter().map(|face| face.name).collect();
    names.extend(skep_inspect::words());
    names.extend(skep_tools::TOOLS.iter().map(|tool| tool.name));
    eprintln!("skep: there is no command '{word}'");
    if let Some(near) = skep_ui::suggest(&word, names) {
        eprintln!("did you mean '{near}'?");
    }
    eprintln!("'skep help' lists what there is");
    ExitCode::FAILURE
}

fn trace(name: &str, args: &[OsString]) -> ExitCode {
    skep_trace::cli::main(&with_name(name, args))
}

fn with_name(name: &str, args: &[OsString]) -> Vec<OsString> {
    std::iter::once(name.into()).chain(args.iter().cloned()).collect()
}

fn inspect(name: &str, args: &[OsString]) -> ExitCode {
    ExitCode::from(skep_inspect::main_here(&with_name(name, args)))
}

fn tools(args: &[OsString]) -> ExitCode {
    let Some(name) = args.first() else {
        let mut out = io::stdout().lock();
        for tool in skep_tools::TOOLS {
            if writeln!(out, "{:<16} {}", tool.name, tool.summary).is_err() {
                break;
            }
        }
        return ExitCode::SUCCESS;
    };
    let name = name.to_string_lossy();
    if let Some(tool) = skep_tools::find(&name) {
        return (tool.run)(&args[1..]);
    }
    eprintln!("skep: there is no tool '{name}'");
    if let Some(near) = skep_ui::suggest(&name, skep_tools::TOOLS.iter().map(|tool| tool.name)) {
        eprintln!("did you mean '{near}'?");
    }
    ExitCode::FAILURE
}

fn help() -> ExitCode {
    match write_help(&mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn write_help(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "skep: the Linux BPF observability stack in one binary\n")?;
    writeln!(out, "Usage: skep COMMAND [ARGUMENT]...\n")?;
    for face in FACES {
        writeln!(out, "  {:<10} {}", face.name, face.summary)?;
    }
    writeln!(out, "\nObjects: {}", skep_inspect::words().collect::<Vec<_>>().join(" "))?;
    let tools: Vec<&str> = skep_tools::TOOLS.iter().map(|tool| tool.name).collect();
    writeln!(out, "Tools: {}", tools.join(" "))?;
    let links: Vec<&str> = FACES.iter().filter_map(|face| face.link).collect();
    writeln!(out, "\nCalled through a link named {} or after a tool, it is that program.", links.join(", "))
}

fn version() -> ExitCode {
    println!("skep v{}", env!("CARGO_PKG_VERSION"));
    ExitCode::SUCCESS
}
