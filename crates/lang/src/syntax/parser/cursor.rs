//! The parser's view of the text: tokens with look-ahead, comments put aside, and the possibility
//! to go on by the character where other rules hold.

use std::collections::VecDeque;

use skep_ui::{FileId, Span};

use crate::syntax::ast::Comment;
use crate::syntax::lexer::{Token, TokenKind, next_token};

pub(super) struct Cursor<'t> {
    file: FileId,
    text: &'t str,
    /// Where the lexer goes on, behind all of `ahead`.
    lexed_to: u32,
    ahead: VecDeque<Token>,
    /// End of the last token taken.
    prev_end: u32,
    comments: Vec<Comment>,
    /// Start of a comment that is never closed.
    open_comment: Option<Span>,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(file: FileId, text: &'t str) -> Cursor<'t> {
        Cursor {
            file,
            text,
            lexed_to: 0,
            ahead: VecDeque::new(),
            prev_end: 0,
            comments: Vec::new(),
            open_comment: None,
        }
    }

    /// The token `n` places ahead; 0 is the next one.
    pub(super) fn peek(&mut self, n: usize) -> Token {
        while self.ahead.len() <= n {
            let token = next_token(self.text, self.lexed_to);
            self.lexed_to = token.end;
            if token.kind.is_comment() {
                self.keep_comment(token);
            } else {
                self.ahead.push_back(token);
            }
        }
        self.ahead[n]
    }

    /// Takes the next token. The end of the text can be taken any number of times.
    pub(super) fn bump(&mut self) -> Token {
        let token = self.peek(0);
        self.ahead.pop_front();
        if token.kind != TokenKind::Eof {
            self.prev_end = token.end;
        }
        token
    }

    /// Takes the text from the next token's first byte up to `offset` as something that is not made
    /// of tokens, and goes on behind it. What was looked at ahead is read again; comments in the
    /// taken text were none.
    pub(super) fn take_raw(&mut self, offset: u32) {
        let from = self.peek(0).start;
        self.forget_comments_from(from);
        self.ahead.clear();
        self.lexed_to = offset;
        self.prev_end = offset;
    }

    /// Forgets comments that begin at or after `offset`, because they are read again or were none.
    fn forget_comments_from(&mut self, offset: u32) {
        while self.comments.last().is_some_and(|comment| comment.span.start >= offset) {
            self.comments.pop();
        }
        if self.open_comment.is_some_and(|span| span.start >= offset) {
            self.open_comment = None;
        }
    }

    pub(super) fn prev_end(&self) -> u32 {
        self.prev_end
    }

    pub(super) fn file(&self) -> FileId {
        self.file
    }

    pub(super) fn source(&self) -> &'t str {
        self.text
    }

    pub(super) fn text(&self, token: Token) -> &'t str {
        self.slice(token.start, token.end)
    }

    pub(super) fn slice(&self, start: u32, end: u32) -> &'t str {
        self.text.get(start as usize..end as usize).unwrap_or("")
    }

    pub(super) fn span(&self, token: Token) -> Span {
        Span::new(self.file, token.start, token.end)
    }

    /// Whether the token is the first thing of its line, without indentation.
    pub(super) fn at_column_one(&self, token: Token) -> bool {
        token.start == 0 || self.slice(token.start - 1, token.start) == "\n"
    }

    /// Whether a line ends between two offsets.
    pub(super) fn line_ends_between(&self, start: u32, end: u32) -> bool {
        self.slice(start, end).contains('\n')
    }

    pub(super) fn take_comments(&mut self) -> Vec<Comment> {
        std::mem::take(&mut self.comments)
    }

    pub(super) fn open_comment(&self) -> Option<Span> {
        self.open_comment
    }

    fn keep_comment(&mut self, token: Token) {
        let span = self.span(token);
        if token.kind == (TokenKind::BlockComment { terminated: false }) {
            self.open_comment = Some(span);
        }
        let block = token.kind != TokenKind::LineComment;
        self.comments.push(Comment { block, span });
    }
}
