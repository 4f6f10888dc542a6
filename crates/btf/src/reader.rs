//! BTF bytes, indexed in one pass.
//!
//! The pass notes where each type record starts and proves that every record is
//! complete and that every name and type it refers to exists. What is asked later
//! can therefore be answered without failing, straight from the bytes. It costs
//! little: no name is read, let alone sorted.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::error::Error;
use crate::format::{Endian, HEADER_LEN, Info, Kind, MAGIC, TYPE_LEN, TypeId, VERSION, Words};
use crate::index::NameIndex;
use crate::types::Type;

/// The types that a piece of BTF describes.
///
/// Split BTF, as kernel modules have it, continues the ids and strings of a base
/// that it holds on to; through it the base's types are visible too.
pub struct Btf {
    bytes: Cow<'static, [u8]>,
    endian: Endian,
    strings: Range<usize>,
    /// The place in `bytes` of each own record, by id minus `first_id`.
    places: Vec<u32>,
    base: Option<Arc<Btf>>,
    first_id: u32,
    /// The offset that stands for the first byte of the own string section.
    first_string: u32,
    pub(crate) names: NameIndex,
}

impl Btf {
    /// Reads BTF that stands for itself: a kernel's, a program's, an object file's.
    ///
    /// The bytes are kept and not copied. The byte order is found out.
    pub fn parse(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Btf, Error> {
        parse(bytes.into(), None)
    }

    /// Reads split BTF, as that of a kernel module, which continues `base`.
    pub fn parse_split(bytes: impl Into<Cow<'static, [u8]>>, base: Arc<Btf>) -> Result<Btf, Error> {
        parse(bytes.into(), Some(base))
    }

    /// All ids, the base's included, without `void`.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = TypeId> + DoubleEndedIterator + use<> {
        (1..self.end_id()).map(TypeId)
    }

    /// The ids that this BTF adds to its base; all but `void` if it has none.
    pub fn own_ids(&self) -> impl ExactSizeIterator<Item = TypeId> + DoubleEndedIterator + use<> {
        (self.first_id..self.end_id()).map(TypeId)
    }

    /// All types with their ids, the base's included, without `void`.
    pub fn types(&self) -> impl Iterator<Item = (TypeId, Type<'_>)> {
        self.ids().filter_map(|id| Some((id, self.get(id)?)))
    }

    /// The number of types, the base's included, without `void`.
    pub fn len(&self) -> usize {
        self.end_id() as usize - 1
    }

    /// There is no type but `void`.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The string at `offset`, `None` if there is none. Line records hold such offsets.
    #[inline]
    pub fn string(&self, offset: u32) -> Option<&str> {
        let Some(own) = offset.checked_sub(self.first_string) else {
            return self.base.as_ref()?.string(offset);
        };
        let rest = self.strings().get(own as usize..)?;
        let end = memchr::memchr(0, rest)?;
        std::str::from_utf8(&rest[..end]).ok()
    }

    /// The byte order of the bytes.
    pub fn endian(&self) -> Endian {
        self.endian
    }

    /// The bytes it was read from, without those of its base.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The BTF that this one continues.
    pub fn base(&self) -> Option<&Arc<Btf>> {
        self.base.as_ref()
    }

    pub(crate) fn words(&self) -> Words<'_> {
        Words { bytes: &self.bytes, endian: self.endian }
    }

    pub(crate) fn strings(&self) -> &[u8] {
        &self.bytes[self.strings.clone()]
    }

    /// The id after the last.
    pub(crate) fn end_id(&self) -> u32 {
        self.first_id + self.places.len() as u32
    }

    /// The string offset after the last.
    pub(crate) fn end_string(&self) -> u32 {
        self.first_string + self.strings.len() as u32
    }

    #[inline]
    pub(crate) fn record(&self, id: TypeId) -> Option<Record<'_>> {
        match id.0.checked_sub(self.first_id) {
            Some(own) => Some(Record { btf: self, place: *self.places.get(own as usize)? as usize }),
            None => self.base.as_ref()?.record(id),
        }
    }
}

impl fmt::Debug for Btf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Btf")
            .field("types", &(self.first_id..self.end_id()))
            .field("strings", &(self.first_string..self.end_string()))
            .field("endian", &self.endian)
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// The bytes of one type record, known to be complete.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    btf: &'a Btf,
    /// Where in the bytes of `btf` it starts.
    pub(crate) place: usize,
}

impl<'a> Record<'a> {
    /// The word `index` words from its start.
    #[inline]
    pub(crate) fn word(self, index: u32) -> u32 {
        // The index pass has proved that it is there, so the 0 is never seen.
        self.btf.words().get(self.place + 4 * index as usize).unwrap_or(0)
    }

    #[inline]
    pub(crate) fn info(self) -> Info {
        Info::decode(self.word(1))
    }

