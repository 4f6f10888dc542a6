//! Maps: created, read and written as raw bytes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::attr::{self, Plain};
use super::types::{Cmd, MapType};
use super::{address, address_mut, gate, len32, name_field, owned, raw, refused};
use crate::{Error, Result, perf};

/// Flags of `BPF_MAP_CREATE` (`BPF_F_*`).
#[allow(missing_docs, reason = "each constant is the kernel's own name without its prefix")]
pub mod map_flags {
    pub const NO_PREALLOC: u32 = 1 << 0;
    pub const NO_COMMON_LRU: u32 = 1 << 1;
    pub const NUMA_NODE: u32 = 1 << 2;
    pub const RDONLY: u32 = 1 << 3;
    pub const WRONLY: u32 = 1 << 4;
    pub const STACK_BUILD_ID: u32 = 1 << 5;
    pub const ZERO_SEED: u32 = 1 << 6;
    pub const RDONLY_PROG: u32 = 1 << 7;
    pub const WRONLY_PROG: u32 = 1 << 8;
    pub const CLONE: u32 = 1 << 9;
    pub const MMAPABLE: u32 = 1 << 10;
    pub const PRESERVE_ELEMS: u32 = 1 << 11;
    pub const INNER_MAP: u32 = 1 << 12;
    pub const LINK: u32 = 1 << 13;
}

/// What to create.
#[derive(Clone, Copy, Debug)]
pub struct MapSpec<'a> {
    /// The type.
    pub kind: MapType,
    /// At most 15 bytes are kept.
    pub name: &'a str,
    /// Bytes of a key; 0 for ring buffers, queues and stacks.
    pub key_size: u32,
    /// Bytes of a value (of one CPU's value in per-CPU maps); 0 for ring buffers.
    pub value_size: u32,
    /// Entries; for a ring buffer its bytes, a power of two and a multiple of the page size.
    pub max_entries: u32,
    /// [`map_flags`].
    pub flags: u32,
    /// For maps of maps: a map of the same shape as the values.
    pub inner_map: Option<BorrowedFd<'a>>,
    /// Memory node, with the flag set by itself.
    pub numa_node: Option<u32>,
    /// Types of key and value.
    pub btf: Option<MapBtf<'a>>,
    /// For struct_ops maps: the type id of the value in the kernel's BTF; else 0.
    pub kernel_value_type_id: u32,
    /// Per-type extra, e.g. the number of hash functions of a bloom filter.
    pub extra: u64,
}

/// The types of a map's key and value inside a loaded BTF object.
#[derive(Clone, Copy, Debug)]
pub struct MapBtf<'a> {
    /// The object.
    pub fd: BorrowedFd<'a>,
    /// Type id of the key, or 0.
    pub key_type_id: u32,
    /// Type id of the value.
    pub value_type_id: u32,
}

impl<'a> MapSpec<'a> {
    /// A plain map.
    pub fn new(kind: MapType, name: &'a str, key_size: u32, value_size: u32, max_entries: u32) -> Self {
        Self {
            kind,
            name,
            key_size,
            value_size,
            max_entries,
            flags: 0,
            inner_map: None,
            numa_node: None,
            btf: None,
            kernel_value_type_id: 0,
            extra: 0,
        }
    }

    /// A ring buffer of `bytes` (a power of two and a multiple of the page size).
    pub fn ring_buffer(name: &'a str, bytes: u32) -> Self {
        Self::new(MapType::RINGBUF, name, 0, 0, bytes)
    }

    /// The same with `flags` set.
    #[must_use]
    pub fn flags(mut self, flags: u32) -> Self {
        self.flags |= flags;
        self
    }
}

