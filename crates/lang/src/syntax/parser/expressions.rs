//! Expressions, by precedence climbing.

use std::collections::HashMap;

use skep_ui::{Diagnostic, Span};

use super::Parser;
use super::types::tag;
use crate::syntax::ast::*;
use crate::syntax::lexer::{Token, TokenKind};
use crate::syntax::literal;

impl Parser<'_, '_> {
    /// Any expression. Every chain of the grammar that nests comes through here, so this is where
    /// depth is counted.
    pub(super) fn expression(&mut self) -> Expr {
        self.nested(|p| {
            let start = p.start();
            let cond = p.binary(1);
            p.ternary(start, cond)
        })
        .unwrap_or_else(|| self.error_expr())
    }

    /// What follows a condition: `? a : b`, `?: b`, or nothing.
    fn ternary(&mut self, start: Span, cond: Expr) -> Expr {
        if self.eat(TokenKind::Question).is_none() {
            return cond;
        }
        let then = match self.eat(TokenKind::Colon) {
            Some(_) => None,
            None => {
                let then = self.expression();
                self.expect(TokenKind::Colon, "':'");
                Some(Box::new(then))
            }
        };
        let otherwise = Box::new(self.expression());
        let span = self.since(start);
        self.expr(span, ExprKind::Ternary { cond: Box::new(cond), then, otherwise })
    }

    /// Operators of at least this precedence and their operands.
    fn binary(&mut self, min_precedence: u8) -> Expr {
        let start = self.start();
        let lhs = self.unary();
        self.binary_after(start, lhs, min_precedence)
    }

    /// Operators that follow an operand already read.
    pub(super) fn binary_after(&mut self, start: Span, mut lhs: Expr, min_precedence: u8) -> Expr {
        while !self.lost {
            let token = self.peek();
            let Some(op) = binary_op(token.kind).filter(|op| op.precedence() >= min_precedence) else {
                break;
            };
            if op == BinaryOp::Div && self.in_predicate && self.nth(1) == TokenKind::LBrace {
                break;
            }
            self.bump();
            let op_span = self.cursor.span(token);
            let rhs = self.binary(op.precedence() + 1);
            let span = self.since(start);
            lhs = self.expr(span, ExprKind::Binary { op, op_span, lhs: Box::new(lhs), rhs: Box::new(rhs) });
        }
        lhs
    }

    fn unary(&mut self) -> Expr {
        if self.lost {
            return self.error_expr();
        }
        let start = self.start();
        let token = self.peek();
        let op = match token.kind {
            TokenKind::Minus => UnaryOp::Neg,
            TokenKind::Bang => UnaryOp::Not,
            TokenKind::Tilde => UnaryOp::BitNot,
            TokenKind::Star => UnaryOp::Deref,
            TokenKind::Amp => UnaryOp::AddressOf,
            TokenKind::PlusPlus => UnaryOp::PreInc,
            TokenKind::MinusMinus => UnaryOp::PreDec,
            _ => {
                let primary = self.primary();
                return self.postfix(start, primary);
            }
        };
        self.bump();
        let op_span = self.cursor.span(token);
        let operand = self.nested(Self::unary).unwrap_or_else(|| self.error_expr());
        match op {
            UnaryOp::PreInc | UnaryOp::PreDec => self.check_increment(&operand, operand.span),
            UnaryOp::AddressOf => self.check_address_of(&operand),
            _ => {}
        }
        let span = self.since(start);
        self.expr(span, ExprKind::Unary { op, op_span, operand: Box::new(operand) })
    }

    fn check_increment(&mut self, operand: &Expr, place: Span) {
        let counts = matches!(
            operand.kind,
            ExprKind::Var(_) | ExprKind::Map(_) | ExprKind::MapAccess { .. } | ExprKind::Error
        );
        if !counts {
            self.report(Diagnostic::error(place, "syntax: increment/decrement requires a variable or map"));
        }
    }

    fn check_address_of(&mut self, operand: &Expr) {
        // The original takes variables and maps only, and no element of a map.
        let has_address = matches!(
            operand.peel_parens().kind,
            ExprKind::Var(_)
                | ExprKind::Map(_)
                | ExprKind::MapAccess { .. }
                | ExprKind::Field { .. }
                | ExprKind::Index { .. }
                | ExprKind::Unary { op: UnaryOp::Deref, .. }
                | ExprKind::Error
        );
        if !has_address {
            let message = "syntax: address-of operator (&) can only be used on a map or variable";
            self.report(Diagnostic::error(operand.span, message));
        }
    }

