//! Drives the built binary as a user would: starts it, waits for what it says, sends it signals, and looks at what
//! it leaves behind.
//!
//! Nothing here depends on time. Waits have a limit only so that a test that hangs fails.

#![allow(dead_code, reason = "each test file includes this one and uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

pub mod objects;
pub mod sample;
pub mod target;

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The variable that makes skep say on standard output that everything is attached, and what it then says.
const NOTIFY_ATTACHED: &str = "__BPFTRACE_NOTIFY_PROBES_ATTACHED";

/// The built binary.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_skep"))
}

/// Whether the test runs in a guest, which is emulated and some ten times slower.
pub fn in_guest() -> bool {
    std::env::var_os("SKEP_GUEST").is_some_and(|value| value == "1")
}

/// How long something may take before it counts as stuck.
fn limit() -> Duration {
    Duration::from_secs(if in_guest() { 400 } else { 60 })
}

/// A call of the binary, in an environment that says nothing to it.
pub fn skep<S: AsRef<OsStr>>(args: &[S]) -> Command {
    call(binary(), args)
}

/// A call of any program, in an environment that says nothing to it.
pub fn call<S: AsRef<OsStr>>(program: &Path, args: &[S]) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BPFTRACE_") {
            command.env_remove(name);
        }
    }
    command.args(args).env("LC_ALL", "C");
    command
}

/// `skep trace` with these arguments, to its end.
pub fn trace(args: &[&str]) -> Run {
    run(skep(&[&["trace"], args].concat()))
}

/// What `skep trace -q -e SCRIPT` prints; it must succeed and have nothing to say.
pub fn prints(script: &str) -> String {
    trace(&["-q", "-e", script]).quiet_output()
}

/// The functions of a stack in the text form, without offsets.
pub fn functions(stack: &str) -> Vec<&str> {
    let frames = stack.lines().filter(|line| line.starts_with("        "));
    frames.map(|line| line.trim_start().split(['+', '@']).next().unwrap()).collect()
}

/// A command for `-c`: perl with this program, which must hold no single quotes.
pub fn perl(program: &str) -> String {
    assert!(!program.contains('\''), "{program}");
    format!("perl -e '{program}'")
}

/// Runs a command to its end.
pub fn run(command: Command) -> Run {
    Running::start(command).end()
}

/// What a command left.
#[derive(Debug)]
pub struct Run {
    pub stdout: String,
    pub stderr: String,
    pub status: ExitStatus,
}

impl Run {
    /// The exit status, which it must have.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {self:#?}"))
    }

    /// Checks that it succeeded.
    pub fn success(self) -> Run {
        assert!(self.status.success(), "{}\n{}{}", self.status, self.stdout, self.stderr);
        self
    }

    /// What it printed, provided it succeeded without a message.
    pub fn quiet_output(self) -> String {
        let run = self.success();
        assert_eq!(run.stderr, "", "{}", run.stdout);
        run.stdout
    }
}

/// What an output was so far, filled by a thread.
#[derive(Clone, Default)]
struct Gathered(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    closed: bool,
}

impl Gathered {
    fn of(mut source: impl Read + Send + 'static) -> Gathered {
        let gathered = Gathered::default();
        let shared = gathered.clone();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            loop {
                let length = source.read(&mut buffer).unwrap_or(0);
                let (state, changed) = &*shared.0;
                let mut state = state.lock().unwrap();
                state.bytes.extend_from_slice(&buffer[..length]);
                state.closed = length == 0;
                changed.notify_all();
                if length == 0 {
                    return;
                }
            }
        });
        gathered
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// Waits until the text so far is as wanted, or until the end if that never happens.
    fn wait(&self, wanted: impl Fn(&str) -> bool) -> String {
        let (state, changed) = &*self.0;
        let deadline = Instant::now() + limit();
        let mut state = state.lock().unwrap();
        loop {
            let text = Gathered::text(&state.bytes);
            let left = deadline.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() || wanted(&text) {
                return text;
            }
            state = changed.wait_timeout(state, left).unwrap().0;
        }
    }
}

/// A command that runs.
pub struct Running {
    child: Child,
    stdout: Option<Gathered>,
    stderr: Gathered,
}

impl Running {
    /// Starts a command. Its outputs are read at once.
    pub fn start(command: Command) -> Running {
        let mut running = Running::start_unread(command);
        running.read();
        running
    }

    /// Starts a command whose standard output is read only from [`Running::read`] on.
    pub fn start_unread(mut command: Command) -> Running {
        // SAFETY: prctl and signal are plain system calls, allowed between fork and exec. The first sees to it that
        // nothing goes on tracing when the test dies; the second, that a hang-up ends it under nohup(1), too.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGHUP, libc::SIG_DFL);
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(Into::into)
            });
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let stderr = Gathered::of(child.stderr.take().unwrap());
        Running { child, stdout: None, stderr }
    }

    /// Starts `skep trace` and waits until everything is attached.
    pub fn attached(args: &[&str]) -> Running {
        let mut command = skep(&[&["trace"], args].concat());
        command.env(NOTIFY_ATTACHED, "1");
        let running = Running::start(command);
        running.wait_for(NOTIFY_ATTACHED);
        running
    }

    /// Begins to read standard output.
    pub fn read(&mut self) {
        if let Some(stdout) = self.child.stdout.take() {
            self.stdout = Some(Gathered::of(stdout));
        }
    }

    /// Closes standard output, which nobody has read so far.
    pub fn close_stdout(&mut self) {
        assert!(self.child.stdout.take().is_some());
    }

    /// Waits until standard output holds a text.
    pub fn wait_for(&self, text: &str) {
        let stdout = self.stdout.as_ref().expect("read");
        let so_far = stdout.wait(|so_far| so_far.contains(text));
        assert!(so_far.contains(text), "never said {text:?}: {so_far}\n{}", self.stderr.wait(|_| true));
    }

    /// What it has printed so far.
    pub fn so_far(&self) -> String {
        self.stdout.as_ref().map(|stdout| stdout.wait(|_| true)).unwrap_or_default()
    }

    /// Waits until standard error holds a text.
    pub fn wait_for_message(&self, text: &str) {
        let so_far = self.stderr.wait(|so_far| so_far.contains(text));
        assert!(so_far.contains(text), "never said {text:?}: {so_far}");
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end. What [`NOTIFY_ATTACHED`] asked for is no part of the output.
    pub fn end(mut self) -> Run {
        let deadline = Instant::now() + limit();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break Some(status);
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                break None;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let text = |gathered: &Gathered| gathered.wait(|_| false);
        let stderr = text(&self.stderr);
        let stdout = self.stdout.as_ref().map(text).unwrap_or_default();
        let Some(status) = status else { panic!("it does not end\n{stdout}\n{stderr}") };
        let stdout = stdout.replace(&format!("{NOTIFY_ATTACHED}\n"), "");
        Run { stdout, stderr, status }
    }
}

/// Waits until something is so.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit();
    while !so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether it was ended by this signal.
pub fn ended_by(run: &Run, signal: Signal) -> bool {
    run.status.signal() == Some(signal.as_raw())
}

/// A directory with the links that `skep links` makes; it vanishes with the value.
pub struct Links(tempfile::TempDir);

impl Links {
    pub fn new() -> Links {
        let directory = tempfile::tempdir().unwrap();
        run(skep(&[OsStr::new("links"), directory.path().as_os_str()])).success();
        Links(directory)
    }

    /// The link of this name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A file with this text; it vanishes with the value.
pub fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.flush().unwrap();
    file
}

/// The path of a file that [`file`] made.
pub fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}
