//! `dw_ustack`: the stack of a process without frame pointers, unwound by tables ([`crate::unwind`]).
//!
//! A program gets three functions for it, whatever number of stacks it takes. `unwind_from...` takes the registers that
//! the process goes on with, from the program's context or from where the kernel keeps them. It calls `unwind`, which
//! calls `unwind_step` for each frame. The latter two need no context, so the kernel checks each of them once and by
//! itself, and the tables may be as long as they like: nothing in the programs depends on them.
//!
//! What a step knows is in scratch memory. So the kernel, which does not follow what memory holds, finds one round of
//! the search like any other and has few to look at, on Linux 5.10 as on later ones.

use skep_isa::helpers::id;
use skep_lang::hir::{self, Attach, ProbeKind, UserRegisters};
use skep_lang::ty::{Stack, Ty, TyKind};

use super::Lower;
use super::func::{FuncBuilder, Place};
use crate::error::Error;
use crate::ir::{BinOp, BlockId, CmpOp, FuncId, Home, Value, ValueTy, Width};
use crate::unwind::{
    CODE_SEGMENT, FRAME_POINTER, INSTRUCTION_POINTER, KERNEL_STACK, Kind, REGISTERS, Range, Rule, SAVED,
    STACK_POINTER,
};

/// The most frames that a stack can have.
const MOST_FRAMES: u32 = 1024;

/// What the original says of a process that it has no tables for.
const NO_TABLES: &str =
    "No DWARF unwind data available for this process. Use -p or --dwarf-pid to specify target PIDs.";

/// Where in the memory of the unwinder things are, in bytes from its start.
mod state {
    /// The registers of the function that has been reached, in the order of `struct pt_regs`, and room up to 32.
    pub const REGISTERS: u32 = 0;
    /// Frames so far, 64 bits.
    pub const COUNT: u32 = 256;
    /// The most frames that are wanted.
    pub const LIMIT: u32 = 264;
    /// What the instruction pointer has to lose to be within the instruction that is meant: 1 for a return address.
    pub const BACK: u32 = 272;
    /// The instruction, as the rows have it.
    pub const RELATIVE: u32 = 280;
    /// The rows that are left of the search, and the one in hand; 32 bits each, as is the rule's number.
    pub const LOW: u32 = 288;
    pub const HIGH: u32 = 292;
    pub const MIDDLE: u32 = 296;
    pub const RULE: u32 = 300;
    /// Of the trie: the number of bits, the process, the address.
    pub const KEY_BITS: u32 = 304;
    pub const KEY_PID: u32 = 308;
    pub const KEY_ADDRESS: u32 = 312;
    /// The last range that was found.
    pub const RANGE: u32 = 320;
    pub const RANGE_END: u32 = RANGE + 8;
    pub const RANGE_BIAS: u32 = RANGE + 16;
    pub const RANGE_BANK: u32 = RANGE + 24;
    pub const RANGE_FIRST: u32 = RANGE + 28;
    pub const RANGE_ROWS: u32 = RANGE + 32;
    /// What was read of the stack.
    pub const WINDOW: u32 = 360;
    pub const SIZE: u32 = 488;
}

/// What a step comes to.
mod step {
    pub const GO_ON: i64 = 0;
    pub const DONE: i64 = 1;
    pub const UNKNOWN_PROCESS: i64 = 2;
}

/// What all programs of a script share of the unwinder.
#[derive(Clone, Copy)]
pub(super) struct Unwinder {
    /// Numbers of shared memory: the state, and the frames.
    state: u32,
    frames: u32,
    /// Walks up to the limit in the state. The result is the number of frames, below 0 for a process without tables.
    walk: FuncId,
}

/// Where the registers come from.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Start {
    /// The context: the process was stopped where it is.
    Context,
    /// The context, if it is not the kernel that was stopped; else as for the task.
    Either,
    /// From where the kernel has put them when it was entered.
    Task,
}

/// A function that takes the registers and unwinds.
#[derive(Clone, Copy)]
pub(super) struct Started {
    func: FuncId,
    uses_ctx: bool,
}

