//! The comments of a script, given back in order as the formatter comes to their places.

use skep_ui::Span;

use crate::syntax::ast::{ItemKind, Script};

/// The comments that are still to be written.
pub struct Comments<'a> {
    text: &'a str,
    all: Vec<Piece<'a>>,
    /// How many of them were written.
    taken: usize,
}

/// A comment.
#[derive(Clone, Copy)]
pub struct Piece<'a> {
    text: &'a str,
    /// Where it begins in the script.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// The column that it began at, which its further lines were aligned with.
    column: usize,
}

impl<'a> Comments<'a> {
    /// All comments of a script.
    pub fn new(text: &'a str, script: &Script) -> Comments<'a> {
        let piece = |range: std::ops::Range<usize>| {
            let line = text.get(..range.start).unwrap_or("").rfind('\n').map_or(0, |at| at + 1);
            Piece {
                text: text.get(range.clone()).unwrap_or("").trim_end(),
                start: range.start,
                end: range.end,
                column: range.start - line,
            }
        };
        // Those within C belong to its text.
        let within_c = |span: Span| {
            let mut items = script.items.iter();
            items.any(|item| matches!(item.kind, ItemKind::C(_)) && item.span.contains(span))
        };
        let outside = script.comments.iter().map(|comment| comment.span).filter(|span| !within_c(*span));
        Comments { text, taken: 0, all: outside.map(|span| piece(span.range())).collect() }
    }

    /// How far it came, to go back to.
    pub fn mark(&self) -> usize {
        self.taken
    }

    /// Goes back: what was taken since is to be written again.
    pub fn reset(&mut self, mark: usize) {
        self.taken = mark;
    }

    /// Whether one that is still to be written begins before a place.
    pub fn is_next_before(&self, place: usize) -> bool {
        self.all.get(self.taken).is_some_and(|next| next.start < place)
    }

    /// Those that begin before a place.
    pub fn take_before(&mut self, place: usize) -> Vec<Piece<'a>> {
        let rest = self.all.get(self.taken..).unwrap_or_default();
        let count = rest.iter().take_while(|next| next.start < place).count();
        let taken = rest.get(..count).unwrap_or_default().to_vec();
        self.taken += count;
        taken
    }

    /// The one that stands on the same line behind a place, if nothing but blanks and punctuation is
    /// between them, and nothing behind it.
    pub fn take_on_line(&mut self, place: usize) -> Option<Piece<'a>> {
        let next = *self.all.get(self.taken)?;
        let between = self.text.get(place..next.start)?;
        if !between.chars().all(|c| matches!(c, ' ' | '\t' | ';')) {
            return None;
        }
        let after = self.text.get(next.end..)?;
        let alone = after.chars().find(|c| !matches!(c, ' ' | '\t' | '\r')).is_none_or(|c| c == '\n');
        let one_line = !next.text.contains('\n');
        if !alone || !one_line {
            return None;
        }
        self.taken += 1;
        Some(next)
    }
}

impl Piece<'_> {
    /// The comment at an indentation, its further lines moved along.
    pub fn lines(&self, indent: usize) -> String {
        let pad = " ".repeat(indent);
        let mut out = String::new();
        for (index, line) in self.text.lines().enumerate() {
            if index > 0 {
                out.push('\n');
            }
            let line = line.trim_end();
            if index == 0 {
                out.push_str(&pad);
                out.push_str(line);
            } else if !line.is_empty() {
                let own = line.len() - line.trim_start_matches([' ', '\t']).len();
                out.push_str(&pad);
                out.push_str(&" ".repeat(own.saturating_sub(self.column)));
                out.push_str(line.get(own..).unwrap_or(""));
            }
        }
        out
    }
}
