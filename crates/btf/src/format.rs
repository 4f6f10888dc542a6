//! The numbers of the BTF format: magic, kinds, encodings, and how words are read.
//!
//! Every type record is a run of 32-bit words: name offset, info, and size or
//! type, then what the kind adds. Both the reader and the builder lean on that.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The magic number in the first two bytes.
pub(crate) const MAGIC: u16 = 0xeb9f;
/// The only version there is.
pub(crate) const VERSION: u8 = 1;
/// Bytes of the header as of its first version; newer ones only append.
pub(crate) const HEADER_LEN: usize = 24;
/// Bytes of the part that all type records share.
pub(crate) const TYPE_LEN: usize = 12;
/// The largest number of members, parameters, ... of one type. Old kernels read
/// only the lower 16 bits and demand that the others be zero.
pub(crate) const MAX_VLEN: u32 = 0x00ff_ffff;

/// The id of a type: its 1-based place in the type section, 0 being `void`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct TypeId(pub u32);

impl TypeId {
    /// `void`, which has no record.
    pub const VOID: TypeId = TypeId(0);
}

impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The byte order of BTF bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endian {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl Endian {
    /// The byte order of the machine this runs on.
    pub const NATIVE: Endian = if cfg!(target_endian = "little") { Endian::Little } else { Endian::Big };

    #[inline]
    pub(crate) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Endian::Little => u32::from_le_bytes(bytes),
            Endian::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(crate) fn u32_bytes(self, word: u32) -> [u8; 4] {
        match self {
            Endian::Little => word.to_le_bytes(),
            Endian::Big => word.to_be_bytes(),
        }
    }

    pub(crate) fn u16_bytes(self, half: u16) -> [u8; 2] {
        match self {
            Endian::Little => half.to_le_bytes(),
            Endian::Big => half.to_be_bytes(),
        }
    }
}

/// Bytes seen as 32-bit words of a byte order.
#[derive(Clone, Copy)]
pub(crate) struct Words<'a> {
    pub bytes: &'a [u8],
    pub endian: Endian,
}

impl Words<'_> {
    /// The word at byte `at`, or `None` past the end.
    #[inline]
    pub fn get(self, at: usize) -> Option<u32> {
        let chunk = self.bytes.get(at..)?.first_chunk::<4>()?;
        Some(self.endian.u32(*chunk))
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// What a type is. The numbers are those of the format.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $name = $number,)* }

        impl Kind {
            /// All kinds, in the order of their numbers.
            pub const ALL: &[Kind] = &[$(Kind::$name),*];

            /// The kind of this number, [`Kind::Unknown`] if this crate does not know it.
            #[inline]
            pub fn from_number(number: u32) -> Kind {
                match number { $($number => Kind::$name,)* _ => Kind::Unknown }
            }

            /// The kind's name in capitals, as BTF dumps print it.
            pub fn as_str(self) -> &'static str {
                match self { $(Kind::$name => $text,)* }
            }
        }
    };
}

kinds! {
    /// `void`; no record has it.
    Void = 0, "UNKN";
    /// An integer, character or boolean.
    Int = 1, "INT";
    /// A pointer.
    Ptr = 2, "PTR";
    /// An array of a fixed number of elements.
    Array = 3, "ARRAY";
    /// A struct.
    Struct = 4, "STRUCT";
    /// A union.
    Union = 5, "UNION";
    /// An enum whose values fit in 32 bits.
    Enum = 6, "ENUM";
    /// A struct or union that is declared but not defined.
    Fwd = 7, "FWD";
    /// A typedef.
    Typedef = 8, "TYPEDEF";
    /// `volatile`.
    Volatile = 9, "VOLATILE";
    /// `const`.
    Const = 10, "CONST";
    /// `restrict`.
    Restrict = 11, "RESTRICT";
    /// A function: a name for a prototype.
    Func = 12, "FUNC";
    /// A prototype: return type and parameters.
    FuncProto = 13, "FUNC_PROTO";
    /// A global variable.
    Var = 14, "VAR";
    /// An ELF data section: the variables in it.
    DataSec = 15, "DATASEC";
    /// A floating-point number (Linux 5.13).
    Float = 16, "FLOAT";
    /// An attribute of a declaration or of a member or parameter of it (Linux 5.16).
    DeclTag = 17, "DECL_TAG";
    /// An attribute of a type (Linux 5.17).
    TypeTag = 18, "TYPE_TAG";
    /// An enum whose values need 64 bits (Linux 6.0).
    Enum64 = 19, "ENUM64";
    /// A kind newer than this crate, which the BTF itself tells how to step over.
    Unknown = 0x80, "UNKNOWN";
}

