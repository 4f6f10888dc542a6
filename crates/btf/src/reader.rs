//! BTF bytes, indexed in one pass.
//!
//! The pass notes where each type record starts and proves that every record is
//! complete and that every name and type it refers to exists. What is asked later
//! can therefore be answered without failing, straight from the bytes. It costs
//! little: no name is read, let alone sorted. A name or type that a kernel's own
//! BTF refers to and does not have, which the kernel excludes, would read as none.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::error::Error;
use crate::format::{Endian, HEADER_LEN, Info, Kind, MAGIC, TYPE_LEN, TypeId, VERSION, Words};
use crate::names::NameIndex;
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
        parse(bytes.into(), None, Origin::Anywhere)
    }

    /// Reads the BTF of the running kernel itself, as it shows it to be read.
    ///
    /// The kernel has checked what its types refer to when it started. That is not done again, which is most of the
    /// work.
    pub fn of_kernel(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Btf, Error> {
        parse(bytes.into(), None, Origin::Kernel)
    }

    /// Reads split BTF, as that of a kernel module, which continues `base`.
    pub fn parse_split(bytes: impl Into<Cow<'static, [u8]>>, base: Arc<Btf>) -> Result<Btf, Error> {
        parse(bytes.into(), Some(base), Origin::Anywhere)
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
        // The index pass, or the kernel, has proved that it is there, so the "" is never seen.
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

/// Where bytes come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// From somebody who may be wrong.
    Anywhere,
    /// From the kernel, which has checked them.
    Kernel,
}

fn parse(bytes: Cow<'static, [u8]>, base: Option<Arc<Btf>>, origin: Origin) -> Result<Btf, Error> {
    let header = Header::parse(&bytes)?;
    if base.as_ref().is_some_and(|base| base.endian != header.endian) {
        return Err(Error::MixedEndian);
    }
    let strings = &bytes[header.strings.clone()];
    check_strings(strings, base.is_some())?;
    let ascii = origin == Origin::Kernel || is_ascii(strings)?;
    let bounds = Bounds {
        first_id: base.as_ref().map_or(1, |base| base.end_id()),
        first_string: base.as_ref().map_or(0, |base| base.end_string()),
        ascii: ascii && base.as_ref().is_none_or(|base| base.strings().is_ascii()),
        strings,
        base: base.as_deref(),
    };
    if bounds.first_string.checked_add(strings.len() as u32).is_none() {
        return Err(Error::BadStrings("it and its base's are longer than 4 GiB together"));
    }
    let places = index(&bytes, &header, &bounds, origin)?;
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
    Ok(())
}

/// Whether all strings are ASCII; they are UTF-8 at least.
fn is_ascii(strings: &[u8]) -> Result<bool, Error> {
    let ascii = strings.is_ascii();
    if !ascii && std::str::from_utf8(strings).is_err() {
        return Err(Error::BadStrings("it is not UTF-8"));
    }
    Ok(ascii)
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
    /// Refuses a name of type `id` that is not in the strings or cuts a character in two.
    fn check_string(&self, offset: u32, id: TypeId) -> Result<(), Error> {
        let known = match offset.checked_sub(self.first_string) {
            Some(own) => self.strings.get(own as usize).is_some_and(|byte| byte & 0xc0 != 0x80),
            None => self.base.is_some_and(|base| base.string(offset).is_some()),
        };
        if known { Ok(()) } else { Err(Error::BadName { id, offset }) }
    }
}

/// Finds where each record starts, and checks what each refers to unless somebody else has.
fn index(bytes: &[u8], header: &Header, bounds: &Bounds<'_>, origin: Origin) -> Result<Vec<u32>, Error> {
    // Copies of the loop, none of which asks for the byte order at each word.
    match (header.endian, origin) {
        (Endian::Little, Origin::Anywhere) => index_as(bytes, header, bounds, true, u32::from_le_bytes),
        (Endian::Little, Origin::Kernel) => index_as(bytes, header, bounds, false, u32::from_le_bytes),
        (Endian::Big, _) => index_as(bytes, header, bounds, true, u32::from_be_bytes),
    }
}

#[inline(always)]
fn index_as(
    bytes: &[u8],
    header: &Header,
    bounds: &Bounds<'_>,
    check: bool,
    number: impl Fn([u8; 4]) -> u32 + Copy,
) -> Result<Vec<u32>, Error> {
    let (mut rest, odd) = bytes[header.types.clone()].as_chunks::<4>();
    // A kernel's records have six words on average.
    let mut places = Vec::with_capacity(rest.len() / 5);
    let mut place = header.types.start;
    let mut furthest = Furthest::default();
    while let Some((&[name, info, third], behind)) = rest.split_first_chunk::<3>() {
        // The header has checked that all bytes together are fewer than 4 GiB, so there are not as many types.
        let id = TypeId(bounds.first_id.saturating_add(places.len() as u32));
        let info = Info::decode(number(info));
        let kind = Kind::from_number(info.kind);
        let extra = match kind {
            Kind::Void | Kind::Unknown => {
                layout_words(bytes, header, info).ok_or(Error::UnknownKind { id, kind: info.kind })?
            }
            kind => kind.extra_words(info.vlen),
        };
        let Some((list, next)) = behind.split_at_checked(extra as usize) else {
            let (need, have) = (TYPE_LEN as u64 + 4 * extra, 4 * rest.len() as u64);
            return Err(Error::Truncated { what: "a type record", need, have });
        };
        if check {
            let references = References { kind, name: number(name), third: number(third), list, number };
            furthest.note(references.furthest(), id);
            if !bounds.ascii {
                references.each_name(|offset| bounds.check_string(offset, id))?;
            }
        }
        places.push(place as u32);
        place += TYPE_LEN + 4 * list.len();
        rest = next;
    }
    if !rest.is_empty() || !odd.is_empty() {
        let have = (header.types.end - place) as u64;
        return Err(Error::Truncated { what: "a type record", need: TYPE_LEN as u64, have });
    }
    let end = bounds.first_id.saturating_add(places.len() as u32);
    furthest.check(end, bounds)?;
    Ok(places)
}

/// The words that the layout section gives a record of an unknown kind past the common three.
#[cold]
fn layout_words(bytes: &[u8], header: &Header, info: Info) -> Option<u64> {
    if info.kind == Kind::Void as u32 {
        return None;
    }
    let layouts = bytes.get(header.layouts.clone())?;
    let layout = layouts.get(4 * info.kind as usize..)?.first_chunk::<4>()?;
    let extra = u64::from(layout[0]) + u64::from(layout[1]) * u64::from(info.vlen);
    // All records consist of words, or the next one would be misplaced.
    extra.is_multiple_of(4).then_some(extra / 4)
}

/// The largest name offset and the largest type id of something.
#[derive(Clone, Copy, Default)]
struct Reach {
    name: u32,
    target: u32,
}

/// The largest of all, and by which types. Nothing else needs to be known of the references of most BTF, and it can be
/// found out without looking at each of them for long.
#[derive(Default)]
struct Furthest {
    reach: Reach,
    name_holder: TypeId,
    target_holder: TypeId,
}

impl Furthest {
    #[inline]
    fn note(&mut self, of: Reach, holder: TypeId) {
        if of.name > self.reach.name {
            self.reach.name = of.name;
            self.name_holder = holder;
        }
        if of.target > self.reach.target {
            self.reach.target = of.target;
            self.target_holder = holder;
        }
    }

    /// Refuses types from `end` on and strings past the last.
    fn check(&self, end: u32, bounds: &Bounds<'_>) -> Result<(), Error> {
        let Reach { name, target } = self.reach;
        // The sum has been checked not to be too large. In a base's strings there is always an end.
        if name != 0 && name >= bounds.first_string + bounds.strings.len() as u32 {
            return Err(Error::BadName { id: self.name_holder, offset: name });
        }
        if target >= end {
            return Err(Error::BadReference { id: self.target_holder, target: TypeId(target) });
        }
        Ok(())
    }
}

/// The names and types that a record refers to.
#[derive(Clone, Copy)]
struct References<'a, N> {
    kind: Kind,
    /// Two of the words that all records have; the third may be a type.
    name: u32,
    third: u32,
    /// The words past those.
    list: &'a [[u8; 4]],
    /// A word of the bytes as a number.
    number: N,
}

