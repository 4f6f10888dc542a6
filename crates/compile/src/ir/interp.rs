//! Runs a function of the IR as it stands: the reference for what it means, which optimisation and bytecode must
//! not change.
//!
//! Memory, maps and helpers are those of [`skep_isa::interp`], so a function and the bytecode made from it
//! can be run side by side and everything they leave behind compared. Reading bytes of an object that were
//! never written is a fault here as there.

use skep_isa::interp::{Env, Fault, Memory, RegionKind};
use skep_isa::{Imm64, Size};
use skep_lang::hir::Runtime;

use super::{BinOp, BlockId, CmpOp, Edge, Func, Inst, Op, Term, Value, Width};

/// What the places of a program are filled with that depend on the run.
pub struct Links<'a> {
    /// The file descriptor of each map.
    pub maps: &'a [i32],
    /// The constants of the run.
    pub runtime: &'a dyn Fn(Runtime) -> u64,
}

/// Why a run ended without a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{block}, `{what}`: {fault}")]
pub struct Trap {
    /// Where.
    pub block: BlockId,
    /// The operation.
    pub what: String,
    /// Why.
    pub fault: Fault,
}

/// The most operations of one run.
const STEP_LIMIT: u64 = 1_000_000;

/// Runs a function that has passed [`super::verify::verify`] on a context of these bytes. Returns its result.
///
/// # Errors
/// A [`Trap`] at the first thing that a program must not do.
pub fn run(
    func: &Func,
    links: &Links<'_>,
    ctx: &[u8],
    env: &mut dyn Env,
    memory: &mut Memory,
) -> Result<u64, Trap> {
    let ctx = memory.alloc(RegionKind::Context, ctx.to_vec());
    let objects: Vec<u64> = func
        .objects
        .iter()
        .map(|object| memory.alloc_uninit(RegionKind::Stack, object.size as usize))
        .collect();
    let values = vec![0; func.values.len()];
    let mut machine = Machine { func, links, env, memory, ctx, objects, values, steps: 0 };
    let result = machine.blocks();
    for object in machine.objects.iter().chain([&ctx]) {
        // They were made above and nothing else frees them.
        let _ = machine.memory.free(*object);
    }
    result
}

struct Machine<'a> {
    func: &'a Func,
    links: &'a Links<'a>,
    env: &'a mut dyn Env,
    memory: &'a mut Memory,
    ctx: u64,
    /// Address of each object.
    objects: Vec<u64>,
    values: Vec<u64>,
    steps: u64,
}

impl Machine<'_> {
    fn blocks(&mut self) -> Result<u64, Trap> {
        let func = self.func;
        let mut id = BlockId(0);
        loop {
            let trap = |what: String, fault| Trap { block: id, what, fault };
            let Some(block) = func.block(id) else {
                return Err(trap("jump".into(), Fault::OutsideProgram));
            };
            for Inst { result, op, .. } in &block.insts {
                let value = self.op(op, result.is_some()).map_err(|fault| trap(op.to_string(), fault))?;
                if let Some(result) = result {
                    self.set(*result, value);
                }
            }
            self.step().map_err(|fault| trap(block.term.to_string(), fault))?;
            let edge = match &block.term {
                Term::Return(value) => {
                    let result = self.get(*value);
                    let end = self.env.finish().map_err(|fault| trap(block.term.to_string(), fault));
                    return end.map(|()| result);
                }
                Term::Jump(edge) => edge,
                Term::Branch { op, lhs, rhs, then, otherwise } => {
                    if op.holds(self.get(*lhs), self.get(*rhs)) { then } else { otherwise }
                }
            };
            id = self.enter(edge);
        }
    }

    fn enter(&mut self, edge: &Edge) -> BlockId {
        // All arguments are read before any parameter is written: a block may swap its own parameters.
        let args: Vec<u64> = edge.args.iter().map(|arg| self.get(*arg)).collect();
        if let Some(block) = self.func.block(edge.to) {
            block.params.iter().zip(args).for_each(|(param, arg)| self.set(*param, arg));
        }
        edge.to
    }

    fn op(&mut self, op: &Op, wants_result: bool) -> Result<u64, Fault> {
        self.step()?;
        Ok(match op {
            Op::Const(value) => *value as u64,
            Op::Ctx => self.ctx,
            Op::ObjectAddr(object, offset) => {
                let base = self.objects.get(object.0 as usize).copied().unwrap_or(0);
                base.wrapping_add(u64::from(*offset))
            }
            Op::Map(map) => {
                let fd = self.fd(map.0)?;
                self.env.ld_imm64(Imm64::MapFd(fd), self.memory)?
            }
            Op::MapValue(map, off) => {
                let fd = self.fd(map.0)?;
                self.env.ld_imm64(Imm64::MapValue { fd, off: *off }, self.memory)?
            }
            Op::Runtime(what) => (self.links.runtime)(*what),
            Op::Cookie(ctx) => {
                let args = [self.get(*ctx), 0, 0, 0, 0];
                self.env.helper(skep_isa::helpers::id::GET_ATTACH_COOKIE, args, self.memory)?
            }
            Op::Bin(op, a, b) => op.apply(self.get(*a), self.get(*b)),
            Op::Cmp(op, a, b) => op.holds(self.get(*a), self.get(*b)).into(),
            Op::Extend { from, signed, value } => extend(self.get(*value), *from, *signed),
            Op::ByteSwap(width, value) => swap_bytes(self.get(*value), *width),
            Op::Load { width, signed, addr, offset } => {
                let value = self.memory.load(self.place(*addr, *offset), size(*width))?;
                extend(value, *width, *signed)
            }
            Op::Store { width, addr, offset, value } => {
                self.memory.store(self.place(*addr, *offset), size(*width), self.get(*value))?;
                0
            }
            Op::AtomicAdd { width, addr, offset, value } => {
                let place = self.place(*addr, *offset);
                let old = self.memory.load(place, size(*width))?;
                self.memory.store(place, size(*width), old.wrapping_add(self.get(*value)))?;
                if wants_result { old } else { 0 }
            }
            Op::Zero { addr, offset, len, .. } => {
                self.memory.write_arg(self.place(*addr, *offset), &vec![0; *len as usize])?;
                0
            }
            Op::Copy { dst, dst_offset, src, src_offset, len, .. } => {
                let bytes = self.memory.read_arg(self.place(*src, *src_offset), *len as usize)?.to_vec();
                self.memory.write_arg(self.place(*dst, *dst_offset), &bytes)?;
                0
            }
            Op::Call { helper, args, .. } => {
                let mut five = [0; 5];
                five.iter_mut().zip(args).for_each(|(to, arg)| *to = self.get(*arg));
                self.env.helper(*helper, five, self.memory)?
            }
        })
    }

    fn step(&mut self) -> Result<(), Fault> {
        self.steps += 1;
        if self.steps > STEP_LIMIT { Err(Fault::StepLimit(STEP_LIMIT)) } else { Ok(()) }
    }

    fn fd(&self, map: u32) -> Result<i32, Fault> {
        self.links.maps.get(map as usize).copied().ok_or(Fault::BadMap(map.into()))
    }

    fn place(&self, addr: Value, offset: i32) -> u64 {
        self.get(addr).wrapping_add_signed(offset.into())
    }

    fn get(&self, value: Value) -> u64 {
        self.values.get(value.0 as usize).copied().unwrap_or(0)
    }

    fn set(&mut self, value: Value, to: u64) {
        if let Some(slot) = self.values.get_mut(value.0 as usize) {
            *slot = to;
        }
    }
}

