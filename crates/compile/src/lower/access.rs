//! What is behind pointers, parts of values in memory, and addresses as numbers.
//!
//! A pointer is a number for the program: only helpers read what is there, and give zeroes where
//! nothing can be read.

use rustc_hash::FxHashSet;
use skep_isa::helpers::id;
use skep_lang::hir::{self, Block, Expr, ExprKind, LocalId, ProbeKind};
use skep_lang::ty::{Bits, Space, Ty, TyKind};
use skep_lang::walk;

use super::Lower;
use super::cond::chunk;
use super::func::Place;
use crate::error::Error;
use crate::ir::{BinOp, CmpOp, Value, ValueTy, Width};

impl Lower<'_> {
    /// Whether the verifier gives this part of the context a type of the kernel's, with which little may be done
    /// before it is compared with null. What stands in for a kprobe takes all arguments as numbers.
    pub(super) fn is_typed_pointer(&self, ty: Ty) -> bool {
        let typed = matches!(
            self.probe,
            ProbeKind::TypedTracepoint | ProbeKind::Fentry | ProbeKind::Fexit | ProbeKind::Iter
        );
        typed && (matches!(self.types.kind(ty), TyKind::Ptr { .. }) || ty == Ty::U64)
    }

    /// 64 bits of the context as a plain number, whatever the verifier takes them for.
    pub(super) fn untyped(&mut self, place: Place) -> Value {
        let object = self.func.object("argument", 8, 8);
        let copy = self.func.object_place(object);
        let src = self.func.addr(place);
        self.read_bytes(id::PROBE_READ_KERNEL, copy, 8, src);
        self.func.load(Width::W64, false, copy)
    }

    /// What a pointer points to, where that fits a register.
    pub(super) fn read_scalar(
        &mut self,
        ty: Ty,
        pointer: &Expr,
        offset: i64,
        bits: Option<Bits>,
    ) -> Result<Value, Error> {
        if let Some(place) = self.in_context(pointer, offset) {
            return Ok(self.load_part(ty, place, bits));
        }
        let src = self.target(pointer, offset)?;
        let helper = self.reader(pointer.ty, false);
        let object = self.func.object("read", if bits.is_some() { 16 } else { 8 }, 8);
        let place = self.func.object_place(object);
        let size = bits.map_or(self.types.size(ty), Bits::bytes);
        self.read_bytes(helper, place, size, src);
        Ok(self.load_part(ty, place, bits))
    }

    /// Writes what a pointer points to, as many bytes as its type has. Of a text, the bytes after its
    /// end become zero, as they are in all texts; `raw` leaves them as they were.
    pub(super) fn read_memory(
        &mut self,
        ty: Ty,
        pointer: &Expr,
        offset: i64,
        dst: Place,
        raw: bool,
    ) -> Result<(), Error> {
        let size = self.types.size(ty);
        if let Some(place) = self.in_context(pointer, offset) {
            self.func.copy(dst, place, size);
            return Ok(());
        }
        let src = self.target(pointer, offset)?;
        let bytes = self.reader(pointer.ty, false);
        if raw || !matches!(self.types.kind(ty), TyKind::Str(_)) {
            self.read_bytes(bytes, dst, size, src);
            return Ok(());
        }
        self.func.zero(dst, size);
        let text = self.reader(pointer.ty, true);
        let addr = self.func.addr(dst);
        let limit = self.func.int(i64::from(size));
        let len = self.call_reader(text, &[addr, limit, src]);
        // An array need not end in a NUL, but the helper always writes one.
        let full = self.func.new_block();
        let after = self.func.new_block();
        let limit = self.func.int(i64::from(size));
        self.func.branch(CmpOp::Eq, len, limit, full, after);
        self.func.enter(full);
        let last = size.saturating_sub(1);
        let src = self.add_imm(src, i64::from(last));
        self.read_bytes(bytes, dst.at(last), 1, src);
        self.func.jump(after, &[]);
        self.func.enter(after);
        Ok(())
    }

    /// A place that holds the bytes of a value as they are in memory.
    pub(super) fn raw_memory(&mut self, expr: &Expr) -> Result<Place, Error> {
        let ExprKind::Read { pointer, offset, bits: None } = &expr.kind else { return self.memory(expr) };
        let object = self.func.object("bytes", self.types.size(expr.ty), 8);
        let place = self.func.object_place(object);
        self.read_memory(expr.ty, pointer, *offset, place, true)?;
        Ok(place)
    }

    /// The place in the context that a pointer to it means: only there does the kernel show what it
    /// says is there.
    fn in_context(&mut self, pointer: &Expr, offset: i64) -> Option<Place> {
        let offset = u32::try_from(offset).ok()?;
        if !matches!(self.types.kind(pointer.ty), TyKind::Ptr { space: Space::Context, .. }) {
            return None;
        }
        let mut at = pointer;
        while let ExprKind::Cast(inner) = &at.kind {
            at = inner;
        }
        if !matches!(at.kind, ExprKind::Ctx | ExprKind::Local(_)) {
            return None;
        }
        let ctx = self.func.ctx();
        Some(Place::aligned(ctx).at(offset))
    }

    fn target(&mut self, pointer: &Expr, offset: i64) -> Result<Value, Error> {
        let base = self.scalar(pointer)?;
        Ok(self.add_imm(base, offset))
    }

    /// The place of a part of a value in memory.
    pub(super) fn part(&mut self, base: &Expr, offset: u32) -> Result<Place, Error> {
        Ok(self.memory(base)?.at(offset))
    }

    /// A scalar at a place, which need not be aligned as its type is; of a bitfield, its bits alone.
    pub(super) fn load_part(&mut self, ty: Ty, place: Place, bits: Option<Bits>) -> Value {
        let (width, signed) = self.access(ty);
        let Some(bits) = bits else {
            if place.align() >= width.bytes() {
                return self.func.load(width, signed, place);
            }
            let value = self.load_bytes(place, width.bytes());
            return self.func.extend(width, signed, value);
        };
        let value = self.load_bytes(place, bits.bytes().min(8));
        let (shift, width) = (u32::from(bits.shift), u32::from(bits.width));
        // A bitfield of up to 64 bits that does not start at a byte can end in the ninth.
        let above = 64u32.saturating_sub(shift + width);
        let value = if above == 0 { value } else { self.func.bin_imm(BinOp::Shl, value, i64::from(above)) };
        let down = if signed { BinOp::AShr } else { BinOp::LShr };
        let below = (shift + above).min(63);
        let value = if below == 0 { value } else { self.func.bin_imm(down, value, i64::from(below)) };
        if bits.bytes() <= 8 {
            return value;
        }
        let ninth = self.func.load(Width::W8, false, place.at(8));
        let high = self.func.bin_imm(BinOp::Shl, ninth, i64::from(64 - shift));
        let mask = (1i64 << (64 - shift)) - 1;
        let low = self.func.bin_imm(BinOp::And, value, mask);
        let both = self.func.bin(BinOp::Or, low, high);
        let above = i64::from(64 - width.min(64));
        if above == 0 {
            return both;
        }
        let both = self.func.bin_imm(BinOp::Shl, both, above);
        self.func.bin_imm(down, both, above)
    }

    /// Up to eight bytes at a place, in accesses that its alignment permits.
    fn load_bytes(&mut self, place: Place, len: u32) -> Value {
        let mut at = 0;
        let mut whole: Option<Value> = None;
        while at < len {
            let here = place.at(at);
            let width = chunk(here, len - at);
            let piece = self.func.load(width, false, here);
            let piece = if at == 0 { piece } else { self.func.bin_imm(BinOp::Shl, piece, i64::from(at) * 8) };
            whole = Some(match whole {
                Some(whole) => self.func.bin(BinOp::Or, whole, piece),
                None => piece,
            });
            at += width.bytes();
        }
        whole.unwrap_or_else(|| self.func.int(0))
    }

    /// The address of an element of an array behind a pointer; null, with a warning, beyond its end.
    pub(super) fn element_address(
        &mut self,
        ty: Ty,
        pointer: &Expr,
        offset: i64,
        index: &Expr,
        len: u32,
    ) -> Result<Value, Error> {
        let start = self.target(pointer, offset)?;
        let index = self.scalar(index)?;
        let inside = self.func.new_block();
        let beyond = self.func.new_block();
        let (after, address) = self.func.new_join(ValueTy::Int);
        let limit = self.func.int(i64::from(len));
        self.func.branch(CmpOp::ULt, index, limit, inside, beyond);
        self.func.enter(inside);
        let size = match self.types.kind(ty) {
            TyKind::Ptr { to, .. } => self.types.size(*to),
            _ => 1,
        };
        let distance = self.func.bin_imm(BinOp::Mul, index, i64::from(size));
        let element = self.func.bin(BinOp::Add, start, distance);
        self.func.jump(after, &[element]);
        self.func.enter(beyond);
        let warning = hir::Format { pieces: vec![hir::Piece::Text(OUT_OF_BOUNDS.into())] };
        let span = self.func.span();
        self.printf(hir::PrintTo::Fault, &warning, &[], span)?;
        let null = self.func.int(0);
        self.func.jump(after, &[null]);
        self.func.enter(after);
        Ok(address)
    }

    /// The address of where a value is kept, as a number. What a map has no entry for is at null.
    pub(super) fn address_of(&mut self, value: &Expr) -> Result<Value, Error> {
        let place = match &value.kind {
            ExprKind::MapGet { map, key } => match self.only_value(*map) {
                Some(place) => place,
                None => {
                    let key = self.key(*map, key.as_deref())?;
                    let entry = self.lookup(self.map_ref(*map), key);
                    return Ok(self.as_number(entry));
                }
            },
            ExprKind::Local(local) => self.local_place(*local).ok_or_else(|| {
                let what = "a variable in registers was asked for its address".into();
                Error::Internal { what, span: value.span }
            })?,
            _ if self.types.is_memory(value.ty) => self.memory(value)?,
            _ => {
                let object = self.func.object("value", 8, 8);
                let place = self.func.object_place(object);
                self.write(value, place, value.ty)?;
                place
            }
        };
        let address = self.func.addr(place);
        Ok(self.as_number(address))
    }

    /// An address that the kernel follows, as a number that it does not: what is stored by an atomic
    /// addition and loaded again may be computed with in any way.
    pub(super) fn as_number(&mut self, address: Value) -> Value {
        let object = self.func.object("address", 8, 8);
        let place = self.func.object_place(object);
        let zero = self.func.int(0);
        self.func.store(Width::W64, place, zero);
        self.func.atomic_add(Width::W64, place, address);
        self.func.load(Width::W64, false, place)
    }
}

/// What is said about an index beyond the end of an array.
const OUT_OF_BOUNDS: &str = "Array access out of bounds. This can lead to unexpected results.";

/// The variables that something takes the address of: they live in memory.
pub(super) fn addressed(body: &Block) -> FxHashSet<LocalId> {
    let mut found = FxHashSet::default();
    walk::in_block(body, &mut |expr| {
        if let ExprKind::AddressOf(value) = &expr.kind
            && let ExprKind::Local(local) = value.kind
        {
            found.insert(local);
        }
    });
    found
}
