//! Bytes as values of a type: numbers, texts, structs, arrays.
//!
//! [`Btf::value`] reads a map's value, a variable or a whole data section into a [`Value`], a tree without any
//! form of its own; who shows it decides how numbers and pointers look.

use crate::error::Error;
use crate::format::{Endian, IntEncoding, TypeId};
use crate::reader::Btf;
use crate::types::{Array, Composite, Enum, Int, Type};

/// A value of some type.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// An integer of 1, 2, 4 or 8 bytes.
    Int(i128),
    /// A bitfield, or an integer of another size, as its bits.
    Bits(u128),
    /// A character, where the type says that it is one.
    Char(u8),
    /// A boolean.
    Bool(bool),
    /// A floating-point number.
    Float(f64),
    /// The name of an enum's value.
    Name(&'a str),
    /// An array of characters that holds a text, up to its zero.
    Text(String),
    /// An address, and what is there.
    Pointer {
        /// The address.
        address: u64,
        /// The type that it points to.
        target: TypeId,
    },
    /// The members of a struct or union by name; anonymous ones have an empty name, and may be several.
    Struct(Vec<(&'a str, Value<'a>)>),
    /// The elements of an array.
    Array(Vec<Value<'a>>),
    /// A variable.
    Var(&'a str, Box<Value<'a>>),
    /// The variables of a data section, in their order.
    Section(&'a str, Vec<Value<'a>>),
    /// What has no values: functions, and types that are declared only.
    None(&'static str),
}

/// How deep values may nest.
const MAX_DEPTH: usize = 64;

impl Btf {
    /// Reads a value of a type from the start of `bytes`.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] if there are too few bytes, and others if the type is wrong in itself.
    pub fn value<'a>(&'a self, id: TypeId, bytes: &[u8]) -> Result<Value<'a>, Error> {
        // Unions show the same bytes many times, and elements may have no size; this ends both.
        let budget = 64 * bytes.len() as u64 + (1 << 16);
        Reader { btf: self, bytes, budget }.value(id, 0, 0)
    }
}

struct Reader<'a, 'b> {
    btf: &'a Btf,
    bytes: &'b [u8],
    budget: u64,
}

