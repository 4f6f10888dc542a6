//! The syntax tree: what the author wrote, before any of it has a meaning.
//!
//! The tree keeps everything a later stage or a formatter could ask for: parentheses, quotes,
//! the spelling of literals, comments. It holds places where the text is wrong as `Error` nodes,
//! so there always is a tree; an `Error` node always comes with an error diagnostic, and later
//! stages pass over it in silence.
//!
//! Every node carries a [`NodeId`], unique within one [`NodeIds`] counter, for side tables, and a
//! [`Span`]. The span of a node contains the spans of its children.

mod attach_point;
mod expr;
mod items;
mod stmt;
mod types;

use skep_ui::Span;

pub use attach_point::*;
pub use expr::*;
pub use items::*;
pub use stmt::*;
pub use types::*;

/// Names a node in side tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// Hands out node ids. One counter serves all files and expansions of one compilation.
#[derive(Debug, Clone, Default)]
pub struct NodeIds {
    next: u32,
}

impl NodeIds {
    /// A counter that starts at 0.
    pub fn new() -> NodeIds {
        NodeIds::default()
    }

    /// An id that was not given out before.
    pub fn fresh(&mut self) -> NodeId {
        let id = NodeId(self.next);
        self.next = self.next.saturating_add(1);
        id
    }

    /// How many were given out; all ids are below this number.
    pub fn count(&self) -> usize {
        self.next as usize
    }
}

/// A value with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spanned<T> {
    /// The value.
    pub node: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Joins the two.
    pub fn new(node: T, span: Span) -> Spanned<T> {
        Spanned { node, span }
    }
}

/// A name without sigil: `pid`, `printf`, `task_struct`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ident {
    /// The name as written.
    pub name: String,
    /// Where it stands.
    pub span: Span,
}

/// A scratch variable, `$x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VarName {
    /// The name without `$`. Empty only where an error was reported.
    pub name: String,
    /// Where it stands, `$` included.
    pub span: Span,
}

/// A map, `@x` or the nameless `@`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapName {
    /// The name without `@`; empty for the nameless map.
    pub name: String,
    /// Where it stands, `@` included.
    pub span: Span,
}

/// A quoted string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringLit {
    /// The value with escapes resolved. Escapes can spell bytes that are not UTF-8.
    pub bytes: Vec<u8>,
    /// Where it stands, quotes included.
    pub span: Span,
}

impl StringLit {
    /// The value as text; bytes that are not UTF-8 become replacement characters.
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// A comment, kept for formatting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// `/* … */` rather than `// …`.
    pub block: bool,
    /// Where it stands, marks included.
    pub span: Span,
}

/// One script file.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// Names the node.
    pub id: NodeId,
    /// The whole text.
    pub span: Span,
    /// The `#!` line without its line end.
    pub shebang: Option<Span>,
    /// Everything at the outer level, in source order.
    pub items: Vec<Item>,
    /// All comments outside of attach points and preprocessor lines, in source order.
    pub comments: Vec<Comment>,
}

impl Script {
    /// The probes, in source order.
    pub fn probes(&self) -> impl Iterator<Item = &Probe> {
        self.items.iter().filter_map(|item| match &item.kind {
            ItemKind::Probe(probe) => Some(probe),
            _ => None,
        })
    }

    /// The `config` block; the first, should there wrongly be several.
    pub fn config(&self) -> Option<&ConfigBlock> {
        self.items.iter().find_map(|item| match &item.kind {
            ItemKind::Config(config) => Some(config),
            _ => None,
        })
    }
}
