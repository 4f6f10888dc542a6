//! Stopping a command on its way to its first instruction, when the libraries that it is linked with are mapped.
//!
//! Before that the dynamic linker runs, for which there is no event. So a breakpoint is put where the program will
//! begin, with ptrace(2), and taken away when it was reached.

use std::fs;
use std::path::PathBuf;

use super::{Child, Exit};
use crate::{Errno, Error, Result};

/// `AT_ENTRY` of the auxiliary vector: where the program begins.
const AT_ENTRY: u64 = 9;

/// `int3`
const BREAKPOINT: i64 = 0xcc;

impl Child {
    /// Lets the command run, as [`Child::release`] does, and calls `look` while it stands: when it has become its
    /// program, and when it is about to begin. Where it cannot be stopped it runs at once, and nothing is called.
    ///
    /// # Errors
    ///
    /// Those of the release.
    pub fn release_looking(&mut self, mut look: impl FnMut()) -> Result<()> {
        let tid = self.pid;
        // SAFETY: PTRACE_SEIZE takes no pointers.
        let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, tid, 0, libc::PTRACE_O_TRACEEXEC) } == 0;
        let released = self.release();
        if !seized || released.is_err() {
            return released;
        }
        let mut breakpoint: Option<Breakpoint> = None;
        loop {
            let mut status = 0;
            // SAFETY: the status is a local variable.
            if unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL) } < 0 {
                match Errno::last() {
                    Errno(libc::EINTR) => continue,
                    errno => return Err(Error::call("waitpid", errno)),
                }
            }
            if libc::WIFEXITED(status) {
                self.exit = Some(Exit::Status(libc::WEXITSTATUS(status)));
                return Ok(());
            }
            if libc::WIFSIGNALED(status) {
                self.exit = Some(Exit::Signal(libc::WTERMSIG(status)));
                return Ok(());
            }
            let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
            let pass_on = match (signal, event) {
                (_, libc::PTRACE_EVENT_EXEC) => {
                    look();
                    breakpoint = Breakpoint::at_entry(tid);
                    if breakpoint.is_none() {
                        return detach(tid, 0);
                    }
                    0
                }
                (libc::SIGTRAP, 0) if breakpoint.as_ref().is_some_and(Breakpoint::is_hit) => {
                    if let Some(breakpoint) = breakpoint.take() {
                        breakpoint.remove();
                    }
                    look();
                    return detach(tid, 0);
                }
                (signal, 0) => signal,
                _ => 0,
            };
            // SAFETY: PTRACE_CONT takes no pointers. One that was killed tells so in the next wait.
            unsafe { libc::ptrace(libc::PTRACE_CONT, tid, 0, pass_on) };
        }
    }
}

fn detach(tid: i32, signal: i32) -> Result<()> {
    // SAFETY: PTRACE_DETACH takes no pointers. One that was killed needs no detaching.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, tid, 0, signal) };
    Ok(())
}

/// An instruction that was replaced.
struct Breakpoint {
    tid: i32,
    address: u64,
    /// The eight bytes that were there.
    word: i64,
}

impl Breakpoint {
    /// Sets one where the program begins. `None` if that cannot be, or somebody else's is there.
    fn at_entry(tid: i32) -> Option<Breakpoint> {
        let vector = fs::read(PathBuf::from(format!("/proc/{tid}/auxv"))).ok()?;
        let (words, _) = vector.as_chunks::<16>();
        let address = words.iter().find_map(|pair| {
            let (key, value) = pair.split_at(8);
            let key = u64::from_ne_bytes(key.try_into().ok()?);
            (key == AT_ENTRY).then_some(u64::from_ne_bytes(value.try_into().ok()?))
        })?;
        let word = peek(tid, address)?;
        if word & 0xff == BREAKPOINT {
            return None;
        }
        poke(tid, address, word & !0xff | BREAKPOINT).then_some(Breakpoint { tid, address, word })
    }

    /// Whether the thread stands right behind it.
    fn is_hit(&self) -> bool {
        registers(self.tid).is_some_and(|registers| registers.rip == self.address + 1)
    }

    /// Takes it away and goes back to where it was.
    fn remove(self) {
        poke(self.tid, self.address, self.word);
        if let Some(mut registers) = registers(self.tid) {
            registers.rip = self.address;
            // SAFETY: the structure is the kernel's, and is only read.
            unsafe { libc::ptrace(libc::PTRACE_SETREGS, self.tid, 0, &raw mut registers) };
        }
    }
}

fn peek(tid: i32, address: u64) -> Option<i64> {
    // The result may be -1, so only errno tells.
    // SAFETY: errno is this thread's.
    unsafe { *libc::__errno_location() = 0 };
    // SAFETY: the address is one of the other process, which the kernel checks.
    let word = unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, tid, address, 0) };
    (Errno::last().0 == 0).then_some(word)
}

fn poke(tid: i32, address: u64, word: i64) -> bool {
    // SAFETY: address and word are of the other process; the kernel checks the address.
    unsafe { libc::ptrace(libc::PTRACE_POKETEXT, tid, address, word) == 0 }
}

fn registers(tid: i32) -> Option<libc::user_regs_struct> {
    // SAFETY: all of its fields are numbers.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills the structure, which is its own.
    let got = unsafe { libc::ptrace(libc::PTRACE_GETREGS, tid, 0, &raw mut registers) };
    (got == 0).then_some(registers)
}
