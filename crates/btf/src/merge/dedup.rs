//! Which types are the same as others.

use std::hash::Hasher;

use rustc_hash::{FxHashMap, FxHasher};

use super::graph::{Graph, Record};
use super::table::Table;
use crate::error::Error;
use crate::format::{Kind, TypeId};

/// In the map: nothing is known of the type yet.
const OPEN: u32 = u32::MAX;
/// In the map: it is being worked on.
const IN_WORK: u32 = u32::MAX - 1;

/// The work on a graph whose types before `first` are the base's, which stay as they are.
pub(super) struct Dedup<'a> {
    graph: &'a mut Graph,
    first: u32,
    /// The type that stands for each one, perhaps over several steps.
    map: Vec<u32>,
    table: Table,
    guess: Guess,
}

/// What two graphs are taken to be until they are found equal.
struct Guess {
    /// The candidate's type beside each canonical one, else [`OPEN`].
    map: Vec<u32>,
    /// The canonical types in it.
    list: Vec<u32>,
    /// A declaration of the base was met by a definition. The definition is remembered, but the graphs differ.
    resolves_base: bool,
}

impl Guess {
    fn clear(&mut self) {
        for id in self.list.drain(..) {
            self.map[id as usize] = OPEN;
        }
        self.resolves_base = false;
    }
}

impl<'a> Dedup<'a> {
    pub fn new(graph: &'a mut Graph, first: u32) -> Self {
        let end = graph.end() as usize;
        let mut map = vec![OPEN; end];
        let mut table = Table::default();
        for id in 0..first {
            map[id as usize] = id;
            let record = graph.record(id);
            if let Some(key) = key(record) {
                table.add(key, id);
            }
        }
        for id in first..graph.end() {
            // Each of these is its own.
            if matches!(graph.record(id).kind(), Kind::Var | Kind::DataSec) {
                map[id as usize] = id;
            }
        }
        let guess = Guess { map: vec![OPEN; end], list: Vec::new(), resolves_base: false };
        Dedup { graph, first, map, table, guess }
    }

    /// The type that stands for each one.
    pub fn run(mut self) -> Result<Vec<u32>, Error> {
        let own = self.first..self.graph.end();
        own.clone().for_each(|id| self.plain(id));
        own.clone().for_each(|id| self.composite(id));
        self.declarations();
        own.clone().try_for_each(|id| self.reference(id))?;
        let resolved = (0..self.graph.end()).map(|id| self.resolve(id)).collect();
        Ok(resolved)
    }

    fn is_mapped(&self, id: u32) -> bool {
        self.map[id as usize] < IN_WORK
    }

    fn resolve(&self, id: u32) -> u32 {
        resolve_in(&self.map, id)
    }

    /// The definition that a declaration has been found to mean, if there is one; else the type itself.
    fn resolve_declaration(&self, id: u32) -> u32 {
        let is_declaration = |id| self.graph.record(id).kind() == Kind::Fwd;
        let resolved = if is_declaration(id) { self.resolve(id) } else { id };
        if is_declaration(resolved) { id } else { resolved }
    }

    fn settle(&mut self, id: u32, found: Option<u32>) {
        self.map[id as usize] = found.unwrap_or(id);
        if let (None, Some(key)) = (found, key(self.graph.record(id))) {
            self.table.add(key, id);
        }
    }

    /// Numbers, enums and declarations, which refer to nothing.
    fn plain(&mut self, id: u32) {
        let record = self.graph.record(id);
        let key = match record.kind() {
            Kind::Int | Kind::Float | Kind::Fwd | Kind::Enum | Kind::Enum64 => key(record),
            _ => return,
        };
        let Some(key) = key else { return };
        let mut found = None;
        let mut completed = Vec::new();
        for other in self.table.of(key) {
            let that = self.graph.record(other);
            if record == that || is_empty_enum(record) && is_same_enum(record, that) {
                found = Some(other);
                break;
            }
            if is_same_enum(record, that) {
                completed.push(other);
            }
        }
        for empty in completed {
            self.map[empty as usize] = id;
        }
        self.settle(id, found);
    }

