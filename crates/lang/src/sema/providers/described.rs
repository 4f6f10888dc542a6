//! Parameters and results of functions as C spells them, for listings.

use skep_btf::{Btf, Kind, Type, TypeId};

use crate::sema::expand;
use crate::world::{KERNEL, World};

/// A function in words.
pub(super) struct Described {
    /// Type and name of each parameter: `struct file * file`.
    pub params: Vec<String>,
    /// The types alone.
    pub types: Vec<String>,
    /// The type of the result; `None` for `void`.
    pub result: Option<String>,
}

/// A function of the kernel or of a module.
pub(super) fn function(world: &dyn World, module: &str, name: &str) -> Option<Described> {
    let btf = if module == KERNEL { world.kernel_btf() } else { world.module_btf(module) }.ok()?;
    described(&btf, btf.find_own(Kind::Func, name)?, 0)
}

/// What programs of a raw tracepoint are handed.
pub(super) fn raw_tracepoint(world: &dyn World, module: &str, event: &str) -> Option<Described> {
    let btf = if module == KERNEL { world.kernel_btf() } else { world.module_btf(module) }.ok()?;
    described(&btf, expand::kernel::raw_tracepoint(&btf, event)?, 1)
}

/// The fields of a struct, type and name.
pub(super) fn fields(world: &dyn World, name: &str) -> Option<Vec<String>> {
    let btf = world.kernel_btf().ok()?;
    let id = btf.find(Kind::Struct, name)?;
    let fields = btf.fields(id).ok()?;
    Some(fields.iter().map(|field| format!("{} {}", btf.c_name(field.ty), field.name)).collect())
}

/// A function or a prototype, without its first parameters.
fn described(btf: &Btf, id: TypeId, skip: usize) -> Option<Described> {
    let proto = match btf.get(id)? {
        Type::Func { proto, .. } => btf.get(proto)?,
        other => other,
    };
    let Type::FuncProto(proto) = proto else { return None };
    let mut described = Described { params: Vec::new(), types: Vec::new(), result: None };
    for param in proto.params().skip(skip).filter(|param| param.ty != TypeId::VOID) {
        let ctype = btf.c_name(param.ty).to_string();
        described.params.push(format!("{ctype} {}", param.name));
        described.types.push(ctype);
    }
    if proto.result != TypeId::VOID {
        described.result = Some(btf.c_name(proto.result).to_string());
    }
    Some(described)
}
