//! The machine: registers, frames, one step per instruction.

use super::{Env, Fault, Memory, RegionKind, Trap, alu, compare};
use crate::helpers::{Ret, helper_by_id, id};
use crate::{AluOp, AtomicOp, Endian, Error, Imm64, Insn, Op, Operand, Reg, Size, Width};

/// How many frames calls may nest, the main function's included.
pub(super) const MAX_FRAMES: usize = 8;
/// Bytes of stack in each frame.
const STACK: usize = 512;
/// How often `may_goto` falls through in one frame before it jumps; the number of kernels that do not time
/// it.
const MAY_GOTO_BUDGET: u32 = 1 << 23;
/// The most iterations `bpf_loop` takes.
const MAX_LOOPS: u64 = 1 << 23;
/// The upper half of a function pointer; the lower half is its slot. No object has this number.
const FUNCTION: u64 = 0xffff_f000;

/// A program ready to run.
#[derive(Clone, Debug)]
pub struct Interp {
    slots: Vec<Slot>,
    step_limit: u64,
    may_goto_budget: u32,
    null_loads: bool,
}

/// A decoded slot. What is wrong with an instruction matters only when control reaches it.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Op(Op),
    Imm(Reg, Imm64),
    Bad(Error),
}

impl Interp {
    /// Decodes a program. The step limit is a million.
    #[must_use]
    pub fn new(program: &[Insn]) -> Self {
        let slots = program
            .iter()
            .enumerate()
            .map(|(at, insn)| match insn.kind() {
                Ok(Op::LoadImm64 { dst }) => match Imm64::from_pair(*insn, program.get(at + 1).copied()) {
                    Ok(imm) => Slot::Imm(dst, imm),
                    Err(error) => Slot::Bad(error),
                },
                Ok(op) => Slot::Op(op),
                Err(error) => Slot::Bad(error),
            })
            .collect();
        Self { slots, step_limit: 1_000_000, may_goto_budget: MAY_GOTO_BUDGET, null_loads: false }
    }

    /// Sets how many instructions a run may execute.
    #[must_use]
    pub fn step_limit(self, steps: u64) -> Self {
        Self { step_limit: steps, ..self }
    }

    /// Sets how often `may_goto` falls through in one frame before it jumps. The default is 8,388,608.
    #[must_use]
    pub fn may_goto_budget(self, times: u32) -> Self {
        Self { may_goto_budget: times, ..self }
    }

    /// Makes loads from an address in no object give 0, as the kernel does for loads through BTF pointers,
    /// which may be null. The interpreter cannot tell those loads from others, so this is for all of them;
    /// addresses that stray out of a live object remain faults.
    #[must_use]
    pub fn null_loads(self, give_zero: bool) -> Self {
        Self { null_loads: give_zero, ..self }
    }

    /// Runs the program on a context of these bytes, to its exit. Returns r0.
    ///
    /// # Errors
    /// A [`Trap`] at the first thing the kernel's verifier would have refused, or that is not simulated.
    pub fn run(&self, ctx: &[u8], env: &mut dyn Env, memory: &mut Memory) -> Result<u64, Trap> {
        let ctx = memory.alloc(RegionKind::Context, ctx.to_vec());
        let mut machine =
            Machine { interp: self, env, memory, steps: 0, stacks: Vec::new(), depth: 0, pc: 0 };
        let result = machine.main(ctx);
        let pc = machine.pc;
        let stacks = std::mem::take(&mut machine.stacks);
        for object in stacks.into_iter().chain([ctx]) {
            // A frame that returned has been freed already.
            let _ = memory.free(object);
        }
        result.map_err(|fault| Trap { pc, fault })
    }
}

struct Machine<'a> {
    interp: &'a Interp,
    env: &'a mut dyn Env,
    memory: &'a mut Memory,
    steps: u64,
    /// The stack objects made so far, by depth.
    stacks: Vec<u64>,
    depth: usize,
    /// The current instruction, for the trap.
    pc: usize,
}

/// The registers; `None` holds nothing.
struct Registers([Option<u64>; Reg::COUNT]);