impl<N: Fn([u8; 4]) -> u32 + Copy> References<'_, N> {
    #[inline(always)]
    fn furthest(self) -> Reach {
        let Self { name, third, .. } = self;
        let (alone, with_type) = (Reach { name, target: 0 }, Reach { name, target: third });
        match self.kind {
            Kind::Ptr
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::Var
            | Kind::DeclTag
            | Kind::TypeTag => with_type,
            Kind::Void | Kind::Int | Kind::Fwd | Kind::Float | Kind::Unknown => alone,
            Kind::Struct | Kind::Union => self.list(alone, |[name, target, _]| Reach { name, target }),
            Kind::FuncProto => self.list(with_type, |[name, target]| Reach { name, target }),
            Kind::Array => {
                self.list(alone, |[element, index, _]| Reach { name: 0, target: element.max(index) })
            }
            Kind::Enum => self.list(alone, |[name, _]| Reach { name, target: 0 }),
            Kind::Enum64 => self.list(alone, |[name, _, _]| Reach { name, target: 0 }),
            Kind::DataSec => self.list(alone, |[target, _, _]| Reach { name: 0, target }),
        }
    }

    /// The furthest of what the common words and a list with entries of so many words refer to.
    #[inline(always)]
    fn list<const WORDS: usize>(self, common: Reach, of_entry: impl Fn([u32; WORDS]) -> Reach) -> Reach {
        self.list.as_chunks::<WORDS>().0.iter().fold(common, |reach, entry| {
            let entry = of_entry(entry.map(self.number));
            Reach { name: reach.name.max(entry.name), target: reach.target.max(entry.target) }
        })
    }

    fn each_name(self, mut check: impl FnMut(u32) -> Result<(), Error>) -> Result<(), Error> {
        check(self.name)?;
        let words = match self.kind {
            Kind::Struct | Kind::Union | Kind::Enum64 => 3,
            Kind::FuncProto | Kind::Enum => 2,
            _ => return Ok(()),
        };
        self.list.iter().step_by(words).try_for_each(|&name| check((self.number)(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::BtfBuilder;
    use crate::format::IntEncoding;

    /// Little-endian BTF of `types` and `strings`, with what else is to be in the header.
    fn bytes(types: &[u32], strings: &[u8], layouts: &[u8]) -> Vec<u8> {
        let types_len = 4 * types.len();
        let ends = types_len + strings.len();
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        let fields = [32, 0, types_len, types_len, strings.len(), ends, layouts.len()];
        let words = fields.into_iter().map(|field| field as u32).chain(types.iter().copied());
        bytes.extend(words.flat_map(u32::to_le_bytes));
        bytes.extend_from_slice(strings);
        bytes.extend_from_slice(layouts);
        bytes
    }

    fn error(bytes: Vec<u8>) -> String {
        Btf::parse(bytes).unwrap_err().to_string()
    }

    const INT: u32 = 1 << 24;
    const PTR: u32 = 2 << 24;

    #[test]
    fn nothing_but_void() {
        let btf = Btf::parse(BtfBuilder::new().finish()).unwrap();
        assert!(btf.is_empty());
        assert!(matches!(btf.get(TypeId::VOID), Some(Type::Void)));
        assert!(btf.get(TypeId(1)).is_none());
        assert_eq!(btf.find(Kind::Int, "int"), None);
        assert_eq!((btf.string(0), btf.string(1)), (Some(""), None));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut wrong_magic = BtfBuilder::new().finish();
        wrong_magic[0] = 0;
        let mut wrong_version = BtfBuilder::new().finish();
        wrong_version[2] = 9;
        let cases = [
            error(Vec::new()),
            error(wrong_magic),
            error(wrong_version),
            error(bytes(&[], b"", &[])),
            error(bytes(&[], b"a\0", &[])),
            error(bytes(&[], b"\0a", &[])),
            error(bytes(&[], b"\0\xff\0", &[])),
            error(bytes(&[1, INT, 4], b"\0a\0", &[])),
            error(bytes(&[0, PTR], b"\0", &[])),
            error(bytes(&[9, PTR, 0], b"\0", &[])),
            error(bytes(&[0, PTR, 5], b"\0", &[])),
            error(bytes(&[2, PTR, 0], "\0é\0".as_bytes(), &[])),
            error(bytes(&[0, 99 << 24, 0], b"\0", &[])),
        ];
        insta::assert_snapshot!(cases.join("\n"), @r"
        BTF is cut short: the header needs 24 bytes, only 0 are there
        this is not BTF: it starts with 0xeb00 and not with 0xeb9f
        BTF version 9 is not known, only version 1 is
        the BTF string section is wrong: it is empty
        the BTF string section is wrong: it does not start with the empty string
        the BTF string section is wrong: its last string has no end
        the BTF string section is wrong: it is not UTF-8
        BTF is cut short: a type record needs 16 bytes, only 12 are there
        BTF is cut short: a type record needs 12 bytes, only 8 are there
        BTF type 1 names string 9, which is not in the string section
        BTF type 1 refers to type 5, which does not exist
        BTF type 1 names string 2, which is not in the string section
        BTF type 1 has the unknown kind 99; it was probably made for a newer kernel
        ");
    }

    #[test]
    fn a_section_past_the_end_is_an_error() {
        let mut bytes = bytes(&[0, PTR, 0], b"\0", &[]);
        bytes[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(Btf::parse(bytes), Err(Error::Truncated { what: "the type section", .. })));
    }

    #[test]
    fn a_newer_kind_is_stepped_over_if_the_layout_tells_how() {
        // Kind 30: one word and then two more for each of two entries.
        let types = [1, 30 << 24 | 2, 0, 7, 1, 2, 3, 4, 0, PTR, 1];
        let mut layouts = vec![0; 31 * 4];
        layouts[30 * 4] = 4;
        layouts[30 * 4 + 1] = 8;
        let btf = Btf::parse(bytes(&types, b"\0new\0", &layouts)).unwrap();
        assert!(matches!(btf.get(TypeId(1)), Some(Type::Unknown { kind: 30, name: "new" })));
        assert!(matches!(btf.get(TypeId(2)), Some(Type::Ptr { target: TypeId(1) })));
        assert_eq!(btf.c_name(TypeId(2)).to_string(), "new *");

        // Where it says nothing of the kind, there is no going on.
        layouts.truncate(30 * 4);
        assert!(Btf::parse(bytes(&types, b"\0new\0", &layouts)).is_err());
    }

    #[test]
    fn more_entries_than_16_bits_count() {
        let mut types = vec![0, 13 << 24 | 70_000, 0];
        types.resize(3 + 2 * 70_000, 0);
        let btf = Btf::parse(bytes(&types, b"\0", &[])).unwrap();
        let Some(Type::FuncProto(proto)) = btf.get(TypeId(1)) else { panic!("not a prototype") };
        assert_eq!(proto.params().len(), 70_000);
    }

    #[test]
    fn split_and_base_agree_on_byte_order() {
        let base = Arc::new(Btf::parse(BtfBuilder::new().finish_as(Endian::Little)).unwrap());
        let split = BtfBuilder::split(&base).finish_as(Endian::Big);
        assert_eq!(Btf::parse_split(split, base).unwrap_err(), Error::MixedEndian);
    }

    #[test]
    fn split_shares_the_strings_of_its_base() {
        let mut b = BtfBuilder::new();
        let int = b.int("int", 4, IntEncoding::SIGNED);
        let base = Arc::new(Btf::parse(b.finish()).unwrap());
        let mut b = BtfBuilder::split(&base);
        let alias = b.typedef("alias", int);
        let split = Btf::parse_split(b.finish(), base).unwrap();
        assert_eq!(split.find(Kind::Int, "int"), Some(int));
        assert_eq!(split.find(Kind::Typedef, "alias"), Some(alias));
        assert_eq!(split.size_of(alias), Ok(4));
        assert_eq!(split.own_ids().collect::<Vec<_>>(), [alias]);
    }
}
