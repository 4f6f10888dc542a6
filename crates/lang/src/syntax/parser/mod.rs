//! Tokens to tree, by hand: one function per construct, each of which always gives a node.
//!
//! After an error the parser is *lost*: further errors are kept back, and every function returns
//! what it has without taking tokens, up to the nearest place that can find the way again, which
//! is a list of statements, settings or items. There the rest of the broken piece is skipped,
//! brackets counted, and parsing goes on. So each error is reported once, and the next one is
//! still found.
//!
//! Two limits keep hostile input from exhausting the stack here and in later stages: how deeply
//! constructs nest in the text ([`MAX_NESTING`]), and how high the tree grows, which chains such as
//! `1+1+1+…` drive without nesting ([`MAX_HEIGHT`]).

mod attach_points;
mod c;
mod cursor;
mod expressions;
mod items;
mod statements;
mod types;

#[cfg(test)]
pub(crate) use types::is_builtin_value;

use skep_ui::{Diagnostic, FileId, Span};

use self::cursor::Cursor;
use super::ast::*;
use super::lexer::{Token, TokenKind};
use super::visit::{Visitor, walk_block, walk_expr, walk_stmt, walk_type};

/// How deeply constructs may nest.
pub const MAX_NESTING: u32 = 100;

/// How high the tree of one expression, statement or type may be.
pub const MAX_HEIGHT: u16 = 400;

/// After so many errors the rest is not worth reading.
const MAX_ERRORS: usize = 100;

/// A tree, and what is wrong with the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Parse<T = Script> {
    /// The tree. It has `Error` nodes only if there are errors below.
    pub script: T,
    /// Errors and warnings in the order of discovery.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses one script whose node ids start at 0.
pub fn parse(file: FileId, text: &str) -> Parse {
    parse_script(file, text, &mut NodeIds::new())
}

/// Parses one script of several that share a counter of node ids.
pub fn parse_script(file: FileId, text: &str, ids: &mut NodeIds) -> Parse {
    run(file, text, ids, |p| p.script())
}

/// Parses a text that must be one expression, such as the body of a C constant.
pub fn parse_expression(file: FileId, text: &str, ids: &mut NodeIds) -> Parse<Expr> {
    run(file, text, ids, |p| {
        let expr = p.expression();
        let token = p.peek();
        if token.kind != TokenKind::Eof {
            p.error_at(token, "unexpected input");
        }
        expr
    })
}

/// Parses a text that must be one attach point, such as a search pattern or one whose positional
/// parameters were replaced. Blanks around it are ignored; blanks within it must be quoted.
pub fn parse_attach_point(file: FileId, text: &str, ids: &mut NodeIds) -> Parse<AttachPoint> {
    run(file, text, ids, |p| {
        let attach_point = p.attach_point();
        let token = p.peek();
        if token.kind != TokenKind::Eof {
            p.error_at(token, "unexpected input after the attach point");
        }
        attach_point
    })
}

fn run<T>(file: FileId, text: &str, ids: &mut NodeIds, what: impl FnOnce(&mut Parser) -> T) -> Parse<T> {
    let fitting = fit(text);
    let mut parser = Parser {
        cursor: Cursor::new(file, fitting),
        first_id: ids.count(),
        ids,
        heights: Vec::new(),
        diagnostics: Vec::new(),
        lost: false,
        nesting: 0,
        in_predicate: false,
    };
    let script = what(&mut parser);
    let mut diagnostics = parser.diagnostics;
    if let Some(open) = parser.cursor.open_comment() {
        let mark = Span::new(open.file, open.start, open.start + 2);
        diagnostics.push(
            Diagnostic::warning(mark, "The comment that begins here is never closed.")
                .help("Close it with '*/'."),
        );
    }
    if fitting.len() < text.len() {
        diagnostics.push(Diagnostic::error_without_place("The script is larger than 4 GiB."));
    }
    Parse { script, diagnostics }
}

/// As much of the text as spans can name.
fn fit(text: &str) -> &str {
    let mut length = text.len().min(u32::MAX as usize - 1);
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    text.get(..length).unwrap_or("")
}

struct Parser<'t, 'i> {
    cursor: Cursor<'t>,
    ids: &'i mut NodeIds,
    /// The first id that this parser was given.
    first_id: usize,
    /// Height of the tree below each node, by id from `first_id` on.
    heights: Vec<u16>,
    diagnostics: Vec<Diagnostic>,
    /// An error was reported, and the place to go on is not found yet.
    lost: bool,
    nesting: u32,
    /// ` / {` ends the expression instead of dividing.
    in_predicate: bool,
}

