//! Chooses instructions: legalized IR to BPF on virtual registers.
//!
//! Constants, maps, addresses on the stack and constants of the runtime cost at most two instructions, so they
//! are made anew at each use and never keep a register busy. Everything else has one virtual register for
//! all of its life, with one exception. Older verifiers learn from a comparison only about the very register
//! that is compared, not about copies of it in other registers or on the stack (Linux before 6.8). So a number
//! that is compared with a constant gets a new virtual register there: whatever comes after the comparison
//! uses that one, and it cannot be a copy from before.

use regalloc2::{Block as MBlockId, Inst as MInstId, InstRange, Operand, PRegSet, RegClass, VReg};
use rustc_hash::FxHashMap;
use skep_isa::helpers::id;
use skep_isa::{AluOp, JmpOp, Reg, Size};
use skep_ui::Span;

use super::frame::{Frame, Slot};
use super::layout;
use super::machine::{ARGUMENTS, Base, MBlock, MFunc, MInst, MOp, preg};
use crate::ir::cfg::Cfg;
use crate::ir::{BinOp, BlockId, CmpOp, Func, Inst, MapRef, ObjectId, Op, Term, Value, ValueTy, Width};

/// The map for what the frame does not hold.
#[derive(Clone, Copy, Debug)]
pub struct Scratch {
    /// Which.
    pub map: MapRef,
    /// Whether it has an entry for each CPU, instead of a value that each CPU has of its own.
    pub by_cpu: bool,
}

/// Translates a legalized function with split edges. `scratch` is the map for what the frame does not hold; it
/// must be there if the frame needs one.
pub fn select(func: &Func, frame: &Frame, scratch: Option<Scratch>) -> MFunc {
    let cfg = Cfg::of(func);
    let defs: Vec<Option<&Op>> =
        func.definitions().into_iter().map(|inst| inst.map(|inst| &inst.op)).collect();
    let order = layout::order(func, &cfg, &defs);
    let lookup = scratch.and_then(|map| Some((first_need(func, frame, &cfg, &defs)?, map)));
    let mut selector = Selector {
        func,
        frame,
        defs,
        cfg: &cfg,
        lookup,
        exit: MBlockId::new(order.len() + 1),
        checked: FxHashMap::default(),
        at: BlockId(0),
        ctx: None,
        scratch: None,
        out: MFunc { vregs: func.values.len(), ..MFunc::default() },
        first: 0,
        span: func.blocks.first().map_or(Span::GENERATED, |entry| entry.term_span),
    };
    let mut place = vec![0; func.blocks.len()];
    let mut next = 0;
    for &block in &order {
        place[block.0 as usize] = next;
        // The lookup splits its block in two.
        next += if lookup.is_some_and(|(home, _)| home == block) { 2 } else { 1 };
    }
    selector.entry();
    for &block in &order {
        selector.block(block, &place);
    }
    if lookup.is_some() {
        selector.exit();
    }
    let mut out = selector.out;
    for from in 0..out.blocks.len() {
        for to in out.blocks[from].succs.clone() {
            out.blocks[to.index()].preds.push(MBlockId::new(from));
        }
    }
    out
}

/// The last block that comes before everything that needs the scratch value, if anything does.
fn first_need(func: &Func, frame: &Frame, cfg: &Cfg, defs: &[Option<&Op>]) -> Option<BlockId> {
    let in_scratch = |value: Value| match defs[value.0 as usize] {
        Some(Op::ObjectAddr(object, _)) => matches!(frame.slot(*object), Slot::Scratch(_)),
        _ => false,
    };
    let needs = |block: &BlockId| {
        let block = &func.blocks[block.0 as usize];
        let mut any = false;
        block.insts.iter().for_each(|inst| inst.op.for_each_use(|value| any |= in_scratch(value)));
        block.term.for_each_use(|value| any |= in_scratch(value));
        any
    };
    let mut home = cfg.order.iter().copied().filter(needs).reduce(|a, b| cfg.common_dominator(a, b))?;
    // Whoever holds a record may not leave the program, which the lookup does when it finds nothing.
    let holding = holding_records(func, cfg);
    while holding[home.0 as usize]
        && let Some(before) = cfg.immediate_dominator(home)
    {
        home = before;
    }
    Some(home)
}

