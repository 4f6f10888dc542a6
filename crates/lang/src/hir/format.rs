//! Formats of `printf` and its like, taken apart.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A `printf` format, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Format {
    /// In order.
    pub pieces: Vec<Piece>,
}

/// A part of a format.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Piece {
    /// Printed as it is (escapes and `%%` are already resolved). Escapes can make it something else than UTF-8.
    Text(Vec<u8>),
    /// One value.
    Conversion(Conversion),
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Piece::Text(text) => write!(f, "Text({})", crate::dump::quoted(text)),
            Piece::Conversion(conversion) => write!(f, "Conversion({conversion:?})"),
        }
    }
}

/// `%-5lld` and its like.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Conversion {
    /// `-`: to the left.
    pub left: bool,
    /// `+`: a sign always.
    pub plus: bool,
    /// A space where a plus would stand.
    pub space: bool,
    /// `0`: filled with zeroes.
    pub zero: bool,
    /// `#`: with 0x or 0.
    pub alternate: bool,
    /// At least so many characters.
    pub width: Option<u32>,
    /// At most so many characters, at least so many digits.
    pub precision: Option<u32>,
    /// `h hh l ll z j t` narrow the value to 8, 16, 32 or 64 bits.
    pub bits: Option<u8>,
    /// The letter: one of `d i u o x X c s p r`, or `h`/`x` variants of `r`.
    pub spec: Spec,
}

/// The letter of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Spec {
    /// `%d %i`
    #[default]
    Signed,
    /// `%u`
    Unsigned,
    /// `%o`
    Octal,
    /// `%x`
    Hex,
    /// `%X`
    HexUpper,
    /// `%c`
    Char,
    /// `%s`
    Str,
    /// `%p`
    Pointer,
    /// `%r`: bytes, those that cannot be printed as `\x00`
    Raw,
    /// `%rx`: bytes in hex with spaces
    RawHex,
    /// `%rh`: bytes in hex without `\x`
    RawHexPlain,
    /// `%gr`: names of the flags of a memory allocation
    GfpFlags,
}
