//! The control flow graph as a description that GraphViz draws.
//!
//! The shape is that of the original, so that scripts which take it apart go on working: a cluster for each
//! function that is called, boxes with the instructions of each block, diamonds for entry and exit.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::ops::RangeInclusive;

use skep_isa::disasm::{self, Names};
use skep_isa::{Insn, insn::opcode};

use super::listing::{Details, hex};
use super::source::Lines;
use super::{Code, Source};

/// Writes the graph.
pub(crate) fn write(out: &mut dyn Write, code: &Code, names: &dyn Names, details: Details) -> io::Result<()> {
    writeln!(out, "digraph \"DOT graph for eBPF program\" {{")?;
    for (number, slots) in functions(&code.insns).into_iter().enumerate() {
        Graph { code, names, details, number, slots }.write(out)?;
    }
    writeln!(out, "}}")
}

/// The functions: the first, and those that are called. A callback counts to the function it stands behind.
fn functions(insns: &[Insn]) -> Vec<RangeInclusive<usize>> {
    let Some(last) = insns.len().checked_sub(1) else { return Vec::new() };
    let mut starts = BTreeSet::from([0]);
    for (at, insn) in insns.iter().enumerate() {
        if insn.code == opcode::JMP | opcode::CALL && insn.src == opcode::PSEUDO_CALL {
            starts.extend(target(at, i32::from(insn.off)).filter(|&start| start <= last));
        }
    }
    let ends = starts.iter().skip(1).map(|&next| next - 1).chain([last]);
    starts.iter().zip(ends).map(|(&start, end)| start..=end).collect()
}

fn target(at: usize, distance: i32) -> Option<usize> {
    let to = i64::try_from(at).ok()? + 1 + i64::from(distance);
    usize::try_from(to).ok()
}

/// Where an instruction jumps to, if it does.
fn jump(insns: &[Insn], at: usize) -> Option<(usize, bool)> {
    let insn = insns.get(at)?;
    let is_jump = matches!(insn.class(), opcode::JMP | opcode::JMP32);
    let operation = insn.code & opcode::OP_MASK;
    if !is_jump || matches!(operation, opcode::CALL | opcode::EXIT) {
        return None;
    }
    let always = operation == opcode::JA;
    let distance = if always && insn.class() == opcode::JMP32 { insn.imm } else { i32::from(insn.off) };
    Some((target(at, distance)?, always))
}

/// One function's graph.
struct Graph<'a> {
    code: &'a Code,
    names: &'a dyn Names,
    details: Details,
    number: usize,
    slots: RangeInclusive<usize>,
}

/// The numbers of the diamonds; blocks come after them.
const ENTRY: usize = 0;
const EXIT: usize = 1;
const FIRST: usize = 2;

