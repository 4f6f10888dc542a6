//! Running other programs.

use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};

use crate::error::{Context, Error, Result};

/// Runs a program to its end and returns what it wrote to its standard output.
pub fn capture(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().context(|| format!("run {}", describe(command)))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(Error::Command {
        command: describe(command),
        status: how_it_ended(output.status),
        output: format!("\n{text}{errors}").trim_end().to_owned(),
    })
}

/// Runs a program to its end with this process's own output; says whether it succeeded.
pub fn succeeds(command: &mut Command) -> Result<bool> {
    Ok(command.stdin(Stdio::null()).status().context(|| format!("run {}", describe(command)))?.success())
}

/// The program and its arguments, as a reader would type them.
pub fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|argument| argument.to_string_lossy().into_owned()));
    words.join(" ")
}

/// "exit status 1" or "signal 11".
pub fn how_it_ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_owned(),
    }
}

/// Makes a program end with the thread that starts it, however that one ends.
pub fn bind_to_parent(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec the closure only makes one system call, which is async-signal-safe and
    // touches no memory.
    unsafe {
        command.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            Ok(())
        })
    }
}

/// Lets a program inherit these files, and no other program that this process starts meanwhile.
pub fn hand_over<const N: usize>(command: &mut Command, files: [OwnedFd; N]) -> &mut Command {
    // SAFETY: between fork and exec the closure only makes system calls, which are async-signal-safe, on
    // files it owns.
    unsafe {
        command.pre_exec(move || {
            for file in &files {
                rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty())?;
            }
            Ok(())
        })
    }
}
