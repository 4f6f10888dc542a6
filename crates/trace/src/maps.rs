//! The script's maps, read from the kernel: entries reduced over the CPUs, ordered, cut and divided as `print`
//! wants them.

use skep_compile::artifact::{MapRole, MapSpec, Storage};
use skep_kernel::bpf::{BatchPage, Map, UpdateFlag};
use skep_kernel::{Errno, Result};
use skep_lang::ty::{Agg, Ty, TyKind, Types};

use crate::aggregate::{Number, Reduced, reduce};
use crate::decode::{Schema, Value};

/// A map of the script as it was at one moment.
#[derive(Debug)]
pub struct MapView<'a> {
    /// With its `@`.
    pub name: &'a str,
    /// What keys and values mean.
    pub schema: Schema<'a>,
    /// [`Ty::VOID`] for a map without keys.
    pub key: Ty,
    /// A plain type or an aggregation.
    pub value: Ty,
    /// In the order in which they are printed.
    pub entries: Vec<Entry>,
}

/// One entry of a map.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As the kernel keeps it.
    pub key: Vec<u8>,
    /// Over all CPUs.
    pub value: EntryValue,
}

/// The value of an entry.
#[derive(Clone, Debug)]
pub enum EntryValue {
    /// As the kernel keeps it.
    Plain(Vec<u8>),
    /// What an aggregation amounts to, or an integer that was computed of what the kernel keeps.
    Reduced(Reduced),
}

impl<'a> MapView<'a> {
    /// Whether the map has keys.
    pub fn is_keyed(&self) -> bool {
        self.key != Ty::VOID
    }

    /// The aggregation, if it is an aggregating map.
    pub fn agg(&self) -> Option<Agg> {
        agg(self.schema.types(), self.value)
    }

    /// The key of an entry.
    pub fn key<'s>(&'s self, entry: &'s Entry) -> Value<'s>
    where
        'a: 's,
    {
        self.schema.value(self.key, &entry.key)
    }

    /// The value of an entry that is no aggregation.
    pub fn plain<'s>(&'s self, bytes: &'s [u8]) -> Value<'s>
    where
        'a: 's,
    {
        self.schema.value(self.value, bytes)
    }

    /// Brings the entries into the order in which they are printed: by value where values are numbers, the least
    /// first, and by key where they are not or are equal. Of many entries the greatest `top` stay (0: all); numbers
    /// are divided by `div`.
    pub fn arrange(&mut self, top: u32, div: u32) {
        let mut entries = std::mem::take(&mut self.entries);
        self.fit_series(&mut entries);
        let top = if matches!(self.agg(), Some(Agg::Tseries(_))) { 0 } else { top };
        let by_number =
            self.agg().is_some() || matches!(self.schema.types().kind(self.value), TyKind::Int { .. });
        entries.sort_by(|a, b| {
            let by_value =
                if by_number { self.rank(a).cmp(&self.rank(b)) } else { std::cmp::Ordering::Equal };
            by_value.then_with(|| self.key(a).order(&self.key(b)))
        });
        if top > 0 {
            entries.drain(..entries.len().saturating_sub(top as usize));
        }
        if div > 1 {
            for entry in &mut entries {
                let divided = match std::mem::replace(&mut entry.value, EntryValue::Plain(Vec::new())) {
                    EntryValue::Reduced(reduced) => EntryValue::Reduced(reduced.divided(div)),
                    EntryValue::Plain(bytes) => match self.plain(&bytes) {
                        Value::Int(value) => number(Number::Signed(value).divided(div)),
                        Value::Uint(value) => number(Number::Unsigned(value).divided(div)),
                        _ => EntryValue::Plain(bytes),
                    },
                };
                entry.value = divided;
            }
        }
        self.entries = entries;
    }

    /// Lets all series of the map end with the same interval.
    fn fit_series(&self, entries: &mut [Entry]) {
        let points = |entry: &Entry| match &entry.value {
            EntryValue::Reduced(Reduced::Series(points)) => points.last(),
            _ => None,
        };
        let Some(last) = entries.iter().filter_map(points).max() else { return };
        for entry in entries {
            if let EntryValue::Reduced(Reduced::Series(points)) = &mut entry.value {
                points.fit(last);
            }
        }
    }

