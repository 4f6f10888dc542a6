//! One type record, seen as what it describes.
//!
//! [`Type`] is a small copyable view into the bytes of a [`Btf`]; lists such as
//! members are decoded as they are iterated. What the views hand out about a
//! list's entries ([`Member`], [`Enumerator`], ...) is also what the builder takes.

use crate::format::{IntEncoding, Kind, Linkage, TypeId};
use crate::reader::{Btf, Record};

/// A type, as one record of BTF describes it.
#[derive(Debug, Clone, Copy)]
pub enum Type<'a> {
    /// `void`, type 0.
    Void,
    /// An integer, character or boolean.
    Int(Int<'a>),
    /// A pointer.
    Ptr {
        /// What it points to.
        target: TypeId,
    },
    /// An array.
    Array(Array),
    /// A struct.
    Struct(Composite<'a>),
    /// A union.
    Union(Composite<'a>),
    /// An enum, of kind [`Kind::Enum`] or [`Kind::Enum64`].
    Enum(Enum<'a>),
    /// A struct or union that is declared but not defined.
    Fwd {
        /// Its name.
        name: &'a str,
        /// It is a union, not a struct.
        is_union: bool,
    },
    /// A typedef.
    Typedef {
        /// The new name.
        name: &'a str,
        /// The type that it names.
        target: TypeId,
    },
    /// `volatile`.
    Volatile {
        /// The type that is volatile.
        target: TypeId,
    },
    /// `const`.
    Const {
        /// The type that is constant.
        target: TypeId,
    },
    /// `restrict`.
    Restrict {
        /// The pointer type that is restricted.
        target: TypeId,
    },
    /// A function.
    Func {
        /// Its name.
        name: &'a str,
        /// Its prototype, a [`Type::FuncProto`].
        proto: TypeId,
        /// Where it is visible.
        linkage: Linkage,
    },
    /// A prototype.
    FuncProto(FuncProto<'a>),
    /// A global variable.
    Var {
        /// Its name.
        name: &'a str,
        /// Its type.
        target: TypeId,
        /// Where it is visible.
        linkage: Linkage,
    },
    /// A data section.
    DataSec(DataSec<'a>),
    /// A floating-point number.
    Float {
        /// Its name.
        name: &'a str,
        /// Its size in bytes.
        size: u32,
    },
    /// An attribute of a declaration.
    DeclTag {
        /// The attribute's text.
        name: &'a str,
        /// The struct, union, function, variable or typedef that has it.
        target: TypeId,
        /// The member or parameter that has it, counted from 0; `None`: the whole.
        component: Option<u32>,
        /// The text is an attribute of its own and not the argument of `btf_decl_tag`.
        is_attribute: bool,
    },
    /// An attribute of a type.
    TypeTag {
        /// The attribute's text.
        name: &'a str,
        /// The type that has it.
        target: TypeId,
        /// The text is an attribute of its own and not the argument of `btf_type_tag`.
        is_attribute: bool,
    },
    /// A type of a kind newer than this crate.
    Unknown {
        /// The kind's number.
        kind: u32,
        /// Its name.
        name: &'a str,
    },
}

impl<'a> Type<'a> {
    /// The kind of the record.
    pub fn kind(&self) -> Kind {
        match self {
            Type::Void => Kind::Void,
            Type::Int(_) => Kind::Int,
            Type::Ptr { .. } => Kind::Ptr,
            Type::Array(_) => Kind::Array,
            Type::Struct(_) => Kind::Struct,
            Type::Union(_) => Kind::Union,
            Type::Enum(of) if of.is_wide => Kind::Enum64,
            Type::Enum(_) => Kind::Enum,
            Type::Fwd { .. } => Kind::Fwd,
            Type::Typedef { .. } => Kind::Typedef,
            Type::Volatile { .. } => Kind::Volatile,
            Type::Const { .. } => Kind::Const,
            Type::Restrict { .. } => Kind::Restrict,
            Type::Func { .. } => Kind::Func,
            Type::FuncProto(_) => Kind::FuncProto,
            Type::Var { .. } => Kind::Var,
            Type::DataSec(_) => Kind::DataSec,
            Type::Float { .. } => Kind::Float,
            Type::DeclTag { .. } => Kind::DeclTag,
            Type::TypeTag { .. } => Kind::TypeTag,
            Type::Unknown { .. } => Kind::Unknown,
        }
    }

    /// The type's own name, without `struct` and the like; empty if it has none.
    pub fn name(&self) -> &'a str {
        match *self {
            Type::Int(Int { name, .. })
            | Type::Struct(Composite { name, .. })
            | Type::Union(Composite { name, .. })
            | Type::Enum(Enum { name, .. })
            | Type::DataSec(DataSec { name, .. })
            | Type::Fwd { name, .. }
            | Type::Typedef { name, .. }
            | Type::Func { name, .. }
            | Type::Var { name, .. }
            | Type::Float { name, .. }
            | Type::DeclTag { name, .. }
            | Type::TypeTag { name, .. }
            | Type::Unknown { name, .. } => name,
            Type::Void
            | Type::Ptr { .. }
            | Type::Array(_)
            | Type::Volatile { .. }
            | Type::Const { .. }
            | Type::Restrict { .. }
            | Type::FuncProto(_) => "",
        }
    }

    /// The struct or union that this is.
    pub fn composite(&self) -> Option<Composite<'a>> {
        match *self {
            Type::Struct(of) | Type::Union(of) => Some(of),
            _ => None,
        }
    }

    /// The view of `record`; the reader has checked that all of it is there.
    #[inline]
    pub(crate) fn of(record: Record<'a>) -> Type<'a> {
        let info = record.info();
        let target = TypeId(record.word(2));
        let size = record.word(2);
        match Kind::from_number(info.kind) {
            Kind::Void => Type::Void,
            Kind::Int => {
                let bits = record.word(3);
                Type::Int(Int {
                    name: record.name(),
                    size,
                    encoding: IntEncoding::from_bits_retain((bits >> 24) as u8 & 0xf),
                    bit_offset: (bits >> 16) as u8,
                    bits: bits as u8,
                })
            }
            Kind::Ptr => Type::Ptr { target },
            Kind::Array => Type::Array(Array {
                element: TypeId(record.word(3)),
                index: TypeId(record.word(4)),
                len: record.word(5),
            }),
            Kind::Struct => Type::Struct(Composite::of(record)),
            Kind::Union => Type::Union(Composite::of(record)),
            Kind::Enum | Kind::Enum64 => Type::Enum(Enum {
                name: record.name(),
                size,
                is_signed: info.flag,
                is_wide: info.kind == Kind::Enum64 as u32,
                record,
            }),
            Kind::Fwd => Type::Fwd { name: record.name(), is_union: info.flag },
            Kind::Typedef => Type::Typedef { name: record.name(), target },
            Kind::Volatile => Type::Volatile { target },
            Kind::Const => Type::Const { target },
            Kind::Restrict => Type::Restrict { target },
            Kind::Func => {
                Type::Func { name: record.name(), proto: target, linkage: Linkage::from_number(info.vlen) }
            }
            Kind::FuncProto => Type::FuncProto(FuncProto { result: target, record }),
            Kind::Var => {
                Type::Var { name: record.name(), target, linkage: Linkage::from_number(record.word(3)) }
            }
            Kind::DataSec => Type::DataSec(DataSec { name: record.name(), size, record }),
            Kind::Float => Type::Float { name: record.name(), size },
            Kind::DeclTag => Type::DeclTag {
                name: record.name(),
                target,
                component: Some(record.word(3)).filter(|&index| index != u32::MAX),
                is_attribute: info.flag,
            },
            Kind::TypeTag => Type::TypeTag { name: record.name(), target, is_attribute: info.flag },
            Kind::Unknown => Type::Unknown { kind: info.kind, name: record.name() },
        }
    }
}

/// An integer, character or boolean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Int<'a> {
    /// Its C name, as `long unsigned int`.
    pub name: &'a str,
    /// Its size in bytes.
    pub size: u32,
    /// How its bits are to be read.
    pub encoding: IntEncoding,
    /// Where in the `size` bytes its bits start; 0 but for bitfields of old compilers.
    pub bit_offset: u8,
    /// How many bits it has; `8 * size` but for bitfields of old compilers.
    pub bits: u8,
}

impl Int<'_> {
    /// Negative values are possible.
    pub fn is_signed(&self) -> bool {
        self.encoding.contains(IntEncoding::SIGNED)
    }

    /// It is a boolean.
    pub fn is_bool(&self) -> bool {
        self.encoding.contains(IntEncoding::BOOL)
    }

    /// It is one byte that holds a character: by encoding, or because its name is
    /// `char`, which compilers encode as a plain signed or unsigned byte.
    pub fn is_char(&self) -> bool {
        self.size == 1 && (self.encoding.contains(IntEncoding::CHAR) || self.name.contains("char"))
    }
}

/// An array of a fixed number of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Array {
    /// The elements' type.
    pub element: TypeId,
    /// The type of an index, of interest to nobody.
    pub index: TypeId,
    /// The number of elements; 0 for a flexible array member.
    pub len: u32,
}

/// A struct or union.
#[derive(Debug, Clone, Copy)]
pub struct Composite<'a> {
    /// Its tag; empty if it has none.
    pub name: &'a str,
    /// Its size in bytes.
    pub size: u32,
    /// Members' offsets and bitfield sizes share a word, as newer compilers do it.
    pub has_bitfields: bool,
    record: Record<'a>,
}

