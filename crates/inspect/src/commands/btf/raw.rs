//! Types as they are: a line for each, with its parts below.

use std::io::{self, Write};

use skep_btf::{Btf, IntEncoding, Linkage, Type, TypeId};

use crate::json::Writer;

/// Writes the types for people: those asked for, else all but those of the base.
pub(super) fn plain(out: &mut dyn Write, btf: &Btf, roots: &[TypeId]) -> io::Result<()> {
    for id in ids(btf, roots) {
        if let Some(ty) = btf.get(id) {
            plain_type(out, btf, id, &ty)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

/// Writes the types for programs.
pub(super) fn json(json: &mut Writer<'_>, btf: &Btf, roots: &[TypeId]) -> io::Result<()> {
    json.begin_object()?;
    json.name("types")?;
    json.begin_array()?;
    for id in ids(btf, roots) {
        if let Some(ty) = btf.get(id) {
            json.begin_object()?;
            json_type(json, id, &ty)?;
            json.end_object()?;
        }
    }
    json.end_array()?;
    json.end_object()
}

fn ids<'a>(btf: &Btf, roots: &'a [TypeId]) -> Box<dyn Iterator<Item = TypeId> + 'a> {
    if roots.is_empty() { Box::new(btf.own_ids()) } else { Box::new(roots.iter().copied()) }
}

fn named(name: &str) -> &str {
    if name.is_empty() { "(anon)" } else { name }
}

/// The name of the kind; void, which has no record, is shown as what one could not know.
fn kind(ty: &Type<'_>) -> &'static str {
    if matches!(ty, Type::Void) { "UNKNOWN" } else { ty.kind().as_str() }
}

fn encoding(of: IntEncoding) -> &'static str {
    match of {
        IntEncoding::UNSIGNED => "(none)",
        IntEncoding::SIGNED => "SIGNED",
        IntEncoding::CHAR => "CHAR",
        IntEncoding::BOOL => "BOOL",
        _ => "UNKN",
    }
}

fn linkage(of: Linkage) -> &'static str {
    match of {
        Linkage::Static => "static",
        Linkage::Global => "global",
        Linkage::Extern => "extern",
        Linkage::Other(_) => "(unknown)",
    }
}

fn sign(is_signed: bool) -> &'static str {
    if is_signed { "SIGNED" } else { "UNSIGNED" }
}

fn plain_type(out: &mut dyn Write, btf: &Btf, id: TypeId, ty: &Type<'_>) -> io::Result<()> {
    write!(out, "[{id}] {} '{}'", kind(ty), named(ty.name()))?;
    match *ty {
        Type::Int(of) => {
            let encoding = encoding(of.encoding);
            write!(
                out,
                " size={} bits_offset={} nr_bits={} encoding={encoding}",
                of.size, of.bit_offset, of.bits
            )
        }
        Type::Ptr { target }
        | Type::Const { target }
        | Type::Volatile { target }
        | Type::Restrict { target }
        | Type::Typedef { target, .. }
        | Type::TypeTag { target, .. } => write!(out, " type_id={target}"),
        Type::Array(of) => {
            write!(out, " type_id={} index_type_id={} nr_elems={}", of.element, of.index, of.len)
        }
        Type::Struct(of) | Type::Union(of) => {
            write!(out, " size={} vlen={}", of.size, of.members().len())?;
            for member in of.members() {
                let name = named(member.name);
                write!(out, "\n\t'{name}' type_id={} bits_offset={}", member.ty, member.bit_offset)?;
                if member.bitfield_size != 0 {
                    write!(out, " bitfield_size={}", member.bitfield_size)?;
                }
            }
            Ok(())
        }
        Type::Enum(of) => {
            let count = of.enumerators().len();
            write!(out, " encoding={} size={} vlen={count}", sign(of.is_signed), of.size)?;
            let suffix = match (of.is_wide, of.is_signed) {
                (false, _) => "",
                (true, true) => "LL",
                (true, false) => "ULL",
            };
            for value in of.enumerators() {
                write!(out, "\n\t'{}' val={}{suffix}", named(value.name), value.value)?;
            }
            Ok(())
        }
        Type::Fwd { is_union, .. } => write!(out, " fwd_kind={}", if is_union { "union" } else { "struct" }),
        Type::Func { proto, linkage: of, .. } => write!(out, " type_id={proto} linkage={}", linkage(of)),
        Type::FuncProto(of) => {
            write!(out, " ret_type_id={} vlen={}", of.result, of.params().len())?;
            for param in of.params() {
                write!(out, "\n\t'{}' type_id={}", named(param.name), param.ty)?;
            }
            Ok(())
        }
        Type::Var { target, linkage: of, .. } => {
            write!(out, " type_id={target}, linkage={}", linkage(of))
        }
        Type::DataSec(of) => {
            write!(out, " size={} vlen={}", of.size, of.vars().len())?;
            for var in of.vars() {
                write!(out, "\n\ttype_id={} offset={} size={}", var.var, var.offset, var.size)?;
                if let Some(ty) = btf.get(var.var) {
                    write!(out, " ({} '{}')", ty.kind().as_str(), named(ty.name()))?;
                }
            }
            Ok(())
        }
        Type::Float { size, .. } => write!(out, " size={size}"),
        Type::DeclTag { target, component, .. } => {
            write!(out, " type_id={target} component_idx={}", component_number(component))
        }
        Type::Void | Type::Unknown { .. } => Ok(()),
    }
}

