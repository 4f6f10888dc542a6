//! The syntax tree: what the author wrote, before any of it has a meaning.
//!
//! The tree keeps everything a later stage or a formatter could ask for: parentheses, quotes,
//! the spelling of literals, comments. It holds places where the text is wrong as `Error` nodes,
//! so there always is a tree; an `Error` node always comes with an error diagnostic, and later
//! stages pass over it in silence.
//!
//! Every node carries a [`NodeId`], unique within one [`NodeIds`] counter, for side tables, and a
//! [`Span`]. The span of a node contains the spans of its children.

use skep_ui::Span;

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

/// Something at the outer level of a script.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Names the node.
    pub id: NodeId,
    /// The whole item.
    pub span: Span,
    /// What it is.
    pub kind: ItemKind,
}

/// The kinds of [`Item`].
#[derive(Debug, Clone, PartialEq)]
pub enum ItemKind {
    /// A preprocessor line or a C type definition.
    C(CDefinition),
    /// `config = { … }`
    Config(ConfigBlock),
    /// `import "…";`
    Import(Import),
    /// `let @a = hash(100);`
    MapDecl(MapDecl),
    /// `macro name(…) { … }`
    Macro(MacroDef),
    /// `fn name(…) : type { … }`
    Function(FunctionDef),
    /// `attach,points /predicate/ { … }`
    Probe(Probe),
    /// Text that is no item; an error was reported.
    Error,
}

/// C that stands in a script, uninterpreted.
#[derive(Debug, Clone, PartialEq)]
pub struct CDefinition {
    /// Which kind of C.
    pub kind: CKind,
    /// The text as written, without the `;` that may follow a type definition.
    pub text: Spanned<String>,
}

/// The kinds of [`CDefinition`].
#[derive(Debug, Clone, PartialEq)]
pub enum CKind {
    /// `#include <path>` or `#include "path"`
    Include {
        /// The path between the marks.
        path: Spanned<String>,
        /// Written with `<>` rather than quotes.
        system: bool,
    },
    /// `#define NAME body` or `#define NAME(params) body`
    Define {
        /// The name.
        name: Ident,
        /// The names in parentheses, for a function-like macro.
        params: Option<Vec<Ident>>,
        /// The rest of the line, trimmed and without comments; line continuations are still in it.
        body: Spanned<String>,
    },
    /// Any other `#` line.
    Directive(
        /// The word after `#`; empty if there is none.
        Ident,
    ),
    /// `struct`, `union` or `enum` with a body.
    Type {
        /// Which of the three.
        tag: TypeTag,
        /// The name; anonymous types have none.
        name: Option<Ident>,
        /// What stands between the outer braces.
        body: Spanned<String>,
        /// The `__attribute__((…))` texts before the name and after the body.
        attributes: Vec<Spanned<String>>,
    },
}

/// `struct`, `union` or `enum`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TypeTag {
    /// `struct`
    Struct,
    /// `union`
    Union,
    /// `enum`
    Enum,
}

impl TypeTag {
    /// The keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            TypeTag::Struct => "struct",
            TypeTag::Union => "union",
            TypeTag::Enum => "enum",
        }
    }
}

/// `config = { key = value; … }`
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigBlock {
    /// The settings in source order; keys may repeat.
    pub entries: Vec<ConfigEntry>,
}

/// One setting of a [`ConfigBlock`].
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigEntry {
    /// Names the node.
    pub id: NodeId,
    /// From the key through the value.
    pub span: Span,
    /// The key as written.
    pub key: Ident,
    /// The value.
    pub value: Spanned<ConfigValue>,
}

/// The right side of a [`ConfigEntry`].
#[derive(Debug, Clone, PartialEq)]
pub enum ConfigValue {
    /// `"text"`
    String(Vec<u8>),
    /// `100`
    Int(u64),
    /// `true` or `false`
    Bool(bool),
    /// `PER_PID`
    Word(String),
    /// An error was reported.
    Error,
}

/// `import "path";`, at the outer level or in a block.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// The path as written.
    pub path: StringLit,
}

/// `let @a = hash(100);`
#[derive(Debug, Clone, PartialEq)]
pub struct MapDecl {
    /// The map.
    pub map: MapName,
    /// The kind of map, such as `hash` or `percpulruhash`.
    pub map_type: Ident,
    /// What stands in the parentheses: the largest number of entries. Sema checks count and type.
    pub args: Vec<Expr>,
}

/// `macro name(params) { … }`
#[derive(Debug, Clone, PartialEq)]
pub struct MacroDef {
    /// The name; several macros may share one and differ in their parameters.
    pub name: Ident,
    /// From the keyword through the closing parenthesis, for messages about the definition.
    pub header: Span,
    /// The parameters.
    pub params: Vec<MacroParam>,
    /// The body; its tail is the value.
    pub body: Block,
}

/// A parameter of a [`MacroDef`].
#[derive(Debug, Clone, PartialEq)]
pub enum MacroParam {
    /// `$x`: the argument must be a variable, and can be assigned to.
    Var(VarName),
    /// `@x`: the argument must be a map.
    Map(MapName),
    /// `x`: the argument is any expression, or a type written `typeof(T)`.
    Expr(Ident),
}

impl MacroParam {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            MacroParam::Var(v) => v.span,
            MacroParam::Map(m) => m.span,
            MacroParam::Expr(i) => i.span,
        }
    }
}

/// `fn name($a : type, …) : type { … }`
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionDef {
    /// The name.
    pub name: Ident,
    /// From the keyword through the return type, for messages about the definition.
    pub header: Span,
    /// The parameters.
    pub params: Vec<FnParam>,
    /// The return type.
    pub ret: TypeExpr,
    /// The body.
    pub body: Block,
}

/// A parameter of a [`FunctionDef`].
#[derive(Debug, Clone, PartialEq)]
pub struct FnParam {
    /// Names the node.
    pub id: NodeId,
    /// Variable and type.
    pub span: Span,
    /// The variable.
    pub var: VarName,
    /// Its type.
    pub ty: TypeExpr,
}

/// `attach,points /predicate/ { … }`
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// `name =` in front of the first attach point.
    pub name: Option<Ident>,
    /// Where it attaches; at least one unless an error was reported.
    pub attach_points: Vec<AttachPoint>,
    /// All attach points, for messages about the probe as a whole.
    pub header: Span,
    /// `/ … /`
    pub predicate: Option<Predicate>,
    /// What it does. Its tail is a statement like the others.
    pub body: Block,
}

/// The condition of a probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicate {
    /// Both slashes included.
    pub span: Span,
    /// The condition.
    pub cond: Expr,
}

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
    /// The expression inside of any parentheses around it.
    pub fn peel_parens(&self) -> &Expr {
        let mut expr = self;
        while let ExprKind::Paren(inner) = &expr.kind {
            expr = inner;
        }
        expr
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
