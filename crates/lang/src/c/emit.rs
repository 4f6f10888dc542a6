//! Declared types to BTF, which is how the rest of the compiler knows types.

use rustc_hash::FxHashMap;
use skep_btf::{Btf, BtfBuilder, Enumerator, IntEncoding, Member, Param, TypeId};

use super::declare::Declared;
use super::layout;
use super::types::{Base, BaseKind, CType, Composite, Enum, Id, Types};

/// All types of the declarations; `None` if there are none. What has no layout is told, and left empty.
pub fn btf(declared: &Declared, problems: &mut Vec<String>) -> Option<Btf> {
    if declared.tags.is_empty() && declared.typedefs.is_empty() && declared.constants.is_empty() {
        return None;
    }
    let builder = BtfBuilder::new();
    let mut emitter = Emitter { types: &declared.types, builder, ids: FxHashMap::default(), index: None };
    // Anonymous enums are only known by their enumerators, which have no other place.
    let mut defined = Vec::new();
    for id in declared.types.ids() {
        if let CType::Composite(composite) = declared.types.get(id) {
            emitter.declare(id, composite);
            if composite.members.is_some() {
                defined.push((id, composite));
            }
        }
    }
    for (id, composite) in defined {
        if let Err(problem) = emitter.define(id, composite) {
            let keyword = if composite.is_union { "union" } else { "struct" };
            problems.push(format!("{keyword} {} has no layout: {problem}", composite.name));
        }
    }
    for id in declared.types.ids() {
        if matches!(declared.types.get(id), CType::Enum(_) | CType::Typedef(..)) {
            emitter.id(id);
        }
    }
    Btf::parse(emitter.builder.finish()).ok()
}

struct Emitter<'a> {
    types: &'a Types,
    builder: BtfBuilder,
    ids: FxHashMap<Id, TypeId>,
    /// The type of arrays' indices, once there is an array.
    index: Option<TypeId>,
}

impl Emitter<'_> {
    /// Gives a struct or union its number, so that others can point to it.
    fn declare(&mut self, id: Id, composite: &Composite) {
        let made = match (&composite.members, composite.is_union) {
            (None, is_union) => self.builder.fwd(&composite.name, is_union),
            (Some(_), false) => self.builder.declare_struct(&composite.name),
            (Some(_), true) => self.builder.declare_union(&composite.name),
        };
        self.ids.insert(id, made);
    }

    fn define(&mut self, id: Id, composite: &Composite) -> Result<(), String> {
        let placed = layout::place(self.types, composite)?;
        let mut members = Vec::new();
        for (member, offset) in composite.members.iter().flatten().zip(placed.offsets) {
            // A bitfield without a name only takes room.
            if member.bits.is_some() && member.name.is_empty() {
                continue;
            }
            members.push(Member {
                name: member.name.as_str(),
                ty: self.id(member.ty),
                bit_offset: u32::try_from(offset).map_err(|_| "it is too large")?,
                bitfield_size: member.bits.and_then(|bits| u8::try_from(bits).ok()).unwrap_or(0),
            });
        }
        let size = u32::try_from(placed.layout.size).map_err(|_| "it is too large")?;
        if let Some(made) = self.ids.get(&id) {
            self.builder.define_struct(*made, size, &members);
        }
        Ok(())
    }

    /// The number of a type, which is added unless it is there.
    fn id(&mut self, id: Id) -> TypeId {
        if let Some(known) = self.ids.get(&id) {
            return *known;
        }
        let made = match self.types.get(id) {
            CType::Void => TypeId::VOID,
            CType::Base(base) => self.base(base),
            CType::Ptr(to) => {
                let to = self.id(*to);
                self.builder.ptr(to)
            }
            CType::Array(of, len) => {
                let of = self.id(*of);
                let index = match self.index {
                    Some(index) => index,
                    None => self.builder.int("__ARRAY_SIZE_TYPE__", 4, IntEncoding::UNSIGNED),
                };
                self.index = Some(index);
                self.builder.array(of, index, *len)
            }
            // All of them have their number already.
            CType::Composite(_) => TypeId::VOID,
            CType::Enum(of) => self.enumeration(of),
            CType::Typedef(name, to) => {
                let to = self.id(*to);
                self.builder.typedef(name, to)
            }
            CType::Function { result, params } => {
                let result = self.id(*result);
                let params: Vec<(&str, TypeId)> =
                    params.iter().map(|(name, ty)| (name.as_str(), self.id(*ty))).collect();
                let params: Vec<Param<'_>> =
                    params.into_iter().map(|(name, ty)| Param { name, ty }).collect();
                self.builder.func_proto(result, &params)
            }
        };
        self.ids.insert(id, made);
        made
    }

    fn base(&mut self, base: &Base) -> TypeId {
        let encoding = match base.kind {
            BaseKind::Signed => IntEncoding::SIGNED,
            BaseKind::Unsigned => IntEncoding::UNSIGNED,
            BaseKind::Char => IntEncoding::CHAR,
            BaseKind::Bool => IntEncoding::BOOL,
            BaseKind::Float => return self.builder.float(&base.name, base.size),
        };
        self.builder.int(&base.name, base.size, encoding)
    }

    fn enumeration(&mut self, of: &Enum) -> TypeId {
        let (size, signed) = of.shape();
        let values: Vec<Enumerator<'_>> =
            of.values.iter().flatten().map(|(name, value)| Enumerator { name, value: *value }).collect();
        if size > 4 {
            self.builder.enum64(&of.name, size, signed, &values)
        } else {
            self.builder.enum_(&of.name, size, signed, &values)
        }
    }
}
