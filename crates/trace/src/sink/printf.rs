//! `printf`: the conversions of C, applied to typed values.
//!
//! As in C, an integer conversion without a length takes 32 bits: `%d` of a 64-bit value shows its low half,
//! `%ld` all of it.

use skep_lang::hir::{Conversion, Format, Piece, Spec};

use super::gfp;
use super::output::{push_hex, push_hex_escape};
use super::value::{push_bytes, push_int, push_text, push_value};
use crate::decode::Value;

/// Appends the formatted text. With `escape`, text of other processes is made safe for a terminal. A conversion
/// without a value shows nothing.
pub fn format<'a>(
    out: &mut Vec<u8>,
    format: &Format,
    mut args: impl Iterator<Item = Value<'a>>,
    escape: bool,
) {
    for piece in &format.pieces {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text),
            Piece::Conversion(conversion) => {
                convert(out, conversion, args.next().unwrap_or(Value::Void), escape)
            }
        }
    }
}

fn convert(out: &mut Vec<u8>, conversion: &Conversion, value: Value<'_>, escape: bool) {
    match (conversion.spec, value.as_bits()) {
        (Spec::Signed, Some(bits)) => {
            let value = narrowed(conversion, bits);
            let sign: &[u8] = match value {
                ..0 => b"-",
                _ if conversion.plus => b"+",
                _ if conversion.space => b" ",
                _ => b"",
            };
            number(out, conversion, sign, |digits| push_int(digits, value.unsigned_abs()));
        }
        (Spec::Unsigned, Some(bits)) => {
            let value = unsigned(conversion, bits);
            number(out, conversion, b"", |digits| push_int(digits, value));
        }
        (Spec::Octal, Some(bits)) => {
            let value = unsigned(conversion, bits);
            let prefix: &[u8] = if conversion.alternate && value != 0 { b"0" } else { b"" };
            number(out, conversion, prefix, |digits| radix(digits, value, 3, b'a'));
        }
        (Spec::Hex | Spec::HexUpper, Some(bits)) => {
            let value = unsigned(conversion, bits);
            let upper = conversion.spec == Spec::HexUpper;
            let prefix: &[u8] = match (conversion.alternate && value != 0, upper) {
                (false, _) => b"",
                (true, false) => b"0x",
                (true, true) => b"0X",
            };
            number(out, conversion, prefix, |digits| {
                radix(digits, value, 4, if upper { b'A' } else { b'a' })
            });
        }
        (Spec::Pointer, Some(bits)) => {
            let prefix: &[u8] = if bits == 0 { b"" } else { b"0x" };
            number(out, conversion, prefix, |digits| radix(digits, bits, 4, b'a'));
        }
        (Spec::Char, Some(bits)) => field(out, conversion, |out| out.push(bits as u8)),
        // `%s` of a signed integer is its decimal form, with the flags of one.
        (Spec::Str, Some(_)) if matches!(value, Value::Int(_)) && (conversion.plus || conversion.space) => {
            convert(
                out,
                &Conversion { spec: Spec::Signed, bits: Some(64), ..conversion.clone() },
                value,
                escape,
            );
        }
        (Spec::GfpFlags, Some(bits)) => {
            field(out, conversion, |out| out.extend_from_slice(gfp::names(bits).as_bytes()));
        }
        (Spec::Raw | Spec::RawHex | Spec::RawHexPlain, _) => field(out, conversion, |out| match value {
            Value::Bytes(bytes) => raw(out, conversion.spec, bytes),
            Value::Text(text) => raw(out, conversion.spec, text.bytes),
            value => push_value(out, value, escape),
        }),
        _ => match (value, conversion.precision) {
            (Value::Text(mut text), precision) => {
                if let Some(shorter) = precision.and_then(|most| text.bytes.get(..most as usize)) {
                    text.bytes = shorter;
                    text.trailer = b"";
                }
                field(out, conversion, |out| push_text(out, text, escape));
            }
            (value, _) => field(out, conversion, |out| push_value(out, value, escape)),
        },
    }
}

/// The value in as many bits as the conversion takes, with its sign.
fn narrowed(conversion: &Conversion, bits: u64) -> i64 {
    match conversion.bits.unwrap_or(32) {
        8 => i64::from(bits as i8),
        16 => i64::from(bits as i16),
        32 => i64::from(bits as i32),
        _ => bits.cast_signed(),
    }
}

