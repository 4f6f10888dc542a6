//! C types by name: which sources are asked, and in which order.
//!
//! What the script declares itself comes first, then what belongs to the probe (the debug information
//! of the program it attaches to, the module that its function is in), then the kernel. The kernel is
//! asked last because its types are read only when something needs them.

use std::sync::Arc;

use skep_btf::Kind;

use super::check::Checker;
use crate::syntax::ast::TypeTag;
use crate::ty::{Origin, SourceId, Space, Ty, TyKind, Types};
use crate::world::{World, WorldError};

/// The kernel's own types as a source, read now unless they were.
pub fn kernel(types: &mut Types, world: &dyn World) -> Result<SourceId, WorldError> {
    match types.source_of(&Origin::Kernel) {
        Some(known) => Ok(known),
        None => Ok(types.add_source(Origin::Kernel, world.kernel_btf()?)),
    }
}

/// The types of a module as a source, which includes the kernel's; `vmlinux` is the kernel itself.
pub fn module(types: &mut Types, world: &dyn World, name: &str) -> Result<SourceId, WorldError> {
    let kernel = kernel(types, world)?;
    let origin = Origin::Module(name.into());
    match types.source_of(&origin) {
        _ if name == "vmlinux" => Ok(kernel),
        Some(known) => Ok(known),
        None => Ok(types.add_source(origin, world.module_btf(name)?)),
    }
}

/// The kinds of BTF types that a name stands for in a place: with a keyword in front, or without.
pub fn kinds(tag: Option<TypeTag>) -> &'static [Kind] {
    match tag {
        Some(TypeTag::Struct) => &[Kind::Struct],
        Some(TypeTag::Union) => &[Kind::Union],
        Some(TypeTag::Enum) => &[Kind::Enum, Kind::Enum64],
        None => &[Kind::Typedef, Kind::Int],
    }
}

/// The kernel's type that C spells so: `struct napi_struct *`, `const enum zone_type`. `None` if it has
/// none, or cannot be asked.
pub fn spelled(types: &mut Types, world: &dyn World, ctype: &str, space: Space) -> Option<Ty> {
    let (base, stars) = ctype.split_at(ctype.find('*').unwrap_or(ctype.len()));
    let mut words = base.split_whitespace().filter(|word| !matches!(*word, "const" | "volatile" | "__user"));
    let (tag, name) = match words.next()? {
        "struct" => (Some(TypeTag::Struct), words.next()?),
        "union" => (Some(TypeTag::Union), words.next()?),
        "enum" => (Some(TypeTag::Enum), words.next()?),
        name => (None, name),
    };
    if words.next().is_some() {
        return None;
    }
    let source = kernel(types, world).ok()?;
    let mut ty = types.named(source, kinds(tag), name, space)?;
    for _ in stars.matches('*') {
        ty = types.ptr(ty, space);
    }
    Some(ty)
}

impl Checker<'_> {
    /// The type of this name: of `struct NAME` and its like, or without a keyword of a typedef or an
    /// integer of C, else of a struct. Pointers in it are addresses of the probe's own memory. `None` if there is none;
    /// that the kernel cannot be asked is remembered in [`Checker::untold`].
    pub fn named_ctype(&mut self, tag: Option<TypeTag>, name: &str) -> Option<Ty> {
        let space = self.default_space();
        let named = |types: &mut Types, source, kinds| types.named(source, kinds, name, space);
        match self.in_sources(|types, source| named(types, source, kinds(tag))) {
            // A struct may go without its keyword where no other type has the name.
            None if tag.is_none() => {
                self.in_sources(|types, source| named(types, source, &[Kind::Struct, Kind::Union]))
            }
            found => found,
        }
    }

    /// The value of this name of some enum, and the enum.
    pub fn enumerator(&mut self, name: &str) -> Option<(Ty, i128)> {
        self.in_sources(|types, source| {
            let (id, value) = types.source(source)?.btf.find_enumerator(name)?;
            Some((types.of_btf(source, id, Space::Kernel), value))
        })
    }

    /// The type itself, or for a struct that is only declared in its source the definition that
    /// another source has.
    pub fn defined(&mut self, ty: Ty) -> Ty {
        let Some(known) = self.types.struct_of(ty).filter(|known| known.is_opaque) else { return ty };
        let (kind, name) = match known.name.split_once(' ') {
            Some(("struct", name)) => (Kind::Struct, name.to_owned()),
            Some(("union", name)) => (Kind::Union, name.to_owned()),
            _ => return ty,
        };
        let TyKind::Struct { space, .. } = *self.types.kind(ty) else { return ty };
        self.in_sources(|types, source| types.named(source, &[kind], &name, space)).unwrap_or(ty)
    }

    /// What the first source says that has an answer.
    fn in_sources<T>(&mut self, mut ask: impl FnMut(&mut Types, SourceId) -> Option<T>) -> Option<T> {
        let unit = self.unit_in_hand().sources.clone();
        let script = self.types.source_of(&Origin::Script);
        for source in script.into_iter().chain(unit) {
            if let Some(answer) = ask(&mut self.types, source) {
                return Some(answer);
            }
        }
        match kernel(&mut self.types, self.world) {
            Ok(source) => ask(&mut self.types, source),
            Err(error) => {
                self.untold = Some(error);
                None
            }
        }
    }
}

/// The types of a source of the script's own making.
pub fn add_script(types: &mut Types, btf: Arc<skep_btf::Btf>) -> SourceId {
    types.add_source(Origin::Script, btf)
}
