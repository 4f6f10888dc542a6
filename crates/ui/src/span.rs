//! Places in source text: files, byte ranges, and their translation to lines and columns.
//!
//! A [`Span`] is twelve bytes and `Copy`, so every token and tree node can carry one. Lines and
//! columns are only worked out when a message is printed, by the [`SourceMap`] that owns the text.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Names one text of a [`SourceMap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId(pub u32);

impl FileId {
    /// The file of nodes that no text stands behind, such as trees built by a program.
    ///
    /// A diagnostic that points there is printed without a place.
    pub const GENERATED: FileId = FileId(u32::MAX);
}

/// A range of bytes in one file, end exclusive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The text that the offsets count in.
    pub file: FileId,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset just past the last byte; never below `start`.
    pub end: u32,
}

impl Span {
    /// The place of nodes that no text stands behind.
    pub const GENERATED: Span = Span { file: FileId::GENERATED, start: 0, end: 0 };

    /// The range `start..end` of `file`. An `end` below `start` gives an empty span at `start`.
    pub fn new(file: FileId, start: u32, end: u32) -> Span {
        Span { file, start, end: end.max(start) }
    }

    /// The empty span at `offset`.
    pub fn empty(file: FileId, offset: u32) -> Span {
        Span { file, start: offset, end: offset }
    }

    /// The smallest span that covers both. Spans of different files cannot be joined: `self` is
    /// given back then.
    #[must_use]
    pub fn to(self, other: Span) -> Span {
        if self.file != other.file {
            return self;
        }
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The empty span at the first byte.
    #[must_use]
    pub fn at_start(self) -> Span {
        Span::empty(self.file, self.start)
    }

    /// The empty span just past the last byte.
    #[must_use]
    pub fn at_end(self) -> Span {
        Span::empty(self.file, self.end)
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether no byte is covered.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Whether `inner` lies within `self`, edges included.
    pub fn contains(self, inner: Span) -> bool {
        self.file == inner.file && self.start <= inner.start && inner.end <= self.end
    }

    /// The covered offsets, for slicing the text.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}..{}", self.file.0, self.start, self.end)
    }
}

/// A position as people count it: both numbers start at 1.
///
/// Columns count bytes, and a tab is one column, as bpftrace counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineCol {
    /// Line number.
    pub line: u32,
    /// Byte within the line.
    pub col: u32,
}

/// The texts that spans point into.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(into = "Stored", from = "Stored")]
pub struct SourceMap {
    files: Vec<SourceFile>,
}

#[derive(Debug, Clone)]
struct SourceFile {
    text: Arc<SourceText>,
    /// The call, for a text that stands for one expansion of a macro.
    expanded_at: Option<Span>,
}

#[derive(Debug)]
struct SourceText {
    name: String,
    text: String,
    /// Offset of each line's first byte; the first is always 0.
    line_starts: Vec<u32>,
}

impl SourceMap {
    /// A map without files.
    pub fn new() -> SourceMap {
        SourceMap::default()
    }

    /// Takes a text in. `name` is what messages call it: a path, or `stdin` for `-e` and `-`.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        let text = text.into();
        let mut line_starts = vec![0];
        for (offset, byte) in text.bytes().enumerate() {
            // Offsets past 4 GiB cannot be named by a span; lines that start there are never asked for.
            if byte == b'\n'
                && let Ok(next) = u32::try_from(offset + 1)
            {
                line_starts.push(next);
            }
        }
        let text = Arc::new(SourceText { name: name.into(), text, line_starts });
        self.push(SourceFile { text, expanded_at: None })
    }

    /// The text of `file` once more, for what a macro in it expands to at `call`: messages about places
    /// in it show the macro and go on to the call. A `file` that is not in the map is given back.
    pub fn add_expansion(&mut self, file: FileId, call: Span) -> FileId {
        let Some(of) = self.files.get(file.0 as usize) else { return file };
        let text = Arc::clone(&of.text);
        self.push(SourceFile { text, expanded_at: Some(call) })
    }

    /// Where the code at `file` was expanded from, innermost first; empty for code that was written where
    /// it stands.
    pub fn expansions(&self, file: FileId) -> impl Iterator<Item = Span> {
        let call_of = |file: FileId| self.files.get(file.0 as usize).and_then(|file| file.expanded_at);
        std::iter::successors(call_of(file), move |call| call_of(call.file))
    }

    fn push(&mut self, file: SourceFile) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(file);
        id
    }

    /// The name that messages give the file; empty for a file that is not in the map.
    pub fn name(&self, file: FileId) -> &str {
        self.file(file).map_or("", |f| &f.name)
    }

    /// The whole text; empty for a file that is not in the map.
    pub fn text(&self, file: FileId) -> &str {
        self.file(file).map_or("", |f| &f.text)
    }

    /// The text that a span covers; empty when the span does not fit the text.
    pub fn snippet(&self, span: Span) -> &str {
        self.text(span.file).get(span.range()).unwrap_or("")
    }

    /// Whether the file's text is here, so that places in it can be shown.
    pub fn has(&self, file: FileId) -> bool {
        self.file(file).is_some()
    }

    /// Line and column of a byte offset. An offset past the end of the text is taken as its end.
    pub fn line_col(&self, file: FileId, offset: u32) -> LineCol {
        let Some(f) = self.file(file) else { return LineCol { line: 1, col: 1 } };
        let offset = offset.min(u32::try_from(f.text.len()).unwrap_or(u32::MAX));
        let index = f.line_starts.partition_point(|&start| start <= offset).saturating_sub(1);
        let start = f.line_starts.get(index).copied().unwrap_or(0);
        LineCol { line: index as u32 + 1, col: offset - start + 1 }
    }

    /// One line without its line end, counted from 1; `None` past the last line.
    pub fn line(&self, file: FileId, line: u32) -> Option<&str> {
        let f = self.file(file)?;
        let index = line.checked_sub(1)? as usize;
        let start = *f.line_starts.get(index)? as usize;
        let end = f.line_starts.get(index + 1).map_or(f.text.len(), |&next| next as usize - 1);
        f.text.get(start..end)
    }

    fn file(&self, file: FileId) -> Option<&SourceText> {
        self.files.get(file.0 as usize).map(|file| &*file.text)
    }
}

