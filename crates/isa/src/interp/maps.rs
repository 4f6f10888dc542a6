//! Simulated maps. Values live in [`Memory`], so programs hold real pointers to them.

use super::{Fault, Memory, RegionKind};
use std::collections::BTreeMap;

const EEXIST: i64 = -17;
const ENOENT: i64 = -2;
const EINVAL: i64 = -22;
const E2BIG: i64 = -7;

/// The kinds of maps that are simulated. There is one CPU, so a per-CPU map has one value per key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapKind {
    /// Values by 32-bit index, all there from the start, zeroed.
    Array,
    /// As [`MapKind::Array`], per CPU.
    PercpuArray,
    /// Values by key.
    Hash,
    /// As [`MapKind::Hash`], per CPU.
    PercpuHash,
    /// A ring buffer; `max_entries` is its size in bytes.
    RingBuf,
    /// Perf event output; every record is kept.
    PerfEventArray,
}

/// What a map is made as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapDef {
    /// The kind.
    pub kind: MapKind,
    /// Bytes of a key; 4 for arrays, 0 for ring buffers.
    pub key_size: usize,
    /// Bytes of a value; 0 for ring buffers.
    pub value_size: usize,
    /// How many entries it holds; for ring buffers, bytes.
    pub max_entries: u32,
    /// Whether its values are constants to the program (`BPF_F_RDONLY_PROG`).
    pub read_only: bool,
}

impl MapDef {
    /// A writable map.
    #[must_use]
    pub fn new(kind: MapKind, key_size: usize, value_size: usize, max_entries: u32) -> Self {
        Self { kind, key_size, value_size, max_entries, read_only: false }
    }

    /// A ring buffer of this many bytes.
    #[must_use]
    pub fn ring(bytes: u32) -> Self {
        Self::new(MapKind::RingBuf, 0, 0, bytes)
    }
}

/// A map.
#[derive(Clone, Debug)]
pub struct Map {
    def: MapDef,
    /// Addresses of the values made so far.
    values: BTreeMap<Vec<u8>, u64>,
    /// Ring buffer records and perf event outputs in the order of their reservation.
    records: Vec<Record>,
    /// Bytes of the ring that user space has taken, ever.
    taken: u64,
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

#[derive(Clone, Debug)]
enum Record {
    Reserved { addr: u64, len: usize },
    Submitted(Vec<u8>),
    Discarded { len: usize },
}

impl Record {
    /// Bytes it takes up in a ring buffer: a header of eight, and the data rounded up to eight.
    fn footprint(&self) -> u64 {
        let len = match self {
            Self::Reserved { len, .. } | Self::Discarded { len } => *len,
            Self::Submitted(bytes) => bytes.len(),
        };
        footprint(len as u64)
    }
}

fn footprint(len: u64) -> u64 {
    len.saturating_add(8).next_multiple_of(8)
}

impl Map {
    /// An empty map.
    #[must_use]
    pub fn new(def: MapDef) -> Self {
        Self { def, values: BTreeMap::new(), records: Vec::new(), taken: 0 }
    }

    /// What it was made as.
    #[must_use]
    pub fn def(&self) -> MapDef {
        self.def
    }

    fn is_array(&self) -> bool {
        matches!(self.def.kind, MapKind::Array | MapKind::PercpuArray)
    }

    fn is_hash(&self) -> bool {
        matches!(self.def.kind, MapKind::Hash | MapKind::PercpuHash)
    }

    fn region_kind(&self) -> RegionKind {
        if self.def.read_only { RegionKind::ReadOnly } else { RegionKind::MapValue }
    }

    /// Whether an array has this index.
    fn in_array(&self, key: &[u8]) -> bool {
        let index = <[u8; 4]>::try_from(key).map(u32::from_le_bytes);
        index.is_ok_and(|index| index < self.def.max_entries)
    }

    /// The address of a key's value; 0 if there is none.
    pub fn lookup(&mut self, key: &[u8], memory: &mut Memory) -> u64 {
        if let Some(addr) = self.values.get(key) {
            return *addr;
        }
        if !self.is_array() || !self.in_array(key) {
            return 0;
        }
        let addr = memory.alloc(self.region_kind(), vec![0; self.def.value_size]);
        self.values.insert(key.to_vec(), addr);
        addr
    }

