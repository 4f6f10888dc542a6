//! Types as they are written.

use skep_ui::Span;

use super::{Expr, Ident, NodeId, Spanned, TypeTag};

/// Operand of `sizeof` and its kin.
///
/// A bare name that is no built-in type is ambiguous until names are resolved; it comes as
/// [`TypeOrExpr::Expr`] with [`ExprKind::Ident`], and later stages try both readings.
#[derive(Debug, Clone, PartialEq)]
pub enum TypeOrExpr {
    /// Certainly a type.
    Type(TypeExpr),
    /// An expression, which is not evaluated, or a bare name.
    Expr(Box<Expr>),
}

impl TypeOrExpr {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            TypeOrExpr::Type(ty) => ty.span,
            TypeOrExpr::Expr(expr) => expr.span,
        }
    }
}

/// A type as written.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeExpr {
    /// Names the node.
    pub id: NodeId,
    /// The whole type.
    pub span: Span,
    /// What it is.
    pub kind: TypeExprKind,
}

/// The kinds of [`TypeExpr`].
#[derive(Debug, Clone, PartialEq)]
pub enum TypeExprKind {
    /// `uint64`, `string`, or a typedef such as `size_t`
    Name(String),
    /// `struct task_struct`
    Tagged {
        /// Which of the three.
        tag: TypeTag,
        /// The name after it.
        name: Ident,
    },
    /// `T *`
    Pointer(Box<TypeExpr>),
    /// `T[4]`, `T[]`. For `string`, `buffer` and `inet` the number is the capacity in bytes.
    Array {
        /// What stands before the bracket.
        elem: Box<TypeExpr>,
        /// The number; `None` for `[]`.
        len: Option<Spanned<u64>>,
    },
    /// `typeof(x)`
    Typeof(Box<TypeOrExpr>),
    /// Text that is no type; an error was reported.
    Error,
}
