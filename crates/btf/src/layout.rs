//! Where things are: sizes, alignments, and members by name.
//!
//! The types come from outside, so chains of them are followed only so far, and
//! no struct is searched twice: neither circles nor types that fan out keep the
//! search from ending.

use std::convert::Infallible;
use std::ops::ControlFlow;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::error::Error;
use crate::format::TypeId;
use crate::reader::Btf;
use crate::types::{Array, Composite, Int, Member, Type};

/// Bytes of a pointer: BTF does not tell, and the machines that run BPF have 64 bits.
pub const POINTER_SIZE: u32 = 8;

/// How many types deep a chain of typedefs, qualifiers, arrays or nested structs may be.
/// The kernel stops at 32.
const MAX_DEPTH: usize = 64;

/// A member of a struct or union, at its place in the outermost one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type, as declared: typedefs and qualifiers are not stripped.
    pub ty: TypeId,
    /// Bits from the start of the outermost struct or union.
    pub bit_offset: u64,
    /// Bits it has if it is a bitfield, 1 to 64.
    pub bitfield_size: Option<u8>,
}

impl Field<'_> {
    /// Bytes from the start of the outermost struct or union; `None` if it starts within a byte.
    pub fn byte_offset(&self) -> Option<u64> {
        self.bit_offset.is_multiple_of(8).then_some(self.bit_offset / 8)
    }
}

impl Btf {
    /// The type below all typedefs, qualifiers and type tags.
    pub fn strip(&self, id: TypeId) -> Result<TypeId, Error> {
        self.follow(id, |ty| match *ty {
            Type::Typedef { target, .. } => Some(target),
            _ => qualified(ty),
        })
    }

    /// The type below all qualifiers and type tags; typedefs stay.
    pub fn strip_qualifiers(&self, id: TypeId) -> Result<TypeId, Error> {
        self.follow(id, qualified)
    }

    /// The type of this id below all typedefs, qualifiers and type tags, and its own id.
    pub fn resolve(&self, id: TypeId) -> Result<(TypeId, Type<'_>), Error> {
        let id = self.strip(id)?;
        Ok((id, self.existing(id)?))
    }

    /// Bytes that a value of this type takes.
    ///
    /// Fails for what has no size: `void`, functions, and structs that are not defined.
    pub fn size_of(&self, id: TypeId) -> Result<u64, Error> {
        let mut count: u64 = 1;
        let mut at = id;
        for _ in 0..MAX_DEPTH {
            let (stripped, ty) = self.resolve(at)?;
            let size = match ty {
                Type::Array(array) => {
                    count = count.checked_mul(u64::from(array.len)).ok_or(Error::TooLarge(id))?;
                    at = array.element;
                    continue;
                }
                Type::Var { target, .. } => {
                    at = target;
                    continue;
                }
                Type::Ptr { .. } => POINTER_SIZE,
                Type::Int(Int { size, .. }) | Type::Float { size, .. } => size,
                Type::Struct(of) | Type::Union(of) => of.size,
                Type::Enum(of) => of.size,
                Type::DataSec(of) => of.size,
                _ => return Err(self.no_size(stripped)),
            };
            return count.checked_mul(u64::from(size)).ok_or(Error::TooLarge(id));
        }
        Err(Error::TooDeep(id))
    }

    /// The alignment of this type in bytes; 1 for a packed struct.
    ///
    /// BTF does not tell it. It follows from the members as on the usual 64-bit ABIs, so
    /// attributes that only raise it, as `__aligned`, are not seen.
    pub fn align_of(&self, id: TypeId) -> Result<u32, Error> {
        self.align_within(id, &mut FxHashMap::default(), 0)
    }

    /// The lengths of an array's dimensions, outermost first, and the type of what is in it.
    ///
    /// For anything but an array, no dimension and the type itself.
    pub fn array_dims(&self, id: TypeId) -> Result<(Vec<u32>, TypeId), Error> {
        let mut dims = Vec::new();
        let mut at = id;
        while dims.len() < MAX_DEPTH {
            let (_, Type::Array(Array { element, len, .. })) = self.resolve(at)? else {
                return Ok((dims, at));
            };
            dims.push(len);
            at = element;
        }
        Err(Error::TooDeep(id))
    }

