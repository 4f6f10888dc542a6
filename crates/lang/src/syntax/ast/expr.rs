//! Expressions, their literals and operators.

use skep_ui::Span;

use super::{Block, Ident, MapName, NodeId, Spanned, StringLit, TypeExpr, TypeOrExpr, VarName};

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// Names the node.
    pub id: NodeId,
    /// The whole expression.
    pub span: Span,
    /// What it is.
    pub kind: ExprKind,
}

impl Expr {
    /// The place that messages show: as in the original's, parentheses around a first operand are left out.
    pub fn told_span(&self) -> Span {
        let mut first = self;
        let mut parens = false;
        loop {
            first = match &first.kind {
                ExprKind::Binary { lhs: inner, .. }
                | ExprKind::Ternary { cond: inner, .. }
                | ExprKind::Field { base: inner, .. }
                | ExprKind::TupleField { base: inner, .. }
                | ExprKind::Index { base: inner, .. } => inner,
                ExprKind::Paren(inner) if !std::ptr::eq(first, self) => {
                    parens = true;
                    inner
                }
                _ if parens && first.span.file == self.span.file => {
                    return Span::new(self.span.file, first.span.start, self.span.end);
                }
                _ => return self.span,
            }
        }
    }

    /// The expression inside of any parentheses around it, and of braces with nothing else in them,
    /// such as a macro's.
    pub fn peel_parens(&self) -> &Expr {
        let mut expr = self;
        loop {
            match &expr.kind {
                ExprKind::Paren(inner) => expr = inner,
                ExprKind::Block(Block { stmts, tail: Some(inner), .. }) if stmts.is_empty() => expr = inner,
                _ => return expr,
            }
        }
    }
}

/// The kinds of [`Expr`].
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `42`, `0x1f`, `1_000`, `1e6`, `5ms`
    Int(IntLit),
    /// `"text"`
    String(StringLit),
    /// `true` or `false`
    Bool(bool),
    /// A bare name: a builtin, a macro without arguments, an enumerator, a constant, or, where a
    /// type may stand ([`TypeOrExpr`], macro arguments), a type.
    Ident(String),
    /// `$x`
    Var(VarName),
    /// `@x`
    Map(MapName),
    /// `@x[a, b]`. Several keys mean the same as one tuple of them.
    MapAccess {
        /// The map.
        map: MapName,
        /// At least one unless an error was reported.
        keys: Vec<Expr>,
    },
    /// `$1`; the first is 1.
    Param(u32),
    /// `$#`
    ParamCount,
    /// `(e)`
    Paren(Box<Expr>),
    /// `-e`, `&$x`, `++@x`, `$x--`
    Unary {
        /// The operator.
        op: UnaryOp,
        /// Where the operator stands.
        op_span: Span,
        /// What it works on.
        operand: Box<Expr>,
    },
    /// `a + b`
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Where the operator stands.
        op_span: Span,
        /// Left operand.
        lhs: Box<Expr>,
        /// Right operand.
        rhs: Box<Expr>,
    },
    /// `cond ? then : otherwise`, or `cond ?: otherwise`
    Ternary {
        /// The condition.
        cond: Box<Expr>,
        /// The value if it holds; `None` in the short form, where it is the condition's own value.
        then: Option<Box<Expr>>,
        /// The value if it does not.
        otherwise: Box<Expr>,
    },
    /// `if cond { … } else …`
    If(IfExpr),
    /// `{ …; e }`
    Block(Block),
    /// `e.field` or `e->field`
    Field {
        /// The record or the pointer to it.
        base: Box<Expr>,
        /// Written `->`.
        arrow: bool,
        /// The field. Empty only where an error was reported.
        field: Ident,
    },
    /// `e.0`
    TupleField {
        /// The tuple.
        base: Box<Expr>,
        /// Which element; the first is 0.
        index: Spanned<u64>,
    },
    /// `e[index]`
    Index {
        /// Array, pointer, tuple or string.
        base: Box<Expr>,
        /// Which element.
        index: Box<Expr>,
    },
    /// `name(args)`
    Call {
        /// The function or macro.
        callee: Ident,
        /// The arguments. One written `typeof(T)` is [`ExprKind::Typeof`] and passes a type.
        args: Vec<Expr>,
    },
    /// `(type)e`
    Cast {
        /// The type.
        ty: TypeExpr,
        /// Parentheses and type only, for messages about the cast.
        header: Span,
        /// What is converted.
        operand: Box<Expr>,
    },
    /// `()`, `(a,)`, `(a, b)`
    Tuple(Vec<Expr>),
    /// `(a = 1, b = 2)`
    Record(Vec<RecordField>),
    /// `sizeof(x)`
    Sizeof(TypeOrExpr),
    /// `offsetof(T, a.b)`
    Offsetof {
        /// The record type, or an expression of it.
        of: TypeOrExpr,
        /// The path; at least one name unless an error was reported.
        path: Vec<Ident>,
    },
    /// `typeof(x)` as an argument of a call
    Typeof(TypeOrExpr),
    /// `typeinfo(x)`
    Typeinfo(TypeOrExpr),
    /// `comptime e`
    Comptime(Box<Expr>),
    /// Text that is no expression; an error was reported.
    Error,
}

