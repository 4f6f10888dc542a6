//! Expressions whose value lives in memory: texts, bytes, tuples, arrays.
//!
//! A value is either read where it already is ([`Lower::memory`]) or written
//! straight to where it is wanted ([`Lower::write`]), so that nothing is copied
//! without need.

use skep_isa::helpers::id;
use skep_lang::hir::{BinaryOp, Expr, ExprKind, LocalId};
use skep_lang::ty::{Ty, TyKind};
use skep_lang::walk;

use super::Lower;
use super::cond::chunk;
use super::func::Place;
use crate::error::Error;
use crate::ir::{BinOp, CmpOp, Value, ValueTy, Width};

/// Literal texts up to this many bytes are written by instructions, longer ones
/// are copied from the constants.
const INLINE_TEXT: usize = 64;

impl Lower<'_> {
    /// A place that holds the value now. It may be the place of a variable or of
    /// a map's entry, so it is to be used before anything else is run.
    pub(super) fn memory(&mut self, expr: &Expr) -> Result<Place, Error> {
        let outer = self.func.set_span(expr.span);
        let place = match &expr.kind {
            ExprKind::Local(local) => self.memory_of(*local, expr)?,
            ExprKind::EntryKey | ExprKind::EntryValue => self.entry_place(expr)?,
            ExprKind::MapGet { map, key } => self.map_get_place(*map, key.as_deref())?,
            ExprKind::Element { base, index } => self.element(base, *index)?,
            ExprKind::Part { base, offset, bits: None } => self.part(base, *offset)?,
            ExprKind::Block { body, value } => {
                self.block(body)?;
                self.memory(value)?
            }
            ExprKind::Context { offset } => {
                let ctx = self.func.ctx();
                Place::aligned(ctx).at(*offset)
            }
            ExprKind::Op { op, args } if !op.is_written() => self.memory_operation(*op, args, expr)?,
            _ => {
                let size = self.types.size(expr.ty);
                let object = self.func.object(describe(&expr.kind), size, 8);
                let place = self.func.object_place(object);
                self.write(expr, place, expr.ty)?;
                place
            }
        };
        self.func.set_span(outer);
        Ok(place)
    }

    /// Where the key or value of the entry is that a loop is at.
    pub(super) fn entry_place(&self, expr: &Expr) -> Result<Place, Error> {
        let (key, value) = self.entry.ok_or_else(|| Error::Internal {
            what: "there is no loop over a map around this".into(),
            span: expr.span,
        })?;
        Ok(if matches!(expr.kind, ExprKind::EntryKey) { key } else { value })
    }

    pub(super) fn not_memory(&self, expr: &Expr) -> Error {
        Error::Internal {
            what: format!("a value of type {} was looked for in memory", self.types.name(expr.ty)),
            span: expr.span,
        }
    }

    /// The place of one element of a tuple.
    pub(super) fn element(&mut self, base: &Expr, index: u32) -> Result<Place, Error> {
        let offset = self.types.offsets(base.ty).get(index as usize).copied().unwrap_or(0);
        Ok(self.memory(base)?.at(offset))
    }

    /// Writes the value as a value of type `ty`: the expression's own type, or a
    /// text of another capacity. Every byte of the place is written.
    pub(super) fn write(&mut self, expr: &Expr, dst: Place, ty: Ty) -> Result<(), Error> {
        let outer = self.func.set_span(expr.span);
        self.write_here(expr, dst, ty)?;
        self.func.set_span(outer);
        Ok(())
    }

    fn write_here(&mut self, expr: &Expr, dst: Place, ty: Ty) -> Result<(), Error> {
        if !self.types.is_memory(ty) {
            let value = self.scalar(expr)?;
            let (width, _) = self.access(ty);
            self.func.store(width, dst, value);
            return Ok(());
        }
        let size = self.types.size(ty);
        match &expr.kind {
            // An array of bytes has no NUL.
            ExprKind::Str(bytes) if matches!(self.types.kind(ty), TyKind::Array { .. }) => {
                self.write_text(bytes, dst, size, size);
            }
            ExprKind::Str(text) => self.write_text(text, dst, size, size.saturating_sub(1)),
            ExprKind::Comm => {
                let addr = self.func.addr(dst);
                let len = self.func.int(i64::from(size.min(16)));
                // Some kernels (6.1) leave alone what follows the NUL.
                self.func.zero(dst, size);
                self.func.call(id::GET_CURRENT_COMM, &[addr, len], ValueTy::Int);
            }
            ExprKind::Tuple(elems) => {
                if ty == Ty::USYM {
                    self.process_seen();
                }
                let elem_types = self.types.elems(ty);
                let offsets = self.types.offsets(ty);
                let mut end = 0;
                for ((elem, elem_ty), offset) in elems.iter().zip(elem_types).zip(offsets) {
                    // Gaps are part of a key as the kernel compares it.
                    self.func.zero(dst.at(end), offset - end);
                    self.write(elem, dst.at(offset), elem_ty)?;
                    end = offset + self.types.size(elem_ty);
                }
                self.func.zero(dst.at(end), size - end);
            }
            ExprKind::Cond { cond, then, otherwise } => {
                let then_block = self.func.new_block();
                let else_block = self.func.new_block();
                let after = self.func.new_block();
                self.branch_on(cond, then_block, else_block)?;
                for (block, value) in [(then_block, then), (else_block, otherwise)] {
                    self.func.enter(block);
                    self.write(value, dst, ty)?;
                    self.func.jump(after, &[]);
                }
                self.func.enter(after);
            }
            ExprKind::Cast(inner) if !self.types.is_memory(inner.ty) => {
                // The bytes of a number as an array.
                let value = self.scalar(inner)?;
                let (width, _) = self.access(inner.ty);
                let object = self.func.object("bytes", 8, 8);
                let place = self.func.object_place(object);
                self.func.store(width, place, value);
                self.func.copy(dst, place, size.min(width.bytes()));
                self.func.zero(dst.at(width.bytes()), size.saturating_sub(width.bytes()));
            }
            ExprKind::Read { pointer, offset, bits: None } if expr.ty == ty => {
                self.read_memory(ty, pointer, *offset, dst, false)?;
            }
            ExprKind::Cast(inner) => {
                // A shorter type cuts the value, also where there is room for more.
                let kept = self.types.size(expr.ty);
                if kept < size {
                    self.write(inner, dst, expr.ty)?;
                    self.func.zero(dst.at(kept), size - kept);
                } else {
                    self.write(inner, dst, ty)?;
                }
            }
            ExprKind::Block { body, value } => {
                self.block(body)?;
                self.write(value, dst, ty)?;
            }
            ExprKind::ReadStr { .. } | ExprKind::DataLoc { .. }
                if matches!(self.types.kind(ty), TyKind::Str(_)) =>
            {
                // A reader leaves alone what follows the NUL.
                self.func.zero(dst, size);
                self.read_text(expr, dst, size)?;
            }
            ExprKind::Registers { first, second } => {
                let room = self.func.object("registers", 16, 8);
                let room = self.func.object_place(room);
                let ctx = self.func.ctx();
                for (at, offset) in [(0, Some(*first)), (8, *second)] {
                    let Some(offset) = offset else { continue };
                    let value = self.func.load(Width::W64, false, Place::aligned(ctx).at(offset));
                    self.func.store(Width::W64, room.at(at), value);
                }
                self.func.copy(dst, room, size);
            }
            ExprKind::DataLoc { offset, relative } => {
                let src = self.data_loc(*offset, *relative);
                self.read_bytes(id::PROBE_READ_KERNEL, dst, size, src);
            }
            ExprKind::ReadBuf { pointer, length } => {
                self.func.zero(dst, size);
                let helper = self.reader(pointer.ty, false);
                let src = self.scalar(pointer)?;
                let len = self.bounded_length(length.as_deref(), size.saturating_sub(4))?;
                self.func.store(Width::W32, dst, len);
                let addr = self.func.addr(dst.at(4));
                self.call_reader(helper, &[addr, len, src]);
            }
            ExprKind::Call { function, args } => {
                let src = self.call_into(*function, args, expr)?;
                self.copy_as(src, expr.ty, dst, ty);
            }
            ExprKind::Stack => self.write_stack(dst, ty),
            ExprKind::Unwound => self.write_unwound(dst, ty)?,
            ExprKind::Bytes { value, length } => self.write_bytes(value, length, dst, size)?,
            ExprKind::Op { op, args } if op.is_written() => {
                self.write_operation(*op, args, expr, dst, size)?
            }
            _ => {
                let src = self.memory(expr)?;
                self.copy_as(src, expr.ty, dst, ty);
            }
        }
        Ok(())
    }

    /// Copies a value in memory to a place of another type: the same but for the
    /// capacities of the texts in it.
    fn copy_as(&mut self, src: Place, from: Ty, dst: Place, to: Ty) {
        let (from_size, size) = (self.types.size(from), self.types.size(to));
        if from == to || !self.types.is_memory(to) {
            self.func.copy(dst, src, size);
        } else if matches!(self.types.kind(to), TyKind::Tuple(_) | TyKind::Record(_)) {
            let sources = self.types.elems(from).into_iter().zip(self.types.offsets(from));
            let targets = self.types.elems(to).into_iter().zip(self.types.offsets(to));
            let mut end = 0;
            for ((from, from_at), (to, to_at)) in sources.zip(targets).collect::<Vec<_>>() {
                self.func.zero(dst.at(end), to_at - end);
                self.copy_as(src.at(from_at), from, dst.at(to_at), to);
                end = to_at + self.types.size(to);
            }
            self.func.zero(dst.at(end), size - end);
        } else if from_size < size {
            self.func.copy(dst, src, from_size);
            self.func.zero(dst.at(from_size), size - from_size);
        } else {
            self.func.copy(dst, src, size);
            if matches!(self.types.kind(to), TyKind::Str(_)) {
                let nul = self.func.int(0);
                self.func.store(Width::W8, dst.at(size - 1), nul);
            }
        }
    }

    /// Writes the first bytes of a text or array as a buffer that takes `size` bytes in all.
    fn write_bytes(&mut self, value: &Expr, length: &Expr, dst: Place, size: u32) -> Result<(), Error> {
        let room = size.saturating_sub(4);
        self.func.zero(dst, size);
        let src = self.raw_memory(value)?;
        let bytes = room.min(self.types.size(value.ty));
        let (len, content) = (self.bounded_length(Some(length), room)?, dst.at(4));
        self.func.store(Width::W32, dst, len);
        if let ExprKind::Int(length) = length.kind {
            // Not the bytes after the last one: they would make equal buffers differ.
            self.func.copy(content, src, bytes.min(u32::try_from(length).unwrap_or(bytes)));
        } else {
            let src = self.func.addr(src);
            let addr = self.func.addr(content);
            self.call_reader(id::PROBE_READ_KERNEL, &[addr, len, src]);
        }
        Ok(())
    }

    /// Writes at most `most` bytes of a text, and zeroes up to `size`.
    fn write_text(&mut self, text: &[u8], dst: Place, size: u32, most: u32) {
        let bytes = &text[..text.len().min(most as usize)];
        let written = if bytes.len() > INLINE_TEXT {
            let src = self.shared.text(bytes);
            let src = self.func.map_value(src.0, src.1);
            self.func.copy(dst, src, bytes.len() as u32);
            bytes.len() as u32
        } else {
            let mut at = 0;
            while at < bytes.len() {
                let here = dst.at(at as u32);
                // The last word takes the NUL and zeroes after it with it.
                let width = chunk(here, size - at as u32);
                let len = (bytes.len() - at).min(width.bytes() as usize);
                let mut word = [0; 8];
                word[..len].copy_from_slice(&bytes[at..at + len]);
                let value = self.func.int(i64::from_le_bytes(word));
                self.func.store(width, here, value);
                at += width.bytes() as usize;
            }
            at as u32
        };
        self.func.zero(dst.at(written), size - written);
    }

    /// Reads a text of at most `capacity` bytes, NUL included, from a pointer or
    /// a data location. The result is what the reading helper gave: the length
    /// with the NUL, or a negative error (and then the text is empty).
    pub(super) fn read_text(&mut self, expr: &Expr, dst: Place, capacity: u32) -> Result<Value, Error> {
        let (helper, src, len) = match &expr.kind {
            ExprKind::ReadStr { pointer, length } => {
                let src = self.scalar(pointer)?;
                let len = self.bounded_length(length.as_deref(), capacity)?;
                (self.reader(pointer.ty, true), src, len)
            }
            ExprKind::DataLoc { offset, relative } => {
                let src = self.data_loc(*offset, *relative);
                (id::PROBE_READ_KERNEL_STR, src, self.func.int(i64::from(capacity)))
            }
            // Our own memory is kernel memory too; reading tells the length.
            _ => {
                let place = self.memory(expr)?;
                let capacity = capacity.min(self.types.size(expr.ty));
                let src = self.func.addr(place);
                (id::PROBE_READ_KERNEL_STR, src, self.func.int(i64::from(capacity)))
            }
        };
        let addr = self.func.addr(dst);
        Ok(self.call_reader(helper, &[addr, len, src]))
    }

    pub(super) fn read_bytes(&mut self, helper: u32, dst: Place, size: u32, src: Value) {
        let addr = self.func.addr(dst);
        let len = self.func.int(i64::from(size));
        self.call_reader(helper, &[addr, len, src]);
    }

    /// A length that is at most `capacity`, in a way the kernel can follow.
    fn bounded_length(&mut self, length: Option<&Expr>, capacity: u32) -> Result<Value, Error> {
        let Some(length) = length else { return Ok(self.func.int(i64::from(capacity))) };
        if let ExprKind::Int(length) = length.kind {
            return Ok(self.func.int(length.min(u64::from(capacity)) as i64));
        }
        let wanted = self.scalar(length)?;
        let limit = self.func.int(i64::from(capacity));
        let fits = self.func.new_block();
        let exceeds = self.func.new_block();
        let (after, result) = self.func.new_join(ValueTy::Int);
        self.func.branch(CmpOp::ULe, wanted, limit, fits, exceeds);
        self.func.enter(fits);
        self.func.jump(after, &[wanted]);
        self.func.enter(exceeds);
        let limit = self.func.int(i64::from(capacity));
        self.func.jump(after, &[limit]);
        self.func.enter(after);
        Ok(result)
    }

    /// Adds lengths of packed texts in a way the kernel can follow: never more than `limit`.
    pub(super) fn bounded_sum(
        &mut self,
        sum: Option<Value>,
        more: Value,
        limit: u32,
        otherwise: crate::ir::BlockId,
    ) -> Value {
        let sum = match sum {
            Some(sum) => self.func.bin(BinOp::Add, sum, more),
            None => more,
        };
        let limit = self.func.int(i64::from(limit));
        self.require(CmpOp::ULe, sum, limit, otherwise);
        sum
    }
}

