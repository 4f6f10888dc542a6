//! Writes out a program: instructions with their registers, the moves between them, jumps, relocations.

use regalloc2::{Allocation, Block, Edit, InstOrEdit, Output};
use skep_isa::{AluOp, AtomicOp, Endian, Imm64, Insn, JmpOp, Operand, Reg, Size};
use skep_ui::Span;

use super::frame::Frame;
use super::machine::{Base, MFunc, MInst, MOp, WIDE};
use super::program::Link;
use super::reach::{self, Jump};
use super::tidy::tidy;
use crate::artifact::{Reloc, RelocKind};

/// The code of a program.
#[derive(Clone, Debug, Default)]
pub struct Code {
    /// The instructions.
    pub insns: Vec<Insn>,
    /// The place in the script of each.
    pub spans: Vec<Span>,
    /// What is filled in before loading.
    pub relocs: Vec<Reloc>,
    /// The functions; the program itself first.
    pub funcs: Vec<FuncStart>,
    /// Calls and addresses of functions that are not filled in yet; none in a finished program.
    pub links: Vec<Link>,
}

/// Where a function starts.
#[derive(Clone, Debug)]
pub struct FuncStart {
    /// Index of its first instruction.
    pub at: u32,
    /// Its name.
    pub name: String,
    /// How many parameters it has.
    pub params: usize,
    /// See [`crate::ir::Func::is_global`].
    pub is_global: bool,
}

/// A jump does not reach its target, and cannot be led there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFar;

/// Writes out a function whose registers are allocated.
///
/// # Errors
/// [`TooFar`] when too many jumps are longer than 16 bits can say.
pub fn emit(func: &MFunc, output: &Output, frame: &Frame, start: FuncStart) -> Result<Code, TooFar> {
    let mut emitter = Emitter {
        func,
        output,
        frame,
        code: Code { funcs: vec![start], ..Code::default() },
        span: Span::GENERATED,
        starts: vec![0; func.blocks.len()],
        jumps: Vec::new(),
        threads: threads(func, output),
    };
    for block in 0..func.blocks.len() {
        emitter.block(Block::new(block));
    }
    let Emitter { mut code, starts, jumps, .. } = emitter;
    let jumps: Vec<Jump> = jumps.into_iter().map(|(at, to)| Jump { at, to: starts[to.index()] }).collect();
    reach::resolve(&mut code, &jumps)?;
    Ok(code)
}

/// Where a jump to each block really goes: past blocks that only jump on.
fn threads(func: &MFunc, output: &Output) -> Vec<Block> {
    let onward: Vec<Option<Block>> = (0..func.blocks.len())
        .map(|at| {
            let mut content = output.block_insts_and_edits(func, Block::new(at));
            let only = matches!(
                (content.next(), content.next()),
                (Some(InstOrEdit::Inst(inst)), None) if matches!(func.insts[inst.index()].op, MOp::Jump)
            );
            if only { func.blocks[at].succs.first().copied() } else { None }
        })
        .collect();
    (0..func.blocks.len())
        .map(|at| {
            let mut block = Block::new(at);
            for _ in 0..func.blocks.len() {
                let Some(next) = onward[block.index()] else { return block };
                block = next;
            }
            // A ring of empty blocks: an endless loop, which must stay one.
            Block::new(at)
        })
        .collect()
}

struct Emitter<'a> {
    func: &'a MFunc,
    output: &'a Output,
    frame: &'a Frame,
    code: Code,
    span: Span,
    /// Index of each block's first instruction.
    starts: Vec<usize>,
    /// Instructions that jump, and where to.
    jumps: Vec<(usize, Block)>,
    threads: Vec<Block>,
}

