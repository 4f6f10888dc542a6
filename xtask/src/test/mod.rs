//! `cargo xtask test`: every check and test there is, and a summary.
//!
//! The stages, in order: formatting and lints; the tests that run anywhere; the examples in the
//! documentation; the tests that need the kernel (files `tests/kernel_*.rs`), on the running one and in
//! guests. What a test needs it says itself, with the crate `skep-testing`; where a need is not met it counts
//! as skipped, and a test that was skipped everywhere makes the whole fail.
//!
//! - [`executables`]: the built tests.
//! - [`peers`]: the originals that some compare with.
//! - [`runner`]: runs them, here or inside a guest.
//! - [`libtest`]: reads what they print.
//! - [`summary`]: counts and tells.

pub mod executables;
pub mod libtest;
pub mod peers;
pub mod runner;
pub mod summary;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use executables::Executable;
use libtest::{Outcome, TestResult};
use runner::{Finished, Plan};
use summary::{Stage, Summary};

use crate::error::{Context, Error, Result, message};
use crate::process;
use crate::project;
use crate::vm::kernels::{KERNELS, Kernel, USUAL};
use crate::vm::orders;
use crate::vm::run::{self as vm, Ending, Guest};

/// How long a guest may take for all tests.
const GUEST_LIMIT: Duration = Duration::from_secs(60 * 60);

/// The command's options.
#[derive(clap::Args)]
#[command(after_help = "Exit status: 0 when nothing failed and every test ran somewhere, else 1.")]
pub struct Args {
    /// Boot every kernel we know instead of an old one and a new one.
    #[arg(long)]
    all_kernels: bool,
    /// Boot this kernel (may be repeated).
    #[arg(long = "kernel", value_name = "KERNEL", conflicts_with = "all_kernels")]
    kernels: Vec<String>,
    /// Boot no guests. Tests that ran nowhere then do not count as failures.
    #[arg(long)]
    no_vm: bool,
    /// Leave out what needs root: tests on the running kernel, and guests.
    #[arg(long)]
    no_root: bool,
    /// Only tests whose names contain this; formatting and lints are left out.
    filter: Option<String>,
}

