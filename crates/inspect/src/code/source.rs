//! A line of source code that instructions come from.

use skep_btf::Btf;
use skep_btf::ext::LineInfo;

/// A line of source code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source<'a> {
    /// Its text without the blanks before it.
    pub(crate) text: &'a str,
    pub(crate) file: &'a str,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl<'a> Source<'a> {
    pub(super) fn of(btf: &'a Btf, line: &LineInfo) -> Option<Self> {
        Some(Self {
            text: btf
                .string(line.line_off)?
                .trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}'),
            file: btf.string(line.file_name_off).unwrap_or(""),
            line: line.line(),
            column: line.column(),
        })
    }
}

/// Finds the line of each instruction, as these are passed in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines<'a> {
    lines: &'a [LineInfo],
}

impl<'a> Lines<'a> {
    pub(crate) fn new(lines: &'a [LineInfo]) -> Self {
        Self { lines }
    }

    /// The line that begins at or before an instruction, unless an earlier call gave it.
    pub(crate) fn next_at(&mut self, at: usize) -> Option<&'a LineInfo> {
        let (first, rest) = self.lines.split_first()?;
        if at < first.insn_off as usize {
            return None;
        }
        let also = rest.iter().take_while(|line| line.insn_off as usize <= at).last();
        self.lines = rest;
        Some(also.unwrap_or(first))
    }
}
