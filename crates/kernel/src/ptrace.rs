//! Following the system calls of processes with ptrace(2).
//!
//! A command is started with a seccomp filter, when we may install one: then it stops at the one system call that
//! is asked for, and runs at full speed otherwise. A process that runs already stops at each of its calls.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString, c_int, c_void};
use std::io;
use std::mem;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::{Errno, Error};

/// `AUDIT_ARCH_X86_64` and `AUDIT_ARCH_I386` (linux/audit.h), as the kernel tells a call's architecture.
const ARCH_X86_64: u32 = 0xc000_003e;
const ARCH_I386: u32 = 0x4000_0003;

/// A system call to be followed, by its numbers.
#[derive(Clone, Copy, Debug)]
pub struct Syscall {
    /// On x86-64.
    pub native: u64,
    /// For 32-bit programs.
    pub compat: u64,
}

/// bpf(2).
pub const BPF: Syscall = Syscall { native: 321, compat: 357 };

/// Something that happened to a traced thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is about to run the call.
    Enter {
        /// The thread.
        tid: i32,
        /// The call's arguments.
        args: [u64; 6],
    },
    /// The call has returned.
    Exit {
        /// The thread.
        tid: i32,
        /// A result, or a negative errno.
        result: i64,
    },
    /// It has appeared.
    Begun {
        /// The thread.
        tid: i32,
    },
    /// It is gone, in the middle of a call or not.
    Ended {
        /// The thread.
        tid: i32,
        /// How.
        status: Status,
    },
    /// A signal is being delivered.
    Signal {
        /// The thread.
        tid: i32,
        /// Its number.
        signal: i32,
    },
}

/// How a thread ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Killed {
        /// Its number.
        signal: i32,
        /// Whether memory was written to a file.
        core: bool,
    },
}

/// What a thread is in the middle of.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Nothing that is followed.
    #[default]
    Running,
    /// The call that is followed.
    InCall,
}

/// How a thread that stands goes on.
#[derive(Clone, Copy)]
enum Resume {
    /// Runs, after this signal was delivered to it; 0 for none.
    Run(c_int),
    /// Stays stopped, as its job control wants, but tells what happens to it.
    Listen,
}

/// Follows one system call of processes and of what they start.
pub struct Tracer {
    syscall: Syscall,
    follow: bool,
    /// Whether a seccomp filter stops at the call, so that nothing else has to.
    filtered: bool,
    threads: HashMap<i32, State>,
    /// The thread that the last event was about, and how it goes on when the next one is asked for.
    stopped: Option<(i32, Resume)>,
}

impl Tracer {
    /// Starts a command, stopped before its first instruction. `follow`: its children and threads, too.
    ///
    /// # Errors
    ///
    /// The command cannot be run, or the kernel lets nobody trace it.
    pub fn spawn(command: &[OsString], syscall: Syscall, follow: bool) -> Result<(Tracer, i32), Error> {
        let [program, args @ ..] = command else { return Err(Error::Invalid("there is no command".into())) };
        let filtered = may_filter();
        let filter = filter(syscall);
        let mut child = Command::new(program);
        child.args(args);
        // SAFETY: ptrace and prctl are plain system calls, allowed between fork and exec; the filter was made before.
        unsafe {
            child.pre_exec(move || {
                if libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) < 0 {
                    return Err(io::Error::last_os_error());
                }
                if filtered {
                    let program =
                        libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
                    let mode = libc::SECCOMP_MODE_FILTER as libc::c_ulong;
                    if libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) < 0 {
                        return Err(io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        let child = child.spawn().map_err(|error| cannot_run(program, &error))?;
        let pid = child.id() as i32;
        let mut tracer = Tracer { filtered, ..Tracer::new(syscall, follow) };
        tracer.wait_one(pid)?;
        tracer.options(pid, libc::PTRACE_O_EXITKILL)?;
        tracer.threads.insert(pid, State::Running);
        tracer.stopped = Some((pid, Resume::Run(0)));
        Ok((tracer, pid))
    }

    /// Follows nobody yet. `follow`: those who are attached to with their children and new threads.
    pub fn new(syscall: Syscall, follow: bool) -> Tracer {
        Tracer { syscall, follow, filtered: false, threads: HashMap::new(), stopped: None }
    }

    /// Follows a process that runs already, with all its threads.
    ///
    /// # Errors
    ///
    /// There is no such process, or the kernel does not let us trace it.
    pub fn attach(&mut self, pid: i32) -> Result<(), Error> {
        let mut flags = libc::PTRACE_O_TRACESYSGOOD;
        if self.follow {
            flags |= follow_options();
        }
        // Threads may appear while we look: until a look finds no new one.
        loop {
            let mut found = false;
            for tid in crate::proc::threads(pid)? {
                if self.threads.contains_key(&tid) {
                    continue;
                }
                // SAFETY: PTRACE_SEIZE takes no pointers.
                let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, tid, 0, flags) };
                if seized < 0 {
                    let errno = Errno::last();
                    // A thread that has just ended, while others run.
                    if errno.0 == libc::ESRCH && !self.threads.is_empty() {
                        continue;
                    }
                    return Err(Error::call(format!("ptrace(PTRACE_SEIZE, {tid})"), errno));
                }
                // SAFETY: PTRACE_INTERRUPT takes no pointers.
                unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, tid, 0, 0) };
                self.threads.insert(tid, State::Running);
                found = true;
            }
            if !found {
                return Ok(());
            }
        }
    }

