//! What the builder writes, the reader reads; what anybody writes, the reader survives.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use skep_btf::{
    Btf, BtfBuilder, Endian, Enumerator, IntEncoding, Kind, Linkage, Member, Param, SecVar, Support, Type,
    TypeId, sanitize,
};

/// A type as it was asked for. References are to be taken modulo the number of earlier types.
#[derive(Debug, Clone)]
enum Spec {
    Int { name: String, size: u32, encoding: u8 },
    Reference { kind: u8, name: String, target: u32 },
    Array { element: u32, len: u32 },
    Composite { is_union: bool, name: String, size: u32, members: Vec<(String, u32, u32, u8)> },
    Enum { name: String, size: u32, signed: bool, values: Vec<(String, i32)> },
    Enum64 { name: String, signed: bool, values: Vec<(String, i64)> },
    Fwd { name: String, is_union: bool },
    FuncProto { result: u32, params: Vec<(String, u32)> },
    Func { name: String, proto: u32, linkage: u32 },
    Var { name: String, target: u32, linkage: u32 },
    DataSec { name: String, size: u32, vars: Vec<(u32, u32, u32)> },
    Float { name: String, size: u32 },
    DeclTag { name: String, target: u32, component: Option<u32> },
}

fn name() -> impl Strategy<Value = String> {
    // Few letters, so that names repeat; an accent, so that they are not all ASCII.
    "[abé_]{0,3}"
}

fn spec() -> impl Strategy<Value = Spec> {
    let size = || prop_oneof![Just(1u32), Just(2), Just(4), Just(8), Just(16)];
    prop_oneof![
        (name(), size(), prop_oneof![Just(0u8), Just(1), Just(2), Just(4)])
            .prop_map(|(name, size, encoding)| Spec::Int { name, size, encoding }),
        (0u8..6, name(), any::<u32>()).prop_map(|(kind, name, target)| Spec::Reference {
            kind,
            name,
            target
        }),
        (any::<u32>(), any::<u32>()).prop_map(|(element, len)| Spec::Array { element, len }),
        (
            any::<bool>(),
            name(),
            any::<u32>(),
            vec((name(), any::<u32>(), 0u32..1 << 24, prop_oneof![Just(0u8), 0u8..64]), 0..5)
        )
            .prop_map(|(is_union, name, size, members)| Spec::Composite {
                is_union,
                name,
                size,
                members
            }),
        (name(), size(), any::<bool>(), vec((name(), any::<i32>()), 0..4))
            .prop_map(|(name, size, signed, values)| Spec::Enum { name, size, signed, values }),
        (name(), any::<bool>(), vec((name(), any::<i64>()), 0..4))
            .prop_map(|(name, signed, values)| Spec::Enum64 { name, signed, values }),
        (name(), any::<bool>()).prop_map(|(name, is_union)| Spec::Fwd { name, is_union }),
        (any::<u32>(), vec((name(), any::<u32>()), 0..4))
            .prop_map(|(result, params)| Spec::FuncProto { result, params }),
        (name(), any::<u32>(), 0u32..4).prop_map(|(name, proto, linkage)| Spec::Func {
            name,
            proto,
            linkage
        }),
        (name(), any::<u32>(), 0u32..4).prop_map(|(name, target, linkage)| Spec::Var {
            name,
            target,
            linkage
        }),
        (name(), any::<u32>(), vec(any::<(u32, u32, u32)>(), 0..4))
            .prop_map(|(name, size, vars)| Spec::DataSec { name, size, vars }),
        (name(), size()).prop_map(|(name, size)| Spec::Float { name, size }),
        (name(), any::<u32>(), proptest::option::of(0u32..9))
            .prop_map(|(name, target, component)| Spec::DeclTag { name, target, component }),
    ]
}

fn linkage(number: u32) -> Linkage {
    match number {
        0 => Linkage::Static,
        1 => Linkage::Global,
        2 => Linkage::Extern,
        other => Linkage::Other(other),
    }
}

