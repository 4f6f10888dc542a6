//! Values of BTF types, as the original writes them.

use std::io;

use skep_btf::Value;

use crate::json::Writer;

/// For whom a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// For people: nearly JSON, with addresses in quotes and bits as bare hexadecimal numbers.
    Plain,
    /// For programs: JSON.
    Json,
}

/// Writes a value.
pub(crate) fn write(json: &mut Writer<'_>, value: &Value<'_>, look: Look) -> io::Result<()> {
    write_with(json, value, look, &mut |_, _| None)
}

/// A value as a piece of JSON.
pub(crate) fn to_json(value: &Value<'_>) -> Option<serde_json::Value> {
    let mut text = Vec::new();
    write(&mut Writer::new(&mut text, false, 0), value, Look::Json).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Writes a value, with texts of the caller's for some addresses, by address and the type that is pointed to.
pub(crate) fn write_with(
    json: &mut Writer<'_>,
    value: &Value<'_>,
    look: Look,
    pointer: &mut dyn FnMut(u64, skep_btf::TypeId) -> Option<String>,
) -> io::Result<()> {
    match value {
        Value::Int(number) => json.raw(&number.to_string()),
        Value::Bits(bits) => match look {
            Look::Plain => json.raw(&format!("{bits:#x}")),
            Look::Json => json.value(&format!("{bits:#x}")),
        },
        Value::Char(byte) => match (byte, look) {
            (0x20..0x7f, _) => json.value(&char::from(*byte)),
            (_, Look::Plain) => json.raw(&format!("{byte:#x}")),
            (_, Look::Json) => json.raw(&format!("\"\\u00{byte:02x}\"")),
        },
        Value::Bool(value) => json.value(value),
        Value::Float(value) if value.is_finite() => json.value(value),
        // JSON has no number for these.
        Value::Float(value) => json.value(&value.to_string()),
        Value::Name(name) => json.value(name),
        Value::Text(text) => json.value(text),
        Value::Pointer { address, target } => match (pointer(*address, *target), look) {
            (Some(text), _) => json.value(&text),
            (None, Look::Plain) if *address == 0 => json.value("(nil)"),
            (None, Look::Plain) => json.value(&format!("{address:#x}")),
            (None, Look::Json) => json.value(address),
        },
        Value::Struct(members) => {
            json.begin_object()?;
            let mut anonymous = 0;
            for (name, value) in members {
                // A name may stand only once in an object that programs read.
                if name.is_empty() && look == Look::Json && anonymous > 0 {
                    json.name(&format!("({anonymous})"))?;
                } else {
                    json.name(name)?;
                }
                anonymous += usize::from(name.is_empty());
                write_with(json, value, look, pointer)?;
            }
            json.end_object()
        }
        Value::Array(elements) => {
            json.begin_array()?;
            elements.iter().try_for_each(|element| write_with(json, element, look, pointer))?;
            json.end_array()
        }
        Value::Var(name, value) => {
            json.begin_object()?;
            json.name(name)?;
            write_with(json, value, look, pointer)?;
            json.end_object()
        }
        Value::Section(name, variables) => {
            json.begin_object()?;
            json.name(name)?;
            json.begin_array()?;
            variables.iter().try_for_each(|variable| write_with(json, variable, look, pointer))?;
            json.end_array()?;
            json.end_object()
        }
        Value::None(why) => json.value(&format!("({why})")),
    }
}
