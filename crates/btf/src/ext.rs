//! The records that tie a program's instructions to functions and source lines.
//!
//! The kernel takes them beside the program (`func_info`, `line_info` of
//! `BPF_PROG_LOAD`) and gives them back with it. Both run in the order of their
//! instructions. They are in the machine's own byte order, in records whose size
//! is told beside them, so that a newer kernel may append to each.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::format::{Endian, TypeId, Words};

/// Where a function starts, and which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FuncInfo {
    /// The function's first instruction, in 8-byte units from the program's start.
    pub insn_off: u32,
    /// The function, a [`crate::Type::Func`] of the program's BTF.
    pub type_id: TypeId,
}

/// Where the instructions of a source line start, and which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_and_columns_share_a_word() {
        let info = |line, column| LineInfo {
            insn_off: 0,
            file_name_off: 0,
            line_off: 0,
            line_col: LineInfo::pack(line, column),
        };
        assert_eq!((info(12, 34).line(), info(12, 34).column()), (12, 34));
        let largest = info(u32::MAX, u32::MAX);
        assert_eq!((largest.line(), largest.column()), (LineInfo::MAX_LINE, LineInfo::MAX_COLUMN));
    }

    #[test]
    fn odd_sizes_are_errors() {
        assert_eq!(
            decode::<FuncInfo>(&[0; 12], 8).unwrap_err().to_string(),
            "12 bytes of func_info are not a whole number of 8-byte records of at least 8 bytes"
        );
        assert!(decode::<LineInfo>(&[0; 24], 8).is_err());
        assert!(decode::<LineInfo>(&[], 0).is_err());
        assert_eq!(decode::<LineInfo>(&[], 16), Ok(vec![]));
    }

    #[test]
    fn what_a_newer_kernel_appends_is_skipped() {
        let words = [1u32, 2, 99, 3, 4, 99];
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        let records = decode::<FuncInfo>(&bytes, 12).unwrap();
        assert_eq!(
            records,
            [FuncInfo { insn_off: 1, type_id: TypeId(2) }, FuncInfo { insn_off: 3, type_id: TypeId(4) }]
        );
    }

    proptest! {
        #[test]
        fn records_come_back(words in prop::collection::vec(any::<[u32; 4]>(), 0..20)) {
            let lines: Vec<_> = words
                .iter()
                .map(|&[insn_off, file_name_off, line_off, line_col]| LineInfo { insn_off, file_name_off, line_off, line_col })
                .collect();
            prop_assert_eq!(decode::<LineInfo>(&encode(&lines), LineInfo::SIZE).unwrap(), lines);
            let functions: Vec<_> =
                words.iter().map(|word| FuncInfo { insn_off: word[0], type_id: TypeId(word[1]) }).collect();
            prop_assert_eq!(decode::<FuncInfo>(&encode(&functions), FuncInfo::SIZE).unwrap(), functions);
        }
    }
}
