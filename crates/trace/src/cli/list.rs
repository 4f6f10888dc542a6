//! `-l`: the probes there are, or those of a script.

use std::process::ExitCode;

use skep_lang::hir::Attach;

use super::request::{Request, Script};
use super::{message, print, show};
use crate::compile::compile;
use crate::world::KernelWorld;

/// Lists what matches a pattern; nothing is no error.
pub(super) fn pattern(pattern: &str, request: &Request) -> Result<ExitCode, String> {
    if pattern.contains('.') && !pattern.contains(':') && request.warnings {
        message(&format!(
            "WARNING: It appears that '{pattern}' is a filename but the file does not exist. Treating '{pattern}' \
             as a search pattern.\n"
        ));
    }
    let world = request.world();
    let mut out = String::new();
    for one in skep_lang::searches(pattern) {
        out.push_str(&match skep_lang::list_types(one, &world, request.verbose) {
            Some(types) => types?,
            None => listed(one, &world, request.verbose)?,
        });
    }
    Ok(print(&out))
}

/// Lists what a script attaches to.
pub(super) fn script(script: &mut Script, request: &Request) -> Result<ExitCode, String> {
    let world = request.world();
    let compiled = match compile(&mut script.sources, script.file, &request.compile_options(), &world) {
        Ok(compiled) => compiled,
        Err(diagnostics) => {
            show(&diagnostics, &script.sources, request.warnings);
            return Ok(ExitCode::FAILURE);
        }
    };
    show(&compiled.warnings, &script.sources, request.warnings);
    let mut out = String::new();
    let mut seen = Vec::new();
    for target in &compiled.artifact.targets {
        let pattern = match &target.attach {
            Attach::Begin | Attach::End => continue,
            // The original lists neither.
            Attach::Watchpoint(_) | Attach::Signal | Attach::Test { .. } | Attach::Bench { .. } => continue,
            Attach::Tracepoint { .. } | Attach::RawTracepoint { .. } | Attach::Usdt(_) => target.name.clone(),
            Attach::Fentry(_) => target.name.clone(),
            Attach::Iter(iter) => format!("iter:{}", iter.over),
            // A place in a function is listed as the function.
            Attach::Kprobe(_) | Attach::Uprobe(_) => {
                target.name.split('+').next().unwrap_or_default().to_owned()
            }
            // How often is not part of a listing: `interval:s:1` is listed as `interval:s:`.
            Attach::Interval(_) | Attach::Profile(_) | Attach::Counter(_) => {
                let mut parts = target.name.split(':');
                format!("{}:{}", parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
            }
        };
        if !seen.contains(&pattern) {
            out.push_str(&listed(&pattern, &world, request.verbose)?);
            seen.push(pattern);
        }
    }
    Ok(print(&out))
}

fn listed(pattern: &str, world: &KernelWorld, detailed: bool) -> Result<String, String> {
    let probes = skep_lang::list(pattern, world, detailed)?;
    let mut out = String::with_capacity(probes.len() * 48);
    for probe in &probes {
        probe.write(&mut out);
    }
    Ok(out)
}
