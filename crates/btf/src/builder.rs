//! Types to BTF bytes.
//!
//! Types are added one by one, each referring to others by the ids it was given
//! for them. A type that says the same as an earlier one gets the earlier one's
//! id, except those that are declared by name one after the other even when they
//! look alike: functions, variables, sections and tags.

use rustc_hash::FxHashMap;

use crate::error::Error;
use crate::format::{Endian, HEADER_LEN, Info, IntEncoding, Kind, Linkage, MAGIC, MAX_VLEN, TypeId, VERSION};
use crate::reader::{Btf, Header};
use crate::types::{Enumerator, Member, Param, SecVar};

/// Collects types and strings, and makes BTF bytes of them.
///
/// Nothing is checked that the kernel checks when it loads the result: that names
/// are C identifiers, that members lie within their struct, that sections' variables
/// are in order.
///
/// # Panics
///
/// The methods that take a list panic at more than 16,777,215 entries, which the
/// format cannot express, and the strings may not exceed 4 GiB.
#[derive(Debug, Clone, Default)]
pub struct BtfBuilder {
    /// The words of each record.
    records: Vec<Box<[u32]>>,
    /// The ids of records that may be shared.
    shared: FxHashMap<Box<[u32]>, TypeId>,
    /// NUL-terminated strings, without the empty one that starts the section.
    strings: Vec<u8>,
    offsets: FxHashMap<Box<str>, u32>,
    base: Option<Base>,
}

/// Where the ids and strings of the base end that split BTF continues.
#[derive(Debug, Clone, Copy)]
struct Base {
    end_id: u32,
    end_string: u32,
}

impl BtfBuilder {
    /// A builder of BTF that stands for itself.
    pub fn new() -> BtfBuilder {
        BtfBuilder::default()
    }

    /// A builder of split BTF that continues `base`. The types added may refer to the base's.
    pub fn split(base: &Btf) -> BtfBuilder {
        BtfBuilder {
            base: Some(Base { end_id: base.end_id(), end_string: base.end_string() }),
            ..BtfBuilder::default()
        }
    }

    /// The offset of `text` among the strings, adding it if it is not there yet.
    ///
    /// A NUL byte ends a string, so the part of `text` before its first one is meant.
    pub fn add_string(&mut self, text: &str) -> u32 {
        let text = text.split('\0').next().unwrap_or("");
        if text.is_empty() {
            return 0;
        }
        if let Some(&offset) = self.offsets.get(text) {
            return offset;
        }
        // Without a base, the empty string comes first.
        let first = self.base.map_or(1, |base| base.end_string);
        let offset = first + u32::try_from(self.strings.len()).expect("strings stay below 4 GiB");
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        self.offsets.insert(text.into(), offset);
        offset
    }

    /// An integer of `size` bytes.
    pub fn int(&mut self, name: &str, size: u32, encoding: IntEncoding) -> TypeId {
        let name = self.add_string(name);
        let bits = u32::from(encoding.bits()) << 24 | size.wrapping_mul(8) & 0xff;
        self.share(vec![name, Info::encode(Kind::Int, 0, false), size, bits])
    }

    /// A pointer to `target`.
    pub fn ptr(&mut self, target: TypeId) -> TypeId {
        self.reference(Kind::Ptr, target)
    }

    /// An array of `len` elements; the kernel wants some integer as the type of an `index`.
    pub fn array(&mut self, element: TypeId, index: TypeId, len: u32) -> TypeId {
        self.share(vec![0, Info::encode(Kind::Array, 0, false), 0, element.0, index.0, len])
    }