    /// The member `name` of a struct or union, also if it is within anonymous ones.
    ///
    /// `id` may be a typedef of the struct or union.
    pub fn find_member(&self, id: TypeId, name: &str) -> Result<Option<Field<'_>>, Error> {
        let found = self.walk(id, &mut |field| {
            if field.name == name { ControlFlow::Break(field) } else { ControlFlow::Continue(()) }
        })?;
        Ok(found.break_value())
    }

    /// All named members of a struct or union, those of anonymous ones among them, in the
    /// order of declaration. `id` may be a typedef of the struct or union.
    pub fn fields(&self, id: TypeId) -> Result<Vec<Field<'_>>, Error> {
        let mut fields = Vec::new();
        let ControlFlow::Continue(()) = self.walk(id, &mut |field| {
            fields.push(field);
            ControlFlow::<Infallible>::Continue(())
        })?;
        Ok(fields)
    }

    /// Shows `visit` the named members of the struct or union `id` until it breaks.
    fn walk<'a, B>(
        &'a self,
        id: TypeId,
        visit: &mut impl FnMut(Field<'a>) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, Error> {
        let (stripped, ty) = self.resolve(id)?;
        let Some(composite) = ty.composite() else {
            return Err(Error::NotComposite { id, name: self.c_name(id).to_string() });
        };
        let mut walk = Walk { btf: self, seen: FxHashSet::from_iter([stripped]), visit };
        walk.members(stripped, composite, 0, 0)
    }

    fn align_within(
        &self,
        id: TypeId,
        known: &mut FxHashMap<TypeId, u32>,
        depth: usize,
    ) -> Result<u32, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::TooDeep(id));
        }
        let (stripped, ty) = self.resolve(id)?;
        match ty {
            Type::Ptr { .. } => Ok(POINTER_SIZE),
            Type::Int(Int { size, .. }) | Type::Float { size, .. } => Ok(natural_alignment(size)),
            Type::Enum(of) => Ok(natural_alignment(of.size)),
            Type::Array(array) => self.align_within(array.element, known, depth + 1),
            Type::Var { target, .. } => self.align_within(target, known, depth + 1),
            Type::Struct(of) | Type::Union(of) => {
                if let Some(&align) = known.get(&stripped) {
                    return Ok(align);
                }
                // A struct that contains itself finds this.
                known.insert(stripped, 1);
                let align = self.composite_alignment(of, known, depth)?;
                known.insert(stripped, align);
                Ok(align)
            }
            _ => Err(self.no_size(stripped)),
        }
    }

    fn composite_alignment(
        &self,
        composite: Composite<'_>,
        known: &mut FxHashMap<TypeId, u32>,
        depth: usize,
    ) -> Result<u32, Error> {
        let mut most = 1;
        for member in composite.members() {
            let align = self.align_within(member.ty, known, depth + 1)?;
            let is_bitfield = self.field(member, 0)?.bitfield_size.is_some();
            if !is_bitfield && !member.bit_offset.is_multiple_of(8 * align) {
                return Ok(1);
            }
            most = most.max(align);
        }
        let is_packed = !composite.size.is_multiple_of(most);
        Ok(if is_packed { 1 } else { most })
    }

    /// A member as a field of a struct that starts at bit `start` of the outermost one.
    fn field<'a>(&'a self, member: Member<'a>, start: u64) -> Result<Field<'a>, Error> {
        let mut field = Field {
            name: member.name,
            ty: member.ty,
            bit_offset: start.checked_add(u64::from(member.bit_offset)).ok_or(Error::TooLarge(member.ty))?,
            bitfield_size: Some(member.bitfield_size).filter(|&bits| bits != 0),
        };
        // Old compilers give a bitfield an integer type of its own that has fewer bits than bytes.
        if let (None, (_, Type::Int(int))) = (field.bitfield_size, self.resolve(member.ty)?) {
            let is_whole = int.bit_offset == 0 && u32::from(int.bits) == int.size.saturating_mul(8);
            if !is_whole && int.bits != 0 && int.size <= 8 {
                field.bit_offset += u64::from(int.bit_offset);
                field.bitfield_size = Some(int.bits);
            }
        }
        if field.bitfield_size.is_some_and(|bits| bits > 64) {
            return Err(Error::TooLarge(member.ty));
        }
        Ok(field)
    }

    /// Follows `next` from type to type to where it leads.
    fn follow(&self, id: TypeId, next: impl Fn(&Type<'_>) -> Option<TypeId>) -> Result<TypeId, Error> {
        let mut at = id;
        for _ in 0..MAX_DEPTH {
            match next(&self.existing(at)?) {
                Some(target) => at = target,
                None => return Ok(at),
            }
        }
        Err(Error::TooDeep(id))
    }

    fn existing(&self, id: TypeId) -> Result<Type<'_>, Error> {
        self.get(id).ok_or(Error::NoSuchType(id))
    }

    fn no_size(&self, id: TypeId) -> Error {
        Error::NoSize { id, name: self.c_name(id).to_string() }
    }
}

