//! Definitions, declarations and declarators as C text.

use std::fmt::Write as _;

use smallvec::SmallVec;

use super::padding::Hole;
use super::{CDump, Progress};
use crate::error::Error;
use crate::format::TypeId;
use crate::types::{Composite, Enum, FuncProto, Type};

/// Names of integer types that GCC uses within itself on Arm, and what they are.
const INTERNAL_INTS: [(&str, &str); 4] = [
    ("__Poly8_t", "unsigned char"),
    ("__Poly16_t", "unsigned short"),
    ("__Poly64_t", "unsigned long long"),
    ("__Poly128_t", "unsigned __int128"),
];

/// A typedef that compilers have by themselves.
const BUILT_IN: &str = "__builtin_va_list";

/// The types of a declaration, from the outermost on. Few have more than this.
type Chain<'a> = SmallVec<[(TypeId, Type<'a>); 8]>;

impl<'a> CDump<'a> {
    /// Writes what `id` needs and, if it stands by itself (`within` is void), its definition; within another
    /// type, the declarations that its use there takes.
    pub(super) fn emit_type(&mut self, id: TypeId, within: TypeId, depth: usize) -> Result<(), Error> {
        self.step(id, depth)?;
        let below = depth + 1;
        let by_itself = within == TypeId::VOID;
        let (progress, declared) = {
            let state = self.state(id)?;
            (state.emit, state.declared)
        };
        if progress == Progress::Done {
            return Ok(());
        }
        let ty = self.get(id)?;
        if progress == Progress::Under {
            if declared {
                return Ok(());
            }
            match ty {
                // A struct may point to itself while it is being defined.
                Type::Struct(_) | Type::Union(_) if id == within => return Ok(()),
                Type::Struct(of) | Type::Union(of) if of.name.is_empty() => return Ok(()),
                Type::Struct(of) => self.forward(id, "struct", of.name)?,
                Type::Union(of) => self.forward(id, "union", of.name)?,
                Type::Typedef { name, target } => self.typedef(id, name, target, below)?,
                _ => return Ok(()),
            }
            self.state(id)?.declared = true;
            return Ok(());
        }
        match ty {
            Type::Int(of) => {
                if let Some((name, meaning)) = INTERNAL_INTS.iter().find(|(name, _)| *name == of.name) {
                    let _ = write!(self.out, "typedef {meaning} {name};\n\n");
                }
                self.state(id)?.emit = Progress::Done;
            }
            Type::Enum(of) => {
                if by_itself {
                    self.enumeration(id, of, 0)?;
                    self.out.push_str(";\n\n");
                }
                self.state(id)?.emit = Progress::Done;
            }
            Type::Fwd { name, is_union } => {
                self.forward(id, if is_union { "union" } else { "struct" }, name)?;
                self.state(id)?.emit = Progress::Done;
            }
            Type::Ptr { target }
            | Type::Volatile { target }
            | Type::Const { target }
            | Type::Restrict { target }
            | Type::TypeTag { target, .. } => self.emit_type(target, within, below)?,
            Type::Array(array) => self.emit_type(array.element, within, below)?,
            Type::Typedef { name, target } => {
                self.state(id)?.emit = Progress::Under;
                self.emit_type(target, id, below)?;
                // Who points to it meanwhile may have had it declared, which defines it.
                if !self.state(id)?.declared {
                    self.typedef(id, name, target, below)?;
                }
                self.state(id)?.emit = Progress::Done;
            }
            Type::Struct(of) | Type::Union(of) => {
                let keyword = if matches!(ty, Type::Struct(_)) { "struct" } else { "union" };
                self.state(id)?.emit = Progress::Under;
                if by_itself || of.name.is_empty() {
                    // All members will be written out, so what they use must be declared.
                    let outer = if of.name.is_empty() { within } else { id };
                    for member in of.members() {
                        self.emit_type(member.ty, outer, below)?;
                    }
                } else if !declared && id != within {
                    self.forward(id, keyword, of.name)?;
                    self.state(id)?.declared = true;
                }
                if by_itself {
                    self.composite(id, keyword, of, 0, below)?;
                    self.out.push_str(";\n\n");
                }
                self.state(id)?.emit = if by_itself { Progress::Done } else { Progress::Open };
            }
            Type::FuncProto(of) => {
                self.emit_type(of.result, within, below)?;
                for param in of.params() {
                    self.emit_type(param.ty, within, below)?;
                }
            }
            Type::Void
            | Type::Float { .. }
            | Type::Func { .. }
            | Type::Var { .. }
            | Type::DataSec(_)
            | Type::DeclTag { .. }
            | Type::Unknown { .. } => {}
        }
        Ok(())
    }

