//! Bytes of events, keys and values, seen as typed values.
//!
//! A [`Value`] borrows the bytes it was read from, so decoding an event allocates nothing. The layouts
//! are those of [`skep_lang::ty`]. Whatever the bytes are, decoding gives some value: what is missing
//! reads as zero or empty.

use std::cmp::Ordering;

use skep_compile::artifact::{Artifact, EventField};
use skep_lang::hir::{Config, Target};
use skep_lang::ty::{FUNC_MARK, Field, Shown, Ty, TyKind, Types};
use skep_symbols::Symbols;

use crate::host::Host;
use crate::shown;
use crate::stack::{Stack, Symbol};

/// What is needed to understand bytes: the types, and the names that indices stand for.
#[derive(Clone, Copy, Debug)]
pub struct Schema<'a> {
    symbols: Option<&'a Symbols>,
    types: &'a Types,
    targets: &'a [Target],
    max_strlen: u32,
    trailer: &'a [u8],
    texts: &'a [String],
    host: Option<&'a Host>,
}

impl<'a> Schema<'a> {
    /// The schema of a compiled script that runs on this machine.
    pub fn of(artifact: &'a Artifact, host: &'a Host) -> Schema<'a> {
        let schema = Schema::new(&artifact.types, &artifact.targets, &artifact.config);
        Schema { texts: &artifact.texts, host: Some(host), ..schema }
    }

    /// A schema from its parts.
    pub fn new(types: &'a Types, targets: &'a [Target], config: &'a Config) -> Schema<'a> {
        let (max_strlen, trailer) = (config.max_strlen, config.str_trunc_trailer.as_bytes());
        Schema { symbols: None, types, targets, max_strlen, trailer, texts: &[], host: None }
    }

    /// The schema with someone who knows the names of addresses.
    #[must_use]
    pub fn with_symbols(self, symbols: &'a Symbols) -> Schema<'a> {
        Schema { symbols: Some(symbols), ..self }
    }

    /// The types.
    pub fn types(&self) -> &'a Types {
        self.types
    }

    /// Reads a value of a type from the start of some bytes.
    pub fn value(self, ty: Ty, bytes: &'a [u8]) -> Value<'a> {
        match self.types.kind(ty) {
            TyKind::Error | TyKind::Void | TyKind::Agg(_) | TyKind::Opaque { .. } => Value::Void,
            TyKind::Bool => Value::Bool(bytes.first().is_some_and(|&byte| byte != 0)),
            TyKind::Int { bits, signed } => {
                let unused = 64 - u32::from(*bits).clamp(8, 64);
                let raw = word(bytes) << unused;
                if *signed { Value::Int(raw.cast_signed() >> unused) } else { Value::Uint(raw >> unused) }
            }
            TyKind::Str(capacity) => Value::Text(self.text(*capacity, bytes)),
            TyKind::Buf(capacity) => {
                let len = (word(bytes) as u32).min(*capacity) as usize;
                let data = bytes.get(4..).unwrap_or_default();
                Value::Bytes(data.get(..len).unwrap_or(data))
            }
            TyKind::Ptr { .. } => Value::Pointer(word(bytes)),
            TyKind::Probe => {
                let index = usize::try_from(word(bytes)).unwrap_or(usize::MAX);
                let name = self.targets.get(index).map_or("", |target| &target.name);
                Value::Text(Text { bytes: name.as_bytes(), trailer: b"", foreign: false })
            }
            TyKind::KernelSymbol if word(bytes) >> 32 == FUNC_MARK >> 32 => {
                self.value(Ty::FUNC, bytes.get(..4).unwrap_or_default())
            }
            TyKind::Func => {
                let index = usize::try_from(word(bytes)).unwrap_or(usize::MAX);
                let name = self.targets.get(index).and_then(Target::function).unwrap_or_default();
                Value::Text(Text { bytes: name.as_bytes(), trailer: b"", foreign: false })
            }
            TyKind::Shown(what) => {
                let size = self.types.size(ty) as usize;
                let bytes = bytes.get(..size).unwrap_or(bytes);
                Value::Shown(Meaning { schema: self, what: *what, bytes })
            }
            TyKind::Stack(stack) => Value::Stack(Stack::new(*stack, bytes, self.symbols)),
            TyKind::KernelSymbol => Value::Symbol(Symbol::new(None, word(bytes), self.symbols)),
            TyKind::UserSymbol => {
                let pid = word(bytes.get(8..).unwrap_or_default()) as u32;
                Value::Symbol(Symbol::new(Some(pid), word(bytes), self.symbols))
            }
            TyKind::Array { .. } => Value::Array(Elems { schema: self, ty, bytes }),
            TyKind::Tuple(_) => Value::Tuple(Elems { schema: self, ty, bytes }),
            TyKind::Record(_) | TyKind::Struct { .. } => Value::Record(Elems { schema: self, ty, bytes }),
            TyKind::Enum(_) => {
                let known = self.types.enum_of(ty);
                let (bits, signed) = known.map_or((32, false), |known| (known.bits, known.signed));
                let value = number(word(bytes), bits, signed);
                Value::Enum { value, name: known.and_then(|known| known.name_of(value)) }
            }
        }
    }

    /// A text that ends at its first NUL. One that fills the capacity of `str()` was probably longer.
    fn text(self, capacity: u32, bytes: &'a [u8]) -> Text<'a> {
        let bytes = bytes.get(..capacity as usize).unwrap_or(bytes);
        let len = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        self.truncated(capacity, &bytes[..len])
    }

    fn truncated(self, capacity: u32, bytes: &'a [u8]) -> Text<'a> {
        let unbounded = capacity == self.max_strlen || capacity == self.max_strlen.saturating_add(1);
        let full = bytes.len() + 1 >= capacity as usize;
        Text { bytes, trailer: if unbounded && full { self.trailer } else { b"" }, foreign: true }
    }

    /// The fields of a record of a ring buffer, in order. `fixed_size` is where packed texts begin.
    pub fn fields(self, fields: &'a [EventField], fixed_size: u32, record: &'a [u8]) -> Fields<'a> {
        Fields { schema: self, fields, record, packed_at: fixed_size as usize }
    }
}

/// The first eight bytes as an integer; missing bytes are zero.
fn word(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)),
    }
}

