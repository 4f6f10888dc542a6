//! The record of a tracepoint as a script sees it: which fields it has, and how each is reached.

use super::ctypes;
use crate::ty::{Space, Ty, TyKind, Types};
use crate::world::{Field, FieldKind, TracepointFormat, World};

/// How a field is reached, and its type. Two records in which this is equal for a field can share
/// the code that reads it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Access {
    /// How.
    pub kind: AccessKind,
    /// Byte offset from the start of the context.
    pub offset: u32,
    /// Type of the value.
    pub ty: Ty,
}

/// See [`Access::kind`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AccessKind {
    /// The value is in the record.
    Direct,
    /// 32 bits in the record tell where it is.
    DataLoc {
        /// Counted from the end of those 32 bits.
        relative: bool,
    },
    /// The value is in memory, so many bytes above the stack pointer.
    Stack(Space),
    /// The value is in the user's memory, where the register at this offset says.
    Behind,
    /// The bytes of the value are in the register at this offset, and from the ninth on in a second one.
    Registers {
        /// Byte offset of the second one.
        second: Option<u32>,
    },
}

/// What there is to know about the texts that a record points to, for `str(args)`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum TextPointer {
    /// It has none.
    None,
    /// The only one.
    One(Access),
    /// The names of several.
    Several(Vec<String>),
}

/// How a field is reached; `None` when the language has no type for it.
pub fn access(
    types: &mut Types,
    world: &dyn World,
    field: &Field,
    user: bool,
    text_capacity: u32,
) -> Option<Access> {
    let space = if user { Space::User } else { Space::Kernel };
    let direct = |ty| Some(Access { kind: AccessKind::Direct, offset: field.offset, ty });
    match field.kind {
        FieldKind::Int { .. } if field.ctype.starts_with("enum ") => {
            let named = ctypes::spelled(types, world, &field.ctype, space);
            match named.filter(|ty| types.size(*ty) == field.size) {
                Some(ty) => direct(ty),
                None => direct(types.int(int_bits(field.size)?, false)),
            }
        }
        FieldKind::Int { signed } => {
            // Arguments of system calls are recorded as 64-bit words, whatever their C type.
            let (bits, signed) = c_integer(&field.ctype)
                .filter(|(bits, _)| user && u32::from(bits / 8) <= field.size)
                .or_else(|| Some((int_bits(field.size)?, signed)))?;
            direct(types.int(bits, signed))
        }
        FieldKind::Bool => direct(Ty::BOOL),
        FieldKind::Ptr { text } => {
            let is_void = text || field.ctype.starts_with("void") || field.ctype.starts_with("const void");
            if !is_void && let Some(ty) = ctypes::spelled(types, world, &field.ctype, space) {
                return direct(ty);
            }
            let to = if text { Ty::U8 } else { Ty::VOID };
            direct(types.ptr(to, space))
        }
        FieldKind::Chars => direct(types.str(field.size)),
        FieldKind::Array { elem_size, signed } => {
            let elem = types.int(int_bits(elem_size)?, signed);
            let len = field.size.checked_div(elem_size)?;
            direct(types.intern(TyKind::Array { elem, len }))
        }
        FieldKind::DataLoc { relative, text: true, .. } => Some(Access {
            kind: AccessKind::DataLoc { relative },
            offset: field.offset,
            ty: types.str(text_capacity),
        }),
        FieldKind::Opaque => {
            let ty = ctypes::spelled(types, world, &field.ctype, space)?;
            if types.size(ty) == field.size { direct(ty) } else { None }
        }
        FieldKind::DataLoc { text: false, .. } => None,
    }
}

/// The texts that a record points to.
pub fn text_pointer(
    types: &mut Types,
    world: &dyn World,
    format: &TracepointFormat,
    user: bool,
    text_capacity: u32,
) -> TextPointer {
    let pointers: Vec<&Field> =
        format.fields.iter().filter(|field| matches!(field.kind, FieldKind::Ptr { text: true })).collect();
    match pointers.as_slice() {
        [] => TextPointer::None,
        [field] => {
            access(types, world, field, user, text_capacity).map_or(TextPointer::None, TextPointer::One)
        }
        several => TextPointer::Several(several.iter().map(|field| field.name.clone()).collect()),
    }
}

fn int_bits(size: u32) -> Option<u8> {
    match size {
        1 => Some(8),
        2 => Some(16),
        4 => Some(32),
        8 => Some(64),
        _ => None,
    }
}

/// Width and sign of the C types in the arguments of system calls.
fn c_integer(ctype: &str) -> Option<(u8, bool)> {
    Some(match ctype.trim_start_matches("const ").trim() {
        "int" | "s32" | "__s32" | "pid_t" | "key_t" | "clockid_t" | "timer_t" | "key_serial_t" | "mqd_t"
        | "rwf_t" | "const int" => (32, true),
        "unsigned int" | "unsigned" | "u32" | "__u32" | "uid_t" | "gid_t" | "qid_t" => (32, false),
        "short" => (16, true),
        "unsigned short" | "umode_t" | "u16" | "__u16" | "old_uid_t" | "old_gid_t" => (16, false),
        "char" => (8, true),
        "unsigned char" | "u8" | "__u8" => (8, false),
        "long" | "loff_t" | "off_t" | "s64" | "__s64" | "ssize_t" | "long long" => (64, true),
        "unsigned long" | "size_t" | "u64" | "__u64" | "aio_context_t" | "unsigned long long" => (64, false),
        _ => return None,
    })
}
