//! One program of several functions: which belong to it, how they share the stack, and their code in one piece.

use skep_isa::{Imm64, Reg};
use skep_ui::Span;

use super::emit::{self, Code, FuncStart, TooFar};
use super::frame::{Commons, Frame, SCRATCH_PER_CPU, STACK_SIZE};
use super::select::Scratch;
use super::{edges, legalize, lifetimes, regs, select};
use crate::artifact::MapSpec;
use crate::error::Error;
use crate::ir::verify::debug_verify;
use crate::ir::{Func, FuncId, MapRef, Op};

/// The kernel rounds the stack of each function up to this where several are active at once.
const FRAME_STEP: u32 = 32;

/// Bytes of stack that a function leaves to each of those that call it.
const LEFT_TO_CALLERS: u32 = 64;

/// How many functions can be active at once in the kernel.
const MAX_DEPTH: u32 = 8;

/// A function of the program.
struct Part {
    func: Func,
    /// The parts that it calls, or hands to helpers, each with the place of the first call.
    calls: Vec<(usize, Span)>,
    /// How many functions are active above it at most.
    depth: u32,
}

/// Where a call or the address of a function is to be filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Index of the instruction.
    pub insn: usize,
    /// Which function.
    pub func: FuncId,
}

/// Makes the code of one program and of all functions of `subs` that it calls. When it needs a scratch map, that is
/// put behind `maps`. `span` is the probe, for errors.
///
/// # Errors
/// See [`Error`].
pub fn assemble(main: Func, subs: &[Func], span: Span, maps: &mut Vec<MapSpec>) -> Result<Code, Error> {
    let (mut parts, place) = collect(main, subs)?;
    for part in &mut parts {
        debug_verify(&part.func, maps.len(), "lowering");
        edges::split(&mut part.func);
        debug_verify(&part.func, maps.len(), "splitting edges");
        legalize::legalize(&mut part.func);
        debug_verify(&part.func, maps.len(), "legalizing");
    }
    let commons = Commons::layout(parts.iter().map(|part| &part.func));
    let map = MapRef(maps.len() as u32);
    let (codes, size) = match each(&parts, &commons, Scratch { map, by_cpu: false }, span)? {
        (_, size) if size > SCRATCH_PER_CPU => each(&parts, &commons, Scratch { map, by_cpu: true }, span)?,
        made => made,
    };
    if size > 0 {
        maps.push(super::scratch_map(map, size, span)?);
    }
    Ok(join(codes, &place))
}

/// The code of each function, and how large the scratch value has to be for all of them.
fn each(parts: &[Part], commons: &Commons, scratch: Scratch, span: Span) -> Result<(Vec<Code>, u32), Error> {
    let levels = parts.iter().map(|part| part.depth + 1).max().unwrap_or(1);
    let mut codes: Vec<Option<Code>> = vec![None; parts.len()];
    // Bytes of stack of each function and of those that are active with it.
    let mut stacks = vec![0u32; parts.len()];
    let mut scratch_end = commons.size;
    for at in callees_first(parts) {
        let part = &parts[at];
        let called = part.calls.iter().map(|(callee, _)| stacks[*callee]).max().unwrap_or(0);
        let room = STACK_SIZE.saturating_sub(called).saturating_sub(LEFT_TO_CALLERS * part.depth);
        let budget = if levels == 1 { STACK_SIZE } else { (STACK_SIZE / levels).min(room) };
        let one = One { func: &part.func, commons, scratch, span };
        let (code, frame, used) = one.compile(budget, room, scratch_end)?;
        tracing::debug!(
            function = part.func.name,
            insns = code.insns.len(),
            stack = used,
            scratch = frame.scratch_end,
            "compiled"
        );
        scratch_end = frame.scratch_end;
        stacks[at] = called + used.max(1).next_multiple_of(FRAME_STEP);
        codes[at] = Some(code);
    }
    Ok((codes.into_iter().flatten().collect(), scratch_end))
}