    /// Structs, unions and typedefs, whose graphs may lead back to themselves (typedefs, in languages other than C).
    fn composite(&mut self, id: u32) {
        let record = self.graph.record(id);
        if self.is_mapped(id) || !matches!(record.kind(), Kind::Struct | Kind::Union | Kind::Typedef) {
            return;
        }
        let Some(key) = key(record) else { return };
        let alike: Vec<u32> = self.table.of(key).collect();
        let mut found = None;
        for other in alike {
            // Nothing but a declaration has been learnt of the graphs before.
            if !has_same_shape(self.graph.record(id), self.graph.record(other)) {
                continue;
            }
            self.guess.clear();
            if !self.is_equivalent(id, other) {
                continue;
            }
            self.accept_guess();
            if !self.guess.resolves_base {
                found = Some(other);
                break;
            }
        }
        self.settle(id, found);
    }

    /// Whether the graph behind `candidate` is the one behind `canonical`.
    fn is_equivalent(&mut self, candidate: u32, canonical: u32) -> bool {
        let mut open = vec![(candidate, canonical)];
        while let Some((candidate, canonical)) = open.pop() {
            if self.resolve(candidate) == self.resolve(canonical) {
                continue;
            }
            let canonical = self.resolve_declaration(canonical);
            let guessed = self.guess.map[canonical as usize];
            if guessed != OPEN {
                // Compilers describe the same type several times within a struct.
                if guessed == candidate || Copies::new(self.graph).are(guessed, candidate) {
                    continue;
                }
                return false;
            }
            self.guess.map[canonical as usize] = candidate;
            self.guess.list.push(canonical);
            let (this, that) = (self.graph.record(candidate), self.graph.record(canonical));
            if this.name() != that.name() {
                return false;
            }
            let (kind, other) = (this.kind(), that.kind());
            if kind != other && (kind == Kind::Fwd || other == Kind::Fwd) {
                let (declared, defined) = if kind == Kind::Fwd { (this, other) } else { (that, kind) };
                if declared_kind(declared) != defined {
                    return false;
                }
                self.guess.resolves_base |= other == Kind::Fwd && canonical < self.first;
                continue;
            }
            let same = match kind {
                Kind::Enum | Kind::Enum64 => this == that || is_half_empty(this, that),
                _ => has_same_shape(this, that),
            };
            if !same {
                return false;
            }
            let pairs = this.references().zip(that.references());
            match kind {
                // The index is compared first.
                Kind::Array => open.extend(pairs),
                // The last one in is looked at first.
                _ => {
                    let from = open.len();
                    open.extend(pairs);
                    open[from..].reverse();
                }
            }
        }
        true
    }

    /// Takes what was guessed for true, as far as it is of use before references are looked at.
    fn accept_guess(&mut self) {
        for canonical in std::mem::take(&mut self.guess.list) {
            let candidate = std::mem::replace(&mut self.guess.map[canonical as usize], OPEN);
            let (candidate, canonical) = (self.resolve(candidate), self.resolve(canonical));
            let kind = |id| self.graph.record(id).kind();
            let (candidate_kind, canonical_kind) = (kind(candidate), kind(canonical));
            // A declaration becomes what it declares, though that may not have been settled yet.
            if candidate_kind != Kind::Fwd && canonical_kind == Kind::Fwd {
                self.map[canonical as usize] = candidate;
            }
            if self.guess.resolves_base {
                continue;
            }
            if candidate_kind == Kind::Fwd && canonical_kind != Kind::Fwd {
                self.map[candidate as usize] = canonical;
            }
            if matches!(candidate_kind, Kind::Struct | Kind::Union)
                && canonical_kind != Kind::Fwd
                && self.is_mapped(canonical)
                && !self.is_mapped(candidate)
            {
                self.map[candidate as usize] = canonical;
            }
        }
    }

    /// Declarations become the one definition of their name.
    fn declarations(&mut self) {
        let mut by_name: FxHashMap<u32, Option<u32>> = FxHashMap::default();
        let own = self.first..self.graph.end();
        for id in own.clone().filter(|&id| self.map[id as usize] == id) {
            let record = self.graph.record(id);
            if matches!(record.kind(), Kind::Struct | Kind::Union) {
                by_name.entry(record.name()).and_modify(|several| *several = None).or_insert(Some(id));
            }
        }
        for id in own {
            let record = self.graph.record(id);
            if self.map[id as usize] == id
                && record.kind() == Kind::Fwd
                && let Some(&Some(definition)) = by_name.get(&record.name())
                && self.graph.record(definition).kind() == declared_kind(record)
            {
                self.map[id as usize] = definition;
            }
        }
    }

