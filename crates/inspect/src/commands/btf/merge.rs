//! Several pieces of BTF as one.

use std::collections::HashMap;
use std::sync::Arc;

use skep_btf::{Btf, BtfBuilder, Enumerator, Error, Kind, Member, Param, SecVar, Type, TypeId};

/// Puts pieces that continue the same base behind each other. A type that an earlier piece or the base has in the
/// same words is not repeated where BTF can tell that it is the same: numbers, and what refers to equal types.
pub(super) fn merge(parts: &[Arc<Btf>], base: Option<Arc<Btf>>) -> Result<Arc<Btf>, Error> {
    let mut builder = base.as_deref().map_or_else(BtfBuilder::new, BtfBuilder::split);
    let first_own = base.as_deref().map_or(1, |base| base.len() as u32 + 1);
    for part in parts {
        Part { btf: part, first_own, places: HashMap::new() }.add(&mut builder);
    }
    let bytes = builder.finish();
    let merged = match base {
        Some(base) => Btf::parse_split(bytes, base)?,
        None => Btf::parse(bytes)?,
    };
    Ok(Arc::new(merged))
}

/// A piece that is being added.
struct Part<'a> {
    btf: &'a Btf,
    /// The first id that is not the base's.
    first_own: u32,
    /// Where its types went.
    places: HashMap<TypeId, TypeId>,
}

impl Part<'_> {
    fn add(&mut self, builder: &mut BtfBuilder) {
        // Types refer to later ones, too, so structs get their place first and their members last.
        for id in self.btf.own_ids() {
            if let Some(Type::Struct(of)) = self.btf.get(id) {
                let place = builder.declare_struct(of.name);
                self.places.insert(id, place);
            }
        }
        for id in self.btf.own_ids() {
            self.place(builder, id, 0);
        }
        for id in self.btf.own_ids() {
            let Some(Type::Struct(of)) = self.btf.get(id) else { continue };
            let members: Vec<Member<'_>> = of
                .members()
                .map(|member| Member { ty: self.place(builder, member.ty, 0), ..member })
                .collect();
            let place = self.place(builder, id, 0);
            builder.define_struct(place, of.size, &members);
        }
    }

    /// Where a type is in the whole, adding it if it is not there yet.
    fn place(&mut self, builder: &mut BtfBuilder, id: TypeId, depth: usize) -> TypeId {
        /// How far types refer to each other but through structs.
        const MAX_DEPTH: usize = 128;
        if id.0 < self.first_own {
            return id;
        }
        if let Some(&place) = self.places.get(&id) {
            return place;
        }
        if depth > MAX_DEPTH {
            return TypeId::VOID;
        }
        let Some(ty) = self.btf.get(id) else { return TypeId::VOID };
        let mut at = |builder: &mut BtfBuilder, id| self.place(builder, id, depth + 1);
        let place = match ty {
            Type::Void | Type::Unknown { .. } => TypeId::VOID,
            Type::Int(of) => builder.int(of.name, of.size, of.encoding),
            Type::Float { name, size } => builder.float(name, size),
            Type::Ptr { target } => {
                let target = at(builder, target);
                builder.ptr(target)
            }
            Type::Const { target } => {
                let target = at(builder, target);
                builder.const_(target)
            }
            Type::Volatile { target } => {
                let target = at(builder, target);
                builder.volatile(target)
            }
            Type::Restrict { target } => {
                let target = at(builder, target);
                builder.restrict(target)
            }
            Type::Typedef { name, target } => {
                let target = at(builder, target);
                builder.typedef(name, target)
            }
            Type::TypeTag { name, target, .. } => {
                let target = at(builder, target);
                builder.type_tag(name, target)
            }
            Type::Array(array) => {
                let (element, index) = (at(builder, array.element), at(builder, array.index));
                builder.array(element, index, array.len)
            }
            // Its place was made before all others.
            Type::Struct(of) => builder.declare_struct(of.name),
            Type::Union(of) => {
                let members: Vec<Member<'_>> =
                    of.members().map(|member| Member { ty: at(builder, member.ty), ..member }).collect();
                builder.union_(of.name, of.size, &members)
            }
            Type::Enum(of) => {
                let values: Vec<Enumerator<'_>> = of.enumerators().collect();
                if ty.kind() == Kind::Enum64 {
                    builder.enum64(of.name, of.size, of.is_signed, &values)
                } else {
                    builder.enum_(of.name, of.size, of.is_signed, &values)
                }
            }
            Type::Fwd { name, is_union } => builder.fwd(name, is_union),
            Type::Func { name, proto, linkage } => {
                let proto = at(builder, proto);
                builder.func(name, proto, linkage)
            }
            Type::FuncProto(of) => {
                let result = at(builder, of.result);
                let params: Vec<Param<'_>> =
                    of.params().map(|param| Param { ty: at(builder, param.ty), ..param }).collect();
                builder.func_proto(result, &params)
            }
            Type::Var { name, target, linkage } => {
                let target = at(builder, target);
                builder.var(name, target, linkage)
            }
            Type::DataSec(of) => {
                let vars: Vec<SecVar> =
                    of.vars().map(|var| SecVar { var: at(builder, var.var), ..var }).collect();
                builder.datasec(of.name, of.size, &vars)
            }
            Type::DeclTag { name, target, component, .. } => {
                let target = at(builder, target);
                builder.decl_tag(name, target, component)
            }
        };
        self.places.insert(id, place);
        place
    }
}

#[cfg(test)]
mod tests {
    use skep_btf::IntEncoding;

    use super::*;

    #[test]
    fn pieces_behind_each_other() {
        let mut b = BtfBuilder::new();
        let int = b.int("int", 4, IntEncoding::SIGNED);
        let base = Arc::new(Btf::parse(b.finish()).unwrap());
        let piece = |name: &str| {
            let mut b = BtfBuilder::split(&base);
            let own = b.declare_struct(name);
            let to_own = b.ptr(own);
            let member = |name, ty, bit_offset| Member { name, ty, bit_offset, bitfield_size: 0 };
            b.define_struct(own, 16, &[member("next", to_own, 0), member("v", int, 64)]);
            Arc::new(Btf::parse_split(b.finish(), Arc::clone(&base)).unwrap())
        };
        let merged = merge(&[piece("a"), piece("b")], Some(Arc::clone(&base))).unwrap();
        for name in ["a", "b"] {
            let id = merged.find(Kind::Struct, name).unwrap();
            let next = merged.find_member(id, "next").unwrap().unwrap();
            assert_eq!(merged.c_declaration(next.ty, "next").to_string(), format!("struct {name} *next"));
        }
        assert_eq!(merged.own_ids().len(), 4);
    }
}