impl<'a> Reader<'a, '_> {
    /// The value that starts `bit` bits from the start.
    fn value(&mut self, id: TypeId, bit: u64, depth: usize) -> Result<Value<'a>, Error> {
        self.budget = self.budget.checked_sub(1).ok_or(Error::TooLarge(id))?;
        if depth > MAX_DEPTH {
            return Err(Error::TooDeep(id));
        }
        let (at, ty) = self.btf.resolve(id)?;
        match ty {
            Type::Int(of) => self.int(&of, bit),
            Type::Enum(of) => self.enumerator(&of, bit),
            Type::Float { size, .. } => self.float(at, size, bit),
            Type::Ptr { target } => Ok(Value::Pointer { address: self.unsigned(bit / 8, 8)? as u64, target }),
            Type::Array(array) => self.array(&array, bit, depth),
            Type::Struct(of) | Type::Union(of) => self.composite(at, &of, bit, depth),
            Type::Var { name, target, .. } => {
                Ok(Value::Var(name, Box::new(self.value(target, bit, depth + 1)?)))
            }
            Type::DataSec(of) => {
                let vars = of.vars().map(|var| {
                    let offset = bit + u64::from(var.offset) * 8;
                    self.value(var.var, offset, depth + 1)
                });
                Ok(Value::Section(of.name, vars.collect::<Result<_, _>>()?))
            }
            Type::Fwd { .. } => Ok(Value::None("declared only")),
            _ => Ok(Value::None("no value")),
        }
    }

    fn composite(
        &mut self,
        id: TypeId,
        of: &Composite<'a>,
        bit: u64,
        depth: usize,
    ) -> Result<Value<'a>, Error> {
        self.take(bit / 8, of.size as usize)?;
        let members = of.members().map(|member| {
            let start = bit.checked_add(u64::from(member.bit_offset)).ok_or(Error::TooLarge(id))?;
            let value = if member.bitfield_size != 0 {
                Value::Bits(self.bits(start, u32::from(member.bitfield_size))?)
            } else {
                self.value(member.ty, start, depth + 1)?
            };
            Ok((member.name, value))
        });
        Ok(Value::Struct(members.collect::<Result<_, _>>()?))
    }

    fn array(&mut self, array: &Array, bit: u64, depth: usize) -> Result<Value<'a>, Error> {
        if let Some(text) = self.text(array, bit)? {
            return Ok(Value::Text(text));
        }
        if array.len == 0 {
            return Ok(Value::Array(Vec::new()));
        }
        let size = self.btf.size_of(array.element)?.checked_mul(8).ok_or(Error::TooLarge(array.element))?;
        let element = |index: u64| {
            let start = size.checked_mul(index).and_then(|offset| bit.checked_add(offset));
            self.value(array.element, start.ok_or(Error::TooLarge(array.element))?, depth + 1)
        };
        (0..u64::from(array.len)).map(element).collect::<Result<_, _>>().map(Value::Array)
    }

    /// The text of an array of characters: printable up to a zero, which must be there. Elements that are of a
    /// typedef are no characters.
    fn text(&self, array: &Array, bit: u64) -> Result<Option<String>, Error> {
        let element = self.btf.strip_qualifiers(array.element)?;
        let Some(Type::Int(of)) = self.btf.get(element) else { return Ok(None) };
        let is_char = of.size == 1 && (of.encoding == IntEncoding::CHAR || of.name == "char");
        if !is_char {
            return Ok(None);
        }
        let bytes = self.take(bit / 8, array.len as usize)?;
        let Some(end) = bytes.iter().position(|&byte| byte == 0) else { return Ok(None) };
        let text = bytes.get(..end).unwrap_or_default();
        let printable = text.iter().all(|byte| (0x20..0x7f).contains(byte));
        Ok(printable.then(|| String::from_utf8_lossy(text).into_owned()))
    }

    fn int(&self, of: &Int<'_>, bit: u64) -> Result<Value<'a>, Error> {
        let whole =
            of.bit_offset == 0 && bit.is_multiple_of(8) && u32::from(of.bits) == of.size.saturating_mul(8);
        if !whole || !matches!(of.size, 1 | 2 | 4 | 8) {
            return Ok(Value::Bits(self.bits(bit + u64::from(of.bit_offset), u32::from(of.bits))?));
        }
        let raw = self.unsigned(bit / 8, of.size as usize)?;
        Ok(if of.is_bool() {
            Value::Bool(raw != 0)
        } else if of.encoding == IntEncoding::CHAR && of.size == 1 {
            Value::Char(raw as u8)
        } else if of.is_signed() {
            Value::Int(sign_extend(raw, of.size))
        } else {
            Value::Int(raw as i128)
        })
    }

    fn enumerator(&self, of: &Enum<'a>, bit: u64) -> Result<Value<'a>, Error> {
        let raw = self.unsigned(bit / 8, (of.size as usize).min(8))?;
        let signed = sign_extend(raw, of.size.min(8));
        // Values are compared as bits: an unsigned one may have been written as negative and the other way round.
        let same = |value: i128| value == signed || value == raw as i128;
        let named = of.enumerators().find(|enumerator| same(enumerator.value));
        Ok(named.map_or(Value::Int(signed), |enumerator| Value::Name(enumerator.name)))
    }

    fn float(&self, id: TypeId, size: u32, bit: u64) -> Result<Value<'a>, Error> {
        let raw = self.unsigned(bit / 8, (size as usize).min(16))?;
        match size {
            2 => Ok(Value::Float(half(raw as u16))),
            4 => Ok(Value::Float(shortest(f32::from_bits(raw as u32)))),
            8 => Ok(Value::Float(f64::from_bits(raw as u64))),
            // The 80 bits of the x87, padded.
            12 | 16 => Ok(Value::Float(extended(raw))),
            _ => Err(Error::TooLarge(id)),
        }
    }

    /// Up to 128 bits as a number. They may start within a byte.
    fn bits(&self, bit: u64, count: u32) -> Result<u128, Error> {
        let count = count.min(128);
        let shift = (bit % 8) as u32;
        let len = (shift + count).div_ceil(8) as usize;
        let bytes = self.take(bit / 8, len)?;
        // At most 17 bytes, of which the last gives the uppermost bits.
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0u128, |n, &byte| n << 8 | u128::from(byte));
        let mut value = match self.btf.endian() {
            Endian::Little => {
                let low = number(bytes.get(..len.min(16)).unwrap_or_default()) >> shift;
                let top = bytes.get(16).map_or(0, |&byte| u128::from(byte) << (128 - shift));
                low | top
            }
            Endian::Big => {
                let whole = bytes.iter().take(16).fold(0u128, |n, &byte| n << 8 | u128::from(byte));
                whole >> (8 * len.min(16) as u32).saturating_sub(shift + count).min(127)
            }
        };
        if count < 128 {
            value &= (1 << count) - 1;
        }
        Ok(value)
    }

    fn unsigned(&self, at: u64, size: usize) -> Result<u128, Error> {
        let bytes = self.take(at, size)?;
        Ok(match self.btf.endian() {
            Endian::Little => bytes.iter().rev().fold(0, |n, &byte| n << 8 | u128::from(byte)),
            Endian::Big => bytes.iter().fold(0, |n, &byte| n << 8 | u128::from(byte)),
        })
    }

    fn take(&self, at: u64, len: usize) -> Result<&[u8], Error> {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let bytes = self.bytes.get(start..).and_then(|rest| rest.get(..len));
        bytes.ok_or(Error::Truncated {
            what: "a value",
            need: at.saturating_add(len as u64),
            have: self.bytes.len() as u64,
        })
    }
}

fn sign_extend(raw: u128, size: u32) -> i128 {
    let unused = 128 - 8 * size.clamp(1, 8);
    (raw << unused) as i128 >> unused
}

/// The number with the fewest digits that reads back as this one, so that 0.1 shows as such.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