    /// Fields, elements and increments that follow an operand.
    pub(super) fn postfix(&mut self, start: Span, mut base: Expr) -> Expr {
        while !self.lost {
            let token = self.peek();
            let kind = match token.kind {
                TokenKind::Dot | TokenKind::Arrow => {
                    self.bump();
                    self.field(token, base)
                }
                TokenKind::LBracket => {
                    self.bump();
                    let index = Box::new(self.expression());
                    self.expect(TokenKind::RBracket, "']'");
                    ExprKind::Index { base: Box::new(base), index }
                }
                TokenKind::PlusPlus | TokenKind::MinusMinus if !ends_with_brace(&base) => {
                    self.bump();
                    let op_span = self.cursor.span(token);
                    self.check_increment(&base, op_span);
                    let inc = token.kind == TokenKind::PlusPlus;
                    let op = if inc { UnaryOp::PostInc } else { UnaryOp::PostDec };
                    ExprKind::Unary { op, op_span, operand: Box::new(base) }
                }
                _ => break,
            };
            let span = self.since(start);
            base = self.expr(span, kind);
        }
        base
    }

    fn field(&mut self, operator: Token, base: Expr) -> ExprKind {
        let base = Box::new(base);
        let arrow = operator.kind == TokenKind::Arrow;
        if !arrow && self.at(TokenKind::Int) {
            let token = self.bump();
            let index = self.int_lit(token).map_or(0, |lit| lit.value);
            if let ExprKind::Int(_) = base.kind {
                let span = base.span.to(self.cursor.span(token));
                self.report(Diagnostic::error(span, "syntax: there are no floating point numbers"));
            }
            return ExprKind::TupleField { base, index: Spanned::new(index, self.cursor.span(token)) };
        }
        let what = format!("field name after '{}'", self.cursor.text(operator));
        let field = self.expect_ident(&what).unwrap_or_else(|| self.no_ident());
        ExprKind::Field { base, arrow, field }
    }

    fn primary(&mut self) -> Expr {
        if self.lost {
            return self.error_expr();
        }
        let start = self.start();
        let token = self.peek();
        let kind = match token.kind {
            TokenKind::LParen => return self.paren(),
            TokenKind::LBrace => match self.block() {
                Some(block) => ExprKind::Block(block),
                None => return self.error_expr(),
            },
            TokenKind::Ident => return self.named(),
            TokenKind::Map => return self.map(),
            TokenKind::Var => {
                self.bump();
                ExprKind::Var(self.var_name(token))
            }
            TokenKind::Param => {
                self.bump();
                match self.param(token) {
                    Some(n) => ExprKind::Param(n),
                    None => ExprKind::Error,
                }
            }
            TokenKind::ParamCount => {
                self.bump();
                ExprKind::ParamCount
            }
            TokenKind::Int => {
                self.bump();
                match self.int_lit(token) {
                    Some(lit) => ExprKind::Int(lit),
                    None => ExprKind::Error,
                }
            }
            TokenKind::Str { .. } => ExprKind::String(self.string_lit()),
            _ => {
                self.error_at(token, "expected expression");
                return self.error_expr();
            }
        };
        let span = self.since(start);
        self.expr(span, kind)
    }

