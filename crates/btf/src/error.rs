//! What can be wrong with BTF, or with a question asked of it.

use crate::format::TypeId;

/// Why BTF could not be read, or a question about its types has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end before something that the format says is there.
    #[error("BTF is cut short: {what} needs {need} bytes, only {have} are there")]
    Truncated {
        /// The part that is incomplete.
        what: &'static str,
        /// Bytes that the part needs.
        need: u64,
        /// Bytes that are left for it.
        have: u64,
    },
    /// The first two bytes are not the magic number in either byte order.
    #[error("this is not BTF: it starts with {0:#06x} and not with 0xeb9f")]
    BadMagic(u16),
    /// The header's version is not 1, the only one there is.
    #[error("BTF version {0} is not known, only version 1 is")]
    BadVersion(u8),
    /// The header contradicts itself.
    #[error("the BTF header is wrong: {0}")]
    BadHeader(&'static str),
    /// The string section is not a run of NUL-terminated UTF-8 strings.
    #[error("the BTF string section is wrong: {0}")]
    BadStrings(&'static str),
    /// A type's kind is not known, so that its size and those after it are not either.
    #[error("BTF type {id} has the unknown kind {kind}; it was probably made for a newer kernel")]
    UnknownKind {
        /// The type.
        id: TypeId,
        /// Its kind number.
        kind: u32,
    },
    /// A type refers to a string that is not there.
    #[error("BTF type {id} names string {offset}, which is not in the string section")]
    BadName {
        /// The type.
        id: TypeId,
        /// The string offset it holds.
        offset: u32,
    },
    /// A type refers to a type that is not there.
    #[error("BTF type {id} refers to type {target}, which does not exist")]
    BadReference {
        /// The type.
        id: TypeId,
        /// The type id it holds.
        target: TypeId,
    },
    /// Pieces that are to be put together continue different types.
    #[error("the pieces of BTF do not continue the same base, so their types cannot be put together")]
    OtherBase,
    /// There is no type of this id.
    #[error("there is no BTF type {0}")]
    NoSuchType(TypeId),
    /// The type is neither a struct nor a union.
    #[error("`{name}` (BTF type {id}) is not a struct or union and has no members")]
    NotComposite {
        /// The type.
        id: TypeId,
        /// Its C name.
        name: String,
    },
    /// The type has no size: void, a function, or declared but not defined.
    #[error("`{name}` (BTF type {id}) has no size")]
    NoSize {
        /// The type.
        id: TypeId,
        /// Its C name.
        name: String,
    },
    /// Types refer to each other in a circle, or in a chain longer than the kernel accepts.
    #[error("BTF type {0} is defined by itself, or by too long a chain of types")]
    TooDeep(TypeId),
    /// A size or an offset does not fit in 64 bits.
    #[error("the size or offset of something in BTF type {0} does not fit in 64 bits")]
    TooLarge(TypeId),
    /// A run of func_info or line_info records is not a whole number of them.
    #[error("{len} bytes of {what} are not a whole number of {size}-byte records of at least {least} bytes")]
    BadRecords {
        /// `func_info` or `line_info`.
        what: &'static str,
        /// Bytes given.
        len: usize,
        /// The record size given.
        size: usize,
        /// The smallest record size there is.
        least: usize,
    },
    /// The bytes of split BTF and of its base have different byte orders.
    #[error("split BTF and its base have different byte orders")]
    MixedEndian,
}
