//! `cargo xtask vm`: a command as root in a throw-away QEMU guest that boots a stock Debian kernel.
//!
//! The guest sees the host's whole file system under an overlay in memory: every program of the host runs
//! there, at the same path, and what it writes is thrown away, except under the directories named with
//! `--rw`. Its standard output, standard error and exit status come back.
//!
//! - [`kernels`]: the table of kernels, and the cache of fetched ones.
//! - [`fetch`]: from Debian's archive into the cache.
//! - [`initramfs`]: what the kernel starts from: this executable again, as process 1.
//! - [`guest`]: process 1.
//! - [`orders`]: what the two sides tell each other.
//! - [`run`]: the host's side of a run.

pub mod fetch;
pub mod guest;
pub mod initramfs;
pub mod kernels;
pub mod orders;
pub mod run;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use kernels::{KERNELS, Kernel};
use run::{Ending, Guest};

use crate::error::{Error, Result, message};
use crate::table;

/// The exit status when the time was up.
const TIMEOUT: u8 = 124;
/// The exit status when the guest could not be started or died.
const DIED: u8 = 125;

/// Exit status: the command's own; 124 when the time was up; 125 when the guest could not be started or died.
#[derive(clap::Args)]
#[command(
    after_help = "Exit status: the command's own, as a shell gives it; 124 when the time was up; 125 when \
                        the guest could not be started or died."
)]
pub struct Args {
    /// The kernel's series, from --list.
    #[arg(short, long, default_value = "6.1")]
    kernel: String,
    /// CPUs of the guest.
    #[arg(short, long, default_value_t = 1)]
    cpus: u32,
    /// Memory of the guest.
    #[arg(short, long = "mem", default_value = "2G", value_name = "SIZE")]
    memory: String,
    /// End the guest after this many seconds.
    #[arg(short, long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
    /// A directory of the host in which the guest's writes are kept.
    #[arg(long = "rw", value_name = "DIR")]
    writable: Vec<PathBuf>,
    /// A variable for the command: NAME=VALUE, or NAME to pass our own value on.
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    environment: Vec<String>,
    /// Add an empty scratch disk of this size, /dev/vda.
    #[arg(long, value_name = "SIZE")]
    disk: Option<String>,
    /// Add a network device on QEMU's user network.
    #[arg(long = "net")]
    network: bool,
    /// Load a kernel module before the command.
    #[arg(long = "module", value_name = "NAME")]
    modules: Vec<String>,
    /// Keep the kernel's console log in this file.
    #[arg(long, value_name = "FILE")]
    console: Option<PathBuf>,
    /// Show the kernel's console and the times of the steps.
    #[arg(short, long)]
    verbose: bool,
    /// Only fetch these kernels into the cache.
    #[arg(long, num_args = 1.., value_name = "KERNEL")]
    fetch: Vec<String>,
    /// Only list the kernels.
    #[arg(long)]
    list: bool,
    /// The command and its arguments.
    #[arg(last = true, required_unless_present_any = ["fetch", "list"])]
    command: Vec<String>,
}

/// The chore.
pub fn main(args: Args) -> std::result::Result<ExitCode, (Error, u8)> {
    chore(args).map_err(|error| (error, DIED))
}

fn chore(args: Args) -> Result<ExitCode> {
    if args.list {
        print!("{}", list());
        return Ok(ExitCode::SUCCESS);
    }
    run::prepare()?;
    if !args.fetch.is_empty() {
        for series in &args.fetch {
            let cached = fetch::fetch(Kernel::named(series)?)?;
            println!("{series}: {}", cached.release);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let timeout = args.timeout;
    let guest = Guest {
        kernel: Kernel::named(&args.kernel)?,
        cpus: args.cpus,
        memory: args.memory,
        timeout: Duration::from_secs(timeout),
        writable: args.writable,
        environment: args.environment.iter().map(|variable| resolve(variable)).collect(),
        disk: args.disk,
        network: args.network,
        modules: args.modules,
        console: args.console,
        verbose: args.verbose,
        command: args.command,
    };
    Ok(match run::run(&guest, [Box::new(std::io::stdout()), Box::new(std::io::stderr())])? {
        Ending::Status(status) => ExitCode::from(status),
        Ending::Interrupted(signal) => ExitCode::from(128 + signal),
        Ending::Died(why) => return Err(message(why)),
        Ending::Timeout => {
            eprintln!("xtask: the guest was ended after {timeout} s");
            ExitCode::from(TIMEOUT)
        }
    })
}

fn list() -> String {
    let rows: Vec<[String; 3]> = KERNELS
        .iter()
        .map(|kernel| {
            let cached = kernel.cached().map_or_else(|| "not fetched".to_owned(), |cached| cached.release);
            [kernel.series.to_owned(), kernel.suites.join(" "), cached]
        })
        .collect();
    table::render(["kernel", "suites", "in the cache"], &rows)
}

/// NAME=VALUE as written, NAME with the value it has here.
fn resolve(variable: &str) -> (String, String) {
    match variable.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (variable.to_owned(), std::env::var(variable).unwrap_or_default()),
    }
}
