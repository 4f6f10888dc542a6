//! What all programs of a script share: maps, layouts of records, constants.

use rustc_hash::FxHashMap;
use skep_lang::hir;
use skep_lang::names::Table;
use skep_lang::ty::{Agg, Ty, TyKind, Types};
use skep_ui::Span;

use super::func::FuncBuilder;
use super::unwind::{Start, Started, Unwinder};
use crate::artifact::{EventLayout, MapRole, MapSpec, Storage};
use crate::ir::{Func, FuncId, MapRef, Module, ValueTy};
use crate::unwind;

/// Maps, records and constants under construction. Maps of our own exist once
/// a program needs them.
pub(super) struct Shared {
    maps: Vec<MapSpec>,
    events: Vec<EventLayout>,
    own: FxHashMap<MapRole, MapRef>,
    /// Number of programs: entries of the map of lost records.
    programs: u32,
    /// As many zeroes as the largest value of a map has bytes, then texts.
    constants: Vec<u8>,
    texts: FxHashMap<Vec<u8>, u32>,
    names: FxHashMap<Table, u32>,
    functions_table: Option<u32>,
    subs: Vec<Func>,
    /// The function that does nothing for each entry of a map.
    passer_by: Option<FuncId>,
    /// What unwinds stacks, and the functions by which that begins.
    pub unwinder: Option<Unwinder>,
    pub unwinder_starts: FxHashMap<Start, Started>,
    /// Numbers of memory that functions share, and of functions, that are taken.
    commons: u32,
    functions: u32,
}

impl Shared {
    pub fn new(program: &hir::Program) -> Self {
        let maps: Vec<_> = program.maps.iter().map(|map| user_map(map, &program.types)).collect();
        let largest = maps.iter().map(|map: &MapSpec| map.value_size).max().unwrap_or(0);
        Shared {
            maps,
            events: Vec::new(),
            own: FxHashMap::default(),
            programs: program.probes.len() as u32,
            constants: vec![0; largest.next_multiple_of(8) as usize],
            texts: FxHashMap::default(),
            names: FxHashMap::default(),
            functions_table: None,
            subs: Vec::new(),
            passer_by: None,
            unwinder: None,
            unwinder_starts: FxHashMap::default(),
            commons: 0,
            functions: 0,
        }
    }

    pub fn finish(mut self, funcs: Vec<Func>) -> Module {
        if let Some(constants) = self.own.get(&MapRole::Constants) {
            let spec = &mut self.maps[constants.0 as usize];
            spec.value_size = self.constants.len() as u32;
            spec.init = self.constants;
        }
        Module { funcs, subs: self.subs, maps: self.maps, events: self.events }
    }

    /// How many functions there are that programs call.
    pub fn subs(&self) -> usize {
        self.subs.len()
    }

    /// Takes in a function that programs call.
    pub fn sub(&mut self, func: Func) -> FuncId {
        self.subs.push(func);
        FuncId(self.subs.len() as u32 - 1)
    }

    /// A function that does nothing for each entry of a map, which counts them.
    pub fn passer_by(&mut self, span: Span) -> FuncId {
        if let Some(known) = self.passer_by {
            return known;
        }
        let (body, _) = FuncBuilder::new_body(span, &[ValueTy::Ptr; 4]);
        let made = self.sub(body.finish("pass_by".into()));
        *self.passer_by.insert(made)
    }

    /// The next number of memory that functions share.
    pub fn common(&mut self) -> u32 {
        self.commons += 1;
        self.commons - 1
    }

    /// A number that tells a function apart while it is made.
    pub fn next_function(&mut self) -> u32 {
        self.functions += 1;
        self.functions
    }

    /// The next layout's index, which its records carry.
    pub fn layout(&mut self, layout: EventLayout) -> u32 {
        self.events.push(layout);
        self.events.len() as u32 - 1
    }

    /// The storage of a map of the script.
    pub fn user(&self, map: hir::MapId) -> (MapRef, &MapSpec) {
        (MapRef(map.0), &self.maps[map.0 as usize])
    }

    pub fn events_ring(&mut self) -> MapRef {
        self.own_map(MapRole::Events, "events", Storage::RingBuf, 0, 0)
    }

    pub fn control_ring(&mut self) -> MapRef {
        self.own_map(MapRole::Control, "control", Storage::RingBuf, 0, 0)
    }

    pub fn lost(&mut self) -> MapRef {
        self.own_map(MapRole::Lost, "lost", Storage::PerCpuArray, 8, self.programs)
    }

    /// The processes that were seen: a new one drives out the one not seen for longest, which is then told of again.
    pub fn processes(&mut self) -> MapRef {
        self.own_map(MapRole::Processes, "processes", Storage::LruHash, 8, MOST_PROCESSES)
    }

