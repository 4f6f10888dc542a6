//! The consumer of `BPF_MAP_TYPE_RINGBUF`: records read in place, never copied.
//!
//! The kernel offers three things to map: one page with the consumer's position, one page with the producer's
//! position, and the data, twice in a row, so that a record that wraps around the end still lies in one piece.
//! Positions count bytes since the beginning and never wrap in practice. Each record begins with eight bytes: its
//! length with a bit for "still being written" and a bit for "discarded", and a page offset that only the kernel
//! uses (`kernel/bpf/ringbuf.c`).

use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::Duration;
use std::{fmt, slice};

use rustix::event::{PollFd, PollFlags};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::bpf::{Map, MapType};
use crate::{Error, Result, poll};

const BUSY: u32 = 1 << 31;
const DISCARD: u32 = 1 << 30;
const HEADER: u64 = 8;

/// How many bytes are read before the kernel is told that their room is free again: a fraction of the buffer.
///
/// Telling means writing a cache line that the producers read, so it is not done for each record.
const TELL_FRACTION: u64 = 16;

/// A mapped ring buffer; there must be one consumer only.
pub struct RingBuffer {
    map: OwnedFd,
    /// The consumer's page, which we write.
    consumer: Mapping,
    /// The producer's page and the data behind it, which we only read.
    producer: Mapping,
    page: usize,
    size: u64,
    /// How far this side has read.
    position: u64,
    /// How far the kernel knows that it has.
    told: u64,
    quiet: bool,
}

// SAFETY: the mappings belong to this value alone, and the kernel's side of them is accessed atomically.
unsafe impl Send for RingBuffer {}

impl fmt::Debug for RingBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingBuffer").field("size", &self.size).field("position", &self.position).finish()
    }
}

impl AsFd for RingBuffer {
    /// The descriptor that becomes readable when there are records.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}

/// How a reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// Records handed over; discarded ones do not count.
    pub records: u64,
    /// Why it ended.
    pub end: End,
}

/// Why a reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything up to the wanted position has been read.
    Reached,
    /// The next record is still being written.
    Busy,
    /// The callback asked to stop; the record it saw counts as read.
    Stopped,
}

impl RingBuffer {
    /// Maps the ring buffer `map`; the map itself stays with the caller.
    pub fn new(map: &Map) -> Result<Self> {
        if map.kind() != MapType::RINGBUF {
            return Err(Error::Invalid(format!("a map of type {} is no ring buffer", map.kind())));
        }
        let page = rustix::param::page_size();
        let size = map.max_entries() as usize;
        if !size.is_power_of_two() || !size.is_multiple_of(page) {
            return Err(Error::Invalid(format!("a ring buffer of {size} bytes")));
        }
        let fd = map.as_fd();
        let consumer = Mapping::new(fd, 0, page, ProtFlags::READ | ProtFlags::WRITE)?;
        let producer = Mapping::new(fd, page as u64, page + 2 * size, ProtFlags::READ)?;
        let map = fd.try_clone_to_owned().map_err(|e| Error::call("fcntl(F_DUPFD_CLOEXEC)", e))?;
        let mut ring =
            Self { map, consumer, producer, page, size: size as u64, position: 0, told: 0, quiet: false };
        ring.position = ring.consumer_cell().load(Ordering::Relaxed);
        ring.told = ring.position;
        Ok(ring)
    }

