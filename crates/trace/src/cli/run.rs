//! Running a script from the command line.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::process::ExitCode;

use skep_compile::artifact::Artifact;
use skep_compile::backend::listing::listing;
use skep_kernel::child::Exit;
use skep_lang::hir::{Attach, Target};
use skep_lang::syntax::print;
use skep_ui::SourceMap;

use super::request::{Request, Script, Stages};
use super::{colors, complain, message, show};
use crate::aot::{self, Bundle};
use crate::compile::{Compiled, Stage, compile_observed};
use crate::error::Error;
use crate::session::{Mode, Notice, Options, Session};
use crate::sink::{JsonSink, Output, Sink, TextSink};
use crate::world::KernelWorld;

/// The line that test engines wait for, named by the variable that asks for it.
const NOTIFY_ATTACHED: &str = "__BPFTRACE_NOTIFY_PROBES_ATTACHED";

/// Compiles and runs. The error is a sentence for the user.
pub(super) fn run(mut script: Script, mut request: Request) -> Result<ExitCode, String> {
    let world = request.world();
    if request.named.iter().any(|(name, _)| name == "help") {
        return Ok(program_help(&mut script, &request, &world));
    }
    let Script { sources, file } = &mut script;
    let mut shown = String::new();
    let compiled = compile_observed(sources, *file, &request.compile_options(), &world, |stage, sources| {
        shown.push_str(&show_stage(request.stages, stage, sources));
    });
    if !shown.is_empty() {
        super::print(&shown);
    }
    let artifact = match compiled {
        Ok(Compiled { artifact, warnings }) => {
            show(&warnings, sources, request.warnings);
            artifact
        }
        Err(diagnostics) => {
            show(&diagnostics, sources, request.warnings);
            return Ok(ExitCode::FAILURE);
        }
    };
    if let Some(path) = &request.emit_elf {
        let bytes = skep_compile::elf::object(&artifact).map_err(|error| error.to_string())?;
        return std::fs::write(path, bytes).map(|()| ExitCode::SUCCESS).map_err(|error| {
            let reason = skep_kernel::Errno::from(error).meaning();
            format!("failed to write '{}': {reason}", path.display())
        });
    }
    if let Some(path) = &request.aot {
        let bundle = Bundle { artifact, sources: script.sources };
        return aot::write(path, &bundle).map(|()| ExitCode::SUCCESS).map_err(|error| error.to_string());
    }
    if request.compile_only || request.stages.stop_before_loading() {
        return Ok(ExitCode::SUCCESS);
    }
    start(artifact, &script.sources, Vec::new(), &mut request, &world)
}

/// Runs a compiled script, or as much of it as is wanted. `answers` are those to its questions.
pub(super) fn start(
    mut artifact: Artifact,
    sources: &SourceMap,
    answers: Vec<u64>,
    request: &mut Request,
    world: &KernelWorld,
) -> Result<ExitCode, String> {
    if artifact.programs.is_empty() {
        let hint =
            "The script has none, or none that is there. One is for example: begin { printf(\"hello\\n\"); }";
        return Ok(nothing_to_attach(hint));
    }
    if let Err(problem) = request.mode.narrow(&mut artifact) {
        complain(&problem);
        return Ok(ExitCode::from(255));
    }
    if let Some(filter) = &request.probe_filter {
        keep_probes(&mut artifact, filter);
        if artifact.programs.is_empty() {
            let hint = format!("no probe of the script has a name that --probe-filter {filter} matches");
            return Ok(nothing_to_attach(&hint));
        }
    }
    match trace(artifact, answers, request, sources, world) {
        Ok(code) => Ok(code),
        Err(error) => {
            message(&error.render(sources, colors()));
            Ok(ExitCode::from(error.exit_code()))
        }
    }
}