    fn rank(&self, entry: &Entry) -> i128 {
        match &entry.value {
            EntryValue::Reduced(reduced) => reduced.rank(),
            EntryValue::Plain(bytes) => match self.plain(bytes) {
                Value::Int(value) => value.into(),
                Value::Uint(value) => value.into(),
                _ => 0,
            },
        }
    }
}

fn agg(types: &Types, value: Ty) -> Option<Agg> {
    match types.kind(value) {
        TyKind::Agg(agg) => Some(*agg),
        _ => None,
    }
}

/// A map of the script in the kernel.
pub(crate) struct UserMap<'a> {
    spec: &'a MapSpec,
    map: &'a Map,
    key: Ty,
    value: Ty,
}

impl<'a> UserMap<'a> {
    /// `None` for the maps that are not the script's.
    pub fn new(spec: &'a MapSpec, map: &'a Map) -> Option<UserMap<'a>> {
        match spec.role {
            MapRole::User { key, value } => Some(UserMap { spec, map, key, value }),
            _ => None,
        }
    }

    /// Reads all entries, unordered. A map without keys always has its one entry: `unassigned` tells whether it
    /// counts before anything was assigned.
    pub fn read(&self, schema: Schema<'a>, unassigned: bool) -> Result<MapView<'a>> {
        let mut entries = Vec::new();
        if self.is_array() {
            let key = vec![0; self.map.key_size()];
            if let Some(value) = self.map.lookup(&key)?
                && (unassigned && !self.is_drawn(schema) || self.is_assigned(&value))
            {
                entries.push(Entry { key, value: self.reduced(schema, &value) });
            }
        } else {
            self.each(|key, value| {
                entries.push(Entry { key: key.to_vec(), value: self.reduced(schema, value) });
            })?;
        }
        Ok(MapView { name: &self.spec.name, schema, key: self.key, value: self.value, entries })
    }

    /// Whether its value is drawn, over several lines: there is nothing to draw before anything was assigned.
    fn is_drawn(&self, schema: Schema<'_>) -> bool {
        let agg = agg(schema.types(), self.value);
        matches!(agg, Some(Agg::Hist { .. } | Agg::Lhist { .. } | Agg::Tseries(_)))
    }

    /// Reads one entry of an aggregation. A key that is not there gives what no samples amount to.
    pub fn entry(&self, schema: Schema<'a>, key: &[u8]) -> Result<Reduced> {
        let mut wanted = vec![0; self.map.key_size()];
        for (to, from) in wanted.iter_mut().zip(key) {
            *to = *from;
        }
        let value = self.map.lookup(&wanted)?.unwrap_or_default();
        Ok(match self.reduced(schema, &value) {
            EntryValue::Reduced(reduced) => reduced,
            EntryValue::Plain(_) => Reduced::Number(Number::Unsigned(0)),
        })
    }

    /// Whether the value of a map without keys was assigned, on any CPU.
    fn is_assigned(&self, value: &[u8]) -> bool {
        let Some(mark) = self.spec.mark else { return true };
        let is_set =
            |cpu: &[u8]| cpu.get(mark as usize..).is_some_and(|mark| mark.iter().any(|&byte| byte != 0));
        value.chunks(self.stride()).any(is_set)
    }

    /// How far apart the CPUs' values lie.
    fn stride(&self) -> usize {
        (self.spec.value_size as usize).next_multiple_of(8).max(8)
    }

    /// Removes all entries.
    pub fn clear(&self) -> Result<()> {
        if self.is_array() {
            return self.map.update(
                &vec![0; self.map.key_size()],
                &vec![0; self.map.value_len()],
                UpdateFlag::Any,
            );
        }
        for key in self.map.keys()? {
            // A key that a program removed meanwhile is as good as removed here.
            self.map.delete(&key)?;
        }
        Ok(())
    }

    /// Sets all values to zero. What was never assigned stays so.
    pub fn zero(&self) -> Result<()> {
        if let Some(mark) = self.spec.mark {
            let key = vec![0; self.map.key_size()];
            let mut value = self.map.lookup(&key)?.unwrap_or_default();
            for cpu in value.chunks_mut(self.stride()) {
                cpu.iter_mut().take(mark as usize).for_each(|byte| *byte = 0);
            }
            return self.map.update(&key, &value, UpdateFlag::Any);
        }
        let zero = vec![0; self.map.value_len()];
        for key in self.map.keys()? {
            match self.map.update(&key, &zero, UpdateFlag::Exist) {
                Err(error) if error.errno() == Some(Errno::ENOENT) => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn is_array(&self) -> bool {
        matches!(self.spec.storage, Storage::Array | Storage::PerCpuArray)
    }

    fn reduced<'s>(&self, schema: Schema<'s>, value: &'s [u8]) -> EntryValue
    where
        'a: 's,
    {
        let per_cpu =
            matches!(self.spec.storage, Storage::PerCpuHash | Storage::PerCpuLruHash | Storage::PerCpuArray);
        let size = self.spec.value_size as usize;
        let stride = if per_cpu { self.stride() } else { value.len().max(1) };
        let cpus = value.chunks(stride).map(|cpu| cpu.get(..size).unwrap_or(cpu));
        match agg(schema.types(), self.value) {
            Some(agg) => EntryValue::Reduced(reduce(agg, cpus)),
            None if !per_cpu => EntryValue::Plain(value.to_vec()),
            None => plain_over_cpus(schema, self.value, cpus),
        }
    }

    /// Calls `f` for each entry.
    fn each(&self, mut f: impl FnMut(&[u8], &[u8])) -> Result<()> {
        let entry_size = self.map.key_size() + self.map.value_len();
        let mut capacity = (BATCH_BYTES / entry_size.max(1)).clamp(16, 4096) as u32;
        // A hash bucket that does not fit the page makes the kernel refuse; then the page grows.
        while capacity <= self.map.max_entries().saturating_mul(2).max(16) {
            let mut page = BatchPage::new(self.map, capacity)?;
            let mut first = true;
            loop {
                match self.map.lookup_batch(&mut page) {
                    Ok((count, more)) => {
                        page.entries(count).for_each(|(key, value)| f(key, value));
                        if !more {
                            return Ok(());
                        }
                        first = false;
                    }
                    Err(error) if error.errno() == Some(Errno::ENOSPC) && first => break,
                    // Kernels before 5.6, and a bucket that outgrew the page on the way.
                    Err(error) if first && is_unsupported(&error) => return self.each_by_key(f),
                    Err(error) => return Err(error),
                }
            }
            capacity = capacity.saturating_mul(4);
        }
        self.each_by_key(f)
    }

    fn each_by_key(&self, mut f: impl FnMut(&[u8], &[u8])) -> Result<()> {
        let mut value = vec![0; self.map.value_len()];
        for key in self.map.keys()? {
            if self.map.lookup_into(&key, &mut value)? {
                f(&key, &value);
            }
        }
        Ok(())
    }
}

/// How many bytes one batched read asks for.
const BATCH_BYTES: usize = 1 << 20;

fn is_unsupported(error: &skep_kernel::Error) -> bool {
    // EINVAL: the command is unknown; ENOTSUPP: the map type has no batches.
    matches!(error.errno(), Some(Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOTSUPP))
}

fn number(number: Number) -> EntryValue {
    EntryValue::Reduced(Reduced::Number(number))
}

/// A plain value of which each CPU has its own: integers add up, of others the first that is not zero counts.
fn plain_over_cpus<'a>(schema: Schema<'a>, ty: Ty, cpus: impl Iterator<Item = &'a [u8]>) -> EntryValue {
    let cpus: Vec<&[u8]> = cpus.collect();
    match schema.types().as_int(ty) {
        Some((_, signed)) if ty != Ty::BOOL => {
            let sum =
                cpus.iter().filter_map(|cpu| schema.value(ty, cpu).as_bits()).fold(0u64, u64::wrapping_add);
            number(if signed { Number::Signed(sum.cast_signed()) } else { Number::Unsigned(sum) })
        }
        _ => {
            let shown = cpus.iter().find(|cpu| cpu.iter().any(|&byte| byte != 0)).or(cpus.first());
            EntryValue::Plain(shown.map(|cpu| cpu.to_vec()).unwrap_or_default())
        }
    }
}
