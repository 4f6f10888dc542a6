//! Types in files: pieces that continue a base, with much in common, to be put together.

use std::path::Path;
use std::sync::Arc;

use skep_btf::{Btf, BtfBuilder, Enumerator, IntEncoding, Linkage, Member, Param, SecVar, TypeId};

/// Writes `base.btf` and the pieces `a.btf`, `b.btf` and `c.btf`.
pub fn make(directory: &Path) {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let unknown = b.fwd("unknown", false);
    holder(&mut b, "held", int, unknown);
    b.enum_("declared", 4, false, &[]);
    let base = b.finish();
    let parsed = Arc::new(Btf::parse(base.clone()).unwrap());
    let piece = |build: fn(&mut BtfBuilder)| {
        let mut b = BtfBuilder::split(&parsed);
        build(&mut b);
        b.finish()
    };
    for (name, bytes) in
        [("base", base), ("a", piece(declarations)), ("b", piece(definitions)), ("c", piece(variations))]
    {
        std::fs::write(directory.join(format!("{name}.btf")), bytes).unwrap();
    }
}

fn at(name: &str, ty: TypeId, byte: u32) -> Member<'_> {
    Member { name, ty, bit_offset: byte * 8, bitfield_size: 0 }
}

/// A struct that leads back to itself and to something else.
fn holder(b: &mut BtfBuilder, name: &str, number: TypeId, other: TypeId) -> TypeId {
    let holder = b.declare_struct(name);
    let (next, to_other) = (b.ptr(holder), b.ptr(other));
    b.define_struct(holder, 24, &[at("next", next, 0), at("other", to_other, 8), at("n", number, 16)]);
    holder
}

/// A function that uses a type.
fn user(b: &mut BtfBuilder, name: &str, of: TypeId) {
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let constant = b.const_(of);
    let pointer = b.ptr(constant);
    let proto = b.func_proto(int, &[Param { name: "of", ty: pointer }]);
    let function = b.func(name, proto, Linkage::Global);
    b.decl_tag("tag", function, None);
    b.decl_tag("tag", function, Some(0));
}

/// Most is only declared.
fn declarations(b: &mut BtfBuilder) {
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let unknown = b.fwd("unknown", false);
    let held = holder(b, "held", int, unknown);
    let either = b.fwd("either", true);
    let list = holder(b, "list", int, either);
    let ambiguous = b.fwd("ambiguous", false);
    user(b, "first", list);
    user(b, "second", held);
    user(b, "third", ambiguous);
    let color = b.enum_("color", 4, false, &[]);
    let array = b.array(color, int, 3);
    let colors = b.typedef("colors", array);
    let variable = b.var("variable", colors, Linkage::Static);
    b.datasec(".data", 12, &[SecVar { var: variable, offset: 0, size: 12 }]);
    b.float("double", 8);
}

/// The same, defined.
fn definitions(b: &mut BtfBuilder) {
    let color = [("RED", 1), ("GREEN", 2)].map(|(name, value)| Enumerator { name, value });
    let color = b.enum_("color", 4, false, &color);
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let unknown = b.struct_("unknown", 8, &[at("x", int, 0), at("color", color, 4)]);
    let held = holder(b, "held", int, unknown);
    let either = b.union_("either", 4, &[at("i", int, 0), at("color", color, 0)]);
    let list = holder(b, "list", int, either);
    user(b, "first", list);
    user(b, "second", held);
    let ambiguous = b.struct_("ambiguous", 4, &[at("a", int, 0)]);
    user(b, "third", ambiguous);
    let declared = b.enum_("declared", 4, false, &[Enumerator { name: "NOW", value: 7 }]);
    user(b, "fourth", declared);
    let array = b.array(color, int, 3);
    let colors = b.typedef("colors", array);
    let variable = b.var("variable", colors, Linkage::Static);
    b.datasec(".data", 12, &[SecVar { var: variable, offset: 0, size: 12 }]);
    let float = b.float("double", 8);
    let restricted = b.ptr(float);
    b.restrict(restricted);
}

/// Much that looks alike and is not the same, or is the same twice.
fn variations(b: &mut BtfBuilder) {
    let long = b.int("long", 8, IntEncoding::SIGNED);
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let either = b.struct_("either", 8, &[at("other", long, 0)]);
    let list = holder(b, "list", int, either);
    user(b, "first", list);
    let ambiguous = b.struct_("ambiguous", 8, &[at("a", long, 0)]);
    user(b, "third", ambiguous);
    // Compilers describe the same array several times within a struct.
    let rows = [int, int].map(|of| {
        let row = b.array(of, int, 2);
        b.volatile(row)
    });
    b.struct_("rows", 16, &[at("one", rows[0], 0), at("two", rows[1], 8)]);
    let bits = |name, bit_offset, bitfield_size| Member { name, ty: int, bit_offset, bitfield_size };
    b.struct_("bits", 4, &[bits("low", 0, 3), bits("high", 3, 5)]);
    let values = [("BIG", 1 << 40)].map(|(name, value)| Enumerator { name, value });
    b.enum64("color", 8, false, &values);
    let tag = b.type_tag("user", int);
    b.ptr(tag);
    let anonymous = b.struct_("", 4, &[at("x", int, 0)]);
    b.typedef("anonymous", anonymous);
    let same = b.union_("", 4, &[at("x", int, 0)]);
    b.typedef("anonymous", same);
}
