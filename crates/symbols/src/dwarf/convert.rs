//! Types of DWARF to types of BTF.
//!
//! Structs are declared when they are first met and filled in later, one after the other, so that types which refer
//! to each other need no depth.

use gimli::{AttributeValue, DwTag, UnitOffset, UnitRef, UnitSectionOffset};
use rustc_hash::FxHashMap;
use skep_btf::{BtfBuilder, Enumerator, IntEncoding, Member, Param, TypeId};

use super::params::Class;
use super::{Entry, Slice};

/// How deep types may be nested in each other by other means than structs.
const MAX_DEPTH: u32 = 64;

/// What holds beyond one unit.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Structs, unions and enums, which every unit that uses them describes again: kind, name, size and line.
    named: FxHashMap<(DwTag, String, u64, u64), TypeId>,
    classes: FxHashMap<TypeId, Class>,
}

/// Converts the types of one unit.
pub(super) struct Converter<'u, 'd, 'b> {
    pub unit: UnitRef<'u, Slice<'d>>,
    pub builder: &'b mut BtfBuilder,
    known: &'b mut Known,
    done: FxHashMap<UnitOffset, TypeId>,
    /// Structs that are declared and not filled in.
    pending: Vec<(UnitOffset, TypeId)>,
    depth: u32,
}

impl<'u, 'd, 'b> Converter<'u, 'd, 'b> {
    pub fn new(unit: UnitRef<'u, Slice<'d>>, builder: &'b mut BtfBuilder, known: &'b mut Known) -> Self {
        Converter { unit, builder, known, done: FxHashMap::default(), pending: Vec::new(), depth: 0 }
    }

    /// Fills in all structs that were met.
    pub fn finish(&mut self) {
        while let Some((offset, id)) = self.pending.pop() {
            self.fill(offset, id);
        }
    }

    /// An entry's name; that of what it completes, if it has none itself.
    pub fn name(&self, entry: &Entry<'d>) -> Option<String> {
        self.text(entry, gimli::DW_AT_name).or_else(|| {
            let origin = self.origin(entry)?;
            self.name(&origin)
        })
    }

    /// The type of an entry; `void` if it has none.
    pub fn type_of(&mut self, entry: &Entry<'d>) -> TypeId {
        match entry.attr_value(gimli::DW_AT_type) {
            Some(AttributeValue::UnitRef(offset)) => self.ty(offset),
            Some(AttributeValue::DebugInfoRef(offset)) => {
                // In another unit only when several were put together by an optimising linker.
                let within = UnitSectionOffset(offset.0).to_unit_offset(self.unit.unit);
                within.map_or(TypeId::VOID, |offset| self.ty(offset))
            }
            Some(_) => TypeId::VOID,
            None => match self.origin(entry) {
                Some(origin) => self.type_of(&origin),
                None => TypeId::VOID,
            },
        }
    }

    /// A type.
    pub fn ty(&mut self, offset: UnitOffset) -> TypeId {
        if let Some(known) = self.done.get(&offset) {
            return *known;
        }
        let Ok(entry) = self.unit.entry(offset) else { return TypeId::VOID };
        if self.depth > MAX_DEPTH {
            return TypeId::VOID;
        }
        self.depth += 1;
        let id = self.convert(&entry);
        self.depth -= 1;
        self.done.insert(offset, id);
        id
    }

    /// How values of a type are passed to functions.
    pub fn class(&mut self, id: TypeId) -> Class {
        self.finish();
        if id == TypeId::VOID { Class::None } else { self.known.classes.get(&id).copied().unwrap_or(ONE) }
    }