    /// Sets a key's value, as `bpf_map_update_elem` does. Returns 0 or a negative errno.
    ///
    /// # Errors
    /// [`Fault::BadArgument`] for a value of the wrong size.
    pub fn update(
        &mut self,
        key: &[u8],
        value: &[u8],
        flags: u64,
        memory: &mut Memory,
    ) -> Result<i64, Fault> {
        const NOEXIST: u64 = 1;
        const EXIST: u64 = 2;

        if value.len() != self.def.value_size || key.len() != self.def.key_size {
            return Err(Fault::BadArgument("a key or value of the wrong size"));
        }
        if flags > EXIST || !(self.is_array() || self.is_hash()) {
            return Ok(EINVAL);
        }
        if self.is_array() {
            if !self.in_array(key) {
                return Ok(E2BIG);
            }
            if flags == NOEXIST {
                return Ok(EEXIST);
            }
            let addr = self.lookup(key, memory);
            memory.write(addr, value)?;
            return Ok(0);
        }

        let known = self.values.get(key).copied();
        match (known, flags) {
            (Some(_), NOEXIST) => Ok(EEXIST),
            (None, EXIST) => Ok(ENOENT),
            (None, _) if self.values.len() >= self.def.max_entries as usize => Ok(E2BIG),
            // A per-CPU element is overwritten in place.
            (Some(addr), _) if self.def.kind == MapKind::PercpuHash => {
                memory.write(addr, value)?;
                Ok(0)
            }
            // A plain one is replaced: pointers to the old value keep it.
            _ => {
                let addr = memory.alloc(self.region_kind(), value.to_vec());
                self.values.insert(key.to_vec(), addr);
                Ok(0)
            }
        }
    }

    /// Removes a key, as `bpf_map_delete_elem` does. Returns 0 or a negative errno. Pointers to the value
    /// keep it.
    pub fn delete(&mut self, key: &[u8]) -> i64 {
        match () {
            () if !self.is_hash() => EINVAL,
            () if self.values.remove(key).is_some() => 0,
            () => ENOENT,
        }
    }

    /// The keys and the addresses of their values, in key order (arrays: by index).
    pub fn addresses(&mut self, memory: &mut Memory) -> Vec<(Vec<u8>, u64)> {
        if self.is_array() {
            let keys = (0..self.def.max_entries).map(|index| index.to_le_bytes().to_vec());
            return keys.map(|key| (key.clone(), self.lookup(&key, memory))).collect();
        }
        self.values.iter().map(|(key, addr)| (key.clone(), *addr)).collect()
    }

    /// The keys and values as user space would read them.
    ///
    /// # Errors
    /// A [`Fault`] only if the memory is not the one the map was used with.
    pub fn entries(&mut self, memory: &mut Memory) -> Result<Vec<Entry>, Fault> {
        let len = self.def.value_size;
        let addresses = self.addresses(memory);
        addresses.into_iter().map(|(key, addr)| Ok((key, memory.read(addr, len)?.to_vec()))).collect()
    }

    /// Reserves a ring buffer record. Returns its address; 0 if the ring is full.
    pub(super) fn reserve(&mut self, len: u64, memory: &mut Memory) -> u64 {
        let Some(len) = self.room(len) else {
            return 0;
        };
        let addr = memory.alloc_uninit(RegionKind::Record, len);
        self.records.push(Record::Reserved { addr, len });
        addr
    }

    /// Ends a reservation. Bytes the program never wrote come out as a fixed pattern. `None` if `addr` is no
    /// reserved record of this map.
    pub(super) fn release(&mut self, addr: u64, submit: bool, memory: &mut Memory) -> Option<()> {
        let is_it = |record: &&mut Record| matches!(record, Record::Reserved { addr: a, .. } if *a == addr);
        let record = self.records.iter_mut().find(is_it)?;
        let bytes = memory.free(addr).ok()?;
        *record = if submit { Record::Submitted(bytes) } else { Record::Discarded { len: bytes.len() } };
        Some(())
    }

    /// Appends a whole record. `false` if the ring is full.
    pub(super) fn output(&mut self, bytes: &[u8]) -> bool {
        let fits = self.def.kind == MapKind::PerfEventArray || self.room(bytes.len() as u64).is_some();
        if fits {
            self.records.push(Record::Submitted(bytes.to_vec()));
        }
        fits
    }

    /// The length of a record, if the ring has room for it: one byte of the ring always stays free.
    fn room(&self, len: u64) -> Option<usize> {
        let used = self.used().saturating_add(footprint(len));
        (used < u64::from(self.def.max_entries)).then_some(usize::try_from(len).ok()?)
    }

    /// Bytes in the ring that user space has not taken.
    pub(super) fn used(&self) -> u64 {
        self.records.iter().map(Record::footprint).sum()
    }

    /// Up to where user space has read the ring, in bytes from its first use on.
    pub(super) fn consumer_position(&self) -> u64 {
        self.taken
    }

    /// How many records are reserved and not released.
    pub(super) fn reserved(&self) -> usize {
        self.records.iter().filter(|record| matches!(record, Record::Reserved { .. })).count()
    }

    /// Takes the records as user space would: in order of reservation, up to the first that is still
    /// reserved.
    pub fn take_records(&mut self) -> Vec<Vec<u8>> {
        let open = |record: &Record| matches!(record, Record::Reserved { .. });
        let end = self.records.iter().position(open).unwrap_or(self.records.len());
        let taken = self.records.drain(..end);
        let taken = taken.inspect(|record| self.taken = self.taken.wrapping_add(record.footprint()));
        taken
            .filter_map(|record| match record {
                Record::Submitted(bytes) => Some(bytes),
                Record::Reserved { .. } | Record::Discarded { .. } => None,
            })
            .collect()
    }
}
