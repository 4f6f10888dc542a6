//! Functions as bpftool writes them above a program: `int xdp_pass(struct xdp_md * ctx)`.
//!
//! This is no C declaration ([`Btf::c_declaration`] is): every type is followed by a blank, pointers too, and
//! only arguments have names.

use std::fmt::Write as _;

use crate::format::TypeId;
use crate::reader::Btf;
use crate::types::{FuncProto, Type};

/// How many types may take part in a signature; what is beyond is left out.
const MAX_PARTS: usize = 512;

/// How deep function pointers may nest.
const MAX_DEPTH: usize = 16;

impl Btf {
    /// The signature of a function, a [`Type::Func`]; of a prototype, without a name. `None` for other types.
    pub fn signature(&self, id: TypeId) -> Option<String> {
        let (name, proto) = match self.get(id)? {
            Type::Func { name, proto, .. } => match self.get(proto)? {
                Type::FuncProto(of) => (name, of),
                _ => return None,
            },
            Type::FuncProto(of) => ("", of),
            _ => return None,
        };
        let mut text = String::new();
        let mut writer = Writer { btf: self, out: &mut text, parts: MAX_PARTS };
        writer.function(name, proto, 0);
        Some(text)
    }
}

struct Writer<'a> {
    btf: &'a Btf,
    out: &'a mut String,
    parts: usize,
}

impl Writer<'_> {
    fn function(&mut self, name: &str, of: FuncProto<'_>, depth: usize) {
        self.ty(of.result, depth + 1);
        self.out.push_str(name);
        self.out.push('(');
        for (index, param) in of.params().enumerate() {
            if self.parts == 0 {
                break;
            }
            if index > 0 {
                self.out.push_str(", ");
            }
            if param.ty == TypeId::VOID {
                self.out.push_str("...");
                continue;
            }
            self.ty(param.ty, depth + 1);
            if !param.name.is_empty() {
                self.out.push_str(param.name);
            } else if self.out.ends_with(' ') {
                self.out.pop();
            }
        }
        self.out.push(')');
    }

    fn ty(&mut self, id: TypeId, depth: usize) {
        let Some(parts) = self.parts.checked_sub(1) else { return };
        self.parts = parts;
        if depth > MAX_DEPTH * 4 {
            return;
        }
        let Some(ty) = self.btf.get(id) else { return };
        let below = depth + 1;
        // Writing to a String cannot fail.
        let _ = match ty {
            Type::Void => write!(self.out, "void "),
            Type::Int(_) | Type::Typedef { .. } | Type::Float { .. } => write!(self.out, "{} ", ty.name()),
            Type::Struct(of) => write!(self.out, "struct {} ", of.name),
            Type::Union(of) => write!(self.out, "union {} ", of.name),
            Type::Enum(of) => write!(self.out, "enum {} ", of.name),
            Type::Fwd { name, is_union } => {
                write!(self.out, "{} {name} ", if is_union { "union" } else { "struct" })
            }
            Type::Ptr { target } => {
                self.ty(target, below);
                write!(self.out, "* ")
            }
            Type::Array(array) => {
                self.ty(array.element, below);
                write!(self.out, "[{}]", array.len)
            }
            Type::Volatile { target } => {
                let _ = write!(self.out, "volatile ");
                self.ty(target, below);
                Ok(())
            }
            Type::Const { target } => {
                let _ = write!(self.out, "const ");
                self.ty(target, below);
                Ok(())
            }
            Type::Restrict { target } => {
                let _ = write!(self.out, "restrict ");
                self.ty(target, below);
                Ok(())
            }
            Type::TypeTag { target, .. } => {
                self.ty(target, below);
                Ok(())
            }
            Type::FuncProto(of) => {
                self.function("", of, below);
                Ok(())
            }
            Type::Func { .. }
            | Type::Var { .. }
            | Type::DataSec(_)
            | Type::DeclTag { .. }
            | Type::Unknown { .. } => Ok(()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::BtfBuilder;
    use crate::format::{IntEncoding, Linkage};
    use crate::types::Param;

    #[test]
    fn signatures() {
        let mut b = BtfBuilder::new();
        let int = b.int("int", 4, IntEncoding::SIGNED);
        let ctx = b.struct_("xdp_md", 0, &[]);
        let ctx = b.ptr(ctx);
        let ctx_const = b.const_(ctx);
        let inner =
            b.func_proto(TypeId::VOID, &[Param { name: "", ty: ctx }, Param { name: "", ty: TypeId::VOID }]);
        let callback = b.ptr(inner);
        let params = [Param { name: "ctx", ty: ctx_const }, Param { name: "f", ty: callback }];
        let proto = b.func_proto(int, &params);
        let function = b.func("pass", proto, Linkage::Global);
        let circle = b.ptr(TypeId(function.0 + 1));
        let endless = b.func_proto(circle, &[Param { name: "", ty: circle }]);
        let btf = Btf::parse(b.finish()).unwrap();
        assert_eq!(
            btf.signature(function).unwrap(),
            "int pass(const struct xdp_md * ctx, void (struct xdp_md *, ...)* f)"
        );
        assert_eq!(btf.signature(inner).unwrap(), "void (struct xdp_md *, ...)");
        assert_eq!(btf.signature(int), None);
        assert!(btf.signature(endless).is_some_and(|text| text.len() < 10_000));
    }
}
