//! Loops, in the way that the kernel takes them.
//!
//! Where the kernel has `bpf_loop`, the body is a function that it calls for each round; so it is for the
//! entries of a map. The variables that the body shares with what is around it are in scratch memory, whose
//! contents the kernel's verifier does not follow: one round looks to it like any other, and it is done after
//! two. A kernel without `bpf_loop` gets the loop as it stands and follows it round by round; how many rounds
//! it can bear is estimated, and what is beyond that is told when it happens.

use skep_isa::helpers::id;
use skep_lang::hir::{self, Block, Expr, LocalId};
use skep_lang::ty::Ty;

use super::func::{FuncBuilder, Place};
use super::locals::BodyId;
use super::{Kind, Lower};
use crate::error::Error;
use crate::ir::{BinOp, BlockId, CmpOp, FuncId, Home, Value, ValueTy, Width};

/// The most rounds that `bpf_loop` takes.
const MAX_ROUNDS: i64 = 1 << 23;

/// How many functions can be active at once in the kernel, less the program itself and one for what a loop's
/// body may call.
const MAX_DEPTH: usize = 6;

/// A loop around the statement at hand, within its function.
#[derive(Clone, Copy)]
pub(super) enum Around {
    /// The function is the body.
    Called,
    /// The body stands in the function.
    Inline {
        /// Where the next round begins.
        next: BlockId,
        /// What follows the loop.
        after: BlockId,
    },
}

