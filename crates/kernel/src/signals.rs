//! Signals as something to read, and processes as something to wait for.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::{Errno, Error, Result};

/// A signal that a [`SignalFd`] was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// A polite request to end.
    Terminate,
    /// SIGHUP: the terminal is gone.
    HangUp,
    /// SIGUSR1: print the maps.
    User1,
}

impl Signal {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Interrupt, Self::Terminate, Self::HangUp, Self::User1];

    /// The kernel's number.
    pub const fn number(self) -> i32 {
        match self {
            Self::Interrupt => libc::SIGINT,
            Self::Terminate => libc::SIGTERM,
            Self::HangUp => libc::SIGHUP,
            Self::User1 => libc::SIGUSR1,
        }
    }
}

/// A descriptor that becomes readable when one of its signals comes; they no longer interrupt the process.
///
/// The signals are blocked for the calling thread and the threads it starts afterwards, so make it before any
/// other thread. Dropping it restores the calling thread's mask.
#[derive(Debug)]
pub struct SignalFd {
    fd: OwnedFd,
    before: libc::sigset_t,
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl SignalFd {
    /// Blocks `signals` and opens the descriptor. [`Signal::HangUp`] stays ignored if the process was told so, as
    /// nohup(1) expects. The others are watched for all the same: a shell that starts a script in the background has
    /// SIGINT ignored, but whoever sends one to the process means it.
    pub fn new(signals: &[Signal]) -> Result<Self> {
        let mut set = empty_set();
        let wanted = |signal: &Signal| *signal != Signal::HangUp || !is_ignored(signal.number());
        for signal in signals.iter().copied().filter(wanted) {
            // SAFETY: the set is initialised and the number is a signal.
            unsafe { libc::sigaddset(&mut set, signal.number()) };
        }
        let mut before = empty_set();
        // SAFETY: both sets are initialised.
        let ret = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, &mut before) };
        if ret != 0 {
            return Err(Error::call("pthread_sigmask", Errno(ret)));
        }
        // SAFETY: -1 asks for a new descriptor; the set is initialised.
        let fd = unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            let errno = Errno::last();
            restore(&before);
            return Err(Error::call("signalfd", errno));
        }
        // SAFETY: a new descriptor that nobody else knows.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) }, before })
    }

    /// Takes the next pending signal; `None` if there is none.
    pub fn read(&self) -> Result<Option<Signal>> {
        loop {
            let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
            let size = size_of::<libc::signalfd_siginfo>();
            // SAFETY: the buffer is as long as the size given.
            let got = unsafe { libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), size) };
            if got < 0 {
                let errno = Errno::last();
                return match errno.0 {
                    libc::EAGAIN => Ok(None),
                    libc::EINTR => continue,
                    _ => Err(Error::call("read of a signalfd", errno)),
                };
            }
            // SAFETY: zeroed and then filled by the kernel; every bit pattern is valid.
            let number = unsafe { info.assume_init() }.ssi_signo as i32;
            return Ok(Signal::ALL.iter().copied().find(|s| s.number() == number));
        }
    }
}

impl Drop for SignalFd {
    fn drop(&mut self) {
        restore(&self.before);
    }
}

/// Whether a signal that asks for the end has come and was not read yet.
pub fn end_is_pending() -> bool {
    let mut set = empty_set();
    // SAFETY: the set is initialised and ours.
    if unsafe { libc::sigpending(&mut set) } != 0 {
        return false;
    }
    let ends = [Signal::Interrupt, Signal::Terminate, Signal::HangUp];
    // SAFETY: the set is initialised and the numbers are signals.
    ends.into_iter().any(|signal| unsafe { libc::sigismember(&set, signal.number()) } == 1)
}

/// Makes writes to a closed pipe an error (`EPIPE`) instead of a death.
pub fn ignore_broken_pipes() {
    // SAFETY: SIG_IGN installs no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// A descriptor that becomes readable when the process ends.
///
/// # Errors
///
/// `ESRCH` if there is no such process; `EINVAL` if the number is a thread and not a process.
pub fn pidfd(pid: i32) -> Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or_else(|| Error::Invalid(format!("{pid} is no process id")))?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(|e| {
        let error = Error::call(format!("pidfd_open({})", pid.as_raw_nonzero()), e);
        if e == rustix::io::Errno::SRCH { error.with_hint("there is no such process") } else { error }
    })
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::zeroed();
    // SAFETY: sigemptyset initialises the set it is given.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action only asks; the old one is written to our buffer.
    let ret = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeroed, and filled if the call went well; every bit pattern is valid.
    ret == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

fn restore(mask: &libc::sigset_t) {
    // SAFETY: the mask came from pthread_sigmask.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()) };
}
/// The name of a signal by its number on x86-64.
pub fn name(signal: i32) -> Option<&'static str> {
    const NAMES: [&str; 31] = [
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGWINCH",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    let index = usize::try_from(signal).ok()?.checked_sub(1)?;
    NAMES.get(index).copied()
}