    /// A struct of `size` bytes.
    ///
    /// If a member is a bitfield, all must start before bit 16,777,216.
    pub fn struct_(&mut self, name: &str, size: u32, members: &[Member<'_>]) -> TypeId {
        let record = self.composite(Kind::Struct, name, size, members);
        self.share(record)
    }

    /// A union of `size` bytes; the same limits as for a struct.
    pub fn union_(&mut self, name: &str, size: u32, members: &[Member<'_>]) -> TypeId {
        let record = self.composite(Kind::Union, name, size, members);
        self.share(record)
    }

    /// A struct whose members follow by [`BtfBuilder::define_struct`], so that they may refer to
    /// it. Until then it is empty.
    pub fn declare_struct(&mut self, name: &str) -> TypeId {
        let record = self.composite(Kind::Struct, name, 0, &[]);
        self.push(record)
    }

    /// As [`BtfBuilder::declare_struct`], for a union.
    pub fn declare_union(&mut self, name: &str) -> TypeId {
        let record = self.composite(Kind::Union, name, 0, &[]);
        self.push(record)
    }

    /// Gives a declared struct or union of `size` bytes its members; see [`BtfBuilder::struct_`].
    ///
    /// # Panics
    ///
    /// If `id` is neither a struct nor a union of this builder.
    pub fn define_struct(&mut self, id: TypeId, size: u32, members: &[Member<'_>]) {
        let first = self.base.map_or(1, |base| base.end_id);
        let index = id.0.checked_sub(first).map(|own| own as usize);
        let kind = index
            .and_then(|index| self.records.get(index))
            .map(|declared| Info::decode(declared[1]).kind)
            .and_then(|kind| [Kind::Struct, Kind::Union].into_iter().find(|known| *known as u32 == kind))
            .expect("only a struct or union of this builder can be defined");
        let mut record = self.composite(kind, "", size, members);
        if let Some(declared) = index.and_then(|index| self.records.get_mut(index)) {
            record[0] = declared[0];
            *declared = record.into();
        }
    }

    /// An enum of `size` bytes whose values fit in 32 bits; of larger ones only the lower bits
    /// are kept. Kernels before 6.0 do not load a signed one.
    pub fn enum_(&mut self, name: &str, size: u32, signed: bool, values: &[Enumerator<'_>]) -> TypeId {
        let mut record = self.list(Kind::Enum, name, size, signed, values.len());
        for &Enumerator { name, value } in values {
            record.extend([self.add_string(name), value as u32]);
        }
        self.share(record)
    }

    /// An enum of `size` bytes whose values need 64 bits. Kernels before 6.0 do not load it.
    pub fn enum64(&mut self, name: &str, size: u32, signed: bool, values: &[Enumerator<'_>]) -> TypeId {
        let mut record = self.list(Kind::Enum64, name, size, signed, values.len());
        for &Enumerator { name, value } in values {
            record.extend([self.add_string(name), value as u32, (value >> 32) as u32]);
        }
        self.share(record)
    }

    /// A struct or union that is declared but not defined.
    pub fn fwd(&mut self, name: &str, is_union: bool) -> TypeId {
        let name = self.add_string(name);
        self.share(vec![name, Info::encode(Kind::Fwd, 0, is_union), 0])
    }

    /// A typedef.
    pub fn typedef(&mut self, name: &str, target: TypeId) -> TypeId {
        let name = self.add_string(name);
        self.share(vec![name, Info::encode(Kind::Typedef, 0, false), target.0])
    }

    /// `const` of `target`.
    pub fn const_(&mut self, target: TypeId) -> TypeId {
        self.reference(Kind::Const, target)
    }

    /// `volatile` of `target`.
    pub fn volatile(&mut self, target: TypeId) -> TypeId {
        self.reference(Kind::Volatile, target)
    }

    /// `restrict` of the pointer `target`.
    pub fn restrict(&mut self, target: TypeId) -> TypeId {
        self.reference(Kind::Restrict, target)
    }

    /// A prototype. A last parameter that is `void` without a name stands for `...`.
    pub fn func_proto(&mut self, result: TypeId, params: &[Param<'_>]) -> TypeId {
        let mut record = self.list(Kind::FuncProto, "", result.0, false, params.len());
        for &Param { name, ty } in params {
            record.extend([self.add_string(name), ty.0]);
        }
        self.share(record)
    }

    /// A function of the prototype `proto`.
    pub fn func(&mut self, name: &str, proto: TypeId, linkage: Linkage) -> TypeId {
        let name = self.add_string(name);
        self.push(vec![name, Info::encode(Kind::Func, linkage.number(), false), proto.0])
    }

    /// A global variable.
    pub fn var(&mut self, name: &str, target: TypeId, linkage: Linkage) -> TypeId {
        let name = self.add_string(name);
        self.push(vec![name, Info::encode(Kind::Var, 0, false), target.0, linkage.number()])
    }

    /// A data section of `size` bytes with variables in the order of their offsets.
    pub fn datasec(&mut self, name: &str, size: u32, vars: &[SecVar]) -> TypeId {
        let mut record = self.list(Kind::DataSec, name, size, false, vars.len());
        record.extend(vars.iter().flat_map(|of| [of.var.0, of.offset, of.size]));
        self.push(record)
    }

    /// A floating-point number of `size` bytes. Kernels before 5.13 do not load it.
    pub fn float(&mut self, name: &str, size: u32) -> TypeId {
        let name = self.add_string(name);
        self.share(vec![name, Info::encode(Kind::Float, 0, false), size])
    }

    /// An attribute of `target`, or of its `component`th member or parameter. Kernels before
    /// 5.16 do not load it.
    pub fn decl_tag(&mut self, name: &str, target: TypeId, component: Option<u32>) -> TypeId {
        let name = self.add_string(name);
        let info = Info::encode(Kind::DeclTag, 0, false);
        self.push(vec![name, info, target.0, component.unwrap_or(u32::MAX)])
    }

    /// An attribute of the type `target`. Kernels before 5.17 do not load it.
    pub fn type_tag(&mut self, name: &str, target: TypeId) -> TypeId {
        let name = self.add_string(name);
        self.share(vec![name, Info::encode(Kind::TypeTag, 0, false), target.0])
    }

    /// The bytes, in this machine's byte order, as its kernel loads them.
    pub fn finish(self) -> Vec<u8> {
        self.finish_as(Endian::NATIVE)
    }

    /// The bytes, in a byte order.
    pub fn finish_as(self, endian: Endian) -> Vec<u8> {
        let types: usize = self.records.iter().map(|record| 4 * record.len()).sum();
        let empty_string: &[u8] = if self.base.is_some() { &[] } else { &[0] };
        let strings = empty_string.len() + self.strings.len();
        let mut bytes = Vec::with_capacity(HEADER_LEN + types + strings);
        bytes.extend(endian.u16_bytes(MAGIC));
        bytes.extend([VERSION, 0]);
        let header = [HEADER_LEN, 0, types, types, strings];
        let words = header.into_iter().map(|field| field as u32);
        let words = words.chain(self.records.iter().flat_map(|record| record.iter().copied()));
        bytes.extend(words.flat_map(|word| endian.u32_bytes(word)));
        bytes.extend_from_slice(empty_string);
        bytes.extend_from_slice(&self.strings);
        bytes
    }

    /// The bytes of `base` and, continuing them, of what was added, as BTF that stands for itself. The builder must be
    /// one that splits off `base`, which must stand for itself and be in this machine's byte order.
    ///
    /// # Errors
    /// `base` has no header that can be read.
    pub fn finish_onto(self, base: &Btf) -> Result<Vec<u8>, Error> {
        let header = Header::parse(base.bytes())?;
        let (types, strings) = (&base.bytes()[header.types], &base.bytes()[header.strings]);
        let added: Vec<u8> = self
            .records
            .iter()
            .flat_map(|record| record.iter())
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        let (types_len, strings_len) = (types.len() + added.len(), strings.len() + self.strings.len());
        let mut bytes = Vec::with_capacity(HEADER_LEN + types_len + strings_len);
        bytes.extend(MAGIC.to_ne_bytes());
        bytes.extend([VERSION, 0]);
        for field in [HEADER_LEN, 0, types_len, types_len, strings_len] {
            bytes.extend((field as u32).to_ne_bytes());
        }
        for part in [types, &added, strings, &self.strings] {
            bytes.extend_from_slice(part);
        }
        Ok(bytes)
    }

    fn reference(&mut self, kind: Kind, target: TypeId) -> TypeId {
        self.share(vec![0, Info::encode(kind, 0, false), target.0])
    }

    fn composite(&mut self, kind: Kind, name: &str, size: u32, members: &[Member<'_>]) -> Vec<u32> {
        let split = members.iter().any(|member| member.bitfield_size != 0);
        let mut record = self.list(kind, name, size, split, members.len());
        for member in members {
            let bitfield = u32::from(member.bitfield_size) << 24;
            let offset = if split { bitfield | member.bit_offset & 0x00ff_ffff } else { member.bit_offset };
            record.extend([self.add_string(member.name), member.ty.0, offset]);
        }
        record
    }

    /// The three words that all records start with, for one that a list of `len` entries follows.
    fn list(&mut self, kind: Kind, name: &str, size_or_type: u32, flag: bool, len: usize) -> Vec<u32> {
        let vlen = u32::try_from(len).ok().filter(|&vlen| vlen <= MAX_VLEN);
        let vlen = vlen.expect("BTF lists have at most 16,777,215 entries");
        vec![self.add_string(name), Info::encode(kind, vlen, flag), size_or_type]
    }

    /// Adds a record, or finds the one that says the same.
    fn share(&mut self, record: Vec<u32>) -> TypeId {
        if let Some(&id) = self.shared.get(record.as_slice()) {
            return id;
        }
        let id = self.push(record.clone());
        self.shared.insert(record.into(), id);
        id
    }

    /// Adds a record as it is.
    pub(crate) fn push(&mut self, record: Vec<u32>) -> TypeId {
        let first = self.base.map_or(1, |base| base.end_id);
        let id = TypeId(first + self.records.len() as u32);
        self.records.push(record.into());
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Type;

    #[test]
    fn equal_types_and_strings_are_there_once() {
        let mut b = BtfBuilder::new();
        let int = b.int("int", 4, IntEncoding::SIGNED);
        assert_eq!(b.int("int", 4, IntEncoding::SIGNED), int);
        assert_ne!(b.int("int", 8, IntEncoding::SIGNED), int);
        let ptr = b.ptr(int);
        assert_eq!(b.ptr(int), ptr);
        let offset = b.add_string("int");
        assert_eq!(b.add_string("int"), offset);
        assert_eq!(b.add_string(""), 0);
        let btf = Btf::parse(b.finish()).unwrap();
        assert_eq!(btf.len(), 3);
        assert_eq!(btf.string(offset), Some("int"));
    }

    #[test]
    fn declarations_stay_apart() {
        let mut b = BtfBuilder::new();
        let proto = b.func_proto(TypeId::VOID, &[]);
        assert_ne!(b.func("f", proto, Linkage::Static), b.func("f", proto, Linkage::Static));
        assert_ne!(b.var("v", proto, Linkage::Static), b.var("v", proto, Linkage::Static));
        assert_ne!(b.declare_struct("s"), b.declare_struct("s"));
    }

    #[test]
    fn a_string_ends_at_its_nul() {
        let mut b = BtfBuilder::new();
        let offset = b.add_string("line\0more");
        assert_eq!(b.add_string("line"), offset);
        let btf = Btf::parse(b.finish()).unwrap();
        assert_eq!(btf.string(offset), Some("line"));
    }

    #[test]
    fn a_struct_refers_to_itself() {
        let mut b = BtfBuilder::new();
        let list = b.declare_struct("list");
        let next = b.ptr(list);
        let member = Member { name: "next", ty: next, bit_offset: 0, bitfield_size: 0 };
        b.define_struct(list, 8, &[member]);
        let btf = Btf::parse(b.finish()).unwrap();
        let Some(Type::Struct(of)) = btf.get(list) else { panic!("not a struct") };
        assert_eq!((of.name, of.size), ("list", 8));
        assert_eq!(of.members().collect::<Vec<_>>(), [member]);
    }
}
