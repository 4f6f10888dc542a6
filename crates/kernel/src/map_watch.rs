//! What processes map, as it happens: the side-band records of perf_event_open(2).
//!
//! A dummy event counts nothing, but the kernel tells its owner of every executable mapping, fork, exec and exit of
//! the processes in its scope, with the order kept even when a process lives for microseconds only. Records are those
//! of `enum perf_event_type`, each with a header of 8 bytes: type, flags, length.

use std::ffi::OsStr;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::maps::{self, FileId, Mapping};
use crate::perf::{self, SideBand};
use crate::{Errno, Error, Result};

/// Something a process did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It mapped code.
    Mapped {
        /// Which process.
        pid: u32,
        /// What and where.
        mapping: Mapping,
    },
    /// It became another program; what it had mapped is gone.
    Executed {
        /// Which process.
        pid: u32,
    },
    /// It made a process that has the same mapped.
    Forked {
        /// Which process.
        parent: u32,
        /// The new one.
        child: u32,
    },
    /// Its last thread ended.
    Exited {
        /// Which process.
        pid: u32,
    },
    /// Changes were lost, because they were not read in time.
    Lost {
        /// How many.
        count: u64,
    },
}

/// Bytes of records that are held for each CPU until they are read.
const RING_BYTES: usize = 128 << 10;

/// Watches processes from when it is made.
#[derive(Debug)]
pub struct MapWatch {
    rings: Vec<Ring>,
    pending: Vec<(u64, Change)>,
}

impl MapWatch {
    /// Watches one process and all its children to come, or all processes. `at_once`: what happens makes the
    /// descriptors readable as it happens rather than when there is much of it.
    ///
    /// # Errors
    ///
    /// As [`perf::open`].
    pub fn new(pid: Option<i32>, at_once: bool) -> Result<Self> {
        let mut rings = Vec::new();
        for cpu in perf::online_cpus()? {
            let wakeup_bytes = if at_once { 1 } else { RING_BYTES as u32 / 2 };
            let band = SideBand { pid, cpu, wakeup_bytes };
            match perf::open_side_band(band).and_then(Ring::new) {
                Ok(ring) => rings.push(ring),
                // The CPU went offline meanwhile.
                Err(error) if error.errno() == Some(Errno(libc::ENODEV)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { rings, pending: Vec::new() })
    }

    /// What becomes readable before records get lost; unless all are wanted at once, records can be there long before.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.rings.iter().map(|ring| ring.event.as_fd())
    }

    /// Hands over everything that happened since the last time, in the order in which it happened.
    pub fn read(&mut self, mut each: impl FnMut(Change)) {
        for ring in &self.rings {
            ring.read(&mut self.pending);
        }
        // Each CPU keeps its own order; together they have that of their times.
        self.pending.sort_by_key(|(time, _)| *time);
        self.pending.drain(..).for_each(|(_, change)| each(change));
    }
}

/// The records of one CPU.
struct Ring {
    event: OwnedFd,
    start: NonNull<u8>,
    page: usize,
}

// SAFETY: the mapping belongs to this value alone, and the kernel's side of it is accessed atomically.
unsafe impl Send for Ring {}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("event", &self.event).finish_non_exhaustive()
    }
}

/// Where `data_head` and `data_tail` are in the first page, in 64-bit words (`struct perf_event_mmap_page`).
const HEAD: usize = 128;
const TAIL: usize = 129;

impl Ring {
    fn new(event: OwnedFd) -> Result<Self> {
        let page = rustix::param::page_size();
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, which replaces none.
        let start =
            unsafe { mmap(std::ptr::null_mut(), page + RING_BYTES, prot, MapFlags::SHARED, &event, 0) }
                .map_err(|e| {
                    Error::call("mmap", e).with_hint("sysctl kernel.perf_event_mlock_kb limits such memory")
                })?;
        let start = NonNull::new(start.cast()).ok_or_else(|| Error::call("mmap", Errno::ENOMEM))?;
        Ok(Self { event, start, page })
    }

    fn position(&self, word: usize) -> &AtomicU64 {
        // SAFETY: the first page is mapped as long as `self`, is aligned, and both sides access these words
        // atomically.
        unsafe { &*self.start.as_ptr().cast::<AtomicU64>().add(word) }
    }

    /// Appends all records, with their times.
    fn read(&self, changes: &mut Vec<(u64, Change)>) {
        let head = self.position(HEAD).load(Ordering::Acquire);
        let mut tail = self.position(TAIL).load(Ordering::Relaxed);
        let mut record = Vec::new();
        while tail < head {
            let mut header = [0; 8];
            self.copy(tail, &mut header);
            let len = u64::from(u16::from_le_bytes([header[6], header[7]]));
            // No record is shorter than its header; one that claims to be leads nowhere.
            if len < 8 || tail + len > head {
                tail = head;
                break;
            }
            record.resize(len as usize, 0);
            self.copy(tail, &mut record);
            changes.extend(parse(&record));
            tail += len;
        }
        self.position(TAIL).store(tail, Ordering::Release);
    }

