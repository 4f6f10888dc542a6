//! The ways of measuring, one function each; every one is one run of one tool.

use std::mem::MaybeUninit;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::bpf::{self, Counting};
use super::rows::Measure;
use super::tool::{Running, Tool};
use super::workload::{self, Workload};
use crate::error::{Context, Result, message};

/// What one run gave: the quantity with its unit, and the value.
pub type Sample = (&'static str, f64);

/// Calls made for one measurement of the time per event.
const CALLS: u64 = 200_000;
/// How long a tracer may take until it sees events.
const PATIENCE: Duration = Duration::from_secs(60);
/// When the output has not grown for so long, all that will come has come.
const SILENCE: Duration = Duration::from_millis(500);

/// Measures a tool once.
pub fn measure(measure: &Measure, tool: &Tool) -> Result<Vec<Sample>> {
    match measure {
        Measure::Startup { script } => startup(tool, script),
        Measure::Compile { lines } => compile(tool, *lines),
        Measure::PerEvent { script } => per_event(tool, script),
        Measure::Delivery { script, events } => delivery(tool, script, *events),
    }
}

fn startup(tool: &Tool, script: &str) -> Result<Vec<Sample>> {
    let mut command = tool.command(script);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let child = command.spawn().context(|| format!("start {}", tool.name))?;
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to memory of the right type, which the call fills in.
    let answer = unsafe { libc::wait4(child.id() as libc::pid_t, &mut status, 0, usage.as_mut_ptr()) };
    let wall = begun.elapsed();
    if answer < 0 {
        return Err(std::io::Error::last_os_error()).context(|| format!("wait for {}", tool.name));
    }
    if status != 0 {
        return Err(message(format!("{} ended with wait status {status}", tool.name)));
    }
    // SAFETY: the structure is plain numbers; it was zeroed first and then filled in.
    let usage = unsafe { usage.assume_init() };
    let milliseconds = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    Ok(vec![
        ("CPU ms", milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime)),
        ("wall ms", wall.as_secs_f64() * 1e3),
        // Kilobytes. Includes this process's own peak before exec, which is far smaller than any tracer's.
        ("peak MiB", usage.ru_maxrss as f64 / 1024.0),
    ])
}

/// The stages of the compiler, as they are called in its log.
const STAGES: [&str; 5] = ["prepared", "analysed", "lowered", "optimised", "assembled"];

/// A dry run: everything but the probes themselves. How long the compiler took is in its log; a program that keeps
/// none is only measured as a whole.
fn compile(tool: &Tool, lines: usize) -> Result<Vec<Sample>> {
    let directory = tempfile::tempdir().context(|| "make a directory".to_owned())?;
    let script = directory.path().join("script.bt");
    std::fs::write(&script, script_of(lines)).context(|| "write a script".to_owned())?;
    let mut command = Command::new(&tool.path);
    command.args(tool.arguments).arg("--dry-run").arg(&script).stdin(Stdio::null()).stdout(Stdio::null());
    command.env("SKEP_LOG", "skep_trace=debug").env("NO_COLOR", "1");
    let begun = Instant::now();
    let output = command.output().context(|| format!("start {}", tool.name))?;
    let wall = begun.elapsed().as_secs_f64() * 1e3;
    if !output.status.success() {
        return Err(message(format!("{} does not compile {lines} lines", tool.name)));
    }
    let messages = String::from_utf8_lossy(&output.stderr);
    let stages: Vec<f64> = STAGES.iter().filter_map(|stage| took(&messages, stage)).collect();
    let mut samples = vec![("wall ms", wall)];
    if stages.len() == STAGES.len() {
        samples.push(("compile ms", stages.iter().sum()));
    }
    Ok(samples)
}

/// A script of so many lines: a bit of everything, in one clause.
fn script_of(lines: usize) -> String {
    let body = (0..lines.saturating_sub(2)).map(|at| match at % 5 {
        0 => format!("  @a[{}] = {at};\n", at % 7),
        1 => format!("  if (@a[{}] > {at}) {{ @b = count(); }}\n", at % 7),
        2 => format!("  $x{at} = (uint64)pid + {at};\n"),
        3 => format!("  @c += $x{};\n", at - 1),
        _ => format!("  printf(\"%d %d\\n\", @c, {at});\n"),
    });
    format!("BEGIN {{\n{}}}\n", body.collect::<String>())
}

/// The milliseconds behind `took=` in the line of the log that tells of a stage.
fn took(log: &str, stage: &str) -> Option<f64> {
    let line = log.lines().find(|line| line.split_whitespace().any(|word| word == stage))?;
    let text = line.split_once("took=")?.1.split_whitespace().next()?;
    let units = [("ns", 1e-6), ("µs", 1e-3), ("ms", 1.0), ("s", 1e3)];
    units.iter().find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
}