/// The size of a loop that stands in its function, for the estimate.
pub(super) struct Weight {
    /// Of everything in its body, loops in it aside.
    insts: u64,
    branches: u64,
    inner: Vec<Weight>,
    /// The number of rounds, if it is known.
    rounds: Option<u64>,
    /// The constant that limits the rounds.
    limit: Value,
}

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
        if !self.calls_loops() {
            return self.rounds_inline(body, known, |lower, round, stop| {
                if known.is_none() {
                    lower.require(CmpOp::ULt, round, count, stop);
                }
                let value = lower.func.bin(BinOp::Add, start, round);
                let value = lower.wrap(ty, value);
                Ok(Some((local, value)))
            });
        }
        // The body reads where the range starts from memory.
        let number = self.shared.common();
        let object = self.func.object_in(Home::Common(number), "start", 8);
        let place = self.func.object_place(object);
        self.func.store(Width::W64, place, start);
        let called = self.called_body(&[ValueTy::Int, ValueTy::Ptr], body, |lower, params| {
            let object = lower.func.object_in(Home::Common(number), "start", 8);
            let place = lower.func.object_place(object);
            let start = lower.func.load(Width::W64, false, place);
            let value = lower.func.bin(BinOp::Add, start, params[0]);
            let value = lower.wrap(ty, value);
            lower.write_local(local, value);
            Ok(())
        })?;
        // The kernel takes the count for 32 bits.
        let count = match known {
            Some(count) => self.func.int(count.min(u64::from(u32::MAX)) as i64),
            None => self.at_most(count, i64::from(u32::MAX)),
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
        if !self.calls_loops() {
            return self.rounds_inline(body, None, |lower, _, stop| {
                let go_on = lower.func.new_block();
                lower.branch_on(cond, go_on, stop)?;
                lower.func.enter(go_on);
                Ok(None)
            });
        }
        let called = self.called_body(&[ValueTy::Int, ValueTy::Ptr], body, |lower, _| {
            let go_on = lower.func.new_block();
            let stop = lower.func.new_block();
            lower.branch_on(cond, go_on, stop)?;
            lower.func.enter(stop);
            let one = lower.func.int(1);
            lower.func.ret(one);
            lower.func.enter(go_on);
            Ok(())
        })?;
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
        let called = self.called_body(&params, body, |lower, params| {
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
        match self.around.last() {
            Some(Around::Inline { after, .. }) => self.func.jump_away(*after),
            _ => {
                let stop = self.func.int(1);
                self.func.ret(stop);
            }
        }
    }

    /// `continue`
    pub(super) fn continue_loop(&mut self) {
        match self.around.last() {
            Some(Around::Inline { next, .. }) => self.func.jump_away(*next),
            _ => {
                let go_on = self.func.int(0);
                self.func.ret(go_on);
            }
        }
    }

    /// Ends this run of the whole probe or function, from within a loop's body too. What is to be returned was
    /// put away.
    pub(super) fn leave(&mut self, value: Option<Value>) {
        if self.kind == Kind::Body {
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

    /// Whether bodies of loops become functions here.
    fn calls_loops(&self) -> bool {
        self.program.abilities.bpf_loop && self.depth < MAX_DEPTH
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

    // Bodies that are functions.

    /// Makes a function of a body; `before` is what each round begins with and gets the parameters.
    fn called_body(
        &mut self,
        params: &[ValueTy],
        body: &Block,
        before: impl FnOnce(&mut Self, &[Value]) -> Result<(), Error>,
    ) -> Result<Called, Error> {
        let span = self.func.span();
        let (callee, values) = FuncBuilder::new_body(span, params);
        let outer = Outer {
            func: std::mem::replace(&mut self.func, callee),
            function: self.function,
            around: std::mem::replace(&mut self.around, vec![Around::Called]),
            kind: std::mem::replace(&mut self.kind, Kind::Body),
            leaves: std::mem::replace(&mut self.leaves, false),
        };
        self.function = self.shared.next_function();
        self.depth += 1;
        let number: BodyId = self.homes.body(body);
        self.settle_locals(number);
        let lowered = before(self, &values).and_then(|()| self.block(body));
        self.depth -= 1;
        let leaves = std::mem::replace(&mut self.leaves, outer.leaves);
        let callee = std::mem::replace(&mut self.func, outer.func);
        (self.function, self.around, self.kind) = (outer.function, outer.around, outer.kind);
        lowered?;
        let uses_ctx = callee.uses_ctx();
        let name = format!("{}_{}", self.name, self.shared.subs());
        let func = self.shared.sub(callee.finish(name));
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
            let zero = self.func.int(0);
            self.func.ret(zero);
        }
        self.func.enter(after);
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

    // Bodies that stand where the loop stands.

    /// Rounds of code in place. `before` is what each round begins with: it gets the number of the round and
    /// where to go when there are no more, and may give a variable its value for the round.
    fn rounds_inline(
        &mut self,
        body: &Block,
        rounds: Option<u64>,
        before: impl FnOnce(&mut Self, Value, BlockId) -> Result<Option<(LocalId, Value)>, Error>,
    ) -> Result<(), Error> {
        let outer_weights = std::mem::take(&mut self.weights);
        let (insts, branches) = self.func.weight();
        let [next, stop, after, worn_out] = [(); 4].map(|()| self.func.new_block());
        let (head, round) = self.func.new_join(ValueTy::Int);
        let zero = self.func.int(0);
        self.func.jump(head, &[zero]);
        self.func.begin_loop(head);
        let limit = self.func.int(1);
        let within = self.func.new_block();
        self.func.branch(CmpOp::ULt, round, limit, within, worn_out);
        self.func.enter(within);
        let given = before(self, round, stop)?;
        self.settle_locals(self.homes.body(body));
        if let Some((local, value)) = given {
            self.write_local(local, value);
        }
        self.around.push(Around::Inline { next, after: stop });
        self.block(body)?;
        self.around.pop();
        self.func.jump(next, &[]);
        self.func.enter(next);
        let following = self.func.bin_imm(BinOp::Add, round, 1);
        self.func.jump(head, &[following]);
        self.func.end_loop(head);
        let (insts_now, branches_now) = self.func.weight();
        let inner = std::mem::replace(&mut self.weights, outer_weights);
        let inner_insts: u64 = inner.iter().map(Weight::insts).sum();
        let inner_branches: u64 = inner.iter().map(Weight::branches).sum();
        self.weights.push(Weight {
            insts: (insts_now - insts).saturating_sub(inner_insts),
            // The kernel knows how the check of the limit goes.
            branches: (branches_now - branches).saturating_sub(inner_branches + 1),
            inner,
            rounds,
            limit,
        });
        self.func.enter(worn_out);
        if let Some(rounds) = rounds {
            // Usually all rounds are done then.
            let done = self.func.new_block();
            let count = self.func.int(rounds as i64);
            let early = self.func.new_block();
            self.func.branch(CmpOp::ULt, round, count, early, done);
            self.func.enter(early);
            self.tell_end_of_rounds()?;
            self.func.jump(done, &[]);
            self.func.enter(done);
        } else {
            self.tell_end_of_rounds()?;
        }
        self.func.jump(stop, &[]);
        self.func.enter(stop);
        self.func.jump(after, &[]);
        self.func.enter(after);
        if self.around.iter().all(|around| matches!(around, Around::Called)) {
            self.limit_rounds();
        }
        Ok(())
    }

    /// Gives the outermost loop in place, and those in it, as many rounds as the kernel will follow.
    fn limit_rounds(&mut self) {
        // The kernel gives up after a million instructions, and after 8,192 branches on one way.
        const INSTS: u64 = 600_000;
        const BRANCHES: u64 = 7_000;
        for weight in std::mem::take(&mut self.weights) {
            let fits = |limit: u64| weight.total(limit) <= INSTS && weight.total_branches(limit) <= BRANCHES;
            let mut limit = 1;
            for bit in (0..20).rev() {
                if fits(limit | 1 << bit) {
                    limit |= 1 << bit;
                }
            }
            weight.each(&mut |weight| {
                let rounds = weight.rounds.map_or(limit, |rounds| rounds.min(limit));
                self.func.set_int(weight.limit, rounds as i64);
            });
        }
    }

    fn tell_end_of_rounds(&mut self) -> Result<(), Error> {
        let text = "This loop has ended early: it ran as often as this kernel allows.";
        let format = hir::Format { pieces: vec![hir::Piece::Text(text.into())] };
        let span = self.func.span();
        let outer = self.func.rare(true);
        self.printf(hir::PrintTo::Fault, &format, &[], span)?;
        self.func.rare(outer);
        Ok(())
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
    around: Vec<Around>,
    kind: Kind,
    leaves: bool,
}

impl Weight {
    fn insts(&self) -> u64 {
        self.insts + self.inner.iter().map(Weight::insts).sum::<u64>()
    }

    fn branches(&self) -> u64 {
        self.branches + self.inner.iter().map(Weight::branches).sum::<u64>()
    }

    fn rounds(&self, limit: u64) -> u64 {
        self.rounds.map_or(limit, |rounds| rounds.min(limit))
    }

    /// Instructions that the kernel follows if no loop has more than so many rounds.
    fn total(&self, limit: u64) -> u64 {
        let inner: u64 = self.inner.iter().fold(0, |sum, inner| sum.saturating_add(inner.total(limit)));
        self.insts.saturating_add(inner).saturating_mul(self.rounds(limit))
    }

    fn total_branches(&self, limit: u64) -> u64 {
        let inner: u64 =
            self.inner.iter().fold(0, |sum, inner| sum.saturating_add(inner.total_branches(limit)));
        self.branches.saturating_add(inner).saturating_mul(self.rounds(limit))
    }

    fn each(&self, visit: &mut dyn FnMut(&Weight)) {
        visit(self);
        self.inner.iter().for_each(|inner| inner.each(visit));
    }
}
