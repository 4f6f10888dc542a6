//! Runs test executables one after the other and tells what became of each test.
//!
//! The same code runs them on this machine and, started as a command of its own, in a guest; so a test's
//! outcome never depends on which tool happened to run it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::executables::Executable;
use super::libtest::{self, Outcome, TestResult};
use crate::error::{Context, Error, Result, message};
use crate::process;
use crate::project;
use crate::vm::orders;

/// How long one executable may take.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// How long what a test left running may keep the output open.
const GRACE: Duration = Duration::from_secs(2);
/// What libtest exits with when tests failed.
const TESTS_FAILED: i32 = 101;
/// The variable that names the file for records of skipped tests; see the crate `skep-testing`.
const SKIP_LOG: &str = "SKEP_SKIP_LOG";

/// What is to be run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The executables, in order.
    pub executables: Vec<Executable>,
    /// Only tests whose names contain this.
    pub filter: Option<String>,
    /// One test at a time: what kernel tests trace is shared by all.
    pub one_by_one: bool,
    /// The root of the workspace, for tests that look for it.
    pub root: PathBuf,
    /// Variables that name the originals to compare with.
    pub peers: Vec<(String, String)>,
}

impl Plan {
    /// A plan for this machine.
    pub fn new(executables: Vec<Executable>, filter: Option<&str>, one_by_one: bool) -> Plan {
        let (filter, root) = (filter.map(str::to_owned), project::root().to_owned());
        Plan { executables, filter, one_by_one, root, peers: Vec::new() }
    }

    /// The same, with originals to compare with.
    pub fn with_peers(self, peers: &[(String, String)]) -> Plan {
        Plan { peers: peers.to_vec(), ..self }
    }
}

/// The results of one executable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// The executable's name.
    pub executable: String,
    /// Its tests.
    pub results: Vec<TestResult>,
}

/// Runs a plan, and hands over each executable's results as it ends.
pub fn run(plan: &Plan, mut done: impl FnMut(Finished) -> Result<()>) -> Result<()> {
    for executable in &plan.executables {
        done(Finished { executable: executable.name.clone(), results: run_one(plan, executable)? })?;
    }
    Ok(())
}

fn run_one(plan: &Plan, executable: &Executable) -> Result<Vec<TestResult>> {
    let directory = tempfile::tempdir().context(|| "make a directory for the records".to_owned())?;
    let records = directory.path().join("skipped");
    let mut command = Command::new(&executable.file);
    command
        .current_dir(&executable.directory)
        .env("CARGO_MANIFEST_DIR", &executable.directory)
        .env("INSTA_WORKSPACE_ROOT", &plan.root)
        .env(SKIP_LOG, &records)
        .envs(plan.peers.iter().map(|(name, path)| (name, path)));
    if plan.one_by_one {
        command.arg("--test-threads=1");
    }
    command.args(&plan.filter);
    let (output, ending) = run_to_end(command)?;
    let mut results = libtest::parse(&output, ending.as_deref());
    let records = fs::read_to_string(&records).unwrap_or_default();
    let reasons = skips(&records);
    for (name, outcome) in &mut results {
        if let (Outcome::Passed, Some(reason)) = (&outcome, reasons.get(name.as_str())) {
            *outcome = Outcome::Skipped(reason.clone());
        }
    }
    Ok(results)
}

/// The reasons in the records of skipped tests: lines of a test's name and a reason.
fn skips(records: &str) -> BTreeMap<&str, String> {
    records
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(test, reason)| (test, reason.to_owned()))
        .collect()
}

/// Runs an executable with both outputs in one. Returns them, and how it ended if that was not as libtest
/// ends.
fn run_to_end(mut command: Command) -> Result<(String, Option<String>)> {
    let description = process::describe(&command);
    let failed = || format!("run {description}");
    let (mut pipe, end) = std::io::pipe().context(failed)?;
    let other_end = end.try_clone().context(failed)?;
    command.stdin(Stdio::null()).stdout(end).stderr(other_end);
    let mut running = process::bind_to_parent(&mut command).spawn().context(failed)?;
    // Our own writing ends would keep the pipe open for ever.
    drop(command);

    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            if sender.send(buffer.get(..length).unwrap_or_default().to_vec()).is_err() {
                break;
            }
        }
    });
    let mut output = Vec::new();
    let mut deadline = Instant::now() + LIMIT;
    let mut ended = None;
    loop {
        match receiver.recv_timeout(Duration::from_millis(20)) {
            Ok(bytes) => {
                output.extend(bytes);
                continue;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) if ended.is_some() => break,
            Err(mpsc::RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(5)),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        if ended.is_none()
            && let Some(status) = running.try_wait().context(failed)?
        {
            ended = Some(how_it_ended(status));
            deadline = Instant::now() + GRACE;
        }
        if Instant::now() > deadline {
            if ended.is_none() {
                let _ = running.kill();
                let _ = running.wait();
                ended = Some(Some(format!("not done after {} s", LIMIT.as_secs())));
            }
            break;
        }
    }
    Ok((String::from_utf8_lossy(&output).into_owned(), ended.flatten()))
}

/// How an executable ended, if not as libtest ends.
fn how_it_ended(status: ExitStatus) -> Option<String> {
    match status.code() {
        Some(0 | TESTS_FAILED) => None,
        _ => Some(process::how_it_ended(status)),
    }
}

/// The command that runs a plan from a file and appends the results to another, one JSON object a line.
#[derive(clap::Args)]
pub struct Args {
    plan: PathBuf,
    results: PathBuf,
}

/// The command.
pub fn main(args: &Args) -> std::result::Result<ExitCode, (Error, u8)> {
    run_plan(&args.plan, &args.results).map(|()| ExitCode::SUCCESS).map_err(|error| (error, 1))
}

fn run_plan(plan: &Path, results: &Path) -> Result<()> {
    let plan: Plan = orders::read(plan)?;
    let failed = || format!("write {}", results.display());
    let mut file = fs::OpenOptions::new().create(true).append(true).open(results).context(failed)?;
    run(&plan, |finished| {
        let line = serde_json::to_string(&finished).map_err(|error| message(error.to_string()))?;
        println!("{}", finished.executable);
        writeln!(file, "{line}").context(failed)
    })
}

/// Reads what [`main`] has written so far.
pub fn read_results(file: &Path) -> Vec<Finished> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
