//! A program's control flow: functions, basic blocks, edges.
//!
//! Works on programs about to be loaded and on programs read back, which express calls differently
//! ([`Calls`]). Instructions are classified by their raw codes, since a program read back holds forms and
//! field values that are undefined for loading.

use crate::insn::{Insn, opcode, walk};
use crate::{Error, Imm64};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Where a call within the program keeps its distance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Calls {
    /// In the immediate, as in a program to be loaded.
    ByImm,
    /// In the offset, as in a program read back after the JIT compiler has seen it.
    ByOff,
}

/// The control flow of a whole program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cfg {
    /// The functions, in program order; the first starts at slot 0.
    pub functions: Vec<Function>,
}

/// One function (subprogram).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Function {
    /// The slots it occupies.
    pub range: Range<usize>,
    /// Its basic blocks, in program order; the first is the entry.
    pub blocks: Vec<Block>,
}

/// A run of instructions that is entered at its head and left at its tail only. Calls do not end a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// The slots it occupies.
    pub range: Range<usize>,
    /// Slot of its last instruction (the first slot of it, if that is a 64-bit load).
    pub last: usize,
    /// How it ends.
    pub end: End,
    /// Where control goes next: the fall-through first, then the jump.
    pub succs: Vec<Edge>,
}

/// How a block ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The next instruction is a jump target.
    Fallthrough,
    /// An unconditional jump.
    Jump,
    /// A conditional jump, `may_goto` among them.
    Branch,
    /// An indirect jump; where to is not known, so it has no successors here.
    Indirect,
    /// The function returns.
    Exit,
}

/// An edge to another block of the same function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edge {
    /// Index into [`Function::blocks`].
    pub to: usize,
    /// Whether a jump goes there, or control just runs on.
    pub kind: EdgeKind,
}

/// Why control takes an edge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EdgeKind {
    /// The next instruction in program order.
    Fallthrough,
    /// A jump taken.
    Jump,
}

impl Cfg {
    /// Finds the functions, blocks and edges of a program. An empty program has no functions.
    ///
    /// Functions start at slot 0, where calls go, and at the callbacks that 64-bit loads refer to.
    ///
    /// # Errors
    /// [`Error::JumpTarget`], [`Error::FunctionTarget`] and [`Error::FallsOff`] for a program no kernel would
    /// load. Undefined instructions are taken to run on to the next.
    pub fn build(insns: &[Insn], calls: Calls) -> Result<Self, Error> {
        let starts: BTreeSet<usize> = walk(insns).map(|(at, ..)| at).collect();
        let mut entries: BTreeSet<usize> = starts.first().copied().into_iter().collect();
        for (at, insn, second) in walk(insns) {
            if let Some(distance) = function_reference(insn, second, calls) {
                let to = target(at, distance);
                let entry = usize::try_from(to).ok().filter(|to| starts.contains(to));
                entries.insert(entry.ok_or(Error::FunctionTarget { at, to })?);
            }
        }

        let ends = entries.iter().skip(1).copied().chain([insns.len()]);
        let ranges: Vec<_> = entries.iter().copied().zip(ends).map(|(start, end)| start..end).collect();
        let functions =
            ranges.into_iter().map(|range| Function::build(insns, range)).collect::<Result<_, _>>()?;
        Ok(Self { functions })
    }

    /// The function that slot `at` belongs to.
    #[must_use]
    pub fn function_at(&self, at: usize) -> Option<&Function> {
        self.functions.iter().find(|function| function.range.contains(&at))
    }
}

