//! Functions of the script: each becomes a function of the program.
//!
//! Numbers travel in registers, as many as the calling convention has but one, which is for the context; the rest,
//! and everything that does not fit a register, travels through memory that both know. So does a result that does
//! not fit a register. A function that needs no context is global: the kernel checks it once, however often it is
//! called. One that does is followed from each of its callers, because only they know what a context is.

use skep_lang::hir::{self, Expr, ExprKind, FunctionId, ProbeKind};
use skep_lang::ty::Ty;
use skep_lang::walk;

use super::func::{FuncBuilder, Place};
use super::locals::Homes;
use super::shared::Shared;
use super::{Lower, Slot};
use crate::error::Error;
use crate::ir::{CmpOp, FuncId, Home, Value, ValueTy, Width};

/// Arguments in registers: one is left for the context.
const IN_REGISTERS: usize = 4;

/// The longest name of a function: what older kernels take.
const LONGEST_NAME: usize = 100;

/// The functions of the script that one program can call.
#[derive(Default)]
pub(super) struct Calls {
    /// In the order of [`hir::Probe::functions`], as far as they are made.
    made: Vec<Made>,
    /// Number of the memory in which functions note that the whole probe ends.
    ended: Option<u32>,
    /// Whether the function that is being made may end the whole probe.
    ends: bool,
}

/// A function that was made.
#[derive(Clone)]
struct Made {
    func: FuncId,
    params: Vec<Passed>,
    /// How it gives back what does not fit a register: number and size of the memory.
    result: Option<(u32, u32)>,
    uses_ctx: bool,
    /// Whether it may end the whole probe.
    ends: bool,
}

/// How an argument travels.
#[derive(Clone, Copy)]
enum Passed {
    Register,
    /// In memory of this number.
    Memory(u32),
}

/// An argument that was evaluated.
enum Ready {
    Value(Value),
    /// In the memory it travels in.
    Written,
    /// In memory of the caller.
    Kept(Place),
}