/// The low bits of a word as a number.
fn number(word: u64, bits: u8, signed: bool) -> i128 {
    let unused = 64 - u32::from(bits).clamp(1, 64);
    let high = word << unused;
    if signed { i128::from(high.cast_signed() >> unused) } else { i128::from(high >> unused) }
}

/// A typed value.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Nothing.
    Void,
    /// `true` or `false`.
    Bool(bool),
    /// A signed integer of any width.
    Int(i64),
    /// An unsigned integer of any width.
    Uint(u64),
    /// A value of an enum, with its name if it has one.
    Enum {
        /// Within 64 bits.
        value: i128,
        /// As declared.
        name: Option<&'a str>,
    },
    /// Text, or the name of a probe.
    Text(Text<'a>),
    /// Raw bytes.
    Bytes(&'a [u8]),
    /// An address.
    Pointer(u64),
    /// Something that has a text here and not in the kernel.
    Shown(Meaning<'a>),
    /// The frames of a stack.
    Stack(Stack<'a>),
    /// An address that is shown as a name.
    Symbol(Symbol<'a>),
    /// Values of one type.
    Array(Elems<'a>),
    /// Values of several types.
    Tuple(Elems<'a>),
    /// Named values.
    Record(Elems<'a>),
}

/// A text that need not be UTF-8.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// Without the NUL.
    pub bytes: &'a [u8],
    /// Printed after it, because it was longer than what was kept.
    pub trailer: &'a [u8],
    /// Whether another process wrote it, so that it must not reach a terminal as it is.
    pub foreign: bool,
}

impl<'a> Text<'a> {
    /// A text of our own.
    pub fn own(text: &'a str) -> Text<'a> {
        Text { bytes: text.as_bytes(), trailer: b"", foreign: false }
    }
}

impl Value<'_> {
    /// The 64 bits of an integer, boolean or address, extended according to its sign.
    pub fn as_bits(&self) -> Option<u64> {
        match *self {
            Value::Bool(value) => Some(u64::from(value)),
            Value::Int(value) => Some(value.cast_unsigned()),
            Value::Uint(value) | Value::Pointer(value) => Some(value),
            Value::Enum { value, .. } => Some(value as u64),
            _ => None,
        }
    }

    /// The order in which keys are printed: numbers by size, texts and bytes by their bytes, tuples by
    /// their first difference. Values of different shapes, which no map has, count as equal.
    pub fn order(&self, other: &Value<'_>) -> Ordering {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Uint(a), Value::Uint(b)) | (Value::Pointer(a), Value::Pointer(b)) => a.cmp(b),
            (Value::Enum { value: a, .. }, Value::Enum { value: b, .. }) => a.cmp(b),
            (Value::Text(a), Value::Text(b)) => a.bytes.cmp(b.bytes),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            (Value::Shown(a), Value::Shown(b)) => a.bytes.cmp(b.bytes),
            (Value::Stack(a), Value::Stack(b)) => a.order(b),
            (Value::Symbol(a), Value::Symbol(b)) => a.order(b),
            (Value::Array(a), Value::Array(b))
            | (Value::Tuple(a), Value::Tuple(b))
            | (Value::Record(a), Value::Record(b)) => a
                .into_iter()
                .zip(*b)
                .map(|(a, b)| a.order(&b))
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal),
            _ => Ordering::Equal,
        }
    }
}

/// A value whose text is made here.
#[derive(Clone, Copy, Debug)]
pub struct Meaning<'a> {
    schema: Schema<'a>,
    what: Shown,
    bytes: &'a [u8],
}

impl Meaning<'_> {
    /// The text.
    pub fn text(&self) -> String {
        shown::text(self.what, self.bytes, self.schema.texts, self.schema.host)
    }
}

/// The parts of an array, tuple, record or struct.
#[derive(Clone, Copy, Debug)]
pub struct Elems<'a> {
    schema: Schema<'a>,
    ty: Ty,
    bytes: &'a [u8],
}

impl<'a> Elems<'a> {
    /// Each part with its name, for records and structs.
    pub fn named(self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        (0..).map_while(move |index| self.schema.name_of(self.ty, index)).zip(self)
    }
}

impl<'a> Schema<'a> {
    fn name_of(self, ty: Ty, index: usize) -> Option<&'a str> {
        match self.types.kind(ty) {
            TyKind::Record(fields) => fields.get(index).map(|(name, _)| &**name),
            TyKind::Struct { .. } => self.fields_of(ty).get(index).map(|field| &*field.name),
            _ => None,
        }
    }

    fn fields_of(self, ty: Ty) -> &'a [Field] {
        self.types.struct_of(ty).and_then(|known| known.fields.as_deref()).unwrap_or_default()
    }

    /// The value of a field in the bytes of its struct.
    fn field(self, field: &'a Field, bytes: &'a [u8]) -> Value<'a> {
        let rest = bytes.get(field.offset as usize..).unwrap_or_default();
        let Some(bits) = field.bits else {
            let size = self.types.size(field.ty) as usize;
            return self.value(field.ty, rest.get(..size).unwrap_or(rest));
        };
        let raw = word(rest.get(..bits.bytes().min(8) as usize).unwrap_or(rest)) >> bits.shift;
        let (_, signed) = self.types.as_int(field.ty).unwrap_or((64, false));
        let value = number(raw, bits.width, signed);
        match self.types.kind(field.ty) {
            TyKind::Bool => Value::Bool(value != 0),
            TyKind::Enum(_) => {
                let known = self.types.enum_of(field.ty);
                Value::Enum { value, name: known.and_then(|known| known.name_of(value)) }
            }
            _ if signed => Value::Int(value as i64),
            _ => Value::Uint(value as u64),
        }
    }
}

