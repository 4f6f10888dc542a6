//! Waiting for many descriptors at once: a small epoll.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use crate::{Error, Result};

/// A set of descriptors to wait for.
pub struct Poll {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

/// The number a descriptor was registered with.
pub type Token = u64;

/// How many ready descriptors one wait reports at most; the rest come with the next wait.
const BATCH: usize = 64;

impl fmt::Debug for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poll").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

impl Poll {
    /// An empty set.
    pub fn new() -> Result<Self> {
        let epoll =
            epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| Error::call("epoll_create1", e))?;
        Ok(Self { epoll, events: Vec::with_capacity(BATCH) })
    }

    /// Waits for `fd` to become readable, too. The set must not outlive the descriptor's use.
    pub fn add(&self, fd: impl AsFd, token: Token) -> Result<()> {
        epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), epoll::EventFlags::IN)
            .map_err(|e| Error::call("epoll_ctl(EPOLL_CTL_ADD)", e))
    }

    /// Waits for the other end of `fd` to go away: a pipe that nobody reads, a terminal that is gone. False if `fd`
    /// has no other end, as a file.
    pub fn add_hang_up(&self, fd: impl AsFd, token: Token) -> Result<bool> {
        // Errors and hang-ups are always reported; nothing else is asked for.
        match epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), epoll::EventFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::PERM) => Ok(false),
            Err(errno) => Err(Error::call("epoll_ctl(EPOLL_CTL_ADD)", errno)),
        }
    }

    /// No longer waits for `fd`.
    pub fn remove(&self, fd: impl AsFd) -> Result<()> {
        epoll::delete(&self.epoll, fd).map_err(|e| Error::call("epoll_ctl(EPOLL_CTL_DEL)", e))
    }

    /// Waits until something is ready or the time is over (`None`: for ever), and returns the tokens.
    ///
    /// An interruption by a signal counts as the time being over.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<impl Iterator<Item = Token> + '_> {
        let timeout = timeout.map(timespec);
        self.events.clear();
        let room = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, room, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::call("epoll_wait", errno)),
        }
        Ok(self.events.iter().map(|event| event.data.u64()))
    }
}

/// A duration as the kernel takes it, rounded up to milliseconds and at most 24 days: what epoll_wait(2) knew
/// before Linux 5.11, and never too short, so that a caller who waits for a deadline does not spin.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    let millis = duration.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i64;
    Timespec { tv_sec: millis / 1000, tv_nsec: millis % 1000 * 1_000_000 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(poll: &mut Poll) -> Vec<Token> {
        poll.wait(Some(Duration::ZERO)).unwrap().collect()
    }

    #[test]
    fn a_pipe_that_nobody_reads_hangs_up() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut poll = Poll::new().unwrap();
        assert!(poll.add_hang_up(&writer, 7).unwrap());
        assert_eq!(ready(&mut poll), []);
        drop(reader);
        assert_eq!(ready(&mut poll), [7]);
    }

    #[test]
    fn a_file_has_no_other_end() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(!Poll::new().unwrap().add_hang_up(&file, 0).unwrap());
    }

    #[test]
    fn timeouts_are_rounded_up_and_bounded() {
        assert_eq!(timespec(Duration::from_nanos(1)).tv_nsec, 1_000_000);
        assert_eq!(timespec(Duration::ZERO).tv_nsec, 0);
        assert_eq!(timespec(Duration::from_millis(1500)).tv_nsec, 500_000_000);
        assert_eq!(timespec(Duration::MAX).tv_sec, i64::from(i32::MAX) / 1000);
    }
}
