//! `-l 'struct x'`: the kernel's types, with `-v` as the kernel's C has them.

use std::ops::Range;

use rustc_hash::FxHashMap;
use skep_btf::{Btf, Kind, TypeId};

use super::pattern;
use crate::world::{World, WorldError};

/// The keywords, and what they name.
const KEYWORDS: &[(&str, &[Kind])] =
    &[("struct", &[Kind::Struct]), ("union", &[Kind::Union]), ("enum", &[Kind::Enum, Kind::Enum64])];

/// What a search for `struct NAME`, `union NAME` or `enum NAME` finds, with wildcards in the name: a line for each
/// type, or its definition if `detailed`. `None` if it is a search for something else.
///
/// The error is why the kernel's types cannot be read.
pub fn list_types(search: &str, world: &dyn World, detailed: bool) -> Option<Result<String, WorldError>> {
    let (keyword, name) = search.trim().split_once(char::is_whitespace)?;
    let (keyword, kinds) = KEYWORDS.iter().find(|(known, _)| *known == keyword)?;
    Some(world.kernel_btf().map(|btf| found(&btf, keyword, kinds, name.trim(), detailed)))
}

fn found(btf: &Btf, keyword: &str, kinds: &[Kind], wanted: &str, detailed: bool) -> String {
    let mut names: Vec<(&str, TypeId)> = if pattern::has_wildcard(wanted) {
        btf.types()
            .filter(|(_, ty)| kinds.contains(&ty.kind()))
            .map(|(id, ty)| (ty.name(), id))
            .filter(|(name, _)| !name.is_empty() && pattern::matches(wanted, name))
            .collect()
    } else {
        btf.find_any(kinds, wanted).map(|id| (wanted, id)).into_iter().collect()
    };
    names.sort_unstable_by_key(|(name, _)| *name);
    names.dedup_by_key(|(name, _)| *name);
    if !detailed {
        return names.iter().map(|(name, _)| format!("{keyword} {name}\n")).collect();
    }
    let mut dump = btf.c_dump();
    for (_, id) in &names {
        // A type that cannot be written is not shown.
        let _ = dump.define(*id);
    }
    let text = dump.take();
    let definitions = definitions(&text);
    let shown = names.iter().filter_map(|(name, _)| {
        let range = definitions.get(format!("{keyword} {name}").as_str())?;
        Some(format!("vmlinux: {}\n\n", text.get(range.clone())?))
    });
    shown.collect()
}

/// Where the definition of each type stands in a header, by keyword and name: from a line that ends with
/// a brace to the next one that begins with one.
fn definitions(header: &str) -> FxHashMap<&str, Range<usize>> {
    let mut found = FxHashMap::default();
    let mut open: Option<(&str, usize)> = None;
    let mut start = 0;
    for line in header.split_inclusive('\n') {
        let end = start + line.len();
        let text = line.trim_end();
        if let Some(name) = text.strip_suffix(" {").filter(|_| !line.starts_with(char::is_whitespace)) {
            open = Some((name, start));
        } else if text.starts_with('}')
            && let Some((name, from)) = open.take()
        {
            found.insert(name, from..start + text.len());
        }
        start = end;
    }
    found
}