    #[inline]
    pub(crate) fn name(self) -> &'a str {
        self.string(self.word(0))
    }

    #[inline]
    pub(crate) fn string(self, offset: u32) -> &'a str {
        // The index pass has proved that it is there, so the "" is never seen.
        self.btf.string(offset).unwrap_or("")
    }

    /// The word index of each entry of its list, whose entries have `stride` words.
    #[inline]
    pub(crate) fn entries(
        self,
        stride: u32,
    ) -> impl ExactSizeIterator<Item = u32> + DoubleEndedIterator + use<> {
        (0..self.info().vlen).map(move |entry| 3 + stride * entry)
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record@{}", self.place)
    }
}

fn parse(bytes: Cow<'static, [u8]>, base: Option<Arc<Btf>>) -> Result<Btf, Error> {
    let header = Header::parse(&bytes)?;
    if base.as_ref().is_some_and(|base| base.endian != header.endian) {
        return Err(Error::MixedEndian);
    }
    let strings = &bytes[header.strings.clone()];
    check_strings(strings, base.is_some())?;
    let bounds = Bounds {
        first_id: base.as_ref().map_or(1, |base| base.end_id()),
        first_string: base.as_ref().map_or(0, |base| base.end_string()),
        ascii: strings.is_ascii() && base.as_ref().is_none_or(|base| base.strings().is_ascii()),
        strings,
        base: base.as_deref(),
    };
    if bounds.first_string.checked_add(strings.len() as u32).is_none() {
        return Err(Error::BadStrings("it and its base's are longer than 4 GiB together"));
    }
    let places = index(&bytes, &header, &bounds)?;
    let (first_id, first_string) = (bounds.first_id, bounds.first_string);
    Ok(Btf {
        endian: header.endian,
        strings: header.strings,
        bytes,
        places,
        base,
        first_id,
        first_string,
        names: NameIndex::default(),
    })
}

/// The header, with its sections as ranges of the bytes that are known to be there.
pub(crate) struct Header {
    pub endian: Endian,
    pub types: Range<usize>,
    pub strings: Range<usize>,
    /// The section that tells the size of each kind's records (Linux 7.1); often empty.
    pub layouts: Range<usize>,
}

impl Header {
    pub fn parse(bytes: &[u8]) -> Result<Header, Error> {
        let truncated =
            Error::Truncated { what: "the header", need: HEADER_LEN as u64, have: bytes.len() as u64 };
        let Some(head) = bytes.first_chunk::<HEADER_LEN>() else { return Err(truncated) };
        let magic = u16::from_le_bytes([head[0], head[1]]);
        let endian = match magic {
            MAGIC => Endian::Little,
            swapped if swapped.swap_bytes() == MAGIC => Endian::Big,
            _ => return Err(Error::BadMagic(magic)),
        };
        if head[2] != VERSION {
            return Err(Error::BadVersion(head[2]));
        }
        if u32::try_from(bytes.len()).is_err() {
            return Err(Error::BadHeader("it is followed by more than 4 GiB"));
        }
        let words = Words { bytes, endian };
        let field = |at| words.get(at).ok_or(truncated.clone());
        let len = field(4)? as usize;
        if len < HEADER_LEN {
            return Err(Error::BadHeader("it claims to be shorter than 24 bytes"));
        }
        let section = |what, at| -> Result<Range<usize>, Error> {
            let (start, size) = (u64::from(field(at)?), u64::from(field(at + 4)?));
            let (start, have) = (len as u64 + start, bytes.len() as u64);
            if start + size > have {
                return Err(Error::Truncated { what, need: start + size, have });
            }
            Ok(start as usize..(start + size) as usize)
        };
        let types = section("the type section", 8)?;
        let strings = section("the string section", 16)?;
        let layouts = if len >= HEADER_LEN + 8 { section("the layout section", 24)? } else { 0..0 };
        Ok(Header { endian, types, strings, layouts })
    }
}

fn check_strings(strings: &[u8], split: bool) -> Result<(), Error> {
    match (strings.first(), strings.last()) {
        (None, _) if split => return Ok(()),
        (None, _) => return Err(Error::BadStrings("it is empty")),
        (Some(&first), _) if first != 0 && !split => {
            return Err(Error::BadStrings("it does not start with the empty string"));
        }
        (_, Some(0)) => {}
        _ => return Err(Error::BadStrings("its last string has no end")),
    }
    if std::str::from_utf8(strings).is_err() {
        return Err(Error::BadStrings("it is not UTF-8"));
    }
    Ok(())
}

/// What the references of a record are checked against.
struct Bounds<'a> {
    first_id: u32,
    first_string: u32,
    strings: &'a [u8],
    base: Option<&'a Btf>,
    /// All strings are ASCII, so that each byte of them starts a character.
    ascii: bool,
}

impl Bounds<'_> {
    /// Whether `offset` is in the strings and does not cut a character in two.
    #[inline]
    fn has_string(&self, offset: u32) -> bool {
        match offset.checked_sub(self.first_string) {
            Some(own) if self.ascii => (own as usize) < self.strings.len(),
            Some(own) => self.strings.get(own as usize).is_some_and(|byte| byte & 0xc0 != 0x80),
            None => self.ascii || self.base.is_some_and(|base| base.string(offset).is_some()),
        }
    }
}

