//! Values as text and as JSON.

use std::io::Write;

use serde_json::value::RawValue;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer};

use super::output::{push_foreign, push_hex_escape};
use super::stack::{push_stack, push_symbol};
use crate::aggregate::{Number, Reduced};
use crate::decode::{Text, Value};

/// Appends a value as `print` shows it.
pub(super) fn push_value(out: &mut Vec<u8>, value: Value<'_>, escape: bool) {
    match value {
        Value::Void => {}
        Value::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        Value::Int(value) => push_int(out, value),
        Value::Uint(value) => push_int(out, value),
        Value::Enum { name: Some(name), .. } => out.extend_from_slice(name.as_bytes()),
        Value::Enum { value, name: None } => push_int(out, value),
        Value::Text(text) => push_text(out, text, escape),
        Value::Bytes(bytes) => push_bytes(out, bytes),
        Value::Shown(meaning) => out.extend_from_slice(meaning.text().as_bytes()),
        Value::Pointer(value) => push_pointer(out, value),
        Value::Stack(stack) => push_stack(out, stack, escape),
        Value::Symbol(symbol) => push_symbol(out, symbol, escape),
        Value::Array(elems) => push_list(out, elems.into_iter(), (b"[", b",", b"]"), escape),
        Value::Tuple(elems) => push_list(out, elems.into_iter(), (b"(", b", ", b")"), escape),
        Value::Record(elems) if elems.named().next().is_none() => out.extend_from_slice(b"{}"),
        Value::Record(elems) => {
            out.extend_from_slice(b"{ ");
            for (index, (name, value)) in elems.named().enumerate() {
                out.extend_from_slice(if index == 0 { b"." } else { b", ." });
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b" = ");
                push_value(out, value, escape);
            }
            out.extend_from_slice(b" }");
        }
    }
}

/// Appends a key as it stands between the brackets: a tuple loses its parentheses.
pub(super) fn push_key(out: &mut Vec<u8>, key: Value<'_>, escape: bool) {
    match key {
        Value::Tuple(elems) => push_list(out, elems.into_iter(), (b"", b", ", b""), escape),
        key => push_value(out, key, escape),
    }
}

/// Appends what an aggregation amounts to: one line without its end, or the lines of a histogram with theirs.
pub(super) fn push_reduced(out: &mut Vec<u8>, reduced: &Reduced) {
    match reduced {
        Reduced::Number(number) | Reduced::Average(number) => push_number(out, *number),
        Reduced::Stats { count, average, total } => {
            out.extend_from_slice(b"{ .count = ");
            push_int(out, *count);
            out.extend_from_slice(b", .average = ");
            push_number(out, *average);
            out.extend_from_slice(b", .total = ");
            push_number(out, *total);
            out.extend_from_slice(b" }");
        }
        Reduced::Series(points) => out.extend_from_slice(points.graph().as_bytes()),
        Reduced::Histogram(histogram) => {
            // Writing to a `Vec` cannot fail.
            let _ = write!(out, "{histogram}");
        }
    }
}

/// Appends a text with its trailer.
pub(super) fn push_text(out: &mut Vec<u8>, text: Text<'_>, escape: bool) {
    push_foreign(out, text.bytes, escape && text.foreign);
    out.extend_from_slice(text.trailer);
}

/// Appends bytes, those that are not printable as `\x00`.
pub(super) fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        if matches!(byte, b' '..=b'~') {
            out.push(byte);
        } else {
            push_hex_escape(out, byte);
        }
    }
}

/// Appends an address.
pub(super) fn push_pointer(out: &mut Vec<u8>, value: u64) {
    // Writing to a `Vec` cannot fail.
    let _ = write!(out, "{value:#x}");
}

pub(super) fn push_int(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn push_number(out: &mut Vec<u8>, number: Number) {
    match number {
        Number::Signed(value) => push_int(out, value),
        Number::Unsigned(value) => push_int(out, value),
    }
}

fn push_list<'a>(
    out: &mut Vec<u8>,
    elems: impl Iterator<Item = Value<'a>>,
    (open, comma, close): (&[u8], &[u8], &[u8]),
    escape: bool,
) {
    out.extend_from_slice(open);
    for (index, elem) in elems.enumerate() {
        if index > 0 {
            out.extend_from_slice(comma);
        }
        push_value(out, elem, escape);
    }
    out.extend_from_slice(close);
}

