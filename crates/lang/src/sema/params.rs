//! The parameters of a function of a program as a script sees them: `args.name`.

use std::sync::Arc;

use skep_btf::{Btf, Type, TypeId};

use super::record::{Access, AccessKind};
use super::registers;
use crate::ty::{Origin, SourceId, Space, Ty, TyKind, Types};
use crate::world::WorldError;
use crate::world::user_space::{FunctionTypes, ParamPlace, ProgramTypes, UserSpace};

/// The types of a program as a source of C types, with what is known of its functions; `None` without debugging
/// information.
pub fn source(
    types: &mut Types,
    space: &dyn UserSpace,
    file: &str,
    addresses: &[u64],
) -> Result<Option<(SourceId, Arc<ProgramTypes>)>, WorldError> {
    let Some(program) = space.types(file, addresses)? else { return Ok(None) };
    let source = types.add_source(Origin::Binary(file.into()), Arc::clone(&program.btf));
    Ok(Some((source, program)))
}

/// A parameter and how it is reached.
#[derive(Debug)]
pub struct Param {
    /// Its name; empty if it has none.
    pub name: Box<str>,
    /// How it is reached. The error is why it is not.
    pub access: Result<Access, String>,
}

/// The parameters of a function.
pub fn of(types: &mut Types, source: SourceId, function: &FunctionTypes) -> Vec<Param> {
    let Some(signature) = types.signature(source, function.id, Space::User) else { return Vec::new() };
    let params = signature.params.into_iter().zip(&function.params);
    params.map(|((name, ty), place)| Param { access: access(types, &name, ty, place), name }).collect()
}

fn access(types: &Types, name: &str, ty: Ty, place: &ParamPlace) -> Result<Access, String> {
    if matches!(types.kind(ty), TyKind::Opaque { .. } | TyKind::Error | TyKind::Void) {
        return Err(format!("{name} has unsupported type"));
    }
    let register = |name: &str| registers::offset(name).ok_or_else(|| format!("there is no register {name}"));
    let (kind, offset) = match place {
        ParamPlace::Register(from) if types.is_memory(ty) => {
            (AccessKind::Registers { second: None }, register(from)?)
        }
        ParamPlace::Register(from) => (AccessKind::Direct, register(from)?),
        ParamPlace::Pair(low, high) => {
            (AccessKind::Registers { second: Some(register(high)?) }, register(low)?)
        }
        ParamPlace::Stack(above) => {
            let above = u32::try_from(*above).map_err(|_| format!("{name} is too far up the stack"))?;
            (AccessKind::Stack(Space::User), above)
        }
        ParamPlace::Behind(from) => (AccessKind::Behind, register(from)?),
        ParamPlace::Unreadable(why) => return Err(format!("{name} cannot be read: {why}")),
    };
    Ok(Access { kind, offset, ty })
}

/// The parameters of the function at an address as listings spell them: `int* n`.
pub fn listed(program: &ProgramTypes, address: u64) -> Vec<String> {
    let btf = &program.btf;
    let Some(function) = program.function(address) else { return Vec::new() };
    let Some(Type::Func { proto, .. }) = btf.get(function.id) else { return Vec::new() };
    let Some(Type::FuncProto(proto)) = btf.get(proto) else { return Vec::new() };
    let named = proto.params().filter(|param| !param.name.is_empty());
    named.map(|param| format!("{} {}", spelled(btf, param.ty, 0), param.name)).collect()
}

/// A type in the manner of the original's listings: as C, but stars stand at the type.
fn spelled(btf: &Btf, id: TypeId, depth: u32) -> String {
    const UNKNOWN: &str = "<unknown type>";
    if depth > 32 {
        return UNKNOWN.to_owned();
    }
    let of = |id| spelled(btf, id, depth + 1);
    match btf.get(id) {
        None | Some(Type::Void) => "void".to_owned(),
        Some(Type::Ptr { target }) => format!("{}*", of(target)),
        Some(Type::Array(array)) => format!("{}[{}]", of(array.element), array.len),
        Some(Type::Const { target }) => format!("const {}", of(target)),
        Some(Type::Volatile { target }) => format!("volatile {}", of(target)),
        Some(Type::Restrict { target } | Type::TypeTag { target, .. }) => of(target),
        Some(Type::Func { .. } | Type::FuncProto(_)) => UNKNOWN.to_owned(),
        Some(_) => btf.c_name(id).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_btf::{BtfBuilder, IntEncoding, Linkage, Param as BtfParam};

    /// `int f(const char *name, struct foo *foo, void (*call)(void), long high)`
    fn program() -> (ProgramTypes, TypeId) {
        let mut builder = BtfBuilder::new();
        let int = builder.int("int", 4, IntEncoding::SIGNED);
        let long = builder.int("long int", 8, IntEncoding::SIGNED);
        let char = builder.int("char", 1, IntEncoding::SIGNED);
        let text = builder.const_(char);
        let text = builder.ptr(text);
        let foo = builder.struct_("foo", 4, &[]);
        let foo = builder.ptr(foo);
        let call = builder.func_proto(TypeId::VOID, &[]);
        let call = builder.ptr(call);
        let param = |name, ty| BtfParam { name, ty };
        let params = [param("name", text), param("foo", foo), param("call", call), param("high", long)];
        let proto = builder.func_proto(int, &params);
        let id = builder.func("f", proto, Linkage::Global);
        let params = vec![
            ParamPlace::Register("di"),
            ParamPlace::Unreadable("it is gone".into()),
            ParamPlace::Register("si"),
            ParamPlace::Stack(8),
        ];
        let btf = Arc::new(Btf::parse(builder.finish()).unwrap());
        (ProgramTypes { btf, functions: vec![FunctionTypes { address: 16, id, params }] }, id)
    }

    #[test]
    fn parameters_are_listed_as_the_original_lists_them() {
        let (program, _) = program();
        let expected = ["const char* name", "struct foo* foo", "<unknown type>* call", "long int high"];
        assert_eq!(listed(&program, 16), expected);
        assert!(listed(&program, 17).is_empty());
    }

    #[test]
    fn each_is_reached_in_its_own_way() {
        let (program, _) = program();
        let mut types = Types::default();
        let source = types.add_source(Origin::Binary("x".into()), Arc::clone(&program.btf));
        let params = of(&mut types, source, program.function(16).unwrap());
        let places: Vec<_> = params
            .iter()
            .map(|param| {
                param.access.as_ref().map(|access| (access.kind, access.offset)).map_err(String::as_str)
            })
            .collect();
        assert_eq!(places[0], Ok((AccessKind::Direct, 112)));
        assert_eq!(places[1], Err("foo cannot be read: it is gone"));
        assert_eq!(places[3], Ok((AccessKind::Stack(Space::User), 8)));
    }
}