/// Adds a type to the builder. `up_to` is the number of ids that it may refer to.
fn add(b: &mut BtfBuilder, spec: &Spec, up_to: u32) -> TypeId {
    let id = |target: &u32| TypeId(target % up_to);
    match spec {
        Spec::Int { name, size, encoding } => b.int(name, *size, IntEncoding::from_bits_retain(*encoding)),
        Spec::Reference { kind: 0, target, .. } => b.ptr(id(target)),
        Spec::Reference { kind: 1, target, .. } => b.const_(id(target)),
        Spec::Reference { kind: 2, target, .. } => b.volatile(id(target)),
        Spec::Reference { kind: 3, target, .. } => b.restrict(id(target)),
        Spec::Reference { kind: 4, name, target } => b.typedef(name, id(target)),
        Spec::Reference { name, target, .. } => b.type_tag(name, id(target)),
        Spec::Array { element, len } => b.array(id(element), id(&0), *len),
        Spec::Composite { is_union, name, size, members } => {
            let members: Vec<_> = members
                .iter()
                .map(|(name, ty, bit_offset, bits)| Member {
                    name,
                    ty: id(ty),
                    bit_offset: *bit_offset,
                    bitfield_size: *bits,
                })
                .collect();
            if *is_union { b.union_(name, *size, &members) } else { b.struct_(name, *size, &members) }
        }
        Spec::Enum { name, size, signed, values } => {
            let values: Vec<_> = values
                .iter()
                .map(|(name, value)| Enumerator { name, value: enum_value(*value, *signed) })
                .collect();
            b.enum_(name, *size, *signed, &values)
        }
        Spec::Enum64 { name, signed, values } => {
            let values: Vec<_> = values
                .iter()
                .map(|(name, value)| Enumerator { name, value: enum64_value(*value, *signed) })
                .collect();
            b.enum64(name, 8, *signed, &values)
        }
        Spec::Fwd { name, is_union } => b.fwd(name, *is_union),
        Spec::FuncProto { result, params } => {
            let params: Vec<_> = params.iter().map(|(name, ty)| Param { name, ty: id(ty) }).collect();
            b.func_proto(id(result), &params)
        }
        Spec::Func { name, proto, linkage: of } => b.func(name, id(proto), linkage(*of)),
        Spec::Var { name, target, linkage: of } => b.var(name, id(target), linkage(*of)),
        Spec::DataSec { name, size, vars } => {
            let vars: Vec<_> = vars
                .iter()
                .map(|(var, offset, size)| SecVar { var: id(var), offset: *offset, size: *size })
                .collect();
            b.datasec(name, *size, &vars)
        }
        Spec::Float { name, size } => b.float(name, *size),
        Spec::DeclTag { name, target, component } => b.decl_tag(name, id(target), *component),
    }
}

fn enum_value(value: i32, signed: bool) -> i128 {
    if signed { value.into() } else { (value as u32).into() }
}

fn enum64_value(value: i64, signed: bool) -> i128 {
    if signed { value.into() } else { (value as u64).into() }
}

