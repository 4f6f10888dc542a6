//! What the kernel knows of a process's BPF programs: their size, and, while asked to count, their runs.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::error::{Context, Result};

// Commands, from include/uapi/linux/bpf.h.
const PROG_GET_FD_BY_ID: i64 = 13;
const OBJ_GET_INFO_BY_FD: i64 = 15;
const ENABLE_STATS: i64 = 32;

/// Size and runs of programs, summed up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Programs {
    /// Instructions, after the verifier's rewriting.
    pub instructions: u64,
    /// Bytes of machine code.
    pub machine_code: u64,
    /// Nanoseconds spent while [`Counting`].
    pub time: u64,
    /// Runs while [`Counting`].
    pub runs: u64,
}

/// The programs that a process holds, by a program's or a link's file descriptor.
pub fn of_process(pid: u32) -> Result<Programs> {
    let mut numbers = BTreeSet::new();
    let directory = format!("/proc/{pid}/fdinfo");
    for entry in fs::read_dir(&directory).context(|| format!("list {directory}"))?.flatten() {
        // A descriptor may be closed meanwhile.
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        numbers.extend(
            text.lines().filter_map(|line| line.strip_prefix("prog_id:")?.trim().parse::<u32>().ok()),
        );
    }
    let mut sum = Programs::default();
    for number in numbers {
        // So may a program's last one.
        let Ok(info) = info(number) else { continue };
        sum.instructions += u64::from(info.translated_length) / 8;
        sum.machine_code += u64::from(info.machine_code_length);
        sum.time += info.run_time;
        sum.runs += info.run_count;
    }
    Ok(sum)
}

/// As long as this exists the kernel counts every program's runs.
pub struct Counting {
    _descriptor: OwnedFd,
}

impl Counting {
    /// Starts to count.
    pub fn start() -> Result<Counting> {
        // BPF_STATS_RUN_TIME
        let descriptor = open(ENABLE_STATS, 0).context(|| "have the kernel count program runs".to_owned())?;
        Ok(Counting { _descriptor: descriptor })
    }
}

/// The start of `struct bpf_prog_info`, up to what is needed here.
#[repr(C)]
#[derive(Default)]
struct Info {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    machine_code_length: u32,
    translated_length: u32,
    /// Instructions, time of load, maps, name, types, lines: not asked for.
    between: [u64; 21],
    run_time: u64,
    run_count: u64,
}

fn info(number: u32) -> io::Result<Info> {
    let program = open(PROG_GET_FD_BY_ID, number)?;
    let mut info = Info::default();
    let request = InfoRequest {
        program: program.as_raw_fd(),
        length: size_of::<Info>() as u32,
        info: std::ptr::from_mut(&mut info).expose_provenance() as u64,
    };
    // SAFETY: the kernel reads the request, whose size is given, and writes at most `length` bytes to `info`,
    // which is that long, made of plain numbers, and alive.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            OBJ_GET_INFO_BY_FD,
            std::ptr::from_ref(&request),
            size_of::<InfoRequest>(),
        )
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(info) }
}

/// `bpf_attr.info`
#[repr(C)]
struct InfoRequest {
    program: i32,
    length: u32,
    info: u64,
}

/// A command whose only argument is a number and whose answer is a file descriptor.
fn open(command: i64, argument: u32) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads the four bytes whose size is given.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(&argument), size_of::<u32>()) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the answer is a new file descriptor that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(answer as i32) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_stand_where_the_kernel_puts_them() {
        assert_eq!(std::mem::offset_of!(Info, run_time), 192);
        assert_eq!(std::mem::offset_of!(Info, run_count), 200);
    }
}
