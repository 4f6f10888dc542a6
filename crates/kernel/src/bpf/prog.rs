//! Programs: loaded with the verifier's log, and run once without an event.

use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};

use skep_isa::Insn;

use super::attr::{self, Plain};
use super::types::{AttachType, Cmd, ProgType};
use super::{address, address_mut, gate, hint, len32, name_field, owned, raw, refused};
use crate::{Errno, Error, Result};

/// Flags of `BPF_PROG_LOAD` (`BPF_F_*`).
#[allow(missing_docs, reason = "each constant is the kernel's own name without its prefix")]
pub mod prog_flags {
    pub const STRICT_ALIGNMENT: u32 = 1 << 0;
    pub const ANY_ALIGNMENT: u32 = 1 << 1;
    pub const TEST_RND_HI32: u32 = 1 << 2;
    pub const TEST_STATE_FREQ: u32 = 1 << 3;
    pub const SLEEPABLE: u32 = 1 << 4;
    pub const XDP_HAS_FRAGS: u32 = 1 << 5;
}

/// What to load.
#[derive(Clone, Copy, Debug)]
pub struct ProgSpec<'a> {
    /// The type.
    pub kind: ProgType,
    /// Where it will be attached, for the types that must say so at load.
    pub expected_attach_type: AttachType,
    /// At most 15 bytes are kept.
    pub name: &'a str,
    /// The program.
    pub insns: &'a [Insn],
    /// `GPL` for programs that call GPL-only helpers.
    pub license: &'a str,
    /// What the verifier writes even if it accepts: 0 nothing, 1 branches, 2 all instructions, plus 4 statistics.
    pub log_level: u32,
    /// The program's own types.
    pub btf: Option<BorrowedFd<'a>>,
    /// `struct bpf_func_info` records: instruction offset and type id, 8 bytes each.
    pub func_info: &'a [u8],
    /// `struct bpf_line_info` records: instruction offset, file, line text, line and column, 16 bytes each.
    pub line_info: &'a [u8],
    /// The kernel function or tracepoint type to attach to, for tracing programs.
    pub attach_btf_id: u32,
    /// The program or module BTF that `attach_btf_id` counts in; `None` for the kernel itself.
    pub attach_to: Option<BorrowedFd<'a>>,
    /// The kernel version that old kernels (< 5.0) demand of kprobe programs.
    pub kern_version: u32,
    /// [`prog_flags`].
    pub flags: u32,
    /// The network device that is to run the program itself, or 0.
    pub ifindex: u32,
}

/// Bytes of a `struct bpf_func_info`.
const FUNC_INFO_SIZE: usize = 8;
/// Bytes of a `struct bpf_line_info`.
const LINE_INFO_SIZE: usize = 16;

impl<'a> ProgSpec<'a> {
    /// A GPL program without types.
    pub fn new(kind: ProgType, name: &'a str, insns: &'a [Insn]) -> Self {
        Self {
            kind,
            expected_attach_type: AttachType(0),
            name,
            insns,
            license: "GPL",
            log_level: 0,
            btf: None,
            func_info: &[],
            line_info: &[],
            attach_btf_id: 0,
            attach_to: None,
            kern_version: 0,
            flags: 0,
            ifindex: 0,
        }
    }
}

/// A program that the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// Why; `EACCES` and `EINVAL` are mostly the verifier's.
    pub errno: Errno,
    /// The verifier's log; empty if the kernel refused before it came to that.
    pub log: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Cmd::PROG_LOAD, self.errno)?;
        // The verifier has its own words; a guess beside them only distracts.
        let hint = if self.log.is_empty() { hint(Cmd::PROG_LOAD, self.errno) } else { None };
        if let Some(hint) = hint {
            write!(f, "\n  hint: {hint}")?;
        }
        if let Some(last) = self.verdict() {
            write!(f, "\n  verifier: {last}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

impl LoadError {
    /// The sentence with which the verifier refused: the last line of its log that is not a statistic.
    ///
    /// Linux 7.3 puts an explanation of many lines behind the sentence; that is left to those who show the log.
    pub fn verdict<'a>(&'a self) -> Option<&'a str> {
        const EXPLANATION: &str = "Verification failed:";
        let is_sentence = |line: &&str| {
            !line.is_empty() && !line.starts_with("processed ") && !line.starts_with("verification time")
        };
        let before = self.log.split(EXPLANATION).next().unwrap_or(&self.log);
        let last_in = |text: &'a str| text.lines().rev().map(str::trim).find(is_sentence);
        last_in(before).or_else(|| last_in(&self.log))
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        refused(Cmd::PROG_LOAD, error.errno)
    }
}