/// The chore.
pub fn main(args: &Args) -> std::result::Result<ExitCode, (Error, u8)> {
    let summary = chore(args).map_err(|error| (error, 1))?;
    print!("{summary}");
    Ok(if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chore(args: &Args) -> Result<Summary> {
    let kernels = chosen_kernels(args)?;
    let with_guests = !args.no_vm && !args.no_root;
    let filter = args.filter.as_deref();
    let mut stages = Vec::new();
    if filter.is_none() {
        stages.push(check("formatting", &["fmt", "--all", "--check"])?);
        let lints = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
        stages.push(check("lints", &lints)?);
    }
    begin("build");
    let (executables, complete) = executables::build()?;
    if !complete {
        let outcome = Outcome::Failed("not all tests could be built; see cargo's messages above".to_owned());
        stages.push(Stage::single("build", outcome));
    }
    let (kernel, anywhere): (Vec<Executable>, Vec<Executable>) =
        executables.into_iter().partition(|executable| executable.kernel);
    stages.push(here("tests anywhere", Plan::new(anywhere, filter, false))?);
    stages.push(if complete {
        examples(filter)?
    } else {
        Stage::single("examples", Outcome::Skipped("not all packages can be built".to_owned()))
    });
    let peers =
        if args.no_root { Vec::new() } else { peers::variables(project::is_root() && filter.is_none()) };
    let plan = || Plan::new(kernel.clone(), filter, true).with_peers(&peers);
    if !args.no_root {
        stages.push(here("running kernel", plan())?);
    }
    if with_guests {
        stages.extend(guests(&kernels, plan));
    }
    // What only the newest kernels can do is tried on those alone.
    Ok(Summary::new(stages, with_guests && args.all_kernels))
}

fn chosen_kernels(args: &Args) -> Result<Vec<Kernel>> {
    if args.all_kernels {
        return Ok(KERNELS.to_vec());
    }
    if args.kernels.is_empty() {
        return USUAL.iter().map(|series| Kernel::named(series)).collect();
    }
    args.kernels.iter().map(|series| Kernel::named(series)).collect()
}

fn begin(name: &str) {
    eprintln!("xtask: {name}");
}

/// A cargo command that either succeeds or not. One whose component is not installed is skipped.
fn check(name: &str, arguments: &[&str]) -> Result<Stage> {
    begin(name);
    let begun = Instant::now();
    let component = arguments.first().copied().unwrap_or_default();
    let mut version = project::cargo();
    version.args([component, "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    let outcome = if !process::succeeds(&mut version)? {
        Outcome::Skipped(format!("cargo {component} is not installed"))
    } else if process::succeeds(project::cargo().args(arguments))? {
        Outcome::Passed
    } else {
        Outcome::Failed("see its output above".to_owned())
    };
    Ok(Stage::single(name, outcome).taking(begun.elapsed()))
}

/// Runs a plan on this machine.
fn here(name: &str, plan: Plan) -> Result<Stage> {
    begin(name);
    let begun = Instant::now();
    let mut stage = Stage::new(name);
    runner::run(&plan, |finished| {
        stage.add(finished);
        Ok(())
    })?;
    Ok(stage.taking(begun.elapsed()))
}

/// The examples in the documentation, which only cargo can build.
fn examples(filter: Option<&str>) -> Result<Stage> {
    begin("examples");
    let begun = Instant::now();
    let mut command = project::cargo();
    command.args(["test", "--doc", "--workspace", "--no-fail-fast", "--"]).args(filter);
    let output = command.stdin(Stdio::null()).output().context(|| "run cargo".to_owned())?;
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let ending = (!output.status.success()).then(|| process::how_it_ended(output.status));
    let mut stage = Stage::new("examples");
    stage.add(Finished { executable: "doc".to_owned(), results: libtest::parse(&text, ending.as_deref()) });
    Ok(stage.taking(begun.elapsed()))
}

/// The kernel tests in guests, as many at a time as there are processors. A guest that cannot run is a
/// failure of its stage, not of the others.
fn guests(kernels: &[Kernel], plan: impl Fn() -> Plan) -> Vec<Stage> {
    if let Err(error) = vm::prepare() {
        return vec![Stage::single("guests", Outcome::Failed(error.to_string()))];
    }
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    let mut stages = Vec::new();
    for group in kernels.chunks(at_once) {
        std::thread::scope(|scope| {
            let running: Vec<_> = group
                .iter()
                .map(|kernel| (kernel, plan()))
                .map(|(kernel, plan)| scope.spawn(move || guest(*kernel, plan)))
                .collect();
            for (thread, kernel) in running.into_iter().zip(group) {
                let stage = thread.join().unwrap_or_else(|_| Err(message("the guest's thread panicked")));
                stages.push(stage.unwrap_or_else(|error| {
                    Stage::single(&guest_name(*kernel), Outcome::Failed(error.to_string()))
                }));
            }
        });
    }
    stages
}

fn guest_name(kernel: Kernel) -> String {
    format!("guest {}", kernel.series)
}

/// All kernel tests in one guest.
fn guest(kernel: Kernel, plan: Plan) -> Result<Stage> {
    let name = guest_name(kernel);
    begin(&name);
    let begun = Instant::now();
    let shared = tempfile::tempdir().context(|| "make a directory for the guest's results".to_owned())?;
    let at = |file: &str| shared.path().join(file);
    // Not by its path: cargo may have replaced the file since we were started.
    copy_executable(Path::new("/proc/self/exe"), &at("xtask"))?;
    orders::write(&at("plan.json"), &plan)?;
    let messages = Tail::default();
    let guest = Guest {
        kernel,
        cpus: 1,
        memory: "2G".to_owned(),
        timeout: GUEST_LIMIT,
        writable: vec![shared.path().to_owned()],
        environment: Vec::new(),
        disk: Some("64M".to_owned()),
        network: false,
        modules: Vec::new(),
        console: None,
        verbose: false,
        command: ["xtask", "run-tests", "plan.json", "results"]
            .map(|word| if word == "run-tests" { word.to_owned() } else { at(word).display().to_string() })
            .into(),
    };
    let ending = vm::run(&guest, [Box::new(std::io::sink()), Box::new(messages.clone())])?;
    let finished = runner::read_results(&at("results"));
    let mut stage = Stage::new(&name);
    let trouble = match ending {
        Ending::Status(0) => None,
        Ending::Status(status) => Some(format!("exit status {status}\n{}", messages.text())),
        Ending::Timeout => Some(format!("not done after {} s", GUEST_LIMIT.as_secs())),
        Ending::Died(why) => Some(why),
        Ending::Interrupted(signal) => Some(format!("stopped by signal {signal}")),
    };
    if let Some(trouble) = trouble {
        // The first executable without results is the one that was running.
        let running =
            plan.executables.get(finished.len()).map_or("(the guest)", |executable| &executable.name);
        let result: TestResult = ("(the guest)".to_owned(), Outcome::Failed(trouble));
        stage.add(Finished { executable: running.to_owned(), results: vec![result] });
    }
    for finished in finished {
        stage.add(finished);
    }
    Ok(stage.taking(begun.elapsed()))
}

fn copy_executable(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).context(|| format!("copy {} to {}", from.display(), to.display()))
}

/// What a guest's command said on standard error.
#[derive(Clone, Default)]
struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    fn text(&self) -> String {
        self.0.lock().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Ok(mut all) = self.0.lock() {
            all.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
