//! Errors and warnings about a script, and how they are printed.
//!
//! The printed shape is bpftrace's, byte for byte, because editors, test suites and people's eyes
//! already parse it:
//!
//! ```text
//! stdin:1:14-16: ERROR: Undefined or undeclared variable: $x
//! BEGIN { $y = $x }
//!              ~~
//! HINT: ...
//! ```
//!
//! A span over several lines prints `stdin:2-3:` and the bare lines. A library for annotated
//! snippets was considered and left aside: each of them draws its own frame of line numbers and
//! arrows, and none can be brought to this form. What remains to be done by hand is one underline.

mod render;
mod suggest;

pub use suggest::suggest;

use crate::span::{SourceMap, Span};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The script cannot run.
    Error,
    /// The script can run, but perhaps not as its author thinks.
    Warning,
}

/// Whether output carries terminal colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colors {
    /// Plain text.
    #[default]
    Never,
    /// Errors red, warnings yellow.
    Always,
}

impl Colors {
    /// A line, without its end, in the colour of its severity.
    pub fn paint(self, severity: Severity, line: &[u8]) -> Vec<u8> {
        match self {
            Colors::Never => line.to_vec(),
            Colors::Always => [render::color(severity).as_bytes(), line, render::RESET.as_bytes()].concat(),
        }
    }
}

/// One message about a place in a script.
///
/// `message` is a plain sentence or clause without `ERROR:` and without a line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The place; `None` when the message is about no place in particular.
    pub span: Option<Span>,
    /// What is wrong.
    pub message: String,
    /// Further lines that explain.
    pub notes: Vec<Note>,
    /// What to write instead.
    pub help: Option<String>,
    /// Where the code was expanded from, innermost first: macro calls and imports.
    pub expanded_from: Vec<Span>,
}

/// A further line of a [`Diagnostic`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The place it speaks of.
    pub span: Option<Span>,
    /// What it says.
    pub text: String,
    /// Whether it is called a hint, rather than an error or a warning as the message itself.
    pub hint: bool,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, Some(span), message.into())
    }

    /// A warning at a place.
    pub fn warning(span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, Some(span), message.into())
    }

    /// An error about no place in particular.
    pub fn error_without_place(message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, None, message.into())
    }

    /// A warning about no place in particular.
    pub fn warning_without_place(message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, None, message.into())
    }

    fn new(severity: Severity, span: Option<Span>, message: String) -> Diagnostic {
        Diagnostic { severity, span, message, notes: Vec::new(), help: None, expanded_from: Vec::new() }
    }

    /// Adds a further line about another place.
    #[must_use]
    pub fn note(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.notes.push(Note { span: Some(span), text: text.into(), hint: false });
        self
    }

    /// Adds a further line about no place.
    #[must_use]
    pub fn remark(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(Note { span: None, text: text.into(), hint: true });
        self
    }

    /// Points to another place that helps to see what is meant.
    #[must_use]
    pub fn see(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.notes.push(Note { span: Some(span), text: text.into(), hint: true });
        self
    }

    /// Says what to write instead.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help = Some(text.into());
        self
    }

    /// Adds the place that the code was expanded from; call it innermost first.
    #[must_use]
    pub fn expanded_from(mut self, span: Span) -> Diagnostic {
        self.expanded_from.push(span);
        self
    }

    /// Whether this stops the script from running.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The printed form, each line ended by a newline.
    pub fn render(&self, sources: &SourceMap, colors: Colors) -> String {
        render::diagnostic(self, sources, colors)
    }
}

/// Collects the diagnostics of all stages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// An empty collection.
    pub fn new() -> Diagnostics {
        Diagnostics::default()
    }

    /// Takes one in.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// Forgets the warnings that were taken in since there were so many diagnostics.
    pub fn drop_warnings(&mut self, since: usize) {
        let mut at = 0;
        self.list.retain(|diagnostic| {
            at += 1;
            at <= since || diagnostic.is_error()
        });
    }

    /// Reports an error at a place.
    pub fn error(&mut self, span: Span, message: impl Into<String>) {
        self.push(Diagnostic::error(span, message));
    }

    /// Reports a warning at a place.
    pub fn warning(&mut self, span: Span, message: impl Into<String>) {
        self.push(Diagnostic::warning(span, message));
    }

    /// Whether any error was reported.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(Diagnostic::is_error)
    }

    /// Whether nothing was reported at all.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many were reported.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// In the order of reporting.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// In the order of printing: all errors, then all warnings, each in the order of the source.
    /// Those without a place come first, as they speak of the whole script.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut sorted: Vec<&Diagnostic> = self.list.iter().collect();
        sorted.sort_by_key(|d| (d.severity, d.span));
        sorted
    }

    /// The printed form of all, in the order of [`Diagnostics::sorted`].
    pub fn render(&self, sources: &SourceMap, colors: Colors) -> String {
        self.sorted().into_iter().map(|d| d.render(sources, colors)).collect()
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<T: IntoIterator<Item = Diagnostic>>(&mut self, iter: T) {
        self.list.extend(iter);
    }
}

impl From<Vec<Diagnostic>> for Diagnostics {
    fn from(list: Vec<Diagnostic>) -> Diagnostics {
        Diagnostics { list }
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}