    /// Waits for the next event; `None` when nothing is left to be followed. The thread stands still until the next
    /// call of this.
    ///
    /// # Errors
    ///
    /// A signal to ourselves ([`libc::EINTR`]): then nothing is lost, and the wait can be begun again.
    pub fn wait(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some((tid, how)) = self.stopped.take() {
                self.resume(tid, how);
            }
            if self.threads.is_empty() {
                return Ok(None);
            }
            let mut status = 0;
            // SAFETY: the status is a local variable.
            let tid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) };
            if tid < 0 {
                let errno = Errno::last();
                if errno.0 == libc::ECHILD {
                    return Ok(None);
                }
                return Err(Error::call("waitpid", errno));
            }
            if let Some(event) = self.stop(tid, status) {
                return Ok(Some(event));
            }
        }
    }

    /// What a change of a thread's state means.
    fn stop(&mut self, tid: i32, status: c_int) -> Option<Event> {
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            self.threads.remove(&tid)?;
            let status = if libc::WIFEXITED(status) {
                Status::Exited(libc::WEXITSTATUS(status))
            } else {
                Status::Killed { signal: libc::WTERMSIG(status), core: libc::WCOREDUMP(status) }
            };
            return Some(Event::Ended { tid, status });
        }
        self.stopped = Some((tid, Resume::Run(0)));
        let fresh = !self.threads.contains_key(&tid);
        self.threads.entry(tid).or_default();
        if fresh {
            return Some(Event::Begun { tid });
        }
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        match (signal, event) {
            (_, libc::PTRACE_EVENT_SECCOMP) => self.enter(tid),
            (signal, 0) if signal == libc::SIGTRAP | 0x80 => self.syscall_stop(tid),
            // What a traced program is told after exec(2), before there were events.
            (libc::SIGTRAP, 0) => None,
            (signal, 0) => {
                self.stopped = Some((tid, Resume::Run(signal)));
                Some(Event::Signal { tid, signal })
            }
            (libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU, libc::PTRACE_EVENT_STOP) => {
                self.stopped = Some((tid, Resume::Listen));
                None
            }
            _ => None,
        }
    }

    fn state(&self, tid: i32) -> State {
        self.threads.get(&tid).copied().unwrap_or_default()
    }

    /// A stop at the beginning or the end of a call.
    fn syscall_stop(&mut self, tid: i32) -> Option<Event> {
        let call = call_info(tid)?;
        match call.result() {
            None => self.enter(tid),
            Some(result) => {
                let ours = self.threads.insert(tid, State::Running) == Some(State::InCall);
                ours.then_some(Event::Exit { tid, result })
            }
        }
    }

    fn enter(&mut self, tid: i32) -> Option<Event> {
        let call = call_info(tid)?;
        let (number, args) = call.entry()?;
        let wanted = match call.arch {
            ARCH_X86_64 => number == self.syscall.native,
            ARCH_I386 => number == self.syscall.compat,
            _ => false,
        };
        self.threads.insert(tid, if wanted { State::InCall } else { State::Running });
        wanted.then_some(Event::Enter { tid, args })
    }

    fn resume(&self, tid: i32, how: Resume) {
        let to_end_of_call = !self.filtered || self.state(tid) == State::InCall;
        let (request, signal) = match how {
            Resume::Listen => (libc::PTRACE_LISTEN, 0),
            Resume::Run(signal) if to_end_of_call => (libc::PTRACE_SYSCALL, signal),
            Resume::Run(signal) => (libc::PTRACE_CONT, signal),
        };
        // A thread that was killed meanwhile cannot be resumed, and tells so in the next wait.
        // SAFETY: none of the requests takes pointers.
        unsafe { libc::ptrace(request, tid, 0, signal) };
    }

    fn wait_one(&self, pid: i32) -> Result<(), Error> {
        let mut status = 0;
        // SAFETY: the status is a local variable.
        if unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } < 0 {
            return Err(Error::call("waitpid", Errno::last()));
        }
        Ok(())
    }

    fn options(&self, tid: i32, more: c_int) -> Result<(), Error> {
        let mut flags = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACEEXEC | more;
        if self.follow {
            flags |= follow_options();
        }
        if self.filtered {
            flags |= libc::PTRACE_O_TRACESECCOMP;
        }
        // SAFETY: PTRACE_SETOPTIONS takes no pointers.
        if unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, tid, 0, flags) } < 0 {
            return Err(Error::call("ptrace(PTRACE_SETOPTIONS)", Errno::last()));
        }
        Ok(())
    }
}