fn half(raw: u16) -> f64 {
    let sign = if raw >> 15 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(raw >> 10 & 0x1f), f64::from(raw & 0x3ff));
    match exponent {
        0 => sign * fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

fn extended(raw: u128) -> f64 {
    let sign = if raw >> 79 & 1 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = ((raw >> 64 & 0x7fff) as i32, raw as u64);
    match exponent {
        0x7fff if fraction << 1 == 0 => sign * f64::INFINITY,
        0x7fff => f64::NAN,
        _ => sign * (fraction as f64) * 2f64.powi(exponent - 16383 - 63),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::builder::BtfBuilder;
    use crate::format::Linkage;
    use crate::types::{Enumerator, Member, SecVar};

    fn member(name: &str, ty: TypeId, bit_offset: u32, bitfield_size: u8) -> Member<'_> {
        Member { name, ty, bit_offset, bitfield_size }
    }

    #[test]
    fn values_of_every_kind() {
        let mut b = BtfBuilder::new();
        let int = b.int("int", 4, IntEncoding::SIGNED);
        let char = b.int("char", 1, IntEncoding::SIGNED);
        let letter = b.int("letter", 1, IntEncoding::CHAR);
        let bool_ = b.int("_Bool", 1, IntEncoding::BOOL);
        let wide = b.int("__int128", 16, IntEncoding::SIGNED);
        let text = b.array(char, int, 4);
        let color = b.enum_("color", 4, true, &[Enumerator { name: "RED", value: -1 }]);
        let double = b.float("double", 8);
        let ptr = b.ptr(int);
        let inner = b.struct_("", 4, &[member("low", int, 0, 3), member("high", int, 3, 29)]);
        let outer = b.struct_(
            "outer",
            64,
            &[
                member("i", int, 0, 0),
                member("t", text, 32, 0),
                member("c", letter, 64, 0),
                member("b", bool_, 72, 0),
                member("", inner, 96, 0),
                member("col", color, 128, 0),
                member("d", double, 192, 0),
                member("p", ptr, 256, 0),
                member("w", wide, 384, 0),
            ],
        );
        let var = b.var("v", outer, Linkage::Global);
        let section = b.datasec(".data", 64, &[SecVar { var, offset: 0, size: 64 }]);
        let btf = Btf::parse(b.finish()).unwrap();
        let mut bytes = [0u8; 64];
        bytes[..4].copy_from_slice(&(-5i32).to_le_bytes());
        bytes[4..8].copy_from_slice(b"ab\0x");
        bytes[8] = b'z';
        bytes[9] = 1;
        bytes[12..16].copy_from_slice(&(5u32 | 7 << 3).to_le_bytes());
        bytes[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
        bytes[24..32].copy_from_slice(&1.5f64.to_le_bytes());
        bytes[32] = 0x10;
        bytes[48] = 0xff;
        let Value::Section(".data", vars) = btf.value(section, &bytes).unwrap() else { panic!("a section") };
        let [Value::Var("v", value)] = vars.as_slice() else { panic!("a variable") };
        let expected = Value::Struct(vec![
            ("i", Value::Int(-5)),
            ("t", Value::Text("ab".to_owned())),
            ("c", Value::Char(b'z')),
            ("b", Value::Bool(true)),
            ("", Value::Struct(vec![("low", Value::Bits(5)), ("high", Value::Bits(7))])),
            ("col", Value::Name("RED")),
            ("d", Value::Float(1.5)),
            ("p", Value::Pointer { address: 16, target: int }),
            ("w", Value::Bits(0xff)),
        ]);
        assert_eq!(**value, expected);
        assert!(matches!(btf.value(section, &bytes[..63]), Err(Error::Truncated { .. })));
    }

    #[test]
    fn floats_of_every_size() {
        assert_eq!(shortest(0.1), 0.1);
        assert_eq!(half(0x3c00), 1.0);
        assert_eq!(half(0xc000), -2.0);
        assert_eq!(extended(0x3fff_8000_0000_0000_0000), 1.0);
    }

    #[test]
    fn endless_values_are_errors() {
        let mut b = BtfBuilder::new();
        let empty = b.struct_("empty", 0, &[]);
        let int = b.int("int", 4, IntEncoding::SIGNED);
        let many = b.array(empty, int, u32::MAX);
        let btf = Btf::parse(b.finish()).unwrap();
        assert_eq!(btf.value(many, &[]).unwrap_err(), Error::TooLarge(empty));
    }

    proptest! {
        /// A bitfield comes out as it was put in, wherever it starts.
        #[test]
        fn bits_come_back(value: u64, shift in 0u32..64, count in 1u32..=64) {
            let btf = Btf::parse(BtfBuilder::new().finish()).unwrap();
            let kept = if count == 64 { value } else { value & ((1 << count) - 1) };
            let bytes = (u128::from(kept) << shift).to_le_bytes();
            let reader = Reader { btf: &btf, bytes: &bytes, budget: 0 };
            prop_assert_eq!(reader.bits(u64::from(shift), count).unwrap(), u128::from(kept));
        }
    }
}