    fn convert(&mut self, entry: &Entry<'d>) -> TypeId {
        let name = self.text(entry, gimli::DW_AT_name).unwrap_or_default();
        let size = self.number(entry, gimli::DW_AT_byte_size);
        match entry.tag() {
            gimli::DW_TAG_base_type => self.base(entry, &name, size.unwrap_or(0)),
            gimli::DW_TAG_pointer_type
            | gimli::DW_TAG_reference_type
            | gimli::DW_TAG_rvalue_reference_type => {
                let target = self.type_of(entry);
                self.builder.ptr(target)
            }
            gimli::DW_TAG_const_type => self.same_as(entry, BtfBuilder::const_),
            gimli::DW_TAG_volatile_type => self.same_as(entry, BtfBuilder::volatile),
            gimli::DW_TAG_restrict_type => self.same_as(entry, BtfBuilder::restrict),
            gimli::DW_TAG_atomic_type => self.type_of(entry),
            gimli::DW_TAG_typedef => self.same_as(entry, |builder, target| builder.typedef(&name, target)),
            gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type | gimli::DW_TAG_union_type => {
                self.composite(entry, name, size)
            }
            gimli::DW_TAG_enumeration_type => self.enumeration(entry, &name, size.unwrap_or(4)),
            gimli::DW_TAG_array_type => self.array(entry),
            gimli::DW_TAG_subroutine_type => self.prototype(entry),
            gimli::DW_TAG_ptr_to_member_type => self.builder.int("long", 8, IntEncoding::SIGNED),
            _ => TypeId::VOID,
        }
    }

    fn base(&mut self, entry: &Entry<'d>, name: &str, size: u64) -> TypeId {
        let bytes = u32::try_from(size).unwrap_or(0);
        let encoding = match entry.attr_value(gimli::DW_AT_encoding) {
            Some(AttributeValue::Encoding(encoding)) => encoding,
            _ => gimli::DW_ATE_signed,
        };
        let flags = match encoding {
            gimli::DW_ATE_boolean => IntEncoding::BOOL,
            gimli::DW_ATE_signed | gimli::DW_ATE_signed_char => IntEncoding::SIGNED,
            gimli::DW_ATE_float | gimli::DW_ATE_complex_float | gimli::DW_ATE_imaginary_float => {
                let id = self.builder.float(name, bytes);
                let class = match (encoding, size) {
                    (gimli::DW_ATE_float, ..=8) => Class::Float { integer: 0, float: 1 },
                    (gimli::DW_ATE_complex_float, ..=8) => Class::Float { integer: 0, float: 1 },
                    (gimli::DW_ATE_complex_float, 16) => Class::Float { integer: 0, float: 2 },
                    // What 80-bit numbers are passed in, and those of 128 bits in one register.
                    _ if name.contains("128") => Class::Float { integer: 0, float: 1 },
                    _ => Class::Memory { size, align: 16 },
                };
                self.known.classes.insert(id, class);
                return id;
            }
            _ => IntEncoding::UNSIGNED,
        };
        let id = self.builder.int(name, bytes, flags);
        self.known.classes.insert(id, if size > 8 { Class::Integer { registers: 2 } } else { ONE });
        id
    }

    /// A type that is passed as the one it is made of.
    fn same_as(&mut self, entry: &Entry<'d>, make: impl FnOnce(&mut BtfBuilder, TypeId) -> TypeId) -> TypeId {
        let target = self.type_of(entry);
        let id = make(self.builder, target);
        // The class of a struct is known once it is filled in.
        self.finish_if_struct(target);
        let class = if target == TypeId::VOID { Class::None } else { self.class_now(target) };
        self.known.classes.insert(id, class);
        id
    }

    fn finish_if_struct(&mut self, target: TypeId) {
        if let Some(at) = self.pending.iter().position(|(_, id)| *id == target) {
            let (offset, id) = self.pending.swap_remove(at);
            self.fill(offset, id);
        }
    }

    fn class_now(&self, id: TypeId) -> Class {
        self.known.classes.get(&id).copied().unwrap_or(ONE)
    }

    fn composite(&mut self, entry: &Entry<'d>, name: String, size: Option<u64>) -> TypeId {
        let is_union = entry.tag() == gimli::DW_TAG_union_type;
        let Some(size) = size.filter(|_| entry.attr_value(gimli::DW_AT_declaration).is_none()) else {
            return self.builder.fwd(&name, is_union);
        };
        let line = self.number(entry, gimli::DW_AT_decl_line).unwrap_or(0);
        let key = (entry.tag(), name, size, line);
        if let Some(known) = self.known.named.get(&key).filter(|_| !key.1.is_empty()) {
            return *known;
        }
        let id =
            if is_union { self.builder.declare_union(&key.1) } else { self.builder.declare_struct(&key.1) };
        self.known.named.insert(key, id);
        self.pending.push((entry.offset(), id));
        id
    }

