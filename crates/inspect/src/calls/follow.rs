//! Calls of processes that are followed with ptrace(2): each stands at its calls until they are decoded.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use skep_kernel::poll::Poll;
use skep_kernel::ptrace::{self, Event, Status, Tracer};
use skep_kernel::signals::{Signal, SignalFd};

use super::{Begun, Caller, Detail, Show};

/// Who is followed, with their children.
#[derive(Clone, Copy, Debug)]
pub enum Followed<'a> {
    /// A command and its arguments.
    Command(&'a [OsString]),
    /// Processes that run.
    Processes(&'a [i32]),
}

/// Shows all calls until those who are followed end, or a signal does. Returns the command's exit status, or 0.
///
/// # Errors
///
/// A sentence about who cannot be followed, or why calls cannot be shown.
pub fn follow(who: Followed<'_>, detail: Detail, show: Show) -> Result<u8, String> {
    let show = Arc::new(Mutex::new(show));
    let (mut tracer, child) = match who {
        Followed::Processes(pids) => {
            let mut tracer = Tracer::new(ptrace::BPF, true);
            for &pid in pids {
                tracer.attach(pid).map_err(|error| format!("cannot follow process {pid}: {error}"))?;
            }
            (tracer, None)
        }
        Followed::Command(command) => {
            let (tracer, pid) =
                Tracer::spawn(command, ptrace::BPF, true).map_err(|error| error.to_string())?;
            (tracer, Some(pid))
        }
    };
    on_signals(child.is_some(), &show)?;
    let pids = if let Followed::Processes(pids) = who { pids } else { &[] };
    for &tid in pids.iter().chain(&child) {
        show.lock().unwrap_or_else(PoisonError::into_inner).follows(tid);
    }
    let mut pending: HashMap<i32, (Begun, Instant)> = HashMap::new();
    let mut status = 0;
    while let Some(event) = tracer.wait().map_err(|error| error.to_string())? {
        let mut show = show.lock().unwrap_or_else(PoisonError::into_inner);
        let mut over = |tid, result| {
            let (call, begun) = pending.remove(&tid)?;
            Some(call.finished(result, begun.elapsed(), &Process(tid), detail))
        };
        let written = match event {
            Event::Enter { tid, args: [cmd, address, size, ..] } => {
                let call = Begun::new(tid, [cmd, address, size], &Process(tid));
                pending.insert(tid, (call, Instant::now()));
                Ok(())
            }
            Event::Exit { tid, result } => over(tid, result).map_or(Ok(()), |call| show.call(&call)),
            Event::Begun { tid } => show.begun(tid),
            Event::Signal { tid, signal } => show.signal(tid, signal),
            Event::Ended { tid, status: how } => {
                if child == Some(tid) {
                    status = exit_status(how);
                }
                over(tid, 0).map_or(Ok(()), |call| show.unfinished(&call)).and_then(|()| show.ended(tid, how))
            }
        };
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(0),
            written => written.map_err(|error| error.to_string())?,
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
            let mut poll = match Poll::new() {
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

/// A thread as it is now: certain for one that stands.
#[derive(Clone, Copy, Debug)]
pub struct Process(pub i32);

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
