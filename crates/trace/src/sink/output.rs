//! Bytes on their way out: gathered in one buffer, written in few calls.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};

use skep_ui::text;

/// When gathered bytes are written (`-B`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Buffering {
    /// After each event.
    None,
    /// When there are no more events for now: a reader sees each line at once, a flood costs few calls.
    #[default]
    Line,
    /// When the buffer is full, and at the end.
    Full,
}

/// A buffered writer that knows whether it writes to a terminal.
pub struct Output {
    buffer: Vec<u8>,
    inner: Inner,
    buffering: Buffering,
    terminal: bool,
    closed: bool,
}

enum Inner {
    File(File),
    Writer(Box<dyn Write + Send>),
}

impl Inner {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Inner::File(file) => file,
            Inner::Writer(writer) => writer,
        }
    }
}

/// Beyond this many bytes the buffer is written in any mode.
const FULL: usize = 64 * 1024;

impl Output {
    /// Writes to `inner`. On a terminal, text of other processes is shown with its control characters escaped.
    pub fn new(inner: Box<dyn Write + Send>, buffering: Buffering, terminal: bool) -> Output {
        Output::of(Inner::Writer(inner), buffering, terminal)
    }

    /// Writes to a file, a pipe or a terminal, as `file` is.
    pub fn to_file(file: File, buffering: Buffering) -> Output {
        let terminal = file.is_terminal();
        Output::of(Inner::File(file), buffering, terminal)
    }

    fn of(inner: Inner, buffering: Buffering, terminal: bool) -> Output {
        Output { buffer: Vec::with_capacity(FULL + 4096), inner, buffering, terminal, closed: false }
    }

    /// Where it goes, if that is a descriptor.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.inner {
            Inner::File(file) => Some(file.as_fd()),
            Inner::Writer(_) => None,
        }
    }

    /// Where to put bytes. Call [`Output::event_done`] after each event.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Whether text of other processes must be escaped.
    pub fn escapes(&self) -> bool {
        self.terminal
    }

    /// Writes the buffer if the mode or its size demands it.
    pub fn event_done(&mut self) -> io::Result<()> {
        if self.buffering == Buffering::None || self.buffer.len() >= FULL { self.flush() } else { Ok(()) }
    }

    /// Writes the buffer if the mode shows what there is.
    pub fn idle(&mut self) -> io::Result<()> {
        if self.buffering == Buffering::Full { Ok(()) } else { self.flush() }
    }

    /// Writes the buffer. Once the reader is gone, bytes are dropped and the error comes back each time.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.closed {
            self.buffer.clear();
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let inner = self.inner.writer();
        let written = inner.write_all(&self.buffer).and_then(|()| inner.flush());
        self.buffer.clear();
        self.closed = matches!(&written, Err(error) if error.kind() == io::ErrorKind::BrokenPipe);
        written
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = self.flush();
    }
}

/// Appends text that another process wrote. If `escape`, what could steer a terminal is made visible; tabs and
/// line ends stay.
pub(super) fn push_foreign(out: &mut Vec<u8>, bytes: &[u8], escape: bool) {
    let harmless = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n');
    if !escape || bytes.iter().all(harmless) {
        out.extend_from_slice(bytes);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        out.extend_from_slice(text::escape_lines(chunk.valid()).as_bytes());
        for byte in chunk.invalid() {
            push_hex_escape(out, *byte);
        }
    }
}

/// Appends `\x0a` and the like.
pub(super) fn push_hex_escape(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(b"\\x");
    push_hex(out, byte);
}

/// Appends two hexadecimal digits.
pub(super) fn push_hex(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(DIGITS[usize::from(byte >> 4)]);
    out.push(DIGITS[usize::from(byte & 15)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_terminals_get_escapes() {
        let mut out = Vec::new();
        push_foreign(&mut out, b"a\x1b[2J\xff\n", false);
        assert_eq!(out, b"a\x1b[2J\xff\n");
        out.clear();
        push_foreign(&mut out, b"a\x1b[2J\xff\n", true);
        assert_eq!(out, b"a\\x1b[2J\\xff\n");
    }

    #[test]
    fn a_closed_reader_is_told_once_and_for_all() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut output = Output::new(Box::new(Closed), Buffering::Line, false);
        for _ in 0..2 {
            output.buffer().push(b'x');
            assert_eq!(output.idle().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        }
    }
}
