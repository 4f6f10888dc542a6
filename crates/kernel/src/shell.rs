//! Commands and files that a script names while it runs.

use std::fs::File;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Errno, Result};

/// What a command of the shell came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What it wrote to standard output and standard error, in the order in which it wrote.
    pub bytes: Vec<u8>,
    /// Its exit status; 128 and the number of the signal that ended it.
    pub status: i32,
}

/// Runs a command by `/bin/sh -c` to its end.
pub fn run(command: &[u8]) -> Result<Output> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::process::CommandExt;
    let failed = |error: std::io::Error| crate::Error::call("execve(/bin/sh)", Errno::from(error));
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(std::ffi::OsStr::from_bytes(command)).stdin(Stdio::null());
    // SAFETY: only calls that are safe between fork and exec are made, in the child.
    unsafe {
        shell.pre_exec(|| {
            crate::child::reset_signals();
            match libc::dup2(libc::STDOUT_FILENO, libc::STDERR_FILENO) {
                -1 => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            }
        })
    };
    let output = shell.stderr(Stdio::inherit()).output().map_err(failed)?;
    let status = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
    Ok(Output { bytes: output.stdout, status })
}

/// The first bytes of a file, at most `limit`.
pub fn beginning(path: &Path, limit: u64) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_gives_its_output_and_status() {
        assert_eq!(run(b"echo hi; exit 3").unwrap(), Output { bytes: b"hi\n".into(), status: 3 });
        assert_eq!(run(b"echo a; echo b >&2; echo c").unwrap().bytes, b"a\nb\nc\n");
        assert_eq!(run(b"kill -9 $$").unwrap().status, 137);
    }

    #[test]
    fn a_file_is_read_up_to_a_limit() {
        assert_eq!(beginning(Path::new("/proc/self/comm"), 1).unwrap().len(), 1);
        assert_eq!(beginning(Path::new("/does/not/exist"), 1), Err(Errno(libc::ENOENT)));
    }
}