/// Of each block, whether a record of the ring buffer may be held where it begins: one that is neither submitted
/// nor discarded yet.
fn holding_records(func: &Func, cfg: &Cfg) -> Vec<bool> {
    let mut holding = vec![false; func.blocks.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for &id in &cfg.order {
            let block = &func.blocks[id.0 as usize];
            let mut held = holding[id.0 as usize];
            let mut record = None;
            for inst in &block.insts {
                match inst.op {
                    Op::Call { helper: id::RINGBUF_RESERVE, .. } => (held, record) = (true, inst.result),
                    Op::Call { helper: id::RINGBUF_SUBMIT | id::RINGBUF_DISCARD, .. } => held = false,
                    _ => {}
                }
            }
            // There was no room for the record on one of the two ways.
            let without = match &block.term {
                Term::Branch { op: CmpOp::Eq, lhs, then, .. } if Some(*lhs) == record => Some(then.to),
                Term::Branch { op: CmpOp::Ne, lhs, otherwise, .. } if Some(*lhs) == record => {
                    Some(otherwise.to)
                }
                _ => None,
            };
            for edge in block.term.edges() {
                let next = &mut holding[edge.to.0 as usize];
                if held && without != Some(edge.to) && !*next {
                    (*next, changed) = (true, true);
                }
            }
        }
    }
    holding
}

struct Selector<'a> {
    func: &'a Func,
    frame: &'a Frame,
    /// The operation behind each value.
    defs: Vec<Option<&'a Op>>,
    cfg: &'a Cfg,
    /// The block that begins with the lookup of the scratch value in this map.
    lookup: Option<(BlockId, Scratch)>,
    /// The block that leaves the program when there is no scratch value.
    exit: MBlockId,
    /// The registers of numbers after the comparisons that end blocks.
    checked: FxHashMap<Value, Vec<(BlockId, VReg)>>,
    /// The block being translated.
    at: BlockId,
    /// The context, once it is known to be needed.
    ctx: Option<VReg>,
    /// Address of the scratch value.
    scratch: Option<VReg>,
    out: MFunc,
    /// First instruction of the block being made.
    first: usize,
    /// The place in the script of what is being translated.
    span: Span,
}

