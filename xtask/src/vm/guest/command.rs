//! The command itself: started, its output moved to the ports and counted, its orphans collected.

use std::fs::{self, File};
use std::io::{ErrorKind, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, WaitOptions, WaitStatus};

use crate::error::{Context, Result, message};
use crate::vm::orders::{Orders, PORTS};

/// Where programs are looked for in a guest.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How often process 1 looks for ended children while the command is silent.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Runs the command to its end. Returns its status as a shell would, and the bytes written to each port.
pub fn run(orders: &Orders) -> Result<(u8, [u64; 2])> {
    let (out, out_end) = std::io::pipe().context(|| "make a pipe".to_owned())?;
    let (err, err_end) = std::io::pipe().context(|| "make a pipe".to_owned())?;
    let [out_port, err_port] = PORTS;
    let mut streams = [Stream::new(out, out_port)?, Stream::new(err, err_port)?];

    let mut words = orders.command.iter();
    let program = words.next().ok_or_else(|| message("no command"))?;
    let mut command = Command::new(program);
    command
        .args(words)
        .env_clear()
        .envs([("PATH", PATH), ("HOME", "/root"), ("TERM", "dumb"), ("LANG", "C.UTF-8"), ("SKEP_GUEST", "1")])
        .envs(orders.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(out_end)
        .stderr(err_end);
    if orders.directory.is_dir() {
        command.current_dir(&orders.directory);
    }
    let child = command.spawn();
    // Our copies of the writing ends would keep the pipes open for ever.
    drop(command);
    let status = match child {
        Ok(child) => {
            let child = Pid::from_child(&child);
            loop {
                wait_for_output(&streams);
                for stream in &mut streams {
                    stream.forward()?;
                }
                if let Some(status) = collect(child) {
                    break status;
                }
            }
        }
        Err(error) => {
            let [_, err] = &mut streams;
            err.send(format!("{program}: {error}\n").as_bytes())?;
            if error.kind() == ErrorKind::NotFound { 127 } else { 126 }
        }
    };
    // What the command wrote last may still be in the pipes.
    for stream in &mut streams {
        stream.forward()?;
    }
    Ok((status, streams.map(|stream| stream.written)))
}

/// Collects every child that has ended: whatever loses its parent becomes a child of process 1. Returns the
/// status of the one asked for, once it has one.
fn collect(wanted: Pid) -> Option<u8> {
    let mut found = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == wanted {
            found = Some(as_shell(status));
        }
    }
    found
}

fn as_shell(status: WaitStatus) -> u8 {
    let number = status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal));
    number.and_then(|number| u8::try_from(number).ok()).unwrap_or(u8::MAX)
}

fn wait_for_output(streams: &[Stream]) {
    let mut polled: Vec<PollFd> = streams
        .iter()
        .filter(|stream| !stream.ended)
        .map(|stream| PollFd::new(&stream.pipe, PollFlags::IN))
        .collect();
    // An interrupted wait is as good as a finished one.
    let _ = rustix::event::poll(&mut polled, Some(&PAUSE));
}

/// One of the command's outputs on its way to the host.
struct Stream {
    pipe: PipeReader,
    port: File,
    written: u64,
    ended: bool,
}

impl Stream {
    fn new(pipe: PipeReader, port: &str) -> Result<Stream> {
        rustix::io::ioctl_fionbio(pipe.as_fd(), true).context(|| "make a pipe non-blocking".to_owned())?;
        Ok(Stream { pipe, port: open_port(port)?, written: 0, ended: false })
    }

    /// Moves everything there is.
    fn forward(&mut self) -> Result<()> {
        let mut buffer = vec![0; 65536];
        while !self.ended {
            match self.pipe.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(length) => self.send(buffer.get(..length).unwrap_or_default())?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context(|| "read the command's output".to_owned()),
            }
        }
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.port.write_all(bytes).context(|| "write to a port".to_owned())?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

fn open_port(name: &str) -> Result<File> {
    let list = || "list the ports".to_owned();
    for entry in fs::read_dir("/sys/class/virtio-ports").context(list)? {
        let entry = entry.context(list)?;
        if fs::read_to_string(entry.path().join("name")).is_ok_and(|text| text.trim() == name) {
            let device = std::path::Path::new("/dev").join(entry.file_name());
            return File::options()
                .write(true)
                .open(&device)
                .context(|| format!("open {}", device.display()));
        }
    }
    Err(message(format!("no port {name}")))
}
