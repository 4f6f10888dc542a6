//! The variables with which a program describes itself: those of its read-only data whose names begin with
//! `bpf_metadata_`.

use std::os::fd::AsFd;

use serde_json::{Map as JsonMap, Value};
use skep_btf::{Btf, Type, TypeId};
use skep_kernel::bpf::{self, Map, MapType, ObjectKind};

use crate::value;

const PREFIX: &str = "bpf_metadata_";

/// The variables in the first of these maps that holds read-only data with types; mostly none.
pub(super) fn of_maps(ids: &[u32]) -> JsonMap<String, Value> {
    ids.iter().find_map(|&id| of_map(id)).unwrap_or_default()
}

fn of_map(id: u32) -> Option<JsonMap<String, Value>> {
    let fd = bpf::get_fd_by_id(ObjectKind::Map, id, bpf::map_flags::RDONLY).ok()?;
    let info = bpf::map_info(fd.as_fd()).ok()?;
    let is_rodata = info.kind == MapType::ARRAY
        && info.key_size == 4
        && info.max_entries == 1
        && info.btf_value_type_id != 0
        && info.name.contains(".rodata");
    if !is_rodata {
        return None;
    }
    let data = Map::from_fd(fd).ok()?.lookup(&[0; 4]).ok()??;
    let btf = super::btf(info.btf_id)?;
    variables(&btf, TypeId(info.btf_value_type_id), &data)
}

fn variables(btf: &Btf, section: TypeId, data: &[u8]) -> Option<JsonMap<String, Value>> {
    let Type::DataSec(section) = btf.get(section)? else { return None };
    let variables = section.vars().filter_map(|place| {
        let Type::Var { name, target, .. } = btf.get(place.var)? else { return None };
        let name = name.strip_prefix(PREFIX)?;
        let bytes = data.get(place.offset as usize..)?;
        Some((name.to_owned(), value::to_json(&btf.value(target, bytes).ok()?)?))
    });
    Some(variables.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use skep_btf::{BtfBuilder, Enumerator, IntEncoding, Linkage, Member, SecVar};

    use super::*;

    #[test]
    fn variables_of_many_types() {
        let mut b = BtfBuilder::new();
        let int = b.int("int", 4, IntEncoding::SIGNED);
        let char = b.int("char", 1, IntEncoding::SIGNED);
        let flag = b.int("_Bool", 1, IntEncoding::BOOL);
        let text = b.array(char, int, 4);
        let pair = b.array(int, int, 2);
        let values = [Enumerator { name: "RED", value: 1 }];
        let color = b.enum_("color", 4, false, &values);
        let member = |name, ty, bit_offset| Member { name, ty, bit_offset, bitfield_size: 0 };
        let point = b.struct_("point", 8, &[member("x", int, 0), member("y", int, 32)]);
        let mut vars = Vec::new();
        let mut offset = 0;
        let mut var = |b: &mut BtfBuilder, name: &str, ty, size| {
            vars.push(SecVar { var: b.var(name, ty, Linkage::Global), offset, size });
            offset += size;
        };
        var(&mut b, "bpf_metadata_version", int, 4);
        var(&mut b, "bpf_metadata_author", text, 4);
        var(&mut b, "unrelated", int, 4);
        var(&mut b, "bpf_metadata_pair", pair, 8);
        var(&mut b, "bpf_metadata_color", color, 4);
        var(&mut b, "bpf_metadata_point", point, 8);
        var(&mut b, "bpf_metadata_flag", flag, 1);
        let section = b.datasec(".rodata", offset, &vars);
        let btf = Btf::parse(b.finish()).unwrap();
        let mut data = Vec::new();
        for number in [-7i32, i32::from_le_bytes(*b"lab\0"), 0, 1, 2, 1, 3, 4] {
            data.extend(number.to_le_bytes());
        }
        data.push(1);
        let shown = Value::Object(variables(&btf, section, &data).unwrap());
        let expected = json!({
            "version": -7, "author": "lab", "pair": [1, 2], "color": "RED", "point": {"x": 3, "y": 4}, "flag": true,
        });
        assert_eq!(shown, expected);
        // Data that ends too early has fewer variables, and nothing breaks.
        assert_eq!(variables(&btf, section, &data[..6]).unwrap().len(), 1);
    }
}
