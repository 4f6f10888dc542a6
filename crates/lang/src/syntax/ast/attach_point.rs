//! Where probes attach.

use skep_ui::Span;

use super::NodeId;

/// One place that a probe attaches to, such as `uprobe:/bin/bash:"read*"+4`.
///
/// The text is only cut apart at `:` and `@`; each provider gives the parts their meaning.
#[derive(Debug, Clone, PartialEq)]
pub struct AttachPoint {
    /// Names the node.
    pub id: NodeId,
    /// The whole text.
    pub span: Span,
    /// The text as written.
    pub text: String,
    /// What stands before the first separator, such as `tracepoint`, `t` or `BEGIN`.
    pub provider: ApPart,
    /// The parts after the provider.
    pub parts: Vec<ApPart>,
}

impl AttachPoint {
    /// Whether `$1` or the like stands in it, which must be replaced before it has a meaning.
    pub fn has_params(&self) -> bool {
        std::iter::once(&self.provider).chain(&self.parts).any(ApPart::has_params)
    }
}

/// A part of an [`AttachPoint`] between two separators.
#[derive(Debug, Clone, PartialEq)]
pub struct ApPart {
    /// The text without separators; empty for an empty part, as in `a::b`.
    pub span: Span,
    /// What stands before it.
    pub separator: ApSeparator,
    /// The text in pieces, in order.
    pub pieces: Vec<ApPiece>,
}

impl ApPart {
    /// The text with quotes removed; positional parameters appear as written.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match &piece.kind {
                ApPieceKind::Text(text) | ApPieceKind::Quoted(text) => out.push_str(text),
                ApPieceKind::Param(n) => out.push_str(&format!("${n}")),
            }
        }
        out
    }

    /// Whether a positional parameter stands in it.
    pub fn has_params(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece.kind, ApPieceKind::Param(_)))
    }

    /// Whether `*` stands in it. Quotes do not take its meaning away, as in the original.
    pub fn has_wildcard(&self) -> bool {
        self.pieces.iter().any(|piece| match &piece.kind {
            ApPieceKind::Text(text) | ApPieceKind::Quoted(text) => text.contains('*'),
            ApPieceKind::Param(_) => false,
        })
    }

    /// Whether any of it was quoted.
    pub fn is_quoted(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece.kind, ApPieceKind::Quoted(_)))
    }
}

/// What stands before an [`ApPart`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApSeparator {
    /// Nothing: it is the provider.
    Start,
    /// `:`
    Colon,
    /// `@`, before a source file
    At,
}

/// A piece of an [`ApPart`].
#[derive(Debug, Clone, PartialEq)]
pub struct ApPiece {
    /// Where it stands, quotes included.
    pub span: Span,
    /// What it is.
    pub kind: ApPieceKind,
}

/// The kinds of [`ApPiece`].
#[derive(Debug, Clone, PartialEq)]
pub enum ApPieceKind {
    /// Bare text.
    Text(String),
    /// Text that was quoted, with escapes resolved.
    Quoted(String),
    /// `$1`. Its value is spliced in as if it had been written there, separators included.
    Param(u32),
}
