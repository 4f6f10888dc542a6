//! Runs a function of the IR as it stands: the reference for what it means, which optimisation and bytecode must
//! not change.
//!
//! Memory, maps and helpers are those of [`skep_isa::interp`], so a function and the bytecode made from it
//! can be run side by side and everything they leave behind compared. Reading bytes of an object that were
//! never written is a fault here as there.

use rustc_hash::FxHashMap;
use skep_isa::helpers::id;
use skep_isa::interp::{Env, Fault, Memory, RegionKind};
use skep_isa::{Imm64, Size};
use skep_lang::hir::Runtime;

use super::{BinOp, BlockId, CmpOp, Edge, Func, Home, Inst, Op, Term, Value, Width};

/// What the places of a program are filled with that depend on the run.
pub struct Links<'a> {
    /// The functions that programs call.
    pub subs: &'a [Func],
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

/// The upper half of a function's address; the lower half is its number. No object has this number.
const FUNCTION: u64 = 0xffff_d000;

/// The most rounds that `bpf_loop` takes.
const MAX_LOOPS: u64 = 1 << 23;

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
    let mut machine = Machine { links, env, memory, ctx, common: FxHashMap::default(), steps: 0 };
    let result = machine.call(func, &[]).and_then(|result| {
        let end = machine.env.finish();
        end.map(|()| result).map_err(|fault| Trap { block: BlockId(0), what: "return".into(), fault })
    });
    for object in machine.common.values().chain([&ctx]) {
        // They were made for this run and nothing else frees them.
        let _ = machine.memory.free(*object);
    }
    result
}

/// What all functions of a program share in a run.
struct Machine<'a> {
    links: &'a Links<'a>,
    env: &'a mut dyn Env,
    memory: &'a mut Memory,
    ctx: u64,
    /// Addresses of the memory that functions share, by its number.
    common: FxHashMap<u32, u64>,
    steps: u64,
}

impl Machine<'_> {
    /// Runs a function with memory of its own.
    fn call(&mut self, func: &Func, args: &[u64]) -> Result<u64, Trap> {
        let mut own = Vec::new();
        let mut objects = Vec::with_capacity(func.objects.len());
        for object in &func.objects {
            let size = object.size as usize;
            objects.push(match object.home {
                Home::Common(number) => {
                    let memory = &mut *self.memory;
                    let made = || memory.alloc_uninit(RegionKind::MapValue, size);
                    *self.common.entry(number).or_insert_with(made)
                }
                _ => {
                    let made = self.memory.alloc_uninit(RegionKind::Stack, size);
                    own.push(made);
                    made
                }
            });
        }
        let mut frame = Frame { machine: self, func, objects, values: vec![0; func.values.len()] };
        for (param, arg) in func.params.iter().zip(args) {
            frame.set(*param, *arg);
        }
        let result = frame.blocks();
        for object in own {
            // They were made above and nothing else frees them.
            let _ = self.memory.free(object);
        }
        result
    }

    /// Calls a function by its address, as helpers do.
    fn call_back(&mut self, address: u64, args: &[u64]) -> Result<u64, Trap> {
        let func = if address >> 32 == FUNCTION {
            self.links.subs.get((address & 0xffff_ffff) as usize)
        } else {
            None
        };
        match func {
            Some(func) => self.call(func, args),
            None => {
                Err(Trap { block: BlockId(0), what: "call back".into(), fault: Fault::BadFunction(address) })
            }
        }
    }
}

/// One call of a function.
struct Frame<'f, 'm, 'a> {
    machine: &'m mut Machine<'a>,
    func: &'f Func,
    /// Address of each object.
    objects: Vec<u64>,
    values: Vec<u64>,
}