/// Creates a map.
///
/// # Errors
///
/// Those of the kernel. A name is left out by itself where the kernel is too old for one.
pub fn map_create(spec: &MapSpec<'_>) -> Result<Map> {
    let mut attr = attr::MapCreate {
        map_type: spec.kind.0,
        key_size: spec.key_size,
        value_size: spec.value_size,
        max_entries: spec.max_entries,
        map_flags: spec.flags | if spec.numa_node.is_some() { map_flags::NUMA_NODE } else { 0 },
        inner_map_fd: spec.inner_map.map_or(0, raw),
        numa_node: spec.numa_node.unwrap_or(0),
        map_name: name_field(spec.name),
        btf_fd: spec.btf.map_or(0, |b| raw(b.fd)),
        btf_key_type_id: spec.btf.map_or(0, |b| b.key_type_id),
        btf_value_type_id: spec.btf.map_or(0, |b| b.value_type_id),
        btf_vmlinux_value_type_id: spec.kernel_value_type_id,
        map_extra: spec.extra,
        ..Plain::zeroed()
    };
    // SAFETY: MAP_CREATE holds no address here, and returns a new descriptor.
    let fd = unsafe { gate(Cmd::MAP_CREATE, &mut attr).map(|ret| owned(ret)) }
        .map_err(|errno| refused(Cmd::MAP_CREATE, errno))?;
    Map::with_shape(fd, spec.kind, spec.key_size, spec.value_size, spec.max_entries)
}

/// Whether an update may create or replace (`BPF_ANY`, `BPF_NOEXIST`, `BPF_EXIST`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UpdateFlag {
    /// Create or replace.
    #[default]
    Any,
    /// Create only; an existing key is `EEXIST`.
    NoExist,
    /// Replace only; a missing key is `ENOENT`.
    Exist,
}

/// A map and the sizes of its keys and values.
///
/// The kernel reads and writes as many bytes as the map's own sizes say, whatever the caller's buffer holds; so
/// the sizes live here and every buffer is checked against them.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    kind: MapType,
    key_size: usize,
    value_len: usize,
    max_entries: u32,
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Map> for OwnedFd {
    fn from(map: Map) -> Self {
        map.fd
    }
}

