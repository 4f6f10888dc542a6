//! C types: structs, unions, enums and functions as BTF describes them.
//!
//! A source is a piece of BTF: the kernel's, a module's, one made of the C text of a script or of the
//! debug information of a program. Its types become [`Ty`]s one by one when somebody asks for them:
//! kernel types refer to each other without end. What the runtime needs of a type to decode a value
//! (names, places and types of fields, names of an enum's values) is kept in [`Types`] itself, so
//! that it works without the source.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skep_btf::{Btf, Kind, Type, TypeId};

use super::{Space, Ty, TyKind, Types};

/// Index of a source of C types in [`Types`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourceId(pub u32);

/// Where a source comes from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Origin {
    /// The C text in the script.
    Script,
    /// The debug information of a program or library, by its path.
    Binary(Box<str>),
    /// The kernel.
    Kernel,
    /// A module of the kernel, by its name.
    Module(Box<str>),
}

/// A source of C types.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it comes from.
    pub origin: Origin,
    /// The types.
    pub btf: Arc<Btf>,
}

/// A type of a source. Typedefs and qualifiers are peeled off.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct CType {
    /// Which source.
    pub source: SourceId,
    /// Its id there.
    pub id: TypeId,
}

/// What is known of a struct or union.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Struct {
    /// With its keyword: `struct task_struct`.
    pub name: Box<str>,
    /// In bytes.
    pub size: u32,
    /// In bytes, at most 8.
    pub align: u32,
    /// Whether it is declared only: then nothing else is known.
    pub is_opaque: bool,
    /// All named fields, those of anonymous members among them, in order; `None` until somebody asked
    /// ([`Types::complete`]).
    pub fields: Option<Arc<[Field]>>,
}

/// A field of a struct or union.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub name: Box<str>,
    /// Its type; of a bitfield the declared one.
    pub ty: Ty,
    /// Bytes from the start of the struct.
    pub offset: u32,
    /// Which bits it has there, if it is a bitfield.
    pub bits: Option<Bits>,
}

/// The bits of a bitfield, counted from the lowest of the first byte (little endian).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Bits {
    /// How many bits come before, 0 to 7.
    pub shift: u8,
    /// How many there are, 1 to 64.
    pub width: u8,
}

impl Bits {
    /// How many bytes hold them.
    pub fn bytes(self) -> u32 {
        u32::from(self.shift).saturating_add(u32::from(self.width)).div_ceil(8)
    }
}

/// An enum.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Enum {
    /// With its keyword: `enum pid_type`.
    pub name: Box<str>,
    /// Width in bits: 8 to 64.
    pub bits: u8,
    /// Two's complement if set.
    pub signed: bool,
    /// Names and values, in order.
    pub values: Arc<[(Box<str>, i128)]>,
}

impl Enum {
    /// The name of a value, the first if there are several.
    pub fn name_of(&self, value: i128) -> Option<&str> {
        self.values.iter().find(|(_, known)| *known == value).map(|(name, _)| &**name)
    }
}

/// A function: the names and types of its parameters, and the type of what it returns.
#[derive(Clone, Debug)]
pub struct Signature {
    /// In order. A name may be empty.
    pub params: Vec<(Box<str>, Ty)>,
    /// [`Ty::VOID`] if it returns nothing.
    pub result: Ty,
    /// Whether it takes more parameters than are named.
    pub variadic: bool,
}

/// How deep arrays and pointers may nest in each other. C is far from it.
const MAX_DEPTH: u32 = 64;

