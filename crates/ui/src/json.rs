//! JSON as the tracing language's output writes it.
//!
//! Differences from the usual compact form: `": "` and `", "` within objects (none in arrays),
//! control characters always as `\u00xx` except `\n \r \t`, and integers that a double cannot hold
//! exactly as strings, so that no reader rounds them in silence.
//!
//! ```text
//! {"type": "value", "data": [1,"x",{"a": "9007199254740993"}]}
//! ```

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

/// The dialect, for [`Serializer::with_formatter`].
#[derive(Debug, Clone, Default)]
pub struct Dialect {
    /// A key is being written; serde_json puts the quotes around its integers itself.
    in_key: bool,
}

/// One value on one line, without line end.
///
/// # Errors
/// When the value cannot be serialised: a map with keys that are no strings or numbers.
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    let mut bytes = Vec::with_capacity(128);
    write(&mut bytes, value)?;
    // serde_json writes UTF-8 only.
    Ok(String::from_utf8(bytes).unwrap_or_default())
}

/// Writes one value on one line, without line end.
///
/// # Errors
/// When writing fails, or the value cannot be serialised.
pub fn write<T: Serialize + ?Sized>(out: &mut impl Write, value: &T) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, Dialect::default()))
}

impl Formatter for Dialect {
    fn begin_object_key<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.in_key = true;
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn end_object_key<W: Write + ?Sized>(&mut self, _out: &mut W) -> io::Result<()> {
        self.in_key = false;
        Ok(())
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_u64<W: Write + ?Sized>(&mut self, out: &mut W, value: u64) -> io::Result<()> {
        if self.in_key || (value as f64) as i128 == i128::from(value) {
            CompactFormatter.write_u64(out, value)
        } else {
            write!(out, "\"{value}\"")
        }
    }

    fn write_i64<W: Write + ?Sized>(&mut self, out: &mut W, value: i64) -> io::Result<()> {
        if self.in_key || (value as f64) as i128 == i128::from(value) {
            CompactFormatter.write_i64(out, value)
        } else {
            write!(out, "\"{value}\"")
        }
    }

    fn write_char_escape<W: Write + ?Sized>(&mut self, out: &mut W, escape: CharEscape) -> io::Result<()> {
        match escape {
            CharEscape::Backspace => out.write_all(br"\u0008"),
            CharEscape::FormFeed => out.write_all(br"\u000c"),
            other => CompactFormatter.write_char_escape(out, other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn text<T: Serialize>(value: T) -> String {
        to_string(&value).expect("serialisable")
    }

    #[test]
    fn objects_have_blanks_and_arrays_none() {
        assert_eq!(
            text(json!({"type": "value", "data": [1, "x", [2, {"a": true, "b": null}]]})),
            r#"{"type": "value", "data": [1,"x",[2,{"a": true, "b": null}]]}"#
        );
        assert_eq!(text(json!({})), "{}");
        assert_eq!(text(json!([{}, []])), "[{},[]]");
    }

    #[test]
    fn strings_escape_what_json_demands_and_no_more() {
        assert_eq!(
            text("a\"b\\c\n\r\t\u{8}\u{c}\u{1b}\u{7f}/é"),
            r#""a\"b\\c\n\r\t\u0008\u000c\u001b"#.to_owned() + "\u{7f}/é\""
        );
    }

    #[test]
    fn integers_that_a_double_would_round_are_strings() {
        assert_eq!(text(9_007_199_254_740_992u64), "9007199254740992");
        assert_eq!(text(9_007_199_254_740_993u64), "\"9007199254740993\"");
        assert_eq!(text(1u64 << 60), "1152921504606846976");
        assert_eq!(text(u64::MAX), "\"18446744073709551615\"");
        assert_eq!(text(18_446_744_073_709_549_568u64), "18446744073709549568");
        assert_eq!(text(-9_007_199_254_740_993i64), "\"-9007199254740993\"");
        assert_eq!(text(i64::MIN), "-9223372036854775808");
        assert_eq!(text(i64::MAX), "\"9223372036854775807\"");
    }

    #[test]
    fn integer_keys_are_quoted_once() {
        let map = BTreeMap::from([(9_007_199_254_740_993u64, u64::MAX)]);
        assert_eq!(text(map), r#"{"9007199254740993": "18446744073709551615"}"#);
    }
}
