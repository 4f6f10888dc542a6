//! Blocks and statements.

use skep_ui::Span;

use super::{BinaryOp, Expr, Import, MapName, NodeId, Spanned, TypeExpr, VarName};

/// `{ statements; tail }`
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Names the node.
    pub id: NodeId,
    /// Braces included.
    pub span: Span,
    /// The statements.
    pub stmts: Vec<Stmt>,
    /// The last expression, if no `;` follows it: the block's value, where a value is wanted.
    /// Bodies of probes, functions and loops want none: there it is one more statement.
    pub tail: Option<Box<Expr>>,
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Stmt {
    /// Names the node.
    pub id: NodeId,
    /// The statement, its `;` included.
    pub span: Span,
    /// What it is.
    pub kind: StmtKind,
}

/// The kinds of [`Stmt`].
#[derive(Debug, Clone, PartialEq)]
pub enum StmtKind {
    /// An expression for its effect; also every `if` and every nested block.
    Expr(Expr),
    /// `let $x : type = init;`
    Let {
        /// The variable.
        var: VarName,
        /// The type, if given.
        ty: Option<TypeExpr>,
        /// The first value, if given.
        init: Option<Expr>,
    },
    /// `$x = e;`, `@x[k] += e;`
    Assign {
        /// [`ExprKind::Var`], [`ExprKind::Map`] or [`ExprKind::MapAccess`]; or
        /// [`ExprKind::Error`] where an error was reported.
        target: Expr,
        /// `None` for `=`, the operator of `+=` and the like otherwise.
        op: Option<Spanned<BinaryOp>>,
        /// The right side.
        value: Expr,
    },
    /// `_ = e;`
    Discard(Expr),
    /// `for $x : … { … }`
    For(ForLoop),
    /// `while (cond) { … }`
    While {
        /// The condition.
        cond: Expr,
        /// The body.
        body: Block,
    },
    /// `unroll (count) { … }`
    Unroll {
        /// How often.
        count: Expr,
        /// The body.
        body: Block,
    },
    /// `return;` or `return e;`
    Return(Option<Expr>),
    /// `break;`
    Break,
    /// `continue;`
    Continue,
    /// `import "…";`
    Import(Import),
    /// Text that is no statement; an error was reported.
    Error,
}

/// `for $x : @map { … }` or `for $i : a..b { … }`
#[derive(Debug, Clone, PartialEq)]
pub struct ForLoop {
    /// The loop variable.
    pub var: VarName,
    /// What it runs over.
    pub over: ForOver,
    /// `for` through what it runs over, for messages.
    pub header: Span,
    /// The body.
    pub body: Block,
}

/// What a [`ForLoop`] runs over.
#[derive(Debug, Clone, PartialEq)]
pub enum ForOver {
    /// All entries of a map.
    Map(MapName),
    /// `start..end`, end exclusive.
    Range {
        /// First value.
        start: Expr,
        /// First value that is not reached.
        end: Expr,
    },
    /// An error was reported.
    Error,
}