impl Registers {
    fn get(&self, reg: Reg) -> Result<u64, Fault> {
        self.peek(reg).ok_or(Fault::UninitRegister(reg))
    }

    fn peek(&self, reg: Reg) -> Option<u64> {
        self.0.get(reg.index()).copied().flatten()
    }

    fn operand(&self, operand: Operand) -> Result<u64, Fault> {
        match operand {
            Operand::Reg(reg) => self.get(reg),
            Operand::Imm(imm) => Ok(i64::from(imm) as u64),
        }
    }

    fn set(&mut self, reg: Reg, value: impl Into<Option<u64>>) -> Result<(), Fault> {
        if reg == Reg::R10 {
            return Err(Fault::FramePointer);
        }
        if let Some(slot) = self.0.get_mut(reg.index()) {
            *slot = value.into();
        }
        Ok(())
    }

    fn args(&self) -> [Option<u64>; 5] {
        [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5].map(|reg| self.peek(reg))
    }

    /// Ends a call: its result is in r0, the argument registers are gone.
    fn returned(&mut self, result: Option<u64>) {
        let [r0, r1, r2, r3, r4, r5, ..] = &mut self.0;
        *r0 = result;
        for reg in [r1, r2, r3, r4, r5] {
            *reg = None;
        }
    }
}

