//! Walks over the kernel's objects (BPF iterators): reading one runs its program once for each object.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::JoinHandle;

use rustix::pipe::{PipeFlags, pipe_with};

use crate::{Error, Result};

/// Walks in progress, one after the other, in a thread of their own: their programs send records that somebody has to
/// read meanwhile.
#[derive(Debug)]
pub struct Walk {
    thread: JoinHandle<Result<()>>,
    done: OwnedFd,
}

impl AsFd for Walk {
    /// Hangs up when all walks are over.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }
}

impl Walk {
    /// Begins to read what `iter_create` gave.
    pub fn start(iterators: Vec<OwnedFd>) -> Result<Walk> {
        let (done, under_way) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| Error::call("pipe2", e))?;
        let run = move || {
            let result = iterators.into_iter().try_for_each(read);
            drop(under_way);
            result
        };
        let thread = std::thread::Builder::new()
            .name("walk".to_owned())
            .spawn(run)
            .map_err(|e| Error::call("clone of a thread", e))?;
        Ok(Walk { thread, done })
    }

    /// Waits for the end of all walks.
    pub fn finish(self) -> Result<()> {
        self.thread.join().unwrap_or_else(|_| Err(Error::Invalid("a walk broke off".to_owned())))
    }
}

/// Walks to the end, here and now, and returns what the programs wrote into the file (`bpf_seq_write`).
pub fn output(iterator: OwnedFd) -> Result<Vec<u8>> {
    let mut written = Vec::new();
    read_to_end(iterator, |part| written.extend_from_slice(part))?;
    Ok(written)
}

fn read(iterator: OwnedFd) -> Result<()> {
    // Programs of ours write nothing into the file; what others write is passed over.
    read_to_end(iterator, |_| {})
}

fn read_to_end(iterator: OwnedFd, mut take: impl FnMut(&[u8])) -> Result<()> {
    let mut file = File::from(iterator);
    let mut page = [0u8; 4096];
    loop {
        match file.read(&mut page) {
            Ok(0) => return Ok(()),
            Ok(count) => take(page.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // After many objects without a word the kernel takes a breath.
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
            Err(error) => return Err(Error::call("read of a BPF iterator", error)),
        }
    }
}