    /// Gives a struct its members and its class.
    fn fill(&mut self, offset: UnitOffset, id: TypeId) {
        let Ok(entry) = self.unit.entry(offset) else { return };
        let size = self.number(&entry, gimli::DW_AT_byte_size).unwrap_or(0);
        let mut members: Vec<(String, TypeId, u32, u8)> = Vec::new();
        // Which halves of 16 bytes hold an integer, which only floating-point numbers.
        let mut integers = [false; 2];
        for child in self.children(offset) {
            let inherited = child.tag() == gimli::DW_TAG_inheritance;
            if child.tag() != gimli::DW_TAG_member && !inherited {
                continue;
            }
            // One value for all objects is no part of any.
            if child.attr_value(gimli::DW_AT_external).is_some()
                || child.attr_value(gimli::DW_AT_const_value).is_some()
            {
                continue;
            }
            let ty = self.type_of(&child);
            let Some((bit, width)) = self.position(&child) else { continue };
            let name = if inherited {
                String::new()
            } else {
                self.text(&child, gimli::DW_AT_name).unwrap_or_default()
            };
            self.finish_if_struct(ty);
            let half = usize::from(bit >= 64);
            match self.class_now(ty) {
                Class::Float { integer: 0, float: 1 } => {}
                Class::Integer { registers: 2 } => integers = [true; 2],
                _ => integers[half] = true,
            }
            members.push((name, ty, bit, width));
        }
        let count = |float: bool| {
            let halves = integers.get(..if size > 8 { 2 } else { 1 }).unwrap_or_default();
            halves.iter().filter(|integer| **integer != float).count() as u8
        };
        let class = match entry.attr_value(gimli::DW_AT_calling_convention) {
            Some(AttributeValue::CallingConvention(gimli::DW_CC_pass_by_reference)) => Class::Reference,
            _ if size == 0 => Class::None,
            _ if size > 16 => Class::Memory { size, align: 8 },
            _ if count(true) > 0 => Class::Float { integer: count(false), float: count(true) },
            _ => Class::Integer { registers: count(false) },
        };
        self.known.classes.insert(id, class);
        let members: Vec<Member<'_>> = members
            .iter()
            .map(|(name, ty, bit_offset, bitfield_size)| Member {
                name: name.as_str(),
                ty: *ty,
                bit_offset: *bit_offset,
                bitfield_size: *bitfield_size,
            })
            .collect();
        self.builder.define_struct(id, u32::try_from(size).unwrap_or(u32::MAX), &members);
    }

    /// Where a member begins, in bits, and its width if it is a bitfield.
    fn position(&self, member: &Entry<'d>) -> Option<(u32, u8)> {
        let byte = match member.attr_value(gimli::DW_AT_data_member_location) {
            None => 0,
            Some(value) => match value.udata_value() {
                Some(byte) => byte,
                // A base class that is found at run time, or an expression: `offset` plus a constant.
                None => match value {
                    AttributeValue::Exprloc(expression) => {
                        let mut operations = expression.operations(self.unit.encoding());
                        match operations.next() {
                            Ok(Some(gimli::Operation::PlusConstant { value })) => value,
                            _ => return None,
                        }
                    }
                    _ => return None,
                },
            },
        };
        let start = byte.checked_mul(8)?;
        let width = self
            .number(member, gimli::DW_AT_bit_size)
            .and_then(|width| u8::try_from(width).ok())
            .unwrap_or(0);
        let bit = match (
            self.number(member, gimli::DW_AT_data_bit_offset),
            self.number(member, gimli::DW_AT_bit_offset),
        ) {
            (Some(bit), _) => start.checked_add(bit)?,
            // Before DWARF 4 it was counted from the highest bit of the storage unit.
            (None, Some(from_top)) => {
                let unit = self.number(member, gimli::DW_AT_byte_size).unwrap_or(4).checked_mul(8)?;
                start.checked_add(unit)?.checked_sub(from_top)?.checked_sub(u64::from(width))?
            }
            (None, None) => start,
        };
        Some((u32::try_from(bit).ok()?, width))
    }

