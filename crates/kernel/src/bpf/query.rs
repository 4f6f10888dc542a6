//! Programs that are attached without a link: attached, detached, and asked for by place or by descriptor.

use std::os::fd::BorrowedFd;

use super::attr::{self, Plain};
use super::types::{AttachType, Cmd};
use super::{address_mut, field_text, gate, len32, raw, refused};
use crate::Result;

/// Flags of `BPF_PROG_ATTACH` (`BPF_F_*`).
#[allow(missing_docs, reason = "each constant is the kernel's own name without its prefix")]
pub mod attach_flags {
    pub const ALLOW_OVERRIDE: u32 = 1 << 0;
    pub const ALLOW_MULTI: u32 = 1 << 1;
    pub const REPLACE: u32 = 1 << 2;
    pub const BEFORE: u32 = 1 << 3;
    pub const AFTER: u32 = 1 << 4;
}

/// Where programs are attached.
#[derive(Clone, Copy, Debug)]
pub enum QueryTarget<'a> {
    /// A cgroup, a network namespace or a socket map.
    Fd(BorrowedFd<'a>),
    /// A network device.
    Ifindex(u32),
}

impl QueryTarget<'_> {
    fn number(self) -> u32 {
        match self {
            Self::Fd(fd) => raw(fd),
            Self::Ifindex(ifindex) => ifindex,
        }
    }
}

/// Attaches a program; it stays when this process ends.
pub fn prog_attach(
    prog: BorrowedFd<'_>,
    target: QueryTarget<'_>,
    attach_type: AttachType,
    flags: u32,
) -> Result<()> {
    let mut attr = attr::ProgAttach {
        target_fd: target.number(),
        attach_bpf_fd: raw(prog),
        attach_type: attach_type.0,
        attach_flags: flags,
        ..Plain::zeroed()
    };
    // SAFETY: the structure holds numbers only.
    unsafe { gate(Cmd::PROG_ATTACH, &mut attr) }.map_err(|e| refused(Cmd::PROG_ATTACH, e))?;
    Ok(())
}

/// Takes a program away again.
pub fn prog_detach(prog: BorrowedFd<'_>, target: QueryTarget<'_>, attach_type: AttachType) -> Result<()> {
    let mut attr = attr::ProgAttach {
        target_fd: target.number(),
        attach_bpf_fd: raw(prog),
        attach_type: attach_type.0,
        ..Plain::zeroed()
    };
    // SAFETY: the structure holds numbers only.
    unsafe { gate(Cmd::PROG_DETACH, &mut attr) }.map_err(|e| refused(Cmd::PROG_DETACH, e))?;
    Ok(())
}

/// A program that is attached somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The program.
    pub prog_id: u32,
    /// How it was attached itself; 0 before Linux 6.0 and in effective queries.
    pub prog_flags: u32,
    /// The link that holds it, or 0; only of network devices.
    pub link_id: u32,
    /// Flags of the link; only of network devices.
    pub link_flags: u32,
    /// How programs may be attached at the place as a whole.
    pub attach_flags: u32,
}

/// The programs at a place; with `effective` those that run there because of places above it.
pub fn prog_query(
    target: QueryTarget<'_>,
    attach_type: AttachType,
    effective: bool,
) -> Result<Vec<Attached>> {
    const EFFECTIVE: u32 = 1;
    let base = attr::ProgQuery {
        target_fd: target.number(),
        attach_type: attach_type.0,
        query_flags: if effective { EFFECTIVE } else { 0 },
        ..Plain::zeroed()
    };
    let mut count = FIRST_ROOM;
    loop {
        let mut prog_ids = vec![0u32; count];
        let mut prog_flags = vec![0u32; count];
        let mut link_ids = vec![0u32; count];
        let mut link_flags = vec![0u32; count];
        let mut attr = attr::ProgQuery { prog_ids: address_mut(&mut prog_ids), count: len32(count)?, ..base };
        // The flags of each program are refused in effective queries and for devices' links elsewhere.
        match target {
            QueryTarget::Ifindex(_) => {
                attr.prog_attach_flags = address_mut(&mut prog_flags);
                attr.link_ids = address_mut(&mut link_ids);
                attr.link_attach_flags = address_mut(&mut link_flags);
            }
            QueryTarget::Fd(_) if !effective => attr.prog_attach_flags = address_mut(&mut prog_flags),
            QueryTarget::Fd(_) => {}
        }
        let mut asked = attr;
        // SAFETY: every array has as many entries as the count says.
        let mut result = unsafe { gate(Cmd::PROG_QUERY, &mut asked) };
        if result.is_err_and(|errno| errno.0 == libc::E2BIG || errno.0 == libc::EINVAL) {
            // A kernel before Linux 6.0 knows no flags of single programs.
            asked = attr::ProgQuery { prog_attach_flags: 0, link_ids: 0, link_attach_flags: 0, ..attr };
            // SAFETY: as above.
            result = unsafe { gate(Cmd::PROG_QUERY, &mut asked) };
        }
        match result {
            Err(errno) if errno.0 == libc::ENOSPC && count < MOST_ROOM => {
                count = (asked.count as usize).clamp(count * 2, MOST_ROOM);
            }
            Err(errno) => return Err(refused(Cmd::PROG_QUERY, errno)),
            Ok(_) => {
                let found = asked.count as usize;
                let numbers = prog_ids.iter().zip(&prog_flags).zip(link_ids.iter().zip(&link_flags));
                let attached = numbers.take(found).map(|((&prog_id, &flags), (&link_id, &link))| Attached {
                    prog_id,
                    prog_flags: flags,
                    link_id,
                    link_flags: link,
                    attach_flags: asked.attach_flags,
                });
                return Ok(attached.collect());
            }
        }
    }
}

