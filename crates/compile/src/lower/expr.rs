//! Expressions whose value fits a register.

use skep_isa::helpers::id;
use skep_lang::hir::{self, BinaryOp, Expr, ExprKind};
use skep_lang::ty::{Space, Ty, TyKind};

use super::Lower;
use super::func::Place;
use crate::error::Error;
use crate::ir::{BinOp, CmpOp, Value, ValueTy, Width};

impl Lower<'_> {
    /// The value, extended to 64 bits by the sign of its type.
    pub(super) fn scalar(&mut self, expr: &Expr) -> Result<Value, Error> {
        let outer = self.func.set_span(expr.span);
        let value = self.scalar_here(expr);
        self.func.set_span(outer);
        value
    }

    fn scalar_here(&mut self, expr: &Expr) -> Result<Value, Error> {
        Ok(match &expr.kind {
            ExprKind::Int(bits) => {
                let value = self.in_range(expr.ty, *bits);
                self.func.int(value)
            }
            ExprKind::Local(_) if self.types.is_memory(expr.ty) => return Err(self.not_scalar(expr)),
            ExprKind::Local(local) => self.read_local(*local),
            ExprKind::EntryKey | ExprKind::EntryValue => {
                let place = self.entry_place(expr)?;
                self.load(expr.ty, place)
            }
            ExprKind::MapGet { map, key } => self.map_get(*map, key.as_deref())?,
            ExprKind::MapAdd { map, key, by, old } => {
                let before = self.map_get(*map, key.as_deref())?;
                let ty = self.map_decl(*map).value;
                let by_value = self.scalar(by)?;
                self.map_add_value(*map, key.as_deref(), by_value)?;
                if *old {
                    before
                } else {
                    let after = self.func.bin(BinOp::Add, before, by_value);
                    self.wrap(ty, after)
                }
            }
            ExprKind::LocalAdd { local, by, old } => {
                let by = self.scalar(by)?;
                let before = self.read_local(*local);
                let after = self.func.bin(BinOp::Add, before, by);
                let after = self.wrap(self.local(*local).ty, after);
                self.write_local(*local, after);
                if *old { before } else { after }
            }
            ExprKind::Delete { map, key } => self.delete(*map, key.as_deref())?,
            ExprKind::HasKey { map, key } => self.has_key(*map, key)?,
            ExprKind::Find { map, key, local, value } => self.find(*map, key, *local, value)?,
            ExprKind::MapLen(map) => self.map_len(*map),
            ExprKind::Binary { op, lhs, rhs } => self.binary(*op, expr.ty, lhs, rhs)?,
            ExprKind::Compare { op, lhs, rhs } if !self.types.is_memory(lhs.ty) => {
                let op = self.compare_op(*op, lhs.ty);
                let lhs = self.scalar(lhs)?;
                let rhs = self.scalar(rhs)?;
                self.func.cmp(op, lhs, rhs)
            }
            ExprKind::Compare { .. } | ExprKind::Logic { .. } => self.truth_of(expr)?,
            ExprKind::Not(inner) => {
                let value = self.scalar(inner)?;
                self.func.bin_imm(BinOp::Xor, value, 1)
            }
            ExprKind::Neg(inner) => {
                let value = self.scalar(inner)?;
                let zero = self.func.int(0);
                let negative = self.func.bin(BinOp::Sub, zero, value);
                self.wrap(expr.ty, negative)
            }
            ExprKind::BitNot(inner) => {
                let value = self.scalar(inner)?;
                let flipped = self.func.bin_imm(BinOp::Xor, value, -1);
                self.wrap(expr.ty, flipped)
            }
            ExprKind::Cond { cond, then, otherwise } => {
                let then_block = self.func.new_block();
                let else_block = self.func.new_block();
                let (after, value) = self.func.new_join(ValueTy::Int);
                self.branch_on(cond, then_block, else_block)?;
                self.func.enter(then_block);
                let then = self.scalar(then)?;
                self.func.jump(after, &[then]);
                self.func.enter(else_block);
                let otherwise = self.scalar(otherwise)?;
                self.func.jump(after, &[otherwise]);
                self.func.enter(after);
                value
            }
            ExprKind::Cast(inner) => self.cast(expr.ty, inner)?,
            ExprKind::Element { base, index } => {
                let place = self.element(base, *index)?;
                self.load(expr.ty, place)
            }
            ExprKind::Read { pointer, offset, bits } => self.read_scalar(expr.ty, pointer, *offset, *bits)?,
            ExprKind::Part { base, offset, bits } => {
                let place = self.part(base, *offset)?;
                self.load_part(expr.ty, place, *bits)
            }
            ExprKind::ElementAddress { pointer, offset, index, len } => {
                self.element_address(expr.ty, pointer, *offset, index, *len)?
            }
            ExprKind::Ctx => {
                let ctx = self.func.ctx();
                self.as_number(ctx)
            }
            ExprKind::AddressOf(value) => self.address_of(value)?,
            ExprKind::Helper(helper) => {
                if helper.once {
                    self.func.call_pure(helper.id, &[])
                } else {
                    self.func.call(helper.id, &[], ValueTy::Int)
                }
            }
            ExprKind::Op { op, args } => self.scalar_operation(*op, args, expr)?,
            ExprKind::Runtime(what) => self.func.runtime(*what),
            // What the probe is called, user space looks up.
            ExprKind::Func => self.function_number(),
            ExprKind::Probe => match self.targets[..] {
                [only] => self.func.int(i64::from(only.identity(&self.program.targets).0)),
                _ => self.func.cookie(),
            },
            ExprKind::Context { offset } => {
                let ctx = self.func.ctx();
                let place = Place::aligned(ctx).at(*offset);
                if self.is_typed_pointer(expr.ty) { self.untyped(place) } else { self.load(expr.ty, place) }
            }
            ExprKind::DataLoc { offset, relative } => self.data_loc(*offset, *relative),
            ExprKind::AggValue { map, key } => self.agg_value(*map, key.as_deref())?,
            ExprKind::Block { body, value } => {
                self.block(body)?;
                self.scalar(value)?
            }
            ExprKind::Call { .. } if self.types.is_memory(expr.ty) => return Err(self.not_scalar(expr)),
            ExprKind::Call { function, args } => self.call(*function, args)?,
            ExprKind::AggEntry { .. }
            | ExprKind::Str(_)
            | ExprKind::Comm
            | ExprKind::Stack
            | ExprKind::Unwound
            | ExprKind::Tuple(_)
            | ExprKind::Registers { .. }
            | ExprKind::ReadStr { .. }
            | ExprKind::ReadBuf { .. }
            | ExprKind::Bytes { .. } => return Err(self.not_scalar(expr)),
        })
    }

    fn not_scalar(&self, expr: &Expr) -> Error {
        Error::Internal {
            what: format!("a value of type {} was taken for a number", self.types.name(expr.ty)),
            span: expr.span,
        }
    }

    /// A constant as the 64 bits that stand for it in its type.
    fn in_range(&self, ty: Ty, bits: u64) -> i64 {
        match self.types.as_int(ty) {
            Some((8, true)) => i64::from(bits as i8),
            Some((16, true)) => i64::from(bits as i16),
            Some((32, true)) => i64::from(bits as i32),
            Some((8, false)) => i64::from(bits as u8),
            Some((16, false)) => i64::from(bits as u16),
            Some((32, false)) => i64::from(bits as u32),
            _ => bits as i64,
        }
    }

    /// Reads a scalar of that type from memory.
    pub(super) fn load(&mut self, ty: Ty, place: Place) -> Value {
        let (width, signed) = self.access(ty);
        self.func.load(width, signed, place)
    }

    fn binary(&mut self, op: BinaryOp, ty: Ty, lhs: &Expr, rhs: &Expr) -> Result<Value, Error> {
        let (width, _) = self.access(ty);
        let bits = i64::from(width.bytes()) * 8;
        let known = matches!(rhs.kind, ExprKind::Int(by) if by != 0);
        let lhs = self.scalar(lhs)?;
        let mut rhs = self.scalar(rhs)?;
        if matches!(op, BinaryOp::Div | BinaryOp::Mod) && !known {
            return self.checked_division(op, ty, lhs, rhs);
        }
        if matches!(op, BinaryOp::Shl | BinaryOp::Shr) && width != Width::W64 {
            rhs = self.func.bin_imm(BinOp::And, rhs, bits - 1);
        }
        Ok(self.operation(op, ty, lhs, rhs))
    }

    /// A division by something that may be zero: then the result is 1, and the user is warned.
    fn checked_division(&mut self, op: BinaryOp, ty: Ty, lhs: Value, rhs: Value) -> Result<Value, Error> {
        let zero = self.func.int(0);
        let by_zero = self.func.new_block();
        let sound = self.func.new_block();
        let (after, result) = self.func.new_join(ValueTy::Int);
        self.func.branch(CmpOp::Eq, rhs, zero, by_zero, sound);
        self.func.enter(by_zero);
        let warning = hir::Format { pieces: vec![hir::Piece::Text(BY_ZERO.into())] };
        let span = self.func.span();
        self.printf(hir::PrintTo::Fault, &warning, &[], span)?;
        let one = self.func.int(1);
        self.func.jump(after, &[one]);
        self.func.enter(sound);
        let quotient = self.operation(op, ty, lhs, rhs);
        self.func.jump(after, &[quotient]);
        self.func.enter(after);
        Ok(result)
    }

    /// The operation on values in the range of the type.
    fn operation(&mut self, op: BinaryOp, ty: Ty, lhs: Value, rhs: Value) -> Value {
        let (width, signed) = self.access(ty);
        let (op, stays_in_range) = match op {
            BinaryOp::Add => (BinOp::Add, false),
            BinaryOp::Sub => (BinOp::Sub, false),
            BinaryOp::Mul => (BinOp::Mul, false),
            // The smallest value divided by -1 is out of range.
            BinaryOp::Div if signed => (BinOp::SDiv, false),
            BinaryOp::Div => (BinOp::UDiv, true),
            BinaryOp::Mod if signed => (BinOp::SMod, true),
            BinaryOp::Mod => (BinOp::UMod, true),
            BinaryOp::And => (BinOp::And, true),
            BinaryOp::Or => (BinOp::Or, true),
            BinaryOp::Xor => (BinOp::Xor, true),
            BinaryOp::Shl => (BinOp::Shl, false),
            BinaryOp::Shr if signed => (BinOp::AShr, true),
            BinaryOp::Shr => (BinOp::LShr, true),
        };
        let value = self.func.bin(op, lhs, rhs);
        if stays_in_range { value } else { self.func.extend(width, signed, value) }
    }

    fn cast(&mut self, to: Ty, inner: &Expr) -> Result<Value, Error> {
        if self.types.is_memory(inner.ty) {
            // The bytes of an array as a number.
            let place = self.memory(inner)?;
            return Ok(self.load_part(to, place, None));
        }
        let value = self.scalar(inner)?;
        if to == Ty::BOOL {
            return Ok(if inner.ty == Ty::BOOL { value } else { self.truth(value) });
        }
        let (to_width, to_signed) = self.access(to);
        let (from_width, from_signed) = self.access(inner.ty);
        // A wider type of the same sign, or a wider signed one, holds the value as it is.
        let fits = from_width == to_width && from_signed == to_signed
            || from_width < to_width && (to_signed || !from_signed)
            || to_width == Width::W64;
        Ok(if fits { value } else { self.func.extend(to_width, to_signed, value) })
    }

    /// The comparison of two scalars of a type.
    pub(super) fn compare_op(&self, op: hir::CompareOp, ty: Ty) -> CmpOp {
        use hir::CompareOp::*;
        let signed = self.types.as_int(ty).is_some_and(|(_, signed)| signed);
        match (op, signed) {
            (Eq, _) => CmpOp::Eq,
            (Ne, _) => CmpOp::Ne,
            (Lt, false) => CmpOp::ULt,
            (Le, false) => CmpOp::ULe,
            (Gt, false) => CmpOp::UGt,
            (Ge, false) => CmpOp::UGe,
            (Lt, true) => CmpOp::SLt,
            (Le, true) => CmpOp::SLe,
            (Gt, true) => CmpOp::SGt,
            (Ge, true) => CmpOp::SGe,
        }
    }

    /// The address of what a `__data_loc` field points to, as an integer.
    pub(super) fn data_loc(&mut self, offset: u32, relative: bool) -> Value {
        let ctx = self.func.ctx();
        let loc = self.func.load(Width::W32, false, Place::aligned(ctx).at(offset));
        let start = self.func.bin_imm(BinOp::And, loc, 0xffff);
        let start = if relative { self.add_imm(start, i64::from(offset) + 4) } else { start };
        let place = self.func.add_bytes(Place::aligned(ctx), start);
        place.base
    }

    /// The helper that copies bytes from a kind of memory.
    pub(super) fn reader(&self, pointer: Ty, text: bool) -> u32 {
        let user = matches!(self.types.kind(pointer), TyKind::Ptr { space: Space::User, .. });
        match (user, text) {
            (true, true) => id::PROBE_READ_USER_STR,
            (true, false) => id::PROBE_READ_USER,
            (false, true) => id::PROBE_READ_KERNEL_STR,
            (false, false) => id::PROBE_READ_KERNEL,
        }
    }
}

/// What is said about a division by zero.
const BY_ZERO: &str =
    "Divide or modulo by 0 detected. This can lead to unexpected results. 1 is being used as the result.";
