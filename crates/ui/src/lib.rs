//! What the user sees: diagnostics with source spans, text forms of histograms and tables, and the
//! JSON dialect of the tracing language.
//!
//! Nothing here knows about BPF. Everything is a pure function from data to text, so that each
//! form can be tested without a kernel and without a terminal.

pub mod diagnostic;
pub mod hist;
pub mod json;
pub mod span;
pub mod svg;
pub mod table;
pub mod text;

pub use diagnostic::{Colors, Diagnostic, Diagnostics, Note, Severity, suggest};
pub use span::{FileId, LineCol, SourceMap, Span};