fn per_event(tool: &Tool, script: &str) -> Result<Vec<Sample>> {
    let mut load = Workload::start()?;
    let nanoseconds = |time: Duration| time.as_nanos() as f64 / CALLS as f64;
    load.run(workload::NAME, CALLS)?;
    let untraced = nanoseconds(load.run(workload::NAME, CALLS)?);

    let directory = tempfile::tempdir().context(|| "make a directory".to_owned())?;
    let mut tracer = tool.start(&for_process(script, &load), directory.path())?;
    wait_until_attached(&mut tracer, &mut load)?;

    let traced = nanoseconds(load.run(workload::NAME, CALLS)?);
    let counting = Counting::start()?;
    let before = bpf::of_process(tracer.pid())?;
    load.run(workload::NAME, CALLS)?;
    let after = bpf::of_process(tracer.pid())?;
    drop(counting);
    tracer.stop()?;
    Ok(vec![
        ("program ns/event", after.time.saturating_sub(before.time) as f64 / CALLS as f64),
        ("call slower by ns", traced - untraced),
        ("instructions", after.instructions as f64),
        ("machine code bytes", after.machine_code as f64),
    ])
}

/// Makes a few calls now and then until each is seen, by the same number of programs twice in a row.
fn wait_until_attached(tracer: &mut Running, load: &mut Workload) -> Result<()> {
    const FEW: u64 = 100;
    let _counting = Counting::start()?;
    let deadline = Instant::now() + PATIENCE;
    let mut last = 0;
    while Instant::now() < deadline {
        tracer.still_runs()?;
        let before = bpf::of_process(tracer.pid())?.runs;
        load.run(workload::NAME, FEW)?;
        let runs = bpf::of_process(tracer.pid())?.runs.saturating_sub(before) / FEW;
        if runs > 0 && runs == last {
            return Ok(());
        }
        last = runs;
        std::thread::sleep(Duration::from_millis(150));
    }
    Err(message(format!("it saw no events within {} s", PATIENCE.as_secs())))
}

fn delivery(tool: &Tool, script: &str, events: u64) -> Result<Vec<Sample>> {
    const WARM_UP: &str = "skep-warm-up";
    let mut load = Workload::start()?;
    let directory = tempfile::tempdir().context(|| "make a directory".to_owned())?;
    let mut tracer = tool.start(&for_process(script, &load), directory.path())?;
    let deadline = Instant::now() + PATIENCE;
    while lines_of(&tracer.output()?, WARM_UP) == 0 {
        tracer.still_runs()?;
        if Instant::now() > deadline {
            return Err(message(format!("it saw no events within {} s", PATIENCE.as_secs())));
        }
        // Enough to fill a buffer of its output.
        load.run(WARM_UP, 1000)?;
        std::thread::sleep(Duration::from_millis(50));
    }
    // What the warm-up left in buffers must not be in the way.
    until_silent(&tracer, Instant::now());

    let begun = Instant::now();
    load.run(workload::NAME, events)?;
    let time = until_silent(&tracer, begun);
    tracer.stop()?;
    let printed = lines_of(&tracer.output()?, workload::NAME);
    let told = lost(&(tracer.messages() + &String::from_utf8_lossy(&tracer.output()?)));
    Ok(vec![
        ("made", events as f64),
        ("printed", printed as f64),
        ("lost, as told", told as f64),
        ("untold", events as f64 - printed as f64 - told as f64),
        ("printed per s", printed as f64 / time.as_secs_f64()),
    ])
}

/// Waits until the output grows no more; returns the time from `begun` to its last growth.
fn until_silent(tracer: &Running, begun: Instant) -> Duration {
    let (mut length, mut grown) = (tracer.output_length(), Instant::now());
    while grown.elapsed() < SILENCE {
        std::thread::sleep(Duration::from_millis(5));
        let now = tracer.output_length();
        if now != length {
            (length, grown) = (now, Instant::now());
        }
    }
    grown - begun
}

fn for_process(script: &str, load: &Workload) -> String {
    script.replace("PID", &load.pid().to_string())
}

/// How many lines begin with the name.
fn lines_of(output: &[u8], name: &str) -> u64 {
    output.split(|byte| *byte == b'\n').filter(|line| line.starts_with(name.as_bytes())).count() as u64
}

/// The sum of what messages such as "Lost 12 events" tell.
fn lost(messages: &str) -> u64 {
    let messages = messages.to_lowercase();
    messages
        .match_indices("lost ")
        .filter_map(|(at, word)| {
            let (number, rest) = messages.get(at + word.len()..)?.split_once(' ')?;
            rest.starts_with("event").then(|| number.parse::<u64>().ok())?
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_how_long_a_stage_took() {
        let log = "x DEBUG skep_trace::compile: prepared took=12.5µs\nx DEBUG skep_trace::compile: lowered took=1.5s\n";
        assert_eq!(took(log, "lowered"), Some(1500.0));
        assert_eq!(took(log, "prepared"), Some(0.0125));
        assert_eq!(took(log, "optimised"), None);
    }

    #[test]
    fn losses_are_summed_up() {
        assert_eq!(lost("Lost 12 events\nWARNING: lost 3 events of a probe\nlost in thought\n"), 15);
        assert_eq!(lost(""), 0);
    }

    #[test]
    fn only_whole_lines_are_counted() {
        assert_eq!(lines_of(b"skep-load 1\nskep-warm-up 1\nskep-load 2\n", "skep-load"), 2);
    }
}
