//! What a script asks about types: `sizeof`, `offsetof`, `typeinfo`.

use skep_ui::{Diagnostic, Span, suggest};

use super::{Checker, node};
use crate::hir::{Expr, ExprKind};
use crate::syntax::ast::{self, Ident, TypeExprKind, TypeOrExpr};
use crate::ty::{Agg, Ty, TyKind};

/// Whether it is an enum, or a value of one, by name.
fn is_written_enum(of: &TypeOrExpr) -> bool {
    match of {
        TypeOrExpr::Type(ty) => matches!(ty.kind, TypeExprKind::Tagged { .. }),
        TypeOrExpr::Expr(expr) => matches!(expr.peel_parens().kind, ast::ExprKind::Ident(_)),
    }
}

impl Checker<'_> {
    /// `sizeof(x)`
    pub fn size_of(&mut self, of: &TypeOrExpr, span: Span) -> Expr {
        let Some(ty) = self.type_of(of) else { return self.broken(span) };
        let ty = self.defined(ty);
        self.size_matters(ty);
        let size = match self.types.kind(ty) {
            // As a name it counts as 64 bits; a field of it has its own size.
            TyKind::Enum(_) if is_written_enum(of) => 8,
            _ => self.types.size(ty),
        };
        self.number(u64::from(size), span)
    }

    /// `offsetof(T, a.b)`
    pub fn offset_of(&mut self, of: &TypeOrExpr, path: &[Ident], span: Span) -> Expr {
        let Some(ty) = self.type_of(of) else { return self.broken(span) };
        match self.offset_in(ty, path, span) {
            Some(offset) => self.number(u64::from(offset), span),
            None => self.broken(span),
        }
    }

    /// Where in a type the field at the end of a path begins; `None` after a complaint.
    pub fn offset_in(&mut self, of: Ty, path: &[Ident], span: Span) -> Option<u32> {
        let (mut at, mut offset) = (of, 0u32);
        for step in path {
            at = self.defined(at);
            let name = self.type_name(at);
            if !matches!(self.types.kind(at), TyKind::Struct { .. } | TyKind::Record(_)) {
                self.diagnostics.error(span, format!("'{name}' is not a C type."));
                return None;
            }
            let Some((ty, by)) = self.field_place(at, &step.name) else {
                let names = self.types.field_names(at);
                let problem = Diagnostic::error(span, format!("'{name}' has no field named '{}'", step.name));
                let near = suggest(&step.name, names.iter().map(String::as_str));
                self.diagnostics.push(match near {
                    Some(near) => problem.help(format!("Did you mean '{near}'?")),
                    None => problem,
                });
                return None;
            };
            offset = offset.saturating_add(by);
            at = ty;
        }
        Some(offset)
    }

    fn field_place(&mut self, of: Ty, name: &str) -> Option<(Ty, u32)> {
        if let TyKind::Record(fields) = self.types.kind(of) {
            let index = fields.iter().position(|(known, _)| **known == *name)?;
            let ty = fields.get(index).map(|(_, ty)| *ty)?;
            return Some((ty, self.types.offsets(of).get(index).copied()?));
        }
        self.place_matters(of, name);
        self.types.field(of, name).map(|field| (field.ty, field.offset))
    }

    /// `typeinfo(x)`: a record of the type's BTF id (always 0: it means nothing outside of the kernel
    /// that has it), what sort of type it is, and its name.
    pub fn type_info(&mut self, of: &TypeOrExpr, span: Span) -> Expr {
        if !self.may_use("typeinfo", self.config.typeinfo, span) {
            return self.broken(span);
        }
        let Some(ty) = self.type_of(of) else { return self.broken(span) };
        let sort = self.sort(ty);
        let name = self.type_name(ty);
        let parts = vec![self.number(0, span), self.text(sort, span), self.text(name, span)];
        let names = ["btf_id", "base_type", "full_type"];
        let fields = names.iter().zip(&parts).map(|(name, part)| ((*name).into(), part.ty)).collect();
        let ty = self.types.intern(TyKind::Record(fields));
        node(ExprKind::Tuple(parts), ty, span)
    }

    /// What sort of type it is, as messages of the original call it.
    pub fn sort(&mut self, ty: Ty) -> String {
        match self.types.kind(ty) {
            TyKind::Int { .. } | TyKind::Enum(_) => "int".into(),
            TyKind::Str(_) | TyKind::Probe => "string".into(),
            TyKind::Buf(_) => "buffer".into(),
            TyKind::Ptr { .. } => "pointer".into(),
            TyKind::Array { .. } => "array".into(),
            TyKind::Tuple(_) => "tuple".into(),
            TyKind::Record(_) => "record".into(),
            TyKind::Struct { .. } | TyKind::Opaque { .. } => "c_type".into(),
            TyKind::Stack(stack) => stack.builtin().into(),
            TyKind::Agg(Agg::Sum { .. }) => "sum_t".into(),
            _ => self.type_name(ty),
        }
    }
}
