//! The order of names in which a header of the whole kernel is written, so that two of them can be compared.
//!
//! First enums, then what is made of numbers, then structs and unions, then functions, each with the typedefs
//! that lead to them, and by name within each. The rest has no place of its own: most of it has been written by
//! then because something needed it.
//!
//! The order is that of bpftool. Types that agree in all names are told apart by a hash of the names of their
//! parts, so that the order does not depend on the ids, which differ from build to build.

use std::cmp::Ordering;

use rustc_hash::FxHashMap;

use super::{CDump, Progress};
use crate::format::TypeId;
use crate::reader::Btf;
use crate::types::Type;

/// How far a chain of references is followed.
const MAX_CHAIN: usize = 256;

/// A type with what it is sorted by.
struct Entry<'a> {
    id: TypeId,
    rank: u8,
    /// The first bytes of the sort name, which tell most names apart.
    prefix: u64,
    sort_name: &'a str,
    own_name: &'a str,
}

/// The types that have a place of their own, sorted.
pub(super) fn ranked(btf: &Btf) -> Vec<TypeId> {
    let entries = btf.ids().filter_map(|id| {
        let rank = rank(btf, id)?;
        // A number has no definition.
        let is_number = matches!(btf.get(id), Some(Type::Int(_) | Type::Float { .. }));
        (!is_number).then(|| Entry::new(btf, id, rank))
    });
    sorted(btf, entries.collect())
}

/// The others, as far as something of them has not been written yet, sorted.
pub(super) fn unranked(dump: &CDump<'_>) -> Vec<TypeId> {
    const LAST: u8 = u8::MAX;
    let open = dump.btf.ids().filter(|&id| rank(dump.btf, id).is_none() && is_open(dump, id, 0));
    sorted(dump.btf, open.map(|id| Entry::new(dump.btf, id, LAST)).collect())
}

fn sorted(btf: &Btf, mut entries: Vec<Entry<'_>>) -> Vec<TypeId> {
    let mut hashes = Hashes { btf, known: FxHashMap::default() };
    entries.sort_unstable_by(|a, b| {
        let by_name = (a.rank, a.prefix)
            .cmp(&(b.rank, b.prefix))
            .then_with(|| a.sort_name.cmp(b.sort_name).then_with(|| a.own_name.cmp(b.own_name)));
        if by_name != Ordering::Equal {
            return by_name;
        }
        hashes.of(a.id).cmp(&hashes.of(b.id)).then(a.id.cmp(&b.id))
    });
    entries.into_iter().map(|entry| entry.id).collect()
}

impl<'a> Entry<'a> {
    fn new(btf: &'a Btf, id: TypeId, rank: u8) -> Self {
        let sort_name = sort_name(btf, id);
        let mut prefix = [0; 8];
        for (place, byte) in prefix.iter_mut().zip(sort_name.bytes()) {
            *place = byte;
        }
        let own_name = btf.get(id).map_or("", |ty| ty.name());
        Self { id, rank, prefix: u64::from_be_bytes(prefix), sort_name, own_name }
    }
}

/// The rank of a type, that of its target for references that lead to it by a name; `None` comes last.
fn rank(btf: &Btf, id: TypeId) -> Option<u8> {
    let mut at = id;
    let mut has_name = false;
    for _ in 0..MAX_CHAIN {
        let ty = btf.get(at)?;
        has_name |= !ty.name().is_empty();
        return match ty {
            Type::Enum(_) => Some(u8::from(has_name)),
            Type::Int(_) | Type::Float { .. } => Some(2),
            Type::Struct(_) | Type::Union(_) if has_name => Some(3),
            Type::FuncProto(_) if has_name => Some(4),
            _ if !has_name => None,
            ty => {
                at = reference(&ty)?;
                continue;
            }
        };
    }
    None
}

