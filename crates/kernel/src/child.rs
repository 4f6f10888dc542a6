//! A command that is started but does not run before it is released.
//!
//! The child exists, so that its pid can be traced, and waits for one byte from a pipe before it becomes the
//! command. If this process ends first, the pipe closes and the child ends without having run anything. What stops
//! it from becoming the command comes back through a second pipe that execve(2) closes.

mod entry;

use std::ffi::{CString, OsStr, OsString, c_char};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::signals::{Signal, pidfd};
use crate::{Errno, Error, Result};

/// A started command.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    pidfd: OwnedFd,
    /// Present until the child is released.
    gate: Option<Gate>,
    exit: Option<Exit>,
    /// How the command is called in messages.
    program: OsString,
}

/// Our ends of the two pipes to a child that has not been released.
#[derive(Debug)]
struct Gate {
    release: OwnedFd,
    failure: OwnedFd,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

impl AsFd for Child {
    /// The pidfd, which becomes readable when the command ends.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Child {
    /// Starts `args[0]` with the rest as its arguments, looked up in PATH as a shell would; it waits for
    /// [`Child::release`].
    ///
    /// The child gets this process' environment and standard descriptors, default signal handling and no blocked
    /// signals.
    ///
    /// # Errors
    ///
    /// An empty command, a zero byte in it, a program that is nowhere in PATH or not executable, or no resources for
    /// a process. What else stops a file from being executed is found out at the release.
    pub fn spawn(args: &[OsString]) -> Result<Self> {
        let program = args.first().ok_or_else(|| Error::Invalid("no command to run".to_owned()))?.clone();
        let mut image = Image::prepare(args)?;
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|e| Error::call("pipe2", e));
        let (wait_for, release) = pipe()?;
        let (failure, report) = pipe()?;