    /// Copies bytes that the kernel has finished, from a position that counts from the first byte ever.
    fn copy(&self, from: u64, to: &mut [u8]) {
        let size = RING_BYTES;
        let at = from as usize % size;
        let first = to.len().min(size - at);
        let (front, back) = to.split_at_mut(first);
        // SAFETY: `at + first` and `back.len()` are at most `size`, which is mapped behind the first page; the
        // kernel writes only what lies beyond the head, which these bytes do not.
        unsafe {
            let data = self.start.as_ptr().add(self.page);
            std::ptr::copy_nonoverlapping(data.add(at), front.as_mut_ptr(), front.len());
            std::ptr::copy_nonoverlapping(data, back.as_mut_ptr(), back.len());
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made by `new`, and nothing refers to it any more.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.page + RING_BYTES) };
    }
}

const LOST: u32 = 2;
const COMM: u32 = 3;
const EXIT: u32 = 4;
const FORK: u32 = 7;
const MMAP2: u32 = 10;
/// In the flags of a `COMM`: the name changed because of exec.
const COMM_EXEC: u16 = 1 << 13;

/// A record and its time; `None` for kinds that say nothing about mappings.
fn parse(record: &[u8]) -> Option<(u64, Change)> {
    let word = |at: usize| record.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    let half = |at: usize| record.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let flags = u16::from_le_bytes(*record.get(4..)?.first_chunk()?);
    // The last word is the time, as it was asked for.
    let time = word(record.len().checked_sub(8)?)?;
    let change = match half(0)? {
        MMAP2 => {
            let start = word(16)?;
            let path = record.get(72..record.len() - 8)?;
            let path = path.split(|&byte| byte == 0).next()?;
            let path = if path == b"//anon" { b"" } else { path };
            let kept = path.strip_suffix(maps::DELETED);
            Change::Mapped {
                pid: half(8)?,
                mapping: Mapping {
                    range: start..start.saturating_add(word(24)?),
                    offset: word(32)?,
                    executable: half(64)? & libc::PROT_EXEC as u32 != 0,
                    file: FileId { major: half(40)?, minor: half(44)?, inode: word(48)? },
                    path: PathBuf::from(OsStr::from_bytes(kept.unwrap_or(path))),
                    deleted: kept.is_some(),
                },
            }
        }
        COMM if flags & COMM_EXEC != 0 => Change::Executed { pid: half(8)? },
        // A new thread shares what its process has mapped.
        FORK if half(8)? != half(12)? => Change::Forked { child: half(8)?, parent: half(12)? },
        // A process ends with its first thread as far as this tells; whatever the others still do is known.
        EXIT if half(8)? == half(16)? => Change::Exited { pid: half(8)? },
        LOST => Change::Lost { count: word(16)? },
        _ => return None,
    };
    Some((time, change))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: u32, flags: u16, body: &[u8]) -> Vec<u8> {
        let len = 8 + body.len() as u16 + 8;
        [&kind.to_le_bytes()[..], &flags.to_le_bytes(), &len.to_le_bytes(), body, &77u64.to_le_bytes()]
            .concat()
    }

    #[test]
    fn a_mapping() {
        let mut body = Vec::new();
        body.extend([9u32, 10].map(u32::to_le_bytes).concat());
        body.extend([0x1000u64, 0x2000, 0x3000].map(u64::to_le_bytes).concat());
        body.extend([8u32, 1].map(u32::to_le_bytes).concat());
        body.extend([44u64, 0].map(u64::to_le_bytes).concat());
        body.extend([5u32, 2].map(u32::to_le_bytes).concat());
        body.extend(b"/lib/x\0\0");
        let mapping = Mapping {
            range: 0x1000..0x3000,
            offset: 0x3000,
            executable: true,
            file: FileId { major: 8, minor: 1, inode: 44 },
            path: "/lib/x".into(),
            deleted: false,
        };
        assert_eq!(parse(&record(MMAP2, 0, &body)), Some((77, Change::Mapped { pid: 9, mapping })));
    }

    #[test]
    fn threads_are_no_processes() {
        let task = |ids: [u32; 4]| [ids.map(u32::to_le_bytes).concat(), vec![0; 8]].concat();
        let forked = Change::Forked { parent: 3, child: 5 };
        assert_eq!(parse(&record(FORK, 0, &task([5, 3, 5, 3]))), Some((77, forked)));
        assert_eq!(parse(&record(FORK, 0, &task([5, 5, 6, 5]))), None);
        assert_eq!(parse(&record(EXIT, 0, &task([5, 3, 5, 3]))), Some((77, Change::Exited { pid: 5 })));
        assert_eq!(parse(&record(EXIT, 0, &task([5, 3, 6, 3]))), None);
        let name = [[5u32, 5].map(u32::to_le_bytes).concat(), b"name\0\0\0\0".to_vec()].concat();
        assert_eq!(parse(&record(COMM, COMM_EXEC, &name)), Some((77, Change::Executed { pid: 5 })));
        assert_eq!(parse(&record(COMM, 0, &name)), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            parse(&bytes);
        }
    }
}