/// The key of an entry as a JSON object's key: everything in one string, without spaces.
pub(super) fn json_key(key: Value<'_>) -> String {
    fn push(out: &mut Vec<u8>, value: Value<'_>) {
        match value {
            Value::Tuple(elems) => {
                out.push(b'(');
                list(out, elems.into_iter());
                out.push(b')');
            }
            Value::Record(elems) => {
                out.push(b'{');
                for (index, (name, value)) in elems.named().enumerate() {
                    out.extend_from_slice(if index == 0 { b"." } else { b",." });
                    out.extend_from_slice(name.as_bytes());
                    out.push(b'=');
                    push(out, value);
                }
                out.push(b'}');
            }
            Value::Array(elems) => {
                out.push(b'[');
                list(out, elems.into_iter());
                out.push(b']');
            }
            // No spaces, not even those in front of a frame.
            Value::Stack(stack) => {
                let mut text = Vec::new();
                push_stack(&mut text, stack, false);
                out.extend(text.into_iter().filter(|&byte| byte != b' '));
            }
            value => push_value(out, value, false),
        }
    }
    fn list<'a>(out: &mut Vec<u8>, elems: impl Iterator<Item = Value<'a>>) {
        for (index, elem) in elems.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            push(out, elem);
        }
    }
    let mut out = Vec::new();
    match key {
        Value::Tuple(elems) => list(&mut out, elems.into_iter()),
        key => push(&mut out, key),
    }
    into_text(out)
}

/// Bytes as a string; what is not UTF-8 becomes the replacement character, as JSON knows no bytes.
pub(super) fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// A value in JSON.
pub(super) struct Json<T>(pub T);

impl Serialize for Json<Value<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Void => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(value),
            Value::Int(value) => serializer.serialize_i64(value),
            Value::Uint(value) | Value::Pointer(value) => serializer.serialize_u64(value),
            // As the original: the number, while a key is the name.
            Value::Enum { value, .. } => serializer.serialize_i128(value),
            Value::Text(text) => {
                let shown = String::from_utf8_lossy(text.bytes);
                if text.trailer.is_empty() {
                    serializer.serialize_str(&shown)
                } else {
                    serializer.collect_str(&format_args!("{shown}{}", String::from_utf8_lossy(text.trailer)))
                }
            }
            Value::Bytes(bytes) => serializer.collect_seq(bytes),
            Value::Shown(meaning) => serializer.serialize_str(&meaning.text()),
            Value::Stack(_) | Value::Symbol(_) => {
                let mut text = Vec::new();
                push_value(&mut text, self.0, false);
                serializer.serialize_str(&into_text(text))
            }
            Value::Array(elems) | Value::Tuple(elems) => {
                let mut seq = serializer.serialize_seq(None)?;
                for elem in elems {
                    seq.serialize_element(&Json(elem))?;
                }
                seq.end()
            }
            Value::Record(elems) => {
                let mut map = serializer.serialize_map(None)?;
                for (name, value) in elems.named() {
                    map.serialize_entry(name, &Json(value))?;
                }
                map.end()
            }
        }
    }
}

impl Serialize for Json<&Reduced> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Reduced::Number(number) | Reduced::Average(number) => Json(*number).serialize(serializer),
            Reduced::Stats { count, average, total } => {
                let mut stats = serializer.serialize_struct("stats", 3)?;
                stats.serialize_field("count", count)?;
                stats.serialize_field("average", &Json(*average))?;
                stats.serialize_field("total", &Json(*total))?;
                stats.end()
            }
            Reduced::Series(points) => {
                // Without the blanks that other objects have.
                let points: Vec<String> = points
                    .values()
                    .map(|(start, value)| format!("{{\"interval_start\":\"{start}\",\"value\":{value}}}"))
                    .collect();
                let raw = RawValue::from_string(format!("[{}]", points.join(",")));
                raw.map_err(serde::ser::Error::custom)?.serialize(serializer)
            }
            Reduced::Histogram(histogram) => histogram.serialize(serializer),
        }
    }
}

impl Serialize for Json<Number> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Number::Signed(value) => serializer.serialize_i64(value),
            Number::Unsigned(value) => serializer.serialize_u64(value),
        }
    }
}
