//! `perf`: descriptors of processes that have tracing programs attached.

use std::io;

use serde::Serialize;
use skep_kernel::bpf::{self, TaskFd, TaskFdKind};
use skep_kernel::{bpf as kernel, proc};

use super::{HELP, OPTIONS, Object, run, show};
use crate::cli::{Session, Words};
use crate::error::{Error, Result};
use crate::plain::safe;

pub(super) static OBJECT: Object = Object {
    name: "perf",
    commands: &[run("show", list), run("list", list), HELP],
    usage: &["{ show | list }", "help"],
    terms: &["", OPTIONS],
};

/// A descriptor with a program.
#[derive(Debug, Serialize)]
struct Entry {
    pid: i32,
    fd: i32,
    prog_id: u32,
    fd_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracepoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    func: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    addr: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
}

fn list(session: &mut Session<'_>, words: &mut Words<'_>) -> Result<u8> {
    if !words.is_empty() {
        return Err(show::unexpected(words));
    }
    let pids = proc::pids().map_err(|error| Error::kernel("can't list processes", &error))?;
    check_kernel()?;
    let entries = pids.into_iter().flat_map(|pid| {
        // Asking about a descriptor means opening it in the other process' table, so only those are asked about
        // that can have something to do with tracing.
        proc::tracing_fds(pid).into_iter().filter_map(move |fd| {
            let found = bpf::task_fd_query(pid, fd).ok()?;
            Some(Entry::new(pid, fd, found))
        })
    });
    if session.is_json() {
        let mut json = session.writer();
        json.begin_array()?;
        for entry in entries {
            json.value(&entry)?;
        }
        json.end_array()?;
    } else {
        for entry in entries {
            entry.write(session.out)?;
        }
    }
    Ok(0)
}

/// Fails if the kernel cannot be asked at all. A descriptor that is not there is refused with another errno by a
/// kernel that knows the question.
fn check_kernel() -> Result<()> {
    const NO_FD: i32 = i32::MAX;
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    match kernel::task_fd_query(own, NO_FD) {
        Err(error) if ["EINVAL", "EPERM"].into_iter().any(|name| crate::collect::is(&error, name)) => {
            Err(Error::refusal(
                "perf_query_support: no privilege, or a kernel without BPF_TASK_FD_QUERY".to_owned(),
                &error,
                crate::error::FAILED,
            ))
        }
        _ => Ok(()),
    }
}

impl Entry {
    fn new(pid: i32, fd: i32, found: TaskFd) -> Self {
        let TaskFd { prog_id, kind, name, offset, address } = found;
        let mut entry = Self {
            pid,
            fd,
            prog_id,
            fd_type: "",
            tracepoint: None,
            func: None,
            addr: None,
            filename: None,
            offset: None,
        };
        match kind {
            TaskFdKind::RawTracepoint | TaskFdKind::Tracepoint => {
                entry.fd_type = if kind == TaskFdKind::Tracepoint { "tracepoint" } else { "raw_tracepoint" };
                entry.tracepoint = Some(name);
            }
            TaskFdKind::Kprobe | TaskFdKind::Kretprobe => {
                entry.fd_type = if kind == TaskFdKind::Kprobe { "kprobe" } else { "kretprobe" };
                if name.is_empty() {
                    entry.addr = Some(address);
                } else {
                    entry.func = Some(name);
                    entry.offset = Some(offset);
                }
            }
            TaskFdKind::Uprobe | TaskFdKind::Uretprobe => {
                entry.fd_type = if kind == TaskFdKind::Uprobe { "uprobe" } else { "uretprobe" };
                entry.filename = Some(name);
                entry.offset = Some(offset);
            }
            TaskFdKind::Other(_) => entry.fd_type = "unknown",
        }
        entry
    }

    fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        write!(out, "pid {}  fd {}: prog_id {}  {}", self.pid, self.fd, self.prog_id, self.fd_type)?;
        if let Some(name) = &self.tracepoint {
            write!(out, "  {}", safe(name))?;
        }
        if let Some(name) = &self.func {
            write!(out, "  func {}", safe(name))?;
        }
        if let Some(address) = self.addr {
            write!(out, "  addr {address}")?;
        }
        if let Some(name) = &self.filename {
            write!(out, "  filename {}", safe(name))?;
        }
        if let Some(offset) = self.offset {
            write!(out, "  offset {offset}")?;
        }
        writeln!(out)
    }
}
