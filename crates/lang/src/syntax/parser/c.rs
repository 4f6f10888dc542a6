//! C in a script: preprocessor lines and type definitions, kept as text.

use skep_ui::{Diagnostic, Span};

use super::Parser;
use super::types::tag;
use crate::syntax::ast::*;
use crate::syntax::lexer::{TokenKind, is_ident_part, is_ident_start};

impl Parser<'_, '_> {
    /// Whether `struct`, `union` or `enum` comes next with a body. `struct` may also be the first
    /// word of a misspelt attach point.
    pub(super) fn at_c_type(&mut self) -> bool {
        if tag(self.word()).is_none() {
            return false;
        }
        let mut depth = 0u32;
        // Names and attributes are short; a bound keeps broken text from being scanned over and over.
        for n in 1..64 {
            match self.nth(n) {
                TokenKind::LBrace if depth == 0 => return true,
                TokenKind::LParen | TokenKind::LBracket => depth += 1,
                TokenKind::RParen | TokenKind::RBracket if depth > 0 => depth -= 1,
                TokenKind::Ident => {}
                TokenKind::Comma | TokenKind::Int | TokenKind::Str { .. } if depth > 0 => {}
                _ => return false,
            }
        }
        false
    }

    /// `# …` through the end of the line, which `\` continues.
    pub(super) fn preprocessor_line(&mut self) -> CDefinition {
        let hash = self.peek();
        let rest = self.cursor.source().get(hash.start as usize..).unwrap_or("");
        let length = directive_length(rest);
        let line = rest.get(..length).unwrap_or(rest).trim_end();
        let end = hash.start + line.len() as u32;
        self.cursor.take_raw(end);
        let text = Slice { text: line, span: Span::new(self.cursor.file(), hash.start, end) };
        let kind = self.directive(text);
        CDefinition { kind, text: text.spanned() }
    }

    fn directive(&mut self, line: Slice<'_>) -> CKind {
        let (word, rest) = line.skip(1).trim_start().split_name();
        match word.text {
            "include" => {
                let path = rest.without_comments().trim();
                let system = path.text.starts_with('<');
                let inner = path
                    .strip('<', '>')
                    .or_else(|| path.strip('"', '"'))
                    .filter(|inner| !inner.text.is_empty());
                if inner.is_none() {
                    self.report(
                        Diagnostic::error(line.span, "syntax: #include needs the name of a file")
                            .help("Write #include <linux/fs.h> or #include \"mine.h\"."),
                    );
                }
                CKind::Include { path: inner.unwrap_or(path).spanned(), system }
            }
            "define" => self.define(line, rest.trim_start()),
            _ => CKind::Directive(word.ident()),
        }
    }

    fn define(&mut self, line: Slice<'_>, rest: Slice<'_>) -> CKind {
        let (name, rest) = rest.split_name();
        if name.text.is_empty() {
            self.report(Diagnostic::error(line.span, "syntax: #define needs a name"));
        }
        // Only directly behind the name does a parenthesis begin parameters.
        let (params, body) = match rest.text.strip_prefix('(').and_then(|tail| tail.find(')')) {
            Some(length) => {
                let inner = rest.skip(1).take(length);
                (Some(inner.names()), rest.skip(length + 2))
            }
            None => (None, rest),
        };
        CKind::Define { name: name.ident(), params, body: body.without_comments().trim().spanned() }
    }

    /// `struct x { … };` and its kin, with attributes before the name and behind the body.
    pub(super) fn c_type(&mut self) -> CDefinition {
        let start = self.start();
        let keyword = self.bump();
        let tag = tag(self.cursor.text(keyword)).unwrap_or(TypeTag::Struct);
        let mut attributes = Vec::new();
        let mut name = None;
        loop {
            if self.at_word("__attribute__") {
                attributes.push(self.attribute());
            } else if let Some(token) = self.eat(TokenKind::Ident) {
                name = Some(self.ident(token));
            } else {
                break;
            }
        }
        let body = self.c_body();
        while !self.lost && self.at_word("__attribute__") {
            attributes.push(self.attribute());
        }
        let span = self.since(start);
        let text = self.cursor.slice(span.start, span.end).to_owned();
        self.eat(TokenKind::Semi);
        CDefinition { kind: CKind::Type { tag, name, body, attributes }, text: Spanned::new(text, span) }
    }

    /// `typedef unsigned int id_t;`, `static const int N = 5;`: all of it through the semicolon.
    pub(super) fn c_declaration(&mut self) -> CDefinition {
        let start = self.start();
        loop {
            match self.kind() {
                TokenKind::LBrace => self.skip_balanced(TokenKind::LBrace, TokenKind::RBrace, "'}'"),
                TokenKind::Semi => {
                    self.bump();
                    break;
                }
                TokenKind::Eof | TokenKind::RBrace => {
                    self.expect(TokenKind::Semi, "';'");
                    break;
                }
                _ => {
                    self.bump();
                }
            }
            if self.lost {
                break;
            }
        }
        let span = self.since(start);
        let text = self.cursor.slice(span.start, span.end).to_owned();
        CDefinition { kind: CKind::Declaration, text: Spanned::new(text, span) }
    }

