//! The programs that are compared, and a running one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Context, Result, message};
use crate::process;

/// How long a program may take to end after it was told to.
const PATIENCE: Duration = Duration::from_secs(60);

/// A tracer with bpftrace's options.
#[derive(Debug, Clone)]
pub struct Tool {
    /// Its name, in the table.
    pub name: String,
    /// Its executable.
    pub path: PathBuf,
    /// What comes before its options.
    pub arguments: &'static [&'static str],
}

impl Tool {
    /// The command that runs a script.
    pub fn command(&self, script: &str) -> Command {
        let mut command = Command::new(&self.path);
        command.args(self.arguments).args(["-e", script]).stdin(Stdio::null());
        command
    }

    /// Fails unless it can run the simplest script.
    pub fn check(&self) -> Result<()> {
        let script = r#"BEGIN { printf("hello\n"); exit(); }"#;
        let text = process::capture(&mut self.command(script))?;
        if text.contains("hello") {
            return Ok(());
        }
        Err(message(format!("{} runs, but its BEGIN prints nothing", self.path.display())))
    }

    /// Starts a script that goes on until it is told to end; its output goes to files in `directory`.
    pub fn start(&self, script: &str, directory: &Path) -> Result<Running> {
        let output = directory.join("output");
        let messages = directory.join("messages");
        let mut command = self.command(script);
        let create = |path: &Path| File::create(path).context(|| format!("create {}", path.display()));
        command.stdout(create(&output)?).stderr(create(&messages)?);
        let child = process::bind_to_parent(&mut command).spawn();
        Ok(Running { child: child.context(|| format!("start {}", self.name))?, output, messages })
    }
}

/// A tracer at work.
pub struct Running {
    child: Child,
    output: PathBuf,
    messages: PathBuf,
}

impl Running {
    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to its standard output.
    pub fn output(&self) -> Result<Vec<u8>> {
        std::fs::read(&self.output).context(|| "read the output".to_owned())
    }

    /// Bytes it has written to its standard output.
    pub fn output_length(&self) -> u64 {
        std::fs::metadata(&self.output).map_or(0, |data| data.len())
    }

    /// What it has written to its standard error.
    pub fn messages(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.messages).unwrap_or_default()).into_owned()
    }

    /// Fails if it has ended by itself.
    pub fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait().context(|| "wait for the tracer".to_owned())? {
            None => Ok(()),
            Some(status) => {
                Err(message(format!("{}\n{}", process::how_it_ended(status), self.messages().trim())))
            }
        }
    }

    /// Has it end as Ctrl-C does, and waits for it.
    pub fn stop(&mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT)
            .context(|| "stop the tracer".to_owned())?;
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().context(|| "wait for the tracer".to_owned())?.is_none() {
            if Instant::now() > deadline {
                return Err(message(format!("it did not end within {} s of SIGINT", PATIENCE.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