    /// The tables by which stacks are unwound: see [`crate::unwind`].
    pub fn unwind_ranges(&mut self) -> MapRef {
        let size = unwind::Range::SIZE;
        self.own_map(MapRole::UnwindRanges, "unwind_ranges", Storage::LpmTrie, size, unwind::RANGES)
    }

    pub fn unwind_rows(&mut self) -> MapRef {
        // The kernel knows a map in a map by 32 bits.
        self.own_map(MapRole::UnwindRows, "unwind_rows", Storage::ArrayOfMaps, 4, unwind::BANKS)
    }

    pub fn unwind_rules(&mut self) -> MapRef {
        let size = unwind::Rule::SIZE;
        self.own_map(MapRole::UnwindRules, "unwind_rules", Storage::Array, size, unwind::RULES)
    }

    /// Zeroes: as many as any value of a map has bytes.
    pub fn zeroes(&mut self) -> (MapRef, u32) {
        (self.constants_map(), 0)
    }

    /// Where a constant text stands, without a NUL.
    pub fn text(&mut self, bytes: &[u8]) -> (MapRef, u32) {
        let map = self.constants_map();
        if let Some(&offset) = self.texts.get(bytes) {
            return (map, offset);
        }
        let offset = self.constants.len() as u32;
        self.constants.extend(bytes);
        self.constants.resize(self.constants.len().next_multiple_of(8), 0);
        self.texts.insert(bytes.to_vec(), offset);
        (map, offset)
    }

    /// Where the rows of a table of names begin, that of numbers without a name last.
    pub fn names(&mut self, table: Table) -> (MapRef, u32) {
        let map = self.constants_map();
        if let Some(&offset) = self.names.get(&table) {
            return (map, offset);
        }
        let offset = self.constants.len() as u32;
        for number in 0..=table.rows() {
            let end = self.constants.len() + table.stride() as usize;
            self.constants.extend(table.name(number.into()).as_bytes());
            self.constants.resize(end, 0);
        }
        self.names.insert(table, offset);
        (map, offset)
    }

    /// Where the table begins that has a 32-bit number for each target; the same whenever it is asked for.
    pub fn functions(&mut self, numbers: &[u32]) -> (MapRef, u32) {
        let map = self.constants_map();
        let constants = &mut self.constants;
        let offset = *self.functions_table.get_or_insert_with(|| {
            let offset = constants.len() as u32;
            constants.extend(numbers.iter().flat_map(|number| number.to_ne_bytes()));
            constants.resize(constants.len().next_multiple_of(8), 0);
            offset
        });
        (map, offset)
    }

    fn constants_map(&mut self) -> MapRef {
        // The size is known at the end.
        self.own_map(MapRole::Constants, "constants", Storage::Array, 0, 1)
    }

    fn own_map(
        &mut self,
        role: MapRole,
        name: &str,
        storage: Storage,
        value_size: u32,
        max_entries: u32,
    ) -> MapRef {
        *self.own.entry(role).or_insert_with(|| {
            self.maps.push(MapSpec {
                name: name.into(),
                role,
                storage,
                key_size: match storage {
                    Storage::RingBuf => 0,
                    Storage::LpmTrie => unwind::RANGE_KEY,
                    _ => 4,
                },
                value_size,
                mark: None,
                max_entries,
                btf: (0, 0),
                init: Vec::new(),
                read_only: role == MapRole::Constants,
            });
            MapRef(self.maps.len() as u32 - 1)
        })
    }
}

/// How many processes are told of only once.
const MOST_PROCESSES: u32 = 4096;

fn user_map(map: &hir::Map, types: &Types) -> MapSpec {
    let aggregates = matches!(types.kind(map.value), TyKind::Agg(_));
    let keyless = map.key == Ty::VOID;
    let size = types.size(map.value).max(1);
    let mark = keyless.then(|| size.next_multiple_of(8));
    MapSpec {
        name: map.name.clone(),
        role: MapRole::User { key: map.key, value: map.value },
        storage: match (keyless, aggregates) {
            (true, true) => Storage::PerCpuArray,
            (true, false) => Storage::Array,
            (false, true) if map.lru => Storage::PerCpuLruHash,
            (false, true) => Storage::PerCpuHash,
            (false, false) if map.lru => Storage::LruHash,
            (false, false) => Storage::Hash,
        },
        key_size: if keyless { 4 } else { types.size(map.key).max(1) },
        value_size: mark.map_or(size, |mark| mark + 8),
        mark,
        max_entries: if keyless { 1 } else { map.max_entries },
        btf: (0, 0),
        init: Vec::new(),
        read_only: false,
    }
}

/// The number of the last bucket of a histogram.
pub(super) fn last_bucket(agg: Agg) -> u32 {
    agg.buckets().saturating_sub(1)
}