    /// What begins with a name: keywords, literals, calls, builtins.
    fn named(&mut self) -> Expr {
        let start = self.start();
        let token = self.peek();
        let kind = match self.cursor.text(token) {
            "if" => return self.if_expr(),
            "sizeof" => {
                self.bump();
                ExprKind::Sizeof(self.type_operand())
            }
            "typeof" => {
                self.bump();
                ExprKind::Typeof(self.type_operand())
            }
            "typeinfo" => {
                self.bump();
                ExprKind::Typeinfo(self.type_operand())
            }
            "offsetof" => {
                self.bump();
                self.offsetof()
            }
            "comptime" => {
                self.bump();
                let inner = self.nested(Self::unary).unwrap_or_else(|| self.error_expr());
                ExprKind::Comptime(Box::new(inner))
            }
            "true" => {
                self.bump();
                ExprKind::Bool(true)
            }
            "false" => {
                self.bump();
                ExprKind::Bool(false)
            }
            _ if self.nth(1) == TokenKind::LParen => {
                self.bump();
                let callee = self.ident(token);
                ExprKind::Call { callee, args: self.call_args() }
            }
            word if tag(word).is_some() => {
                let message = format!("expected expression, found a type ('{word}')");
                self.error_at(token, &message);
                return self.error_expr();
            }
            word => {
                self.bump();
                ExprKind::Ident(word.to_owned())
            }
        };
        let span = self.since(start);
        self.expr(span, kind)
    }

    /// `(a, b)` after the name of a function.
    fn call_args(&mut self) -> Vec<Expr> {
        let Some(open) = self.expect(TokenKind::LParen, "'('") else { return Vec::new() };
        let mut args = Vec::new();
        while !self.lost && !self.at(TokenKind::RParen) {
            args.push(self.expression());
            if self.eat(TokenKind::Comma).is_none() {
                break;
            }
        }
        self.close(open, TokenKind::RParen, "')'");
        args
    }

    /// Takes a closing bracket, or reports it missing and where its partner stands.
    pub(super) fn close(&mut self, open: Token, kind: TokenKind, what: &str) {
        if self.eat(kind).is_some() || self.lost {
            return;
        }
        let token = self.peek();
        let span = self.cursor.span(token);
        let mut diagnostic = Diagnostic::error(span, format!("syntax: expected {what}"));
        let open_span = self.cursor.span(open);
        // On one line the partner is in plain sight.
        if self.cursor.line_ends_between(open.start, token.start) {
            diagnostic =
                diagnostic.see(open_span, format!("This '{}' is not closed.", self.cursor.text(open)));
        }
        if token.kind == TokenKind::Eq {
            diagnostic = diagnostic.help("To compare, write '=='.");
        } else if let Some(help) = self.help_for(token) {
            diagnostic = diagnostic.help(help);
        }
        self.fail(diagnostic);
    }

    fn offsetof(&mut self) -> ExprKind {
        self.expect(TokenKind::LParen, "'('");
        let of = self.type_or_expr();
        self.expect(TokenKind::Comma, "','");
        let mut path = Vec::new();
        while let Some(name) = self.expect_ident("field name") {
            path.push(name);
            if self.eat(TokenKind::Dot).is_none() {
                break;
            }
        }
        self.expect(TokenKind::RParen, "')'");
        ExprKind::Offsetof { of, path }
    }

    /// `@x`, or `@x[a, b]`.
    fn map(&mut self) -> Expr {
        let start = self.start();
        let token = self.bump();
        let map = self.map_name(token);
        let kind = match self.eat(TokenKind::LBracket) {
            None => ExprKind::Map(map),
            Some(open) => {
                let mut keys = Vec::new();
                while !self.lost {
                    keys.push(self.expression());
                    if self.eat(TokenKind::Comma).is_none() {
                        break;
                    }
                }
                self.close(open, TokenKind::RBracket, "']'");
                ExprKind::MapAccess { map, keys }
            }
        };
        let span = self.since(start);
        self.expr(span, kind)
    }

    /// What begins with a parenthesis: a tuple, a record, a cast, or an expression in parentheses.
    fn paren(&mut self) -> Expr {
        let start = self.start();
        if self.nth(1) == TokenKind::Ident && self.nth(2) == TokenKind::Eq {
            return self.record();
        }
        if self.at_cast() {
            return self.cast();
        }
        let open = self.bump();
        if self.eat(TokenKind::RParen).is_some() {
            let span = self.since(start);
            return self.expr(span, ExprKind::Tuple(Vec::new()));
        }
        let first = self.expression();
        let kind = if self.eat(TokenKind::Comma).is_some() {
            let mut elems = vec![first];
            while !self.lost && !self.at(TokenKind::RParen) {
                elems.push(self.expression());
                if self.eat(TokenKind::Comma).is_none() {
                    break;
                }
            }
            self.close(open, TokenKind::RParen, "')'");
            ExprKind::Tuple(elems)
        } else {
            self.close(open, TokenKind::RParen, "')'");
            let span = self.since(start);
            // Only after the parenthesis is it known whether `(typeof(x))` was a cast.
            if let ExprKind::Typeof(_) = first.kind
                && !self.lost
                && begins_expression(self.kind())
            {
                return self.cast_to_typeof(span, first);
            }
            ExprKind::Paren(Box::new(first))
        };
        let span = self.since(start);
        self.expr(span, kind)
    }