    /// What refers to other types, after those.
    fn reference(&mut self, id: u32) -> Result<(), Error> {
        let mut open = vec![(id, false)];
        while let Some((id, done)) = open.pop() {
            if done {
                let map = std::mem::take(&mut self.map);
                self.graph.redirect(id, |target| resolve_in(&map, target));
                self.map = map;
                let record = self.graph.record(id);
                let same = |other: &u32| self.graph.record(*other) == record;
                let found = key(record).and_then(|key| self.table.of(key).find(same));
                self.settle(id, found);
            } else if self.map[id as usize] == IN_WORK {
                return Err(Error::TooDeep(TypeId(id)));
            } else if !self.is_mapped(id) {
                self.map[id as usize] = IN_WORK;
                open.push((id, true));
                open.extend(self.graph.record(id).references().rev().map(|target| (target, false)));
            }
        }
        Ok(())
    }
}

fn resolve_in(map: &[u32], mut id: u32) -> u32 {
    while map[id as usize] < IN_WORK && map[id as usize] != id {
        id = map[id as usize];
    }
    id
}

/// What equal types have equal; nothing for those that are never shared.
fn key(record: Record<'_>) -> Option<u64> {
    let mut hasher = FxHasher::default();
    match record.kind() {
        Kind::Void | Kind::Var | Kind::DataSec | Kind::Unknown => return None,
        // One without values is found by one with values.
        Kind::Enum | Kind::Enum64 => {
            hasher.write_u32(Kind::Enum as u32);
            hasher.write_u32(record.name());
        }
        Kind::Struct | Kind::Union | Kind::Typedef => record.shape().for_each(|word| hasher.write_u32(word)),
        _ => record.words().iter().for_each(|&word| hasher.write_u32(word)),
    }
    Some(hasher.finish())
}

/// Whether two types are equal but for the types that they refer to.
fn has_same_shape(this: Record<'_>, that: Record<'_>) -> bool {
    this.words().len() == that.words().len() && this.shape().eq(that.shape())
}

fn is_enum(record: Record<'_>) -> bool {
    matches!(record.kind(), Kind::Enum | Kind::Enum64)
}

fn is_empty_enum(record: Record<'_>) -> bool {
    is_enum(record) && record.info().vlen == 0
}

/// Whether one enum stands for the other: one has no values, and they have the same name.
fn is_half_empty(this: Record<'_>, that: Record<'_>) -> bool {
    is_enum(this)
        && is_enum(that)
        && (is_empty_enum(this) || is_empty_enum(that))
        && this.name() == that.name()
}

fn is_same_enum(this: Record<'_>, that: Record<'_>) -> bool {
    this == that || is_half_empty(this, that)
}

fn declared_kind(declaration: Record<'_>) -> Kind {
    if declaration.info().flag { Kind::Union } else { Kind::Struct }
}

/// Whether types of one piece are copies of each other.
struct Copies<'a> {
    graph: &'a Graph,
    /// How many types may still be compared: nothing makes this take long.
    left: u32,
}

impl<'a> Copies<'a> {
    fn new(graph: &'a Graph) -> Self {
        const MOST: u32 = 100_000;
        Copies { graph, left: MOST }
    }

    fn are(&mut self, one: u32, other: u32) -> bool {
        const MAX_DEPTH: u32 = 16;
        self.down(one, other, MAX_DEPTH)
    }

    fn down(&mut self, mut one: u32, mut other: u32, depth: u32) -> bool {
        loop {
            if depth == 0 || self.left == 0 {
                return false;
            }
            self.left -= 1;
            let (this, that) = (self.graph.record(one), self.graph.record(other));
            let (kind, same) = (this.kind(), has_same_shape(this, that));
            let mut pairs = this.references().zip(that.references());
            match kind {
                _ if kind != that.kind() => return false,
                Kind::Void => return true,
                Kind::Enum | Kind::Enum64 => return is_same_enum(this, that),
                Kind::Int | Kind::Float | Kind::Fwd => return this == that,
                Kind::Struct | Kind::Union | Kind::FuncProto | Kind::Array => {
                    return same && pairs.all(|(a, b)| a == b || self.down(a, b, depth - 1));
                }
                // However many of these follow each other, they are one step.
                _ => match pairs.next() {
                    Some(next) if same => (one, other) = next,
                    _ => return false,
                },
            }
        }
    }
}
