//! `bpfsnoop`: every bpf(2) call of a command and its children, or of processes that run, as `strace -f -e bpf` shows
//! them.
//!
//! - [`attr`]: what each command takes; [`info`], [`insns`], [`flags`]: parts of it.
//! - [`node`]: what was decoded, and its two forms.
//! - [`show`]: lines, JSON, the summary.

mod attr;
mod flags;
mod info;
mod insns;
mod node;
mod show;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use clap::Parser;
use skep_kernel::bpf::Cmd;
use skep_kernel::ptrace::{self, Event, Status, Tracer};
use skep_kernel::signals::{Signal, SignalFd};

use attr::{Call, Caller, Detail};
use show::{Finished, Show};

/// Show every bpf(2) call of a command and its children, or of a process
#[derive(Parser)]
#[command(name = "bpfsnoop", disable_version_flag = true, after_help = EXAMPLES)]
struct Flags {
    /// Follow this process (may be repeated)
    #[arg(short, long, value_name = "PID", value_delimiter = ',', conflicts_with = "command")]
    pid: Vec<i32>,
    /// Write to this file instead of standard error
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show instructions, structures and the verifier's log in full
    #[arg(short, long)]
    verbose: bool,
    /// Show what descriptors are
    #[arg(short = 'y', long)]
    decode_fds: bool,
    /// Show this many bytes of a text
    #[arg(short, long, value_name = "BYTES", default_value_t = 32)]
    string_limit: usize,
    /// Count calls, errors and time by command, and show nothing else
    #[arg(short = 'c', long)]
    summary_only: bool,
    /// Put the time of day in front; twice: with microseconds; three times: as seconds since 1970
    #[arg(short = 't', action = clap::ArgAction::Count)]
    time: u8,
    /// Show the time spent in each call
    #[arg(short = 'T', long)]
    syscall_times: bool,
    /// Leave out what is no call: signals, beginnings and ends
    #[arg(short, long)]
    quiet: bool,
    /// Print one JSON object per call
    #[arg(long, conflicts_with = "summary_only")]
    json: bool,
    /// Follow children; they always are
    #[arg(short, long, hide = true, action = clap::ArgAction::Count)]
    follow_forks: u8,
    /// Which calls; it always is bpf
    #[arg(short = 'e', long = "trace", hide = true, value_parser = ["bpf", "trace=bpf"])]
    expr: Vec<String>,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  bpfsnoop -- bpftool prog show       the calls of a command and its children
  bpfsnoop -v -y skep execsnoop       with instructions, logs, and what descriptors are
  bpfsnoop -p 181                     of a process that runs, until Ctrl-C
  bpfsnoop -c bpftrace script.bt      how many of each, and how long they took
  bpfsnoop --json -o calls.json make  for a program to read";

/// Runs it; `name` is how it was called, for messages.
pub fn main(name: &str, args: &[OsString]) -> ExitCode {
    let words = std::iter::once(OsString::from("bpfsnoop")).chain(args.iter().cloned());
    let flags = match Flags::try_parse_from(words) {
        Ok(flags) => flags,
        Err(error) => {
            // Where the text goes and whether that worked changes nothing for us.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    if flags.command.is_empty() && flags.pid.is_empty() {
        eprintln!("{name}: a command or -p PID is needed; '{name} --help' tells more");
        return ExitCode::FAILURE;
    }
    match run(&flags) {
        Ok(status) => ExitCode::from(status),
        Err(message) => {
            eprintln!("{name}: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<u8, String> {
    let show = Show::new(flags).map_err(|error| match &flags.output {
        Some(path) => format!("cannot write to {}: {error}", path.display()),
        None => error.to_string(),
    })?;
    let show = Arc::new(Mutex::new(show));
    let (mut tracer, child) = if flags.command.is_empty() {
        let mut tracer = Tracer::new(ptrace::BPF, true);
        for &pid in &flags.pid {
            tracer.attach(pid).map_err(|error| format!("cannot follow process {pid}: {error}"))?;
        }
        (tracer, None)
    } else {
        let (tracer, pid) =
            Tracer::spawn(&flags.command, ptrace::BPF, true).map_err(|error| error.to_string())?;
        (tracer, Some(pid))
    };
    on_signals(child.is_some(), &show)?;
    for &tid in flags.pid.iter().chain(&child) {
        show.lock().unwrap_or_else(PoisonError::into_inner).follows(tid);
    }
    let detail = Detail { verbose: flags.verbose, paths: flags.decode_fds, text: flags.string_limit };
    let mut pending: HashMap<i32, Pending> = HashMap::new();
    let mut status = 0;
    while let Some(event) = tracer.wait().map_err(|error| error.to_string())? {
        let mut show = show.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match event {
            Event::Enter { tid, args } => {
                pending.insert(tid, Pending::new(tid, args));
                Ok(())
            }
            Event::Exit { tid, result } => match pending.remove(&tid) {
                Some(call) => show.call(&call.finished(result, detail)),
                None => Ok(()),
            },
            Event::Begun { tid } => show.begun(tid),
            Event::Signal { tid, signal } => show.signal(tid, signal),
            Event::Ended { tid, status: how } => {
                if child == Some(tid) {
                    status = exit_status(how);
                }
                match pending.remove(&tid) {
                    Some(call) => show.unfinished(&call.finished(0, detail)),
                    None => Ok(()),
                }
                .and_then(|()| show.ended(tid, how))
            }
        };
        if let Err(error) = written {
            return if error.kind() == std::io::ErrorKind::BrokenPipe {
                Ok(0)
            } else {
                Err(error.to_string())
            };
        }
    }
    show.lock().unwrap_or_else(PoisonError::into_inner).summary().map_err(|error| error.to_string())?;
    Ok(status)
}

/// As a shell gives it.
fn exit_status(status: Status) -> u8 {
    let number = match status {
        Status::Exited(code) => code,
        Status::Killed { signal, .. } => 128 + signal,
    };
    u8::try_from(number & 0xff).unwrap_or(1)
}

/// A signal is for the command, whose end is ours. Without one it ends us: those who were followed run on.
fn on_signals(command: bool, show: &Arc<Mutex<Show>>) -> Result<(), String> {
    let signals = SignalFd::new(&[Signal::Interrupt, Signal::Terminate, Signal::HangUp])
        .map_err(|error| error.to_string())?;
    if command {
        // Blocked for as long as we run; nobody reads them.
        std::mem::forget(signals);
        return Ok(());
    }
    let show = Arc::clone(show);
    thread::Builder::new()
        .spawn(move || {
            let mut poll = match skep_kernel::poll::Poll::new() {
                Ok(poll) => poll,
                Err(_) => return,
            };
            if poll.add(&signals, 0).is_err() {
                return;
            }
            // A wait may end without a signal of ours.
            while poll.wait(None).is_ok() {
                if matches!(signals.read(), Ok(Some(_))) {
                    let mut show = show.lock().unwrap_or_else(PoisonError::into_inner);
                    // There is nobody to be told that it cannot be told.
                    let _ = show.summary();
                    std::process::exit(0);
                }
            }
        })
        .map_err(|error| error.to_string())?;
    Ok(())
}

/// A call that has begun.
struct Pending {
    tid: i32,
    cmd: Cmd,
    address: u64,
    size: u32,
    before: Vec<u8>,
    /// What BPF_OBJ_GET_INFO_BY_FD is to fill.
    info: Vec<u8>,
    begun: Instant,
}

impl Pending {
    fn new(tid: i32, [cmd, address, size, ..]: [u64; 6]) -> Pending {
        let (cmd, size) = (Cmd(cmd as u32), size as u32);
        let before = ptrace::read_memory(tid, address, size.min(attr::MAX_SIZE) as usize);
        let info = if cmd == Cmd::OBJ_GET_INFO_BY_FD {
            let len = attr::u32_at(&before, 4).min(attr::MAX_SIZE);
            ptrace::read_memory(tid, attr::u64_at(&before, 8), len as usize)
        } else {
            Vec::new()
        };
        Pending { tid, cmd, address, size, before, info, begun: Instant::now() }
    }

    fn finished(&self, result: i64, detail: Detail) -> Finished {
        let spent = self.begun.elapsed();
        let caller = Process(self.tid);
        let after = ptrace::read_memory(self.tid, self.address, self.before.len());
        let call = Call {
            cmd: self.cmd,
            address: self.address,
            size: self.size,
            before: &self.before,
            after: if after.len() == self.before.len() { &after } else { &self.before },
            info: &self.info,
            success: result >= 0,
            caller: &caller,
            detail,
        };
        let insns = if detail.verbose && self.cmd == Cmd::PROG_LOAD {
            let (count, address) = (attr::u32_at(&self.before, 4), attr::u64_at(&self.before, 8));
            insns::disassembled(&caller, address, count as usize)
        } else {
            Vec::new()
        };
        Finished {
            tid: self.tid,
            cmd: self.cmd,
            attributes: call.decode(),
            size: self.size,
            result,
            made: makes_descriptor(self.cmd)
                .then(|| i32::try_from(result).ok().filter(|fd| *fd >= 0))
                .flatten()
                .filter(|_| detail.paths)
                .and_then(|fd| caller.fd_path(fd)),
            spent,
            insns,
        }
    }
}

/// Whether the result is a descriptor.
fn makes_descriptor(cmd: Cmd) -> bool {
    matches!(
        cmd,
        Cmd::MAP_CREATE
            | Cmd::PROG_LOAD
            | Cmd::OBJ_GET
            | Cmd::PROG_GET_FD_BY_ID
            | Cmd::MAP_GET_FD_BY_ID
            | Cmd::RAW_TRACEPOINT_OPEN
            | Cmd::BTF_LOAD
            | Cmd::BTF_GET_FD_BY_ID
            | Cmd::LINK_CREATE
            | Cmd::LINK_GET_FD_BY_ID
            | Cmd::ENABLE_STATS
            | Cmd::ITER_CREATE
            | Cmd::TOKEN_CREATE
    )
}

/// A process that stands.
struct Process(i32);

impl Caller for Process {
    fn read(&self, address: u64, len: usize) -> Vec<u8> {
        ptrace::read_memory(self.0, address, len)
    }

    fn fd_path(&self, fd: i32) -> Option<String> {
        skep_kernel::proc::fd_target(self.0, fd)
    }

    fn interface(&self, index: u32) -> Option<String> {
        skep_kernel::netdev::name_here(index)
    }
}
