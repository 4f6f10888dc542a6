//! The JSON dialect of bpftool: compact, or "pretty" in its own way.
//!
//! Pretty output breaks the line before every name and before the bracket that closes a container with something
//! in it, four blanks a depth; the elements of an array stay on the line. Unlike the original, every string is
//! escaped, so that the output is always valid.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

/// Writes one value, without a newline behind it.
pub(crate) fn write<T: Serialize + ?Sized>(out: &mut dyn Write, value: &T, pretty: bool) -> io::Result<()> {
    let result = if pretty {
        value.serialize(&mut serde_json::Serializer::with_formatter(out, Pretty::default()))
    } else {
        value.serialize(&mut serde_json::Serializer::with_formatter(out, CompactFormatter))
    };
    result.map_err(io::Error::from)
}

/// The pretty form.
#[derive(Debug, Default)]
struct Pretty {
    depth: usize,
    /// Whether the container that is open holds something already.
    filled: bool,
}

impl Pretty {
    fn break_line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        out.write_all(b"\n")?;
        for _ in 0..self.depth {
            out.write_all(b"    ")?;
        }
        Ok(())
    }

    fn open(&mut self) {
        self.depth += 1;
        self.filled = false;
    }

    fn close<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.filled { self.break_line(out) } else { Ok(()) }
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
        self.break_line(out)
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