/// Tokens.
impl<'t> Parser<'t, '_> {
    fn peek(&mut self) -> Token {
        self.cursor.peek(0)
    }

    fn kind(&mut self) -> TokenKind {
        self.cursor.peek(0).kind
    }

    fn nth(&mut self, n: usize) -> TokenKind {
        self.cursor.peek(n).kind
    }

    fn at(&mut self, kind: TokenKind) -> bool {
        self.kind() == kind
    }

    fn bump(&mut self) -> Token {
        self.cursor.bump()
    }

    /// Takes the next token if it is of this kind. Never does while lost.
    fn eat(&mut self, kind: TokenKind) -> Option<Token> {
        (!self.lost && self.at(kind)).then(|| self.bump())
    }

    fn eat_word(&mut self, word: &str) -> Option<Token> {
        (!self.lost && self.at_word(word)).then(|| self.bump())
    }

    fn at_word(&mut self, word: &str) -> bool {
        self.word() == word
    }

    /// The next token's text if it is a name; the empty text otherwise.
    fn word(&mut self) -> &'t str {
        self.nth_word(0)
    }

    fn nth_word(&mut self, n: usize) -> &'t str {
        let token = self.cursor.peek(n);
        if token.kind == TokenKind::Ident { self.cursor.text(token) } else { "" }
    }

    /// Takes a token of this kind or reports that `what` was expected.
    fn expect(&mut self, kind: TokenKind, what: &str) -> Option<Token> {
        let found = self.eat(kind);
        if found.is_none() {
            let token = self.peek();
            self.error_at(token, &format!("expected {what}"));
        }
        found
    }

    fn expect_ident(&mut self, what: &str) -> Option<Ident> {
        let token = self.expect(TokenKind::Ident, what)?;
        Some(self.ident(token))
    }

    fn ident(&self, token: Token) -> Ident {
        Ident { name: self.cursor.text(token).to_owned(), span: self.cursor.span(token) }
    }

    /// A name that is missing, at the end of what was read so far.
    fn no_ident(&self) -> Ident {
        Ident { name: String::new(), span: self.here() }
    }

    fn var_name(&self, token: Token) -> VarName {
        let name = self.cursor.text(token).trim_start_matches('$').to_owned();
        VarName { name, span: self.cursor.span(token) }
    }

    fn map_name(&self, token: Token) -> MapName {
        let name = self.cursor.text(token).trim_start_matches('@').to_owned();
        MapName { name, span: self.cursor.span(token) }
    }
}

/// Spans and nodes.
impl Parser<'_, '_> {
    /// The empty span behind what was read so far.
    fn here(&self) -> Span {
        Span::empty(self.cursor.file(), self.cursor.prev_end())
    }

    /// From `start` through what was read so far. If that is nothing, an empty span where error
    /// nodes are put too, so that spans nest.
    fn since(&self, start: Span) -> Span {
        let end = self.cursor.prev_end();
        Span::new(start.file, start.start.min(end), end)
    }

    /// Where the next token begins, or where the last one ended while lost.
    fn start(&mut self) -> Span {
        if self.lost {
            return self.here();
        }
        let token = self.peek();
        self.cursor.span(token).at_start()
    }

    fn expr(&mut self, span: Span, kind: ExprKind) -> Expr {
        let mut expr = Expr { id: self.ids.fresh(), span, kind };
        let height = self.height_of(|v| walk_expr(v, &expr));
        if height > MAX_HEIGHT {
            self.too_deep(span);
            expr.kind = ExprKind::Error;
            self.note_height(expr.id, 1);
        } else {
            self.note_height(expr.id, height);
        }
        expr
    }

    fn error_expr(&mut self) -> Expr {
        let span = self.here();
        self.expr(span, ExprKind::Error)
    }

    fn stmt(&mut self, span: Span, kind: StmtKind) -> Stmt {
        let stmt = Stmt { id: self.ids.fresh(), span, kind };
        let height = self.height_of(|v| walk_stmt(v, &stmt));
        self.note_height(stmt.id, height);
        stmt
    }

    fn block_node(&mut self, span: Span, stmts: Vec<Stmt>, tail: Option<Box<Expr>>) -> Block {
        let block = Block { id: self.ids.fresh(), span, stmts, tail };
        let height = self.height_of(|v| walk_block(v, &block));
        self.note_height(block.id, height);
        block
    }

    fn type_node(&mut self, span: Span, kind: TypeExprKind) -> TypeExpr {
        let mut ty = TypeExpr { id: self.ids.fresh(), span, kind };
        let height = self.height_of(|v| walk_type(v, &ty));
        if height > MAX_HEIGHT {
            self.too_deep(span);
            ty.kind = TypeExprKind::Error;
            self.note_height(ty.id, 1);
        } else {
            self.note_height(ty.id, height);
        }
        ty
    }

    fn note_height(&mut self, id: NodeId, height: u16) {
        let index = id.0 as usize - self.first_id;
        if self.heights.len() <= index {
            self.heights.resize(index + 1, 0);
        }
        self.heights[index] = height;
    }

    /// One more than the highest child that `walk` visits.
    fn height_of(&self, walk: impl FnOnce(&mut Heights)) -> u16 {
        let mut heights = Heights { known: &self.heights, first_id: self.first_id, highest: 0 };
        walk(&mut heights);
        heights.highest.saturating_add(1)
    }

