//! The kernel's types as C, read back by our own reader of C: every struct and union has the size and the members
//! that it had.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::Arc;

use skep_btf::{Btf, Kind, Type, TypeId};
use skep_lang::c::{self, CText};
use skep_lang::world::{TracepointFormat, World, WorldError};
use skep_testing::need;
use skep_ui::{Diagnostics, FileId, Span};

/// A world in which nothing is known but what the C text says.
struct Nothing;

impl World for Nothing {
    fn tracepoints(&self) -> Result<Arc<[(String, String)]>, WorldError> {
        Ok(Arc::new([]))
    }

    fn has_tracepoint(&self, _: &str, _: &str) -> Result<bool, WorldError> {
        Ok(false)
    }

    fn tracepoint_format(&self, _: &str, _: &str) -> Result<Arc<TracepointFormat>, WorldError> {
        Err(WorldError("none".into()))
    }
}

#[test]
fn the_kernels_types_come_back_from_c() {
    need!(Btf);
    const FILE: &str = "/sys/kernel/btf/vmlinux";
    let words = ["bpftool", "btf", "dump", "file", FILE, "format", "c"];
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    let (mut text, mut errors) = (Vec::new(), Vec::new());
    assert_eq!(skep_inspect::main(&words, &mut text, &mut errors), 0);
    let text = String::from_utf8(text).unwrap();

    let place = Span { file: FileId(0), start: 0, end: 0 };
    let texts = [CText { name: "vmlinux.h".to_owned(), text, place }];
    let mut diagnostics = Diagnostics::new();
    let read = c::read(&texts, &skep_lang::Options::default(), &Nothing, &mut diagnostics);
    let ours = read.types().unwrap();

    let kernel = Btf::parse(std::fs::read(FILE).unwrap()).unwrap();
    let mut names: HashMap<&str, u32> = HashMap::new();
    for (_, ty) in kernel.types() {
        match ty {
            Type::Struct(of) | Type::Union(of) => *names.entry(of.name).or_default() += 1,
            Type::Enum(of) => *names.entry(of.name).or_default() += 1,
            _ => {}
        }
    }
    let mut different = Vec::new();
    let mut count = 0;
    for (id, ty) in kernel.types() {
        let (kind, name) = match ty {
            Type::Struct(of) => (Kind::Struct, of.name),
            Type::Union(of) => (Kind::Union, of.name),
            _ => continue,
        };
        // Of several types of one name only one can keep it.
        if name.is_empty() || names.get(name) != Some(&1) {
            continue;
        }
        count += 1;
        let there = layout(&kernel, id);
        let here = ours.find(kind, name).map(|id| layout(ours, id));
        if here.as_ref() != Some(&there) {
            different.push(format!("{name}:\n  {there:?}\n  {here:?}"));
        }
    }
    let shown = different.iter().take(10).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(different.is_empty(), "{} of {count} types differ:\n{shown}", different.len());
    assert!(count > 1000, "{count}");
}

/// Size in bytes, and of each member its name, where it begins and how long it is, in bits.
fn layout(btf: &Btf, id: TypeId) -> (u64, Vec<(String, u64, u64)>) {
    let fields = btf.fields(id).unwrap();
    let bits = |ty| btf.size_of(ty).unwrap_or(0) * 8;
    let member = |field: &skep_btf::Field<'_>| {
        (
            field.name.to_owned(),
            field.bit_offset,
            field.bitfield_size.map_or_else(|| bits(field.ty), u64::from),
        )
    };
    (btf.size_of(id).unwrap(), fields.iter().map(member).collect())
}