/// The form in which a [`SourceMap`] is stored: each text once, however many expansions share it.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// Names and contents.
    texts: Vec<(String, String)>,
    /// For each file the index of its text, and where it was expanded.
    files: Vec<(usize, Option<Span>)>,
}

impl From<SourceMap> for Stored {
    fn from(map: SourceMap) -> Stored {
        let mut texts: Vec<Arc<SourceText>> = Vec::new();
        let files = map.files.into_iter().map(|file| {
            let known = texts.iter().position(|text| Arc::ptr_eq(text, &file.text));
            let index = known.unwrap_or_else(|| {
                texts.push(file.text);
                texts.len() - 1
            });
            (index, file.expanded_at)
        });
        let files = files.collect();
        Stored { texts: texts.iter().map(|text| (text.name.clone(), text.text.clone())).collect(), files }
    }
}

impl From<Stored> for SourceMap {
    fn from(stored: Stored) -> SourceMap {
        let mut all = SourceMap::new();
        for (name, text) in stored.texts {
            all.add(name, text);
        }
        let files = stored.files.into_iter().filter_map(|(index, expanded_at)| {
            let text = Arc::clone(&all.files.get(index)?.text);
            Some(SourceFile { text, expanded_at })
        });
        SourceMap { files: files.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_comes_back_with_its_expansions() {
        let mut map = SourceMap::new();
        let f = map.add("a.bt", "one\ntwo");
        let call = Span::new(f, 4, 7);
        let expansion = map.add_expansion(f, call);
        let stored = serde_json::to_string(&map).unwrap();
        assert_eq!(stored.matches("one").count(), 1);
        let back: SourceMap = serde_json::from_str(&stored).unwrap();
        assert_eq!(back.snippet(Span::new(expansion, 0, 3)), "one");
        assert_eq!(back.line_col(f, 4).line, 2);
        assert_eq!(back.expansions(expansion).collect::<Vec<_>>(), [call]);
    }

    #[test]
    fn lines_and_columns_start_at_one() {
        let mut map = SourceMap::new();
        let f = map.add("stdin", "ab\n\tc\n\nend");
        let at = |offset| {
            let p = map.line_col(f, offset);
            (p.line, p.col)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(2), (1, 3));
        assert_eq!(at(3), (2, 1));
        assert_eq!(at(4), (2, 2));
        assert_eq!(at(6), (3, 1));
        assert_eq!(at(10), (4, 4));
        assert_eq!(at(9999), (4, 4));
        assert_eq!(map.line(f, 2), Some("\tc"));
        assert_eq!(map.line(f, 3), Some(""));
        assert_eq!(map.line(f, 4), Some("end"));
        assert_eq!(map.line(f, 5), None);
        assert_eq!(map.line(f, 0), None);
    }

    #[test]
    fn a_map_answers_for_files_it_does_not_have() {
        let map = SourceMap::new();
        assert_eq!(map.name(FileId::GENERATED), "");
        assert_eq!(map.snippet(Span::GENERATED), "");
        assert_eq!(map.line_col(FileId(3), 7), LineCol { line: 1, col: 1 });
    }

    #[test]
    fn an_expansion_shows_the_macro_and_knows_its_calls() {
        let mut map = SourceMap::new();
        let f = map.add("stdin", "macro m() { 1 }");
        let outer_call = Span::new(f, 0, 5);
        let outer = map.add_expansion(f, outer_call);
        let inner_call = Span::new(outer, 6, 7);
        let inner = map.add_expansion(outer, inner_call);
        assert_eq!(map.text(inner), map.text(f));
        assert_eq!(map.expansions(inner).collect::<Vec<_>>(), [inner_call, outer_call]);
        assert_eq!(map.expansions(f).count(), 0);
        assert_eq!(map.add_expansion(FileId::GENERATED, outer_call), FileId::GENERATED);
    }

    #[test]
    fn spans_join_within_a_file() {
        let a = Span::new(FileId(0), 3, 5);
        let b = Span::new(FileId(0), 8, 9);
        assert_eq!(a.to(b), Span::new(FileId(0), 3, 9));
        assert_eq!(b.to(a), Span::new(FileId(0), 3, 9));
        assert_eq!(a.to(Span::new(FileId(1), 0, 99)), a);
        assert!(a.to(b).contains(a) && !a.contains(b));
    }
}