impl<'a> IntoIterator for Elems<'a> {
    type Item = Value<'a>;
    type IntoIter = ElemsIter<'a>;

    fn into_iter(self) -> ElemsIter<'a> {
        ElemsIter { elems: self, index: 0, at: 0 }
    }
}

/// See [`Elems`].
#[derive(Clone, Debug)]
pub struct ElemsIter<'a> {
    elems: Elems<'a>,
    index: usize,
    at: usize,
}

impl<'a> Iterator for ElemsIter<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let Elems { schema, ty, bytes } = self.elems;
        let index = self.index;
        self.index += 1;
        let elem = match schema.types.kind(ty) {
            TyKind::Array { elem, len } => (index < *len as usize).then_some(*elem),
            TyKind::Tuple(elems) => elems.get(index).copied(),
            TyKind::Record(fields) => fields.get(index).map(|(_, ty)| *ty),
            TyKind::Struct { .. } => return Some(schema.field(schema.fields_of(ty).get(index)?, bytes)),
            _ => None,
        }?;
        let align = schema.types.align(elem).max(1) as usize;
        let start = self.at.next_multiple_of(align);
        let size = schema.types.size(elem) as usize;
        self.at = start.saturating_add(size);
        let rest = bytes.get(start..).unwrap_or_default();
        Some(schema.value(elem, rest.get(..size).unwrap_or(rest)))
    }
}

