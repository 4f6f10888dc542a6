//! The tables by which programs unwind stacks (`dw_ustack`), kept up to date with what processes map.
//!
//! Programs find them in three maps, whose form is [`skep_compile::unwind`]. The rows of a file are put there once,
//! whoever has mapped it. Processes that were asked for are looked at, and from then on followed, with the children
//! that they make: what they map later becomes known as it happens.

mod encode;

use std::fs::File;
use std::ops::Range as Span;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use rustc_hash::FxHashMap;
use skep_compile::artifact::{Artifact, MapRole};
use skep_compile::unwind::{BANKS, RANGE_KEY, ROW, RULES, Range, Rule, range_key};
use skep_kernel::bpf::{self, Map, MapSpec, MapType, UpdateFlag, map_flags};
use skep_kernel::map_watch::Change;
use skep_kernel::maps::{self, FileId, Mapping};
use skep_symbols::elf::{DebugPath, Elf};
use skep_symbols::unwind::Table;

use crate::error::{Error, Result};

/// Fills the maps.
pub(crate) struct Unwind {
    ranges: Map,
    banks: Map,
    rules: Map,
    known_rules: FxHashMap<[u8; Rule::SIZE as usize], u32>,
    /// Where the rows of each file are; `None` for one that has none. The code that the kernel maps has no file.
    files: FxHashMap<FileId, Option<Located>>,
    bank: Option<Bank>,
    /// How many there are.
    made: u32,
    /// What each process has mapped that is followed.
    processes: FxHashMap<u32, Vec<Range>>,
    debug: DebugPath,
}

/// The rows of a file in the maps.
struct Located {
    elf: Elf,
    /// Address of the first one, as the file is linked.
    address: u64,
    bank: u32,
    first: u32,
    rows: u32,
}

/// The array that rows are put into now.
struct Bank {
    map: Map,
    number: u32,
    used: u32,
}

/// Rows of an array, unless one file needs more: those of a dozen ordinary libraries, in 2 MiB.
const BANK_ROWS: u32 = 1 << 18;

/// An array of rows. All have the same shape but for their number of rows.
pub(crate) fn bank(rows: u32) -> skep_kernel::Result<Map> {
    let spec = MapSpec::new(MapType::ARRAY, "unwind_bank", 4, ROW, rows.max(1));
    bpf::map_create(&spec.flags(map_flags::INNER_MAP | map_flags::MMAPABLE))
}

impl Unwind {
    /// Whether a script needs it.
    pub fn is_needed(artifact: &Artifact) -> bool {
        artifact.maps.iter().any(|map| map.role == MapRole::UnwindRanges)
    }

    /// For a script whose maps are there, and the processes that it is about.
    ///
    /// # Errors
    ///
    /// A process is gone; the kernel refuses memory.
    pub fn new(
        artifact: &Artifact,
        maps: &[Map],
        debug: DebugPath,
        pids: impl Iterator<Item = i32>,
    ) -> Result<Option<Unwind>> {
        let map = |role| -> Result<Option<Map>> {
            let index = artifact.maps.iter().position(|map| map.role == role);
            let Some(map) = index.and_then(|index| maps.get(index)) else { return Ok(None) };
            let own = map.as_fd().try_clone_to_owned()?;
            Map::from_fd(own).map(Some).map_err(Error::kernel("cannot use the tables for unwinding"))
        };
        let roles = [MapRole::UnwindRanges, MapRole::UnwindRows, MapRole::UnwindRules];
        let [Some(ranges), Some(banks), Some(rules)] = [map(roles[0])?, map(roles[1])?, map(roles[2])?]
        else {
            return Ok(None);
        };
        let mut unwind = Unwind {
            ranges,
            banks,
            rules,
            // Nothing is known of code without a rule, which is what an array of zeroes says.
            known_rules: FxHashMap::from_iter([([0; Rule::SIZE as usize], 0)]),
            files: FxHashMap::default(),
            bank: None,
            made: 0,
            processes: FxHashMap::default(),
            debug,
        };
        for pid in pids {
            unwind
                .look_at(pid.unsigned_abs())
                .map_err(Error::kernel(format!("cannot read what the process {pid} has mapped")))?;
        }
        Ok(Some(unwind))
    }

    /// Takes what a process has mapped now, and follows it.
    ///
    /// # Errors
    ///
    /// It is gone, or nobody may look at it.
    pub fn look_at(&mut self, pid: u32) -> skep_kernel::Result<()> {
        let mappings = maps::of(pid)?;
        let code = mappings.iter().filter(|mapping| mapping.executable);
        let ranges: Vec<Range> = code.map(|mapping| self.range(pid, mapping)).collect();
        self.replace(pid, ranges);
        Ok(())
    }