/// What an object for an expression's value is called in listings.
fn describe(kind: &ExprKind) -> &'static str {
    match kind {
        ExprKind::Str(_) => "literal",
        ExprKind::Comm => "comm",
        ExprKind::Tuple(_) => "tuple",
        ExprKind::Stack | ExprKind::Unwound => "stack",
        ExprKind::ReadStr { .. } | ExprKind::DataLoc { .. } => "text",
        ExprKind::ReadBuf { .. } | ExprKind::Bytes { .. } => "bytes",
        _ => "value",
    }
}

/// Whether an expression reads or changes a variable.
pub(super) fn mentions(expr: &Expr, local: LocalId) -> bool {
    let mut found = false;
    walk::in_expr(expr, &mut |expr| match &expr.kind {
        ExprKind::Local(other)
        | ExprKind::LocalAdd { local: other, .. }
        | ExprKind::Find { local: other, .. } => found |= *other == local,
        // Its statements may assign it.
        ExprKind::Block { .. } => found = true,
        _ => {}
    });
    found
}

/// Whether an expression reads a map.
pub(super) fn reads_map(expr: &Expr, map: skep_lang::hir::MapId) -> bool {
    let mut found = false;
    walk::in_expr(expr, &mut |expr| {
        found |= match &expr.kind {
            ExprKind::MapGet { map: other, .. } => *other == map,
            ExprKind::Block { .. } | ExprKind::Call { .. } => true,
            _ => false,
        };
    });
    found
}

/// Whether evaluating an expression changes a map or a variable, or may tell the user something.
pub(super) fn has_effects(expr: &Expr) -> bool {
    let mut found = false;
    walk::in_expr(expr, &mut |expr| {
        found |= match &expr.kind {
            ExprKind::MapAdd { .. }
            | ExprKind::LocalAdd { .. }
            | ExprKind::Delete { .. }
            | ExprKind::Find { .. }
            | ExprKind::ElementAddress { .. }
            | ExprKind::Call { .. }
            | ExprKind::Block { .. } => true,
            ExprKind::Op { op, .. } => op.has_effects(),
            ExprKind::Binary { op: BinaryOp::Div | BinaryOp::Mod, rhs, .. } => {
                !matches!(rhs.kind, ExprKind::Int(by) if by != 0)
            }
            _ => false,
        };
    });
    found
}