/// The fields of one record.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    schema: Schema<'a>,
    fields: &'a [EventField],
    record: &'a [u8],
    packed_at: usize,
}

impl<'a> Fields<'a> {
    /// No fields.
    pub fn none(schema: Schema<'a>) -> Fields<'a> {
        Fields { schema, fields: &[], record: &[], packed_at: 0 }
    }
}

impl<'a> Fields<'a> {
    /// Packed texts in order, each `None` that could not be read.
    pub fn texts(self) -> impl Iterator<Item = Option<&'a [u8]>> {
        let record = self.record;
        let lengths = self
            .fields
            .iter()
            .map(move |field| word(record.get(field.offset as usize..).unwrap_or_default()) as u32);
        lengths.zip(self).map(|(length, text)| match text {
            Value::Text(text) if length > 0 => Some(text.bytes),
            _ => None,
        })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let (field, rest) = self.fields.split_first()?;
        self.fields = rest;
        let bytes = self.record.get(field.offset as usize..).unwrap_or_default();
        if !field.packed {
            return Some(self.schema.value(field.ty, bytes));
        }
        let len = word(bytes.get(..4).unwrap_or(bytes)) as usize;
        let rest = self.record.get(self.packed_at..).unwrap_or_default();
        let text = rest.get(..len).unwrap_or(rest);
        self.packed_at = self.packed_at.saturating_add(len);
        let capacity = self.schema.types.size(field.ty);
        Some(Value::Text(self.schema.text(capacity, text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_lang::hir::Attach;
    use skep_lang::ty::{Origin, Space};
    use std::sync::Arc;

    fn config() -> Config {
        Config { max_strlen: 8, ..Config::default() }
    }

    #[test]
    fn integers_are_extended_by_their_sign() {
        let types = Types::default();
        let config = config();
        let schema = Schema::new(&types, &[], &config);
        let bytes = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(matches!(schema.value(Ty::I8, &bytes), Value::Int(-2)));
        assert!(matches!(schema.value(Ty::U8, &bytes), Value::Uint(0xfe)));
        assert!(matches!(schema.value(Ty::I64, &bytes), Value::Int(-2)));
        assert!(matches!(schema.value(Ty::U32, &bytes), Value::Uint(0xffff_fffe)));
        assert!(matches!(schema.value(Ty::U64, &[]), Value::Uint(0)));
    }

    #[test]
    fn a_text_that_fills_the_default_capacity_gets_the_trailer() {
        let mut types = Types::default();
        let (unbounded, bounded) = (types.str(8), types.str(4));
        let config = config();
        let schema = Schema::new(&types, &[], &config);
        let text = |ty, bytes| match schema.value(ty, bytes) {
            Value::Text(text) => (text.bytes.to_vec(), text.trailer.to_vec()),
            other => panic!("{other:?}"),
        };
        assert_eq!(text(unbounded, b"abcdef\0\0"), (b"abcdef".to_vec(), b"".to_vec()));
        assert_eq!(text(unbounded, b"abcdefg\0"), (b"abcdefg".to_vec(), b"..".to_vec()));
        assert_eq!(text(bounded, b"abc\0"), (b"abc".to_vec(), b"".to_vec()));
    }

    #[test]
    fn tuples_are_read_by_the_layout_of_the_types() {
        let mut types = Types::default();
        let name = types.str(3);
        let tuple = types.tuple([Ty::U8, Ty::U32, name, Ty::PROBE]);
        let targets = [Target { name: "begin".into(), attach: Attach::Begin, wildcard: false }];
        let config = config();
        let schema = Schema::new(&types, &targets, &config);
        let mut bytes = vec![0; types.size(tuple) as usize];
        bytes[0] = 7;
        bytes[4] = 9;
        bytes[8..10].copy_from_slice(b"hi");
        let Value::Tuple(elems) = schema.value(tuple, &bytes) else { panic!() };
        let elems: Vec<_> = elems.into_iter().collect();
        assert!(matches!(elems[0], Value::Uint(7)));
        assert!(matches!(elems[1], Value::Uint(9)));
        assert!(matches!(elems[2], Value::Text(text) if text.bytes == b"hi"));
        assert!(matches!(elems[3], Value::Text(text) if text.bytes == b"begin"));
    }

    #[test]
    fn structs_are_read_by_their_fields_bitfields_among_them() {
        use skep_btf::{Btf, BtfBuilder, Enumerator, IntEncoding, Kind, Member};
        let member = |name, ty, bit_offset, bitfield_size| Member { name, ty, bit_offset, bitfield_size };
        let mut b = BtfBuilder::new();
        let int = b.int("int", 4, IntEncoding::SIGNED);
        let bool = b.int("_Bool", 1, IntEncoding::BOOL);
        let state = b.enum_("state", 4, false, &[Enumerator { name: "RUNS", value: 2 }]);
        let members = [
            member("a", int, 0, 3),
            member("b", int, 3, 13),
            member("on", bool, 16, 1),
            member("state", state, 32, 0),
        ];
        b.struct_("s", 8, &members);
        let mut types = Types::default();
        let source = types.add_source(Origin::Script, Arc::new(Btf::parse(b.finish()).unwrap()));
        let ty = types.named(source, &[Kind::Struct], "s", Space::Kernel).unwrap();
        types.complete(ty);
        let config = config();
        let schema = Schema::new(&types, &[], &config);
        let Value::Record(elems) = schema.value(ty, &[0b0000_1101, 0b1000_0000, 1, 0, 2]) else { panic!() };
        let shown: Vec<_> = elems.named().map(|(name, value)| format!("{name} {value:?}")).collect();
        let expected =
            ["a Int(-3)", "b Int(-4095)", "on Bool(true)", "state Enum { value: 2, name: Some(\"RUNS\") }"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn packed_texts_follow_each_other() {
        let mut types = Types::default();
        let text = types.str(64);
        let config = config();
        let schema = Schema::new(&types, &[], &config);
        let fields = [
            EventField { offset: 8, ty: text, packed: true },
            EventField { offset: 12, ty: text, packed: true },
            EventField { offset: 16, ty: Ty::I64, packed: false },
            EventField { offset: 24, ty: text, packed: true },
        ];
        let mut record = vec![0; 32];
        record[8] = 4;
        record[16] = 5;
        record[24] = 3;
        record.extend_from_slice(b"abc\0yz\0");
        let values: Vec<_> = schema.fields(&fields, 32, &record).collect();
        assert!(matches!(values[0], Value::Text(text) if text.bytes == b"abc"));
        assert!(matches!(values[1], Value::Text(text) if text.bytes.is_empty()));
        assert!(matches!(values[2], Value::Int(5)));
        assert!(matches!(values[3], Value::Text(text) if text.bytes == b"yz"));
    }

    fn any_ty() -> impl proptest::strategy::Strategy<Value = (Types, Ty)> {
        use proptest::prelude::*;
        proptest::collection::vec((0u8..12, 0u32..40), 1..8).prop_map(|shapes| {
            let mut types = Types::default();
            let mut made = vec![Ty::U8];
            for (kind, number) in shapes {
                let last = *made.last().unwrap_or(&Ty::U8);
                let ty = match kind {
                    0 => Ty::BOOL,
                    1 => types.int(16, true),
                    2 => types.str(number),
                    3 => types.intern(TyKind::Buf(number)),
                    4 => types.ptr(last, Space::User),
                    5 => types.intern(TyKind::Array { elem: last, len: number }),
                    6 | 7 => types.tuple(made.clone()),
                    8 => types.intern(TyKind::Record(Box::from([("a".into(), last), ("b".into(), Ty::U64)]))),
                    9 => Ty::PROBE,
                    10 => Ty::VOID,
                    _ => Ty::I64,
                };
                made.push(ty);
            }
            let ty = *made.last().unwrap_or(&Ty::U8);
            (types, ty)
        })
    }

    fn walk(value: Value<'_>, budget: &mut u32) {
        *budget = budget.saturating_sub(1);
        if let (Value::Array(elems) | Value::Tuple(elems) | Value::Record(elems), true) = (value, *budget > 0)
        {
            elems.into_iter().take(100).for_each(|elem| walk(elem, budget));
            elems.named().take(100).for_each(|_| ());
        }
        assert_eq!(value.order(&value), Ordering::Equal);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_decode_to_something(
            (types, ty) in any_ty(),
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
            offsets in proptest::collection::vec((0u32..300, proptest::bool::ANY), 0..5),
            fixed in 0u32..300,
        ) {
            let config = config();
            let schema = Schema::new(&types, &[], &config);
            let mut budget = 2000;
            walk(schema.value(ty, &bytes), &mut budget);
            let fields: Vec<_> =
                offsets.iter().map(|&(offset, packed)| EventField { offset, ty, packed }).collect();
            schema.fields(&fields, fixed, &bytes).for_each(|value| walk(value, &mut budget));
        }
    }
}