/// A loaded program and what the verifier wrote.
#[derive(Debug)]
pub struct Loaded {
    /// The program.
    pub fd: OwnedFd,
    /// The verifier's log, if it was asked for.
    pub log: String,
}

/// Loads a program; the log is made only if the kernel refuses, by asking again.
pub fn prog_load(spec: &ProgSpec<'_>) -> Result<OwnedFd, LoadError> {
    if spec.log_level != 0 {
        return prog_load_logged(spec).map(|loaded| loaded.fd);
    }
    let errno = match load_once(spec, 0, &mut []) {
        Ok(fd) => return Ok(fd),
        Err(errno) => errno,
    };
    if !worth_a_log(errno) {
        return Err(LoadError { errno, log: String::new() });
    }
    // Once more with a log. A load that now goes through (memory was short, say) is a success all the same.
    prog_load_logged(&ProgSpec { log_level: 1, ..*spec }).map(|loaded| loaded.fd)
}

/// Loads a program without a log, whatever happens: for those who only want to know whether it can be loaded.
pub fn prog_load_quietly(spec: &ProgSpec<'_>) -> Result<OwnedFd, Errno> {
    load_once(spec, 0, &mut [])
}

/// Loads a program and returns the verifier's log at `spec.log_level`.
pub fn prog_load_logged(spec: &ProgSpec<'_>) -> Result<Loaded, LoadError> {
    let mut log = vec![0; FIRST_LOG];
    loop {
        let result = load_once(spec, spec.log_level, &mut log);
        let full = matches!(&result, Err(errno) if errno.0 == libc::ENOSPC);
        if full && log.len() < LAST_LOG {
            log.clear();
            log.resize((log.capacity() * 8).min(LAST_LOG), 0);
            continue;
        }
        let end = log.iter().position(|&b| b == 0).unwrap_or(log.len());
        log.truncate(end);
        let log = String::from_utf8_lossy(&log).into_owned();
        return match result {
            Ok(fd) => Ok(Loaded { fd, log }),
            Err(errno) => Err(LoadError { errno, log }),
        };
    }
}

/// The log buffer begins at 64 KiB and grows to the largest that every kernel since 5.1 takes.
const FIRST_LOG: usize = 1 << 16;
const LAST_LOG: usize = (u32::MAX >> 8) as usize;

/// Whether the verifier may have had a say; without rights or memory there is nothing to be read.
fn worth_a_log(errno: Errno) -> bool {
    !matches!(errno.0, libc::EPERM | libc::ENOSYS | libc::EMFILE | libc::ENFILE)
}

fn load_once(spec: &ProgSpec<'_>, log_level: u32, log: &mut [u8]) -> Result<OwnedFd, Errno> {
    let insns = skep_isa::encode_all(spec.insns);
    let mut license: Vec<u8> = spec.license.bytes().filter(|&b| b != 0).collect();
    license.push(0);
    let invalid = |_| Errno(libc::E2BIG);
    let mut attr = attr::ProgLoad {
        prog_type: spec.kind.0,
        insn_cnt: len32(spec.insns.len()).map_err(invalid)?,
        insns: address(&insns),
        license: address(&license),
        log_level: if log.is_empty() { 0 } else { log_level },
        log_size: len32(log.len()).map_err(invalid)?,
        log_buf: address_mut(log),
        kern_version: spec.kern_version,
        prog_flags: spec.flags,
        prog_name: name_field(spec.name),
        expected_attach_type: spec.expected_attach_type.0,
        prog_ifindex: spec.ifindex,
        attach_btf_id: spec.attach_btf_id,
        attach_prog_or_btf_fd: spec.attach_to.map_or(0, raw),
        ..Plain::zeroed()
    };
    if let Some(btf) = spec.btf {
        attr.prog_btf_fd = raw(btf);
        attr.func_info = address(spec.func_info);
        attr.func_info_cnt = len32(spec.func_info.len() / FUNC_INFO_SIZE).map_err(invalid)?;
        attr.func_info_rec_size = if spec.func_info.is_empty() { 0 } else { FUNC_INFO_SIZE as u32 };
        attr.line_info = address(spec.line_info);
        attr.line_info_cnt = len32(spec.line_info.len() / LINE_INFO_SIZE).map_err(invalid)?;
        attr.line_info_rec_size = if spec.line_info.is_empty() { 0 } else { LINE_INFO_SIZE as u32 };
    }
    // The verifier is interrupted by signals and then says EAGAIN; a few tries are the established answer.
    let mut tries = 5;
    loop {
        // SAFETY: all buffers live until the call returns and are as long as the counts beside them say.
        match unsafe { gate(Cmd::PROG_LOAD, &mut attr) } {
            // SAFETY: PROG_LOAD returns a new descriptor.
            Ok(ret) => return Ok(unsafe { owned(ret) }),
            Err(errno) if errno.0 == libc::EAGAIN && tries > 0 => tries -= 1,
            Err(errno) => return Err(errno),
        }
    }
}

