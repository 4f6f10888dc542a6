//! The two ring buffers, read as one stream.
//!
//! Printed records travel in one ring, records that control the session in another, so that a flood of the first
//! cannot push out the second. A control record tells how far the first ring had been written when it was made,
//! which puts the two in order.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use skep_kernel::bpf::Map;
use skep_kernel::ringbuf::{End, RingBuffer};

use crate::error::{Error, Result};

/// Both rings, as far as the script uses them.
#[derive(Debug)]
pub(crate) struct Reader {
    events: Option<RingBuffer>,
    control: Option<RingBuffer>,
}

/// How long an unfinished record is waited for before what comes from other CPUs goes first. Writing a record takes
/// well below a microsecond, unless the hypervisor takes the CPU away.
const PATIENCE: Duration = Duration::from_millis(20);

impl Reader {
    pub fn new(events: Option<&Map>, control: Option<&Map>) -> Result<Reader> {
        let open = |map: Option<&Map>| {
            map.map(RingBuffer::new).transpose().map_err(Error::kernel("cannot read the ring buffer"))
        };
        Ok(Reader { events: open(events)?, control: open(control)? })
    }

    /// The rings, to be waited for.
    pub fn rings(&self) -> impl Iterator<Item = &RingBuffer> {
        self.events.iter().chain(&self.control)
    }

    /// Whether the kernel shall keep from waking this side up (see [`RingBuffer::set_quiet`]).
    pub fn set_quiet(&mut self, quiet: bool) {
        for ring in self.events.iter_mut().chain(&mut self.control) {
            ring.set_quiet(quiet);
        }
    }

    /// Hands over everything that was there when the call began, in order, and tells how much it was. `each` gets
    /// the record and whether it is a control record.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8], bool) -> Result<()>) -> Result<u64> {
        // Control records are looked at after this: one that was made before an event below `until` is among them.
        let until = self.events.as_ref().map_or(0, RingBuffer::producer_pos);
        let mut records = 0;
        if let Some(control) = &mut self.control {
            let events = &mut self.events;
            let control_until = control.producer_pos();
            records += read(control, control_until, |record| {
                if let (Some(events), Some(position)) = (events.as_mut(), events_position(record)) {
                    // A position cannot lie beyond what was written; a damaged one must not stall the reader.
                    let position = position.min(events.producer_pos());
                    records += read(events, position, |event| each(event, false))?;
                }
                each(record, true)
            })?;
        }
        if let Some(events) = &mut self.events {
            records += read(events, until, |event| each(event, false))?;
        }
        Ok(records)
    }
}

/// Reads up to a position. An unfinished record is waited for a while.
fn read(ring: &mut RingBuffer, until: u64, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<u64> {
    let mut records = 0;
    let mut deadline = None;
    loop {
        let mut failure = None;
        let consumed = ring
            .consume_until(until, |record, _| match each(record) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            })
            .map_err(Error::kernel("cannot read the ring buffer"))?;
        records += consumed.records;
        match (failure, consumed.end) {
            (Some(error), _) => return Err(error),
            (None, End::Busy) => {
                let now = Instant::now();
                if now >= *deadline.get_or_insert(now + PATIENCE) {
                    return Ok(records);
                }
                std::thread::yield_now();
            }
            (None, _) => return Ok(records),
        }
    }
}

/// See [`skep_compile::artifact::EventLayout`].
fn events_position(record: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*record.get(8..)?.first_chunk()?))
}
