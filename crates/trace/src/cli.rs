//! The command line of the tracing face: `skep trace`, `bpftrace`, `skep check`.

mod carried;
mod check;
mod compiler_bench;
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

use skep_ui::{Colors, Diagnostic, Diagnostics, SourceMap};

pub use carried::main as carried;
pub use check::main as check;

use options::Opt;
use request::Request;

/// Runs the tracing face. The first argument is the program's name as messages call it.
///
/// The exit status is the script's `exit(n)`; 1 for a script or a command line that is wrong, 2 for a setting of
/// the environment that is, 255 for a probe that cannot be attached or a program the kernel refuses, as the original
/// does it.
pub fn main(args: &[OsString]) -> ExitCode {
    let (name, args) = match args.split_first() {
        Some((name, rest)) => (name.to_string_lossy().into_owned(), rest),
        None => ("bpftrace".to_owned(), args),
    };
    check_color();
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
            Opt::Version => return print(&version(&name)),
            _ => {}
        }
    }
    match Request::new(parsed).and_then(Request::perform) {
        Ok(code) => code,
        Err(failure) => {
            complain(&failure);
            ExitCode::FAILURE
        }
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The release of bpftrace whose language is spoken. Programs that ask for a version compare it with this one's.
const SPOKEN: &str = "0.27.1";

/// What `--version` says: called as bpftrace, what its callers look for comes first.
fn version(name: &str) -> String {
    match short_name(name) {
        "bpftrace" => format!("bpftrace v{SPOKEN} (skep v{VERSION})\n"),
        name => format!("{name} v{VERSION} (bpftrace v{SPOKEN})\n"),
    }
}

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

/// Tells what stands in the way, in the colour of errors.
fn complain(problem: &str) {
    let problem = match problem.split_once("\nHINT: ") {
        Some((problem, hint)) => Diagnostic::error_without_place(problem).help(hint),
        None => Diagnostic::error_without_place(problem),
    };
    message(&problem.render(&SourceMap::new(), colors()));
}

/// Decides about the colours of messages.
const COLOR: &str = "BPFTRACE_COLOR";

/// Whether messages are coloured: on a terminal, or as `BPFTRACE_COLOR` wants it.
fn colors() -> Colors {
    let wanted = std::env::var_os(COLOR).unwrap_or_default();
    match wanted.to_str() {
        Some("always") => Colors::Always,
        Some("never") => Colors::Never,
        _ if io::stderr().is_terminal() => Colors::Always,
        _ => Colors::Never,
    }
}

/// Tells of a wish for colours that is none.
fn check_color() {
    let Some(wanted) = std::env::var_os(COLOR) else { return };
    if !["auto", "always", "never"].iter().any(|known| wanted == *known) {
        let wanted = wanted.to_string_lossy();
        message(&format!(
            "WARNING: Invalid env value! The valid values of `{COLOR}` are [auto|always|never]. The current value is \
             {wanted}!\n"
        ));
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
