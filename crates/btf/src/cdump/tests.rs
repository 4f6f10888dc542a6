use crate::builder::BtfBuilder;
use crate::format::{IntEncoding, TypeId};
use crate::types::{Enumerator, Member, Param};
use crate::{Btf, Error};

fn member(name: &str, ty: TypeId, bit_offset: u32, bitfield_size: u8) -> Member<'_> {
    Member { name, ty, bit_offset, bitfield_size }
}

fn header(b: BtfBuilder) -> String {
    let btf = Btf::parse(b.finish()).unwrap();
    let mut dump = btf.c_dump();
    dump.define_all().unwrap();
    dump.take()
}

#[test]
fn structs_that_point_to_each_other() {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let list = b.declare_struct("list");
    let to_list = b.ptr(list);
    let node = b.struct_("node", 16, &[member("list", to_list, 0, 0), member("v", int, 64, 0)]);
    let node_t = b.typedef("node_t", node);
    let to_node = b.ptr(node_t);
    b.define_struct(list, 16, &[member("head", to_node, 0, 0), member("next", to_list, 64, 0)]);
    insta::assert_snapshot!(header(b));
}

#[test]
fn holes_bitfields_and_packing() {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let char = b.int("char", 1, IntEncoding::SIGNED);
    let long = b.int("long", 8, IntEncoding::SIGNED);
    b.struct_("hole", 24, &[member("a", char, 0, 0), member("b", int, 128, 0)]);
    b.struct_("bits", 8, &[member("a", int, 0, 3), member("b", int, 12, 5), member("c", int, 32, 0)]);
    b.struct_("packed", 9, &[member("a", char, 0, 0), member("b", long, 8, 0)]);
    b.struct_("tail", 32, &[member("a", long, 0, 0)]);
    b.struct_("none", 0, &[]);
    insta::assert_snapshot!(header(b));
}

#[test]
fn declarators() {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let char = b.int("char", 1, IntEncoding::SIGNED);
    let const_char = b.const_(char);
    let text = b.ptr(const_char);
    let const_text = b.const_(text);
    let row = b.array(int, int, 4);
    let rows = b.array(row, int, 2);
    let to_row = b.ptr(row);
    let tag = b.type_tag("rcu", int);
    let tagged = b.ptr(tag);
    let proto = b.func_proto(text, &[Param { name: "a", ty: int }, Param { name: "", ty: TypeId::VOID }]);
    let function = b.ptr(proto);
    let functions = b.array(function, int, 3);
    let anonymous = b.union_("", 4, &[member("i", int, 0, 0), member("c", char, 0, 0)]);
    b.struct_(
        "all",
        160,
        &[
            member("text", const_text, 0, 0),
            member("rows", rows, 64, 0),
            member("to_row", to_row, 320, 0),
            member("tagged", tagged, 384, 0),
            member("function", function, 448, 0),
            member("functions", functions, 512, 0),
            member("", anonymous, 704, 0),
        ],
    );
    insta::assert_snapshot!(header(b));
}

#[test]
fn names_that_several_types_have_get_numbers() {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    b.struct_("s", 4, &[member("a", int, 0, 0)]);
    b.struct_("s", 4, &[member("b", int, 0, 0)]);
    b.enum_("e", 4, false, &[Enumerator { name: "A", value: 1 }]);
    b.enum_("", 8, true, &[Enumerator { name: "A", value: -2 }]);
    b.enum_("", 1, false, &[Enumerator { name: "B", value: 2 }]);
    insta::assert_snapshot!(header(b));
}

#[test]
fn types_without_end_are_errors() {
    let mut b = BtfBuilder::new();
    let own = b.declare_struct("own");
    b.define_struct(own, 4, &[member("me", own, 0, 0)]);
    let btf = Btf::parse(b.finish()).unwrap();
    assert_eq!(btf.c_dump().define_all().unwrap_err(), Error::TooDeep(own));

    // Each of thirty levels has the next one twice: written out, this would be a billion lines.
    let mut b = BtfBuilder::new();
    let mut inner = b.int("int", 4, IntEncoding::SIGNED);
    for _ in 0..30 {
        inner = b.struct_("", 8, &[member("a", inner, 0, 0), member("b", inner, 0, 0)]);
    }
    b.typedef("bomb", inner);
    let btf = Btf::parse(b.finish()).unwrap();
    assert!(matches!(btf.c_dump().define_all().unwrap_err(), Error::TooLarge(_)));
}
