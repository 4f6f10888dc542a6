//! Types that a script mentions and does not declare, copied out of the kernel's BTF.
//!
//! Only what takes room is copied: a pointer to a struct stays a pointer to a name, which the rest of
//! the compiler looks up in the kernel's types when somebody goes through it.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use skep_btf::{Btf, IntEncoding, Kind, Type, TypeId};

use super::declare::Tag;
use super::layout::{Layout, Placed};
use super::types::{Base, BaseKind, CMember, CType, Composite, Enum, Id, Types};
use crate::world::World;

/// The kernel's types, read when the first one is asked for.
pub struct Kernel<'a> {
    world: &'a dyn World,
    btf: Option<Option<Arc<Btf>>>,
    made: FxHashMap<TypeId, Id>,
}

/// Deeper nesting than any type of the kernel has.
const MAX_DEPTH: u32 = 64;

impl<'a> Kernel<'a> {
    /// Nothing is read yet.
    pub fn new(world: &'a dyn World) -> Kernel<'a> {
        Kernel { world, btf: None, made: FxHashMap::default() }
    }

    /// The type of this keyword and name; a typedef without a keyword.
    pub fn find(&mut self, types: &mut Types, tag: Option<Tag>, name: &str) -> Option<Id> {
        let btf = self.btf.get_or_insert_with(|| self.world.kernel_btf().ok()).clone()?;
        let kinds: &[Kind] = match tag {
            Some(Tag::Struct) => &[Kind::Struct],
            Some(Tag::Union) => &[Kind::Union],
            Some(Tag::Enum) => &[Kind::Enum, Kind::Enum64],
            None => &[Kind::Typedef],
        };
        let id = btf.find_any(kinds, name)?;
        Some(self.copy(&btf, types, id, 0))
    }

    /// The value of this name of one of the kernel's enums.
    pub fn enumerator(&mut self, name: &str) -> Option<i128> {
        let btf = self.btf.get_or_insert_with(|| self.world.kernel_btf().ok()).as_ref()?;
        btf.find_enumerator(name).map(|(_, value)| value)
    }

    fn copy(&mut self, btf: &Btf, types: &mut Types, id: TypeId, depth: u32) -> Id {
        if let Some(known) = self.made.get(&id) {
            return *known;
        }
        if depth > MAX_DEPTH {
            return types.add(CType::Void);
        }
        let below = depth + 1;
        let made = match btf.get(id) {
            Some(Type::Int(int)) => {
                let kind = match () {
                    () if int.is_bool() => BaseKind::Bool,
                    () if int.encoding.contains(IntEncoding::CHAR) => BaseKind::Char,
                    () if int.is_signed() => BaseKind::Signed,
                    () => BaseKind::Unsigned,
                };
                CType::Base(Base { name: int.name.to_owned().into(), size: int.size, kind })
            }
            Some(Type::Float { name, size }) => {
                CType::Base(Base { name: name.to_owned().into(), size, kind: BaseKind::Float })
            }
            Some(Type::Ptr { target }) => CType::Ptr(self.pointee(btf, types, target, below)),
            Some(Type::Array(array)) => CType::Array(self.copy(btf, types, array.element, below), array.len),
            Some(Type::Struct(of) | Type::Union(of)) => {
                let is_union = matches!(btf.get(id), Some(Type::Union(_)));
                let mut members = Vec::new();
                let mut offsets = Vec::new();
                for member in of.members() {
                    members.push(CMember {
                        name: member.name.to_owned(),
                        ty: self.copy(btf, types, member.ty, below),
                        bits: Some(u32::from(member.bitfield_size)).filter(|bits| *bits > 0),
                        packed: false,
                        aligned: None,
                    });
                    offsets.push(member.bit_offset.into());
                }
                let align = btf.align_of(id).unwrap_or(1).into();
                let placed = Placed { offsets, layout: Layout { size: of.size.into(), align } };
                CType::Composite(Composite {
                    name: of.name.to_owned(),
                    is_union,
                    members: Some(members),
                    placed: Some(placed),
                    ..Composite::default()
                })
            }
            Some(Type::Enum(of)) => CType::Enum(Enum {
                name: of.name.to_owned(),
                values: Some(of.enumerators().map(|value| (value.name.to_owned(), value.value)).collect()),
                packed: of.size < 4,
            }),
            Some(Type::Typedef { name, target }) => {
                CType::Typedef(name.to_owned(), self.copy(btf, types, target, below))
            }
            Some(
                Type::Const { target }
                | Type::Volatile { target }
                | Type::Restrict { target }
                | Type::TypeTag { target, .. },
            ) => return self.copy(btf, types, target, below),
            Some(Type::Fwd { name, is_union }) => {
                CType::Composite(Composite { name: name.to_owned(), is_union, ..Composite::default() })
            }
            // Functions are only pointed to, and not called.
            _ => CType::Void,
        };
        let made = types.add(made);
        self.made.insert(id, made);
        made
    }

    fn pointee(&mut self, btf: &Btf, types: &mut Types, id: TypeId, depth: u32) -> Id {
        let Ok(target) = btf.strip_qualifiers(id) else { return types.add(CType::Void) };
        match btf.get(target) {
            Some(Type::Struct(of)) if !of.name.is_empty() => named_only(types, of.name, false),
            Some(Type::Union(of)) if !of.name.is_empty() => named_only(types, of.name, true),
            Some(Type::Struct(_) | Type::Union(_)) => types.add(CType::Void),
            _ => self.copy(btf, types, target, depth),
        }
    }
}

fn named_only(types: &mut Types, name: &str, is_union: bool) -> Id {
    types.add(CType::Composite(Composite { name: name.to_owned(), is_union, ..Composite::default() }))
}