    /// Whether the kernel shall keep from waking the reader up, for a reader that comes back by itself.
    ///
    /// The kernel wakes the reader up for each record that finds everything before it read, which costs the
    /// producer over a microsecond. While quiet, the reader tells how far it is only now and then, so that it never
    /// seems to have caught up. Turn it off before waiting for the descriptor: it would be ready all the time.
    pub fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
        if !quiet {
            self.tell(self.position);
        }
    }

    /// Bytes the buffer holds.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How far the kernel has written, counting from the first byte ever. Records before it may still be busy.
    pub fn producer_pos(&self) -> u64 {
        self.producer_cell().load(Ordering::Acquire)
    }

    /// How far this side has read.
    pub fn consumer_pos(&self) -> u64 {
        self.position
    }

    /// Reads records until position `until` is reached, the next record is not finished yet, or `f` breaks.
    ///
    /// `f` gets the record's bytes, which lie in the ring and are valid during the call only, and the position at
    /// which the record begins. Take [`RingBuffer::producer_pos`] before an event to know that all records up to
    /// it have been seen, or `u64::MAX` to read what there is.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if the buffer holds a record that cannot be: nothing behind it can be read any more.
    pub fn consume_until<F>(&mut self, until: u64, mut f: F) -> Result<Consumed>
    where
        F: FnMut(&[u8], u64) -> ControlFlow<()>,
    {
        let mask = self.size - 1;
        // SAFETY: the producer's mapping is one page and then the data twice.
        let data = unsafe { self.producer.start.cast::<u8>().add(self.page) };
        let tell_every = (self.size / TELL_FRACTION).max(1);
        let mut position = self.position;
        let mut records = 0;
        let mut produced = self.producer_pos();
        let outcome = loop {
            let goal = produced.min(until);
            if position >= goal {
                // Nothing is left of what was there; look whether more has come in the meantime.
                if position < until {
                    produced = self.producer_pos();
                }
                if position >= produced.min(until) {
                    break Ok(End::Reached);
                }
            }
            let offset = (position & mask) as usize;
            // SAFETY: positions are multiples of 8 and the offset is below the size, so the header lies in the data
            // and is aligned; the kernel writes it, hence the atomic.
            let header = unsafe { &*data.add(offset).cast::<AtomicU32>() }.load(Ordering::Acquire);
            if header & BUSY != 0 {
                break Ok(End::Busy);
            }
            let len = header & !(BUSY | DISCARD);
            let step = (u64::from(len) + HEADER).next_multiple_of(8);
            if step > produced - position || step > self.size {
                let text = format!("length {len} at {position} of {produced}");
                break Err(Error::Format { what: "a ring buffer record", text });
            }
            let at = position;
            position += step;
            if header & DISCARD == 0 {
                records += 1;
                // SAFETY: the record begins in the first copy of the data and, being no longer than the size, ends
                // in the second at the latest; the kernel leaves it alone until the consumer's position passes it.
                let record =
                    unsafe { slice::from_raw_parts(data.add(offset + HEADER as usize), len as usize) };
                if f(record, at).is_break() {
                    break Ok(End::Stopped);
                }
            }
            if position - self.told >= tell_every {
                self.tell(position);
            }
        };
        self.position = position;
        if !self.quiet {
            self.tell(position);
        }
        outcome.map(|end| Consumed { records, end })
    }

    /// Reads what there is.
    pub fn consume<F>(&mut self, f: F) -> Result<Consumed>
    where
        F: FnMut(&[u8], u64) -> ControlFlow<()>,
    {
        self.consume_until(u64::MAX, f)
    }

    /// Waits until there are records; false if the time is over or a signal came first.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool> {
        let timeout = timeout.map(poll::timespec);
        let mut fds = [PollFd::new(&self.map, PollFlags::IN)];
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(Error::call("poll", errno)),
        }
    }

    fn tell(&mut self, position: u64) {
        if position != self.told {
            self.consumer_cell().store(position, Ordering::Release);
            // The kernel finishes a record and then looks how far the reader is; the reader tells and then looks for
            // records. Unless both do so in this order, each may miss the other, and nobody wakes the reader up.
            fence(Ordering::SeqCst);
            self.told = position;
        }
    }

    fn consumer_cell(&self) -> &AtomicU64 {
        // SAFETY: the mapping begins with the position, is aligned to a page and lives as long as `self`.
        unsafe { &*self.consumer.start.cast() }
    }

    fn producer_cell(&self) -> &AtomicU64 {
        // SAFETY: as above; the page is mapped read-only and only loads are made.
        unsafe { &*self.producer.start.cast() }
    }
}

struct Mapping {
    start: *mut std::ffi::c_void,
    len: usize,
}

impl Mapping {
    fn new(fd: BorrowedFd<'_>, offset: u64, len: usize, prot: ProtFlags) -> Result<Self> {
        // SAFETY: a new mapping at a place the kernel chooses touches no memory of ours.
        let start = unsafe { mmap(std::ptr::null_mut(), len, prot, MapFlags::SHARED, fd, offset) }
            .map_err(|e| Error::call("mmap of a ring buffer", e))?;
        Ok(Self { start, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by mmap with this length; records borrow from it during callbacks only.
        let _ = unsafe { munmap(self.start, self.len) };
    }
}