impl Map {
    /// A map that someone else made; its shape is asked from the kernel.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        let info = super::map_info(fd.as_fd())?;
        Self::with_shape(fd, info.kind, info.key_size, info.value_size, info.max_entries)
    }

    fn with_shape(
        fd: OwnedFd,
        kind: MapType,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
    ) -> Result<Self> {
        let value_size = value_size as usize;
        let value_len = if kind.is_per_cpu() {
            value_size.next_multiple_of(8) * perf::possible_cpu_count()?
        } else {
            value_size
        };
        Ok(Self { fd, kind, key_size: key_size as usize, value_len, max_entries })
    }

    /// The map's type.
    pub fn kind(&self) -> MapType {
        self.kind
    }

    /// Bytes of a key.
    pub fn key_size(&self) -> usize {
        self.key_size
    }

    /// Bytes that a lookup writes: the value, or for per-CPU maps each possible CPU's value rounded up to 8 bytes.
    pub fn value_len(&self) -> usize {
        self.value_len
    }

    /// The most entries the map may hold.
    pub fn max_entries(&self) -> u32 {
        self.max_entries
    }

    /// Reads the value of `key` into `value`; false if there is no such key.
    pub fn lookup_into(&self, key: &[u8], value: &mut [u8]) -> Result<bool> {
        self.read_elem(Cmd::MAP_LOOKUP_ELEM, key, value)
    }

    /// The value of `key`; `None` if there is no such key.
    pub fn lookup(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut value = vec![0; self.value_len];
        Ok(self.lookup_into(key, &mut value)?.then_some(value))
    }

    /// Takes the value of `key` out of the map; false if there is no such key. Queues and stacks take an empty key.
    pub fn lookup_and_delete_into(&self, key: &[u8], value: &mut [u8]) -> Result<bool> {
        self.read_elem(Cmd::MAP_LOOKUP_AND_DELETE_ELEM, key, value)
    }

    /// Writes a value.
    pub fn update(&self, key: &[u8], value: &[u8], flag: UpdateFlag) -> Result<()> {
        self.check("key", key.len(), self.key_size)?;
        self.check("value", value.len(), self.value_len)?;
        let mut attr = attr::MapElem {
            key: address(key),
            value: address(value),
            flags: match flag {
                UpdateFlag::Any => 0,
                UpdateFlag::NoExist => 1,
                UpdateFlag::Exist => 2,
            },
            ..self.elem()
        };
        // SAFETY: key and value have the sizes of this map, as checked above.
        unsafe { gate(Cmd::MAP_UPDATE_ELEM, &mut attr) }.map_err(|e| refused(Cmd::MAP_UPDATE_ELEM, e))?;
        Ok(())
    }

    /// Writes values of an array one after the other, from the one with this index on. The array must be one that can
    /// be mapped, with values of a multiple of 8 bytes; programs may see some of the values before the others.
    ///
    /// # Errors
    ///
    /// The array is too short, or cannot be mapped.
    pub fn write_values(&self, first: u32, values: &[u8]) -> Result<()> {
        let from = first as usize * self.value_len;
        let end = from + values.len();
        if end > self.max_entries as usize * self.value_len || !self.value_len.is_multiple_of(8) {
            return Err(Error::Invalid("the values do not fit the array".into()));
        }
        if values.is_empty() {
            return Ok(());
        }
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, which replaces none.
        let start = unsafe { mmap(std::ptr::null_mut(), end, prot, MapFlags::SHARED, &self.fd, 0) }
            .map_err(|errno| Error::call("mmap", errno))?;
        // SAFETY: the mapping holds `end` bytes, and nothing else in this process knows of it.
        unsafe {
            std::ptr::copy_nonoverlapping(values.as_ptr(), start.cast::<u8>().add(from), values.len());
            let _ = munmap(start, end);
        }
        Ok(())
    }

    /// Deletes `key`; false if there was none.
    pub fn delete(&self, key: &[u8]) -> Result<bool> {
        self.check("key", key.len(), self.key_size)?;
        let mut attr = attr::MapElem { key: address(key), ..self.elem() };
        // SAFETY: the key has the size of this map's keys.
        missing_is_false(Cmd::MAP_DELETE_ELEM, unsafe { gate(Cmd::MAP_DELETE_ELEM, &mut attr) })
    }

    /// Writes the key after `key` (the first one for `None`) into `next`; false at the end.
    pub fn next_key_into(&self, key: Option<&[u8]>, next: &mut [u8]) -> Result<bool> {
        if let Some(key) = key {
            self.check("key", key.len(), self.key_size)?;
        }
        self.check("key", next.len(), self.key_size)?;
        let mut attr = attr::MapElem { key: key.map_or(0, address), value: address_mut(next), ..self.elem() };
        // SAFETY: both keys have the size of this map's keys; no key at all means the first.
        missing_is_false(Cmd::MAP_GET_NEXT_KEY, unsafe { gate(Cmd::MAP_GET_NEXT_KEY, &mut attr) })
    }

    /// All keys that a walk meets; a map that changes meanwhile may show keys twice or never.
    ///
    /// The walk is bounded: a key deleted under it makes the kernel start over, so it gives up after twice the
    /// map's capacity.
    pub fn keys(&self) -> Result<Vec<Vec<u8>>> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let bound = (self.max_entries as usize).saturating_mul(2);
        let mut next = vec![0; self.key_size];
        while keys.len() < bound && self.next_key_into(keys.last().map(Vec::as_slice), &mut next)? {
            keys.push(next.clone());
        }
        Ok(keys)
    }

    /// Reads up to `page.capacity` entries at once, from where the page's last call ended (Linux 5.6).
    ///
    /// Returns how many entries `page` now holds, and whether more follow.
    ///
    /// # Errors
    ///
    /// `ENOSPC`: one hash bucket holds more than the page; take a larger one.
    pub fn lookup_batch(&self, page: &mut BatchPage) -> Result<(usize, bool)> {
        self.batch(Cmd::MAP_LOOKUP_BATCH, page)
    }

    /// The same as [`Map::lookup_batch`], and the entries are gone from the map afterwards.
    pub fn lookup_and_delete_batch(&self, page: &mut BatchPage) -> Result<(usize, bool)> {
        self.batch(Cmd::MAP_LOOKUP_AND_DELETE_BATCH, page)
    }

    /// Makes the map read-only for all system calls, forever.
    pub fn freeze(&self) -> Result<()> {
        let mut attr = self.elem();
        // SAFETY: MAP_FREEZE takes a descriptor only.
        unsafe { gate(Cmd::MAP_FREEZE, &mut attr) }.map_err(|e| refused(Cmd::MAP_FREEZE, e))?;
        Ok(())
    }

    fn elem(&self) -> attr::MapElem {
        attr::MapElem { map_fd: raw(self.fd.as_fd()), ..Plain::zeroed() }
    }

    fn read_elem(&self, cmd: Cmd, key: &[u8], value: &mut [u8]) -> Result<bool> {
        self.check("key", key.len(), self.key_size)?;
        self.check("value", value.len(), self.value_len)?;
        let mut attr = attr::MapElem { key: address(key), value: address_mut(value), ..self.elem() };
        // SAFETY: key and value have the sizes of this map, as checked above.
        missing_is_false(cmd, unsafe { gate(cmd, &mut attr) })
    }

    fn batch(&self, cmd: Cmd, page: &mut BatchPage) -> Result<(usize, bool)> {
        self.check("key", page.key_size, self.key_size)?;
        self.check("value", page.value_len, self.value_len)?;
        // The kernel keeps its place in a buffer of at least four bytes, and of at least a key for some types.
        let place = self.key_size.max(4);
        let mut out = vec![0u8; place];
        let mut attr = attr::MapBatch {
            in_batch: page.place.as_deref().map_or(0, address),
            out_batch: address_mut(&mut out),
            keys: address_mut(&mut page.keys),
            values: address_mut(&mut page.values),
            count: page.capacity,
            map_fd: raw(self.fd.as_fd()),
            ..Plain::zeroed()
        };
        // SAFETY: the page's buffers hold `capacity` keys and values of this map's sizes, and both places are as
        // long as the kernel may read or write.
        let result = unsafe { gate(cmd, &mut attr) };
        let count = attr.count.min(page.capacity) as usize;
        page.place = Some(out);
        match result {
            Ok(_) => Ok((count, true)),
            // The end; what is left over has been copied.
            Err(e) if e.0 == libc::ENOENT => Ok((count, false)),
            Err(e) => Err(refused(cmd, e)),
        }
    }

    fn check(&self, what: &str, got: usize, want: usize) -> Result<()> {
        if got == want {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "a {what} of {got} bytes for a {} map whose {what} has {want}",
            self.kind
        )))
    }
}