impl Selector<'_> {
    fn entry(&mut self) {
        let params = self.func.params.iter().zip(ARGUMENTS);
        let params: Vec<Operand> =
            params.map(|(param, reg)| Operand::reg_fixed_def(vreg(*param), preg(reg))).collect();
        if !params.is_empty() {
            return self.push(MOp::Entry, params);
        }
        if self.defs.iter().flatten().any(|op| **op == Op::Ctx) {
            let ctx = self.fresh();
            self.ctx = Some(ctx);
            self.push(MOp::Entry, vec![Operand::reg_fixed_def(ctx, preg(Reg::R1))]);
        }
    }

    /// Looks up the scratch value, where it is first needed and not on ways that do without.
    fn scratch_value(&mut self, scratch: Scratch, params: Vec<VReg>) {
        let key = self.frame.scratch_key;
        if scratch.by_cpu {
            let cpu = self.fresh();
            self.call(MOp::Call { helper: id::GET_SMP_PROCESSOR_ID, cookie: false }, &[], Some(cpu));
            self.push(MOp::Store(Size::W, Base::Frame, key), vec![Operand::reg_use(cpu)]);
        } else {
            self.push(MOp::StoreImm(Size::W, Base::Frame, key, 0), vec![]);
        }
        let args = [self.define(MOp::Map(scratch.map)), self.define(MOp::FrameAddr(key))];
        let base = self.fresh();
        self.call(MOp::Call { helper: id::MAP_LOOKUP_ELEM, cookie: false }, &args, Some(base));
        self.scratch = Some(base);
        // An array has all its entries; the verifier does not know.
        self.push(MOp::BranchImm(JmpOp::Ne, 0), vec![Operand::reg_use(base)]);
        let rest = MBlockId::new(self.out.blocks.len() + 1);
        self.end_block(params, vec![], vec![rest, self.exit]);
    }

    fn exit(&mut self) {
        let zero = self.define(MOp::Constant(0));
        self.push(MOp::Return, vec![Operand::reg_fixed_use(zero, preg(Reg::R0))]);
        self.end_block(vec![], vec![], vec![]);
    }

    fn block(&mut self, id: BlockId, place: &[usize]) {
        let block = &self.func.blocks[id.0 as usize];
        self.at = id;
        let mut params: Vec<VReg> = block.params.iter().copied().map(vreg).collect();
        if let Some((_, map)) = self.lookup.filter(|(home, _)| *home == id) {
            self.span = block.insts.first().map_or(block.term_span, |inst| inst.span);
            self.scratch_value(map, std::mem::take(&mut params));
        }
        for inst in &block.insts {
            self.span = inst.span;
            self.inst(inst);
        }
        self.span = block.term_span;
        let to = |block: BlockId| MBlockId::new(place[block.0 as usize]);
        match &block.term {
            Term::Jump(edge) => {
                let args = edge.args.iter().map(|arg| self.register(*arg)).collect();
                self.push(MOp::Jump, vec![]);
                self.end_block(params, args, vec![to(edge.to)]);
            }
            Term::Branch { op, lhs, rhs, then, otherwise } => {
                let a = self.register(*lhs);
                match self.small_constant(*rhs) {
                    Some(imm) => {
                        let operands = self.check(*lhs, a);
                        self.push(MOp::BranchImm(jump(*op), imm), operands);
                    }
                    None => {
                        let b = self.register(*rhs);
                        self.push(MOp::Branch(jump(*op)), vec![Operand::reg_use(a), Operand::reg_use(b)]);
                    }
                }
                self.end_block(params, vec![], vec![to(then.to), to(otherwise.to)]);
            }
            Term::Return(value) => {
                let value = self.register(*value);
                self.push(MOp::Return, vec![Operand::reg_fixed_use(value, preg(Reg::R0))]);
                self.end_block(params, vec![], vec![]);
            }
        }
    }

    fn inst(&mut self, inst: &Inst) {
        let result = inst.result.map(vreg);
        match &inst.op {
            op if is_made_at_uses(op) => {}
            Op::Store { width, addr, offset, value } => self.store(*width, *addr, *offset, *value),
            Op::AtomicAdd { width, addr, offset, value } => {
                self.atomic_add(*width, *addr, *offset, *value, result);
            }
            Op::CallFunc { func, args } => {
                let args: Vec<VReg> = args.iter().map(|arg| self.register(*arg)).collect();
                self.call(MOp::CallFunc(*func), &args, result);
            }
            Op::Call { helper, args, .. } => {
                let args: Vec<VReg> = args.iter().map(|arg| self.register(*arg)).collect();
                self.call(MOp::Call { helper: *helper, cookie: false }, &args, result);
            }
            op => {
                // What is unused was dropped before.
                if let Some(result) = result {
                    self.compute(op, result);
                }
            }
        }
    }

    /// Operations that have nothing but a result.
    fn compute(&mut self, op: &Op, result: VReg) {
        match op {
            Op::Cookie(ctx) => {
                let ctx = self.register(*ctx);
                self.call(MOp::Call { helper: id::GET_ATTACH_COOKIE, cookie: true }, &[ctx], Some(result));
            }
            Op::Bin(op, a, b) => self.arithmetic(*op, *a, *b, result),
            Op::Cmp(op, a, b) => {
                // The result is written before the operands are last read.
                let def = Operand::reg_def_at_start(result);
                let a = Operand::reg_use_at_end(self.register(*a));
                match self.small_constant(*b) {
                    Some(imm) => self.push(MOp::CompareImm(jump(*op), imm), vec![def, a]),
                    None => {
                        let b = Operand::reg_use_at_end(self.register(*b));
                        self.push(MOp::Compare(jump(*op)), vec![def, a, b]);
                    }
                }
            }
            Op::Extend { from, signed, value } => {
                let value = self.register(*value);
                self.extend(*from, *signed, value, result);
            }
            Op::ByteSwap(width, value) => {
                let value = self.register(*value);
                self.push(MOp::Swap(size(*width)), reuse(result, value));
            }
            Op::Load { width, addr, offset, .. } => {
                let (base, offset, register) = self.address(*addr, *offset);
                let mut operands = vec![Operand::reg_def(result)];
                operands.extend(register.map(Operand::reg_use));
                self.push(MOp::Load(size(*width), base, offset), operands);
            }
            other => unreachable!("{other} is made at its uses, has effects or was legalized away"),
        }
    }

    fn arithmetic(&mut self, op: BinOp, a: Value, b: Value, result: VReg) {
        if op == BinOp::Sub && self.constant(a) == Some(0) {
            let b = self.register(b);
            return self.push(MOp::Negate, reuse(result, b));
        }
        let a = self.register(a);
        if op == BinOp::And && self.constant(b) == Some(0xffff_ffff) {
            return self.push(MOp::Truncate, vec![Operand::reg_def(result), Operand::reg_use(a)]);
        }
        let op = alu(op);
        match self.small_constant(b) {
            Some(imm) => self.push(MOp::AluImm(op, imm), reuse(result, a)),
            None => {
                let b = self.register(b);
                let mut operands = reuse(result, a);
                operands.push(Operand::reg_use(b));
                self.push(MOp::Alu(op), operands);
            }
        }
    }

    fn extend(&mut self, from: Width, signed: bool, value: VReg, result: VReg) {
        match (from, signed) {
            (Width::W8, false) => self.push(MOp::AluImm(AluOp::And, 0xff), reuse(result, value)),
            (Width::W16, false) => self.push(MOp::AluImm(AluOp::And, 0xffff), reuse(result, value)),
            (Width::W32, false) => {
                self.push(MOp::Truncate, vec![Operand::reg_def(result), Operand::reg_use(value)]);
            }
            (_, _) => {
                let unused = 64 - from.bits() as i32;
                let high = self.fresh();
                self.push(MOp::AluImm(AluOp::Lsh, unused), reuse(high, value));
                self.push(MOp::AluImm(AluOp::Arsh, unused), reuse(result, high));
            }
        }
    }

    fn store(&mut self, width: Width, addr: Value, offset: i32, value: Value) {
        let (base, offset, register) = self.address(addr, offset);
        let mut operands: Vec<Operand> = register.map(Operand::reg_use).into_iter().collect();
        // Of a constant only the low bits count, so most fit an immediate.
        let imm = self.constant(value).and_then(|constant| match width {
            Width::W64 => i32::try_from(constant).ok(),
            _ => Some(constant as i32),
        });
        match imm {
            Some(imm) => self.push(MOp::StoreImm(size(width), base, offset, imm), operands),
            None => {
                operands.push(Operand::reg_use(self.register(value)));
                self.push(MOp::Store(size(width), base, offset), operands);
            }
        }
    }

    fn atomic_add(&mut self, width: Width, addr: Value, offset: i32, value: Value, result: Option<VReg>) {
        let (base, offset, register) = self.address(addr, offset);
        let value = self.register(value);
        let register = register.map(Operand::reg_use);
        match result {
            Some(result) => {
                let mut operands = reuse(result, value);
                operands.extend(register);
                self.push(MOp::FetchAdd(size(width), base, offset), operands);
            }
            None => {
                let mut operands: Vec<Operand> = register.into_iter().collect();
                operands.push(Operand::reg_use(value));
                self.push(MOp::AtomicAdd(size(width), base, offset), operands);
            }
        }
    }

    fn call(&mut self, op: MOp, args: &[VReg], result: Option<VReg>) {
        let mut clobbers = PRegSet::empty();
        ARGUMENTS.iter().for_each(|reg| clobbers.add(preg(*reg)));
        let mut operands: Vec<Operand> = Vec::with_capacity(args.len() + 1);
        match result {
            Some(result) => operands.push(Operand::reg_fixed_def(result, preg(Reg::R0))),
            None => clobbers.add(preg(Reg::R0)),
        }
        let uses = args.iter().zip(ARGUMENTS);
        operands.extend(uses.map(|(arg, reg)| Operand::reg_fixed_use(*arg, preg(reg))));
        self.out.insts.push(MInst { op, operands, clobbers, span: self.span });
    }

    /// The parts of an access: relative to what, how far, and the base's register.
    fn address(&mut self, addr: Value, offset: i32) -> (Base, i16, Option<VReg>) {
        if let Some(Op::ObjectAddr(object, at)) = self.defs[addr.0 as usize] {
            let within = i64::from(*at) + i64::from(offset);
            match self.frame.slot(*object) {
                Slot::Stack(start) => {
                    if let Ok(offset) = i16::try_from(i64::from(start) + within) {
                        return (Base::Frame, offset, None);
                    }
                }
                Slot::Scratch(start) => {
                    if let (Ok(offset), Some(base)) = (i16::try_from(i64::from(start) + within), self.scratch)
                    {
                        return (Base::Register, offset, Some(base));
                    }
                }
                Slot::Unused => {}
            }
        }
        let base = self.register(addr);
        match i16::try_from(offset) {
            Ok(offset) => (Base::Register, offset, Some(base)),
            Err(_) => {
                let moved = self.fresh();
                self.push(MOp::AluImm(AluOp::Add, offset), reuse(moved, base));
                (Base::Register, 0, Some(moved))
            }
        }
    }

    /// The register that holds a value here; made now if it is cheap to make.
    fn register(&mut self, value: Value) -> VReg {
        match self.defs[value.0 as usize] {
            Some(Op::Const(constant)) => self.define(MOp::Constant(*constant)),
            Some(Op::Map(map)) => self.define(MOp::Map(*map)),
            Some(Op::MapValue(map, offset)) => self.define(MOp::MapValue(*map, *offset)),
            Some(Op::Runtime(what)) => self.define(MOp::Runtime(*what)),
            Some(Op::FuncAddr(func)) => self.define(MOp::FuncAddr(*func)),
            Some(Op::ObjectAddr(object, offset)) => self.object(*object, *offset),
            Some(Op::Ctx) => {
                self.ctx.unwrap_or_else(|| unreachable!("the prologue has looked for uses of the context"))
            }
            _ => self.latest(value),
        }
    }

    /// The operands of a comparison with a constant: a number gets a new register for afterwards.
    fn check(&mut self, value: Value, register: VReg) -> Vec<Operand> {
        let at = value.0 as usize;
        if self.func.values[at].ty != ValueTy::Int || self.defs[at].is_some_and(is_made_at_uses) {
            return vec![Operand::reg_use(register)];
        }
        let after = self.fresh();
        self.checked.entry(value).or_default().push((self.at, after));
        reuse(after, register)
    }

    /// The register of a value after the last comparison on all ways to here. Dominators are translated in their
    /// order, so the last one that dominates is the closest.
    fn latest(&self, value: Value) -> VReg {
        let checks = self.checked.get(&value).into_iter().flatten().rev();
        let mut above = checks.filter(|(block, _)| self.cfg.dominates(*block, self.at));
        above.next().map_or(vreg(value), |(_, register)| *register)
    }

    fn object(&mut self, object: ObjectId, offset: u32) -> VReg {
        match (self.frame.slot(object), self.scratch) {
            // An object on the stack is smaller than 512 bytes, and the offset is not beyond it.
            (Slot::Stack(start), _) => self.define(MOp::FrameAddr(start + offset as i16)),
            (Slot::Scratch(start), Some(base)) if start + offset == 0 => base,
            (Slot::Scratch(start), Some(base)) => {
                let result = self.fresh();
                self.push(MOp::AluImm(AluOp::Add, (start + offset) as i32), reuse(result, base));
                result
            }
            (place, _) => unreachable!("{object} is used and has the place {place:?}"),
        }
    }

    fn define(&mut self, op: MOp) -> VReg {
        let result = self.fresh();
        self.push(op, vec![Operand::reg_def(result)]);
        result
    }

    fn push(&mut self, op: MOp, operands: Vec<Operand>) {
        self.out.insts.push(MInst { op, operands, clobbers: PRegSet::empty(), span: self.span });
    }

    fn end_block(&mut self, params: Vec<VReg>, args: Vec<VReg>, succs: Vec<MBlockId>) {
        let end = self.out.insts.len();
        let range = InstRange::new(MInstId::new(self.first), MInstId::new(end));
        self.first = end;
        self.out.blocks.push(MBlock { range, params, args, succs, preds: vec![] });
    }

    fn fresh(&mut self) -> VReg {
        self.out.vregs += 1;
        VReg::new(self.out.vregs - 1, RegClass::Int)
    }

    fn constant(&self, value: Value) -> Option<i64> {
        match self.defs[value.0 as usize] {
            Some(Op::Const(constant)) => Some(*constant),
            _ => None,
        }
    }

    /// A constant that fits an immediate, which is extended from 32 bits by its sign.
    fn small_constant(&self, value: Value) -> Option<i32> {
        self.constant(value).and_then(|constant| i32::try_from(constant).ok())
    }
}