fn unsigned(conversion: &Conversion, bits: u64) -> u64 {
    match conversion.bits.unwrap_or(32) {
        8 => u64::from(bits as u8),
        16 => u64::from(bits as u16),
        32 => u64::from(bits as u32),
        _ => bits,
    }
}

/// Digits of a power-of-two base, most significant first.
fn radix(out: &mut Vec<u8>, value: u64, shift: u32, ten: u8) {
    let count = (64 - value.leading_zeros()).div_ceil(shift).max(1);
    for index in (0..count).rev() {
        let digit = (value >> (index * shift)) as u8 & ((1 << shift) - 1);
        out.push(if digit < 10 { b'0' + digit } else { ten + digit - 10 });
    }
}

/// A number: sign or prefix, zeroes, digits, in a field.
fn number(out: &mut Vec<u8>, conversion: &Conversion, prefix: &[u8], digits: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(prefix);
    let digits_at = out.len();
    digits(out);
    let count = out.len() - digits_at;
    let zeroes = match conversion.precision {
        // C shows no digits for a zero with precision 0.
        Some(0) if out.get(digits_at..) == Some(b"0".as_slice()) => {
            out.pop();
            0
        }
        Some(least) => bounded(least).saturating_sub(count),
        None if conversion.zero && !conversion.left => {
            bounded(conversion.width.unwrap_or(0)).saturating_sub(out.len() - start)
        }
        None => 0,
    };
    fill(out, digits_at, zeroes, b'0');
    pad(out, conversion, start, b' ');
}

/// A text in a field.
fn field(out: &mut Vec<u8>, conversion: &Conversion, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    content(out);
    pad(out, conversion, start, if conversion.zero { b'0' } else { b' ' });
}

/// Brings what was appended since `start` to the field's width.
fn pad(out: &mut Vec<u8>, conversion: &Conversion, start: usize, with: u8) {
    let Some(width) = conversion.width else { return };
    let missing = bounded(width).saturating_sub(out.len() - start);
    if conversion.left {
        out.resize(out.len() + missing, b' ');
    } else {
        fill(out, start, missing, with);
    }
}

fn fill(out: &mut Vec<u8>, at: usize, count: usize, with: u8) {
    if count > 0 {
        out.splice(at..at, std::iter::repeat_n(with, count));
    }
}

/// A width or precision that cannot exhaust the memory.
fn bounded(width: u32) -> usize {
    width.min(1 << 16) as usize
}