    /// `__attribute__((…))`
    fn attribute(&mut self) -> Spanned<String> {
        let start = self.start();
        self.bump();
        let double = self.at(TokenKind::LParen) && self.nth(1) == TokenKind::LParen;
        if double {
            self.skip_balanced(TokenKind::LParen, TokenKind::RParen, "')'");
        } else {
            let token = self.peek();
            self.error_at(token, "__attribute__ syntax error, expected '(('");
        }
        let span = self.since(start);
        Spanned::new(self.cursor.slice(span.start, span.end).to_owned(), span)
    }

    /// `{ … }`; gives what stands between the braces.
    fn c_body(&mut self) -> Spanned<String> {
        let start = self.start();
        self.skip_balanced(TokenKind::LBrace, TokenKind::RBrace, "'}'");
        let outer = self.since(start);
        let close = if self.lost { outer.end } else { outer.end.saturating_sub(1) };
        let span = Span::new(outer.file, outer.start.saturating_add(1).min(outer.end), close);
        Spanned::new(self.cursor.slice(span.start, span.end).to_owned(), span)
    }

    /// Takes everything from an opening bracket through the one that closes it. C's tokens are not
    /// ours, but its brackets, comments and strings are.
    fn skip_balanced(&mut self, open: TokenKind, close: TokenKind, what: &str) {
        let Some(first) = self.expect(open, "'{'") else { return };
        let mut depth = 1u32;
        while depth > 0 {
            let token = self.peek();
            if token.kind == TokenKind::Eof {
                self.close(first, close, what);
                return;
            }
            if token.kind == open {
                depth += 1;
            } else if token.kind == close {
                depth -= 1;
            }
            self.bump();
        }
    }
}

/// Up to the end of the line, or of the last line that the first one is continued on.
fn directive_length(text: &str) -> usize {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find('\n')) {
        let end = from + at;
        let line = text.get(from..end).unwrap_or("");
        if !line.trim_end_matches('\r').ends_with('\\') {
            return end;
        }
        from = end + 1;
    }
    text.len()
}

/// A piece of the source that knows where it stands.
#[derive(Clone, Copy)]
struct Slice<'a> {
    text: &'a str,
    span: Span,
}

impl<'a> Slice<'a> {
    fn skip(self, n: usize) -> Slice<'a> {
        let n = n.min(self.text.len());
        let start = self.span.start + n as u32;
        Slice {
            text: self.text.get(n..).unwrap_or(""),
            span: Span::new(self.span.file, start, self.span.end),
        }
    }

    fn take(self, n: usize) -> Slice<'a> {
        let n = n.min(self.text.len());
        let end = self.span.start + n as u32;
        Slice {
            text: self.text.get(..n).unwrap_or(""),
            span: Span::new(self.span.file, self.span.start, end),
        }
    }

    fn trim_start(self) -> Slice<'a> {
        self.skip(self.text.len() - self.text.trim_start().len())
    }

    fn trim(self) -> Slice<'a> {
        let start = self.trim_start();
        start.take(start.text.trim_end().len())
    }

    /// What stands before the first comment.
    fn without_comments(self) -> Slice<'a> {
        let ends = [self.text.find("//"), self.text.find("/*")];
        self.take(ends.into_iter().flatten().min().unwrap_or(self.text.len()))
    }

    fn split_name(self) -> (Slice<'a>, Slice<'a>) {
        let bytes = self.text.as_bytes();
        let length = match bytes.first() {
            Some(b) if is_ident_start(*b) => bytes.iter().take_while(|b| is_ident_part(**b)).count(),
            _ => 0,
        };
        (self.take(length), self.skip(length))
    }

    fn strip(self, open: char, close: char) -> Option<Slice<'a>> {
        let length = self.text.strip_prefix(open)?.find(close)?;
        Some(self.skip(1).take(length))
    }

    /// The names of a list with commas; anything else in it is left out.
    fn names(self) -> Vec<Ident> {
        let mut names = Vec::new();
        let mut rest = self;
        while !rest.text.is_empty() {
            let (name, after) = rest.trim_start().split_name();
            if !name.text.is_empty() {
                names.push(name.ident());
            }
            rest = after.skip(after.text.find(',').map_or(after.text.len(), |comma| comma + 1));
        }
        names
    }

    fn ident(self) -> Ident {
        Ident { name: self.text.to_owned(), span: self.span }
    }

    fn spanned(self) -> Spanned<String> {
        Spanned::new(self.text.to_owned(), self.span)
    }
}
