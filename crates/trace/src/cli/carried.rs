//! The command line of an executable that carries a script (`--aot`).

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use super::options::{self, Opt, Parsed};
use super::request::{Action, Request};
use super::{complain, help, print, run, short_name};
use crate::aot::Bundle;

/// Runs a script that this executable carries. `name` is what it was called by, `args` are the words after that.
pub fn main(script: Bundle, name: &OsStr, args: &[OsString]) -> ExitCode {
    let name = name.to_string_lossy();
    let done = options::parse(args).and_then(|parsed| run_carried(script, &name, parsed));
    done.unwrap_or_else(|problem| {
        complain(&problem);
        ExitCode::FAILURE
    })
}

/// What was decided when the script was compiled.
const DECIDED: &[Opt] = &[
    Opt::Eval,
    Opt::List,
    Opt::Info,
    Opt::Fmt,
    Opt::Unsafe,
    Opt::RuntimeWarnings,
    Opt::IncludeDir,
    Opt::IncludeFile,
    Opt::DebugInfo,
    Opt::TraceableFunctions,
    Opt::Aot,
    Opt::EmitElf,
];

fn run_carried(script: Bundle, name: &str, mut parsed: Parsed) -> Result<ExitCode, String> {
    for (opt, _) in &parsed.options {
        match opt {
            Opt::Help => return Ok(print(&help::carried(name))),
            Opt::Version => return Ok(print(&format!("{} (skep v{})\n", short_name(name), super::VERSION))),
            decided if DECIDED.contains(decided) => {
                return Err(format!("{}: this was decided when the script was compiled", decided.spelled()));
            }
            _ => {}
        }
    }
    // The script that is carried stands where that of a command line would.
    parsed.options.push((Opt::Eval, Some(OsString::new())));
    let mut request = Request::new(parsed)?;
    request.check()?;
    if !matches!(request.action, Action::Run(_)) {
        return Err("there is nothing but a script to run here".into());
    }
    if let Some((name, _)) = request.named.first() {
        return Err(format!("--{name}: options of a script are decided when it is compiled"));
    }
    let filters = script.artifact.uses_filter_pid();
    if filters != request.pid.is_some() {
        return Err(match filters {
            true => "the script was compiled for one process: name it with -p PID".into(),
            false => "the script was compiled for all processes: compile it with -p for one".into(),
        });
    }
    let world = request.world();
    let answers = script.artifact.portable.answers(&world, &request.params).map_err(|misfits| {
        format!("the script does not fit this machine; compile it here:\n  {}", misfits.join("\n  "))
    })?;
    run::start(script.artifact, &script.sources, answers, &mut request, &world)
}