fn raw(out: &mut Vec<u8>, spec: Spec, bytes: &[u8]) {
    match spec {
        Spec::RawHex => bytes.iter().for_each(|&byte| push_hex_escape(out, byte)),
        Spec::RawHexPlain => {
            for (index, &byte) in bytes.iter().enumerate() {
                if index > 0 {
                    out.push(b' ');
                }
                push_hex(out, byte);
            }
        }
        _ => push_bytes(out, bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Text;

    /// Reads `%-5lld` and the like.
    fn conversion(text: &str) -> Conversion {
        let mut made = Conversion::default();
        let mut rest = text.strip_prefix('%').unwrap().chars().peekable();
        while let Some(&flag) = rest.peek() {
            match flag {
                '-' => made.left = true,
                '+' => made.plus = true,
                ' ' => made.space = true,
                '0' => made.zero = true,
                '#' => made.alternate = true,
                _ => break,
            }
            rest.next();
        }
        let digits = |rest: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut number = None;
            while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
                number = Some(number.unwrap_or(0) * 10 + digit);
                rest.next();
            }
            number
        };
        made.width = digits(&mut rest);
        if rest.peek() == Some(&'.') {
            rest.next();
            made.precision = Some(digits(&mut rest).unwrap_or(0));
        }
        let tail: String = rest.collect();
        let (length, spec) = tail.split_at(tail.find(|c| !"hlzjt".contains(c)).unwrap());
        made.bits = match length {
            "" => None,
            "hh" => Some(8),
            "h" => Some(16),
            _ => Some(64),
        };
        made.spec = match spec {
            "d" | "i" => Spec::Signed,
            "u" => Spec::Unsigned,
            "o" => Spec::Octal,
            "x" => Spec::Hex,
            "X" => Spec::HexUpper,
            "c" => Spec::Char,
            "s" => Spec::Str,
            "p" => Spec::Pointer,
            "r" => Spec::Raw,
            "rx" => Spec::RawHex,
            "rh" => Spec::RawHexPlain,
            other => panic!("{other}"),
        };
        made
    }

    fn shown(format: &str, value: Value<'_>) -> String {
        let mut out = Vec::new();
        convert(&mut out, &conversion(format), value, false);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integers_as_in_c() {
        for (format, value, expected) in [
            ("%5d", 3, "    3"),
            ("%-5d", 4, "4    "),
            ("%05d", 5, "00005"),
            ("%05d", -5, "-0005"),
            ("%+d", 6, "+6"),
            ("%+08d", 7, "+0000007"),
            ("% d", 7, " 7"),
            ("%-+5d", 3, "+3   "),
            ("%+u", 3, "3"),
            ("%8.3d", 4, "     004"),
            ("%08.3d", 4, "     004"),
            ("%.0d", 0, ""),
            ("%x", 255, "ff"),
            ("%#x", 255, "0xff"),
            ("%#X", 255, "0XFF"),
            ("%#010x", 255, "0x000000ff"),
            ("%-#8x", 255, "0xff    "),
            ("%#x", 0, "0"),
            ("%o", 8, "10"),
            ("%#o", 8, "010"),
            ("%hhd", 300, "44"),
            ("%hd", 70000, "4464"),
            ("%hhx", 0x1ff, "ff"),
            ("%u", -1, "4294967295"),
            ("%x", -1, "ffffffff"),
            ("%lx", -1, "ffffffffffffffff"),
            ("%lu", -1, "18446744073709551615"),
            ("%d", 0x12_3456_789a, "878082202"),
            ("%ld", 0x12_3456_789a, "78187493530"),
            ("%lld", i64::MIN, "-9223372036854775808"),
            ("%c", 65, "A"),
            ("%5c", 66, "    B"),
            ("%p", 1234, "0x4d2"),
            ("%-8p", 16, "0x10    "),
            ("%p", 0, "0"),
            ("%s", -7, "-7"),
            ("%+s", 5, "+5"),
        ] {
            assert_eq!(shown(format, Value::Int(value)), expected, "{format} of {value}");
        }
        assert_eq!(shown("%s", Value::Uint(u64::MAX)), "18446744073709551615");
        assert_eq!(shown("%d", Value::Bool(true)), "1");
        assert_eq!(shown("%5s", Value::Bool(true)), " true");
    }

    #[test]
    fn texts_and_bytes() {
        let text = Value::Text(Text::own("abc"));
        assert_eq!(shown("%10s", text), "       abc");
        assert_eq!(shown("%-6s", text), "abc   ");
        assert_eq!(shown("%.2s", text), "ab");
        assert_eq!(shown("%05s", text), "00abc");
        let long = Value::Text(Text { bytes: b"abc", trailer: b"..", foreign: true });
        assert_eq!(shown("%6s", long), " abc..");
        assert_eq!(shown("%.9s", long), "abc..");
        let bytes = Value::Bytes(b"ab\x01\xff~\n\\");
        assert_eq!(shown("%r", bytes), r"ab\x01\xff~\x0a\");
        assert_eq!(shown("%rx", Value::Bytes(b"a\x01")), r"\x61\x01");
        assert_eq!(shown("%rh", Value::Bytes(b"a\x01\xff")), "61 01 ff");
        assert_eq!(shown("%-12rx", Value::Bytes(b"ab")), r"\x61\x62    ");
    }

    proptest::proptest! {
        #[test]
        fn numbers_agree_with_rust(value in proptest::num::i64::ANY, width in 0u32..30) {
            let rust = format!("{value:>width$}", width = width as usize);
            proptest::prop_assert_eq!(shown(&format!("%{width}ld"), Value::Int(value)), rust);
            let rust = format!("{value:#018x}");
            if value != 0 {
                proptest::prop_assert_eq!(shown("%#018lx", Value::Int(value)), rust);
            }
        }
    }
}
