//! The types of C, as declarations build them up, before they have a layout.

use std::borrow::Cow;

use super::layout::Placed;

/// Names a type of a [`Types`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Id(pub usize);

/// A type.
#[derive(Clone, PartialEq, Debug)]
pub enum CType {
    /// `void`
    Void,
    /// `int` and its like.
    Base(Base),
    /// `T *`
    Ptr(Id),
    /// `T[n]`; without a length it takes no room.
    Array(Id, u32),
    /// A struct or union.
    Composite(Composite),
    /// An enum.
    Enum(Enum),
    /// A typedef.
    Typedef(String, Id),
    /// A function, only ever pointed to.
    Function {
        /// What it gives.
        result: Id,
        /// What it takes, by name.
        params: Vec<(String, Id)>,
    },
}

/// An integer, boolean or floating-point number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Base {
    /// As C calls it.
    pub name: Cow<'static, str>,
    /// In bytes.
    pub size: u32,
    /// What its bits mean.
    pub kind: BaseKind,
}

/// What the bits of a [`Base`] mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BaseKind {
    /// Two's complement.
    Signed,
    /// A number from zero on.
    Unsigned,
    /// `char`, which is signed where this runs.
    Char,
    /// True or false.
    Bool,
    /// A floating-point number.
    Float,
}

/// A struct or union.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Composite {
    /// Its tag; empty if it has none.
    pub name: String,
    /// A union.
    pub is_union: bool,
    /// Its members; `None` as long as only its name was declared.
    pub members: Option<Vec<CMember>>,
    /// `__attribute__((packed))`
    pub packed: bool,
    /// `__attribute__((aligned(n)))`
    pub aligned: Option<u32>,
    /// `#pragma pack(n)`
    pub pack: Option<u32>,
    /// Where its members lie, when that is known and not to be worked out.
    pub placed: Option<Placed>,
}

/// A member.
#[derive(Clone, PartialEq, Debug)]
pub struct CMember {
    /// Its name; empty for an anonymous struct or union, or a bitfield that only takes room.
    pub name: String,
    /// Its type.
    pub ty: Id,
    /// The width of a bitfield.
    pub bits: Option<u32>,
    /// `__attribute__((packed))`
    pub packed: bool,
    /// `__attribute__((aligned(n)))`
    pub aligned: Option<u32>,
}

/// An enum.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Enum {
    /// Its tag; empty if it has none.
    pub name: String,
    /// Names and values; `None` as long as only its name was declared.
    pub values: Option<Vec<(String, i128)>>,
    /// `__attribute__((packed))`
    pub packed: bool,
}

impl Enum {
    /// Size in bytes and whether it has a sign: as GCC and Clang choose it.
    pub fn shape(&self) -> (u32, bool) {
        let values = || self.values.iter().flatten().map(|(_, value)| *value);
        let signed = values().any(|value| value < 0);
        let fits = |bits: u32| {
            values().all(|value| {
                let (low, high) =
                    if signed { (-(1i128 << (bits - 1)), 1i128 << (bits - 1)) } else { (0, 1i128 << bits) };
                (low..high).contains(&value)
            })
        };
        let sizes: &[u32] = if self.packed { &[1, 2, 4] } else { &[4] };
        (sizes.iter().copied().find(|size| fits(size * 8)).unwrap_or(8), signed)
    }
}

const fn base(name: &'static str, size: u32, kind: BaseKind) -> Base {
    Base { name: Cow::Borrowed(name), size, kind }
}

/// The base types, named as the kernel's BTF names them.
pub const BASES: &[Base] = &[
    base("char", 1, BaseKind::Char),
    base("signed char", 1, BaseKind::Signed),
    base("unsigned char", 1, BaseKind::Unsigned),
    base("short", 2, BaseKind::Signed),
    base("short unsigned int", 2, BaseKind::Unsigned),
    base("int", 4, BaseKind::Signed),
    base("unsigned int", 4, BaseKind::Unsigned),
    base("long", 8, BaseKind::Signed),
    base("long unsigned int", 8, BaseKind::Unsigned),
    base("long long", 8, BaseKind::Signed),
    base("long long unsigned int", 8, BaseKind::Unsigned),
    base("__int128", 16, BaseKind::Signed),
    base("unsigned __int128", 16, BaseKind::Unsigned),
    base("_Bool", 1, BaseKind::Bool),
    base("float", 4, BaseKind::Float),
    base("double", 8, BaseKind::Float),
    base("long double", 16, BaseKind::Float),
];