impl<'a> Composite<'a> {
    #[inline]
    fn of(record: Record<'a>) -> Composite<'a> {
        Composite { name: record.name(), size: record.word(2), has_bitfields: record.info().flag, record }
    }

    /// The members, in order of declaration.
    pub fn members(&self) -> impl ExactSizeIterator<Item = Member<'a>> + DoubleEndedIterator + use<'a> {
        let (record, split) = (self.record, self.has_bitfields);
        record.entries(3).map(move |at| {
            let offset = record.word(at + 2);
            Member {
                name: record.string(record.word(at)),
                ty: TypeId(record.word(at + 1)),
                bit_offset: if split { offset & 0x00ff_ffff } else { offset },
                bitfield_size: if split { (offset >> 24) as u8 } else { 0 },
            }
        })
    }
}

/// A member of a struct or union, as declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its name; empty for an anonymous struct or union, whose members count as the outer's.
    pub name: &'a str,
    /// Its type.
    pub ty: TypeId,
    /// Bits from the start of the struct or union.
    pub bit_offset: u32,
    /// Bits it has as a bitfield, 0 if it is none.
    pub bitfield_size: u8,
}

/// An enum.
#[derive(Debug, Clone, Copy)]
pub struct Enum<'a> {
    /// Its tag; empty if it has none.
    pub name: &'a str,
    /// Its size in bytes: 1, 2, 4 or 8.
    pub size: u32,
    /// Its values are signed.
    pub is_signed: bool,
    /// It is of kind [`Kind::Enum64`].
    pub is_wide: bool,
    record: Record<'a>,
}

