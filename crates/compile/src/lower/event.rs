//! Records for user space: printf and print, and what controls the session.
//!
//! A record of fixed size is reserved in the ring buffer and written in place.
//! One with texts of unknown length is put together in scratch memory, the texts
//! one after the other at their true lengths, and sent as short as it is: the
//! ring then holds tens of times more of them. What finds no room is counted.

use skep_isa::helpers::id;
use skep_lang::hir::{self, Expr, ExprKind, Format, PrintTo};
use skep_lang::ty::{Ty, TyKind};
use skep_ui::Span;

use super::Lower;
use super::func::Place;
use super::memory::has_effects;
use crate::artifact::{Action, EventField, EventLayout};
use crate::error::Error;
use crate::ir::{BinOp, CmpOp, Value, ValueTy, Width};

/// Texts of a larger capacity travel at their true length.
const PACK_ABOVE: u32 = 32;

/// `BPF_RB_PROD_POS` of bpf_ringbuf_query.
const PRODUCER_POSITION: i64 = 3;

/// What goes into a field of a record.
enum Source<'e> {
    /// Already computed.
    Value(Value),
    /// Already in memory.
    Place(Place),
    /// To be evaluated where the record is written.
    Expr(&'e Expr),
}

impl Lower<'_> {
    pub(super) fn printf(
        &mut self,
        to: PrintTo,
        format: &Format,
        args: &[Expr],
        span: Span,
    ) -> Result<(), Error> {
        self.send_exprs(Action::Printf { to, format: format.clone() }, false, args, span)
    }

    pub(super) fn print_value(&mut self, value: &Expr, span: Span) -> Result<(), Error> {
        let ExprKind::AggEntry { map, key } = &value.kind else {
            return self.send_exprs(Action::PrintValue, false, std::slice::from_ref(value), span);
        };
        let action = Action::PrintEntry(self.map_ref(*map));
        match key {
            None => self.send(action, true, Vec::new(), span),
            Some(key) => {
                let ty = self.map_decl(*map).key;
                if key.ty == ty {
                    return self.send_exprs(action, true, std::slice::from_ref(key), span);
                }
                // The key travels as the map has it, so that it is found again.
                let size = self.types.size(ty);
                let object = self.func.object("key", size, 8);
                let place = self.func.object_place(object);
                self.write(key, place, ty)?;
                self.send(action, true, vec![(Source::Place(place), ty)], span)
            }
        }
    }

    pub(super) fn print_map(&mut self, map: hir::MapId, top: u32, div: u32, span: Span) -> Result<(), Error> {
        let map = self.map_ref(map);
        self.send(Action::PrintMap { map, top, div }, true, Vec::new(), span)
    }

    pub(super) fn clear(&mut self, map: hir::MapId, span: Span) -> Result<(), Error> {
        let map = self.map_ref(map);
        self.send(Action::Clear(map), true, Vec::new(), span)
    }

    pub(super) fn zero_map(&mut self, map: hir::MapId, span: Span) -> Result<(), Error> {
        let map = self.map_ref(map);
        self.send(Action::Zero(map), true, Vec::new(), span)
    }

    pub(super) fn time(&mut self, format: &str, span: Span) -> Result<(), Error> {
        self.send(Action::Time { format: format.to_owned() }, true, Vec::new(), span)
    }

    /// `exit` also ends this run of the program. Others run until user space has read this and taken them down.
    pub(super) fn exit(&mut self, code: &Expr, span: Span) -> Result<(), Error> {
        self.send_exprs(Action::Exit, true, std::slice::from_ref(code), span)?;
        self.end_probe();
        Ok(())
    }

    /// Sends values that are already computed.
    pub(super) fn send_values(&mut self, action: Action, control: bool, values: &[(Value, Ty)], span: Span) {
        let fields = values.iter().map(|&(value, ty)| (Source::Value(value), ty)).collect();
        // Only expressions can fail.
        let sent = self.send(action, control, fields, span);
        debug_assert!(sent.is_ok());
    }

    fn send_exprs(&mut self, action: Action, control: bool, exprs: &[Expr], span: Span) -> Result<(), Error> {
        // What changes something is done even if the record finds no room, and
        // in the order of the script.
        let ahead = exprs.iter().any(has_effects);
        let mut fields = Vec::new();
        for expr in exprs {
            let source = if !ahead {
                Source::Expr(expr)
            } else if self.types.is_memory(expr.ty) {
                let size = self.types.size(expr.ty);
                let object = self.func.object("argument", size, 8);
                let place = self.func.object_place(object);
                self.write(expr, place, expr.ty)?;
                Source::Place(place)
            } else {
                Source::Value(self.scalar(expr)?)
            };
            fields.push((source, expr.ty));
        }
        self.send(action, control, fields, span)
    }

    fn send(
        &mut self,
        action: Action,
        control: bool,
        fields: Vec<(Source<'_>, Ty)>,
        span: Span,
    ) -> Result<(), Error> {
        let pack = !matches!(action, Action::PrintEntry(_));
        let mut at: u32 = if control { 16 } else { 8 };
        let mut texts: u32 = 0;
        let mut layout_fields = Vec::new();
        for (source, ty) in &fields {
            let packed = pack && self.is_packed(source, *ty);
            let (size, align) =
                if packed { (4, 4) } else { (self.types.size(*ty), self.types.align(*ty).max(1)) };
            at = at.next_multiple_of(align);
            layout_fields.push(EventField { offset: at, ty: *ty, packed });
            at += size;
            if packed {
                texts += self.types.size(*ty);
            }
        }
        // A stored word may reach past the last field.
        let fixed_size = at.next_multiple_of(8);
        let layout = EventLayout { action, control, fields: layout_fields.clone(), fixed_size, span };
        let index = self.shared.layout(layout);
        let header = i64::from(index) | i64::from(self.index) << 32;
        let ring = if control { self.shared.control_ring() } else { self.shared.events_ring() };

        let lost = self.func.new_block();
        let after = self.func.new_block();
        if texts == 0 {
            let ring_value = self.func.map(ring);
            let size = self.func.int(i64::from(fixed_size));
            let flags = self.func.int(0);
            let record = self.func.call(id::RINGBUF_RESERVE, &[ring_value, size, flags], ValueTy::Ptr);
            let room = self.func.new_block();
            self.branch_on_null(record, lost, room);
            self.func.enter(room);
            let place = Place::aligned(record);
            self.header(place, header, control);
            for ((source, ty), field) in fields.iter().zip(&layout_fields) {
                self.write_source(source, place.at(field.offset), *ty)?;
            }
            let flags = self.func.int(0);
            self.func.call(id::RINGBUF_SUBMIT, &[record, flags], ValueTy::Int);
        } else {
            let object = self.func.record_object(fixed_size + texts);
            let place = self.func.object_place(object);
            self.header(place, header, control);
            // All of it is sent, and stack that was never written may not be read before Linux 6.3.
            let mut end: u32 = if control { 16 } else { 8 };
            for field in &layout_fields {
                self.func.zero(place.at(end), field.offset - end);
                end = field.offset + if field.packed { 4 } else { self.types.size(field.ty) };
            }
            self.func.zero(place.at(end), fixed_size - end);
            for ((source, ty), field) in fields.iter().zip(&layout_fields) {
                if !field.packed {
                    self.write_source(source, place.at(field.offset), *ty)?;
                }
            }
            // What was packed so far, and the most it can be.
            let mut packed: Option<Value> = None;
            let mut limit = 0;
            for ((source, ty), field) in fields.iter().zip(&layout_fields).filter(|(_, field)| field.packed) {
                let capacity = self.types.size(*ty);
                let tail = place.at(fixed_size);
                let result = match source {
                    Source::Expr(expr) => {
                        let dst = match packed {
                            Some(packed) => self.func.add_bytes(tail, packed),
                            None => tail,
                        };
                        self.read_text(expr, dst, capacity)?
                    }
                    Source::Place(src) => {
                        let dst = match packed {
                            Some(packed) => self.func.add_bytes(tail, packed),
                            None => tail,
                        };
                        let dst = self.func.addr(dst);
                        let src = self.func.addr(*src);
                        let len = self.func.int(i64::from(capacity));
                        self.func.call(id::PROBE_READ_KERNEL_STR, &[dst, len, src], ValueTy::Int)
                    }
                    Source::Value(_) => {
                        return Err(Error::Internal { what: "a number was taken for a text".into(), span });
                    }
                };
                // What cannot be read has no length, and an empty text that of its NUL. Kernels up to 6.12 give 0
                // for an empty text of user space.
                let read = self.func.new_block();
                let failed = self.func.new_block();
                let (joined, len) = self.func.new_join(ValueTy::Int);
                let zero = self.func.int(0);
                self.func.branch(CmpOp::SGt, result, zero, read, failed);
                self.func.enter(read);
                self.func.jump(joined, &[result]);
                self.func.enter(failed);
                let zero = self.func.int(0);
                let empty = self.func.cmp(CmpOp::Eq, result, zero);
                self.func.jump(joined, &[empty]);
                self.func.enter(joined);
                self.func.store(Width::W32, place.at(field.offset), len);
                limit += capacity;
                packed = Some(self.bounded_sum(packed, len, limit, lost));
            }
            let size = match packed {
                Some(packed) => self.func.bin_imm(BinOp::Add, packed, i64::from(fixed_size)),
                None => self.func.int(i64::from(fixed_size)),
            };
            let ring_value = self.func.map(ring);
            let addr = self.func.addr(place);
            let flags = self.func.int(0);
            let result = self.func.call(id::RINGBUF_OUTPUT, &[ring_value, addr, size, flags], ValueTy::Int);
            let zero = self.func.int(0);
            self.require(CmpOp::Eq, result, zero, lost);
        }
        self.func.jump(after, &[]);
        self.func.enter(lost);
        self.count_lost();
        self.func.jump(after, &[]);
        self.func.enter(after);
        Ok(())
    }

    /// Whether a field travels at its true length.
    fn is_packed(&self, source: &Source<'_>, ty: Ty) -> bool {
        let TyKind::Str(capacity) = self.types.kind(ty) else { return false };
        let literal = matches!(source, Source::Expr(Expr { kind: ExprKind::Str(_), .. }));
        *capacity > PACK_ABOVE && !literal
    }

    fn header(&mut self, record: Place, header: i64, control: bool) {
        let header = self.func.int(header);
        self.func.store(Width::W64, record, header);
        if control {
            // Records of the other ring up to here come before this one.
            let events = self.shared.events_ring();
            let ring = self.func.map(events);
            let what = self.func.int(PRODUCER_POSITION);
            let position = self.func.call(id::RINGBUF_QUERY, &[ring, what], ValueTy::Int);
            self.func.store(Width::W64, record.at(8), position);
        }
    }

    fn write_source(&mut self, source: &Source<'_>, dst: Place, ty: Ty) -> Result<(), Error> {
        match source {
            Source::Value(value) => {
                let (width, _) = self.access(ty);
                self.func.store(width, dst, *value);
                Ok(())
            }
            Source::Place(src) => {
                let size = self.types.size(ty);
                self.func.copy(dst, *src, size);
                Ok(())
            }
            Source::Expr(expr) => self.write(expr, dst, ty),
        }
    }

    /// One more record of this program that found no room.
    fn count_lost(&mut self) {
        let lost = self.shared.lost();
        let object = self.func.object("slot", 4, 4);
        let key = self.func.object_place(object);
        let slot = self.func.int(i64::from(self.index));
        self.func.store(Width::W32, key, slot);
        let key = self.func.addr(key);
        let entry = self.lookup(lost, key);
        let found = self.func.new_block();
        let after = self.func.new_block();
        self.branch_on_null(entry, after, found);
        self.func.enter(found);
        let place = Place::aligned(entry);
        let before = self.func.load(Width::W64, false, place);
        let count = self.func.bin_imm(BinOp::Add, before, 1);
        self.func.store(Width::W64, place, count);
        self.func.jump(after, &[]);
        self.func.enter(after);
    }
}