    /// Runs `parse` one level deeper, or reports that this is too deep.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.nesting >= MAX_NESTING {
            let token = self.peek();
            let span = self.cursor.span(token);
            self.too_deep(span);
            return None;
        }
        self.nesting += 1;
        let result = parse(self);
        self.nesting -= 1;
        Some(result)
    }

    fn too_deep(&mut self, span: Span) {
        self.fail(
            Diagnostic::error(span, "syntax: this is nested too deeply")
                .help("Keep parts of it in variables."),
        );
    }
}

/// Looks the heights of children up instead of going down to them.
struct Heights<'a> {
    known: &'a [u16],
    first_id: usize,
    highest: u16,
}

impl Heights<'_> {
    fn look_up(&mut self, id: NodeId) {
        let height = self.known.get(id.0 as usize - self.first_id).copied().unwrap_or(0);
        self.highest = self.highest.max(height);
    }
}

impl Visitor for Heights<'_> {
    fn visit_block(&mut self, block: &Block) {
        self.look_up(block.id);
    }

    fn visit_stmt(&mut self, stmt: &Stmt) {
        self.look_up(stmt.id);
    }

    fn visit_expr(&mut self, expr: &Expr) {
        self.look_up(expr.id);
    }

    fn visit_type(&mut self, ty: &TypeExpr) {
        self.look_up(ty.id);
    }
}

/// Errors, and finding the way again.
impl Parser<'_, '_> {
    /// Reports an error after which the parser knows where it is.
    fn report(&mut self, diagnostic: Diagnostic) {
        if !self.lost {
            self.push(diagnostic);
        }
    }

    /// Reports an error after which the parser is lost.
    fn fail(&mut self, diagnostic: Diagnostic) {
        self.report(diagnostic);
        self.lost = true;
    }

    fn error_at(&mut self, token: Token, message: &str) {
        let span = self.cursor.span(token);
        let mut diagnostic = Diagnostic::error(span, format!("syntax: {message}"));
        if let Some(help) = self.help_for(token) {
            diagnostic = diagnostic.help(help);
        }
        self.fail(diagnostic);
    }

    /// What is usually meant by a token that stands in the wrong place.
    fn help_for(&mut self, token: Token) -> Option<String> {
        match self.cursor.text(token) {
            "'" => Some("Strings stand in double quotes; there are no character literals.".to_owned()),
            "`" | "“" | "”" | "„" => Some("Strings stand in double quotes: \"text\".".to_owned()),
            "$" => Some("A variable is '$' and a name, a parameter '$' and a number.".to_owned()),
            "#" => Some(
                "C lines such as #include stand at the beginning of a line, before the probes.".to_owned(),
            ),
            _ => None,
        }
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        match self.diagnostics.len() {
            MAX_ERRORS => {
                let last = diagnostic.span.unwrap_or(Span::GENERATED);
                let more = "syntax: too many errors; those from here on are not shown";
                self.diagnostics.push(Diagnostic::error(last, more));
            }
            n if n > MAX_ERRORS => {}
            _ => self.diagnostics.push(diagnostic),
        }
    }

    /// Skips to the end of the broken statement: behind its `;`, or to the `}` that closes the
    /// block around it, or to something that can only be the next item.
    ///
    /// At the end of the text the parser stays lost: what is missing there is a consequence.
    fn skip_statement(&mut self) {
        let mut depth = 0u32;
        loop {
            let token = self.peek();
            match token.kind {
                TokenKind::Eof => return,
                TokenKind::Semi if depth == 0 => {
                    self.bump();
                    break;
                }
                TokenKind::LBrace => depth += 1,
                TokenKind::RBrace if depth == 0 => break,
                TokenKind::RBrace => {
                    depth -= 1;
                    if depth == 0 {
                        self.bump();
                        self.eat_after_skipped_block();
                        break;
                    }
                }
                _ if self.at_next_item() => break,
                _ => {}
            }
            self.bump();
        }
        self.lost = false;
    }

    /// A `;` or an `else` that belongs to the block just skipped.
    fn eat_after_skipped_block(&mut self) {
        if self.at(TokenKind::Semi) {
            self.bump();
        } else if self.at_word("else") {
            self.skip_statement();
        }
    }

    /// Whether the next tokens, at the beginning of a line, can only be those of a probe, macro or
    /// function: then a block before them was not closed.
    fn at_next_item(&mut self) -> bool {
        let token = self.peek();
        if token.kind != TokenKind::Ident || !self.cursor.at_column_one(token) {
            return false;
        }
        let next = self.cursor.peek(1);
        let word = self.cursor.text(token);
        let opens = matches!(next.kind, TokenKind::LBrace | TokenKind::Slash | TokenKind::Comma);
        let is_special = word.eq_ignore_ascii_case("begin") || word.eq_ignore_ascii_case("end");
        let is_attach_point = next.kind == TokenKind::Colon && next.start == token.end;
        let is_definition = matches!(word, "macro" | "fn") && next.kind == TokenKind::Ident;
        is_attach_point || is_special && opens || is_definition
    }
}
