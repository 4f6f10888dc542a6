//! The JSON dialect of bpftool: compact, or "pretty" in its own way.
//!
//! Pretty output breaks the line before every name and before the bracket that closes a container with something
//! in it, four blanks a depth; the elements of an array stay on the line. Unlike the original, every string is
//! escaped, so that the output is always valid.
//!
//! [`Writer`] writes step by step, so that a list of a million entries is never kept; whole structures go through
//! serde, with the same look.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

/// Writes one value, without a newline behind it.
pub(crate) fn write<T: Serialize + ?Sized>(out: &mut dyn Write, value: &T, pretty: bool) -> io::Result<()> {
    Writer::new(out, pretty, 0).value(value)
}

/// Writes values part by part.
///
/// Containers are opened and closed, names come before their values; commas and line breaks come by themselves.
pub(crate) struct Writer<'a> {
    out: &'a mut dyn Write,
    pretty: bool,
    depth: usize,
    /// Whether the container that is open holds something already.
    filled: bool,
    /// Whether a name has been written that waits for its value.
    named: bool,
}

impl<'a> Writer<'a> {
    /// A writer of one value that stands `depth` containers deep.
    pub(crate) fn new(out: &'a mut dyn Write, pretty: bool, depth: usize) -> Self {
        Self { out, pretty, depth, filled: false, named: false }
    }

    pub(crate) fn begin_array(&mut self) -> io::Result<()> {
        self.begin(b"[")
    }

    pub(crate) fn end_array(&mut self) -> io::Result<()> {
        self.end(b"]")
    }

    pub(crate) fn begin_object(&mut self) -> io::Result<()> {
        self.begin(b"{")
    }

    pub(crate) fn end_object(&mut self) -> io::Result<()> {
        self.end(b"}")
    }

    /// The name of the next value of an object.
    pub(crate) fn name(&mut self, name: &str) -> io::Result<()> {
        if self.filled {
            self.out.write_all(b",")?;
        }
        self.break_line()?;
        self.text(name)?;
        self.out.write_all(if self.pretty { b": " } else { b":" })?;
        self.named = true;
        Ok(())
    }

    /// A value that serde knows how to write.
    pub(crate) fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        self.separate()?;
        let out = &mut *self.out;
        let result = if self.pretty {
            let formatter = Pretty { depth: self.depth, filled: false };
            value.serialize(&mut serde_json::Serializer::with_formatter(out, formatter))
        } else {
            value.serialize(&mut serde_json::Serializer::with_formatter(out, CompactFormatter))
        };
        self.filled = true;
        result.map_err(io::Error::from)
    }

    /// A named value.
    pub(crate) fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> io::Result<()> {
        self.name(name)?;
        self.value(value)
    }

    /// The fields of a structure, within an object that is open.
    pub(crate) fn fields<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        let value = serde_json::to_value(value)?;
        value.as_object().into_iter().flatten().try_for_each(|(name, value)| self.field(name, value))
    }

    /// A value whose text is given.
    pub(crate) fn raw(&mut self, text: &str) -> io::Result<()> {
        self.separate()?;
        self.filled = true;
        self.out.write_all(text.as_bytes())
    }

    /// An array of bytes in the way of the original: `["0x01","0xff"]`.
    pub(crate) fn hex_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.begin_array()?;
        for byte in bytes {
            self.separate()?;
            self.filled = true;
            write!(self.out, "\"{byte:#04x}\"")?;
        }
        self.end_array()
    }

    fn begin(&mut self, bracket: &[u8]) -> io::Result<()> {
        self.separate()?;
        self.depth += 1;
        self.filled = false;
        self.out.write_all(bracket)
    }

    fn end(&mut self, bracket: &[u8]) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        if self.filled {
            self.break_line()?;
        }
        self.filled = true;
        self.out.write_all(bracket)
    }

    /// What stands between a value and the one before it.
    fn separate(&mut self) -> io::Result<()> {
        if self.named {
            self.named = false;
            return Ok(());
        }
        if self.filled { self.out.write_all(b",") } else { Ok(()) }
    }

    fn break_line(&mut self) -> io::Result<()> {
        if self.pretty { break_line(self.out, self.depth) } else { Ok(()) }
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, text).map_err(io::Error::from)
    }
}

fn break_line<W: ?Sized + Write>(out: &mut W, depth: usize) -> io::Result<()> {
    const BLANKS: &[u8; 64] = &[b' '; 64];
    out.write_all(b"\n")?;
    let mut missing = depth * 4;
    while missing > 0 {
        let part = missing.min(BLANKS.len());
        out.write_all(BLANKS.get(..part).unwrap_or_default())?;
        missing -= part;
    }
    Ok(())
}

/// The pretty form, for serde.
#[derive(Debug, Default)]
struct Pretty {
    depth: usize,
    /// Whether the container that is open holds something already.
    filled: bool,
}

impl Pretty {
    fn open(&mut self) {
        self.depth += 1;
        self.filled = false;
    }

    fn close<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.filled { break_line(out, self.depth) } else { Ok(()) }
    }
}

impl Formatter for Pretty {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open();
        out.write_all(b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out)?;
        out.write_all(b"]")
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open();
        out.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out)?;
        out.write_all(b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(b",")?;
        }
        break_line(out, self.depth)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn text(value: &Value, pretty: bool) -> String {
        let mut out = Vec::new();
        write(&mut out, value, pretty).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_pretty_dialect() {
        let value = json!([{"id": 1, "map_ids": [1, 2], "none": [], "empty": {}}, {"error": "a \"b\"\u{1}"}]);
        insta::assert_snapshot!(text(&value, true), @r#"
        [{
                "id": 1,
                "map_ids": [1,2
                ],
                "none": [],
                "empty": {}
            },{
                "error": "a \"b\"\u0001"
            }
        ]
        "#);
        assert_eq!(text(&json!([]), true), "[]");
        assert_eq!(text(&json!({"a": [1]}), false), r#"{"a":[1]}"#);
    }

    #[test]
    fn part_by_part_looks_the_same() {
        let mut out = Vec::new();
        let mut json = Writer::new(&mut out, true, 0);
        json.begin_array().unwrap();
        json.begin_object().unwrap();
        json.field("id", &1).unwrap();
        json.name("map_ids").unwrap();
        json.begin_array().unwrap();
        json.value(&1).unwrap();
        json.value(&2).unwrap();
        json.end_array().unwrap();
        json.name("none").unwrap();
        json.begin_array().unwrap();
        json.end_array().unwrap();
        json.field("empty", &json!({})).unwrap();
        json.end_object().unwrap();
        json.value(&json!({"error": "a \"b\"\u{1}"})).unwrap();
        json.end_array().unwrap();
        let whole = json!([{"id": 1, "map_ids": [1, 2], "none": [], "empty": {}}, {"error": "a \"b\"\u{1}"}]);
        assert_eq!(String::from_utf8(out).unwrap(), text(&whole, true));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC*".prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Whatever is written can be read again, in both forms.
        #[test]
        fn output_is_valid(value in any_value(), pretty: bool) {
            let read: Value = serde_json::from_str(&text(&value, pretty)).unwrap();
            prop_assert_eq!(read, value);
        }
    }
}
