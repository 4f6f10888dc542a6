//! The process that a benchmark traces: makes system calls when told to, as fast as it can, and says how
//! long they took.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Context, Error, Result, message};
use crate::process;

/// The name the process has while what it does counts.
pub const NAME: &str = "skep-load";

/// The command has no options: it is told what to do line by line, `NAME CALLS`, and answers each line with
/// the nanoseconds that the calls took.
#[derive(clap::Args)]
pub struct Args {}

/// The command.
pub fn main(_: &Args) -> std::result::Result<ExitCode, (Error, u8)> {
    serve().map(|()| ExitCode::SUCCESS).map_err(|error| (error, 1))
}

fn serve() -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line.context(|| "read an order".to_owned())?;
        let (name, calls) = line.split_once(' ').ok_or_else(|| message("an order is NAME CALLS"))?;
        let calls: u64 = calls.parse().map_err(|_| message("an order is NAME CALLS"))?;
        let name = std::ffi::CString::new(name).unwrap_or_default();
        rustix::thread::set_name(&name).context(|| "set the process's name".to_owned())?;
        let begun = Instant::now();
        for _ in 0..calls {
            // SAFETY: getppid takes nothing and cannot fail.
            unsafe { libc::getppid() };
        }
        println!("{}", begun.elapsed().as_nanos());
    }
    Ok(())
}

/// A running one.
pub struct Workload {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Workload {
    /// Starts one; it does nothing yet.
    pub fn start() -> Result<Workload> {
        let mut command = Command::new("/proc/self/exe");
        command.arg("workload").stdin(Stdio::piped()).stdout(Stdio::piped());
        let failed = || "start the process to trace".to_owned();
        let mut child = process::bind_to_parent(&mut command).spawn().context(failed)?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(orders), Some(answers)) => Ok(Workload { child, orders, answers: BufReader::new(answers) }),
            _ => Err(message("the process to trace has no pipes")),
        }
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it make that many calls under that name; returns how long they took.
    pub fn run(&mut self, name: &str, calls: u64) -> Result<Duration> {
        let failed = || "talk to the process to trace".to_owned();
        writeln!(self.orders, "{name} {calls}").context(failed)?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).context(failed)?;
        let nanoseconds = answer.trim().parse().map_err(|_| message("the process to trace has ended"))?;
        Ok(Duration::from_nanos(nanoseconds))
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