fn trace(
    artifact: Artifact,
    answers: Vec<u64>,
    request: &mut Request,
    sources: &SourceMap,
    world: &KernelWorld,
) -> Result<ExitCode, Error> {
    let mut sink = sink(request, sources)?;
    let (verbose, warnings) = (request.verbose, request.warnings);
    let options = Options {
        command: request.command.take(),
        pid: request.pid,
        unwind: request.unwind.clone(),
        signals: true,
        verifier_log: if request.stages.verifier { 2 } else { 0 },
        features: std::mem::take(&mut request.features),
        tracefs: world.opened_tracefs(),
        debug_path: request.debug_path.clone(),
        answers,
        notices: Some(Box::new(move |notice| {
            if let Notice::Attached = notice {
                notify("READY=1\nSTATUS=Processing events...");
            }
            tell(notice, verbose, warnings);
        })),
        ..Options::default()
    };
    let mut session = Session::load(artifact, options)?;
    if request.stages.verifier {
        for (name, log) in session.verifier_logs() {
            message(&format!("{name}:\n{log}\n"));
        }
    }
    if request.dry_run || request.mode == Mode::Trace {
        session.attach()?;
    }
    if request.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = match request.mode {
        Mode::Trace => session.run(&mut *sink)?,
        Mode::Test => session.run_tests(&mut *sink)?,
        Mode::Bench => session.run_benchmarks(&mut *sink)?,
    };
    notify("STOPPING=1");
    // The status of a process has eight bits.
    Ok(ExitCode::from(outcome.exit_code as u8))
}

/// Results go to standard output or to a file, messages to standard error.
fn sink(request: &Request, sources: &SourceMap) -> Result<Box<dyn Sink>, Error> {
    let file = match &request.output {
        Some(path) => File::create(path).map_err(|error| {
            let reason = skep_kernel::Errno::from(error).meaning();
            Error::Usage(format!("Failed to open output file: \"{}\": {reason}", path.to_string_lossy()))
        })?,
        // Not through the standard library's own buffer, which would look for line ends again.
        None => File::from(io::stdout().as_fd().try_clone_to_owned()?),
    };
    let output = Output::to_file(file, request.buffering);
    let sources = sources.clone();
    Ok(if request.json {
        Box::new(JsonSink::new(output, sources).quiet(request.quiet).warnings(request.warnings))
    } else {
        let messages = Box::new(io::stderr());
        Box::new(
            TextSink::new(output, messages, sources)
                .escape_messages(io::stderr().is_terminal())
                .quiet(request.quiet)
                .colors(colors())
                .warnings(request.warnings),
        )
    })
}

/// The service manager that started this, if one did, hears how far it is.
fn notify(state: &str) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = skep_kernel::notify::notify(&socket, state)
    {
        tracing::debug!("the service manager cannot be told: {error}");
    }
}

/// What is said about what goes on.
fn tell(notice: &Notice<'_>, verbose: bool, warnings: bool) {
    match notice {
        Notice::Attached if std::env::var_os(NOTIFY_ATTACHED).is_some() => {
            super::print(&format!("{NOTIFY_ATTACHED}\n"));
        }
        Notice::Pinned(path) => {
            super::print(&format!("Program pinned to {}\n", path.display()));
        }
        Notice::Missing(probe, error) if warnings => {
            message(&format!("WARNING: Unable to attach probe: {probe}. Skipping. {error}\n"));
        }
        Notice::RunningBegin if verbose => message("Attaching 'begin' probe\n"),
        Notice::RunningEnd if verbose => message("Attaching 'end' probe\n"),
        Notice::Served(probe, by) if verbose => {
            message(&format!("{probe} is served by {by}: this kernel has no kprobes\n"));
        }
        Notice::Attaching(probe) if verbose => message(&format!("Trying to attach probe: {probe}\n")),
        Notice::CommandEnded(Exit::Status(status)) if verbose => {
            message(&format!("Child exited with code: {status}\n"));
        }
        Notice::CommandEnded(Exit::Signal(signal)) if verbose => {
            message(&format!("Child terminated by signal: {signal}\n"));
        }
        _ => {}
    }
}