impl Graph<'_> {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let number = self.number;
        writeln!(out, "subgraph \"cluster_{number}\" {{")?;
        writeln!(out, "\tstyle=\"dashed\";\n\tcolor=\"black\";\n\tlabel=\"func_{number} ()\";")?;
        let blocks = self.blocks();
        self.node(out, ENTRY, "Mdiamond", |out| write!(out, "ENTRY"))?;
        for (index, block) in blocks.iter().enumerate() {
            self.node(out, FIRST + index, "record", |out| self.block(out, block))?;
        }
        self.node(out, EXIT, "Mdiamond", |out| write!(out, "EXIT"))?;
        if !blocks.is_empty() {
            self.edge(out, ENTRY, FIRST)?;
        }
        let number_of =
            |slot: usize| blocks.iter().position(|block| *block.start() == slot).map(|index| FIRST + index);
        for (index, block) in blocks.iter().enumerate() {
            let from = FIRST + index;
            let next = if index + 1 < blocks.len() { from + 1 } else { EXIT };
            let jump = self.last_jump(block);
            if !jump.is_some_and(|(_, always)| always) {
                self.edge(out, from, next)?;
            }
            if let Some(to) = jump.and_then(|(to, _)| number_of(to)) {
                self.edge(out, from, to)?;
            }
        }
        writeln!(
            out,
            "\tfn_{number}_bb_{ENTRY}:s -> fn_{number}_bb_{EXIT}:n [style=\"invis\", constraint=true];\n}}"
        )
    }

    /// The jump with which a block ends. The second half of a 64-bit load is none.
    fn last_jump(&self, block: &RangeInclusive<usize>) -> Option<(usize, bool)> {
        let last = *block.end();
        let is_half = last > *block.start() && self.code.insns.get(last - 1).is_some_and(Insn::is_ld_imm64);
        if is_half { None } else { jump(&self.code.insns, last) }
    }

    fn blocks(&self) -> Vec<RangeInclusive<usize>> {
        let (start, end) = (*self.slots.start(), *self.slots.end());
        let mut heads = BTreeSet::from([start]);
        for at in self.slots.clone() {
            if let Some((to, always)) = jump(&self.code.insns, at) {
                heads.insert(to);
                if !always {
                    heads.insert(at + 1);
                }
            }
        }
        heads.retain(|head| self.slots.contains(head));
        let ends = heads.iter().skip(1).map(|&next| next - 1).chain([end]);
        heads.iter().zip(ends).map(|(&head, end)| head..=end).collect()
    }

    fn node(
        &self,
        out: &mut dyn Write,
        block: usize,
        shape: &str,
        label: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        write!(out, "\tfn_{}_bb_{block} [shape={shape},style=filled,label=\"", self.number)?;
        label(out)?;
        write!(out, "\"];\n\n")
    }

    fn edge(&self, out: &mut dyn Write, from: usize, to: usize) -> io::Result<()> {
        let number = self.number;
        writeln!(
            out,
            "\tfn_{number}_bb_{from}:s -> fn_{number}_bb_{to}:n [style=\"solid,bold\", color=black, weight=10, \
             constraint=true];"
        )
    }

    fn block(&self, out: &mut dyn Write, block: &RangeInclusive<usize>) -> io::Result<()> {
        let insns = self.code.insns.get(block.clone()).unwrap_or_default();
        let start = *block.start();
        writeln!(out, "{{\\")?;
        let all = self.code.lines();
        // A block begins with the line that its first instruction is in.
        let known = all.partition_point(|line| (line.insn_off as usize) < start + 1).saturating_sub(1);
        let mut lines = Lines::new(all.get(known..).unwrap_or_default());
        let mut first = true;
        for (offset, insn, second) in skep_isa::insn::walk(insns) {
            let at = start + offset;
            if !first {
                write!(out, "| ")?;
            }
            first = false;
            if let Some(signature) = self.code.signature_at(at) {
                writeln!(out, "; {signature}:\\l\\")?;
            }
            let source = lines.next_at(at).and_then(|line| self.code.source(line));
            if let Some(source) = source.filter(|source| !source.text.is_empty()) {
                self.source(out, &source)?;
            }
            let text = disasm::text(&insn, second.as_ref(), self.names);
            // Numbers count from the start of the function.
            writeln!(out, "{}: {}\\l\\", at - self.slots.start(), escaped(&text, "<>|&"))?;
            if self.details.opcodes {
                write!(out, "\\ \\ \\ \\ ")?;
                hex(out, &insn.to_bytes())?;
                if let Some(second) = second {
                    write!(out, " ")?;
                    hex(out, &second.to_bytes())?;
                }
                writeln!(out, "\\l\\")?;
            }
        }
        write!(out, "}}")
    }

    fn source(&self, out: &mut dyn Write, source: &Source<'_>) -> io::Result<()> {
        if self.details.linum {
            let Source { line, column, .. } = source;
            let file = escaped(&shortened(source.file), " \"{}<>|");
            writeln!(out, "; [{file} line:{line} col:{column}]\\l\\")?;
        }
        write!(out, "; {}", escaped(source.text, " \"{}<>|"))?;
        writeln!(out, "\\l\\")
    }
}

/// The end of a file's name, at most 32 characters, from a folder on where it has one.
fn shortened(file: &str) -> String {
    const MOST: usize = 32;
    const GAP: &str = "...";
    let count = file.chars().count();
    if count <= MOST {
        return file.to_owned();
    }
    let end: String = file.chars().skip(count - (MOST - GAP.len())).collect();
    let from = end.find('/').unwrap_or(0);
    format!("{GAP}{}", end.get(from..).unwrap_or(&end))
}

/// The text with a backslash before each of some characters, and without what would end the line.
fn escaped(text: &str, characters: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if characters.contains(c) || c == '\\' {
            out.push('\\');
        }
        out.push(if c.is_control() { ' ' } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use skep_isa::Reg;

    use super::*;

    #[test]
    fn functions_are_where_calls_go() {
        let call = Insn { code: 0x85, dst: 0, src: 1, off: 1, imm: 0 };
        let insns = [call, Insn::exit(), Insn::mov64_imm(Reg::R0, 0), Insn::exit()];
        assert_eq!(functions(&insns), [0..=1, 2..=3]);
        assert!(functions(&[]).is_empty());
        let wild = Insn { off: -100, ..call };
        assert_eq!(functions(&[wild, Insn::exit()]), [0..=1]);
    }

    #[test]
    fn labels_hold_no_active_characters() {
        assert_eq!(
            escaped("if (a < b) {\"\\n\"}\u{1b}", " \"{}<>|"),
            "if\\ (a\\ \\<\\ b)\\ \\{\\\"\\\\n\\\"\\} "
        );
    }
}