/// Finds where each record starts, and checks each.
fn index(bytes: &[u8], header: &Header, bounds: &Bounds<'_>) -> Result<Vec<u32>, Error> {
    let words = Words { bytes: &bytes[..header.types.end], endian: header.endian };
    let mut places = Vec::with_capacity(header.types.len() / 24);
    let mut furthest = Furthest::default();
    let mut place = header.types.start;
    while place < header.types.end {
        let id = TypeId(
            u32::try_from(places.len())
                .ok()
                .and_then(|nth| nth.checked_add(bounds.first_id))
                .ok_or(Error::BadHeader("there are more than 4,294,967,295 types"))?,
        );
        let len = record_len(bytes, words, header, place, id)?;
        let record = &bytes[place..place + len];
        check_record(Words { bytes: record, endian: header.endian }, id, bounds, &mut furthest)?;
        // The header has checked that all bytes together are fewer than 4 GiB.
        places.push(place as u32);
        place += len;
    }
    let end = bounds.first_id.saturating_add(places.len() as u32);
    if furthest.target >= end {
        return Err(Error::BadReference { id: furthest.holder, target: TypeId(furthest.target) });
    }
    Ok(places)
}

/// The bytes of the record at `place`, all of which are within the type section.
#[inline]
fn record_len(
    bytes: &[u8],
    words: Words<'_>,
    header: &Header,
    place: usize,
    id: TypeId,
) -> Result<usize, Error> {
    let have = (header.types.end - place) as u64;
    let info = match words.get(place + 4) {
        Some(info) if have >= TYPE_LEN as u64 => Info::decode(info),
        _ => return Err(Error::Truncated { what: "a type record", need: TYPE_LEN as u64, have }),
    };
    let extra = match Kind::from_number(info.kind) {
        Kind::Void | Kind::Unknown => {
            layout_extra(bytes, header, info).ok_or(Error::UnknownKind { id, kind: info.kind })?
        }
        kind => 4 * kind.extra_words(info.vlen),
    };
    let need = TYPE_LEN as u64 + extra;
    if need > have {
        return Err(Error::Truncated { what: "a type record", need, have });
    }
    Ok(need as usize)
}

/// The bytes that the layout section gives a record of an unknown kind past the common three words.
fn layout_extra(bytes: &[u8], header: &Header, info: Info) -> Option<u64> {
    if info.kind == Kind::Void as u32 {
        return None;
    }
    let layouts = bytes.get(header.layouts.clone())?;
    let layout = layouts.get(4 * info.kind as usize..)?.first_chunk::<4>()?;
    let extra = u64::from(layout[0]) + u64::from(layout[1]) * u64::from(info.vlen);
    // All records consist of words, or the next one would be misplaced.
    extra.is_multiple_of(4).then_some(extra)
}

/// The largest type id referred to, and by which type.
#[derive(Default)]
struct Furthest {
    target: u32,
    holder: TypeId,
}

/// Checks that all names that a record refers to exist, and notes which types it refers to.
#[inline]
fn check_record(
    record: Words<'_>,
    id: TypeId,
    bounds: &Bounds<'_>,
    furthest: &mut Furthest,
) -> Result<(), Error> {
    // The record is as long as its kind and vlen say, so the 0 is never seen.
    let word = |index: usize| record.get(4 * index).unwrap_or(0);
    let name = |index: usize| {
        let offset = word(index);
        if bounds.has_string(offset) { Ok(()) } else { Err(Error::BadName { id, offset }) }
    };
    let mut target = |index: usize| {
        if word(index) > furthest.target {
            *furthest = Furthest { target: word(index), holder: id };
        }
    };
    let info = Info::decode(word(1));
    let entries = info.vlen as usize;
    name(0)?;
    match Kind::from_number(info.kind) {
        Kind::Ptr
        | Kind::Typedef
        | Kind::Volatile
        | Kind::Const
        | Kind::Restrict
        | Kind::Func
        | Kind::Var
        | Kind::DeclTag
        | Kind::TypeTag => target(2),
        Kind::Array => {
            target(3);
            target(4);
        }
        Kind::Struct | Kind::Union => {
            for at in (0..entries).map(|entry| 3 + 3 * entry) {
                name(at)?;
                target(at + 1);
            }
        }
        Kind::Enum => {
            for at in (0..entries).map(|entry| 3 + 2 * entry) {
                name(at)?;
            }
        }
        Kind::Enum64 => {
            for at in (0..entries).map(|entry| 3 + 3 * entry) {
                name(at)?;
            }
        }
        Kind::FuncProto => {
            target(2);
            for at in (0..entries).map(|entry| 3 + 2 * entry) {
                name(at)?;
                target(at + 1);
            }
        }
        Kind::DataSec => {
            for at in (0..entries).map(|entry| 3 + 3 * entry) {
                target(at);
            }
        }
        Kind::Void | Kind::Int | Kind::Fwd | Kind::Float | Kind::Unknown => {}
    }
    Ok(())
}
