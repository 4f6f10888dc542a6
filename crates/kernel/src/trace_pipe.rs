//! What programs write with bpf_printk: the stream `trace_pipe` of tracefs.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags, openat};

use crate::tracefs::TraceFs;
use crate::{Error, Result};

/// The open stream. Who reads takes the lines away from all other readers.
#[derive(Debug)]
pub struct TracePipe {
    file: File,
}

impl TracePipe {
    /// Opens the stream of an open tracefs; reads do not wait.
    pub fn open(tracefs: &TraceFs) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = openat(tracefs, "trace_pipe", flags, Mode::empty())
            .map_err(|e| Error::call("open(trace_pipe)", e).with_hint("run as root"))?;
        Ok(Self { file: File::from(fd) })
    }

    /// Reads what is there; 0 bytes: nothing is, for now.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self.file.read(buffer) {
            Ok(count) => Ok(count),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(0),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(Error::call("read(trace_pipe)", error)),
        }
    }
}

impl AsFd for TracePipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