impl BinOp {
    /// What it computes.
    pub fn apply(self, a: u64, b: u64) -> u64 {
        let (signed_a, signed_b) = (a as i64, b as i64);
        match self {
            BinOp::Add => a.wrapping_add(b),
            BinOp::Sub => a.wrapping_sub(b),
            BinOp::Mul => a.wrapping_mul(b),
            BinOp::UDiv => a.checked_div(b).unwrap_or(0),
            BinOp::UMod => a.checked_rem(b).unwrap_or(a),
            BinOp::SDiv if b == 0 => 0,
            BinOp::SDiv => signed_a.wrapping_div(signed_b) as u64,
            BinOp::SMod if b == 0 => a,
            BinOp::SMod => signed_a.wrapping_rem(signed_b) as u64,
            BinOp::And => a & b,
            BinOp::Or => a | b,
            BinOp::Xor => a ^ b,
            // Wrapping shifts use the low 6 bits of the amount.
            BinOp::Shl => a.wrapping_shl(b as u32),
            BinOp::LShr => a.wrapping_shr(b as u32),
            BinOp::AShr => signed_a.wrapping_shr(b as u32) as u64,
        }
    }
}

impl CmpOp {
    /// Whether it holds.
    pub fn holds(self, a: u64, b: u64) -> bool {
        let (signed_a, signed_b) = (a as i64, b as i64);
        match self {
            CmpOp::Eq => a == b,
            CmpOp::Ne => a != b,
            CmpOp::ULt => a < b,
            CmpOp::ULe => a <= b,
            CmpOp::UGt => a > b,
            CmpOp::UGe => a >= b,
            CmpOp::SLt => signed_a < signed_b,
            CmpOp::SLe => signed_a <= signed_b,
            CmpOp::SGt => signed_a > signed_b,
            CmpOp::SGe => signed_a >= signed_b,
        }
    }
}

/// The low bits of a value, extended to 64 by the sign or zeroes.
pub fn extend(value: u64, from: Width, signed: bool) -> u64 {
    let unused = 64 - from.bits();
    let high = value << unused;
    if signed { (high as i64 >> unused) as u64 } else { high >> unused }
}

/// The low bytes of a value in reverse order, zeroes above.
pub fn swap_bytes(value: u64, width: Width) -> u64 {
    value.swap_bytes() >> (64 - width.bits())
}

fn size(width: Width) -> Size {
    match width {
        Width::W8 => Size::B,
        Width::W16 => Size::H,
        Width::W32 => Size::W,
        Width::W64 => Size::DW,
    }
}
