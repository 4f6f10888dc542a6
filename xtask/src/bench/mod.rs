//! `cargo xtask bench`: what skep costs, and what a peer costs beside it.
//!
//! - [`rows`]: the table of benchmarks.
//! - [`measure`]: the ways of measuring.
//! - [`tool`]: the programs that are compared.
//! - [`workload`]: the process that they trace.
//! - [`bpf`]: the kernel's own statistics.

pub mod bpf;
pub mod measure;
pub mod rows;
pub mod tool;
pub mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use rows::{BENCHES, Bench};
use rustix::mount::{MountFlags, MountPropagationFlags};
use tool::Tool;

use crate::error::{Context, Error, Result, message};
use crate::process;
use crate::project;
use crate::table;

/// The command's options.
#[derive(clap::Args)]
pub struct Args {
    /// Only these benchmarks (see --list).
    names: Vec<String>,
    /// Compare with another program that takes bpftrace's options.
    #[arg(long, value_name = "NAME=PATH")]
    peer: Option<String>,
    /// Measure this executable of skep instead of building one.
    #[arg(long, value_name = "PATH")]
    skep: Option<PathBuf>,
    /// How often each tool is measured; the tools take turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only list the benchmarks.
    #[arg(long)]
    list: bool,
}

/// The chore.
pub fn main(args: &Args) -> std::result::Result<ExitCode, (Error, u8)> {
    chore(args).map_err(|error| (error, 1))
}

fn chore(args: &Args) -> Result<ExitCode> {
    if args.list {
        for bench in BENCHES {
            println!("{}", bench.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let benches = chosen(&args.names)?;
    if !project::is_root() {
        return Err(message("tracing needs root"));
    }
    have_tracefs()?;
    let peer = args.peer.as_deref().map(peer).transpose()?;
    let skep = match skep(args) {
        Ok(skep) => Some(skep),
        Err(error) if peer.is_some() => {
            eprintln!("xtask: no skep binary to measure: {error}");
            None
        }
        Err(error) => return Err(error),
    };
    if let Some(peer) = &peer {
        peer.check()?;
    }
    let peer_name = peer.as_ref().map_or("peer", |peer| peer.name.as_str()).to_owned();
    let mut failed = false;
    let mut rows = Vec::new();
    for bench in benches {
        let columns = take_turns(bench, [skep.as_ref(), peer.as_ref()], args.rounds);
        failed |= columns.iter().any(|column| matches!(column, Column::Failed));
        rows.extend(lines(bench, &columns));
    }
    let skep_name = if skep.is_some() { "skep" } else { "no skep binary" };
    let ratio = format!("{peer_name}/skep");
    print!("{}", table::render(["benchmark", "median of", skep_name, &peer_name, &ratio], &rows));
    println!("rounds: {}", args.rounds);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn chosen(names: &[String]) -> Result<Vec<&'static Bench>> {
    if names.is_empty() {
        return Ok(BENCHES.iter().collect());
    }
    let find = |name: &String| {
        BENCHES
            .iter()
            .find(|bench| bench.name == name)
            .ok_or_else(|| message(format!("no benchmark {name} (see --list)")))
    };
    names.iter().map(find).collect()
}

fn skep(args: &Args) -> Result<Tool> {
    let tool = Tool { name: "skep".to_owned(), path: executable(args)?, arguments: &["trace"] };
    tool.check().map(|()| tool)
}

/// The release build, or what the user names.
fn executable(args: &Args) -> Result<PathBuf> {
    if let Some(path) = &args.skep {
        return path.canonicalize().context(|| format!("find {}", path.display()));
    }
    let mut command = project::cargo();
    command.args(["build", "--release", "--package", "skep", "--message-format=json-render-diagnostics"]);
    command.stderr(std::process::Stdio::inherit());
    let messages = process::capture(&mut command)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|value| value["executable"].as_str().map(PathBuf::from))
        .next_back()
        .ok_or_else(|| message("cargo built no executable"))
}

fn peer(text: &str) -> Result<Tool> {
    let (name, path) = text.split_once('=').ok_or_else(|| message("--peer takes NAME=PATH"))?;
    let path = std::path::absolute(path).context(|| format!("find {path}"))?;
    Ok(Tool { name: name.to_owned(), path, arguments: &[] })
}

/// Where the tracing file system is not mounted, mounts it for this process and those it starts only:
/// bpftrace does not start without.
fn have_tracefs() -> Result<()> {
    const PLACE: &str = "/sys/kernel/tracing";
    if std::path::Path::new(PLACE).join("events").exists() {
        return Ok(());
    }
    let failed = || "mount tracefs in a namespace of our own".to_owned();
    // SAFETY: a mount namespace of its own changes nothing in this process's memory or open files.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(std::io::Error::last_os_error()).context(failed);
    }
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).context(failed)?;
    rustix::mount::mount("tracefs", PLACE, "tracefs", MountFlags::empty(), None).context(failed)
}

