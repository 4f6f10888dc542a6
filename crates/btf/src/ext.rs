//! The records that tie a program's instructions to functions and source lines.
//!
//! The kernel takes them beside the program (`func_info`, `line_info` of
//! `BPF_PROG_LOAD`) and gives them back with it. Both run in the order of their
//! instructions. They are in the machine's own byte order, in records whose size
//! is told beside them, so that a newer kernel may append to each.

use crate::error::Error;
use crate::format::{Endian, TypeId, Words};

/// Where a function starts, and which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FuncInfo {
    /// The function's first instruction, in 8-byte units from the program's start.
    pub insn_off: u32,
    /// The function, a [`crate::Type::Func`] of the program's BTF.
    pub type_id: TypeId,
}

/// Where the instructions of a source line start, and which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LineInfo {
    /// The line's first instruction, in 8-byte units from the program's start.
    pub insn_off: u32,
    /// The source file's name, a string of the program's BTF.
    pub file_name_off: u32,
    /// The text of the line, a string of the program's BTF.
    pub line_off: u32,
    /// Line number in the upper 22 bits, column in the lower 10, both from 1.
    pub line_col: u32,
}

impl LineInfo {
    /// The largest line number that there is room for.
    pub const MAX_LINE: u32 = (1 << 22) - 1;
    /// The largest column that there is room for.
    pub const MAX_COLUMN: u32 = (1 << 10) - 1;

    /// `line` and `column` as one [`LineInfo::line_col`]; what is too large becomes the largest.
    pub fn pack(line: u32, column: u32) -> u32 {
        line.min(LineInfo::MAX_LINE) << 10 | column.min(LineInfo::MAX_COLUMN)
    }

    /// The line number, from 1.
    pub fn line(&self) -> u32 {
        self.line_col >> 10
    }

    /// The column, from 1; 0 if it is not known.
    pub fn column(&self) -> u32 {
        self.line_col & LineInfo::MAX_COLUMN
    }
}

/// A record of words that comes in runs.
pub trait Record: Sized {
    /// Bytes that [`encode`] makes of one.
    const SIZE: usize;
    /// What the kernel calls a run of them.
    const NAME: &'static str;

    /// The words of the record.
    fn words(&self) -> impl Iterator<Item = u32>;
    /// The record of these words; `word(n)` is the nth.
    fn from_words(word: impl Fn(usize) -> u32) -> Self;
}

impl Record for FuncInfo {
    const SIZE: usize = 8;
    const NAME: &'static str = "func_info";

    fn words(&self) -> impl Iterator<Item = u32> {
        [self.insn_off, self.type_id.0].into_iter()
    }

    fn from_words(word: impl Fn(usize) -> u32) -> FuncInfo {
        FuncInfo { insn_off: word(0), type_id: TypeId(word(1)) }
    }
}

impl Record for LineInfo {
    const SIZE: usize = 16;
    const NAME: &'static str = "line_info";

    fn words(&self) -> impl Iterator<Item = u32> {
        [self.insn_off, self.file_name_off, self.line_off, self.line_col].into_iter()
    }

    fn from_words(word: impl Fn(usize) -> u32) -> LineInfo {
        LineInfo { insn_off: word(0), file_name_off: word(1), line_off: word(2), line_col: word(3) }
    }
}

/// The bytes of `records`, [`Record::SIZE`] each, as the kernel of this machine takes them.
pub fn encode<R: Record>(records: &[R]) -> Vec<u8> {
    records.iter().flat_map(R::words).flat_map(|word| Endian::NATIVE.u32_bytes(word)).collect()
}

/// The records in `bytes`, which are `size` bytes each; what is past [`Record::SIZE`] is skipped.
pub fn decode<R: Record>(bytes: &[u8], size: usize) -> Result<Vec<R>, Error> {
    if size < R::SIZE || !bytes.len().is_multiple_of(size) {
        return Err(Error::BadRecords { what: R::NAME, len: bytes.len(), size, least: R::SIZE });
    }
    let records = bytes.chunks_exact(size).map(|record| {
        let words = Words { bytes: record, endian: Endian::NATIVE };
        // `size` has been checked, so the 0 is never seen.
        R::from_words(|nth| words.get(4 * nth).unwrap_or(0))
    });
    Ok(records.collect())
}
