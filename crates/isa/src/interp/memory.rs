//! Simulated memory: separate objects, each with bounds, an owner and a record of which bytes were written.
//!
//! An address is an ordinary 64-bit number, so programs may add to it, spill it and compare it. Its upper
//! half says which object it points into, its lower half where, counted from the middle of the object's 4 GiB
//! window; so an address that strays out of its object, either way, is caught and never hits a neighbour.

use super::Fault;
use crate::Size;
use std::fmt;

/// What a memory object is, which decides who may access it how.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RegionKind {
    /// A function's stack frame.
    Stack,
    /// The program's context: read-only.
    Context,
    /// A map's value.
    MapValue,
    /// A map's key as a callback receives it: read-only.
    MapKey,
    /// A ring buffer record.
    Record,
    /// Frozen data of a read-only map.
    ReadOnly,
    /// Kernel memory: the program may read it (as through a BTF pointer), not write it.
    Kernel,
    /// User memory: only helpers reach it.
    User,
}

impl fmt::Display for RegionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stack => "stack frame",
            Self::Context => "context",
            Self::MapValue => "map value",
            Self::MapKey => "map key",
            Self::Record => "ring buffer record",
            Self::ReadOnly => "read-only data",
            Self::Kernel => "kernel memory",
            Self::User => "user memory",
        })
    }
}

impl RegionKind {
    fn readable(self) -> bool {
        self != Self::User
    }

    fn writable(self) -> bool {
        matches!(self, Self::Stack | Self::MapValue | Self::Record)
    }
}

/// Where an object's first byte lies in its window: far from both ends.
const ORIGIN: u64 = 1 << 31;

/// Object numbers start here, so that small numbers and null are never addresses. With the shift below,
/// kernel and user objects both look like odd but harmless numbers to a program.
const FIRST: u64 = 0x10;

/// How a byte that holds nothing looks to whoever reads it all the same.
const POISON: u8 = 0xa5;

#[derive(Clone, Debug)]
struct Region {
    kind: RegionKind,
    bytes: Vec<u8>,
    written: Vec<bool>,
    live: bool,
}

/// The memory of one simulated machine. It outlives runs: maps keep their values here.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    regions: Vec<Region>,
}

impl Memory {
    /// Makes an object that holds these bytes. Returns the address of its first byte.
    pub fn alloc(&mut self, kind: RegionKind, bytes: Vec<u8>) -> u64 {
        let written = vec![true; bytes.len()];
        self.push(Region { kind, bytes, written, live: true })
    }

    /// Makes an object of `len` bytes that hold nothing yet. Returns the address of its first byte.
    pub fn alloc_uninit(&mut self, kind: RegionKind, len: usize) -> u64 {
        self.push(Region { kind, bytes: vec![POISON; len], written: vec![false; len], live: true })
    }

    fn push(&mut self, region: Region) -> u64 {
        let number = self.regions.len() as u64;
        self.regions.push(region);
        (FIRST + number) << 32 | ORIGIN
    }

    /// Ends the life of the object at `addr`; later accesses through any address in it are faults. Its bytes
    /// are returned, those never written as a fixed pattern.
    ///
    /// # Errors
    /// [`Fault::NoObject`] unless `addr` is the first byte of a live object.
    pub fn free(&mut self, addr: u64) -> Result<Vec<u8>, Fault> {
        let gone = Fault::NoObject { addr, len: 0 };
        match self.find(addr) {
            Some((number, 0)) => {
                let region = self.regions.get_mut(number).ok_or(gone)?;
                region.live = false;
                region.written = Vec::new();
                Ok(std::mem::take(&mut region.bytes))
            }
            _ => Err(gone),
        }
    }

    /// Gives a freed object new life: `len` bytes that hold nothing, at the same address. For stack frames,
    /// of which long runs would otherwise leave millions behind.
    pub(super) fn revive(&mut self, addr: u64, len: usize) {
        let number = (addr >> 32).checked_sub(FIRST).and_then(|n| usize::try_from(n).ok());
        if let Some(region) = number.and_then(|n| self.regions.get_mut(n)) {
            region.bytes = vec![POISON; len];
            region.written = vec![false; len];
            region.live = true;
        }
    }

    /// The kind and size of the object that `addr` points into, and the offset of `addr` in it.
    #[must_use]
    pub fn object(&self, addr: u64) -> Option<(RegionKind, usize, i64)> {
        let (number, offset) = self.find(addr)?;
        self.regions.get(number).map(|region| (region.kind, region.bytes.len(), offset))
    }