fn follow_options() -> c_int {
    libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEEXEC
}

/// Reads the memory of a traced process: as much of `len` bytes as is there.
pub fn read_memory(tid: i32, address: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut read = 0;
    // A page at a time, so that a page which is missing costs only itself and what follows.
    while read < len {
        let from = address.wrapping_add(read as u64);
        let chunk = (len - read).min(4096 - (from as usize & 4095));
        let Some(part) = bytes.get_mut(read..read + chunk) else { break };
        let local = libc::iovec { iov_base: part.as_mut_ptr().cast::<c_void>(), iov_len: chunk };
        let remote = libc::iovec { iov_base: from as *mut c_void, iov_len: chunk };
        // SAFETY: the local vector is the slice above; the remote one is checked by the kernel.
        let got = unsafe { libc::process_vm_readv(tid, &raw const local, 1, &raw const remote, 1, 0) };
        match usize::try_from(got) {
            Ok(got) if got > 0 => read += got,
            _ => break,
        }
    }
    bytes.truncate(read);
    bytes
}

/// Whether we may install a seccomp filter without a promise that would change what set-uid programs do.
fn may_filter() -> bool {
    const CAP_SYS_ADMIN: u32 = 21;
    crate::proc::effective_capabilities().is_some_and(|set| set & (1 << CAP_SYS_ADMIN) != 0)
}

/// Stops at the call, on either architecture, and lets all others pass.
fn filter(syscall: Syscall) -> Vec<libc::sock_filter> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let insn = |code, k: u32, jt, jf| libc::sock_filter { code, jt, jf, k };
    let number = mem::offset_of!(libc::seccomp_data, nr) as u32;
    let arch = mem::offset_of!(libc::seccomp_data, arch) as u32;
    vec![
        insn(LOAD, arch, 0, 0),
        insn(IF_EQUAL, ARCH_X86_64, 0, 2),
        insn(LOAD, number, 0, 0),
        insn(IF_EQUAL, syscall.native as u32, 3, 4),
        insn(IF_EQUAL, ARCH_I386, 0, 3),
        insn(LOAD, number, 0, 0),
        insn(IF_EQUAL, syscall.compat as u32, 0, 1),
        insn(RETURN, libc::SECCOMP_RET_TRACE, 0, 0),
        insn(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
    ]
}

fn cannot_run(program: &OsStr, error: &io::Error) -> Error {
    let errno = Errno(error.raw_os_error().unwrap_or(libc::EINVAL));
    Error::call(format!("cannot run {}", program.to_string_lossy()), errno)
}

/// `struct ptrace_syscall_info` (linux/ptrace.h).
#[repr(C)]
#[derive(Clone, Copy)]
struct CallInfo {
    op: u8,
    pad: [u8; 3],
    arch: u32,
    instruction_pointer: u64,
    stack_pointer: u64,
    /// On entry: the number, then the arguments. On exit: the result, then whether it is an error.
    data: [u64; 8],
}

/// `PTRACE_GET_SYSCALL_INFO`, since Linux 5.3.
const PTRACE_GET_SYSCALL_INFO: libc::c_uint = 0x420e;

fn call_info(tid: i32) -> Option<CallInfo> {
    let mut info =
        CallInfo { op: 0, pad: [0; 3], arch: 0, instruction_pointer: 0, stack_pointer: 0, data: [0; 8] };
    let size = size_of::<CallInfo>();
    // SAFETY: the kernel writes at most `size` bytes, which is the structure's size.
    let got = unsafe { libc::ptrace(PTRACE_GET_SYSCALL_INFO, tid, size, &raw mut info) };
    (got > 0).then_some(info)
}

impl CallInfo {
    const ENTRY: u8 = 1;
    const EXIT: u8 = 2;
    const SECCOMP: u8 = 3;

    fn entry(&self) -> Option<(u64, [u64; 6])> {
        let [number, args @ .., _] = self.data;
        matches!(self.op, Self::ENTRY | Self::SECCOMP).then_some((number, args))
    }

    fn result(&self) -> Option<i64> {
        (self.op == Self::EXIT).then_some(self.data[0] as i64)
    }
}
