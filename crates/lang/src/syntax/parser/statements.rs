//! Blocks and the statements in them.

use skep_ui::{Diagnostic, Span};

use super::Parser;
use crate::syntax::ast::*;
use crate::syntax::lexer::{Token, TokenKind};

impl Parser<'_, '_> {
    /// `{ … }`. `None` if no brace is there, which was reported then.
    pub(super) fn block(&mut self) -> Option<Block> {
        let start = self.start();
        let open = self.expect(TokenKind::LBrace, "'{'")?;
        self.nested(|p| p.block_after(start, open))
    }

    fn block_after(&mut self, start: Span, open: Token) -> Block {
        let mut stmts = Vec::new();
        let mut tail = None;
        while !matches!(self.kind(), TokenKind::RBrace | TokenKind::Eof) && !self.at_next_item() {
            // An empty statement says nothing.
            if self.eat(TokenKind::Semi).is_some() {
                continue;
            }
            let before = self.peek();
            stmts.extend(self.statement(&mut tail));
            if self.lost {
                self.skip_statement();
                // What cannot be skipped as part of a statement must not be met again.
                if self.peek() == before && !self.at_next_item() && !self.at(TokenKind::RBrace) {
                    self.bump();
                }
            }
        }
        self.close_block(open);
        let span = self.since(start);
        self.block_node(span, stmts, tail)
    }

    fn close_block(&mut self, open: Token) {
        if self.eat(TokenKind::RBrace).is_some() {
            return;
        }
        let token = self.peek();
        let mut diagnostic = Diagnostic::error(self.cursor.span(token), "syntax: expected '}'");
        if self.cursor.line_ends_between(open.start, token.start) {
            diagnostic = diagnostic.see(self.cursor.span(open), "The block that begins here is not closed.");
        }
        // The blocks around this one are not closed either, but one message is enough.
        self.fail(diagnostic);
    }

    /// One statement; or none, after setting `tail` to an expression without `;` at the block's end.
    fn statement(&mut self, tail: &mut Option<Box<Expr>>) -> Option<Stmt> {
        let start = self.start();
        let token = self.peek();
        let kind = match self.word() {
            "let" => self.let_statement(),
            "for" => self.for_loop(),
            "while" => {
                self.bump();
                let cond = self.condition();
                self.block().map_or(StmtKind::Error, |body| StmtKind::While { cond, body })
            }
            "unroll" => {
                self.bump();
                let count = self.condition();
                self.block().map_or(StmtKind::Error, |body| StmtKind::Unroll { count, body })
            }
            "break" => self.jump(StmtKind::Break),
            "continue" => self.jump(StmtKind::Continue),
            "return" => self.return_statement(),
            "import" if matches!(self.nth(1), TokenKind::Str { .. } | TokenKind::Ident) => {
                self.bump();
                self.import_path().map_or(StmtKind::Error, |path| {
                    self.end_of_statement();
                    StmtKind::Import(Import { path })
                })
            }
            "_" if self.nth(1) == TokenKind::Eq => {
                self.bump();
                self.bump();
                let value = self.expression();
                self.end_of_statement();
                StmtKind::Discard(value)
            }
            "else" => {
                self.fail(
                    Diagnostic::error(self.cursor.span(token), "syntax: 'else' without an 'if' before it")
                        .help("'else' follows the closing '}' of its 'if' at once."),
                );
                StmtKind::Error
            }
            _ => self.expression_statement(start, tail)?,
        };
        // The `;` of an expression belongs to it, but not at the block's end: so it is in the
        // original's messages.
        let span = match &kind {
            StmtKind::Expr(expr) if self.at(TokenKind::RBrace) && !self.lost => expr.span,
            _ => self.since(start),
        };
        Some(self.stmt(span, kind))
    }

    /// An assignment, or an expression for its effect or value.
    fn expression_statement(&mut self, start: Span, tail: &mut Option<Box<Expr>>) -> Option<StmtKind> {
        let expr = self.expression();
        if let Some((op, operator)) = self.assign_op() {
            return Some(self.assignment(start, expr, op, operator));
        }
        if self.at(TokenKind::RBrace) && !self.lost {
            *tail = Some(Box::new(expr));
            return None;
        }
        let ends_itself = matches!(expr.kind, ExprKind::If(_) | ExprKind::Block(_));
        if !ends_itself || self.at(TokenKind::Semi) {
            self.end_of_statement();
        }
        Some(StmtKind::Expr(expr))
    }

    /// The assignment operator that comes next.
    fn assign_op(&mut self) -> Option<(Option<BinaryOp>, Token)> {
        if self.lost {
            return None;
        }
        let op = match self.kind() {
            TokenKind::Eq => None,
            TokenKind::PlusEq => Some(BinaryOp::Add),
            TokenKind::MinusEq => Some(BinaryOp::Sub),
            TokenKind::StarEq => Some(BinaryOp::Mul),
            TokenKind::SlashEq => Some(BinaryOp::Div),
            TokenKind::PercentEq => Some(BinaryOp::Rem),
            TokenKind::AmpEq => Some(BinaryOp::BitAnd),
            TokenKind::PipeEq => Some(BinaryOp::BitOr),
            TokenKind::CaretEq => Some(BinaryOp::BitXor),
            TokenKind::ShlEq => Some(BinaryOp::Shl),
            TokenKind::ShrEq => Some(BinaryOp::Shr),
            _ => return None,
        };
        Some((op, self.bump()))
    }

