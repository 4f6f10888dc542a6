//! Parts of values: fields, elements, what pointers point to, and addresses.
//!
//! What is behind a pointer is never taken whole to look at a part of it: `$p->a.b[1]` is one
//! [`ExprKind::Read`] of the last part, at its offset from `$p`.

use skep_ui::{Diagnostic, Span, suggest};

use super::{Checker, node};
use crate::hir::{BinaryOp, Expr, ExprKind};
use crate::sema::{builtins, infer, uses};
use crate::syntax::ast;
use crate::ty::{Bits, Space, Ty, TyKind};

impl Checker<'_> {
    /// `args.f`, or a field of a value or of what a pointer points to.
    pub fn field(&mut self, base: &ast::Expr, field: &ast::Ident, span: Span) -> Expr {
        if uses::is_name(base, "args") {
            // Expansion has complained about fields that are not there.
            let access = self.unit_in_hand().shape.field(&field.name);
            return match access {
                Some(access) => self.reached(access, span),
                None => self.broken(span),
            };
        }
        if let Some(setting) = builtins::config_field(self, base, &field.name) {
            return setting;
        }
        if let Some(object) = builtins::walk_field(self, base, &field.name, span) {
            return object;
        }
        let base = self.value(base);
        self.field_of(base, &field.name, span)
    }

    /// A field of a value, or of what a pointer points to.
    pub fn field_of(&mut self, base: Expr, name: &str, span: Span) -> Expr {
        match *self.types.kind(base.ty) {
            TyKind::Error => base,
            TyKind::Record(_) => self.record_field(base, name, span),
            TyKind::Struct { .. } => {
                let of = self.defined(base.ty);
                let Some((ty, offset, bits)) = self.struct_field(of, name, span) else {
                    return self.broken(span);
                };
                let asked = match &base.kind {
                    ExprKind::Read { pointer, offset, bits: None } => {
                        self.portable_field(pointer, *offset, of, name, (ty, bits), span)
                    }
                    _ => None,
                };
                asked.unwrap_or_else(|| part(base, offset, bits, ty, span))
            }
            TyKind::Ptr { to, .. } if matches!(self.types.kind(to), TyKind::Struct { .. }) => {
                let of = self.defined(to);
                let Some((ty, offset, bits)) = self.struct_field(of, name, span) else {
                    return self.broken(span);
                };
                let asked = self.portable_field(&base, 0, of, name, (ty, bits), span);
                asked.unwrap_or_else(|| read(base, i64::from(offset), bits, ty, span))
            }
            TyKind::Ptr { to, .. } if matches!(self.types.kind(to), TyKind::Record(_)) => {
                let whole = read(base, 0, None, to, span);
                self.record_field(whole, name, span)
            }
            _ => {
                let ty = self.type_name(base.ty);
                self.error(span, format!("Can not access field '{name}' on expression of type '{ty}'"))
            }
        }
    }

    fn record_field(&mut self, base: Expr, name: &str, span: Span) -> Expr {
        let TyKind::Record(fields) = self.types.kind(base.ty) else { return self.broken(span) };
        let found = fields.iter().enumerate().find(|(_, (known, _))| **known == *name);
        if let Some((index, (_, ty))) = found {
            let (index, ty) = (u32::try_from(index).unwrap_or(u32::MAX), *ty);
            return node(ExprKind::Element { base: Box::new(base), index }, ty, span);
        }
        let near = suggest(name, fields.iter().map(|(known, _)| &**known)).map(str::to_owned);
        let problem = Diagnostic::error(span, format!("Record does not contain a field named '{name}'"));
        self.complain_with_guess(problem, near)
    }

    /// Type, offset and bits of a field of a struct; `None` after a complaint.
    pub(in crate::sema) fn struct_field(
        &mut self,
        of: Ty,
        name: &str,
        span: Span,
    ) -> Option<(Ty, u32, Option<Bits>)> {
        if name.is_empty() {
            return None;
        }
        if let Some(field) = self.types.field(of, name) {
            return Some((field.ty, field.offset, field.bits));
        }
        let ty = self.type_name(of);
        if self.types.struct_of(of).is_some_and(|known| known.is_opaque) {
            self.error_with_help(
                span,
                &format!("Cannot access field '{name}': '{ty}' is declared only, its fields are not known"),
                "Define it in the script, or attach to a function of the module that defines it",
            );
            return None;
        }
        let names = self.types.field_names(of);
        let near = suggest(name, names.iter().map(String::as_str)).map(str::to_owned);
        let message = format!("Struct/union of type '{ty}' does not contain a field named '{name}'");
        self.complain_with_guess(Diagnostic::error(span, message), near);
        None
    }

    fn complain_with_guess(&mut self, problem: Diagnostic, near: Option<String>) -> Expr {
        let span = problem.span;
        self.diagnostics.push(match near {
            Some(near) => problem.help(format!("Did you mean '{near}'?")),
            None => problem,
        });
        self.broken(span.unwrap_or(Span::GENERATED))
    }

    /// `t.N`
    pub fn element(&mut self, base: &ast::Expr, index: u64, span: Span) -> Expr {
        let base = self.value(base);
        self.element_of(base, index, span)
    }

    fn element_of(&mut self, base: Expr, index: u64, span: Span) -> Expr {
        let base = match *self.types.kind(base.ty) {
            TyKind::Error => return base,
            TyKind::Ptr { to, .. } if matches!(self.types.kind(to), TyKind::Tuple(_)) => {
                read(base, 0, None, to, span)
            }
            _ => base,
        };
        let elems = self.types.elems(base.ty);
        if !matches!(self.types.kind(base.ty), TyKind::Tuple(_)) {
            let name = self.type_name(base.ty);
            return self
                .error(span, format!("Can not access index '{index}' on expression of type '{name}'"));
        }
        let Some(ty) = usize::try_from(index).ok().and_then(|index| elems.get(index)) else {
            return self.error(
                span,
                format!("Invalid tuple index: {index}. Found {} elements in tuple.", elems.len()),
            );
        };
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        node(ExprKind::Element { base: Box::new(base), index }, *ty, span)
    }

    /// `e[i]`
    pub fn index(&mut self, base: &ast::Expr, index: &ast::Expr, span: Span) -> Expr {
        let base = self.value(base);
        let index = self.value(index);
        if base.ty == Ty::ERROR || index.ty == Ty::ERROR {
            return self.broken(span);
        }
        let constant = self.constant(&index);
        match self.types.kind(base.ty) {
            TyKind::Tuple(_) => {
                return match constant.and_then(|index| u64::try_from(index).ok()) {
                    Some(index) => self.element_of(base, index, span),
                    None => self.error(span, "Array-style access for tuples only valid for integer literals"),
                };
            }
            TyKind::Array { .. } | TyKind::Ptr { .. } | TyKind::Str(_) => {}
            _ => {
                let found = self.type_name(base.ty);
                let message = format!(
                    "The array index operator [] can only be used on arrays, pointers, and tuples, found {found}."
                );
                return self.error(span, message);
            }
        }
        let is_int = matches!(self.types.kind(index.ty), TyKind::Int { .. } | TyKind::Enum(_));
        if !is_int || constant.is_some_and(|constant| constant < 0) {
            let given = self.type_name(index.ty);
            let message = format!(
                "The array index operator [] only accepts non-negative integer indices. Got: {given}"
            );
            return self.error(span, message);
        }
        match *self.types.kind(base.ty) {
            TyKind::Ptr { to, .. } => self.index_pointer(base, to, index, span),
            TyKind::Array { elem, len } => self.index_array(base, elem, len, index, span),
            TyKind::Str(capacity) => self.index_array(base, Ty::I8, capacity, index, span),
            _ => self.broken(span),
        }
    }

    fn index_pointer(&mut self, base: Expr, to: Ty, index: Expr, span: Span) -> Expr {
        self.size_matters(to);
        let size = self.types.size(to);
        if size == 0 {
            let name = self.type_name(base.ty);
            let message = format!(
                "The array index operator [] cannot be used on a pointer to an unsized type ({name})."
            );
            return self.error(span, message);
        }
        match self.constant(&index).and_then(|index| i64::try_from(index).ok()) {
            Some(index) => read(base, index.wrapping_mul(i64::from(size)), None, to, span),
            None => {
                let moved = self.moved_pointer(BinaryOp::Add, base, index, span);
                read(moved, 0, None, to, span)
            }
        }
    }

    fn index_array(&mut self, base: Expr, elem: Ty, len: u32, index: Expr, span: Span) -> Expr {
        self.size_matters(elem);
        let size = self.types.size(elem);
        // An array at the end of a struct, of as many elements as there happen to be.
        let open = len == 0;
        if let Some(constant) = self.constant(&index) {
            if constant >= i128::from(len) && !open {
                let message = format!("the index {constant} is out of bounds for array of size {len}");
                return self.error(span, message);
            }
            let offset = u32::try_from(constant).ok().and_then(|index| index.checked_mul(size));
            return match (offset, &base.kind) {
                (Some(_), _) if open && !is_read(&base) => self.not_there(span),
                (Some(offset), _) => part(base, offset, None, elem, span),
                (None, _) => self.error(span, format!("the index {constant} is too large")),
            };
        }
        if open && !is_read(&base) {
            return self.not_there(span);
        }
        let index = self.widen_int(index);
        let index = self.force(index, Ty::U64);
        let (pointer, offset) = match base.kind {
            ExprKind::Read { pointer, offset, bits: None } => (*pointer, offset),
            _ => (self.address(base, span), 0),
        };
        let space = match self.types.kind(pointer.ty) {
            TyKind::Ptr { space, .. } => *space,
            _ => Space::Kernel,
        };
        let ty = self.types.ptr(elem, space);
        let address = if open {
            let start = Expr { ty, ..pointer };
            let moved = self.moved_pointer(BinaryOp::Add, start, index, span);
            return read(moved, offset, None, elem, span);
        } else {
            ExprKind::ElementAddress { pointer: Box::new(pointer), offset, index: Box::new(index), len }
        };
        read(node(address, ty, span), 0, None, elem, span)
    }

    fn not_there(&mut self, span: Span) -> Expr {
        self.error_with_help(
            span,
            "This array has no elements of its own: they follow the struct in memory",
            "Read the element through the pointer to the struct",
        )
    }

    /// `*e`
    pub fn deref(&mut self, operand: &ast::Expr, span: Span) -> Expr {
        let pointer = self.value(operand);
        match *self.types.kind(pointer.ty) {
            TyKind::Error => pointer,
            TyKind::Ptr { to, .. } => {
                let to = self.defined(to);
                if self.types.size(to) == 0 {
                    let name = self.type_name(pointer.ty);
                    return self
                        .error(span, format!("Can not dereference a pointer to an unsized type ({name})."));
                }
                read(pointer, 0, None, to, span)
            }
            // A number is the address of 64 bits.
            TyKind::Int { .. } => {
                let space = self.default_space();
                let ty = self.types.ptr(Ty::U64, space);
                let address = self.widen_int(pointer);
                let address = self.force(address, ty);
                read(address, 0, None, Ty::U64, span)
            }
            _ => {
                let name = self.type_name(pointer.ty);
                let message = format!("The * operator can not be used on expressions of type '{name}'");
                self.error(span, message)
            }
        }
    }

    /// `&e`
    pub fn address_of(&mut self, operand: &ast::Expr, span: Span) -> Expr {
        let operand = self.expr(operand);
        if let TyKind::Agg(_) | TyKind::Void = self.types.kind(operand.ty) {
            let name = self.type_name(operand.ty);
            return self.error(span, format!("A value of type '{name}' has no address"));
        }
        if let ExprKind::Read { bits: Some(_), .. } | ExprKind::Part { bits: Some(_), .. } = operand.kind {
            return self.error(span, "A bitfield has no address");
        }
        if operand.ty == Ty::ERROR {
            return operand;
        }
        self.address(operand, span)
    }

    /// The address of a value: of what a pointer points to where that is what the value is, otherwise
    /// of where it is kept.
    pub fn address(&mut self, value: Expr, span: Span) -> Expr {
        let to = infer::settle(&mut self.types, value.ty);
        match value.kind {
            ExprKind::Read { pointer, offset, bits: None } => {
                let space = match self.types.kind(pointer.ty) {
                    TyKind::Ptr { space, .. } => *space,
                    _ => Space::Kernel,
                };
                let ty = self.types.ptr(to, space);
                if offset == 0 {
                    return self.force(*pointer, ty);
                }
                let start = Box::new(self.force(*pointer, Ty::U64));
                let by = Box::new(node(ExprKind::Int(offset.cast_unsigned()), Ty::U64, span));
                let moved = ExprKind::Binary { op: BinaryOp::Add, lhs: start, rhs: by };
                self.force(node(moved, Ty::U64, span), ty)
            }
            kind => {
                let ty = self.types.ptr(to, Space::Kernel);
                let value = Box::new(Expr { kind, ..value });
                node(ExprKind::AddressOf(value), ty, span)
            }
        }
    }
}

/// What is so many bytes behind a pointer.
pub fn read(pointer: Expr, offset: i64, bits: Option<Bits>, ty: Ty, span: Span) -> Expr {
    node(ExprKind::Read { pointer: Box::new(pointer), offset, bits }, ty, span)
}

/// A part of a value: of what a pointer points to, read at the part's place.
pub fn part(base: Expr, offset: u32, bits: Option<Bits>, ty: Ty, span: Span) -> Expr {
    match base.kind {
        ExprKind::Read { pointer, offset: start, bits: None } => {
            let offset = start.wrapping_add(i64::from(offset));
            node(ExprKind::Read { pointer, offset, bits }, ty, span)
        }
        ExprKind::Part { base, offset: start, bits: None } => {
            node(ExprKind::Part { base, offset: start.saturating_add(offset), bits }, ty, span)
        }
        _ => node(ExprKind::Part { base: Box::new(base), offset, bits }, ty, span),
    }
}

fn is_read(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Read { .. })
}
