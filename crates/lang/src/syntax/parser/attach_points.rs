//! Attach points, which are read by the character: paths, wildcards and symbol names are no tokens.

use skep_ui::{Diagnostic, Span};

use super::Parser;
use crate::syntax::ast::*;
use crate::syntax::lexer::{is_ident_part, is_space};

impl Parser<'_, '_> {
    /// One attach point, up to white space or one of `, { ; }` outside of quotes. A `/` before the
    /// first `:` ends it too, as it can only begin a predicate there; behind it, it is a path's.
    pub(super) fn attach_point(&mut self) -> AttachPoint {
        let next = self.peek();
        let text = self.cursor.source();
        let length = attach_point_length(text.get(next.start as usize..).unwrap_or(""));
        let end = next.start + length as u32;
        let span = if length == 0 {
            self.error_at(next, "expected attach point");
            self.here()
        } else {
            self.cursor.take_raw(end);
            Span::new(self.cursor.file(), next.start, end)
        };
        let text = self.cursor.slice(span.start, span.end).to_owned();
        let (provider, parts) = self.split_attach_point(&text, span);
        AttachPoint { id: self.ids.fresh(), span, text, provider, parts }
    }

    /// Cuts the text apart at `:` and `@`.
    fn split_attach_point(&mut self, text: &str, span: Span) -> (ApPart, Vec<ApPart>) {
        let mut splitter = Splitter {
            text,
            span,
            parts: Vec::new(),
            part: ApPart { span: span.at_start(), separator: ApSeparator::Start, pieces: Vec::new() },
            problems: Vec::new(),
            unterminated: None,
        };
        splitter.run();
        let Splitter { mut parts, part, problems, unterminated, .. } = splitter;
        parts.push(part);
        let provider = parts.remove(0);
        problems.into_iter().for_each(|problem| self.report(problem));
        unterminated.into_iter().for_each(|problem| self.fail(problem));
        (provider, parts)
    }
}

/// How much of the text is attach point.
fn attach_point_length(text: &str) -> usize {
    let mut seen_colon = false;
    let mut index = 0;
    let bytes = text.as_bytes();
    while let Some(&byte) = bytes.get(index) {
        match byte {
            b'"' => {
                index += quoted_length(&text[index..]);
                continue;
            }
            b'{' | b',' | b';' | b'}' => break,
            b'/' if !seen_colon => break,
            b':' => seen_colon = true,
            byte if is_space(byte) => break,
            _ => {}
        }
        index += 1;
    }
    index
}

/// Length of a quoted text with its quotes; without the closing one it ends with the line.
fn quoted_length(text: &str) -> usize {
    let mut escaped = false;
    for (offset, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return offset,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return offset + 1,
            _ => {}
        }
    }
    text.len()
}

struct Splitter<'a> {
    text: &'a str,
    span: Span,
    parts: Vec<ApPart>,
    part: ApPart,
    problems: Vec<Diagnostic>,
    /// Behind a quote that is not closed nothing can be relied on.
    unterminated: Option<Diagnostic>,
}

impl Splitter<'_> {
    fn run(&mut self) {
        let mut index = 0;
        while let Some(rest) = self.text.get(index..).filter(|rest| !rest.is_empty()) {
            index += match rest.as_bytes() {
                [b':', ..] => self.separate(index, ApSeparator::Colon),
                [b'@', ..] => self.separate(index, ApSeparator::At),
                [b'"', ..] => self.quoted(index, rest),
                [b'$', ..] => self.param(index, rest),
                _ => self.plain(index, rest),
            };
        }
    }

    fn separate(&mut self, index: usize, separator: ApSeparator) -> usize {
        let span = self.at(index + 1, index + 1);
        let next = ApPart { span, separator, pieces: Vec::new() };
        self.parts.push(std::mem::replace(&mut self.part, next));
        1
    }

    fn plain(&mut self, index: usize, rest: &str) -> usize {
        let length = rest.find([':', '@', '"', '$']).unwrap_or(rest.len());
        let text = rest.get(..length).unwrap_or("").to_owned();
        self.piece(index, length, ApPieceKind::Text(text));
        length
    }

    /// In quotes, a backslash takes the next character as it is.
    fn quoted(&mut self, index: usize, rest: &str) -> usize {
        let length = quoted_length(rest);
        let whole = rest.get(..length).unwrap_or(rest);
        let body = whole.get(1..).unwrap_or("");
        let mut out = String::new();
        let mut chars = body.chars();
        let mut closed = false;
        while let Some(c) = chars.next() {
            match c {
                '\\' => out.extend(chars.next()),
                '"' => closed = true,
                c => out.push(c),
            }
        }
        if !closed {
            let span = self.at(index, index + length);
            let problem = Diagnostic::error(span, "syntax: unterminated string");
            self.unterminated = Some(problem.help("The quotes around a part end on the line they begin on."));
        }
        self.piece(index, length, ApPieceKind::Quoted(out));
        length
    }

    fn param(&mut self, index: usize, rest: &str) -> usize {
        let digits = rest.bytes().skip(1).take_while(u8::is_ascii_digit).count();
        let number = rest.get(1..1 + digits).unwrap_or("").parse::<u32>().ok().filter(|n| *n > 0);
        match number {
            Some(n) => {
                self.piece(index, 1 + digits, ApPieceKind::Param(n));
                1 + digits
            }
            None => {
                let tail = rest.bytes().skip(1).take_while(|b| is_ident_part(*b)).count();
                let span = self.at(index, index + 1 + tail);
                let text = rest.get(..1 + tail).unwrap_or("$").to_owned();
                let message = format!("syntax: '{text}' is no positional parameter");
                let help = format!("If the '$' belongs to a name, put that part in quotes: \"{text}\".");
                self.problems.push(Diagnostic::error(span, message).help(help));
                self.piece(index, 1 + tail, ApPieceKind::Text(text));
                1 + tail
            }
        }
    }

    fn piece(&mut self, index: usize, length: usize, kind: ApPieceKind) {
        let span = self.at(index, index + length);
        self.part.span = self.part.span.to(span);
        self.part.pieces.push(ApPiece { span, kind });
    }

    fn at(&self, from: usize, to: usize) -> Span {
        Span::new(self.span.file, self.span.start + from as u32, self.span.start + to as u32)
    }
}
