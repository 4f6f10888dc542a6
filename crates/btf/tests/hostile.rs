//! BTF that someone made to do harm: whatever the bytes, there is an answer or an error, and soon.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use proptest::prelude::*;
use skep_btf::{Btf, BtfBuilder, Enumerator, IntEncoding, Linkage, Member, Param, SecVar, TypeId};

/// Types of every kind that refer to each other.
fn every_kind() -> Vec<u8> {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let char = b.int("char", 1, IntEncoding::CHAR);
    let text = b.array(char, int, 8);
    let node = b.declare_struct("node");
    let to_node = b.ptr(node);
    let constant = b.const_(to_node);
    let volatile = b.volatile(constant);
    let restrict = b.restrict(to_node);
    let color = b.enum_("color", 4, true, &[Enumerator { name: "RED", value: -1 }]);
    let big = b.enum64("big", 8, false, &[Enumerator { name: "HUGE", value: 1 << 40 }]);
    let float = b.float("double", 8);
    let forward = b.fwd("elsewhere", true);
    let to_forward = b.ptr(forward);
    let tagged = b.type_tag("rcu", int);
    let proto = b.func_proto(int, &[Param { name: "n", ty: to_node }, Param { name: "", ty: TypeId::VOID }]);
    let function = b.func("walk", proto, Linkage::Global);
    let callback = b.ptr(proto);
    let alias = b.typedef("node_t", node);
    let member = |name, ty, bit_offset, bitfield_size| Member { name, ty, bit_offset, bitfield_size };
    let either = b.union_("", 8, &[member("i", int, 0, 0), member("f", float, 0, 0)]);
    let members = [
        member("next", volatile, 0, 0),
        member("text", text, 64, 0),
        member("", either, 128, 0),
        member("color", color, 192, 0),
        member("bits", int, 224, 3),
        member("more", int, 227, 7),
        member("big", big, 256, 0),
        member("call", callback, 320, 0),
        member("far", to_forward, 384, 0),
        member("tag", tagged, 448, 0),
        member("r", restrict, 512, 0),
    ];
    b.define_struct(node, 80, &members);
    let var = b.var("head", alias, Linkage::Static);
    b.datasec(".data", 80, &[SecVar { var, offset: 0, size: 80 }]);
    b.decl_tag("bpf_kfunc", function, None);
    b.finish()
}

/// Asks everything that can be asked.
fn use_all(btf: &Btf) {
    let _ = btf.c_dump().define_sorted();
    let _ = btf.c_dump().define_all();
    let data = [0xa5; 128];
    for (id, _) in btf.types() {
        let _ = btf.c_dump().define(id);
        let _ = btf.value(id, &data);
        let _ = btf.value(id, &data[..3]);
        let _ = btf.signature(id);
    }
}

#[test]
fn types_as_they_should_be() {
    let btf = Btf::parse(every_kind()).unwrap();
    use_all(&btf);
    let mut dump = btf.c_dump();
    dump.define_sorted().unwrap();
    let header = dump.take();
    for name in
        ["struct node {", "enum color {", "enum big {", "typedef struct node node_t;", "union elsewhere;"]
    {
        assert!(header.contains(name), "{header}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A few words are others than they were: references lead anywhere, sizes and counts are anything.
    #[test]
    fn changed_words(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u32>(), 0u32..40), 1..6)) {
        let mut bytes = every_kind();
        let words = (bytes.len() - 24) / 4;
        for (place, wild, small) in changes {
            // Small numbers are ids and counts that exist, and so do more harm than wild ones.
            let value = if wild % 3 == 0 { wild } else { small };
            let at = 24 + 4 * place.index(words);
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        if let Ok(btf) = Btf::parse(bytes) {
            use_all(&btf);
        }
    }

    /// References among types, changed one for another, keep the bytes valid and make circles.
    #[test]
    fn circles(targets in prop::collection::vec((0usize..12, 0u32..12), 1..12)) {
        let mut b = BtfBuilder::new();
        b.int("int", 4, IntEncoding::SIGNED);
        let of = |at: usize| targets.get(at).map_or(1, |target| target.1);
        for at in 0..11 {
            let target = TypeId(of(at));
            match targets.get(at).map_or(0, |target| target.0) % 6 {
                0 => b.ptr(target),
                1 => b.typedef(&format!("t{at}"), target),
                2 => b.const_(target),
                3 => b.array(target, TypeId(1), 3),
                4 => b.struct_(&format!("s{}", at % 3), 8, &[Member { name: "m", ty: target, bit_offset: 0, bitfield_size: 0 }]),
                _ => b.func_proto(target, &[Param { name: "p", ty: target }]),
            };
        }
        if let Ok(btf) = Btf::parse(b.finish()) {
            use_all(&btf);
        }
    }
}