    /// Writes a declaration of something called `name`; anonymous structs and enums are written out in it.
    pub(super) fn emit_declaration(
        &mut self,
        id: TypeId,
        name: &str,
        level: usize,
        depth: usize,
    ) -> Result<(), Error> {
        self.step(id, depth)?;
        let mut chain = Chain::new();
        let mut at = id;
        loop {
            self.step(at, chain.len())?;
            let ty = self.get(at)?;
            chain.push((at, ty));
            at = match ty {
                Type::Ptr { target }
                | Type::Volatile { target }
                | Type::Const { target }
                | Type::Restrict { target }
                | Type::TypeTag { target, .. } => target,
                Type::FuncProto(of) => of.result,
                Type::Array(array) => array.element,
                _ => break,
            };
        }
        self.declarator(&mut chain, name, level, depth)
    }

    /// Writes the types of a chain, innermost last, from the specifier on outwards.
    fn declarator(
        &mut self,
        chain: &mut Chain<'a>,
        name: &str,
        level: usize,
        depth: usize,
    ) -> Result<(), Error> {
        let below = depth + 1;
        // A pointer that begins a part of its own, in parentheses, has no blank before it.
        let mut after_pointer = true;
        while let Some((id, ty)) = chain.pop() {
            self.step(id, depth)?;
            match ty {
                Type::Ptr { .. } => self.out.push_str(if after_pointer { "*" } else { " *" }),
                Type::Volatile { .. } => self.out.push_str(" volatile"),
                Type::Const { .. } => self.out.push_str(" const"),
                Type::Restrict { .. } => self.out.push_str(" restrict"),
                Type::TypeTag { name, is_attribute, .. } => {
                    self.qualifiers(chain);
                    let _ = if is_attribute {
                        write!(self.out, " __attribute__(({name}))")
                    } else {
                        write!(self.out, " __attribute__((btf_type_tag(\"{name}\")))")
                    };
                }
                Type::Array(array) => {
                    // Qualifiers of an array are those of its elements, which have been written.
                    drop_qualifiers(chain);
                    if let Some((_, next)) = chain.last() {
                        if !name.is_empty() && !after_pointer {
                            self.out.push(' ');
                        }
                        let is_array = matches!(next, Type::Array(_));
                        if !is_array {
                            self.out.push('(');
                        }
                        self.declarator(chain, name, level, below)?;
                        if !is_array {
                            self.out.push(')');
                        }
                    } else {
                        self.name(name, after_pointer);
                    }
                    self.out.push('[');
                    self.digits(array.len);
                    self.out.push(']');
                    return Ok(());
                }
                Type::FuncProto(of) => {
                    drop_qualifiers(chain);
                    if chain.is_empty() {
                        self.name(name, after_pointer);
                    } else {
                        self.out.push_str(" (");
                        self.declarator(chain, name, level, below)?;
                        self.out.push(')');
                    }
                    return self.parameters(of, level, below);
                }
                ty => {
                    self.qualifiers(chain);
                    self.specifier(id, ty, level, below)?;
                }
            }
            after_pointer = matches!(ty, Type::Ptr { .. });
        }
        self.name(name, after_pointer);
        Ok(())
    }