        // SAFETY: the child goes straight into `run`, which calls only async-signal-safe functions.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: this is the child right after fork, and these descriptors are open in it.
            unsafe { image.run(wait_for.as_raw_fd(), report.as_raw_fd(), release.as_raw_fd()) }
        }
        if pid < 0 {
            return Err(Error::call("fork", Errno::last()).with_hint("the limit on processes may be reached"));
        }
        drop((wait_for, report));
        match pidfd(pid) {
            Ok(pidfd) => Ok(Self { pid, pidfd, gate: Some(Gate { release, failure }), exit: None, program }),
            Err(error) => {
                // Without its byte the child ends at once.
                drop(release);
                // SAFETY: our own child, which nobody else reaps.
                unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
                Err(error)
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Lets the command run; a second release does nothing.
    ///
    /// # Errors
    ///
    /// The reason why the program could not be executed.
    pub fn release(&mut self) -> Result<()> {
        let Some(Gate { release, failure }) = self.gate.take() else { return Ok(()) };
        let sent = rustix::io::write(&release, &[GO]);
        drop(release);
        // The other end closes when the child becomes the command, or ends, or has said why it cannot.
        let mut report = Vec::new();
        let _ = File::from(failure).read_to_end(&mut report);
        if let Ok(errno) = <[u8; 4]>::try_from(report.as_slice()) {
            return Err(Error::File {
                path: self.program.clone().into(),
                errno: Errno(i32::from_ne_bytes(errno)),
                hint: Some("the command of -c cannot be executed"),
            });
        }
        match sent {
            // The child was killed before its release: that is an exit like any other, which `wait` reports.
            Ok(_) | Err(rustix::io::Errno::PIPE) => Ok(()),
            Err(errno) => Err(Error::call("write to the child's pipe", errno)),
        }
    }

    /// How the command ended; `None` while it runs.
    pub fn try_wait(&mut self) -> Result<Option<Exit>> {
        self.reap(WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    }

    /// Waits for the command to end. A child that was not released never becomes the command and ends here.
    pub fn wait(&mut self) -> Result<Exit> {
        self.gate = None;
        loop {
            if let Some(exit) = self.reap(WaitIdOptions::EXITED)? {
                return Ok(exit);
            }
        }
    }

    /// Sends a signal; a command that has ended already does not mind.
    pub fn kill(&self, signal: Signal) -> Result<()> {
        if self.exit.is_some() {
            return Ok(());
        }
        // SAFETY: the call takes a descriptor, a number and two zeros.
        let ret = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal.number(),
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        match ret {
            0 => Ok(()),
            _ if Errno::last().0 == libc::ESRCH => Ok(()),
            _ => Err(Error::call("pidfd_send_signal", Errno::last())),
        }
    }

    fn reap(&mut self, options: WaitIdOptions) -> Result<Option<Exit>> {
        if self.exit.is_some() {
            return Ok(self.exit);
        }
        match waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
            Ok(None) | Err(rustix::io::Errno::INTR) => Ok(None),
            Ok(Some(status)) => {
                self.exit = match (status.exit_status(), status.terminating_signal()) {
                    (Some(status), _) => Some(Exit::Status(status)),
                    (_, Some(signal)) => Some(Exit::Signal(signal)),
                    _ => None,
                };
                Ok(self.exit)
            }
            Err(errno) => Err(Error::call("waitid", errno)),
        }
    }
}

impl Drop for Child {
    /// A child that never ran ends; a command that runs goes on.
    fn drop(&mut self) {
        if self.gate.is_some() {
            let _ = self.wait();
        }
    }
}

/// The byte that releases the child.
const GO: u8 = 1;

/// The exit status of a child that did not become its command, as shells have it.
const NOT_EXECUTED: i32 = 127;

/// Everything that execve(2) needs, made before the fork because the child may not allocate.
struct Image {
    /// The files to try, in PATH's order.
    candidates: Vec<CString>,
    /// Pointers into `_args`, closed by a null.
    argv: Vec<*const c_char>,
    /// The same behind `/bin/sh` and a place for the script's path, for files without an interpreter line.
    shell_argv: Vec<*const c_char>,
    /// Pointers into `_env`, closed by a null.
    envp: Vec<*const c_char>,
    _args: Vec<CString>,
    _env: Vec<CString>,
}

const SHELL: &std::ffi::CStr = c"/bin/sh";

/// Whether this process may execute a file.
fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

impl Image {
    fn prepare(args: &[OsString]) -> Result<Self> {
        let zero = |_| Error::Invalid("the command holds a zero byte".to_owned());
        let owned: Vec<CString> =
            args.iter().map(|arg| CString::new(arg.as_bytes())).collect::<Result<_, _>>().map_err(zero)?;
        let candidates = candidates(&args[0], std::env::var_os("PATH").as_deref());
        if candidates.iter().all(|path| !path.exists()) {
            let missing = Error::file(Path::new(&args[0]), Errno(libc::ENOENT));
            return Err(
                missing.with_hint("the command of -c is no file, and no program in PATH has its name")
            );
        }
        if !candidates.iter().any(|path| is_executable(path)) {
            return Err(Error::File {
                path: Path::new(&args[0]).to_owned(),
                errno: Errno(libc::EACCES),
                hint: Some("the command of -c cannot be executed"),
            });
        }
        let candidates = candidates
            .into_iter()
            .map(|path| CString::new(path.into_os_string().into_vec()))
            .collect::<Result<_, _>>()
            .map_err(zero)?;
        let env: Vec<CString> = std::env::vars_os()
            .filter_map(|(key, value)| {
                let mut pair = key.into_vec();
                pair.push(b'=');
                pair.extend(value.as_bytes());
                CString::new(pair).ok()
            })
            .collect();
        let null = std::iter::once(std::ptr::null());
        let pointers = |strings: &[CString]| -> Vec<*const c_char> {
            strings.iter().map(|s| s.as_ptr()).chain(null.clone()).collect()
        };
        let argv = pointers(&owned);
        let mut shell_argv = vec![SHELL.as_ptr(), std::ptr::null()];
        shell_argv.extend(argv.iter().skip(1));
        let envp = pointers(&env);
        Ok(Self { candidates, argv, shell_argv, envp, _args: owned, _env: env })
    }

    /// Waits for the release and becomes the command.
    ///
    /// # Safety
    ///
    /// Only in the child right after fork. `gate` and `report` are this child's ends of the pipes, `release` its
    /// copy of the parent's end.
    unsafe fn run(&mut self, gate: RawFd, report: RawFd, release: RawFd) -> ! {
        // Everything below is async-signal-safe: system calls, and reads of memory that exists already.
        // SAFETY: the descriptors are open by contract; all pointers come from `prepare` and are null-terminated.
        unsafe {
            // While our copy of the other end is open, the end of the parent would not close the pipe.
            libc::close(release);
            reset_signals();
            let mut byte = 0u8;
            let got = loop {
                let got = libc::read(gate, (&raw mut byte).cast(), 1);
                if got >= 0 || *libc::__errno_location() != libc::EINTR {
                    break got;
                }
            };
            if got != 1 || byte != GO {
                libc::_exit(NOT_EXECUTED);
            }
            let errno = self.execute();
            libc::write(report, (&raw const errno).cast(), size_of::<i32>());
            libc::_exit(NOT_EXECUTED)
        }
    }

    /// Tries the candidates in turn and returns why none could be executed.
    ///
    /// # Safety
    ///
    /// As for [`Image::run`].
    unsafe fn execute(&mut self) -> i32 {
        let mut worst = libc::ENOENT;
        for candidate in &self.candidates {
            // SAFETY: path, arguments and environment are C strings and null-terminated arrays from `prepare`.
            let errno = unsafe {
                libc::execve(candidate.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr());
                *libc::__errno_location()
            };
            match errno {
                // Not here; but remember if one was there and forbidden, because that is the better message.
                libc::ENOENT | libc::ENOTDIR => {}
                libc::EACCES => worst = libc::EACCES,
                libc::ENOEXEC => {
                    self.shell_argv[1] = candidate.as_ptr();
                    // SAFETY: as above.
                    unsafe {
                        libc::execve(SHELL.as_ptr(), self.shell_argv.as_ptr(), self.envp.as_ptr());
                        return *libc::__errno_location();
                    }
                }
                other => return other,
            }
        }
        worst
    }
}

/// The files that a name may mean: itself if it holds a slash, else one per directory of PATH.
fn candidates(program: &OsStr, path: Option<&OsStr>) -> Vec<std::path::PathBuf> {
    if program.as_bytes().contains(&b'/') || program.is_empty() {
        return vec![program.into()];
    }
    let path = path.unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"));
    std::env::split_paths(path)
        // An empty entry means the current directory.
        .map(|dir| if dir.as_os_str().is_empty() { Path::new(".").join(program) } else { dir.join(program) })
        .collect()
}

/// Gives every signal its default action and unblocks all: what we block or ignore is no business of the command.
///
/// # Safety
///
/// Only in the child right after fork.
pub(crate) unsafe fn reset_signals() {
    // SAFETY: all structures are zeroed or initialised; numbers that are no signals are refused by the kernel.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        for signal in 1..=64 {
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_in_path() {
        let paths = |program: &str, path: &str| -> Vec<String> {
            let found = candidates(OsStr::new(program), Some(OsStr::new(path)));
            found.into_iter().map(|p| p.display().to_string()).collect()
        };
        assert_eq!(paths("ls", "/usr/bin::/bin"), ["/usr/bin/ls", "./ls", "/bin/ls"]);
        assert_eq!(paths("./ls", "/bin"), ["./ls"]);
        assert_eq!(paths("", "/bin"), [""]);
    }
}
