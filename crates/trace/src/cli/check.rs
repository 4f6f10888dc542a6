//! `skep check FILE...`: compiles without loading, for editors and automatic checks.

use std::ffi::OsString;
use std::process::ExitCode;

use serde::Serialize;
use skep_ui::{Diagnostic, Diagnostics, SourceMap};

use super::request::Script;
use super::{message, print, run, show};
use crate::compile::compile;
use crate::world::KernelWorld;

/// Checks scripts. The first argument is the program's name as messages call it.
///
/// Exit status 1 if any script has an error. What the scripts say about the kernel is checked as far as this user
/// may look it up; nothing is loaded.
pub fn main(args: &[OsString]) -> ExitCode {
    let name = args.first().map_or("skep check".into(), |name| name.to_string_lossy().into_owned());
    let (mut json, mut warnings, mut files) = (false, true, Vec::new());
    let mut args = args.iter().skip(1);
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("-f" | "--format") => match args.next().and_then(|format| format.to_str()) {
                Some("json") => json = true,
                Some("text") => json = false,
                _ => return usage(&name, "-f takes 'text' or 'json'"),
            },
            Some("--no-warnings") => warnings = false,
            Some("-h" | "--help") => return print(&help(&name)),
            Some(option) if option.len() > 1 && option.starts_with('-') => {
                return usage(&name, &format!("unrecognized option '{option}'"));
            }
            _ => files.push(arg.clone()),
        }
    }
    if files.is_empty() {
        return usage(&name, "no script given");
    }
    let world = KernelWorld::new();
    let mut failed = false;
    for file in files {
        let mut script = match Script::read(&file) {
            Ok(script) => script,
            Err(problem) => {
                if json {
                    print(&json_line(&JsonDiagnostic::without_place(&file.to_string_lossy(), &problem)));
                } else {
                    message(&format!("ERROR: {problem}\n"));
                }
                failed = true;
                continue;
            }
        };
        let options =
            skep_lang::Options { config: run::environment(), unsafe_mode: true, ..Default::default() };
        let diagnostics = match compile(&mut script.sources, script.file, &options, &world) {
            Ok(compiled) => compiled.warnings,
            Err(diagnostics) => diagnostics,
        };
        failed |= diagnostics.has_errors();
        if json {
            print(&json_lines(&diagnostics, &script, warnings));
        } else {
            show(&diagnostics, &script.sources, warnings);
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn help(name: &str) -> String {
    format!(
        "Compiles scripts without loading them and reports what is wrong.\n\n\
         Usage: {name} [-f text|json] [--no-warnings] FILE...\n\n  \
         -f, --format FORMAT   text (as when the script is run) or json (one object per line)\n      \
         --no-warnings     errors only\n  \
         -h, --help            show this help\n\n\
         A FILE of - is standard input. The exit status is 1 if there are errors.\n"
    )
}

fn usage(name: &str, problem: &str) -> ExitCode {
    message(&format!("{name}: {problem}\n{}", help(name)));
    ExitCode::FAILURE
}

/// One diagnostic as a JSON line. Lines and columns count from 1, columns in bytes; the end is exclusive.
#[derive(Serialize)]
struct JsonDiagnostic<'a> {
    severity: &'static str,
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_column: Option<u32>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

impl<'a> JsonDiagnostic<'a> {
    /// An error of the file as a whole.
    fn without_place(file: &'a str, message: &'a str) -> JsonDiagnostic<'a> {
        JsonDiagnostic {
            severity: "error",
            file,
            line: None,
            column: None,
            end_line: None,
            end_column: None,
            message,
            help: None,
        }
    }
}

fn json_line(diagnostic: &JsonDiagnostic<'_>) -> String {
    // Texts and numbers can always be written.
    serde_json::to_string(diagnostic).unwrap_or_default() + "\n"
}

fn json_lines(diagnostics: &Diagnostics, script: &Script, warnings: bool) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics.sorted() {
        if warnings || diagnostic.is_error() {
            let line = json_diagnostic(diagnostic, &script.sources, script.sources.name(script.file));
            out.push_str(&json_line(&line));
        }
    }
    out
}

fn json_diagnostic<'a>(
    diagnostic: &'a Diagnostic,
    sources: &'a SourceMap,
    file: &'a str,
) -> JsonDiagnostic<'a> {
    let place = diagnostic.span.filter(|span| sources.has(span.file));
    let start = place.map(|span| sources.line_col(span.file, span.start));
    let end = place.map(|span| sources.line_col(span.file, span.end));
    JsonDiagnostic {
        severity: if diagnostic.is_error() { "error" } else { "warning" },
        file: place.map_or(file, |span| sources.name(span.file)),
        line: start.map(|at| at.line),
        column: start.map(|at| at.col),
        end_line: end.map(|at| at.line),
        end_column: end.map(|at| at.col),
        message: &diagnostic.message,
        help: diagnostic.help.as_deref(),
    }
}
