//! `btf show`: the types that are loaded, and who uses them.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::fd::AsFd;

use serde::Serialize;
use skep_kernel::bpf::{self, ObjectKind};

use crate::cli::{Session, Words};
use crate::collect::{self, Surroundings};
use crate::error::{Error, Result};
use crate::model::Holder;
use crate::plain::{Plain, holders, safe};

/// A BTF object.
#[derive(Debug, Serialize)]
struct Object {
    id: u32,
    size: u32,
    prog_ids: Vec<u32>,
    map_ids: Vec<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pids: Vec<Holder>,
    kernel: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
}

pub(super) fn run(session: &mut Session<'_>, words: &mut Words<'_>) -> Result<u8> {
    let only = match words.len() {
        0 => None,
        2 => {
            let keyword = words.next().ok_or(Error::Usage)?;
            if !crate::cli::is_prefix(keyword, "id") {
                let word = keyword.to_string_lossy();
                return Err(Error::Message(format!("expected 'id', got: '{word}'?")));
            }
            let text = words.next().ok_or(Error::Usage)?.to_string_lossy();
            let id = collect::parse_id(&text)
                .ok_or_else(|| Error::Message(format!("can't parse {text} as ID")))?;
            Some(id)
        }
        _ => return Err(super::super::show::unexpected(words)),
    };
    let around = Surroundings::look(ObjectKind::Btf, session);
    if let Some(id) = only {
        // That it is not there is told before anything is shown.
        collect::Selector::Id(id).open(ObjectKind::Btf)?;
    }
    let progs = users(ObjectKind::Prog)?;
    let maps = users(ObjectKind::Map)?;
    let mut objects = Vec::new();
    for fd in collect::open_all(ObjectKind::Btf) {
        let head = bpf::btf_head(fd?.as_fd()).map_err(|e| Error::kernel("can't get BTF object info", &e))?;
        if only.is_some_and(|only| only != head.id) {
            continue;
        }
        objects.push(Object {
            id: head.id,
            size: head.size,
            prog_ids: progs.of(head.id),
            map_ids: maps.of(head.id),
            pids: around.holders_of(head.id),
            kernel: head.kernel,
            name: head.name,
        });
    }
    match (session.is_json(), only, objects.as_slice()) {
        (true, Some(_), [one]) => session.json(one)?,
        (true, ..) => session.json(&objects)?,
        (false, ..) => objects.iter().try_for_each(|object| super::super::show::write(session, object))?,
    }
    Ok(0)
}

impl Plain for Object {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{}: ", self.id)?;
        match (self.kernel, self.name.as_str()) {
            (true, name) => write!(out, "name [{}]  ", safe(name))?,
            (false, "") => write!(out, "name <anon>  ")?,
            (false, name) => write!(out, "name {}  ", safe(name))?,
        }
        write!(out, "size {}B", self.size)?;
        for (title, ids) in [("  prog_ids ", &self.prog_ids), ("  map_ids ", &self.map_ids)] {
            for (index, id) in ids.iter().enumerate() {
                write!(out, "{}{id}", if index == 0 { title } else { "," })?;
            }
        }
        holders(out, &self.pids)?;
        writeln!(out)
    }
}

/// Who uses each BTF object: programs or maps by id.
fn users(kind: ObjectKind) -> Result<Users> {
    let mut users = Users::default();
    for fd in collect::open_all(kind) {
        let fd = fd?;
        let ids = match kind {
            ObjectKind::Prog => bpf::prog_info(fd.as_fd()).map(|info| (info.btf_id, info.id)),
            _ => bpf::map_info(fd.as_fd()).map(|info| (info.btf_id, info.id)),
        };
        let (btf_id, id) = ids.map_err(|error| Error::kernel("can't get object info", &error))?;
        if btf_id != 0 {
            users.add(btf_id, id);
        }
    }
    Ok(users)
}

/// Ids by the object they belong to, in the order in which the original lists them: that of its hash table, which
/// puts new entries in front and turns every chain around when it grows.
#[derive(Debug, Default)]
struct Users {
    /// The front of each chain is the end of its list.
    by_object: HashMap<u32, Vec<u32>>,
    count: usize,
    capacity: usize,
}

impl Users {
    fn add(&mut self, object: u32, id: u32) {
        const SMALLEST: usize = 4;
        if self.capacity == 0 || (self.count + 1) * 4 / 3 > self.capacity {
            self.capacity = (self.capacity * 2).max(SMALLEST);
            self.by_object.values_mut().for_each(|chain| chain.reverse());
        }
        self.count += 1;
        self.by_object.entry(object).or_default().push(id);
    }

    fn of(&self, object: u32) -> Vec<u32> {
        self.by_object.get(&object).into_iter().flatten().rev().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_turn_around_when_the_table_grows() {
        let mut users = Users::default();
        for id in 1..=3 {
            users.add(7, id);
        }
        assert_eq!(users.of(7), [3, 2, 1]);
        // The fourth entry makes the table grow first.
        users.add(7, 4);
        assert_eq!(users.of(7), [4, 1, 2, 3]);
        assert!(users.of(8).is_empty());
    }
}