impl Kind {
    /// Words in a record of this kind after the three that all have.
    #[inline(always)]
    pub(crate) fn extra_words(self, vlen: u32) -> u64 {
        // Numbers that no kind below 32 has are `Unknown`'s, which has none, as `Void`.
        let [always, each] = WORDS[self as usize % WORDS.len()];
        u64::from(always) + u64::from(each) * u64::from(vlen)
    }

    /// Those that it always has, and those that each entry of its list has.
    const fn words(self) -> [u8; 2] {
        match self {
            Kind::Int | Kind::Var | Kind::DeclTag => [1, 0],
            Kind::Array => [3, 0],
            Kind::Struct | Kind::Union | Kind::DataSec | Kind::Enum64 => [0, 3],
            Kind::Enum | Kind::FuncProto => [0, 2],
            Kind::Void
            | Kind::Ptr
            | Kind::Fwd
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::Float
            | Kind::TypeTag
            | Kind::Unknown => [0, 0],
        }
    }
}

/// [`Kind::words`] by the kind's number: the index pass asks for each type.
const WORDS: [[u8; 2]; 32] = {
    let mut words = [[0; 2]; 32];
    let mut at = 0;
    while at < Kind::ALL.len() {
        let kind = Kind::ALL[at];
        words[kind as usize % 32] = kind.words();
        at += 1;
    }
    words
};

/// The second word of a type record, taken apart.
///
/// Up to Linux 7.0 `vlen` has 16 bits and the kind 5, and the bits between are
/// zero; later kernels use them to widen both. Reading the wide form reads both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Info {
    /// Number of members and the like; for a function its linkage.
    pub vlen: u32,
    /// The kind's number.
    pub kind: u32,
    /// Bitfields (struct), union (fwd), signed (enum), attribute (tags).
    pub flag: bool,
}

impl Info {
    #[inline]
    pub fn decode(word: u32) -> Info {
        Info { vlen: word & MAX_VLEN, kind: (word >> 24) & 0x7f, flag: word >> 31 != 0 }
    }

    pub fn encode(kind: Kind, vlen: u32, flag: bool) -> u32 {
        (vlen & MAX_VLEN) | (kind as u32) << 24 | u32::from(flag) << 31
    }
}

bitflags::bitflags! {
    /// How the bits of an integer are to be read; none set: unsigned.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct IntEncoding: u8 {
        /// Two's complement.
        const SIGNED = 1;
        /// A character.
        const CHAR = 2;
        /// A boolean.
        const BOOL = 4;
    }
}

impl IntEncoding {
    /// No flag set.
    pub const UNSIGNED: IntEncoding = IntEncoding::empty();
}

/// The linkage of a function or a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Linkage {
    /// Visible in its file only. The verifier checks such a function at each call.
    Static,
    /// Visible everywhere. The verifier checks such a function once, on its own.
    Global,
    /// Defined elsewhere, as a kernel function that a program calls is.
    Extern,
    /// A number that the format does not define.
    Other(u32),
}

impl Linkage {
    pub(crate) fn from_number(number: u32) -> Linkage {
        match number {
            0 => Linkage::Static,
            1 => Linkage::Global,
            2 => Linkage::Extern,
            other => Linkage::Other(other),
        }
    }

    pub(crate) fn number(self) -> u32 {
        match self {
            Linkage::Static => 0,
            Linkage::Global => 1,
            Linkage::Extern => 2,
            Linkage::Other(other) => other,
        }
    }
}
