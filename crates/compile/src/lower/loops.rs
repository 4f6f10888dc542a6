//! Loops: the body is a function, called for each round.
//!
//! Where the kernel has `bpf_loop`, that helper calls it; so `bpf_for_each_map_elem` does for the entries of a map.
//! The variables that the body shares with what is around it are in scratch memory, whose contents the kernel's
//! verifier does not follow: one round looks to it like any other, and it is done after two. On a kernel without
//! `bpf_loop` the program itself calls the body and counts the rounds, which the kernel follows one by one, up to
//! a limit that it can bear. The body is then a global function, which the kernel follows once and by itself;
//! only a body that needs the context cannot be one, and has fewer rounds. What is beyond the limit is told
//! when it happens.

use skep_isa::helpers::id;
use skep_lang::hir::{self, Block, Expr, LocalId};
use skep_lang::ty::Ty;

use super::func::{FuncBuilder, Place};
use super::locals::BodyId;
use super::{Kind, Lower};
use crate::error::Error;
use crate::ir::{BinOp, CmpOp, FuncId, Home, Value, ValueTy, Width};

/// The most rounds that `bpf_loop` takes.
const MAX_ROUNDS: i64 = 1 << 23;

/// What a round costs, in branches, whose body the kernel follows anew in each round.
const FOLLOWED_WITHIN: u32 = 100;