/// That `ty` is what `spec` asked for.
fn check(ty: Type<'_>, spec: &Spec, up_to: u32) -> Result<(), TestCaseError> {
    let id = |target: &u32| TypeId(target % up_to);
    match (spec, ty) {
        (Spec::Int { name, size, encoding }, Type::Int(int)) => {
            prop_assert_eq!(int.name, name);
            prop_assert_eq!((int.size, int.encoding.bits(), int.bit_offset), (*size, *encoding, 0));
            prop_assert_eq!(u32::from(int.bits), 8 * size);
        }
        (Spec::Reference { kind: 0, target: want, .. }, Type::Ptr { target })
        | (Spec::Reference { kind: 1, target: want, .. }, Type::Const { target })
        | (Spec::Reference { kind: 2, target: want, .. }, Type::Volatile { target })
        | (Spec::Reference { kind: 3, target: want, .. }, Type::Restrict { target }) => {
            prop_assert_eq!(target, id(want));
        }
        (Spec::Reference { kind: 4, name: want_name, target: want }, Type::Typedef { name, target })
        | (Spec::Reference { kind: 5, name: want_name, target: want }, Type::TypeTag { name, target, .. }) => {
            prop_assert_eq!((name, target), (want_name.as_str(), id(want)));
        }
        (Spec::Array { element, len }, Type::Array(array)) => {
            prop_assert_eq!((array.element, array.len), (id(element), *len));
        }
        (Spec::Composite { is_union, name, size, members }, Type::Struct(of) | Type::Union(of)) => {
            prop_assert_eq!(*is_union, ty.kind() == Kind::Union);
            prop_assert_eq!((of.name, of.size), (name.as_str(), *size));
            let read: Vec<_> = of
                .members()
                .map(|member| (member.name.to_owned(), member.ty, member.bit_offset, member.bitfield_size))
                .collect();
            let want: Vec<_> = members
                .iter()
                .map(|(name, ty, offset, bits)| (name.clone(), id(ty), *offset, *bits))
                .collect();
            prop_assert_eq!(read, want);
        }
        (Spec::Enum { name, size, signed, values }, Type::Enum(of)) => {
            prop_assert_eq!(
                (of.name, of.size, of.is_signed, of.is_wide),
                (name.as_str(), *size, *signed, false)
            );
            let read: Vec<_> = of.enumerators().map(|value| (value.name.to_owned(), value.value)).collect();
            let want: Vec<_> =
                values.iter().map(|(name, value)| (name.clone(), enum_value(*value, *signed))).collect();
            prop_assert_eq!(read, want);
        }
        (Spec::Enum64 { name, signed, values }, Type::Enum(of)) => {
            prop_assert_eq!((of.name, of.size, of.is_signed, of.is_wide), (name.as_str(), 8, *signed, true));
            let read: Vec<_> = of.enumerators().map(|value| (value.name.to_owned(), value.value)).collect();
            let want: Vec<_> =
                values.iter().map(|(name, value)| (name.clone(), enum64_value(*value, *signed))).collect();
            prop_assert_eq!(read, want);
        }
        (Spec::Fwd { name: want, is_union: want_union }, Type::Fwd { name, is_union }) => {
            prop_assert_eq!((name, is_union), (want.as_str(), *want_union));
        }
        (Spec::FuncProto { result, params }, Type::FuncProto(proto)) => {
            prop_assert_eq!(proto.result, id(result));
            let read: Vec<_> = proto.params().map(|param| (param.name.to_owned(), param.ty)).collect();
            let want: Vec<_> = params.iter().map(|(name, ty)| (name.clone(), id(ty))).collect();
            prop_assert_eq!(read, want);
        }
        (Spec::Func { name: want, proto: to, linkage: of }, Type::Func { name, proto, linkage: read }) => {
            prop_assert_eq!((name, proto, read), (want.as_str(), id(to), linkage(*of)));
        }
        (Spec::Var { name: want, target: to, linkage: of }, Type::Var { name, target, linkage: read }) => {
            prop_assert_eq!((name, target, read), (want.as_str(), id(to), linkage(*of)));
        }
        (Spec::DataSec { name, size, vars }, Type::DataSec(of)) => {
            prop_assert_eq!((of.name, of.size), (name.as_str(), *size));
            let read: Vec<_> = of.vars().map(|var| (var.var, var.offset, var.size)).collect();
            let want: Vec<_> = vars.iter().map(|(var, offset, size)| (id(var), *offset, *size)).collect();
            prop_assert_eq!(read, want);
        }
        (Spec::Float { name: want, size: want_size }, Type::Float { name, size }) => {
            prop_assert_eq!((name, size), (want.as_str(), *want_size));
        }
        (
            Spec::DeclTag { name: want, target: to, component: of },
            Type::DeclTag { name, target, component, is_attribute: false },
        ) => {
            prop_assert_eq!((name, target, component), (want.as_str(), id(to), *of));
        }
        (spec, ty) => prop_assert!(false, "{spec:?} became {ty:?}"),
    }
    Ok(())
}

/// Adds all, and says which id each got and how many ids it could refer to.
fn add_all(b: &mut BtfBuilder, specs: &[Spec], first: u32) -> Vec<(TypeId, u32)> {
    let mut end = first;
    let mut added = Vec::new();
    for spec in specs {
        let up_to = end;
        let id = add(b, spec, up_to);
        end = end.max(id.0 + 1);
        added.push((id, up_to));
    }
    added
}