/// The compiler's own type for what follows `...`.
pub const VA_LIST: &str = "__builtin_va_list";

/// Typedefs that everybody uses, with the base type of each, so that no header has to be there for
/// them. Those of the language are among them.
pub const COMMON_TYPEDEFS: &[(&str, &str)] = &[
    ("bool", "_Bool"),
    ("int8", "signed char"),
    ("int16", "short"),
    ("int32", "int"),
    ("int64", "long"),
    ("uint8", "unsigned char"),
    ("uint16", "short unsigned int"),
    ("uint32", "unsigned int"),
    ("uint64", "long unsigned int"),
    ("int8_t", "signed char"),
    ("int16_t", "short"),
    ("int32_t", "int"),
    ("int64_t", "long"),
    ("uint8_t", "unsigned char"),
    ("uint16_t", "short unsigned int"),
    ("uint32_t", "unsigned int"),
    ("uint64_t", "long unsigned int"),
    ("s8", "signed char"),
    ("s16", "short"),
    ("s32", "int"),
    ("s64", "long long"),
    ("u8", "unsigned char"),
    ("u16", "short unsigned int"),
    ("u32", "unsigned int"),
    ("u64", "long long unsigned int"),
    ("__s8", "signed char"),
    ("__s16", "short"),
    ("__s32", "int"),
    ("__s64", "long long"),
    ("__u8", "unsigned char"),
    ("__u16", "short unsigned int"),
    ("__u32", "unsigned int"),
    ("__u64", "long long unsigned int"),
    ("__le16", "short unsigned int"),
    ("__le32", "unsigned int"),
    ("__le64", "long long unsigned int"),
    ("__be16", "short unsigned int"),
    ("__be32", "unsigned int"),
    ("__be64", "long long unsigned int"),
    ("__sum16", "short unsigned int"),
    ("__wsum", "unsigned int"),
    ("size_t", "long unsigned int"),
    ("ssize_t", "long"),
    ("ptrdiff_t", "long"),
    ("intptr_t", "long"),
    ("uintptr_t", "long unsigned int"),
    ("wchar_t", "int"),
    ("u_char", "unsigned char"),
    ("u_short", "short unsigned int"),
    ("u_int", "unsigned int"),
    ("u_long", "long unsigned int"),
    ("uint", "unsigned int"),
    ("ulong", "long unsigned int"),
    ("ushort", "short unsigned int"),
    ("unchar", "unsigned char"),
    ("pid_t", "int"),
    ("uid_t", "unsigned int"),
    ("gid_t", "unsigned int"),
    ("off_t", "long"),
    ("loff_t", "long long"),
    ("mode_t", "unsigned int"),
    ("umode_t", "short unsigned int"),
    ("dev_t", "unsigned int"),
    ("ino_t", "long unsigned int"),
    ("time_t", "long"),
    ("clock_t", "long"),
    ("clockid_t", "int"),
    ("key_t", "int"),
    ("socklen_t", "unsigned int"),
    ("sa_family_t", "short unsigned int"),
    ("sector_t", "long long unsigned int"),
    ("blkcnt_t", "long long unsigned int"),
    ("gfp_t", "unsigned int"),
    ("fmode_t", "unsigned int"),
    ("dma_addr_t", "long long unsigned int"),
    ("phys_addr_t", "long long unsigned int"),
    ("resource_size_t", "long long unsigned int"),
];

/// All types of a script's C text.
#[derive(Clone, Debug, Default)]
pub struct Types {
    list: Vec<CType>,
}

impl Types {
    /// Takes a type in.
    pub fn add(&mut self, ty: CType) -> Id {
        self.list.push(ty);
        Id(self.list.len() - 1)
    }

    /// The type.
    pub fn get(&self, id: Id) -> &CType {
        self.list.get(id.0).unwrap_or(&CType::Void)
    }

    /// The type, to be completed.
    pub fn get_mut(&mut self, id: Id) -> Option<&mut CType> {
        self.list.get_mut(id.0)
    }

    /// A base type by its name in [`BASES`].
    pub fn base(&mut self, name: &str) -> Option<Id> {
        let base = BASES.iter().find(|base| base.name == name)?;
        Some(self.add(CType::Base(base.clone())))
    }

    /// All ids.
    pub fn ids(&self) -> impl Iterator<Item = Id> + use<> {
        (0..self.list.len()).map(Id)
    }
}
