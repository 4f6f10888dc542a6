//! `prog tracelog`: what programs print, as it comes.

use std::os::fd::AsFd;
use std::time::Duration;

use skep_kernel::bpf::{self, ObjectKind, Stream};
use skep_kernel::poll::{Poll, Token};
use skep_kernel::signals::{Signal, SignalFd};
use skep_kernel::trace_pipe::TracePipe;
use skep_kernel::tracefs::TraceFs;

use crate::cli::{Session, Words};
use crate::collect::Selector;
use crate::error::{Error, Result};

/// Bytes read at once.
const CHUNK: usize = 1 << 16;

pub(super) fn run(session: &mut Session<'_>, words: &mut Words<'_>) -> Result<u8> {
    if words.is_empty() {
        return follow(session);
    }
    let stream = if words.take("stdout") {
        Stream::Stdout
    } else if words.take("stderr") {
        Stream::Stderr
    } else {
        return Err(Error::Usage);
    };
    words.need(2)?;
    let fds = Selector::take(ObjectKind::Prog, words)?.open(ObjectKind::Prog)?;
    let [fd] = fds.as_slice() else {
        return Err(Error::Message("several programs match this handle".to_owned()));
    };
    words.end()?;
    read_stream(session, fd.as_fd(), stream)
}

/// The lines that bpf_printk writes, until a signal ends it.
fn follow(session: &mut Session<'_>) -> Result<u8> {
    let refused = |error: skep_kernel::Error| Error::kernel("failed to open trace pipe", &error);
    let tracefs = TraceFs::open().map_err(refused)?;
    let mut pipe = TracePipe::open(&tracefs).map_err(refused)?;
    let signals = SignalFd::new(&[Signal::Interrupt, Signal::Terminate, Signal::HangUp]).map_err(refused)?;
    let mut poll = Poll::new().map_err(refused)?;
    const PIPE: Token = 0;
    const SIGNAL: Token = 1;
    poll.add(&pipe, PIPE).map_err(refused)?;
    poll.add(&signals, SIGNAL).map_err(refused)?;
    let mut array = Strings::begin(session)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        let ready: Vec<Token> = poll.wait(None::<Duration>).map_err(refused)?.collect();
        // One that is not taken would be delivered when signals are let in again.
        if ready.contains(&SIGNAL) && signals.read().map_err(refused)?.is_some() {
            break;
        }
        let read = pipe.read(&mut buffer).map_err(refused)?;
        array.text(session, buffer.get(..read).unwrap_or_default())?;
        session.out.flush()?;
    }
    array.end(session)?;
    Ok(0)
}

/// What a program has written to one of its streams; it is gone from there afterwards.
fn read_stream(session: &mut Session<'_>, prog: std::os::fd::BorrowedFd<'_>, stream: Stream) -> Result<u8> {
    let mut array = Strings::begin(session)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = bpf::stream_read(prog, stream, &mut buffer)
            .map_err(|error| Error::kernel_status("failed to read the program's stream", &error))?;
        if read == 0 {
            break;
        }
        array.text(session, buffer.get(..read).unwrap_or_default())?;
    }
    array.end(session)?;
    Ok(0)
}

/// Lines as they come: as they are, or as the strings of a JSON array.
struct Strings {
    partial: Vec<u8>,
    any: bool,
}

impl Strings {
    fn begin(session: &mut Session<'_>) -> Result<Self> {
        if session.is_json() {
            write!(session.out, "[")?;
        }
        Ok(Self { partial: Vec::new(), any: false })
    }

    fn text(&mut self, session: &mut Session<'_>, bytes: &[u8]) -> Result<()> {
        if !session.is_json() {
            session.out.write_all(bytes)?;
            return Ok(());
        }
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            self.string(session, &line)?;
        }
        Ok(())
    }

    fn string(&mut self, session: &mut Session<'_>, bytes: &[u8]) -> Result<()> {
        if self.any {
            write!(session.out, ",")?;
        }
        self.any = true;
        let text = serde_json::Value::from(String::from_utf8_lossy(bytes));
        write!(session.out, "{text}")?;
        Ok(())
    }

    fn end(mut self, session: &mut Session<'_>) -> Result<()> {
        if !session.is_json() {
            return Ok(());
        }
        if !self.partial.is_empty() {
            let rest = std::mem::take(&mut self.partial);
            self.string(session, &rest)?;
        }
        write!(session.out, "{}]", if self.any { "\n" } else { "" })?;
        Ok(())
    }
}
