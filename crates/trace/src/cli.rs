//! The command line of the tracing face: `skep trace`, `bpftrace`, `skep check`.

mod carried;
mod check;
mod format;
mod help;
mod info;
mod list;
mod options;
mod request;
mod run;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use skep_ui::{Colors, Diagnostics, SourceMap};

pub use carried::main as carried;
pub use check::main as check;

use options::Opt;
use request::Request;

/// Runs the tracing face. The first argument is the program's name as messages call it.
///
/// The exit status is the script's `exit(n)`; 1 for a script or a command line that is wrong, 255 for a probe
/// that cannot be attached or a program the kernel refuses, as the original does it.
pub fn main(args: &[OsString]) -> ExitCode {
    let (name, args) = match args.split_first() {
        Some((name, rest)) => (name.to_string_lossy().into_owned(), rest),
        None => ("bpftrace".to_owned(), args),
    };
    let parsed = match options::parse(args) {
        Ok(parsed) => parsed,
        Err(problem) => {
            message(&format!("{name}: {problem}\n{}", help::usage(&name)));
            return ExitCode::FAILURE;
        }
    };
    // These two win over whatever else is wrong.
    for (opt, _) in &parsed.options {
        match opt {
            Opt::Help => return print(&help::full(&name)),
            Opt::Version => return print(&format!("{} v{VERSION}\n", short_name(&name))),
            _ => {}
        }
    }
    match Request::new(parsed).and_then(Request::perform) {
        Ok(code) => code,
        Err(failure) => {
            message(&format!("ERROR: {failure}\n"));
            ExitCode::FAILURE
        }
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `skep trace` is `skep` when it tells its version, and a path is its last part.
fn short_name(name: &str) -> &str {
    let program = name.split(' ').next().unwrap_or(name);
    program.rsplit('/').next().unwrap_or(program)
}

/// Writes to standard output. Nobody is told when there is nobody to read.
fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// Writes to standard error, where a failure could not be told anyway.
fn message(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Whether messages are coloured: on a terminal, or as `BPFTRACE_COLOR` wants it.
fn colors() -> Colors {
    let wanted = std::env::var_os("BPFTRACE_COLOR").unwrap_or_default();
    match wanted.to_str() {
        Some("always") => Colors::Always,
        Some("never") => Colors::Never,
        _ if io::stderr().is_terminal() => Colors::Always,
        _ => Colors::Never,
    }
}

/// Shows what the compiler has to say.
fn show(diagnostics: &Diagnostics, sources: &SourceMap, warnings: bool) {
    let colors = colors();
    for diagnostic in diagnostics.sorted() {
        if warnings || diagnostic.is_error() {
            message(&diagnostic.render(sources, colors));
        }
    }
}