    /// Reads `len` bytes, whoever may access them.
    ///
    /// # Errors
    /// [`Fault::NoObject`], [`Fault::OutOfBounds`], [`Fault::UninitMemory`].
    pub fn read(&self, addr: u64, len: usize) -> Result<&[u8], Fault> {
        let (region, start) = self.span(addr, len)?;
        let range = start..start + len;
        if let Some(hole) = region.written.get(range.clone()).and_then(|w| w.iter().position(|w| !w)) {
            return Err(Fault::UninitMemory { kind: region.kind, offset: start + hole });
        }
        Ok(region.bytes.get(range).unwrap_or_default())
    }

    /// Writes bytes, whoever may access them.
    ///
    /// # Errors
    /// [`Fault::NoObject`], [`Fault::OutOfBounds`].
    pub fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<(), Fault> {
        let (_, start) = self.span(addr, bytes.len())?;
        let range = start..start + bytes.len();
        let region = self.find(addr).and_then(|(number, _)| self.regions.get_mut(number));
        // The span above has shown that the object exists and holds the range.
        if let Some(region) = region {
            if let Some(to) = region.bytes.get_mut(range.clone()) {
                to.copy_from_slice(bytes);
            }
            if let Some(written) = region.written.get_mut(range) {
                written.fill(true);
            }
        }
        Ok(())
    }

    /// Reads bytes that the program itself may read, as an argument of a helper.
    ///
    /// # Errors
    /// As [`Memory::read`], and [`Fault::Forbidden`].
    pub fn read_arg(&self, addr: u64, len: usize) -> Result<&[u8], Fault> {
        self.permit(addr, "read", RegionKind::readable)?;
        self.read(addr, len)
    }

    /// Writes bytes where the program itself may write, as the result of a helper.
    ///
    /// # Errors
    /// As [`Memory::write`], and [`Fault::Forbidden`].
    pub fn write_arg(&mut self, addr: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.permit(addr, "write", RegionKind::writable)?;
        self.write(addr, bytes)
    }

    /// Whether the program itself may write these bytes.
    ///
    /// # Errors
    /// As [`Memory::write_arg`].
    pub fn check_write(&self, addr: u64, len: usize) -> Result<(), Fault> {
        self.permit(addr, "write", RegionKind::writable)?;
        self.span(addr, len).map(|_| ())
    }

    /// A load by the program, zero-extended.
    ///
    /// # Errors
    /// As [`Memory::read_arg`].
    pub fn load(&self, addr: u64, size: Size) -> Result<u64, Fault> {
        let bytes = self.read_arg(addr, size.bytes())?;
        let mut value = [0; 8];
        value.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Ok(u64::from_le_bytes(value))
    }

    /// A store by the program of the low bytes of `value`.
    ///
    /// # Errors
    /// As [`Memory::write_arg`].
    pub fn store(&mut self, addr: u64, size: Size, value: u64) -> Result<(), Fault> {
        let bytes = value.to_le_bytes();
        self.write_arg(addr, bytes.get(..size.bytes()).unwrap_or(&bytes))
    }

    fn permit(&self, addr: u64, access: &'static str, may: fn(RegionKind) -> bool) -> Result<(), Fault> {
        match self.find(addr).and_then(|(number, _)| self.regions.get(number)) {
            Some(region) if !may(region.kind) => Err(Fault::Forbidden { access, kind: region.kind }),
            _ => Ok(()),
        }
    }

    /// The live object whose window `addr` is in, and the offset from its first byte.
    fn find(&self, addr: u64) -> Option<(usize, i64)> {
        let number = usize::try_from((addr >> 32).checked_sub(FIRST)?).ok()?;
        self.regions.get(number).filter(|region| region.live)?;
        Some((number, (addr & 0xffff_ffff) as i64 - ORIGIN as i64))
    }

    fn span(&self, addr: u64, len: usize) -> Result<(&Region, usize), Fault> {
        let (number, offset) = self.find(addr).ok_or(Fault::NoObject { addr, len })?;
        let region = self.regions.get(number).ok_or(Fault::NoObject { addr, len })?;
        let size = region.bytes.len();
        let start = usize::try_from(offset).ok().filter(|start| len <= size && *start <= size - len);
        match start {
            Some(start) => Ok((region, start)),
            None => Err(Fault::OutOfBounds { kind: region.kind, offset, len, size }),
        }
    }
}