/// One run of a program without its event (`BPF_PROG_TEST_RUN`).
#[derive(Debug, Default)]
pub struct TestRun<'a> {
    /// The packet, for program types that have one.
    pub data_in: &'a [u8],
    /// Room for the packet afterwards.
    pub data_out: &'a mut [u8],
    /// The context: for raw tracepoints the arguments as 8-byte numbers.
    pub ctx_in: &'a [u8],
    /// Room for the context afterwards.
    pub ctx_out: &'a mut [u8],
    /// How often to run; 0 means once. Raw tracepoint and syscall programs take only 0.
    pub repeat: u32,
    /// Where to run, for raw tracepoint programs.
    pub cpu: Option<u32>,
}

/// What a test run gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestRunOutcome {
    /// The program's return value.
    pub retval: u32,
    /// Mean duration of a run in nanoseconds, for the types that measure it.
    pub duration: u32,
    /// Bytes of the packet afterwards.
    pub data_size: usize,
    /// Bytes of the context afterwards.
    pub ctx_size: usize,
}

/// Runs a program once.
///
/// # Errors
///
/// `ENOTSUPP` for program types that cannot be run this way; `ENOSPC` if an output buffer is too short.
pub fn test_run(prog: BorrowedFd<'_>, run: &mut TestRun<'_>) -> Result<TestRunOutcome> {
    const ON_CPU: u32 = 1;
    let mut attr = attr::TestRun {
        prog_fd: raw(prog),
        data_size_in: len32(run.data_in.len())?,
        data_size_out: len32(run.data_out.len())?,
        data_in: address(run.data_in),
        data_out: address_mut(run.data_out),
        ctx_size_in: len32(run.ctx_in.len())?,
        ctx_size_out: len32(run.ctx_out.len())?,
        ctx_in: address(run.ctx_in),
        ctx_out: address_mut(run.ctx_out),
        repeat: run.repeat,
        flags: if run.cpu.is_some() { ON_CPU } else { 0 },
        cpu: run.cpu.unwrap_or(0),
        ..Plain::zeroed()
    };
    // SAFETY: the buffers live until the call returns and are as long as the sizes beside them say.
    unsafe { gate(Cmd::PROG_TEST_RUN, &mut attr) }.map_err(|e| refused(Cmd::PROG_TEST_RUN, e))?;
    Ok(TestRunOutcome {
        retval: attr.retval,
        duration: attr.duration,
        data_size: attr.data_size_out as usize,
        ctx_size: attr.ctx_size_out as usize,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(log: &str) -> Option<String> {
        LoadError { errno: Errno(libc::EACCES), log: log.to_owned() }.verdict().map(str::to_owned)
    }

    #[test]
    fn verdicts_of_old_and_new_verifiers() {
        let old = "0: R1=ctx() R10=fp0\n0: (bf) r0 = r3\nR3 !read_ok\nverification time 42 usec\n\
                   processed 1 insns (limit 1000000) max_states_per_insn 0\n";
        let new = "0: (bf) r0 = r3\nR3 !read_ok\n\nVerification failed: Register Type Safety: Unreadable register\n\
                   Suggestion:\n  Initialize R3 on every path before this instruction.\nprocessed 1 insns\n";
        assert_eq!(verdict(old).as_deref(), Some("R3 !read_ok"));
        assert_eq!(verdict(new).as_deref(), Some("R3 !read_ok"));
        assert_eq!(verdict("Verification failed: x\nwhy\n").as_deref(), Some("why"));
        assert_eq!(verdict(""), None);
    }
}