impl<'a> Enum<'a> {
    /// The names and values, in order of declaration.
    pub fn enumerators(
        &self,
    ) -> impl ExactSizeIterator<Item = Enumerator<'a>> + DoubleEndedIterator + use<'a> {
        let Enum { record, is_signed, is_wide, .. } = *self;
        record.entries(if is_wide { 3 } else { 2 }).map(move |at| {
            let low = record.word(at + 1);
            let value = match (is_wide, is_signed) {
                (false, false) => i128::from(low),
                (false, true) => i128::from(low as i32),
                (true, signed) => {
                    let bits = u64::from(record.word(at + 2)) << 32 | u64::from(low);
                    if signed { i128::from(bits as i64) } else { i128::from(bits) }
                }
            };
            Enumerator { name: record.string(record.word(at)), value }
        })
    }
}

/// A name and value of an enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enumerator<'a> {
    /// The name.
    pub name: &'a str,
    /// The value; within `i64` for a signed enum, within `u64` for an unsigned one.
    pub value: i128,
}

/// A prototype.
#[derive(Debug, Clone, Copy)]
pub struct FuncProto<'a> {
    /// The type returned.
    pub result: TypeId,
    record: Record<'a>,
}

impl<'a> FuncProto<'a> {
    /// The parameters. A last one that is `void` without a name stands for `...`.
    pub fn params(&self) -> impl ExactSizeIterator<Item = Param<'a>> + DoubleEndedIterator + use<'a> {
        let record = self.record;
        record
            .entries(2)
            .map(move |at| Param { name: record.string(record.word(at)), ty: TypeId(record.word(at + 1)) })
    }
}

/// A parameter of a prototype.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param<'a> {
    /// Its name; empty in the type of a function pointer.
    pub name: &'a str,
    /// Its type.
    pub ty: TypeId,
}

/// A data section.
#[derive(Debug, Clone, Copy)]
pub struct DataSec<'a> {
    /// The section's name, as `.rodata`.
    pub name: &'a str,
    /// Its size in bytes.
    pub size: u32,
    record: Record<'a>,
}

impl<'a> DataSec<'a> {
    /// The variables, in order of their offsets.
    pub fn vars(&self) -> impl ExactSizeIterator<Item = SecVar> + DoubleEndedIterator + use<'a> {
        let record = self.record;
        record.entries(3).map(move |at| SecVar {
            var: TypeId(record.word(at)),
            offset: record.word(at + 1),
            size: record.word(at + 2),
        })
    }
}

/// A variable's place in its data section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecVar {
    /// The variable, a [`Type::Var`].
    pub var: TypeId,
    /// Bytes from the start of the section.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
}

impl Btf {
    /// The type of this id, `None` if there is none.
    #[inline]
    pub fn get(&self, id: TypeId) -> Option<Type<'_>> {
        if id == TypeId::VOID { Some(Type::Void) } else { self.record(id).map(Type::of) }
    }
}
