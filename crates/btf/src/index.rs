//! Types by name, without sorting names.
//!
//! A script asks for a handful of names among some 70,000. The first few are found
//! by looking at every type, which is cheaper than any preparation; who keeps asking
//! gets a hash table, made once: per name hash the first type, per type the next one
//! of the same hash.

use std::hash::Hasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustc_hash::FxHasher;

use crate::format::{Kind, TypeId};
use crate::reader::Btf;

/// How many look-ups go by looking at every type before the table is worth making.
const LOOKUPS_WITHOUT_TABLE: u32 = 4;

/// No (further) type in a chain.
const END: u32 = u32::MAX;

/// The names of one BTF's own types.
#[derive(Default)]
pub(crate) struct NameIndex {
    lookups: AtomicU32,
    table: OnceLock<Table>,
}

struct Table {
    /// The first type of each chain, counted from the first own one; the length is a power of two.
    heads: Box<[u32]>,
    /// For each type the next of its chain.
    nexts: Box<[u32]>,
}

impl Btf {
    /// The first type of this kind and name. Anonymous types are not found.
    pub fn find(&self, kind: Kind, name: &str) -> Option<TypeId> {
        self.find_any(&[kind], name)
    }

    /// The first type that has one of these kinds, and this name.
    pub fn find_any(&self, kinds: &[Kind], name: &str) -> Option<TypeId> {
        self.find_where(name, |kind| kinds.contains(&kind))
    }

    fn find_where(&self, name: &str, wanted: impl Fn(Kind) -> bool + Copy) -> Option<TypeId> {
        if name.is_empty() {
            return None;
        }
        if let Some(id) = self.base().and_then(|base| base.find_where(name, wanted)) {
            return Some(id);
        }
        let is_it = |id: &TypeId| {
            self.record(*id).is_some_and(|record| {
                wanted(Kind::from_number(record.info().kind)) && self.is_string(record.word(0), name)
            })
        };
        if self.names.table.get().is_none()
            && self.names.lookups.fetch_add(1, Ordering::Relaxed) < LOOKUPS_WITHOUT_TABLE
        {
            return self.own_ids().find(is_it);
        }
        self.names.table.get_or_init(|| Table::of(self)).chain(name).map(|own| self.own_id(own)).find(is_it)
    }

    fn own_id(&self, own: u32) -> TypeId {
        TypeId(self.end_id() - self.own_ids().len() as u32 + own)
    }

    /// Whether the string at `offset` is `name`, without looking for its end.
    fn is_string(&self, offset: u32, name: &str) -> bool {
        let first = self.end_string() - self.strings().len() as u32;
        match offset.checked_sub(first) {
            Some(own) => self
                .strings()
                .get(own as usize..)
                .and_then(|rest| rest.strip_prefix(name.as_bytes()))
                .is_some_and(|rest| rest.first() == Some(&0)),
            None => self.base().is_some_and(|base| base.is_string(offset, name)),
        }
    }
}

impl Table {
    fn of(btf: &Btf) -> Table {
        let count = btf.own_ids().len();
        let mut table =
            Table { heads: vec![END; count.next_power_of_two()].into(), nexts: vec![END; count].into() };
        // Backwards, so that each chain ends up in the order of ids.
        for (own, id) in btf.own_ids().enumerate().rev() {
            let name = btf.record(id).map_or("", |record| record.name());
            if !name.is_empty() {
                let head = table.slot(name);
                table.nexts[own] = std::mem::replace(&mut table.heads[head], own as u32);
            }
        }
        table
    }

    /// The types whose name may be `name`.
    fn chain(&self, name: &str) -> impl Iterator<Item = u32> {
        let known = |own: u32| Some(own).filter(|&own| own != END);
        std::iter::successors(known(self.heads[self.slot(name)]), move |&own| known(self.nexts[own as usize]))
    }

    fn slot(&self, name: &str) -> usize {
        let mut hasher = FxHasher::default();
        hasher.write(name.as_bytes());
        hasher.finish() as usize & (self.heads.len() - 1)
    }
}
