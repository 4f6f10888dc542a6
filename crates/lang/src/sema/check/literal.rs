//! Literals and positional parameters.

use skep_ui::{Diagnostic, Span};

use super::{Checker, node};
use crate::hir::{Expr, ExprKind, Probe};
use crate::portable::Question;
use crate::sema::infer;
use crate::sema::options::Param;
use crate::syntax::ast::{IntLit, IntSuffix};
use crate::ty::Ty;
use crate::walk;

impl Checker<'_> {
    /// An integer as written. Its size counts, not its suffix; a duration is an `int64`.
    pub fn int_literal(&mut self, literal: &IntLit, span: Span) -> Expr {
        match literal.suffix {
            Some(IntSuffix::Time(_)) if i64::try_from(literal.value).is_ok() => {
                let ty = self.types.int(63, false);
                node(ExprKind::Int(literal.value), ty, span)
            }
            _ => self.number(literal.value, span),
        }
    }

    /// An integer that is not negative.
    pub fn number(&mut self, value: u64, span: Span) -> Expr {
        let ty = infer::literal(&mut self.types, value);
        node(ExprKind::Int(value), ty, span)
    }

    /// Any integer; `None` if it fits no type.
    pub fn folded(&mut self, value: i128, span: Span) -> Option<Expr> {
        match (u64::try_from(value), i64::try_from(value)) {
            (Ok(value), _) => Some(self.number(value, span)),
            (_, Ok(value)) => Some(node(ExprKind::Int(value as u64), infer::negative_literal(value), span)),
            _ => None,
        }
    }

    /// A text as written.
    pub fn text(&mut self, text: impl Into<Vec<u8>>, span: Span) -> Expr {
        let mut text = text.into();
        // Texts end at their first NUL wherever they are kept.
        if let Some(end) = text.iter().position(|&byte| byte == 0) {
            text.truncate(end);
        }
        let capacity = u32::try_from(text.len()).unwrap_or(u32::MAX).saturating_add(1);
        let ty = self.types.str(capacity);
        node(ExprKind::Str(text), ty, span)
    }

    /// Complains about literal texts that do not fit the longest text there can be, their closing
    /// NUL included. Only what is left in the finished program counts: a text that was compared with
    /// another one, or cut, takes no room.
    pub fn refuse_long_texts(&mut self, probes: &mut [Probe]) {
        let max = self.config.max_strlen;
        let diagnostics = &mut self.diagnostics;
        let mut check = |expr: &mut Expr| {
            if let ExprKind::Str(text) = &expr.kind
                && text.len() >= max as usize
            {
                let text_shown = String::from_utf8_lossy(text);
                let message = format!("String is too long (over {max} bytes): {text_shown}");
                let needed = text.len() + 1;
                let help = format!("Raise the limit with `config = {{ max_strlen = {needed} }}`.");
                diagnostics.push(Diagnostic::error(expr.span, message).help(help));
            }
        };
        for (_, body) in probes.iter_mut().flat_map(Probe::bodies_mut) {
            walk::in_block_mut(body, &mut check);
        }
    }

    /// `true` or `false`
    pub fn boolean(&self, value: bool, span: Span) -> Expr {
        node(ExprKind::Int(u64::from(value)), Ty::BOOL, span)
    }

    /// `$#`
    pub fn param_count(&mut self, span: Span) -> Expr {
        match self.asked(Question::ParameterCount, span) {
            Some(count) => self.force(count, Ty::I64),
            None => self.number(self.options.params.len() as u64, span),
        }
    }

    /// `$1`: a number if it reads as one, else a text.
    pub fn param(&mut self, n: u32, span: Span) -> Expr {
        let options = self.options;
        match options.param(n) {
            Param::Missing if options.portable => {
                let asked = self.ask(Question::Parameter(n), span);
                self.force(asked, Ty::I64)
            }
            Param::Missing => {
                self.diagnostics
                    .warning(span, format!("Positional parameter ${n} is empty or not provided."));
                self.number(0, span)
            }
            Param::Number { value, negative } => {
                let value = if negative { -i128::from(value) } else { i128::from(value) };
                self.folded(value, span).unwrap_or_else(|| self.broken(span))
            }
            Param::Text(text) => self.text(text, span),
        }
    }
}