    fn record(&mut self) -> Expr {
        let start = self.start();
        let open = self.bump();
        let mut fields: Vec<RecordField> = Vec::new();
        let mut seen: HashMap<String, Span> = HashMap::new();
        while !self.lost && !self.at(TokenKind::RParen) {
            let field_start = self.start();
            let Some(name) = self.expect_ident("field name") else { break };
            self.expect(TokenKind::Eq, "'='");
            let value = self.expression();
            if let Some(&first) = seen.get(&name.name) {
                let message = format!("syntax: Named argument list already contains name: {}", name.name);
                self.report(Diagnostic::error(name.span, message).see(first, "It stands here."));
            } else {
                seen.insert(name.name.clone(), name.span);
            }
            let span = self.since(field_start);
            fields.push(RecordField { id: self.ids.fresh(), span, name, value });
            if self.eat(TokenKind::Comma).is_none() {
                break;
            }
        }
        self.close(open, TokenKind::RParen, "')'");
        let span = self.since(start);
        self.expr(span, ExprKind::Record(fields))
    }

    /// `(type)` with the beginning of an expression behind it.
    fn at_cast(&mut self) -> bool {
        match self.scan_type(1) {
            Some(scan) => {
                self.nth(scan.end) == TokenKind::RParen
                    && (begins_expression(self.nth(scan.end + 1)) || tag(self.nth_word(1)).is_some())
            }
            None => false,
        }
    }

    fn cast(&mut self) -> Expr {
        let start = self.start();
        self.bump();
        let ty = self.type_expr();
        self.expect(TokenKind::RParen, "')'");
        let header = self.since(start);
        self.cast_operand(header, ty)
    }

    fn cast_to_typeof(&mut self, header: Span, of: Expr) -> Expr {
        let ExprKind::Typeof(operand) = of.kind else { return of };
        let ty = self.type_node(of.span, TypeExprKind::Typeof(Box::new(operand)));
        self.cast_operand(header, ty)
    }

    /// The header reaches up to the operand, as in the original's messages.
    fn cast_operand(&mut self, header: Span, ty: TypeExpr) -> Expr {
        let operand = self.peek();
        let header = Span::new(header.file, header.start, operand.start);
        let operand = Box::new(self.nested(Self::unary).unwrap_or_else(|| self.error_expr()));
        let span = self.since(header);
        self.expr(span, ExprKind::Cast { ty, header, operand })
    }

    /// `if cond {} else if cond {} else {}`. The arms are gathered first: a long chain of them
    /// does not nest.
    pub(super) fn if_expr(&mut self) -> Expr {
        let mut arms: Vec<(Span, Expr, Block)> = Vec::new();
        let mut last = None;
        loop {
            let start = self.start();
            self.bump();
            let cond = self.condition();
            let Some(then) = self.block() else {
                // Without its block the condition is all there is to keep.
                last = (!arms.is_empty()).then_some(cond);
                break;
            };
            arms.push((start, cond, then));
            if self.eat_word("else").is_none() {
                break;
            }
            if self.at(TokenKind::LBrace) {
                let start = self.start();
                last = self.block().map(|block| {
                    let span = self.since(start);
                    self.expr(span, ExprKind::Block(block))
                });
                break;
            }
            if !self.at_word("if") {
                let token = self.peek();
                self.error_at(token, "expected '{' or 'if' after 'else'");
                last = Some(self.error_expr());
                break;
            }
        }
        let end = self.here();
        let mut otherwise = last;
        while let Some((start, cond, then)) = arms.pop() {
            let span = Span::new(start.file, start.start, end.end);
            let if_expr = IfExpr { cond: Box::new(cond), then, otherwise: otherwise.map(Box::new) };
            otherwise = Some(self.expr(span, ExprKind::If(if_expr)));
        }
        otherwise.unwrap_or_else(|| self.error_expr())
    }