impl Lower<'_> {
    /// Writes an unwound stack of the type to a place of its size.
    pub(super) fn write_unwound(&mut self, dst: Place, ty: Ty) -> Result<(), Error> {
        let TyKind::Stack(stack) = *self.types.kind(ty) else { return Ok(()) };
        if stack.frames == 0 {
            self.func.zero(dst, Stack::HEADER);
            return Ok(());
        }
        let frames = stack.frames.min(MOST_FRAMES);
        let unwinder = self.unwinder();
        let started = self.unwind_by(unwinder);
        let memory = self.unwind_frames(unwinder);
        self.func.zero(memory, 8 * frames);
        let limit = self.func.int(frames.into());
        let mut args = vec![limit];
        if started.uses_ctx {
            args.push(self.func.ctx());
        }
        let result = self.func.call_func(started.func, &args);
        let (unknown, known) = (self.func.new_block(), self.func.new_block());
        let (after, count) = self.func.new_join(ValueTy::Int);
        let zero = self.func.int(0);
        self.func.branch(CmpOp::SLt, result, zero, unknown, known);
        self.func.enter(unknown);
        let warning = hir::Format { pieces: vec![hir::Piece::Text(NO_TABLES.into())] };
        let span = self.func.span();
        self.printf(hir::PrintTo::Fault, &warning, &[], span)?;
        let zero = self.func.int(0);
        self.func.jump(after, &[zero]);
        self.func.enter(known);
        self.process_seen();
        self.func.jump(after, &[result]);
        self.func.enter(after);
        let memory = self.unwind_frames(unwinder);
        self.func.copy(dst.at(Stack::HEADER), memory, 8 * frames);
        self.func.store(Width::W32, dst, count);
        let pid = self.current_process();
        self.func.store(Width::W32, dst.at(4), pid);
        Ok(())
    }

    fn unwinder(&mut self) -> Unwinder {
        if let Some(known) = self.shared.unwinder {
            return known;
        }
        let (state, frames) = (self.shared.common(), self.shared.common());
        let mut unwinder = Unwinder { state, frames, walk: FuncId(0) };
        let step = self.function_apart("unwind_step", &[], |lower, _| lower.unwind_step(unwinder));
        unwinder.walk =
            self.function_apart("unwind", &[], |lower, _| lower.walk_frames(unwinder, step.func)).func;
        *self.shared.unwinder.insert(unwinder)
    }

    /// The function by which this program begins.
    fn unwind_by(&mut self, unwinder: Unwinder) -> Started {
        let of_user = |id: &hir::TargetId| {
            let target = self.program.targets.get(id.0 as usize);
            target.is_some_and(|target| matches!(target.attach, Attach::Uprobe(_) | Attach::Usdt(_)))
        };
        let start = match self.probe {
            ProbeKind::Kprobe if self.targets.iter().all(of_user) => Start::Context,
            ProbeKind::Kprobe | ProbeKind::PerfEvent => Start::Either,
            _ => Start::Task,
        };
        if let Some(known) = self.shared.unwinder_starts.get(&start) {
            return *known;
        }
        let name = match start {
            Start::Context => "unwind_from_context",
            Start::Either => "unwind_from_either",
            Start::Task => "unwind_from_task",
        };
        let made = self.function_apart(name, &[ValueTy::Int], |lower, params| {
            lower.unwind_start(unwinder, start, params)
        });
        self.shared.unwinder_starts.insert(start, made);
        made
    }

    /// Makes a function that is none of the script's. Without the context it is global.
    fn function_apart(
        &mut self,
        name: &str,
        params: &[ValueTy],
        make: impl FnOnce(&mut Self, &[Value]),
    ) -> Started {
        let (callee, values) = FuncBuilder::new_function(self.func.span(), params);
        let outer = std::mem::replace(&mut self.func, callee);
        make(self, &values);
        let callee = std::mem::replace(&mut self.func, outer);
        let uses_ctx = callee.uses_ctx();
        let mut callee = callee.finish(name.into());
        callee.is_global = !uses_ctx;
        Started { func: self.shared.sub(callee), uses_ctx }
    }

    fn unwind_state(&mut self, unwinder: Unwinder) -> Place {
        let object = self.func.object_in(Home::Common(unwinder.state), "unwinder", state::SIZE);
        self.func.object_place(object)
    }

    fn unwind_frames(&mut self, unwinder: Unwinder) -> Place {
        let object = self.func.object_in(Home::Common(unwinder.frames), "frames", 8 * MOST_FRAMES);
        self.func.object_place(object)
    }

    /// Fills in the registers and all else that a walk begins with, and walks.
    fn unwind_start(&mut self, unwinder: Unwinder, start: Start, params: &[Value]) {
        let state = self.unwind_state(unwinder);
        if let [limit, ..] = params {
            self.func.store(Width::W64, state.at(state::LIMIT), *limit);
        }
        match start {
            Start::Context => self.registers_of_context(state),
            Start::Task => self.registers_of_task(state),
            Start::Either => {
                let ctx = Place::aligned(self.func.ctx());
                let segment = self.func.load(Width::W64, false, register(ctx, CODE_SEGMENT));
                let ring = self.func.bin_imm(BinOp::And, segment, 3);
                let [user, kernel, after] = [(); 3].map(|()| self.func.new_block());
                let zero = self.func.int(0);
                self.func.branch(CmpOp::Ne, ring, zero, user, kernel);
                self.func.enter(user);
                self.registers_of_context(state);
                self.func.jump(after, &[]);
                self.func.enter(kernel);
                self.registers_of_task(state);
                self.func.jump(after, &[]);
                self.func.enter(after);
            }
        }
        let zero = self.func.int(0);
        for field in [state::COUNT, state::BACK, state::RANGE, state::RANGE_END] {
            self.func.store(Width::W64, state.at(field), zero);
        }
        let bits = self.func.int(96);
        self.func.store(Width::W32, state.at(state::KEY_BITS), bits);
        let pid = self.current_process();
        self.func.store(Width::W32, state.at(state::KEY_PID), pid);
        let count = self.func.call_func(unwinder.walk, &[]);
        self.func.ret(count);
    }

    /// The context of such programs begins with `struct pt_regs`.
    fn registers_of_context(&mut self, state: Place) {
        let ctx = Place::aligned(self.func.ctx());
        for number in (0..15).chain([INSTRUCTION_POINTER, STACK_POINTER]) {
            let value = self.func.load(Width::W64, false, register(ctx, number));
            self.func.store(Width::W64, register(state, number), value);
        }
    }

    fn registers_of_task(&mut self, state: Place) {
        let registers = match self.program.abilities.user_registers {
            UserRegisters::Helper => {
                let task = self.func.call(id::GET_CURRENT_TASK_BTF, &[], ValueTy::Ptr);
                self.func.call(id::TASK_PT_REGS, &[task], ValueTy::Ptr)
            }
            UserRegisters::OnKernelStack(offset) => {
                let task = self.func.call(id::GET_CURRENT_TASK, &[], ValueTy::Int);
                let pointer = self.add_imm(task, offset.into());
                let stack = state.at(state::WINDOW);
                self.read_into(id::PROBE_READ_KERNEL, stack, 8, pointer);
                let stack = self.func.load(Width::W64, false, stack);
                self.add_imm(stack, i64::from(KERNEL_STACK - 8 * REGISTERS))
            }
        };
        self.read_into(id::PROBE_READ_KERNEL, state.at(state::REGISTERS), 8 * REGISTERS, registers);
    }

    /// Reads memory of a known size. The result is 0 unless that failed.
    fn read_into(&mut self, helper: u32, dst: Place, size: u32, src: Value) -> Value {
        let dst = self.func.addr(dst);
        let size = self.func.int(size.into());
        self.func.call(helper, &[dst, size, src], ValueTy::Int)
    }

    /// Goes from frame to frame.
    fn walk_frames(&mut self, unwinder: Unwinder, step: FuncId) {
        let (head, round) = self.func.new_join(ValueTy::Int);
        let [go_on, next, stopped, unknown, done] = [(); 5].map(|()| self.func.new_block());
        let zero = self.func.int(0);
        self.func.jump(head, &[zero]);
        self.func.begin_loop(head);
        let most = self.func.int(MOST_FRAMES.into());
        self.func.branch(CmpOp::ULt, round, most, go_on, done);
        self.func.enter(go_on);
        let result = self.func.call_func(step, &[]);
        let zero = self.func.int(step::GO_ON);
        self.func.branch(CmpOp::Eq, result, zero, next, stopped);
        self.func.enter(next);
        let following = self.func.bin_imm(BinOp::Add, round, 1);
        self.func.jump(head, &[following]);
        self.func.end_loop(head);
        self.func.enter(stopped);
        let known = self.func.int(step::UNKNOWN_PROCESS);
        self.func.branch(CmpOp::Eq, result, known, unknown, done);
        self.func.enter(unknown);
        let none = self.func.int(-1);
        self.func.ret(none);
        self.func.enter(done);
        let state = self.unwind_state(unwinder);
        let count = self.func.load(Width::W64, false, state.at(state::COUNT));
        self.func.ret(count);
    }

    /// Notes the function that has been reached and goes on to its caller.
    fn unwind_step(&mut self, unwinder: Unwinder) {
        let state = self.unwind_state(unwinder);
        let [search, maybe, mapped, unmapped, stop] = [(); 5].map(|()| self.func.new_block());
        let pc = self.func.load(Width::W64, false, register(state, INSTRUCTION_POINTER));
        let back = self.func.load(Width::W64, false, state.at(state::BACK));
        let address = self.func.bin(BinOp::Sub, pc, back);
        let start = self.func.load(Width::W64, false, state.at(state::RANGE));
        let end = self.func.load(Width::W64, false, state.at(state::RANGE_END));
        self.func.branch(CmpOp::ULt, address, start, search, maybe);
        self.func.enter(maybe);
        self.func.branch(CmpOp::ULt, address, end, mapped, search);
        self.func.enter(search);
        self.find_range(state, address, mapped, unmapped);

        // The innermost address is told even if nobody knows it; what looks like another caller is not.
        self.func.enter(unmapped);
        let lone = self.func.new_block();
        let count = self.func.load(Width::W64, false, state.at(state::COUNT));
        let zero = self.func.int(0);
        self.func.branch(CmpOp::Eq, count, zero, lone, stop);
        self.func.enter(lone);
        let frames = self.unwind_frames(unwinder);
        self.func.store(Width::W64, frames, pc);
        let one = self.func.int(1);
        self.func.store(Width::W64, state.at(state::COUNT), one);
        self.func.jump(stop, &[]);

        self.func.enter(mapped);
        self.note_frame(unwinder, state, pc, stop);
        let by_pointer = self.func.new_block();
        self.find_row(state, address, by_pointer);
        self.apply_rule(state, by_pointer, stop);

        self.func.enter(by_pointer);
        self.follow_pointer(state, stop);

        self.func.enter(stop);
        let done = self.func.int(step::DONE);
        self.func.ret(done);
    }

    /// Finds what is mapped at an address.
    fn find_range(&mut self, state: Place, address: Value, mapped: BlockId, unmapped: BlockId) {
        let big_endian = self.func.byte_swap(Width::W64, address);
        self.func.store(Width::W64, state.at(state::KEY_ADDRESS), big_endian);
        let key = self.func.addr(state.at(state::KEY_BITS));
        let ranges = self.shared.unwind_ranges();
        let found = self.lookup(ranges, key);
        let [unknown, known, above] = [(); 3].map(|()| self.func.new_block());
        self.branch_on_null(found, unknown, known);
        self.func.enter(unknown);
        let result = self.func.int(step::UNKNOWN_PROCESS);
        self.func.ret(result);
        self.func.enter(known);
        self.func.copy(state.at(state::RANGE), Place::aligned(found), Range::SIZE);
        let start = self.func.load(Width::W64, false, state.at(state::RANGE));
        self.func.branch(CmpOp::ULt, address, start, unmapped, above);
        self.func.enter(above);
        let end = self.func.load(Width::W64, false, state.at(state::RANGE_END));
        self.func.branch(CmpOp::ULt, address, end, mapped, unmapped);
    }

    /// Adds a frame, which may be the last one that is wanted.
    fn note_frame(&mut self, unwinder: Unwinder, state: Place, pc: Value, stop: BlockId) {
        let frames = self.unwind_frames(unwinder);
        let count = self.func.load(Width::W64, false, state.at(state::COUNT));
        let index = self.func.bin_imm(BinOp::And, count, i64::from(MOST_FRAMES - 1));
        let bytes = self.func.bin_imm(BinOp::Shl, index, 3);
        let frame = self.func.add_bytes(frames, bytes);
        self.func.store(Width::W64, frame, pc);
        let count = self.func.bin_imm(BinOp::Add, count, 1);
        self.func.store(Width::W64, state.at(state::COUNT), count);
        let limit = self.func.load(Width::W64, false, state.at(state::LIMIT));
        self.require(CmpOp::ULt, count, limit, stop);
    }

    /// Searches the rows of the range for the last one that does not begin behind the address, whose rule it notes.
    fn find_row(&mut self, state: Place, address: Value, none: BlockId) {
        // As many as halve the longest table to nothing.
        const ROUNDS: i64 = 32;
        let rows = self.func.load(Width::W32, false, state.at(state::RANGE_ROWS));
        let zero = self.func.int(0);
        self.require(CmpOp::Ne, rows, zero, none);
        let bias = self.func.load(Width::W64, false, state.at(state::RANGE_BIAS));
        let relative = self.func.bin(BinOp::Sub, address, bias);
        let high = self.func.bin_imm(BinOp::LShr, relative, 32);
        let zero = self.func.int(0);
        self.require(CmpOp::Eq, high, zero, none);
        self.func.store(Width::W64, state.at(state::RELATIVE), relative);
        let first = self.func.load(Width::W32, false, state.at(state::RANGE_FIRST));
        let last = self.func.bin(BinOp::Add, first, rows);
        self.func.store(Width::W32, state.at(state::LOW), first);
        self.func.store(Width::W32, state.at(state::HIGH), last);
        let unknown = self.func.int(0);
        self.func.store(Width::W32, state.at(state::RULE), unknown);
        let banks = self.shared.unwind_rows();
        let key = self.func.addr(state.at(state::RANGE_BANK));
        let bank = self.lookup(banks, key);
        let present = self.func.new_block();
        self.branch_on_null(bank, none, present);
        self.func.enter(present);

        let (head, round) = self.func.new_join(ValueTy::Int);
        let [halve, look, compare, before, behind, next, done] = [(); 7].map(|()| self.func.new_block());
        let zero = self.func.int(0);
        self.func.jump(head, &[zero]);
        self.func.begin_loop(head);
        let most = self.func.int(ROUNDS);
        self.func.branch(CmpOp::ULt, round, most, halve, done);
        self.func.enter(halve);
        let low = self.func.load(Width::W32, false, state.at(state::LOW));
        let high = self.func.load(Width::W32, false, state.at(state::HIGH));
        self.func.branch(CmpOp::ULt, low, high, look, done);
        self.func.enter(look);
        let sum = self.func.bin(BinOp::Add, low, high);
        let middle = self.func.bin_imm(BinOp::LShr, sum, 1);
        self.func.store(Width::W32, state.at(state::MIDDLE), middle);
        let key = self.func.addr(state.at(state::MIDDLE));
        let row = self.func.call(id::MAP_LOOKUP_ELEM, &[bank, key], ValueTy::Ptr);
        self.branch_on_null(row, done, compare);
        self.func.enter(compare);
        let begins = self.func.load(Width::W32, false, Place::aligned(row));
        let relative = self.func.load(Width::W64, false, state.at(state::RELATIVE));
        self.func.branch(CmpOp::ULe, begins, relative, before, behind);
        self.func.enter(before);
        let rule = self.func.load(Width::W32, false, Place::aligned(row).at(4));
        self.func.store(Width::W32, state.at(state::RULE), rule);
        let middle = self.func.load(Width::W32, false, state.at(state::MIDDLE));
        let low = self.func.bin_imm(BinOp::Add, middle, 1);
        self.func.store(Width::W32, state.at(state::LOW), low);
        self.func.jump(next, &[]);
        self.func.enter(behind);
        let middle = self.func.load(Width::W32, false, state.at(state::MIDDLE));
        self.func.store(Width::W32, state.at(state::HIGH), middle);
        self.func.jump(next, &[]);
        self.func.enter(next);
        let following = self.func.bin_imm(BinOp::Add, round, 1);
        self.func.jump(head, &[following]);
        self.func.end_loop(head);
        self.func.enter(done);
    }

    /// Finds the caller's registers by the rule that was noted.
    fn apply_rule(&mut self, state: Place, unknown: BlockId, stop: BlockId) {
        let rules = self.shared.unwind_rules();
        let key = self.func.addr(state.at(state::RULE));
        let found = self.lookup(rules, key);
        let present = self.func.new_block();
        self.branch_on_null(found, unknown, present);
        self.func.enter(present);
        let rule = Place::aligned(found);
        let kind = self.func.load(Width::W8, false, rule);
        let number = self.func.int(Kind::Unknown as i64);
        self.require(CmpOp::Ne, kind, number, unknown);
        let number = self.func.int(Kind::End as i64);
        self.require(CmpOp::Ne, kind, number, stop);

        let base = self.any_register(state, rule.at(1));
        let offset = self.func.load(Width::W32, true, rule.at(4));
        let address = self.func.bin(BinOp::Add, base, offset);
        let (behind, direct) = (self.func.new_block(), self.func.new_block());
        let (at_cfa, cfa) = self.func.new_join(ValueTy::Int);
        let number = self.func.int(Kind::Memory as i64);
        self.func.branch(CmpOp::Eq, kind, number, behind, direct);
        self.func.enter(behind);
        let value = self.read_stack(state, address, stop);
        self.func.jump(at_cfa, &[value]);
        self.func.enter(direct);
        self.func.jump(at_cfa, &[address]);
        self.func.enter(at_cfa);

        // Callers are further up, but for signals, which may have a stack of their own.
        let interrupted = self.func.load(Width::W8, false, rule.at(19));
        let (check, sound) = (self.func.new_block(), self.func.new_block());
        let zero = self.func.int(0);
        self.func.branch(CmpOp::Ne, interrupted, zero, sound, check);
        self.func.enter(check);
        let sp = self.func.load(Width::W64, false, register(state, STACK_POINTER));
        self.func.branch(CmpOp::UGt, cfa, sp, sound, stop);
        self.func.enter(sound);

        let from = self.func.load(Width::W8, false, rule.at(2));
        let (of_cfa, of_register) = (self.func.new_block(), self.func.new_block());
        let (at_base, base) = self.func.new_join(ValueTy::Int);
        let number = self.func.int(Rule::FROM_CFA.into());
        self.func.branch(CmpOp::Eq, from, number, of_cfa, of_register);
        self.func.enter(of_cfa);
        self.func.jump(at_base, &[cfa]);
        self.func.enter(of_register);
        let value = self.any_register(state, rule.at(2));
        self.func.jump(at_base, &[value]);
        self.func.enter(at_base);
        let offset = self.func.load(Width::W32, true, rule.at(8));
        let window = self.func.bin(BinOp::Add, base, offset);
        let size = self.func.load(Width::W8, false, rule.at(3));
        let size = self.func.bin_imm(BinOp::And, size, 127);
        let to = self.func.addr(state.at(state::WINDOW));
        let failed = self.func.call(id::PROBE_READ_USER, &[to, size, window], ValueTy::Int);
        let zero = self.func.int(0);
        self.require(CmpOp::Eq, failed, zero, stop);
        for number in 0..SAVED as u8 {
            let (take, after) = (self.func.new_block(), self.func.new_block());
            let word = self.func.load(Width::W8, false, rule.at(12 + u32::from(number)));
            let words = self.func.int(16);
            self.func.branch(CmpOp::ULt, word, words, take, after);
            self.func.enter(take);
            let value = self.word_of_window(state, word);
            self.func.store(Width::W64, register(state, number), value);
            self.func.jump(after, &[]);
            self.func.enter(after);
        }
        let (inside, outside) = (self.func.new_block(), self.func.new_block());
        let (after, address) = self.func.new_join(ValueTy::Int);
        let word = self.func.load(Width::W8, false, rule.at(18));
        let words = self.func.int(16);
        self.func.branch(CmpOp::ULt, word, words, inside, outside);
        self.func.enter(inside);
        let value = self.word_of_window(state, word);
        self.func.jump(after, &[value]);
        self.func.enter(outside);
        let below = self.add_imm(cfa, -8);
        let value = self.read_stack(state, below, stop);
        self.func.jump(after, &[value]);
        self.func.enter(after);

        let interrupted = self.func.load(Width::W8, false, rule.at(19));
        let back = self.func.bin_imm(BinOp::Xor, interrupted, 1);
        self.go_on_to_caller(state, address, cfa, back, stop);
    }

    /// The step for code that no table speaks of: if it keeps a frame pointer, that leads to its caller.
    fn follow_pointer(&mut self, state: Place, stop: BlockId) {
        let pointer = self.func.load(Width::W64, false, register(state, FRAME_POINTER));
        let sp = self.func.load(Width::W64, false, register(state, STACK_POINTER));
        self.require(CmpOp::UGe, pointer, sp, stop);
        let odd = self.func.bin_imm(BinOp::And, pointer, 7);
        let zero = self.func.int(0);
        self.require(CmpOp::Eq, odd, zero, stop);
        let window = state.at(state::WINDOW);
        let failed = self.read_into(id::PROBE_READ_USER, window, 16, pointer);
        let zero = self.func.int(0);
        self.require(CmpOp::Eq, failed, zero, stop);
        let callers = self.func.load(Width::W64, false, window);
        let address = self.func.load(Width::W64, false, window.at(8));
        self.func.store(Width::W64, register(state, FRAME_POINTER), callers);
        let sp = self.add_imm(pointer, 16);
        let one = self.func.int(1);
        self.go_on_to_caller(state, address, sp, one, stop);
    }

    /// The caller is known: the step is done, unless there is nothing at such an address.
    fn go_on_to_caller(&mut self, state: Place, address: Value, sp: Value, back: Value, stop: BlockId) {
        let zero = self.func.int(0);
        self.require(CmpOp::Ne, address, zero, stop);
        self.func.store(Width::W64, register(state, INSTRUCTION_POINTER), address);
        self.func.store(Width::W64, register(state, STACK_POINTER), sp);
        self.func.store(Width::W64, state.at(state::BACK), back);
        let go_on = self.func.int(step::GO_ON);
        self.func.ret(go_on);
    }

    /// The register whose number is a byte of a rule.
    fn any_register(&mut self, state: Place, number: Place) -> Value {
        let number = self.func.load(Width::W8, false, number);
        let number = self.func.bin_imm(BinOp::And, number, 31);
        let bytes = self.func.bin_imm(BinOp::Shl, number, 3);
        let place = self.func.add_bytes(state, bytes);
        self.func.load(Width::W64, false, place)
    }

    /// A word that was read of the stack; the number is below 16.
    fn word_of_window(&mut self, state: Place, word: Value) -> Value {
        let bytes = self.func.bin_imm(BinOp::Shl, word, 3);
        let place = self.func.add_bytes(state.at(state::WINDOW), bytes);
        self.func.load(Width::W64, false, place)
    }

    /// Reads 64 bits of the process' memory, to the start of the window.
    fn read_stack(&mut self, state: Place, address: Value, failed: BlockId) -> Value {
        let window = state.at(state::WINDOW);
        let status = self.read_into(id::PROBE_READ_USER, window, 8, address);
        let zero = self.func.int(0);
        self.require(CmpOp::Eq, status, zero, failed);
        self.func.load(Width::W64, false, window)
    }
}

/// Where a register is in what begins with `struct pt_regs`.
fn register(base: Place, number: u8) -> Place {
    base.at(8 * u32::from(number))
}