/// The medians of a tool's runs, in the order in which the measure gives its quantities.
enum Column {
    Absent,
    Failed,
    Medians(Vec<(&'static str, f64)>),
}

/// Measures the tools in turn, so that what else the machine does hits both alike.
fn take_turns(bench: &Bench, tools: [Option<&Tool>; 2], rounds: usize) -> [Column; 2] {
    let mut runs = [Vec::new(), Vec::new()];
    let mut working = tools;
    for round in 1..=rounds.max(1) {
        for (tool, runs) in working.iter_mut().zip(&mut runs) {
            let Some(current) = *tool else { continue };
            eprintln!("xtask: {} {round}: {}", bench.name, current.name);
            match measure::measure(&bench.measure, current) {
                Ok(samples) => runs.push(samples),
                Err(error) => {
                    eprintln!("xtask: {}: {}: {error}", bench.name, current.name);
                    *tool = None;
                }
            }
        }
    }
    let mut columns =
        runs.into_iter().zip(tools).zip(working).map(|((runs, tool), working)| match (tool, working) {
            (None, _) => Column::Absent,
            (Some(_), None) => Column::Failed,
            (Some(_), Some(_)) => Column::Medians(medians(&runs)),
        });
    [columns.next().unwrap_or(Column::Absent), columns.next().unwrap_or(Column::Absent)]
}

fn medians(runs: &[Vec<measure::Sample>]) -> Vec<(&'static str, f64)> {
    let quantities = runs.first().map(Vec::as_slice).unwrap_or_default();
    let median = |quantity: &str| {
        let mut values: Vec<f64> =
            runs.iter().flatten().filter(|(name, _)| *name == quantity).map(|(_, value)| *value).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = values.get(middle).copied().unwrap_or(f64::NAN);
        let lower = if values.len().is_multiple_of(2) { middle.checked_sub(1) } else { Some(middle) };
        (lower.and_then(|lower| values.get(lower)).unwrap_or(&upper) + upper) / 2.0
    };
    quantities.iter().map(|(quantity, _)| (*quantity, median(quantity))).collect()
}

/// The table's lines of a benchmark.
fn lines(bench: &Bench, columns: &[Column; 2]) -> Vec<[String; 5]> {
    let quantities = columns.iter().find_map(|column| match column {
        Column::Medians(medians) => Some(medians),
        Column::Absent | Column::Failed => None,
    });
    let value = |column: &Column, quantity: &str| match column {
        Column::Medians(medians) => {
            medians.iter().find(|(name, _)| *name == quantity).map(|(_, value)| *value)
        }
        Column::Absent | Column::Failed => None,
    };
    let Some(quantities) = quantities else {
        let dash = || "-".to_owned();
        return vec![[bench.name.to_owned(), "(failed)".to_owned(), dash(), dash(), dash()]];
    };
    quantities
        .iter()
        .map(|(quantity, _)| {
            let [skep, peer] = columns.each_ref().map(|column| value(column, quantity));
            let ratio = skep.zip(peer).filter(|(skep, _)| *skep != 0.0).map(|(skep, peer)| peer / skep);
            let text = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
            [bench.name.to_owned(), (*quantity).to_owned(), text(skep), text(peer), text(ratio)]
        })
        .collect()
}

/// Two decimals where they say something, none where they do not.
fn number(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 1000.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_taken_per_quantity() {
        let runs = [vec![("a", 1.0), ("b", 5.0)], vec![("a", 9.0), ("b", 6.0)], vec![("a", 2.0), ("b", 7.0)]];
        assert_eq!(medians(&runs), [("a", 2.0), ("b", 6.0)]);
        assert_eq!(medians(runs.get(..2).unwrap_or_default()), [("a", 5.0), ("b", 5.5)]);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), BENCHES.len());
    }

    #[test]
    fn a_line_has_a_ratio_only_where_both_were_measured() {
        let column = || Column::Medians(vec![("ms", 2.0)]);
        let bench = Bench { name: "x", measure: rows::Measure::Startup { script: "" } };
        let both = lines(&bench, &[column(), Column::Medians(vec![("ms", 5.0)])]);
        assert_eq!(both, [["x", "ms", "2", "5", "2.50"].map(str::to_owned)]);
        let one = lines(&bench, &[Column::Absent, column()]);
        assert_eq!(one, [["x", "ms", "-", "2", "-"].map(str::to_owned)]);
    }
}