    fn enumeration(&mut self, entry: &Entry<'d>, name: &str, size: u64) -> TypeId {
        let mut values = Vec::new();
        for child in self.children(entry.offset()) {
            if child.tag() != gimli::DW_TAG_enumerator {
                continue;
            }
            let value = match child.attr_value(gimli::DW_AT_const_value) {
                Some(AttributeValue::Udata(value)) => i128::from(value),
                Some(value) => i128::from(value.sdata_value().unwrap_or(0)),
                None => 0,
            };
            values.push((self.text(&child, gimli::DW_AT_name).unwrap_or_default(), value));
        }
        let signed = values.iter().any(|(_, value)| *value < 0);
        let values: Vec<Enumerator<'_>> =
            values.iter().map(|(name, value)| Enumerator { name: name.as_str(), value: *value }).collect();
        let size = u32::try_from(size).unwrap_or(4);
        let id = if size > 4 {
            self.builder.enum64(name, size, signed, &values)
        } else {
            self.builder.enum_(name, size, signed, &values)
        };
        self.known.classes.insert(id, ONE);
        id
    }

    fn array(&mut self, entry: &Entry<'d>) -> TypeId {
        let element = self.type_of(entry);
        let index = self.builder.int("unsigned long", 8, IntEncoding::UNSIGNED);
        let mut lengths: Vec<u32> = Vec::new();
        for child in self.children(entry.offset()) {
            if child.tag() != gimli::DW_TAG_subrange_type {
                continue;
            }
            let count = self.number(&child, gimli::DW_AT_count);
            let last = self.number(&child, gimli::DW_AT_upper_bound);
            let length = count.or_else(|| last.and_then(|last| last.checked_add(1))).unwrap_or(0);
            lengths.push(u32::try_from(length).unwrap_or(0));
        }
        let id =
            lengths.iter().rev().fold(element, |inner, length| self.builder.array(inner, index, *length));
        // In a struct it counts as what it is made of.
        self.finish_if_struct(element);
        let class = self.class_now(element);
        self.known.classes.insert(id, class);
        id
    }

    fn prototype(&mut self, entry: &Entry<'d>) -> TypeId {
        let result = self.type_of(entry);
        let mut params = Vec::new();
        for child in self.children(entry.offset()) {
            match child.tag() {
                gimli::DW_TAG_formal_parameter => params.push(Param { name: "", ty: self.type_of(&child) }),
                gimli::DW_TAG_unspecified_parameters => params.push(Param { name: "", ty: TypeId::VOID }),
                _ => {}
            }
        }
        self.builder.func_proto(result, &params)
    }

    /// The entries directly below one.
    pub fn children(&self, offset: UnitOffset) -> Vec<Entry<'d>> {
        let mut children = Vec::new();
        let unit = self.unit.unit;
        let Ok(mut tree) = unit.entries_tree(Some(offset)) else { return children };
        let Ok(root) = tree.root() else { return children };
        let mut nodes = root.children();
        while let Ok(Some(node)) = nodes.next() {
            children.push(node.entry().clone());
        }
        children
    }

    /// What an entry completes or is a copy of.
    fn origin(&self, entry: &Entry<'d>) -> Option<Entry<'d>> {
        let value = entry
            .attr_value(gimli::DW_AT_abstract_origin)
            .or_else(|| entry.attr_value(gimli::DW_AT_specification))?;
        let offset = match value {
            AttributeValue::UnitRef(offset) => offset,
            AttributeValue::DebugInfoRef(offset) => {
                UnitSectionOffset(offset.0).to_unit_offset(self.unit.unit)?
            }
            _ => return None,
        };
        let origin = self.unit.entry(offset).ok()?;
        // Damaged entries may refer to themselves.
        (origin.offset() < entry.offset() || origin.attr_value(gimli::DW_AT_abstract_origin).is_none())
            .then_some(origin)
    }

    fn text(&self, entry: &Entry<'d>, name: gimli::DwAt) -> Option<String> {
        let text = self.unit.attr_string(entry.attr_value(name)?).ok()?;
        Some(text.to_string_lossy().into_owned())
    }

    fn number(&self, entry: &Entry<'d>, name: gimli::DwAt) -> Option<u64> {
        entry.attr_value(name)?.udata_value()
    }
}

const ONE: Class = Class::Integer { registers: 1 };