    /// Learns of something that a process did.
    pub fn learn(&mut self, change: &Change) {
        match change {
            Change::Mapped { pid, mapping } if mapping.executable && self.processes.contains_key(pid) => {
                let range = self.range(*pid, mapping);
                self.add(*pid, range);
            }
            Change::Executed { pid } if self.processes.contains_key(pid) => self.replace(*pid, Vec::new()),
            Change::Forked { parent, child } => {
                if let Some(ranges) = self.processes.get(parent).cloned() {
                    self.replace(*child, ranges);
                }
            }
            Change::Exited { pid } => {
                for range in self.processes.remove(pid).into_iter().flatten() {
                    self.forget(*pid, range);
                }
                self.tolerate(self.ranges.delete(&range_key(*pid, 0, 0)).map(drop));
            }
            Change::Lost { .. } => {
                for pid in self.processes.keys().copied().collect::<Vec<_>>() {
                    // One that is gone has nothing mapped; its end was among what was lost.
                    if self.look_at(pid).is_err() {
                        self.learn(&Change::Exited { pid });
                    }
                }
            }
            Change::Mapped { .. } | Change::Executed { .. } => {}
        }
    }

    /// Lets a process have these ranges and no others.
    fn replace(&mut self, pid: u32, ranges: Vec<Range>) {
        let old = self.processes.remove(&pid).unwrap_or_default();
        for range in old.iter().filter(|range| !ranges.contains(range)) {
            self.forget(pid, *range);
        }
        // By this programs know that it is followed.
        self.put(pid, 0, 0, Range::default());
        for range in ranges.iter().filter(|range| !old.contains(range)) {
            self.note(pid, *range);
        }
        self.processes.insert(pid, ranges);
    }

    /// Lets a process have a further range, which hides what was there before.
    fn add(&mut self, pid: u32, range: Range) {
        let old = self.processes.remove(&pid).unwrap_or_default();
        if old.contains(&range) {
            self.processes.insert(pid, old);
            return;
        }
        let mut kept = Vec::with_capacity(old.len() + 1);
        for other in old {
            if other.end <= range.start || range.end <= other.start {
                kept.push(other);
                continue;
            }
            self.forget(pid, other);
            let below = Range { end: range.start.min(other.end), ..other };
            let above = Range { start: range.end.max(other.start), ..other };
            for rest in [below, above].into_iter().filter(|rest| rest.start < rest.end) {
                self.note(pid, rest);
                kept.push(rest);
            }
        }
        self.note(pid, range);
        kept.push(range);
        self.processes.insert(pid, kept);
    }

    fn note(&mut self, pid: u32, range: Range) {
        for (address, bits) in prefixes(range.start..range.end) {
            self.put(pid, address, bits, range);
        }
    }

    fn forget(&mut self, pid: u32, range: Range) {
        for (address, bits) in prefixes(range.start..range.end) {
            self.tolerate(self.ranges.delete(&range_key(pid, address, bits)).map(drop));
        }
    }

    fn put(&mut self, pid: u32, address: u64, bits: u32, range: Range) {
        let key: [u8; RANGE_KEY as usize] = range_key(pid, address, bits);
        self.tolerate(self.ranges.update(&key, &range.encode(), UpdateFlag::Any));
    }

    /// Without an entry stacks end early, which is no reason to end.
    fn tolerate(&self, result: skep_kernel::Result<()>) {
        if let Err(error) = result {
            tracing::warn!("the tables for unwinding are not complete: {error}");
        }
    }

    /// A mapping, with the rows of what is mapped.
    fn range(&mut self, pid: u32, mapping: &Mapping) -> Range {
        let Span { start, end } = mapping.range;
        let bare = Range { start, end, ..Range::default() };
        let is_vdso = mapping.path == Path::new("[vdso]");
        if !is_vdso && !mapping.is_of_file() {
            return bare;
        }
        if !self.files.contains_key(&mapping.file) {
            let located = if is_vdso { self.vdso() } else { self.open(pid, mapping) }
                .and_then(|(elf, table)| self.locate(elf, &table))
                .inspect_err(|error| tracing::debug!("{}: {error}", mapping.path.display()))
                .ok();
            self.files.insert(mapping.file, located);
        }
        let Some(Some(located)) = self.files.get(&mapping.file) else { return bare };
        let offset = if is_vdso { 0 } else { mapping.offset };
        let Some(linked) = located.elf.linked_at(offset..offset.saturating_add(end - start)) else {
            return bare;
        };
        // From an address to the offset in the file, to the address as it is linked, to the first row's.
        let bias = start.wrapping_sub(offset).wrapping_sub(linked).wrapping_add(located.address);
        Range { bias, bank: located.bank, first: located.first, rows: located.rows, ..bare }
    }