const FIRST_ROOM: usize = 64;
const MOST_ROOM: usize = 65536;

/// What a descriptor of a process has to do with tracing programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFd {
    /// The program.
    pub prog_id: u32,
    /// What it is attached to.
    pub kind: TaskFdKind,
    /// Name of the tracepoint or function, or path of the file; may be empty.
    pub name: String,
    /// Offset into the function or file.
    pub offset: u64,
    /// Address of a kprobe that was placed by address.
    pub address: u64,
}

/// `enum bpf_task_fd_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is what its name says")]
pub enum TaskFdKind {
    RawTracepoint,
    Tracepoint,
    Kprobe,
    Kretprobe,
    Uprobe,
    Uretprobe,
    /// Newer than this table.
    Other(u32),
}

/// Asks what a descriptor of a process has to do with tracing programs.
///
/// # Errors
///
/// `ENOTSUPP` and `ENOENT` for descriptors that have nothing to do with it, which are most.
pub fn task_fd_query(pid: i32, fd: i32) -> Result<TaskFd> {
    let mut name = vec![0u8; libc::PATH_MAX as usize];
    let mut attr = attr::TaskFdQuery {
        pid: pid as u32,
        fd: fd as u32,
        buf: address_mut(&mut name),
        buf_len: len32(name.len())?,
        ..Plain::zeroed()
    };
    // SAFETY: the buffer is as long as the length beside it says.
    unsafe { gate(Cmd::TASK_FD_QUERY, &mut attr) }.map_err(|e| refused(Cmd::TASK_FD_QUERY, e))?;
    let kind = match attr.fd_type {
        0 => TaskFdKind::RawTracepoint,
        1 => TaskFdKind::Tracepoint,
        2 => TaskFdKind::Kprobe,
        3 => TaskFdKind::Kretprobe,
        4 => TaskFdKind::Uprobe,
        5 => TaskFdKind::Uretprobe,
        other => TaskFdKind::Other(other),
    };
    Ok(TaskFd {
        prog_id: attr.prog_id,
        kind,
        name: field_text(&name),
        offset: attr.probe_offset,
        address: attr.probe_addr,
    })
}

/// The streams that a program writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// What it prints.
    Stdout,
    /// What the kernel says about its faults, and what it prints there.
    Stderr,
}

/// Reads what a program has written to a stream and takes it out (Linux 6.17); 0 bytes: nothing is there.
pub fn stream_read(prog: BorrowedFd<'_>, stream: Stream, buffer: &mut [u8]) -> Result<usize> {
    let mut attr = attr::StreamRead {
        buf: address_mut(buffer),
        len: len32(buffer.len())?,
        stream_id: match stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        },
        prog_fd: raw(prog),
        ..Plain::zeroed()
    };
    // SAFETY: the buffer is as long as the length beside it says.
    let read = unsafe { gate(Cmd::PROG_STREAM_READ_BY_FD, &mut attr) }
        .map_err(|e| refused(Cmd::PROG_STREAM_READ_BY_FD, e))?;
    Ok(usize::try_from(read).unwrap_or(0).min(buffer.len()))
}
