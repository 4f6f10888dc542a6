//! What stands at the outer level of a script: probes, macros, declarations, settings, C.

use skep_ui::Span;

use super::{AttachPoint, Block, Expr, Ident, MapName, NodeId, Spanned, StringLit, TypeExpr, VarName};

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
    /// `typedef …;` or `static const …;`
    Declaration,
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