/// The buffers of a batched walk over a map, and the place the walk has reached.
#[derive(Debug)]
pub struct BatchPage {
    keys: Vec<u8>,
    values: Vec<u8>,
    key_size: usize,
    value_len: usize,
    capacity: u32,
    place: Option<Vec<u8>>,
}

impl BatchPage {
    /// Room for `capacity` entries of `map`; the walk begins at the start.
    pub fn new(map: &Map, capacity: u32) -> Result<Self> {
        let room = |size: usize| {
            let bytes = size.saturating_mul(capacity as usize);
            len32(bytes).map(|_| vec![0; bytes])
        };
        Ok(Self {
            keys: room(map.key_size)?,
            values: room(map.value_len)?,
            key_size: map.key_size,
            value_len: map.value_len,
            capacity,
            place: None,
        })
    }

    /// The first `count` entries as key and value.
    pub fn entries(&self, count: usize) -> impl Iterator<Item = (&[u8], &[u8])> {
        let keys = self.keys.chunks_exact(self.key_size.max(1));
        let values = self.values.chunks_exact(self.value_len.max(1));
        keys.zip(values).take(count)
    }
}

fn missing_is_false(cmd: Cmd, result: Result<i64, crate::Errno>) -> Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(errno) if errno.0 == libc::ENOENT => Ok(false),
        Err(errno) => Err(refused(cmd, errno)),
    }
}