/// An integer literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntLit {
    /// The value; a duration in nanoseconds.
    pub value: u64,
    /// What follows the digits.
    pub suffix: Option<IntSuffix>,
    /// As written, suffix included.
    pub text: String,
}

/// What may follow the digits of an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IntSuffix {
    /// `u`: unsigned int
    U,
    /// `l`: long
    L,
    /// `ul`: unsigned long
    Ul,
    /// `ll`: long long
    Ll,
    /// `ull`: unsigned long long
    Ull,
    /// A duration.
    Time(TimeUnit),
}

/// The units that a duration can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// `ns`
    Nanoseconds,
    /// `us`
    Microseconds,
    /// `ms`
    Milliseconds,
    /// `s`
    Seconds,
    /// `m`
    Minutes,
    /// `h`
    Hours,
    /// `d`
    Days,
}

impl TimeUnit {
    /// The unit of this name.
    pub fn named(name: &str) -> Option<TimeUnit> {
        Some(match name {
            "ns" => TimeUnit::Nanoseconds,
            "us" => TimeUnit::Microseconds,
            "ms" => TimeUnit::Milliseconds,
            "s" => TimeUnit::Seconds,
            "m" => TimeUnit::Minutes,
            "h" => TimeUnit::Hours,
            "d" => TimeUnit::Days,
            _ => return None,
        })
    }

    /// How many nanoseconds one is.
    pub fn nanoseconds(self) -> u64 {
        match self {
            TimeUnit::Nanoseconds => 1,
            TimeUnit::Microseconds => 1_000,
            TimeUnit::Milliseconds => 1_000_000,
            TimeUnit::Seconds => 1_000_000_000,
            TimeUnit::Minutes => 60_000_000_000,
            TimeUnit::Hours => 3_600_000_000_000,
            TimeUnit::Days => 86_400_000_000_000,
        }
    }
}

/// `if cond { … } else …`
#[derive(Debug, Clone, PartialEq)]
pub struct IfExpr {
    /// The condition; [`ExprKind::Comptime`] in `if comptime (…)`.
    pub cond: Box<Expr>,
    /// What happens if it holds.
    pub then: Block,
    /// [`ExprKind::Block`] or [`ExprKind::If`]; [`ExprKind::Error`] where an error was reported.
    pub otherwise: Option<Box<Expr>>,
}

/// `name = value` in a record.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordField {
    /// Names the node.
    pub id: NodeId,
    /// Name and value.
    pub span: Span,
    /// The name.
    pub name: Ident,
    /// The value.
    pub value: Expr,
}

/// Operators with one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `!`
    Not,
    /// `~`
    BitNot,
    /// `*`
    Deref,
    /// `&`; the operand is a variable or a map
    AddressOf,
    /// `++` in front; the operand is a variable, map or map element, also for the next three
    PreInc,
    /// `--` in front
    PreDec,
    /// `++` behind
    PostInc,
    /// `--` behind
    PostDec,
}

impl UnaryOp {
    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            UnaryOp::Neg => "-",
            UnaryOp::Not => "!",
            UnaryOp::BitNot => "~",
            UnaryOp::Deref => "*",
            UnaryOp::AddressOf => "&",
            UnaryOp::PreInc | UnaryOp::PostInc => "++",
            UnaryOp::PreDec | UnaryOp::PostDec => "--",
        }
    }

    /// Whether it is written behind its operand.
    pub fn is_postfix(self) -> bool {
        matches!(self, UnaryOp::PostInc | UnaryOp::PostDec)
    }
}

/// Operators with two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `||`
    Or,
    /// `&&`
    And,
    /// `|`
    BitOr,
    /// `^`
    BitXor,
    /// `&`
    BitAnd,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `<<`
    Shl,
    /// `>>`
    Shr,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
}

impl BinaryOp {
    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Or => "||",
            BinaryOp::And => "&&",
            BinaryOp::BitOr => "|",
            BinaryOp::BitXor => "^",
            BinaryOp::BitAnd => "&",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::Shl => "<<",
            BinaryOp::Shr => ">>",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Rem => "%",
        }
    }

    /// How tightly it binds: 1 (`||`) to 10 (`*`). All associate to the left.
    pub fn precedence(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And => 2,
            BinaryOp::BitOr => 3,
            BinaryOp::BitXor => 4,
            BinaryOp::BitAnd => 5,
            BinaryOp::Eq | BinaryOp::Ne => 6,
            BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => 7,
            BinaryOp::Shl | BinaryOp::Shr => 8,
            BinaryOp::Add | BinaryOp::Sub => 9,
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::Rem => 10,
        }
    }
}