/// The name by which a type is sorted: that of what it leads to.
fn sort_name(btf: &Btf, id: TypeId) -> &str {
    let mut at = id;
    for _ in 0..MAX_CHAIN {
        let Some(ty) = btf.get(at) else { return "" };
        match (reference(&ty), ty) {
            (Some(target), _) => at = target,
            // An enum without a name goes by its first value.
            (None, Type::Enum(of)) if at == id && of.name.is_empty() => {
                return of.enumerators().next().map_or("", |first| first.name);
            }
            (None, ty) => return ty.name(),
        }
    }
    ""
}

/// The one type that a type refers to.
fn reference(ty: &Type<'_>) -> Option<TypeId> {
    match *ty {
        Type::Array(array) => Some(array.element),
        Type::TypeTag { target, .. }
        | Type::Const { target }
        | Type::Ptr { target }
        | Type::Volatile { target }
        | Type::Restrict { target }
        | Type::Typedef { target, .. }
        | Type::DeclTag { target, .. } => Some(target),
        _ => None,
    }
}

/// Whether writing the type would still write something.
fn is_open(dump: &CDump<'_>, id: TypeId, depth: usize) -> bool {
    const MOST_LEVELS: usize = 32;
    if depth > MOST_LEVELS {
        return true;
    }
    if dump.states.get(id.0 as usize).is_none_or(|state| state.order == Progress::Done) {
        return false;
    }
    match dump.btf.get(id) {
        Some(Type::Fwd { .. } | Type::Typedef { .. } | Type::Enum(_)) => true,
        Some(Type::Struct(of) | Type::Union(of)) => {
            // Named ones have had their turn.
            of.name.is_empty() && of.members().any(|member| is_open(dump, member.ty, depth + 1))
        }
        Some(Type::FuncProto(of)) => {
            is_open(dump, of.result, depth + 1) || of.params().any(|param| is_open(dump, param.ty, depth + 1))
        }
        Some(
            Type::Ptr { target }
            | Type::Const { target }
            | Type::Volatile { target }
            | Type::Restrict { target }
            | Type::TypeTag { target, .. },
        ) => is_open(dump, target, depth + 1),
        Some(Type::Array(array)) => is_open(dump, array.element, depth + 1),
        _ => false,
    }
}

/// Hashes of types by the names of their parts.
struct Hashes<'a> {
    btf: &'a Btf,
    known: FxHashMap<TypeId, u64>,
}

impl Hashes<'_> {
    fn of(&mut self, id: TypeId) -> u64 {
        if let Some(&hash) = self.known.get(&id) {
            return hash;
        }
        let hash = hash(self.btf, id, true, 0);
        self.known.insert(id, hash);
        hash
    }
}

fn hash(btf: &Btf, id: TypeId, with_members: bool, depth: usize) -> u64 {
    let Some(ty) = btf.get(id) else { return 0 };
    if depth > MAX_CHAIN {
        return 0;
    }
    let mut hash_so_far = named(0, ty.name());
    let mut add = |value: u64| hash_so_far = mixed(hash_so_far, value);
    let below = |id| hash(btf, id, with_members, depth + 1);
    let shallow = |id| hash(btf, id, false, depth + 1);
    match ty {
        Type::Enum(of) => {
            return of.enumerators().fold(hash_so_far, |hash, value| named(hash, value.name));
        }
        Type::Struct(of) | Type::Union(of) if with_members => {
            return of
                .members()
                .fold(hash_so_far, |hash, member| mixed(named(hash, member.name), shallow(member.ty)));
        }
        Type::FuncProto(of) => {
            return of
                .params()
                .fold(hash_so_far, |hash, param| mixed(named(hash, param.name), shallow(param.ty)));
        }
        Type::Array(array) => {
            add(u64::from(array.len));
            add(below(array.element));
        }
        ty => {
            if let Some(target) = reference(&ty) {
                add(below(target));
            }
        }
    }
    hash_so_far
}

fn mixed(hash: u64, value: u64) -> u64 {
    hash.wrapping_mul(31).wrapping_add(value)
}

fn named(hash: u64, name: &str) -> u64 {
    if name.is_empty() {
        return hash;
    }
    // Bytes count as signed ones, as `char` is on the machines that this order comes from.
    mixed(hash, name.bytes().fold(0, |hash, byte| mixed(hash, byte as i8 as u64)))
}
