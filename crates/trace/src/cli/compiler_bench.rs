//! `--mode compiler-bench`: how long each stage of the compiler takes on a script.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::request::{Request, Script};
use super::{print, show};
use crate::compile::{Stage, compile_observed};

/// The script is compiled for this long, but not more often than [`MOST_RUNS`].
const LONG_ENOUGH: Duration = Duration::from_millis(500);
const MOST_RUNS: usize = 10_000;

/// The stages in their order; the last row is all of them together.
const STAGES: [&str; 6] = ["prepare", "analyse", "lower", "optimise", "assemble", "total"];

/// Compiles the script over and over and prints a table of what it took.
pub(super) fn measure(script: &Script, request: &Request) -> ExitCode {
    let world = request.world();
    let options = request.compile_options();
    let mut samples: [Vec<Duration>; STAGES.len()] = Default::default();
    let begun = Instant::now();
    while samples[0].is_empty() || (begun.elapsed() < LONG_ENOUGH && samples[0].len() < MOST_RUNS) {
        // What a script draws in is added to its sources.
        let mut sources = script.sources.clone();
        let start = Instant::now();
        let mut last = start;
        let compiled = compile_observed(&mut sources, script.file, &options, &world, |stage, _| {
            let now = Instant::now();
            if let Some(samples) = samples.get_mut(index(stage)) {
                samples.push(now - last);
            }
            last = Instant::now();
        });
        if let Err(diagnostics) = compiled {
            show(&diagnostics, &sources, request.warnings);
            return ExitCode::FAILURE;
        }
        samples[STAGES.len() - 1].push(last - start);
    }
    let mut out = format!("{:<30}{:<8}{:<12}MEAN\n", "STAGE", "COUNT", "TIME (ns)");
    for (name, samples) in STAGES.iter().zip(&samples) {
        out.push_str(&row(name, samples));
    }
    print(&out)
}

/// Which row a stage has.
fn index(stage: Stage<'_>) -> usize {
    match stage {
        Stage::Ast(_) => 0,
        Stage::Hir(_) => 1,
        Stage::Ir(_) => 2,
        Stage::OptimisedIr(_) => 3,
        Stage::Bpf(_) => 4,
    }
}

/// How often, how long all together, and the mean with its standard deviation.
fn row(name: &str, samples: &[Duration]) -> String {
    let total: Duration = samples.iter().sum();
    let count = samples.len().max(1) as f64;
    let mean = total.as_secs_f64() / count;
    let square = |sample: &Duration| (sample.as_secs_f64() - mean).powi(2);
    // A sum of nothing is -0, which would be printed so.
    let deviation = (samples.iter().map(square).fold(0.0, |sum, square| sum + square) / count).sqrt();
    let (unit, scale) = match mean {
        ..1e-6 => ("ns", 1e9),
        ..1e-3 => ("μs", 1e6),
        _ => ("ms", 1e3),
    };
    format!(
        "{name:<30}{:<8}{:<12}{:.0} ± {:.0} {unit}\n",
        samples.len(),
        total.as_nanos(),
        mean * scale,
        deviation * scale
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_mean_and_deviation() {
        let samples = [Duration::from_micros(10), Duration::from_micros(30)];
        assert_eq!(row("lower", &samples), format!("{:<30}2       40000       20 ± 10 μs\n", "lower"));
        assert!(row("x", &[]).ends_with("0 ± 0 ns\n"));
    }
}
