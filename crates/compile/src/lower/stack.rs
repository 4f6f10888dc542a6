//! Stacks: taken by the kernel where the probe stands, straight to where they are wanted.
//!
//! A stack is its frames, not a number that stands for them: so equal stacks are equal keys, none can be lost to
//! another with the same hash, and a stack in a map stays as long as its entry.

use skep_isa::helpers::id;
use skep_lang::ty::{Stack, StackMode, Ty, TyKind};

use super::Lower;
use super::func::Place;
use crate::artifact::Action;
use crate::backend::STACK_SIZE;
use crate::ir::{BinOp, CmpOp, Value, ValueTy, Width};

/// `BPF_F_USER_STACK` and `BPF_F_USER_BUILD_ID` of bpf_get_stack.
const USER_STACK: i64 = 1 << 8;
const USER_BUILD_ID: i64 = 1 << 11;

impl Lower<'_> {
    /// Writes the stack of the type to a place of its size.
    pub(super) fn write_stack(&mut self, dst: Place, ty: Ty) {
        let TyKind::Stack(stack) = *self.types.kind(ty) else { return };
        if stack.frames == 0 {
            self.func.zero(dst, Stack::HEADER);
            return;
        }
        let flags = match (stack.user, stack.mode) {
            (true, StackMode::BuildId) => USER_STACK | USER_BUILD_ID,
            (true, _) => USER_STACK,
            (false, _) => 0,
        };
        let ctx = self.func.ctx();
        let frames = self.func.addr(dst.at(Stack::HEADER));
        let bytes = stack.frames * stack.frame_size();
        if bytes < STACK_SIZE {
            // Raw tracepoints promise the helper memory that is written already, and before Linux 6.3 the verifier
            // insists where that may be on the program's stack.
            self.func.zero(dst.at(Stack::HEADER), bytes);
        }
        let size = self.func.int(i64::from(bytes));
        let flags = self.func.int(flags);
        // Whatever it writes, it fills the rest with zeroes, also when it fails.
        let written = self.func.call(id::GET_STACK, &[ctx, frames, size, flags], ValueTy::Int);
        let some = self.func.new_block();
        let none = self.func.new_block();
        let (after, count) = self.func.new_join(ValueTy::Int);
        let zero = self.func.int(0);
        self.func.branch(CmpOp::SGt, written, zero, some, none);
        self.func.enter(some);
        let count_of =
            self.func.bin_imm(BinOp::LShr, written, i64::from(stack.frame_size().trailing_zeros()));
        if stack.user {
            self.process_seen();
        }
        self.func.jump(after, &[count_of]);
        self.func.enter(none);
        let zero = self.func.int(0);
        self.func.jump(after, &[zero]);
        self.func.enter(after);
        self.func.store(Width::W32, dst, count);
        let pid = if stack.user { self.current_process() } else { self.func.int(0) };
        self.func.store(Width::W32, dst.at(4), pid);
    }

    pub(super) fn current_process(&mut self) -> Value {
        if self.program.in_pid_namespace {
            return self.namespace_id(false);
        }
        let both = self.func.call_pure(id::GET_CURRENT_PID_TGID, &[]);
        self.func.bin_imm(BinOp::LShr, both, 32)
    }

    /// Tells user space of the current process, once, so that it can look at what is mapped while it still is.
    pub(super) fn process_seen(&mut self) {
        let processes = self.shared.processes();
        let pid = self.current_process();
        let key = self.func.object("pid", 4, 4);
        let key = self.func.object_place(key);
        self.func.store(Width::W32, key, pid);
        let key = self.func.addr(key);
        let known = self.lookup(processes, key);
        let new = self.func.new_block();
        let after = self.func.new_block();
        self.branch_on_null(known, new, after);
        self.func.enter(new);
        let seen = self.func.object("seen", 8, 8);
        let seen = self.func.object_place(seen);
        let one = self.func.int(1);
        self.func.store(Width::W64, seen, one);
        let (map, seen, flags) = (self.func.map(processes), self.func.addr(seen), self.func.int(0));
        self.func.call(id::MAP_UPDATE_ELEM, &[map, key, seen, flags], ValueTy::Int);
        let span = self.func.span();
        self.send_values(Action::ProcessSeen, true, &[(pid, Ty::U32)], span);
        self.func.jump(after, &[]);
        self.func.enter(after);
    }
}
