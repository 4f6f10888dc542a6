//! The records of several pieces of BTF, with ids and names that hold for all of them.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::builder::BtfBuilder;
use crate::error::Error;
use crate::format::{Info, Kind, TypeId};
use crate::reader::Btf;

/// Types by id, as the words of their records. Names are numbers that are equal where the texts are.
pub(super) struct Graph {
    words: Vec<u32>,
    /// Where each record begins among the words, and, last, where they end.
    starts: Vec<u32>,
    names: FxHashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

impl Default for Graph {
    /// There is only `void`, which has no name.
    fn default() -> Self {
        let empty: Arc<str> = "".into();
        Graph {
            words: vec![0; 3],
            starts: vec![0, 3],
            names: FxHashMap::from_iter([(Arc::clone(&empty), 0)]),
            texts: vec![empty],
        }
    }
}

impl Graph {
    /// Adds types of a piece. Those before them are its base's, which has been added before.
    pub fn add(&mut self, btf: &Btf, ids: impl ExactSizeIterator<Item = TypeId>) -> Result<(), Error> {
        let end = self.end();
        let mut first = None;
        for id in ids {
            let first = *first.get_or_insert(id.0);
            let Some(record) = btf.record(id) else { return Err(Error::NoSuchType(id)) };
            let info = record.info();
            let kind = Kind::from_number(info.kind);
            if kind == Kind::Unknown {
                return Err(Error::UnknownKind { id, kind: info.kind });
            }
            // A piece is smaller than 4 GiB, and its records are there.
            let len = 3 + kind.extra_words(info.vlen) as u32;
            let start = self.words.len();
            self.words.extend((0..len).map(|word| record.word(word)));
            for place in names(kind, len as usize) {
                let name = self.name(record.string(record.word(place as u32)));
                self.words[start + place] = name;
            }
            for place in references(kind, len as usize) {
                let target = &mut self.words[start + place];
                if *target >= first {
                    *target = *target - first + end;
                }
            }
            let next = u32::try_from(self.words.len()).map_err(|_| Error::TooLarge(id))?;
            self.starts.push(next);
        }
        Ok(())
    }

    fn name(&mut self, text: &str) -> u32 {
        if let Some(&number) = self.names.get(text) {
            return number;
        }
        let (text, number) = (Arc::<str>::from(text), self.texts.len() as u32);
        self.texts.push(Arc::clone(&text));
        self.names.insert(text, number);
        number
    }

    /// The id after the last.
    pub fn end(&self) -> u32 {
        self.starts.len() as u32 - 1
    }

    /// A type's record.
    pub fn record(&self, id: u32) -> Record<'_> {
        let range = |id: usize| Some(*self.starts.get(id)? as usize..*self.starts.get(id + 1)? as usize);
        // Ids have been checked when their piece was read.
        let words = range(id as usize).and_then(|range| self.words.get(range));
        Record(words.unwrap_or(&self.words[..3]))
    }

    /// Changes the types that a record refers to.
    pub fn redirect(&mut self, id: u32, to: impl Fn(u32) -> u32) {
        let places: Vec<usize> = self.record(id).reference_places().collect();
        let start = self.starts[id as usize] as usize;
        for place in places {
            let target = &mut self.words[start + place];
            *target = to(*target);
        }
    }

    /// Writes the types from `first` on that stand for themselves in `map`, each in its order.
    pub fn compact(&self, first: u32, map: &[u32], mut builder: BtfBuilder) -> BtfBuilder {
        let mut places: Vec<u32> = (0..first).collect();
        let mut next = first;
        for id in first..self.end() {
            places.push(next);
            next += u32::from(map[id as usize] == id);
        }
        for id in (first..self.end()).filter(|&id| map[id as usize] == id) {
            let record = self.record(id);
            let mut words = record.0.to_vec();
            for place in names(record.kind(), words.len()) {
                words[place] = builder.add_string(&self.texts[words[place] as usize]);
            }
            for place in record.reference_places() {
                words[place] = places[map[words[place] as usize] as usize];
            }
            builder.push(words);
        }
        builder
    }
}

/// The words of a type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a>(&'a [u32]);

impl<'a> Record<'a> {
    pub fn kind(self) -> Kind {
        Kind::from_number(self.info().kind)
    }

    pub fn info(self) -> Info {
        Info::decode(self.0[1])
    }

    /// All words.
    pub fn words(self) -> &'a [u32] {
        self.0
    }

    pub fn name(self) -> u32 {
        self.0[0]
    }

    /// The types it refers to, in the order of its words.
    pub fn references(self) -> impl DoubleEndedIterator<Item = u32> {
        self.reference_places().map(move |place| self.0[place])
    }

    fn reference_places(self) -> impl DoubleEndedIterator<Item = usize> + use<> {
        references(self.kind(), self.0.len())
    }

    /// All but the types it refers to.
    pub fn shape(self) -> impl Iterator<Item = u32> {
        let mut places = self.reference_places().peekable();
        let words = self.0.iter().enumerate();
        words.filter(move |(place, _)| places.next_if_eq(place).is_none()).map(|(_, &word)| word)
    }
}

/// Where a record of `len` words has names.
fn names(kind: Kind, len: usize) -> impl Iterator<Item = usize> {
    let step = match kind {
        Kind::Struct | Kind::Union | Kind::Enum64 => 3,
        Kind::Enum | Kind::FuncProto => 2,
        _ => len,
    };
    let first = if step == len { len } else { 3 };
    std::iter::once(0).chain((first..len).step_by(step.max(1)))
}

/// Where a record of `len` words has types.
fn references(kind: Kind, len: usize) -> impl DoubleEndedIterator<Item = usize> + use<> {
    let (head, rest, step) = match kind {
        Kind::Array => (None, 3..5, 1),
        Kind::Struct | Kind::Union => (None, 4..len, 3),
        Kind::FuncProto => (Some(2), 4..len, 2),
        Kind::DataSec => (None, 3..len, 3),
        Kind::Ptr
        | Kind::Const
        | Kind::Volatile
        | Kind::Restrict
        | Kind::Typedef
        | Kind::TypeTag
        | Kind::Func
        | Kind::Var
        | Kind::DeclTag => (Some(2), 0..0, 1),
        Kind::Void | Kind::Int | Kind::Enum | Kind::Enum64 | Kind::Fwd | Kind::Float | Kind::Unknown => {
            (None, 0..0, 1)
        }
    };
    head.into_iter().chain(rest.step_by(step))
}