impl Frame<'_, '_, '_> {
    fn blocks(&mut self) -> Result<u64, Trap> {
        let func = self.func;
        let mut id = BlockId(0);
        loop {
            let trap = |what: String, fault| Trap { block: id, what, fault };
            let Some(block) = func.block(id) else {
                return Err(trap("jump".into(), Fault::OutsideProgram));
            };
            for Inst { result, op, .. } in &block.insts {
                let value = match self.calls_back(op)? {
                    Some(value) => value,
                    None => self.op(op, result.is_some()).map_err(|fault| trap(op.to_string(), fault))?,
                };
                if let Some(result) = result {
                    self.set(*result, value);
                }
            }
            self.step().map_err(|fault| trap(block.term.to_string(), fault))?;
            let edge = match &block.term {
                Term::Return(value) => return Ok(self.get(*value)),
                Term::Jump(edge) => edge,
                Term::Branch { op, lhs, rhs, then, otherwise } => {
                    if op.holds(self.get(*lhs), self.get(*rhs)) { then } else { otherwise }
                }
            };
            id = self.enter(edge);
        }
    }

    /// The result of an operation that runs other functions of the module; `None` for all others.
    fn calls_back(&mut self, op: &Op) -> Result<Option<u64>, Trap> {
        let fault = |fault| Trap { block: BlockId(0), what: op.to_string(), fault };
        match op {
            Op::CallFunc { func, args } => {
                let args: Vec<u64> = args.iter().map(|arg| self.get(*arg)).collect();
                let address = FUNCTION << 32 | u64::from(func.0);
                self.machine.call_back(address, &args).map(Some)
            }
            Op::Call { helper: id::LOOP, args, .. } => {
                let [count, function, data, _] = args[..] else { return Ok(None) };
                let count = u64::from(self.get(count) as u32);
                if count > MAX_LOOPS {
                    const E2BIG: i64 = -7;
                    return Ok(Some(E2BIG as u64));
                }
                for round in 0..count {
                    self.step().map_err(fault)?;
                    let (function, data) = (self.get(function), self.get(data));
                    if self.machine.call_back(function, &[round, data])? != 0 {
                        return Ok(Some(round + 1));
                    }
                }
                Ok(Some(count))
            }
            Op::Call { helper: id::FOR_EACH_MAP_ELEM, args, .. } => {
                let [map, function, data, _] = args[..] else { return Ok(None) };
                let [map, function, data] = [map, function, data].map(|value| self.get(value));
                let machine = &mut *self.machine;
                let entries = machine.env.map_entries(map, machine.memory).map_err(fault)?;
                let mut seen = 0;
                for (key, value) in entries {
                    let key = machine.memory.alloc(RegionKind::MapKey, key);
                    let stop = machine.call_back(function, &[map, key, value, data])?;
                    machine.memory.free(key).map_err(fault)?;
                    seen += 1;
                    if stop != 0 {
                        break;
                    }
                }
                Ok(Some(seen))
            }
            _ => Ok(None),
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
            Op::Ctx => self.machine.ctx,
            Op::FuncAddr(func) => FUNCTION << 32 | u64::from(func.0),
            // See `calls_back`.
            Op::CallFunc { .. } => 0,
            Op::ObjectAddr(object, offset) => {
                let base = self.objects.get(object.0 as usize).copied().unwrap_or(0);
                base.wrapping_add(u64::from(*offset))
            }
            Op::Map(map) => {
                let fd = self.fd(map.0)?;
                self.machine.env.ld_imm64(Imm64::MapFd(fd), self.machine.memory)?
            }
            Op::MapValue(map, off) => {
                let fd = self.fd(map.0)?;
                self.machine.env.ld_imm64(Imm64::MapValue { fd, off: *off }, self.machine.memory)?
            }
            Op::Runtime(what) => (self.machine.links.runtime)(*what),
            Op::Cookie(ctx) => {
                let args = [self.get(*ctx), 0, 0, 0, 0];
                self.machine.env.helper(id::GET_ATTACH_COOKIE, args, self.machine.memory)?
            }
            Op::Bin(op, a, b) => op.apply(self.get(*a), self.get(*b)),
            Op::Cmp(op, a, b) => op.holds(self.get(*a), self.get(*b)).into(),
            Op::Extend { from, signed, value } => extend(self.get(*value), *from, *signed),
            Op::ByteSwap(width, value) => swap_bytes(self.get(*value), *width),
            Op::Load { width, signed, addr, offset } => {
                let value = self.machine.memory.load(self.place(*addr, *offset), size(*width))?;
                extend(value, *width, *signed)
            }
            Op::Store { width, addr, offset, value } => {
                self.machine.memory.store(self.place(*addr, *offset), size(*width), self.get(*value))?;
                0
            }
            Op::AtomicAdd { width, addr, offset, value } => {
                let place = self.place(*addr, *offset);
                let old = self.machine.memory.load(place, size(*width))?;
                self.machine.memory.store(place, size(*width), old.wrapping_add(self.get(*value)))?;
                if wants_result { old } else { 0 }
            }
            Op::Zero { addr, offset, len, .. } => {
                self.machine.memory.write_arg(self.place(*addr, *offset), &vec![0; *len as usize])?;
                0
            }
            Op::Copy { dst, dst_offset, src, src_offset, len, .. } => {
                let bytes =
                    self.machine.memory.read_arg(self.place(*src, *src_offset), *len as usize)?.to_vec();
                self.machine.memory.write_arg(self.place(*dst, *dst_offset), &bytes)?;
                0
            }
            Op::Call { helper, args, .. } => {
                let mut five = [0; 5];
                five.iter_mut().zip(args).for_each(|(to, arg)| *to = self.get(*arg));
                self.machine.env.helper(*helper, five, self.machine.memory)?
            }
        })
    }

    fn step(&mut self) -> Result<(), Fault> {
        let steps = &mut self.machine.steps;
        *steps += 1;
        if *steps > STEP_LIMIT { Err(Fault::StepLimit(STEP_LIMIT)) } else { Ok(()) }
    }

    fn fd(&self, map: u32) -> Result<i32, Fault> {
        self.machine.links.maps.get(map as usize).copied().ok_or(Fault::BadMap(map.into()))
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
