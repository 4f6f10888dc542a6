//! A traced program that runs while the test looks on: it says that it is there, waits for a signal, does what it
//! does, and ends.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// C text for programs that [`Waiting`] starts: `wait_for_test()` is to be called before the work.
pub const WAIT: &str = r#"
#include <signal.h>
#include <stdio.h>
static void wait_for_test(void)
{
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, 0);
    puts("ready");
    fflush(stdout);
    sigwait(&set, &number);
}
"#;

/// A program that waits. It is ended with the value.
pub struct Waiting(Child);

impl Waiting {
    /// Starts a program and waits until it is about to wait.
    pub fn start(program: &Path) -> Waiting {
        Waiting::command(Command::new(program))
    }

    /// The same for a command that becomes such a program.
    pub fn command(mut command: Command) -> Waiting {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Waiting(child)
    }

    /// Its process.
    pub fn pid(&self) -> String {
        self.0.id().to_string()
    }

    /// Lets it do its work.
    pub fn release(&self) {
        kill_process(Pid::from_child(&self.0), Signal::USR1).unwrap();
    }

    /// Lets it do its work and waits for its end.
    pub fn go(mut self) {
        self.release();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