impl Lower<'_> {
    /// `for ($i : a..b) { }`
    pub(super) fn for_range(
        &mut self,
        local: LocalId,
        start: &Expr,
        end: &Expr,
        body: &Block,
    ) -> Result<(), Error> {
        let ty = start.ty;
        let known = match (&start.kind, &end.kind) {
            (hir::ExprKind::Int(start), hir::ExprKind::Int(end)) => {
                let (_, signed) = self.access(ty);
                let (start, end) = (*start as i64, *end as i64);
                let some = if signed { start < end } else { (start as u64) < end as u64 };
                Some(if some { end.wrapping_sub(start) as u64 } else { 0 })
            }
            _ => None,
        };
        if known == Some(0) {
            return Ok(());
        }
        let start = self.scalar(start)?;
        let end = self.scalar(end)?;
        let count = match known {
            Some(count) => self.func.int(count as i64),
            None => self.distance(start, end, ty),
        };
        // The body reads where the range starts from memory.
        let number = self.shared.common();
        let object = self.func.object_in(Home::Common(number), "start", 8);
        let place = self.func.object_place(object);
        self.func.store(Width::W64, place, start);
        let followed = !self.program.abilities.bpf_loop;
        let called = self.called_body(&[ValueTy::Int, ValueTy::Ptr], followed, body, |lower, params| {
            let object = lower.func.object_in(Home::Common(number), "start", 8);
            let place = lower.func.object_place(object);
            let start = lower.func.load(Width::W64, false, place);
            let value = lower.func.bin(BinOp::Add, start, params[0]);
            let value = lower.wrap(ty, value);
            lower.write_local(local, value);
            Ok(())
        })?;
        if followed {
            return self.follow(&called, Some(count));
        }
        // The kernel takes the count for 32 bits.
        let count = match known {
            Some(count) => self.func.int(count.min(u64::from(u32::MAX)) as i64),
            None => {
                let count = self.at_most(count, i64::from(u32::MAX));
                self.forget(count)
            }
        };
        let result = self.call_loop(&called, count);
        if known.is_none_or(|count| count > MAX_ROUNDS as u64) {
            let failed = self.func.new_block();
            let after = self.func.new_block();
            let zero = self.func.int(0);
            self.func.branch(CmpOp::SLt, result, zero, failed, after);
            self.func.enter(failed);
            self.report_failure(id::LOOP, result);
            self.func.jump(after, &[]);
            self.func.enter(after);
        }
        self.leave_if_body_did(&called);
        Ok(())
    }

    /// `while (c) { }`
    pub(super) fn while_loop(&mut self, cond: &Expr, body: &Block) -> Result<(), Error> {
        let followed = !self.program.abilities.bpf_loop;
        let called = self.called_body(&[ValueTy::Int, ValueTy::Ptr], followed, body, |lower, _| {
            let go_on = lower.func.new_block();
            let stop = lower.func.new_block();
            lower.branch_on(cond, go_on, stop)?;
            lower.func.enter(stop);
            let one = lower.func.int(1);
            lower.func.ret(one);
            lower.func.enter(go_on);
            Ok(())
        })?;
        if followed {
            return self.follow(&called, None);
        }
        let count = self.func.int(MAX_ROUNDS);
        let rounds = self.call_loop(&called, count);
        self.leave_if_body_did(&called);
        let most = self.func.int(MAX_ROUNDS);
        let worn_out = self.func.new_block();
        let after = self.func.new_block();
        self.func.branch(CmpOp::Eq, rounds, most, worn_out, after);
        self.func.enter(worn_out);
        self.tell_end_of_rounds()?;
        self.func.jump(after, &[]);
        self.func.enter(after);
        Ok(())
    }

    /// `for ($kv : @m) { }`
    pub(super) fn for_map(
        &mut self,
        map: hir::MapId,
        local: LocalId,
        entry: &Expr,
        body: &Block,
    ) -> Result<(), Error> {
        let params = [ValueTy::Ptr; 4];
        let called = self.called_body(&params, false, body, |lower, params| {
            let at = (Place::aligned(params[1]), Place::aligned(params[2]));
            let outer = lower.entry.replace(at);
            lower.set_local(local, entry)?;
            lower.entry = outer;
            Ok(())
        })?;
        let map = self.map_ref(map);
        let map = self.func.map(map);
        let function = self.func.func_addr(called.func);
        let data = self.loop_data(&called);
        let flags = self.func.int(0);
        self.func.call(id::FOR_EACH_MAP_ELEM, &[map, function, data, flags], ValueTy::Int);
        self.leave_if_body_did(&called);
        Ok(())
    }

    /// `unroll (n) { }`
    pub(super) fn unroll(&mut self, count: u32, body: &Block) -> Result<(), Error> {
        for _ in 0..count {
            self.settle_locals(self.homes.body(body));
            self.block(body)?;
        }
        Ok(())
    }

    /// `break`
    pub(super) fn break_loop(&mut self) {
        let stop = self.func.int(1);
        self.func.ret(stop);
    }

    /// `continue`
    pub(super) fn continue_loop(&mut self) {
        let go_on = self.func.int(0);
        self.func.ret(go_on);
    }

    /// Ends this run of the whole probe or function, from within a loop's body too.
    pub(super) fn leave(&mut self, value: Option<Value>) {
        if self.kind == Kind::Body {
            if self.gives_number() {
                let value = value.unwrap_or_else(|| self.func.int(0));
                let place = self.result_place();
                self.func.store(Width::W64, place, value);
            }
            let place = self.left_place();
            let one = self.func.int(1);
            self.func.store(Width::W64, place, one);
            self.leaves = true;
            self.func.ret(one);
        } else {
            let value = value.unwrap_or_else(|| self.func.int(0));
            self.func.ret(value);
        }
    }

    /// `end - start`, and 0 if that is not above 0.
    fn distance(&mut self, start: Value, end: Value, ty: Ty) -> Value {
        let (_, signed) = self.access(ty);
        let some = self.func.new_block();
        let none = self.func.new_block();
        let (after, count) = self.func.new_join(ValueTy::Int);
        let less = if signed { CmpOp::SLt } else { CmpOp::ULt };
        self.func.branch(less, start, end, some, none);
        self.func.enter(some);
        let distance = self.func.bin(BinOp::Sub, end, start);
        self.func.jump(after, &[distance]);
        self.func.enter(none);
        let zero = self.func.int(0);
        self.func.jump(after, &[zero]);
        self.func.enter(after);
        count
    }

    fn at_most(&mut self, value: Value, limit: i64) -> Value {
        let more = self.func.new_block();
        let (after, result) = self.func.new_join(ValueTy::Int);
        let within = self.func.new_block();
        let limit_value = self.func.int(limit);
        self.func.branch(CmpOp::UGt, value, limit_value, more, within);
        self.func.enter(more);
        let limit_value = self.func.int(limit);
        self.func.jump(after, &[limit_value]);
        self.func.enter(within);
        self.func.jump(after, &[value]);
        self.func.enter(after);
        result
    }

    /// The same number, of which the kernel knows nothing. Where it knows that there are no rounds it does not
    /// look at the body, takes it for dead code, and then misses it.
    fn forget(&mut self, value: Value) -> Value {
        let number = self.shared.common();
        let object = self.func.object_in(Home::Common(number), "rounds", 8);
        let place = self.func.object_place(object);
        self.func.store(Width::W64, place, value);
        self.func.load(Width::W64, false, place)
    }

    // Bodies that are functions.

    /// Statements that are a function of their own.
    pub(super) fn called_part(&mut self, body: &Block) -> Result<(), Error> {
        let called = self.called_body(&[ValueTy::Int, ValueTy::Ptr], true, body, |_, _| Ok(()))?;
        let data = called.uses_ctx.then(|| self.loop_data(&called));
        let first = self.func.int(0);
        let args: Vec<Value> = [first].into_iter().chain(data).collect();
        self.func.call_func(called.func, &args);
        self.leave_if_body_did(&called);
        Ok(())
    }

    /// Makes a function of a body; `before` is what each round begins with and gets the parameters. `followed` is whether
    /// the program itself calls it rather than a helper.
    fn called_body(
        &mut self,
        params: &[ValueTy],
        followed: bool,
        body: &Block,
        before: impl FnOnce(&mut Self, &[Value]) -> Result<(), Error>,
    ) -> Result<Called, Error> {
        let span = self.func.span();
        let (callee, values) = FuncBuilder::new_body(span, params);
        let outer = Outer {
            func: std::mem::replace(&mut self.func, callee),
            function: self.function,
            kind: std::mem::replace(&mut self.kind, Kind::Body),
            leaves: std::mem::replace(&mut self.leaves, false),
        };
        self.function = self.shared.next_function();
        let number: BodyId = self.homes.body(body);
        self.settle_locals(number);
        let lowered = before(self, &values).and_then(|()| self.block(body));
        let leaves = std::mem::replace(&mut self.leaves, outer.leaves);
        let callee = std::mem::replace(&mut self.func, outer.func);
        (self.function, self.kind) = (outer.function, outer.kind);
        lowered?;
        let uses_ctx = callee.uses_ctx();
        let name = format!("{}_{}", self.name, self.shared.subs());
        let mut callee = callee.finish(name);
        if followed && !uses_ctx {
            callee.params.truncate(1);
            callee.is_global = true;
        }
        let func = self.shared.sub(callee);
        if leaves {
            let place = self.left_place();
            let zero = self.func.int(0);
            self.func.store(Width::W64, place, zero);
        }
        Ok(Called { func, uses_ctx, leaves })
    }

    fn call_loop(&mut self, called: &Called, count: Value) -> Value {
        let function = self.func.func_addr(called.func);
        let data = self.loop_data(called);
        let flags = self.func.int(0);
        self.func.call(id::LOOP, &[count, function, data, flags], ValueTy::Int)
    }

    /// What a helper hands to the body: where on our stack the context is, if the body needs it.
    fn loop_data(&mut self, called: &Called) -> Value {
        if !called.uses_ctx {
            return self.func.null();
        }
        let ctx = self.func.ctx();
        let object = self.func.object_in(Home::Stack, "ctx", 8);
        let place = self.func.object_place(object);
        self.func.store(Width::W64, place, ctx);
        place.base
    }

    /// If a round of the loop ended the whole probe, it ends here.
    fn leave_if_body_did(&mut self, called: &Called) {
        if !called.leaves {
            return;
        }
        let place = self.left_place();
        let left = self.func.load(Width::W64, false, place);
        let zero = self.func.int(0);
        let leave = self.func.new_block();
        let after = self.func.new_block();
        self.func.branch(CmpOp::Ne, left, zero, leave, after);
        self.func.enter(leave);
        if self.kind == Kind::Body {
            // The note stays for the loop around this one.
            self.leaves = true;
            let one = self.func.int(1);
            self.func.ret(one);
        } else {
            let value = match self.gives_number() {
                true => {
                    let place = self.result_place();
                    self.func.load(Width::W64, false, place)
                }
                false => self.func.int(0),
            };
            self.func.ret(value);
        }
        self.func.enter(after);
    }

    /// Where a body puts what the whole gives back.
    fn result_place(&mut self) -> Place {
        let number = match self.result {
            Some(number) => number,
            None => *self.result.insert(self.shared.common()),
        };
        let object = self.func.object_in(Home::Common(number), "result", 8);
        self.func.object_place(object)
    }

    /// Where a body notes that the whole probe ends.
    fn left_place(&mut self) -> Place {
        let number = match self.left {
            Some(number) => number,
            None => *self.left.insert(self.shared.common()),
        };
        let object = self.func.object_in(Home::Common(number), "left", 8);
        self.func.object_place(object)
    }

    /// Calls the body for each round until it says that it is enough, or all `count` rounds are done.
    fn follow(&mut self, called: &Called, count: Option<Value>) -> Result<(), Error> {
        let cost = if called.uses_ctx { FOLLOWED_WITHIN } else { 1 + u32::from(count.is_some()) };
        let [go_on, next, worn_out, stop] = [(); 4].map(|()| self.func.new_block());
        let data = called.uses_ctx.then(|| self.loop_data(called));
        let (head, round) = self.func.new_join(ValueTy::Int);
        let zero = self.func.int(0);
        self.func.jump(head, &[zero]);
        self.func.begin_loop(head);
        if let Some(count) = count {
            self.require(CmpOp::ULt, round, count, stop);
        }
        let limit = self.func.round_limit(cost);
        self.func.branch(CmpOp::ULt, round, limit, go_on, worn_out);
        self.func.enter(go_on);
        let args: Vec<Value> = [round].into_iter().chain(data).collect();
        let result = self.func.call_func(called.func, &args);
        let zero = self.func.int(0);
        self.func.branch(CmpOp::Eq, result, zero, next, stop);
        self.func.enter(next);
        let following = self.func.bin_imm(BinOp::Add, round, 1);
        self.func.jump(head, &[following]);
        self.func.end_loop(head);
        self.func.enter(worn_out);
        self.tell_end_of_rounds()?;
        self.func.jump(stop, &[]);
        self.func.enter(stop);
        self.leave_if_body_did(called);
        Ok(())
    }

    fn tell_end_of_rounds(&mut self) -> Result<(), Error> {
        let text = "This loop has ended early: it ran as often as this kernel allows.";
        let format = hir::Format { pieces: vec![hir::Piece::Text(text.into())] };
        let span = self.func.span();
        self.printf(hir::PrintTo::Fault, &format, &[], span)
    }
}

/// A loop's body that was made a function.
struct Called {
    func: FuncId,
    /// Whether it needs the context.
    uses_ctx: bool,
    /// Whether it may end the whole probe.
    leaves: bool,
}

/// What is put away while a body is made a function.
struct Outer {
    func: FuncBuilder,
    function: u32,
    kind: Kind,
    leaves: bool,
}