/// The program and everything it calls, the program first. Also the part of each function.
fn collect(main: Func, subs: &[Func]) -> Result<(Vec<Part>, Vec<Option<usize>>), Error> {
    let mut place = vec![None; subs.len()];
    let mut parts = vec![Part { func: main, calls: Vec::new(), depth: 0 }];
    let mut at = 0;
    while at < parts.len() {
        let mut calls: Vec<(usize, Span)> = Vec::new();
        let insts = parts[at].func.blocks.iter().flat_map(|block| &block.insts);
        let mut found = Vec::new();
        for inst in insts {
            if let Op::FuncAddr(func) | Op::CallFunc { func, .. } = inst.op {
                found.push((func, inst.span));
            }
        }
        for (func, span) in found {
            let index = func.0 as usize;
            let Some(sub) = subs.get(index) else { continue };
            let part = *place[index].get_or_insert_with(|| {
                parts.push(Part { func: sub.clone(), calls: Vec::new(), depth: 0 });
                parts.len() - 1
            });
            if !calls.iter().any(|(known, _)| *known == part) {
                calls.push((part, span));
            }
        }
        parts[at].calls = calls;
        at += 1;
    }
    // Callers before those that they call, so that the longest way to each is known when it is passed on.
    let order = callees_first(&parts);
    for at in order.into_iter().rev() {
        let below = parts[at].depth + 1;
        for (callee, span) in parts[at].calls.clone() {
            if below >= MAX_DEPTH {
                return Err(Error::Depth { span });
            }
            parts[callee].depth = parts[callee].depth.max(below);
        }
    }
    Ok((parts, place))
}

/// All parts, each behind those that it calls. Calls never lead in a circle.
fn callees_first(parts: &[Part]) -> Vec<usize> {
    let mut order = Vec::with_capacity(parts.len());
    let mut seen = vec![false; parts.len()];
    let mut stack = vec![(0, 0)];
    seen[0] = true;
    while let Some((at, next)) = stack.last_mut() {
        match parts[*at].calls.get(*next) {
            Some(&(callee, _)) => {
                *next += 1;
                if !std::mem::replace(&mut seen[callee], true) {
                    stack.push((callee, 0));
                }
            }
            None => {
                order.push(*at);
                stack.pop();
            }
        }
    }
    order
}

/// One function on the way to its code.
struct One<'a> {
    func: &'a Func,
    commons: &'a Commons,
    scratch: Scratch,
    span: Span,
}

impl One<'_> {
    /// The code, where the objects are, and the bytes of stack that are taken, of the `room` there is.
    fn compile(&self, budget: u32, room: u32, scratch_start: u32) -> Result<(Code, Frame, u32), Error> {
        let mut budget = budget;
        let lifetimes = lifetimes::of(self.func);
        loop {
            let frame = Frame::layout(self.func, &lifetimes, budget, self.commons, scratch_start);
            let scratch = frame.needs_scratch().then_some(self.scratch);
            let machine = select::select(self.func, &frame, scratch);
            let allocation =
                regs::allocate(&machine).map_err(|what| Error::Internal { span: self.span, what })?;
            let spilled = 8 * allocation.num_spillslots as u32;
            let used = frame.stack_size + spilled;
            if used > room {
                let less = frame.stack_size.checked_sub(8);
                let Some(less) = less.filter(|_| frame.has_objects_on_stack(self.func)) else {
                    return Err(Error::Stack { span: self.span, needed: used });
                };
                budget = less.min(budget.saturating_sub(8)).min(room.saturating_sub(spilled));
                continue;
            }
            let start = FuncStart {
                at: 0,
                name: self.func.name.clone(),
                params: self.func.params.len(),
                is_global: self.func.is_global,
            };
            let code = emit::emit(&machine, &allocation, &frame, start)
                .map_err(|TooFar| Error::TooLong { span: self.span, insns: machine.insts.len() })?;
            return Ok((code, frame, used));
        }
    }
}

/// Puts the functions behind one another and fills in calls and addresses. `place` tells which of the codes each
/// function is.
fn join(codes: Vec<Code>, place: &[Option<usize>]) -> Code {
    let mut starts = Vec::with_capacity(codes.len());
    let mut joined = Code::default();
    for code in codes {
        let start = joined.insns.len();
        starts.push(start);
        joined.insns.extend(code.insns);
        joined.spans.extend(code.spans);
        joined.relocs.extend(code.relocs.into_iter().map(|mut reloc| {
            reloc.insn += start as u32;
            reloc
        }));
        joined.links.extend(code.links.into_iter().map(|link| Link { insn: link.insn + start, ..link }));
        joined
            .funcs
            .extend(code.funcs.into_iter().map(|func| FuncStart { at: func.at + start as u32, ..func }));
    }
    for link in std::mem::take(&mut joined.links) {
        let part = place.get(link.func.0 as usize).copied().flatten();
        // Everything that is called was collected.
        let Some(target) = part.and_then(|part| starts.get(part)) else { continue };
        let distance = *target as i64 - link.insn as i64 - 1;
        // A program has far fewer than 2^31 instructions.
        let distance = distance as i32;
        let insn = &mut joined.insns[link.insn];
        if insn.is_ld_imm64() {
            let dst = Reg::new(insn.dst).unwrap_or(Reg::R0);
            let pair = skep_isa::Insn::ld_imm64(dst, Imm64::Func(distance));
            joined.insns[link.insn..link.insn + 2].copy_from_slice(&pair);
        } else {
            insn.imm = distance;
        }
    }
    joined
}
