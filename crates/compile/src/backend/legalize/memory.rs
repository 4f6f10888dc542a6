//! `Zero` and `Copy` as loads and stores, or as one call where those would be too many.

use skep_isa::helpers::id;

use super::Rewriter;
use crate::ir::{BinOp, Op, Value, ValueTy, Width};

/// With more stores than this a call is shorter, and faster too.
const MAX_STORES: u32 = 32;

/// An address and what is added to it.
type Place = (Value, i32);

impl Rewriter<'_> {
    /// The call reads from the null address on purpose: where `bpf_probe_read_kernel` can't read, it fills the
    /// destination with zeroes, and it can never read there. That takes no memory of zeroes to copy from.
    pub(super) fn zero(&mut self, addr: Value, offset: i32, len: u32, align: u32) {
        let to = self.fold_address(addr, offset);
        let widest = self.alignment(to, align);
        let zero = self.push(ValueTy::Int, Op::Const(0));
        if chunks(len, widest).count() as u32 > MAX_STORES {
            self.probe_read(to, len, zero);
            return;
        }
        for (at, width) in chunks(len, widest) {
            self.push_effect(Op::Store { width, addr: to.0, offset: to.1 + at, value: zero });
        }
    }

    pub(super) fn copy(&mut self, dst: Place, src: Place, len: u32, align: u32) {
        let (dst, src) = (self.fold_address(dst.0, dst.1), self.fold_address(src.0, src.1));
        let widest = self.alignment(dst, align).min(self.alignment(src, align));
        // The context is not always memory as the program sees it, so it is always read by loads.
        let by_loads = self.ty(src.0) == ValueTy::Ctx;
        if chunks(len, widest).count() as u32 > MAX_STORES && !by_loads {
            let from = self.address(src);
            self.probe_read(dst, len, from);
            return;
        }
        for (at, width) in chunks(len, widest) {
            let load = Op::Load { width, signed: false, addr: src.0, offset: src.1 + at };
            let value = self.push(ValueTy::Int, load);
            self.push_effect(Op::Store { width, addr: dst.0, offset: dst.1 + at, value });
        }
    }

    fn probe_read(&mut self, to: Place, len: u32, from: Value) {
        let to = self.address(to);
        let len = self.push(ValueTy::Int, Op::Const(len.into()));
        let args = vec![to, len, from];
        self.push_effect(Op::Call {
            helper: id::PROBE_READ_KERNEL,
            args,
            returns: ValueTy::Int,
            pure: false,
        });
    }

    fn address(&mut self, (base, offset): Place) -> Value {
        if offset == 0 {
            return base;
        }
        let by = self.push(ValueTy::Int, Op::Const(offset.into()));
        let ty = self.ty(base);
        self.push(ty, Op::Bin(BinOp::Add, base, by))
    }

    /// What is known of a place's alignment beyond what is said of it: objects, values of maps and whatever
    /// helpers give are aligned to 8 bytes.
    fn alignment(&self, (base, offset): Place, said: u32) -> u32 {
        let within = match &self.defs[base.0 as usize] {
            Some(Op::ObjectAddr(_, at) | Op::MapValue(_, at)) => i64::from(*at) + i64::from(offset),
            Some(Op::Ctx | Op::Call { .. }) => offset.into(),
            _ => return said,
        };
        let known = match within.trailing_zeros() {
            0 => 1,
            1 => 2,
            2 => 4,
            _ => 8,
        };
        known.max(said)
    }
}

/// The accesses that cover `len` bytes: as wide as allowed, narrower at the end.
fn chunks(len: u32, widest: u32) -> impl Iterator<Item = (i32, Width)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let width = [Width::W64, Width::W32, Width::W16, Width::W8]
            .into_iter()
            .find(|width| width.bytes() <= widest && width.bytes() <= len - at)?;
        let here = at;
        at += width.bytes();
        Some((here as i32, width))
    })
}