impl Function {
    fn build(insns: &[Insn], range: Range<usize>) -> Result<Self, Error> {
        // The instructions of the function, each with what it does to control and where it ends.
        let body: BTreeMap<usize, (Flow, usize)> = walk(insns.get(range.clone()).unwrap_or_default())
            .map(|(at, insn, _)| (range.start + at, (Flow::of(&insn), range.start + at + insn.slots())))
            .map(|(at, (flow, next))| (at, (flow, next.min(range.end))))
            .collect();

        let mut heads = BTreeSet::from([range.start]);
        for (&at, &(flow, next)) in &body {
            if let Flow::Jump(distance) | Flow::Branch(distance) = flow {
                let to = target(at, distance);
                let head = usize::try_from(to).ok().filter(|to| body.contains_key(to));
                heads.insert(head.ok_or(Error::JumpTarget { at, to })?);
            }
            if flow != Flow::Next && next < range.end {
                heads.insert(next);
            }
        }

        let index: BTreeMap<usize, usize> = heads.iter().enumerate().map(|(n, &head)| (head, n)).collect();
        let ends = heads.iter().skip(1).copied().chain([range.end]);
        let blocks = heads
            .iter()
            .copied()
            .zip(ends)
            .filter_map(|(head, end)| {
                let (&last, &(flow, _)) = body.range(head..end).next_back()?;
                Some(Block::build(head..end, last, flow, &index))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { range, blocks })
    }

    /// The blocks that have an edge to block `to`, in order.
    pub fn preds(&self, to: usize) -> impl Iterator<Item = usize> {
        let blocks = self.blocks.iter().enumerate();
        blocks.filter(move |(_, block)| block.succs.iter().any(|edge| edge.to == to)).map(|(n, _)| n)
    }
}

impl Block {
    fn build(
        range: Range<usize>,
        last: usize,
        flow: Flow,
        index: &BTreeMap<usize, usize>,
    ) -> Result<Self, Error> {
        let next = || {
            let to = *index.get(&range.end).ok_or(Error::FallsOff { at: last })?;
            Ok(Edge { to, kind: EdgeKind::Fallthrough })
        };
        let jump = |distance| {
            let to = target(last, distance);
            let block = usize::try_from(to).ok().and_then(|to| index.get(&to));
            Ok(Edge { to: *block.ok_or(Error::JumpTarget { at: last, to })?, kind: EdgeKind::Jump })
        };
        let (end, succs) = match flow {
            Flow::Next => (End::Fallthrough, vec![next()?]),
            Flow::Jump(distance) => (End::Jump, vec![jump(distance)?]),
            Flow::Branch(distance) => (End::Branch, vec![next()?, jump(distance)?]),
            Flow::Indirect => (End::Indirect, vec![]),
            Flow::Exit => (End::Exit, vec![]),
        };
        Ok(Self { range, last, end, succs })
    }
}

/// What an instruction does to control within its function; distances count from the next instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Jump(i32),
    Branch(i32),
    Indirect,
    Exit,
}

impl Flow {
    fn of(insn: &Insn) -> Self {
        let wide = match insn.class() {
            opcode::JMP => true,
            opcode::JMP32 => false,
            _ => return Self::Next,
        };
        match insn.code & opcode::OP_MASK {
            opcode::CALL => Self::Next,
            opcode::EXIT => Self::Exit,
            opcode::JA if !wide => Self::Jump(insn.imm),
            opcode::JA if insn.code & opcode::X != 0 => Self::Indirect,
            opcode::JA => Self::Jump(insn.off.into()),
            _ => Self::Branch(insn.off.into()),
        }
    }
}

/// The distance to a function that the instruction calls or takes the address of.
fn function_reference(insn: Insn, second: Option<Insn>, calls: Calls) -> Option<i32> {
    if insn.code == opcode::JMP | opcode::CALL && insn.src == opcode::PSEUDO_CALL {
        return Some(match calls {
            Calls::ByImm => insn.imm,
            Calls::ByOff => insn.off.into(),
        });
    }
    match Imm64::from_pair(insn, second) {
        Ok(Imm64::Func(distance)) => Some(distance),
        _ => None,
    }
}

fn target(at: usize, distance: i32) -> i64 {
    // A program has at most a million instructions; no slot index comes near the limits of i64.
    at as i64 + 1 + i64::from(distance)
}

#[cfg(test)]
mod tests;