    /// The condition of `if`, `while` and `unroll`. Parentheses around it are never a record or a
    /// cast, so that `while (x) { … }` reads as it looks.
    pub(super) fn condition(&mut self) -> Expr {
        let start = self.start();
        let Some(open) = self.eat(TokenKind::LParen) else { return self.expression() };
        let inner = self.expression();
        self.close(open, TokenKind::RParen, "')'");
        let span = self.since(start);
        let paren = self.expr(span, ExprKind::Paren(Box::new(inner)));
        let operand = self.postfix(start, paren);
        let cond = self.binary_after(start, operand, 1);
        self.ternary(start, cond)
    }

    /// The value of an integer token that was taken. `None` after reporting what is wrong with it.
    pub(super) fn int_lit(&mut self, token: Token) -> Option<IntLit> {
        match literal::integer(self.cursor.text(token), self.cursor.span(token)) {
            Ok(lit) => Some(lit),
            Err(diagnostic) => {
                self.report(diagnostic);
                None
            }
        }
    }

    fn param(&mut self, token: Token) -> Option<u32> {
        let text = self.cursor.text(token);
        match text.trim_start_matches('$').parse::<u32>() {
            Ok(n) if n > 0 => Some(n),
            _ => {
                let span = self.cursor.span(token);
                self.report(
                    Diagnostic::error(
                        span,
                        format!("syntax: param {text} is out of integer range [1, {}]", i64::MAX),
                    )
                    .help("Parameters are counted from $1; $# is how many there are."),
                );
                None
            }
        }
    }

    /// Takes the string token that comes next.
    pub(super) fn string_lit(&mut self) -> StringLit {
        let token = self.bump();
        let span = self.cursor.span(token);
        let text = self.cursor.text(token);
        let body = text.get(1..).unwrap_or("");
        let TokenKind::Str { terminated: true } = token.kind else {
            self.fail(
                Diagnostic::error(span, "syntax: unterminated string").help(
                    "A string ends with '\"' on the line it begins on; write \\n for a line end in it.",
                ),
            );
            return StringLit { bytes: body.as_bytes().to_vec(), span };
        };
        let body = body.strip_suffix('"').unwrap_or(body);
        let mut problems = Vec::new();
        let bytes = literal::unescape(body, span.file, span.start + 1, &mut problems);
        problems.into_iter().for_each(|problem| self.report(problem));
        StringLit { bytes, span }
    }
}

/// `{…}++` is two statements, not an increment of a block.
fn ends_with_brace(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::If(_) | ExprKind::Block(_))
}

fn begins_expression(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::Int
            | TokenKind::Ident
            | TokenKind::Str { .. }
            | TokenKind::Var
            | TokenKind::Param
            | TokenKind::ParamCount
            | TokenKind::Map
            | TokenKind::LParen
            | TokenKind::Minus
            | TokenKind::MinusMinus
            | TokenKind::Bang
            | TokenKind::Tilde
            | TokenKind::Star
            | TokenKind::Amp
    )
}

fn binary_op(kind: TokenKind) -> Option<BinaryOp> {
    Some(match kind {
        TokenKind::PipePipe => BinaryOp::Or,
        TokenKind::AmpAmp => BinaryOp::And,
        TokenKind::Pipe => BinaryOp::BitOr,
        TokenKind::Caret => BinaryOp::BitXor,
        TokenKind::Amp => BinaryOp::BitAnd,
        TokenKind::EqEq => BinaryOp::Eq,
        TokenKind::BangEq => BinaryOp::Ne,
        TokenKind::Lt => BinaryOp::Lt,
        TokenKind::LtEq => BinaryOp::Le,
        TokenKind::Gt => BinaryOp::Gt,
        TokenKind::GtEq => BinaryOp::Ge,
        TokenKind::Shl => BinaryOp::Shl,
        TokenKind::Shr => BinaryOp::Shr,
        TokenKind::Plus => BinaryOp::Add,
        TokenKind::Minus => BinaryOp::Sub,
        TokenKind::Star => BinaryOp::Mul,
        TokenKind::Slash => BinaryOp::Div,
        TokenKind::Percent => BinaryOp::Rem,
        _ => return None,
    })
}