impl<'a> Lower<'a> {
    /// Makes a function that a program reaches; those that it calls itself are among `calls`.
    pub(super) fn function(
        program: &'a hir::Program,
        shared: &'a mut Shared,
        probe: (&'a hir::Probe, u32),
        function: &'a hir::Function,
        calls: Calls,
    ) -> Result<Calls, Error> {
        let mut lower = Lower::new(program, shared, probe, calls);
        lower.locals = &function.locals;
        lower.homes = Homes::of(&function.body, &function.params);
        lower.name = function.name.chars().take(LONGEST_NAME).collect();
        lower.ret = Some(function.ret);
        lower.function = lower.shared.next_function();
        let mut params = Vec::with_capacity(function.params.len());
        let mut in_registers = Vec::new();
        for &local in &function.params {
            let in_memory = lower.types.is_memory(lower.local(local).ty);
            params.push(if in_memory || in_registers.len() == IN_REGISTERS {
                let number = lower.shared.common();
                lower.slots.insert(local, Slot::Common(number));
                Passed::Memory(number)
            } else {
                in_registers.push(local);
                Passed::Register
            });
        }
        let (func, values) =
            FuncBuilder::new_function(function.span, &vec![ValueTy::Int; in_registers.len()]);
        lower.func = func;
        let result = lower.types.is_memory(function.ret).then(|| lower.types.size(function.ret));
        let result = result.map(|size| (lower.shared.common(), size));
        if let Some((number, _)) = result {
            lower.result = Some(number);
        }
        lower.settle_locals(0);
        for (local, value) in in_registers.into_iter().zip(values) {
            lower.write_local(local, value);
        }
        lower.calls.ends = false;
        lower.block(&function.body)?;
        let Lower { func, shared, mut calls, name, .. } = lower;
        let uses_ctx = func.uses_ctx();
        let mut func = func.finish(name);
        func.is_global = !uses_ctx;
        let func = shared.sub(func);
        calls.made.push(Made { func, params, result, uses_ctx, ends: calls.ends });
        Ok(calls)
    }

    /// Whether the program or function gives back a number.
    pub(super) fn gives_number(&self) -> bool {
        match self.ret {
            Some(ty) => ty != Ty::VOID && !self.types.is_memory(ty),
            // To the kernel, what other programs return means something.
            None => self.probe == ProbeKind::RawTestRun,
        }
    }

    /// `return`
    pub(super) fn give_back(&mut self, value: Option<&Expr>) -> Result<(), Error> {
        let number = match (value, self.ret, self.result) {
            (Some(value), Some(ty), Some(number)) if self.types.is_memory(ty) => {
                let place = self.shared_place(number, "result", self.types.size(ty));
                self.write(value, place, ty)?;
                None
            }
            (Some(value), ..) => Some(self.scalar(value)?),
            (None, ..) => None,
        };
        self.leave(number.filter(|_| self.gives_number()));
        Ok(())
    }

    /// Ends this run of the whole probe, from within a function too.
    pub(super) fn end_probe(&mut self) {
        if self.ret.is_some() {
            let place = self.ended_place();
            let one = self.func.int(1);
            self.func.store(Width::W64, place, one);
            self.calls.ends = true;
        }
        self.leave(None);
    }

    /// Calls a function. The result is a number; where the function gives something larger, [`Lower::call_into`]
    /// is meant.
    pub(super) fn call(&mut self, function: FunctionId, args: &[Expr]) -> Result<Value, Error> {
        let made = self.made(function)?;
        let mut ready = Vec::with_capacity(args.len());
        for (at, (arg, passed)) in args.iter().zip(&made.params).enumerate() {
            ready.push(if !self.types.is_memory(arg.ty) {
                Ready::Value(self.scalar(arg)?)
            } else {
                let size = self.types.size(arg.ty);
                // A call in this or a later argument could be one of the same function.
                let (place, ready) = match passed {
                    Passed::Memory(number) if !args[at..].iter().any(calls) => {
                        (self.shared_place(*number, "argument", size), Ready::Written)
                    }
                    _ => {
                        let object = self.func.object("argument", size, 8);
                        let place = self.func.object_place(object);
                        (place, Ready::Kept(place))
                    }
                };
                self.write(arg, place, arg.ty)?;
                ready
            });
        }
        let mut values = Vec::with_capacity(made.params.len());
        for ((ready, passed), arg) in ready.into_iter().zip(&made.params).zip(args) {
            let size = self.types.size(arg.ty);
            match (ready, passed) {
                (Ready::Value(value), Passed::Register) => values.push(value),
                (Ready::Value(value), Passed::Memory(number)) => {
                    let place = self.shared_place(*number, "argument", size);
                    let (width, _) = self.access(arg.ty);
                    self.func.store(width, place, value);
                }
                (Ready::Kept(kept), Passed::Memory(number)) => {
                    let place = self.shared_place(*number, "argument", size);
                    self.func.copy(place, kept, size);
                }
                (Ready::Written | Ready::Kept(_), _) => {}
            }
        }
        if made.uses_ctx {
            values.push(self.func.ctx());
        }
        if made.ends {
            let place = self.ended_place();
            let zero = self.func.int(0);
            self.func.store(Width::W64, place, zero);
        }
        let result = self.func.call_func(made.func, &values);
        if made.ends {
            let place = self.ended_place();
            let ended = self.func.load(Width::W64, false, place);
            let zero = self.func.int(0);
            let (end, go_on) = (self.func.new_block(), self.func.new_block());
            self.func.branch(CmpOp::Ne, ended, zero, end, go_on);
            self.func.enter(end);
            // The note stays for the caller of this one.
            self.calls.ends = true;
            self.leave(None);
            self.func.jump(go_on, &[]);
            self.func.enter(go_on);
        }
        Ok(result)
    }

    /// Calls a function whose result does not fit a register: where that is, until the next call.
    pub(super) fn call_into(
        &mut self,
        function: FunctionId,
        args: &[Expr],
        at: &Expr,
    ) -> Result<Place, Error> {
        let Some((number, size)) = self.made(function)?.result else { return Err(self.not_memory(at)) };
        self.call(function, args)?;
        Ok(self.shared_place(number, "result", size))
    }

    fn made(&self, function: FunctionId) -> Result<Made, Error> {
        let made = self.calls.made.get(function.0 as usize);
        made.cloned().ok_or_else(|| Error::Internal {
            what: "a function is called before it is made".into(),
            span: self.func.span(),
        })
    }

    /// Where a function notes that the whole probe ends.
    fn ended_place(&mut self) -> Place {
        let number = match self.calls.ended {
            Some(number) => number,
            None => *self.calls.ended.insert(self.shared.common()),
        };
        self.shared_place(number, "ended", 8)
    }

    /// Memory that functions share.
    fn shared_place(&mut self, number: u32, name: &str, size: u32) -> Place {
        let object = self.func.object_in(Home::Common(number), name, size);
        self.func.object_place(object)
    }
}

/// Whether evaluating an expression calls a function of the script.
fn calls(expr: &Expr) -> bool {
    let mut found = false;
    walk::in_expr(expr, &mut |expr| found |= matches!(expr.kind, ExprKind::Call { .. }));
    found
}
