//! Types by name, without sorting names.
//!
//! A script asks for a handful of names among some 70,000. The first few are found by
//! looking for the name in the string section and then for its offset in every type,
//! which is cheaper than any preparation; who keeps asking gets a hash table, made once:
//! per name hash the first type, per type the next one of the same hash.

use std::hash::Hasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustc_hash::FxHasher;

use crate::format::{Kind, TypeId};
use crate::reader::{Btf, Record};
use crate::types::Type;

/// How many look-ups go by looking at every type before the table is made: as many as take
/// the time that making it takes.
const LOOKUPS_WITHOUT_TABLE: u32 = 16;

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

    /// The same without the types of the BTF that this one continues. A module may have a function of the same name as
    /// one of the kernel's.
    pub fn find_own(&self, kind: Kind, name: &str) -> Option<TypeId> {
        if name.is_empty() || name.contains('\0') {
            return None;
        }
        self.find_own_where(name, |other| other == kind)
    }

    /// The first type that has one of these kinds, and this name.
    pub fn find_any(&self, kinds: &[Kind], name: &str) -> Option<TypeId> {
        self.find_where(name, |kind| kinds.contains(&kind))
    }

    fn find_where(&self, name: &str, wanted: impl Fn(Kind) -> bool + Copy) -> Option<TypeId> {
        if name.is_empty() || name.contains('\0') {
            return None;
        }
        if let Some(id) = self.base().and_then(|base| base.find_where(name, wanted)) {
            return Some(id);
        }
        self.find_own_where(name, wanted)
    }

    fn find_own_where(&self, name: &str, wanted: impl Fn(Kind) -> bool) -> Option<TypeId> {
        let is_wanted = |record: Record<'_>| wanted(Kind::from_number(record.info().kind));
        if self.names.table.get().is_none()
            && self.names.lookups.fetch_add(1, Ordering::Relaxed) < LOOKUPS_WITHOUT_TABLE
        {
            let offsets = self.string_offsets(name);
            let is_it = |record: Record<'_>| is_named(record, &offsets) && is_wanted(record);
            return self.own_ids().find(|&id| self.record(id).is_some_and(is_it));
        }
        let table = self.names.table.get_or_init(|| Table::of(self));
        let is_it = |record: Record<'_>| is_wanted(record) && record.name() == name;
        table.chain(name).map(|own| self.own_id(own)).find(|&id| self.record(id).is_some_and(is_it))
    }

    /// All offsets that stand for `name`, ascending: the string may be there more than once,
    /// and may be the end of another.
    fn string_offsets(&self, name: &str) -> Vec<u32> {
        let mut offsets = self.base().map_or_else(Vec::new, |base| base.string_offsets(name));
        let first = self.end_string() - self.strings().len() as u32;
        let terminated = [name.as_bytes(), b"\0"].concat();
        let places = memchr::memmem::find_iter(self.strings(), &terminated);
        offsets.extend(places.map(|place| first + place as u32));
        offsets
    }

    fn own_id(&self, own: u32) -> TypeId {
        TypeId(self.end_id() - self.own_ids().len() as u32 + own)
    }
}

/// Whether the record's name is at one of `offsets`.
fn is_named(record: Record<'_>, offsets: &[u32]) -> bool {
    match offsets {
        [offset] => record.word(0) == *offset,
        offsets => offsets.binary_search(&record.word(0)).is_ok(),
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

impl Btf {
    /// The first enum that has a value of this name, and the value.
    pub fn find_enumerator(&self, name: &str) -> Option<(TypeId, i128)> {
        if name.is_empty() || name.contains('\0') {
            return None;
        }
        if let Some(found) = self.base().and_then(|base| base.find_enumerator(name)) {
            return Some(found);
        }
        let offsets = self.string_offsets(name);
        if offsets.is_empty() {
            return None;
        }
        self.own_ids().find_map(|id| {
            let record = self.record(id)?;
            let stride = match Kind::from_number(record.info().kind) {
                Kind::Enum => 2,
                Kind::Enum64 => 3,
                _ => return None,
            };
            let at = record.entries(stride).position(|at| offsets.binary_search(&record.word(at)).is_ok())?;
            let Some(Type::Enum(of)) = self.get(id) else { return None };
            Some((id, of.enumerators().nth(at)?.value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Linkage;
    use crate::builder::BtfBuilder;
    use crate::types::Enumerator;

    /// The module's own function is meant, not that of the kernel.
    #[test]
    fn functions_of_one_name_in_base_and_split() {
        let mut b = BtfBuilder::new();
        let proto = b.func_proto(TypeId::VOID, &[]);
        let both = b.func("both", proto, Linkage::Static);
        b.func("base_only", proto, Linkage::Static);
        let base = std::sync::Arc::new(Btf::parse(b.finish()).unwrap());
        let mut b = BtfBuilder::split(&base);
        let own = b.func("both", proto, Linkage::Static);
        let split = Btf::parse_split(b.finish(), std::sync::Arc::clone(&base)).unwrap();
        assert_eq!(
            (split.find(Kind::Func, "both"), split.find_own(Kind::Func, "both")),
            (Some(both), Some(own))
        );
        assert_eq!(split.find_own(Kind::Func, "base_only"), None);
        assert_eq!(base.find_own(Kind::Func, "both"), Some(both));
    }

    #[test]
    fn enumerators_are_found_by_name_in_base_and_split() {
        let mut b = BtfBuilder::new();
        b.enum_(
            "small",
            4,
            true,
            &[Enumerator { name: "MINUS", value: -1 }, Enumerator { name: "ONE", value: 1 }],
        );
        let base = std::sync::Arc::new(Btf::parse(b.finish()).unwrap());
        let mut b = BtfBuilder::split(&base);
        let wide = b.enum64("wide", 8, false, &[Enumerator { name: "HUGE", value: 1 << 40 }]);
        let split = Btf::parse_split(b.finish(), base).unwrap();
        assert_eq!(split.find_enumerator("MINUS"), Some((TypeId(1), -1)));
        assert_eq!(split.find_enumerator("HUGE"), Some((wide, 1 << 40)));
        assert_eq!(split.find_enumerator("small"), None);
        assert_eq!(split.find_enumerator("UGE"), None);
    }
}