/// Whether an operation has no register of its own.
fn is_made_at_uses(op: &Op) -> bool {
    matches!(
        op,
        Op::Const(_)
            | Op::Ctx
            | Op::ObjectAddr(..)
            | Op::Map(_)
            | Op::MapValue(..)
            | Op::Runtime(_)
            | Op::FuncAddr(_)
    )
}

fn vreg(value: Value) -> VReg {
    VReg::new(value.0 as usize, RegClass::Int)
}

/// The operands of an instruction that overwrites the register it reads.
fn reuse(result: VReg, value: VReg) -> Vec<Operand> {
    vec![Operand::reg_reuse_def(result, 1), Operand::reg_use(value)]
}

fn size(width: Width) -> Size {
    match width {
        Width::W8 => Size::B,
        Width::W16 => Size::H,
        Width::W32 => Size::W,
        Width::W64 => Size::DW,
    }
}

fn alu(op: BinOp) -> AluOp {
    match op {
        BinOp::Add => AluOp::Add,
        BinOp::Sub => AluOp::Sub,
        BinOp::Mul => AluOp::Mul,
        BinOp::UDiv => AluOp::Div,
        BinOp::SDiv => AluOp::SDiv,
        BinOp::UMod => AluOp::Mod,
        BinOp::SMod => AluOp::SMod,
        BinOp::And => AluOp::And,
        BinOp::Or => AluOp::Or,
        BinOp::Xor => AluOp::Xor,
        BinOp::Shl => AluOp::Lsh,
        BinOp::LShr => AluOp::Rsh,
        BinOp::AShr => AluOp::Arsh,
    }
}

fn jump(op: CmpOp) -> JmpOp {
    match op {
        CmpOp::Eq => JmpOp::Eq,
        CmpOp::Ne => JmpOp::Ne,
        CmpOp::ULt => JmpOp::Lt,
        CmpOp::ULe => JmpOp::Le,
        CmpOp::UGt => JmpOp::Gt,
        CmpOp::UGe => JmpOp::Ge,
        CmpOp::SLt => JmpOp::SLt,
        CmpOp::SLe => JmpOp::SLe,
        CmpOp::SGt => JmpOp::SGt,
        CmpOp::SGe => JmpOp::SGe,
    }
}
