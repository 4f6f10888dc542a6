//! Several pieces of BTF as one, in which no type is there twice.
//!
//! The steps are those of libbpf, so that the same pieces get the same ids: numbers and enums first; then structs,
//! unions and typedefs, whose graphs are compared as a whole because they may lead back to themselves; then declarations
//! that one definition alone can be meant by; then what refers to other types, from the inside out. What is left keeps
//! its order.

mod dedup;
mod graph;
mod table;

use std::sync::Arc;

use crate::builder::BtfBuilder;
use crate::error::Error;
use crate::reader::Btf;
use dedup::Dedup;
use graph::Graph;

/// Puts `parts`, which all continue `base` or stand for themselves, behind each other as one BTF that continues
/// `base`, and leaves out every type that `base` or an earlier place has.
///
/// # Errors
/// A part does not continue `base`; it has types of an unknown kind; or it refers to itself in a circle in which there
/// is no struct, union or typedef.
pub fn merge(parts: &[Arc<Btf>], base: Option<Arc<Btf>>) -> Result<Btf, Error> {
    let mut graph = Graph::default();
    if let Some(base) = &base {
        graph.add(base, base.ids())?;
    }
    let first = graph.end();
    for part in parts {
        let same_base = match (part.base(), &base) {
            (None, None) => true,
            (Some(its), Some(ours)) => Arc::ptr_eq(its, ours),
            _ => false,
        };
        if !same_base {
            return Err(Error::OtherBase);
        }
        graph.add(part, part.own_ids())?;
    }
    let map = Dedup::new(&mut graph, first).run()?;
    let builder = base.as_deref().map_or_else(BtfBuilder::new, BtfBuilder::split);
    let bytes = graph.compact(first, &map, builder);
    match base {
        Some(base) => {
            let bytes = bytes.finish_as(base.endian());
            Btf::parse_split(bytes, base)
        }
        None => Btf::parse(bytes.finish()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{IntEncoding, Kind, TypeId};
    use crate::types::{Enumerator, Member, Param, Type};

    fn member(name: &str, ty: TypeId, byte: u32) -> Member<'_> {
        Member { name, ty, bit_offset: byte * 8, bitfield_size: 0 }
    }

    fn alone(build: impl FnOnce(&mut BtfBuilder)) -> Arc<Btf> {
        let mut b = BtfBuilder::new();
        build(&mut b);
        Arc::new(Btf::parse(b.finish()).unwrap())
    }

    /// A list whose elements point to each other, and to something else.
    fn list(b: &mut BtfBuilder, other: TypeId) -> TypeId {
        let list = b.declare_struct("list");
        let to_list = b.ptr(list);
        let to_other = b.ptr(other);
        b.define_struct(list, 16, &[member("next", to_list, 0), member("other", to_other, 8)]);
        list
    }

    /// The kinds and names of all types, in their order.
    fn shown(btf: &Btf) -> Vec<String> {
        let own = btf.own_ids().map(|id| (id, btf.get(id).unwrap()));
        own.map(|(id, ty)| format!("{id} {} {}", ty.kind().as_str(), ty.name())).collect()
    }

    #[test]
    fn graphs_that_lead_back_to_themselves_are_there_once() {
        let part = || {
            alone(|b| {
                let int = b.int("int", 4, IntEncoding::SIGNED);
                list(b, int);
            })
        };
        let merged = merge(&[part(), part(), part()], None).unwrap();
        assert_eq!(shown(&merged), shown(&part()));
    }

    #[test]
    fn a_declaration_becomes_the_definition() {
        let declared = alone(|b| {
            let other = b.fwd("other", false);
            list(b, other);
        });
        let defined = alone(|b| {
            let int = b.int("int", 4, IntEncoding::SIGNED);
            let other = b.struct_("other", 4, &[member("x", int, 0)]);
            list(b, other);
        });
        for parts in [[&declared, &defined], [&defined, &declared]] {
            let merged = merge(&parts.map(Arc::clone), None).unwrap();
            assert_eq!(merged.types().filter(|(_, ty)| ty.kind() == Kind::Fwd).count(), 0);
            let id = merged.find(Kind::Struct, "list").unwrap();
            let other = merged.find_member(id, "other").unwrap().unwrap();
            assert_eq!(merged.c_declaration(other.ty, "x").to_string(), "struct other *x");
            assert_eq!(merged.types().filter(|(_, ty)| ty.composite().is_some()).count(), 2);
        }
    }

    #[test]
    fn a_declaration_that_two_may_be_meant_by_stays() {
        let parts = [
            alone(|b| {
                let other = b.fwd("other", false);
                b.ptr(other);
            }),
            alone(|b| {
                b.struct_("other", 4, &[]);
            }),
            alone(|b| {
                b.struct_("other", 8, &[]);
            }),
        ];
        let merged = merge(&parts, None).unwrap();
        assert_eq!(shown(&merged), ["1 FWD other", "2 PTR ", "3 STRUCT other", "4 STRUCT other"]);
        let merged = merge(&parts[..2], None).unwrap();
        assert_eq!(shown(&merged), ["1 PTR ", "2 STRUCT other"]);
    }

    #[test]
    fn structs_that_look_alike_stay_apart_where_what_they_hold_differs() {
        let part = |size| {
            alone(|b| {
                let int = b.int("number", size, IntEncoding::SIGNED);
                let inner = b.ptr(int);
                b.struct_("holder", 8, &[member("p", inner, 0)]);
            })
        };
        let merged = merge(&[part(4), part(8), part(4)], None).unwrap();
        assert_eq!(
            shown(&merged),
            ["1 INT number", "2 PTR ", "3 STRUCT holder", "4 INT number", "5 PTR ", "6 STRUCT holder"]
        );
    }

    #[test]
    fn enums_without_values_are_those_with_values() {
        let empty = alone(|b| {
            b.enum_("color", 4, false, &[]);
        });
        let full = alone(|b| {
            b.enum_("color", 4, false, &[Enumerator { name: "RED", value: 1 }]);
        });
        for parts in [[&empty, &full], [&full, &empty]] {
            let merged = merge(&parts.map(Arc::clone), None).unwrap();
            assert_eq!(merged.len(), 1);
            let Some(Type::Enum(of)) = merged.get(TypeId(1)) else { panic!("no enum") };
            assert_eq!(of.enumerators().len(), 1);
        }
    }

    #[test]
    fn what_the_base_has_is_not_repeated() {
        let base = alone(|b| {
            let int = b.int("int", 4, IntEncoding::SIGNED);
            list(b, int);
        });
        let piece = |name: &str| {
            let mut b = BtfBuilder::split(&base);
            let int = b.int("int", 4, IntEncoding::SIGNED);
            let list = list(&mut b, int);
            let proto = b.func_proto(int, &[Param { name: "list", ty: list }]);
            b.func(name, proto, crate::format::Linkage::Global);
            Arc::new(Btf::parse_split(b.finish(), Arc::clone(&base)).unwrap())
        };
        let merged = merge(&[piece("one"), piece("two"), piece("one")], Some(Arc::clone(&base))).unwrap();
        assert_eq!(shown(&merged), ["5 FUNC_PROTO ", "6 FUNC one", "7 FUNC two"]);
    }

    #[test]
    fn pieces_of_another_base_are_refused() {
        let base = alone(|_| {});
        let other = alone(|b| {
            b.int("int", 4, IntEncoding::SIGNED);
        });
        let piece = Arc::new(Btf::parse_split(BtfBuilder::split(&other).finish(), other).unwrap());
        assert_eq!(merge(&[piece], Some(base)).unwrap_err(), Error::OtherBase);
    }

    #[test]
    fn a_circle_without_a_struct_is_refused() {
        let circle = alone(|b| {
            b.ptr(TypeId(2));
            b.const_(TypeId(1));
        });
        assert!(matches!(merge(&[circle], None), Err(Error::TooDeep(_))));
    }

    #[test]
    fn typedefs_may_be_made_of_themselves() {
        let part = || {
            alone(|b| {
                let to_own = b.ptr(TypeId(2));
                b.typedef("own", to_own);
            })
        };
        assert_eq!(shown(&merge(&[part(), part()], None).unwrap()), ["1 PTR ", "2 TYPEDEF own"]);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let part = || {
            alone(|b| {
                let mut last = b.struct_("end", 0, &[]);
                for _ in 0..200_000 {
                    last = b.ptr(last);
                }
                b.struct_("begin", 8, &[member("p", last, 0)]);
            })
        };
        let merged = merge(&[part(), part()], None).unwrap();
        assert_eq!(merged.len(), 200_002);
    }
}