/// The search through a struct and the anonymous ones in it.
struct Walk<'a, 'v, V> {
    btf: &'a Btf,
    /// Structs entered already. C does not allow the same member name twice, so none can
    /// be there twice unless something is wrong.
    seen: FxHashSet<TypeId>,
    visit: &'v mut V,
}

impl<'a, V> Walk<'a, '_, V> {
    fn members<B>(
        &mut self,
        id: TypeId,
        composite: Composite<'a>,
        start: u64,
        depth: usize,
    ) -> Result<ControlFlow<B>, Error>
    where
        V: FnMut(Field<'a>) -> ControlFlow<B>,
    {
        if depth > MAX_DEPTH {
            return Err(Error::TooDeep(id));
        }
        for member in composite.members() {
            let field = self.btf.field(member, start)?;
            let flow = if member.name.is_empty() {
                let (inner_id, inner) = self.btf.resolve(member.ty)?;
                match inner.composite() {
                    Some(inner) if self.seen.insert(inner_id) => {
                        self.members(inner_id, inner, field.bit_offset, depth + 1)?
                    }
                    _ => ControlFlow::Continue(()),
                }
            } else {
                (self.visit)(field)
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The type below a qualifier or type tag.
fn qualified(ty: &Type<'_>) -> Option<TypeId> {
    match *ty {
        Type::Const { target }
        | Type::Volatile { target }
        | Type::Restrict { target }
        | Type::TypeTag { target, .. } => Some(target),
        _ => None,
    }
}

/// The alignment of a scalar of `size` bytes: its size, up to 16 bytes, if a power of two.
fn natural_alignment(size: u32) -> u32 {
    if size.is_power_of_two() { size.min(16) } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::BtfBuilder;
    use crate::format::IntEncoding;

    fn member(name: &str, ty: TypeId, byte_offset: u32) -> Member<'_> {
        Member { name, ty, bit_offset: 8 * byte_offset, bitfield_size: 0 }
    }

    fn read(b: BtfBuilder) -> Btf {
        Btf::parse(b.finish()).unwrap()
    }

    #[test]
    fn members_within_anonymous_ones() {
        let mut b = BtfBuilder::new();
        let int = b.int("int", 4, IntEncoding::SIGNED);
        let inner = b.struct_("", 8, &[member("a", int, 0), member("b", int, 4)]);
        let inner = b.const_(inner);
        let either = b.union_("", 8, &[member("whole", int, 0), member("", inner, 0)]);
        let named = b.struct_("named", 4, &[member("hidden", int, 0)]);
        let outer = b.struct_("outer", 16, &[member("n", named, 0), member("", either, 8)]);
        let outer = b.typedef("outer_t", outer);
        let btf = read(b);

        let found = btf.find_member(outer, "b").unwrap().unwrap();
        assert_eq!((found.ty, found.byte_offset(), found.bitfield_size), (int, Some(12), None));
        assert_eq!(btf.find_member(outer, "hidden"), Ok(None));
        let names: Vec<_> = btf.fields(outer).unwrap().iter().map(|field| field.name).collect();
        assert_eq!(names, ["n", "whole", "a", "b"]);
        assert_eq!(
            btf.find_member(int, "b").unwrap_err().to_string(),
            "`int` (BTF type 1) is not a struct or union and has no members"
        );
    }

    #[test]
    fn bitfields_of_old_and_new_compilers_are_the_same() {
        let bit = |name, ty, bit_offset, bitfield_size| Member { name, ty, bit_offset, bitfield_size };
        let mut b = BtfBuilder::new();
        let int = b.int("int", 4, IntEncoding::SIGNED);
        b.struct_("new", 4, &[bit("low", int, 0, 3), bit("high", int, 3, 29)]);
        let btf = read(b);
        let new = btf.fields(TypeId(2)).unwrap();
        assert_eq!(new.iter().map(|field| field.bitfield_size).collect::<Vec<_>>(), [Some(3), Some(29)]);
        assert_eq!(new[1].byte_offset(), None);

        // An integer of its own for the bitfield: 4 bytes, but 29 bits that start at bit 3.
        let mut b = BtfBuilder::new();
        b.int("int", 4, IntEncoding::SIGNED);
        let narrow = b.int("narrow", 4, IntEncoding::SIGNED);
        b.struct_("old", 4, &[member("high", narrow, 0)]);
        let mut bytes = b.finish();
        let bits = 24 + 16 + 12;
        bytes[bits..bits + 4].copy_from_slice(&(1u32 << 24 | 3 << 16 | 29).to_ne_bytes());
        let btf = Btf::parse(bytes).unwrap();
        let old = btf.fields(TypeId(3)).unwrap();
        assert_eq!((old[0].bit_offset, old[0].bitfield_size), (new[1].bit_offset, new[1].bitfield_size));
    }

    #[test]
    fn sizes_and_dimensions_of_arrays() {
        let mut b = BtfBuilder::new();
        let int = b.int("int", 4, IntEncoding::SIGNED);
        let row = b.array(int, int, 3);
        let rows = b.typedef("row_t", row);
        let table = b.array(rows, int, 5);
        let flexible = b.array(table, int, 0);
        let btf = read(b);
        assert_eq!(btf.size_of(table), Ok(60));
        assert_eq!(btf.size_of(flexible), Ok(0));
        assert_eq!(btf.array_dims(flexible), Ok((vec![0, 5, 3], int)));
        assert_eq!(btf.array_dims(int), Ok((vec![], int)));
        assert_eq!(btf.align_of(table), Ok(4));
    }

    #[test]
    fn alignment_of_packed_structs() {
        let mut b = BtfBuilder::new();
        let char = b.int("char", 1, IntEncoding::SIGNED);
        let long = b.int("long", 8, IntEncoding::SIGNED);
        let plain = b.struct_("plain", 16, &[member("c", char, 0), member("l", long, 8)]);
        let misplaced = b.struct_("misplaced", 9, &[member("c", char, 0), member("l", long, 1)]);
        let short = b.struct_("short", 9, &[member("l", long, 0), member("c", char, 8)]);
        let holds = b.struct_("holds", 10, &[member("c", char, 0), member("m", misplaced, 1)]);
        let btf = read(b);
        let aligns = [plain, misplaced, short, holds].map(|id| btf.align_of(id).unwrap());
        assert_eq!(aligns, [8, 1, 1, 1]);
    }

    #[test]
    fn what_has_no_size() {
        let mut b = BtfBuilder::new();
        let opaque = b.fwd("opaque", false);
        let proto = b.func_proto(TypeId::VOID, &[]);
        let array = b.array(opaque, opaque, 2);
        let btf = read(b);
        assert_eq!(btf.size_of(TypeId::VOID).unwrap_err().to_string(), "`void` (BTF type 0) has no size");
        assert_eq!(btf.size_of(array).unwrap_err().to_string(), "`struct opaque` (BTF type 1) has no size");
        assert!(btf.size_of(proto).is_err());
        assert_eq!(btf.size_of(TypeId(99)), Err(Error::NoSuchType(TypeId(99))));
    }

    #[test]
    fn circles_end() {
        let (first, second, third) = (TypeId(1), TypeId(2), TypeId(3));
        let mut b = BtfBuilder::new();
        // Two typedefs that name each other, and an array of itself.
        b.typedef("a", second);
        b.typedef("b", first);
        b.array(third, third, 1);
        // A struct that is its own anonymous member, twice.
        let own = b.declare_struct("own");
        b.define_struct(own, 8, &[member("", own, 0), member("", own, 4), member("x", TypeId(5), 0)]);
        b.int("int", 4, IntEncoding::SIGNED);
        let btf = read(b);
        assert_eq!(btf.strip(first), Err(Error::TooDeep(first)));
        assert_eq!(btf.size_of(third), Err(Error::TooDeep(third)));
        assert_eq!(btf.array_dims(third), Err(Error::TooDeep(third)));
        assert!(btf.align_of(third).is_err());
        assert_eq!(btf.c_name(third).to_string().matches('[').count(), 256);
        assert_eq!(btf.fields(own).unwrap().len(), 1);
        assert_eq!(btf.align_of(own), Ok(4));
    }

    #[test]
    fn nesting_without_end_is_an_error() {
        let mut b = BtfBuilder::new();
        let mut inner = b.int("int", 4, IntEncoding::SIGNED);
        for _ in 0..10_000 {
            inner = b.struct_("", 4, &[member("", inner, 0)]);
        }
        let btf = read(b);
        assert!(matches!(btf.fields(inner), Err(Error::TooDeep(_))));
        assert!(matches!(btf.align_of(inner), Err(Error::TooDeep(_))));
    }
}
