//! One element of a map as text and as JSON, with its types where they are known.

use std::io::{self, Write};

use skep_btf::{Btf, TypeId, Value};
use skep_kernel::bpf::{MapInfo, MapType};

use crate::json::Writer;
use crate::value::{Look, write};

/// How the elements of a map are shown.
pub(super) struct Elements {
    pub(super) info: MapInfo,
    /// The types of key and value; `None`: bytes.
    pub(super) types: Option<Types>,
    pub(super) cpus: usize,
}

/// The types of a map's keys and values.
pub(super) struct Types {
    pub(super) btf: std::sync::Arc<Btf>,
    pub(super) key: Option<TypeId>,
    pub(super) value: TypeId,
}

impl Elements {
    pub(super) fn is_per_cpu(&self) -> bool {
        self.info.kind.is_per_cpu()
    }

    fn is_map_of_maps(&self) -> bool {
        matches!(self.info.kind, MapType::ARRAY_OF_MAPS | MapType::HASH_OF_MAPS)
    }

    pub(super) fn is_prog_array(&self) -> bool {
        self.info.kind == MapType::PROG_ARRAY
    }

    pub(super) fn is_map_or_prog_array(&self) -> bool {
        self.is_map_of_maps() || self.is_prog_array()
    }

    /// The CPUs' parts of a value, each at a multiple of eight bytes.
    fn parts<'a>(&self, value: &'a [u8]) -> impl Iterator<Item = (usize, &'a [u8])> + use<'a> {
        let size = self.info.value_size as usize;
        let step = size.next_multiple_of(8).max(1);
        (0..self.cpus).map_while(move |cpu| Some((cpu, value.get(cpu * step..)?.get(..size)?)))
    }

    /// An element with types: pseudo-JSON for people, the key `formatted` for programs.
    pub(super) fn typed(
        &self,
        json: &mut Writer<'_>,
        types: &Types,
        key: &[u8],
        value: &[u8],
        look: Look,
    ) -> io::Result<()> {
        json.begin_object()?;
        if let Some(key_type) = types.key {
            json.name("key")?;
            one(json, &types.btf, key_type, key, look)?;
        }
        if self.is_per_cpu() {
            json.name("values")?;
            json.begin_array()?;
            for (cpu, part) in self.parts(value) {
                json.begin_object()?;
                json.field("cpu", &cpu)?;
                json.name("value")?;
                one(json, &types.btf, types.value, part, look)?;
                json.end_object()?;
            }
            json.end_array()?;
        } else {
            json.name("value")?;
            one(json, &types.btf, types.value, value, look)?;
        }
        json.end_object()
    }

    /// An element as JSON: the bytes, and what they mean where that is known.
    pub(super) fn json(&self, json: &mut Writer<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
        json.begin_object()?;
        json.name("key")?;
        json.hex_bytes(key)?;
        if self.is_per_cpu() {
            json.name("values")?;
            json.begin_array()?;
            for (cpu, part) in self.parts(value) {
                json.begin_object()?;
                json.field("cpu", &cpu)?;
                json.name("value")?;
                json.hex_bytes(part)?;
                json.end_object()?;
            }
            json.end_array()?;
        } else {
            json.name("value")?;
            json.hex_bytes(value)?;
            if self.is_map_of_maps()
                && let Some(id) = value.first_chunk::<4>()
            {
                json.field("inner_map_id", &u32::from_ne_bytes(*id))?;
            }
        }
        if let Some(types) = &self.types {
            json.name("formatted")?;
            self.typed(json, types, key, value, Look::Json)?;
        }
        json.end_object()
    }

    /// An element as bytes for people.
    pub(super) fn plain(&self, out: &mut dyn Write, key: &[u8], value: &[u8]) -> io::Result<()> {
        if self.is_per_cpu() {
            let break_names = self.info.value_size > 16;
            if !key.is_empty() {
                writeln!(out, "key:")?;
                bytes(out, key)?;
                writeln!(out)?;
            }
            for (cpu, part) in self.parts(value) {
                write!(out, "value (CPU {cpu:02}):{}", if break_names { '\n' } else { ' ' })?;
                bytes(out, part)?;
                writeln!(out)?;
            }
            return Ok(());
        }
        let break_names = key.len() > 16 || value.len() > 16;
        let single_line = key.len() + value.len() <= 24 && !value.is_empty() && !break_names;
        if !key.is_empty() {
            write!(out, "key:{}", if break_names { '\n' } else { ' ' })?;
            bytes(out, key)?;
            write!(out, "{}", if single_line { "  " } else { "\n" })?;
        }
        if !value.is_empty() {
            if self.is_map_of_maps() {
                let id = value.first_chunk::<4>().map_or(0, |id| u32::from_ne_bytes(*id));
                write!(out, "inner_map_id:{}{id} ", if break_names { '\n' } else { ' ' })?;
            } else {
                write!(out, "value:{}", if break_names { '\n' } else { ' ' })?;
                bytes(out, value)?;
            }
        }
        writeln!(out)
    }

    /// An element whose value cannot be read, for people.
    pub(super) fn plain_unreadable(&self, out: &mut dyn Write, key: &[u8], why: &str) -> io::Result<()> {
        let break_names = key.len() > 16 || why.len() > 16;
        let single_line = key.len() + why.len() <= 24 && !break_names;
        if !key.is_empty() {
            write!(out, "key:{}", if break_names { '\n' } else { ' ' })?;
            bytes(out, key)?;
            write!(out, "{}", if single_line { "  " } else { "\n" })?;
        }
        writeln!(out, "value:{}{why}", if break_names { '\n' } else { ' ' })
    }
}

/// A value of a type. One that the bytes do not hold shows why, as a text.
fn one(json: &mut Writer<'_>, btf: &Btf, id: TypeId, bytes: &[u8], look: Look) -> io::Result<()> {
    match btf.value(id, bytes) {
        Ok(value) => write(json, &value, look),
        Err(error) => write(json, &Value::Text(error.to_string()), look),
    }
}

/// Bytes in rows of sixteen, with a gap after eight.
pub(super) fn bytes(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    for (index, byte) in bytes.iter().enumerate() {
        let gap = match index {
            0 => "",
            index if index % 16 == 0 => "\n",
            index if index % 8 == 0 => "  ",
            _ => " ",
        };
        write!(out, "{gap}{byte:02x}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_bytes() {
        let mut out = Vec::new();
        bytes(&mut out, &(0..20).collect::<Vec<u8>>()).unwrap();
        let text = "00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f\n10 11 12 13";
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }
}