/// Drops the probes that `--probe-filter` does not name; `BEGIN`, `END` and what runs for a signal always stay.
fn keep_probes(artifact: &mut Artifact, filter: &regex::Regex) {
    let special = |target: &Target| matches!(target.attach, Attach::Begin | Attach::End | Attach::Signal);
    artifact.keep(|target| special(target) || filter.is_match(&target.name));
}

/// Says so where the original does, and why.
pub(super) fn nothing_to_attach(hint: &str) -> ExitCode {
    super::print("No probes to attach\n");
    message(&format!("HINT: {hint}\n"));
    ExitCode::FAILURE
}

fn show_stage(wanted: Stages, stage: Stage<'_>, sources: &SourceMap) -> String {
    let (title, text) = match stage {
        Stage::Ast(ast) if wanted.ast => ("AST", print::script(ast, print::Spans::Show)),
        Stage::Hir(program) if wanted.hir => ("typed program", skep_lang::dump(program)),
        Stage::Ir(module) if wanted.ir => ("IR", module.to_string()),
        Stage::OptimisedIr(module) if wanted.optimised => ("IR after optimising", module.to_string()),
        Stage::Bpf(artifact) if wanted.bpf => ("BPF", listing(artifact, sources)),
        _ => return String::new(),
    };
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = std::fmt::Write::write_fmt(&mut out, format_args!("== {title}\n{text}\n"));
    out
}

/// `-- --help`: the options that the script defines with `getopt()`. To ask is to fail, as in the
/// original.
fn program_help(script: &mut Script, request: &Request, world: &KernelWorld) -> ExitCode {
    let options = request.compile_options();
    let prepared = skep_lang::prepare(&mut script.sources, script.file, &options, world);
    show(&skep_ui::Diagnostics::from(prepared.diagnostics.clone()), &script.sources, request.warnings);
    let defined = skep_lang::program_options(&prepared);
    if defined.is_empty() {
        message("HINT: no custom program options defined.\n");
        return ExitCode::FAILURE;
    }
    let mut text = String::from("HINT: expected program options:\n");
    for option in defined {
        text.push_str(&format!("--{}", option.name));
        if !option.description.is_empty() {
            text.push_str(&format!(": {}", option.description));
        }
        text.push('\n');
    }
    message(&text);
    ExitCode::FAILURE
}

/// Tells what is wrong with the settings of the environment: the exit status, if anything is.
pub(super) fn wrong_environment() -> Option<ExitCode> {
    let problems = skep_lang::check_settings(&environment());
    problems.has_errors().then(|| {
        show(&problems, &SourceMap::new(), true);
        ExitCode::from(WRONG_ENVIRONMENT)
    })
}

/// The exit status for a setting of the environment that cannot be.
const WRONG_ENVIRONMENT: u8 = 2;

/// Settings of the environment: `BPFTRACE_MAX_STRLEN` and the like.
pub(super) fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(key, _)| key.starts_with("BPFTRACE_"))
        .collect()
}

impl Request {
    /// The kernel as these options have it.
    pub fn world(&self) -> KernelWorld {
        KernelWorld::with_features(self.features.clone())
            .traceable_functions(self.traceable_functions.clone())
            .include_dirs(self.include_dirs.clone())
            .user_space(self.pid, self.debug_path.clone())
    }

    pub fn compile_options(&self) -> skep_lang::Options {
        skep_lang::Options {
            params: self.params.clone(),
            named: self.named.clone(),
            includes: self.includes.clone(),
            config: environment(),
            pid_filter: self.pid.is_some(),
            has_command: self.command.is_some() || self.aot.is_some(),
            unsafe_mode: self.unsafe_mode,
            runtime_warnings: self.runtime_warnings,
            portable: self.aot.is_some(),
        }
    }
}