/// Asks every question of every type. Nothing may panic or take forever.
fn ask_everything(btf: &Btf) {
    for (id, ty) in btf.types() {
        let _ =
            (btf.size_of(id), btf.align_of(id), btf.strip(id), btf.strip_qualifiers(id), btf.array_dims(id));
        let _ = (btf.fields(id), btf.find_member(id, "no such member"), btf.c_name(id).to_string());
        let _ = btf.find(ty.kind(), ty.name());
        match ty {
            Type::Struct(of) | Type::Union(of) => of.members().for_each(drop),
            Type::Enum(of) => of.enumerators().for_each(drop),
            Type::FuncProto(of) => of.params().for_each(drop),
            Type::DataSec(of) => of.vars().for_each(drop),
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn what_is_built_is_read(specs in vec(spec(), 0..40), big in any::<bool>()) {
        let endian = if big { Endian::Big } else { Endian::Little };
        let mut b = BtfBuilder::new();
        let added = add_all(&mut b, &specs, 1);
        let btf = Btf::parse(b.finish_as(endian)).unwrap();
        prop_assert_eq!(btf.endian(), endian);
        for (spec, (id, up_to)) in specs.iter().zip(&added) {
            check(btf.get(*id).unwrap(), spec, *up_to)?;
        }
        let last = added.iter().map(|(id, _)| id.0).max().unwrap_or(0);
        prop_assert_eq!(btf.len(), last as usize);
        ask_everything(&btf);
    }

    #[test]
    fn split_continues_its_base(below in vec(spec(), 1..20), above in vec(spec(), 0..20)) {
        let mut b = BtfBuilder::new();
        add_all(&mut b, &below, 1);
        let base = Arc::new(Btf::parse(b.finish()).unwrap());
        let mut b = BtfBuilder::split(&base);
        let added = add_all(&mut b, &above, base.len() as u32 + 1);
        let split = Btf::parse_split(b.finish(), Arc::clone(&base)).unwrap();
        for (spec, (id, up_to)) in above.iter().zip(&added) {
            check(split.get(*id).unwrap(), spec, *up_to)?;
        }
        for id in base.ids() {
            prop_assert_eq!(base.c_name(id).to_string(), split.c_name(id).to_string());
        }
        prop_assert_eq!(split.own_ids().len() + base.len(), split.len());
        ask_everything(&split);
    }

    #[test]
    fn names_are_found_with_and_without_the_table(specs in vec(spec(), 0..40)) {
        let mut b = BtfBuilder::new();
        add_all(&mut b, &specs, 1);
        let btf = Btf::parse(b.finish()).unwrap();
        let mut first = HashMap::new();
        for (id, ty) in btf.types().filter(|(_, ty)| !ty.name().is_empty()) {
            first.entry((ty.kind(), ty.name())).or_insert(id);
        }
        // The first few look-ups go without the table, all others by it.
        for _ in 0..2 {
            for (&(kind, name), &id) in &first {
                prop_assert_eq!(btf.find(kind, name), Some(id));
                prop_assert_eq!(btf.find(kind, &format!("{name}b_a")), None);
            }
        }
    }

    #[test]
    fn broken_bytes_do_no_harm(
        specs in vec(spec(), 0..30),
        broken in vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        words in vec((any::<prop::sample::Index>(), 0u32..40), 0..12),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut b = BtfBuilder::new();
        add_all(&mut b, &specs, 1);
        let mut bytes = b.finish_as(Endian::Little);
        for (at, byte) in broken {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // Small numbers in place of words are often ids of existing types: this makes circles.
        for (at, word) in words {
            let at = 24 + at.index(bytes.len() - 24) / 4 * 4;
            if let Some(place) = bytes.get_mut(at..at + 4) {
                place.copy_from_slice(&word.to_le_bytes());
            }
        }
        if let Some(at) = cut {
            bytes.truncate(at.index(bytes.len()));
        }
        if let Ok(btf) = Btf::parse(bytes.clone()) {
            ask_everything(&btf);
        }
        if let Ok(fit) = sanitize(bytes, Support::NONE) {
            prop_assert!(fit.is_empty() || Btf::parse(fit).is_ok());
        }
    }

    #[test]
    fn any_bytes_do_no_harm(mut bytes in vec(any::<u8>(), 0..200)) {
        for (at, byte) in [0x9f, 0xeb, 1, 0, 24, 0, 0, 0].into_iter().enumerate() {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        if let Ok(btf) = Btf::parse(bytes) {
            ask_everything(&btf);
        }
    }

    #[test]
    fn sanitized_types_keep_their_ids_sizes_and_names(specs in vec(spec(), 0..40)) {
        let mut b = BtfBuilder::new();
        add_all(&mut b, &specs, 1);
        let bytes = b.finish();
        let before = Btf::parse(bytes.clone()).unwrap();
        let after = Btf::parse(sanitize(bytes, Support::NONE).unwrap()).unwrap();
        for (id, ty) in before.types() {
            let fit = after.get(id).unwrap();
            prop_assert!(fit.kind() < Kind::Float, "{ty:?} became {fit:?}");
            if ty.kind() < Kind::Float {
                prop_assert_eq!(ty.kind(), fit.kind());
                prop_assert_eq!(ty.name(), fit.name());
            }
            if let Ok(size) = before.size_of(id) {
                prop_assert_eq!(after.size_of(id).ok(), Some(size));
            }
        }
        prop_assert!(after.len() - before.len() <= 1);
    }
}