impl Machine<'_> {
    fn main(&mut self, ctx: u64) -> Result<u64, Fault> {
        let result = self.call(0, [Some(ctx), None, None, None, None])?;
        let r0 = result.ok_or(Fault::UninitRegister(Reg::R0))?;
        self.env.finish()?;
        Ok(r0)
    }

    /// Runs the function that starts at slot `entry` in a frame of its own.
    fn call(&mut self, entry: usize, [a1, a2, a3, a4, a5]: [Option<u64>; 5]) -> Result<Option<u64>, Fault> {
        if self.depth == MAX_FRAMES {
            return Err(Fault::CallDepth);
        }
        let stack = match self.stacks.get(self.depth) {
            Some(&stack) => {
                self.memory.revive(stack, STACK);
                stack
            }
            None => {
                let stack = self.memory.alloc_uninit(RegionKind::Stack, STACK);
                self.stacks.push(stack);
                stack
            }
        };
        let frame_pointer = Some(stack + STACK as u64);
        let mut regs = Registers([None, a1, a2, a3, a4, a5, None, None, None, None, frame_pointer]);

        self.depth += 1;
        let mut may_goto = self.interp.may_goto_budget;
        let mut pc = entry as i64;
        while let Some(next) = self.step(pc, &mut regs, &mut may_goto)? {
            pc = next;
        }
        self.depth -= 1;
        self.memory.free(stack)?;
        Ok(regs.peek(Reg::R0))
    }

    /// Executes one instruction. Returns the slot of the next, or `None` at the function's exit.
    fn step(&mut self, pc: i64, regs: &mut Registers, may_goto: &mut u32) -> Result<Option<i64>, Fault> {
        let at = usize::try_from(pc).map_err(|_| Fault::OutsideProgram)?;
        let slot = *self.interp.slots.get(at).ok_or(Fault::OutsideProgram)?;
        self.pc = at;
        self.steps += 1;
        if self.steps > self.interp.step_limit {
            return Err(Fault::StepLimit(self.interp.step_limit));
        }
        let op = match slot {
            Slot::Bad(error) => return Err(error.into()),
            Slot::Imm(dst, imm) => {
                let value = self.imm64(at, imm)?;
                regs.set(dst, value)?;
                return Ok(Some(pc + 2));
            }
            Slot::Op(op) => op,
        };

        let next = pc + 1;
        match op {
            Op::Alu { width, op, dst, src } => {
                let src = regs.operand(src)?;
                // A move does not read its destination.
                let old = if op == AluOp::Mov { 0 } else { regs.get(dst)? };
                regs.set(dst, alu(width, op, old, src))?;
            }
            Op::MovSx { width, from, dst, src } => {
                let value = sign_extend(from, regs.get(src)?);
                regs.set(dst, truncate(width, value))?;
            }
            Op::Neg { width, dst } => {
                let value = regs.get(dst)?.wrapping_neg();
                regs.set(dst, truncate(width, value))?;
            }
            Op::Endian { order, size, dst } => {
                let value = convert(order, size, regs.get(dst)?);
                regs.set(dst, value)?;
            }
            Op::Load { size, signed, dst, base, off } => {
                let value = self.load(address(regs.get(base)?, off), size)?;
                regs.set(dst, if signed { sign_extend(size, value) } else { value })?;
            }
            Op::Store { size, base, off, src } => {
                let value = regs.operand(src)?;
                self.memory.store(address(regs.get(base)?, off), size, value)?;
            }
            Op::Atomic { size, op, base, off, reg } => {
                let addr = address(regs.get(base)?, off);
                self.atomic(size, op, addr, reg, regs)?;
            }
            Op::Jump { off } => return Ok(Some(next + i64::from(off))),
            Op::Branch { width, op, dst, src, off } => {
                if compare(width, op, regs.get(dst)?, regs.operand(src)?) {
                    return Ok(Some(next + i64::from(off)));
                }
            }
            Op::MayGoto { off } => match may_goto.checked_sub(1) {
                Some(left) => *may_goto = left,
                None => return Ok(Some(next + i64::from(off))),
            },
            Op::CallHelper { id } => {
                let result = self.helper(id, regs.args())?;
                regs.returned(result);
            }
            Op::CallKfunc { btf_id, fd_idx } => {
                let args = regs.args().map(Option::unwrap_or_default);
                let result = self.env.kfunc(btf_id, fd_idx, args, self.memory)?;
                regs.returned(Some(result));
            }
            Op::CallRel { imm } => {
                let entry = usize::try_from(next + i64::from(imm)).map_err(|_| Fault::OutsideProgram)?;
                let result = self.call(entry, regs.args())?;
                regs.returned(result);
            }
            Op::Exit => return Ok(None),
            // Never met: decoding made a slot of its own of every 64-bit load.
            Op::LoadImm64 { .. } => return Err(Fault::Unsupported("half a 64-bit load")),
            Op::LoadPacket { .. } => return Err(Fault::Unsupported("legacy packet access")),
            Op::AddrSpaceCast { .. } => return Err(Fault::Unsupported("an arena address")),
            Op::JumpIndirect { .. } => return Err(Fault::Unsupported("an indirect jump")),
        }
        Ok(Some(next))
    }

    fn imm64(&mut self, at: usize, imm: Imm64) -> Result<u64, Fault> {
        match imm {
            Imm64::Value(value) => Ok(value),
            Imm64::Func(rel) => {
                let entry = at as i64 + 1 + i64::from(rel);
                let entry = u32::try_from(entry).map_err(|_| Fault::OutsideProgram)?;
                Ok(FUNCTION << 32 | u64::from(entry))
            }
            other => self.env.ld_imm64(other, self.memory),
        }
    }

    fn load(&self, addr: u64, size: Size) -> Result<u64, Fault> {
        match self.memory.load(addr, size) {
            Err(Fault::NoObject { .. }) if self.interp.null_loads => Ok(0),
            result => result,
        }
    }

    fn atomic(
        &mut self,
        size: Size,
        op: AtomicOp,
        addr: u64,
        reg: Reg,
        regs: &mut Registers,
    ) -> Result<(), Fault> {
        if op == AtomicOp::LoadAcquire {
            let value = self.memory.load(addr, size)?;
            return regs.set(reg, value);
        }
        let operand = regs.get(reg)?;
        if op == AtomicOp::StoreRelease {
            return self.memory.store(addr, size, operand);
        }

        let old = self.memory.load(addr, size)?;
        let (new, result) = match op {
            AtomicOp::Add { fetch } => (old.wrapping_add(operand), fetch.then_some(reg)),
            AtomicOp::Or { fetch } => (old | operand, fetch.then_some(reg)),
            AtomicOp::And { fetch } => (old & operand, fetch.then_some(reg)),
            AtomicOp::Xor { fetch } => (old ^ operand, fetch.then_some(reg)),
            AtomicOp::CmpXchg => {
                let expected = zero_extend(size, regs.get(Reg::R0)?);
                (if old == expected { operand } else { old }, Some(Reg::R0))
            }
            // Loads and stores are done with above.
            AtomicOp::Xchg | AtomicOp::LoadAcquire | AtomicOp::StoreRelease => (operand, Some(reg)),
        };
        self.memory.store(addr, size, new)?;
        result.map_or(Ok(()), |reg| regs.set(reg, old))
    }

    /// Calls a helper; those that call functions of the program back are the machine's own business.
    fn helper(&mut self, number: u32, given: [Option<u64>; 5]) -> Result<Option<u64>, Fault> {
        let signature = helper_by_id(number).and_then(|helper| helper.signature);
        let names = [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];
        for (reg, arg) in names.into_iter().zip(given).take(signature.map_or(0, |s| s.args.len())) {
            arg.ok_or(Fault::UninitRegister(reg))?;
        }
        let args = given.map(Option::unwrap_or_default);
        let [a1, a2, a3, a4, _] = args;
        let result = match number {
            id::LOOP => self.bpf_loop(a1, a2, a3, a4)?,
            id::FOR_EACH_MAP_ELEM => self.for_each(a1, a2, a3, a4)?,
            _ => self.env.helper(number, args, self.memory)?,
        };
        Ok((signature.map(|s| s.ret) != Some(Ret::Void)).then_some(result))
    }

    fn bpf_loop(&mut self, count: u64, function: u64, ctx: u64, flags: u64) -> Result<u64, Fault> {
        const EINVAL: i64 = -22;
        const E2BIG: i64 = -7;
        // The count is a 32-bit argument.
        let count = u64::from(count as u32);
        if flags != 0 {
            return Ok(EINVAL as u64);
        }
        if count > MAX_LOOPS {
            return Ok(E2BIG as u64);
        }
        for i in 0..count {
            let stop = self.callback(function, [Some(i), Some(ctx), None, None, None])?;
            if stop != 0 {
                return Ok(i + 1);
            }
        }
        Ok(count)
    }

    fn for_each(&mut self, map: u64, function: u64, ctx: u64, flags: u64) -> Result<u64, Fault> {
        const EINVAL: i64 = -22;
        if flags != 0 {
            return Ok(EINVAL as u64);
        }
        let mut seen = 0;
        for (key, value) in self.env.map_entries(map, self.memory)? {
            let key = self.memory.alloc(RegionKind::MapKey, key);
            let stop = self.callback(function, [Some(map), Some(key), Some(value), Some(ctx), None])?;
            self.memory.free(key)?;
            seen += 1;
            if stop != 0 {
                break;
            }
        }
        Ok(seen)
    }

    fn callback(&mut self, function: u64, args: [Option<u64>; 5]) -> Result<u64, Fault> {
        if function >> 32 != FUNCTION {
            return Err(Fault::BadFunction(function));
        }
        let call_site = self.pc;
        let entry = usize::try_from(function & 0xffff_ffff).map_err(|_| Fault::BadFunction(function))?;
        let result = self.call(entry, args)?.ok_or(Fault::UninitRegister(Reg::R0))?;
        self.pc = call_site;
        Ok(result)
    }
}

fn address(base: u64, off: i16) -> u64 {
    base.wrapping_add_signed(off.into())
}

fn truncate(width: Width, value: u64) -> u64 {
    match width {
        Width::W64 => value,
        Width::W32 => u64::from(value as u32),
    }
}

fn zero_extend(size: Size, value: u64) -> u64 {
    match size {
        Size::B => u64::from(value as u8),
        Size::H => u64::from(value as u16),
        Size::W => u64::from(value as u32),
        Size::DW => value,
    }
}

fn sign_extend(size: Size, value: u64) -> u64 {
    match size {
        Size::B => value as i8 as u64,
        Size::H => value as i16 as u64,
        Size::W => value as i32 as u64,
        Size::DW => value,
    }
}

fn convert(order: Endian, size: Size, value: u64) -> u64 {
    let swap = order != Endian::Le;
    match size {
        _ if !swap => zero_extend(size, value),
        Size::B => u64::from(value as u8),
        Size::H => u64::from((value as u16).swap_bytes()),
        Size::W => u64::from((value as u32).swap_bytes()),
        Size::DW => value.swap_bytes(),
    }
}