    fn specifier(&mut self, id: TypeId, ty: Type<'a>, level: usize, depth: usize) -> Result<(), Error> {
        match ty {
            Type::Void => self.out.push_str("void"),
            Type::Struct(of) if of.name.is_empty() => self.composite(id, "struct", of, level, depth)?,
            Type::Union(of) if of.name.is_empty() => self.composite(id, "union", of, level, depth)?,
            Type::Enum(of) if of.name.is_empty() => self.enumeration(id, of, level)?,
            Type::Struct(of) => self.tag(id, "struct", of.name)?,
            Type::Union(of) => self.tag(id, "union", of.name)?,
            Type::Enum(of) => self.tag(id, "enum", of.name)?,
            Type::Fwd { name, is_union } => self.tag(id, if is_union { "union" } else { "struct" }, name)?,
            Type::Typedef { name, .. } => self.ident(id, name)?,
            ty => self.out.push_str(ty.name()),
        }
        Ok(())
    }

    fn parameters(&mut self, of: FuncProto<'a>, level: usize, depth: usize) -> Result<(), Error> {
        let params: Vec<_> = of.params().collect();
        // clang describes a function without parameters as one with a parameter of type void.
        if params.is_empty() || matches!(params.as_slice(), [only] if only.ty == TypeId::VOID) {
            self.out.push_str("(void)");
            return Ok(());
        }
        self.out.push('(');
        for (index, param) in params.iter().enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            if index + 1 == params.len() && param.ty == TypeId::VOID {
                self.out.push_str("...");
            } else {
                self.emit_declaration(param.ty, param.name, level, depth)?;
            }
        }
        self.out.push(')');
        Ok(())
    }

    /// Writes the qualifiers that belong to the specifier before it.
    fn qualifiers(&mut self, chain: &mut Chain<'a>) {
        while let Some((_, ty)) = chain.last() {
            match ty {
                Type::Volatile { .. } => self.out.push_str("volatile "),
                Type::Const { .. } => self.out.push_str("const "),
                Type::Restrict { .. } => self.out.push_str("restrict "),
                _ => return,
            }
            chain.pop();
        }
    }

    fn name(&mut self, name: &str, after_pointer: bool) {
        if !name.is_empty() && !after_pointer {
            self.out.push(' ');
        }
        self.out.push_str(name);
    }

    fn composite(
        &mut self,
        id: TypeId,
        keyword: &str,
        of: Composite<'a>,
        level: usize,
        depth: usize,
    ) -> Result<(), Error> {
        self.step(id, depth)?;
        let is_struct = keyword == "struct";
        let align = self.alignment(id, depth)?.unwrap_or(1);
        let packed = is_struct && self.is_packed(of, depth)?;
        self.tag(id, keyword, of.name)?;
        self.out.push_str(" {");
        let mut end = 0u32;
        let mut after_bitfield = false;
        for member in of.members() {
            let bits = u32::from(member.bitfield_size);
            let next_align = if packed { 1 } else { self.alignment(member.ty, depth)?.unwrap_or(1) };
            let in_bitfield = after_bitfield && bits != 0;
            self.pad(Hole { from: end, to: member.bit_offset, next_align, in_bitfield }, level + 1)?;
            self.line(level + 1);
            self.emit_declaration(member.ty, member.name, level + 1, depth)?;
            after_bitfield = bits != 0;
            let len = if after_bitfield {
                self.out.push_str(": ");
                self.digits(bits);
                bits
            } else {
                // Members without a size, as functions, end where they start.
                self.size_in_bits(member.ty)?
            };
            end = member.bit_offset.saturating_add(len);
            self.out.push(';');
        }
        if is_struct {
            let to = of.size.saturating_mul(8);
            self.pad(Hole { from: end, to, next_align: align, in_bitfield: false }, level + 1)?;
        }
        // An empty one stays on its line.
        if of.members().len() > 0 || of.size > 0 {
            self.line(level);
        }
        self.out.push('}');
        if packed {
            self.out.push_str(" __attribute__((packed))");
        }
        Ok(())
    }

    fn enumeration(&mut self, id: TypeId, of: Enum<'a>, level: usize) -> Result<(), Error> {
        self.tag(id, "enum", of.name)?;
        if of.enumerators().len() == 0 {
            return Ok(());
        }
        self.out.push_str(" {");
        for value in of.enumerators() {
            self.line(level + 1);
            let count = self.idents.entry(value.name).and_modify(|count| *count += 1).or_insert(1);
            self.out.push_str(value.name);
            if *count > 1 {
                let _ = write!(self.out, "___{count}");
            }
            let suffix = match (of.is_wide, of.is_signed) {
                (false, _) => "",
                (true, true) => "LL",
                (true, false) => "ULL",
            };
            self.out.push_str(" = ");
            match i64::try_from(value.value) {
                Ok(small) => self.digits(small),
                Err(_) => self.digits(value.value),
            }
            self.out.push_str(suffix);
            self.out.push(',');
        }
        self.line(level);
        self.out.push('}');
        // The compiler chooses four bytes unless a value needs more, or it is told otherwise.
        let needs_eight = || of.enumerators().any(|value| value.value < 0 || value.value > u32::MAX.into());
        match of.size {
            1 => self.out.push_str(" __attribute__((mode(byte)))"),
            8 if !(of.is_wide && needs_eight()) => self.out.push_str(" __attribute__((mode(word)))"),
            _ => {}
        }
        Ok(())
    }

    fn forward(&mut self, id: TypeId, keyword: &str, name: &'a str) -> Result<(), Error> {
        self.tag(id, keyword, name)?;
        self.out.push_str(";\n\n");
        Ok(())
    }

    fn typedef(&mut self, id: TypeId, name: &'a str, target: TypeId, depth: usize) -> Result<(), Error> {
        if name == BUILT_IN {
            return Ok(());
        }
        self.out.push_str("typedef ");
        // Old versions of GCC describe this one as void.
        if target == TypeId::VOID && name == "__gnuc_va_list" {
            self.out.push_str("__builtin_va_list __gnuc_va_list");
        } else {
            let number = self.number(id, name, NameSpace::Idents)?;
            if number > 1 {
                self.emit_declaration(target, &format!("{name}___{number}"), 0, depth)?;
            } else {
                self.emit_declaration(target, name, 0, depth)?;
            }
        }
        self.out.push_str(";\n\n");
        Ok(())
    }

    /// Writes a keyword and the name behind it.
    fn tag(&mut self, id: TypeId, keyword: &str, name: &'a str) -> Result<(), Error> {
        self.out.push_str(keyword);
        if name.is_empty() {
            return Ok(());
        }
        self.out.push(' ');
        let number = self.number(id, name, NameSpace::Tags)?;
        self.numbered(name, number);
        Ok(())
    }

    fn ident(&mut self, id: TypeId, name: &'a str) -> Result<(), Error> {
        let number = self.number(id, name, NameSpace::Idents)?;
        self.numbered(name, number);
        Ok(())
    }

    fn numbered(&mut self, name: &str, number: u32) {
        self.out.push_str(name);
        if number > 1 {
            let _ = write!(self.out, "___{number}");
        }
    }

    /// How many types up to this one have this name, counted when the name is first written.
    fn number(&mut self, id: TypeId, name: &'a str, space: NameSpace) -> Result<u32, Error> {
        let state = self.state(id)?;
        if state.named {
            return Ok(state.duplicate);
        }
        state.named = true;
        let ty = self.get(id)?;
        // Declarations share the name of the definition.
        let declares = match ty {
            Type::Fwd { .. } => true,
            Type::Enum(of) => of.enumerators().len() == 0,
            _ => false,
        };
        if declares {
            return Ok(0);
        }
        let names = match space {
            NameSpace::Tags => &mut self.tags,
            NameSpace::Idents => &mut self.idents,
        };
        let count = *names.entry(name).and_modify(|count| *count += 1).or_insert(1);
        self.state(id)?.duplicate = count;
        Ok(count)
    }

    /// Writes a number, of which a header has hundreds of thousands.
    pub(super) fn digits(&mut self, number: impl itoa::Integer) {
        self.out.push_str(itoa::Buffer::new().format(number));
    }

    /// Begins a line.
    pub(super) fn line(&mut self, level: usize) {
        self.out.push('\n');
        for _ in 0..level {
            self.out.push('\t');
        }
    }
}

fn drop_qualifiers(chain: &mut Chain<'_>) {
    while let Some((_, Type::Volatile { .. } | Type::Const { .. } | Type::Restrict { .. })) = chain.last() {
        chain.pop();
    }
}

#[derive(Clone, Copy)]
enum NameSpace {
    Tags,
    Idents,
}
