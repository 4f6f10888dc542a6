//! Events as owned data, for Rust callers.

use std::io;

use skep_lang::hir::PrintTo;

use super::printf;
use super::value::into_text;
use super::{Event, Sink, Source, Trial};
use crate::aggregate::{Number, Reduced};
use crate::decode::Value;

use crate::maps::{Entry, EntryValue, MapView};
use crate::stack::StackFrame;

/// Hands owned [`Record`]s to a closure.
///
/// The closure decides whether the script goes on: [`std::io::ErrorKind::BrokenPipe`] ends it as a closed output
/// would.
pub struct Collect<F> {
    each: F,
}

impl<F: FnMut(Record) -> io::Result<()>> Collect<F> {
    /// Calls `each` for every event that carries data.
    pub fn new(each: F) -> Collect<F> {
        Collect { each }
    }
}

/// An event, owned.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Record {
    /// Everything is attached.
    Attached {
        /// Number of attach points.
        probes: usize,
    },
    /// `printf`, `errorf`, `warnf`.
    Printf {
        /// Whether it is for standard error.
        message: bool,
        /// The formatted text.
        text: String,
        /// The values, one for each conversion.
        values: Vec<Data>,
    },
    /// `print(e)`; a tuple or record is how a script emits a row.
    Value(Data),
    /// `print(@m)`, and each map at the end.
    Map {
        /// With its `@`.
        name: String,
        /// In printing order.
        entries: Vec<MapEntry>,
    },
    /// `time()`
    Time(String),
    /// What `cat()`, `system()` and the like brought from outside.
    Brought {
        /// Which.
        by: Source,
        /// As it was.
        bytes: Vec<u8>,
    },
    /// A test was run.
    Tested {
        /// Its name.
        name: String,
        /// Whether all is well.
        passed: bool,
    },
    /// Something that the script asked for cannot be done.
    Problem(String),
    /// A kernel helper failed.
    HelperError {
        /// As the kernel calls it.
        helper: String,
        /// A negative errno.
        code: i64,
    },
    /// Records or runs that were lost.
    Lost {
        /// All together.
        total: u64,
        /// Of each probe that lost any.
        probes: Vec<(String, u64)>,
    },
    /// All probes are done.
    Finished,
}

/// One entry of a map.
#[derive(Clone, Debug, PartialEq)]
pub struct MapEntry {
    /// [`Data::Void`] for a map without keys.
    pub key: Data,
    /// A plain value or an aggregation.
    pub value: Data,
}

/// A value, owned.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Data {
    /// Nothing.
    Void,
    /// `true` or `false`.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer or an address.
    Uint(u64),
    /// A value of an enum of C.
    Enum {
        /// The number.
        value: i128,
        /// Its name, if it has one.
        name: Option<String>,
    },
    /// Text; what was not UTF-8 became the replacement character.
    Text(String),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// An array or a tuple.
    List(Vec<Data>),
    /// The frames of a stack, the innermost one first.
    Stack(Vec<StackFrame>),
    /// Named values.
    Record(Vec<(String, Data)>),
    /// `avg`, `stats` and histograms.
    Aggregate(Reduced),
}

impl From<Value<'_>> for Data {
    fn from(value: Value<'_>) -> Data {
        match value {
            Value::Void => Data::Void,
            Value::Bool(value) => Data::Bool(value),
            Value::Int(value) => Data::Int(value),
            Value::Uint(value) | Value::Pointer(value) => Data::Uint(value),
            Value::Enum { value, name } => Data::Enum { value, name: name.map(str::to_owned) },
            Value::Text(text) => Data::Text(into_text([text.bytes, text.trailer].concat())),
            Value::Bytes(bytes) => Data::Bytes(bytes.to_vec()),
            Value::Shown(meaning) => Data::Text(meaning.text()),
            Value::Stack(stack) => Data::Stack(stack.frames()),
            Value::Symbol(symbol) => {
                let name = symbol.frame().and_then(|frame| frame.name);
                Data::Text(name.map_or_else(|| format!("{:#x}", symbol.address()), String::from))
            }
            Value::Array(elems) | Value::Tuple(elems) => {
                Data::List(elems.into_iter().map(Data::from).collect())
            }
            Value::Record(elems) => {
                Data::Record(elems.named().map(|(name, value)| (name.to_owned(), value.into())).collect())
            }
        }
    }
}

impl From<Number> for Data {
    fn from(number: Number) -> Data {
        match number {
            Number::Signed(value) => Data::Int(value),
            Number::Unsigned(value) => Data::Uint(value),
        }
    }
}

impl From<&Reduced> for Data {
    fn from(reduced: &Reduced) -> Data {
        match reduced {
            Reduced::Number(number) => (*number).into(),
            other => Data::Aggregate(other.clone()),
        }
    }
}

impl MapView<'_> {
    /// The entries, owned, in printing order.
    pub fn to_entries(&self) -> Vec<MapEntry> {
        let entry = |entry: &Entry| {
            let value = match &entry.value {
                EntryValue::Plain(bytes) => self.plain(bytes).into(),
                EntryValue::Reduced(reduced) => reduced.into(),
            };
            MapEntry { key: self.key(entry).into(), value }
        };
        self.entries.iter().map(entry).collect()
    }
}

impl<F: FnMut(Record) -> io::Result<()>> Sink for Collect<F> {
    fn event(&mut self, event: Event<'_>) -> io::Result<()> {
        let record = match event {
            Event::Attached { probes } => Record::Attached { probes },
            Event::Printf { to, format, args, .. } => {
                let values = args.clone().map(Data::from).collect();
                let mut text = Vec::new();
                printf::format(&mut text, format, args, false);
                Record::Printf { message: to != PrintTo::Output, text: into_text(text), values }
            }
            Event::Value(value) => Record::Value(value.into()),
            Event::Entry(reduced) => Record::Value(reduced.into()),
            Event::Map(map) => Record::Map { name: map.name.to_owned(), entries: map.to_entries() },
            Event::Time(text) => Record::Time(text.to_owned()),
            Event::Brought { by, bytes } => Record::Brought { by, bytes: bytes.to_vec() },
            Event::Trial(trial) => match trial {
                Trial::Result { name, passed, .. } => Record::Tested { name: name.to_owned(), passed },
                _ => return Ok(()),
            },
            Event::Problem(text) => Record::Problem(text.to_owned()),
            Event::HelperError { helper, code, .. } => {
                Record::HelperError { helper: helper.to_owned(), code }
            }
            Event::Lost { total, probes } => Record::Lost { total, probes: probes.to_vec() },
            Event::Finished => Record::Finished,
        };
        (self.each)(record)
    }
}