    /// Puts the rows of a file into the maps.
    fn locate(&mut self, elf: Elf, table: &Table) -> Result<Located> {
        let failed = || Error::kernel("cannot store a table for unwinding");
        let mut numbers = Vec::with_capacity(table.rules.len());
        for rule in &table.rules {
            numbers.push(self.rule(&encode::rule(rule)).map_err(failed())?);
        }
        let address = table.rows.first().map_or(0, |row| row.address);
        let mut bytes = Vec::with_capacity(table.rows.len() * ROW as usize);
        for row in &table.rows {
            // What is linked more than 4 GiB above the first function is left out.
            let Ok(relative) = u32::try_from(row.address - address) else { break };
            bytes.extend(relative.to_le_bytes());
            bytes.extend(numbers.get(row.rule as usize).copied().unwrap_or(0).to_le_bytes());
        }
        let rows = u32::try_from(bytes.len() / ROW as usize).unwrap_or(0);
        if rows == 0 {
            return Ok(Located { elf, address, bank: 0, first: 0, rows });
        }
        let bank = self.room(rows).map_err(failed())?;
        let first = bank.used;
        bank.map.write_values(first, &bytes).map_err(failed())?;
        bank.used += rows;
        tracing::debug!(file = %elf.path().display(), rows, rules = numbers.len(), "unwinds");
        Ok(Located { elf, address, bank: bank.number, first, rows })
    }

    /// The number of a rule.
    fn rule(&mut self, rule: &Rule) -> skep_kernel::Result<u32> {
        let bytes = rule.encode();
        if let Some(known) = self.known_rules.get(&bytes) {
            return Ok(*known);
        }
        let number = u32::try_from(self.known_rules.len()).unwrap_or(RULES);
        if number >= RULES {
            return Ok(0);
        }
        self.rules.update(&number.to_le_bytes(), &bytes, UpdateFlag::Any)?;
        self.known_rules.insert(bytes, number);
        Ok(number)
    }

    /// A bank with room for so many rows.
    fn room(&mut self, rows: u32) -> skep_kernel::Result<&mut Bank> {
        let has_room = |bank: &Bank| bank.map.max_entries() - bank.used >= rows;
        let current = match self.bank.take() {
            Some(bank) if has_room(&bank) => bank,
            _ => {
                let number = self.made;
                if number >= BANKS {
                    return Err(skep_kernel::Error::Invalid("there are too many files".into()));
                }
                let map = bank(rows.max(BANK_ROWS))?;
                let fd = map.as_fd().as_raw_fd().cast_unsigned();
                self.banks.update(&number.to_le_bytes(), &fd.to_le_bytes(), UpdateFlag::Any)?;
                self.made += 1;
                Bank { map, number, used: 0 }
            }
        };
        Ok(self.bank.insert(current))
    }

    /// A file that a process has mapped, and its table.
    fn open(&self, pid: u32, mapping: &Mapping) -> Result<(Elf, Table)> {
        let failed = || Error::kernel("cannot read a table for unwinding");
        let file = maps::open(pid, mapping).map_err(failed())?;
        // By its own path a file is found together with the debug file that may lie beside it.
        let path = match maps::is_same_file(&mapping.path, &file) {
            true => mapping.path.clone(),
            false => maps::path_of_descriptor(&file),
        };
        self.read(&path)
    }

    fn vdso(&self) -> Result<(Elf, Table)> {
        let failed = || Error::kernel("cannot read the code that the kernel maps");
        let image = maps::vdso().map_err(failed())?.unwrap_or_default();
        let file = File::from(maps::memory_file("vdso", &image).map_err(failed())?);
        self.read(&maps::path_of_descriptor(&file))
    }

    fn read(&self, path: &Path) -> Result<(Elf, Table)> {
        let unreadable = |error: skep_symbols::Error| Error::Usage(error.to_string());
        let elf = Elf::open(path).map_err(unreadable)?;
        let table = Table::of(&elf, &self.debug).map_err(unreadable)?;
        Ok((elf, table))
    }
}

/// The blocks that make up a range of addresses: what all addresses of a block begin with, and how many bits that is.
fn prefixes(range: Span<u64>) -> impl Iterator<Item = (u64, u32)> {
    let Span { mut start, end } = range;
    std::iter::from_fn(move || {
        if start >= end {
            return None;
        }
        // The largest block that begins here and does not reach too far.
        let log = start.trailing_zeros().min((end - start).ilog2()).min(63);
        let block = (start, 64 - log);
        start = start.checked_add(1 << log).unwrap_or(end);
        Some(block)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Blocks lie one behind the other, from the first address to the last, and each begins where it may.
        #[test]
        fn blocks_make_up_the_range(start in any::<u64>(), len in 0u64..1 << 40) {
            let end = start.saturating_add(len);
            let mut at = start;
            for (address, bits) in prefixes(start..end) {
                prop_assert_eq!(address, at);
                let size = 1u64 << (64 - bits);
                prop_assert_eq!(address % size, 0);
                at = at.checked_add(size).unwrap_or(end);
            }
            prop_assert_eq!(at, end);
        }
    }

    #[test]
    fn few_blocks_are_needed() {
        assert_eq!(prefixes(0x1000..0x4000).collect::<Vec<_>>(), [(0x1000, 52), (0x2000, 51)]);
        assert_eq!(prefixes(5..5).count(), 0);
    }
}