impl Types {
    /// Adds a source, or finds the one of this origin.
    pub fn add_source(&mut self, origin: Origin, btf: Arc<Btf>) -> SourceId {
        if let Some(known) = self.source_of(&origin) {
            return known;
        }
        self.sources.push(Source { origin, btf });
        SourceId(u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX))
    }

    /// The source of this origin, if it was added.
    pub fn source_of(&self, origin: &Origin) -> Option<SourceId> {
        let index = self.sources.iter().position(|source| source.origin == *origin)?;
        Some(SourceId(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// A source that was added.
    pub fn source(&self, id: SourceId) -> Option<&Source> {
        self.sources.get(id.0 as usize)
    }

    /// All sources, in the order in which they were added.
    pub fn sources(&self) -> impl Iterator<Item = SourceId> + use<> {
        (0..u32::try_from(self.sources.len()).unwrap_or(u32::MAX)).map(SourceId)
    }

    /// A type of a source as a type of the language. `space` is the memory which its pointers, and
    /// those in what they point to, are addresses of.
    ///
    /// Typedefs and qualifiers are peeled off; an array of characters becomes a text. What the
    /// language has no values of (floating-point numbers) becomes [`TyKind::Opaque`].
    pub fn of_btf(&mut self, source: SourceId, id: TypeId, space: Space) -> Ty {
        self.of_btf_within(source, id, space, 0)
    }

    fn of_btf_within(&mut self, source: SourceId, id: TypeId, space: Space, depth: u32) -> Ty {
        let Some(btf) = self.source(source).map(|source| Arc::clone(&source.btf)) else { return Ty::ERROR };
        let Ok((id, ty)) = btf.resolve(id) else { return Ty::ERROR };
        if depth > MAX_DEPTH {
            return Ty::ERROR;
        }
        // A module's BTF continues the kernel's: what is the kernel's is the same type in both.
        let source = self.owner(source, &btf, id);
        let of = CType { source, id };
        match ty {
            // What a pointer to a function points to, nobody reads.
            Type::Void | Type::FuncProto(_) | Type::Func { .. } => Ty::VOID,
            Type::Int(int) if int.is_bool() && int.size == 1 => Ty::BOOL,
            Type::Int(int) if matches!(int.size, 1 | 2 | 4 | 8) => {
                self.int(int.size as u8 * 8, int.is_signed())
            }
            Type::Ptr { target } => {
                let space = if is_user(&btf, target) { Space::User } else { space };
                let to = self.of_btf_within(source, target, space, depth + 1);
                self.ptr(to, space)
            }
            Type::Array(array) => {
                if array.len > 0 && self.is_char(source, &btf, array.element) {
                    return self.str(array.len);
                }
                let elem = self.of_btf_within(source, array.element, space, depth + 1);
                self.intern(TyKind::Array { elem, len: array.len })
            }
            Type::Struct(_) | Type::Union(_) | Type::Fwd { .. } => {
                self.note_struct(of, &btf, depth);
                self.intern(TyKind::Struct { of, space })
            }
            Type::Enum(_) => {
                self.note_enum(of, &btf);
                self.intern(TyKind::Enum(of))
            }
            _ => {
                let name = btf.c_name(id).to_string().into();
                let size = btf.size_of(id).ok().and_then(|size| u32::try_from(size).ok()).unwrap_or(0);
                self.intern(TyKind::Opaque { name, size })
            }
        }
    }

    /// Whether an array of this is a text: `char`, and in the kernel `unsigned char`, but not what is
    /// called a number, as `u8`.
    fn is_char(&self, source: SourceId, btf: &Btf, id: TypeId) -> bool {
        let Ok(Some(Type::Int(int))) = btf.strip_qualifiers(id).map(|id| btf.get(id)) else { return false };
        let of_kernel = self
            .source(source)
            .is_some_and(|source| matches!(source.origin, Origin::Kernel | Origin::Module(_)));
        int.size == 1 && !int.is_bool() && (int.name == "char" || of_kernel && int.is_char())
    }

    fn owner(&mut self, source: SourceId, btf: &Btf, id: TypeId) -> SourceId {
        let Some(base) = btf.base() else { return source };
        if btf.own_ids().next().is_none_or(|first| id >= first) {
            return source;
        }
        let known = self.sources.iter().position(|source| Arc::ptr_eq(&source.btf, base));
        known.and_then(|index| u32::try_from(index).ok()).map_or(source, SourceId)
    }

    fn note_struct(&mut self, of: CType, btf: &Btf, depth: u32) {
        if self.structs.contains_key(&of) {
            return;
        }
        let size = btf.size_of(of.id).ok().and_then(|size| u32::try_from(size).ok());
        let noted = Struct {
            name: btf.c_name(of.id).to_string().into(),
            size: size.unwrap_or(0),
            align: btf.align_of(of.id).unwrap_or(1).clamp(1, 8),
            is_opaque: size.is_none(),
            fields: None,
        };
        let is_anonymous = noted.name.ends_with("(anon)");
        self.structs.insert(of, noted);
        if is_anonymous && let Some(ty) = btf.get(of.id) {
            // As the original calls it: by the types in it.
            let keyword = if matches!(ty, Type::Union(_)) { "union" } else { "struct" };
            let members: Vec<TypeId> =
                ty.composite().into_iter().flat_map(|of| of.members()).map(|m| m.ty).collect();
            let members: Vec<String> = members
                .into_iter()
                .map(|member| {
                    let member = self.of_btf_within(of.source, member, Space::Kernel, depth + 1);
                    self.name(member)
                })
                .collect();
            if let Some(noted) = self.structs.get_mut(&of) {
                noted.name = format!("{keyword} {{{}}}", members.join(",")).into();
            }
        }
    }

    fn note_enum(&mut self, of: CType, btf: &Btf) {
        let Some(Type::Enum(found)) = btf.get(of.id) else { return };
        self.enums.entry(of).or_insert_with(|| Enum {
            name: btf.c_name(of.id).to_string().into(),
            bits: (found.size.clamp(1, 8) * 8) as u8,
            signed: found.is_signed,
            values: found.enumerators().map(|value| (value.name.into(), value.value)).collect(),
        });
    }

    /// What is known of a struct or union; `None` for other types.
    pub fn struct_of(&self, ty: Ty) -> Option<&Struct> {
        match self.kind(ty) {
            TyKind::Struct { of, .. } => self.structs.get(of),
            _ => None,
        }
    }

    /// Whether two structs count as the same: they have one name and size, as those that a script
    /// declares again, and those of another memory.
    pub fn is_same_struct(&self, a: Ty, b: Ty) -> bool {
        match (self.struct_of(a), self.struct_of(b)) {
            (Some(a), Some(b)) => a.name == b.name && (a.size == b.size || a.is_opaque || b.is_opaque),
            _ => false,
        }
    }

    /// What is known of an enum; `None` for other types.
    pub fn enum_of(&self, ty: Ty) -> Option<&Enum> {
        match self.kind(ty) {
            TyKind::Enum(of) => self.enums.get(of),
            _ => None,
        }
    }

    /// A field of a struct or union, also if it is in an anonymous member. `None` if there is none of
    /// this name, or the type is none that has fields.
    pub fn field(&mut self, ty: Ty, name: &str) -> Option<Field> {
        let TyKind::Struct { of, space } = *self.kind(ty) else { return None };
        if let Some(fields) = self.structs.get(&of).and_then(|known| known.fields.as_ref())
            && space == Space::Kernel
        {
            return fields.iter().find(|field| &*field.name == name).cloned();
        }
        let btf = Arc::clone(&self.source(of.source)?.btf);
        let found = btf.find_member(of.id, name).ok()??;
        self.placed(of.source, found, space)
    }

    /// The names of all fields of a struct or union, for messages; empty for other types.
    pub fn field_names(&self, ty: Ty) -> Vec<String> {
        let TyKind::Struct { of, .. } = self.kind(ty) else { return Vec::new() };
        let Some(source) = self.source(of.source) else { return Vec::new() };
        let fields = source.btf.fields(of.id).unwrap_or_default();
        fields.iter().map(|field| field.name.to_owned()).collect()
    }

    fn placed(&mut self, source: SourceId, field: skep_btf::Field<'_>, space: Space) -> Option<Field> {
        Some(Field {
            name: field.name.into(),
            ty: self.of_btf(source, field.ty, space),
            offset: u32::try_from(field.bit_offset / 8).ok()?,
            bits: field.bitfield_size.map(|width| Bits { shift: (field.bit_offset % 8) as u8, width }),
        })
    }

    /// Finds out all that is needed to decode values of a type: the fields of structs within it.
    pub fn complete(&mut self, ty: Ty) {
        match self.kind(ty).clone() {
            TyKind::Struct { of, .. } => {
                let known = self.structs.get(&of);
                if known.is_none_or(|known| known.fields.is_some()) {
                    return;
                }
                let Some(btf) = self.source(of.source).map(|source| Arc::clone(&source.btf)) else { return };
                let found = btf.fields(of.id).unwrap_or_default();
                let fields: Arc<[Field]> = found
                    .into_iter()
                    .filter_map(|field| self.placed(of.source, field, Space::Kernel))
                    .collect();
                if let Some(known) = self.structs.get_mut(&of) {
                    known.fields = Some(Arc::clone(&fields));
                }
                fields.iter().for_each(|field| self.complete(field.ty));
            }
            TyKind::Array { elem, .. } => self.complete(elem),
            TyKind::Tuple(_) | TyKind::Record(_) => {
                self.elems(ty).into_iter().for_each(|elem| self.complete(elem));
            }
            _ => {}
        }
    }

    /// The parameters and the result of a function of a source: `id` is a function, or a prototype.
    pub fn signature(&mut self, source: SourceId, id: TypeId, space: Space) -> Option<Signature> {
        let btf = Arc::clone(&self.source(source)?.btf);
        let proto = match btf.get(id)? {
            Type::Func { proto, .. } => btf.get(proto)?,
            other => other,
        };
        let Type::FuncProto(proto) = proto else { return None };
        let mut params: Vec<(Box<str>, TypeId)> =
            proto.params().map(|param| (param.name.into(), param.ty)).collect();
        let variadic = params.last().is_some_and(|(name, ty)| name.is_empty() && *ty == TypeId::VOID);
        if variadic {
            params.pop();
        }
        Some(Signature {
            params: params.into_iter().map(|(name, ty)| (name, self.of_btf(source, ty, space))).collect(),
            result: self.of_btf(source, proto.result, space),
            variadic,
        })
    }

    /// A type of a source by its name: `kinds` tells structs from typedefs and the like.
    pub fn named(&mut self, source: SourceId, kinds: &[Kind], name: &str, space: Space) -> Option<Ty> {
        let id = self.source(source)?.btf.find_any(kinds, name)?;
        Some(self.of_btf(source, id, space))
    }

    /// The same type, its pointers being addresses of another memory.
    pub fn in_space(&mut self, ty: Ty, space: Space) -> Ty {
        match *self.kind(ty) {
            TyKind::Ptr { to, .. } => {
                let to = self.in_space(to, space);
                self.ptr(to, space)
            }
            TyKind::Struct { of, .. } => self.intern(TyKind::Struct { of, space }),
            TyKind::Array { elem, len } => {
                let elem = self.in_space(elem, space);
                self.intern(TyKind::Array { elem, len })
            }
            _ => ty,
        }
    }
}

/// Whether what a pointer points to is marked as memory of the user.
fn is_user(btf: &Btf, target: TypeId) -> bool {
    let mut at = target;
    for _ in 0..MAX_DEPTH {
        at = match btf.get(at) {
            Some(Type::TypeTag { name: "user", .. }) => return true,
            Some(
                Type::TypeTag { target, .. }
                | Type::Const { target }
                | Type::Volatile { target }
                | Type::Restrict { target },
            ) => target,
            _ => return false,
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_btf::{BtfBuilder, Enumerator, IntEncoding, Linkage, Member, Param};

    fn member(name: &str, ty: TypeId, bit_offset: u32, bitfield_size: u8) -> Member<'_> {
        Member { name, ty, bit_offset, bitfield_size }
    }

    /// A list of tasks, as kernels have them.
    fn tasks() -> (Types, SourceId) {
        let mut b = BtfBuilder::new();
        let int = b.int("int", 4, IntEncoding::SIGNED);
        let char = b.int("char", 1, IntEncoding::UNSIGNED);
        let comm = b.array(char, int, 16);
        let row = b.array(int, int, 3);
        let table = b.array(row, int, 2);
        let state = b.enum_(
            "state",
            4,
            false,
            &[Enumerator { name: "RUNS", value: 0 }, Enumerator { name: "SLEEPS", value: 1 }],
        );
        let task = b.declare_struct("task");
        let next = b.ptr(task);
        let next = b.const_(next);
        let pid = b.typedef("pid_t", int);
        let either = b.union_("", 4, &[member("both", int, 0, 0), member("low", char, 0, 0)]);
        b.define_struct(
            task,
            72,
            &[
                member("next", next, 0, 0),
                member("pid", pid, 64, 0),
                member("comm", comm, 96, 0),
                member("", either, 224, 0),
                member("table", table, 256, 0),
                member("a", int, 448, 3),
                member("b", int, 451, 13),
                member("state", state, 480, 0),
            ],
        );
        let user = b.type_tag("user", char);
        let text = b.ptr(user);
        let proto = b.func_proto(
            pid,
            &[
                Param { name: "task", ty: next },
                Param { name: "text", ty: text },
                Param { name: "", ty: TypeId::VOID },
            ],
        );
        b.func("wake", proto, Linkage::Static);
        let mut types = Types::default();
        let source = types.add_source(Origin::Kernel, Arc::new(Btf::parse(b.finish()).unwrap()));
        (types, source)
    }

    #[test]
    fn structs_refer_to_themselves_and_fields_are_found_everywhere() {
        let (mut types, source) = tasks();
        let task = types.named(source, &[Kind::Struct], "task", Space::Kernel).unwrap();
        assert_eq!((types.name(task), types.size(task), types.align(task)), ("struct task".into(), 72, 8));
        let next = types.field(task, "next").unwrap();
        assert_eq!(*types.kind(next.ty), TyKind::Ptr { to: task, space: Space::Kernel });
        let mut shown = |name: &str| {
            let field = types.field(task, name).unwrap();
            (types.name(field.ty), field.offset, field.bits)
        };
        assert_eq!(shown("pid"), ("int32".into(), 8, None));
        assert_eq!(shown("comm"), ("string[16]".into(), 12, None));
        assert_eq!(shown("low"), ("uint8".into(), 28, None));
        assert_eq!(shown("table"), ("int32[2][3]".into(), 32, None));
        assert_eq!(shown("b"), ("int32".into(), 56, Some(Bits { shift: 3, width: 13 })));
        assert_eq!(shown("state"), ("enum state".into(), 60, None));
        assert_eq!(types.field(task, "nothing"), None);
        types.complete(task);
        let names: Vec<_> =
            types.struct_of(task).unwrap().fields.as_ref().unwrap().iter().map(|f| f.name.clone()).collect();
        assert_eq!(names.join(" "), "next pid comm both low table a b state");
    }

    #[test]
    fn pointers_are_of_the_space_that_was_asked_for_unless_they_are_marked() {
        let (mut types, source) = tasks();
        let wake = types.source(source).unwrap().btf.find(Kind::Func, "wake").unwrap();
        let wake = types.signature(source, wake, Space::Kernel).unwrap();
        assert!(wake.variadic);
        assert_eq!(wake.result, Ty::I32);
        let kinds: Vec<_> = wake.params.iter().map(|(_, ty)| types.kind(*ty).clone()).collect();
        assert!(matches!(
            kinds[..],
            [TyKind::Ptr { space: Space::Kernel, .. }, TyKind::Ptr { space: Space::User, to: Ty::U8 },]
        ));
        let task = types.in_space(wake.params[0].1, Space::User);
        let TyKind::Ptr { to, .. } = *types.kind(task) else { panic!() };
        let next = types.field(to, "next").unwrap();
        assert_eq!(next.ty, task);
    }

    #[test]
    fn values_of_enums_have_names() {
        let (mut types, source) = tasks();
        let state = types.named(source, &[Kind::Enum], "state", Space::Kernel).unwrap();
        assert_eq!(types.as_int(state), Some((32, false)));
        let state = types.enum_of(state).unwrap();
        assert_eq!((state.name_of(1), state.name_of(2)), (Some("SLEEPS"), None));
    }
}