impl Emitter<'_> {
    fn block(&mut self, block: Block) {
        self.starts[block.index()] = self.code.insns.len();
        let is_empty = self.threads[block.index()] != block;
        if is_empty && block.index() != 0 {
            // Nobody jumps here, but the block before may have counted on falling through.
            return;
        }
        for step in self.output.block_insts_and_edits(self.func, block) {
            match step {
                InstOrEdit::Edit(Edit::Move { from, to }) => self.transfer(*from, *to),
                InstOrEdit::Inst(inst) => {
                    let machine = &self.func.insts[inst.index()];
                    self.span = machine.span;
                    self.inst(machine, self.output.inst_allocs(inst), block);
                }
            }
        }
        let start = self.starts[block.index()];
        let needless = tidy(&mut self.code.insns, start);
        self.remove(start, &needless);
    }

    /// Takes instructions out of those from `start` on; what refers to later ones moves up.
    fn remove(&mut self, start: usize, removed: &[usize]) {
        if removed.is_empty() {
            return;
        }
        let Code { insns, spans, relocs, links, .. } = &mut self.code;
        let mut gone = removed.iter().copied().peekable();
        let mut kept = start;
        for at in start..insns.len() {
            if gone.next_if_eq(&at).is_none() {
                (insns[kept], spans[kept]) = (insns[at], spans[at]);
                kept += 1;
            }
        }
        insns.truncate(kept);
        spans.truncate(kept);
        let moved = |at: usize| at - removed.partition_point(|gone| *gone < at);
        for reloc in relocs.iter_mut().rev().take_while(|reloc| reloc.insn as usize >= start) {
            reloc.insn = moved(reloc.insn as usize) as u32;
        }
        for link in links.iter_mut().rev().take_while(|link| link.insn >= start) {
            link.insn = moved(link.insn);
        }
        for (at, _) in self.jumps.iter_mut().rev().take_while(|(at, _)| *at >= start) {
            *at = moved(*at);
        }
    }

    /// A move that register allocation asks for.
    fn transfer(&mut self, from: Allocation, to: Allocation) {
        let spill = |allocation: Allocation| allocation.as_stack().map(|slot| self.frame.spill(slot.index()));
        match (spill(from), spill(to)) {
            (None, None) => {
                let (from, to) = (reg(from), reg(to));
                if from != to {
                    self.push(Insn::mov64_reg(to, from));
                }
            }
            (None, Some(slot)) => self.push(Insn::store_reg(Size::DW, Reg::R10, slot, reg(from))),
            (Some(slot), None) => self.push(Insn::load(Size::DW, reg(to), Reg::R10, slot)),
            (Some(_), Some(_)) => unreachable!("regalloc2 finds a register for moves between slots"),
        }
    }

    fn inst(&mut self, inst: &MInst, allocs: &[Allocation], block: Block) {
        let at = |index: usize| reg(allocs[index]);
        match inst.op {
            MOp::Entry => {}
            MOp::Constant(value) => self.constant(at(0), value),
            MOp::Map(map) => self.relocated(at(0), RelocKind::Map(map)),
            MOp::MapValue(map, offset) => self.relocated(at(0), RelocKind::MapValue(map, offset)),
            MOp::Runtime(what) => self.relocated(at(0), RelocKind::Runtime(what)),
            MOp::FuncAddr(func) => {
                self.code.links.push(Link { insn: self.code.insns.len(), func });
                Insn::ld_imm64(at(0), Imm64::Value(0)).into_iter().for_each(|insn| self.push(insn));
            }
            MOp::FrameAddr(offset) => {
                self.push(Insn::mov64_reg(at(0), Reg::R10));
                self.push(Insn::alu64_imm(AluOp::Add, at(0), offset.into()));
            }
            MOp::Truncate => self.push(Insn::mov32_reg(at(0), at(1))),
            MOp::Alu(op) => self.push(Insn::alu64_reg(op, at(0), at(2))),
            MOp::AluImm(op, imm) => self.push(Insn::alu64_imm(op, at(0), imm)),
            MOp::Negate => self.push(Insn::neg64(at(0))),
            MOp::Swap(size) => self.push(Insn::endian(Endian::Be, size, at(0))),
            MOp::Compare(op) => self.compare(at(0), op, at(1), Operand::Reg(at(2))),
            MOp::CompareImm(op, imm) => self.compare(at(0), op, at(1), Operand::Imm(imm)),
            MOp::Load(size, base, offset) => {
                let base = base_reg(base, || at(1));
                self.push(Insn::load(size, at(0), base, offset));
            }
            MOp::Store(size, base, offset) => {
                let value = at(allocs.len() - 1);
                self.push(Insn::store_reg(size, base_reg(base, || at(0)), offset, value));
            }
            MOp::StoreImm(size, base, offset, imm) => {
                self.push(Insn::store_imm(size, base_reg(base, || at(0)), offset, imm));
            }
            MOp::AtomicAdd(size, base, offset) => {
                let value = at(allocs.len() - 1);
                let op = AtomicOp::Add { fetch: false };
                self.push(Insn::atomic(size, op, base_reg(base, || at(0)), offset, value));
            }
            MOp::FetchAdd(size, base, offset) => {
                let op = AtomicOp::Add { fetch: true };
                self.push(Insn::atomic(size, op, base_reg(base, || at(2)), offset, at(0)));
            }
            MOp::Call { helper, cookie } => {
                if cookie {
                    self.relocate(RelocKind::Cookie);
                }
                self.push(Insn::call_helper(helper));
            }
            MOp::CallFunc(func) => {
                self.code.links.push(Link { insn: self.code.insns.len(), func });
                self.push(Insn::call_rel(0));
            }
            MOp::Branch(op) => self.branch(block, op, at(0), Operand::Reg(at(1))),
            MOp::BranchImm(op, imm) => self.branch(block, op, at(0), Operand::Imm(imm)),
            MOp::Jump => {
                let to = self.successor(block, 0);
                if !self.falls_through(block, to) {
                    self.jump(Insn::ja(0), to);
                }
            }
            MOp::Return => self.push(Insn::exit()),
        }
    }

    fn constant(&mut self, dst: Reg, value: i64) {
        if let Ok(imm) = i32::try_from(value) {
            self.push(Insn::mov64_imm(dst, imm));
        } else if let Ok(low) = u32::try_from(value) {
            self.push(Insn::mov32_imm(dst, low as i32));
        } else {
            Insn::ld_imm64(dst, Imm64::Value(value as u64)).into_iter().for_each(|insn| self.push(insn));
        }
    }

    /// `dst = 1; if a op b skip; dst = 0`
    fn compare(&mut self, dst: Reg, op: JmpOp, a: Reg, b: Operand) {
        self.push(Insn::mov64_imm(dst, 1));
        self.push(Insn::jmp(WIDE, op, a, b, 1));
        self.push(Insn::mov64_imm(dst, 0));
    }

    fn branch(&mut self, block: Block, op: JmpOp, a: Reg, b: Operand) {
        let (then, otherwise) = (self.successor(block, 0), self.successor(block, 1));
        if self.falls_through(block, then)
            && let Some(opposite) = op.negate()
        {
            return self.jump(Insn::jmp(WIDE, opposite, a, b, 0), otherwise);
        }
        self.jump(Insn::jmp(WIDE, op, a, b, 0), then);
        if !self.falls_through(block, otherwise) {
            self.jump(Insn::ja(0), otherwise);
        }
    }

    fn successor(&self, block: Block, index: usize) -> Block {
        self.threads[self.func.blocks[block.index()].succs[index].index()]
    }

    /// Whether `to` is what follows a block, blocks that leave no code aside.
    fn falls_through(&self, block: Block, to: Block) -> bool {
        let between = block.index() + 1..to.index();
        to.index() > block.index() && between.into_iter().all(|at| self.threads[at].index() != at)
    }

    fn jump(&mut self, insn: Insn, to: Block) {
        self.jumps.push((self.code.insns.len(), to));
        self.push(insn);
    }

    fn relocated(&mut self, dst: Reg, kind: RelocKind) {
        self.relocate(kind);
        Insn::ld_imm64(dst, Imm64::Value(0)).into_iter().for_each(|insn| self.push(insn));
    }

    fn relocate(&mut self, kind: RelocKind) {
        self.code.relocs.push(Reloc { insn: self.code.insns.len() as u32, kind });
    }

    fn push(&mut self, insn: Insn) {
        self.code.insns.push(insn);
        self.code.spans.push(self.span);
    }
}

fn base_reg(base: Base, register: impl FnOnce() -> Reg) -> Reg {
    match base {
        Base::Frame => Reg::R10,
        Base::Register => register(),
    }
}

/// The register of an operand; all of ours must be in registers.
fn reg(allocation: Allocation) -> Reg {
    let number = allocation.as_reg().map(|preg| preg.hw_enc() as u8);
    number.and_then(Reg::new).unwrap_or_else(|| unreachable!("{allocation} is no register"))
}
