//! What builtins compute: [`Operation`]s that fit a register, and those that live in memory.

use skep_isa::helpers::id;
use skep_lang::hir::{self, Expr, ExprKind, NOT_FOUND, Operation, Runtime};
use skep_lang::names::Table;
use skep_lang::ty::Ty;

use super::Lower;
use super::func::Place;
use crate::error::Error;
use crate::ir::{BinOp, CmpOp, Value, ValueTy, Width};

/// The path does not fit its buffer.
const ENAMETOOLONG: i64 = 36;

impl Lower<'_> {
    /// An operation whose result fits a register.
    pub(super) fn scalar_operation(
        &mut self,
        op: Operation,
        args: &[Expr],
        expr: &Expr,
    ) -> Result<Value, Error> {
        Ok(match (op, args) {
            (Operation::Helper { id, with_context }, args) => {
                let mut values = Vec::with_capacity(args.len() + 1);
                if with_context {
                    values.push(self.func.ctx());
                }
                for arg in args {
                    values.push(if self.types.is_memory(arg.ty) {
                        let place = self.memory(arg)?;
                        self.func.addr(place)
                    } else {
                        self.scalar(arg)?
                    });
                }
                let result = self.func.call(id, &values, ValueTy::Int);
                self.wrap(expr.ty, result)
            }
            (Operation::ByteSwap, [value]) => {
                let (width, signed) = self.access(expr.ty);
                let value = self.scalar(value)?;
                let swapped = self.func.byte_swap(width, value);
                if signed { self.func.extend(width, signed, swapped) } else { swapped }
            }
            (Operation::TextLength, [text]) => self.text_length(text)?,
            (Operation::Difference, [lhs, rhs, count]) => {
                let ExprKind::Int(count) = count.kind else { return Err(self.misused(op, expr)) };
                self.difference(lhs, rhs, count)?
            }
            (Operation::Position, [hay, needle]) => self.position(hay, needle)?,
            (Operation::OfObject { id }, [pointer]) => {
                let (object, offset) = self.object_of_kernel(pointer)?;
                let address = self.add_imm(object, offset);
                let result = self.func.call(id, &[address], ValueTy::Int);
                self.wrap(expr.ty, result)
            }
            (Operation::PerCpuAddress, [variable, cpu @ ..]) => {
                self.per_cpu_address(variable, cpu.first())?
            }
            (Operation::NamespaceId { thread }, []) => self.namespace_id(thread),
            _ => return Err(self.misused(op, expr)),
        })
    }

    /// The place of an operation's result, for those that have one of their own anyway.
    pub(super) fn memory_operation(
        &mut self,
        op: Operation,
        args: &[Expr],
        expr: &Expr,
    ) -> Result<Place, Error> {
        match (op, args) {
            (Operation::Lookup(table), [number]) => self.lookup_name(table, number),
            (Operation::Path, [pointer]) => self.path(pointer, self.types.size(expr.ty)),
            (Operation::Concatenation, [first, second]) => {
                let capacity = self.types.size(expr.ty);
                self.concatenated(first, second, capacity)
            }
            _ => Err(self.misused(op, expr)),
        }
    }

    /// Writes an operation's result to a place of `size` bytes.
    pub(super) fn write_operation(
        &mut self,
        op: Operation,
        args: &[Expr],
        expr: &Expr,
        dst: Place,
        size: u32,
    ) -> Result<(), Error> {
        match (op, args) {
            (Operation::Address, [family, address]) => {
                let family = self.scalar(family)?;
                self.func.store(Width::W64, dst, family);
                self.func.zero(dst.at(8), size - 8);
                if self.types.is_memory(address.ty) {
                    let src = self.memory(address)?;
                    let size = self.types.size(address.ty).min(size - 8);
                    self.func.copy(dst.at(8), src, size);
                } else {
                    let address = self.scalar(address)?;
                    self.func.store(Width::W32, dst.at(8), address);
                }
                Ok(())
            }
            _ => Err(self.misused(op, expr)),
        }
    }

    /// What the verifier knows the type of: an argument of the probe as it is in the context, and how far from it
    /// `pointer` points.
    fn object_of_kernel(&mut self, pointer: &Expr) -> Result<(Value, i64), Error> {
        let (mut at, mut offset) = (pointer, 0i64);
        loop {
            match &at.kind {
                ExprKind::Cast(inner) => at = inner,
                ExprKind::Binary { op: hir::BinaryOp::Add, lhs, rhs } if let ExprKind::Int(by) = rhs.kind => {
                    offset = offset.wrapping_add(by.cast_signed());
                    at = lhs;
                }
                ExprKind::Context { offset: place } => {
                    let ctx = self.func.ctx();
                    let object = self.func.load(Width::W64, false, Place::aligned(ctx).at(*place));
                    return Ok((object, offset));
                }
                _ => {
                    let what =
                        "An object that is not an argument of the probe or a part of what one points to";
                    return Err(Error::Unsupported { span: pointer.span, what: what.into() });
                }
            }
        }
    }

    /// The path of an object, empty if there is none or the kernel does not tell. Of a path that is too long for its
    /// buffer the kernel leaves the end there (since Linux 5.14).
    fn path(&mut self, pointer: &Expr, capacity: u32) -> Result<Place, Error> {
        let (object, offset) = self.object_of_kernel(pointer)?;
        let raw = self.func.scratch_object("path", capacity);
        let raw = self.func.object_place(raw);
        let text = self.func.scratch_object("text", capacity);
        let text = self.func.object_place(text);
        self.func.zero(text, capacity);
        let (some, read, after) = (self.func.new_block(), self.func.new_block(), self.func.new_block());
        let zero = self.func.int(0);
        self.func.branch(CmpOp::Eq, object, zero, after, some);
        self.func.enter(some);
        let address = self.add_imm(object, offset);
        let zero = self.func.int(0);
        self.func.store(Width::W8, raw, zero);
        let (buffer, size) = (self.func.addr(raw), self.func.int(capacity.into()));
        let length = self.func.call(id::D_PATH, &[address, buffer, size], ValueTy::Int);
        let longer = self.func.new_block();
        let zero = self.func.int(0);
        self.func.branch(CmpOp::SGt, length, zero, read, longer);
        self.func.enter(longer);
        let too_long = self.func.int(-ENAMETOOLONG);
        self.func.branch(CmpOp::Eq, length, too_long, read, after);
        self.func.enter(read);
        // What is behind the path in the buffer is left from putting it together.
        let (dst, src, size) = (self.func.addr(text), self.func.addr(raw), self.func.int(capacity.into()));
        self.func.call(id::PROBE_READ_KERNEL_STR, &[dst, size, src], ValueTy::Int);
        self.func.jump(after, &[]);
        self.func.enter(after);
        Ok(text)
    }

    fn per_cpu_address(&mut self, variable: &Expr, cpu: Option<&Expr>) -> Result<Value, Error> {
        let variable = self.scalar(variable)?;
        let cpu = match cpu {
            Some(cpu) => self.scalar(cpu)?,
            None => self.func.call(id::GET_SMP_PROCESSOR_ID, &[], ValueTy::Int),
        };
        let address = self.func.call(id::PER_CPU_PTR, &[variable, cpu], ValueTy::Ptr);
        Ok(self.as_number(address))
    }

    fn misused(&self, op: Operation, expr: &Expr) -> Error {
        Error::Internal {
            what: format!("{op:?} gives no value of type {}", self.types.name(expr.ty)),
            span: expr.span,
        }
    }

    /// A helper that copies a text tells how long it is.
    fn text_length(&mut self, text: &Expr) -> Result<Value, Error> {
        let capacity = self.types.size(text.ty);
        let object = self.func.scratch_object("text", capacity);
        let place = self.func.object_place(object);
        let read = self.read_text(text, place, capacity)?;
        let (after, length) = self.func.new_join(ValueTy::Int);
        let some = self.func.new_block();
        let none = self.func.new_block();
        let zero = self.func.int(0);
        self.func.branch(CmpOp::SGt, read, zero, some, none);
        self.func.enter(some);
        let without_nul = self.add_imm(read, -1);
        self.func.jump(after, &[without_nul]);
        self.func.enter(none);
        let zero = self.func.int(0);
        self.func.jump(after, &[zero]);
        self.func.enter(after);
        Ok(length)
    }

    /// Compares word by word; the first words that differ are taken apart.
    fn difference(&mut self, lhs: &Expr, rhs: &Expr, count: u64) -> Result<Value, Error> {
        let left = self.settled_place(lhs)?;
        let right = self.memory(rhs)?;
        let (left_size, right_size) = (self.types.size(lhs.ty), self.types.size(rhs.ty));
        // Beyond the end of a value there is nothing to compare with but zeroes.
        let common = left_size.min(right_size);
        let count = u32::try_from(count).unwrap_or(u32::MAX).min(left_size.max(right_size));
        let (apart, [a, b]) = self.func.new_join_of([ValueTy::Int; 2]);
        let (after, result) = self.func.new_join(ValueTy::Int);
        let mut at = 0;
        while at < count {
            let rest = if at < common { common.min(count) - at } else { count - at };
            let width = match rest {
                8.. => Width::W64,
                4.. => Width::W32,
                2.. => Width::W16,
                _ => Width::W8,
            };
            let width =
                width.min(super::cond::chunk(left.at(at), rest)).min(super::cond::chunk(right.at(at), rest));
            let load = |lower: &mut Self, place: Place, size: u32| {
                if at < size { lower.func.load(width, false, place.at(at)) } else { lower.func.int(0) }
            };
            let (x, y) = (load(self, left, left_size), load(self, right, right_size));
            let (next, differ) = (self.func.new_block(), self.func.new_block());
            self.func.branch(CmpOp::Eq, x, y, next, differ);
            self.func.enter(differ);
            self.func.jump(apart, &[x, y]);
            self.func.enter(next);
            at += width.bytes();
        }
        let zero = self.func.int(0);
        self.func.jump(after, &[zero]);
        self.func.enter(apart);
        // The first byte in memory is the lowest of a word. What differs comes to the top, so the
        // comparison goes down from the last byte to the first.
        let (mut a, mut b) = (a, b);
        for byte in 0..8 {
            let low = |lower: &mut Self, value| lower.func.bin_imm(BinOp::And, value, 0xff);
            let (x, y) = (low(self, a), low(self, b));
            let difference = self.func.bin(BinOp::Sub, x, y);
            if byte == 7 {
                self.func.jump(after, &[difference]);
                break;
            }
            let (found, next) = (self.func.new_block(), self.func.new_block());
            self.func.branch(CmpOp::Ne, x, y, found, next);
            self.func.enter(found);
            self.func.jump(after, &[difference]);
            self.func.enter(next);
            a = self.func.bin_imm(BinOp::LShr, a, 8);
            b = self.func.bin_imm(BinOp::LShr, b, 8);
        }
        self.func.enter(after);
        Ok(result)
    }

    /// A place that stays as it is while something else is evaluated.
    fn settled_place(&mut self, expr: &Expr) -> Result<Place, Error> {
        let size = self.types.size(expr.ty);
        let object = self.func.object("left", size, 8);
        let place = self.func.object_place(object);
        self.write(expr, place, expr.ty)?;
        Ok(place)
    }

    /// `bpf_get_ns_current_pid_tgid` of the namespace that the script was started in; 0 outside of it.
    pub(super) fn namespace_id(&mut self, thread: bool) -> Value {
        let object = self.func.object("namespace", 8, 4);
        let place = self.func.object_place(object);
        self.func.zero(place, 8);
        let device = self.func.runtime(Runtime::NamespaceDevice);
        let inode = self.func.runtime(Runtime::NamespaceInode);
        let addr = self.func.addr(place);
        let size = self.func.int(8);
        self.func.call(id::GET_NS_CURRENT_PID_TGID, &[device, inode, addr, size], ValueTy::Int);
        // `struct bpf_pidns_info`: the thread's id, then the process's.
        self.load(Ty::U32, place.at(if thread { 0 } else { 4 }))
    }

    /// The row of a number in a table of names.
    fn lookup_name(&mut self, table: Table, number: &Expr) -> Result<Place, Error> {
        let number = self.scalar(number)?;
        let number = if table == Table::Errors { self.magnitude(number) } else { number };
        let (map, offset) = self.shared.names(table);
        let last = self.func.int(i64::from(table.rows()));
        let (known, unknown) = (self.func.new_block(), self.func.new_block());
        let (after, row) = self.func.new_join(ValueTy::Int);
        self.func.branch(CmpOp::ULt, number, last, known, unknown);
        self.func.enter(known);
        self.func.jump(after, &[number]);
        self.func.enter(unknown);
        let last = self.func.int(i64::from(table.rows()));
        self.func.jump(after, &[last]);
        self.func.enter(after);
        let distance = self.func.bin_imm(BinOp::Mul, row, i64::from(table.stride()));
        let rows = self.func.map_value(map, offset);
        let place = self.func.add_bytes(rows, distance);
        // A text of the full capacity, which the row alone may be shorter than.
        let object = self.func.object("name", Table::CAPACITY, 8);
        let copy = self.func.object_place(object);
        self.func.zero(copy, Table::CAPACITY);
        self.func.copy(copy, Place { base_align: 8, ..place }, table.stride());
        Ok(copy)
    }

    /// A number without its sign.
    fn magnitude(&mut self, value: Value) -> Value {
        let sign = self.func.bin_imm(BinOp::AShr, value, 63);
        let flipped = self.func.bin(BinOp::Xor, value, sign);
        self.func.bin(BinOp::Sub, flipped, sign)
    }

    /// One text behind the other, in scratch memory: where the second begins is not known before the run.
    fn concatenated(&mut self, first: &Expr, second: &Expr, capacity: u32) -> Result<Place, Error> {
        let object = self.func.scratch_object("texts", 2 * capacity);
        let place = self.func.object_place(object);
        self.func.zero(place, capacity);
        let read = self.read_text(first, place, capacity)?;
        let done = self.func.new_block();
        let (join, from) = self.func.new_join(ValueTy::Int);
        let (some, none) = (self.func.new_block(), self.func.new_block());
        let zero = self.func.int(0);
        self.func.branch(CmpOp::SGt, read, zero, some, none);
        self.func.enter(some);
        let from_here = self.add_imm(read, -1);
        self.func.jump(join, &[from_here]);
        self.func.enter(none);
        let zero = self.func.int(0);
        self.func.jump(join, &[zero]);
        self.func.enter(join);
        let limit = self.func.int(i64::from(capacity));
        self.require(CmpOp::ULt, from, limit, done);
        let tail = self.func.add_bytes(place, from);
        // There is room for all of the second text; what is beyond the capacity is cut off below.
        let length = capacity.min(self.types.size(second.ty));
        self.read_text(second, tail, length)?;
        let nul = self.func.int(0);
        self.func.store(Width::W8, place.at(capacity - 1), nul);
        self.func.jump(done, &[]);
        self.func.enter(done);
        Ok(place)
    }
}

