//! `struct_ops`: tables of functions that the kernel calls.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use serde_json::{Value as Json, json};
use skep_btf::{Btf, Kind, Type, TypeId};
use skep_kernel::bpf::{self, Map, MapInfo, MapType, ObjectKind};

use super::{HELP, OPTIONS, Object, later, run};
use crate::cli::{Session, Words, is_prefix};
use crate::collect;
use crate::error::{Error, FAILED, Result};
use crate::json::Writer;
use crate::plain::safe;
use crate::value::{Look, write_with};

pub(super) static OBJECT: Object = Object {
    name: "struct_ops",
    commands: &[
        run("show", list),
        run("list", list),
        later("register"),
        later("unregister"),
        run("dump", dump),
        HELP,
    ],
    usage: &[
        "{ show | list } [STRUCT_OPS_MAP]",
        "dump [STRUCT_OPS_MAP]",
        "register OBJ [LINK_DIR]",
        "unregister STRUCT_OPS_MAP",
        "help",
    ],
    terms: &["", "STRUCT_OPS_MAP := [ id STRUCT_OPS_MAP_ID | name STRUCT_OPS_MAP_NAME ]", OPTIONS],
};

/// What the kernel's types call the value of a table: this and the table's own name.
const PREFIX: &str = "bpf_struct_ops_";

/// A table that is open.
struct Table {
    fd: OwnedFd,
    info: MapInfo,
    btf: Arc<Btf>,
}

impl Table {
    /// The name of the kernel's structure.
    fn kernel_name(&self) -> &str {
        let ty = self.btf.get(TypeId(self.info.btf_vmlinux_value_type_id));
        let name = ty.map_or("", |ty| ty.name());
        name.strip_prefix(PREFIX).unwrap_or(name)
    }
}

fn list(session: &mut Session<'_>, words: &mut Words<'_>) -> Result<u8> {
    let tables = select(words)?;
    if session.is_json() {
        let all: Vec<Json> = tables
            .iter()
            .map(|table| {
                json!({
                    "id": table.info.id, "name": table.info.name, "kernel_struct_ops": table.kernel_name(),
                })
            })
            .collect();
        session.json(&all)?;
        return Ok(0);
    }
    for table in &tables {
        let name = safe(&table.info.name);
        writeln!(session.out, "{}: {name:<15} {:<32}", table.info.id, table.kernel_name())?;
    }
    Ok(0)
}

fn dump(session: &mut Session<'_>, words: &mut Words<'_>) -> Result<u8> {
    let tables = select(words)?;
    let plain = !session.is_json();
    let look = if plain { Look::Plain } else { Look::Json };
    let mut pretend;
    let mut own;
    let json = if plain {
        pretend = Writer::new(session.out, true, 0);
        &mut pretend
    } else {
        own = session.writer();
        &mut own
    };
    json.begin_array()?;
    for table in &tables {
        table.dump(json, look)?;
    }
    json.end_array()?;
    if plain {
        writeln!(session.out)?;
    }
    Ok(0)
}

impl Table {
    fn dump(&self, json: &mut Writer<'_>, look: Look) -> Result<()> {
        let btf = &*self.btf;
        // The structure with which the kernel describes maps, as this kernel has it.
        if let Some(id) = btf.find(Kind::Struct, "bpf_map_info") {
            let size = btf.size_of(id).unwrap_or(0);
            let bytes = bpf::map_info_bytes(self.fd.as_fd(), usize::try_from(size).unwrap_or(0))
                .map_err(|error| Error::kernel("can't get map info", &error))?;
            json.begin_object()?;
            json.name("bpf_map_info")?;
            let value = btf.value(id, &bytes).map_err(|error| Error::Message(error.to_string()))?;
            write_with(json, &value, look, &mut |_, _| None)?;
            json.end_object()?;
        }
        let fd = self.fd.try_clone()?;
        let map = Map::from_fd(fd).map_err(|error| Error::kernel("can't get map info", &error))?;
        let value = map
            .lookup(&0u32.to_ne_bytes())
            .map_err(|error| Error::kernel("can't lookup struct_ops map", &error))?
            .unwrap_or_default();
        let id = TypeId(self.info.btf_vmlinux_value_type_id);
        let value = btf.value(id, &value).map_err(|error| Error::Message(error.to_string()))?;
        json.begin_object()?;
        json.name(btf.get(id).map_or("", |ty| ty.name()))?;
        write_with(json, &value, look, &mut |address, target| function(btf, address, target))?;
        json.end_object()?;
        Ok(())
    }
}

/// A function of the table: its type, and the program that is put there by its id.
fn function(btf: &Btf, address: u64, target: TypeId) -> Option<String> {
    let id = u32::try_from(address).ok()?;
    let (proto, Type::FuncProto(_)) = btf.resolve(target).ok()? else { return None };
    let signature = btf.signature(proto)?;
    if id == 0 {
        return Some(format!("{signature} 0"));
    }
    let name = || {
        let fd = bpf::get_fd_by_id(ObjectKind::Prog, id, 0).ok()?;
        Some(collect::full_name(&bpf::prog_info(fd.as_fd()).ok()?))
    };
    Some(format!("{signature} {}/prog_id:{id}", name().unwrap_or_default()))
}

/// The tables that the words mean: all, one by its id, or those of a name.
fn select(words: &mut Words<'_>) -> Result<Vec<Table>> {
    let (keyword, value) = match (words.next(), words.next()) {
        (None, _) => return all(|_| true),
        (Some(_), None) => return Err(Error::Usage),
        (Some(keyword), Some(value)) => (keyword, value),
    };
    if !words.is_empty() {
        return Err(Error::Usage);
    }
    let text = value.to_string_lossy();
    let found = if is_prefix(keyword, "id") {
        let id = collect::parse_id(&text).ok_or_else(|| Error::Message(format!("invalid id {text}")))?;
        // One that is not there is told as for any map.
        bpf::get_fd_by_id(ObjectKind::Map, id, bpf::map_flags::RDONLY)
            .map_err(|error| Error::kernel(&format!("can't get map by id ({id})"), &error))?;
        all(|info| info.id == id)?
    } else if is_prefix(keyword, "name") {
        all(|info| info.name == text)?
    } else {
        return Err(Error::Usage);
    };
    if found.is_empty() {
        return Err(Error::Status(format!("no struct_ops found for {text}"), FAILED));
    }
    Ok(found)
}

fn all(wanted: impl Fn(&MapInfo) -> bool) -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    for fd in collect::open_all(ObjectKind::Map) {
        let fd = fd?;
        let info = bpf::map_info(fd.as_fd()).map_err(|error| Error::kernel("can't get map info", &error))?;
        if info.kind != MapType::STRUCT_OPS || !wanted(&info) {
            continue;
        }
        let is_kernel = info.btf_vmlinux_id <= 1;
        let btf =
            if is_kernel { collect::kernel_btf() } else { collect::btf(info.btf_vmlinux_id).map(Arc::new) };
        let btf = btf.ok_or_else(|| {
            Error::Message("the kernel does not tell its types (CONFIG_DEBUG_INFO_BTF)".to_owned())
        })?;
        tables.push(Table { fd, info, btf });
    }
    Ok(tables)
}