/// The whole has number -1.
fn component_number(component: Option<u32>) -> i64 {
    component.map_or(-1, i64::from)
}

fn json_type(json: &mut Writer<'_>, id: TypeId, ty: &Type<'_>) -> io::Result<()> {
    json.field("id", &id.0)?;
    json.field("kind", kind(ty))?;
    json.field("name", named(ty.name()))?;
    match *ty {
        Type::Int(of) => {
            json.field("size", &of.size)?;
            json.field("bits_offset", &of.bit_offset)?;
            json.field("nr_bits", &of.bits)?;
            json.field("encoding", encoding(of.encoding))
        }
        Type::Ptr { target }
        | Type::Const { target }
        | Type::Volatile { target }
        | Type::Restrict { target }
        | Type::Typedef { target, .. }
        | Type::TypeTag { target, .. } => json.field("type_id", &target.0),
        Type::Array(of) => {
            json.field("type_id", &of.element.0)?;
            json.field("index_type_id", &of.index.0)?;
            json.field("nr_elems", &of.len)
        }
        Type::Struct(of) | Type::Union(of) => {
            json.field("size", &of.size)?;
            json.field("vlen", &of.members().len())?;
            json.name("members")?;
            json.begin_array()?;
            for member in of.members() {
                json.begin_object()?;
                json.field("name", named(member.name))?;
                json.field("type_id", &member.ty.0)?;
                json.field("bits_offset", &member.bit_offset)?;
                if member.bitfield_size != 0 {
                    json.field("bitfield_size", &member.bitfield_size)?;
                }
                json.end_object()?;
            }
            json.end_array()
        }
        Type::Enum(of) => {
            json.field("encoding", sign(of.is_signed))?;
            json.field("size", &of.size)?;
            json.field("vlen", &of.enumerators().len())?;
            json.name("values")?;
            json.begin_array()?;
            for value in of.enumerators() {
                json.begin_object()?;
                json.field("name", named(value.name))?;
                json.name("val")?;
                json.raw(&value.value.to_string())?;
                json.end_object()?;
            }
            json.end_array()
        }
        Type::Fwd { is_union, .. } => json.field("fwd_kind", if is_union { "union" } else { "struct" }),
        Type::Func { proto, linkage: of, .. } => {
            json.field("type_id", &proto.0)?;
            json.field("linkage", linkage(of))
        }
        Type::FuncProto(of) => {
            json.field("ret_type_id", &of.result.0)?;
            json.field("vlen", &of.params().len())?;
            json.name("params")?;
            json.begin_array()?;
            for param in of.params() {
                json.begin_object()?;
                json.field("name", named(param.name))?;
                json.field("type_id", &param.ty.0)?;
                json.end_object()?;
            }
            json.end_array()
        }
        Type::Var { target, linkage: of, .. } => {
            json.field("type_id", &target.0)?;
            json.field("linkage", linkage(of))
        }
        Type::DataSec(of) => {
            json.field("size", &of.size)?;
            json.field("vlen", &of.vars().len())?;
            json.name("vars")?;
            json.begin_array()?;
            for var in of.vars() {
                json.begin_object()?;
                json.field("type_id", &var.var.0)?;
                json.field("offset", &var.offset)?;
                json.field("size", &var.size)?;
                json.end_object()?;
            }
            json.end_array()
        }
        Type::Float { size, .. } => json.field("size", &size),
        Type::DeclTag { target, component, .. } => {
            json.field("type_id", &target.0)?;
            json.field("component_idx", &component_number(component))
        }
        Type::Void => Ok(()),
        Type::Unknown { kind, .. } => json.field("kind_number", &kind),
    }
}

#[cfg(test)]
mod tests {
    use skep_btf::BtfBuilder;

    use super::*;

    #[test]
    fn anonymous_types_are_called_so() {
        let mut b = BtfBuilder::new();
        let int = b.int("int", 4, IntEncoding::SIGNED);
        b.struct_("", 4, &[skep_btf::Member { name: "", ty: int, bit_offset: 0, bitfield_size: 3 }]);
        let btf = Btf::parse(b.finish()).unwrap();
        let mut out = Vec::new();
        plain(&mut out, &btf, &[]).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        [1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
        [2] STRUCT '(anon)' size=4 vlen=1
        	'(anon)' type_id=1 bits_offset=0 bitfield_size=3
        ");
    }
}