/// The multiplier of the hash below: odd, and with its bits well mixed.
const BASE: i64 = 0x5851_f42d_4c95_7f2d;

impl Lower<'_> {
    /// Where a text is in another, by comparing at each place with a needle that is known, or else by comparing
    /// hashes of as many characters as the needle has (Karp and Rabin, 1987): either way the work grows with
    /// the length alone, so that kernels without calls of other functions can follow it.
    fn position(&mut self, hay: &Expr, needle: &Expr) -> Result<Value, Error> {
        match &needle.kind {
            ExprKind::Str(text) => {
                let text = text.split(|byte| *byte == 0).next().unwrap_or(text);
                self.position_of_literal(hay, text)
            }
            _ => self.position_of_text(hay, needle),
        }
    }

    fn position_of_literal(&mut self, hay: &Expr, needle: &[u8]) -> Result<Value, Error> {
        let capacity = self.types.size(hay.ty);
        if needle.is_empty() || needle.len() >= capacity as usize {
            self.memory(hay)?;
            return Ok(self.func.int(if needle.is_empty() { 0 } else { i64::from(NOT_FOUND) }));
        }
        // Zeroes follow the text, so that a whole word can be read at its last character.
        let beyond = (needle.len() as u32).next_multiple_of(8) + Scan::most_steps(capacity);
        let object = self.func.scratch_object("haystack", capacity + beyond);
        let place = self.func.object_place(object);
        self.write(hay, place, hay.ty)?;
        self.func.zero(place.at(capacity), beyond);
        let found = self.scan(place, capacity, |lower, here, _| {
            // Bits that differ, over all words of the needle.
            let mut differ: Option<Value> = None;
            for (index, word) in needle.chunks(8).enumerate() {
                let mut bytes = [0; 8];
                bytes[..word.len()].copy_from_slice(word);
                let found = lower.func.load(Width::W64, false, here.at(index as u32 * 8));
                let wanted = lower.func.int(i64::from_le_bytes(bytes));
                let mut bits = lower.func.bin(BinOp::Xor, found, wanted);
                if word.len() < 8 {
                    bits = lower.func.bin_imm(BinOp::Shl, bits, 64 - 8 * word.len() as i64);
                }
                differ = Some(match differ {
                    Some(before) => lower.func.bin(BinOp::Or, before, bits),
                    None => bits,
                });
            }
            differ.unwrap_or(here.base)
        });
        Ok(found)
    }

    fn position_of_text(&mut self, hay: &Expr, needle: &Expr) -> Result<Value, Error> {
        let needle_capacity = self.types.size(needle.ty).next_multiple_of(8);
        let hay_capacity = self.types.size(hay.ty);
        let steps = Scan::most_steps(needle_capacity);
        let needle_object = self.func.scratch_object("needle", needle_capacity + steps);
        let needle_place = self.func.object_place(needle_object);
        self.write(needle, needle_place, needle.ty)?;
        let size = self.types.size(needle.ty);
        self.func.zero(needle_place.at(size), needle_capacity + steps - size);

        // Its length, its hash, and the power by which a character leaves a hash of as many.
        let state = self.func.scratch_object("state", 32);
        let state = self.func.object_place(state);
        let one = self.func.int(1);
        self.func.zero(state, 32);
        self.func.store(Width::W64, state.at(16), one);
        self.walk(needle_place, needle_capacity, |lower, here| {
            let byte = lower.func.load(Width::W8, false, here);
            let some = lower.one_unless_zero(byte);
            let length = lower.func.load(Width::W64, false, state);
            let length = lower.func.bin(BinOp::Add, length, some);
            lower.func.store(Width::W64, state, length);
            // Multiplied by the base for a character, by 1 for what follows the text.
            let factor = lower.func.bin_imm(BinOp::Mul, some, BASE - 1);
            let factor = lower.add_imm(factor, 1);
            for at in [8, 16] {
                let value = lower.func.load(Width::W64, false, state.at(at));
                let value = lower.func.bin(BinOp::Mul, value, factor);
                let value = if at == 8 { lower.func.bin(BinOp::Add, value, byte) } else { value };
                lower.func.store(Width::W64, state.at(at), value);
            }
        });

        // As many zeroes before the text as the needle may have characters.
        let beyond = Scan::most_steps(hay_capacity);
        let object = self.func.scratch_object("haystack", needle_capacity + hay_capacity + beyond);
        let place = self.func.object_place(object);
        self.func.zero(place, needle_capacity);
        self.write(hay, place.at(needle_capacity), hay.ty)?;
        self.func.zero(place.at(needle_capacity + hay_capacity), beyond);
        let length = self.func.load(Width::W64, false, state);
        let (some, after_length) = (self.func.new_block(), self.func.new_block());
        let (after, result) = self.func.new_join(ValueTy::Int);
        let limit = self.func.int(i64::from(needle_capacity));
        self.func.branch(CmpOp::ULt, length, limit, some, after_length);
        self.func.enter(after_length);
        let missing = self.func.int(i64::from(NOT_FOUND));
        self.func.jump(after, &[missing]);
        self.func.enter(some);
        let (empty, full) = (self.func.new_block(), self.func.new_block());
        let zero = self.func.int(0);
        self.func.branch(CmpOp::Eq, length, zero, empty, full);
        self.func.enter(empty);
        let zero = self.func.int(0);
        self.func.jump(after, &[zero]);
        self.func.enter(full);
        // What leaves the hash stands so far behind the zeroes before the text: a sum, because the kernel follows
        // no differences of addresses.
        let gap = self.func.int(i64::from(needle_capacity));
        let gap = self.func.bin(BinOp::Sub, gap, length);
        let found = self.scan(place.at(needle_capacity), hay_capacity, |lower, here, index| {
            let entering = lower.func.load(Width::W8, false, here);
            let start = lower.func.add_bytes(place, index);
            let first = lower.func.add_bytes(start, gap);
            let leaving = lower.func.load(Width::W8, false, first);
            let power = lower.func.load(Width::W64, false, state.at(16));
            let leaving = lower.func.bin(BinOp::Mul, leaving, power);
            let hash = lower.func.load(Width::W64, false, state.at(24));
            let hash = lower.func.bin_imm(BinOp::Mul, hash, BASE);
            let hash = lower.func.bin(BinOp::Add, hash, entering);
            let hash = lower.func.bin(BinOp::Sub, hash, leaving);
            lower.func.store(Width::W64, state.at(24), hash);
            let wanted = lower.func.load(Width::W64, false, state.at(8));
            lower.func.bin(BinOp::Xor, hash, wanted)
        });
        // Found at its last character.
        let (found_block, missing) = (self.func.new_block(), self.func.new_block());
        let zero = self.func.int(0);
        self.func.branch(CmpOp::SGe, found, zero, found_block, missing);
        self.func.enter(found_block);
        let first = self.func.bin(BinOp::Sub, found, length);
        let first = self.add_imm(first, 1);
        self.func.jump(after, &[first]);
        self.func.enter(missing);
        let missing = self.func.int(i64::from(NOT_FOUND));
        self.func.jump(after, &[missing]);
        self.func.enter(after);
        Ok(result)
    }

    /// The first place of a text for which `differs` gives 0, or [`NOT_FOUND`]. The text ends at its first zero.
    fn scan(
        &mut self,
        text: Place,
        capacity: u32,
        mut differs: impl FnMut(&mut Self, Place, Value) -> Value,
    ) -> Value {
        // Memory rather than values, because the kernel would follow each place where it may have been
        // found on its own to the end of the program.
        let object = self.func.scratch_object("found", 8);
        let found = self.func.object_place(object);
        let missing = self.func.int(i64::from(NOT_FOUND));
        self.func.store(Width::W64, found, missing);
        let stop = self.func.new_block();
        self.walk_until(text, capacity, stop, |lower, here, index| {
            let differ = differs(lower, here, index);
            let some = lower.one_unless_zero(differ);
            // All bits where it was found for the first time.
            let before = lower.func.load(Width::W64, false, found);
            let equal = lower.add_imm(some, -1);
            let open = lower.func.bin_imm(BinOp::AShr, before, 63);
            let take = lower.func.bin(BinOp::And, equal, open);
            let change = lower.func.bin(BinOp::Xor, before, index);
            let change = lower.func.bin(BinOp::And, change, take);
            let after = lower.func.bin(BinOp::Xor, before, change);
            lower.func.store(Width::W64, found, after);
            after
        });
        self.func.enter(stop);
        self.func.load(Width::W64, false, found)
    }

    /// Does something at each place up to the end of the text.
    fn walk(&mut self, text: Place, capacity: u32, mut each: impl FnMut(&mut Self, Place)) {
        let stop = self.func.new_block();
        self.walk_until(text, capacity, stop, |lower, here, _| {
            each(lower, here);
            lower.func.int(-1)
        });
        self.func.enter(stop);
    }

    /// A loop over the places of a text, several a round; it ends in `stop` after a round in which `each` gave
    /// something that is not negative last, and before one that begins with a zero.
    fn walk_until(
        &mut self,
        text: Place,
        capacity: u32,
        stop: crate::ir::BlockId,
        mut each: impl FnMut(&mut Self, Place, Value) -> Value,
    ) {
        let steps = Scan::most_steps(capacity);
        let (head, index) = self.func.new_join(ValueTy::Int);
        let (visit, some) = (self.func.new_block(), self.func.new_block());
        let zero = self.func.int(0);
        self.func.jump(head, &[zero]);
        self.func.begin_loop(head);
        let end = self.func.int(i64::from(capacity));
        self.func.branch(CmpOp::ULt, index, end, visit, stop);
        self.func.enter(visit);
        let here = self.func.add_bytes(text, index);
        let first = self.func.load(Width::W8, false, here);
        let zero = self.func.int(0);
        self.func.branch(CmpOp::Ne, first, zero, some, stop);
        self.func.enter(some);
        let mut last = index;
        for step in 0..steps {
            let at = self.add_imm(index, i64::from(step));
            last = each(self, here.at(step), at);
        }
        let next = self.func.new_block();
        let zero = self.func.int(0);
        self.func.branch(CmpOp::SGe, last, zero, stop, next);
        self.func.enter(next);
        let following = self.add_imm(index, i64::from(steps));
        self.func.jump(head, &[following]);
        self.func.end_loop(head);
    }

    /// 1, or 0 for 0; without a branch.
    fn one_unless_zero(&mut self, value: Value) -> Value {
        let zero = self.func.int(0);
        let negative = self.func.bin(BinOp::Sub, zero, value);
        let either = self.func.bin(BinOp::Or, value, negative);
        self.func.bin_imm(BinOp::LShr, either, 63)
    }
}

/// How a text is walked through.
struct Scan;

impl Scan {
    /// How many places are visited a round: the kernel remembers one way out of the loop for each round, and no more
    /// than some thousands of them.
    fn most_steps(capacity: u32) -> u32 {
        (capacity / 1024).next_power_of_two().max(4)
    }
}