    fn assignment(
        &mut self,
        start: Span,
        mut target: Expr,
        op: Option<BinaryOp>,
        operator: Token,
    ) -> StmtKind {
        let value = self.expression();
        let op = op.map(|op| Spanned::new(op, self.cursor.span(operator)));
        let span = self.since(start);
        let problem = match &target.kind {
            ExprKind::Var(_) | ExprKind::Map(_) | ExprKind::MapAccess { .. } | ExprKind::Error => None,
            ExprKind::Field { .. } | ExprKind::TupleField { .. } => Some((
                "syntax: Tuples and records are immutable once created. Consider creating a new value and assigning it instead.",
                "Build a new tuple or record and assign that.",
            )),
            _ => Some((
                "syntax: invalid assignment target",
                "Only variables ($x), maps (@x) and their elements (@x[key]) can be assigned to.",
            )),
        };
        if let Some((message, help)) = problem {
            self.report(Diagnostic::error(span, message).help(help));
            target.kind = ExprKind::Error;
        }
        self.end_of_statement();
        StmtKind::Assign { target, op, value }
    }

    /// `let $x : type = init;`
    fn let_statement(&mut self) -> StmtKind {
        self.bump();
        if self.at(TokenKind::Map) {
            let token = self.peek();
            self.fail(
                Diagnostic::error(self.cursor.span(token), "syntax: expected variable after 'let'").help(
                    "Maps need no 'let'; to give one a type or size, declare it outside of the probes.",
                ),
            );
            return StmtKind::Error;
        }
        let Some(token) = self.expect(TokenKind::Var, "variable after 'let'") else { return StmtKind::Error };
        let var = self.var_name(token);
        let ty = self.eat(TokenKind::Colon).map(|_| self.type_expr());
        let init = self.eat(TokenKind::Eq).map(|_| self.expression());
        self.end_of_statement();
        StmtKind::Let { var, ty, init }
    }

    /// `for $x : … { … }`, with or without parentheses.
    fn for_loop(&mut self) -> StmtKind {
        let start = self.start();
        self.bump();
        let open = self.eat(TokenKind::LParen);
        let Some(token) = self.expect(TokenKind::Var, "variable in for loop") else { return StmtKind::Error };
        let var = self.var_name(token);
        self.expect(TokenKind::Colon, "':'");
        let first = self.expression();
        let over = if self.eat(TokenKind::DotDot).is_some() {
            ForOver::Range { start: first, end: self.expression() }
        } else if let ExprKind::Map(map) = first.kind {
            ForOver::Map(map)
        } else {
            self.fail(
                Diagnostic::error(first.span, "syntax: expected map or range in for loop")
                    .help("Write 'for ($kv : @map) { … }' or 'for ($i : 0..10) { … }'."),
            );
            ForOver::Error
        };
        if let Some(open) = open {
            self.close(open, TokenKind::RParen, "')'");
        }
        let header = self.since(start);
        match self.block() {
            Some(body) => StmtKind::For(ForLoop { var, over, header, body }),
            None => StmtKind::Error,
        }
    }

    fn return_statement(&mut self) -> StmtKind {
        self.bump();
        let bare = matches!(self.kind(), TokenKind::Semi | TokenKind::RBrace | TokenKind::Eof);
        let value = (!bare).then(|| self.expression());
        self.end_of_statement();
        StmtKind::Return(value)
    }

    fn jump(&mut self, kind: StmtKind) -> StmtKind {
        self.bump();
        self.end_of_statement();
        kind
    }

    /// Takes the `;`, which may be left out before `}`.
    pub(super) fn end_of_statement(&mut self) {
        if self.lost || self.at(TokenKind::RBrace) || self.eat(TokenKind::Semi).is_some() {
            return;
        }
        let token = self.peek();
        if token.kind == TokenKind::Eof {
            // The block around the statement reports that it is not closed.
            return;
        }
        let new_line = self.cursor.line_ends_between(self.cursor.prev_end(), token.start);
        let span = self.cursor.span(token);
        if new_line || matches!(token.kind, TokenKind::Var | TokenKind::Map) {
            // The next statement is whole; there is nothing to skip.
            let help = if new_line {
                "The statement on the line before needs a ';'."
            } else {
                "Put a ';' before it."
            };
            self.report(Diagnostic::error(span, "syntax: expected ';'").help(help));
        } else if token.kind == TokenKind::Eq {
            self.fail(
                Diagnostic::error(span, "syntax: expected ';'")
                    .help("An assignment is a statement and has no value. To compare, write '=='."),
            );
        } else {
            self.error_at(token, "expected ';'");
        }
    }
}
